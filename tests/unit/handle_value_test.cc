// Handles as values: to a process that existed before the object did.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/priority_queue.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/segment.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/ipc/stack.h>
#include <warren/pool/pool.h>

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "support/child.h"
#include "support/reach.h"
#include "support/resources.h"

namespace warren::test {
namespace {

using testing::HasSubstr;

// The bytes that a handle travels as.
struct Letter {
  std::array<std::byte, 64> bytes{};
  std::size_t size = 0;
};
template <class T>
Letter write(const T& value) {
  Letter letter;
  Writer writer(
      letter.bytes, [](void*, std::size_t, std::size_t) { return std::span<std::byte>(); }, nullptr);
  writer.put(value);
  EXPECT_TRUE(writer.ok()) << writer.status();
  letter.size = writer.size();
  return letter;
}
template <class T>
absl::StatusOr<T> read(const Letter& letter) {
  Reader reader(std::span(letter.bytes).first(letter.size));
  return reader.get<T>();
}
// For a child that has waited since before there was anything.
struct Post {
  std::atomic<int> state{0};  // 1: the letter lies there
  Letter letter;
  void put(const Letter& what) { letter = what, state = 1; }
  const Letter& await() const {
    while (state != 1) ::usleep(100);
    return letter;
  }
};

TEST(HandleValue, AnOlderProcessGetsTheSameObject) {
  Shared<Post> post;
  Child older([&] {
    auto queue = read<Queue<int>>(post->await());
    return queue.ok() && queue->pop() == 41 && queue->push(42) ? 0 : 1;
  });
  auto queue = Queue<int>::create({.capacity = 4}).value();
  ASSERT_TRUE(queue.push(41));
  post->put(write(queue));
  EXPECT_EQ(older.join().code, 0);
  EXPECT_EQ(queue.try_pop(), 42);
}

TEST(HandleValue, WorkersTakeThemAsArguments) {
  auto pool = Pool::create({.workers = 2}).value();
  auto queue = Queue<int>::create({.capacity = 8}).value();
  auto spsc = SpscQueue<int>::create({.capacity = 8}).value();
  auto mutex = Mutex::create().value();
  auto segment = Segment::create(4096).value();
  EXPECT_TRUE(pool.apply([](Queue<int> q, int i) { q.push(i); }, queue, 1).ok());
  EXPECT_TRUE(pool.apply([](Queue<int>& q) { q.push(2); }, queue).ok());
  EXPECT_TRUE(pool.apply([](const std::vector<Queue<int>>& qs) { Queue<int>(qs.at(1)).push(3); },
                         std::vector<Queue<int>>{queue, queue})
                  .ok());
  EXPECT_TRUE(pool.apply([](SpscQueue<int> q) { return q.try_push(4); }, spsc).value());
  EXPECT_TRUE(pool.apply([](Mutex m) { return m.try_lock() && m.unlock(); }, mutex).value());
  EXPECT_TRUE(pool.apply([](Segment s) { s.bytes()[7] = std::byte{5}; }, segment).ok());
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_EQ(queue.try_pop(), 3);
  EXPECT_EQ(spsc.try_pop(), 4);
  EXPECT_EQ(segment.bytes()[7], std::byte{5});
}

TEST(HandleValue, OfAPriorityQueueAndAStack) {
  auto pool = Pool::create({.workers = 1}).value();
  auto queue = PriorityQueue<std::string>::create({.capacity = 4}).value();
  auto stack = Stack<int>::create({.capacity = 4}).value();
  EXPECT_TRUE(
      pool.apply([](PriorityQueue<std::string> q) { return q.push("later", 1) && q.push("now", 2); }, queue).value());
  EXPECT_TRUE(pool.apply([](Stack<int>& s) { return s.push(1) && s.push(2); }, stack).value());
  EXPECT_EQ(queue.pop(), "now");
  EXPECT_EQ(stack.pop(), 2);
}

TEST(HandleValue, BoundToAFunctionToo) {
  auto pool = Pool::create({.workers = 1}).value();
  auto queue = Queue<int>::create({.capacity = 8}).value();
  EXPECT_TRUE(pool.apply(bind_front([](Queue<int>& q, int i) { q.push(i); }, queue), 6).ok());
  EXPECT_EQ(queue.try_pop(), 6);
}

// Not another mapping, nor another descriptor.
TEST(HandleValue, AProcessThatHasTheObjectGetsWhatItHas) {
  auto queue = Queue<int>::create({.capacity = 4}).value();
  const Census before = Census::now();
  const auto copy = read<Queue<int>>(write(queue));
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(&Reach::attachment(*copy), &Reach::attachment(queue));
  EXPECT_EQ(Census::left_behind(before, Census::now()), "");
}

TEST(HandleValue, AnotherTypeIsRefused) {
  auto queue = Queue<int>::create({.capacity = 4}).value();
  const Letter letter = write(queue);
  EXPECT_TRUE(absl::IsFailedPrecondition(read<Queue<long>>(letter).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(read<Mutex>(letter).status()));
  Shared<Post> post;
  Child older([&] { return absl::IsFailedPrecondition(read<Queue<long>>(post->await()).status()) ? 0 : 1; });
  post->put(letter);
  EXPECT_EQ(older.join().code, 0);
}

TEST(HandleValue, OfAProcessThatHasEnded) {
  Shared<Letter> letter;
  Child sender([&] { *letter = write(Queue<int>::create({.capacity = 4}).value()); });
  EXPECT_TRUE(sender.join().well());
  const absl::Status status = read<Queue<int>>(*letter).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("ended"));
}

TEST(HandleValue, ThatItsSenderHasLetGoOf) {
  Shared<Post> post;
  Child older([&] {
    const absl::Status status = read<Queue<int>>(post->await()).status();
    return absl::IsUnavailable(status) && status.message().find("let go") != std::string_view::npos ? 0 : 1;
  });
  const Letter letter = write(Queue<int>::create({.capacity = 4}).value());
  post->put(letter);
  EXPECT_EQ(older.join().code, 0);
}

TEST(HandleValue, WhoseDescriptorIsAnotherObjectsByNow) {
  Shared<Post> post;
  Child older([&] { return absl::IsUnavailable(read<Queue<int>>(post->await()).status()) ? 0 : 1; });
  Letter letter;
  int descriptor = -1;
  {
    auto first = Queue<int>::create({.capacity = 4}).value();
    descriptor = Reach::attachment(first).descriptor();
    letter = write(first);
  }
  auto second = Queue<int>::create({.capacity = 4}).value();
  ASSERT_EQ(Reach::attachment(second).descriptor(), descriptor) << "the test wants the same number";
  post->put(letter);
  EXPECT_EQ(older.join().code, 0);
}

TEST(HandleValue, ANamedObjectKeepsItsNameWithWhoReceivedIt) {
  const std::string name = unique_name();
  Shared<Post> post;
  Gate received, go_on;
  Child older([&] {
    auto queue = read<Queue<int>>(post->await()).value();
    received.open();
    go_on.wait();
    return 0;
  });
  {
    auto queue = Queue<int>::create(name, {.capacity = 4}).value();
    ASSERT_TRUE(queue.push(5));
    post->put(write(queue));
    received.wait();
  }
  auto opened = Queue<int>::open(name);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->try_pop(), 5);
  go_on.open();
  EXPECT_TRUE(older.join().well());
}

TEST(HandleValue, AReadOnlySegmentSaysToSendItsName) {
  const std::string name = unique_name();
  auto segment = Segment::create(name, 4096).value();
  const auto reader = Segment::open_read_only(name).value();
  std::array<std::byte, 64> memory;
  Writer writer(
      memory, [](void*, std::size_t, std::size_t) { return std::span<std::byte>(); }, nullptr);
  writer.put(reader);
  EXPECT_TRUE(absl::IsInvalidArgument(writer.status()));
  EXPECT_THAT(std::string(writer.status().message()), HasSubstr("name"));
}

TEST(HandleValue, ANamedObjectIsCheckedAsWhereItIsOpenedByItsName) {
  const std::string name = unique_name();
  Shared<Post> post;
  Child older([&] { return absl::IsPermissionDenied(read<Queue<int>>(post->await()).status()) ? 0 : 1; });
  auto queue = Queue<int>::create(name, {.capacity = 4}).value();
  ASSERT_EQ(::chmod(("/dev/shm/" + name).c_str(), 0644), 0);
  post->put(write(queue));
  EXPECT_EQ(older.join().code, 0);
}

TEST(HandleValue, WhatIsBeingMadeIsNotFound) {
  absl::Status found;
  const detail::SegmentPlan plan{.size = 64, .initialise = [&](std::span<std::byte>) {
                                   found = detail::Attachment::open(detail::HandleValue{}, {}).status();
                                 }};
  ASSERT_TRUE(detail::Attachment::create({}, plan, {}).ok());
  EXPECT_TRUE(absl::IsUnavailable(found)) << found;
}

// What arrives is a peer's word: another file, no file, no process.
TEST(HandleValue, FalseOnesAreRefused) {
  std::mt19937_64 random(3);
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  for (int i = 0; i < 2000; ++i) {
    detail::HandleValue value{
        .id = {random(), random()},
        .start_time = i % 3 == 0 ? detail::this_process().start_time : random() % 1000,
        .pid = static_cast<std::uint32_t>(i % 2 == 0 ? static_cast<std::uint64_t>(::getpid()) : random()),
        .pid_namespace = detail::this_process().pid_namespace,
        .descriptor = static_cast<std::int32_t>(i % 5 == 0 ? random() : random() % 16)};
    Letter letter;
    std::memcpy(letter.bytes.data(), &value, sizeof value);
    letter.size = sizeof value;
    EXPECT_FALSE(read<Queue<int>>(letter).ok());
  }
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace warren::test
