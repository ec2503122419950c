// What Pool and ThreadPool both promise: one text, which runs with forked workers, with spawned ones, and with threads.
//
//     TEST_OF_EACH_POOL(ACallGivesItsResult) {
//       auto pool = this->make(2);
//       EXPECT_EQ(pool.apply(twice, 21).value(), 42);
//     }
//
// The program's main() comes to warren::enter() first. `*marks` is the same memory in every process of the test, the
// spawned ones included, and is all zeros when a test begins.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <warren/pool/thread_pool.h>

#include <concepts>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "support/pool_world.h"

namespace warren::test {

// Made before main(): a spawned process finds it by a descriptor that it inherits.
inline const bool kMarksAreThereInEveryProcess = [] {
  constexpr const char* kVariable = "EACH_POOL_MARKS";
  const char* const inherited = ::getenv(kVariable);
  const int memory = inherited != nullptr ? std::stoi(inherited) : ::memfd_create("marks", 0);
  if (inherited == nullptr) {
    if (::ftruncate(memory, sizeof(Marks)) != 0) throw std::bad_alloc();
    ::setenv(kVariable, std::to_string(memory).c_str(), 1);
  }
  void* const mapped = ::mmap(nullptr, sizeof(Marks), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  marks = static_cast<Marks*>(mapped);
  return true;
}();

template <class P>
class EachPool : public testing::Test {
 public:
  explicit EachPool(StartMethod start) : start_(start) { new (marks) Marks(); }

 protected:
  using Options = std::conditional_t<std::same_as<P, Pool>, PoolOptions, ThreadPoolOptions>;

  P make(Options options) const {
    if constexpr (std::same_as<P, Pool>) options.start_method = start_;
    return P::create(std::move(options)).value();
  }
  P make(std::uint32_t workers, std::size_t max_pending = 65536) const {
    return make(Options{.workers = workers, .max_pending = max_pending});
  }

 private:
  StartMethod start_;
};

template <template <class> class T>
bool register_for_each_pool(const char* name, const char* file, int line) {
  const auto add = [&]<class P>(const char* kind, StartMethod start, std::type_identity<P>) {
    testing::RegisterTest(kind, name, nullptr, nullptr, file, line,
                          [start]() -> EachPool<P>* { return new T<P>(start); });
  };
  add("Forked", StartMethod::kFork, std::type_identity<Pool>());
  add("Spawned", StartMethod::kSpawn, std::type_identity<Pool>());
  add("Threads", StartMethod::kFork, std::type_identity<ThreadPool>());
  return true;
}

// Keeps a pool's one worker busy until gate 0 opens.
template <class P>
Future<void> block(P& pool) {
  Future<void> first = pool.submit([] { ++marks->count, marks->pass(0); });
  EXPECT_TRUE(marks->await_count(1));
  return first;
}

inline void expect_refused(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(task_error(status).value_or(TaskError{}).kind, TaskError::Kind::kRefused);
}

}  // namespace warren::test

// The body is a member of a class template over P: Pool or ThreadPool.
#define TEST_OF_EACH_POOL(name)                                                               \
  template <class P>                                                                          \
  struct name final : EachPool<P> {                                                           \
    using EachPool<P>::EachPool;                                                              \
    void TestBody() override;                                                                 \
  };                                                                                          \
  const bool k##name##IsRegistered = register_for_each_pool<name>(#name, __FILE__, __LINE__); \
  template <class P>                                                                          \
  void name<P>::TestBody()
