// What a test must leave as it found it: descriptors, threads, children, names in /dev/shm. Whoever includes this has
// it checked after every test of the program.
#pragma once
#include <cstddef>
#include <set>
#include <string>

namespace warren::test {

struct Census {
  std::set<std::string> descriptors;  // "7 -> /memfd:..."
  std::set<std::string> names;        // of this process's tests: those of unique_name()
  std::size_t threads = 0;
  std::size_t children = 0;

  static Census now();
  // Empty where nothing of `now` is missing in `before`; else what was left behind.
  [[nodiscard]] static std::string left_behind(const Census& before, const Census& now);
};

// A name in /dev/shm that no other test uses, of this process or another one.
std::string unique_name(const std::string& text = {});

bool install_leak_check();
inline const bool kLeakCheck = install_leak_check();

}  // namespace warren::test
