// A pipe whose contents a peer has spoilt: errors, never a crash, a hang, a read outside of it or a huge allocation.
// And what half-sent and half-taken messages leave behind.
#include <warren/ipc/pipe.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>
#include <random>
#include <thread>

#include "support/child.h"
#include "support/pipe_view.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::bytes_of;
using test::pattern;
using test::PipeView;

// To the second end, which is `to`: a record as a peer may write it.
class Forger {
 public:
  explicit Forger(const Connection& c) : words_(PipeView::to(c, 1)), ring_(PipeView::ring(c, 1)) {}
  void piece(layout::PieceHead head, std::uint64_t total = 0, const std::string& payload = {}) {
    word(head.word());
    if (head.first && !head.last) word(total);
    for (const char c : payload) ring_[end_++ % ring_.size()] = static_cast<std::byte>(c);
    end_ += (8 - end_ % 8) % 8;
    words_.tail = end_;
  }
  void word(std::uint64_t word) {
    std::memcpy(&ring_[end_ % ring_.size()], &word, sizeof word);
    end_ += 8;
  }
  layout::PipeDirection& words() { return words_; }

 private:
  layout::PipeDirection& words_;
  std::span<std::byte> ring_;
  std::uint64_t end_ = words_.tail;
};

TEST(PipeHostileTest, PositionsThatCannotBeAreAnError) {
  for (const auto& [tail, head] : {std::pair<std::uint64_t, std::uint64_t>{1 << 20, 0}, {0, 8}, {12, 0}, {16, 4}}) {
    auto [a, b] = Pipe::create({.capacity = 256}).value();
    PipeView::to(a, 1).tail = tail;
    PipeView::to(a, 1).head = head;
    EXPECT_TRUE(b.poll());
    EXPECT_TRUE(absl::IsDataLoss(b.recv<int>().status())) << tail << " " << head;
    EXPECT_TRUE(absl::IsDataLoss(b.recv_bytes().status()));
    if (tail != 0) (void)a.send(1);  // an error too, once it looks
  }
}

TEST(PipeHostileTest, RecordsThatReachBeyondWhatWasCommittedAreAnError) {
  for (const std::uint32_t length : {9u, 4096u, layout::PieceHead::kLengthMask}) {
    auto [a, b] = Pipe::create({.capacity = 256}).value();
    Forger forger(b);
    forger.piece({.length = length, .first = true, .last = true}, 0, "12345678");
    EXPECT_TRUE(absl::IsDataLoss(b.recv_bytes().status())) << length;
  }
}

TEST(PipeHostileTest, PiecesThatDoNotAddUpAreDropped) {
  struct Case {
    std::uint64_t total;
    layout::PieceHead second;
    std::string payload;
  };
  for (const Case& c : {Case{100, {.length = 4, .last = true}, "late"}, Case{6, {.length = 4}, "late"},
                        Case{8, {.length = 4}, "late"}, Case{9, {.length = 0}, ""}}) {
    auto [a, b] = Pipe::create({.capacity = 256}).value();
    Forger forger(b);
    forger.piece({.length = 4, .first = true}, c.total, "earl");
    forger.piece(c.second, 0, c.payload);
    EXPECT_TRUE(absl::IsDataLoss(b.recv_bytes().status()));
    EXPECT_EQ(forger.words().dropped, 1u);
    ASSERT_TRUE(a.send_bytes(bytes_of("good")).ok());
    EXPECT_EQ(b.recv_bytes().value(), bytes_of("good"));
  }
}

TEST(PipeHostileTest, AnAnnouncedLengthIsNotAllocated) {
  auto [a, b] = Pipe::create({.capacity = 256}).value();
  Forger forger(b);
  forger.piece({.length = 4, .first = true}, std::uint64_t{1} << 62, "earl");
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  EXPECT_TRUE(absl::IsInvalidArgument(b.recv_bytes(1 << 20).status())) << "more than asked for";
  a.close();
  EXPECT_TRUE(absl::IsOutOfRange(b.recv_bytes().status())) << "the rest will not come";
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024);
}

TEST(PipeHostileTest, ABeginningWhoseSenderDiedIsDroppedWhenTheNextMessageComes) {
  auto [a, b] = Pipe::create({.capacity = 256}).value();
  Forger forger(b);
  forger.piece({.length = 4, .first = true}, 100, "earl");
  forger.piece({.length = 4}, 0, "late");
  ASSERT_TRUE(a.send_bytes(bytes_of("next")).ok());
  EXPECT_EQ(b.recv_bytes().value(), bytes_of("next"));
  EXPECT_EQ(forger.words().dropped, 1u);
}

TEST(PipeHostileTest, WhatADeadReceiverHadBegunToTakeIsPassed) {
  auto [a, b] = Pipe::create({.capacity = 256}).value();
  Forger forger(b);
  forger.piece({.length = 4}, 0, "midd");
  forger.piece({.length = 4, .last = true}, 0, "last");
  EXPECT_FALSE(b.poll()) << "nothing that a recv would give";
  EXPECT_EQ(forger.words().dropped, 1u);
  ASSERT_TRUE(a.send(1).ok());
  EXPECT_EQ(b.recv<int>().value(), 1);
}

TEST(PipeHostileTest, AMessageThatBreaksOffIsDroppedWhileItIsWaitedFor) {
  auto [a, b] = Pipe::create({.capacity = 64}).value();
  Forger forger(b);
  forger.piece({.length = 4, .first = true}, 8, "earl");
  std::thread later([&, &b = b] { EXPECT_EQ(b.recv_bytes().value(), bytes_of("good")); });
  while (forger.words().tail != forger.words().head) std::this_thread::yield();
  forger.piece({.length = 4, .first = true, .last = true}, 0, "good");  // in place of the rest
  later.join();
  EXPECT_EQ(forger.words().dropped, 1u);
}

TEST(PipeHostileTest, AnotherProcessThatReceivesDropsWhatATimeLimitLeft) {
  auto [a, b] = Pipe::create({.capacity = 256}).value();
  Forger forger(b);
  test::Gate begun;
  test::Child other([&, &b = b] {
    begun.wait();
    return b.recv_bytes().value() == bytes_of("good") ? 0 : 1;
  });
  forger.piece({.length = 4, .type = detail::message_type<std::string>(), .first = true}, 8, "earl");
  EXPECT_TRUE(absl::IsDeadlineExceeded(b.recv_for<std::string>(0s).status()));
  forger.piece({.length = 4, .last = true}, 0, "late");
  forger.piece({.length = 4, .first = true, .last = true}, 0, "good");
  begun.open();
  EXPECT_TRUE(other.join().well());
  EXPECT_EQ(forger.words().dropped, 1u) << "the rest of it, by the other process";
  ASSERT_TRUE(a.send_bytes(bytes_of("next")).ok());
  EXPECT_EQ(b.recv_bytes().value(), bytes_of("next"));
  EXPECT_EQ(forger.words().dropped, 2u) << "its beginning, by this one";
}

TEST(PipeHostileTest, ATypeWhoseBytesAreAnothersIsDataLoss) {
  auto [a, b] = Pipe::create().value();
  Forger forger(b);
  forger.piece({.length = 4, .type = detail::message_type<std::uint64_t>(), .first = true, .last = true}, 0, "1234");
  EXPECT_TRUE(absl::IsDataLoss(b.recv<std::uint64_t>().status()));
  forger.piece({.length = 8, .type = detail::message_type<int>(), .first = true, .last = true}, 0, "12345678");
  EXPECT_TRUE(absl::IsDataLoss(b.recv<int>().status()));
  forger.piece({.length = 8, .type = detail::message_type<std::string>(), .first = true, .last = true}, 0,
               std::string(8, '\xff'));
  EXPECT_TRUE(absl::IsDataLoss(b.recv<std::string>().status()));
  ASSERT_TRUE(a.send(1).ok());
  EXPECT_EQ(b.recv<int>().value(), 1) << "each of them was taken";
}

TEST(PipeHostileTest, AChildGoesOnWithWhatItsParentHadBegunToTake) {
  auto [a, b] = Pipe::create({.capacity = 256}).value();
  Forger forger(b);
  forger.piece({.length = 4, .type = detail::message_type<std::string>(), .first = true}, 8, "earl");
  EXPECT_TRUE(absl::IsDeadlineExceeded(b.recv_for<std::string>(0s).status()));
  forger.piece({.length = 4, .last = true}, 0, "late");
  EXPECT_TRUE(
      test::Child([&, &b = b] { return b.recv_bytes().value() == bytes_of("earllate") ? 0 : 1; }).join().well());
  EXPECT_FALSE(b.poll()) << "and the parent does not get it too";
}

// Random bytes everywhere in the segment's object but in the locks, whose owners a sweep has to confirm dead.
TEST(PipeHostileTest, RandomContentsMakeErrorsAndNothingElse) {
  std::mt19937_64 random(7);
  int errors = 0;
  for (int round = 0; round < 2000; ++round) {
    auto [a, b] = Pipe::create({.capacity = 128}).value();
    layout::PipeDirection& words = PipeView::to(b, 1);
    for (std::byte& byte : PipeView::ring(b, 1)) byte = static_cast<std::byte>(random());
    const std::uint64_t head = random() % 512 * 8;
    words.head = head;
    words.tail = round % 3 == 0 ? random() : head + random() % 17 * 8;
    words.door = static_cast<std::uint32_t>(random());
    words.room = static_cast<std::uint32_t>(random());
    words.watched = static_cast<std::uint32_t>(random() % 2);
    a.close();
    for (int i = 0; i < 20; ++i) {
      const absl::Status status = i % 2 == 0 ? b.recv_bytes(64).status() : b.recv_for<std::string>(0s).status();
      errors += !status.ok();
    }
  }
  EXPECT_GT(errors, 1000);
}

// A neighbour that writes at random while we use the pipe.
TEST(PipeHostileTest, ALiveMutatorBesideUsers) {
  auto [a, b] = Pipe::create({.capacity = 256}).value();
  std::span<std::byte> ring = PipeView::ring(b, 1);
  layout::PipeDirection& words = PipeView::to(b, 1);
  test::Child mutator([&] {
    std::mt19937_64 random(9);
    for (;;) {
      ring[random() % ring.size()] = static_cast<std::byte>(random());
      if (random() % 64 == 0) words.tail.fetch_add(8);
    }
  });
  for (int i = 0; i < 20'000; ++i) {
    (void)b.recv_for<std::string>(0s).status();
    (void)b.poll();
  }
  (void)mutator.kill();
}

}  // namespace
}  // namespace warren
