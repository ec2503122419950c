// The crash-point harness: a first victim dies at every point of an operation; a second one, who meets what it left, at
// every point of the rescue; a third checks.
#pragma once
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/kill_sweep.h"

namespace warren::test {

struct PointCoverage {
  struct Point {
    std::size_t kills = 0;          // of first victims
    std::size_t double_faults = 0;  // of second ones
  };
  std::map<std::string_view, Point> points;
  std::size_t operations = 0;
  std::size_t kills = 0, double_faults = 0;
  std::size_t missed = 0;  // victims that ran another way, and lived
  std::vector<std::chrono::nanoseconds> recovery = {};
  std::map<Fault::Kind, std::size_t> faults = {};
  std::vector<std::string> first_faults = {};

  [[nodiscard]] std::string complaints() const;
  void add(const PointCoverage& other);
  void note(const Verdict& verdict, const std::string& where);
};
// A table: point, kills, double faults.
std::ostream& operator<<(std::ostream& out, const PointCoverage& coverage);

// Trials as in kill_sweep.h, of operations that do not sleep; rescue() is the second victim's part.
PointCoverage kill_at_every_point(const std::string& name, const MakeTrial& make);

}  // namespace warren::test
