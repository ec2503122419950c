// Types of a user, of every kind that a codec meets, and what the tests of codecs share.
#pragma once
#include <gtest/gtest.h>
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/buffer_writer.h>
#include <warren/ipc/time.h>

#include <any>
#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace warren {

enum class Color : unsigned char { kRed, kGreen };
struct Point {
  int x;
  double y;
  friend bool operator==(const Point&, const Point&) = default;
};
struct Record {
  std::string name = {};
  std::string parts[3] = {};
  char tag[300] = {};
  std::vector<Point> points = {};
};
struct Call {
  Timeout patience = kForever;  // has no default of its own
  std::string name = {};
  int codes[4] = {};
};
struct Node {
  int value = 0;
  std::vector<Node> children = {};
  std::unique_ptr<Node> next = {};
  std::map<std::string, Node> named = {};
};
struct Constant {
  const std::string name;
  const int number;
};
struct Bits {
  std::string name;
  unsigned low : 3;
  unsigned high : 5;
};
struct Sixteen {
  std::string a;
  int b, c, d, e, f, g, h, i, j, k, l, m, n, o, p;
};
struct Seventeen {
  std::string a;
  int b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q;
};
struct Empty {
  ~Empty() {}  // not plain bytes
};
struct WithBase : Point {
  std::string name;
};
struct WithReference {
  std::string name;
  int& number;
};
struct WithPointer {
  std::string name;
  const char* text;
};

class Job {  // no default constructor, private state
 public:
  Job(int id, std::string path) : id_(id), path_(std::move(path)) {}
  friend bool operator==(const Job&, const Job&) = default;

 private:
  friend struct Codec<Job>;
  int id_;
  std::string path_;
};
class Order {
 public:
  Order() = default;
  Order(int i, std::string t) : id(i), text(std::move(t)) {}
  friend bool operator==(const Order&, const Order&) = default;
  int id = 0;
  std::string text;
};
struct Percent {  // plain bytes, but not every value is one
  int value;
};
union Either {
  int i;
  float f;
};
struct AnonymousUnion {
  int kind;
  union {
    int i;
    double d;
  };
};
struct NamedUnion {
  std::string name;
  union {
    int i;
    double d;
  } either;
};
struct Vouched {  // plain bytes, since it says so
  int kind;
  union {
    int i;
    double d;
  };
};
struct HoldsVouched {
  Vouched vouched;
  std::string name;
};
struct Coded {  // has a codec
  union {
    int i;
    float f;
  } either;
};
struct HoldsCoded {
  Coded coded;
  std::string name;
};
struct HoldsAny {
  std::string name;
  std::any any;
};
struct Silent {  // its codec writes nothing
  Silent() {}
  friend bool operator==(const Silent&, const Silent&) { return true; }

 private:
  std::string cache_;
};

struct Tasks {
  Job first;  // no default: counted the other way
  std::string names[2];
};
struct Task {
  int id;
  Job job;
  Color color;
};
struct Chain {
  int value = 0;
  std::unique_ptr<Chain> next = {};
};

// --- their codecs ----------------------------------------------------------------------------------------------------

template <>
struct Codec<Job> {
  static void encode(Writer& w, const Job& job) {
    w.put(job.id_);
    w.put(job.path_);
  }
  static absl::StatusOr<Job> decode(Reader& r) {
    const auto id = r.get<int>();
    auto path = r.get<std::string>();
    if (!r.ok()) return r.status();
    return Job(*id, *std::move(path));
  }
};
template <>
struct Codec<Order> : MemberCodec<&Order::id, &Order::text> {};
template <>
struct Codec<Percent> {
  static void encode(Writer& w, Percent p) {
    if (p.value > 100) return w.fail(absl::InvalidArgumentError("more than all"));
    w.put(p.value);
  }
  static absl::StatusOr<Percent> decode(Reader& r) {
    const auto value = r.get<int>();
    if (!value.ok()) return value.status();
    if (*value < 0 || *value > 100) return absl::DataLossError("a percentage out of range");
    return Percent{*value};
  }
};
template <>
inline constexpr bool kCopyAsBytes<Either> = true;
template <>
inline constexpr bool kCopyAsBytes<Vouched> = true;
template <>
struct Codec<Coded> {
  static void encode(Writer& w, const Coded& c) { w.put(c.either.i); }
  static absl::StatusOr<Coded> decode(Reader& r) {
    const auto i = r.get<int>();
    if (!i.ok()) return i.status();
    return Coded{{*i}};
  }
};
template <>
struct Codec<Silent> {
  static void encode(Writer&, const Silent&) {}
  static absl::StatusOr<Silent> decode(Reader&) { return Silent(); }
};

// --- helpers ---------------------------------------------------------------------------------------------------------

template <class T>
std::vector<std::byte> encoded(const T& t) {
  detail::BufferWriter w;
  w.put(t);
  EXPECT_TRUE(w.ok()) << w.status();
  return {w.written().begin(), w.written().end()};
}

// What comes back, after a check that every byte was read.
template <class T>
T round_trip(const T& t) {
  const std::vector<std::byte> bytes = encoded(t);
  Reader r(bytes);
  absl::StatusOr<T> back = r.get<T>();
  EXPECT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(r.remaining(), 0U);
  return *std::move(back);
}
template <class T>
void expect_round_trip(const T& t) {
  EXPECT_EQ(round_trip(t), t);
}

}  // namespace warren
