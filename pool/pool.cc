#include <warren/pool/current_pool.h>
#include <warren/pool/pool.h>

namespace warren {

absl::StatusOr<Pool> Pool::create(const PoolOptions& options) {
  absl::StatusOr<std::shared_ptr<detail::PoolClient>> client = detail::PoolClient::start(options);
  if (!client.ok()) return client.status();
  return Pool(*std::move(client));
}

absl::Status Pool::resize(std::uint32_t workers) {
  if (absl::Status status = check_mine(); !status.ok()) return status;
  return client().resize(workers);
}

CurrentPool current_pool() { return CurrentPool(detail::PoolClient::current()); }

}  // namespace warren
