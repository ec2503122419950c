#include <warren/pool/detail/ticket.h>

#include <warren/pool/detail/task_error.h>

#include <algorithm>
#include <utility>

#include "pool_client_impl.h"

namespace warren::detail {
namespace {

using Phase = TaskTable::Phase;

}  // namespace

Ticket::~Ticket() {
  const std::scoped_lock lock(mutex_);
  if (settled_ || !client_->mine()) return;
  PoolClient::Impl& impl = *client_->impl_;
  impl.forget(*this, impl.table().abandon({.slot = slot_, .generation = generation_}));
}

bool Ticket::ended() const {
  const std::scoped_lock lock(mutex_);
  return settled_ || client_->impl_->table().state(slot_).ended();
}

bool Ticket::running() const {
  const std::scoped_lock lock(mutex_);
  return !settled_ && client_->impl_->table().state(slot_).phase == Phase::kRunning;
}

bool Ticket::successful() const {
  const std::scoped_lock lock(mutex_);
  return settled_ ? settled_->status.ok() : client_->impl_->table().state(slot_).phase == Phase::kDone;
}

bool Ticket::wait(Deadline deadline) const {
  if (ended()) return true;
  PoolClient::Impl& impl = *client_->impl_;
  // The slot stays this ticket's until it is settled, and it is settled only once it has ended.
  return impl.wait(impl.table().slot(slot_).waiters, deadline, [&] {
    const layout::TaskState state = impl.table().state(slot_);
    return state.generation != generation_ || state.ended();
  });
}

absl::Status Ticket::read(absl::FunctionRef<void(Reader&)> decode) const {
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
  switch (state.phase) {
    case Phase::kDone:
      decode(reader);
      return absl::OkStatus();
    case Phase::kFailed:
      return get_status(reader);
    case Phase::kLost:
      if (chunk_) decode(reader);
      return client_->impl_->loss(slot_, state.attempt);
    default:
      return absl::InternalError("a result was asked for before its task ended");
  }
}

// A lost chunk stays where it is: its arguments are needed to run the rest of it.
bool Ticket::movable_locked() const {
  return !settled_ && !(chunk_ && client_->impl_->table().state(slot_).phase == Phase::kLost);
}

void Ticket::settle_locked() const {
  TaskTable& table = client_->impl_->table();
  const layout::TaskState state = table.state(slot_);
  const std::span<const std::byte> result = table.result(slot_);
  Settled settled;
  switch (state.phase) {
    case Phase::kDone:
      settled.bytes.assign(result.begin(), result.end());
      break;
    case Phase::kFailed: {
      Reader reader(result);
      settled.status = get_status(reader);
      break;
    }
    default:
      settled.status = client_->impl_->loss(slot_, state.attempt);
      break;
  }
  settled_ = std::move(settled);
}

std::unique_ptr<Ticket> Ticket::submit_again(std::span<const std::byte> front) const {
  const std::scoped_lock lock(mutex_);
  if (settled_) return std::make_unique<Ticket>(absl::InternalError("the chunk's arguments are gone"));
  TaskTable& table = client_->impl_->table();
  const std::span<const std::byte> arguments = table.arguments(slot_);
  const layout::TaskSlot& slot = table.slot(slot_);
  return client_->submit({.function = FunctionId{.module = slot.function_module, .offset = slot.function_offset},
                          .options = TaskOptions{},
                          .encode =
                              [&](Writer& w) {
                                w.bytes(front);
                                w.bytes(arguments.subspan(std::min(front.size(), arguments.size())));
                              },
                          .chunk = true});
}

TaskId Ticket::id() const noexcept { return {std::uint64_t{generation_} << 32 | slot_}; }

}  // namespace warren::detail
