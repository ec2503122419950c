// A worker is killed after every instruction of for_each over a range: the elements that it has counted are changed,
// the next one may be, and no other is touched. And a worker with one mistake, which the harness must find.
#include <gtest/gtest.h>
#include <warren/pool/detail/for_each.h>

#include <array>
#include <atomic>
#include <cstring>
#include <optional>

#include "crash/sweep_test.h"
#include "support/child.h"

namespace warren::test {
namespace {

constexpr std::uint32_t kElements = 5;

// What lies in shared memory in a pool.
struct Memory {
  alignas(8) std::array<std::byte, 64> result{};
  std::atomic<std::size_t> committed{0};
  std::array<int, kElements> elements{};
};

class MemorySink final : public detail::ResultSink {
 public:
  explicit MemorySink(Memory& memory) : memory_(memory) {}
  Writer& writer() noexcept override { return writer_; }
  void commit() noexcept override { memory_.committed.store(writer_.size()); }
  void fail(const absl::Status&) override {}
  [[nodiscard]] std::uint32_t attempt() const noexcept override { return 1; }
  void set_attempt(std::uint32_t) noexcept override {}
  void wait_before_next_attempt() noexcept override {}

 private:
  static std::span<std::byte> none(void*, std::size_t, std::size_t) { return {}; }
  Memory& memory_;
  Writer writer_{memory_.result, &none, nullptr};
};

// In two steps, so that one may be cut short.
void change(int& x) {
  x = -1;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  x = 100;
}

void run_range(Memory& memory) {
  auto function = fn<&change>;
  MemorySink sink(memory);
  const detail::ChunkHead head{
      .first = 0, .count = kElements, .attempt = 1, .retries = 0, .retry_on_any_failure = 0, .each_is_timed = 0};
  detail::RangeRun<decltype(function), int>(head, function, memory.elements, sink).run();
}
void run_range_that_counts_first(Memory& memory) {
  MemorySink sink(memory);
  sink.writer().put(detail::RangeProgress{});
  sink.commit();
  for (std::uint32_t i = 0; i < kElements; ++i) {
    const std::uint32_t done = i + 1;
    std::memcpy(memory.result.data() + offsetof(detail::RangeProgress, done), &done, sizeof done);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    change(memory.elements[i]);
  }
}

class RangeTrial final : public Trial {
 public:
  explicit RangeTrial(void (*run)(Memory&)) : run_(run) {}

  void operation() override { run_(*memory_); }
  std::string window(pid_t) override {
    const std::uint32_t done = counted();
    return done == 0 ? "none is done" : done == kElements ? "all are done" : "some are done";
  }
  Verdict survive(bool finished) override {
    Verdict verdict;
    const std::uint32_t done = counted();
    for (std::uint32_t i = 0; i < kElements; ++i) {
      const int x = memory_->elements[i];
      if (i < done && x != 100) verdict.add(Fault::Kind::kLost, "counted, but not done");
      if (i > done && x != 0) verdict.add(Fault::Kind::kDoubled, "done, but not counted");
    }
    if (finished && done != kElements) verdict.add(Fault::Kind::kLost, "not all are done");
    return verdict;
  }

 private:
  [[nodiscard]] std::uint32_t counted() const {
    std::uint32_t done = 0;
    if (memory_->committed >= sizeof(detail::RangeProgress))
      std::memcpy(&done, memory_->result.data() + offsetof(detail::RangeProgress, done), sizeof done);
    return done;
  }

  void (*run_)(Memory&);
  Shared<Memory> memory_;
};

class RangeKilled : public testing::Test {
 protected:
  void SetUp() override {
    if (!Stepped::supported()) GTEST_SKIP() << "single-stepping is not permitted here";
  }
};

TEST_F(RangeKilled, WhatIsCountedIsDoneAndOnlyTheNextMayBe) {
  expect_survived(kill_after_every_instruction("for_each", [] { return std::make_unique<RangeTrial>(&run_range); }),
                  {"none is done", "some are done", "all are done"});
}

TEST_F(RangeKilled, WhoCountsBeforeIsFoundToLoseElements) {
  const Coverage coverage = kill_after_every_instruction(
      "control", [] { return std::make_unique<RangeTrial>(&run_range_that_counts_first); });
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(Fault::Kind::kLost)) << "the harness overlooks it";
}

}  // namespace
}  // namespace warren::test
