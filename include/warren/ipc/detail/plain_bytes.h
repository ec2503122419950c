// PlainBytes: types whose bytes mean the same in every process, found out by the compiler.
#pragma once
#include <warren/ipc/handle.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>

namespace warren::detail {

// A bit_cast to a type that contains a pointer, a reference or a union is not a constant expression: the one way that
// C++20 has to look into a closure or a class with private members.
template <class T>
constexpr bool probe_bytes() {
  const std::array<unsigned char, sizeof(T)> bytes{};
  [[maybe_unused]] const T t = __builtin_bit_cast(T, bytes);
  return true;
}

// Limits: g++ 12 does not look inside arrays of pointers that are members, clang does; clang takes neither
// bit-fields nor std::complex.
// Bytes are not looked at when they arrive: a bool inside a struct has the value that the peer gave it.
template <class T>
concept PlainBytes =
    std::is_arithmetic_v<T> || std::is_enum_v<T> ||
    (std::is_class_v<T> && std::is_trivially_copyable_v<T> && std::is_destructible_v<T> &&
     std::is_copy_constructible_v<T> && !IsHandle<T> && requires { typename std::bool_constant<probe_bytes<T>()>; });

// The value whose bytes lie at `from`, aligned or not. A bool by itself is true unless its byte is 0: one of another
// byte than 0 and 1, which a peer may write, is undefined behaviour.
template <class T>
T value_at(const std::byte* from) noexcept {
  if constexpr (std::is_same_v<T, bool>) return *from != std::byte{0};
  alignas(T) std::array<std::byte, sizeof(T)> raw;
  std::memcpy(raw.data(), from,
              sizeof(T));  // makes a T of them. (g++ 12 takes some closures for no type to bit_cast to.)
  return *std::launder(reinterpret_cast<const T*>(&raw));
}

}  // namespace warren::detail
