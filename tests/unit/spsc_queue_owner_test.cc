// SpscQueue: who owns a side, who takes it over, and transfers between processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/spsc_queue.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>
#include <tuple>
#include <vector>

#include "support/child.h"
#include "support/limits.h"
#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;
using test::Child;
using test::Gate;
using test::unique_name;
using ::testing::AllOf;
using ::testing::HasSubstr;

SpscQueue<int> queue_of(std::size_t capacity) { return SpscQueue<int>::create({.capacity = capacity}).value(); }

// --- ownership -------------------------------------------------------------------------------------------------------

TEST(SpscOwner, OneThreadMayHaveBothSides) {
  auto queue = queue_of(4);
  EXPECT_EQ(queue.claim_producer(), absl::OkStatus());
  EXPECT_EQ(queue.claim_producer(), absl::OkStatus()) << "again";
  EXPECT_EQ(queue.claim_consumer(), absl::OkStatus());
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_EQ(queue.try_pop(), 1);
}

TEST(SpscOwner, CopiesOfAHandleShareTheSide) {
  auto queue = queue_of(4);
  auto copy = queue;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(i % 2 == 0 ? queue.try_push(i) : copy.try_push(i));
    EXPECT_EQ(i % 3 == 0 ? queue.try_pop() : copy.try_pop(), i);
  }
}

// Had it a memory of its own, both would go on from what they last saw, and overwrite each other's items.
TEST(SpscOwner, SoDoesAHandleThatCameAsAValue) {
  auto queue = queue_of(4);
  auto mail = Queue<SpscQueue<int>>::create({.capacity = 1}).value();
  ASSERT_TRUE(mail.push(queue));
  auto came = mail.pop().value();
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(i % 2 == 0 ? queue.try_push(i) : came.try_push(i));
    EXPECT_EQ(i % 3 == 0 ? queue.try_pop() : came.try_pop(), i);
  }
}

TEST(SpscOwner, ASecondLivingThreadIsRefusedAndToldWhoOwnsTheSide) {
  auto queue = queue_of(4);
  ASSERT_TRUE(queue.try_push(1));
  ASSERT_EQ(queue.claim_consumer(), absl::OkStatus());
  const pid_t owner = ::gettid();
  std::thread([&] {
    const absl::Status producer = queue.claim_producer();
    EXPECT_TRUE(absl::IsAlreadyExists(producer)) << producer;
    EXPECT_THAT(producer.message(), AllOf(HasSubstr("producer"), HasSubstr(std::to_string(owner)),
                                          HasSubstr("process " + std::to_string(::getpid()))));
    EXPECT_THAT(queue.claim_consumer().message(), HasSubstr("consumer"));
    EXPECT_FALSE(queue.push(2)) << "refused, not blocked";
    EXPECT_FALSE(queue.try_push(2));
    EXPECT_FALSE(queue.try_push_for(2, 1h));
    EXPECT_EQ(queue.push_n(std::array{2, 3}), 0u);
    EXPECT_EQ(queue.try_push_n(std::array{2, 3}), 0u);
    EXPECT_TRUE(queue.prepare(1).empty());
    queue.commit(1);
    EXPECT_EQ(queue.pop(), std::nullopt);
    EXPECT_EQ(queue.try_pop(), std::nullopt);
    EXPECT_EQ(queue.try_pop_for(1h), std::nullopt);
    std::array<int, 2> out{};
    EXPECT_EQ(queue.pop_n(out), 0u);
    EXPECT_EQ(queue.try_pop_n(out), 0u);
    EXPECT_TRUE(queue.peek().empty());
    queue.consume(1);
    EXPECT_FALSE(queue.drained());
    queue.close();  // that anybody may
  }).join();
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_TRUE(queue.drained());
}

TEST(SpscOwner, AThreadThatEndedLeavesItsSide) {
  auto queue = queue_of(4);
  std::thread([&] {
    EXPECT_TRUE(queue.try_push(1));
    EXPECT_TRUE(queue.try_push(2));
    EXPECT_EQ(queue.try_pop(), 1);
  }).join();
  EXPECT_EQ(queue.claim_producer(), absl::OkStatus());
  EXPECT_EQ(queue.claim_consumer(), absl::OkStatus());
  EXPECT_TRUE(queue.try_push(3));
  EXPECT_EQ(queue.try_pop(), 2) << "going on where it left off";
  EXPECT_EQ(queue.try_pop(), 3);
}

// The destructors of a thread's thread_local objects push yet: until then the side is its own.
struct AtThreadsEnd {
  std::function<void()> run;
  ~AtThreadsEnd() {
    if (run) run();
  }
};
thread_local AtThreadsEnd at_threads_end;

TEST(SpscOwner, AnEndingThreadOwnsItsSideThroughItsDestructors) {
  auto queue = queue_of(8);
  Gate ending, tried;
  Child other([&] {
    ending.wait();
    EXPECT_TRUE(absl::IsAlreadyExists(queue.claim_producer()));
    tried.open();
  });
  std::thread([&] {
    at_threads_end.run = [&] {
      ending.open();
      tried.wait();
      EXPECT_TRUE(queue.try_push(2));
    };
    EXPECT_TRUE(queue.push(1));
  }).join();
  EXPECT_TRUE(other.join().well());
  EXPECT_TRUE(queue.try_push(3)) << "the side of a thread that has ended is free";
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(queue.try_pop(), i);
}

// A key's destructor that runs after ours: the side was given back, and somebody else may have it.
TEST(SpscOwner, AThreadThatGaveItsSideBackDoesNotTakeItForItsOwn) {
  auto queue = queue_of(8);
  ASSERT_EQ(queue.try_pop(), std::nullopt);  // from here on our key is there
  static std::function<void()> run;
  pthread_key_t key{};
  ASSERT_EQ(::pthread_key_create(&key, [](void*) { run(); }), 0);
  Gate ending, claimed, end;
  Child other([&] {
    ending.wait();
    EXPECT_TRUE(queue.try_push(2));
    claimed.open();
    end.wait();
  });
  run = [&] {
    ending.open();
    claimed.wait();
    EXPECT_FALSE(queue.try_push(3));
    EXPECT_TRUE(absl::IsAlreadyExists(queue.claim_producer()));
  };
  std::thread([&] {
    EXPECT_TRUE(queue.push(1));
    ::pthread_setspecific(key, &queue);
  }).join();
  end.open();
  EXPECT_TRUE(other.join().well());
  ::pthread_key_delete(key);
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

TEST(SpscOwner, SidesPassFromThreadToThreadManyTimes) {
  auto queue = queue_of(4);
  for (int i = 0; i < 200; ++i) {
    std::thread([&] { ASSERT_TRUE(queue.push(i)); }).join();
    std::thread([&] { ASSERT_EQ(queue.pop(), i); }).join();
  }
}

TEST(SpscOwner, AnotherProcessIsRefusedWhileTheOwnerLives) {
  auto queue = queue_of(4);
  ASSERT_TRUE(queue.try_push(1));
  const pid_t parent = ::getpid();
  Child child([&] {
    const absl::Status status = queue.claim_producer();
    EXPECT_TRUE(absl::IsAlreadyExists(status));
    EXPECT_THAT(status.message(), HasSubstr("process " + std::to_string(parent)));
    EXPECT_FALSE(queue.push(2));
    EXPECT_EQ(queue.try_pop(), 1) << "the consumer's side is free";
  });
  EXPECT_TRUE(child.join().well());
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_TRUE(queue.try_push(3));
  EXPECT_EQ(queue.try_pop(), 3) << "the child has ended, and its side is free again";
}

TEST(SpscOwner, AStoppedOwnerIsNotDead) {
  auto queue = queue_of(4);
  Gate owned;
  Child owner([&] {
    ASSERT_TRUE(queue.try_push(1));
    owned.open();
    Gate().wait();
  });
  owned.wait();
  owner.stop();
  EXPECT_TRUE(absl::IsAlreadyExists(queue.claim_producer()));
  owner.kill();
  EXPECT_EQ(queue.claim_producer(), absl::OkStatus());
}

TEST(SpscOwner, ADeadProducersSideIsTakenOverWhereItsCommitsEnd) {
  auto queue = queue_of(4);
  Gate prepared;
  Child producer([&] {
    ASSERT_EQ(queue.try_push_n(std::array{1, 2}), 2u);
    queue.prepare(1)[0] = 99;  // never committed
    prepared.open();
    Gate().wait();
  });
  prepared.wait();
  EXPECT_TRUE(absl::IsAlreadyExists(queue.claim_producer()));
  producer.kill_but_not_reap();
  EXPECT_EQ(queue.claim_producer(), absl::OkStatus()) << "a zombie is dead";
  EXPECT_TRUE(queue.try_push(3));
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_EQ(queue.try_pop(), 3);
}

TEST(SpscOwner, ADeadConsumersSideIsTakenOverWithWhatItHadOnlySeen) {
  auto queue = queue_of(4);
  ASSERT_EQ(queue.try_push_n(std::array{1, 2, 3}), 3u);
  Gate seen;
  Child consumer([&] {
    ASSERT_EQ(queue.try_pop(), 1);
    ASSERT_EQ(queue.peek()[0], 2);  // looked at, not consumed
    seen.open();
    Gate().wait();
  });
  seen.wait();
  EXPECT_TRUE(absl::IsAlreadyExists(queue.claim_consumer()));
  consumer.kill();
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), 3);
}

// Of several who see the same owner dead, one wins.
TEST(SpscOwner, ATakeoverHasOneWinner) {
  for (int round = 0; round < 50; ++round) {
    auto queue = queue_of(4);
    Child([&] { ASSERT_TRUE(queue.try_push(1)); }).join();
    constexpr int kTakers = 4;
    Gate start, tried;
    test::Shared<std::atomic<int>> winners{0};
    std::vector<Child> takers;
    for (int i = 0; i < kTakers; ++i) {
      takers.emplace_back([&] {
        start.wait();
        if (queue.claim_producer().ok()) winners->fetch_add(1);
        tried.arrive();
        tried.wait_for(kTakers);
      });
    }
    start.open();
    for (Child& taker : takers) EXPECT_TRUE(taker.join().well());
    EXPECT_EQ(winners->load(), 1);
  }
}

TEST(SpscOwner, AForkedChildDoesNotInheritASide) {
  auto queue = queue_of(4);
  ASSERT_TRUE(queue.try_push(1));
  const pid_t pid = ::_Fork();  // not even where no fork handler ran
  if (pid == 0) ::_exit(queue.try_push(2) ? 1 : 0);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(queue.try_push(3));
  EXPECT_EQ(queue.try_pop(), 1);
  EXPECT_EQ(queue.try_pop(), 3);
}

TEST(SpscOwner, WithoutALaneNoSideIsClaimed) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  auto queue = queue_of(4);
  Child child([&] {
    {
      const test::NoDescriptors none;
      EXPECT_TRUE(absl::IsResourceExhausted(queue.claim_producer()));
      EXPECT_FALSE(queue.push(1));
    }
    EXPECT_TRUE(queue.push(1));
  });
  EXPECT_TRUE(child.join().well());
}

// --- death in the midst of closing -----------------------------------------------------------------------------------

TEST(SpscClose, ADeadProducersCommitUnderWayIsNotWaitedFor) {
  const std::string name = unique_name();
  auto queue = SpscQueue<int>::create(name, {.capacity = 4}).value();
  auto raw =
      detail::Attachment::open(name, {.kind = layout::ObjectKind::kSpscQueue, .element = detail::element_type<int>()})
          .value();
  auto& header = *reinterpret_cast<layout::SpscRingHeader*>(raw->object());
  Gate owned;
  Child producer([&] {
    ASSERT_TRUE(queue.try_push(1));
    header.committing = 2;  // dies between its look at `closed` and its tail
    owned.open();
    Gate().wait();
  });
  owned.wait();
  queue.close();
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_FALSE(queue.drained());
  producer.kill();
  EXPECT_TRUE(queue.drained());
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(SpscClose, AProducersSuccessorEndsItsCommit) {
  const std::string name = unique_name();
  auto queue = SpscQueue<int>::create(name, {.capacity = 4}).value();
  auto raw =
      detail::Attachment::open(name, {.kind = layout::ObjectKind::kSpscQueue, .element = detail::element_type<int>()})
          .value();
  auto& header = *reinterpret_cast<layout::SpscRingHeader*>(raw->object());
  Child([&] {
    ASSERT_TRUE(queue.try_push(1));
    header.committing = 2;
  }).join();
  ASSERT_TRUE(queue.claim_producer().ok());
  EXPECT_EQ(header.committing, 1u);
  queue.close();
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_TRUE(queue.drained());
}

// --- transfers -------------------------------------------------------------------------------------------------------

struct Large {
  std::uint64_t number;
  std::array<std::uint64_t, 40> body;
};

enum class How { kOneByOne, kBatches, kInPlace, kPolling };
class SpscTransfer : public ::testing::TestWithParam<std::tuple<How, std::size_t>> {};
INSTANTIATE_TEST_SUITE_P(Of, SpscTransfer,
                         ::testing::Combine(::testing::Values(How::kOneByOne, How::kBatches, How::kInPlace,
                                                              How::kPolling),
                                            ::testing::Values(1, 8, 1024)));

Large large(std::uint64_t number) {
  Large made{.number = number, .body = {}};
  for (std::size_t i = 0; i < made.body.size(); ++i) made.body[i] = number * 31 + i;
  return made;
}

void send(SpscQueue<Large>& queue, How how, std::uint64_t count) {
  std::vector<Large> batch;
  for (std::uint64_t n = 0; n < count;) {
    switch (how) {
      case How::kOneByOne: ASSERT_TRUE(queue.push(large(n++))); break;
      case How::kPolling:
        if (queue.try_push(large(n))) {
          ++n;
        } else {
          ::sched_yield();
        }
        break;
      case How::kBatches:
        batch.clear();
        for (std::uint64_t i = 0; i < 1 + n % 5 && n < count; ++i) batch.push_back(large(n++));
        ASSERT_EQ(queue.push_n(batch), batch.size());
        break;
      case How::kInPlace: {
        const std::span<Large> room = queue.prepare(3);
        for (std::size_t i = 0; i < room.size(); ++i) room[i] = large(n + i);
        const auto committed = std::min<std::uint64_t>(room.size(), count - n);
        queue.commit(committed);
        n += committed;
        if (committed == 0) ::sched_yield();
      }
    }
  }
}

void receive(SpscQueue<Large>& queue, How how, std::uint64_t count) {
  std::uint64_t n = 0;
  const auto check = [&](const Large& item) {
    ASSERT_EQ(item.number, n);
    ASSERT_EQ(item.body, large(n).body);
    ++n;
  };
  std::array<Large, 7> out;
  while (n < count) {
    switch (how) {
      case How::kOneByOne: check(queue.pop().value()); break;
      case How::kPolling:
        if (const auto item = queue.try_pop()) {
          check(*item);
        } else {
          ::sched_yield();
        }
        break;
      case How::kBatches: {
        const std::size_t got = queue.pop_n(out);
        ASSERT_GT(got, 0u);
        for (std::size_t i = 0; i < got; ++i) check(out[i]);
        break;
      }
      case How::kInPlace: {
        const std::span<const Large> there = queue.peek();
        for (const Large& item : there) check(item);
        queue.consume(there.size());
        if (there.empty()) ::sched_yield();
      }
    }
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
}

TEST_P(SpscTransfer, BetweenTwoProcessesIsWholeAndInOrder) {
  const auto [how, capacity] = GetParam();
  const std::uint64_t count = capacity == 1 ? 3'000 : 30'000;
  auto queue = SpscQueue<Large>::create({.capacity = capacity}).value();
  Child producer([&] {
    send(queue, how, count);
    queue.close();
  });
  receive(queue, how, count);
  EXPECT_EQ(queue.pop().has_value(), false);
  EXPECT_TRUE(queue.drained());
  EXPECT_TRUE(producer.join().well());
}

TEST(SpscTransfers, GetOnOnOneProcessor) {
  Child pair([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    auto queue = queue_of(2);
    Child producer([&] {
      for (int i = 0; i < 10'000; ++i) ASSERT_TRUE(queue.push(i));
    });
    for (int i = 0; i < 10'000; ++i) ASSERT_EQ(queue.pop(), i);
    EXPECT_TRUE(producer.join().well());
  });
  EXPECT_TRUE(pair.join().well());
}

TEST(SpscTransfers, PassByName) {
  const std::string name = unique_name();
  Gate made;
  Child consumer([&] {
    made.wait();
    auto queue = SpscQueue<int>::open(name).value();
    for (int i = 0; i < 5000; ++i) ASSERT_EQ(queue.pop(), i);
    EXPECT_EQ(queue.pop(), std::nullopt);
  });
  auto queue = SpscQueue<int>::create(name, {.capacity = 16}).value();
  made.open();
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(queue.push(i));
  queue.close();
  EXPECT_TRUE(consumer.join().well());
}

// Producers die one after the other; whoever comes next goes on, and the consumer sees each commit once.
TEST(SpscTransfers, GoOnOverTheDeathsOfProducers) {
  auto queue = SpscQueue<std::uint64_t>::create({.capacity = 8}).value();
  test::Shared<std::atomic<std::uint64_t>> committed{0u};
  std::uint64_t next = 0;
  constexpr std::uint64_t kKills = 40;
  for (std::uint64_t kill = 0; kill < kKills; ++kill) {
    Gate running;
    Child producer([&] {
      running.open();
      // Goes on with the number after the last one that is known to be in.
      for (std::uint64_t n = committed->load();; ++n) {
        if (!queue.push(n)) return;
        committed->store(n + 1);
      }
    });
    running.wait();
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t got = queue.pop().value();
      // One that died between its push and its note has its last item pushed again by its successor.
      ASSERT_TRUE(got == next || got + 1 == next) << got << " after " << next;
      next = got + 1;
    }
    producer.kill();
  }
}

}  // namespace
}  // namespace warren
