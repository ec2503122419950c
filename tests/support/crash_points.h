// What a process does at the crash points of the libraries: nothing, note them, or die. For programs that are linked
// with warren_ipc_crash or warren_pool_crash.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::test {

// The names in the sources of a layer, "ipc" or "pool", as the build found them.
std::vector<std::string_view> crash_point_names(std::string_view layer);

// One passing of a point by one process: the nth of that name.
struct Passing {
  std::string_view point;
  std::uint32_t nth = 1;

  [[nodiscard]] std::string text() const { return std::string(point) + "#" + std::to_string(nth); }
};

// From now on in this process, and in what it forks until those say otherwise. Each call counts passings anew.
void live();
void die_at(Passing passing);   // by SIGKILL
void stop_at(Passing passing);  // by SIGSTOP, once; who goes on lives
// At any point, with that chance, and a larger one at points that few have passed: all are to have their dead.
void die_now_and_then(std::uint32_t one_in, std::uint64_t seed);

// Deaths of a pool's processes, one after the other: each in whichever process of that kind is the first to pass so
// often since the death before. The application is who calls this; the others are known by the names that they give
// themselves. Holds for all of them, whenever they were forked, until it is called anew.
enum class Role : std::uint8_t { kWorker, kSupervisor, kApplication };
struct Turn {
  Role role;
  Passing passing;
};
void die_in_turn(const std::vector<Turn>& turns);   // at most 4
std::size_t died_in_turn();                         // so many of them
std::chrono::steady_clock::time_point last_turn();  // when the last one died
// Since die_in_turn(), or the last of those deaths.
std::vector<std::string_view> points_passed_by(Role role);

// The process that stop_at() stopped last; 0: none, since this was asked.
pid_t take_stopped();

// Forks a child that does `before`, then `run`, and notes what `run` passes, in order. At most 4,096 of them.
std::vector<Passing> passings_of(const std::function<void()>& before, const std::function<void()>& run);

// By all processes of this test so far.
struct PointCount {
  std::string_view point;
  std::uint64_t passed = 0;
  std::uint64_t died = 0;
};
std::vector<PointCount> crash_point_counts();

}  // namespace warren::test
