// Many items cut into chunks, each chunk one task. A worker's death takes only the item that it ran: what the chunk had
// finished stands, the rest is submitted again.
#pragma once
#include <warren/pool/detail/invoke.h>
#include <warren/pool/detail/pool_client.h>
#include <warren/pool/detail/task_error.h>

#include <cstring>
#include <deque>
#include <optional>
#include <vector>

namespace warren::detail {

// One chunk under way: items [begin + first, begin + first + count) of the whole, of which the arguments hold all from
// `begin` on.
struct Chunk {
  std::shared_ptr<Ticket> ticket;
  std::size_t begin = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint32_t attempt = 1;
};

[[nodiscard]] inline ChunkHead head_of(const Chunk& chunk, const TaskOptions& options) {
  return {.first = chunk.first,
          .count = chunk.count,
          .attempt = chunk.attempt,
          .retries = options.retries,
          .retry_on_any_failure = options.retry_on == RetryOn::kAnyFailure ? 1u : 0u,
          .each_is_timed = options.deadline.forever() && options.soft_deadline.forever() ? 0u : 1u};
}

// What holds for the chunk as one task: all but retries, which are an item's. Its deadlines are armed for each item.
[[nodiscard]] inline TaskOptions options_of_chunk(TaskOptions options) {
  options.retries = 0;
  options.retry_on = RetryOn::kDeath;
  return options;
}

// The same arguments, other items of them.
[[nodiscard]] inline Chunk again(const Chunk& chunk, const TaskOptions& options, std::uint64_t first,
                                 std::uint64_t count, std::uint32_t attempt) {
  Chunk next{.ticket = nullptr, .begin = chunk.begin, .first = first, .count = count, .attempt = attempt};
  const ChunkHead head = head_of(next, options);
  next.ticket = chunk.ticket->submit_again(options_of_chunk(options), attempt > 1, std::as_bytes(std::span(&head, 1)));
  return next;
}

// Submits `chunk`, which has no ticket yet, as a Task that calls f; put(writer) adds what the calls are for.
template <class Task, class F, class Put>
Chunk submit_chunk_as(PoolClient& client, const TaskOptions& options, const F& f, Chunk chunk, Put&& put) {
  chunk.ticket = client.submit({.function = registered<Task>().id(),
                                .options = options_of_chunk(options),
                                .encode =
                                    [&](Writer& w) {
                                      w.put(head_of(chunk, options));
                                      encode_callable(w, f);
                                      put(w);
                                    },
                                .chunk = true});
  return chunk;
}

// Submits the items as one chunk of calls of f.
template <class F, class... T>
Chunk submit_chunk(PoolClient& client, const TaskOptions& options, const F& f, std::size_t begin,
                   const std::vector<std::tuple<T...>>& items) {
  return submit_chunk_as<ChunkTask<F, T...>>(
      client, options, f, {.ticket = nullptr, .begin = begin, .first = 0, .count = items.size(), .attempt = 1},
      [&items](Writer& w) {
        for (const auto& item : items) std::apply([&w](const T&... a) { (w.put(a), ...); }, item);
      });
}

// Reads what a worker wrote behind an item's tag.
template <class R>
Result<R> get_item(Reader& in, const absl::StatusOr<ItemTag>& tag) {
  if (!tag.ok()) return tag.status();
  if (*tag == ItemTag::kFailed) return get_status(in);
  if (*tag != ItemTag::kValue) return in.fail(absl::DataLossError("an item's result has a tag that cannot be"));
  if constexpr (std::is_void_v<R>) {
    return absl::OkStatus();
  } else {
    return in.get<R>();
  }
}

// What an ended chunk left: how many of its items have a result.
struct Remains {
  std::uint64_t done = 0;
  std::uint32_t attempt = 1;  // of the item that is next
  absl::Status failure = {};  // of all that have no result, where it is not a death
};

// Calls fail(item, status) for items that have no result and will have none: the one that a dead worker ran, or all of
// them. Returns the chunks of those that have to run (again). `status` is what read() gave.
template <class Fail>
std::vector<Chunk> go_on(const Chunk& chunk, const TaskOptions& options, const absl::Status& status, Remains remains,
                         Fail&& fail) {
  std::vector<Chunk> rest;
  auto& [done, attempt, failure] = remains;
  if (done == chunk.count) return rest;
  if (failure.ok() && status.ok()) failure = absl::DataLossError("the chunk's results are not whole");
  const std::optional<TaskError> error = task_error(status);
  const bool by_death = error && (error->kind == TaskError::Kind::kDied || error->kind == TaskError::Kind::kDeadline);
  if (failure.ok() && !by_death) failure = status;
  if (!failure.ok()) {
    for (; done < chunk.count; ++done) fail(chunk.begin + chunk.first + done, failure);
    return rest;
  }
  const std::uint64_t victim = chunk.first + done;
  if (attempt <= options.retries) {
    rest.push_back(again(chunk, options, victim, 1, attempt + 1));
  } else {
    TaskError item = *error;
    item.attempt = attempt;
    fail(chunk.begin + victim, make_task_status(status.code(), item));
  }
  const std::uint64_t left = chunk.count - done - 1;
  if (left != 0) rest.push_back(again(chunk, options, victim + 1, left, 1));
  return rest;
}

// A failure says which item failed.
template <class Outcome>
Outcome named(Outcome result, std::size_t item) {
  if (!result.ok()) result = status_of_item(status_of(result), item);
  return result;
}

// Of a chunk that has ended: calls give(index, Result<R>) for each of its items in order, and returns the chunks of
// those that have to run (again).
template <class R, class Take>
std::vector<Chunk> collect(const Chunk& chunk, const TaskOptions& options, Take&& give) {
  const auto take = [&give](std::size_t item, Result<R> result) { give(item, named(std::move(result), item)); };
  Remains remains{.attempt = chunk.attempt};
  const absl::Status status = chunk.ticket->read([&](Reader& in) {
    while (remains.done < chunk.count && in.remaining() != 0) {
      const absl::StatusOr<ItemTag> tag = in.get<ItemTag>();
      if (tag.ok() && *tag == ItemTag::kTriedAgain) {
        ++remains.attempt;
        continue;
      }
      if (tag.ok() && *tag == ItemTag::kTaskFailed) {
        remains.failure = get_status(in);
        return;
      }
      take(chunk.begin + chunk.first + remains.done, get_item<R>(in, tag));
      remains.attempt = 1;
      ++remains.done;
    }
  });
  return go_on(chunk, options, status, std::move(remains), take);
}

}  // namespace warren::detail
