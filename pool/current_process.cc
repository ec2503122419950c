#include "current_process.h"

#include <unistd.h>

namespace warren {
namespace {

ProcessInfo& told() {
  static auto* const info = new ProcessInfo{.name = "MainProcess"};
  return *info;
}

}  // namespace

void detail::set_current_process(const ProcessInfo& info) { told() = info; }

ProcessInfo current_process() {
  ProcessInfo info = told();
  info.pid = ::getpid();
  return info;
}

}  // namespace warren
