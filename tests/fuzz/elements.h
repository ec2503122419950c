// What the fuzzed objects hold.
#pragma once
#include <cstdint>

namespace warren::fuzz {

struct Large {
  std::uint64_t words[9] = {};
};

}  // namespace warren::fuzz
