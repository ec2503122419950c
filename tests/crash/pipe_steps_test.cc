// A process is killed after, or held at, every single instruction of sending and receiving, in the library as it is
// released. And two pipes with one mistake each, which the harness must find.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "crash/pipe_trial.h"
#include "crash/sweep_test.h"

namespace warren::test {
namespace {

struct PipeCase {
  PipeOperation operation;
  PipeState state;
  std::vector<std::string> windows;

  [[nodiscard]] std::string name() const { return std::string(operation.name) + "_" + state.name; }
  friend void PrintTo(const PipeCase& c, std::ostream* out) { *out << c.name(); }
};

const std::vector<std::string> kAllWindows{"no turn, not moved", "has the turn, not moved", "has the turn, moved",
                                           "no turn, moved"};

const std::vector<PipeCase> kCases{
    {kSendSmall, kPipeEmpty, kAllWindows},
    {kSendSmall, kPipeWrapped, kAllWindows},
    {kSendSmall, kPipeReceiverAsleep, {}},
    {kSendLarge, kPipeEmpty, kAllWindows},
    {kRecvSmall, kPipeMiddle, kAllWindows},
    {kRecvSmall, kPipeWrapped, kAllWindows},
    {kRecvLarge, kPipeEmpty, {"has the turn, moved"}},
};

MakeTrial maker(const PipeCase& c) {
  return [&c] { return std::make_unique<PipeTrial>(c.state, c.operation); };
}

// What is large takes thousands of instructions: all of them under tools/soak.sh.
SweepOptions options_of(const PipeCase& c) {
  return {.stride = c.operation.large && !whole_product() ? std::size_t{7} : 1};
}

class PipeKilled : public SweepTest<PipeCase> {};
TEST_P(PipeKilled, OthersGoOnWithWholeMessages) {
  const PipeCase& c = GetParam();
  expect_survived(kill_after_every_instruction(c.name(), maker(c), options_of(c)), c.windows);
}
INSTANTIATE_TEST_SUITE_P(, PipeKilled, testing::ValuesIn(kCases), kCaseName);

class PipeHeld : public SweepTest<PipeCase> {};
TEST_P(PipeHeld, NothingIsLostDoubledOrTorn) {
  const PipeCase& c = GetParam();
  expect_survived(pause_after_every_instruction(c.name(), maker(c), options_of(c)), {});
}
INSTANTIATE_TEST_SUITE_P(, PipeHeld, testing::ValuesIn(kCases), kCaseName);

// --- negative controls -----------------------------------------------------------------------------------------------

// Commits, and then writes.
constexpr PipeOperation kCommitFirst{.name = "commit_first",
                                     .run =
                                         [](PipeTrial& t) {
                                           const layout::PieceHead head{.length = sizeof(SmallMessage),
                                                                        .type = detail::message_type<SmallMessage>(),
                                                                        .first = true,
                                                                        .last = true};
                                           const std::uint64_t tail = t.words().tail, word = head.word();
                                           std::byte* const at = t.ring().data() + tail % kPipeBytes;
                                           std::memcpy(at, &word, sizeof word);
                                           t.words().tail = tail + 32;
                                           const auto message = numbered<SmallMessage>(PipeTrial::kVictims);
                                           for (std::size_t i = 0; i < message.words.size(); ++i)
                                             reinterpret_cast<volatile std::uint64_t*>(at + 8)[i] = message.words[i];
                                         },
                                     .sends = true};

TEST(PipeControl, CommittingFirstIsFoundToTear) {
  const Coverage coverage = kill_after_every_instruction(
      "commit_first", [] { return std::make_unique<PipeTrial>(kPipeEmpty, kCommitFirst); });
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(Fault::Kind::kTorn)) << "the harness overlooks it";
}

// Copies, and takes without having the turn.
constexpr PipeOperation kTakeWithoutTurn{.name = "take_without_turn", .run = [](PipeTrial& t) {
                                           const std::uint64_t head = t.words().head;
                                           SmallMessage message;
                                           std::memcpy(&message, t.ring().data() + head % kPipeBytes + 8,
                                                       sizeof message);
                                           t.words().head = head + 32;
                                           t.note_number(message.words[0], false);
                                         }};

TEST(PipeControl, TakingWithoutATurnIsFoundToDouble) {
  const Coverage coverage = pause_after_every_instruction(
      "take_without_turn", [] { return std::make_unique<PipeTrial>(kPipeMiddle, kTakeWithoutTurn); });
  std::cout << coverage << "\n" << coverage.complaints();
  EXPECT_TRUE(coverage.faults.contains(Fault::Kind::kDoubled)) << "the harness overlooks it";
}

}  // namespace
}  // namespace warren::test
