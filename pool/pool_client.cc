#include <warren/pool/detail/pool_client.h>

#include <absl/cleanup/cleanup.h>
#include <absl/strings/str_cat.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/segment.h>
#include <warren/pool/detail/task_error.h>
#include <warren/pool/pool.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "child_process.h"
#include "completions.h"
#include "monotonic.h"
#include "pidfd.h"
#include "pool_client_impl.h"
#include "spawn_pool.h"
#include "spawn_self.h"
#include "supervisor.h"
#include "usable_cpus.h"
#include "worker_pool.h"

namespace warren::detail {
namespace {

using PoolPhase = layout::PoolHeader::Phase;

// What tasks may submit beyond max_pending, or as much again as that.
constexpr std::size_t kMostBeyond = 4096;

absl::Status bad_workers(std::uint32_t workers) {
  return absl::InvalidArgumentError(
      absl::StrCat(workers, " workers: a pool has at least 1, and at most ", layout::kMaxWorkers));
}

absl::Status no_pool() {
  return refused("current_pool() was called outside a task of a Pool. Remedy: call it in the task, or use the Pool");
}

absl::Status no_process(const char* what) {
  return absl::ResourceExhaustedError(absl::StrCat("the pool ", what, ": ", std::generic_category().message(errno)));
}

}  // namespace

// --- life ------------------------------------------------------------------------------------------------------------

PoolClient::Impl::Impl(Attachment::Pointer attachment, int control)
    : attachment_(std::move(attachment)),
      table_(*attachment_),
      control_(control),
      epoch_(process_epoch()),
      completions_(std::make_shared<Completions>(table_)) {}

PoolClient::Impl::Impl(Attachment::Pointer attachment, int control, WorkerPool& worker)
    : Impl(std::move(attachment), control) {
  worker_ = &worker;
  table_.be_of(table_.worker(worker.index()));
}

// A forked child's copy leaves the thread alone, which is not there: its std::thread is held by itself for ever.
PoolClient::Impl::~Impl() {
  if (mine()) completions_->stop();
  if (control_ >= 0 && worker_ == nullptr) ::close(control_);
  if (supervisor_pidfd_ >= 0) ::close(supervisor_pidfd_);
}

absl::Status PoolClient::Impl::start(const PoolOptions& options) {
  if (absl::Status status = table_.commit_workers(table_.most_workers()); !status.ok()) return status;
  if (absl::Status status = table_.commit_more(); !status.ok()) return status;
  const pid_t self = ::getpid();
  table_.header().application_pid = static_cast<std::uint32_t>(self);
  if (options.start_method == StartMethod::kSpawn) {
    const absl::StatusOr<ForkedChild> spawned = spawn_supervisor(*attachment_, control_, options);
    if (spawned.ok()) supervisor_pidfd_ = spawned->pidfd;
    return spawned.status();
  }
  warn_of_threads("Pool::create");
  std::function<void()> initializer;
  if (options.initializer) initializer = [&options] { options.initializer(); };
  // Opened here, so that it is told where there is none.
  const int self_pidfd = open_pidfd(self);
  if (self_pidfd < 0) return no_process("cannot be watched by its supervisor");
  const absl::Cleanup close_self = [self_pidfd] { ::close(self_pidfd); };
  const ForkedChild forked = fork_watched([&] {
    run_supervisor(
        table_, {.application_pidfd = self_pidfd, .control = control_, .initializer = initializer, .options = options});
  });
  if (forked.pid < 0) return no_process("cannot fork its supervisor");
  if (forked.pidfd < 0) return no_process("cannot watch its supervisor");
  supervisor_pidfd_ = forked.pidfd;
  return absl::OkStatus();
}

void PoolClient::Impl::close() {
  const std::scoped_lock lock(maps_mutex_);
  closing_ = true;
  if (maps_ == 0) change_phase(PoolPhase::kClosing);
}

// Maps under way submit no more.
void PoolClient::Impl::cancel_pending() {
  cancelling_ = true;
  close();
  const std::uint64_t end = table_.committed();
  for (std::uint32_t slot = 0; slot < end; ++slot) {
    (void)table_.cancel({.slot = slot, .generation = table_.state(slot).generation});
  }
}

absl::Status PoolClient::Impl::begin_map() {
  if (worker_ != nullptr) return refusal();  // its task is under way meanwhile
  const std::scoped_lock lock(maps_mutex_);
  if (absl::Status status = refusal(false); !status.ok()) return status;
  ++maps_;
  return absl::OkStatus();
}

void PoolClient::Impl::end_map() {
  if (worker_ != nullptr) return;
  const std::scoped_lock lock(maps_mutex_);
  if (--maps_ == 0 && closing_) change_phase(PoolPhase::kClosing);
}

void PoolClient::Impl::change_phase(PoolPhase phase) {
  std::atomic<PoolPhase>& word = table_.header().phase;
  PoolPhase current = word.load(std::memory_order_relaxed);
  while (current == PoolPhase::kOpen || (current == PoolPhase::kClosing && phase == PoolPhase::kTerminating)) {
    if (word.compare_exchange_weak(current, phase, std::memory_order_seq_cst)) break;  // [P11] pairs with P5, P6, P12
  }
  ring(control_);
}

void PoolClient::Impl::ring_supervisor() noexcept { ring(control_); }

absl::Status PoolClient::Impl::resize(std::uint32_t workers) {
  if (workers == 0 || workers > layout::kMaxWorkers) return bad_workers(workers);
  if (absl::Status status = refusal(); !status.ok()) return status;
  if (absl::Status status = table_.commit_workers(workers); !status.ok()) return status;
  table_.header().most_workers.store(workers, std::memory_order_seq_cst);  // [SH9] before the states; pairs with SH8
  ring(control_);
  return absl::OkStatus();
}

void PoolClient::Impl::published(TaskRef task, const Submission* with_extras) noexcept {
  const layout::PoolHeader& header = table_.header();
  bool for_supervisor = header.retired.load(std::memory_order_relaxed) != 0 ||  // who left may be needed
                        header.vacant.load(std::memory_order_seq_cst) != 0;     // [T35] after the hint; pairs with T34
  if (with_extras != nullptr) [[unlikely]] {
    const std::optional<std::uint32_t>& worker = with_extras->options.worker;
    if (worker && *worker >= table_.most_workers()) table_.hint_again(task);  // resize() came between
    for_supervisor |= with_extras->after_backoff;                             // which keeps it until its time
  }
  if (for_supervisor) [[unlikely]]
    ring(control_);
}

// In a callback the thread that it is in goes on with others, on which the pool's end may wait.
bool PoolClient::Impl::await_supervisor(Deadline deadline) {
  Completions* const here = Completions::current();
  if (here == nullptr) return await_end(supervisor_pidfd_, deadline);
  return here->help(deadline, [this] { return has_ended(supervisor_pidfd_); });
}

absl::Status PoolClient::Impl::join(Deadline deadline) {
  look_after_supervisor();
  if (table_.header().phase.load(std::memory_order_acquire) == PoolPhase::kOpen && !closing_ &&
      !supervisor_dead_) {  // [P13] pairs with P10
    return absl::FailedPreconditionError("the pool is open: close() or terminate() it before join()");
  }
  if (!await_supervisor(deadline)) return absl::DeadlineExceededError("the pool has not ended yet");
  {
    const std::scoped_lock lock(join_mutex_);
    if (!reaped_) {
      if (supervisor_was_killed()) supervisor_died();
      siginfo_t info{};
      while (::waitid(P_PIDFD, static_cast<id_t>(supervisor_pidfd_), &info, WEXITED) != 0 && errno == EINTR) {
      }
      reaped_ = true;
    }
  }
  if (!completions_->await_idle(deadline))
    return absl::DeadlineExceededError("the pool has ended, but callbacks of its futures have not");
  if (supervisor_dead_) return absl::UnavailableError("the pool's supervisor was killed; its tasks are lost");
  if (table_.header().phase.load(std::memory_order_acquire) == PoolPhase::kBroken)
    return refusal();  // [P14] pairs with P10
  return absl::OkStatus();
}

// --- PoolClient ------------------------------------------------------------------------------------------------------

// A task that its submitter writes. Whatever is thrown meanwhile, its slot goes back.
class PoolClient::NewTask {
 public:
  NewTask(Impl& impl, TaskRef task) noexcept : impl_(impl), task_(task) {}
  ~NewTask() {
    if (published_) return;
    impl_.table().withdraw(task_);
    impl_.give_back(task_.slot);
  }
  NewTask(const NewTask&) = delete;
  NewTask& operator=(const NewTask&) = delete;

  absl::Status write(absl::FunctionRef<void(Writer&)> encode) {
    layout::TaskSlot& slot = impl_.table().slot(task_.slot);
    Writer writer(
        slot.arguments,
        [](void* context, std::size_t used, std::size_t needed) {
          const auto& self = *static_cast<NewTask*>(context);
          return self.impl_.table().grow_arguments(self.task_, used, needed);
        },
        this);
    try {
      encode(writer);
    } catch (...) {
      return status_of_encoding();
    }
    slot.arguments_bytes = writer.size();
    return writer.status();
  }
  void publish() noexcept {
    published_ = true;
    impl_.table().publish(task_);
  }

 private:
  // In a handler. A codec threw, in no worker.
  static absl::Status status_of_encoding() {
    absl::Status status = status_of_current_exception(0);
    std::optional<TaskError> error = task_error(status);
    if (!error || error->worker != ::getpid()) return status;
    error->worker = 0;
    return make_task_status(status.code(), *error);
  }

  Impl& impl_;
  TaskRef task_;
  bool published_ = false;
};

absl::StatusOr<PoolClient::MapUnderWay> PoolClient::begin_map(const TaskOptions& options) {
  if (impl_ == nullptr) return no_pool();
  if (absl::Status status = check_worker(options); !status.ok()) return status;
  if (absl::Status status = impl_->begin_map(); !status.ok()) return status;
  return MapUnderWay(this, [](PoolClient* client) { client->impl_->end_map(); });
}

PoolClient::PoolClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PoolClient::~PoolClient() = default;

absl::StatusOr<std::shared_ptr<PoolClient>> PoolClient::start(const PoolOptions& options) {
  if (absl::Status status = refuse_before_enter("Pool::create"); !status.ok()) return status;
  const std::uint32_t workers = options.workers != 0 ? options.workers : usable_cpus();
  if (workers > layout::kMaxWorkers) {
    return bad_workers(workers);
  }
  if (options.min_workers == 0)
    return absl::InvalidArgumentError("min_workers is 0: at least 1 worker has to stay, to notice a task");
  if (options.max_pending == 0 || options.max_pending > layout::kMaxTasks) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_pending is ", options.max_pending, ": it must be 1 to ", layout::kMaxTasks));
  }
  constexpr std::size_t kMostName = sizeof(layout::PoolHeader::name) - 1;
  if (options.name.size() > kMostName) {
    return absl::InvalidArgumentError(
        absl::StrCat("a name of ", options.name.size(), " characters: a pool's has at most ", kMostName));
  }
  freeze();
  const TableSize size(options.max_pending, std::max(options.max_pending, kMostBeyond));
  absl::StatusOr<Attachment::Pointer> attachment = absl::ResourceExhaustedError("");
  // Where the address space or a file's size is limited (ulimit -v, -f), less of it is reserved for large arguments and
  // results.
  for (std::uint64_t scale = 1; scale <= 4096 && absl::IsResourceExhausted(attachment.status()); scale *= 16) {
    const SegmentPlan plan = TaskTable::plan(workers, size, options.name, scale);
    attachment = Attachment::create({}, plan, {.max_size = TaskTable::reserved_bytes(size, scale)});
  }
  if (!attachment.ok()) return attachment.status();
  const int control = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (control < 0)
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot make an eventfd: ", std::generic_category().message(errno)));
  auto impl = std::make_unique<Impl>(*std::move(attachment), control);
  if (absl::Status status = impl->start(options); !status.ok()) return status;
  return std::shared_ptr<PoolClient>(new PoolClient(std::move(impl)));
}

std::shared_ptr<PoolClient> PoolClient::current() {
  static const std::shared_ptr<PoolClient> kNone(new PoolClient(nullptr));
  WorkerPool* const here = WorkerPool::here();
  return here != nullptr && here->in_task() ? here->client() : kNone;
}

std::shared_ptr<Ticket> PoolClient::submit(const Submission& submission) { return submit_if(submission, true); }

std::shared_ptr<Ticket> PoolClient::try_submit(const Submission& submission) { return submit_if(submission, false); }

std::shared_ptr<Ticket> PoolClient::submit_if(const Submission& submission, bool wait) {
  if (impl_ == nullptr) return std::make_shared<Ticket>(no_pool());
  if (!submission.function) {
    return std::make_shared<Ticket>(refused(
        "the task's function came from a library that was loaded after the pool was made: workers do not know it"));
  }
  const WorkerPool::Submit under_way(impl_->worker());
  absl::Status refusal;
  const bool of_map = submission.chunk;
  if (!of_map) {  // a map has been asked when it began; what resize() took since is for any
    if (absl::Status status = check_worker(submission.options); !status.ok())
      return std::make_shared<Ticket>(std::move(status));
  }
  const std::optional<TaskRef> task = impl_->acquire(wait, of_map, refusal);
  if (!task) return refusal.ok() ? nullptr : std::make_shared<Ticket>(refusal);

  NewTask draft(*impl_, *task);
  if (absl::Status status = draft.write(submission.encode); !status.ok()) {
    TaskError error;
    error.kind = TaskError::Kind::kRefused;
    error.what = std::string(status.message());
    return std::make_shared<Ticket>(with_task_error(std::move(status), error));
  }
  if (absl::Status status = impl_->refusal(of_map); !status.ok()) return std::make_shared<Ticket>(std::move(status));
  layout::TaskSlot& slot = impl_->table().slot(task->slot);
  slot.function_module = submission.function->module;
  slot.function_offset = submission.function->offset;
  slot.retries =
      std::min(submission.options.retries, layout::TaskState::kAttemptMask - 1);  // what an attempt can count
  slot.retry_on = static_cast<std::uint16_t>(submission.options.retry_on);
  const bool has_extras = has_any_extras(submission.options);
  if (has_extras) [[unlikely]] {
    if (absl::Status status = write_extras(*task, submission); !status.ok())
      return std::make_shared<Ticket>(std::move(status));
  }
  auto ticket = std::make_shared<Ticket>(shared_from_this(), task->slot, task->generation, submission.chunk);
  impl_->remember(*ticket);
  draft.publish();
  impl_->published(*task, has_extras ? &submission : nullptr);
  return ticket;
}

absl::Status PoolClient::check_worker(const TaskOptions& options) const {
  if (const WorkerPool* here = impl_->worker(); here != nullptr && options.worker == here->index()) {
    return refused(absl::StrCat("worker ", *options.worker,
                                " was asked for by a task that runs in it: who waits for that waits "
                                "for itself. Remedy: another worker, or any"),
                   absl::StatusCode::kInvalidArgument);
  }
  const std::uint32_t most = most_workers();
  if (!options.worker || *options.worker < most) return absl::OkStatus();
  return refused(
      absl::StrCat("worker ", *options.worker, " was asked for, and the pool has ", most, ", numbered from 0"),
      absl::StatusCode::kInvalidArgument);
}

bool PoolClient::has_any_extras(const TaskOptions& options) noexcept {
  return !options.name.empty() || !options.deadline.forever() || !options.soft_deadline.forever() ||
         options.backoff.ns().count() != 0 || options.priority != 0 || options.worker;
}

absl::Status PoolClient::write_extras(TaskRef task, const Submission& submission) noexcept {
  TaskTable& table = impl_->table();
  if (absl::Status status = table.commit_extras(task.slot); !status.ok()) return status;
  const TaskOptions& options = submission.options;
  const auto limit = [](Timeout d) {  // 0: none
    return d.forever() ? 0 : std::max<std::uint64_t>(static_cast<std::uint64_t>(d.ns().count()), 1);
  };
  layout::TaskExtras& extras = table.extras(task.slot);
  extras.priority.store(std::clamp(options.priority, -layout::kMostPriority, layout::kMostPriority),
                        std::memory_order_relaxed);
  extras.place.store(options.worker ? *options.worker + 1 : 0, std::memory_order_relaxed);
  extras.backoff_ns = static_cast<std::uint64_t>(options.backoff.ns().count());
  extras.not_before_ns.store(submission.after_backoff && extras.backoff_ns != 0 ? after(extras.backoff_ns) : 0,
                             std::memory_order_relaxed);
  extras.deadline_ns = limit(options.deadline);
  extras.soft_deadline_ns = limit(options.soft_deadline);
  std::memset(extras.name, 0, sizeof extras.name);
  std::memcpy(extras.name, options.name.data(), std::min(options.name.size(), sizeof extras.name));
  table.slot(task.slot).has_extras.store(1, std::memory_order_relaxed);
  return absl::OkStatus();
}

bool PoolClient::wait_for_completions(Deadline deadline, absl::FunctionRef<bool()> test) {
  return impl_ == nullptr ? test() : impl_->wait(impl_->table().completions(), deadline, test);
}

std::uint32_t PoolClient::most_workers() const noexcept { return impl_ == nullptr ? 1 : impl_->table().most_workers(); }
std::uint32_t PoolClient::workers() const noexcept {
  if (impl_ == nullptr) return 0;
  const std::uint32_t most = most_workers();
  const std::uint32_t retired = impl_->table().header().retired.load(std::memory_order_relaxed);
  return most - std::min(retired, most - 1);  // after a resize() they may be of the number before, and one stays
}
absl::Status PoolClient::resize(std::uint32_t workers) { return impl_->resize(workers); }
bool PoolClient::mine() const noexcept { return impl_ == nullptr || impl_->mine(); }
void PoolClient::close() { impl_->close(); }
void PoolClient::cancel_pending() { impl_->cancel_pending(); }
void PoolClient::terminate() { impl_->change_phase(PoolPhase::kTerminating); }
absl::Status PoolClient::join(Deadline deadline) { return impl_->join(deadline); }

}  // namespace warren::detail
