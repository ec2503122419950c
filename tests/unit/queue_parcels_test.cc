// Queue<T> of what is no small plain value: encoded, or in a block of the queue's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/queue.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "support/blocked.h"
#include "support/child.h"
#include "support/limits.h"
#include "support/queue_blocks.h"
#include "support/resources.h"

namespace warren {

namespace test {
// A user's type that cannot always be encoded, nor decoded.
struct Picky {
  std::string text;
};
// One that cannot always be moved.
struct Stiff {
  Stiff() = default;
  explicit Stiff(std::string t) : text(std::move(t)) {}
  Stiff(const Stiff&) = default;
  Stiff& operator=(const Stiff& from) {
    if (from.text == "stiff") throw std::runtime_error("no");
    text = from.text;
    return *this;
  }
  std::string text;
};
// One whose codec forks once its bytes lie in a block, and whose child fails.
struct Forking {
  std::string text;
};
}  // namespace test
template <>
struct Codec<test::Stiff> {
  static void encode(Writer& w, const test::Stiff& s) { w.put(s.text); }
  static absl::StatusOr<test::Stiff> decode(Reader& r) {
    auto text = r.get<std::string>();
    if (!text.ok()) return text.status();
    return test::Stiff(*std::move(text));
  }
};
template <>
struct Codec<test::Forking> {
  static void encode(Writer& w, const test::Forking& f) {
    w.put(f.text);
    const pid_t child = ::fork();
    if (child == 0) throw std::runtime_error("the child's");
    ::waitpid(child, nullptr, 0);
  }
  static absl::StatusOr<test::Forking> decode(Reader& r) {
    auto text = r.get<std::string>();
    if (!text.ok()) return text.status();
    return test::Forking{*std::move(text)};
  }
};
template <>
struct Codec<test::Picky> {
  static void encode(Writer& w, const test::Picky& p) {
    if (p.text == "secret") return w.fail(absl::PermissionDeniedError("it is secret"));
    if (p.text == "throw") throw std::runtime_error("no");
    w.put(p.text);
  }
  static absl::StatusOr<test::Picky> decode(Reader& r) {
    auto text = r.get<std::string>();
    if (!text.ok()) return text.status();
    if (*text == "garbled") return absl::DataLossError("it is garbled");
    return test::Picky{*std::move(text)};
  }
};

namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Forking;
using test::Picky;
using test::QueueBlocks;
using test::Stiff;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Job {
  int id;
  std::string path;
  std::map<std::string, std::vector<double>> values;
  bool operator==(const Job&) const = default;
};
struct Big {
  int words[500];
};

std::string text_of(std::size_t size, char first = 'a') {
  std::string text(size, 0);
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(first + static_cast<char>(i % 23));
  return text;
}

template <class T>
Queue<T> queue_of(std::size_t capacity = 8, std::size_t max_item_bytes = 0) {
  return Queue<T>::create({.capacity = capacity, .max_item_bytes = max_item_bytes}).value();
}

TEST(QueueOfAnything, CarriesWhatTravels) {
  auto jobs = queue_of<Job>();
  const Job small{.id = 1, .path = "x", .values = {}};
  const Job large{.id = 2, .path = text_of(3000), .values = {{"a", {1, 2}}, {"b", std::vector<double>(100, 0.5)}}};
  ASSERT_TRUE(jobs.push(small));
  ASSERT_TRUE(jobs.push(large));
  EXPECT_EQ(jobs.pop(), small);
  EXPECT_EQ(jobs.pop(), large);

  auto optionals = queue_of<std::optional<std::string>>();
  optionals.push("item " + std::to_string(1));
  optionals.push(std::nullopt);
  EXPECT_EQ(optionals.pop().value(), "item 1");
  EXPECT_EQ(optionals.pop().value(), std::nullopt);

  auto variants = queue_of<std::variant<int, std::vector<std::string>>>();
  variants.push(3);
  variants.push(std::vector<std::string>(50, "text"));
  EXPECT_EQ(std::get<0>(*variants.pop()), 3);
  EXPECT_EQ(std::get<1>(*variants.pop()).size(), 50u);

  auto owners = queue_of<std::unique_ptr<int>>();
  owners.push(std::make_unique<int>(7));
  EXPECT_EQ(**owners.pop(), 7);
}

TEST(QueueOfAnything, StringsOfEverySizeAroundTheLimits) {
  auto queue = queue_of<std::string>();
  for (const std::size_t size : {0u, 1u, 8u, 111u, 112u, 113u, 511u, 512u, 513u, 4096u, 262144u, 262145u, 1048577u}) {
    ASSERT_TRUE(queue.push(text_of(size))) << size;
    EXPECT_EQ(queue.try_pop(), text_of(size)) << size;
  }
  EXPECT_EQ(QueueBlocks(queue).owned(), 0u);
}

TEST(QueueOfAnything, MoreThan16MiB) {
  auto queue = queue_of<std::vector<std::uint64_t>>(2);
  const std::vector<std::uint64_t> many(3 << 20, 42);  // 24 MiB
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(queue.push(many));
    EXPECT_EQ(queue.pop(), many);
  }
  auto encoded = queue_of<std::optional<std::string>>(2);
  ASSERT_TRUE(encoded.push(text_of(20 << 20)));
  EXPECT_EQ(*encoded.pop(), text_of(20 << 20));
  EXPECT_EQ(QueueBlocks(queue).owned() + QueueBlocks(encoded).owned(), 0u);
}

TEST(QueueOfAnything, LargePlainValues) {
  auto queue = queue_of<Big>(3);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(queue.try_push(Big{{i, i + 1}}));
    EXPECT_EQ(queue.try_pop()->words[1], i + 1);
  }
}

TEST(QueueOfAnything, BatchesComeInOrder) {
  auto queue = queue_of<std::string>(4);
  const std::vector<std::string> items{"a", text_of(500), "c", text_of(5000), "e"};
  EXPECT_EQ(queue.try_push_n(items), 4u);
  std::vector<std::string> out(10);
  EXPECT_EQ(queue.pop_n(out), 4u);
  EXPECT_THAT(std::span(out).first(5), ElementsAre("a", text_of(500), "c", text_of(5000), ""));
  std::thread producer([&] {
    std::vector<std::string> many(100, text_of(300));
    EXPECT_EQ(queue.push_n(many), 100u);
    queue.close();
  });
  std::size_t count = 0;
  for (std::size_t n; (n = queue.pop_n(out)) != 0; count += n) EXPECT_EQ(out[0], text_of(300));
  producer.join();
  EXPECT_EQ(count, 100u);
  EXPECT_TRUE(queue.drained());
  EXPECT_EQ(QueueBlocks(queue).owned(), 0u);
}

TEST(QueueOfAnything, AnItemIsTheOneThatWasPushed) {
  auto queue = queue_of<std::string>();
  std::string text = text_of(1000);
  queue.push(text);
  text[0] = '!';
  EXPECT_EQ(queue.pop(), text_of(1000));
}

TEST(QueueOfAnything, ACapacityThatLargeValuesCannotFillIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(Queue<Big>::create({.capacity = std::size_t{1} << 32}).status()));
  EXPECT_TRUE(Queue<Big>::create({.capacity = 1 << 20}).ok());
}

// --- refusals --------------------------------------------------------------------------------------------------------

TEST(QueueOfAnything, WhatNeverFitsIsRefusedAtOnceAlsoWhileFull) {
  auto texts = queue_of<std::string>(1, 1000);
  ASSERT_TRUE(texts.push(text_of(1000)));
  EXPECT_FALSE(texts.push(text_of(1001)));
  EXPECT_TRUE(absl::IsInvalidArgument(texts.check(text_of(1001))));
  EXPECT_THAT(texts.check(text_of(1001)).message(), HasSubstr("max_item_bytes"));
  EXPECT_TRUE(absl::IsResourceExhausted(texts.check("x")));
  auto jobs = queue_of<Job>(1, 1000);
  ASSERT_TRUE(jobs.push({}));
  EXPECT_FALSE(jobs.push({.id = 1, .path = text_of(1000), .values = {}}));  // encoded it is longer
  EXPECT_TRUE(absl::IsInvalidArgument(jobs.check({.id = 1, .path = text_of(5000), .values = {}})));
  EXPECT_TRUE(absl::IsInvalidArgument(Queue<Big>::create({.capacity = 1, .max_item_bytes = 100}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Queue<int>::create({.capacity = 1, .max_item_bytes = 3}).status()));
}

TEST(QueueOfAnything, ACodecThatFailsIsToldAndTakesNothing) {
  auto queue = queue_of<Picky>();
  EXPECT_FALSE(queue.push({"secret"}));
  EXPECT_TRUE(absl::IsPermissionDenied(queue.check({"secret"})));
  EXPECT_THROW(queue.push({"throw"}), std::runtime_error);
  EXPECT_EQ(queue.stats().pushed, 0u);
  queue.close();
  EXPECT_TRUE(absl::IsOutOfRange(queue.check({"x"})));
}

TEST(QueueOfAnything, ABatchEndsWhereAnItemThrowsOnItsWayIn) {
  auto queue = queue_of<Picky>();
  const std::vector<Picky> items{{"a"}, {"b"}, {"throw"}, {"c"}};
  EXPECT_EQ(queue.try_push_n(items), 2u);
  EXPECT_EQ(queue.push_n(items), 2u);
  EXPECT_THROW((void)queue.try_push_n(std::span(items).subspan(2)), std::runtime_error);
  EXPECT_THROW((void)queue.push_n(std::span(items).subspan(2)), std::runtime_error);
  EXPECT_EQ(queue.approx_size(), 4u);
}

TEST(QueueOfAnything, ABatchEndsWhereAnItemThrowsOnItsWayOut) {
  auto queue = queue_of<Stiff>();
  for (const char* const text : {"a", "stiff", "b", "stiff", "stiff", "stiff", "c"})
    ASSERT_TRUE(queue.push(Stiff(text)));
  std::vector<Stiff> out(8);
  EXPECT_EQ(queue.try_pop_n(out), 1u);
  EXPECT_EQ(out[0].text, "a");
  EXPECT_EQ(queue.pop_n(out), 1u);
  EXPECT_EQ(out[0].text, "b");
  EXPECT_THROW((void)queue.try_pop_n(out), std::runtime_error);
  EXPECT_THROW((void)queue.pop_n(out), std::runtime_error);
  EXPECT_EQ(queue.try_pop_n(out), 1u);
  EXPECT_EQ(out[0].text, "c");
}

TEST(QueueOfAnything, AChildThatComesOutOfACodecLeavesItsParentTheBlock) {
  auto queue = queue_of<Forking>();
  try {
    ASSERT_TRUE(queue.push({text_of(1000)}));
  } catch (const std::runtime_error&) {
    ::_exit(0);
  }
  EXPECT_EQ(QueueBlocks(queue).owned(), 1u);
  const auto item = queue.try_pop();
  ASSERT_TRUE(item.has_value());
  EXPECT_EQ(item->text, text_of(1000));
}

TEST(QueueOfAnything, RefusedPushesKeepNoMemory) {
  auto queue = queue_of<std::string>(1);
  ASSERT_TRUE(queue.push(text_of(1000)));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(queue.try_push(text_of(1000)));
  EXPECT_FALSE(queue.try_push_for(text_of(2000), 1ms));
  EXPECT_EQ(QueueBlocks(queue).owned(), 1u);
  queue.close();
  EXPECT_FALSE(queue.push(text_of(1000)));
  EXPECT_EQ(QueueBlocks(queue).owned(), 1u);
  EXPECT_EQ(queue.pop(), text_of(1000));
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(QueueOfAnything, WhoWaitsForRoomHoldsNoMemory) {
  auto queue = queue_of<std::string>(1);
  ASSERT_TRUE(queue.push(text_of(1000)));
  test::Blocked waiting([&] { EXPECT_TRUE(queue.push(text_of(2000))); });
  EXPECT_EQ(QueueBlocks(queue).owned(), 1u);
  EXPECT_EQ(queue.pop(), text_of(1000));
  EXPECT_EQ(queue.pop(), text_of(2000));
}

TEST(QueueOfAnything, MemoryThatEndsIsARefusal) {
  WARREN_LIMITS_ADDRESS_SPACE();
  const test::ResourceLimit limit(RLIMIT_AS, std::uint64_t{4} << 30);
  auto queue = Queue<std::string>::create({.capacity = 1 << 20});
  ASSERT_TRUE(queue.ok()) << queue.status();
  const std::string text = text_of(200 << 10);  // of its class and the larger ones there are only so many
  std::size_t count = 0;
  while (count < (std::size_t{1} << 20) && queue->push(text)) ++count;
  EXPECT_GT(count, 10u);
  ASSERT_LT(count, std::size_t{1} << 20);
  EXPECT_TRUE(absl::IsResourceExhausted(queue->check(text))) << queue->check(text);
  EXPECT_TRUE(queue->push("small"));
  for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(queue->try_pop(), text);
  EXPECT_TRUE(queue->push(text));
}

// --- a peer's bytes --------------------------------------------------------------------------------------------------

TEST(QueueOfAnything, WhatMakesNoItemIsSkippedAndCounted) {
  auto queue = queue_of<Picky>(4);
  queue.push({"garbled"});
  queue.push({"good"});
  queue.push({"garbled"});
  EXPECT_EQ(queue.pop()->text, "good");
  EXPECT_EQ(queue.try_pop_for(1ms).has_value(), false);
  EXPECT_EQ(queue.stats().undecodable, 2u);
  queue.push({"garbled"});
  std::vector<Picky> out(2);
  EXPECT_EQ(queue.try_pop_n(out), 0u);
  queue.push({"garbled"});
  queue.close();
  EXPECT_FALSE(queue.pop().has_value());
  EXPECT_TRUE(queue.drained());
}

TEST(QueueOfAnything, HostileLabelsReachNothing) {
  auto queue = queue_of<std::string>(4);
  const QueueBlocks blocks(queue);
  const std::uint64_t in_block = std::uint64_t{1} << 63;
  std::uint64_t undecodable = 0;
  const auto garble = [&](const std::string& text, std::uint64_t label, std::optional<std::uint64_t> ref) {
    ASSERT_TRUE(queue.push(text));
    std::uint64_t* slot = blocks.slot(queue.stats().pushed - 1);
    slot[1] = label;
    if (ref) slot[2] = *ref;
    EXPECT_EQ(queue.try_pop(), std::nullopt) << std::hex << label;
    EXPECT_EQ(queue.stats().undecodable, ++undecodable);
  };
  garble("small", 113, std::nullopt);                     // more than a slot has
  garble("small", ~in_block, std::nullopt);               // far more
  garble("small", in_block | 5, 0);                       // no block
  garble("small", in_block | 5, ~std::uint64_t{0});       // none that there is
  garble("small", in_block | 5, std::uint64_t{1} << 48);  // one that is nobody's, if there is any
  garble(text_of(400), in_block | 513, std::nullopt);     // more than the block has
  garble(text_of(400), in_block | (in_block - 1), std::nullopt);
  auto loan = queue.loan(400);  // another's block
  std::uint64_t ref = 0;
  blocks.each([&](auto& owner, layout::BlockRef found) {
    if (layout::ParcelOwner::role(owner) == layout::ParcelOwner::Role::kProcess) ref = found.word();
  });
  ASSERT_NE(ref, 0u);
  garble("small", in_block | 5, ref);
  EXPECT_TRUE(loan);
  auto vectors = queue_of<std::vector<std::uint64_t>>(4);
  vectors.push({1, 2});
  QueueBlocks(vectors).slot(0)[1] = 15;  // of two elements, one not whole
  EXPECT_EQ(vectors.try_pop(), std::nullopt);
  EXPECT_EQ(vectors.stats().undecodable, 1u);
}

TEST(QueueOfAnything, HostileOwnersCostABlockAtMost) {
  auto queue = queue_of<std::string>(4);
  const QueueBlocks blocks(queue);
  for (const std::uint64_t owner :
       {std::uint64_t{1}, ~std::uint64_t{0}, layout::ParcelOwner::item(1000), std::uint64_t{3} << 62}) {
    ASSERT_TRUE(queue.push(text_of(400)));
    blocks.each([&](std::atomic<std::uint64_t>& word, auto) { word = owner; });
    EXPECT_EQ(queue.try_pop(), std::nullopt);
    (void)blocks.owned_after_recovery();
    blocks.each([&](std::atomic<std::uint64_t>& word, auto) { word = 0; });
    ASSERT_TRUE(queue.push(text_of(400)));
    EXPECT_EQ(queue.try_pop(), text_of(400));
  }
}

TEST(QueueOfAnything, AHeaderThatCannotBeIsRefused) {
  const std::string name = test::unique_name();
  auto queue = Queue<std::string>::create(name, {.capacity = 4}).value();
  layout::ParcelHeader& header = QueueBlocks(queue).header();
  EXPECT_TRUE(Queue<std::string>::open(name).ok());
  for (const std::uint64_t scale : {0u, 3u, 8192u}) {
    header.scale = scale;
    EXPECT_TRUE(absl::IsDataLoss(Queue<std::string>::open(name).status()));
  }
  header.scale = 1;
  header.max_item_bytes = ~std::uint64_t{0};
  EXPECT_TRUE(absl::IsDataLoss(Queue<std::string>::open(name).status()));
  header.max_item_bytes = 0;
  header.classes[0].committed = ~std::uint64_t{0};
  header.classes[0].count = ~std::uint64_t{0};
  header.classes[0].owners_offset = ~std::uint64_t{0};  // nobody believes it
  auto opened = Queue<std::string>::open(name);
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE(opened->push(text_of(300)));
  EXPECT_EQ(opened->pop(), text_of(300));
}

TEST(QueueOfAnything, ItsTypeIsItsName) {
  const std::string name = test::unique_name();
  auto queue = Queue<std::string>::create(name, {.capacity = 4}).value();
  EXPECT_TRUE(absl::IsFailedPrecondition(Queue<std::vector<char>>::open(name).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Queue<int>::open(name).status()));
  EXPECT_THAT(Queue<int>::open(name).status().message(),
              HasSubstr("is a queue of std::string, not a queue of int (4 bytes)"));
}

// --- processes -------------------------------------------------------------------------------------------------------

TEST(QueueOfAnything, BetweenProcesses) {
  auto there = queue_of<std::string>(4);
  auto back = queue_of<std::vector<std::size_t>>(4);
  Child echo([&] {
    while (const auto text = there.pop()) back.push(std::vector<std::size_t>(text->size(), text->size()));
  });
  for (std::size_t i = 0; i < 500; ++i) {
    ASSERT_TRUE(there.push(text_of(i * 7)));
    ASSERT_EQ(back.pop(), std::vector<std::size_t>(i * 7, i * 7));
  }
  there.close();
  EXPECT_TRUE(echo.join().well());
  EXPECT_EQ(QueueBlocks(there).owned() + QueueBlocks(back).owned(), 0u);
}

TEST(QueueOfAnything, ItemsOutliveTheirProducer) {
  auto queue = queue_of<std::string>(4);
  Child([&] { return queue.push(text_of(5000)) ? 0 : 1; }).join();
  EXPECT_EQ(QueueBlocks(queue).owned_after_recovery(), 1u);
  EXPECT_EQ(queue.pop(), text_of(5000));
  EXPECT_EQ(QueueBlocks(queue).owned(), 0u);
}

}  // namespace
}  // namespace warren
