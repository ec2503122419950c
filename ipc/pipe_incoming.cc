#include "pipe_incoming.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <stdexcept>

namespace warren::detail {
namespace {

using Look = ByteRing::Look;

absl::Status end_of_stream() {
  return absl::OutOfRangeError("end of stream: nobody holds the other end any more, and everything was read");
}
absl::Status corrupt(const char* what) { return absl::DataLossError(absl::StrCat("the pipe is corrupt: ", what)); }
absl::Status no_memory(std::uint64_t length) {
  return absl::ResourceExhaustedError(absl::StrCat("no memory for a message of ", length, " bytes: it stays"));
}

}  // namespace

absl::Status Wanted::check(std::uint32_t found, std::uint64_t length) const {
  if (type && *type != found) {
    return absl::InvalidArgumentError(
        absl::StrCat("the next message is of another type (", length,
                     " bytes): it stays. recv with the type that was sent, or recv_bytes, which takes any"));
  }
  if (length > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("the next message has ", length, " bytes, and at most ", most, " are wanted: it stays"));
  }
  return absl::OkStatus();
}

// --- receiving -------------------------------------------------------------------------------------------------------

// The turn is taken when there is something to take, and given back before waiting: who waits, or is stopped while it
// waits, keeps nobody from receiving.
absl::Status Incoming::recv(const Wanted& wanted, MessageBuffer& out, Deadline deadline) {
  for (;;) {
    if (ring_.readable()) {
      const Turn turn(attachment_, lock_, deadline);
      if (!turn.taken()) return turn.status();
      inherit(turn);
      const std::optional<absl::Status> taken = take(wanted, out, deadline);
      settle();
      if (taken) return *taken;
    }
    absl::Status refused;
    switch (await(deadline, false, refused)) {
      case Came::kSomething: break;
      case Came::kEnd: return end_of_stream();
      case Came::kTimeout: return absl::DeadlineExceededError("no message has come yet");
      case Came::kRefused: return refused;
    }
  }
}

// In turn. nullopt: there was nothing, or what there was has been given up.
std::optional<absl::Status> Incoming::take(const Wanted& wanted, MessageBuffer& out, Deadline deadline) {
  pass_orphans();
  if (std::unique_ptr<Assembly> part(parked_.exchange(nullptr, std::memory_order_relaxed)); part) {
    absl::Status status = wanted.check(part->type, part->total);
    if (status.ok()) return assemble(std::move(part), out, deadline);
    park(std::move(part));
    return status;
  }
  ByteRing::Piece piece;
  switch (ring_.look(piece)) {
    case Look::kNothing: return std::nullopt;
    case Look::kCorrupt: return corrupt("its positions, or a record");
    case Look::kPiece: break;
  }
  if (absl::Status status = wanted.check(piece.head.type, piece.total); !status.ok()) return status;
  if (piece.head.last) return take_whole(piece, out);
  auto part =
      std::make_unique<Assembly>(Assembly{.type = piece.head.type, .total = piece.total, .head = 0, .bytes = {}});
  if (absl::Status status = append(piece, *part); !status.ok()) return status;
  return assemble(std::move(part), out, deadline);
}

absl::Status Incoming::take_whole(const ByteRing::Piece& piece, MessageBuffer& out) {
  if (!out.resize(piece.head.length)) return no_memory(piece.head.length);
  ring_.copy(piece, out.bytes().data());
  WARREN_CRASH_POINT(pipe_copied);  // not taken: the next receiver's
  consume(piece);
  return absl::OkStatus();
}

// In turn, and keeps it while the rest is on its way. nullopt: its sender died, another message begins.
std::optional<absl::Status> Incoming::assemble(std::unique_ptr<Assembly> part, MessageBuffer& out, Deadline deadline) {
  for (;;) {
    ByteRing::Piece piece;
    absl::Status refused;
    switch (ring_.look(piece)) {
      case Look::kCorrupt: return dropped(), corrupt("its positions, or a record");
      case Look::kPiece: {
        if (piece.head.first) return dropped(), std::nullopt;
        if (absl::Status status = append(piece, *part); !status.ok()) {
          if (absl::IsResourceExhausted(status)) park(std::move(part));
          return status;
        }
        if (!piece.head.last) break;
        out.adopt(std::move(part->bytes));
        return absl::OkStatus();
      }
      case Look::kNothing:
        switch (await(deadline, true, refused)) {
          case Came::kSomething: break;
          case Came::kEnd: return dropped(), end_of_stream();
          case Came::kTimeout:
            park(std::move(part));
            return absl::DeadlineExceededError("the message has not come in full yet; the next recv goes on with it");
          case Came::kRefused: return park(std::move(part)), refused;
        }
    }
  }
}

// What is announced is not allocated before it comes: the length is a peer's word.
absl::Status Incoming::append(const ByteRing::Piece& piece, Assembly& part) {
  const std::size_t before = part.bytes.size(), length = piece.head.length;
  const bool possible =
      length != 0 && length <= part.total - before && piece.head.last == (length == part.total - before);
  if (!possible) {
    consume(piece);
    dropped();
    return corrupt("the lengths of the pieces of a message");
  }
  try {
    if (part.bytes.capacity() < before + length) {
      part.bytes.reserve(std::min<std::uint64_t>(part.total, std::max(2 * part.bytes.capacity(), before + length)));
    }
    part.bytes.resize(before + length);
  } catch (const std::exception&) {
    return no_memory(part.total);
  }
  ring_.copy(piece, part.bytes.data() + before);
  WARREN_CRASH_POINT(pipe_piece_copied);  // the message goes with this receiver: the next one passes the rest
  consume(piece);
  return absl::OkStatus();
}

void Incoming::consume(const ByteRing::Piece& piece) noexcept {
  ring_.take(piece);
  notify(words_.room, attachment_.wait_mode(), kWakeAll);
}

// In turn: pieces whose beginning went with a receiver that died, or that another process has begun to take.
void Incoming::pass_orphans() noexcept {
  Assembly* const parked = parked_.load(std::memory_order_relaxed);
  if (parked != nullptr) {
    if (parked->head == ring_.head()) return;
    delete parked_.exchange(nullptr, std::memory_order_relaxed);  // another process has gone on
    dropped();
  }
  ByteRing::Piece piece;
  bool any = false;
  for (; ring_.look(piece) == Look::kPiece && !piece.head.first; any = true) consume(piece);
  if (any) dropped();
}

void Incoming::park(std::unique_ptr<Assembly> part) noexcept {
  part->head = ring_.head();
  parked_.store(part.release(), std::memory_order_relaxed);
}

// --- waiting ---------------------------------------------------------------------------------------------------------

// `my_turn`: this thread has it already, and keeps it.
Incoming::Came Incoming::await(Deadline deadline, bool my_turn, absl::Status& refused) {
  const auto test = [&] { return ring_.readable() ? Progress::kDone : Progress::kBlocked; };
  if (test() == Progress::kDone) return Came::kSomething;
  const bool may_sleep = !deadline.expired() && !line_.known_cut();
  if (may_sleep && spin_until_done(spinner_, test)) return Came::kSomething;
  const auto slice = [this] { return attachment_.slice(); };
  Lookout looks(attachment_);
  Vigil vigil(slice, looks);
  while (!line_.known_cut() && !deadline.expired()) {
    if (my_turn) {
      if (arm_and_look()) return Came::kSomething;
    } else {
      const Turn turn(attachment_, lock_, deadline);
      if (!turn.taken()) {
        refused = turn.status();
        return absl::IsDeadlineExceeded(refused) ? Came::kTimeout : Came::kRefused;
      }
      inherit(turn);
      if (arm_and_look()) return Came::kSomething;
    }
    (void)line_.sleep(door_.bell(), std::min(deadline.remaining().ns(), vigil.left()));
    if (vigil.over()) {
      (void)attachment_.sweep();
      vigil.begin();
    }
    if (ring_.readable()) return Came::kSomething;
  }
  const bool cut = line_.cut();
  if (ring_.readable()) return Came::kSomething;  // the second look: who died may have committed just before
  if (cut) return Came::kEnd;
  if (!my_turn && watched()) {
    const Turn turn(attachment_, lock_, deadline);
    if (turn.taken()) settle();
  }
  return Came::kTimeout;
}

bool Incoming::poll(Deadline deadline) {
  for (;;) {
    absl::Status refused;
    switch (await(deadline, false, refused)) {
      case Came::kTimeout: return false;
      case Came::kEnd:
      case Came::kRefused: return true;  // a recv says so at once
      case Came::kSomething: break;
    }
    const Turn turn(attachment_, lock_, deadline);
    if (!turn.taken()) return !absl::IsDeadlineExceeded(turn.status());
    inherit(turn);
    pass_orphans();
    if (ring_.readable()) return true;
    settle();
  }
}

// In turn. The bell may have been rung for somebody else, too, who sleeps on.
bool Incoming::arm_and_look() noexcept {
  door_.arm();
  if (!ring_.readable()) return false;
  door_.ring();
  return true;
}

// In turn, at its end: a bell that somebody watches is quiet, and armed, only where there is nothing.
void Incoming::settle() noexcept {
  if (watched() && !ring_.readable()) (void)arm_and_look();
}

void Incoming::inherit(const Turn& turn) noexcept {
  if (turn.from_the_dead()) door_.ring();  // that one may have emptied the bell
}

void Incoming::watch() noexcept {
  words_.watched.store(1, std::memory_order_relaxed);
  const Turn turn(attachment_, lock_, Deadline::after(std::chrono::nanoseconds::zero()));
  if (!turn.taken() || ring_.readable()) return door_.ring();
  settle();
}

void Incoming::depart() noexcept {
  words_.departures.fetch_add(1, std::memory_order_relaxed);
  notify(words_.room, attachment_.wait_mode(), kWakeAll);
}

}  // namespace warren::detail
