// Who a process is, and whether it is dead beyond doubt.
#include <warren/ipc/detail/process.h>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include "support/child.h"
#include "support/isolation.h"
#include "support/limits.h"
#include "support/resources.h"

namespace warren::detail {
namespace {

using test::Child;
using test::Gate;

// A child that does nothing until it is killed.
Child idle() {
  return Child([] { Gate().wait(); });
}

std::uint64_t start_of(pid_t pid) {
  const StatResult result = read_process_stat(pid);
  EXPECT_TRUE(result.stat.has_value());
  return result.stat ? result.stat->start_time : 0;
}

// --- /proc/PID/stat --------------------------------------------------------------------------------------------------

TEST(ProcessStat, NamesWithSpacesAndParenthesesAreRead) {
  for (const char* name : {")", "(", ") R 1 (", "a) Z 1 1 1 1", "x y z", " ", "))))", "((((", ") ) ) ) ) ) )", "\n",
                           "a\tb)", "0123456789abcde", ""}) {
    Gate named;
    Child child([&] {
      ::prctl(PR_SET_NAME, name);
      named.open();
      Gate().wait();
    });
    named.wait();
    test::await_futex_sleep(child.pid());
    const StatResult result = read_process_stat(child.pid());
    ASSERT_TRUE(result.stat.has_value()) << name;
    EXPECT_EQ(result.stat->state, 'S') << name;
    EXPECT_EQ(result.stat->threads, 1u) << name;
    EXPECT_GE(result.stat->start_time, start_of(::getpid())) << name;
    EXPECT_FALSE(confirmed_dead(child.pid(), result.stat->start_time)) << name;
  }
}

TEST(ProcessStat, CountsThreads) {
  Gate end;
  std::thread other([&] { end.wait(); });
  EXPECT_EQ(read_process_stat(::getpid()).stat->threads, test::Census::now().threads);
  end.open();
  other.join();
}

TEST(ProcessStat, NoSuchProcessIsGone) {
  Child child = idle();
  const pid_t pid = child.pid();
  child.kill();
  const StatResult result = read_process_stat(pid);
  EXPECT_FALSE(result.stat.has_value());
  EXPECT_EQ(result.error, StatError::kGone);
}

TEST(ProcessStat, WithoutDescriptorsItIsUnknown) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  const test::NoDescriptors none;
  const StatResult result = read_process_stat(::getpid());
  EXPECT_FALSE(result.stat.has_value());
  EXPECT_EQ(result.error, StatError::kUnknown);
}

// --- confirmed death -------------------------------------------------------------------------------------------------

TEST(ConfirmedDeath, TheLivingAreNotDead) {
  EXPECT_FALSE(confirmed_dead(::getpid(), this_process().start_time));
  Child child = idle();
  EXPECT_FALSE(confirmed_dead(child.pid(), start_of(child.pid())));
}

TEST(ConfirmedDeath, TheStoppedAreNotDead) {
  Child child = idle();
  const std::uint64_t start = start_of(child.pid());
  child.stop();
  EXPECT_EQ(read_process_stat(child.pid()).stat->state, 'T');
  EXPECT_FALSE(confirmed_dead(child.pid(), start));
}

TEST(ConfirmedDeath, ZombiesAreDead) {
  Child child = idle();
  const std::uint64_t start = start_of(child.pid());
  child.kill_but_not_reap();
  EXPECT_EQ(::kill(child.pid(), 0), 0) << "a zombie answers";
  EXPECT_EQ(read_process_stat(child.pid()).stat->state, 'Z');
  EXPECT_TRUE(confirmed_dead(child.pid(), start));
}

TEST(ConfirmedDeath, TheReapedAreDead) {
  Child child = idle();
  const pid_t pid = child.pid();
  const std::uint64_t start = start_of(pid);
  child.kill();
  EXPECT_TRUE(confirmed_dead(pid, start));
}

TEST(ConfirmedDeath, AReusedPidIsTheDeathOfWhoHadIt) {
  const std::uint64_t start = this_process().start_time;
  EXPECT_TRUE(confirmed_dead(::getpid(), start - 1));
  EXPECT_TRUE(confirmed_dead(::getpid(), start + 1));
}

// A leader that called pthread_exit shows Z while its threads run on.
TEST(ConfirmedDeath, ALeaderThatLeftItsThreadsIsNotDead) {
  Gate gone, end;
  Child child([&] {
    std::thread([&] {
      while (read_process_stat(::getpid()).stat->state != 'Z') ::sched_yield();
      gone.open();
      end.wait();
      ::_exit(0);
    }).detach();
    ::syscall(SYS_exit, 0);  // what pthread_exit comes to, without the unwinding that GoogleTest would catch
  });
  const std::uint64_t start = start_of(child.pid());
  gone.wait();
  EXPECT_EQ(read_process_stat(child.pid()).stat->state, 'Z');
  EXPECT_FALSE(confirmed_dead(child.pid(), start));
  end.open();
  EXPECT_TRUE(child.join().well());
}

TEST(ConfirmedDeath, PidsThatAreNoneAreDeadAndNothingIsSignalled) {
  EXPECT_TRUE(confirmed_dead(0, 1));
  EXPECT_TRUE(confirmed_dead(-1, 1));
}

TEST(ConfirmedDeath, WithoutDescriptorsTheDoubtfulLive) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  Child zombie = idle();
  const std::uint64_t start = start_of(zombie.pid());
  zombie.kill_but_not_reap();
  Child reaped = idle();
  const pid_t gone = reaped.pid();
  reaped.kill();
  const test::NoDescriptors none;
  EXPECT_FALSE(confirmed_dead(zombie.pid(), start)) << "could not tell";
  EXPECT_FALSE(confirmed_dead(::getpid(), 1)) << "could not tell";
  EXPECT_TRUE(confirmed_dead(gone, 1)) << "the kernel knows no such process";
}

TEST(ConfirmedDeath, SomebodyElsesProcessIsNotDead) {
  const std::uint64_t start = start_of(::getpid());
  const pid_t pid = ::getpid();
  WARREN_EXPECT_ISOLATED(test::as_another_user([&] { EXPECT_FALSE(confirmed_dead(pid, start)); }));
}

// unshare --pid without --mount-proc: what stands in /proc under a number is somebody else.
TEST(ConfirmedDeath, WhatAnotherPidNamespacesProcShowsIsNobodysDeath) {
  WARREN_EXPECT_ISOLATED(test::in_new_pid_namespace_with_proc_of_another([] {
    ASSERT_TRUE(read_process_stat(1).stat.has_value()) << "the premise: outside there is a process 1 too";
    EXPECT_FALSE(confirmed_dead(1, start_of(1) + 1)) << "ours lives";
    EXPECT_TRUE(confirmed_dead(4'000'000, 1)) << "the kernel knows no such process";
  }));
}

TEST(ConfirmedDeath, ErrnoIsLeftAlone) {
  errno = EXFULL;
  (void)confirmed_dead(::getpid(), 1);
  (void)confirmed_dead(-1, 1);
  EXPECT_EQ(errno, EXFULL);
}

// By the identity word: the low bits of the start time are enough to tell death, and all of it where it is known.
TEST(ConfirmedDeath, ByIdentityWord) {
  const ProcessIdentity& self = this_process();
  using Phase = layout::LaneIdentity::Phase;
  layout::LaneIdentity identity{
      .pid = static_cast<std::uint32_t>(self.pid), .start_low = self.start_low(), .phase = Phase::kLive};
  EXPECT_FALSE(confirmed_dead(identity, 0));
  EXPECT_FALSE(confirmed_dead(identity, self.start_time));
  EXPECT_TRUE(confirmed_dead(identity, self.start_time + (1u << 24)));
  identity.start_low ^= 1;
  EXPECT_TRUE(confirmed_dead(identity, 0));
  EXPECT_TRUE(confirmed_dead(identity, self.start_time));
}

// --- this process ----------------------------------------------------------------------------------------------------

TEST(ThisProcess, KnowsItself) {
  const ProcessIdentity& self = this_process();
  EXPECT_TRUE(self.known());
  EXPECT_EQ(self.pid, ::getpid());
  EXPECT_EQ(self.start_time, start_of(::getpid()));
  struct stat st {};
  ASSERT_EQ(::stat("/proc/self/ns/pid", &st), 0);
  EXPECT_EQ(self.pid_namespace, st.st_ino);
}

TEST(ThisProcess, ThatAnotherPidNamespacesProcShowsKnowsThatItDoesNot) {
  WARREN_EXPECT_ISOLATED(test::in_new_pid_namespace_with_proc_of_another([] {
    EXPECT_FALSE(this_process().known());
    EXPECT_EQ(this_process().pid, ::getpid());
  }));
}

TEST(ThisProcess, AForkedChildIsAnother) {
  const ProcessIdentity parent = this_process();
  const std::uint64_t epoch = process_epoch();
  EXPECT_NE(epoch, 0u);
  Child child([&] {
    EXPECT_NE(process_epoch(), epoch);
    EXPECT_NE(process_epoch(), 0u);
    EXPECT_EQ(this_process().pid, ::getpid());
    EXPECT_EQ(this_process().start_time, start_of(::getpid()));
    EXPECT_NE(this_process().pid, parent.pid);
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(process_epoch(), epoch);
}

TEST(ThisProcess, AChildForkedBehindOurBackIsAnotherToo) {
  const std::uint64_t epoch = process_epoch();
  (void)this_process();
  const pid_t pid = ::_Fork();
  if (pid == 0) ::_exit(process_epoch() != epoch && this_process().pid == ::getpid() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST(ThisProcess, ThreadsAreOneProcess) {
  const std::uint64_t epoch = process_epoch();
  const std::uint64_t start = this_process().start_time;
  std::thread([&] {
    EXPECT_EQ(process_epoch(), epoch);
    EXPECT_EQ(this_process().start_time, start);
  }).join();
}

TEST(ThisProcess, AThreadBornWithoutDescriptorsKnowsItself) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  (void)this_process();
  const test::NoDescriptors none;
  std::thread([] {
    EXPECT_TRUE(this_process().known());
    EXPECT_EQ(this_process().pid, ::getpid());
  }).join();
}

TEST(ThisProcess, AProcessBornWithoutDescriptorsKnowsThatItDoesNot) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  (void)this_process();
  Child child([&] {
    {
      const test::NoDescriptors none;
      EXPECT_FALSE(this_process().known());
    }
    EXPECT_TRUE(this_process().known()) << "asked again, once there are descriptors";
  });
  EXPECT_TRUE(child.join().well());
}

}  // namespace
}  // namespace warren::detail
