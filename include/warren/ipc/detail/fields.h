// The fields of an aggregate: how many, of which types, and a way to visit them. Without macros in the user's code.
//
// Boost.PFR 1.81 counts a C array as its elements, and g++ 12 crashes on some aggregates that it probes. So fields are
// counted here by what an initializer list accepts. A count that were wrong is a compile error in with_fields, never a
// field left behind.
#pragma once
#include <concepts>
#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace warren::detail {

inline constexpr std::size_t kMaxFields = 16;
inline constexpr std::size_t kUncounted = static_cast<std::size_t>(-1);

template <class...>
struct TypeList {};

// kUncounted: more than kMaxFields, a base class, or arrays beside fields without a default that are too long.
template <class T>
consteval std::size_t field_count();

// Calls visit.operator()<declared types...>(fields...). Bit-fields arrive as copies.
template <class T, class F>
constexpr decltype(auto) with_fields(T& t, F&& visit);

// --- counting --------------------------------------------------------------------------------------------------------

// Types that convert from whatever their element does, so that a conversion to them would be one too many.
template <class T>
inline constexpr bool kConvertsByItself = false;

struct AnyField {
  template <class T>
    requires(!kConvertsByItself<T>)
  constexpr operator T&&() const noexcept {
    __builtin_unreachable();
  }
};

template <class T>
inline constexpr bool kConvertsByItself<std::optional<T>> = std::is_constructible_v<T, AnyField>;
template <class T>
inline constexpr bool kConvertsByItself<std::tuple<T>> = std::is_constructible_v<T, AnyField>;

template <std::size_t>
using AnyFieldAt = AnyField;

template <class T>
struct AnyBaseOf {
  template <class B>
    requires(std::is_base_of_v<B, T> && !std::same_as<B, T>)
  constexpr operator B&() const noexcept;
  template <class B>
    requires(std::is_base_of_v<B, T> && !std::same_as<B, T>)
  constexpr operator B&&() const noexcept;
};

// Is T{ {} n times, then A... } valid? A pair of braces initialises a whole field, also a C array.
template <class T, std::size_t N, class... A>
consteval bool braces_fit() {
  // clang-format off
  if constexpr (N == 0) return requires(A... a) { T{a...}; };
  else if constexpr (N == 1) return requires(A... a) { T{{}, a...}; };
  else if constexpr (N == 2) return requires(A... a) { T{{}, {}, a...}; };
  else if constexpr (N == 3) return requires(A... a) { T{{}, {}, {}, a...}; };
  else if constexpr (N == 4) return requires(A... a) { T{{}, {}, {}, {}, a...}; };
  else if constexpr (N == 5) return requires(A... a) { T{{}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 6) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 7) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 8) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 9) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 10) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 11) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 12) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 13) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 14) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 15) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, a...}; };
  else if constexpr (N == 16) return requires(A... a) { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, a...}; };
  // clang-format on
}

template <class T, std::size_t N = kMaxFields>
consteval std::size_t most_braces() {
  if constexpr (braces_fit<T, N>())
    return N;
  else if constexpr (N == 0)
    return kUncounted;
  else
    return most_braces<T, N - 1>();
}

// The other way, for fields that must be given a value: by initializers of any type, where a C array takes as many as
// it has elements. An inner list that stands for K of them, and leaves exactly the rest to the others, is an array.
inline constexpr std::size_t kMaxInitializers = 32;

template <class T, std::size_t... I>
consteval bool values_fit(std::index_sequence<I...>) {
  return requires { T{std::declval<AnyFieldAt<I>>()...}; };
}
template <class T, std::size_t N = kMaxInitializers + 1>
consteval std::size_t most_values() {
  if constexpr (values_fit<T>(std::make_index_sequence<N>()))
    return N;
  else if constexpr (N == 0)
    return kUncounted;
  else
    return most_values<T, N - 1>();
}
template <class T, std::size_t... I, std::size_t... K, std::size_t... R>
consteval bool nested_fit(std::index_sequence<I...>, std::index_sequence<K...>, std::index_sequence<R...>) {
  return requires {
    T{std::declval<AnyFieldAt<I>>()..., {std::declval<AnyFieldAt<K>>()...}, std::declval<AnyFieldAt<R>>()...};
  };
}
template <class T, std::size_t At, std::size_t K, std::size_t Rest>
consteval std::size_t width() {
  if constexpr (K < 2)
    return 1;
  else if constexpr (nested_fit<T>(std::make_index_sequence<At>(), std::make_index_sequence<K>(),
                                   std::make_index_sequence<Rest>()) &&
                     !nested_fit<T>(std::make_index_sequence<At>(), std::make_index_sequence<K>(),
                                    std::make_index_sequence<Rest + 1>()))
    return K;
  else
    return width<T, At, K - 1, Rest + 1>();
}
template <class T, std::size_t Values, std::size_t At = 0>
consteval std::size_t count_widths() {
  if constexpr (At >= Values)
    return 0;
  else
    return 1 + count_widths<T, Values, At + width<T, At, Values - At, 0>()>();
}

template <class T>
consteval std::size_t count_by_values() {
  constexpr std::size_t values = most_values<T>();
  if constexpr (values == kUncounted || values > kMaxInitializers) {
    return kUncounted;
  } else {
    constexpr std::size_t count = count_widths<T, values>();
    return count <= kMaxFields ? count : kUncounted;
  }
}

template <class T>
consteval std::size_t field_count() {
  constexpr std::size_t braces = most_braces<T>();
  if constexpr (requires { T{std::declval<AnyBaseOf<T>>()}; }) {
    return kUncounted;
  } else if constexpr (braces == kUncounted) {
    return count_by_values<T>();
  } else if constexpr (braces_fit<T, braces, AnyField>()) {  // there are more
    return count_by_values<T>();
  } else {
    return braces > 0 || std::is_empty_v<T> ? braces : kUncounted;
  }
}

// --- visiting --------------------------------------------------------------------------------------------------------

template <class T, class F>
constexpr decltype(auto) with_fields(T& t, F&& visit) {
  constexpr std::size_t count = field_count<std::remove_const_t<T>>();
  static_assert(count <= kMaxFields);
  if constexpr (count == 0) {
    return visit.template operator()<>();
  } else if constexpr (count == 1) {
    auto& [a] = t;
    return visit.template operator()<decltype(a)>(a);
  } else if constexpr (count == 2) {
    auto& [a, b] = t;
    return visit.template operator()<decltype(a), decltype(b)>(a, b);
  } else if constexpr (count == 3) {
    auto& [a, b, c] = t;
    return visit.template operator()<decltype(a), decltype(b), decltype(c)>(a, b, c);
  } else if constexpr (count == 4) {
    auto& [a, b, c, d] = t;
    return visit.template operator()<decltype(a), decltype(b), decltype(c), decltype(d)>(a, b, c, d);
  } else if constexpr (count == 5) {
    auto& [a, b, c, d, e] = t;
    return visit.template operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e)>(a, b, c, d, e);
  } else if constexpr (count == 6) {
    auto& [a, b, c, d, e, f] = t;
    return visit.template operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f)>(
        a, b, c, d, e, f);
  } else if constexpr (count == 7) {
    auto& [a, b, c, d, e, f, g] = t;
    return visit
        .template operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g)>(
            a, b, c, d, e, f, g);
  } else if constexpr (count == 8) {
    auto& [a, b, c, d, e, f, g, h] = t;
    return visit.template operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
                                     decltype(g), decltype(h)>(a, b, c, d, e, f, g, h);
  } else if constexpr (count == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = t;
    return visit.template operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
                                     decltype(g), decltype(h), decltype(i)>(a, b, c, d, e, f, g, h, i);
  } else if constexpr (count == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = t;
    return visit.template operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
                                     decltype(g), decltype(h), decltype(i), decltype(j)>(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (count == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = t;
    return visit.template operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
                                     decltype(g), decltype(h), decltype(i), decltype(j), decltype(k)>(a, b, c, d, e, f,
                                                                                                      g, h, i, j, k);
  } else if constexpr (count == 12) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l] = t;
    return visit.template operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f),
                                     decltype(g), decltype(h), decltype(i), decltype(j), decltype(k), decltype(l)>(
        a, b, c, d, e, f, g, h, i, j, k, l);
  } else if constexpr (count == 13) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = t;
    return visit.template
    operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g), decltype(h),
               decltype(i), decltype(j), decltype(k), decltype(l), decltype(m)>(a, b, c, d, e, f, g, h, i, j, k, l, m);
  } else if constexpr (count == 14) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = t;
    return visit
        .template operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g),
                             decltype(h), decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n)>(
            a, b, c, d, e, f, g, h, i, j, k, l, m, n);
  } else if constexpr (count == 15) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = t;
    return visit.template
    operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g), decltype(h),
               decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o)>(
        a, b, c, d, e, f, g, h, i, j, k, l, m, n, o);
  } else if constexpr (count == 16) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = t;
    return visit.template
    operator()<decltype(a), decltype(b), decltype(c), decltype(d), decltype(e), decltype(f), decltype(g), decltype(h),
               decltype(i), decltype(j), decltype(k), decltype(l), decltype(m), decltype(n), decltype(o), decltype(p)>(
        a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
  }
}

}  // namespace warren::detail
