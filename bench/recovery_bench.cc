// How long a death is felt: from SIGKILL of who holds something to the return of a survivor that is asleep waiting for
// it, with the library's own slices. A death for each iteration, at a random time of the survivor's sleep; p50, p99 and
// the longest are counters of the results.
//   recovery_bench --benchmark_out=FILE --benchmark_out_format=json
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/barrier.h>
#include <warren/ipc/bounded_semaphore.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/mutex.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/shared_mutex.h>
#include <warren/layout/barrier.h>
#include <warren/layout/mpmc_ring.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "peer.h"

namespace warren::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kDeaths = 200;

struct Reach : Handle {
  static detail::Attachment& attachment(const Handle& handle) { return *(handle.*(&Reach::attachment_)); }
};

// What victim and survivor agree by.
struct Signs {
  std::atomic<int> steps{0};
  std::atomic<Clock::rep> returned{0};
  std::atomic<bool> well{false};

  void await(int count) const {
    while (steps.load() < count) std::this_thread::sleep_for(100us);
  }
};

template <class Body>
pid_t in_a_child(Body&& body) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  std::forward<Body>(body)();
  for (;;) ::pause();
}

bool sleeps(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name = text.rfind(')');
  return name != std::string::npos && name + 2 < text.size() && text[name + 2] == 'S';
}

// Others who are attached and do nothing, each with a lane for its thread and a spare one.
class Idlers {
 public:
  Idlers(std::int64_t lanes, Signs& signs, const Handle& object) {
    const int count = static_cast<int>(lanes / 2);
    signs.steps = 0;
    for (int i = 0; i < count; ++i) {
      pids_.push_back(in_a_child([&] {
        (void)Reach::attachment(object).seat();
        ++signs.steps;
      }));
    }
    signs.await(count);
  }
  ~Idlers() {
    for (const pid_t pid : pids_) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
  Idlers(const Idlers&) = delete;
  Idlers& operator=(const Idlers&) = delete;

 private:
  std::vector<pid_t> pids_;
};

// `hold`: what the victim does, which then waits to be killed. `wait`: what the survivor does; true: as it should.
// `between` runs once the survivor waits.
template <class Hold, class Wait, class Between>
std::chrono::nanoseconds one_death(Signs& signs, std::mt19937& random, const Hold& hold, const Wait& wait,
                                   const Between& between) {
  signs.steps = 0;
  signs.well = false;
  const pid_t victim = in_a_child([&] {
    hold();
    ++signs.steps;
  });
  signs.await(1);
  const pid_t survivor = in_a_child([&] {
    ++signs.steps;
    const bool well = wait();
    signs.returned = Clock::now().time_since_epoch().count();
    signs.well = well;
    ::_exit(0);
  });
  signs.await(2);
  between();
  std::this_thread::sleep_for(2ms);
  while (!sleeps(survivor)) std::this_thread::sleep_for(100us);
  std::this_thread::sleep_for(std::chrono::microseconds(random() % 100'000));
  const auto begin = Clock::now();
  ::kill(victim, SIGKILL);
  ::waitpid(survivor, nullptr, 0);
  ::waitpid(victim, nullptr, 0);
  return Clock::duration(signs.returned.load()) - begin.time_since_epoch();
}

template <class Death>
void measure(benchmark::State& state, const Death& death) {
  Shared<Signs> signs;
  std::mt19937 random(1);
  std::vector<std::chrono::nanoseconds> times;
  for (auto _ : state) {
    const std::chrono::nanoseconds time = death(*signs, random);
    if (!signs->well) return state.SkipWithError("the survivor did not get what it waited for");
    times.push_back(time);
    state.SetIterationTime(std::chrono::duration<double>(time).count());
  }
  std::ranges::sort(times);
  const auto at = [&](double q) {
    const auto index = static_cast<std::size_t>(q * static_cast<double>(times.size() - 1));
    return std::chrono::duration<double, std::milli>(times[index]).count();
  };
  state.counters["p50_ms"] = at(0.5);
  state.counters["p99_ms"] = at(0.99);
  state.counters["max_ms"] = at(1.0);
}

void nothing() {}

void mutex_owner(benchmark::State& state) {
  measure(state, [&](Signs& signs, std::mt19937& random) {
    auto mutex = Mutex::create().value();
    const Idlers idlers(state.range(0), signs, mutex);
    return one_death(
        signs, random, [&] { mutex.lock(); }, [&] { return mutex.lock(), mutex.owner_died(); }, nothing);
  });
}

void shared_mutex_writer(benchmark::State& state) {
  measure(state, [&](Signs& signs, std::mt19937& random) {
    auto mutex = SharedMutex::create().value();
    const Idlers idlers(state.range(0), signs, mutex);
    return one_death(
        signs, random, [&] { mutex.lock(); }, [&] { return mutex.lock_shared(), mutex.owner_died(); }, nothing);
  });
}

void shared_mutex_reader(benchmark::State& state) {
  measure(state, [&](Signs& signs, std::mt19937& random) {
    auto mutex = SharedMutex::create().value();
    const Idlers idlers(state.range(0), signs, mutex);
    return one_death(
        signs, random, [&] { mutex.lock_shared(); }, [&] { return mutex.lock(), !mutex.owner_died(); }, nothing);
  });
}

void bounded_semaphore(benchmark::State& state) {
  measure(state, [&](Signs& signs, std::mt19937& random) {
    auto semaphore = BoundedSemaphore::create(1).value();
    const Idlers idlers(state.range(0), signs, semaphore);
    return one_death(
        signs, random, [&] { semaphore.acquire(); }, [&] { return semaphore.acquire(), true; }, nothing);
  });
}

// The victim stands between its claim and its commit, with an item behind it.
void queue_claim(benchmark::State& state) {
  measure(state, [&](Signs& signs, std::mt19937& random) {
    auto queue = Queue<int>::create({.capacity = 8}).value();
    const Idlers idlers(state.range(0), signs, queue);
    const auto claim = [&] {
      detail::Attachment& attachment = Reach::attachment(queue);
      attachment.seat().lane->announcement.store(1);
      reinterpret_cast<layout::MpmcRingHeader*>(attachment.object())->tail.fetch_add(1);
    };
    return one_death(
        signs, random, claim, [&] { return queue.pop() == 7; }, [&] { (void)queue.push(7); });
  });
}

// A party dies that has not arrived.
void barrier_party(benchmark::State& state) {
  measure(state, [&](Signs& signs, std::mt19937& random) {
    auto barrier = Barrier::create(2).value();
    const Idlers idlers(state.range(0), signs, barrier);
    return one_death(
        signs, random,
        [&] {  // a party, as who has arrived once
          detail::Attachment& attachment = Reach::attachment(barrier);
          const detail::LaneRef lane = attachment.process_lane(attachment.seat());
          attachment.lane(lane.index).announcement.store(layout::barrier_party(lane.generation));
        },
        [&] { return absl::IsAborted(barrier.arrive_and_wait().status()); }, nothing);
  });
}

void pipe_end(benchmark::State& state) {
  measure(state, [&](Signs& signs, std::mt19937& random) {
    auto [mine, theirs] = Pipe::create().value();
    return one_death(
        signs, random, [&, &mine = mine] { mine.close(); },
        [&, &mine = mine, &theirs = theirs] {
          theirs.close();
          return absl::IsOutOfRange(mine.recv<int>().status());
        },
        [&, &theirs = theirs] { theirs.close(); });
  });
}

void deaths(benchmark::internal::Benchmark* bench) {
  bench->Iterations(kDeaths)->UseManualTime()->Unit(benchmark::kMillisecond);
}
void crowded(benchmark::internal::Benchmark* bench) { deaths(bench->ArgName("idle_lanes")->Arg(0)->Arg(64)); }
BENCHMARK(mutex_owner)->Name("recovery/mutex_owner")->Apply(crowded)->Arg(16);
BENCHMARK(shared_mutex_writer)->Name("recovery/shared_mutex_writer")->Apply(crowded);
BENCHMARK(shared_mutex_reader)->Name("recovery/shared_mutex_reader")->Apply(crowded);
BENCHMARK(bounded_semaphore)->Name("recovery/bounded_semaphore")->Apply(crowded);
BENCHMARK(queue_claim)->Name("recovery/queue_claim")->Apply(crowded);
BENCHMARK(barrier_party)->Name("recovery/barrier_party")->Apply(crowded);
BENCHMARK(pipe_end)->Name("recovery/pipe_end")->Apply(deaths);

}  // namespace
}  // namespace warren::bench
