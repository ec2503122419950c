#include <warren/pool/detail/keep_until_idle.h>

#include <utility>

namespace warren::detail {
namespace {

// Never destroyed: a worker that ends has let go of it, and a child that a task forked has no say in it.
std::shared_ptr<const void>& kept() {
  static auto* const object = new std::shared_ptr<const void>;
  return *object;
}

}  // namespace

void keep_until_idle(std::shared_ptr<const void> object) { kept() = std::move(object); }
void let_go_of_kept() noexcept { kept().reset(); }

}  // namespace warren::detail
