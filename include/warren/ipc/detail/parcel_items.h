// How a T becomes a parcel and a parcel a T, whatever container it travels through. Strings, vectors of plain elements
// and plain values travel as the bytes that they are, so that they can be lent where they lie; others encoded.
#pragma once
#include <warren/ipc/detail/parcels.h>
#include <warren/ipc/loan.h>

#include <optional>
#include <span>

namespace warren::detail {

template <class T>
struct ParcelOf {
  // What is encoded has another size in memory than on its way, and one that a build may decide.
  static ElementType element() {
    ElementType type = element_type<T>();
    if constexpr (!kCopyAsBytes<T>) type.size = type.align = 0;
    return type;
  }
  // The most bytes that a parcel may have where the options say `max_item_bytes`. InvalidArgument: no T has so few.
  static absl::StatusOr<std::size_t> most_bytes(std::size_t max_item_bytes) {
    if constexpr (kCopyAsBytes<T>) {
      if (max_item_bytes != 0 && max_item_bytes < sizeof(T)) return Parcel::too_large(sizeof(T), max_item_bytes);
      return sizeof(T);
    } else {
      return max_item_bytes;
    }
  }
  static absl::Status pack(const T& value, Parcel& parcel) {
    if constexpr (Lendable<T>) {
      return parcel.pack_bytes(Inplace<T>::bytes(value));
    } else {
      return parcel.pack_value(value);
    }
  }
  // What a push holds while it tries.
  struct Outgoing {
    Outgoing(ParcelHeap& parcels, const T& item) noexcept : value(item), heap(parcels), parcel(parcels) {}
    const T& value;
    ParcelHeap& heap;
    Parcel parcel;
    bool fits = false;
  };
  // `refusal()`: what a push would be told now; `push(words, block)`: tries. What never fits is refused at once,
  // however full the container. No block is held while there is no room for its item.
  template <class Refusal, class Try>
  static Push try_push(Outgoing& item, Refusal&& refusal, Try&& push);
  // What a pop took. nullopt: it makes no T, and was counted; so was one whose decoding throws.
  static std::optional<T> open(ParcelHeap& parcels, const TakenParcel& item);
  static std::optional<T> decode(std::optional<std::span<const std::byte>> bytes);  // nullopt: they make no T
};

template <class T>
template <class Refusal, class Try>
Push ParcelOf<T>::try_push(Outgoing& item, Refusal&& refusal, Try&& push) {
  if (!item.fits) {
    if constexpr (Lendable<T>) {
      if (Inplace<T>::bytes(item.value).size() > item.heap.most_bytes()) return Push::kRefused;
    } else {
      if (!pack(item.value, item.parcel).ok()) return Push::kRefused;
    }
    item.fits = true;
  }
  if (const std::optional<Push> refused = refusal()) {
    item.parcel.drop_block();
    return *refused;
  }
  if (!item.parcel.packed() && !pack(item.value, item.parcel).ok()) return Push::kRefused;
  const Push result = item.parcel.push_by(push);
  if (result == Push::kFull) item.parcel.drop_block();
  return result;
}

template <class T>
std::optional<T> ParcelOf<T>::decode(std::optional<std::span<const std::byte>> bytes) {
  if (!bytes) return std::nullopt;
  if constexpr (Lendable<T>) {
    if (!Inplace<T>::fits(bytes->size())) return std::nullopt;
    return Inplace<T>::value(*bytes);
  } else {
    Reader reader(*bytes);
    absl::StatusOr<T> value = reader.get<T>();
    if (!value.ok() || reader.remaining() != 0) return std::nullopt;
    return *std::move(value);
  }
}

template <class T>
std::optional<T> ParcelOf<T>::open(ParcelHeap& parcels, const TakenParcel& item) {
  try {
    std::optional<T> value = decode(item.bytes());
    if (!value) parcels.count_undecodable();
    return value;
  } catch (...) {
    parcels.count_undecodable();  // it is gone all the same
    throw;
  }
}

}  // namespace warren::detail
