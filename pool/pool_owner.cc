// How a pool ends: the same for processes and threads.
#include <warren/pool/pool.h>
#include <warren/pool/thread_pool.h>

namespace warren::detail {

template <class Way>
PoolOwner<Way>& PoolOwner<Way>::operator=(PoolOwner&& other) noexcept {
  if (this != &other) {
    end();
    Verbs<Way>::operator=(std::move(other));
  }
  return *this;
}

template <class Way>
PoolOwner<Way>::~PoolOwner() {
  end();
}

template <class Way>
void PoolOwner<Way>::end() noexcept {
  if (this->moved_from() || !this->client().mine()) return;
  this->client().close();
  (void)this->client().join(Deadline::never());
}

template <class Way>
void PoolOwner<Way>::close() {
  if (this->client().mine()) this->client().close();
}

template <class Way>
void PoolOwner<Way>::terminate() {
  if (this->client().mine()) this->client().terminate();
}

template <class Way>
absl::Status PoolOwner<Way>::join_until(Deadline t) {
  if (absl::Status status = this->check_mine(); !status.ok()) return status;
  return this->client().join(t);
}

template <class Way>
absl::Status PoolOwner<Way>::shutdown(const ShutdownOptions& options) {
  if (absl::Status status = this->check_mine(); !status.ok()) return status;
  options.cancel_pending ? this->client().cancel_pending() : this->client().close();
  return options.wait ? this->client().join(Deadline::never()) : absl::OkStatus();
}

template <class Way>
absl::Status PoolOwner<Way>::check_mine() const {
  if (this->client().mine()) return absl::OkStatus();
  return absl::FailedPreconditionError("the pool belongs to the process that made it");
}

template class PoolOwner<OnProcesses>;
template class PoolOwner<OnThreads>;

}  // namespace warren::detail
