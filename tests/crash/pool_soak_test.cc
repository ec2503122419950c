// Random kills under load: workers die at crash points with some chance, and of SIGKILL from outside at any moment,
// while two threads submit. Each task must be accounted for once. For WARREN_SOAK_SECONDS, 5 ordinarily.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "crash/pool_load.h"
#include "support/crash_points.h"
#include "support/kill_sweep.h"

namespace warren::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSubmitters = 2;
constexpr int kTurns = 16;  // before a number is used again: tasks whose futures are dropped may still run

std::chrono::duration<double> soak_time() {
  const char* const seconds = std::getenv("WARREN_SOAK_SECONDS");
  return std::chrono::duration<double>(seconds != nullptr ? std::strtod(seconds, nullptr) : 5.0);
}

class PoolSoak : public WithMarks {
 protected:
  void submit_until(Clock::time_point end, int submitter) {
    for (int turn = 0; Clock::now() < end && !failed(); ++turn) {
      PoolLoad load(pool_, {.base = (submitter * kTurns + turn % kTurns) * PoolLoad::kNumbers});
      const std::vector<Fault> faults = load.run();
      const std::scoped_lock lock(mutex_);
      tasks_ += PoolLoad::tasks();
      lost_ += load.lost();
      for (const Fault& fault : faults) {
        ++faults_[fault.kind];
        ADD_FAILURE() << kind_name(fault.kind) << ": " << fault.text;
      }
    }
  }
  bool failed() {
    const std::scoped_lock lock(mutex_);
    return !faults_.empty();
  }

  // Kills one worker, which may have stood still for a while; how long until another one is in its place.
  void kill_one(std::minstd_rand& random) {
    const auto workers = view_.workers();
    layout::WorkerRecord& record = workers[random() % workers.size()];
    const auto pid = static_cast<pid_t>(record.pid.load());
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    const std::vector<pid_t> alive = children_of(supervisor_);
    const auto signal = [pidfd](int number) {
      return ::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0) == 0;
    };
    if (pidfd >= 0 && std::ranges::find(alive, pid) != alive.end()) {
      if (random() % 4 == 0 && signal(SIGSTOP)) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3'000));
        ++stopped_;
      }
      const auto begin = Clock::now();
      if (signal(SIGKILL)) ++from_outside_;
      const auto ready = [&] {
        const auto state = record.state.load();
        return record.pid.load() != static_cast<std::uint32_t>(pid) &&
               (state == layout::WorkerRecord::State::kIdle || state == layout::WorkerRecord::State::kBusy);
      };
      if (!eventually(ready, kPromptly)) ADD_FAILURE() << "no worker takes the place of " << pid;
      recovery_.push_back(Clock::now() - begin);
    }
    if (pidfd >= 0) ::close(pidfd);
  }

  void print(std::chrono::duration<double> time) {
    const std::uint64_t deaths = view_.header().worker_deaths;
    std::cout << "Pool, " << pool_.workers() << " workers, " << kSubmitters << " submitters: " << std::fixed
              << std::setprecision(1) << time.count() << " s, " << tasks_ << " tasks, " << deaths << " deaths, "
              << from_outside_ << " of them from outside (" << stopped_
              << " after a SIGSTOP)\n  told as lost by a death " << lost_ << "; lost " << faults_[Fault::Kind::kLost]
              << ", doubled " << faults_[Fault::Kind::kDoubled] << ", torn " << faults_[Fault::Kind::kTorn] << ", hung "
              << faults_[Fault::Kind::kHung] << "\n  from a kill to the next worker: " << quantiles(recovery_)
              << "\n  deaths at crash points:\n";
    for (const PointCount& count : crash_point_counts()) {
      if (count.died != 0)
        std::cout << "    " << std::left << std::setw(24) << count.point << std::right << count.died << "\n";
    }
  }

  static void die_sometimes() { die_now_and_then(3000, static_cast<std::uint64_t>(::getpid()) * 7919); }

  Pool pool_ = Pool::create({.workers = 3, .initializer = &PoolSoak::die_sometimes, .max_pending = 256}).value();
  PoolView view_ = PoolView::of_this_process();
  pid_t supervisor_ = children_of(::getpid()).at(0);
  std::mutex mutex_;
  std::uint64_t tasks_ = 0, lost_ = 0, from_outside_ = 0, stopped_ = 0;
  std::map<Fault::Kind, std::size_t> faults_;
  std::vector<std::chrono::nanoseconds> recovery_;
};

TEST_F(PoolSoak, EachTaskIsAccountedForOnce) {
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(soak_time());
  std::vector<std::thread> submitters;
  for (int i = 0; i < kSubmitters; ++i) submitters.emplace_back([&, i] { submit_until(end, i); });
  std::minstd_rand random(static_cast<std::uint32_t>(::getpid()));
  while (Clock::now() < end && !failed()) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    kill_one(random);
  }
  for (std::thread& submitter : submitters) submitter.join();
  PoolLoad last(pool_);
  for (const Fault& fault : last.look_for_leftovers(view_))
    ADD_FAILURE() << kind_name(fault.kind) << ": " << fault.text;
  pool_.close();
  EXPECT_TRUE(pool_.join_for(kPromptly).ok());
  print(Clock::now() - begin);
  EXPECT_LE(lost_, view_.header().worker_deaths) << "a death may cost one task";
  EXPECT_GT(from_outside_, 0u);
  EXPECT_GT(view_.header().worker_deaths, from_outside_) << "nobody died at a crash point";
}

}  // namespace
}  // namespace warren::test
