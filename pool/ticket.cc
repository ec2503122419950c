#include <warren/pool/detail/ticket.h>

#include <warren/pool/detail/result_sink.h>
#include <warren/pool/detail/task_error.h>

#include <algorithm>
#include <new>
#include <utility>

#include "completions.h"
#include "pool_client_impl.h"

namespace warren::detail {
namespace {

using Phase = TaskTable::Phase;

// What ResultSink::fail() wrote.
absl::Status get_error(Reader& reader) {
  const absl::StatusOr<ItemTag> tag = reader.get<ItemTag>();
  return tag.ok() ? get_status(reader) : tag.status();
}

}  // namespace

// A child's copy is let alone: another thread of the parent may have held its mutex at the fork.
bool Ticket::foreign() const noexcept { return client_ != nullptr && !client_->mine(); }

Ticket::~Ticket() {
  if (foreign()) return;
  const std::scoped_lock lock(mutex_);
  if (settled_) return;
  PoolClient::Impl& impl = *client_->impl_;
  impl.forget(*this, impl.table().abandon({.slot = slot_, .generation = generation_}));
}

bool Ticket::ended() const {
  if (foreign()) return true;
  const std::scoped_lock lock(mutex_);
  return settled_ || client_->impl_->table().state(slot_).ended();
}

bool Ticket::poll() const { return ended() || (client_->impl_->look_now_and_then() && ended()); }

bool Ticket::running() const {
  if (foreign()) return false;
  const std::scoped_lock lock(mutex_);
  return !settled_ && client_->impl_->table().state(slot_).claimed();
}

bool Ticket::successful() const {
  if (foreign()) return false;
  const std::scoped_lock lock(mutex_);
  return settled_ ? settled_->status.ok() : client_->impl_->table().state(slot_).phase == Phase::kDone;
}

double Ticket::progress() const noexcept {
  if (foreign()) return 0;
  const std::scoped_lock lock(mutex_);
  if (settled_) return settled_->progress;
  const TaskTable& table = client_->impl_->table();
  if (table.state(slot_).phase == Phase::kDone) return 1;
  return layout::TaskSlot::fraction(table.slot(slot_).progress.load(std::memory_order_relaxed));
}

bool Ticket::cancel() {
  if (foreign()) return false;
  const std::scoped_lock lock(mutex_);
  if (!settled_ && client_->impl_->table().cancel({.slot = slot_, .generation = generation_})) return true;
  const std::optional<TaskError> error = cancelled_locked();
  return error && error->worker == 0;
}

bool Ticket::kill() {
  if (foreign()) return false;
  const std::scoped_lock lock(mutex_);
  if (!settled_) {
    PoolClient::Impl& impl = *client_->impl_;
    switch (impl.table().kill({.slot = slot_, .generation = generation_})) {
      case TaskTable::Kill::kCancelled: return true;
      case TaskTable::Kill::kCondemned: return impl.ring_supervisor(), true;
      case TaskTable::Kill::kTooLate: break;
    }
  }
  return cancelled_locked().has_value();
}

// How it was cancelled, if it was.
std::optional<TaskError> Ticket::cancelled_locked() const {
  absl::Status status;
  if (settled_) {
    status = settled_->status;
  } else if (const layout::TaskState state = client_->impl_->table().state(slot_); state.phase == Phase::kLost) {
    status = client_->impl_->loss(slot_, state);
  }
  std::optional<TaskError> error = task_error(status);
  if (error && error->kind != TaskError::Kind::kCancelled) error.reset();
  return error;
}

bool Ticket::wait_until_ended(Deadline deadline) const {
  if (ended()) return true;
  PoolClient::Impl& impl = *client_->impl_;
  // The slot stays this ticket's until it is settled, and it is settled only once it has ended.
  return impl.wait(impl.table().slot(slot_).waiters, deadline, [&] {
    const layout::TaskState state = impl.table().state(slot_);
    return state.generation != generation_ || state.ended();
  });
}

absl::Status Ticket::read(absl::FunctionRef<void(Reader&)> decode) const {
  if (foreign()) return client_->impl_->refusal();
  const std::scoped_lock lock(mutex_);
  if (settled_) {
    if (settled_->status.ok() || !settled_->bytes.empty()) {
      Reader reader(settled_->bytes);
      decode(reader);
    }
    return settled_->status;
  }
  TaskTable& table = client_->impl_->table();
  const layout::TaskState state = table.state(slot_);
  Reader reader(table.result(slot_));
  if (state.phase == Phase::kDone || chunk_) decode(reader);
  switch (state.phase) {
    case Phase::kDone: return absl::OkStatus();
    case Phase::kFailed: return chunk_ ? absl::OkStatus() : get_error(reader);
    case Phase::kLost: return client_->impl_->loss(slot_, state);
    default: return absl::InternalError("a result was asked for before its task ended");
  }
}

void Ticket::settle_locked() const {
  TaskTable& table = client_->impl_->table();
  const layout::TaskState state = table.state(slot_);
  const std::span<const std::byte> result = table.result(slot_);
  Settled settled;
  settled.progress = state.phase == Phase::kDone
                         ? 1
                         : layout::TaskSlot::fraction(table.slot(slot_).progress.load(std::memory_order_relaxed));
  switch (state.phase) {
    case Phase::kDone: settled.bytes.assign(result.begin(), result.end()); break;
    case Phase::kFailed:
      if (chunk_) {
        settled.bytes.assign(result.begin(), result.end());
      } else {
        Reader reader(result);
        settled.status = get_error(reader);
      }
      break;
    default:
      settled.status = client_->impl_->loss(slot_, state);
      if (chunk_) {  // what it had finished, and what it takes to run the rest
        const std::span<const std::byte> arguments = table.arguments(slot_);
        settled.bytes.assign(result.begin(), result.end());
        settled.arguments.assign(arguments.begin(), arguments.end());
        settled.function = {.module = table.slot(slot_).function_module, .offset = table.slot(slot_).function_offset};
      }
      break;
  }
  settled_ = std::move(settled);
}

const Ticket::Settled& Ticket::settle() const {
  const std::scoped_lock lock(mutex_);
  if (settled_) return *settled_;
  settle_locked();
  PoolClient::Impl& impl = *client_->impl_;
  impl.table().free({.slot = slot_, .generation = generation_});
  impl.forget(*this, true);
  return *settled_;
}

std::shared_ptr<Ticket> Ticket::submit_again(const TaskOptions& options, bool after_backoff,
                                             std::span<const std::byte> front) const {
  if (foreign()) return std::make_shared<Ticket>(client_->impl_->refusal());
  const Settled& settled = settle();  // changes no more
  const std::span<const std::byte> arguments = settled.arguments;
  return client_->submit({.function = settled.function,
                          .options = options,
                          .encode =
                              [&](Writer& w) {
                                w.bytes(front);
                                w.bytes(arguments.subspan(std::min(front.size(), arguments.size())));
                              },
                          .chunk = true,
                          .after_backoff = after_backoff});
}

void Ticket::be_seen() {
  if (!ended()) return client_->impl_->completions().add(std::static_pointer_cast<Ticket>(shared_from_this()), slot_);
  tell_watchers();
  run_callbacks();
}

void Ticket::let_go() noexcept {
  if (client_ == nullptr) return;
  try {
    (void)settle();
  } catch (const std::bad_alloc&) {  // it stays where it is
  }
}

TaskId Ticket::id() const noexcept { return {std::uint64_t{generation_} << 32 | slot_}; }

}  // namespace warren::detail
