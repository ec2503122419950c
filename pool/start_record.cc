#include "start_record.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace warren::detail {
namespace {

// Of internal linkage, so that its address is in the library and not of an entry of the program's for it.
void anchor() {}

}  // namespace

FunctionId id_of_warren() noexcept { return id_of_function(&anchor).value_or(FunctionId{}); }

StartAnswer StartAnswer::of(const absl::Status& status) noexcept {
  StartAnswer answer{.code = static_cast<std::int32_t>(status.code())};
  const std::string_view text(status.message().data(), status.message().size());
  text.copy(answer.text.data(), answer.text.size() - 1);
  return answer;
}

absl::Status StartAnswer::status() const {
  const std::string_view message(text.data(), ::strnlen(text.data(), text.size()));
  return {static_cast<absl::StatusCode>(code), {message.data(), message.size()}};
}

std::optional<StartPlace> start_place() noexcept {
  const char* const value = std::getenv(kStartVariable);  // NOLINT(concurrency-mt-unsafe): as the program's own
  const char* const dot = value == nullptr ? nullptr : std::strchr(value, '.');
  StartPlace place;
  if (dot == nullptr || !absl::SimpleAtoi({value, static_cast<std::size_t>(dot - value)}, &place.parent) ||
      !absl::SimpleAtoi(dot + 1, &place.descriptor) || place.parent <= 0 || place.descriptor < 0)
    return std::nullopt;
  return place;
}

std::string start_variable(const StartPlace& place) {
  return absl::StrCat(kStartVariable, "=", place.parent, ".", place.descriptor);
}

std::optional<StartHead> read_start_head(int descriptor) noexcept {
  StartHead head;
  if (::pread(descriptor, &head, sizeof head, 0) != sizeof head || head.magic != StartHead::kMagic) return std::nullopt;
  return head;
}

void note_entered(int descriptor) noexcept {
  const std::uint32_t entered = 1;
  (void)!::pwrite(descriptor, &entered, sizeof entered, offsetof(StartHead, entered));
}

bool is_meant(const StartPlace& place, const std::optional<StartHead>& head) noexcept {
  const pid_t parent = ::getppid();
  return parent == place.parent || (parent == 0 && head);
}

void send_answer(int socket, const absl::Status& status) noexcept {
  const StartAnswer answer = StartAnswer::of(status);
  while (::send(socket, &answer, sizeof answer, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

}  // namespace warren::detail
