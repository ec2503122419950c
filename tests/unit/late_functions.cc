// A library that function_registry_test opens after the registry is frozen.
#include <warren/pool/detail/function_registry.h>

namespace {
struct LateTask {
  static void invoke(warren::Reader&, warren::detail::ResultSink&) {}
};
}  // namespace

extern "C" const warren::detail::InvokerEntry* late_entry() { return &warren::detail::registered<LateTask>(); }
extern "C" int late_function(int x) { return x + 1; }
