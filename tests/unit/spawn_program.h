// The program that the tests of spawn are, and that each of them starts anew: what its main() does wrong, where a test
// asks for it by a variable of the environment, and what it did before main().
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>
#include <warren/pool/pool.h>
#include <warren/pool/process.h>

#include <string>

namespace warren::test {

inline constexpr const char* kWrong = "SPAWN_TEST_WRONG";       // what main() does before it comes to enter()
inline constexpr const char* kExitMark = "SPAWN_TEST_AT_EXIT";  // a file that the program's atexit handler makes

// A variable of the environment for the length of a test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

inline absl::StatusOr<Pool> spawn_pool(std::uint32_t workers = 1) {
  return Pool::create({.workers = workers, .start_method = StartMethod::kSpawn});
}
inline constexpr auto kSpawned = [](std::string name = {}) {
  return ProcessOptions{.name = std::move(name), .start_method = StartMethod::kSpawn};
};

inline int made_by_main = 0;  // set behind enter(): no spawned process has it

}  // namespace warren::test
