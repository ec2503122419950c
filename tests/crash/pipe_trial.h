// One operation on a pipe in one state, its victim, and the survivors' checks.
#pragma once
#include <warren/ipc/pipe.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "crash/shared_trial.h"
#include "support/pipe_view.h"

namespace warren::test {

inline constexpr std::size_t kPipeBytes = 128;

// Messages that tell their number in every word. A large one goes in pieces.
template <std::size_t Words>
struct Numbered {
  std::array<std::uint64_t, Words> words;
};
using SmallMessage = Numbered<3>;
using LargeMessage = Numbered<30>;
static_assert(sizeof(LargeMessage) > kPipeBytes);

template <class Message>
Message numbered(std::uint64_t number) {
  Message message;
  message.words.fill(number);
  return message;
}

struct PipeState {
  const char* name;
  int lead = 0;         // messages that went through before: where in the ring it begins
  int items = 0;        // that lie in it
  bool asleep = false;  // a receiver sleeps in recv
};

class PipeTrial;
struct PipeOperation {
  const char* name;
  void (*run)(PipeTrial& trial);
  bool sends = false;  // else it receives,
  bool large = false;  // and what comes is large
};

class PipeTrial : public Trial {
 public:
  PipeTrial(const PipeState& state, const PipeOperation& operation)
      : PipeTrial(state, operation, Pipe::create({.duplex = false, .capacity = kPipeBytes}).value()) {}

  // --- what victims do

  void send_small() { (void)out_.send(numbered<SmallMessage>(kVictims)).ok(); }
  void send_large() { (void)out_.send(numbered<LargeMessage>(kVictims)).ok(); }
  void recv_small() { note(in_.recv<SmallMessage>()); }
  void recv_large() { note(in_.recv<LargeMessage>()); }
  void watch_and_recv() {
    (void)in_.fileno();
    for (int i = 0; i < state_.items; ++i) recv_small();
    (void)in_.poll();
  }
  layout::PipeDirection& words() { return PipeView::to(in_, 0); }
  std::span<std::byte> ring() { return PipeView::ring(in_, 0); }
  void note_number(std::uint64_t number, bool torn) {
    if (torn) ++seen_->torn;
    if (number < seen_->times.size()) ++seen_->times[number];
  }

  static constexpr std::uint64_t kVictims = 20, kLast = 21, kLarge = 22, kInterfering = 23, kFinal = 24;

  // --- Trial

  void warm() override {
    (void)Reach::attachment(in_).seat();
    (void)detail::message_type<SmallMessage>();  // found out once
    (void)detail::message_type<LargeMessage>();
    if (operation_.large) set_waits(kPatience);  // so that it is seen asleep, and not woken by itself
  }
  void operation() override {
    operation_.run(*this);
    *finished_ = true;
  }
  void wake_victim() override {
    if (operation_.sends) drain(0ms);
  }
  std::string window(pid_t) override {
    const bool sending = layout::MutexState::from(words().sending.state).held;
    const bool receiving = layout::MutexState::from(words().receiving.state).held;
    const bool moved = operation_.sends ? words().tail != tail_ : words().head != head_;
    const std::string half = moved ? "moved" : "not moved";
    if (operation_.sends ? sending : receiving) return "has the turn, " + half;
    return "no turn, " + half;
  }
  // The victim stands still. Who sends would wait for its turn; so others receive, or send to it.
  void interfere() override {
    if (operation_.sends) return drain(0ms);
    if (operation_.large) return;
    if (out_.send(numbered<SmallMessage>(kInterfering)).ok()) interfered_ = true;
    drain_one(0ms);
  }
  void rescue() override {
    *rescued_ = true;
    (void)drain_one(10ms);  // in the dead one's turn, perhaps
    if (operation_.sends) (void)out_.send(numbered<SmallMessage>(kInterfering)).ok();
  }
  Verdict survive(bool finished) override {
    const auto begin = std::chrono::steady_clock::now();
    if (state_.asleep) wake_bystander();
    if (operation_.sends) drain(500us);  // what the dead left may fill the ring
    if (!operation_.sends && operation_.large) see_large_arrive();
    if (!out_.send(numbered<SmallMessage>(kFinal)).ok()) fault(Fault::Kind::kOther, "the survivors cannot send");
    const Deadline patience = Deadline::after(kPatience);
    while (seen_->times[kFinal] == 0 && !patience.expired()) drain_one(1ms);
    verdict_.recovery = std::chrono::steady_clock::now() - begin;
    if (seen_->times[kFinal] == 0) fault(Fault::Kind::kHung, "the last message does not come");
    drain(0ms);
    out_.close();
    if (!absl::IsOutOfRange(in_.recv_for<SmallMessage>(kPatience).status()))
      fault(Fault::Kind::kHung, "no end of the stream");
    check(finished);
    return verdict_;
  }

 protected:
  void fault(Fault::Kind kind, std::string text) { verdict_.add(kind, std::move(text)); }

 private:
  struct Seen {
    std::array<std::atomic<int>, 32> times;
    std::atomic<int> torn;
  };

  PipeTrial(const PipeState& state, const PipeOperation& operation, std::pair<Connection, Connection> ends)
      : state_(state), operation_(operation), in_(std::move(ends.first)), out_(std::move(ends.second)) {
    set_waits(200us);
    for (int i = 0; i < state.lead; ++i) {
      (void)out_.send(numbered<SmallMessage>(0));
      (void)in_.recv<SmallMessage>();
    }
    for (int i = 0; i < state.items; ++i) (void)out_.send(numbered<SmallMessage>(1 + static_cast<unsigned>(i)));
    head_ = words().head;
    tail_ = words().tail;
    if (state.asleep) sleep_in_recv();
    if (!operation.sends && operation.large) send_large_elsewhere();
  }

  void sleep_in_recv() {
    bystander_ = std::make_unique<Child>([this] {
      set_waits(kSlice / 4);
      const absl::StatusOr<SmallMessage> got = in_.recv_for<SmallMessage>(kPatience);
      if (got.ok()) note(got);
      return got.ok() ? 0 : 1;
    });
    if (!sleeps_in_poll(bystander_->pid())) fault(Fault::Kind::kOther, "the bystander does not sleep");
  }
  // By the victim's message, or by others until one of them is its.
  void wake_bystander() {
    const Deadline patience = Deadline::after(kPatience);
    while (!ended_within(*bystander_, 6ms)) {
      if (patience.expired()) return fault(Fault::Kind::kHung, "the bystander does not wake up");
      (void)out_.send(numbered<SmallMessage>(0));
    }
    bystander_.reset();
  }
  void send_large_elsewhere() {
    bystander_ = std::make_unique<Child>([this] {
      const bool sent = out_.send(numbered<LargeMessage>(kLarge)).ok();
      return sent && out_.send(numbered<SmallMessage>(kLast)).ok() ? 0 : 1;
    });
    (void)eventually([&] { return words().tail != tail_; }, kPatience);
  }
  // Its sender needs room.
  void see_large_arrive() {
    const Deadline patience = Deadline::after(kPatience);
    for (std::optional<Ended> end; !end || !end->well(); end = ended_within(*bystander_, 100us)) {
      if (patience.expired()) return fault(Fault::Kind::kHung, "the bystander does not come to its end");
      drain(100us);
    }
    bystander_.reset();
  }

  template <class Message>
  void note(const absl::StatusOr<Message>& message) {
    if (!message.ok()) return;
    bool torn = false;
    for (const std::uint64_t word : message->words) torn |= word != message->words[0];
    note_number(message->words[0], torn);
  }
  // False: nothing came.
  bool drain_one(std::chrono::nanoseconds patience) {
    const absl::StatusOr<SmallMessage> small = in_.recv_for<SmallMessage>(patience);
    note(small);
    if (absl::IsDataLoss(small.status())) fault(Fault::Kind::kTorn, std::string(small.status().message()));
    if (!absl::IsInvalidArgument(small.status())) return small.ok();
    const absl::StatusOr<LargeMessage> large = in_.recv_for<LargeMessage>(patience);
    note(large);
    if (absl::IsDataLoss(large.status())) fault(Fault::Kind::kTorn, std::string(large.status().message()));
    return large.ok();
  }
  void drain(std::chrono::nanoseconds patience) {
    while (drain_one(patience)) {
    }
  }

  void check(bool finished) {
    int missing = 0;
    if (seen_->torn != 0) fault(Fault::Kind::kTorn, "a message");
    for (const std::uint64_t number : expected()) missing += seen_->times[number] == 0;
    for (const auto& times : seen_->times) {
      if (&times != &seen_->times[0] && times > 1) fault(Fault::Kind::kDoubled, "a message");
    }
    if (operation_.sends && finished && seen_->times[kVictims] == 0) fault(Fault::Kind::kLost, "what was sent");
    // A receiver that died takes one message along.
    const int excused = (operation_.sends || *finished_ ? 0 : 1) + (*rescued_ ? 1 : 0);
    if (missing > excused) fault(Fault::Kind::kLost, std::to_string(missing) + " messages");
  }
  [[nodiscard]] std::vector<std::uint64_t> expected() const {
    std::vector<std::uint64_t> numbers;
    for (int i = 0; i < state_.items; ++i) numbers.push_back(1 + static_cast<unsigned>(i));
    if (!operation_.sends && operation_.large) numbers.insert(numbers.end(), {kLarge, kLast});
    if (interfered_) numbers.push_back(kInterfering);
    return numbers;
  }

  PipeState state_;
  PipeOperation operation_;
  Connection in_, out_;
  Shared<Seen> seen_;
  Shared<bool> finished_{false}, rescued_{false};
  std::uint64_t head_ = 0, tail_ = 0;
  bool interfered_ = false;
  std::unique_ptr<Child> bystander_;
  Verdict verdict_;
};

inline constexpr PipeOperation kSendSmall{.name = "send", .run = [](PipeTrial& t) { t.send_small(); }, .sends = true};
inline constexpr PipeOperation kSendLarge{
    .name = "send_large", .run = [](PipeTrial& t) { t.send_large(); }, .sends = true, .large = true};
inline constexpr PipeOperation kRecvSmall{.name = "recv", .run = [](PipeTrial& t) { t.recv_small(); }};
inline constexpr PipeOperation kRecvLarge{
    .name = "recv_large", .run = [](PipeTrial& t) { t.recv_large(); }, .large = true};

inline constexpr PipeState kPipeEmpty{.name = "empty"};
inline constexpr PipeState kPipeMiddle{.name = "middle", .lead = 1, .items = 2};
inline constexpr PipeState kPipeWrapped{.name = "wrapped", .lead = 3, .items = 2};
inline constexpr PipeState kPipeReceiverAsleep{.name = "receiver_asleep", .asleep = true};

}  // namespace warren::test
