// What a process does at the crash points of the libraries: nothing, note them, or die. For programs that are linked
// with warren_ipc_crash or warren_pool_crash.
#pragma once
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
void die_at(Passing passing);  // by SIGKILL
// At any point, with that chance, and a larger one at points that few have passed: all are to have their dead.
void die_now_and_then(std::uint32_t one_in, std::uint64_t seed);

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
