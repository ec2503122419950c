#include <warren/pool/detail/callable.h>

namespace warren::detail {

void put_function(Writer& w, AnyFunction function) {
  if (function == nullptr) return w.fail(absl::InvalidArgumentError("the function pointer is null"));
  const auto id = id_of_function(function);
  if (!id) {
    return w.fail(absl::FailedPreconditionError(
        "this function pointer cannot travel: it is not the start of a function, with unwind tables, of the program or "
        "a library that was loaded when the first pool was made. Remedy: warren::fn<&function>, or a lambda"));
  }
  w.put(*id);
}

absl::StatusOr<AnyFunction> get_function(Reader& r) {
  const auto id = r.get<FunctionId>();
  if (!id.ok()) return id.status();
  const AnyFunction function = find_function(*id);
  if (function == nullptr) return r.fail(absl::DataLossError("a function pointer that arrived names no function here"));
  return function;
}

}  // namespace warren::detail
