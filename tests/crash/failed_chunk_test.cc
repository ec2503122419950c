// A chunk fails in the midst of an item, and its worker dies before the chunk has ended: what the error says is no
// item's value.
#include <gtest/gtest.h>

#include "support/crash_points.h"
#include "support/pool_world.h"

namespace warren::test {

// Its codec throws in the midst of the value 5; the worker then dies at `point`.
struct Picky {
  int value = 0;
};
inline std::string_view point;

}  // namespace warren::test

template <>
struct warren::Codec<warren::test::Picky> {
  static void encode(Writer& w, const test::Picky& picky) {
    w.put(picky.value);
    if (picky.value != 5) return;
    if (test::marks->count++ == 0) test::die_at({.point = test::point});
    throw std::runtime_error("not a five");
  }
  static absl::StatusOr<test::Picky> decode(Reader& r) {
    const absl::StatusOr<int> value = r.get<int>();
    if (!value.ok()) return value.status();
    return test::Picky{*value};
  }
};

namespace warren::test {
namespace {

class FailedChunk : public WithMarks, public testing::WithParamInterface<std::string_view> {};

TEST_P(FailedChunk, IsReadAsOneThoughItsWorkerDies) {
  point = GetParam();
  Pool pool = make_pool(1);
  const auto make = [](int x) { return ++marks->ran[static_cast<std::size_t>(x)], Picky{x}; };
  int i = 0;
  for (const absl::StatusOr<Picky>& each : pool.imap({.chunksize = 8}, make, std::views::iota(0, 8))) {
    EXPECT_EQ(each.ok(), i < 5) << i << ": " << each.status();
    if (each.ok()) {
      EXPECT_EQ(each->value, i);
    } else {
      EXPECT_EQ(task_error(each.status()).value_or(TaskError{}).what, "not a five") << each.status();
    }
    EXPECT_EQ(marks->ran[static_cast<std::size_t>(i)], i <= 5 ? 1u : 0u) << i;
    ++i;
  }
  EXPECT_EQ(i, 8);
}
INSTANTIATE_TEST_SUITE_P(, FailedChunk, testing::Values("chunk_committed", "result_written", "task_ended"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace warren::test
