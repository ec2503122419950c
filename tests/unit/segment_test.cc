#include <warren/ipc/segment.h>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <warren/ipc/queue.h>
#include <warren/layout/segment.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "support/child.h"
#include "support/isolation.h"
#include "support/limits.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using test::Census;
using test::Child;
using test::Gate;
using test::unique_name;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::size_t kMiB = std::size_t{1} << 20;

// The descriptor of the only memfd that this process has; the tests look at its seals.
int only_memfd() {
  int found = -1;
  for (const std::string& each : Census::now().descriptors) {
    if (each.find("memfd:warren:segment") != std::string::npos) found = std::stoi(each);
  }
  return found;
}

TEST(Segment, AnonymousReadsAsZerosAndKeepsWhatIsWritten) {
  auto segment = Segment::create(10'000);
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->size(), 10'000u);
  EXPECT_EQ(segment->name(), "");
  EXPECT_FALSE(segment->read_only());
  ASSERT_EQ(segment->bytes().size(), 10'000u);
  EXPECT_TRUE(std::ranges::all_of(segment->bytes(), [](std::byte b) { return b == std::byte{0}; }));
  std::ranges::fill(segment->bytes(), std::byte{7});
  EXPECT_EQ(std::as_const(*segment).bytes().back(), std::byte{7});
}

TEST(Segment, BytesAreAlignedToAPage) {
  auto segment = Segment::create(1);
  ASSERT_TRUE(segment.ok());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(segment->bytes().data()) % layout::kPage, 0u);
}

TEST(Segment, ForkedChildSharesTheMemory) {
  auto segment = Segment::create(64);
  ASSERT_TRUE(segment.ok());
  Child child([&] { segment->bytes()[5] = std::byte{42}; });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(segment->bytes()[5], std::byte{42});
}

TEST(Segment, CopiesAreTheSameObject) {
  auto segment = Segment::create(64);
  ASSERT_TRUE(segment.ok());
  std::optional<Segment> copy(*segment);
  segment = absl::UnknownError("the first handle is gone");
  copy->bytes()[0] = std::byte{1};
  Segment assigned = *copy;
  copy.reset();
  EXPECT_EQ(assigned.bytes()[0], std::byte{1});
}

TEST(Segment, ZeroBytesAreRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(Segment::create(0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Segment::create(unique_name(), 0).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Segment::open_or_create(unique_name(), 0).status()));
}

TEST(Segment, MoreThanTheAddressSpaceIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(Segment::create(SIZE_MAX).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Segment::create(1, {.max_size = SIZE_MAX}).status()));
}

TEST(Segment, DescriptorsCloseOnExec) {
  const Census before = Census::now();
  auto anonymous = Segment::create(64);
  auto named = Segment::create(unique_name(), 64);
  ASSERT_TRUE(anonymous.ok() && named.ok());
  int opened = 0;
  for (const std::string& each : Census::now().descriptors) {
    if (before.descriptors.contains(each)) continue;
    ++opened;
    EXPECT_NE(::fcntl(std::stoi(each), F_GETFD) & FD_CLOEXEC, 0) << each;
  }
  EXPECT_EQ(opened, 2);
}

// --- seals -----------------------------------------------------------------------------------------------------------

TEST(Segment, AnonymousIsSealedAgainstResizing) {
  auto segment = Segment::create(64);
  ASSERT_TRUE(segment.ok());
  const int fd = only_memfd();
  EXPECT_EQ(::fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_NE(::ftruncate(fd, 0), 0);
  EXPECT_NE(::ftruncate(fd, 1 << 30), 0);
}

TEST(Segment, SealIsAnOption) {
  auto segment = Segment::create(64, {.seal = false});
  ASSERT_TRUE(segment.ok());
  EXPECT_EQ(::fcntl(only_memfd(), F_GET_SEALS), 0);
}

TEST(Segment, SealedStillGrowsWithinItsReserve) {
  auto segment = Segment::create(64, {.max_size = kMiB});
  ASSERT_TRUE(segment.ok());
  EXPECT_EQ(segment->grow(kMiB), absl::OkStatus());
}

TEST(Segment, HugePagesFallBackSilently) {
  auto segment = Segment::create(4 * kMiB, {.huge_pages = true});
  ASSERT_TRUE(segment.ok()) << segment.status();
  std::ranges::fill(segment->bytes(), std::byte{1});
}

// --- growth ----------------------------------------------------------------------------------------------------------

TEST(Segment, GrowKeepsEarlierSpansAndTheirBytes) {
  auto segment = Segment::create(100, {.max_size = 64 * kMiB});
  ASSERT_TRUE(segment.ok());
  const std::span<std::byte> before = segment->bytes();
  before[99] = std::byte{9};
  ASSERT_EQ(segment->grow(40 * kMiB), absl::OkStatus());
  EXPECT_EQ(segment->size(), 40 * kMiB);
  EXPECT_EQ(segment->bytes().data(), before.data());
  EXPECT_EQ(segment->bytes()[99], std::byte{9});
  EXPECT_EQ(segment->bytes()[100], std::byte{0});
  segment->bytes().back() = std::byte{1};
}

TEST(Segment, GrowNeverShrinks) {
  auto segment = Segment::create(100, {.max_size = kMiB});
  ASSERT_TRUE(segment.ok());
  EXPECT_EQ(segment->grow(50), absl::OkStatus());
  EXPECT_EQ(segment->size(), 100u);
  EXPECT_EQ(segment->grow(0), absl::OkStatus());
  EXPECT_EQ(segment->size(), 100u);
}

TEST(Segment, GrowBeyondTheReserveIsOutOfRange) {
  auto plain = Segment::create(100);
  auto growable = Segment::create(100, {.max_size = 200});
  ASSERT_TRUE(plain.ok() && growable.ok());
  EXPECT_TRUE(absl::IsOutOfRange(plain->grow(101)));
  EXPECT_TRUE(absl::IsOutOfRange(growable->grow(201)));
  EXPECT_EQ(growable->grow(200), absl::OkStatus());
}

TEST(Segment, MaxSizeBelowSizeIsSize) {
  auto segment = Segment::create(100, {.max_size = 1});
  ASSERT_TRUE(segment.ok());
  EXPECT_EQ(segment->size(), 100u);
}

TEST(Segment, GrowthIsSeenByEarlierMappers) {
  const std::string name = unique_name();
  auto segment = Segment::create(name, 100, {.max_size = 8 * kMiB});
  ASSERT_TRUE(segment.ok());
  Gate mapped, grown;
  Child child([&] {
    auto mine = Segment::open(name);
    ASSERT_TRUE(mine.ok());
    const std::byte* const where = mine->bytes().data();
    EXPECT_EQ(mine->size(), 100u);
    mapped.open();
    grown.wait();
    EXPECT_EQ(mine->size(), 5 * kMiB);
    EXPECT_EQ(mine->bytes().data(), where);
    EXPECT_EQ(mine->bytes().back(), std::byte{3});
  });
  mapped.wait();
  ASSERT_EQ(segment->grow(5 * kMiB), absl::OkStatus());
  segment->bytes().back() = std::byte{3};
  grown.open();
  EXPECT_TRUE(child.join().well());
}

TEST(Segment, GrowersAtOnceEndAtTheLargestSize) {
  auto segment = Segment::create(1, {.max_size = 8 * kMiB});
  ASSERT_TRUE(segment.ok());
  Gate start;
  std::vector<Child> children;
  for (std::size_t i = 1; i <= 4; ++i) {
    children.emplace_back([&, i] {
      start.wait();
      for (std::size_t step = 1; step <= 100; ++step) ASSERT_EQ(segment->grow(step * 4096 * i), absl::OkStatus());
    });
  }
  start.open();
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_EQ(segment->size(), 100u * 4096 * 4);
}

// --- read-only -------------------------------------------------------------------------------------------------------

TEST(Segment, ReadOnlyShowsTheMemoryAndGivesNoWayToWrite) {
  const std::string name = unique_name();
  auto segment = Segment::create(name, 100, {.max_size = 200});
  ASSERT_TRUE(segment.ok());
  segment->bytes()[3] = std::byte{3};
  auto reader = Segment::open_read_only(name);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_TRUE(reader->read_only());
  EXPECT_EQ(reader->name(), name);
  EXPECT_TRUE(reader->bytes().empty());
  EXPECT_EQ(std::as_const(*reader).bytes().size(), 100u);
  EXPECT_EQ(std::as_const(*reader).bytes()[3], std::byte{3});
  EXPECT_TRUE(absl::IsFailedPrecondition(reader->grow(200)));
  ASSERT_EQ(segment->grow(200), absl::OkStatus());
  EXPECT_EQ(reader->size(), 200u);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Segment, WritingThroughAReadOnlyMappingFaults) {
  const std::string name = unique_name();
  auto segment = Segment::create(name, 100);
  ASSERT_TRUE(segment.ok());
  Child child([&] {
    auto reader = Segment::open_read_only(name);
    ASSERT_TRUE(reader.ok());
    *const_cast<std::byte*>(std::as_const(*reader).bytes().data()) = std::byte{1};
  });
  EXPECT_EQ(child.join().signal, SIGSEGV);
  EXPECT_EQ(segment->bytes()[0], std::byte{0});
}
#endif

TEST(Segment, ReadersChangeNothingInTheSegment) {
  const std::string name = unique_name();
  auto segment = Segment::create(name, 100);
  ASSERT_TRUE(segment.ok());
  const auto snapshot = [&] {
    std::vector<std::byte> bytes(layout::kLanesOffset + layout::kPage);
    EXPECT_EQ(::pread(test::SegmentFile(name).descriptor(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    return bytes;
  };
  const auto before = snapshot();
  {
    auto reader = Segment::open_read_only(name);
    ASSERT_TRUE(reader.ok());
    (void)std::as_const(*reader).bytes();
  }
  EXPECT_EQ(snapshot(), before);
}

// --- limits of the machine -------------------------------------------------------------------------------------------

TEST(Segment, FullShmIsAnErrorAtCreationAndLeavesNothing) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(4 * kMiB, [] {
    const absl::Status status = Segment::create("big", 64 * kMiB).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr("bytes left"));
    EXPECT_FALSE(test::name_exists("big"));
    EXPECT_EQ(std::filesystem::space("/dev/shm").available, 4 * kMiB);
    EXPECT_TRUE(absl::IsResourceExhausted(Segment::open_or_create("big", 64 * kMiB).status()));
    EXPECT_TRUE(absl::IsResourceExhausted(Queue<int>::create("big", {.capacity = 10'000'000}).status()));
    EXPECT_TRUE(Segment::create("small", kMiB).ok());
  }));
}

TEST(Segment, FullShmRefusesGrowthAndKeepsWhatIsThere) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(4 * kMiB, [] {
    auto segment = Segment::create("grows", kMiB, {.max_size = 64 * kMiB});
    ASSERT_TRUE(segment.ok()) << segment.status();
    std::ranges::fill(segment->bytes(), std::byte{5});
    EXPECT_TRUE(absl::IsResourceExhausted(segment->grow(32 * kMiB)));
    EXPECT_EQ(segment->size(), kMiB);
    EXPECT_EQ(segment->bytes().back(), std::byte{5});
  }));
}

TEST(Segment, CommittedMemoryNeedsNoMoreWhenTouched) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(4 * kMiB, [] {
    auto segment = Segment::create("mine", 2 * kMiB);
    ASSERT_TRUE(segment.ok());
    std::ofstream filler("/dev/shm/filler");
    const std::vector<char> block(kMiB, 'x');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
    std::ranges::fill(segment->bytes(), std::byte{1});  // no SIGBUS
  }));
}

TEST(Segment, NoDescriptorLeftIsAnErrorThatNamesTheLimit) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  const std::string name = unique_name();
  auto held = Segment::create(name, 64);
  ASSERT_TRUE(held.ok());
  Child child([&] {
    const test::NoDescriptors none;
    const auto refused = AllOf(HasSubstr("ulimit -n"));
    for (const absl::Status& status :
         {Segment::create(64).status(), Segment::create(unique_name(), 64).status(), Segment::open(name).status(),
          Segment::open_or_create(name, 64).status(), Segment::open_read_only(name).status()}) {
      EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
      EXPECT_THAT(status.message(), refused);
    }
  });
  EXPECT_TRUE(child.join().well());
}

TEST(Segment, LimitedAddressSpaceIsAnErrorThatNamesTheLimit) {
  WARREN_LIMITS_ADDRESS_SPACE();
  Child child([] {
    const test::ResourceLimit address_space(RLIMIT_AS, rlim_t{2} << 30);
    const absl::Status status = Segment::create(64, {.max_size = std::size_t{1} << 40}).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr("ulimit -v"));
    EXPECT_TRUE(Segment::create(64).ok());
  });
  EXPECT_TRUE(child.join().well());
}

TEST(Segment, LargeReservesCostNothing) {
  auto segment = Segment::create(64, {.max_size = std::size_t{64} << 30});
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->grow(kMiB), absl::OkStatus());
}

}  // namespace
}  // namespace warren
