// What those cost who do nothing: processes that sleep for an Event, or for an item of a Queue, and for a descriptor of
// one (fileno(): the mirror). Prints, for each process, the processor's time and the wakes that the kernel counted.
//     idle_bench [seconds]    20 of them for each row, if not said otherwise
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/event.h>
#include <warren/ipc/queue.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace warren {
namespace {

struct Spent {
  std::uint64_t ns = 0, wakes = 0;
};

// Of all its threads. /proc/PID/stat says the same in hundredths of a second.
Spent spent_by(pid_t pid) {
  Spent sum;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::uint64_t ns = 0;
    std::ifstream(task.path() / "schedstat") >> ns;
    sum.ns += ns;
    std::ifstream status(task.path() / "status");
    for (std::string key; status >> key;) {
      std::uint64_t switches = 0;
      if (key == "voluntary_ctxt_switches:" && status >> switches) sum.wakes += switches;
    }
  }
  return sum;
}

void measure(const char* what, int processes, std::chrono::seconds time, const std::function<void()>& sleep) {
  std::vector<pid_t> sleepers;
  for (int i = 0; i < processes; ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) std::abort();
    if (pid == 0) {
      sleep();
      ::_exit(1);
    }
    sleepers.push_back(pid);
  }
  const auto spent_by_all = [&sleepers] {
    Spent sum;
    for (const pid_t pid : sleepers) {
      const Spent spent = spent_by(pid);
      sum.ns += spent.ns;
      sum.wakes += spent.wakes;
    }
    return sum;
  };
  std::this_thread::sleep_for(std::chrono::seconds(2));  // all have come to rest
  const Spent before = spent_by_all();
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(time);
  const Spent after = spent_by_all();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double share = 100 * static_cast<double>(after.ns - before.ns) / 1e9 / seconds;
  const double wakes = static_cast<double>(after.wakes - before.wakes) / seconds;
  std::printf("%-8s %9d %20.3f %14.3f %21.1f\n", what, processes, share / processes, share, wakes / processes);
  std::fflush(stdout);
  for (const pid_t pid : sleepers) ::kill(pid, SIGKILL);
  for (const pid_t pid : sleepers) ::waitpid(pid, nullptr, 0);
}

int run(std::chrono::seconds time) {
  std::printf("%-8s %9s %20s %14s %21s\n", "asleep", "processes", "% of a core, each", "% in all",
              "wakes a second, each");
  for (const int processes : {1, 16, 80}) {
    auto event = Event::create();
    auto queue = Queue<int>::create({.capacity = 8});
    auto mirrored = Queue<int>::create({.capacity = 8});
    if (!event.ok() || !queue.ok() || !mirrored.ok()) return 1;
    measure("Event", processes, time, [&] { event->wait(); });
    measure("Queue", processes, time, [&] { (void)queue->pop(); });
    measure("fileno()", processes, time, [&] {
      pollfd fd{.fd = mirrored->fileno(), .events = POLLIN, .revents = 0};
      (void)::poll(&fd, 1, -1);
    });
  }
  return 0;
}

}  // namespace
}  // namespace warren

int main(int argc, char** argv) { return warren::run(std::chrono::seconds(argc > 1 ? std::atoi(argv[1]) : 20)); }
