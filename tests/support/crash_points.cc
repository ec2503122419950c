#include "support/crash_points.h"

#include <sys/mman.h>
#include <unistd.h>
#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>

#include "support/child.h"

namespace warren::test {
namespace {

struct Name {
  std::string_view layer, point;
};
constexpr Name kNames[] = {
#include "crash_point_names.inc"
};
constexpr std::size_t kCount = std::size(kNames);
constexpr std::size_t kMostNoted = 4096;

// Of all processes of the test.
struct Board {
  std::array<std::atomic<std::uint64_t>, kCount> passed, died;
  std::atomic<std::size_t> noted;
  std::array<std::atomic<std::uint16_t>, kMostNoted> notes;
};
Board& board() {
  static Board* const made = [] {
    void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    return new (memory) Board;
  }();
  return *made;
}
[[maybe_unused]] Board& made_before_any_fork = board();

// Of this process.
enum class Mode : std::uint8_t { kLive, kNote, kDieAt, kDieNowAndThen };
struct Plan {
  std::atomic<Mode> mode{Mode::kLive};
  std::size_t point = 0;
  std::atomic<std::uint32_t> left{0};  // passings until it dies
  std::uint32_t one_in = 0;
  std::atomic<std::uint64_t> random{0};
};
Plan plan;

std::size_t index_of(std::string_view point) {
  const auto* const found = std::ranges::find(kNames, point, &Name::point);
  if (found != std::end(kNames)) return static_cast<std::size_t>(found - std::begin(kNames));
  std::fprintf(stderr, "crash point %.*s is not in the list of the build\n", static_cast<int>(point.size()),
               point.data());
  std::abort();
}

[[noreturn]] void die(std::size_t point) {
  board().died[point].fetch_add(1, std::memory_order_relaxed);
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

std::uint64_t next_random() {
  std::uint64_t x = plan.random.load(std::memory_order_relaxed);
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  plan.random.store(x, std::memory_order_relaxed);
  return x * 0x2545'f491'4f6c'dd1d >> 32;
}

}  // namespace

std::vector<std::string_view> crash_point_names(std::string_view layer) {
  std::vector<std::string_view> names;
  for (const Name& name : kNames) {
    if (name.layer == layer) names.push_back(name.point);
  }
  return names;
}

void live() { plan.mode = Mode::kLive; }

void die_at(Passing passing) {
  plan.point = index_of(passing.point);
  plan.left = passing.nth;
  plan.mode = Mode::kDieAt;
}

void die_now_and_then(std::uint32_t one_in, std::uint64_t seed) {
  plan.one_in = one_in;
  plan.random = seed * 2 + 1;
  plan.mode = Mode::kDieNowAndThen;
}

std::vector<Passing> passings_of(const std::function<void()>& before, const std::function<void()>& run) {
  board().noted = 0;
  (void)Child([&] {
    before();
    plan.mode = Mode::kNote;
    run();
    plan.mode = Mode::kLive;
  }).join();
  std::vector<Passing> passings;
  std::map<std::size_t, std::uint32_t> counts;
  for (std::size_t i = 0, end = std::min(board().noted.load(), kMostNoted); i < end; ++i) {
    const std::size_t point = board().notes[i];
    passings.push_back({.point = kNames[point].point, .nth = ++counts[point]});
  }
  return passings;
}

std::vector<PointCount> crash_point_counts() {
  std::vector<PointCount> counts;
  for (std::size_t i = 0; i < kCount; ++i) {
    counts.push_back({.point = kNames[i].point, .passed = board().passed[i], .died = board().died[i]});
  }
  return counts;
}

}  // namespace warren::test

namespace warren::detail {

void crash_point(const char* name) noexcept {
  using namespace test;
  const std::size_t point = index_of(name);
  const std::uint64_t passed = board().passed[point].fetch_add(1, std::memory_order_relaxed);
  switch (plan.mode.load(std::memory_order_relaxed)) {
    case Mode::kLive: return;
    case Mode::kNote: {
      const std::size_t place = board().noted.fetch_add(1);
      if (place < kMostNoted) board().notes[place] = static_cast<std::uint16_t>(point);
      return;
    }
    case Mode::kDieAt:
      if (point == plan.point && plan.left.fetch_sub(1) == 1) die(point);
      return;
    case Mode::kDieNowAndThen:
      if (next_random() % std::min<std::uint64_t>(plan.one_in, 8 + passed / 8) == 0) die(point);
      return;
  }
}

}  // namespace warren::detail
