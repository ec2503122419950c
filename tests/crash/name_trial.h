// One operation on a name in /dev/shm, its victim, and what must be left of it: nothing but what somebody living holds,
// or a stale name that the next one reclaims.
#pragma once
#include <sys/stat.h>
#include <warren/ipc/segment.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "crash/shared_trial.h"

namespace warren::test {

inline constexpr std::size_t kNamedBytes = 10'000;

struct NameState {
  const char* name;
  bool stale = false;  // left behind by a dead process
  bool held = false;   // by a living one: the tracer
};

struct NameOperation {
  const char* name;
  // In the victim, which may keep what it opened until it ends.
  void (*run)(const std::string& name, std::optional<Segment>& kept);
  bool removes = false;  // the name, also under somebody who holds it
};

class NameTrial : public Trial {
 public:
  NameTrial(const NameState& state, const NameOperation& operation)
      : state_(state), operation_(operation), name_(unique_name(state.name)) {
    if (state.stale) leave_stale_name();
    if (!state.held) return;
    held_ = *Segment::create(name_, kNamedBytes);
    std::memset(held_->bytes().data(), 0x5a, kNamedBytes);
    inode_ = inode();
  }
  ~NameTrial() override {
    held_.reset();
    (void)Segment::unlink(name_);
  }

  void operation() override { operation_.run(name_, *new std::optional<Segment>); }  // never destroyed: the victim dies

  void rescue() override {
    auto segment = Segment::open_or_create(name_, kNamedBytes);
    if (segment.ok()) segment->bytes()[0] = segment->bytes()[0];
  }

  std::string window(pid_t) override {
    const ino_t found = inode();
    if (found == 0) return "no name";
    return state_.held && found == inode_ ? "held name" : "stale name";
  }

  Verdict survive(bool) override {
    const auto begin = std::chrono::steady_clock::now();
    if (state_.held) check_held();
    held_.reset();
    if (state_.held && inode() != 0) complain("the last one out left the name");
    {
      auto again = Segment::create(name_, kNamedBytes);
      if (!again.ok()) return complain("a new segment of that name: " + std::string(again.status().message()));
      verdict_.recovery = std::chrono::steady_clock::now() - begin;
      const auto bytes = again->bytes();
      if (std::ranges::any_of(bytes, [](std::byte b) { return b != std::byte{0}; }))
        complain("a new segment with old bytes");
      if (!Segment::open(name_).ok()) complain("the new segment cannot be opened");
    }
    if (inode() != 0) complain("the last one out left the name");
    return verdict_;
  }

 private:
  Verdict complain(std::string text) {
    verdict_.add(Fault::Kind::kLeft, std::move(text));
    return verdict_;
  }

  ino_t inode() const {
    struct stat st {};
    return ::stat(("/dev/shm/" + name_).c_str(), &st) == 0 ? st.st_ino : 0;
  }

  void leave_stale_name() {
    Child before([&] {
      auto segment = Segment::create(name_, kNamedBytes);
      std::memset(segment->bytes().data(), 0xa5, kNamedBytes);
      ::kill(::getpid(), SIGKILL);
    });
    (void)before.join();
  }

  // Whatever the victim was about to do, who lives keeps name and memory, or is told by an unlink that succeeded.
  void check_held() {
    const auto bytes = std::as_const(*held_).bytes();
    if (!std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0x5a}; }))
      complain("a holder's memory changed");
    if (operation_.removes && inode() == 0) return;
    if (inode() != inode_) return (void)complain("the name of a living holder is gone");
    if (const auto opened = Segment::open(name_); !opened.ok()) complain("a living holder's segment cannot be opened");
  }

  NameState state_;
  NameOperation operation_;
  std::string name_;
  std::optional<Segment> held_;
  ino_t inode_ = 0;
  Verdict verdict_;
};

constexpr NameState kNoName{.name = "no_name"};
constexpr NameState kStaleName{.name = "stale_name", .stale = true};
constexpr NameState kHeldName{.name = "held_name", .held = true};

constexpr NameOperation kCreateName{.name = "create", .run = [](const std::string& name, std::optional<Segment>& kept) {
                                      if (auto made = Segment::create(name, kNamedBytes); made.ok())
                                        kept = *std::move(made);
                                    }};
constexpr NameOperation kOpenName{.name = "open", .run = [](const std::string& name, std::optional<Segment>& kept) {
                                    if (auto opened = Segment::open(name); opened.ok()) kept = *std::move(opened);
                                  }};
constexpr NameOperation kOpenOrCreateName{.name = "open_or_create",
                                          .run = [](const std::string& name, std::optional<Segment>& kept) {
                                            kept = *Segment::open_or_create(name, kNamedBytes);
                                          }};
// Creates or opens, and leaves again: the last one out removes the name.
constexpr NameOperation kComeAndGo{.name = "come_and_go", .run = [](const std::string& name, std::optional<Segment>&) {
                                     (void)Segment::open_or_create(name, kNamedBytes);
                                   }};
constexpr NameOperation kUnlinkName{
    .name = "unlink",
    .run = [](const std::string& name, std::optional<Segment>&) { (void)Segment::unlink(name); },
    .removes = true};

}  // namespace warren::test
