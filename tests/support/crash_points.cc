#include "support/crash_points.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <warren/ipc/detail/crash_point.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>

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

constexpr std::size_t kMostTurns = 4, kRoles = 3;

// Of all processes of the test.
struct Board {
  struct Planned {
    Role role;
    std::size_t point;
    std::atomic<std::uint32_t> left;  // passings until somebody dies
  };
  std::array<std::atomic<std::uint64_t>, kCount> passed, died;
  std::array<Planned, kMostTurns> turns;
  std::atomic<std::size_t> turn, turns_planned;
  std::atomic<bool> roles_count;
  std::atomic<pid_t> application, stopped;
  std::atomic<std::int64_t> last_turn_ns;
  std::array<std::array<std::atomic<bool>, kCount>, kRoles> passed_by;
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
enum class Mode : std::uint8_t { kLive, kNote, kDieAt, kStopAt, kDieNowAndThen };
struct Plan {
  std::atomic<Mode> mode{Mode::kLive};
  std::size_t point = 0;
  std::atomic<std::uint32_t> left{0};  // passings until it dies, or stops
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

// nullopt: of no pool, as far as anybody can see.
std::optional<Role> my_role() {
  if (board().application == ::getpid()) return Role::kApplication;
  std::array<char, 16> name{};
  ::prctl(PR_GET_NAME, name.data(), 0, 0, 0);
  if (std::string_view(name.data()) == "warren-pool") return Role::kSupervisor;
  if (std::string_view(name.data()).starts_with("warren-worker")) return Role::kWorker;
  return std::nullopt;
}

void forget_who_passed() {
  for (auto& points : board().passed_by) {
    for (auto& passed : points) passed = false;
  }
}

void take_turn(std::size_t point) {
  const std::optional<Role> role = my_role();
  if (!role) return;
  board().passed_by[static_cast<std::size_t>(*role)][point] = true;
  const std::size_t turn = board().turn;
  if (turn >= board().turns_planned) return;
  Board::Planned& next = board().turns[turn];
  if (next.role != *role || next.point != point || next.left.fetch_sub(1) != 1) return;
  board().last_turn_ns = std::chrono::steady_clock::now().time_since_epoch().count();
  forget_who_passed();
  board().turn = turn + 1;
  die(point);
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

void stop_at(Passing passing) {
  die_at(passing);
  plan.mode = Mode::kStopAt;
}

pid_t take_stopped() { return board().stopped.exchange(0); }

void die_now_and_then(std::uint32_t one_in, std::uint64_t seed) {
  plan.one_in = one_in;
  plan.random = seed * 2 + 1;
  plan.mode = Mode::kDieNowAndThen;
}

void die_in_turn(const std::vector<Turn>& turns) {
  Board& all = board();
  all.turns_planned = 0;
  all.turn = 0;
  all.application = ::getpid();
  forget_who_passed();
  for (std::size_t i = 0; i < turns.size(); ++i) {
    all.turns.at(i).role = turns[i].role;
    all.turns.at(i).point = index_of(turns[i].passing.point);
    all.turns.at(i).left = turns[i].passing.nth;
  }
  all.turns_planned = turns.size();
  all.roles_count = true;
}

std::size_t died_in_turn() { return board().turn; }

std::chrono::steady_clock::time_point last_turn() {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(board().last_turn_ns));
}

std::vector<std::string_view> points_passed_by(Role role) {
  std::vector<std::string_view> points;
  for (std::size_t i = 0; i < kCount; ++i) {
    if (board().passed_by[static_cast<std::size_t>(role)][i]) points.push_back(kNames[i].point);
  }
  return points;
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
  if (board().roles_count.load(std::memory_order_relaxed)) take_turn(point);
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
    case Mode::kStopAt:
      if (point != plan.point || plan.left.fetch_sub(1) != 1) return;
      plan.mode = Mode::kLive;
      board().stopped = ::getpid();
      ::raise(SIGSTOP);
      return;
    case Mode::kDieNowAndThen:
      if (next_random() % std::min<std::uint64_t>(plan.one_in, 8 + passed / 8) == 0) die(point);
      return;
  }
}

}  // namespace warren::detail
