// ElementType: what T a segment was made for, in words that another process, compiled separately, compares.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <typeinfo>

namespace warren::detail {

struct ElementType {
  std::uint64_t size = 0;
  std::uint32_t align = 0;
  std::uint64_t hash = 0;         // FNV-1a of the mangled name: compilers of the Itanium ABI agree on it
  const char* mangled = nullptr;  // null: plain bytes

  [[nodiscard]] std::string readable() const;  // "int", "Order"
};

[[nodiscard]] constexpr std::uint64_t fnv1a(const char* text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (; *text != '\0'; ++text) hash = (hash ^ static_cast<unsigned char>(*text)) * 0x100000001b3;
  return hash;
}

template <class T>
[[nodiscard]] ElementType element_type() {
  const char* mangled = typeid(T).name();
  return {.size = sizeof(T), .align = alignof(T), .hash = fnv1a(mangled), .mangled = mangled};
}

}  // namespace warren::detail
