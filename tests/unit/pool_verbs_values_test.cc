// Functions, arguments and results of both pools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/ipc/array.h>

#include <array>
#include <map>
#include <numeric>
#include <optional>
#include <variant>

#include "support/each_pool.h"

namespace warren::test {

int square(int x) { return x * x; }
std::string join(const std::string& a, std::string_view b) { return a + std::string(b); }

struct Shape {
  double area() const { return w * h; }
  double scaled(double by) const { return w * h * by; }
  double w, h;
};

struct Scale {  // fields travel as an aggregate's
  std::string unit;
  double factor;
  std::string operator()(double x) const { return std::to_string(static_cast<int>(factor * x)) + unit; }
};

struct Job {
  std::string path;
  std::vector<int> lines;
  std::optional<Shape> shape;
  std::map<std::string, std::vector<std::string>> tags;
};

class Celsius {  // a user's type with a codec
 public:
  Celsius() = default;
  explicit Celsius(double degrees) : degrees_(degrees) {}
  double degrees_ = 0;
};

class Adder {  // a function object with a codec
 public:
  explicit Adder(int n = 0) : n_(n) {}
  int operator()(int x) const { return x + n_; }
  int n_;
};

}  // namespace warren::test

template <>
struct warren::Codec<warren::test::Celsius> : warren::MemberCodec<&warren::test::Celsius::degrees_> {};
template <>
struct warren::Codec<warren::test::Adder> : warren::MemberCodec<&warren::test::Adder::n_> {};

namespace warren::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

const std::string word = "decays";  // made before the workers, which never come to the line that calls them

// --- functions -------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(PlainFunctionsTravel) {
  auto pool = this->make(1);
  EXPECT_EQ(pool.apply(square, 7).value(), 49);
  EXPECT_EQ(pool.apply(&square, 8).value(), 64);
  EXPECT_EQ(pool.apply(join, "a", "b").value(), "ab");
  int (*const pointer)(int) = &square;
  EXPECT_EQ(pool.apply(pointer, 9).value(), 81);
  EXPECT_THAT(pool.map(square, {1, 2, 3}).value(), ElementsAre(1, 4, 9));
}

TEST_OF_EACH_POOL(FunctionsNamedAtCompileTimeTravel) {
  auto pool = this->make(1);
  EXPECT_EQ(pool.apply(fn<&square>, 7).value(), 49);
  EXPECT_EQ(pool.apply(fn<square>, 7).value(), 49);
  EXPECT_EQ(pool.apply(fn<&Shape::area>, Shape{2, 3}).value(), 6);
  EXPECT_EQ(pool.apply(fn<&Shape::scaled>, Shape{2, 3}, 10.0).value(), 60);
  EXPECT_EQ(pool.apply(fn<&Shape::w>, Shape{2, 3}).value(), 2);
}

TEST_OF_EACH_POOL(LambdasTravelWithPlainCaptures) {
  auto pool = this->make(1);
  int k = 3;  // not const: a constant is no capture
  const std::array<double, 4> table{1, 2, 3, 4};
  EXPECT_EQ(pool.apply([](int x) { return x + 1; }, 1).value(), 2);
  EXPECT_EQ(pool.apply([k](int x) { return x * k; }, 5).value(), 15);
  EXPECT_EQ(pool.apply([table, k] { return std::accumulate(table.begin(), table.end(), 0.0) + k; }).value(), 13);
  EXPECT_EQ(pool.apply([shape = Shape{2, 5}] { return shape.area(); }).value(), 10);
}

TEST_OF_EACH_POOL(TwoLambdasOfOneTypeOfNameAreTwoFunctions) {
  auto pool = this->make(1);
  const auto one = [] { return 1; };
  const auto two = [] { return 2; };
  EXPECT_EQ(pool.apply(one).value() + 10 * pool.apply(two).value(), 21);
}

TEST_OF_EACH_POOL(MutableClosuresStartAfreshForEveryCallAndItem) {
  auto pool = this->make(1);
  const auto counts = [n = 0](int) mutable { return ++n; };
  EXPECT_EQ(pool.apply(counts, 0).value(), 1);
  EXPECT_EQ(pool.apply(counts, 0).value(), 1);
  EXPECT_THAT(pool.map({.chunksize = 10}, counts, std::views::iota(0, 100)).value(), Each(1));
  auto array = Array<int>::create(100).value();
  EXPECT_TRUE(pool.for_each({.chunksize = 10}, array, [n = 0](int& x) mutable { x = ++n; }).ok());
  EXPECT_THAT(array.span(), Each(1));
  const auto third = [n = 0]() mutable { return current_task().attempt() < 3 ? throw ++n : ++n; };
  EXPECT_EQ(pool.apply({.retries = 2, .retry_on = RetryOn::kAnyFailure}, third).value(), 1);
}

TEST_OF_EACH_POOL(BoundFunctionsTravelWithStrings) {
  auto pool = this->make(1);
  EXPECT_EQ(pool.apply(warren::bind_front(join, "prefix "), "x").value(), "prefix x");
  EXPECT_EQ(pool.apply(warren::bind_front([](const std::vector<std::string>& words,
                                             int i) { return words[static_cast<std::size_t>(i)]; },
                                          std::vector<std::string>{"zero", "one"}),
                       1)
                .value(),
            "one");
  EXPECT_EQ(pool.apply(warren::bind_front(warren::bind_front(join, "a"), "b")).value(), "ab");
}

TEST_OF_EACH_POOL(FunctionObjectsTravel) {
  auto pool = this->make(1);
  EXPECT_EQ(pool.apply(Scale{"m", 2}, 4).value(), "8m");
  EXPECT_EQ(pool.apply(Adder(5), 4).value(), 9);
  EXPECT_THAT(pool.map(Adder(1), {1, 2}).value(), ElementsAre(2, 3));
  EXPECT_EQ(pool.apply(std::plus<>(), 4, 5).value(), 9);
}

TEST_OF_EACH_POOL(ANullFunctionPointerFailsItsFuture) {
  auto pool = this->make(1);
  int (*const null)(int) = nullptr;
  const absl::Status refused = pool.submit(null, 1).get().status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(task_error(refused).value().kind, TaskError::Kind::kRefused);
  EXPECT_EQ(pool.map(null, {1, 2}).status().code(), absl::StatusCode::kInvalidArgument);
  void (*const none)(int&) = nullptr;
  auto array = Array<int>::create(2).value();
  EXPECT_EQ(pool.for_each(array, none).code(), absl::StatusCode::kInvalidArgument);
}

// --- arguments -------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(LiteralsAndViewsBecomeStrings) {
  auto pool = this->make(1);
  const auto size = [](std::string s) { return s.size(); };
  const char* const pointer = "pointer";
  char array[] = "array";
  const std::string string = "string";
  EXPECT_EQ(pool.apply(size, "literal").value(), 7u);
  EXPECT_EQ(pool.apply(size, pointer).value(), 7u);
  EXPECT_EQ(pool.apply(size, array).value(), 5u);
  EXPECT_EQ(pool.apply(size, std::string_view(string).substr(1)).value(), 5u);
  EXPECT_EQ(pool.apply(size, string).value(), 6u);
  EXPECT_EQ(pool.apply([](std::string_view s) { return s.size(); }, "view").value(), 4u);
  EXPECT_EQ(pool.apply(size, std::string("with\0zero", 9)).value(), 9u);
}

TEST_OF_EACH_POOL(ArgumentsMayBeMoveOnly) {
  auto pool = this->make(1);
  auto number = std::make_unique<int>(5);
  EXPECT_EQ(pool.apply([](std::unique_ptr<int> p) { return *p; }, std::move(number)).value(), 5);
  EXPECT_EQ(pool.apply([](const std::unique_ptr<int>& p) { return p == nullptr; }, std::unique_ptr<int>()).value(),
            true);
}

TEST_OF_EACH_POOL(AggregatesContainersAndUserTypesTravel) {
  auto pool = this->make(1);
  const Job job{.path = "/a", .lines = {1, 2, 3}, .shape = Shape{2, 3}, .tags = {{"x", {"y", "z"}}}};
  const auto back = pool.apply([](Job j) { return j.lines.push_back(4), j; }, job).value();
  EXPECT_EQ(back.path, "/a");
  EXPECT_THAT(back.lines, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(back.shape->area(), 6);
  EXPECT_EQ(back.tags, job.tags);
  EXPECT_EQ(pool.apply([](Celsius c) { return Celsius(c.degrees_ + 1); }, Celsius(36)).value().degrees_, 37);
  using Either = std::variant<int, std::string>;
  EXPECT_EQ(std::get<std::string>(
                pool.apply([](Either e) { return Either(std::get<std::string>(e) + "!"); }, Either("a")).value()),
            "a!");
  EXPECT_EQ(
      pool.apply([](std::tuple<int, std::string> t, std::pair<char, bool> p) { return std::get<0>(t) + p.second; },
                 std::tuple(1, std::string("s")), std::pair('c', true))
          .value(),
      2);
}

TEST_OF_EACH_POOL(ArgumentsAreCopies) {
  auto pool = this->make(1);
  std::vector<int> mine{1, 2};
  EXPECT_EQ(pool.apply([](std::vector<int> v) { return v.push_back(3), v.size(); }, mine).value(), 3u);
  EXPECT_EQ(mine.size(), 2u);
  mine.clear();
  EXPECT_TRUE(pool.apply([](const std::vector<int>& v) { return v.empty(); }, mine).value());
}

// --- results ---------------------------------------------------------------------------------------------------------

TEST_OF_EACH_POOL(ResultsOfEveryKindComeBackInOneLayer) {
  auto pool = this->make(1);
  const absl::Status nothing = pool.apply([] {});
  EXPECT_TRUE(nothing.ok());
  EXPECT_EQ(*pool.apply([] { return std::make_unique<int>(6); }).value(), 6);
  EXPECT_TRUE(pool.apply([] { return absl::OkStatus(); }).ok());
  const absl::Status failed = pool.apply([] { return absl::NotFoundError("no such"); });
  EXPECT_EQ(failed.code(), absl::StatusCode::kNotFound);
  const absl::StatusOr<int> value = pool.apply([]() -> absl::StatusOr<int> { return 1; });
  EXPECT_EQ(value.value(), 1);
  const absl::StatusOr<std::string> error =
      pool.apply([]() -> absl::StatusOr<std::string> { return absl::DataLossError("x"); });
  EXPECT_EQ(error.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(task_error(error.status())->kind, TaskError::Kind::kReturned);
  const absl::StatusOr<std::string> copy = pool.apply([]() -> const std::string& { return word; });
  EXPECT_EQ(copy.value(), "decays");
}

TEST_OF_EACH_POOL(AHundredMebibytesTravelBothWays) {
  auto pool = this->make(1);
  std::string text(std::size_t{100} << 20, 'x');
  for (std::size_t i = 0; i < text.size(); i += 4096) text[i] = static_cast<char>(i / 4096);
  const Future<std::string> future = pool.submit([](std::string s) { return s.back() = '!', s; }, text);
  text.back() = '!';
  EXPECT_TRUE(future.get().value() == text);
}

}  // namespace
}  // namespace warren::test
