// Arguments of a process that is spawned: a task's, and what belongs to one process and is handed over.
#pragma once
#include <warren/ipc/detail/passage.h>
#include <warren/pool/detail/task_types.h>

#include <array>
#include <cstddef>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace warren::detail {

template <class T>
struct IsSpawnable : std::bool_constant<Carriable<T> || std::same_as<T, Connection> || std::same_as<T, Descriptor>> {};
template <class T, class Allocator>
struct IsSpawnable<std::vector<T, Allocator>> : IsSpawnable<T> {};
template <class T, std::size_t N>
struct IsSpawnable<std::array<T, N>> : IsSpawnable<T> {};
template <class T>
struct IsSpawnable<std::optional<T>> : IsSpawnable<T> {};
template <class... T>
struct IsSpawnable<std::tuple<T...>> : std::bool_constant<(IsSpawnable<T>::value && ...)> {};
template <class A, class B>
struct IsSpawnable<std::pair<A, B>> : std::bool_constant<IsSpawnable<A>::value && IsSpawnable<B>::value> {};
// False: what belongs to one process and cannot be handed over.
template <class T>
concept Spawnable = IsSpawnable<T>::value;

template <class T>
inline constexpr bool kIsStdArray = false;
template <class T, std::size_t N>
inline constexpr bool kIsStdArray<std::array<T, N>> = true;

template <Spawnable T>
void put_passed(Writer& w, const T& value, Luggage& luggage) {
  if constexpr (Carriable<T>) {
    w.put(value);
  } else if constexpr (IsHandle<T>) {
    pass(w, value, luggage);
  } else if constexpr (requires { value.has_value(); }) {
    w.put(value.has_value());
    if (value) put_passed(w, *value, luggage);
  } else if constexpr (std::ranges::range<T> && !kIsStdArray<T>) {
    w.length(value.size());
    for (const auto& each : value) put_passed(w, each, luggage);
  } else {
    std::apply([&](const auto&... each) { (put_passed(w, each, luggage), ...); }, value);
  }
}

template <class T>
struct GetPassed;
template <Spawnable T>
absl::StatusOr<T> get_passed(Reader& r) {
  if constexpr (Carriable<T>) {
    return r.get<T>();
  } else if constexpr (std::same_as<T, Connection>) {
    return arrived_connection(r);
  } else if constexpr (std::same_as<T, Descriptor>) {
    return arrived_descriptor(r);
  } else {
    return GetPassed<T>::get(r);
  }
}

template <class T, class Allocator>
struct GetPassed<std::vector<T, Allocator>> {
  static absl::StatusOr<std::vector<T, Allocator>> get(Reader& r) {
    const auto count = r.length();
    if (!count.ok()) return count.status();
    std::vector<T, Allocator> values;
    for (std::size_t i = 0; i < *count; ++i) {
      absl::StatusOr<T> value = get_passed<T>(r);
      if (!value.ok()) return value.status();
      values.push_back(*std::move(value));
    }
    return values;
  }
};
template <class T>
struct GetPassed<std::optional<T>> {
  static absl::StatusOr<std::optional<T>> get(Reader& r) {
    const auto there = r.get<bool>();
    if (!there.ok()) return there.status();
    if (!*there) return std::optional<T>();
    absl::StatusOr<T> value = get_passed<T>(r);
    if (!value.ok()) return value.status();
    return std::optional<T>(*std::move(value));
  }
};

// Of a tuple, a pair, an array: what failed first.
template <class Whole, class... T>
absl::StatusOr<Whole> get_all_passed(Reader& r) {
  std::tuple<absl::StatusOr<T>...> values{get_passed<T>(r)...};  // braces: from left to right
  absl::Status status;
  std::apply([&status](const auto&... each) { (status.Update(each.status()), ...); }, values);
  if (!status.ok()) return status;
  return std::apply([](auto&... value) { return Whole{*std::move(value)...}; }, values);
}
template <class... T>
struct GetPassed<std::tuple<T...>> {
  static absl::StatusOr<std::tuple<T...>> get(Reader& r) { return get_all_passed<std::tuple<T...>, T...>(r); }
};
template <class A, class B>
struct GetPassed<std::pair<A, B>> {
  static absl::StatusOr<std::pair<A, B>> get(Reader& r) { return get_all_passed<std::pair<A, B>, A, B>(r); }
};
template <class T, std::size_t N>
struct GetPassed<std::array<T, N>> {
  static absl::StatusOr<std::array<T, N>> get(Reader& r) { return get(r, std::make_index_sequence<N>()); }

 private:
  template <std::size_t>
  using Element = T;
  template <std::size_t... I>
  static absl::StatusOr<std::array<T, N>> get(Reader& r, std::index_sequence<I...>) {
    return get_all_passed<std::array<T, N>, Element<I>...>(r);
  }
};

}  // namespace warren::detail
