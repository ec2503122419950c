// Claiming lanes where their memory has to be committed first, giving them back, and growing a segment.
#pragma once
#include <warren/ipc/queue.h>
#include <warren/ipc/segment.h>

#include <algorithm>
#include <vector>

#include "crash/shared_trial.h"

namespace warren::test {

// All lanes that have memory are taken, by threads of this process as far as anybody can see.
class LaneTrial : public Trial {
 public:
  LaneTrial() : queue_(*Queue<int>::create({.capacity = 1})) {
    set_waits(200us);
    const std::uint32_t begin = attachment().lanes_high();
    header().lanes_high.store(layout::kLanesPerPage);
    const detail::ProcessIdentity& self = detail::this_process();
    const layout::LaneIdentity mine{.pid = static_cast<std::uint32_t>(self.pid),
                                    .start_low = self.start_low(),
                                    .phase = layout::LaneIdentity::Phase::kLive};
    for (std::uint32_t i = begin; i < layout::kLanesPerPage; ++i) {
      attachment().lane(i).identity.store(mine.word());
      forged_.push_back(i);
    }
  }

  void operation() override {
    (void)attachment().seat();
    attachment().leave();
  }

  void rescue() override {
    (void)attachment().sweep();
    operation();
  }

  std::string window(pid_t victim) override {
    for (std::uint32_t i = 0; i < attachment().lanes_high(); ++i) {
      const auto identity = layout::LaneIdentity::from(attachment().lane(i).identity.load());
      if (identity.pid == static_cast<std::uint32_t>(victim)) return "attached";
    }
    return "not attached";
  }

  Verdict survive(bool) override {
    if (header().lanes_high.load() > header().lanes_committed.load()) complain("lanes without memory are counted");
    // 70 threads at once: more than a page of lanes has room for, beside the forged ones.
    Child crowd([&]() -> int {
      std::vector<std::thread> threads;
      std::atomic<int> seated{0};
      for (int i = 0; i < 70; ++i) {
        threads.emplace_back([&] {
          detail::Seat& seat = attachment().seat();
          seated += seat.lane != nullptr && !seat.sharing;
        });
      }
      for (std::thread& thread : threads) thread.join();
      attachment().leave();
      return seated == 70 ? 0 : 1;
    });
    const std::optional<Ended> end = ended_within(crowd, kPatience);
    if (!end || !end->well()) complain("threads that come later get no lanes");
    for (const std::uint32_t i : forged_) {
      attachment().lane(i).identity.store(layout::LaneIdentity{.generation = 1}.word());
    }
    const auto all_free = [&] { return attachment().sweep(), lanes_of_others(attachment()) == 0; };
    if (!eventually(all_free, kPatience)) complain("lanes of the dead are not freed");
    return verdict_;
  }

 private:
  detail::Attachment& attachment() const { return Reach::attachment(queue_); }
  layout::SegmentHeader& header() const {
    return *reinterpret_cast<layout::SegmentHeader*>(attachment().object() - layout::kObjectOffset);
  }
  void complain(std::string text) { verdict_.add(Fault::Kind::kLeft, std::move(text)); }

  Queue<int> queue_;
  std::vector<std::uint32_t> forged_;
  Verdict verdict_;
};

class GrowTrial : public Trial {
 public:
  GrowTrial() : segment_(*Segment::create(kSize, {.max_size = 100 * kSize})) { fill(0, kSize); }

  void operation() override { (void)segment_.grow(20 * kSize); }
  void rescue() override { (void)segment_.grow(30 * kSize); }
  std::string window(pid_t) override { return segment_.size() == kSize ? "not grown" : "grown"; }

  Verdict survive(bool) override {
    const std::size_t before = segment_.size();
    if (before != kSize && before != 20 * kSize && before != 30 * kSize) complain("a size that nobody asked for");
    if (!segment_.grow(40 * kSize).ok() || segment_.size() != 40 * kSize) complain("it does not grow any more");
    const auto bytes = segment_.bytes();
    if (!std::ranges::all_of(bytes.first(kSize), [](std::byte b) { return b == kMark; })) complain("old bytes changed");
    if (std::ranges::any_of(bytes.subspan(kSize), [](std::byte b) { return b != std::byte{0}; }))
      complain("new bytes are not 0");
    fill(0, 40 * kSize);
    return verdict_;
  }

 private:
  static constexpr std::size_t kSize = 10'000;
  static constexpr std::byte kMark{0x5a};
  void fill(std::size_t begin, std::size_t end) {
    std::ranges::fill(segment_.bytes().subspan(begin, end - begin), kMark);
  }
  void complain(std::string text) { verdict_.add(Fault::Kind::kOther, std::move(text)); }

  Segment segment_;
  Verdict verdict_;
};

}  // namespace warren::test
