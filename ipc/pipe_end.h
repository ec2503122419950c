// PipeEnd: what this process holds of one end of a pipe. All its Connections of that end share it.
#pragma once
#include <absl/status/statusor.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/pipe.h>
#include <warren/layout/pipe.h>

#include <memory>
#include <optional>
#include <utility>

#include "backing_file.h"
#include "pipe_incoming.h"
#include "pipe_line.h"
#include "pipe_outgoing.h"

namespace warren::detail {

// What a pipe's header says, checked.
struct PipeGeometry {
  layout::PipeHeader* header = nullptr;
  std::uint64_t capacity = 0;
  std::uint32_t directions = 0;

  static std::size_t bytes_for(std::uint64_t capacity, std::uint32_t directions) noexcept;
  // DataLoss where the header cannot be what a pipe's creator wrote.
  static absl::StatusOr<PipeGeometry> check(const Attachment& attachment);
  [[nodiscard]] std::byte* ring(std::uint32_t direction) const noexcept;
};

class PipeEnd {
 public:
  // The bells belong to the receivers of a direction; both ends of a process share their descriptors.
  using Bell = std::shared_ptr<const UniqueFd>;
  struct Files {
    UniqueFd socket;
    Bell own, peers;  // none where that direction is not
  };
  using Pair = std::pair<std::shared_ptr<PipeEnd>, std::shared_ptr<PipeEnd>>;
  // What a process that is started by exec needs to hold this end too; -1: there is none.
  struct Numbers {
    std::uint32_t side = 0;
    std::int32_t socket = -1, own = -1, peers = -1;
  };

  // Makes the descriptors and both ends; a fork by another thread finds all of it or nothing.
  static absl::StatusOr<Pair> make_pair(const Attachment::Pointer& attachment, const PipeGeometry& geometry);
  [[nodiscard]] absl::StatusOr<Numbers> numbers() const;
  // There. DataLoss: the pipe has no such side, or not these bells.
  static absl::StatusOr<std::shared_ptr<PipeEnd>> arrive(const Attachment::Pointer& attachment, std::uint32_t side,
                                                         Files files);
  ~PipeEnd();
  PipeEnd(const PipeEnd&) = delete;
  PipeEnd& operator=(const PipeEnd&) = delete;

  // FailedPrecondition: not in this direction, or not in this process.
  absl::StatusOr<Incoming*> incoming();
  absl::StatusOr<Outgoing*> outgoing();
  bool poll(Deadline deadline);
  // An epoll of the bell and the line, made when it is first asked for. -1: no descriptor is left.
  [[nodiscard]] int fileno() noexcept;

  [[nodiscard]] const Attachment::Pointer& attachment() const noexcept { return attachment_; }
  // In a forked child that was not passed this end: lets go of what it inherited.
  void abandon() noexcept;

 private:
  PipeEnd(Attachment::Pointer attachment, const PipeGeometry& geometry, std::uint32_t side, Files files);
  void close_files() noexcept;

  Attachment::Pointer attachment_;
  const std::uint32_t side_;
  Files files_;
  std::atomic<int> epoll_{-1};
  bool abandoned_ = false;
  LifeLine line_;
  std::optional<Incoming> incoming_;
  std::optional<Outgoing> outgoing_;
};

// What of ours looks into a Connection.
struct ConnectionAccess {
  static PipeEnd* end(const Connection& connection) noexcept { return connection.end_.get(); }
  static Connection make(std::shared_ptr<PipeEnd> end) noexcept { return Connection(std::move(end)); }
  static Descriptor no_descriptor() noexcept { return Descriptor(nullptr); }
};

}  // namespace warren::detail
