// warren::enter(): what a spawned process does first. spawn_self.cc is its parent's side.
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>
#include <warren/pool/detail/task_error.h>
#include <warren/pool/start_method.h>

#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <exception>
#include <locale>
#include <vector>

#include "arrival.h"
#include "log.h"
#include "pidfd.h"
#include "spawn_self.h"
#include "start_record.h"

namespace warren {
namespace detail {
namespace {

// Plain: main() sets it before it has threads.
const std::vector<std::string>* entered = nullptr;

[[noreturn]] void cannot_start(std::string_view why) {
  logger().error("a spawned process ends: {}", why);
  ::_exit(kCannotStart);
}

absl::StatusOr<std::vector<std::byte>> read_bytes(int descriptor, const StartHead& head) {
  std::vector<std::byte> bytes(head.bytes);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        ::pread(descriptor, bytes.data() + done, bytes.size() - done, static_cast<off_t>(sizeof head + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return absl::DataLossError("what it is to run could not be read");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

// As the application's: tasks format and compare in it. std::locale first: to set it sets the other, too.
void take_locale(const std::string& c, const std::string& cpp) {
  try {
    if (cpp != "C" && cpp != "*") std::locale::global(std::locale(cpp));
  } catch (const std::exception&) {
    logger().warn("the application's std::locale '{}' is not to be had here", cpp);
  }
  const char* const now = std::setlocale(LC_ALL, nullptr);  // NOLINT(concurrency-mt-unsafe): one thread, as below
  if (now != nullptr && c == now) return;
  if (std::setlocale(LC_ALL, c.c_str()) == nullptr)  // NOLINT(concurrency-mt-unsafe)
    logger().warn("the application's locale '{}' is not to be had here", c);
}

absl::Status run(Arrival& arrival) {
  const auto c = arrival.in.get<std::string>();
  const auto cpp = arrival.in.get<std::string>();
  const auto level = arrival.in.get<LogLevel>();
  auto luggage = arrival.in.get<Luggage>();
  if (!luggage.ok()) return luggage.status();
  for (const int fd : *luggage) (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
  arrival.luggage = *std::move(luggage);
  set_log_level(*level);
  take_locale(*c, *cpp);
  switch (arrival.kind) {
    case StartKind::kPool: return run_spawned_pool(arrival);
    case StartKind::kProcess: return run_spawned_process(arrival);
  }
  return absl::DataLossError("what it is to run is of no kind");
}

[[noreturn]] void run(const StartPlace& place, const StartHead& head) {
  for (const int fd : {place.descriptor, head.application_pidfd, head.answers}) (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
  note_entered(place.descriptor);
  freeze();
  absl::Status status;
  try {
    if (::getppid() == 0) {
      status = absl::FailedPreconditionError(
          "a process cannot be spawned into another pid namespace (unshare(CLONE_NEWPID)): neither it nor its parent "
          "would know the other. Remedy: spawn before, or begin a program there that spawns");
    } else if (head.warren.module == 0 || head.warren != id_of_warren()) {
      status = absl::FailedPreconditionError(
          "a process was spawned with another build of Warren than its parent has: the library was replaced since that "
          "began. Remedy: start the program again");
    } else if (absl::StatusOr<std::vector<std::byte>> bytes = read_bytes(place.descriptor, head); !bytes.ok()) {
      status = bytes.status();
    } else {
      ::close(place.descriptor);
      Arrival arrival{.kind = head.kind,
                      .in = Reader(*bytes),
                      .application_pidfd = head.application_pidfd,
                      .answers = head.answers};
      status = run(arrival);  // returns only where it could not begin
    }
  } catch (...) {
    status = status_of_current_exception(0);
  }
  send_answer(head.answers, status);
  ::_exit(kCannotStart);
}

// Else it is another's: its parent started us, with what it has not got rid of yet, or it was left in the environment
// by somebody, and we are what we are.
bool for_us(const StartPlace& place, const std::optional<StartHead>& head) {
  if (is_meant(place, head)) return true;
  if (head && has_ended(head->application_pidfd)) cannot_start("who spawned it has ended");
  return false;
}

void enter_once(int argc, char** argv) {
  auto* const arguments = new std::vector<std::string>;  // never destroyed: processes may be spawned while it exits
  for (int i = 0; i < argc && argv[i] != nullptr; ++i) arguments->emplace_back(argv[i]);
  entered = arguments;

  const std::optional<StartPlace> place = start_place();
  ::unsetenv(kStartVariable);  // NOLINT(concurrency-mt-unsafe): main() begins
  if (!place) return;
  if (::getauxval(AT_SECURE) != 0) cannot_start("it is setuid, and does not trust what it finds");
  const std::optional<StartHead> head = read_start_head(place->descriptor);
  if (!for_us(*place, head)) return;
  if (!head)
    cannot_start("descriptors were closed before main() came to warren::enter(), and what it is to run with them");
  run(*place, *head);
}

}  // namespace

const std::vector<std::string>* entered_with() noexcept { return entered; }

}  // namespace detail

void enter(int argc, char** argv) noexcept {
  if (detail::entered_with() == nullptr) detail::enter_once(argc, argv);
}

}  // namespace warren
