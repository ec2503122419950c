// The every-instruction harness: an operation is stepped in a child, the child is killed (or merely held) after k of
// its instructions, for every k, and the survivors have to get along.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/history.h"

namespace warren::test {

// What the survivors found.
struct Verdict {
  void add(Fault::Kind kind, std::string text);

  std::vector<Fault> faults;
  std::chrono::nanoseconds recovery{};  // until everything that had been pushed was out
  std::size_t buried = 0;               // dead claims that were passed
};

// One victim's operation on one fresh object, and what must hold after it. Made anew for each kill.
class Trial {
 public:
  virtual ~Trial() = default;
  // In the victim: what comes before the first instruction that is stepped, and the operation itself.
  virtual void warm() {}
  virtual void operation() = 0;
  // In the tracer. The victim sleeps in a system call: brings what it waits for.
  virtual void wake_victim() {}
  // The victim stands still between two instructions: others work on meanwhile.
  virtual void interfere() {}
  // In the midst of what the victim died, by what it left in shared memory.
  virtual std::string window(pid_t victim) = 0;
  // In a second victim, who meets what the first one left: works on and puts it right.
  virtual void rescue() {}
  // In the tracer. Others than the victim have worked since, so that only what holds of any history can be checked.
  virtual void loosen() {}
  // The survivors drain, refill and check. `finished`: the operation came to its end.
  virtual Verdict survive(bool finished) = 0;
};

using MakeTrial = std::function<std::unique_ptr<Trial>()>;

// Where the kills go: everywhere. In the ordinary suite a loop is left alone in its turns between the second and the
// last (whole_product() has them, too).
struct SweepOptions {
  std::size_t stride = 1;       // every stride-th instruction, where an operation has too many even so,
  std::size_t all_of_last = 0;  // but each one of the last so many
};

struct Coverage {
  std::string name;
  const char* unit = "instr";
  std::size_t instructions = 0;  // of the operation, or its system calls
  std::size_t distinct = 0;      // different ones
  std::size_t kills = 0;
  std::size_t asleep = 0;  // of these, in a system call
  std::size_t pauses = 0;  // stood still while others worked
  std::size_t astray = 0;  // left the path of the first run
  std::size_t buried = 0;
  std::map<std::string, std::size_t> windows = {};  // kills in each
  std::vector<std::chrono::nanoseconds> recovery = {};
  std::map<Fault::Kind, std::size_t> faults = {};
  std::vector<std::string> first_faults = {};

  [[nodiscard]] bool clean() const noexcept { return faults.empty(); }
  [[nodiscard]] std::string complaints() const;
  void add(const Coverage& other);
  void note(const Verdict& verdict, const std::string& where);
};
std::ostream& operator<<(std::ostream& out, const Coverage& coverage);

// Kills after every instruction, also in every system call that sleeps. Every other victim stays a zombie meanwhile.
Coverage kill_after_every_instruction(const std::string& name, const MakeTrial& make, const SweepOptions& options = {});

// Kills before and after every system call. Where processes meet in the file system only, that is everywhere.
Coverage kill_around_every_system_call(const std::string& name, const MakeTrial& make);

// Holds the victim after every instruction while the others interfere(), and lets it finish: the living must lose
// nothing, however slow they are.
Coverage pause_after_every_instruction(const std::string& name, const MakeTrial& make,
                                       const SweepOptions& options = {});

// Both at once: holds after every i-th instruction, kills at every later one.
Coverage pause_then_kill(const std::string& name, const MakeTrial& make, const SweepOptions& options = {});

// "p50 1.2 ms, p99 2.0 ms, max 3.1 ms of 512".
std::string quantiles(std::vector<std::chrono::nanoseconds> samples);

// True where the whole product is wanted: under tools/soak.sh.
bool whole_product();

}  // namespace warren::test
