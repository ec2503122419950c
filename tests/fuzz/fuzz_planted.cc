// The control: reads past the end of what it allocated, but only behind three bytes that have to be found first.
#include <cstdint>
#include <memory>

#include "fuzz/must.h"
#include "fuzz/targets.h"

namespace warren::fuzz {

void planted(Bytes bytes) {
  if (bytes.size() < 4 || bytes[0] != std::byte{'w'} || bytes[1] != std::byte{'r'} || bytes[2] != std::byte{'n'})
    return;
  const auto table = std::make_unique<std::uint8_t[]>(16);
  must(table[static_cast<std::size_t>(bytes[3])] == 0, "what is new is zero");
}

}  // namespace warren::fuzz
