// What can travel between processes, and how a user type says so.
//
// Plain bytes travel as they lie in memory. Aggregates of up to 16 fields travel field by field and need nothing. The
// types of std travel by the codecs of detail/container_codecs.h and detail/std_codecs.h. Any other type takes one
// specialization:
//
//   template <> struct warren::Codec<Job> : warren::MemberCodec<&Job::id, &Job::path> {};
//
// Where the members are private, the type says `friend struct warren::Codec<Job>;`.
//
// Encoded bytes do not depend on addresses. Numbers are in the byte order of the machine, counts are u64.
#pragma once
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/ipc/detail/fields.h>
#include <warren/ipc/detail/plain_bytes.h>
#include <warren/ipc/handle.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

namespace warren {

class Writer;
class Reader;

// THE customization point: static `void encode(Writer&, const T&)` and `absl::StatusOr<T> decode(Reader&)`. A codec of
// a template names the types it is made of as `using parts = detail::TypeList<...>`, so that they are checked too.
template <class T>
struct Codec;

namespace detail {
template <class T>
concept HasCodec = requires(Writer& w, Reader& r, const T& t) {
  Codec<T>::encode(w, t);
  { Codec<T>::decode(r) } -> std::same_as<absl::StatusOr<T>>;
};
template <class T, class... Seen>
constexpr bool carriable();
}  // namespace detail

// True: copied as bytes. Specialise to true, right behind the type, to vouch for a trivially copyable one that holds a
// union or something else whose bytes the compiler cannot look at. Never true for a handle.
template <class T>
inline constexpr bool kCopyAsBytes = detail::PlainBytes<T> && !detail::HasCodec<T>;
template <class T, std::size_t N>
inline constexpr bool kCopyAsBytes<T[N]> = kCopyAsBytes<T>;
template <class T, std::size_t N>
inline constexpr bool kCopyAsBytes<std::array<T, N>> = kCopyAsBytes<T>;

template <class T>
concept Carriable = detail::carriable<T>();

// Values nest this deep at most. A list linked by unique_ptr nests two levels for each element.
inline constexpr std::size_t kMaxNesting = 1000;

// Writes into memory that is handed to it, and asks for more when that is full. After a failure it drops what comes.
class Writer {
 public:
  // Returns at least `needed` bytes, of which the first `used` hold what was written. An empty span: memory ended.
  using Grow = std::span<std::byte> (*)(void* context, std::size_t used, std::size_t needed);

  // Goes on behind the first `used` bytes of the memory.
  Writer(std::span<std::byte> memory, Grow grow, void* context, std::size_t used = 0) noexcept
      : memory_(memory), used_(used), grow_(grow), context_(context) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void bytes(std::span<const std::byte> b) {
    if (b.size() > memory_.size() - used_) [[unlikely]] {
      if (!make_room(b.size())) return;
    }
    if (b.empty()) return;
    std::memcpy(memory_.data() + used_, b.data(), b.size());
    used_ += b.size();
  }
  template <class T>
  void put(const T& t);        // T is asserted to be Carriable
  void length(std::size_t n);  // how many elements follow

  // For a codec that meets a value which it cannot encode. The first reason stays.
  void fail(absl::Status why);

  [[nodiscard]] bool ok() const noexcept { return status_.ok(); }
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }  // ResourceExhausted: memory ended
  [[nodiscard]] std::size_t size() const noexcept { return used_; }
  [[nodiscard]] std::span<const std::byte> written() const noexcept { return memory_.first(used_); }

 private:
  template <class T>
  void put_nested(const T& t);
  bool make_room(std::size_t n);

  std::span<std::byte> memory_;
  std::size_t used_;
  Grow grow_;
  void* context_;
  std::size_t nesting_ = 0;
  absl::Status status_;
};

// Every read is bounds-checked and returns an error (DataLoss): the bytes are a peer's, and each is read once. After a
// failure every read fails with the same reason.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // In place: valid as long as the memory that is read.
  absl::StatusOr<std::span<const std::byte>> bytes(std::size_t n);
  template <class T>
  absl::StatusOr<T> get();  // T is asserted to be Carriable
  // How many elements follow. Every value takes a byte at least, so more of them than bytes are left is an error, and
  // no hostile count makes anybody allocate. `each`: the bytes that one element takes at least.
  absl::StatusOr<std::size_t> length(std::size_t each = 1);

  // For a codec that meets bytes which make no value. Returns the first reason.
  const absl::Status& fail(absl::Status why);

  [[nodiscard]] bool ok() const noexcept { return status_.ok(); }
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }
  [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size(); }

 private:
  template <class T>
  absl::StatusOr<T> get_bytes();
  template <class T>
  absl::StatusOr<T> get_nested();
  const std::byte* take(std::size_t n);  // null: fewer are left, or it has failed before
  const absl::Status& missing(std::size_t n);

  std::span<const std::byte> bytes_;
  std::size_t nesting_ = 0;
  absl::Status status_;
};

// The members named, in this order. T must be default constructible.
template <auto... Members>
struct MemberCodec;

namespace detail {
// To be asked in a static_assert by what is public, rather than a constraint: so the message is read first and names
// the type and the remedy.
template <class T>
consteval bool check_carriable();
template <class T>
consteval bool check_plain();  // the same for what carries plain bytes only
}  // namespace detail

}  // namespace warren

#include <warren/ipc/detail/carriable.h>
#include <warren/ipc/detail/codec_inl.h>
#include <warren/ipc/detail/container_codecs.h>
#include <warren/ipc/detail/std_codecs.h>
