#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/pool/detail/function_registry.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

namespace warren::detail {
namespace {

template <int N>
struct Task {
  static void invoke(Reader&, ResultSink&) { std::printf("%d\n", N); }
};

int square(int x) { return x * x; }
[[gnu::noinline]] int doubled(int x) {
  for (int i = 0; i < 3; ++i) asm volatile("" : "+r"(x));
  return 2 * x;
}
AnyFunction erased(int (*f)(int)) { return reinterpret_cast<AnyFunction>(f); }
AnyFunction at(std::uintptr_t address) { return reinterpret_cast<AnyFunction>(address); }
std::uintptr_t address_of(int (*f)(int)) { return reinterpret_cast<std::uintptr_t>(f); }

class FunctionRegistry : public testing::Test {
 protected:
  // Death tests start the program anew, so what they check happens in a process that has done nothing else.
  FunctionRegistry() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};
using FunctionRegistryDeathTest = FunctionRegistry;

TEST_F(FunctionRegistryDeathTest, NothingHasAnIdBeforeFreeze) {
  const auto check = [] {
    bool ok = !registered<Task<1>>().id() && !id_of(&Task<1>::invoke) && !id_of_function(erased(square));
    freeze();
    ok = ok && registered<Task<1>>().id() && id_of(&Task<1>::invoke) && id_of_function(erased(square));
    std::_Exit(ok ? 0 : 1);
  };
  EXPECT_EXIT(check(), testing::ExitedWithCode(0), "");
}

TEST_F(FunctionRegistry, FindsEveryInvokerByItsId) {
  freeze();
  const auto one = registered<Task<1>>().id(), two = registered<Task<2>>().id();
  ASSERT_TRUE(one && two);
  EXPECT_NE(*one, *two);
  EXPECT_EQ(one->module, two->module);
  EXPECT_EQ(id_of(&Task<1>::invoke), one);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(find(*one), &Task<1>::invoke);
    EXPECT_EQ(find(*two), &Task<2>::invoke);
  }
}

TEST_F(FunctionRegistry, UnknownIdsFindNothing) {
  freeze();
  const FunctionId known = *registered<Task<1>>().id();
  EXPECT_EQ(find({}), nullptr);
  EXPECT_EQ(find({known.module, known.offset + 1}), nullptr);
  EXPECT_EQ(find({known.module + 1, known.offset}), nullptr);
  EXPECT_EQ(find_function({known.module + 1, known.offset}), nullptr);
}

TEST_F(FunctionRegistry, ChildrenAndThreadsFindTheSame) {
  freeze();
  const FunctionId id = *registered<Task<1>>().id();
  const FunctionId plain = *id_of_function(erased(doubled));
  const pid_t child = fork();
  if (child == 0) _exit(find(id) == &Task<1>::invoke && find_function(plain) == erased(doubled) ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  std::thread([&] {
    EXPECT_EQ(find(id), &Task<1>::invoke);
    EXPECT_EQ(registered<Task<1>>().id(), id);
    EXPECT_EQ(find_function(plain), erased(doubled));
  }).join();
}

TEST_F(FunctionRegistryDeathTest, IdsAreTheSameInAnotherRunOfTheProgram) {
  freeze();
  char text[128];
  const auto ids = [&text] {
    const FunctionId a = *registered<Task<1>>().id(), b = *id_of_function(erased(doubled));
    std::snprintf(text, sizeof(text), "%" PRIx64 " %" PRIx64 " %" PRIx64, a.module, a.offset, b.offset);
    return std::string(text);
  };
  // Of the run that comes first: the other, loaded at another address, inherits the environment.
  setenv("WARREN_TEST_IDS", ids().c_str(), /*overwrite=*/0);
  EXPECT_EXIT(std::_Exit(ids() == std::getenv("WARREN_TEST_IDS") ? 0 : 1), testing::ExitedWithCode(0), "");
}

TEST_F(FunctionRegistry, WhatDlopenBringsAfterFreezeHasNoId) {
  freeze();
  void* library = dlopen(WARREN_LATE_FUNCTIONS, RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto entry = reinterpret_cast<const InvokerEntry* (*)()>(dlsym(library, "late_entry"));
  const auto plain = reinterpret_cast<AnyFunction>(dlsym(library, "late_function"));
  ASSERT_TRUE(entry != nullptr && plain != nullptr);
  EXPECT_FALSE(entry()->id());
  EXPECT_FALSE(id_of(entry()->invoker()));
  EXPECT_FALSE(id_of_function(plain));
  freeze();
  EXPECT_FALSE(entry()->id()) << "the first freeze counts";
}

TEST_F(FunctionRegistry, PlainFunctionsComeBackAsTheyWent) {
  freeze();
  for (const AnyFunction f : {erased(square), erased(doubled), erased([](int x) { return x + 1; })}) {
    const auto id = id_of_function(f);
    ASSERT_TRUE(id);
    EXPECT_EQ(find_function(*id), f);
  }
}

TEST_F(FunctionRegistry, WhatIsNotTheStartOfAFunctionHasNoId) {
  freeze();
  static int in_data = 0;
  int on_stack = 0;
  EXPECT_FALSE(id_of_function(nullptr));
  EXPECT_FALSE(id_of_function(at(reinterpret_cast<std::uintptr_t>(&in_data))));
  EXPECT_FALSE(id_of_function(at(reinterpret_cast<std::uintptr_t>(&on_stack))));
  EXPECT_FALSE(id_of_function(at(~std::uintptr_t{0})));
  for (std::uintptr_t k = 1; k < 4; ++k) EXPECT_FALSE(id_of_function(at(address_of(doubled) + k)));
}

TEST_F(FunctionRegistry, HostileOffsetsLeadOnlyToStartsOfFunctions) {
  freeze();
  const FunctionId known = *id_of_function(erased(doubled));
  std::mt19937_64 random(7);
  std::vector<std::uint64_t> offsets{0, 1, ~std::uint64_t{0}, known.offset + 1, known.offset - 1};
  for (int i = 0; i < 2000; ++i) offsets.push_back(random() >> (random() % 64));
  for (std::uint64_t k = 0; k < 4096; ++k) offsets.push_back(known.offset - 2048 + k);
  const std::uintptr_t base = address_of(doubled) - known.offset;
  std::size_t found = 0;
  for (const std::uint64_t offset : offsets) {
    const AnyFunction f = find_function({known.module, offset});
    if (f == nullptr) continue;
    ++found;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(f), base + offset);
    EXPECT_EQ(id_of_function(f), (FunctionId{known.module, offset}));
  }
  EXPECT_GT(found, 0U);
}

TEST_F(FunctionRegistry, LibrariesAreModulesOfTheirOwn) {
  freeze();
  const auto there = id_of_function(reinterpret_cast<AnyFunction>(&dlerror));
  const auto here = id_of_function(erased(doubled));
  ASSERT_TRUE(there && here);
  EXPECT_NE(there->module, here->module);
  EXPECT_EQ(find_function(*there), reinterpret_cast<AnyFunction>(&dlerror));
}

}  // namespace
}  // namespace warren::detail
