// What victims do to the task table.
#pragma once
#include "crash/table_trial.h"

namespace warren::test {

using Phase = TaskState::Phase;
using Hints = TableState::Hints;
using Dead = TableState::Dead;
using Condemned = TableState::Condemned;

// --- workers
inline constexpr TableOperation kDoSmall{.name = "do_small", .run = [](TableTrial& t) { t.work({}); }};
inline constexpr TableOperation kDoGrown{.name = "do_grown", .run = [](TableTrial& t) { t.work({kSmall, kLarge}); }};
inline constexpr TableOperation kFail{.name = "fail", .run = [](TableTrial& t) { t.work({kSmall}, Phase::kFailed); }};
inline constexpr TableOperation kTryAgain{.name = "try_again", .run = [](TableTrial& t) { t.fail_and_try_again({}); }};
inline constexpr TableOperation kTryAgainGrown{.name = "try_again_grown", .run = [](TableTrial& t) {
                                                 t.fail_and_try_again({kSmall, kLarge});
                                               }};

// --- submitters
inline constexpr TableOperation kSubmit{
    .name = "submit", .run = [](TableTrial& t) { (void)t.submit(kVictims, 0, {}); }, .submits = true};
inline constexpr TableOperation kSubmitGrown{.name = "submit_grown",
                                             .run =
                                                 [](TableTrial& t) {
                                                   (void)t.submit(kVictims, 0, {kSmall, kLarge});
                                                 },
                                             .submits = true};
// A task's: nobody waits for what it had submitted once its worker is dead.
inline constexpr TableOperation kSubmitWithin{
    .name = "submit_within", .run = [](TableTrial& t) { t.submit_within({kSmall}); }, .nests = true};
inline constexpr TableOperation kWithdraw{.name = "withdraw",
                                          .run =
                                              [](TableTrial& t) {
                                                (void)t.submit(kVictims, 0, {kSmall, kLarge}, true);
                                              },
                                          .submits = true};
inline constexpr TableOperation kAbandon{
    .name = "abandon", .run = [](TableTrial& t) { (void)t.table().abandon(t.first()); }, .submits = true};
inline constexpr TableOperation kFree{
    .name = "free", .run = [](TableTrial& t) { t.table().free(t.first()); }, .submits = true};

inline constexpr TableOperation kCancel{
    .name = "cancel", .run = [](TableTrial& t) { t.cancel_first(); }, .submits = true, .cancels = true};
inline constexpr TableOperation kKill{
    .name = "kill", .run = [](TableTrial& t) { t.kill_first(); }, .submits = true, .cancels = true};

// --- supervisors
inline constexpr TableOperation kSettle{
    .name = "settle", .run = [](TableTrial& t) { t.settle_earlier_death(); }, .supervises = true};

// --- states
inline constexpr TableState kOne{.name = "one"};
inline constexpr TableState kTwo{.name = "two", .pending = 2, .retries = 2};
inline constexpr TableState kLargeArguments{.name = "large_arguments", .large = true};
inline constexpr TableState kForgotten{.name = "forgotten", .retries = 1, .abandoned = true, .large = true};
inline constexpr TableState kHintTwice{.name = "hint_twice", .pending = 2, .hints = Hints::kTwice};
inline constexpr TableState kScan{.name = "scan", .pending = 2, .retries = 1, .hints = Hints::kRescan};
inline constexpr TableState kHintGone{.name = "hint_gone", .pending = 3, .dead = Dead::kTookHint};
inline constexpr TableState kClaimedByDead{.name = "claimed_by_dead", .pending = 2, .dead = Dead::kClaimed};
inline constexpr TableState kRetryOfDead{.name = "retry_of_dead", .retries = 1, .large = true, .dead = Dead::kGrew};
inline constexpr TableState kLossOfDead{.name = "loss_of_dead", .large = true, .dead = Dead::kGrew};
inline constexpr TableState kForgottenByDead{
    .name = "forgotten_by_dead", .abandoned = true, .large = true, .dead = Dead::kGrew};
inline constexpr TableState kNestedByDead{.name = "nested_by_dead", .dead = Dead::kTookHint, .nested = true};
inline constexpr TableState kFollowed{.name = "followed", .followed = true};
inline constexpr TableState kKilledMeanwhile{.name = "killed_meanwhile", .retries = 2, .killed_meanwhile = true};
inline constexpr TableState kOutOfTime{.name = "out_of_time",
                                       .pending = 2,
                                       .retries = 1,
                                       .dead = Dead::kGrew,
                                       .condemned = Condemned::kDeadline,
                                       .killed_meanwhile = true};
inline constexpr TableState kLastOutOfTime{
    .name = "last_out_of_time", .dead = Dead::kClaimed, .condemned = Condemned::kDeadline};
inline constexpr TableState kKilled{
    .name = "killed", .retries = 1, .large = true, .dead = Dead::kGrew, .condemned = Condemned::kCancelled};
inline constexpr TableState kEnded{.name = "ended", .large = true, .ended = true};

using Side = TableState::Side;
inline constexpr TableState kPriorities{.name = "priorities", .pending = 3, .retries = 2, .side = Side::kPriority};
inline constexpr TableState kPinned{.name = "pinned", .pending = 2, .retries = 2, .side = Side::kPinned};
inline constexpr TableState kPriorityHintGone{
    .name = "priority_hint_gone", .pending = 3, .dead = Dead::kClaimed, .side = Side::kPriority};

inline std::string name_of(const TableOperation& operation, const TableState& state) {
  return std::string(operation.name) + "_" + state.name;
}

}  // namespace warren::test
