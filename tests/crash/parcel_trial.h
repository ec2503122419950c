// QueueTrial with items that travel in blocks: afterwards no block may be owned that nobody holds.
#pragma once
#include "crash/queue_trial.h"
#include "support/queue_blocks.h"

namespace warren::test {

inline constexpr std::size_t kParcelItem = 36;  // words: 288 bytes, more than a slot takes
using Parcelled = Item<kParcelItem>;

template <class Q = Queue<Parcelled>>
class ParcelTrial : public QueueTrial<kParcelItem, Q> {
  using Base = QueueTrial<kParcelItem, Q>;
  using Role = layout::ParcelOwner::Role;

 public:
  using Base::Base;

  void warm() override {
    Base::warm();
    (void)this->attachment().process_lane(this->attachment().seat());
  }

  // Beside what the ring shows: whose the blocks are.
  std::string window(pid_t victim) override {
    const std::string ring = Base::window(victim);
    const layout::ParcelHeader& header = blocks().header();
    if (header.classes[0].committed.load() == 0) return ring;
    bool own = false, gone = false;
    blocks().each([&](const std::atomic<std::uint64_t>& word, layout::BlockRef) {
      const std::uint64_t owner = word.load();
      own = own || (Layout::role(owner) == Role::kProcess && is_of(victim, owner));
      gone = gone || (Layout::role(owner) == Role::kItem && Layout::position(owner) < blocks().ring().head.load());
    });
    return ring + (own ? "+block" : gone ? "+item's" : "");
  }

  void rescue() override {
    Base::rescue();
    (void)blocks().owned_after_recovery();
  }

  Verdict survive(bool finished) override {
    Verdict verdict = Base::survive(finished);
    if (const std::size_t left = blocks().owned_after_recovery(); left != 0) {
      verdict.add(Fault::Kind::kLeft, std::to_string(left) + " blocks are nobody's");
    }
    return verdict;
  }

  void interfere() override {
    Base::interfere();
    (void)blocks().owned_after_recovery();
  }

 private:
  using Layout = layout::ParcelOwner;
  QueueBlocks blocks() const { return QueueBlocks(this->attachment()); }
  bool is_of(pid_t pid, std::uint64_t owner) const {
    const auto identity = layout::LaneIdentity::from(this->attachment().lane(Layout::lane(owner)).identity.load());
    return identity.pid == static_cast<std::uint32_t>(pid) && identity.generation == Layout::generation(owner);
  }
};

}  // namespace warren::test
