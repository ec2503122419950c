// The bodies of codec.h, which includes this at its end: hence a guard below that line in place of `#pragma once`.
#include <warren/ipc/codec.h>

#ifndef WARREN_IPC_DETAIL_CODEC_INL_H
#define WARREN_IPC_DETAIL_CODEC_INL_H

#include <tuple>
#include <utility>

namespace warren::detail {

// --- fields ----------------------------------------------------------------------------------------------------------

template <class T>
void put_field(Writer& w, const T& field) {
  w.put(field);
}
template <class T, std::size_t N>
void put_field(Writer& w, const T (&field)[N]) {
  if constexpr (kCopyAsBytes<T>) {
    w.bytes(std::as_bytes(std::span(field)));
  } else {
    for (const T& element : field) put_field(w, element);
  }
}

template <class T>
void read_field(Reader& r, T& field) {
  if (auto value = r.get<T>(); value.ok()) field = *std::move(value);
}
template <class T, std::size_t N>
void read_field(Reader& r, T (&field)[N]) {
  if constexpr (kCopyAsBytes<T> && !std::same_as<T, bool>) {
    if (auto raw = r.bytes(sizeof(field)); raw.ok()) std::memcpy(&field, raw->data(), sizeof(field));
  } else {
    for (T& element : field) {
      if (r.ok()) read_field(r, element);
    }
  }
}

template <class T>
void put_fields(Writer& w, const T& t) {
  with_fields(t, [&w]<class...>(const auto&... fields) { (put_field(w, fields), ...); });
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"  // a bit-field takes what a bit-field gave
template <class T, class... F>
absl::StatusOr<T> get_fields(Reader& r, TypeList<F...> types) {
  if constexpr (kHasArray<decltype(types)>) {
    T t{};
    with_fields(t, [&r]<class...>(auto&... fields) { (read_field(r, fields), ...); });
    if (!r.ok()) return r.status();
    return t;
  } else {
    std::tuple<absl::StatusOr<F>...> fields{r.get<F>()...};  // braces: from left to right
    if (!r.ok()) return r.status();
    return std::apply([](auto&... field) { return T{*std::move(field)...}; }, fields);
  }
}
#pragma GCC diagnostic pop

// Counts one level of nesting as long as it lives.
class Level {
 public:
  explicit Level(std::size_t& nesting) noexcept : nesting_(nesting) { ++nesting_; }
  ~Level() { --nesting_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  [[nodiscard]] bool too_deep() const noexcept { return nesting_ > kMaxNesting; }

 private:
  std::size_t& nesting_;
};

absl::Status too_deep_to_write();
absl::Status too_deep_to_read();
absl::Status not_a_bool(unsigned value);

}  // namespace warren::detail

namespace warren {

// --- Writer and Reader -----------------------------------------------------------------------------------------------

template <class T>
void Writer::put(const T& t) {
  static_assert(detail::check_carriable<T>());
  if constexpr (kCopyAsBytes<T>) {
    bytes(std::as_bytes(std::span(&t, 1)));
  } else if constexpr (Carriable<T>) {
    put_nested(t);
  }
}

inline void Writer::length(std::size_t n) { put(std::uint64_t{n}); }

template <class T>
void Writer::put_nested(const T& t) {
  const detail::Level level(nesting_);
  if (level.too_deep()) return fail(detail::too_deep_to_write());
  const std::size_t before = used_;
  if constexpr (detail::HasCodec<T>) {
    Codec<T>::encode(*this, t);
  } else {
    detail::put_fields(*this, t);
  }
  if (used_ == before) put(std::byte{0});  // a byte at least: Reader::length relies on it
}

template <class T>
absl::StatusOr<T> Reader::get() {
  static_assert(detail::check_carriable<T>());
  if constexpr (kCopyAsBytes<T>) {
    return get_bytes<T>();
  } else if constexpr (Carriable<T>) {
    return get_nested<T>();
  } else {
    return absl::UnimplementedError("");  // told above
  }
}

template <class T>
absl::StatusOr<T> Reader::get_bytes() {
  const std::byte* from = take(sizeof(T));
  if (from == nullptr) [[unlikely]]
    return status_;
  if constexpr (std::same_as<T, bool>) {
    const auto value = detail::value_at<unsigned char>(from);
    if (value > 1) return fail(detail::not_a_bool(value));
    return value == 1;
  } else {
    return detail::value_at<T>(from);
  }
}

template <class T>
absl::StatusOr<T> Reader::get_nested() {
  const detail::Level level(nesting_);
  if (level.too_deep()) return fail(detail::too_deep_to_read());
  const std::size_t before = remaining();
  absl::StatusOr<T> value = [this] {
    if constexpr (detail::HasCodec<T>) {
      return Codec<T>::decode(*this);
    } else {
      return detail::get_fields<T>(*this, detail::FieldsOf<T>{});
    }
  }();
  if (!value.ok()) return fail(value.status());
  if (remaining() == before && take(1) == nullptr) return status_;
  return value;
}

inline const std::byte* Reader::take(std::size_t n) {
  if (n > bytes_.size() || !status_.ok()) [[unlikely]] {
    (void)missing(n);
    return nullptr;
  }
  const std::byte* from = bytes_.data();
  bytes_ = bytes_.subspan(n);
  return from;
}

// --- MemberCodec -----------------------------------------------------------------------------------------------------

namespace detail {
template <class M>
struct MemberOf;
template <class C, class V>
struct MemberOf<V C::*> {
  using owner = C;
  using value = V;
};
template <auto First, auto...>
struct OwnerOf {
  using type = typename MemberOf<decltype(First)>::owner;
};
}  // namespace detail

template <auto... Members>
struct MemberCodec {
  using Owner = typename detail::OwnerOf<Members...>::type;
  using parts = detail::TypeList<typename detail::MemberOf<decltype(Members)>::value...>;

  static void encode(Writer& w, const Owner& owner) { (detail::put_field(w, owner.*Members), ...); }
  static absl::StatusOr<Owner> decode(Reader& r) {
    static_assert(
        std::is_default_constructible_v<Owner>,
        "MemberCodec reads into a default-constructed object. Remedy: give the type a default constructor, or "
        "write encode and decode in its warren::Codec");
    Owner owner{};
    (detail::read_field(r, owner.*Members), ...);
    if (!r.ok()) return r.status();
    return owner;
  }
};

}  // namespace warren

#endif  // WARREN_IPC_DETAIL_CODEC_INL_H
