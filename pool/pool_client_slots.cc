// Slots of the table, for who submits: had, remembered while their futures live, given back.
#include <absl/strings/str_cat.h>
#include <warren/pool/detail/task_error.h>

#include <algorithm>
#include <mutex>
#include <new>

#include "pool_client_impl.h"
#include "worker_pool.h"

namespace warren::detail {

std::optional<TaskRef> PoolClient::Impl::acquire(bool wait_for_one, bool of_map, absl::Status& refused_because) {
  if (worker_ != nullptr) return acquire_in_task(wait_for_one, refused_because);
  std::optional<TaskRef> task;
  const auto test = [&] {
    refused_because = refusal(of_map);
    if (!refused_because.ok()) return true;
    const std::scoped_lock lock(mutex_);
    task = acquire_locked();
    return task.has_value();
  };
  if (test()) return task;
  if (wait_for_one) {
    (void)wait(table_.completions(), Deadline::never(), test);
  } else if (look_now_and_then()) {
    (void)test();
  }
  return task;
}

// Never waits: the task under way may be what would be waited for. `beyond`: it may take more than max_pending.
std::optional<TaskRef> PoolClient::Impl::acquire_in_task(bool beyond, absl::Status& refused_because) {
  refused_because = refusal();
  if (!refused_because.ok()) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  // What is for tasks alone goes first: the rest is the application's too.
  std::optional<TaskRef> task;
  if (beyond) task = acquire_beyond_locked();
  if (!task) task = acquire_locked();
  if (!task && beyond) task = acquire_beyond_locked();  // results have moved into their tickets
  if (task) {
    table_.count_nested();
    table_.slot(task->slot).depth.store(worker_->depth(), std::memory_order_relaxed);
  } else if (beyond) {
    refused_because = refused(
        absl::StrCat("the pool is full: ", table_.capacity(), " tasks have not ended, those that tasks have submitted ",
                     "beyond max_pending included. Remedy: fewer at a time, or a larger max_pending"),
        absl::StatusCode::kResourceExhausted);
  }
  return task;
}

std::optional<TaskRef> PoolClient::Impl::acquire_beyond_locked() {
  while (!free_beyond_.empty()) {
    const std::uint32_t slot = free_beyond_.back();
    free_beyond_.pop_back();
    if (const std::optional<TaskRef> task = table_.allocate(slot)) return task;
  }
  const std::uint64_t first = table_.max_pending();
  while (table_.committed() < std::min(first + 1, table_.capacity())) {
    if (!table_.commit_more().ok()) return std::nullopt;
  }
  // From where the last one was found: what is held stands before.
  for (;;) {
    const std::uint64_t committed = table_.committed();
    std::uint64_t slot = std::max(next_beyond_, first);
    for (std::uint64_t left = committed - std::min(first, committed); left != 0; --left, ++slot) {
      if (slot >= committed) slot = first;
      if (const std::optional<TaskRef> task = table_.allocate(static_cast<std::uint32_t>(slot))) {
        next_beyond_ = slot + 1;
        return task;
      }
    }
    if (committed >= table_.capacity() || !table_.commit_more().ok()) return std::nullopt;
    next_beyond_ = committed;
  }
}

// From the cheapest to the dearest: a slot known to be free; one never used; those that workers freed; more memory;
// those of finished tasks, whose results move into their tickets.
std::optional<TaskRef> PoolClient::Impl::acquire_locked() {
  for (;;) {
    while (!free_.empty()) {
      const std::uint32_t slot = free_.back();
      free_.pop_back();
      if (const std::optional<TaskRef> task = table_.allocate(slot)) return task;
    }
    const std::uint64_t committed = std::min(table_.committed(), table_.max_pending());
    if (fresh_ < committed) {
      free_.push_back(static_cast<std::uint32_t>(fresh_++));
      continue;
    }
    if (find_free_slots_locked()) continue;
    if (committed < table_.max_pending() && table_.commit_more().ok()) continue;
    harvest_locked();
    if (free_.empty()) return std::nullopt;
  }
}

bool PoolClient::Impl::find_free_slots_locked() {
  for (std::uint64_t slot = 0; slot < fresh_; ++slot) {
    if (table_.state(static_cast<std::uint32_t>(slot)).phase == TaskTable::Phase::kFree) {
      free_.push_back(static_cast<std::uint32_t>(slot));
    }
  }
  return free_.size() >= fresh_ / 8 + 1 || (fresh_ == table_.max_pending() && !free_.empty());
}

void PoolClient::Impl::harvest_locked() {
  for (std::uint32_t slot = 0; slot < tickets_.size(); ++slot) {
    const Ticket* ticket = tickets_[slot];
    if (ticket == nullptr || !table_.state(slot).ended()) continue;
    const std::unique_lock lock(ticket->mutex_, std::try_to_lock);
    if (!lock || ticket->settled_) continue;
    try {
      ticket->settle_locked();
    } catch (const std::bad_alloc&) {  // it stays where it is
      continue;
    }
    table_.free({.slot = slot, .generation = ticket->generation_});
    tickets_[slot] = nullptr;
    (slot < table_.max_pending() ? free_ : free_beyond_).push_back(slot);
  }
}

void PoolClient::Impl::remember(const Ticket& ticket) {
  const std::scoped_lock lock(mutex_);
  if (tickets_.size() <= ticket.slot_) tickets_.resize(std::max<std::size_t>(table_.committed(), ticket.slot_ + 1));
  tickets_[ticket.slot_] = &ticket;
}

void PoolClient::Impl::give_back(std::uint32_t slot) noexcept {
  const std::scoped_lock lock(mutex_);
  try {
    (slot < table_.max_pending() ? free_ : free_beyond_).push_back(slot);
  } catch (const std::bad_alloc&) {  // a search finds it
  }
}

void PoolClient::Impl::forget(const Ticket& ticket, bool slot_is_free) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    const bool remembered = ticket.slot_ < tickets_.size() && tickets_[ticket.slot_] == &ticket;
    if (remembered) tickets_[ticket.slot_] = nullptr;
  }
  if (slot_is_free) give_back(ticket.slot_);
}

}  // namespace warren::detail
