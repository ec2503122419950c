// What every test of the crash-point harness asserts and prints.
#pragma once
#include <gtest/gtest.h>

#include <iostream>
#include <string_view>

#include "support/crash_points.h"
#include "support/point_sweep.h"

namespace warren::test {

// Sums up what a program covered. After its last test: the table, and no point of the layer may have been left out.
class PointTotal : public testing::Environment {
 public:
  explicit PointTotal(std::string_view layer) : layer_(layer) {}
  void add(const PointCoverage& coverage) { sum_.add(coverage); }
  void TearDown() override {
    std::cout << sum_ << std::endl;
    const auto* const program = testing::UnitTest::GetInstance();
    if (program->test_to_run_count() != program->total_test_count() || program->failed_test_count() != 0) return;
    for (const std::string_view point : crash_point_names(layer_)) {
      const auto found = sum_.points.find(point);
      const bool hit = found != sum_.points.end() && found->second.kills + found->second.double_faults != 0;
      EXPECT_TRUE(hit) << "nobody died at the crash point " << point;
    }
  }

 private:
  std::string_view layer_;
  PointCoverage sum_;
};

inline void expect_survived(PointTotal& total, const PointCoverage& coverage) {
  total.add(coverage);
  testing::Test::RecordProperty("kills", static_cast<int>(coverage.kills));
  testing::Test::RecordProperty("double_faults", static_cast<int>(coverage.double_faults));
  std::cout << coverage.kills << " kills, " << coverage.double_faults << " double faults, " << coverage.missed
            << " missed\n";
  EXPECT_TRUE(coverage.faults.empty()) << coverage.complaints();
  EXPECT_GT(coverage.kills, 0u);
}

}  // namespace warren::test
