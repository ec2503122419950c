// Signals of the whole program, awaited in one place: for as long as it is there.
#pragma once
#include <signal.h>

#include <array>
#include <optional>

namespace warren::detail {

class AwaitedSignals {
 public:
  AwaitedSignals();  // SIGTERM, SIGINT, SIGHUP; lets them in, too
  ~AwaitedSignals();
  AwaitedSignals(const AwaitedSignals&) = delete;
  AwaitedSignals& operator=(const AwaitedSignals&) = delete;

  [[nodiscard]] bool installed() const noexcept { return installed_; }  // false: there is one already, or no descriptor
  [[nodiscard]] int fileno() const noexcept { return read_; }           // readable when one has come
  std::optional<int> next() noexcept;

 private:
  static constexpr std::array kSignals{SIGTERM, SIGINT, SIGHUP};

  bool installed_ = false;
  int read_ = -1, write_ = -1;
  std::array<struct sigaction, kSignals.size()> before_{};
  sigset_t mask_before_{};
};

}  // namespace warren::detail
