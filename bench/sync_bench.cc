// Event, Semaphore and Condition beside what POSIX and Boost have for processes, none of which survives a kill: what an
// uncontended call costs, and a turn between two processes, each on a processor of its own or both on one.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <semaphore.h>
#include <warren/ipc/condition.h>
#include <warren/ipc/event.h>
#include <warren/ipc/semaphore.h>

#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <cstdint>
#include <mutex>
#include <string>

#include "peer.h"

namespace warren::bench {
namespace {

namespace interprocess = boost::interprocess;

// --- semaphores: acquire(), release() --------------------------------------------------------------------------------

class WarrenSemaphore {
 public:
  void acquire() { semaphore_.acquire(); }
  void release() { semaphore_.release(); }

 private:
  Semaphore semaphore_ = Semaphore::create(0).value();
};

class PosixSemaphore {
 public:
  PosixSemaphore() { ::sem_init(&*semaphore_, 1, 0); }
  ~PosixSemaphore() { ::sem_destroy(&*semaphore_); }
  PosixSemaphore(const PosixSemaphore&) = delete;
  PosixSemaphore& operator=(const PosixSemaphore&) = delete;
  void acquire() { ::sem_wait(&*semaphore_); }
  void release() { ::sem_post(&*semaphore_); }

 private:
  Shared<::sem_t> semaphore_;
};

class BoostSemaphore {
 public:
  void acquire() { semaphore_->value.wait(); }
  void release() { semaphore_->value.post(); }

 private:
  struct Zero {
    interprocess::interprocess_semaphore value{0};
  };
  Shared<Zero> semaphore_;
};

// An event, cleared by who waited for it.
class WarrenEvent {
 public:
  void acquire() {
    event_.wait();
    event_.clear();
  }
  void release() { event_.set(); }

 private:
  Event event_ = Event::create().value();
};

// --- conditions: whose turn it is ------------------------------------------------------------------------------------

class WarrenTurn {
 public:
  void await(bool mine) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return *turn_ == mine; });
  }
  void pass(bool to) {
    {
      const std::scoped_lock guard(mutex_);
      *turn_ = to;
    }
    changed_.notify_one();
  }

 private:
  Mutex mutex_ = Mutex::create().value();
  Condition changed_ = Condition::create().value();
  Shared<bool> turn_;
};

class PosixTurn {
 public:
  PosixTurn() {
    ::pthread_mutexattr_t of_mutex;
    ::pthread_mutexattr_init(&of_mutex);
    ::pthread_mutexattr_setpshared(&of_mutex, PTHREAD_PROCESS_SHARED);
    ::pthread_mutex_init(&words_->mutex, &of_mutex);
    ::pthread_condattr_t of_condition;
    ::pthread_condattr_init(&of_condition);
    ::pthread_condattr_setpshared(&of_condition, PTHREAD_PROCESS_SHARED);
    ::pthread_cond_init(&words_->changed, &of_condition);
  }
  void await(bool mine) {
    ::pthread_mutex_lock(&words_->mutex);
    while (words_->turn != mine) ::pthread_cond_wait(&words_->changed, &words_->mutex);
    ::pthread_mutex_unlock(&words_->mutex);
  }
  void pass(bool to) {
    ::pthread_mutex_lock(&words_->mutex);
    words_->turn = to;
    ::pthread_mutex_unlock(&words_->mutex);
    ::pthread_cond_signal(&words_->changed);
  }

 private:
  struct Words {
    ::pthread_mutex_t mutex;
    ::pthread_cond_t changed;
    bool turn = false;
  };
  Shared<Words> words_;  // never destroyed: a peer that was killed may be counted as waiting, and that would hang
};

class BoostTurn {
 public:
  void await(bool mine) {
    interprocess::scoped_lock lock(words_->mutex);
    words_->changed.wait(lock, [&] { return words_->turn == mine; });
  }
  void pass(bool to) {
    {
      const interprocess::scoped_lock guard(words_->mutex);
      words_->turn = to;
    }
    words_->changed.notify_one();
  }

 private:
  struct Words {
    interprocess::interprocess_mutex mutex;
    interprocess::interprocess_condition changed;
    bool turn = false;
  };
  Shared<Words> words_;
};

// --- what is measured ------------------------------------------------------------------------------------------------

template <class S>
void uncontended(benchmark::State& state) {
  S semaphore;
  semaphore.release();
  for (auto _ : state) {
    semaphore.acquire();
    semaphore.release();
  }
}

template <class S>
void handover(benchmark::State& state) {
  S there, back;
  const Pinned pinned(kHere);
  const Peer peer(static_cast<int>(state.range(0)), [&] {
    for (;;) {
      there.acquire();
      back.release();
    }
  });
  for (auto _ : state) {
    there.release();
    back.acquire();
  }
}

template <class T>
void ping_pong(benchmark::State& state) {
  T turn;
  const Pinned pinned(kHere);
  const Peer peer(static_cast<int>(state.range(0)), [&] {
    for (;;) {
      turn.await(true);
      turn.pass(false);
    }
  });
  for (auto _ : state) {
    turn.pass(true);
    turn.await(false);
  }
}

void between_two(const std::string& name, void (*function)(benchmark::State&)) {
  benchmark::RegisterBenchmark(name.c_str(), function)->ArgName("core")->Arg(kThere)->Arg(kHere)->UseRealTime();
}

const bool added = [] {
  benchmark::RegisterBenchmark("semaphore/uncontended", uncontended<WarrenSemaphore>);
  benchmark::RegisterBenchmark("semaphore/uncontended/sem_t", uncontended<PosixSemaphore>);
  benchmark::RegisterBenchmark("semaphore/uncontended/boost", uncontended<BoostSemaphore>);
  benchmark::RegisterBenchmark("event/uncontended", uncontended<WarrenEvent>);
  between_two("semaphore/handover", handover<WarrenSemaphore>);
  between_two("semaphore/handover/sem_t", handover<PosixSemaphore>);
  between_two("semaphore/handover/boost", handover<BoostSemaphore>);
  between_two("event/round_trip", handover<WarrenEvent>);
  between_two("condition/ping_pong", ping_pong<WarrenTurn>);
  between_two("condition/ping_pong/pthread_cond", ping_pong<PosixTurn>);
  between_two("condition/ping_pong/boost", ping_pong<BoostTurn>);
  return true;
}();

}  // namespace
}  // namespace warren::bench
