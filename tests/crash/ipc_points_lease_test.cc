// Leases: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/lease_trial.h"

namespace warren::test {
namespace {

using Dead = LeaseState::Dead;
constexpr std::size_t kParcel = 36;  // words: more than a slot takes

constexpr LeaseState kItems{.name = "items", .lead = 3, .items = 2};
constexpr LeaseState kReturned{.name = "returned", .lead = 3, .items = 1, .returned = true};
constexpr LeaseState kDeadHolder{.name = "dead_holder", .lead = 2, .dead = Dead::kHolder};
constexpr LeaseState kDeadNamed{.name = "dead_named", .lead = 2, .items = 1, .dead = Dead::kNamed};

template <std::size_t N>
void sweep_leases(const LeaseState& state, const LeaseOperation<Queue<Item<N>>>& operation) {
  sweep(std::string("lease ") + operation.name + " " + state.name,
        [&] { return std::make_unique<LeaseTrial<N>>(state, operation); });
}

template <std::size_t N>
const LeaseOperation<Queue<Item<N>>> kAck{.name = "ack", .run = [](Queue<Item<N>>& q, Item<N>& out) {
                                            auto lease = q.try_lease();
                                            if (!lease) return false;
                                            out = *lease;
                                            lease.ack();
                                            return true;
                                          }};
template <std::size_t N>
const LeaseOperation<Queue<Item<N>>> kDrop{.name = "drop", .takes = false, .run = [](Queue<Item<N>>& q, Item<N>&) {
                                             auto lease = q.try_lease();
                                             return false;
                                           }};
template <std::size_t N>
const LeaseOperation<Queue<Item<N>>> kPop{.name = "pop", .run = [](Queue<Item<N>>& q, Item<N>& out) {
                                            const auto item = q.try_pop();
                                            if (item) out = *item;
                                            return item.has_value();
                                          }};

// Who comes after it finds head marked, and nothing there.
const LeaseOperation<Queue<Item<8>>> kPopAndDrop{.name = "pop_and_drop", .run = [](Queue<Item<8>>& q, Item<8>& out) {
                                                   const auto item = q.try_pop();
                                                   if (item) out = *item;
                                                   { auto lease = q.try_lease(); }
                                                   return item.has_value();
                                                 }};

TEST(LeaseAtEveryPoint, AcknowledgingKilled) {
  sweep_leases<8>(kItems, kAck<8>);
  sweep_leases<kParcel>(kItems, kAck<kParcel>);
  sweep_leases<8>(kReturned, kAck<8>);
  sweep_leases<8>(kDeadNamed, kAck<8>);
}

TEST(LeaseAtEveryPoint, ReturningKilled) {
  sweep_leases<8>(kItems, kDrop<8>);
  sweep_leases<8>(kDeadHolder, kDrop<8>);
}

TEST(LeaseAtEveryPoint, TakingWhatCameBackKilled) {
  sweep_leases<8>(kReturned, kPop<8>);
  sweep_leases<8>(kReturned, kPopAndDrop);
  sweep_leases<8>(kDeadHolder, kPop<8>);
  sweep_leases<8>(kDeadNamed, kPop<8>);
}

}  // namespace
}  // namespace warren::test
