#include "support/resources.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>

namespace warren::test {
namespace {

namespace fs = std::filesystem;

pid_t tests_pid() {  // of the test program, also in its children
  static const pid_t pid = ::getpid();
  return pid;
}

std::string prefix() { return "warren-test." + std::to_string(tests_pid()) + "."; }

std::set<std::string> descriptors() {
  std::set<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the one that lists the directory
    const fs::path target = fs::read_symlink(entry.path(), gone);
    if (!gone && target.string().find("/proc/" + std::to_string(::getpid()) + "/fd") == std::string::npos) {
      found.insert(entry.path().filename().string() + " -> " + target.string());
    }
  }
  return found;
}

std::set<std::string> names() {
  std::set<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix())) found.insert(name);
  }
  return found;
}

std::size_t count_children() {
  std::size_t count = 0;
  for (const fs::directory_entry& task : fs::directory_iterator("/proc/self/task")) {
    std::ifstream children(task.path() / "children");
    for (std::string pid; children >> pid;) ++count;
  }
  return count;
}

std::size_t count_threads() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& task : fs::directory_iterator("/proc/self/task")) ++count;
  return count;
}

void list_new(std::ostream& out, const char* what, const std::set<std::string>& before,
              const std::set<std::string>& now) {
  for (const std::string& each : now) {
    if (!before.contains(each)) out << what << each << '\n';
  }
}

class LeakCheck : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo&) override {
    // ThreadSanitizer starts a thread of its own with the first of ours.
    static const bool warm = (std::thread([] {}).join(), true);
    (void)warm;
    before_ = Census::now();
  }
  void OnTestEnd(const ::testing::TestInfo&) override {
    // A joined thread is on the kernel's list a moment longer.
    for (int look = 0; look < 10'000 && count_threads() > before_.threads; ++look) ::sched_yield();
    const std::string left = Census::left_behind(before_, Census::now());
    if (!left.empty()) ADD_FAILURE() << "left behind:\n" << left;
  }
  Census before_;
};

}  // namespace

Census Census::now() {
  return {.descriptors = test::descriptors(),
          .names = test::names(),
          .threads = count_threads(),
          .children = count_children()};
}

std::string Census::left_behind(const Census& before, const Census& now) {
  std::ostringstream out;
  list_new(out, "descriptor ", before.descriptors, now.descriptors);
  list_new(out, "name ", before.names, now.names);
  if (now.threads > before.threads) out << now.threads - before.threads << " threads\n";
  if (now.children > before.children) out << now.children - before.children << " children\n";
  return out.str();
}

std::string unique_name(const std::string& text) {
  static std::atomic<unsigned> last{0};
  return prefix() + std::to_string(::getpid()) + "." + std::to_string(++last) + (text.empty() ? "" : "." + text);
}

bool install_leak_check() {
  static const bool installed = [] {
    (void)tests_pid();
    ::testing::UnitTest::GetInstance()->listeners().Append(new LeakCheck);
    return true;
  }();
  return installed;
}

}  // namespace warren::test
