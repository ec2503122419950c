// The worker processes of a pool as their parent holds them: one in each place, and those that leave while the next
// one has their place already.
#pragma once
#include <poll.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "task_table.h"

namespace warren::detail {

class WorkerPlaces {
 public:
  void grow(std::uint32_t places) {
    if (places > here_.size()) here_.resize(places);
  }
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(here_.size()); }
  [[nodiscard]] pid_t pid(std::uint32_t place) const noexcept { return here_[place].pid; }  // 0: nobody
  [[nodiscard]] bool nobody() const noexcept;

  void put(std::uint32_t place, pid_t pid);
  void let_leave(std::uint32_t place);
  void kill(std::uint32_t place) const noexcept;
  void kill_all();                  // and waits for their ends
  void close_all() const noexcept;  // in a child: descriptors may be scarce there

  // For poll(); what it found is for ended_of(), before anything else changes here.
  void add_to(std::vector<pollfd>& fds) const;
  struct Ended {
    std::optional<std::uint32_t> place;  // nullopt: it was leaving
    WorkerEnd end;
  };
  // `fds` null: all are asked.
  std::vector<Ended> take_ended(const pollfd* fds);

 private:
  struct Process {
    pid_t pid = 0;
    int pidfd = -1;  // -1 with a pid: descriptors ended; looked after every slice
  };
  static std::optional<WorkerEnd> reap(Process& process);

  std::vector<Process> here_, leaving_;
};

}  // namespace warren::detail
