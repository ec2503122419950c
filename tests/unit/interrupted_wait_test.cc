// A storm of signals, and a wall clock that jumps: neither ends a wait early, nor makes it longer for ever, nor loses
// an item.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/queue.h>
#include <warren/pool/process.h>

#include <csignal>
#include <cstddef>
#include <ctime>
#include <mutex>
#include <vector>

#include "support/child.h"
#include "support/resources.h"

namespace {

// Of the wall clock that this program sees: hours forth and back, from one look to the next.
std::atomic<bool> wall_clock_jumps{false};
std::atomic<unsigned> looks_at_the_wall_clock{0};

}  // namespace

// In place of the C library's, for every library of this program.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long result = ::syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME && wall_clock_jumps) {
    time->tv_sec += looks_at_the_wall_clock.fetch_add(1) % 2 == 0 ? 7200 : -7200;
  }
  return static_cast<int>(result);
}

namespace warren {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using test::Child;
using test::Ended;
using test::Gate;
using test::Shared;

volatile std::sig_atomic_t signals = 0;

// While it lives this thread's process gets a signal every 100 us, and its system calls are not restarted.
class SignalStorm {
 public:
  SignalStorm() {
    struct sigaction action {};
    action.sa_handler = [](int) { signals = signals + 1; };
    ::sigaction(SIGALRM, &action, &before_);
    signals = 0;
    set_timer(100);
  }
  ~SignalStorm() {
    set_timer(0);
    ::sigaction(SIGALRM, &before_, nullptr);
  }
  SignalStorm(const SignalStorm&) = delete;
  SignalStorm& operator=(const SignalStorm&) = delete;

 private:
  static void set_timer(suseconds_t period) {
    const itimerval timer{.it_interval = {.tv_sec = 0, .tv_usec = period},
                          .it_value = {.tv_sec = 0, .tv_usec = period}};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
  struct sigaction before_ {};
};

template <class Wait>
void expect_to_last(Clock::duration least, Wait&& wait) {
  const Clock::time_point begin = Clock::now();
  wait();
  EXPECT_GE(Clock::now() - begin, least);
}

// Each of these waits in vain.
void every_timed_wait(Clock::duration time) {
  auto queue = Queue<int>::create({.capacity = 1}).value();
  expect_to_last(time, [&] { EXPECT_EQ(queue.try_pop_for(time), std::nullopt); });
  ASSERT_TRUE(queue.try_push(1));
  expect_to_last(time, [&] { EXPECT_FALSE(queue.try_push_for(2, time)); });
  EXPECT_EQ(queue.try_pop(), 1);
  auto mutex = Mutex::create().value();
  Gate held;
  Child owner([&] {
    mutex.lock();
    held.open();
    for (;;) ::pause();
  });
  held.wait();
  expect_to_last(time, [&] { EXPECT_FALSE(mutex.try_lock_for(time)); });
}

// --- signals ---------------------------------------------------------------------------------------------------------

TEST(SignalStorm, TimedWaitsLastAsLongAsTheyShould) {
  const SignalStorm storm;
  every_timed_wait(50ms);
  EXPECT_GT(signals, 100);
}

TEST(SignalStorm, EveryItemComesOnceAndInItsOrder) {
  constexpr int kItems = 3000;
  auto queue = Queue<int>::create({.capacity = 2}).value();
  Child producer([&] {
    const SignalStorm storm;
    for (int i = 0; i < kItems; ++i) {
      ASSERT_TRUE(queue.push(i));
      if (i % 100 == 0) ::sched_yield();
    }
    queue.close();
  });
  Child consumer([&] {
    const SignalStorm storm;
    for (int i = 0; i < kItems; ++i) ASSERT_EQ(queue.pop(), i);
    EXPECT_EQ(queue.pop(), std::nullopt);
  });
  EXPECT_TRUE(producer.join().well());
  EXPECT_TRUE(consumer.join().well());
}

TEST(SignalStorm, AMutexStillExcludes) {
  constexpr int kTurns = 2000;
  auto mutex = Mutex::create().value();
  Shared<int> count;
  std::vector<Child> processes;
  for (int p = 0; p < 3; ++p) {
    processes.emplace_back([&] {
      const SignalStorm storm;
      for (int i = 0; i < kTurns; ++i) {
        const std::scoped_lock guard(mutex);
        const int seen = *count;
        if (i % 50 == 0) ::sched_yield();
        *count = seen + 1;
      }
    });
  }
  for (Child& process : processes) EXPECT_TRUE(process.join().well());
  EXPECT_EQ(*count, 3 * kTurns);
}

int end_with_three_after(Queue<int> queue) {
  (void)queue.pop();
  return 3;
}

TEST(SignalStorm, AProcessIsJoinedWhenItHasEnded) {
  auto gate = Queue<int>::create({.capacity = 1}).value();
  auto process = Process::start(&end_with_three_after, gate).value();
  const SignalStorm storm;
  expect_to_last(50ms, [&] { EXPECT_EQ(process.join_for(50ms), std::nullopt); });
  expect_to_last(50ms, [&] { EXPECT_EQ(process.join_until(std::chrono::steady_clock::now() + 50ms), std::nullopt); });
  ASSERT_TRUE(gate.push(1));
  EXPECT_EQ(process.join(), 3);
}

// --- the wall clock --------------------------------------------------------------------------------------------------

TEST(WallClock, MayJumpDuringATimedWait) {
  wall_clock_jumps = true;
  const auto first = std::chrono::system_clock::now();
  EXPECT_GT(std::chrono::abs(std::chrono::system_clock::now() - first), 1h) << "the control: it does jump";
  every_timed_wait(50ms);
  wall_clock_jumps = false;
}

// The kernel kills who sleeps by the wall clock: a futex with FUTEX_CLOCK_REALTIME, or of the kinds that take it for
// granted, or clock_nanosleep(CLOCK_REALTIME).
void forbid_sleeping_by_the_wall_clock() {
  const auto load = [](std::size_t offset) -> sock_filter {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
  };
  const auto unless_equal = [](std::uint32_t value, std::uint8_t skip) -> sock_filter {
    return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip);
  };
  constexpr std::size_t kFirst = offsetof(seccomp_data, args[0]), kSecond = offsetof(seccomp_data, args[1]);
  sock_filter filter[] = {
      load(offsetof(seccomp_data, nr)),
      unless_equal(SYS_futex, 3),
      load(kSecond),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FUTEX_CLOCK_REALTIME, 4, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      unless_equal(SYS_clock_nanosleep, 3),
      load(kFirst),
      unless_equal(CLOCK_REALTIME, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(filter), .filter = filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    ::_exit(77);
  }
}

TEST(WallClock, IsSleptByInNoTimedWait) {
  const Ended control = Child([] {
                          forbid_sleeping_by_the_wall_clock();
                          std::uint32_t word = 0;
                          const timespec past{};
                          ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, nullptr, 1);
                        }).join();
  if (control.code == 77) GTEST_SKIP() << "seccomp is not permitted here";
  ASSERT_EQ(control.signal, SIGSYS) << "the control: who does is killed";
  Child waiter([] {
    forbid_sleeping_by_the_wall_clock();
    every_timed_wait(20ms);
  });
  EXPECT_TRUE(waiter.join().well());
}

}  // namespace
}  // namespace warren
