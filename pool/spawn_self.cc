#include "spawn_self.h"

#include <absl/cleanup/cleanup.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/detail/buffer_writer.h>
#include <warren/ipc/detail/file_limit.h>
#include <warren/ipc/detail/first_descriptor.h>
#include <warren/pool/detail/spawn_patience.h>
#include <warren/pool/detail/task_error.h>
#include <warren/pool/log.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <clocale>
#include <cstring>
#include <locale>
#include <optional>
#include <string_view>
#include <system_error>

#include "pidfd.h"

namespace warren::detail {
namespace {

constexpr const char* kCallEnter = "Remedy: call warren::enter(argc, argv) first in main()";

absl::Status no_process(const std::string& what, int error) {
  return absl::ResourceExhaustedError(
      absl::StrCat("a process cannot be spawned: ", what, ": ", std::generic_category().message(error)));
}

absl::Status cannot_execute(int error) {
  if (error == ENOENT && ::access("/proc/self/exe", F_OK) != 0) {
    return absl::FailedPreconditionError(
        "a process cannot be spawned: there is no /proc/self/exe. Remedy: mount /proc");
  }
  if (error == ENOENT) {
    return absl::FailedPreconditionError(
        "a process cannot be spawned: the program's dynamic loader is not there, as after chroot(). Remedy: have it "
        "and "
        "the program's libraries there, or link the program statically");
  }
  if (error == EACCES || error == EPERM || error == ENOEXEC) {
    return absl::FailedPreconditionError(
        absl::StrCat("a process cannot be spawned: this user may not execute the program (",
                     std::generic_category().message(error), ")"));
  }
  return no_process("the program could not be executed", error);
}

// The kernel would start it in secure mode, in which nothing trusts the environment.
bool privileged() noexcept {
  return ::getauxval(AT_SECURE) != 0 || ::getuid() != ::geteuid() || ::getgid() != ::getegid();
}

// Then /proc/self/exe is the dynamic loader, which would take the program's first argument for a program: the kernel
// has loaded no interpreter (it has no address), and the program wants one.
bool run_by_loader() noexcept {
  const auto wants_interpreter = [](dl_phdr_info* program, std::size_t, void*) {  // of the first, which is the program
    const std::span headers(program->dlpi_phdr, program->dlpi_phnum);
    return std::ranges::any_of(headers, [](const auto& each) { return each.p_type == PT_INTERP; }) ? 1 : 2;
  };
  return ::getauxval(AT_BASE) == 0 && ::dl_iterate_phdr(wants_interpreter, nullptr) == 1;
}

absl::Status check_program() {
  if (entered_with() == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("a process cannot be spawned: the program did not call warren::enter(). ", kCallEnter));
  }
  if (privileged()) {
    return absl::FailedPreconditionError(
        "a process cannot be spawned: the program is setuid, or has privileges that its user has not, so that what it "
        "finds when it is started anew is not to be trusted. Remedy: StartMethod::kFork");
  }
  if (run_by_loader()) {
    return absl::FailedPreconditionError(
        "a process cannot be spawned: the program was started through the dynamic loader (ld.so PROGRAM), so that "
        "/proc/self/exe is that one. Remedy: start the program itself, or StartMethod::kFork");
  }
  return absl::OkStatus();
}

// --- what it finds ---------------------------------------------------------------------------------------------------

// What all of them find, and what this one is to run.
struct Baggage {
  BufferWriter common, own;
  Luggage luggage;
};

absl::Status pack(const SpawnRequest& request, Baggage& baggage) {
  try {
    request.encode(baggage.own, baggage.luggage);
    const char* const locale = std::setlocale(LC_ALL, nullptr);  // NOLINT(concurrency-mt-unsafe): only asked
    baggage.common.put(std::string(locale == nullptr ? "C" : locale));
    baggage.common.put(std::locale().name());
    baggage.common.put(log_level());
    baggage.common.put(baggage.luggage);
  } catch (...) {
    return status_of_current_exception(0);
  }
  return baggage.own.ok() ? baggage.common.status() : baggage.own.status();
}

bool write_all(int fd, std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

// --- starting it -----------------------------------------------------------------------------------------------------

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(std::string variable) {
  const std::string_view ours = std::string_view(variable).substr(0, variable.find('=') + 1);
  std::vector<std::string> texts;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    if (!std::string_view(*each).starts_with(ours)) texts.emplace_back(*each);
  }
  texts.push_back(std::move(variable));
  return texts;
}

// posix_spawn: it copies no memory, runs none of the program's fork handlers and takes none of its locks, so it is the
// same with however many threads; and it says why the program could not be executed. In the child only glibc's own code
// runs, which is made for that.
class Recipe {
 public:
  Recipe() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
  }
  ~Recipe() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  Recipe(const Recipe&) = delete;
  Recipe& operator=(const Recipe&) = delete;

  // A dup2 to itself takes close-on-exec off: there, and not here, where another thread may exec.
  absl::Status pass(int fd) {
    if (::fcntl(fd, F_GETFD) < 0) return absl::OkStatus();  // who asks for it there says so
    const int error = ::posix_spawn_file_actions_adddup2(&actions_, fd, fd);
    if (error == 0) return absl::OkStatus();
    if (error != EBADF) return no_process("no memory for what it is to have", error);
    return absl::ResourceExhaustedError(absl::StrCat(
        "a process cannot be spawned: descriptor ", fd,
        " is to go to it, and is beyond the limit (RLIMIT_NOFILE, ulimit -n), which was lowered since it was opened"));
  }
  void mask(bool deaf) {
    sigset_t held;
    sigemptyset(&held);
    if (deaf) {
      for (const int signal : {SIGINT, SIGHUP, SIGTERM}) sigaddset(&held, signal);
    }
    ::posix_spawnattr_setsigmask(&attributes_, &held);
    sigset_t by_default;
    sigemptyset(&by_default);
    sigaddset(&by_default, SIGCHLD);  // who ignores its children's ends never learns how they ended
    ::posix_spawnattr_setsigdefault(&attributes_, &by_default);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  // 0, or the error.
  int start(pid_t& pid, const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
    return ::posix_spawn(&pid, "/proc/self/exe", &actions_, &attributes_, pointers_to(arguments).data(),
                         pointers_to(environment).data());
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// --- waiting for its answer ------------------------------------------------------------------------------------------

struct Heard {
  std::optional<absl::Status> answer{};
  bool closed = false;  // nobody is there to answer any more
};
Heard hear(int socket) noexcept {
  StartAnswer answer;
  ssize_t got = 0;
  while ((got = ::recv(socket, &answer, sizeof answer, MSG_DONTWAIT)) < 0 && errno == EINTR) {
  }
  if (got == sizeof answer) return {.answer = answer.status()};
  return {.closed = got >= 0};
}

struct End {
  std::string how;
  bool cannot_start = false;
};
End how_it_ended(int pidfd) {
  siginfo_t info{};
  int result = 0;
  while ((result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED)) != 0 && errno == EINTR) {
  }
  if (result != 0) return {"in a way that nobody knows"};  // the program has waited for it, or ignores SIGCHLD
  if (info.si_code != CLD_EXITED) return {absl::StrCat("of signal ", info.si_status)};
  return {absl::StrCat("with exit code ", info.si_status), info.si_status == kCannotStart};
}

absl::Status ended_early(int pidfd, int record) {
  const std::optional<StartHead> head = read_start_head(record);
  const End end = how_it_ended(pidfd);
  if (head && head->entered != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("a process was spawned, came to warren::enter(), and ended ", end.how,
                     " there, before it had made what it is to run of its arguments: it was killed, or a codec or the "
                     "memory ended it"));
  }
  if (end.cannot_start) {
    return absl::FailedPreconditionError(
        absl::StrCat("a process was spawned, and ended ", end.how,
                     ": it came to warren::enter() and did not find what it is to run, for a reason that it has "
                     "logged; as a rule descriptors were closed before. ",
                     kCallEnter));
  }
  return absl::FailedPreconditionError(absl::StrCat("a process was spawned, and ended ", end.how,
                                                    " before its main() came to warren::enter(). ", kCallEnter));
}

// Not by the socket's end alone: a process that another thread forks has a copy of the other side.
absl::Status await_answer(int socket, int pidfd, int record) {
  const Deadline deadline = Deadline::after(spawn_patience());
  for (;;) {
    const bool ended = has_ended(pidfd);
    const Heard heard = hear(socket);
    if (heard.answer) {
      if (!heard.answer->ok()) {
        send_signal(pidfd, SIGKILL);  // its main() may go on
        (void)how_it_ended(pidfd);
      }
      return *heard.answer;
    }
    if (ended) return ended_early(pidfd, record);
    if (deadline.expired()) {
      send_signal(pidfd, SIGKILL);
      (void)how_it_ended(pidfd);
      return absl::DeadlineExceededError(
          absl::StrCat("a process was spawned, and its main() did not come to warren::enter() in time. ", kCallEnter));
    }
    std::array<pollfd, 2> fds{{{.fd = heard.closed ? -1 : socket, .events = POLLIN, .revents = 0},
                               {.fd = pidfd, .events = POLLIN, .revents = 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining().ns());
    (void)::poll(fds.data(), fds.size(), static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
  }
}

}  // namespace

Timeout& spawn_patience() noexcept {
  static Timeout patience = std::chrono::minutes(1);
  return patience;
}

absl::StatusOr<ForkedChild> spawn(const SpawnRequest& request) {
  if (absl::Status status = check_program(); !status.ok()) return status;
  freeze();
  Baggage baggage;
  if (absl::Status status = pack(request, baggage); !status.ok()) return status;

  std::vector<int> ours;
  const absl::Cleanup close_ours = [&ours] {
    for (const int fd : ours) ::close(fd);
  };
  const auto keep = [&ours](int fd) {
    if (fd >= 0 && fd < kFirstDescriptor) {  // there it would be a standard stream
      const int low = fd;
      fd = ::fcntl(low, F_DUPFD_CLOEXEC, kFirstDescriptor);
      const int error = errno;
      ::close(low);
      errno = error;
    }
    if (fd >= 0) ours.push_back(fd);
    return fd;
  };
  const int record = keep(::memfd_create("warren-start", MFD_CLOEXEC));
  if (record < 0) return no_process("no descriptor is left", errno);
  const int application_pidfd = keep(open_pidfd(::getpid()));
  if (application_pidfd < 0) return no_process("it could not watch its parent", errno);
  std::array<int, 2> sockets{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0)
    return no_process("no descriptor is left", errno);
  for (int& socket : sockets) socket = keep(socket);
  const auto [hears, answers] = sockets;
  if (hears < 0 || answers < 0) return no_process("no descriptor is left", errno);

  const StartHead head{.warren = id_of_warren(),
                       .application_pidfd = application_pidfd,
                       .answers = answers,
                       .kind = request.kind,
                       .bytes = baggage.common.size() + baggage.own.size()};
  if (absl::Status status = check_file_limit("what a process is to run", sizeof head + head.bytes); !status.ok())
    return status;
  if (!write_all(record, std::as_bytes(std::span(&head, 1))) || !write_all(record, baggage.common.written()) ||
      !write_all(record, baggage.own.written()))
    return no_process("no memory for what it is to run", errno);

  Recipe recipe;
  std::vector<int> passed{record, application_pidfd, answers};
  passed.insert(passed.end(), baggage.luggage.begin(), baggage.luggage.end());
  passed.insert(passed.end(), request.keep.begin(), request.keep.end());
  for (const int fd : passed) {
    if (absl::Status status = recipe.pass(fd); !status.ok()) return status;
  }
  recipe.mask(request.deaf);
  ForkedChild child;
  const int error = recipe.start(child.pid, *entered_with(),
                                 environment_with(start_variable({.parent = ::getpid(), .descriptor = record})));
  if (error != 0) return cannot_execute(error);
  watch(child);
  if (child.pidfd < 0) return no_process("it cannot be watched, and was killed", errno);
  ::close(answers);
  std::erase(ours, answers);
  if (absl::Status status = await_answer(hears, child.pidfd, record); !status.ok()) {
    ::close(child.pidfd);
    return status;
  }
  return child;
}

absl::Status refuse_before_enter(const char* what) {
  if (entered_with() != nullptr) return absl::OkStatus();
  const std::optional<StartPlace> place = start_place();
  if (!place) return absl::OkStatus();
  const std::optional<StartHead> head = read_start_head(place->descriptor);
  if (!is_meant(*place, head)) return absl::OkStatus();
  absl::Status refused = absl::FailedPreconditionError(
      absl::StrCat("a process was spawned, and its main() came to ", what, " before warren::enter(). ", kCallEnter));
  if (head) send_answer(head->answers, refused);
  return refused;
}

}  // namespace warren::detail
