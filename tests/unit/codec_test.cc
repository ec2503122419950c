#include <gtest/gtest.h>
#include <warren/ipc/codec.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "unit/codec_types.h"

namespace warren {
namespace {

using detail::BufferWriter;
using detail::field_count;
using detail::kUncounted;

// --- what is carriable -----------------------------------------------------------------------------------------------

static_assert(kCopyAsBytes<int> && kCopyAsBytes<bool> && kCopyAsBytes<long double> && kCopyAsBytes<Color>);
static_assert(kCopyAsBytes<Point> && kCopyAsBytes<std::chrono::seconds>);
static_assert(kCopyAsBytes<std::array<Point, 4>> && kCopyAsBytes<std::array<Either, 4>> &&
              kCopyAsBytes<std::monostate>);
static_assert(kCopyAsBytes<std::chrono::system_clock::time_point>);
static_assert(!kCopyAsBytes<int*> && !kCopyAsBytes<std::string_view> && !kCopyAsBytes<std::span<int>>);
static_assert(!kCopyAsBytes<int (*)(int)> && !kCopyAsBytes<int Point::*> && !kCopyAsBytes<std::nullptr_t>);
static_assert(!kCopyAsBytes<std::array<const char*, 2>> && !kCopyAsBytes<std::reference_wrapper<int>>);
static_assert(!kCopyAsBytes<Percent>, "its codec decides");
static_assert(!Carriable<AnonymousUnion> && !Carriable<std::vector<NamedUnion>>, "which member counts, who knows");
static_assert(kCopyAsBytes<Vouched> && Carriable<HoldsVouched> && Carriable<HoldsCoded> && !Carriable<HoldsAny>);

static_assert(Carriable<Record> && Carriable<Call> && Carriable<Node> && Carriable<Constant> && Carriable<Bits> &&
              Carriable<Sixteen>);
static_assert(Carriable<Task> && Carriable<Job> && Carriable<Order> && Carriable<Either> && Carriable<Empty>);
static_assert(Carriable<std::variant<Node, std::tuple<Job, std::pair<int, std::string>>>>);
static_assert(Carriable<std::unordered_map<std::string, std::optional<std::vector<std::vector<bool>>>>>);
static_assert(!Carriable<Seventeen> && !Carriable<WithBase> && !Carriable<WithReference> && !Carriable<WithPointer>);
static_assert(!Carriable<std::vector<WithPointer>> && !Carriable<std::map<int, std::optional<WithPointer>>>);
static_assert(!Carriable<std::string_view> && !Carriable<std::vector<const char*>> && !Carriable<int&>);
static_assert(!Carriable<std::tuple<int&>> && !Carriable<std::shared_ptr<int>> && !Carriable<std::unique_ptr<int[]>>);
static_assert(!Carriable<std::function<void()>> && !Carriable<Tasks>, "an array beside a field without default");

class SomeHandle : public Handle {};
struct PlainHandle {
  SomeHandle handle;
};
static_assert(!Carriable<SomeHandle> && !kCopyAsBytes<SomeHandle> && !Carriable<PlainHandle>);

template <class F>
constexpr bool plain_closure(F) {
  return kCopyAsBytes<F>;
}

TEST(PlainBytes, LooksIntoClosures) {
  int i = 1;
  const char* s = "x";
  const std::string text;
  const std::array<int, 4> numbers{};
  const auto by_value = [i](int x) { return x + i; };
  const auto by_reference = [&i](int x) { return x + i; };
  EXPECT_TRUE(plain_closure([] {}));
  EXPECT_TRUE(plain_closure(by_value));
  EXPECT_TRUE(plain_closure([numbers] { return numbers[0]; }));
  EXPECT_TRUE(plain_closure([by_value] { return by_value(1); }));
  EXPECT_TRUE(plain_closure([n = 0]() mutable { return ++n; }));
  EXPECT_FALSE(plain_closure(by_reference));
  EXPECT_FALSE(plain_closure([by_reference] { return by_reference(1); }));
  EXPECT_FALSE(plain_closure([s] { return s; }));
  EXPECT_FALSE(plain_closure([text] { return text.size(); }));
  EXPECT_FALSE(plain_closure([v = std::string_view(text)] { return v.size(); }));
  EXPECT_FALSE(plain_closure([f = +[](int x) { return x; }] { return f(1); }));
  EXPECT_FALSE(plain_closure([h = SomeHandle()] { return &h; }));
}

TEST(Fields, AreCounted) {
  EXPECT_EQ(field_count<Record>(), 4U) << "C arrays are one field";
  EXPECT_EQ(field_count<Call>(), 3U);
  EXPECT_EQ(field_count<Node>(), 4U);
  EXPECT_EQ(field_count<Constant>(), 2U);
  EXPECT_EQ(field_count<Sixteen>(), 16U);
  EXPECT_EQ(field_count<Empty>(), 0U);
  EXPECT_EQ(field_count<Task>(), 3U);
  EXPECT_EQ(field_count<Tasks>(), 2U) << "fields without a default, and an array";
  EXPECT_EQ(field_count<Seventeen>(), kUncounted);
  EXPECT_EQ(field_count<WithBase>(), kUncounted);
}

// --- round trips -----------------------------------------------------------------------------------------------------

TEST(Codec, PlainValuesComeBack) {
  expect_round_trip(42);
  expect_round_trip(true);
  expect_round_trip(Color::kGreen);
  expect_round_trip(Point{1, 2.5});
  expect_round_trip(std::chrono::milliseconds(3));
  expect_round_trip(std::array<int, 3>{1, 2, 3});
  EXPECT_TRUE(std::isnan(round_trip(std::numeric_limits<double>::quiet_NaN())));
  EXPECT_EQ(round_trip(Either{.i = 7}).i, 7);
  EXPECT_EQ(round_trip(Vouched{.kind = 1, .d = 2.5}).d, 2.5);
  EXPECT_EQ(round_trip(std::vector<HoldsVouched>{{{.kind = 1, .i = 7}, "x"}}).at(0).vouched.i, 7);
  EXPECT_EQ(round_trip(HoldsCoded{{{7}}, "x"}).coded.either.i, 7);
}

TEST(Codec, TypesOfStdComeBack) {
  expect_round_trip(std::string());
  expect_round_trip(std::string("a\0b", 3));
  expect_round_trip(std::u16string(u"warren"));
  expect_round_trip(std::vector<int>{});
  expect_round_trip(std::vector<Point>{{1, 2}, {3, 4}});
  expect_round_trip(std::vector<bool>{true, false, true});
  expect_round_trip(std::vector<std::string>{"a", "", "c"});
  expect_round_trip(std::deque<std::string>{"a", "b"});
  expect_round_trip(std::list<int>{1, 2});
  expect_round_trip(std::array<std::string, 3>{"a", "b", "c"});
  expect_round_trip(std::array<std::string, 0>{});
  expect_round_trip(std::optional<std::string>());
  expect_round_trip(std::optional<int>(3));
  expect_round_trip(std::pair<int, std::string>(1, "x"));
  expect_round_trip(std::tuple<int, std::string, bool>(1, "x", true));
  expect_round_trip(std::tuple<>());
  expect_round_trip(std::variant<int, std::string, std::monostate>("x"));
  expect_round_trip(std::variant<int, std::string, std::monostate>(std::monostate()));
  expect_round_trip(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  expect_round_trip(std::map<int, int, std::greater<>>{{1, 2}, {3, 4}});
  expect_round_trip(std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}});
  expect_round_trip(std::set<std::string>{"a", "b"});
  expect_round_trip(std::unordered_set<int>{1, 2, 3});
  expect_round_trip(std::filesystem::path("/tmp/a b\n/\xff"));
  expect_round_trip(std::vector<std::filesystem::path>{"", "relative/", "../x"});
  EXPECT_EQ(*round_trip(std::make_unique<std::string>("x")), "x");
  EXPECT_EQ(round_trip(std::unique_ptr<int>()), nullptr);
}

TEST(Codec, AggregatesNeedNothing) {
  Record record{.name = "r", .parts = {"a", "b", "c"}, .points = {{1, 2}}};
  std::snprintf(record.tag, sizeof(record.tag), "%s", "tag");
  const Record back = round_trip(record);
  EXPECT_EQ(back.name, "r");
  EXPECT_EQ(back.parts[2], "c");
  EXPECT_STREQ(back.tag, "tag");
  EXPECT_EQ(back.points, record.points);

  const Call call = round_trip(Call{.patience = std::chrono::seconds(1), .name = "c", .codes = {1, 2, 3, 4}});
  EXPECT_EQ(call.patience.ns(), std::chrono::seconds(1));
  EXPECT_EQ(call.codes[3], 4);
  EXPECT_EQ(round_trip(Constant{"n", 4}).name, "n");
  EXPECT_EQ(round_trip(Bits{"b", 5, 17}).high, 17U);
  EXPECT_EQ(round_trip(Task{1, Job(2, "p"), Color::kGreen}).job, Job(2, "p"));
  const Sixteen sixteen = round_trip(Sixteen{"s", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  EXPECT_EQ(sixteen.b, 1);
  EXPECT_EQ(sixteen.p, 15);
}

TEST(Codec, TypesMayContainThemselves) {
  Node tree{.value = 1};
  tree.children.push_back(Node{.value = 2});
  tree.children[0].next = std::make_unique<Node>(Node{.value = 3});
  tree.named["four"].value = 4;
  const Node back = round_trip(tree);
  EXPECT_EQ(back.children.at(0).next->value, 3);
  EXPECT_EQ(back.named.at("four").value, 4);
}

TEST(Codec, UserCodecsAreUsed) {
  expect_round_trip(Job(7, "path"));
  expect_round_trip(Order(7, "text"));
  expect_round_trip(std::vector<Job>{Job(1, "a"), Job(2, "b")});
  EXPECT_EQ(round_trip(Percent{50}).value, 50);
}

TEST(Codec, ACodecThatWritesNothingTakesAByte) {
  expect_round_trip(std::vector<Silent>(3));
  EXPECT_EQ(encoded(Silent()).size(), 1U);
}

TEST(Codec, VectorsOfPlainBytesAreTheLengthAndTheBytes) {
  const std::vector<std::uint32_t> numbers{1, 2, 3};
  const std::vector<std::byte> bytes = encoded(numbers);
  ASSERT_EQ(bytes.size(), 8 + 12U);
  EXPECT_EQ(std::memcmp(bytes.data() + 8, numbers.data(), 12), 0);
}

TEST(Codec, ReadsAtAnyAlignment) {
  std::vector<std::byte> bytes(1);
  const std::vector<std::byte> plain = encoded(std::vector<double>{1, 2, 3});
  bytes.insert(bytes.end(), plain.begin(), plain.end());
  Reader r{std::span(bytes).subspan(1)};
  EXPECT_EQ(r.get<std::vector<double>>().value(), (std::vector<double>{1, 2, 3}));
}

TEST(Codec, BytesDoNotDependOnAddresses) {
  const auto make = [] { return Order(1, std::string(100, 'x')); };
  const Order a = make(), b = make();
  EXPECT_EQ(encoded(a), encoded(b));
}

// --- Writer ----------------------------------------------------------------------------------------------------------

TEST(Writer, UsesTheMemoryItWasGiven) {
  std::array<std::byte, 16> memory{};
  Writer w(memory, nullptr, nullptr);
  w.put(std::uint64_t{1});
  w.put(std::uint64_t{2});
  EXPECT_TRUE(w.ok());
  EXPECT_EQ(w.written().data(), memory.data());
  EXPECT_EQ(w.size(), 16U);
}

TEST(Writer, DropsEverythingOnceMemoryEnded) {
  std::array<std::byte, 16> memory{};
  Writer w(memory, nullptr, nullptr);
  w.put(std::string(9, 'x'));
  w.put(1);
  EXPECT_FALSE(w.ok());
  EXPECT_EQ(w.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(w.size(), 8U) << "the length had found room";
}

TEST(Writer, GrowKeepsWhatWasWritten) {
  struct Arena {
    std::vector<std::byte> memory = std::vector<std::byte>(4);
    int calls = 0;
  } arena;
  const Writer::Grow grow = [](void* context, std::size_t used, std::size_t needed) -> std::span<std::byte> {
    auto& a = *static_cast<Arena*>(context);
    ++a.calls;
    EXPECT_LE(used, a.memory.size());
    a.memory.resize(needed);
    return a.memory;
  };
  Writer w(arena.memory, grow, &arena);
  for (int i = 0; i < 10; ++i) w.put(i);
  EXPECT_TRUE(w.ok());
  EXPECT_EQ(arena.calls, 9);
  Reader r(w.written());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(r.get<int>().value(), i);
}

TEST(Writer, AGrowThatGivesTooLittleIsNotBelieved) {
  static std::array<std::byte, 8> small{};
  Writer w(
      {}, [](void*, std::size_t, std::size_t) { return std::span<std::byte>(small); }, nullptr);
  w.put(std::string(100, 'x'));
  EXPECT_FALSE(w.ok());
}

TEST(Writer, KeepsTheFirstReason) {
  BufferWriter w;
  w.put(Percent{101});
  w.put(1);
  EXPECT_EQ(w.status(), absl::InvalidArgumentError("more than all"));
  EXPECT_EQ(w.size(), 0U);
}

TEST(Writer, RefusesWhatNestsTooDeep) {
  const auto chain = [](std::size_t links) {
    Chain head;
    for (Chain* last = &head; --links > 0; last = last->next.get()) last->next = std::make_unique<Chain>();
    return head;
  };
  EXPECT_TRUE(round_trip(chain(kMaxNesting / 2)).next);
  BufferWriter w;
  w.put(chain(kMaxNesting / 2 + 1));
  EXPECT_EQ(w.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace warren
