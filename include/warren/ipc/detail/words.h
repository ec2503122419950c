// How shared memory is read and written where that is not one atomic field.
// Payloads as 8-byte words: copied with relaxed atomics, since a reader may look while a writer overwrites and finds
// out only afterwards that what it copied is void.
#pragma once
#include <warren/ipc/detail/plain_bytes.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace warren::detail {

// A peer may change it at any time: loaded once, so that what is checked is what is used.
template <class T>
[[nodiscard]] T read_once(const T& field) noexcept {
  return *static_cast<const volatile T*>(&field);
}

template <std::size_t N>
using Words = std::array<std::uint64_t, N>;

template <class T>
inline constexpr std::size_t kWordsOf = (sizeof(T) + 7) / 8;

template <class T>
[[nodiscard]] Words<kWordsOf<T>> to_words(const T& value) noexcept {
  static_assert(std::is_trivially_copyable_v<T>, "what is not plain bytes travels as a parcel");
  Words<kWordsOf<T>> words{};
  std::memcpy(words.data(), static_cast<const void*>(&value), sizeof(T));
  return words;
}

// T need not be default constructible: it is plain bytes.
template <class T>
[[nodiscard]] T from_words(const Words<kWordsOf<T>>& words) noexcept {
  static_assert(std::is_trivially_copyable_v<T>, "what is not plain bytes travels as a parcel");
  return value_at<T>(reinterpret_cast<const std::byte*>(words.data()));
}

template <std::size_t N>
void store_words(std::byte* to, const Words<N>& from) noexcept {
  auto* words = reinterpret_cast<std::uint64_t*>(to);
  for (std::size_t i = 0; i < N; ++i) std::atomic_ref(words[i]).store(from[i], std::memory_order_relaxed);
}

template <std::size_t N>
void load_words(const std::byte* from, Words<N>& to) noexcept {
  auto* words = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(from));
  for (std::size_t i = 0; i < N; ++i) to[i] = std::atomic_ref(words[i]).load(std::memory_order_relaxed);
}

}  // namespace warren::detail
