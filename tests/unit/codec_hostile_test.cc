// A peer's bytes: cut off, changed, made up. Each is a value or DataLoss, never a crash or a large allocation.
#include <gtest/gtest.h>
#include <warren/ipc/codec.h>

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>

#include "unit/codec_types.h"

namespace warren {
namespace {

using detail::BufferWriter;

template <class T>
absl::Status decode_status(std::span<const std::byte> bytes) {
  Reader r(bytes);
  return r.get<T>().status();
}
template <class T, class... P>
absl::Status decode_parts(const P&... parts) {
  BufferWriter w;
  (w.put(parts), ...);
  return decode_status<T>(w.written());
}
void expect_data_loss(const absl::Status& status, std::string_view text) {
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_NE(std::string(status.message()).find(text), std::string::npos) << status;
}

TEST(Reader, SaysWhatIsWrong) {
  expect_data_loss(decode_status<int>({}), "a value of 4 bytes is cut off: 0 bytes are left");
  expect_data_loss(decode_parts<bool>(std::uint8_t{2}), "a bool has the value 2");
  expect_data_loss(decode_parts<std::vector<bool>>(std::uint64_t{1}, std::uint8_t{9}), "a bool has the value 9");
  expect_data_loss(decode_parts<std::optional<int>>(std::uint8_t{2}, 1), "said by 2, neither 0 nor 1");
  expect_data_loss(decode_parts<std::unique_ptr<int>>(std::uint8_t{3}, 1), "said by 3, neither 0 nor 1");
  expect_data_loss(decode_parts<std::variant<int, bool>>(2U, 1), "2 alternatives has the index 2");
  expect_data_loss(decode_parts<std::set<int>>(std::uint64_t{2}, 5, 5), "the same key twice");
  expect_data_loss(decode_parts<std::map<int, int>>(std::uint64_t{2}, 5, 1, 5, 2), "the same key twice");
  expect_data_loss(decode_parts<Percent>(101), "a percentage out of range");
}

TEST(Reader, HugeLengthsAllocateNothing) {
  for (const std::uint64_t n :
       {std::uint64_t{9}, std::uint64_t{1} << 40, ~std::uint64_t{0}, ~std::uint64_t{0} / 4 + 2}) {
    const std::uint64_t rest = 0;
    expect_data_loss(decode_parts<std::string>(n, rest), "are announced, but 8 bytes are left");
    expect_data_loss(decode_parts<std::u32string>(n, rest), "are announced");
    expect_data_loss(decode_parts<std::vector<int>>(n, rest), "are announced");
    expect_data_loss(decode_parts<std::vector<std::string>>(n, rest), "are announced");
    expect_data_loss(decode_parts<std::vector<bool>>(n, rest), "are announced");
    expect_data_loss(decode_parts<std::vector<Silent>>(n, rest), "are announced");
    expect_data_loss(decode_parts<std::vector<Empty>>(n, rest), "are announced");
    expect_data_loss(decode_parts<std::list<int>>(n, rest), "are announced");
    expect_data_loss(decode_parts<std::map<int, int>>(n, rest), "are announced");
    expect_data_loss(decode_parts<std::unordered_set<int>>(n, rest), "are announced");
  }
}

TEST(Reader, ReservesNoMoreThanTheBytesThatAreLeft) {
  using Large = std::optional<std::array<char, 4096>>;
  BufferWriter w;
  w.length(100'000);
  for (int i = 0; i < 100'000; ++i) w.put(std::uint8_t{i == 5 ? std::uint8_t{7} : std::uint8_t{0}});
  Reader r(w.written());
  const auto n = r.length();
  ASSERT_TRUE(n.ok());
  expect_data_loss(decode_status<std::vector<Large>>(w.written()), "neither 0 nor 1");
}

TEST(Reader, DeepBytesAreAnErrorNotAStackOverflow) {
  std::vector<std::byte> bytes(1'000'000, std::byte{1});  // "there is another one", a million times
  expect_data_loss(decode_status<Chain>(bytes), "nests deeper than 1000 levels");
}

TEST(Reader, FailsForEverAfterTheFirstFailure) {
  const std::vector<std::byte> bytes = encoded(7);
  Reader r(bytes);
  EXPECT_FALSE(r.bytes(5).ok());
  const auto later = r.get<int>();
  ASSERT_FALSE(later.ok());
  EXPECT_EQ(later.status(), r.status());
}

struct Everything {
  Node node;
  Record record;
  std::variant<int, std::string, std::vector<bool>> variant;
  std::optional<Order> order;
  std::set<int> set;
  std::map<std::string, std::vector<double>> map;
  std::array<std::string, 2> array;
  std::unique_ptr<Point> pointer;
  Task task;
  std::tuple<bool, std::unordered_set<int>> tuple;
};

Everything everything() {
  Node tree{.value = 1};
  tree.children.push_back(Node{.value = 2});
  tree.next = std::make_unique<Node>(Node{.value = 3});
  tree.named["n"].value = 4;
  return {std::move(tree),
          Record{.name = "record", .parts = {"a", "bc", "def"}, .points = {{1, 2}, {3, 4}}},
          std::vector<bool>{true, false},
          Order(1, "order"),
          {1, 2, 3},
          {{"x", {1, 2}}, {"y", {}}},
          {"first", "second"},
          std::make_unique<Point>(Point{5, 6}),
          Task{1, Job(2, "job"), Color::kRed},
          {true, {1, 2}}};
}

TEST(Reader, EveryPrefixIsDataLoss) {
  const std::vector<std::byte> bytes = encoded(everything());
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    // A copy of its own, so that a sanitizer sees a read beyond the end.
    const std::vector<std::byte> prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_EQ(decode_status<Everything>(prefix).code(), absl::StatusCode::kDataLoss) << n;
  }
}

TEST(Reader, EveryFlippedBitIsAValueOrDataLoss) {
  std::vector<std::byte> bytes = encoded(everything());
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto mask = static_cast<std::byte>(1U << (bit % 8));
    bytes[bit / 8] ^= mask;
    const absl::Status status = decode_status<Everything>(bytes);
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kDataLoss) << status;
    refused += status.ok() ? 0U : 1U;
    bytes[bit / 8] ^= mask;
  }
  EXPECT_GT(refused, 0U);
}

TEST(Reader, RandomBytesAreAValueOrDataLoss) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> bytes(random() % 200);
    const unsigned values = 1U << (random() % 9);  // mostly small numbers: plausible lengths
    for (std::byte& b : bytes) b = static_cast<std::byte>(random() % values);
    const absl::Status status = decode_status<Everything>(bytes);
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kDataLoss) << status;
  }
}

}  // namespace
}  // namespace warren
