// One operation on a Value of more than 8 bytes in one state, its victim, and the survivors' checks.
#pragma once
#include <warren/ipc/value.h>

#include "crash/shared_trial.h"

namespace warren::test {

// Numbered, and tells whether it is whole.
struct Record {
  std::array<std::uint64_t, 5> words;

  [[nodiscard]] static Record of(std::uint64_t number) noexcept {
    Record record{};
    for (std::size_t i = 0; i < record.words.size(); ++i) record.words[i] = number * (2 * i + 1);
    return record;
  }
  [[nodiscard]] std::uint64_t number() const noexcept { return words[0]; }
  [[nodiscard]] bool whole() const noexcept { return words == of(number()).words; }
};

struct ValueState {
  const char* name;
  bool writer_dead = false;  // one has died in the midst of writing; a sweep has given its lane back
};

class ValueTrial;
struct ValueOperation {
  const char* name;
  void (*run)(ValueTrial& trial);
  bool writes = true;
  bool adds = false;  // the victim's number to the one that is there
};

class ValueTrial : public Trial {
 public:
  static constexpr std::uint64_t kFirst = 1, kVictims = 1'000'000;

  ValueTrial(const ValueState& state, const ValueOperation& operation)
      : state_(state), operation_(operation), value_(Value<Record>::create(Record::of(kFirst)).value()) {
    set_waits(200us);
    value_.store(Record::of(kFirst));  // both copies have been in use
    begin_ = header().word;
    if (!state.writer_dead) return;
    (void)Child([&] { value_.update([](Record&) { ::_exit(0); }); }).join();
    for (std::size_t i = 0; i < 3; ++i) copy(header().word + 1)[i] = 77;
    (void)Reach::attachment(value_).sweep();
  }

  // --- what victims do

  Value<Record>& value() { return value_; }
  detail::TwoCopies<sizeof(Record)> copies() { return {Reach::attachment(value_), header()}; }
  void saw(const Record& record) { *seen_ = record; }
  layout::ValueHeader& header() { return *reinterpret_cast<layout::ValueHeader*>(Reach::attachment(value_).object()); }
  volatile std::uint64_t* copy(std::uint64_t sequence) {
    return reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::byte*>(&header()) + sizeof(layout::ValueHeader) +
                                            (sequence & 1) * detail::TwoCopies<sizeof(Record)>::kCopyBytes);
  }
  void write(std::uint64_t sequence, const Record& record) {
    for (std::size_t i = 0; i < record.words.size(); ++i) copy(sequence)[i] = record.words[i];
  }

  // --- Trial

  void warm() override { (void)Reach::attachment(value_).seat(); }
  void operation() override { operation_.run(*this); }
  std::string window(pid_t victim) override {
    const char* const value = header().word == begin_ ? ", old" : ", new";
    const auto lock = layout::MutexState::from(header().writer.state.load());
    if (!lock.held) return std::string("free") + value;
    const auto lane = layout::LaneIdentity::from(Reach::attachment(value_).lane(lock.lane).identity.load());
    const bool the_victims = lane.pid == static_cast<std::uint32_t>(victim) && lane.generation == lock.generation;
    return std::string(the_victims ? "held" : "held by the dead") + value;
  }
  // The victim stands still: others read, and where it has not the lock, write into both copies.
  void interfere() override {
    expect_whole(value_.load(), "another one, meanwhile");
    const auto lock = layout::MutexState::from(header().writer.state.load());
    if (lock.held && !Reach::attachment(value_).lane_given_back(lock.lane, lock.generation)) return;
    for (int i = 0; i < 2; ++i) add_one(value_), ++added_;
    expect_whole(value_.load(), "another one, who wrote");
  }
  void rescue() override { add_one(value_); }
  void loosen() override { exact_ = false; }
  Verdict survive(bool finished) override {
    if (finished) expect_whole(*seen_, "the victim");
    const Record found = value_.load();
    expect_whole(found, "the survivor");
    if (exact_) expect_old_or_new(found.number(), finished);
    const auto begin = std::chrono::steady_clock::now();
    Child next([&] { add_one(value_); });
    if (const auto end = ended_within(next, kPatience); !end || !end->well())
      fault(Fault::Kind::kHung, "nobody can update the value any more");
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    const Record after = value_.load();
    expect_whole(after, "the last one");
    if (after.number() != found.number() + 1) fault(Fault::Kind::kLost, "an update after the victim's");
    const auto freed = [&] {
      return Reach::attachment(value_).sweep(), lanes_of_others(Reach::attachment(value_)) == 0;
    };
    if (!eventually(freed, kPatience)) fault(Fault::Kind::kLeft, "lanes of the dead");
    return verdict_;
  }

 private:
  static void add_one(Value<Record>& value) {
    value.update([](Record& x) { x = Record::of(x.number() + 1); });
  }
  void expect_whole(const Record& record, const char* who) {
    if (!record.whole()) fault(Fault::Kind::kTorn, std::string("what ") + who + " read");
  }
  void expect_old_or_new(std::uint64_t number, bool finished) {
    const std::uint64_t old = kFirst + added_;
    const bool is_new = operation_.adds ? number == old + kVictims : number - kVictims <= added_;
    if (!operation_.writes ? number != old : !is_new && (finished || number != old))
      fault(Fault::Kind::kLost, "neither old nor new, but " + std::to_string(number));
  }
  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }

  ValueState state_;
  ValueOperation operation_;
  Value<Record> value_;
  Shared<Record> seen_;      // zeros are whole
  std::uint64_t begin_ = 0;  // sequence
  std::uint64_t added_ = 0;
  bool exact_ = true;
  Verdict verdict_;
};

inline constexpr ValueOperation kValueStore{
    .name = "store", .run = [](ValueTrial& t) { t.value().store(Record::of(ValueTrial::kVictims)); }};
inline constexpr ValueOperation kValueExchange{
    .name = "exchange", .run = [](ValueTrial& t) { t.saw(t.value().exchange(Record::of(ValueTrial::kVictims))); }};
inline constexpr ValueOperation kValueUpdate{
    .name = "update",
    .run =
        [](ValueTrial& t) {
          t.saw(t.value().update([](Record& x) { x = Record::of(x.number() + ValueTrial::kVictims); }));
        },
    .adds = true};
inline constexpr ValueOperation kValueLoad{
    .name = "load", .run = [](ValueTrial& t) { t.saw(t.value().load()); }, .writes = false};

// As after many looks in vain: it takes the writers' lock.
inline constexpr ValueOperation kValueLoadInTurn{.name = "load_in_turn",
                                                 .run =
                                                     [](ValueTrial& t) {
                                                       Record record;
                                                       t.copies().load(&record, 0);
                                                       t.saw(record);
                                                     },
                                                 .writes = false};

inline constexpr ValueState kValueQuiet{.name = "quiet"};
inline constexpr ValueState kValueWriterDead{.name = "writer_dead", .writer_dead = true};

}  // namespace warren::test
