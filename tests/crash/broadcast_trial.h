// One operation on a Broadcast in one state, its victim, and the survivors' checks. A witness is subscribed from the
// beginning and sees every position, so that what it saw is the one order that everybody else is held to.
#pragma once
#include <warren/ipc/broadcast.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <vector>

#include "crash/shared_trial.h"

namespace warren::test {

struct BroadcastState {
  const char* name;
  SlowReader mode = SlowReader::kBlocksWriter;
  bool writer_dead = false;  // one died in its turn, in the midst of an item; a sweep has given its lane back
  bool reader_dead = false;  // one died a whole ring behind; likewise
  bool full = false;         // the witness is a whole ring behind
  bool closes = false;       // the operation ends it
};

// What victims do, whatever the size of the items.
class BroadcastVictim {
 public:
  static constexpr std::size_t kCapacity = 8;
  static constexpr ItemId kVictims = 1'000'000, kWarm = 2'000'000, kRescuers = 3'000'000;

  virtual ~BroadcastVictim() = default;
  virtual void push() = 0;
  virtual void pop() = 0;
  virtual void subscribe() = 0;
  virtual void leave() = 0;
  virtual void close() = 0;
  virtual void lost() = 0;
  virtual detail::Attachment& attachment() = 0;
  virtual std::uint64_t* slot(std::uint64_t position) = 0;

  layout::BroadcastHeader& header() { return *reinterpret_cast<layout::BroadcastHeader*>(attachment().object()); }
  layout::BroadcastCell& cell(std::size_t i) { return reinterpret_cast<layout::BroadcastCell*>(&header() + 1)[i]; }
  detail::MutexCore turn() { return {attachment(), header().writer}; }
  bool overrun(std::uint64_t position) { return header().tail - position > kCapacity; }
  static void overwrite(std::uint64_t* slot, ItemId id, std::size_t words) {
    const Item<5> tick = make_item<5>(id);
    for (std::size_t i = 0; i < words; ++i) static_cast<volatile std::uint64_t*>(slot)[i] = tick.words[i];
  }
};

struct BroadcastOperation {
  const char* name;
  void (*run)(BroadcastVictim& victim);
  bool subscribed = false;  // the victim is, when it begins, and two items are there for it
  bool empty = false;       // but no items
  bool pushes = false, pops = false;
};

// Of items of N words: 40 of them lie in a block.
template <std::size_t N>
class BroadcastTrialOf : public Trial, public BroadcastVictim {
 public:
  using Tick = Item<N>;
  static constexpr bool kInBlocks = !detail::kInSlot<Tick>;

  BroadcastTrialOf(const BroadcastState& state, const BroadcastOperation& operation,
                   std::chrono::nanoseconds patience = kPatience)
      : state_(state),
        operation_(operation),
        patience_(patience),
        broadcast_(Broadcast<Tick>::create({.capacity = kCapacity, .slow_reader = state.mode}).value()),
        witness_(broadcast_.subscribe().value()) {
    set_waits(200us);
    if (state.reader_dead) (void)Child([&] { new auto(broadcast_.subscribe().value()); }).join();
    if (state.reader_dead || state.full) push_some(kCapacity);
    if (!state.full) watch();
    if (state.writer_dead) {
      (void)Child([&] {
        if (turn().try_take() == detail::MutexCore::Take::kTaken) overwrite(slot(header().tail), kVictims + 1, 3);
      }).join();
    }
    (void)attachment().sweep();
    begin_ = header().tail;
  }

  // --- BroadcastVictim

  void push() override { report_->pushed = broadcast_.push(make_item<N>(kVictims)); }
  void subscribe() override { subscriber_ = broadcast_.subscribe().value(); }
  void leave() override { subscriber_.reset(); }
  void close() override { broadcast_.close(); }
  void pop() override {
    const std::optional<Tick> tick = subscriber_->pop();
    if (!tick) return;
    report_->item = *tick;
    report_->lost = subscriber_->lost();
    report_->popped = true;
  }
  void lost() override { report_->lost_its_place = true; }
  detail::Attachment& attachment() override { return Reach::attachment(broadcast_); }
  std::uint64_t* slot(std::uint64_t position) override {
    return reinterpret_cast<std::uint64_t*>(attachment().object() + geometry().slots_offset()) +
           position % geometry().slots() * (kInBlocks ? layout::kParcelWords : N);
  }

  // --- Trial

  void warm() override {
    (void)attachment().process_lane(attachment().seat());
    if (state_.full || operation_.empty) set_waits(200ms);  // so that it is found asleep
    if (!operation_.subscribed) return;
    subscribe();
    for (ItemId i = 0; !operation_.empty && i < 2; ++i) (void)broadcast_.push(make_item<N>(kWarm + i));
  }
  void operation() override { operation_.run(*this); }
  void wake_victim() override { state_.full ? watch() : push_some(1); }
  std::string window(pid_t victim) override {
    const auto its = [&](std::uint32_t lane, std::uint16_t generation) {
      const auto identity = layout::LaneIdentity::from(attachment().lane(lane).identity.load());
      return identity.pid == static_cast<std::uint32_t>(victim) && identity.generation == generation;
    };
    const auto lock = layout::MutexState::from(header().writer.state.load());
    const bool in_turn = lock.held && its(lock.lane, lock.generation);
    if (operation_.pushes) {
      const bool pushed = header().tail != begin_;
      return std::string(in_turn ? "in turn" : "out of turn") + (pushed ? ", pushed" : ", not pushed");
    }
    for (std::size_t i = 0; i < 4; ++i) {
      const auto owner = layout::OwnedCell::from(cell(i).owner.load());
      if (!owner.owned || !its(owner.lane, owner.generation)) continue;
      return std::string(in_turn ? "in turn, joined" : "joined") + (cell(i).cursor == begin_ ? "" : ", passed one");
    }
    return in_turn ? "in turn" : "out of turn";
  }
  // The victim stands still: others push more than a ring, unless it holds them up, and read on.
  void interfere() override {
    for (std::size_t i = 0; i <= kCapacity; ++i) {
      push_one(0s);
      if (!state_.full) watch();
    }
  }
  void rescue() override {
    Subscriber<Tick> own = broadcast_.subscribe().value();
    (void)broadcast_.push(make_item<N>(kRescuers));
    (void)own.try_pop();
  }
  Verdict survive(bool finished) override {
    if (state_.closes) return survive_close(finished);
    watch();
    check_order(finished);
    check_victim(finished);
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < 2 * kCapacity + 1; ++i) {
      if (!push_one(patience_)) {
        fault(Fault::Kind::kHung, "nobody can push any more");
        return verdict_;
      }
      watch();
    }
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    check_order(finished);
    check_newcomer();
    if (kInBlocks && blocks() != geometry().slots()) fault(Fault::Kind::kLeft, "blocks of the dead");
    const std::uint32_t waited_for = state_.mode == SlowReader::kBlocksWriter ? 1 : 0;
    const auto freed = [&] { return attachment().sweep(), lanes_of_others(attachment()) == 0; };
    if (!eventually(freed, kPatience)) fault(Fault::Kind::kLeft, "lanes of the dead");
    if (broadcast_.stats().waited_for != waited_for) fault(Fault::Kind::kLeft, "cells of the dead");
    return verdict_;
  }

 private:
  [[nodiscard]] detail::BroadcastGeometry geometry() const {
    return {.capacity = kCapacity, .cells = state_.mode == SlowReader::kBlocksWriter ? layout::kMaxSubscribers : 0};
  }
  // Every slot has been written since, and each item has a block.
  [[nodiscard]] std::size_t blocks() {
    const auto parcels = detail::BroadcastParcels::attach(attachment().shared_from_this()).value();
    (void)parcels->reclaim();
    const std::size_t end = geometry().bytes(detail::BroadcastParcels::kSlotBytes);
    const auto& header = *reinterpret_cast<layout::ParcelHeader*>(
        attachment().object() + (end + layout::kPage - 1) / layout::kPage * layout::kPage);
    std::size_t owned = 0;
    for (const layout::BlockClass& blocks : header.classes) {
      auto* owners = reinterpret_cast<std::atomic<std::uint64_t>*>(attachment().object() + blocks.owners_offset);
      owned += static_cast<std::size_t>(
          std::count_if(owners, owners + blocks.committed.load(), [](auto& owner) { return owner.load() != 0; }));
    }
    return owned;
  }

  struct Report {
    Tick item{};
    std::uint64_t lost = 0;
    std::atomic<bool> popped{false}, pushed{false}, lost_its_place{false};
  };

  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }
  bool push_one(std::chrono::nanoseconds patience) {
    if (!broadcast_.try_push_for(make_item<N>(next_), patience)) return false;
    pushed_.push_back(next_++);
    return true;
  }
  void push_some(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) push_one(kPatience);
  }
  void watch() {
    while (const std::optional<Tick> tick = witness_.try_pop()) {
      const std::optional<ItemId> id = id_of(*tick);
      if (!id) fault(Fault::Kind::kTorn, "what the witness read");
      seen_.push_back(id.value_or(0));
    }
    if (witness_.lost() != 0) fault(Fault::Kind::kLost, "items that the witness should have seen");
  }
  Verdict survive_close(bool finished) {
    if (finished && !broadcast_.closed()) fault(Fault::Kind::kLost, "the victim's close");
    const bool pushed = push_one(kPatience);
    if (pushed == broadcast_.closed()) fault(Fault::Kind::kOther, "a push after the close, or none before");
    broadcast_.close();
    watch();
    check_order(finished);
    if (!witness_.drained()) fault(Fault::Kind::kHung, "closed, and no end");
    return verdict_;
  }
  // What this process pushed, in this order, and between those each item of the others at most once.
  void check_order(bool finished) {
    std::vector<ItemId> own = seen_;
    std::erase_if(own, [](ItemId id) { return id >= kVictims; });
    if (own != pushed_) fault(Fault::Kind::kDisordered, "what was pushed one after the other");
    for (const ItemId id : {kVictims, kWarm, kWarm + 1, kRescuers}) {
      if (std::ranges::count(seen_, id) > 1) fault(Fault::Kind::kDoubled, "an item of the victim");
    }
    if (std::ranges::count(seen_, kVictims + 1) != 0) fault(Fault::Kind::kDoubled, "what a dead one had not pushed");
    if (finished && report_->pushed && std::ranges::count(seen_, kVictims) == 0)
      fault(Fault::Kind::kLost, "what the victim pushed");
  }
  // It read what stands at its place in the one order, and writers waited for it where they should.
  void check_victim(bool finished) {
    if (report_->lost_its_place) fault(Fault::Kind::kLost, "items of a subscriber that had joined");
    if (!report_->popped) {
      if (finished && operation_.pops) fault(Fault::Kind::kHung, "the victim's pop");
      return;
    }
    const std::optional<ItemId> id = id_of(report_->item);
    if (!id) return fault(Fault::Kind::kTorn, "what the victim read");
    const std::size_t at = begin_ + report_->lost;
    if (at >= seen_.size() || seen_[at] != *id) fault(Fault::Kind::kDisordered, "the victim's place in the order");
    if (state_.mode == SlowReader::kBlocksWriter && report_->lost != 0)
      fault(Fault::Kind::kLost, "items of a subscriber that writers wait for");
  }
  void check_newcomer() {
    Gate joined;
    const std::size_t before = seen_.size();
    Child newcomer([&] {
      auto own = broadcast_.subscribe().value();
      joined.open();
      const std::optional<Tick> tick = own.try_pop_for(kPatience);
      return tick && id_of(*tick) == next_ ? 0 : 1;
    });
    joined.wait();
    push_some(1);
    if (const auto end = ended_within(newcomer, kPatience); !end || !end->well())
      fault(Fault::Kind::kHung, "a new subscriber sees nothing, or something else");
    watch();
    if (seen_.size() != before + 1) fault(Fault::Kind::kDoubled, "an item too many");
  }

  BroadcastState state_;
  BroadcastOperation operation_;
  std::chrono::nanoseconds patience_;
  Broadcast<Tick> broadcast_;
  Subscriber<Tick> witness_;
  std::optional<Subscriber<Tick>> subscriber_;  // the victim's
  Shared<Report> report_;
  std::vector<ItemId> pushed_, seen_;
  ItemId next_ = 1;
  std::uint64_t begin_ = 0;  // where the victim's subscription begins
  Verdict verdict_;
};

using BroadcastTrial = BroadcastTrialOf<5>;

inline constexpr BroadcastOperation kBroadcastPush{
    .name = "push", .run = [](BroadcastVictim& t) { t.push(); }, .pushes = true};
inline constexpr BroadcastOperation kBroadcastPop{
    .name = "pop", .run = [](BroadcastVictim& t) { t.pop(); }, .subscribed = true, .pops = true};
inline constexpr BroadcastOperation kBroadcastPopAsleep{
    .name = "pop_asleep", .run = [](BroadcastVictim& t) { t.pop(); }, .subscribed = true, .empty = true, .pops = true};
inline constexpr BroadcastOperation kBroadcastJoin{.name = "subscribe",
                                                   .run = [](BroadcastVictim& t) { t.subscribe(); }};
inline constexpr BroadcastOperation kBroadcastLeave{
    .name = "unsubscribe", .run = [](BroadcastVictim& t) { t.leave(); }, .subscribed = true, .empty = true};
inline constexpr BroadcastOperation kBroadcastClose{.name = "close", .run = [](BroadcastVictim& t) { t.close(); }};

inline constexpr BroadcastState kBroadcastLoses{.name = "loses", .mode = SlowReader::kLoses};
inline constexpr BroadcastState kBroadcastWaits{.name = "waits"};
inline constexpr BroadcastState kBroadcastWriterDead{.name = "writer_dead", .writer_dead = true};
inline constexpr BroadcastState kBroadcastReaderDead{.name = "reader_dead", .reader_dead = true};
inline constexpr BroadcastState kBroadcastCloses{.name = "closes", .closes = true};
inline constexpr BroadcastState kBroadcastFull{.name = "full", .full = true};

}  // namespace warren::test
