// Any bytes, decoded as many types: a value or DataLoss; and what is a value can be sent on, and arrives as it was.
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/buffer_writer.h>

#include <array>
#include <chrono>
#include <concepts>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "fuzz/elements.h"
#include "fuzz/input.h"
#include "fuzz/must.h"
#include "fuzz/targets.h"

namespace warren::fuzz {
namespace {

enum class Color : unsigned char { kRed, kGreen };

struct Person {
  std::string name;
  std::vector<std::string> titles;
  std::optional<int> age;
  Color color = Color::kRed;
};
struct Tree {
  int value = 0;
  std::vector<Tree> children;
  std::unique_ptr<Tree> next;
  std::map<std::string, Tree> named;
};

template <class T>
std::vector<std::byte> encoded(const T& value) {
  detail::BufferWriter writer;
  writer.put(value);
  must(writer.ok(), "what was decoded can be encoded");
  return {writer.written().begin(), writer.written().end()};
}

// A copy of its own, so that a sanitizer sees a read beyond the end.
template <class T>
absl::StatusOr<T> decoded(std::span<const std::byte> bytes) {
  const std::vector<std::byte> copy(bytes.begin(), bytes.end());
  Reader reader(copy);
  return reader.get<T>();
}

// Of a set without order two equal ones may be encoded differently; of others the bytes are compared, since NaN is not
// equal to itself.
template <class T>
constexpr bool kUnordered = false;
template <class... A>
constexpr bool kUnordered<std::unordered_set<A...>> = true;
template <class... A>
constexpr bool kUnordered<std::unordered_map<A...>> = true;

template <class T>
void round_trip(Bytes bytes) {
  const absl::StatusOr<T> first = decoded<T>(bytes);
  if (!first.ok()) {
    must(absl::IsDataLoss(first.status()) && !first.status().message().empty(), "DataLoss that says what is wrong");
    return;
  }
  const std::vector<std::byte> sent = encoded(*first);
  const absl::StatusOr<T> second = decoded<T>(sent);
  must(second.ok(), "what was encoded can be decoded");
  if constexpr (kUnordered<T>) {
    must(*first == *second, "it arrives as it was sent");
  } else {
    must(encoded(*second) == sent, "it arrives as it was sent");
  }
}

template <class... Types>
void round_trip_one_of(std::size_t which, Bytes bytes) {
  std::size_t index = 0;
  ((which == index++ ? round_trip<Types>(bytes) : void()), ...);
}

}  // namespace

void codec(Bytes bytes) {
  Input input(bytes);
  const std::size_t which = input.below(32);
  round_trip_one_of<bool, int, double, Color, Large, std::string, std::u32string, std::vector<int>, std::vector<bool>,
                    std::vector<std::string>, std::deque<int>, std::list<std::string>, std::set<int>,
                    std::map<std::string, int>, std::vector<std::optional<bool>>, std::unordered_set<std::string>,
                    std::unordered_map<int, std::string>, std::array<std::string, 3>, std::pair<int, std::string>,
                    std::tuple<bool, std::string, double>, std::optional<std::string>, std::variant<int, std::string>,
                    std::unique_ptr<std::string>, std::chrono::nanoseconds, Person, Tree>(which, input.rest());
}

}  // namespace warren::fuzz
