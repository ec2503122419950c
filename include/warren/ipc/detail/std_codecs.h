// How optional, unique_ptr, pair, tuple, variant and filesystem::path travel. codec.h includes this.
#pragma once
#include <warren/ipc/codec.h>

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

namespace warren {

namespace detail {

absl::Status not_a_flag(unsigned value);
absl::Status not_an_alternative(std::uint32_t index, std::size_t alternatives);
absl::Status valueless_variant();

// Whether a value follows: of optional and unique_ptr.
inline bool get_flag(Reader& r) {
  const auto flag = r.get<std::uint8_t>();
  if (!flag.ok()) return false;
  if (*flag > 1) (void)r.fail(not_a_flag(*flag));
  return *flag == 1;
}

}  // namespace detail

template <class T>
struct Codec<std::optional<T>> {
  using parts = detail::TypeList<T>;
  static void encode(Writer& w, const std::optional<T>& value) {
    w.put(std::uint8_t{value.has_value()});
    if (value) w.put(*value);
  }
  static absl::StatusOr<std::optional<T>> decode(Reader& r) {
    if (!detail::get_flag(r)) {
      if (!r.ok()) return r.status();
      return std::optional<T>();
    }
    auto value = r.get<T>();
    if (!value.ok()) return value.status();
    return std::optional<T>(*std::move(value));
  }
};

template <class T>
  requires(!std::is_array_v<T>)
struct Codec<std::unique_ptr<T>> {
  using parts = detail::TypeList<T>;
  static void encode(Writer& w, const std::unique_ptr<T>& pointer) {
    w.put(std::uint8_t{pointer != nullptr});
    if (pointer) w.put(*pointer);
  }
  static absl::StatusOr<std::unique_ptr<T>> decode(Reader& r) {
    if (!detail::get_flag(r)) {
      if (!r.ok()) return r.status();
      return std::unique_ptr<T>();
    }
    auto value = r.get<T>();
    if (!value.ok()) return value.status();
    return std::make_unique<T>(*std::move(value));
  }
};

template <class A, class B>
struct Codec<std::pair<A, B>> {
  using parts = detail::TypeList<std::remove_const_t<A>, B>;
  static void encode(Writer& w, const std::pair<A, B>& pair) {
    w.put(pair.first);
    w.put(pair.second);
  }
  static absl::StatusOr<std::pair<A, B>> decode(Reader& r) {
    auto first = r.get<std::remove_const_t<A>>();  // the elements of a map are std::pair<const K, V>
    if (!first.ok()) return first.status();
    auto second = r.get<B>();
    if (!second.ok()) return second.status();
    return std::pair<A, B>(*std::move(first), *std::move(second));
  }
};

template <class... T>
  requires(sizeof...(T) > 0)
struct Codec<std::tuple<T...>> {
  using parts = detail::TypeList<T...>;
  static void encode(Writer& w, const std::tuple<T...>& tuple) {
    std::apply([&w](const T&... element) { (w.put(element), ...); }, tuple);
  }
  static absl::StatusOr<std::tuple<T...>> decode(Reader& r) {
    std::tuple<absl::StatusOr<T>...> elements{r.get<T>()...};  // braces: from left to right
    if (!r.ok()) return r.status();
    return std::apply([](auto&... element) { return std::tuple<T...>(*std::move(element)...); }, elements);
  }
};

template <class... T>
struct Codec<std::variant<T...>> {
  using Variant = std::variant<T...>;
  using parts = detail::TypeList<T...>;
  static void encode(Writer& w, const Variant& variant) {
    if (variant.valueless_by_exception()) return w.fail(detail::valueless_variant());
    w.put(static_cast<std::uint32_t>(variant.index()));
    std::visit([&w](const auto& value) { w.put(value); }, variant);
  }
  static absl::StatusOr<Variant> decode(Reader& r) {
    const auto index = r.get<std::uint32_t>();
    if (!index.ok()) return index.status();
    if (*index >= sizeof...(T)) return detail::not_an_alternative(*index, sizeof...(T));
    return decode(r, *index, std::index_sequence_for<T...>());
  }

 private:
  template <std::size_t... I>
  static absl::StatusOr<Variant> decode(Reader& r, std::uint32_t index, std::index_sequence<I...>) {
    using Decode = absl::StatusOr<Variant> (*)(Reader&);
    static constexpr std::array<Decode, sizeof...(T)> kDecoders{&alternative<I>...};
    return kDecoders[index](r);
  }
  template <std::size_t I>
  static absl::StatusOr<Variant> alternative(Reader& r) {
    auto value = r.get<std::variant_alternative_t<I, Variant>>();
    if (!value.ok()) return value.status();
    return Variant(std::in_place_index<I>, *std::move(value));
  }
};

template <>
struct Codec<std::filesystem::path> {
  static void encode(Writer& w, const std::filesystem::path& path) { w.put(path.native()); }
  static absl::StatusOr<std::filesystem::path> decode(Reader& r) {
    auto text = r.get<std::string>();
    if (!text.ok()) return text.status();
    return std::filesystem::path(*std::move(text));
  }
};

}  // namespace warren
