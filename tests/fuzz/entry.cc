// libFuzzer's entry; WARREN_FUZZ_TARGET names one of targets.h.
#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  warren::fuzz::WARREN_FUZZ_TARGET(std::as_bytes(std::span(data, size)));
  return 0;
}
