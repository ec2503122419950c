#include "current_process.h"

#include <unistd.h>

namespace warren {
namespace {

ProcessInfo& own_info() {
  static auto* const info = new ProcessInfo{.name = "MainProcess"};
  return *info;
}

}  // namespace

void detail::set_current_process(const ProcessInfo& info) { own_info() = info; }

ProcessInfo current_process() {
  ProcessInfo info = own_info();
  info.pid = ::getpid();
  return info;
}

}  // namespace warren
