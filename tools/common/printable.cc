#include "printable.h"

#include <cstddef>
#include <cstdint>

namespace warren::tools {
namespace {

unsigned char byte_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

// How many bytes the valid, harmless UTF-8 character at the front of `text` takes; 0: there is none.
std::size_t harmless_character(std::string_view text) {
  const unsigned char first = byte_at(text, 0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  std::uint32_t character = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte_at(text, i) & 0x3fu);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool overlong = character < kLeast[length];
  const bool surrogate = character >= 0xd800 && character <= 0xdfff;
  const bool control = character < 0xa0;                                // C1
  const bool turns_text = (character >= 0x202a && character <= 0x202e)  // bidirectional overrides and isolates,
                          || (character >= 0x2066 && character <= 0x2069);
  const bool breaks_line = character == 0x2028 || character == 0x2029;
  return overlong || surrogate || control || turns_text || breaks_line || character > 0x10ffff ? 0 : length;
}

void append_escaped(std::string& to, unsigned char byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  switch (byte) {
    case '\n': to += "\\n"; break;
    case '\t': to += "\\t"; break;
    case '\r': to += "\\r"; break;
    default: to += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  }
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = harmless_character(text);
    if (length == 0) {
      append_escaped(result, byte_at(text, 0));
    } else if (text[0] == '\\') {
      result += "\\\\";
    } else {
      result += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

}  // namespace warren::tools
