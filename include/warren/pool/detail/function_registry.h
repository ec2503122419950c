// Which function a task names, in bytes that mean the same in every process that runs the same binaries: also in one
// started by exec, and on another host. Neither the order of static initialisation nor mangled names could say it: two
// static functions' lambdas may share a name.
#pragma once
#include <warren/ipc/codec.h>

#include <atomic>
#include <compare>
#include <cstdint>
#include <optional>

namespace warren::detail {

class ResultSink;

// Reads a task's function and arguments, runs it, and gives the result to the sink.
using Invoker = void (*)(Reader& in, ResultSink& sink);
using AnyFunction = void (*)();

struct FunctionId {
  std::uint64_t module = 0;  // 64 bits from the build id of the program or library
  std::uint64_t offset = 0;  // from where it is loaded
  friend auto operator<=>(const FunctionId&, const FunctionId&) = default;
};

// An invoker in the one registry of the process. Lives as long as the code that it names.
class InvokerEntry {
 public:
  explicit InvokerEntry(Invoker invoke) noexcept;
  InvokerEntry(const InvokerEntry&) = delete;
  InvokerEntry& operator=(const InvokerEntry&) = delete;

  [[nodiscard]] Invoker invoker() const noexcept { return invoker_; }
  // nullopt before freeze(); for ever, if it came later: workers do not know it.
  [[nodiscard]] std::optional<FunctionId> id() const noexcept {
    if (!frozen_.load(std::memory_order_acquire)) [[unlikely]]
      return std::nullopt;  // [F6] pairs with F5
    return id_;
  }

 private:
  friend class FunctionRegistry;
  Invoker invoker_;
  InvokerEntry* next_ = nullptr;
  FunctionId id_;
  std::atomic<bool> frozen_ = false;
};

// Task has a static `void invoke(Reader&, ResultSink&)`. To call this anywhere in a program puts that function into the
// registry before main() begins (before dlopen() returns).
template <class Task>
const InvokerEntry& registered() noexcept;

// Gives every invoker registered so far its id, and remembers the modules loaded so far, which must then stay loaded.
// The first call counts; safe from any thread. Pool::create calls it, and so does a worker started by exec.
void freeze() noexcept;

// From any thread, without locks. nullopt and null: unknown, or not frozen.
[[nodiscard]] std::optional<FunctionId> id_of(Invoker invoker) noexcept;
[[nodiscard]] Invoker find(FunctionId id) noexcept;

// Plain function pointers. An id is a peer's word, so it leads only to where, by the unwind tables, a function starts
// in executable memory of a module known at freeze(). Its signature is not checked.
[[nodiscard]] std::optional<FunctionId> id_of_function(AnyFunction function) noexcept;
[[nodiscard]] AnyFunction find_function(FunctionId id) noexcept;

template <class Task>
struct Registered {
  static inline InvokerEntry entry{&Task::invoke};
};
template <class Task>
const InvokerEntry& registered() noexcept {
  return Registered<Task>::entry;
}

}  // namespace warren::detail
