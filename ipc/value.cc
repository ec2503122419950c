#include <warren/ipc/detail/two_copies.h>
#include <warren/ipc/detail/update_scope.h>

#include <cstdio>
#include <cstdlib>

namespace warren::detail {

constinit thread_local const UpdateScope* UpdateScope::innermost = nullptr;

void UpdateScope::look_for(const void* value) noexcept {
  for (const UpdateScope* scope = innermost; scope != nullptr; scope = scope->outer_) {
    if (scope->value_ == value && scope->process_ == process_epoch()) stop_nested_update();
  }
}

void stop_nested_update() noexcept {
  std::fputs("warren: the function given to Value::update() changes that same Value; change its argument instead\n",
             stderr);
  std::abort();
}

// This thread does not have it: Writing has looked.
void TwoCopiesBase::lock() noexcept {
  lock_.take_back();
  if (lock_.inconsistent()) lock_.make_consistent();
}

}  // namespace warren::detail
