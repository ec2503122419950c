#include "support/point_sweep.h"

#include <iomanip>
#include <optional>
#include <ostream>

#include "support/child.h"
#include "support/crash_points.h"
#include "support/watch.h"

namespace warren::test {
namespace {

using std::chrono_literals::operator""s;

constexpr std::size_t kFaultsKept = 8;
constexpr auto kPatience = 10s;

class PointSweep {
 public:
  PointSweep(const std::string& name, const MakeTrial& make) : name_(name), make_(make) {}

  PointCoverage run() {
    coverage_.operations = 1;
    for (const Passing& passing : operation_passings()) {
      kill_once(passing);
      for (const Passing& second : rescue_passings(passing)) kill_twice(passing, second);
    }
    return std::move(coverage_);
  }

 private:
  std::vector<Passing> operation_passings() {
    const std::unique_ptr<Trial> trial = make_();
    const std::vector<Passing> passings = passings_of([&] { trial->warm(); }, [&] { trial->operation(); });
    coverage_.note(trial->survive(true), name_ + ", not killed");
    return passings;
  }

  // True: it died where it should.
  bool first_victim(Trial& trial, const Passing& passing) {
    Child victim([&] {
      trial.warm();
      die_at(passing);
      trial.operation();
      live();
    });
    const pid_t pid = victim.pid();
    const std::optional<Ended> end = ended_within(victim, kPatience);
    (void)trial.window(pid);
    if (!end) coverage_.note(hung("the first victim"), where(passing, nullptr));
    if (end && end->signal == SIGKILL) return true;
    ++coverage_.missed;
    return false;
  }

  void kill_once(const Passing& passing) {
    const std::unique_ptr<Trial> trial = make_();
    const bool died = first_victim(*trial, passing);
    coverage_.kills += died;
    coverage_.points[passing.point].kills += died;
    settle(trial->survive(!died), where(passing, nullptr));
  }

  std::vector<Passing> rescue_passings(const Passing& passing) {
    const std::unique_ptr<Trial> trial = make_();
    (void)first_victim(*trial, passing);
    trial->loosen();
    std::vector<Passing> passings = passings_of([] {}, [&] { trial->rescue(); });
    settle(trial->survive(false), where(passing, nullptr) + ", rescued");
    return passings;
  }

  void kill_twice(const Passing& passing, const Passing& second) {
    const std::unique_ptr<Trial> trial = make_();
    (void)first_victim(*trial, passing);
    trial->loosen();
    Child victim([&] {
      die_at(second);
      trial->rescue();
      live();
    });
    const std::optional<Ended> end = ended_within(victim, kPatience);
    if (!end) coverage_.note(hung("the second victim"), where(passing, &second));
    const bool died = end && end->signal == SIGKILL;
    coverage_.double_faults += died;
    coverage_.points[second.point].double_faults += died;
    coverage_.missed += !died;
    settle(trial->survive(false), where(passing, &second));
  }

  void settle(const Verdict& verdict, const std::string& where) {
    coverage_.recovery.push_back(verdict.recovery);
    coverage_.note(verdict, where);
  }

  static Verdict hung(const std::string& who) {
    return {
        .faults = {{.kind = Fault::Kind::kHung, .text = who + " neither dies nor ends"}}, .recovery = {}, .buried = 0};
  }
  std::string where(const Passing& first, const Passing* second) const {
    return name_ + ", first at " + first.text() + (second == nullptr ? "" : ", second at " + second->text());
  }

  std::string name_;
  MakeTrial make_;
  PointCoverage coverage_;
};

}  // namespace

PointCoverage kill_at_every_point(const std::string& name, const MakeTrial& make) {
  return PointSweep(name, make).run();
}

void PointCoverage::note(const Verdict& verdict, const std::string& where) {
  for (const Fault& fault : verdict.faults) {
    ++faults[fault.kind];
    if (first_faults.size() < kFaultsKept) {
      first_faults.push_back(std::string(kind_name(fault.kind)) + ": " + fault.text + "; " + where);
    }
  }
}

void PointCoverage::add(const PointCoverage& other) {
  for (const auto& [point, counts] : other.points) {
    points[point].kills += counts.kills;
    points[point].double_faults += counts.double_faults;
  }
  operations += other.operations;
  kills += other.kills;
  double_faults += other.double_faults;
  missed += other.missed;
  recovery.insert(recovery.end(), other.recovery.begin(), other.recovery.end());
  for (const auto& [kind, count] : other.faults) faults[kind] += count;
  first_faults.insert(first_faults.end(), other.first_faults.begin(), other.first_faults.end());
}

std::string PointCoverage::complaints() const {
  std::string text;
  for (const auto& [kind, count] : faults)
    text += std::string(kind_name(kind)) + " " + std::to_string(count) + " times\n";
  for (const std::string& fault : first_faults) text += "  " + fault + "\n";
  return text;
}

std::ostream& operator<<(std::ostream& out, const PointCoverage& coverage) {
  out << std::left << std::setw(24) << "crash point" << std::right << std::setw(8) << "kills" << std::setw(16)
      << "double faults"
      << "\n";
  for (const auto& [point, counts] : coverage.points) {
    out << std::left << std::setw(24) << point << std::right << std::setw(8) << counts.kills << std::setw(16)
        << counts.double_faults << "\n";
  }
  out << std::left << std::setw(24) << "all" << std::right << std::setw(8) << coverage.kills << std::setw(16)
      << coverage.double_faults << "   in " << coverage.operations << " operations, " << coverage.missed
      << " missed; recovery " << quantiles(coverage.recovery);
  for (const auto kind : {Fault::Kind::kLost, Fault::Kind::kDoubled, Fault::Kind::kTorn, Fault::Kind::kHung}) {
    const auto found = coverage.faults.find(kind);
    out << "; " << kind_name(kind) << " " << (found == coverage.faults.end() ? 0 : found->second);
  }
  return out;
}

}  // namespace warren::test
