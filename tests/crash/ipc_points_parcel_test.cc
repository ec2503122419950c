// Queue of items that travel in blocks: deaths at every crash point.
#include "crash/ipc_points.h"
#include "crash/parcel_trial.h"

namespace warren::test {
namespace {

using T = Parcelled;
using Q = Queue<T>;
using Items = std::span<const T>;
using Out = std::span<T>;

constexpr QueueState kMiddle{.name = "middle", .lead = 3, .items = 2};
constexpr QueueState kDeadFirst{.name = "dead_first", .lead = 2, .dead_first = true, .items = 2};

void sweep_parcels(const QueueState& state, const QueueOperation<Q>& operation) {
  sweep(std::string("parcel ") + operation.name + " " + state.name,
        [&] { return std::make_unique<ParcelTrial<>>(state, operation); });
}

TEST(ParcelAtEveryPoint, PushKilled) {
  const QueueOperation<Q> push{
      .name = "push_n", .pushes = 2, .run = [](Q& q, Items items, Out) { return q.push_n(items); }};
  sweep_parcels(kMiddle, push);
}

TEST(ParcelAtEveryPoint, PopKilled) {
  const QueueOperation<Q> pop{
      .name = "pop_n", .pops = 2, .run = [](Q& q, Items, Out out) { return q.pop_n(out.first(2)); }};
  sweep_parcels(kMiddle, pop);
  sweep_parcels(kDeadFirst, pop);
}

// A block whose memory is given back when it is freed.
TEST(ParcelAtEveryPoint, LoanOfManyMegabytesKilled) {
  const QueueOperation<Q> loan{.name = "loan", .run = [](Q& q, Items, Out) -> std::size_t {
                                 const auto parcels = *detail::ParcelRing::attach(
                                     std::shared_ptr<detail::Attachment>(&Reach::attachment(q), [](auto*) {}));
                                 if (const auto block = parcels->allocate(parcels->most_bytes())) parcels->free(*block);
                                 return 0;
                               }};
  sweep_parcels(kMiddle, loan);
}

}  // namespace
}  // namespace warren::test
