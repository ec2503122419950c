// The header of a segment is a peer's bytes: whatever it says, who opens it gets a handle or an error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/segment.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/layout/mpmc_ring.h>
#include <warren/layout/segment.h>
#include <warren/layout/spsc_ring.h>

#include <array>
#include <chrono>

#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using layout::kObjectOffset;
using layout::SegmentHeader;
using test::name_exists;
using test::SegmentFile;
using test::unique_name;
using ::testing::HasSubstr;

struct Point {
  int x, y;
};

// A segment without any process: what lies there when somebody opens it.
class SpoiltSegment : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Segment::create(name_, 100, {.max_size = 8192, .lifetime = Lifetime::kUntilUnlinked}).ok());
  }
  void TearDown() override { ::unlink(test::shm_path(name_).c_str()); }

  template <class T>
  absl::Status opened_with(std::size_t offset, T value) {
    const SegmentFile file(name_);
    const T before = file.read<T>(offset);
    file.write(offset, value);
    const absl::Status status = Segment::open(name_).status();
    EXPECT_EQ(Segment::open_read_only(name_).status().code(), status.code());
    if (name_exists(name_)) file.write(offset, before);
    return status;
  }

  const std::string name_ = unique_name();
};

TEST_F(SpoiltSegment, UnspoiltOpens) { EXPECT_EQ(Segment::open(name_).status(), absl::OkStatus()); }

TEST_F(SpoiltSegment, AnotherMagicIsNoSegment) {
  const absl::Status status = opened_with(offsetof(SegmentHeader, magic), layout::kMagic + 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(), HasSubstr("not a Warren segment"));
}

TEST_F(SpoiltSegment, OlderAndNewerVersionsAreNamed) {
  for (const std::uint32_t version : {layout::kAbiVersion - 1, layout::kAbiVersion + 1, 0xffff'ffffu}) {
    const absl::Status status = opened_with(offsetof(SegmentHeader, abi_version), version);
    EXPECT_TRUE(absl::IsFailedPrecondition(status));
    EXPECT_THAT(status.message(), ::testing::AllOf(HasSubstr("version " + std::to_string(version)),
                                                   HasSubstr("this program has " + std::to_string(layout::kAbiVersion)),
                                                   HasSubstr("build both with the same Warren")));
  }
}

TEST_F(SpoiltSegment, FlagsOfTheFutureAreNamed) {
  for (const std::uint32_t flag : {2u, 0x8000'0000u}) {
    const absl::Status status = opened_with(offsetof(SegmentHeader, flags), SegmentHeader::kKeepName | flag);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(status.message(), ::testing::AllOf(HasSubstr("flags"), HasSubstr("build both with the same Warren")));
  }
}

TEST_F(SpoiltSegment, AnotherKindIsNamed) {
  EXPECT_THAT(opened_with(offsetof(SegmentHeader, kind), layout::ObjectKind::kQueue).message(),
              HasSubstr("is a queue"));
  EXPECT_THAT(opened_with(offsetof(SegmentHeader, kind), 77u).message(), HasSubstr("is an unknown"));
}

TEST_F(SpoiltSegment, AnotherElementIsRefused) {
  EXPECT_TRUE(absl::IsFailedPrecondition(opened_with(offsetof(SegmentHeader, element_size), std::uint64_t{8})));
  EXPECT_TRUE(absl::IsFailedPrecondition(opened_with(offsetof(SegmentHeader, element_hash), std::uint64_t{1})));
  EXPECT_TRUE(absl::IsFailedPrecondition(opened_with(offsetof(SegmentHeader, element_align), 16u)));
}

TEST_F(SpoiltSegment, SizesThatCannotBeAreDataLoss) {
  const auto file = static_cast<std::uint64_t>(SegmentFile(name_).stat().st_size);
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{8193}, UINT64_MAX, UINT64_MAX - kObjectOffset + 1}) {
    EXPECT_TRUE(absl::IsDataLoss(opened_with(offsetof(SegmentHeader, size), size))) << size;
  }
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{99}, file - kObjectOffset + 1, file, UINT64_MAX}) {
    EXPECT_TRUE(absl::IsDataLoss(opened_with(offsetof(SegmentHeader, max_size), size))) << size;
  }
}

TEST_F(SpoiltSegment, WaitModesThatCannotBeAreDataLoss) {
  for (const std::uint32_t mode : {0u, 3u, 0xffff'ffffu}) {
    EXPECT_TRUE(absl::IsDataLoss(opened_with(offsetof(SegmentHeader, wait_mode), mode))) << mode;
  }
}

TEST_F(SpoiltSegment, WaitWordsOutsideTheObjectAreDataLoss) {
  for (std::size_t i = 0; i < 4; ++i) {
    for (const std::uint32_t offset : {97u, 100u, 2u, 0xffff'fffcu}) {
      EXPECT_TRUE(absl::IsDataLoss(opened_with(offsetof(SegmentHeader, wait_words) + 4 * i, offset))) << offset;
    }
  }
}

TEST_F(SpoiltSegment, NamesWithoutAnEndStayWithinTheHeader) {
  std::array<char, sizeof(SegmentHeader::element_name)> text{};
  text.fill('x');
  const SegmentFile file(name_);
  file.write(offsetof(SegmentHeader, element_name), text);
  const absl::Status status = opened_with(offsetof(SegmentHeader, kind), layout::ObjectKind::kQueue);
  EXPECT_THAT(status.message(), HasSubstr(std::string(text.begin(), text.end())));
  EXPECT_LT(status.message().size(), 400u);
}

TEST_F(SpoiltSegment, WithoutKeepNameItIsStaleAndReclaimed) {
  EXPECT_TRUE(absl::IsNotFound(opened_with(offsetof(SegmentHeader, flags), 0u)));
  EXPECT_FALSE(name_exists(name_));
}

// Every word of the header and of the first lanes, set to what hurts most.
TEST_F(SpoiltSegment, WhateverAWordSaysOpeningNeitherCrashesNorHangs) {
  const auto try_all = [&](std::size_t begin, std::size_t end) {
    for (std::size_t offset = begin; offset < end; offset += 4) {
      for (const std::uint32_t value : {0u, 1u, 0x7fff'ffffu, 0x8000'0000u, 0xffff'ffffu, 0x0101'0101u}) {
        const SegmentFile file(name_);
        const auto before = file.read<std::uint32_t>(offset);
        file.write(offset, value);
        if (auto segment = Segment::open(name_); segment.ok()) {
          const std::span<std::byte> bytes = segment->bytes();
          ASSERT_LE(bytes.size(), 8192u);
          bytes.front() = bytes.back() = std::byte{1};
          EXPECT_TRUE(absl::IsOutOfRange(segment->grow(8193)));
        }
        if (!name_exists(name_)) {
          SetUp();
        } else {
          file.write(offset, before);
        }
      }
    }
  };
  try_all(0, sizeof(SegmentHeader));
  try_all(layout::kLanesOffset, layout::kLanesOffset + 4 * sizeof(layout::Lane));
}

TEST_F(SpoiltSegment, TruncatedAnywhereIsAnError) {
  const SegmentFile file(name_);
  for (const std::size_t size : {kObjectOffset + 1, kObjectOffset, kObjectOffset - 1, std::size_t{4096},
                                 sizeof(SegmentHeader), sizeof(SegmentHeader) - 1, std::size_t{8}, std::size_t{0}}) {
    file.resize(size);
    const absl::Status status = Segment::open(name_).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status) || absl::IsDataLoss(status)) << size << ": " << status;
    EXPECT_EQ(Segment::open_read_only(name_).status().code(), status.code());
  }
}

TEST_F(SpoiltSegment, ZeroedIsNoSegment) {
  const SegmentFile file(name_);
  file.punch(0, kObjectOffset);
  const absl::Status status = Segment::open(name_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(name_exists(name_));
}

TEST_F(SpoiltSegment, GeometryIsCopiedWhenOpened) {
  auto segment = Segment::open(name_);
  ASSERT_TRUE(segment.ok());
  const SegmentFile file(name_);
  file.write(offsetof(SegmentHeader, size), UINT64_MAX);
  file.write(offsetof(SegmentHeader, max_size), UINT64_MAX);
  EXPECT_EQ(segment->size(), 8192u);  // what was reserved: memory that is this process's to touch
  EXPECT_TRUE(absl::IsOutOfRange(segment->grow(8193)));
}

TEST(SegmentHeaderTest, SaysWhoMadeItAndWhatItIs) {
  const std::string name = unique_name();
  auto queue = Queue<Point>::create(name, {.capacity = 5});
  ASSERT_TRUE(queue.ok());
  const SegmentFile file(name);
  EXPECT_EQ(file.read<std::uint64_t>(offsetof(SegmentHeader, magic)), layout::kMagic);
  EXPECT_EQ(file.read<layout::ObjectKind>(offsetof(SegmentHeader, kind)), layout::ObjectKind::kQueue);
  EXPECT_EQ(file.read<std::uint32_t>(offsetof(SegmentHeader, creator_pid)), static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(file.read<std::uint32_t>(offsetof(SegmentHeader, creator_uid)), ::geteuid());
  EXPECT_EQ(file.read<std::uint64_t>(offsetof(SegmentHeader, element_size)), sizeof(Point));
  EXPECT_THAT((file.read<std::array<char, 96>>(offsetof(SegmentHeader, element_name)).data()), HasSubstr("Point"));
  EXPECT_STREQ((file.read<std::array<char, 208>>(offsetof(SegmentHeader, name)).data()), name.c_str());
  EXPECT_NE(file.read<std::uint64_t>(offsetof(SegmentHeader, id)), 0u);
  EXPECT_NE(file.read<std::uint64_t>(offsetof(SegmentHeader, created_ns)), 0u);
}

TEST(SegmentHeaderTest, TwoSegmentsOfOneNameHaveDifferentIds) {
  const std::string name = unique_name();
  const auto id = [&] {
    auto segment = Segment::create(name, 64);
    return SegmentFile(name).read<std::array<std::uint64_t, 2>>(offsetof(SegmentHeader, id));
  };
  EXPECT_NE(id(), id());
}

TEST(SegmentHeaderTest, TheWrongTypeIsRefusedWithBothNames) {
  const std::string name = unique_name();
  auto queue = Queue<Point>::create(name, {.capacity = 5});
  ASSERT_TRUE(queue.ok());
  const absl::Status as_int = Queue<int>::open(name).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(as_int));
  EXPECT_THAT(as_int.message(), ::testing::AllOf(HasSubstr("Point"), HasSubstr("int")));
  EXPECT_TRUE(absl::IsFailedPrecondition(Queue<float>::open(name).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(SpscQueue<Point>::open(name).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Segment::open(name).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Segment::open_read_only(name).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Queue<int>::open_or_create(name, {.capacity = 5}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Segment::open_or_create(name, 64).status()));
  EXPECT_TRUE(Queue<Point>::open(name).ok());
}

// --- the rings' own headers ------------------------------------------------------------------------------------------

template <class Object>
class SpoiltRing {
 public:
  explicit SpoiltRing(std::size_t capacity) : object_(Object::create(name_, {.capacity = capacity}).value()) {}
  template <class T>
  absl::Status opened_with(std::size_t offset, T value) {
    const SegmentFile file(name_);
    const T before = file.read<T>(kObjectOffset + offset);
    file.write(kObjectOffset + offset, value);
    const absl::Status status = Object::open(name_).status();
    file.write(kObjectOffset + offset, before);
    return status;
  }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  const std::string name_ = unique_name();
  Object object_;
};

TEST(SpoiltMpmcRing, GeometryThatCannotBeIsDataLoss) {
  using layout::MpmcRingHeader;
  SpoiltRing<Queue<int>> ring(5);
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{9}, UINT64_MAX}) {
    EXPECT_TRUE(absl::IsDataLoss(ring.opened_with(offsetof(MpmcRingHeader, capacity), value))) << value;
  }
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{4}, std::uint64_t{16}, std::uint64_t{1} << 63, UINT64_MAX}) {
    EXPECT_TRUE(absl::IsDataLoss(ring.opened_with(offsetof(MpmcRingHeader, slot_count), value))) << value;
  }
  for (const std::uint32_t value : {0u, 8u, 24u, 0xffff'ffffu}) {
    EXPECT_TRUE(absl::IsDataLoss(ring.opened_with(offsetof(MpmcRingHeader, slot_bytes), value))) << value;
    EXPECT_TRUE(absl::IsDataLoss(ring.opened_with(offsetof(MpmcRingHeader, payload_bytes), value))) << value;
  }
  EXPECT_EQ(Queue<int>::open(ring.name()).status(), absl::OkStatus());
}

TEST(SpoiltMpmcRing, PositionsBehindTheirEndAreRefused) {
  using layout::MpmcRingHeader;
  SpoiltRing<Queue<int>> ring(5);
  for (const std::uint64_t position : {layout::kMaxPosition + 1, layout::kPositionMask, UINT64_MAX}) {
    EXPECT_TRUE(absl::IsDataLoss(ring.opened_with(offsetof(MpmcRingHeader, tail), position & ~layout::kClosedBit)));
    EXPECT_TRUE(absl::IsDataLoss(ring.opened_with(offsetof(MpmcRingHeader, head), position)));
  }
  EXPECT_TRUE(absl::IsDataLoss(
      ring.opened_with(offsetof(MpmcRingHeader, tail), (layout::kMaxPosition + 1) | layout::kClosedBit)));
}

TEST(SpoiltMpmcRing, PositionsJustBelowTheirEndWork) {
  const std::string name = unique_name();
  auto first = Queue<int>::create(name, {.capacity = 4});
  const SegmentFile file(name);
  file.write(kObjectOffset + offsetof(layout::MpmcRingHeader, tail), layout::kMaxPosition - 100);
  file.write(kObjectOffset + offsetof(layout::MpmcRingHeader, head), layout::kMaxPosition - 100);
  auto queue = Queue<int>::open(name);
  ASSERT_TRUE(queue.ok()) << queue.status();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(queue->try_push(i));
    ASSERT_EQ(queue->try_pop(), i);
  }
}

TEST(SpoiltSpscRing, GeometryThatCannotBeIsDataLoss) {
  using layout::SpscRingHeader;
  SpoiltRing<SpscQueue<int>> ring(8);
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{16}, std::uint64_t{1} << 63}) {
    EXPECT_TRUE(absl::IsDataLoss(ring.opened_with(offsetof(SpscRingHeader, capacity), value))) << value;
  }
  for (const std::uint32_t value : {0u, 1u, 8u, 0xffff'ffffu}) {
    EXPECT_TRUE(absl::IsDataLoss(ring.opened_with(offsetof(SpscRingHeader, slot_bytes), value))) << value;
  }
}

// Words that change all the time cannot be checked when opening; they must not lead anybody astray later.
template <class Object, class Header>
void use_with_every_word_spoilt() {
  for (std::size_t offset = 0; offset < sizeof(Header); offset += 4) {
    for (const std::uint32_t value : {0u, 1u, 0x7fff'ffffu, 0x8000'0000u, 0xffff'ffffu}) {
      const std::string name = unique_name();
      auto keeper = Object::create(name, {.capacity = 4});
      ASSERT_TRUE(keeper.ok());
      (void)keeper->try_push(1);
      SegmentFile(name).write(kObjectOffset + offset, value);
      auto object = Object::open(name);
      if (!object.ok()) continue;
      std::array<int, 8> items{};
      (void)object->approx_size();
      (void)object->try_pop();
      (void)object->try_push(2);
      (void)object->try_push_n(items);
      (void)object->try_pop_n(items);
      (void)object->try_pop_for(std::chrono::milliseconds(1));
      (void)object->try_push_for(3, std::chrono::milliseconds(1));
      object->close();
      (void)object->drained();
    }
  }
}

TEST(SpoiltMpmcRing, WhateverAWordSaysCallsReturn) { use_with_every_word_spoilt<Queue<int>, layout::MpmcRingHeader>(); }
TEST(SpoiltSpscRing, WhateverAWordSaysCallsReturn) {
  use_with_every_word_spoilt<SpscQueue<int>, layout::SpscRingHeader>();
}

TEST(SpoiltMpmcRing, SlotsOfAnythingNeverCrash) {
  const std::string name = unique_name();
  auto queue = Queue<int>::create(name, {.capacity = 4});
  ASSERT_TRUE(queue.ok());
  for (const std::uint64_t word : {UINT64_MAX, std::uint64_t{1}, std::uint64_t{3}, layout::committed(7)}) {
    ASSERT_TRUE(queue->try_push(1));
    const auto head = SegmentFile(name).read<std::uint64_t>(kObjectOffset + offsetof(layout::MpmcRingHeader, head));
    SegmentFile(name).write(kObjectOffset + sizeof(layout::MpmcRingHeader) + head % 4 * 16, word);
    (void)queue->try_pop_for(std::chrono::milliseconds(5));
  }
}

}  // namespace
}  // namespace warren
