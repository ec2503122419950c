// Pipe and Connection: two ends, messages both ways, end of stream when the other side closes or dies.
//
//     auto [mine, theirs] = warren::Pipe::create().value();
//     auto child = warren::Process::start(echo, std::move(theirs)).value();   // moved: not held here any more
//     absl::Status sent = mine.send(Request{1, "hi"});
//     auto answer = mine.recv<std::string>();
//
// An end lasts while any process holds it, and the kernel keeps count: as soon as nobody holds the other end any more,
// closed, exited or killed, a recv reads what had been sent and then says OutOfRange, and a send says Unavailable. A
// stopped process (SIGSTOP) still holds its ends. So does a child by fork(), as with any descriptor: it has copies of
// all that its parent had, and must close what it does not use. Processes that Warren starts hold only what they are
// passed.
//
// A message is delivered whole, once, and in order, or not at all: of a sender that is killed before it returned the
// last message may be missing; a receiver that is killed takes the message along that it was about to return. Whoever
// else holds that end goes on. A send may succeed though the last reader died less than 50 us before.
//
// A message that is larger than the pipe goes through it in pieces. Meanwhile its sender keeps other senders of the
// same end waiting, and its receiver other receivers; stopped in the midst of it, for as long.
// While both sides are awake no call of the kernel's is made. Algorithm, ordering and crash tables:
// docs/algorithms/pipe.md; why it is built so: docs/adr/0007-pipe.md.
#pragma once
#include <warren/ipc/codec.h>
#include <warren/ipc/detail/message.h>
#include <warren/ipc/detail/process.h>
#include <warren/ipc/time.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warren {

template <class T>
class Subscriber;

namespace detail {
template <class T>
concept HasFileno = requires(const T& object) {
  { object.fileno() } -> std::same_as<int>;
};
template <class T>
inline constexpr bool kOurs = IsHandle<T>;
template <class T>
inline constexpr bool kOurs<Subscriber<T>> = true;
class PipeEnd;
struct Wanted;
struct ConnectionAccess;
absl::Status left_over(std::size_t bytes);
}  // namespace detail

struct PipeOptions {
  bool duplex = true;  // false: the first end only receives, the second only sends
  // Bytes in each direction; rounded up to a power of two, 64 at least. A message takes 8 bytes more than its own,
  // rounded up to 8.
  std::size_t capacity = 65'536;
};

// Move-only: an end that was moved into a child is no longer held here, so end of stream comes when it must.
// Thread-safe and process-safe, but for moving, closing and destroying one object while another thread is in a call of
// it: such threads each have a share().
//
// Errors of all calls: FailedPrecondition: closed, moved from, not passed to this process, or the wrong direction of a
// simplex pipe. DataLoss: the bytes make no message, or no T. ResourceExhausted: memory ended; the message stays.
// OutOfRange (recv): the other side closed or died, and everything was read. Unavailable (send): no reader is left.
// InvalidArgument (recv): the next message is not a T, or larger than asked for. It stays: recv_bytes() takes any.
class Connection : public Handle {
 public:
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();
  [[nodiscard]] Connection share() const;  // a second holder of the same end

  // Blocks while the pipe is full. A character literal or a view is sent as a std::string.
  template <class T>
  absl::Status send(const T& message);
  template <class T>
  absl::StatusOr<T> recv() {
    return recv_until<T>(Deadline::never());
  }
  // DeadlineExceeded: nothing was lost. A large message that had begun to come is gone on with by this process's next
  // recv; if another process that shares this end receives before, it is dropped.
  template <class T>
  absl::StatusOr<T> recv_for(Timeout d) {
    return recv_until<T>(Deadline::after(d));
  }
  template <class T>
  absl::StatusOr<T> recv_until(Deadline t);
  absl::Status send_bytes(std::span<const std::byte> message);
  // Of a message that was sent as a T: its encoded bytes.
  absl::StatusOr<std::vector<std::byte>> recv_bytes(std::size_t max = SIZE_MAX);
  absl::StatusOr<std::size_t> recv_bytes_into(std::span<std::byte> out);  // how many

  // True: a recv would not wait. There is a message, or the beginning of a large one, or there will be none any more.
  [[nodiscard]] bool poll(Timeout d = std::chrono::nanoseconds::zero());
  // Lets go of the end. Harmless twice.
  void close();
  // For poll, select and epoll, level-triggered: readable while a recv need not wait. It may also be readable for
  // nothing: poll() then says false, and quietens it. From then on messages to this end that find it empty cost a call
  // of the kernel's each. -1: closed, or no descriptor is left. A process that is killed just as it sends, while others
  // hold its end, may leave it quiet until the next message; calls that block, and wait(), look again within 2 s.
  [[nodiscard]] int fileno() const;

 private:
  friend class Pipe;
  friend struct detail::ConnectionAccess;
  explicit Connection(std::shared_ptr<detail::PipeEnd> end) noexcept;

  absl::Status send_message(std::uint32_t type, std::span<const std::byte> message);
  absl::Status recv_message(const detail::Wanted& wanted, detail::MessageBuffer& out, Deadline t);
  absl::Status recv_typed(std::uint32_t type, detail::MessageBuffer& out, Deadline t);

  std::shared_ptr<detail::PipeEnd> end_;
};

class Pipe {
 public:
  // InvalidArgument: no capacity, or more than 1 GiB. ResourceExhausted: memory or descriptors; nothing stays behind.
  static absl::StatusOr<std::pair<Connection, Connection>> create(const PipeOptions& options = {});
};

// An open file or socket as an argument: a bare int is a number, not a descriptor, in another process. Copies share it;
// the last one closes it.
class Descriptor : public Handle {
 public:
  // Of its own, so that the caller may close `fd`; closed on exec. InvalidArgument: `fd` is not open.
  // ResourceExhausted: no descriptor is left.
  static absl::StatusOr<Descriptor> dup(int fd);
  [[nodiscard]] int fileno() const noexcept;  // -1: moved from

 private:
  friend struct detail::ConnectionAccess;
  class File;
  explicit Descriptor(std::shared_ptr<const File> file) noexcept : file_(std::move(file)) {}

  std::shared_ptr<const File> file_;
};

// Anything that becomes ready and has a descriptor: connections, queues of all kinds, stacks, subscribers, events,
// futures, process sentinels, a Shutdown. Refers to the object, which must outlive it: no temporaries.
class Waitable {
 public:
  template <detail::HasFileno Object>
  Waitable(const Object& object)  // NOLINT
      : descriptor_(object.fileno()),
        object_(&object),
        fileno_([](const void* it) { return static_cast<const Object*>(it)->fileno(); }) {
    if constexpr (std::same_as<Object, Connection>) {
      ready_ = &Waitable::connection_ready;
    } else if constexpr (detail::kOurs<Object> && requires { object.readable(); }) {  // others may mean another thing
      ready_ = [](const void* it) { return static_cast<const Object*>(it)->readable(); };
    }
  }

  // What has none, and is not to be taken for a list of them: told, rather than not found.
  template <class Object>
    requires(!detail::HasFileno<Object> && !std::ranges::range<Object>)
  Waitable(const Object&) {  // NOLINT
    static_assert(detail::HasFileno<Object>,
                  "warren::wait() waits for what has a fileno(), and this type has none. Remedy: for a Process its "
                  "sentinel(), for a Broadcast a Subscriber, for any open descriptor Descriptor::dup(fd); a Mutex, "
                  "a Semaphore and the like have waits of their own");
  }

  // In a child forked since, the object is asked again: it may have another one there.
  [[nodiscard]] int fileno() const { return epoch_ == detail::process_epoch() ? descriptor_ : fileno_(object_); }
  // Readable is ready, but for what knows better.
  [[nodiscard]] bool knows() const noexcept { return ready_ != nullptr; }
  [[nodiscard]] bool ready() const { return ready_(object_); }

 private:
  static bool connection_ready(const void* connection);

  int descriptor_ = -1;
  std::uint64_t epoch_ = detail::process_epoch();
  const void* object_ = nullptr;
  int (*fileno_)(const void* object) = nullptr;
  bool (*ready_)(const void* object) = nullptr;
};

// Blocks until one is ready. Indices of those that are; empty: the time is up. One whose descriptor is not open is
// ready, as its next call says at once.
std::vector<std::size_t> wait(std::initializer_list<Waitable> objects, Timeout d = kForever);
std::vector<std::size_t> wait(std::span<const Waitable> objects, Timeout d = kForever);

// --- bodies ----------------------------------------------------------------------------------------------------------

template <class T>
absl::Status Connection::send(const T& message) {
  using Sent = typename detail::SentAs<T>::type;
  static_assert(detail::check_carriable<Sent>());
  if constexpr (detail::SentAs<T>::kText) {
    return send(std::string(std::string_view(message)));
  } else if constexpr (kCopyAsBytes<T>) {
    return send_message(detail::message_type<T>(), std::as_bytes(std::span(&message, 1)));
  } else if constexpr (Carriable<T>) {
    detail::MessageWriter encoded;
    encoded.writer().put(message);
    if (!encoded.writer().ok()) return encoded.writer().status();
    return send_message(detail::message_type<T>(), encoded.writer().written());
  } else {
    return absl::OkStatus();  // told above
  }
}

template <class T>
absl::StatusOr<T> Connection::recv_until(Deadline t) {
  static_assert(detail::check_carriable<T>());
  if constexpr (Carriable<T>) {
    std::array<std::byte, kCopyAsBytes<T> ? std::min<std::size_t>(sizeof(T), 512) : 512> place;
    detail::MessageBuffer message(place);
    if (absl::Status status = recv_typed(detail::message_type<T>(), message, t); !status.ok()) return status;
    Reader reader(message.bytes());
    absl::StatusOr<T> value = reader.get<T>();
    if (value.ok() && reader.remaining() != 0) return detail::left_over(reader.remaining());
    return value;
  } else {
    return absl::UnimplementedError("");  // told above
  }
}

}  // namespace warren
