// BoundedSemaphore, Barrier and SharedMutex beside their peers: sem_t, pthread_barrier_t and pthread_rwlock_t shared
// between processes, and Boost.Interprocess. Uncontended in one process; contended between two, each on a processor of
// its own.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <semaphore.h>
#include <warren/ipc/barrier.h>
#include <warren/ipc/bounded_semaphore.h>
#include <warren/ipc/shared_mutex.h>

#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <cstdint>

#include "peer.h"

namespace warren::bench {
namespace {

// --- peers, by one set of names --------------------------------------------------------------------------------------

struct OurSemaphore {
  explicit OurSemaphore(unsigned permits) : object(BoundedSemaphore::create(permits).value()) {}
  void acquire() { object.acquire(); }
  void release() { object.release(); }
  BoundedSemaphore object;
};
struct PosixSemaphore {
  explicit PosixSemaphore(unsigned permits) { ::sem_init(&*object, 1, permits); }
  void acquire() { ::sem_wait(&*object); }
  void release() { ::sem_post(&*object); }
  Shared<sem_t> object;
};
struct BoostSemaphore {
  struct Memory {
    boost::interprocess::interprocess_semaphore semaphore{1};
  };
  explicit BoostSemaphore(unsigned permits) {
    for (unsigned i = 1; i < permits; ++i) object->semaphore.post();
  }
  void acquire() { object->semaphore.wait(); }
  void release() { object->semaphore.post(); }
  Shared<Memory> object;
};

struct OurSharedMutex {
  void lock() { object.lock(); }
  void unlock() { object.unlock(); }
  void lock_shared() { object.lock_shared(); }
  void unlock_shared() { object.unlock_shared(); }
  SharedMutex object = SharedMutex::create().value();
};
struct PosixSharedMutex {
  PosixSharedMutex() {
    pthread_rwlockattr_t attributes;
    ::pthread_rwlockattr_init(&attributes);
    ::pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_rwlock_init(&*object, &attributes);
  }
  void lock() { ::pthread_rwlock_wrlock(&*object); }
  void unlock() { ::pthread_rwlock_unlock(&*object); }
  void lock_shared() { ::pthread_rwlock_rdlock(&*object); }
  void unlock_shared() { ::pthread_rwlock_unlock(&*object); }
  Shared<pthread_rwlock_t> object;
};
struct BoostSharedMutex {
  void lock() { object->lock(); }
  void unlock() { object->unlock(); }
  void lock_shared() { object->lock_sharable(); }
  void unlock_shared() { object->unlock_sharable(); }
  Shared<boost::interprocess::interprocess_sharable_mutex> object;
};

struct OurBarrier {
  bool wait() { return object.arrive_and_wait().ok(); }
  Barrier object = Barrier::create(2).value();
};
struct PosixBarrier {
  PosixBarrier() {
    pthread_barrierattr_t attributes;
    ::pthread_barrierattr_init(&attributes);
    ::pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_barrier_init(&*object, &attributes, 2);
  }
  bool wait() {
    const int result = ::pthread_barrier_wait(&*object);
    return result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD;
  }
  Shared<pthread_barrier_t> object;
};

// --- semaphores ------------------------------------------------------------------------------------------------------

template <class S>
void acquire_and_release(benchmark::State& state) {
  S semaphore(static_cast<unsigned>(state.range(0)));
  const Pinned pinned(kHere);
  for (auto _ : state) {
    semaphore.acquire();
    semaphore.release();
  }
}

template <class S>
void acquire_beside_another(benchmark::State& state) {
  S semaphore(static_cast<unsigned>(state.range(0)));
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    for (;;) {
      semaphore.acquire();
      semaphore.release();
    }
  });
  for (auto _ : state) {
    semaphore.acquire();
    semaphore.release();
  }
}

#define WARREN_SEMAPHORES(benchmark)                             \
  BENCHMARK(benchmark<OurSemaphore>)->Arg(1)->Arg(8)->Arg(1024); \
  BENCHMARK(benchmark<PosixSemaphore>)->Arg(1)->Arg(8);          \
  BENCHMARK(benchmark<BoostSemaphore>)->Arg(1)->Arg(8)
WARREN_SEMAPHORES(acquire_and_release);
WARREN_SEMAPHORES(acquire_beside_another);

// --- reader-writer mutexes -------------------------------------------------------------------------------------------

template <class M>
void read_alone(benchmark::State& state) {
  M mutex;
  const Pinned pinned(kHere);
  for (auto _ : state) {
    mutex.lock_shared();
    mutex.unlock_shared();
  }
}

template <class M>
void write_alone(benchmark::State& state) {
  M mutex;
  const Pinned pinned(kHere);
  for (auto _ : state) {
    mutex.lock();
    mutex.unlock();
  }
}

template <class M>
void read_beside_a_reader(benchmark::State& state) {
  M mutex;
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    for (;;) {
      mutex.lock_shared();
      mutex.unlock_shared();
    }
  });
  for (auto _ : state) {
    mutex.lock_shared();
    mutex.unlock_shared();
  }
}

template <class M>
void write_beside_a_reader(benchmark::State& state) {
  M mutex;
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    for (;;) {
      mutex.lock_shared();
      mutex.unlock_shared();
    }
  });
  for (auto _ : state) {
    mutex.lock();
    mutex.unlock();
  }
}

#define WARREN_SHARED_MUTEXES(benchmark)  \
  BENCHMARK(benchmark<OurSharedMutex>);   \
  BENCHMARK(benchmark<PosixSharedMutex>); \
  BENCHMARK(benchmark<BoostSharedMutex>)
WARREN_SHARED_MUTEXES(read_alone);
WARREN_SHARED_MUTEXES(write_alone);
WARREN_SHARED_MUTEXES(read_beside_a_reader);
WARREN_SHARED_MUTEXES(write_beside_a_reader);

// --- barriers --------------------------------------------------------------------------------------------------------

template <class B>
void meet(benchmark::State& state) {
  B barrier;
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    while (barrier.wait()) {
    }
  });
  for (auto _ : state) {
    if (!barrier.wait()) state.SkipWithError("broken");
  }
}
BENCHMARK(meet<OurBarrier>);
BENCHMARK(meet<PosixBarrier>);

}  // namespace
}  // namespace warren::bench
