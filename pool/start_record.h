// What a spawned process finds: a variable that names its parent and a descriptor, behind which lie a head and what it
// is to run. And what it answers.
#pragma once
#include <absl/status/status.h>
#include <sys/types.h>
#include <warren/pool/detail/function_registry.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace warren::detail {

inline constexpr const char* kStartVariable = "WARREN_START";  // "PARENT.DESCRIPTOR"

// The exit code of one that could not even answer.
inline constexpr int kCannotStart = 121;

enum class StartKind : std::uint32_t { kPool = 1, kProcess = 2 };

struct StartHead {
  static constexpr std::uint64_t kMagic = 0x3154524154535257;  // "WRSTART1"
  std::uint64_t magic = kMagic;
  FunctionId warren;  // of a function of ours: that both have the same library
  std::int32_t application_pidfd = -1;
  std::int32_t answers = -1;  // a socket: one StartAnswer
  StartKind kind = StartKind::kPool;
  std::uint32_t entered = 0;  // 1: it has come to enter(), and found this
  std::uint64_t bytes = 0;    // that follow
};

// OK: it has all it needs, and begins.
struct StartAnswer {
  std::int32_t code = 0;
  std::array<char, 1020> text{};

  static StartAnswer of(const absl::Status& status) noexcept;
  [[nodiscard]] absl::Status status() const;
};

// FunctionId::module 0: it cannot be told.
FunctionId id_of_warren() noexcept;

// What the variable says; nullopt: it is not there, or says nothing of the kind.
struct StartPlace {
  pid_t parent = 0;
  int descriptor = -1;
};
std::optional<StartPlace> start_place() noexcept;
std::string start_variable(const StartPlace& place);  // NAME=VALUE

// nullopt: no such head is there.
std::optional<StartHead> read_start_head(int descriptor) noexcept;
void note_entered(int descriptor) noexcept;

// Whether the variable is meant for this process: its parent is the one that it names, or, with the head there, is in
// another pid namespace, from where it has no number here.
[[nodiscard]] bool is_meant(const StartPlace& place, const std::optional<StartHead>& head) noexcept;

void send_answer(int socket, const absl::Status& status) noexcept;

}  // namespace warren::detail
