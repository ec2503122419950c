#include <warren/pool/pool.h>

namespace warren {

absl::StatusOr<Pool> Pool::create(const PoolOptions& options) {
  absl::StatusOr<std::shared_ptr<detail::PoolClient>> client = detail::PoolClient::start(options);
  if (!client.ok()) return client.status();
  return Pool(*std::move(client));
}

Pool& Pool::operator=(Pool&& other) noexcept {
  if (this != &other) {
    end();
    client_ = std::move(other.client_);
  }
  return *this;
}

Pool::~Pool() { end(); }

// A forked child's copy leaves the pool alone.
void Pool::end() noexcept {
  if (client_ == nullptr || !client_->mine()) return;
  client_->close();
  (void)client_->join(Deadline::never());
}

void Pool::close() {
  if (client().mine()) client_->close();
}

void Pool::terminate() {
  if (client().mine()) client_->terminate();
}

absl::Status Pool::shutdown(const ShutdownOptions& options) {
  if (!client().mine()) return absl::FailedPreconditionError("the pool belongs to the process that made it");
  options.cancel_pending ? client_->cancel_pending() : client_->close();
  return options.wait ? client_->join(Deadline::never()) : absl::OkStatus();
}

absl::Status Pool::resize(std::uint32_t workers) {
  if (!client().mine()) return absl::FailedPreconditionError("the pool belongs to the process that made it");
  return client_->resize(workers);
}

absl::Status Pool::join_until(Deadline t) {
  if (!client().mine()) return absl::FailedPreconditionError("the pool belongs to the process that made it");
  return client_->join(t);
}

}  // namespace warren
