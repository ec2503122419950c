#include "crash/ipc_points.h"

namespace warren::test {
namespace {

PointTotal& total = *[] {
  auto* const made = new PointTotal("ipc");
  testing::AddGlobalTestEnvironment(made);
  return made;
}();

}  // namespace

void sweep(const std::string& name, const std::function<std::unique_ptr<Trial>()>& make) {
  expect_survived(total, kill_at_every_point(name, make));
}

}  // namespace warren::test
