// Bytes of every size between processes. Kinds of functions, arguments and results: pool_verbs_values_test.cc.
#include <gtest/gtest.h>
#include <warren/pool/pool.h>

#include <array>
#include <numeric>

#include "support/pool_world.h"

namespace warren::test {
namespace {

class PoolValues : public testing::Test {
 protected:
  Pool pool = make_pool(1);
};

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
