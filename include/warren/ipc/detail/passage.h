// How what belongs to one process goes to another one that it starts by exec: by descriptors that stay open over that.
// Who arrives makes descriptors of its own of them, and the inherited ones are closed when all have arrived.
#pragma once
#include <absl/status/statusor.h>
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/luggage.h>
#include <warren/ipc/pipe.h>

namespace warren::detail {

// Fails the writer where the process does not hold the end. A closed connection, and a descriptor that was moved from,
// arrive as such.
void pass(Writer& w, const Connection& connection, Luggage& luggage);
void pass(Writer& w, const Descriptor& descriptor, Luggage& luggage);
// The segment by its descriptor, as who sent it may not be looked into by /proc.
absl::Status pass(Writer& w, const Attachment& attachment, Luggage& luggage);

absl::StatusOr<Connection> arrived_connection(Reader& r);
absl::StatusOr<Descriptor> arrived_descriptor(Reader& r);
absl::StatusOr<Attachment::Pointer> arrived_attachment(Reader& r, const SegmentExpectation& expected);

}  // namespace warren::detail
