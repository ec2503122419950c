// How callables travel. The type of F travels with the task's function id; here goes what an object of it holds.
#pragma once
#include <warren/pool/detail/function_registry.h>
#include <warren/pool/detail/task_types.h>

#include <array>
#include <cstddef>

namespace warren::detail {

// Fails the writer: InvalidArgument for a null pointer, FailedPrecondition for a function that has no id. F is asserted
// to be a TravellingFunction.
template <Asked F>
void encode_callable(Writer& w, const F& f);
template <Asked F>
absl::StatusOr<F> decode_callable(Reader& r);

void put_function(Writer& w, AnyFunction function);
absl::StatusOr<AnyFunction> get_function(Reader& r);

template <Asked F>
void encode_callable(Writer& w, const F& f) {
  static_assert(check_function<F>());
  if constexpr (kIsFunctionPointer<F>) {
    put_function(w, reinterpret_cast<AnyFunction>(f));
  } else if constexpr (!EmptyFunction<F> && TravellingFunction<F>) {
    w.put(f);
  }
}

template <Asked F>
absl::StatusOr<F> decode_callable(Reader& r) {
  static_assert(check_function<F>());
  if constexpr (!TravellingFunction<F>) {
    return absl::UnimplementedError("");  // told above
  } else if constexpr (kIsFunctionPointer<F>) {
    const auto function = get_function(r);
    if (!function.ok()) return function.status();
    return reinterpret_cast<F>(*function);
  } else if constexpr (!EmptyFunction<F>) {
    return r.get<F>();
  } else if constexpr (std::default_initializable<F>) {
    return F();
  } else {
    return value_at<F>(std::array<std::byte, sizeof(F)>{}.data());
  }
}

}  // namespace warren::detail
