// Stream<R>: the results of imap and imap_unordered, as they come.
#pragma once
#include <warren/ipc/time.h>
#include <warren/pool/task.h>

#include <iterator>
#include <memory>
#include <optional>
#include <utility>

namespace warren {

namespace detail {
template <class R>
class StreamSource {
 public:
  StreamSource() = default;
  StreamSource(const StreamSource&) = delete;
  StreamSource& operator=(const StreamSource&) = delete;
  virtual ~StreamSource() = default;
  virtual std::optional<Result<R>> next(Deadline deadline) = 0;
  [[nodiscard]] virtual bool done() const = 0;
};
}  // namespace detail

// A range that is read once: each item's value or failure by itself, so the loop may go on after a failure. The input
// is read as results are taken, in the calling thread. Dropped early: what was submitted still runs, its results are
// thrown away. Move-only; for one thread at a time.
template <class R>
class Stream {
 public:
  class Iterator {
   public:
    using value_type = Result<R>;
    using difference_type = std::ptrdiff_t;

    Iterator() noexcept = default;
    explicit Iterator(Stream& stream) : stream_(&stream) { ++*this; }
    Result<R> operator*() const { return std::move(*stream_->current_); }  // once for each item
    Iterator& operator++() {
      stream_->current_ = stream_->source_->next(Deadline::never());
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !stream_->current_.has_value(); }

   private:
    Stream* stream_ = nullptr;
  };

  explicit Stream(std::unique_ptr<detail::StreamSource<R>> source) noexcept : source_(std::move(source)) {}
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;
  ~Stream() = default;

  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() { return {}; }
  // nullopt: the end, or the time is up; done() says which.
  std::optional<Result<R>> next_for(Timeout d) { return next_until(Deadline::after(d)); }
  std::optional<Result<R>> next_until(Deadline t) { return source_->next(t); }
  [[nodiscard]] bool done() const noexcept { return source_->done(); }

 private:
  std::unique_ptr<detail::StreamSource<R>> source_;
  std::optional<Result<R>> current_;
};

}  // namespace warren
