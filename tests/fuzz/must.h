// must(): what a target asserts.
#pragma once
#include <cstdio>
#include <cstdlib>

namespace warren::fuzz {

inline void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

}  // namespace warren::fuzz
