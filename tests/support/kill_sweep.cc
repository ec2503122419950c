#include "support/kill_sweep.h"

#include <algorithm>
#include <cstdlib>
#include <iomanip>
#include <ostream>
#include <sstream>

#include "support/stepper.h"

namespace warren::test {
namespace {

constexpr std::size_t kFaultsKept = 8;

std::unique_ptr<Stepped> start(Trial& trial) {
  return std::make_unique<Stepped>([&] { trial.warm(); }, [&] { trial.operation(); });
}

// One run to the end, which shows the way.
Path first_run(const MakeTrial& make, Coverage& coverage) {
  Path path;
  const std::unique_ptr<Trial> trial = make();
  const auto victim = start(*trial);
  while (victim->state() == Stepped::State::kReady) {
    path.append(victim->address());
    if (victim->step() != Stepped::State::kAsleep) continue;
    path.sleeps.push_back(path.size() - 1);
    trial->wake_victim();
    (void)victim->await_call();
  }
  const bool finished = victim->state() == Stepped::State::kFinished && victim->release();
  coverage.instructions = path.size();
  coverage.distinct = path.distinct();
  Verdict verdict = trial->survive(finished);
  if (!finished) verdict.add(Fault::Kind::kOther, "the first run ended early: " + victim->what());
  coverage.note(verdict, "not killed");
  return path;
}

// The instruction after the k-th that is looked at next.
std::size_t next_of(std::size_t k, const Path& path, const SweepOptions& options) {
  if (options.stride != 1) return k + (k + options.stride + options.all_of_last >= path.size() ? 1 : options.stride);
  do {
    ++k;
  } while (k < path.size() && path.amid_loop(k) && !whole_product());
  return k;
}

enum class Death { kBetweenInstructions, kAsleep };

void kill_after(const MakeTrial& make, const Path& path, std::size_t count, Death death, Coverage& coverage) {
  const std::unique_ptr<Trial> trial = make();
  const auto victim = start(*trial);
  (void)victim->advance(path, count, [&] { trial->wake_victim(); });
  if (death == Death::kAsleep) {
    if (victim->step() == Stepped::State::kAsleep) ++coverage.asleep;
  }
  const bool finished = victim->state() == Stepped::State::kFinished;
  const bool gone = victim->state() == Stepped::State::kGone;
  const bool on_path = count < path.size() ? victim->address() == path.addresses[count] : finished;
  if (death == Death::kBetweenInstructions && !on_path) ++coverage.astray;
  // As many deaths that a parent has seen as ones that it has not.
  if (count % 2 == 0) {
    victim->kill();
  } else {
    victim->kill_zombie();
  }
  ++coverage.kills;
  const std::string window = trial->window(victim->pid());
  ++coverage.windows[window];
  Verdict verdict = trial->survive(finished);
  if (gone) verdict.add(Fault::Kind::kOther, "the victim went by itself: " + victim->what());
  coverage.recovery.push_back(verdict.recovery);
  coverage.note(verdict, "killed after " + std::to_string(count) + " of " + std::to_string(path.size()) +
                             " instructions (" + window + (death == Death::kAsleep ? ", asleep)" : ")"));
}

}  // namespace

void Verdict::add(Fault::Kind kind, std::string text) { faults.push_back({.kind = kind, .text = std::move(text)}); }

Coverage kill_after_every_instruction(const std::string& name, const MakeTrial& make, const SweepOptions& options) {
  const OneProcessor one;
  Coverage coverage{.name = name};
  const Path path = first_run(make, coverage);
  for (std::size_t k = 0; k < path.size(); k = next_of(k, path, options)) {
    kill_after(make, path, k, Death::kBetweenInstructions, coverage);
  }
  kill_after(make, path, path.size(), Death::kBetweenInstructions, coverage);
  for (const std::size_t sleep : path.sleeps) kill_after(make, path, sleep, Death::kAsleep, coverage);
  return coverage;
}

Coverage kill_around_every_system_call(const std::string& name, const MakeTrial& make) {
  Coverage coverage{.name = name, .unit = "calls"};
  for (bool finished = false; !finished; ++coverage.instructions) {
    const std::unique_ptr<Trial> trial = make();
    const auto victim = start(*trial);
    for (std::size_t call = 0; call < coverage.instructions; ++call) (void)victim->next_call();
    finished = victim->state() == Stepped::State::kFinished;
    victim->kill();
    ++coverage.kills;
    const std::string window = trial->window(victim->pid());
    ++coverage.windows[window];
    Verdict verdict = trial->survive(finished);
    if (!victim->what().empty()) {
      verdict.add(Fault::Kind::kOther, "the victim went by itself: " + victim->what());
      finished = true;
    }
    coverage.recovery.push_back(verdict.recovery);
    coverage.note(verdict, "killed after " + std::to_string(coverage.instructions) + " system calls (" + window + ")");
  }
  return coverage;
}

Coverage pause_after_every_instruction(const std::string& name, const MakeTrial& make, const SweepOptions& options) {
  const OneProcessor one;
  Coverage coverage{.name = name};
  const Path path = first_run(make, coverage);
  for (std::size_t k = 0; k <= path.size(); k = next_of(k, path, options)) {
    const std::unique_ptr<Trial> trial = make();
    const auto victim = start(*trial);
    const auto wake = [&] { trial->wake_victim(); };
    (void)victim->advance(path, k, wake);
    trial->interfere();
    ++coverage.pauses;
    const bool finished = victim->run(wake) == Stepped::State::kFinished && victim->release();
    Verdict verdict = trial->survive(finished);
    if (!finished) verdict.add(Fault::Kind::kOther, "it did not finish: " + victim->what());
    coverage.note(verdict, "held after " + std::to_string(k) + " of " + std::to_string(path.size()) + " instructions");
  }
  return coverage;
}

Coverage pause_then_kill(const std::string& name, const MakeTrial& make, const SweepOptions& options) {
  const OneProcessor one;
  Coverage coverage{.name = name};
  const Path path = first_run(make, coverage);
  for (std::size_t i = 0; i < path.size(); i = next_of(i, path, options)) {
    bool finished = false;
    for (std::size_t j = 1; !finished; ++j) {
      const std::unique_ptr<Trial> trial = make();
      const auto victim = start(*trial);
      const auto wake = [&] { trial->wake_victim(); };
      (void)victim->advance(path, i, wake);
      trial->interfere();
      ++coverage.pauses;
      for (std::size_t step = 0; step < j && victim->state() == Stepped::State::kReady; ++step) {
        if (victim->step() != Stepped::State::kAsleep) continue;
        wake();
        (void)victim->await_call();
      }
      finished = victim->state() != Stepped::State::kReady;
      victim->kill();
      ++coverage.kills;
      const std::string window = trial->window(victim->pid());
      ++coverage.windows[window];
      const Verdict verdict = trial->survive(finished);
      coverage.recovery.push_back(verdict.recovery);
      coverage.note(verdict,
                    "held after " + std::to_string(i) + ", killed " + std::to_string(j) + " later (" + window + ")");
    }
  }
  return coverage;
}

void Coverage::note(const Verdict& verdict, const std::string& where) {
  buried += verdict.buried;
  for (const Fault& fault : verdict.faults) {
    ++faults[fault.kind];
    if (first_faults.size() < kFaultsKept) {
      first_faults.push_back(std::string(kind_name(fault.kind)) + ": " + fault.text + "; " + where);
    }
  }
}

void Coverage::add(const Coverage& other) {
  unit = other.unit;
  instructions += other.instructions;
  kills += other.kills;
  asleep += other.asleep;
  pauses += other.pauses;
  astray += other.astray;
  buried += other.buried;
  for (const auto& [window, count] : other.windows) windows[window] += count;
  for (const auto& [kind, count] : other.faults) faults[kind] += count;
  recovery.insert(recovery.end(), other.recovery.begin(), other.recovery.end());
  first_faults.insert(first_faults.end(), other.first_faults.begin(), other.first_faults.end());
}

std::string Coverage::complaints() const {
  std::string text;
  for (const auto& [kind, count] : faults)
    text += std::string(kind_name(kind)) + " " + std::to_string(count) + " times\n";
  for (const std::string& fault : first_faults) text += "  " + fault + "\n";
  return text;
}

std::ostream& operator<<(std::ostream& out, const Coverage& coverage) {
  out << std::left << std::setw(52) << coverage.name << std::right << std::setw(6) << coverage.instructions << " "
      << coverage.unit << std::setw(7) << coverage.kills << " kills";
  if (coverage.asleep != 0) out << " (" << coverage.asleep << " asleep)";
  if (coverage.pauses != 0) out << std::setw(7) << coverage.pauses << " held";
  if (coverage.astray != 0) out << ", " << coverage.astray << " off the path";
  out << " |";
  for (const auto& [window, count] : coverage.windows) out << " " << window << " " << count;
  out << " | buried " << coverage.buried;
  if (!coverage.recovery.empty()) out << " | recovery " << quantiles(coverage.recovery);
  for (const auto kind : {Fault::Kind::kLost, Fault::Kind::kDoubled, Fault::Kind::kTorn, Fault::Kind::kHung}) {
    const auto found = coverage.faults.find(kind);
    out << (kind == Fault::Kind::kLost ? " | " : ", ") << kind_name(kind) << " "
        << (found == coverage.faults.end() ? 0 : found->second);
  }
  return out;
}

std::string quantiles(std::vector<std::chrono::nanoseconds> samples) {
  if (samples.empty()) return "none";
  std::ranges::sort(samples);
  const auto at = [&](double q) {
    const auto index = static_cast<std::size_t>(q * static_cast<double>(samples.size() - 1));
    return std::chrono::duration<double, std::milli>(samples[index]).count();
  };
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << "p50 " << at(0.5) << " p99 " << at(0.99) << " max " << at(1.0) << " ms";
  return text.str();
}

bool whole_product() { return std::getenv("WARREN_SOAK_SECONDS") != nullptr; }

}  // namespace warren::test
