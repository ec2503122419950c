#include <warren/pool/thread_pool.h>

namespace warren {

absl::StatusOr<ThreadPool> ThreadPool::create(ThreadPoolOptions options) {
  absl::StatusOr<std::shared_ptr<detail::ThreadCrew>> crew = detail::ThreadCrew::start(std::move(options));
  if (!crew.ok()) return crew.status();
  return ThreadPool(*std::move(crew));
}

ThreadPool& ThreadPool::operator=(ThreadPool&& other) noexcept {
  if (this != &other) {
    end();
    crew_ = std::move(other.crew_);
  }
  return *this;
}

ThreadPool::~ThreadPool() { end(); }

void ThreadPool::end() noexcept {
  if (crew_ == nullptr || !crew_->mine()) return;
  crew_->close();
  (void)crew_->join(Deadline::never());
}

void ThreadPool::close() {
  if (crew().mine()) crew_->close();
}

void ThreadPool::terminate() {
  if (crew().mine()) crew_->terminate();
}

absl::Status ThreadPool::join_until(Deadline t) {
  if (!crew().mine()) return absl::FailedPreconditionError("the pool belongs to the process that made it");
  return crew_->join(t);
}

absl::Status ThreadPool::shutdown(const ShutdownOptions& options) {
  if (!crew().mine()) return absl::FailedPreconditionError("the pool belongs to the process that made it");
  options.cancel_pending ? crew_->cancel_pending() : crew_->close();
  return options.wait ? crew_->join(Deadline::never()) : absl::OkStatus();
}

}  // namespace warren
