// ThreadCrew::Impl: what a crew's threads share. Its tasks stand in thread_crew.cc, its threads in
// thread_crew_threads.cc.
#pragma once
#include <absl/status/status.h>
#include <warren/ipc/detail/process.h>
#include <warren/pool/detail/thread_crew.h>
#include <warren/pool/thread_pool.h>

#ifdef __SANITIZE_THREAD__
// g++ has no fences there. None is missed: a handler is handed on under the scheduler's mutex, and its task under ours.
#define BOOST_ASIO_DISABLE_FENCED_BLOCK
#endif
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "ready_queue.h"

namespace warren::detail {

[[nodiscard]] ThreadCrew* employer() noexcept;  // of this thread; null: it is no crew's

struct Leave {};  // thrown through io_context::run() by a thread that there is no place for

// The queue says which task is next; the scheduler (Boost.Asio's) which thread takes it. A token is a handler that runs
// whatever is next then, so tasks can leave the queue, or pass others in it, and no handler has to be found.
struct ThreadCrew::Impl {
  explicit Impl(ThreadPoolOptions given) : options(std::move(given)) {}

  // --- tasks
  void post_token() {
    boost::asio::post(context, [this] { take_token(); });
  }
  void take_token();
  void end(const std::shared_ptr<ThreadWork>& work);
  void fail(const std::shared_ptr<ThreadWork>& work, const absl::Status& why);
  ReadyQueue::Works empty_queue_locked();
  void fail_all(const ReadyQueue::Works& works, const absl::Status& why);
  void cancel_all(const absl::Status& why);
  [[nodiscard]] absl::Status why_refused_locked(bool chunk) const;

  // --- threads
  void start_thread_locked(const std::shared_ptr<ThreadCrew>& crew);
  void work(ThreadCrew& crew);
  bool initialize();
  bool park();
  void let_threads_end_locked();
  void join_threads();

  const ThreadPoolOptions options;
  const std::uint64_t epoch = process_epoch();
  std::atomic<bool> terminated{false};

  std::mutex mutex;  // of all below but the context; no code of users runs under it
  std::condition_variable room, settled, parked_wake;
  ReadyQueue queue;
  std::size_t tokens = 0;   // handlers on their way: not fewer than tasks in the queue
  std::size_t pending = 0;  // tasks that have not ended: for max_pending
  std::size_t open = 0;     // tasks whose callbacks have not run: for join()
  std::size_t maps = 0;
  std::uint64_t endings = 0;
  std::size_t joining_inside = 0;  // tasks that wait in join() for all others
  bool closed = false;
  absl::Status cancelling;  // set: what chunks fail with that are yet to come
  absl::Status broken;

  std::vector<std::thread> threads;
  std::size_t alive = 0;    // threads that have not left
  std::size_t surplus = 0;  // threads beyond what there should be: the next that takes a token parks
  std::size_t parked = 0;
  std::size_t wanted = 0;  // of the parked
  bool ended = false;
  std::mutex join_mutex;

  boost::asio::io_context context;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> guard{
      boost::asio::make_work_guard(context)};
};

}  // namespace warren::detail
