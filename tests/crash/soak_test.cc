// Random kills: producers and consumers die at crash points with some chance, and of SIGKILL from outside at any
// moment, are stopped for a while, and replaced. The histories of all of them must add up. For WARREN_SOAK_SECONDS, 5
// ordinarily.
#include <gtest/gtest.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/spsc_queue.h>

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <random>
#include <thread>

#include "crash/shared_trial.h"
#include "support/crash_points.h"

namespace warren::test {
namespace {

using T = Item64;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kActors = 1024;
constexpr std::size_t kEventsEach = 100'000;
constexpr auto kRound = 1500ms;

std::chrono::duration<double> soak_time() {
  const char* const seconds = std::getenv("WARREN_SOAK_SECONDS");
  return std::chrono::duration<double>(seconds != nullptr ? std::strtod(seconds, nullptr) : 5.0);
}

struct Totals {
  std::size_t rounds = 0, from_outside = 0, in_claim = 0, at_points = 0, stops = 0;
  std::size_t pushed = 0, popped = 0, taken_along = 0, half_pushed = 0, lost = 0, doubled = 0, torn = 0;
  std::uint64_t buried = 0;
  std::vector<std::chrono::nanoseconds> recovery;
};

std::uint64_t buried_in(const Queue<T>& queue) { return queue.stats().buried; }
std::uint64_t buried_in(const SpscQueue<T>&) { return 0; }

// One queue, and those who come and go.
template <class Q>
class Round {
 public:
  Round(Q queue, std::size_t producers, std::size_t consumers, std::uint64_t seed, Totals& totals)
      : queue_(std::move(queue)),
        random_(seed),
        totals_(totals),
        places_(producers + consumers),
        producers_(producers) {}

  void run(Clock::time_point end) {
    for (std::size_t i = 0; i < places_.size(); ++i) spawn(i);
    while (Clock::now() < end && next_actor_ + places_.size() < kActors) {
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 3000));
      disturb(random_() % places_.size());
      replace_the_dead();
    }
    finish();
  }

 private:
  static constexpr std::size_t kBatch = 3;

  void produce(History::Actor& log, std::minstd_rand random) {
    std::array<T, kBatch> items;
    while (!log.full()) {
      const std::size_t count = 1 + random() % kBatch;
      const ItemId first = log.push_begins(count);
      for (std::size_t i = 0; i < count; ++i) items[i] = make_item<8>(first + i);
      const std::span<const T> some = std::span(items).first(count);
      const std::size_t pushed = count == 1 ? queue_.try_push_for(some[0], 20ms) : queue_.push_n(some);
      log.push_ends(pushed);
      if (queue_.closed()) return;
    }
  }

  void consume(History::Actor& log, std::minstd_rand random) {
    std::array<T, kBatch> items;
    while (!log.full()) {
      const std::size_t most = 1 + random() % kBatch;
      log.pop_begins(most);
      std::size_t got = 0;
      if (most == 1) {
        if (const std::optional<T> item = queue_.try_pop_for(20ms)) items[got++] = *item;
      } else {
        got = queue_.pop_n(std::span(items).first(most));
      }
      for (const T& item : std::span(items).first(got)) log.popped(id_of(item));
      log.pop_ends();
      progress_->fetch_add(got, std::memory_order_relaxed);
      if (got == 0 && queue_.drained()) return;
    }
  }

  void spawn(std::size_t place) {
    const std::size_t actor = next_actor_++;
    const std::uint32_t seed = static_cast<std::uint32_t>(random_());
    places_[place].emplace([&]() {
      set_waits(5ms);
      detail::wait_tuning().spins = true;
      die_now_and_then(4000, seed);
      place < producers_ ? produce(history_.actor(actor), std::minstd_rand(seed + 1))
                         : consume(history_.actor(actor), std::minstd_rand(seed + 1));
      live();
    });
  }

  void replace_the_dead() {
    for (std::size_t place = 0; place < places_.size() && next_actor_ + 1 < kActors; ++place) {
      if (process_state(places_[place]->pid()) != 'Z') continue;
      totals_.at_points += places_[place]->join().signal == SIGKILL;
      spawn(place);
    }
  }

  void disturb(std::size_t place) {
    Child& victim = *places_[place];
    if (random_() % 4 == 0) {
      victim.signal(SIGSTOP);
      ++totals_.stops;
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 2000));
      victim.go_on();
      return;
    }
    const std::uint64_t before = progress_->load();
    const auto begin = Clock::now();
    victim.kill_but_not_reap();
    ++totals_.from_outside;
    totals_.in_claim += announcement_of(Reach::attachment(queue_), victim.pid()) != 0;
    (void)victim.join();
    spawn(place);
    const auto moved = [&] { return replace_the_dead(), progress_->load() != before; };
    if (!eventually(moved, kPatience)) ADD_FAILURE() << "nothing moves after a kill";
    totals_.recovery.push_back(Clock::now() - begin);
  }

  // Closes; who is left finishes, and some of them still die.
  void finish() {
    queue_.close();
    for (std::size_t i = 0; i < places_.size(); ++i) {
      std::optional<Ended> end = ended_within(*places_[i], kPatience);
      if (!end) ADD_FAILURE() << (i < producers_ ? "a producer" : "a consumer") << " does not end";
      totals_.at_points += end && end->signal == SIGKILL;
    }
    places_.clear();
    History::Actor& log = history_.actor(next_actor_++);
    const bool drained = eventually(
        [&] {
          log.pop_begins();
          if (const std::optional<T> item = queue_.try_pop_for(1ms)) log.popped(id_of(*item));
          log.pop_ends();
          return queue_.drained();
        },
        kPatience);
    EXPECT_TRUE(drained) << "it is never drained";
    detail::Attachment& attachment = Reach::attachment(queue_);
    EXPECT_TRUE(eventually([&] { return attachment.sweep(), lanes_of_others(attachment) == 0; }, kPatience));

    const Account account = history_.account();
    for (const Fault& fault : account.faults) ADD_FAILURE() << kind_name(fault.kind) << ": " << fault.text;
    ++totals_.rounds;
    totals_.pushed += account.pushed;
    totals_.popped += account.popped;
    totals_.taken_along += account.lost - account.unexplained;
    totals_.lost += account.unexplained;
    totals_.doubled += account.doubled;
    totals_.torn += account.torn;
    totals_.half_pushed += account.maybe_popped;
    totals_.buried += buried_in(queue_);
  }

  Q queue_;
  std::mt19937 random_;
  Totals& totals_;
  History history_{kActors, kEventsEach};
  Shared<std::atomic<std::uint64_t>> progress_;
  std::vector<std::optional<Child>> places_;
  std::size_t producers_;
  std::size_t next_actor_ = 0;
};

void print(const char* name, const Totals& t, std::chrono::duration<double> time) {
  std::cout << name << ": " << std::fixed << std::setprecision(1) << time.count() << " s, " << t.rounds << " rounds, "
            << t.from_outside + t.at_points << " kills: " << t.at_points << " at crash points, " << t.from_outside
            << " from outside (" << t.in_claim << " of them with a claim announced), " << t.stops << " stops, "
            << t.buried << " claims buried\n  " << t.pushed << " items pushed, " << t.half_pushed
            << " more by the dying, " << t.popped << " popped, " << t.taken_along << " taken along by the dying; lost "
            << t.lost << ", doubled " << t.doubled << ", torn " << t.torn << "\n"
            << "  from a kill to the next item: " << quantiles(t.recovery) << "\n";
}

// Deaths by crash point, of all processes of this program.
class DeathsAtPoints : public testing::Environment {
 public:
  void TearDown() override {
    for (const PointCount& count : crash_point_counts()) {
      if (count.died != 0)
        std::cout << "  " << std::left << std::setw(24) << count.point << std::right << count.died << "\n";
    }
  }
};
[[maybe_unused]] auto* const deaths_at_points = testing::AddGlobalTestEnvironment(new DeathsAtPoints);

template <class Make>
void soak(const char* name, const Make& make, std::size_t producers, std::size_t consumers) {
  set_waits(5ms);
  Totals totals;
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(soak_time() / 2);
  for (std::uint64_t seed = 1; Clock::now() < end && !testing::Test::HasFailure(); ++seed) {
    Round(make(), producers, consumers, seed, totals).run(std::min(end, Clock::now() + kRound));
  }
  print(name, totals, Clock::now() - begin);
  EXPECT_GT(totals.at_points, 0u);
  EXPECT_GT(totals.from_outside, 0u);
}

TEST(Soak, QueueUnderRandomKills) {
  soak(
      "Queue, 3 producers, 3 consumers", [] { return *Queue<T>::create({.capacity = 16}); }, 3, 3);
}

TEST(Soak, SpscQueueUnderRandomKills) {
  soak(
      "SpscQueue", [] { return *SpscQueue<T>::create({.capacity = 16}); }, 1, 1);
}

}  // namespace
}  // namespace warren::test
