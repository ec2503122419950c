#include "completions.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pool_client_impl.h"

namespace warren::detail {
namespace {

constinit thread_local Completions* mine = nullptr;
constexpr std::chrono::milliseconds kSlice{250};     // what a notice costs at most that died with its worker
constexpr std::chrono::milliseconds kHelpSlice{10};  // of a callback that waits for something else too

Deadline sooner(Deadline deadline, std::chrono::nanoseconds slice) {
  const Deadline other = Deadline::after(slice);
  return deadline.time() < other.time() ? deadline : other;
}

}  // namespace

// A child that a callback forked is no such thread.
Completions* Completions::current() noexcept {
  return mine != nullptr && mine->epoch_ == process_epoch() ? mine : nullptr;
}

bool Completions::in_forked_copy() noexcept { return mine != nullptr && mine->epoch_ != process_epoch(); }

void Completions::add(const std::shared_ptr<Ticket>& ticket, std::uint32_t slot) {
  if (!follow(ticket, slot)) {  // no thread is left: this one has to do
    (void)ticket->wait_until_ended(Deadline::never());
    ticket->tell_watchers();
    return ticket->run_callbacks();
  }
  if (!ticket->ended()) return;
  look_at_all_.store(true, std::memory_order_seq_cst);  // [TF4] before the sleeper's last look; pairs with TF5
  notify(table_.completions(), table_.attachment().wait_mode(), kWakeAll);
}

// False: it cannot be.
bool Completions::follow(const std::shared_ptr<Ticket>& ticket, std::uint32_t slot) {
  const std::scoped_lock lock(mutex_);
  if (!thread_.joinable()) {
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the program's own threads
    try {
      thread_ = std::thread([self = shared_from_this()] { self->run(); });
    } catch (const std::system_error&) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!thread_.joinable()) return false;
  }
  followed_.emplace(slot, Followed{.ticket = ticket, .number = followed_so_far_++});
  changed_.notify_one();
  return true;
}

bool Completions::idle_locked() const noexcept {
  return followed_.empty() && ended_.empty() && told_.empty() && running_ == 0;
}

bool Completions::await_idle(Deadline deadline) {
  Completions* const here = current();
  if (here == this) return true;
  if (here != nullptr) {
    return here->help(deadline, [this] {
      const std::scoped_lock lock(mutex_);
      return idle_locked();
    });
  }
  std::unique_lock lock(mutex_);
  const auto idle = [this] { return idle_locked(); };
  if (!deadline.forever()) return idle_.wait_until(lock, deadline.time(), idle);
  idle_.wait(lock, idle);
  return true;
}

void Completions::stop() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
    changed_.notify_one();
  }
  if (!thread_.joinable()) return;
  mine == this ? thread_.detach() : thread_.join();
}

// --- the thread ------------------------------------------------------------------------------------------------------

void Completions::run() noexcept {
  mine = this;
  ::pthread_setname_np(::pthread_self(), "warren-done");
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (followed_.empty() && ended_.empty() && told_.empty()) {
        idle_.notify_all();
        changed_.wait(lock, [this] { return stop_ || !followed_.empty(); });
        if (followed_.empty()) return;
      }
    }
    if (!run_one()) collect(Deadline::never());
  }
}

// Runs the callbacks of one task. False: there is none.
bool Completions::run_one() {
  std::shared_ptr<Ticket> ticket;
  {
    const std::scoped_lock lock(mutex_);
    if (told_.empty()) return false;
    ticket = std::move(told_.front());
    told_.pop_front();
    ++running_;
  }
  ticket->run_callbacks();
  ticket.reset();  // perhaps the last that holds the pool's client
  const std::scoped_lock lock(mutex_);
  --running_;
  return true;
}

bool Completions::help(Deadline deadline, absl::FunctionRef<bool()> test) {
  while (!test()) {
    if (deadline.expired()) return false;
    if (run_one()) continue;
    collect(sooner(deadline, kHelpSlice));
  }
  return true;
}

// Waits until a followed task has ended, and tells the watchers.
void Completions::collect(Deadline deadline) {
  std::shared_ptr<PoolClient> client;
  {
    const std::scoped_lock lock(mutex_);
    if (!followed_.empty()) client = followed_.begin()->second.ticket->client();
  }
  if (client == nullptr) {
    std::this_thread::sleep_for(deadline.forever() ? kHelpSlice : kHelpSlice / 10);
    return;
  }
  if (!listening_) {
    listening_ = true;
    seen_ = table_.listen_to_endings();
    find_all_ended();
  }
  if (ended_.empty() && !client->wait_for_completions(sooner(deadline, kSlice), [this] { return find_ended(); })) {
    seen_ = table_.listen_to_endings();  // a notice may have died with its worker
    find_all_ended();
  }
  tell();
  const std::scoped_lock lock(mutex_);
  if (followed_.empty()) {
    listening_ = false;
    table_.ignore_endings();
  }
}

// Asked again and again.
bool Completions::find_ended() {
  if (look_at_all_.load(std::memory_order_relaxed) &&
      look_at_all_.exchange(false, std::memory_order_seq_cst)) {  // [TF5] before the tasks; pairs with TF4
    find_all_ended();
  } else if (!table_.each_ending(seen_, [this](std::uint32_t slot) { move_ended(slot); })) {
    find_all_ended();
  }
  return !ended_.empty();
}

void Completions::move_ended(std::uint32_t slot) {
  const std::scoped_lock lock(mutex_);
  const auto [first, last] = followed_.equal_range(slot);
  for (auto it = first; it != last;) {
    if (!it->second.ticket->ended()) {
      ++it;
      continue;
    }
    ended_.push_back(std::move(it->second.ticket));
    it = followed_.erase(it);
  }
}

// In the order in which they ended, where that was noted. Where it was not they ended before the others, or too long
// ago: those come first, as they were followed.
void Completions::find_all_ended() {
  struct Found {
    std::uint64_t ending, number;
    std::shared_ptr<Ticket> ticket;
  };
  std::vector<Found> found;
  const std::scoped_lock lock(mutex_);
  std::unordered_map<std::uint32_t, std::uint64_t> endings;
  table_.each_late_ending([&](std::uint32_t slot, std::uint64_t ending) { endings[slot] = ending + 1; });
  for (auto it = followed_.begin(); it != followed_.end();) {
    if (!it->second.ticket->ended()) {
      ++it;
      continue;
    }
    const auto noted = endings.find(it->first);
    found.push_back({.ending = noted == endings.end() ? 0 : noted->second,
                     .number = it->second.number,
                     .ticket = std::move(it->second.ticket)});
    it = followed_.erase(it);
  }
  std::ranges::sort(found, {}, [](const Found& each) { return std::pair(each.ending, each.number); });
  for (Found& each : found) ended_.push_back(std::move(each.ticket));
}

void Completions::tell() {
  for (;;) {
    std::shared_ptr<Ticket> ticket;
    {
      const std::scoped_lock lock(mutex_);
      if (ended_.empty()) return;
      ticket = std::move(ended_.front());
      ended_.pop_front();
      told_.push_back(ticket);
      ++running_;  // a map_async that ends with it has callbacks too
    }
    ticket->tell_watchers();
    const std::scoped_lock lock(mutex_);
    --running_;
  }
}

}  // namespace warren::detail
