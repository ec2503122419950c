// Ways to start processes, in a program that does not call enter(): what forks in the wrong place and spawns are told.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <warren/pool/pool.h>
#include <warren/pool/process.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>

#include "support/child.h"
#include "support/resources.h"

namespace warren::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// What a child that does `run` writes on stderr.
std::string told_by(const std::function<void()>& run) {
  const std::string file = (std::filesystem::temp_directory_path() / unique_name("stderr")).string();
  Child child([&] {
    const int to = ::open(file.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    ::dup2(to, STDERR_FILENO);
    run();
  });
  EXPECT_TRUE(child.join().well());
  std::ifstream text(file);
  const std::string told{std::istreambuf_iterator<char>(text), {}};
  std::filesystem::remove(file);
  return told;
}

TEST(StartMethod, AForkInAProgramWithThreadsIsWarnedOfOnce) {
  const auto two_pools = [] {
    for (int i = 0; i < 2; ++i) EXPECT_EQ(Pool::create({.workers = 1}).value().apply([] { return 7; }).value(), 7);
  };
  EXPECT_EQ(told_by(two_pools), "");
  const std::string told = told_by([&] {
    std::jthread other([](const std::stop_token& stop) {
      while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    });
    two_pools();
  });
  EXPECT_THAT(told, testing::AllOf(HasSubstr("Pool::create in a program of 2 threads"), HasSubstr("kSpawn")));
  EXPECT_EQ(told.find("Pool::create"), told.rfind("Pool::create"));
}

// The main() of this program does not call enter(). It is told before anything is started.
TEST(StartMethod, SpawnNeedsEnterInMain) {
  const absl::Status of_pool = Pool::create({.workers = 1, .start_method = StartMethod::kSpawn}).status();
  const absl::Status of_process = Process::start({.start_method = StartMethod::kSpawn}, [] {}).status();
  for (const absl::Status& status : {of_pool, of_process}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("call warren::enter(argc, argv) first in main()"));
  }
}

}  // namespace
}  // namespace warren::test
