#include "worker_group_process.h"

#include <absl/strings/str_cat.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/detail/connections.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "child_process.h"
#include "current_process.h"
#include "log.h"
#include "pidfd.h"
#include "run_target.h"
#include "worker_signal.h"

namespace warren::detail {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int kNobody = -1;  // is told that a worker begins
constexpr auto kEarly = 1s;  // a worker that ends sooner than that is replaced after a while
constexpr std::chrono::nanoseconds kLongestBackoff = 10s;

std::string how_it_ended(const siginfo_t& info) {
  return info.si_code == CLD_EXITED ? absl::StrCat("with exit code ", info.si_status)
                                    : absl::StrCat("of signal ", info.si_status);
}

struct GroupWorker {
  pid_t pid = 0;
  int pidfd = -1;
  Clock::time_point started;
  Clock::time_point kill_at = Clock::time_point::max();  // after it was told to end
};

// One of the group's numbers, and who has it.
struct Place {
  std::optional<GroupWorker> worker;
  int early_ends = 0;       // in a row
  Clock::time_point due{};  // without a worker: when there is to be one
};

class Group {
 public:
  explicit Group(const GroupStart& start) : start_(start), self_(::getpid()), places_(start.workers) {
    sigset_t ours;
    sigemptyset(&ours);
    for (const int signal : {SIGTERM, SIGHUP, SIGPIPE}) sigaddset(&ours, signal);  // stderr may be a broken pipe
    ::pthread_sigmask(SIG_BLOCK, &ours, nullptr);                                  // until reset_signals() in a worker
    sigdelset(&ours, SIGPIPE);
    signals_ = ::signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  void run() {
    const absl::Status forked = signals_ < 0 ? cannot_fork() : fork_all(places_, kNobody);
    send(start_.reloads, GroupOutcome::of(forked));
    if (!forked.ok()) stop();
    while (!(stopping_ && nobody_left())) wait_for_news();
  }

 private:
  [[nodiscard]] bool nobody_left() const {
    return old_.empty() && std::ranges::none_of(places_, [](const Place& place) { return place.worker.has_value(); });
  }

  static absl::Status cannot_fork() {
    return absl::ResourceExhaustedError(
        absl::StrCat("a worker could not be forked: ", std::generic_category().message(errno)));
  }

  // --- forking

  // `bell`: rung when it begins to run its target.
  std::optional<GroupWorker> fork_worker(std::size_t number, int bell) {
    const ForkedChild child = fork_watched([&] { be_worker(number, bell); });
    if (child.pid < 0 || child.pidfd < 0) return std::nullopt;
    return GroupWorker{.pid = child.pid, .pidfd = child.pidfd, .started = Clock::now()};
  }

  // Without its supervisor nobody would look after it, so it ends with it.
  [[noreturn]] void be_worker(std::size_t number, int bell) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != self_) ::_exit(0);
    for (const int mine : {start_.application_pidfd, start_.reloads, start_.reports, signals_}) ::close(mine);
    for (const std::vector<Place>* places : {&places_, &next_}) {
      for (const Place& place : *places) {
        if (place.worker) ::close(place.worker->pidfd);
      }
    }
    for (const GroupWorker& worker : old_) ::close(worker.pidfd);
    reset_signals(Interrupts::kIgnored);
    ::signal(SIGHUP, SIG_IGN);  // NOLINT(bugprone-signal-handler)
    Shutdown shutdown = start_.takes_shutdown ? WorkerSignal::install() : WorkerSignal::none();
    const std::string name = absl::StrCat(start_.worker_name, "-", number);
    name_process(name);
    set_current_process({.name = name});
    const std::uint64_t one = 1;
    if (bell >= 0) (void)!::write(bell, &one, sizeof one);
    if (begun_ >= 0) ::close(begun_);
    run_and_exit([&] { return (*start_.target)(shutdown); }, name, 1);
  }

  absl::Status fork_all(std::vector<Place>& places, int bell) {
    for (std::size_t i = 0; i < places.size(); ++i) {
      places[i].worker = fork_worker(i, bell);
      if (!places[i].worker) return cannot_fork();
    }
    return absl::OkStatus();
  }

  // --- ending

  void drain(GroupWorker& worker) const {
    send_signal(worker.pidfd, SIGTERM);
    const Clock::time_point now = Clock::now();
    worker.kill_at = start_.grace < Clock::time_point::max() - now ? now + start_.grace : Clock::time_point::max();
  }
  void drain_all(std::vector<Place>& places) {
    for (Place& place : places) {
      if (!place.worker) continue;
      drain(*place.worker);
      old_.push_back(*std::exchange(place.worker, std::nullopt));
    }
  }
  void stop() {
    if (std::exchange(stopping_, true)) return;
    if (reloading_) result_ = absl::FailedPreconditionError("the group was stopped");
    again_ = false;
    drain_all(next_);
    next_.clear();
    drain_all(places_);
  }

  // --- reloading: new ones first, then the old ones drain

  void reload(bool answer) {
    if (stopping_)
      return answer ? send(start_.reloads, GroupOutcome::of(absl::FailedPreconditionError("the group was stopped")))
                    : void();
    if (reloading_) {
      again_ = true, answer_again_ |= answer;
      return;
    }
    reloading_ = true, answer_ = answer, result_ = absl::OkStatus();
    // A bell of this reload's own: who was forked for another may ring that one still.
    if (begun_ >= 0) ::close(begun_);
    begun_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    begun_count_ = 0;
    if (begun_ < 0) return give_up_reload(cannot_fork());
    next_.assign(start_.workers, Place{});
    if (absl::Status status = fork_all(next_, begun_); !status.ok()) give_up_reload(std::move(status));
  }
  // The new ones may have work already.
  void give_up_reload(absl::Status why) {
    result_ = std::move(why);
    drain_all(next_);
    next_.clear();
  }
  void go_on_reloading() {
    if (!next_.empty() && begun_count_ >= next_.size()) {
      drain_all(places_);
      places_ = std::exchange(next_, {});
    }
    if (!reloading_ || !next_.empty() || !old_.empty()) return;
    reloading_ = false;
    if (result_.ok()) logger().info("reloaded");
    if (!result_.ok() && !stopping_)
      logger().error("it cannot reload: {}; the old workers go on", std::string(result_.message()));
    if (answer_) send(start_.reloads, GroupOutcome::of(result_));
    if (std::exchange(again_, false)) reload(std::exchange(answer_again_, false));
  }
  void count_begun() {
    std::uint64_t more = 0;
    if (::read(begun_, &more, sizeof more) == sizeof more) begun_count_ += more;
  }

  // --- deaths

  static std::optional<siginfo_t> ended(const GroupWorker& worker) {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(worker.pidfd), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
      return std::nullopt;
    ::close(worker.pidfd);
    return info;
  }

  void reap() {
    std::erase_if(old_, [](const GroupWorker& worker) { return ended(worker).has_value(); });
    for (std::size_t i = 0; i < places_.size(); ++i) {
      Place& place = places_[i];
      if (!place.worker) continue;
      if (const std::optional<siginfo_t> info = ended(*place.worker)) replace(place, i, *info);
    }
    for (Place& place : next_) {
      if (!place.worker) continue;
      const std::optional<siginfo_t> info = ended(*place.worker);
      if (!info) continue;
      place.worker.reset();
      return give_up_reload(absl::AbortedError(absl::StrCat("a new worker ended ", how_it_ended(*info))));
    }
  }

  void replace(Place& place, std::size_t number, const siginfo_t& info) {
    const Clock::time_point now = Clock::now();
    const bool early = now - place.worker->started < kEarly;
    place.early_ends = early ? place.early_ends + 1 : 0;
    const std::chrono::nanoseconds wait = early ? backoff(place.early_ends) : 0ns;
    logger().log(place.early_ends > 1 ? spdlog::level::warn : spdlog::level::info,
                 "{}-{} ended {}; it is replaced in {} ms", start_.worker_name, number, how_it_ended(info),
                 std::chrono::ceil<std::chrono::milliseconds>(wait).count());
    place.due = now + wait;
    place.worker.reset();
  }
  [[nodiscard]] std::chrono::nanoseconds backoff(int early_ends) const {
    std::chrono::nanoseconds wait = std::min(start_.restart_backoff, kLongestBackoff);
    for (int i = 1; i < early_ends && wait < kLongestBackoff; ++i) wait *= 2;
    return std::min(wait, kLongestBackoff);
  }

  void do_what_is_due() {
    const Clock::time_point now = Clock::now();
    for (GroupWorker& worker : old_) {
      if (worker.kill_at > now) continue;
      send_signal(worker.pidfd, SIGKILL);
      worker.kill_at = Clock::time_point::max();
    }
    if (stopping_) return;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      Place& place = places_[i];
      if (place.worker || place.due > now) continue;
      place.worker = fork_worker(i, kNobody);
      if (place.worker) {
        ++restarts_;
      } else {
        place.due = now + backoff(++place.early_ends);
        logger().error("{}", std::string(cannot_fork().message()));
      }
    }
  }

  // --- waiting

  [[nodiscard]] int until_something_is_due() const {
    Clock::time_point first = Clock::time_point::max();
    for (const GroupWorker& worker : old_) first = std::min(first, worker.kill_at);
    for (const Place& place : places_) {
      if (!stopping_ && !place.worker) first = std::min(first, place.due);
    }
    if (first == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(first - Clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
  }

  void wait_for_news() {
    std::vector<pollfd> fds;
    for (const int fd : {signals_, start_.application_pidfd, start_.reloads, start_.reports, begun_})
      fds.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    for (const std::vector<Place>* places : {&places_, &next_}) {
      for (const Place& place : *places) {
        if (place.worker) fds.push_back({.fd = place.worker->pidfd, .events = POLLIN, .revents = 0});
      }
    }
    for (const GroupWorker& worker : old_) fds.push_back({.fd = worker.pidfd, .events = POLLIN, .revents = 0});
    if (::poll(fds.data(), fds.size(), until_something_is_due()) < 0) {
      if (errno != EINTR) std::this_thread::sleep_for(10ms);  // no memory for it
      return;
    }
    if (fds[4].revents != 0) count_begun();
    reap();
    if (fds[0].revents != 0) heed_signals();
    if (fds[1].revents != 0) application_ended();
    std::uint64_t number = 0;
    if (fds[2].revents != 0 && requested(start_.reloads, number)) reload(/*answer=*/true);
    if (fds[3].revents != 0 && requested(start_.reports, number)) report(number);
    go_on_reloading();
    do_what_is_due();
  }

  void heed_signals() {
    signalfd_siginfo info{};
    while (::read(signals_, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGTERM) stop();
      if (info.ssi_signo == SIGHUP) reload(/*answer=*/false);
    }
  }
  void application_ended() {
    stop();
    ::close(std::exchange(start_.application_pidfd, -1));
  }
  static bool requested(int& socket, std::uint64_t& number) {
    const ssize_t got = ::recv(socket, &number, sizeof number, MSG_DONTWAIT);
    if (got == sizeof number) return true;
    const bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
    if (!later) ::close(std::exchange(socket, -1));  // nobody asks any more
    return false;
  }
  template <class Message>
  static void send(int socket, const Message& message) {
    (void)!::send(socket, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  void report(std::uint64_t request) const {
    GroupReport report{.request = request, .restarts = restarts_};
    for (const Place& place : places_) {
      if (place.worker) report.pids[report.count++] = place.worker->pid;
    }
    send(start_.reports, report);
  }

  GroupStart start_;
  const pid_t self_;
  int signals_ = -1;
  int begun_ = kNobody;           // rung by each of next_ that begins to run its target
  std::vector<Place> places_;     // who serve
  std::vector<Place> next_;       // who will, when all of them have begun
  std::vector<GroupWorker> old_;  // who drain
  std::uint64_t begun_count_ = 0;
  std::uint64_t restarts_ = 0;
  bool stopping_ = false;
  bool reloading_ = false, answer_ = false;
  bool again_ = false, answer_again_ = false;  // another reload was asked for meanwhile
  absl::Status result_;
};

}  // namespace

GroupOutcome GroupOutcome::of(const absl::Status& status) noexcept {
  GroupOutcome outcome{.code = static_cast<std::int32_t>(status.code())};
  std::string(status.message()).copy(outcome.text.data(), outcome.text.size() - 1);
  return outcome;
}
absl::Status GroupOutcome::status() const {
  return {static_cast<absl::StatusCode>(code), std::string(text.data(), ::strnlen(text.data(), text.size()))};
}

void run_worker_group(const GroupStart& start) noexcept {
  keep_connections(start.passed);
  reset_signals(Interrupts::kIgnored);
  name_process(start.name);
  set_current_process({.name = start.name, .daemon = true});
  Group(start).run();
  Attachment::leave_all_names();  // which it inherited: it may be the last to hold them
  ::_exit(0);
}

}  // namespace warren::detail
