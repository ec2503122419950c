// AtomicCell: a T of up to 8 plain bytes in shared memory, read and changed whole by the hardware, as std::atomic
// would. docs/algorithms/value.md.
#pragma once
#include <warren/ipc/detail/plain_bytes.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstdint>
#include <utility>

namespace warren::detail {

// What std::atomic calculates with. A bool is no number.
template <class T>
concept Integer = std::integral<T> && !std::same_as<std::remove_cv_t<T>, bool>;
template <class T>
concept Number = Integer<T> || std::floating_point<T>;

// --- padding: what copies leave as it was, so that it must not take part where values are compared -------------------

template <class T>
constexpr std::array<std::byte, sizeof(T)> bytes_of_zero() {
  return __builtin_bit_cast(std::array<std::byte, sizeof(T)>,
                            __builtin_bit_cast(T, std::array<std::byte, sizeof(T)>{}));
}
template <class T>
concept HasVisibleBytes = requires { typename std::bool_constant<(bytes_of_zero<T>(), true)>; };
// A padding byte is indeterminate, and to look at one is no constant expression.
template <class T, std::size_t kIndex>
concept HasByte = requires { typename std::bool_constant<(bytes_of_zero<T>()[kIndex] == std::byte{0})>; };

// The smallest unsigned integer that holds `kBytes`.
template <std::size_t kBytes>
using UnsignedFor = std::conditional_t<
    kBytes == 1, std::uint8_t,
    std::conditional_t<kBytes == 2, std::uint16_t, std::conditional_t<kBytes <= 4, std::uint32_t, std::uint64_t>>>;

// All bits of T's first 8 bytes that are no padding. Of a type that the compiler cannot look into (kCopyAsBytes by
// hand), all.
template <class T>
consteval UnsignedFor<std::min<std::size_t>(sizeof(T), 8)> bits_that_count() {
  constexpr std::size_t kBytes = std::min<std::size_t>(sizeof(T), 8);
  std::array<std::uint8_t, sizeof(UnsignedFor<kBytes>)> mask{};
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    if constexpr (HasVisibleBytes<T>) {
      ((mask[I] = HasByte<T, I> ? 0xff : 0), ...);
    } else {
      ((mask[I] = 0xff), ...);
    }
  }(std::make_index_sequence<kBytes>());
  return std::bit_cast<UnsignedFor<kBytes>>(mask);
}

// Whoever uses one asserts that T is of that size, and fit for what it calls, and says what else to do. After such an
// error this compiles all the same, so that it is the only one.
template <class T>
class AtomicCell {
  static constexpr std::size_t kBytes = std::min<std::size_t>(sizeof(T), 8);

 public:
  using Word = UnsignedFor<kBytes>;

  // The memory of a Word, aligned as one.
  explicit AtomicCell(void* at) noexcept : word_(*static_cast<Word*>(at)) {}

  [[nodiscard]] static Word word_of(const T& value) noexcept {
    Word word = 0;
    std::memcpy(&word, static_cast<const void*>(&value), kBytes);
    return word & bits_that_count<T>();
  }
  [[nodiscard]] static T value_of(Word word) noexcept {
    if constexpr (std::same_as<T, bool>) {
      return word != 0;  // a peer's byte: a bool of any other value would be none
    } else {
      return value_at<T>(reinterpret_cast<const std::byte*>(&word));
    }
  }

  [[nodiscard]] T load() const noexcept {
    return value_of(word_.load(std::memory_order_seq_cst));  // [V1] pairs with V2, V3, V4, V5
  }
  void store(const T& value) noexcept {
    word_.store(word_of(value), std::memory_order_seq_cst);  // [V2] pairs with V1
  }
  T exchange(const T& value) noexcept {
    return value_of(word_.exchange(word_of(value), std::memory_order_seq_cst));  // [V3] pairs with V1
  }
  // Compares the bytes that count. Never fails without a reason.
  bool compare_exchange(T& expected, const T& desired) noexcept {
    const Word wanted = word_of(expected);
    Word found = wanted;
    while (!word_.compare_exchange_strong(found, word_of(desired),
                                          std::memory_order_seq_cst)) {  // [V4] pairs with V1
      if ((found & bits_that_count<T>()) != wanted) {
        expected = value_of(found);
        return false;
      }
      // It differs in padding alone, which a plain write into an array leaves as it pleases.
    }
    return true;
  }

  // Calls change(T&) with a copy, and again with a fresh one where somebody else was faster. Returns what was there and
  // what is.
  template <class F>
  std::pair<T, T> modify(F&& change) {
    Word found = word_.load(std::memory_order_seq_cst);  // [V1]
    for (;;) {
      const T before = value_of(found);
      T after = before;
      change(after);
      if (word_.compare_exchange_strong(found, word_of(after), std::memory_order_seq_cst))  // [V4]
        return {before, after};
    }
  }

  // Numbers. Integers wrap around, signed ones too.
  T fetch_add(T d) noexcept {
    if constexpr (std::floating_point<T>) {
      return modify([d](T& x) { x += d; }).first;
    } else {
      return value_of(word_.fetch_add(word_of(d), std::memory_order_seq_cst));  // [V5] pairs with V1
    }
  }
  T fetch_sub(T d) noexcept {
    if constexpr (std::floating_point<T>) {
      return modify([d](T& x) { x -= d; }).first;
    } else {
      return value_of(word_.fetch_sub(word_of(d), std::memory_order_seq_cst));  // [V5]
    }
  }
  // Integers.
  T fetch_and(T d) noexcept { return value_of(word_.fetch_and(word_of(d), std::memory_order_seq_cst)); }  // [V5]
  T fetch_or(T d) noexcept { return value_of(word_.fetch_or(word_of(d), std::memory_order_seq_cst)); }    // [V5]
  T fetch_xor(T d) noexcept { return value_of(word_.fetch_xor(word_of(d), std::memory_order_seq_cst)); }  // [V5]

 private:
  // Compilers take an atomic for an access to any memory, so that elements of another type may lie here.
  std::atomic_ref<Word> word_;
};

// a + b and a - b as fetch_add() and fetch_sub() leave them.
template <class T>
[[nodiscard]] T sum_of(T a, T b) noexcept {
  if constexpr (Number<T> && (std::floating_point<T> || sizeof(T) > 8)) {
    return a + b;
  } else {
    using Cell = AtomicCell<T>;
    return Cell::value_of(static_cast<typename Cell::Word>(Cell::word_of(a) + Cell::word_of(b)));
  }
}
template <class T>
[[nodiscard]] T difference_of(T a, T b) noexcept {
  if constexpr (Number<T> && (std::floating_point<T> || sizeof(T) > 8)) {
    return a - b;
  } else {
    using Cell = AtomicCell<T>;
    return Cell::value_of(static_cast<typename Cell::Word>(Cell::word_of(a) - Cell::word_of(b)));
  }
}

}  // namespace warren::detail
