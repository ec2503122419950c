// Pipes of a program that has a pool: its supervisor and workers hold none of their ends.
#include <gtest/gtest.h>
#include <warren/ipc/pipe.h>
#include <warren/pool/pool.h>

#include <optional>

#include "support/resources.h"

namespace warren {
namespace {

std::optional<Connection> inherited;

TEST(PipePoolTest, WorkersHoldNoEndOfTheApplications) {
  auto [mine, theirs] = Pipe::create().value();
  inherited = std::move(theirs);
  auto pool = Pool::create({.workers = 2}).value();
  const auto refused = pool.submit([] { return absl::IsFailedPrecondition(inherited->send(1)); });
  EXPECT_TRUE(refused.get().value());
  inherited.reset();
  EXPECT_TRUE(absl::IsOutOfRange(mine.recv<int>().status())) << "while the pool lives";
}

}  // namespace
}  // namespace warren
