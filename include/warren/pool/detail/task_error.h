// The statuses that failed tasks become, and how they travel.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/codec.h>
#include <warren/pool/task.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace warren::detail {

// "std::invalid_argument: negative (in worker 4711, attempt 1)",
// "worker 4711 died: killed by signal 9 (SIGKILL), attempt 1". `error` goes along, for task_error().
absl::Status make_task_status(absl::StatusCode code, const TaskError& error);

// Keeps code and text. A status that a task got from a task of its own keeps what it already knows: the root cause.
absl::Status with_task_error(absl::Status status, const TaskError& error);

// Of a task that a pool did not take.
absl::Status refused(std::string why, absl::StatusCode code = absl::StatusCode::kFailedPrecondition);

// In a handler, in the process that ran the task. The status within a BadStatusOrAccess or a thrown Status; Unknown
// with type and text for what else was thrown. Lets pthread_exit() and thread cancellation pass.
absl::Status status_of_current_exception(std::uint32_t attempt);

// Of a function that returned a failure, in the process that ran it.
absl::Status status_of_returned(absl::Status status, std::uint32_t attempt);

// Of an item of map and imap: "item 47: " stands before the text. An inner map's item stays in the TaskError. What the
// pool refuses, or gives up, is no item's.
absl::Status status_of_item(const absl::Status& status, std::size_t item);

// A failure with all its payloads.
void put_status(Writer& w, const absl::Status& status);
absl::Status get_status(Reader& r);  // never OK: where the bytes make no failure, the reason (DataLoss) is returned

}  // namespace warren::detail
