// log: each line with the process's pid and name; levels; what fork hands over.
#include <warren/pool/log.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <unistd.h>
#include <warren/pool/process.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/resources.h"

namespace warren::test {
namespace {

using testing::HasSubstr;

class Log : public testing::Test {
 protected:
  ~Log() override { set_log_level(before_); }

  template <class F>
  static std::string told_by(F f) {
    testing::internal::CaptureStderr();
    f();
    return testing::internal::GetCapturedStderr();
  }
  static std::string line(pid_t pid, const std::string& rest) {
    return "warren[" + std::to_string(pid) + "] " + rest + '\n';
  }

 private:
  const LogLevel before_ = log_level();
};

TEST_F(Log, ALineHasPidNameAndLevel) {
  EXPECT_EQ(told_by([] { log(LogLevel::kWarning, "no {} here"); }),
            line(::getpid(), "MainProcess warning: no {} here"));
  EXPECT_EQ(told_by([] { logger().error("{} of {}", 1, 2); }), line(::getpid(), "MainProcess error: 1 of 2"));
}

TEST_F(Log, WhatIsBelowTheLevelIsNotTold) {
  const auto all = [] {
    for (const LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError})
      log(level, std::to_string(static_cast<int>(level)));
    log(LogLevel::kOff, "never");
  };
  const std::vector<std::string> told{"MainProcess debug: 0", "MainProcess info: 1", "MainProcess warning: 2",
                                      "MainProcess error: 3"};
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError, LogLevel::kOff}) {
    set_log_level(level);
    EXPECT_EQ(log_level(), level);
    std::string expected;
    for (std::size_t i = static_cast<std::size_t>(level); i < told.size(); ++i) expected += line(::getpid(), told[i]);
    EXPECT_EQ(told_by(all), expected);
    EXPECT_EQ(told_by([&] { std::thread(all).join(); }), expected) << "of every thread";
  }
}

TEST_F(Log, ProcessesAndWorkersHaveTheirNamesAndTheLevelOfTheirParent) {
  set_log_level(LogLevel::kInfo);
  pid_t pid = 0;
  const std::string by_process = told_by([&] {
    Process p = Process::start({.name = "consumer"}, [] { log(LogLevel::kInfo, "here"); }).value();
    pid = p.pid();
  });
  EXPECT_EQ(by_process, line(pid, "consumer info: here"));
  const std::string by_worker = told_by([&] {
    Pool pool = Pool::create({.workers = 1}).value();
    pid = pool.apply([] { return log(LogLevel::kInfo, "in a task"), ::getpid(); }).value();
  });
  EXPECT_THAT(by_worker, HasSubstr(line(pid, "warren-worker-0 info: in a task")));
}

TEST_F(Log, ThePoolsSupervisorTellsUnderItsOwnName) {
  set_log_level(LogLevel::kInfo);
  EXPECT_THAT(told_by([] {
                Pool pool = Pool::create({.workers = 1}).value();
                (void)pool.apply([] { ::_exit(3); });
              }),
              HasSubstr("] warren-pool info: worker "));
}

TEST_F(Log, TheEnvironmentSaysHowMuchUntilTheProgramDoes) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto level_of = [&self](const std::string& text) {
    return std::system(("WARREN_LOG=" + text + ' ' + self + " --gtest_filter=LogLevels.* >/dev/null").c_str());
  };
  EXPECT_EQ(level_of("info"), 0);
  EXPECT_EQ(level_of("off"), 0);
  EXPECT_EQ(level_of("warn"), 0);
  EXPECT_EQ(level_of("INFO"), 0);
}
TEST_F(Log, WhatIsNoLevelInTheEnvironmentIsToldOnce) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = "WARREN_LOG=verbose " + self + " --gtest_filter=LogLevels.* >/dev/null";
  const std::string told = told_by([&] { EXPECT_EQ(std::system(command.c_str()), 0); });
  EXPECT_THAT(told, HasSubstr("MainProcess warning: WARREN_LOG=verbose: not one of debug, info, warn, error, off"));
  EXPECT_EQ(std::ranges::count(told, '\n'), 1);
}
// Run by the test above.
TEST(LogLevels, OfTheEnvironment) {
  const char* const text = std::getenv("WARREN_LOG");
  const std::string asked = text != nullptr ? text : "warn";
  if (asked == "info" || asked == "INFO") {
    EXPECT_EQ(log_level(), LogLevel::kInfo);
  }
  if (asked == "off") {
    EXPECT_EQ(log_level(), LogLevel::kOff);
  }
  if (asked == "warn" || asked == "verbose") {
    EXPECT_EQ(log_level(), LogLevel::kWarning);
  }
}

// Nobody reads it, and it is full: who tells something goes on.
TEST_F(Log, NobodyWaitsForAReader) {
  EXPECT_TRUE(Child([] {
                int ends[2];
                if (::pipe(ends) != 0) return 1;
                ::dup2(ends[1], STDERR_FILENO);
                for (int i = 0; i < 2000; ++i) log(LogLevel::kError, std::string(100, 'x'));
                return 0;
              })
                  .join()
                  .well());
}

}  // namespace
}  // namespace warren::test
