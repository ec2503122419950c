// What may be sent: kinds of functions, of arguments and of results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <array>
#include <map>
#include <numeric>
#include <optional>
#include <variant>

#include "support/pool_world.h"

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

class PoolValues : public testing::Test {
 protected:
  Pool pool = make_pool(1);
};

// --- functions -------------------------------------------------------------------------------------------------------

TEST_F(PoolValues, MutableClosuresStartAfreshForEveryCallAndItem) {
  const auto counts = [n = 0](int) mutable { return ++n; };
  EXPECT_EQ(pool.apply(counts, 0).value(), 1);
  EXPECT_EQ(pool.apply(counts, 0).value(), 1);
  EXPECT_THAT(pool.map({.chunksize = 10}, counts, std::views::iota(0, 100)).value(), Each(1));
}

// --- arguments -------------------------------------------------------------------------------------------------------

// --- results ---------------------------------------------------------------------------------------------------------

const std::string word = "decays";  // made before the workers, which never come to the line that calls them

TEST_F(PoolValues, MoveOnlyResultsMayBeGotAgain) {
  const Future<std::unique_ptr<std::string>> future = pool.submit([] { return std::make_unique<std::string>("once"); });
  EXPECT_EQ(*future.get().value(), "once");
  EXPECT_EQ(*future.get().value(), "once");
}

// A string takes 8 bytes more than its length; 84 lie in the slot, more in a block.
TEST_F(PoolValues, EverySizeAroundTheSlotsEndTravelsBothWays) {
  for (std::size_t n = 0; n < 200; ++n) {
    std::string text(n, 'a');
    std::iota(text.begin(), text.end(), 'a');
    EXPECT_EQ(pool.apply([](std::string s) { return s; }, text).value(), text) << n;
    EXPECT_EQ(pool.apply([](std::size_t size) { return std::vector<char>(size, 'z'); }, n).value(),
              std::vector<char>(n, 'z'))
        << n;
  }
}

template <std::size_t N>
void expect_plain_bytes_travel(Pool& pool) {
  using Bytes = std::array<unsigned char, N>;
  Bytes bytes;
  std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(1));
  EXPECT_EQ(pool.apply([](const Bytes& b) { return b; }, bytes).value(), bytes) << N;
}

TEST_F(PoolValues, PlainBytesTravelExactlyAtTheSlotsEnd) {
  expect_plain_bytes_travel<83>(pool);
  expect_plain_bytes_travel<84>(pool);
  expect_plain_bytes_travel<85>(pool);
  expect_plain_bytes_travel<511>(pool);
  expect_plain_bytes_travel<512>(pool);
  expect_plain_bytes_travel<513>(pool);
}

TEST_F(PoolValues, EveryClassOfBlocksServes) {
  for (std::size_t shift = 9; shift <= 24; ++shift) {
    for (const std::size_t size : {(std::size_t{1} << shift) - 9, std::size_t{1} << shift}) {
      const std::string text(size, static_cast<char>('a' + shift % 26));
      ASSERT_EQ(pool.apply([](std::string s) { return s; }, text).value(), text) << size;
    }
  }
}

}  // namespace
}  // namespace warren::test
