// Which types travel, and what is told of one that does not. Included by codec.h at its end: hence a guard below that
// line in place of `#pragma once`.
#include <warren/ipc/codec.h>

#ifndef WARREN_IPC_DETAIL_CARRIABLE_H
#define WARREN_IPC_DETAIL_CARRIABLE_H

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace warren::detail {

// --- fields ----------------------------------------------------------------------------------------------------------

struct ListTypes {
  template <class... F>
  constexpr TypeList<std::remove_const_t<F>...> operator()(const auto&...) const noexcept {
    return {};
  }
};
template <class T>
using FieldsOf = decltype(with_fields(std::declval<const T&>(), ListTypes{}));

template <class T>
inline constexpr bool kHasArray = false;
template <class... F>
inline constexpr bool kHasArray<TypeList<F...>> = (std::is_array_v<F> || ...);

template <class T>
concept StrangeUnion = std::is_union_v<T> && !kCopyAsBytes<T> && !HasCodec<T>;
struct AnyStrangeUnion {
  template <StrangeUnion T>
  constexpr operator T() const noexcept {  // not T&&, of which g++ 12 makes no anonymous union
    __builtin_unreachable();
  }
};
struct AnyClass {
  template <class T>
    requires(std::is_class_v<T>)
  constexpr operator T() const noexcept {
    __builtin_unreachable();
  }
};

// Whether one of the first Count fields is a union that cannot travel. An anonymous one cannot be visited: to try would
// be an error that no requires-expression catches.
template <class T, std::size_t Count>
consteval bool holds_strange_union() {
  if constexpr (Count == 0) {
    return false;
  } else if constexpr (braces_fit<T, Count - 1, AnyStrangeUnion>() && !braces_fit<T, Count - 1, AnyClass>()) {
    return true;  // not a class that begins with a union, nor one that is made of anything
  } else {
    return holds_strange_union<T, Count - 1>();
  }
}

template <class T>
consteval bool holds_strange_union() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T> || IsHandle<T>) {
    return StrangeUnion<T>;
  } else if constexpr (field_count<T>() > kMaxFields) {
    return false;
  } else {
    return holds_strange_union<T, field_count<T>()>();
  }
}

// An aggregate whose fields can be visited, and read one by one.
template <class T>
consteval bool has_known_fields() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T> || IsHandle<T>) {
    return false;
  } else if constexpr (field_count<T>() > kMaxFields || holds_strange_union<T>()) {
    return false;
  } else {
    return !kHasArray<FieldsOf<T>> || std::default_initializable<T>;
  }
}

// --- what is carriable -----------------------------------------------------------------------------------------------

// Codecs of templates say what they are made of.
template <class T>
struct PartsOf {
  using type = TypeList<>;
};
template <class T>
  requires requires { typename Codec<T>::parts; }
struct PartsOf<T> {
  using type = typename Codec<T>::parts;
};

// `Seen` are the types within whose check this one is made: a type that contains itself is decided where it began.
template <class... Seen, class... Parts>
constexpr bool all_carriable(TypeList<Parts...>) {
  return (carriable<std::remove_all_extents_t<Parts>, Seen...>() && ...);
}

template <class T, class... Seen>
constexpr bool carriable() {
  if constexpr (std::is_reference_v<T>) {
    return false;
  } else if constexpr ((std::same_as<T, Seen> || ...)) {
    return true;
  } else if constexpr (kCopyAsBytes<T>) {
    return true;
  } else if constexpr (HasCodec<T>) {
    return all_carriable<T, Seen...>(typename PartsOf<T>::type{});
  } else if constexpr (has_known_fields<T>()) {
    return all_carriable<T, Seen...>(FieldsOf<T>{});
  } else {
    return false;
  }
}

// --- what is wrong with the others -----------------------------------------------------------------------------------

// Of a type that is not carriable: itself, or the innermost of what it is made of, that is at fault.
template <class T, class... Seen>
struct Culprit {
  using type = T;
};
template <class Parts, class... Seen>
struct CulpritAmong;
template <class First, class... Rest, class... Seen>
struct CulpritAmong<TypeList<First, Rest...>, Seen...>
    : std::conditional_t<carriable<std::remove_all_extents_t<First>, Seen...>(),
                         CulpritAmong<TypeList<Rest...>, Seen...>, Culprit<std::remove_all_extents_t<First>, Seen...>> {
};
template <class T, class... Seen>
  requires(HasCodec<T> && !std::same_as<typename PartsOf<T>::type, TypeList<>>)
struct Culprit<T, Seen...> : CulpritAmong<typename PartsOf<T>::type, T, Seen...> {};
template <class T, class... Seen>
  requires(!HasCodec<T> && has_known_fields<T>())
struct Culprit<T, Seen...> : CulpritAmong<FieldsOf<T>, T, Seen...> {};

// What can be told of it, in the order of asking.
enum class Obstacle {
  kNone,
  kUnfinishedCodec,
  kPointer,
  kUnion,
  kHandle,
  kFields,
  kImmovable,
  kOpaque,  // to the compiler
  kOther,
};
template <class T>
consteval Obstacle obstacle_of_culprit() {
  if constexpr (std::is_reference_v<T> || std::is_pointer_v<T> || std::is_member_pointer_v<T>) {
    return Obstacle::kPointer;
  } else if constexpr (IsHandle<T> || kOfItsProcess<T>) {
    return Obstacle::kHandle;
  } else if constexpr (holds_strange_union<T>()) {
    return Obstacle::kUnion;
  } else if constexpr (std::is_class_v<T> && std::is_aggregate_v<T>) {
    return Obstacle::kFields;
  } else if constexpr (std::is_class_v<T> && !std::is_move_constructible_v<T>) {
    return Obstacle::kImmovable;
  } else if constexpr (std::is_class_v<T> && std::is_trivially_copyable_v<T> && !__is_literal_type(T)) {
    return Obstacle::kOpaque;
  } else {
    return Obstacle::kOther;
  }
}
template <class T>
consteval Obstacle obstacle() {
  if constexpr (requires { sizeof(Codec<T>); } && !HasCodec<T>) {
    return Obstacle::kUnfinishedCodec;
  } else if constexpr (Carriable<T>) {
    return Obstacle::kNone;
  } else {
    return obstacle_of_culprit<typename Culprit<T>::type>();
  }
}

// What is told of a type wherever it is used. False: nothing of this.
template <class Culprit, Obstacle kWhat>
consteval bool told_of_culprit() {
  static_assert(kWhat != Obstacle::kUnion,
                "this type cannot travel to another process by itself: it holds a union, and which member counts only "
                "the program knows. Remedy: std::variant; or vouch for the whole, if it is trivially copyable and no "
                "member is a pointer: template <> inline constexpr bool warren::kCopyAsBytes<T> = true");
  static_assert(kWhat != Obstacle::kOpaque,
                "the compiler cannot look into this trivially copyable type, since it has no constexpr constructor. "
                "Remedy: make one constexpr; or vouch that it holds no pointer: template <> inline constexpr bool "
                "warren::kCopyAsBytes<T> = true");
  static_assert(
      kWhat != Obstacle::kImmovable,
      "this type can be neither copied nor moved to another process: it holds a mutex, an atomic or the "
      "like. Remedy: the data without it; a warren::Value is atomic itself, and it and an Array have a mutex()");
  return kWhat == Obstacle::kUnion || kWhat == Obstacle::kOpaque || kWhat == Obstacle::kImmovable;
}

template <class T>
consteval bool told_of() {
  if constexpr (Carriable<T>) {
    return false;
  } else {
    return told_of_culprit<typename Culprit<T>::type, obstacle<T>()>();
  }
}

template <class T>
consteval bool check_carriable() {
  constexpr Obstacle kWhat = obstacle<T>();
  static_assert(!kCopyAsBytes<T> || std::is_trivially_copyable_v<T>,
                "kCopyAsBytes is true for a type that is not trivially copyable. Remedy: specialise warren::Codec");
  static_assert(kWhat != Obstacle::kUnfinishedCodec,
                "warren::Codec is specialised for this type, but not complete. Remedy: static void "
                "encode(warren::Writer&, const T&) and static absl::StatusOr<T> decode(warren::Reader&)");
  static_assert(kWhat != Obstacle::kFields,
                "the fields of this struct cannot be told: a reference, more than 16, a base class, or an array beside "
                "a field without a default. Remedy: template <> struct warren::Codec<T> : "
                "warren::MemberCodec<&T::a, &T::b> {};");
  static_assert(
      kWhat != Obstacle::kHandle,
      "this handle cannot travel to another process in a value: it belongs to this process alone. Remedy: what "
      "the other one can open or make by itself; in place of a Subscriber its Broadcast, of a Lease, Loan or Borrow "
      "the Queue or the item");
  static_assert(kWhat != Obstacle::kPointer && kWhat != Obstacle::kOther,
                "this type cannot travel to another process: it holds a pointer, a reference, a view or private state. "
                "Remedy: own the data (std::string, std::vector), or specialise warren::Codec");
  (void)told_of<T>();
  return true;
}

template <class T>
consteval bool check_plain() {
  static_assert(!kCopyAsBytes<T> || std::is_trivially_copyable_v<T>,
                "kCopyAsBytes is true for a type that is not trivially copyable. Remedy: a struct of plain fields");
  if constexpr (kCopyAsBytes<T>) {
    return true;
  } else if constexpr (told_of<T>()) {
    return true;
  } else if constexpr (obstacle<T>() == Obstacle::kPointer || obstacle<T>() == Obstacle::kHandle || IsHandle<T> ||
                       (std::is_trivially_copyable_v<T> && !Carriable<T>)) {
    static_assert(
        kCopyAsBytes<T>,
        "an SpscQueue, a value and an array hold plain bytes, and this type holds a pointer, a reference, a view or a "
        "handle. "
        "Remedy: in its place char text[N] for a text, std::array for elements, an index or an offset for a pointer, "
        "the name of what a handle reaches");
    return true;
  } else {
    static_assert(
        kCopyAsBytes<T>,
        "an SpscQueue, a value and an array hold plain bytes: arithmetic types, enums, and structs of them "
        "and of arrays; no "
        "std::string, container, std::pair, std::tuple, std::optional or std::variant, which warren::Queue carries. "
        "Remedy: a struct with "
        "named fields, char text[N] for a text, std::array for a container; or, for bytes that the compiler "
        "cannot look at (a union, clang: bit-fields), template <> inline constexpr bool "
        "warren::kCopyAsBytes<T> = true");
    return true;
  }
}

}  // namespace warren::detail

#endif  // WARREN_IPC_DETAIL_CARRIABLE_H
