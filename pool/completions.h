// Completions: the thread of an application that sees the followed tasks of a pool end, and runs their callbacks.
#pragma once
#include <absl/functional/function_ref.h>
#include <warren/pool/detail/ticket.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "task_table.h"

namespace warren::detail {

class Completions : public std::enable_shared_from_this<Completions> {
 public:
  explicit Completions(TaskTable& table) noexcept : table_(table) {}
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  // That of the calling thread; null: it is none.
  static Completions* current() noexcept;
  // In the copy of such a thread that a callback forked.
  [[nodiscard]] static bool in_forked_copy() noexcept;

  // From now on the ticket's followers are told when it has ended. The first one starts the thread; where there is no
  // thread left, this one waits.
  void add(const std::shared_ptr<Ticket>& ticket, std::uint32_t slot);
  // Every callback has run. False: the time is up. In a callback of this pool that cannot be, so it is true at once; in
  // one of another pool, that one's thread goes on meanwhile.
  bool await_idle(Deadline deadline);
  // For a callback that waits: goes on in its place until `test` holds. In the thread itself.
  bool help(Deadline deadline, absl::FunctionRef<bool()> test);
  // The pool's client goes: nothing is followed any more.
  void stop() noexcept;

 private:
  struct Followed {
    std::shared_ptr<Ticket> ticket;
    std::uint64_t number;  // in order of being followed
  };
  using Tickets = std::unordered_multimap<std::uint32_t, Followed>;

  bool follow(const std::shared_ptr<Ticket>& ticket, std::uint32_t slot);
  [[nodiscard]] bool idle_locked() const noexcept;
  void run() noexcept;
  bool run_one();
  void collect(Deadline deadline);
  bool find_ended();
  void find_all_ended();
  void move_ended(std::uint32_t slot);
  void tell();

  const std::uint64_t epoch_ = process_epoch();
  TaskTable& table_;  // while a ticket is followed: it holds the pool's client
  std::mutex mutex_;  // of all below
  std::condition_variable changed_, idle_;
  Tickets followed_;  // by slot; the slot of one whose result moved to the ticket may be another's
  std::uint64_t followed_so_far_ = 0;
  std::deque<std::shared_ptr<Ticket>> ended_;  // their watchers are to be told; changed by the thread alone
  std::deque<std::shared_ptr<Ticket>> told_;   // their callbacks are to run
  int running_ = 0;                            // tasks that are told; one waits in another
  bool stop_ = false;
  std::thread thread_;

  std::atomic<bool> look_at_all_ = false;
  std::uint64_t seen_ = 0;  // endings of the table; the thread's own, as is the next
  bool listening_ = false;
};

}  // namespace warren::detail
