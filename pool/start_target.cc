#include <absl/strings/str_cat.h>
#include <unistd.h>
#include <warren/pool/detail/start_target.h>

#include <algorithm>
#include <optional>

#include "arrival.h"

namespace warren::detail {
namespace {

class TargetSink final : public ResultSink {
 public:
  TargetSink() = default;
  Writer& writer() noexcept override { return nothing_; }
  void commit() noexcept override {}
  void fail(const absl::Status& status) override { result_ = status; }
  [[nodiscard]] std::uint32_t attempt() const noexcept override { return 1; }
  void set_attempt(std::uint32_t) noexcept override {}
  void wait_before_next_attempt() noexcept override {}

  void take(Target target) { result_ = std::move(target); }
  [[nodiscard]] absl::StatusOr<Target> result() { return std::move(result_); }

 private:
  absl::StatusOr<Target> result_ = absl::DataLossError("what a process is to run is no target");
  Writer nothing_{{}, [](void*, std::size_t, std::size_t) { return std::span<std::byte>(); }, nullptr};
};

}  // namespace

void take_target(ResultSink& sink, Target target) {
  if (auto* const wanted = dynamic_cast<TargetSink*>(&sink)) return wanted->take(std::move(target));
  sink.fail(absl::DataLossError("what a process is to run is no task"));
}

void put_target(Writer& out, Luggage& luggage, const StartBytes& bytes) {
  if (bytes.invoker == nullptr) {
    return out.fail(absl::InvalidArgumentError(
        "this cannot go to a process that is spawned: a handle among its arguments belongs to this process alone. "
        "Remedy: StartMethod::kFork, or the target opens what it needs itself"));
  }
  const std::optional<FunctionId> id = bytes.invoker->id();
  if (!id) {
    return out.fail(
        absl::FailedPreconditionError("this function cannot go to a process that is spawned: it came from a library "
                                      "that was loaded after the first pool or process was made"));
  }
  out.put(*id);
  bytes.encode(out, luggage);
}

absl::StatusOr<Target> get_target(Reader& in) {
  const auto id = in.get<FunctionId>();
  if (!id.ok()) return id.status();
  const Invoker invoker = find(*id);
  if (invoker == nullptr) {
    return absl::FailedPreconditionError(
        "a process was spawned, and does not know the function: it is of a library that the program loads later, or "
        "that was replaced since the program began. Remedy: link it to the program, or StartMethod::kFork");
  }
  TargetSink sink;
  invoker(in, sink);
  return sink.result();
}

void Arrival::begins() noexcept {
  std::ranges::sort(luggage);
  const auto same = std::ranges::unique(luggage);  // two ends of a pipe have one segment
  luggage.erase(same.begin(), same.end());
  for (const int fd : luggage) ::close(fd);
  send_answer(answers, absl::OkStatus());
  ::close(answers);
}

}  // namespace warren::detail
