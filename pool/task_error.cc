#include <absl/status/statusor.h>
#include <absl/strings/str_cat.h>
#include <cxxabi.h>
#include <unistd.h>
#include <warren/pool/detail/task_error.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

namespace warren {
namespace {

constexpr char kPayloadUrl[] = "warren/TaskError";

// Abseil has a string_view and a Cord of its own.
absl::string_view absl_view(std::string_view s) { return {s.data(), s.size()}; }

constexpr std::array<std::string_view, 7> kKinds{"returned",  "threw",   "died",       "deadline",
                                                 "cancelled", "refused", "undecodable"};

// The payload is text, since printing a status prints its payloads. The text of the error stands last: it may hold
// anything.
std::string to_payload(const TaskError& e) {
  return absl::StrCat("kind=", std::string(kKinds.at(static_cast<std::size_t>(e.kind))), ";worker=", e.worker,
                      ";attempt=", e.attempt, ";signal=", e.signal, ";exit_code=", e.exit_code,
                      ";item=", e.item ? std::to_string(*e.item) : "", ";host=", e.host, ";type=", e.type,
                      ";what=", e.what);
}

// "name=value;" from the front of text; nullopt: something else stands there.
std::optional<std::string_view> take_field(std::string_view& text, std::string_view name) {
  if (!text.starts_with(name) || text.substr(name.size(), 1) != "=") return std::nullopt;
  text.remove_prefix(name.size() + 1);
  const std::size_t end = text.find(';');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view value = text.substr(0, end);
  text.remove_prefix(end + 1);
  return value;
}

template <class Number>
bool take_number(std::string_view& text, std::string_view name, Number& number) {
  const std::optional<std::string_view> value = take_field(text, name);
  if (!value) return false;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  return error == std::errc() && end == value->data() + value->size();
}

std::optional<TaskError> from_payload(std::string_view text) {
  TaskError e;
  const std::optional<std::string_view> kind = take_field(text, "kind");
  const auto* known = kind ? std::ranges::find(kKinds, *kind) : kKinds.end();
  if (known == kKinds.end()) return std::nullopt;
  e.kind = static_cast<TaskError::Kind>(known - kKinds.begin());
  if (!take_number(text, "worker", e.worker) || !take_number(text, "attempt", e.attempt) ||
      !take_number(text, "signal", e.signal) || !take_number(text, "exit_code", e.exit_code)) {
    return std::nullopt;
  }
  if (text.starts_with("item=;")) {
    (void)take_field(text, "item");
  } else if (!take_number(text, "item", e.item.emplace())) {
    return std::nullopt;
  }
  const std::optional<std::string_view> host = take_field(text, "host");
  const std::optional<std::string_view> type = host ? take_field(text, "type") : std::nullopt;
  constexpr std::string_view kWhat = "what=";
  if (!type || !text.starts_with(kWhat)) return std::nullopt;
  e.host = *host;
  e.type = *type;
  e.what = text.substr(kWhat.size());
  return e;
}

void attach(absl::Status& status, const TaskError& error) {
  status.SetPayload(kPayloadUrl, absl::Cord(to_payload(error)));
}

std::string demangled(const char* name) {
  int failed = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(name, nullptr, nullptr, &failed),
                                                        &std::free);
  return failed == 0 ? readable.get() : name;
}

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? std::string() : " (SIG" + std::string(name) + ")";
}

std::string describe_death(const TaskError& e) {
  return e.signal != 0 ? "killed by signal " + std::to_string(e.signal) + signal_name(e.signal)
                       : "exited with code " + std::to_string(e.exit_code) + " in the middle of a task";
}

// For who reads a TaskError alone.
TaskError with_text(TaskError e) {
  if (e.kind == TaskError::Kind::kDied && e.what.empty()) {
    e.what = "worker " + std::to_string(e.worker) + (e.signal != 0 ? " was " : " ") + describe_death(e);
    if (e.signal != 0) e.what += " while it ran the task";
  }
  return e;
}

std::string describe(const TaskError& e) {
  const std::string worker = "worker " + std::to_string(e.worker);
  const std::string attempt = "attempt " + std::to_string(e.attempt);
  switch (e.kind) {
    case TaskError::Kind::kReturned: return e.what;
    case TaskError::Kind::kDied: return worker + " died: " + describe_death(e) + ", " + attempt;
    case TaskError::Kind::kThrew:
    case TaskError::Kind::kDeadline:
    case TaskError::Kind::kCancelled:
    case TaskError::Kind::kRefused:
    case TaskError::Kind::kUndecodable: break;
  }
  std::string text = e.type;
  if (!text.empty() && !e.what.empty()) text += ": ";
  text += e.what;
  if (e.worker == 0) return text;
  return text + " (in " + worker + (e.attempt == 0 ? "" : ", " + attempt) + ")";
}

TaskError here(TaskError::Kind kind, std::uint32_t attempt) {
  std::array<char, HOST_NAME_MAX + 1> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return {.kind = kind, .host = host.data(), .worker = getpid(), .attempt = attempt};
}

}  // namespace

std::optional<TaskError> task_error(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  if (!payload) return std::nullopt;
  return from_payload(std::string(*payload));
}

namespace detail {

absl::Status make_task_status(absl::StatusCode code, const TaskError& error) {
  absl::Status status(code, absl_view(describe(error)));
  attach(status, with_text(error));
  return status;
}

absl::Status refused(std::string why, absl::StatusCode code) {
  TaskError error;
  error.kind = TaskError::Kind::kRefused;
  error.what = std::move(why);
  return make_task_status(code, error);
}

absl::Status with_task_error(absl::Status status, const TaskError& error) {
  if (!task_error(status)) attach(status, error);
  return status;
}

absl::Status status_of_returned(absl::Status status, std::uint32_t attempt) {
  TaskError error = here(TaskError::Kind::kReturned, attempt);
  error.what = std::string(status.message());
  return with_task_error(std::move(status), error);
}

absl::Status status_of_current_exception(std::uint32_t attempt) {
  TaskError error = here(TaskError::Kind::kThrew, attempt);
  if (const std::type_info* type = abi::__cxa_current_exception_type()) error.type = demangled(type->name());
  const auto status_within = [&error](const absl::Status& status) {
    if (status.ok()) return make_task_status(absl::StatusCode::kUnknown, error);
    error.what = std::string(status.message());
    return with_task_error(status, error);
  };
  try {
    throw;
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (const absl::BadStatusOrAccess& e) {
    return status_within(e.status());
  } catch (const absl::Status& status) {
    return status_within(status);
  } catch (const std::exception& e) {
    error.type = demangled(typeid(e).name());
    const char* what = e.what();
    error.what = what == nullptr ? "" : what;
  } catch (const std::string& text) {
    error.what = text;
  } catch (const char* text) {
    error.what = text == nullptr ? "" : text;
  } catch (int value) {
    error.what = std::to_string(value);
  } catch (...) {
    if (error.type.empty()) error.type = "an exception of another language";
  }
  return make_task_status(absl::StatusCode::kUnknown, error);
}

absl::Status status_of_item(const absl::Status& status, std::size_t item) {
  std::optional<TaskError> error = task_error(status);
  const bool is_the_pools =
      error && (error->kind == TaskError::Kind::kRefused || error->kind == TaskError::Kind::kCancelled);
  if (is_the_pools) return status;
  absl::Status named(static_cast<absl::StatusCode>(status.raw_code()),
                     absl::StrCat("item ", item, ": ", status.message()));
  status.ForEachPayload([&named](absl::string_view url, const absl::Cord& value) { named.SetPayload(url, value); });
  if (error && !error->item) {
    error->item = item;
    attach(named, *error);
  }
  return named;
}

// Code, text, and the payloads: of TaskError, and those of the task's own.
void put_status(Writer& w, const absl::Status& status) {
  w.put(static_cast<std::int32_t>(status.raw_code()));
  w.put(std::string(status.message()));
  std::vector<std::pair<std::string, std::string>> payloads;
  status.ForEachPayload([&payloads](absl::string_view url, const absl::Cord& value) {
    payloads.emplace_back(std::string(url), std::string(value));
  });
  w.put(payloads);
}

absl::Status get_status(Reader& r) {
  const auto code = r.get<std::int32_t>();
  const auto message = r.get<std::string>();
  const auto payloads = r.get<std::vector<std::pair<std::string, std::string>>>();
  if (!r.ok()) return r.status();
  if (*code == 0) return r.fail(absl::DataLossError("a task's failure arrived with the code of success"));
  absl::Status status(static_cast<absl::StatusCode>(*code), absl_view(*message));
  for (const auto& [url, value] : *payloads) status.SetPayload(absl_view(url), absl::Cord(absl_view(value)));
  return status;
}

}  // namespace detail
}  // namespace warren
