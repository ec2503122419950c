// A whole pool under load, the deaths of its processes, and what must hold afterwards.
#pragma once
#include <sys/prctl.h>
#include <sys/wait.h>
#include <warren/ipc/detail/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "crash/pool_load.h"
#include "support/crash_points.h"
#include "support/point_sweep.h"

namespace warren::test {

// Who dies, one after the other.
using Deaths = std::vector<Turn>;

inline constexpr std::array kRoleNames = {"worker", "supervisor", "application"};

inline std::string text_of(const Deaths& deaths) {
  std::string text;
  for (const Turn& turn : deaths) {
    text += (text.empty() ? "" : ", then ") + std::string(kRoleNames.at(static_cast<std::size_t>(turn.role))) + " at " +
            turn.passing.text();
  }
  return text;
}

inline bool anybody(const Deaths& deaths, std::size_t died, Role role) {
  return std::ranges::any_of(deaths.begin(), deaths.begin() + static_cast<std::ptrdiff_t>(died),
                             [role](const Turn& turn) { return turn.role == role; });
}

// Orphans become children of this process, so that nobody gets lost. False: some live on.
inline bool everybody_ends() {
  return eventually(
      [] {
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD;
      },
      kPromptly);
}

class PoolTrials : public WithMarks {
 protected:
  PoolTrials() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    detail::wait_tuning().short_look_ticks =
        0;  // inherited: a dead claim is looked into before another death repairs it
  }
  ~PoolTrials() override {
    die_in_turn({});
    detail::wait_tuning().short_look_ticks = detail::kMoment;
    ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  }

  // Workers and supervisors die, of a pool of this process. How many did.
  std::size_t kill(const Deaths& deaths) {
    Verdict verdict;
    const bool from_the_start = !deaths.empty() && deaths[0].role == Role::kSupervisor;
    die_in_turn(from_the_start ? deaths : Deaths{});
    {
      Pool pool = make_pool(2, 64);
      if (!from_the_start) die_in_turn(deaths);
      run_load(pool, deaths, verdict);
      end_pool(pool, verdict);
    }
    return settle(deaths, std::move(verdict));
  }

  // The application may die, and then others of its pool.
  std::size_t kill_application(const Deaths& deaths) {
    Verdict verdict;
    die_in_turn({});
    Child application([this, &deaths] {
      die_in_turn(deaths);
      Pool pool = make_pool(2, 64);
      Verdict own;
      run_load(pool, deaths, own);
      return own.faults.empty() ? 0 : 1;
    });
    const std::optional<Ended> end = ended_within(application, 2 * kPromptly);
    if (!end) verdict.add(Fault::Kind::kHung, "the application");
    if (end && end->signal == 0 && end->code != 0) {
      verdict.add(Fault::Kind::kOther, "what the application found");
    }
    return settle(deaths, std::move(verdict));
  }

  PointCoverage coverage_{.points = {}, .operations = 1};
  bool nests_ = false;  // tasks submit tasks

 private:
  void run_load(Pool& pool, const Deaths& deaths, Verdict& verdict) const {
    PoolLoad load(pool, {.supervisor_may_die = anybody(deaths, deaths.size(), Role::kSupervisor), .nests = nests_});
    const auto add = [&verdict](const std::vector<Fault>& faults) {
      verdict.faults.insert(verdict.faults.end(), faults.begin(), faults.end());
    };
    add(load.run());
    if (died_in_turn() != 0) verdict.recovery = std::chrono::steady_clock::now() - last_turn();
    add(load.serve_on());
    if (!anybody(deaths, died_in_turn(), Role::kSupervisor)) {
      add(load.look_for_leftovers(PoolView::of_this_process()));
      if (load.unavailable() != 0) add({{.kind = Fault::Kind::kOther, .text = "Unavailable, though it lives"}});
    }
    const auto deaths_of_workers = static_cast<std::size_t>(std::ranges::count(
        deaths.begin(), deaths.begin() + static_cast<std::ptrdiff_t>(died_in_turn()), Role::kWorker, &Turn::role));
    if (load.lost() > deaths_of_workers)
      add({{.kind = Fault::Kind::kLost, .text = std::to_string(load.lost()) + " tasks"}});
  }
  static void end_pool(Pool& pool, Verdict& verdict) {
    pool.close();
    if (absl::IsDeadlineExceeded(pool.join_for(kPromptly))) {
      verdict.add(Fault::Kind::kHung, "the pool does not end");
      die_in_turn({});
      pool.terminate();
    }
  }

  std::size_t settle(const Deaths& deaths, Verdict verdict) {
    if (!everybody_ends()) verdict.add(Fault::Kind::kLeft, "processes");
    const std::size_t died = died_in_turn();
    coverage_.missed += deaths.size() - died;
    for (std::size_t i = 0; i < died; ++i) {
      PointCoverage::Point& point = coverage_.points[deaths[i].passing.point];
      i == 0 ? ++coverage_.kills, ++point.kills : (++coverage_.double_faults, ++point.double_faults);
    }
    if (died != 0 && verdict.recovery.count() > 0) coverage_.recovery.push_back(verdict.recovery);
    coverage_.note(verdict, text_of(deaths));
    return died;
  }
};

}  // namespace warren::test
