#include "staffing.h"

#include <algorithm>

#include "monotonic.h"

namespace warren::detail {

std::uint32_t Staffing::staying() const noexcept {
  return most_ - static_cast<std::uint32_t>(std::ranges::count(retired_.begin(), retired_.begin() + most_, true));
}

std::uint32_t Staffing::vacant() const noexcept {
  return staying() - std::min(staying(), table_.working(table_.worker_count()));
}

bool Staffing::seems_free(std::uint32_t index) const noexcept {
  const Record::State state = table_.worker(index).state.load(std::memory_order_relaxed);
  return state == Record::State::kIdle || state == Record::State::kStarting;
}

bool Staffing::short_of_workers() const noexcept {
  std::size_t idle = 0;
  for (std::uint32_t i = 0; i < table_.worker_count(); ++i) {
    if (seems_free(i)) ++idle;
  }
  return table_.approx_ready() > idle;
}

bool Staffing::look() {
  const std::uint32_t before = std::exchange(most_, table_.most_workers());
  if (most_ > retired_.size()) retired_.resize(most_);
  for (std::uint32_t i = most_; i < before; ++i) {
    retired_[i] = false;
    ask_to_leave(i);
  }
  if (most_ > table_.worker_count()) table_.header().worker_count.store(most_, std::memory_order_relaxed);
  if (!options_.idle_timeout.forever() || staying() < most_) {
    call_back();
    retire_idle();
  }
  table_.header().retired.store(most_ - staying(), std::memory_order_relaxed);
  return before != most_;
}

// As many as there are tasks that no idle worker is there for, and those that tasks ask for.
void Staffing::call_back() {
  std::size_t needed = table_.approx_ready();
  for (std::uint32_t i = 0; i < most_; ++i) {
    if (!retired_[i] && seems_free(i)) needed -= needed != 0;
  }
  for (std::uint32_t i = 0; i < most_; ++i) {
    if (!retired_[i]) continue;
    const bool asked_for = table_.worker(i).pinned.load(std::memory_order_relaxed) != 0;
    if (!asked_for && needed == 0) continue;
    if (!asked_for) --needed;
    retired_[i] = false;
  }
}

// Those of the highest numbers first.
void Staffing::retire_idle() {
  if (options_.idle_timeout.forever()) return;
  const auto timeout = static_cast<std::uint64_t>(options_.idle_timeout.ns().count());
  const std::uint64_t now = monotonic_ns();
  for (std::uint32_t i = most_; i-- != 0 && staying() > options_.min_workers;) {
    const Record& record = table_.worker(i);
    const std::uint64_t since = record.idle_since_ns.load(std::memory_order_relaxed);
    const bool idle = record.state.load(std::memory_order_relaxed) == Record::State::kIdle && since != 0 &&
                      since <= now && now - since >= timeout;
    if (retired_[i] || !idle || record.pinned.load(std::memory_order_relaxed) != 0) continue;
    retired_[i] = true;
    ask_to_leave(i);
  }
}

void Staffing::ask_to_leave(std::uint32_t index) noexcept {
  table_.worker(index).leave.store(1, std::memory_order_relaxed);
  table_.wake_everybody();
}

std::chrono::milliseconds Staffing::slice(std::chrono::milliseconds most) const noexcept {
  if (options_.idle_timeout.forever() || staying() <= options_.min_workers) return most;
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(options_.idle_timeout.ns());
  return std::clamp(timeout, std::chrono::milliseconds(1), most);
}

}  // namespace warren::detail
