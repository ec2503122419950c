// What a spawned process is to run, as bytes: the callable and its arguments, found by the id of an invoker that makes
// a Target of them.
#pragma once
#include <absl/status/statusor.h>
#include <warren/ipc/detail/luggage.h>
#include <warren/pool/detail/callable.h>
#include <warren/pool/detail/function_registry.h>
#include <warren/pool/detail/result_sink.h>

#include <functional>
#include <memory>
#include <utility>

namespace warren::detail {

using Target = std::function<absl::StatusOr<int>()>;  // gives the exit code

// Gives the target to who decodes what a process is to run. Any other sink gets a failure: such an invoker is no task.
void take_target(ResultSink& sink, Target target);

// How a callable goes to a process that is spawned. No invoker: it cannot.
struct StartBytes {
  const InvokerEntry* invoker = nullptr;
  std::function<void(Writer&, Luggage&)> encode{};
};

// Of one that is called without arguments, and whose result nobody wants. Bytes: the callable.
template <class F>
struct InitializerTask {
  static void invoke(Reader& in, ResultSink& sink) {
    auto function = decode_callable<F>(in);
    if (!function.ok()) return sink.fail(function.status());
    take_target(sink, [held = std::make_shared<F>(*std::move(function))]() -> absl::StatusOr<int> {
      (void)std::invoke(*held);
      return 0;
    });
  }
};

}  // namespace warren::detail
