// What programs that spawn do wrong, and are told. And main() of all tests of spawn.
#include <absl/status/status.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/pool/detail/spawn_patience.h>
#include <warren/pool/start_method.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "spawn_program.h"
#include "support/child.h"
#include "support/isolation.h"
#include "support/pool_world.h"
#include "support/resources.h"

namespace warren::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kPidFile = "SPAWN_TEST_PID_FILE";

// In the spawned process: main() has not come to enter() yet.
void be_wrong(std::string_view how) {
  if (how == "ends") ::_exit(3);
  if (how == "dies") ::abort();
  if (how == "makes a pool" || how == "starts a process") {
    const absl::Status status =
        how == "makes a pool" ? Pool::create({.workers = 1}).status() : Process::start([] {}).status();
    if (!absl::IsFailedPrecondition(status)) ::_exit(0);
    for (;;) ::pause();  // a program that does not heed it
  }
  if (how == "never comes") {
    for (;;) ::pause();
  }
  if (how == "closes all") {
    for (int fd = 3; fd < 100; ++fd) ::close(fd);
  }
  if (how == "loses its parent") {
    std::ofstream(::getenv(kPidFile)) << ::getpid() << std::flush;
    const pid_t parent = ::getppid();
    ::kill(parent, SIGKILL);
    while (::getppid() == parent) ::usleep(1000);
  }
  if (how == "starts another") {  // which finds the variable, and is not meant
    const pid_t pid = ::fork();
    if (pid == 0) {
      enter(0, nullptr);
      ::_exit(::getenv("WARREN_START") == nullptr ? 7 : 8);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (WEXITSTATUS(status) != 7) ::_exit(4);
  }
}

absl::Status told(const char* wrong) {
  const Variable variable(kWrong, wrong);
  const absl::Status of_pool = spawn_pool().status();
  const absl::Status of_process = Process::start(kSpawned(), [] {}).status();
  EXPECT_EQ(of_pool, of_process);
  return of_pool;
}

TEST(Enter, AProgramThatEndsBeforeItIsToldSo) {
  const absl::Status ended = told("ends");
  EXPECT_EQ(ended.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ended.message()), AllOf(HasSubstr("exit code 3"), HasSubstr("warren::enter(argc, argv)")));
  EXPECT_THAT(std::string(told("dies").message()), HasSubstr("signal 6"));
}

TEST(Enter, WhatNeedsItAndComesBeforeItIsRefusedAndTheParentToldSo) {
  EXPECT_THAT(std::string(told("makes a pool").message()),
              AllOf(HasSubstr("came to Pool::create before warren::enter()"), HasSubstr("Remedy")));
  EXPECT_THAT(std::string(told("starts a process").message()), HasSubstr("came to Process::start before"));
}

TEST(Enter, AProgramThatNeverComesThereIsKilled) {
  const Timeout before = std::exchange(detail::spawn_patience(), Timeout(100ms));
  const absl::Status late = told("never comes");
  detail::spawn_patience() = before;
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(late.message()), HasSubstr("warren::enter(argc, argv)"));
}

TEST(Enter, AProgramThatClosesWhatItShouldFindDoesNotRunMainAgain) {
  EXPECT_THAT(std::string(told("closes all").message()), HasSubstr("exit code 121"));
}

TEST(Enter, AVariableThatIsAnothersIsNoStart) {
  EXPECT_TRUE(told("starts another").ok());
  const Variable variable("WARREN_START", "nonsense");
  EXPECT_TRUE(spawn_pool().ok()) << "what a program was given by somebody";
  const Variable ours("WARREN_START", "1.100");
  EXPECT_TRUE(spawn_pool().ok());
}

// Killed while it waits for its new process: that ends, and does not run main() either.
TEST(Enter, WhoseParentDiesMeanwhileEnds) {
  const std::string file = (std::filesystem::temp_directory_path() / unique_name("pid")).string();
  Child application([&] {
    const Variable wrong(kWrong, "loses its parent");
    const Variable pid(kPidFile, file);
    (void)spawn_pool();
  });
  EXPECT_EQ(application.join().signal, SIGKILL);
  pid_t pid = 0;
  std::ifstream(file) >> pid;
  EXPECT_GT(pid, 0);
  EXPECT_TRUE(all_gone({pid}));
  std::filesystem::remove(file);
}

TEST(Enter, AProgramWithItsFilesOwnersRightsIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "it takes root to be two users";
  Child two_users([] {
    ASSERT_EQ(::setresuid(65534, 0, 0), 0);
    const absl::Status status = spawn_pool().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("setuid"));
  });
  EXPECT_TRUE(two_users.join().well());
}

TEST(Enter, AProgramThatGaveUpItsPrivilegesSpawns) {
  WARREN_EXPECT_ISOLATED(as_another_user([] {
    auto pool = spawn_pool();
    ASSERT_TRUE(pool.ok()) << pool.status();
    EXPECT_EQ(pool->apply([] { return ::geteuid() != 0; }).value(), true);
  }));
}

TEST(Enter, WithoutProcItIsAnError) {
  if (::geteuid() != 0) GTEST_SKIP() << "it takes root to change the root directory";
  const std::filesystem::path empty = std::filesystem::temp_directory_path() / unique_name("root");
  std::filesystem::create_directory(empty);
  Child without([&] {
    ASSERT_EQ(::chroot(empty.c_str()), 0);
    const absl::Status status = Process::start(kSpawned(), [] {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("mount /proc"));
  });
  EXPECT_TRUE(without.join().well());
  std::filesystem::remove(empty);
}

TEST(Enter, MayBeCalledAgain) {
  enter(0, nullptr);
  EXPECT_TRUE(spawn_pool().ok());
}

// A program that was replaced since, as by an upgrade: it is spawned as it was.
TEST(Enter, AProgramWhoseFileWasRemovedIsSpawnedAsItWas) {
  namespace fs = std::filesystem;
  const fs::path copy = fs::temp_directory_path() / unique_name("spawn");
  const fs::path mark = copy.string() + ".mark";
  fs::copy_file("/proc/self/exe", copy);
  const Variable variable("SPAWN_TEST_REMOVED", copy.string());
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(copy.c_str(), copy.c_str(), nullptr);
    ::_exit(99);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
  EXPECT_FALSE(fs::exists(copy));
}

int square(int x) { return x * x; }

// main() of the copy.
int when_removed(const char* file) {
  std::filesystem::remove(file);
  auto pool = spawn_pool();
  if (!pool.ok()) return 1;
  return pool->apply(square, 6).value() + 6;
}

}  // namespace
}  // namespace warren::test

int main(int argc, char** argv) {
  namespace test = warren::test;
  if (::getenv("WARREN_START") != nullptr) {
    if (const char* wrong = ::getenv(test::kWrong)) test::be_wrong(wrong);
  }
  std::atexit([] {
    if (const char* mark = ::getenv(test::kExitMark)) std::ofstream(mark, std::ios::app) << "x";
  });
  warren::enter(argc, argv);
  test::made_by_main = 5;
  if (const char* removed = ::getenv("SPAWN_TEST_REMOVED")) return test::when_removed(removed);
  ::dlopen(WARREN_LATE_FUNCTIONS, RTLD_NOW | RTLD_GLOBAL);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
