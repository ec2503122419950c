#include <warren/pool/thread_pool.h>

namespace warren {

absl::StatusOr<ThreadPool> ThreadPool::create(ThreadPoolOptions options) {
  absl::StatusOr<std::shared_ptr<detail::ThreadCrew>> crew = detail::ThreadCrew::start(std::move(options));
  if (!crew.ok()) return crew.status();
  return ThreadPool(*std::move(crew));
}

}  // namespace warren
