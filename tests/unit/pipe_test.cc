// Pipe, Connection, Descriptor: messages, types, limits, closing, misuse.
#include <warren/ipc/pipe.h>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>

#include "support/child.h"
#include "support/limits.h"
#include "support/pipe_view.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::bytes_of;
using test::pattern;
using ::testing::HasSubstr;

struct Request {
  int id;
  std::string text;
};

std::string text(const absl::Status& status) { return std::string(status.message()); }

TEST(PipeTest, ADuplexPipeCarriesMessagesBothWays) {
  auto [a, b] = Pipe::create().value();
  ASSERT_TRUE(a.send(Request{1, "hi"}).ok());
  ASSERT_TRUE(b.send(3.5).ok());
  const Request request = b.recv<Request>().value();
  EXPECT_EQ(request.id, 1);
  EXPECT_EQ(request.text, "hi");
  EXPECT_EQ(a.recv<double>().value(), 3.5);
}

TEST(PipeTest, MessagesComeInOrderAndWhole) {
  auto [a, b] = Pipe::create({.capacity = 256}).value();
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(a.send(round * 10 + i).ok());
    for (int i = 0; i < 10; ++i) ASSERT_EQ(b.recv<int>().value(), round * 10 + i);
  }
}

TEST(PipeTest, CarriesWhateverIsCarriable) {
  auto [a, b] = Pipe::create().value();
  const std::map<std::string, std::vector<int>> tree{{"one", {1}}, {"none", {}}};
  ASSERT_TRUE(a.send(tree).ok());
  ASSERT_TRUE(a.send(std::string(10'000, 'x')).ok());
  ASSERT_TRUE(a.send(true).ok());
  EXPECT_EQ((b.recv<std::map<std::string, std::vector<int>>>().value()), tree);
  EXPECT_EQ(b.recv<std::string>().value(), std::string(10'000, 'x'));
  EXPECT_TRUE(b.recv<bool>().value());
}

TEST(PipeTest, LiteralsAndViewsAreSentAsStrings) {
  auto [a, b] = Pipe::create().value();
  ASSERT_TRUE(a.send("literal").ok());
  ASSERT_TRUE(a.send(std::string_view("view")).ok());
  EXPECT_EQ(b.recv<std::string>().value(), "literal");
  EXPECT_EQ(b.recv<std::string>().value(), "view");
}

TEST(PipeTest, AMessageOfAnotherTypeIsRefusedAndStays) {
  auto [a, b] = Pipe::create().value();
  ASSERT_TRUE(a.send(7).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(b.recv<std::string>().status()));
  EXPECT_TRUE(absl::IsInvalidArgument(b.recv<unsigned>().status()));
  EXPECT_TRUE(absl::IsInvalidArgument(b.recv_for<long>(0s).status()));
  EXPECT_EQ(b.recv<int>().value(), 7);
  ASSERT_TRUE(a.send_bytes(bytes_of("raw")).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(b.recv<int>().status())) << "bytes are no int";
  EXPECT_EQ(b.recv_bytes().value(), bytes_of("raw"));
}

TEST(PipeTest, RecvBytesTakesAnyMessage) {
  auto [a, b] = Pipe::create().value();
  ASSERT_TRUE(a.send(std::uint16_t{0x4241}).ok());
  EXPECT_EQ(b.recv_bytes().value(), bytes_of("AB"));
}

TEST(PipeTest, AMessageThatIsLargerThanAskedForIsRefusedAndStays) {
  for (const std::size_t size : {std::size_t{10}, std::size_t{5'000}}) {  // one record, and several
    auto [a, b] = Pipe::create({.capacity = 1024}).value();
    const auto sent = pattern(size, 1);
    std::thread sender([&a = a, &sent] { EXPECT_TRUE(a.send_bytes(sent).ok()); });
    ASSERT_TRUE(b.poll(kForever));
    const absl::Status status = b.recv_bytes(9).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(text(status), HasSubstr("has " + std::to_string(size) + " bytes, and at most 9 are wanted"));
    std::vector<std::byte> small(size - 1), enough(size + 5);
    EXPECT_TRUE(absl::IsInvalidArgument(b.recv_bytes_into(small).status()));
    ASSERT_EQ(b.recv_bytes_into(enough).value(), size);
    enough.resize(size);
    EXPECT_EQ(enough, sent);
    sender.join();
  }
}

TEST(PipeTest, EverySizeThatMayBeSpecial) {
  constexpr std::size_t kCapacity = 256;
  auto [a, b] = Pipe::create({.capacity = kCapacity}).value();
  std::vector<std::size_t> sizes;
  for (std::size_t n = 0; n < 2 * kCapacity + 40; ++n) sizes.push_back(n);
  for (const std::size_t n : {4 * kCapacity - 1, 4 * kCapacity, 100 * kCapacity + 3}) sizes.push_back(n);
  std::thread sender([&, &a = a] {
    for (const std::size_t n : sizes) EXPECT_TRUE(a.send_bytes(pattern(n, n)).ok());
  });
  for (const std::size_t n : sizes) ASSERT_EQ(b.recv_bytes().value(), pattern(n, n)) << n;
  sender.join();
}

TEST(PipeTest, TenMebibytesThroughTheDefaultPipe) {
  auto [a, b] = Pipe::create().value();
  const auto sent = pattern(10 << 20, 3);
  std::thread sender([&, &a = a] {
    EXPECT_TRUE(a.send_bytes(sent).ok());
    EXPECT_TRUE(a.send(std::string(1 << 20, 'y')).ok());
  });
  EXPECT_TRUE(b.recv_bytes().value() == sent);
  EXPECT_TRUE(b.recv<std::string>().value() == std::string(1 << 20, 'y'));
  sender.join();
}

TEST(PipeTest, ASimplexPipeGoesFromTheSecondToTheFirst) {
  auto [in, out] = Pipe::create({.duplex = false}).value();
  ASSERT_TRUE(out.send(1).ok());
  EXPECT_EQ(in.recv<int>().value(), 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(in.send(1)));
  EXPECT_THAT(text(in.send(1)), HasSubstr("only receives"));
  EXPECT_TRUE(absl::IsFailedPrecondition(out.recv<int>().status()));
  EXPECT_THAT(text(out.recv_bytes().status()), HasSubstr("only sends"));
  out.close();
  EXPECT_TRUE(absl::IsOutOfRange(in.recv<int>().status()));
}

TEST(PipeTest, WhatWasSentBeforeClosingIsReadThenTheStreamEnds) {
  auto [a, b] = Pipe::create().value();
  ASSERT_TRUE(a.send(1).ok());
  ASSERT_TRUE(a.send(2).ok());
  a.close();
  EXPECT_TRUE(b.poll());
  EXPECT_EQ(b.recv<int>().value(), 1);
  EXPECT_EQ(b.recv<int>().value(), 2);
  EXPECT_TRUE(b.poll()) << "the end need not be waited for";
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(absl::IsOutOfRange(b.recv<int>().status()));
  EXPECT_TRUE(absl::IsOutOfRange(b.recv_bytes().status()));
}

TEST(PipeTest, SendingToNobodyIsUnavailable) {
  auto [a, b] = Pipe::create().value();
  ASSERT_TRUE(a.send(1).ok());
  b.close();
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(absl::IsUnavailable(a.send(1)));
  EXPECT_TRUE(absl::IsUnavailable(a.send_bytes(pattern(1 << 20, 0))));
}

TEST(PipeTest, ClosedAndMovedFromConnectionsSaySo) {
  auto [a, b] = Pipe::create().value();
  Connection moved = std::move(a);
  EXPECT_TRUE(absl::IsFailedPrecondition(a.send(1)));  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(a.fileno(), -1);
  EXPECT_TRUE(moved.send(1).ok());
  b.close();
  b.close();
  EXPECT_TRUE(absl::IsFailedPrecondition(b.recv<int>().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(b.send(1)));
  EXPECT_TRUE(b.poll()) << "a recv says so at once";
  EXPECT_TRUE(absl::IsFailedPrecondition(b.share().send(1)));
}

TEST(PipeTest, AssigningClosesWhatWasHeld) {
  auto [a, b] = Pipe::create().value();
  auto [c, d] = Pipe::create().value();
  a = std::move(c);
  EXPECT_TRUE(absl::IsOutOfRange(b.recv<int>().status()));
  ASSERT_TRUE(a.send(1).ok());
  EXPECT_EQ(d.recv<int>().value(), 1);
}

TEST(PipeTest, AnEndLastsUntilItsLastHolderLetsGo) {
  auto [a, b] = Pipe::create().value();
  Connection second = a.share();
  a.close();
  EXPECT_FALSE(b.poll());
  ASSERT_TRUE(second.send(1).ok());
  ASSERT_TRUE(b.send(2).ok());
  EXPECT_EQ(b.recv<int>().value(), 1);
  EXPECT_EQ(second.recv<int>().value(), 2);
  second.close();
  EXPECT_TRUE(absl::IsOutOfRange(b.recv<int>().status()));
}

TEST(PipeTest, ATimedRecvEnds) {
  auto [a, b] = Pipe::create().value();
  for (const Timeout d : {Timeout(-1s), Timeout(0s), Timeout(3ms)})
    EXPECT_TRUE(absl::IsDeadlineExceeded(b.recv_for<int>(d).status()));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(absl::IsDeadlineExceeded(b.recv_for<int>(20ms).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(b.recv_until<int>(begin + 30ms).status()));
  EXPECT_FALSE(b.poll(20ms));
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 50ms);
  ASSERT_TRUE(a.send(1).ok());
  EXPECT_EQ(b.recv_for<int>(0s).value(), 1);
}

TEST(PipeTest, ATimedRecvInTheMidstOfALargeMessageLosesNothing) {
  auto [a, b] = Pipe::create({.capacity = 64}).value();
  const std::string sent(10'000, 'z');
  test::Gate go;
  std::thread sender([&, &a = a] {
    go.wait();
    EXPECT_TRUE(a.send(sent).ok());
  });
  go.open();
  absl::StatusOr<std::string> received = absl::DeadlineExceededError("");
  int timeouts = -1;
  for (; absl::IsDeadlineExceeded(received.status()); ++timeouts) {
    const absl::Status other = b.recv_for<int>(0s).status();
    EXPECT_TRUE(absl::IsInvalidArgument(other) || absl::IsDeadlineExceeded(other)) << other;
    received = b.recv_for<std::string>(0s);
  }
  EXPECT_EQ(*received, sent);
  EXPECT_GT(timeouts, 0) << "it was never in the midst of it";
  sender.join();
}

TEST(PipeTest, PollSaysWhetherThereIsSomething) {
  auto [a, b] = Pipe::create().value();
  EXPECT_FALSE(b.poll());
  ASSERT_TRUE(a.send(1).ok());
  EXPECT_TRUE(b.poll());
  EXPECT_TRUE(b.poll(1h));
  EXPECT_EQ(b.recv<int>().value(), 1);
  EXPECT_FALSE(b.poll());
}

TEST(PipeTest, CapacityIsChecked) {
  EXPECT_TRUE(absl::IsInvalidArgument(Pipe::create({.capacity = 0}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Pipe::create({.capacity = (1u << 30) + 1}).status()));
  auto [a, b] = Pipe::create({.capacity = 1}).value();
  EXPECT_EQ(test::PipeView::header(a).capacity, 64u);
}

TEST(PipeTest, WithoutDescriptorsCreationFailsAndLeavesNothing) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  const test::NoDescriptors none;
  const absl::Status status = Pipe::create().status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

TEST(PipeTest, WhereDescriptorsEndHalfwayNothingIsLeft) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(next);
  for (int spare = 1; spare < 5; ++spare) {
    const test::ResourceLimit limit(RLIMIT_NOFILE, static_cast<rlim_t>(next + spare));
    const absl::Status status = Pipe::create().status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << spare << ": " << status;
  }
}

TEST(DescriptorTest, IsADescriptorOfItsOwn) {
  const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  auto descriptor = Descriptor::dup(fd).value();
  EXPECT_NE(descriptor.fileno(), fd);
  ::close(fd);
  EXPECT_EQ(::write(descriptor.fileno(), "x", 1), 1);
  EXPECT_EQ(::fcntl(descriptor.fileno(), F_GETFD), FD_CLOEXEC);
  const Descriptor copy = descriptor;
  EXPECT_EQ(copy.fileno(), descriptor.fileno());
  static_assert(IsHandle<Descriptor> && IsHandle<Connection> && !std::copyable<Connection>);
}

TEST(DescriptorTest, WhatIsNotOpenIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(Descriptor::dup(-1).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Descriptor::dup(1'000'000).status()));
}

}  // namespace
}  // namespace warren
