// What the fuzzed objects hold.
#pragma once
#include <cstdint>

namespace warren::fuzz {

struct Large {
  std::uint64_t words[9] = {};
};

// More than a slot takes: it travels in a block.
struct Huge {
  std::uint64_t words[40] = {};
};

}  // namespace warren::fuzz
