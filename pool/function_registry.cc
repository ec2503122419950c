#include <warren/pool/detail/function_registry.h>

#include <mutex>
#include <unordered_map>
#include <vector>

#include "pool/modules.h"

namespace warren::detail {

// What freeze() found out. Never destroyed: threads may submit while the process exits.
class FunctionRegistry {
 public:
  static void add(InvokerEntry& entry) noexcept;
  static void freeze();
  // Null before freeze().
  static const FunctionRegistry* frozen() noexcept {
    return frozen_.load(std::memory_order_acquire);  // [F2] pairs with F1
  }

  [[nodiscard]] std::optional<FunctionId> locate(std::uintptr_t address) const noexcept;
  [[nodiscard]] std::optional<FunctionId> id_of(Invoker invoker) const noexcept;
  [[nodiscard]] Invoker find(FunctionId id) const noexcept;
  [[nodiscard]] AnyFunction find_function(FunctionId id) const noexcept;

 private:
  struct Hash {
    std::size_t operator()(const FunctionId& id) const noexcept {
      return static_cast<std::size_t>(id.module ^ (id.offset * 0x9e3779b97f4a7c15));
    }
  };

  FunctionRegistry();

  // Constant-initialised, so that entries may register in any order of static initialisation.
  static constinit std::atomic<InvokerEntry*> entries_;
  static constinit std::atomic<const FunctionRegistry*> frozen_;

  std::vector<Module> modules_;
  std::unordered_map<FunctionId, Invoker, Hash> invokers_;
  std::unordered_map<Invoker, FunctionId> ids_;
};

constinit std::atomic<InvokerEntry*> FunctionRegistry::entries_ = nullptr;
constinit std::atomic<const FunctionRegistry*> FunctionRegistry::frozen_ = nullptr;

void FunctionRegistry::add(InvokerEntry& entry) noexcept {
  entry.next_ = entries_.load(std::memory_order_relaxed);
  // A plain CAS loop: dlopen() in two threads may register at once.
  while (!entries_.compare_exchange_weak(entry.next_, &entry,
                                         std::memory_order_release,  // [F3] the entry is whole; pairs with F4
                                         std::memory_order_relaxed)) {
  }
}

void FunctionRegistry::freeze() {
  static std::once_flag once;
  std::call_once(once, [] {
    frozen_.store(new FunctionRegistry, std::memory_order_release);  // [F1] the tables are whole; pairs with F2
  });
}

FunctionRegistry::FunctionRegistry() : modules_(loaded_modules()) {
  for (InvokerEntry* e = entries_.load(std::memory_order_acquire); e != nullptr; e = e->next_) {  // [F4] pairs with F3
    const auto id = locate(reinterpret_cast<std::uintptr_t>(e->invoker_));
    if (!id) continue;
    e->id_ = *id;
    e->frozen_.store(true, std::memory_order_release);  // [F5] the id is whole; pairs with F6
    invokers_.emplace(*id, e->invoker_);
    ids_.emplace(e->invoker_, *id);
  }
}

std::optional<FunctionId> FunctionRegistry::locate(std::uintptr_t address) const noexcept {
  for (const Module& module : modules_) {
    if (module.contains(address, /*executable=*/true)) return FunctionId{module.id, address - module.base};
  }
  return std::nullopt;
}

std::optional<FunctionId> FunctionRegistry::id_of(Invoker invoker) const noexcept {
  const auto found = ids_.find(invoker);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

Invoker FunctionRegistry::find(FunctionId id) const noexcept {
  const auto found = invokers_.find(id);
  return found == invokers_.end() ? nullptr : found->second;
}

AnyFunction FunctionRegistry::find_function(FunctionId id) const noexcept {
  for (const Module& module : modules_) {
    if (module.id != id.module) continue;
    const std::uintptr_t address = module.base + id.offset;
    if (!module.contains(address, /*executable=*/true) || !function_starts_at(address)) return nullptr;
    return reinterpret_cast<AnyFunction>(address);  // NOLINT(performance-no-int-to-ptr)
  }
  return nullptr;
}

InvokerEntry::InvokerEntry(Invoker invoke) noexcept : invoker_(invoke) { FunctionRegistry::add(*this); }

void freeze() noexcept { FunctionRegistry::freeze(); }

std::optional<FunctionId> id_of(Invoker invoker) noexcept {
  const FunctionRegistry* registry = FunctionRegistry::frozen();
  return registry == nullptr ? std::nullopt : registry->id_of(invoker);
}

// A task is mostly the one that came before. Only what was found is remembered.
Invoker find(FunctionId id) noexcept {
  static constinit thread_local FunctionId last_id;
  static constinit thread_local Invoker last = nullptr;
  if (last != nullptr && last_id == id) return last;
  const FunctionRegistry* registry = FunctionRegistry::frozen();
  const Invoker found = registry == nullptr ? nullptr : registry->find(id);
  if (found != nullptr) {
    last_id = id;
    last = found;
  }
  return found;
}

std::optional<FunctionId> id_of_function(AnyFunction function) noexcept {
  static constinit thread_local AnyFunction last = nullptr;
  static constinit thread_local FunctionId last_id;
  if (function == nullptr) return std::nullopt;
  if (function == last) return last_id;
  const FunctionRegistry* registry = FunctionRegistry::frozen();
  if (registry == nullptr) return std::nullopt;
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  const auto id = registry->locate(address);
  if (!id || !function_starts_at(address)) return std::nullopt;
  last = function;
  last_id = *id;
  return id;
}

AnyFunction find_function(FunctionId id) noexcept {
  static constinit thread_local FunctionId last_id;
  static constinit thread_local AnyFunction last = nullptr;
  if (last != nullptr && last_id == id) return last;
  const FunctionRegistry* registry = FunctionRegistry::frozen();
  const AnyFunction found = registry == nullptr ? nullptr : registry->find_function(id);
  if (found != nullptr) {
    last_id = id;
    last = found;
  }
  return found;
}

}  // namespace warren::detail
