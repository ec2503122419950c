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

constexpr QueueState kNextRun{.name = "next_run", .lead = 2, .unbounded = true};
constexpr QueueState kEndOfRun{.name = "end_of_run", .lead = 1, .items = 1, .unbounded = true};
constexpr QueueState kTwoRuns{.name = "two_runs", .lead = 1, .items = 3, .unbounded = true};

void sweep_parcels(const QueueState& state, const QueueOperation<Q>& operation) {
  sweep(std::string("parcel ") + operation.name + " " + state.name,
        [&] { return std::make_unique<ParcelTrial<>>(state, operation); });
}

TEST(ParcelAtEveryPoint, PushKilled) {
  const QueueOperation<Q> push{
      .name = "push_n", .pushes = 2, .run = [](Q& q, Items items, Out) { return q.push_n(items); }};
  sweep_parcels(kMiddle, push);
  sweep_parcels(kNextRun, push);
  sweep_parcels(kEndOfRun, push);  // needs one more chunk
}

TEST(ParcelAtEveryPoint, PopKilled) {
  const QueueOperation<Q> pop{
      .name = "pop_n", .pops = 2, .run = [](Q& q, Items, Out out) { return q.pop_n(out.first(2)); }};
  sweep_parcels(kMiddle, pop);
  sweep_parcels(kDeadFirst, pop);
  sweep_parcels(kTwoRuns, pop);
}

// Loans of a block so large that its memory is given back when it is freed.
class LargeLoanTrial : public Trial {
 public:
  void warm() override { (void)Reach::attachment(queue_).seat(); }
  void operation() override { (void)Loan<std::string>(queue_.try_loan(std::size_t{17} << 20)); }
  std::string window(pid_t) override { return {}; }
  void rescue() override { (void)blocks_.owned_after_recovery(); }
  Verdict survive(bool) override {
    Verdict verdict;
    if (const std::size_t left = blocks_.owned_after_recovery(); left != 0) {
      verdict.add(Fault::Kind::kLeft, std::to_string(left) + " blocks are nobody's");
    }
    if (!queue_.try_loan(std::size_t{17} << 20)) {
      verdict.add(Fault::Kind::kLost, "there is no block any more");
    }
    return verdict;
  }

 private:
  Queue<std::string> queue_ = *Queue<std::string>::create({.capacity = 2});
  QueueBlocks blocks_{queue_};
};

TEST(ParcelAtEveryPoint, LoanOfManyMegabytesKilled) {
  sweep("large loan", [] { return std::make_unique<LargeLoanTrial>(); });
}

}  // namespace
}  // namespace warren::test
