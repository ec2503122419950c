// What programs that spawn do wrong, and are told. And main() of all tests of spawn.
#include <absl/status/status.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/pool/detail/spawn_patience.h>
#include <warren/pool/start_method.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

constexpr const char* kRuns = "SPAWN_TEST_RUNS";
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
  if (how == "writes") std::printf("once\n");
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
  EXPECT_THAT(std::string(told("closes all").message()),
              AllOf(HasSubstr("exit code 121"), HasSubstr("came to warren::enter()")));
}

TEST(Enter, AVariableThatIsAnothersIsNoStart) {
  EXPECT_TRUE(told("starts another").ok());
  const Variable variable("WARREN_START", "nonsense");
  EXPECT_TRUE(spawn_pool().ok()) << "what a program was given by somebody";
  const Variable ours("WARREN_START", std::to_string(::getppid()) + ".100");
  EXPECT_TRUE(spawn_pool().ok());
  EXPECT_EQ(make_pool(1).apply([] { return 3; }).value(), 3) << "enter() was called";
}

// This program, started by exec: what its main() does then is said by kRuns.
Ended run_program(const std::string& file, const std::vector<std::string>& arguments, const char* runs) {
  Child program([&] {
    const Variable variable(kRuns, runs);
    std::vector<char*> pointers;
    for (const std::string& each : arguments) pointers.push_back(const_cast<char*>(each.c_str()));
    pointers.push_back(nullptr);
    ::execv(file.c_str(), pointers.data());
    return 99;
  });
  if (!eventually([&] { return gone(program.pid()); }, kPromptly)) return program.kill();
  return program.join();
}
std::string this_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

TEST(Enter, AVariableThatWasLeftBehindStopsNoProgram) {
  Child dead([] {});
  const std::string nobody = std::to_string(dead.pid());
  (void)dead.join();
  for (const std::string& value : std::vector<std::string>{nobody + ".100", nobody + ".0", "1.100", "nonsense", "."}) {
    const Variable forged("WARREN_START", value);
    EXPECT_EQ(run_program(this_program(), {this_program()}, "plain").code, 42) << value;
  }
  const Variable forged("WARREN_START", std::to_string(::getpid()) + ".100");
  EXPECT_EQ(run_program(this_program(), {this_program()}, "plain").code, 121) << "as a start that lost its record";
}

std::string interpreter() {
  std::string found;
  ::dl_iterate_phdr(
      [](dl_phdr_info* program, std::size_t, void* to) {
        for (int i = 0; i < program->dlpi_phnum; ++i) {
          const auto& each = program->dlpi_phdr[i];
          if (each.p_type == PT_INTERP)
            *static_cast<std::string*>(to) = reinterpret_cast<const char*>(program->dlpi_addr + each.p_vaddr);
        }
        return 1;
      },
      &found);
  return found;
}

TEST(Enter, AProgramThatTheLoaderWasToldToRunIsRefused) {
  const std::string loader = interpreter();
  if (loader.empty()) GTEST_SKIP() << "linked statically";
  EXPECT_EQ(run_program(loader, {loader, this_program(), "/bin/false"}, "by the loader").code, 42);
}

// The children of a process that has done this are in the new namespace, where it has no number itself.
TEST(Enter, ChildrenInAnotherPidNamespaceAreAnErrorThatSaysSo) {
  Child spawns([] {
    if (::unshare(CLONE_NEWPID) != 0) return 77;
    const absl::Status status = spawn_pool().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("pid namespace"));
    return 0;
  });
  const Ended ended = spawns.join();
  if (ended.code == 77) GTEST_SKIP() << "namespaces are not permitted here";
  EXPECT_TRUE(ended.well());
  Child forks([] {
    ASSERT_EQ(::unshare(CLONE_NEWPID), 0);
    const absl::Status status = make_pool(1).apply([] {});  // its /proc is that of the other namespace
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("/proc"));
  });
  EXPECT_TRUE(forks.join().well());
}

TEST(Enter, WhatWasWrittenBeforeItIsSeenOnce) {
  const Variable wrong(kWrong, "writes");
  testing::internal::CaptureStdout();
  {
    Pool pool = spawn_pool(3).value();
    EXPECT_EQ(workers_of(pool).size(), 3u);
    EXPECT_TRUE(pool.shutdown().ok());
  }
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_EQ(text, "once\n");
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

  std::filesystem::create_directory(empty / "proc");
  Child without_loader([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("/proc", (empty / "proc").c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
      return;  // not permitted
    ASSERT_EQ(::chroot(empty.c_str()), 0);
    EXPECT_THAT(std::string(Process::start(kSpawned(), [] {}).status().message()), HasSubstr("dynamic loader"));
  });
  EXPECT_TRUE(without_loader.join().well());
  std::filesystem::remove(empty / "proc");
  std::filesystem::remove(empty);
}

TEST(Enter, MayBeCalledAgain) {
  enter(0, nullptr);
  EXPECT_TRUE(spawn_pool().ok());
}

// A program that was replaced since, as by an upgrade: it is spawned as it was.
TEST(Enter, AProgramWhoseFileWasRemovedIsSpawnedAsItWas) {
  namespace fs = std::filesystem;
  const fs::path copy = fs::path(this_program()).parent_path() / unique_name("spawn");  // where programs may run
  fs::copy_file("/proc/self/exe", copy);
  EXPECT_EQ(run_program(copy.string(), {copy.string()}, "removed").code, 42);
  EXPECT_FALSE(fs::exists(copy));
}

int square(int x) { return x * x; }

// main() of run_program(). 42: as it should be.
int run_as_told(std::string_view how, const char* file) {
  if (how == "plain") return ::getenv("WARREN_START") == nullptr ? 42 : 1;
  if (how == "by the loader") {
    const absl::Status status = spawn_pool().status();
    return absl::IsFailedPrecondition(status) && status.message().find("ld.so") != std::string::npos ? 42 : 1;
  }
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
  if (const char* runs = ::getenv(test::kRuns)) return test::run_as_told(runs, argv[0]);
  ::dlopen(WARREN_LATE_FUNCTIONS, RTLD_NOW | RTLD_GLOBAL);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
