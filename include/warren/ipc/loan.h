// Loan<T> and Borrow<T>: items of a Queue<T> that are written, and read, in the queue's own memory, where nothing is
// copied: an item of a megabyte costs what one of 8 bytes does.
//
//   if (auto frame = frames.loan(1920 * 1080)) {       // std::vector<Pixel>: a span of so many
//     render(*frame);
//     frames.push(std::move(frame));
//   }
//   if (auto frame = frames.borrow()) show(*frame);    // the memory is the queue's again at the end of `frame`
//
// For T of plain bytes (by reference), std::vector of plain bytes and std::string (as a span). Others have to be
// encoded and are pushed and popped. Plain T of up to 256 bytes lies in the ring itself, where it cannot be lent: a
// Loan of it is a T of the caller's, a Borrow a copy, by the same rules.
//
// Both are empty where there was nothing, move-only, and may go to another thread, or outlive the thread and the handle
// that made them. They are their process's: a forked child inherits them empty, and one whose process dies goes back to
// the queue by itself. A borrowed item is taken: it is gone if the borrower dies. SpscRecords lends places of its ring,
// by rules of its own (spsc_records.h).
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/parcels.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace warren {

class SpscRecords;
template <class T>
class Queue;

namespace detail {

template <class T>
class SlotItems;
template <class T>
class ParcelItems;

inline constexpr std::size_t kMostInSlot = 256;
// Plain bytes, few enough to be copied through the ring itself.
template <class T>
inline constexpr bool kInSlot = kCopyAsBytes<T> && sizeof(T) <= kMostInSlot;

// How T lies in memory that is lent: where its bytes are its value.
template <class T>
struct Inplace {
  using Element = T;
  using Ref = T&;
  using ConstRef = const T&;
  static std::span<const std::byte> bytes(const T& value) noexcept { return std::as_bytes(std::span(&value, 1)); }
  static bool fits(std::size_t bytes) noexcept { return bytes == sizeof(T); }
  static T value(std::span<const std::byte> bytes) noexcept { return value_at<T>(bytes.data()); }
  static Ref at(std::byte* memory, std::size_t) noexcept { return *std::launder(reinterpret_cast<T*>(memory)); }
};
template <class E>
struct Inplace<std::vector<E>> {
  using Element = E;
  using Ref = std::span<E>;
  using ConstRef = std::span<const E>;
  static std::span<const std::byte> bytes(const std::vector<E>& value) noexcept {
    return std::as_bytes(std::span(value));
  }
  static bool fits(std::size_t bytes) noexcept { return bytes % sizeof(E) == 0; }
  static std::vector<E> value(std::span<const std::byte> bytes) { return plain_elements<E>(bytes); }
  static Ref at(std::byte* memory, std::size_t bytes) noexcept {
    return {std::launder(reinterpret_cast<E*>(memory)), bytes / sizeof(E)};
  }
};
template <>
struct Inplace<std::string> {
  using Element = char;
  using Ref = std::span<char>;
  using ConstRef = std::span<const char>;
  static std::span<const std::byte> bytes(const std::string& value) noexcept { return std::as_bytes(std::span(value)); }
  static bool fits(std::size_t) noexcept { return true; }
  static std::string value(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  static Ref at(std::byte* memory, std::size_t bytes) noexcept { return {reinterpret_cast<char*>(memory), bytes}; }
};

template <class T>
inline constexpr bool kLendable = kCopyAsBytes<T>;
template <class E>
inline constexpr bool kLendable<std::vector<E>> = kCopyAsBytes<E> && !std::same_as<E, bool>;
template <>
inline constexpr bool kLendable<std::string> = true;
template <class T>
concept Lendable = kLendable<T>;

// To be asked in a static_assert by loan() and borrow().
template <class T>
consteval bool check_lendable() {
  static_assert(
      !Carriable<T> || Lendable<T>,
      "this type cannot be lent: it is encoded when it is pushed, and does not lie in the queue's memory as it "
      "is. Remedy: push(item) and pop(); or a type whose bytes are its value: a struct of plain fields, "
      "std::vector of such, std::string");
  if constexpr (Lendable<T>) {
    static_assert(alignof(typename Inplace<T>::Element) <= layout::kPage, "memory is lent at the start of a page");
  }
  return true;
}

// Memory of a lent item: a block of the queue's, or this object's own, where the item came in its slot.
template <class T>
class LentPlace {
  static constexpr std::size_t kOwn = kInSlot<T> ? sizeof(T) : layout::kParcelInline;

 public:
  explicit LentPlace(std::nullptr_t) noexcept {}
  LentPlace() noexcept
    requires kInSlot<T>
      : bytes_(sizeof(T)), own_(process_epoch()) {}
  template <std::size_t N>
  explicit LentPlace(const Words<N>& words) noexcept
    requires kInSlot<T>
      : LentPlace(std::as_bytes(std::span(words)).first(sizeof(T))) {}
  explicit LentPlace(std::span<const std::byte> bytes) noexcept
      : bytes_(std::min(bytes.size(), kOwn)), own_(process_epoch()) {
    std::memcpy(memory_, bytes.data(), bytes_);
  }
  LentPlace(LentBlock block, std::size_t bytes) noexcept : block_(std::move(block)), bytes_(bytes) {}
  LentPlace(LentPlace&& from) noexcept { *this = std::move(from); }
  LentPlace& operator=(LentPlace&& from) noexcept {
    if (this == &from) return *this;
    block_ = std::move(from.block_);
    bytes_ = from.bytes_;
    own_ = std::exchange(from.own_, 0);
    if (own_ != 0) std::memcpy(memory_, from.memory_, kOwn);
    return *this;
  }
  ~LentPlace() = default;

  [[nodiscard]] bool held() const noexcept { return own_ != 0 ? own_ == process_epoch() : block_.held(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] LentBlock& block() noexcept { return block_; }
  [[nodiscard]] const LentBlock& block() const noexcept { return block_; }
  [[nodiscard]] typename Inplace<T>::Ref item() const noexcept {
    return Inplace<T>::at(own_ != 0 ? memory_ : block_.block().memory.data(), bytes_);
  }

 private:
  LentBlock block_;
  std::size_t bytes_ = 0;
  std::uint64_t own_ = 0;  // the epoch of the process whose item lies in memory_; 0: none does
  alignas(typename Inplace<T>::Element) mutable std::byte memory_[kOwn] = {};  // const is the item's, not this object's
};

}  // namespace detail

// Memory to write an item into. What is in it at first is unspecified. Queue::push(std::move(loan)) publishes it;
// otherwise its end gives it back, and nobody saw it.
template <class T>
class [[nodiscard]] Loan {
 public:
  Loan(Loan&&) noexcept = default;
  Loan& operator=(Loan&&) noexcept = default;

  explicit operator bool() const noexcept { return place_.held(); }
  typename detail::Inplace<T>::Ref operator*() noexcept { return place_.item(); }
  T* operator->() noexcept
    requires kCopyAsBytes<T>
  {
    return &place_.item();
  }

 private:
  friend class Queue<T>;
  friend class SpscRecords;
  friend class detail::SlotItems<T>;
  friend class detail::ParcelItems<T>;
  explicit Loan(detail::LentPlace<T> place) noexcept : place_(std::move(place)) {}

  detail::LentPlace<T> place_;
};

// An item read where it lies; its memory is the queue's again when this ends. What a hostile peer writes there
// meanwhile is seen.
template <class T>
class [[nodiscard]] Borrow {
 public:
  Borrow(Borrow&&) noexcept = default;
  Borrow& operator=(Borrow&&) noexcept = default;

  explicit operator bool() const noexcept { return place_.held(); }
  typename detail::Inplace<T>::ConstRef operator*() const noexcept { return place_.item(); }
  const T* operator->() const noexcept
    requires kCopyAsBytes<T>
  {
    return &place_.item();
  }

 private:
  friend class Queue<T>;
  friend class SpscRecords;
  friend class detail::SlotItems<T>;
  friend class detail::ParcelItems<T>;
  explicit Borrow(detail::LentPlace<T> place) noexcept : place_(std::move(place)) {}

  detail::LentPlace<T> place_;
};

template <class T>
inline constexpr bool detail::kOfItsProcess<Loan<T>> = true;
template <class T>
inline constexpr bool detail::kOfItsProcess<Borrow<T>> = true;

}  // namespace warren
