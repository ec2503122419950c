// History: what each process of a test began and what came back to it, in memory that outlives their deaths, and the
// account of it: was everything that was committed delivered exactly once, whole and in order?
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace warren::test {

// Every item is unlike every other, and tells whether it is whole.
using ItemId = std::uint64_t;  // actor << 28 | number of the actor's item

inline constexpr unsigned kActorShift = 28;
inline constexpr std::size_t kMaxActors = 4096;
inline constexpr std::uint64_t kMaxItems = std::uint64_t{1} << kActorShift;

[[nodiscard]] constexpr std::uint64_t item_word(ItemId id, std::size_t index) noexcept {
  std::uint64_t x = (id + 1) * 0x9e37'79b9'7f4a'7c15 + index * 0xbf58'476d'1ce4'e5b9;
  x ^= x >> 29;
  return x * 0x94d0'49bb'1331'11eb;
}

template <std::size_t N>
struct Item {
  std::array<std::uint64_t, N> words;  // the first one: id, with 24 bits of item_word() above it
};
using Item8 = Item<1>;
using Item64 = Item<8>;

template <std::size_t N>
[[nodiscard]] Item<N> make_item(ItemId id) noexcept {
  Item<N> item{};
  item.words[0] = id | item_word(id, 0) >> 40 << 40;
  for (std::size_t i = 1; i < N; ++i) item.words[i] = item_word(id, i);
  return item;
}

// nullopt: the item is torn, or nobody's.
template <std::size_t N>
[[nodiscard]] std::optional<ItemId> id_of(const Item<N>& item) noexcept {
  const ItemId id = item.words[0] & ((std::uint64_t{1} << 40) - 1);
  const Item<N> whole = make_item<N>(id);
  return whole.words == item.words ? std::optional(id) : std::nullopt;
}

// What the account found wrong.
struct Fault {
  enum class Kind { kLost, kDoubled, kTorn, kHung, kDisordered, kLeft, kOther };
  Kind kind = Kind::kOther;
  std::string text;
};
[[nodiscard]] const char* kind_name(Fault::Kind kind) noexcept;

struct Account {
  std::size_t pushed = 0;        // pushes that returned true
  std::size_t maybe = 0;         // begun, and their process died
  std::size_t maybe_popped = 0;  // of these, delivered
  std::size_t popped = 0;
  std::size_t lost = 0;         // pushed and never popped
  std::size_t taken_along = 0;  // what pops that never returned may have taken: the most that may be lost
  std::size_t unexplained = 0;  // lost, and nobody can have taken it along
  std::size_t doubled = 0, torn = 0;
  std::vector<Fault> faults;  // the first few
};

class History {
 public:
  // One life of one process. Its operations are one after the other; the one under way when it dies stays open.
  class Actor {
   public:
    // `count` items are about to be pushed; the id of the first, the others follow it.
    ItemId push_begins(std::size_t count = 1) noexcept;
    void push_ends(std::size_t accepted) noexcept { append(Kind::kPushEnds, accepted); }
    void pop_begins(std::size_t most = 1) noexcept { append(Kind::kPopBegins, most); }
    void popped(std::optional<ItemId> id) noexcept { id ? append(Kind::kPopped, *id) : append(Kind::kTorn, 0); }
    void pop_ends() noexcept { append(Kind::kPopEnds, 0); }
    [[nodiscard]] bool full() const noexcept { return used_.load(std::memory_order_relaxed) + 64 > capacity_; }

   private:
    friend class History;
    enum class Kind : std::uint8_t { kPushBegins, kPushEnds, kPopBegins, kPopped, kTorn, kPopEnds };
    void append(Kind kind, std::uint64_t value) noexcept;

    std::atomic<std::size_t> used_;
    std::size_t capacity_;
    std::size_t index_;
    std::uint64_t next_number_;
    std::uint64_t* events_;  // kind << 56 | value
  };

  explicit History(std::size_t actors, std::size_t events_each = 512);
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  [[nodiscard]] Actor& actor(std::size_t index) noexcept { return actors_[index]; }
  // Of a container that keeps no order among the items of one producer.
  void any_order() noexcept { ordered_ = false; }
  // When nobody runs any more and the queue is drained.
  [[nodiscard]] Account account() const;

 private:
  struct Pushed;
  void read(const Actor& actor, std::vector<Pushed>& pushed, Account& account) const;

  std::size_t count_;
  bool ordered_ = true;
  std::size_t bytes_ = 0;
  Actor* actors_ = nullptr;
};

}  // namespace warren::test
