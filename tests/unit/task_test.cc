#include <absl/status/statusor.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <warren/ipc/detail/buffer_writer.h>
#include <warren/pool/detail/task_error.h>
#include <warren/pool/task.h>

#include <csignal>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace warren {
namespace {

using detail::BufferWriter;
using detail::Carried;
using detail::TaskCall;
using detail::TravellingFunction;
using detail::TravellingResult;

int square(int x) { return x * x; }
struct Shape {
  double area() const { return w * h; }
  double w, h;
};
struct Scale {  // a function object with state of its own
  std::string name;
  double factor;
  double operator()(double x) const { return factor * x; }
};
class Door : public Handle {
 public:
  int opened = 0;
};
void open(Door& door) { ++door.opened; }

// --- types -----------------------------------------------------------------------------------------------------------

static_assert(std::same_as<Result<int>, absl::StatusOr<int>> && std::same_as<Result<void>, absl::Status>);
static_assert(std::same_as<Result<absl::StatusOr<int>>, absl::StatusOr<int>>);
static_assert(std::same_as<Result<absl::StatusOr<absl::StatusOr<int>>>, absl::StatusOr<int>>);

static_assert(std::same_as<Carried<const char (&)[3]>::type, std::string>);
static_assert(std::same_as<Carried<std::string_view>::type, std::string>);
static_assert(std::same_as<Carried<const std::string&>::type, std::string>);
static_assert(std::same_as<Carried<const std::vector<int>&>::type, std::vector<int>>);
static_assert(std::same_as<Carried<std::nullptr_t>::type, std::nullptr_t>);

template <class F, class... A>
using ValueOf = TaskValue<F, A...>;
static_assert(std::same_as<ValueOf<decltype(square), int>, int>);
static_assert(std::same_as<ValueOf<int (*)(const std::string&), const char*>, int>);
static_assert(std::same_as<ValueOf<int& (*)(int), int>, int>, "reference results decay");
static_assert(std::same_as<ValueOf<absl::Status (*)()>, void>);
static_assert(std::same_as<ValueOf<absl::StatusOr<std::string> (*)()>, std::string>);
static_assert(std::same_as<ValueOf<Fn<&Shape::area>, Shape>, double>);
static_assert(std::same_as<ValueOf<int (*)(std::unique_ptr<int>), std::unique_ptr<int>>, int>);

static_assert(TaskCall<decltype(square), int>::ok && !TaskCall<decltype(square), const char*>::ok);
static_assert(!TaskCall<void (*)(int&), int>::ok, "a worker has copies");
static_assert(TaskCall<decltype(open), Door>::ok, "a handle binds to T&");

static_assert(TravellingFunction<decltype(&square)> && TravellingFunction<Fn<&square>> && TravellingFunction<Scale>);
static_assert(TravellingFunction<decltype(warren::bind_front(&square, 3))>);
static_assert(TravellingFunction<decltype(warren::bind_front(warren::bind_front(&square, 3), "x"))>);
static_assert(!TravellingFunction<decltype(&Shape::area)> && !TravellingFunction<std::function<int()>>);
static_assert(!TravellingFunction<decltype(warren::bind_front(&square, static_cast<int*>(nullptr)))>);
static_assert(TravellingResult<void> && TravellingResult<std::string> && !TravellingResult<std::string_view>);
static_assert(!TravellingResult<int*>);

TEST(Task, ClosuresTravelByWhatTheyCapture) {
  int i = 1;
  const std::string text = "x";
  const auto travels = []<class F>(const F&) { return TravellingFunction<F>; };
  EXPECT_TRUE(travels([] {}));
  EXPECT_TRUE(travels([i] { return i; }));
  EXPECT_FALSE(travels([&i] { return i; }));
  EXPECT_FALSE(travels([text] { return text; }));
  EXPECT_FALSE(travels([p = &i] { return *p; }));
  EXPECT_FALSE(travels([v = std::string_view(text)] { return v; }));
  EXPECT_FALSE(travels([s = std::span<int>(&i, 1)] { return s.size(); }));
  EXPECT_FALSE(travels([f = &square] { return f(2); }));
  EXPECT_FALSE(travels([d = Door()] { return d.opened; }));
  EXPECT_FALSE(travels([m = std::make_shared<int>(1)] { return *m; }));
}

TEST(Task, ArgumentsArePassedAsRvaluesHandlesAlsoAsLvalues) {
  std::tuple<std::unique_ptr<int>, int> moved(std::make_unique<int>(40), 2);
  auto add = [](std::unique_ptr<int> a, const int& b) { return *a + b; };
  EXPECT_EQ(detail::call_task(add, moved), 42);
  std::tuple<Door> door;
  auto function = &open;
  detail::call_task(function, door);
  EXPECT_EQ(std::get<0>(door).opened, 1);
}

TEST(Task, AFunctionObjectMayBeCalledAgain) {
  struct Once {
    std::string text = "text";
    std::string operator()() & { return text; }
    std::string operator()() && { return std::move(text); }
  } function;
  std::tuple<> none;
  EXPECT_EQ(detail::call_task(function, none), "text");
  EXPECT_EQ(detail::call_task(function, none), "text");
}

TEST(Task, IdsAreKeys) {
  std::unordered_map<TaskId, int> by_hash{{TaskId{1}, 1}, {TaskId{2}, 2}};
  std::map<TaskId, int> by_order{{TaskId{2}, 2}, {TaskId{1}, 1}};
  EXPECT_EQ(by_hash.at(TaskId{2}), 2);
  EXPECT_EQ(by_order.begin()->second, 1);
}

// --- callables -------------------------------------------------------------------------------------------------------

template <detail::Asked F>
F travelled(const F& f) {
  detail::freeze();
  BufferWriter w;
  detail::encode_callable(w, f);
  EXPECT_TRUE(w.ok()) << w.status();
  Reader r(w.written());
  absl::StatusOr<F> back = detail::decode_callable<F>(r);
  EXPECT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(r.remaining(), 0U);
  return *std::move(back);
}

TEST(Callable, EveryKindTravels) {
  int k = 3;
  EXPECT_EQ(travelled([](int x) { return x + 1; })(1), 2);
  EXPECT_EQ(travelled([k](int x) { return x * k; })(2), 6);
  EXPECT_EQ(travelled([n = 5]() mutable { return ++n; })(), 6);
  EXPECT_EQ(travelled(&square)(5), 25);
  EXPECT_EQ(travelled(fn<&square>)(6), 36);
  EXPECT_EQ(travelled(fn<&Shape::area>)(Shape{2, 3}), 6);
  EXPECT_EQ(travelled(Scale{"double", 2})(4), 8);
  EXPECT_EQ(travelled(warren::bind_front(&square, 7))(), 49);
  EXPECT_EQ(travelled(warren::bind_front([k](const std::string& s) { return s.size() * static_cast<std::size_t>(k); },
                                         "ab"))(),
            6U);
  EXPECT_EQ(travelled(warren::bind_front([](const std::string& s, int n) { return s + std::to_string(n); }, "n = "))(4),
            "n = 4");
  EXPECT_EQ(travelled(warren::bind_front(
                warren::bind_front([](int a, int b, int c) { return 100 * a + 10 * b + c; }, 1), 2))(3),
            123);
}

TEST(Callable, FunctionsOfEmptyTypesTakeNoBytes) {
  BufferWriter w;
  detail::encode_callable(w, [](int x) { return x; });
  detail::encode_callable(w, fn<&square>);
  EXPECT_EQ(w.size(), 0U);
}

TEST(Callable, APointerThatNamesNoFunctionIsRefused) {
  detail::freeze();
  BufferWriter null, inside, hostile;
  detail::encode_callable(null, static_cast<int (*)(int)>(nullptr));
  EXPECT_EQ(null.status().code(), absl::StatusCode::kInvalidArgument);
  static int data = 0;
  detail::encode_callable(inside, reinterpret_cast<int (*)(int)>(&data));
  EXPECT_EQ(inside.status().code(), absl::StatusCode::kFailedPrecondition);
  hostile.put(detail::FunctionId{1, 2});
  Reader r(hostile.written());
  EXPECT_EQ(detail::decode_callable<int (*)(int)>(r).status().code(), absl::StatusCode::kDataLoss);
}

TEST(BoundFront, PassesBoundValuesAsConstAndHandlesAsTheyAre) {
  auto bound = warren::bind_front([](const std::string& s, Door& door) { return s.size() + (door.opened += 1, 0U); },
                                  "abc", Door());
  EXPECT_EQ(bound(), 3U);
  EXPECT_EQ(std::get<1>(bound.bound).opened, 1);
  const auto kept = warren::bind_front([](const std::string& a, const std::string& b) { return a + b; }, "a");
  EXPECT_EQ(kept("b"), "ab");
}

TEST(Function, HoldsAnyNullaryTask) {
  static int calls = 0;
  Function<void()> none;
  EXPECT_FALSE(none);
  Function<void()> counts = [] { ++calls; };
  ASSERT_TRUE(counts);
  counts();
  const Function<void()> copy = counts;
  copy();
  EXPECT_EQ(calls, 2);
  EXPECT_EQ((Function<int()>(warren::bind_front(&square, 4))()), 16);
  EXPECT_EQ((Function<int()>(
                warren::bind_front([](const std::unique_ptr<int>& p) { return *p; }, std::make_unique<int>(3)))()),
            3);
}

// --- errors ----------------------------------------------------------------------------------------------------------

template <class F>
absl::Status failure_of(F throws, std::uint32_t attempt = 1) {
  try {
    throws();
  } catch (...) {
    return detail::status_of_current_exception(attempt);
  }
  return absl::OkStatus();
}
std::string text_of(const absl::Status& status) { return std::string(status.message()); }
std::string place(std::uint32_t attempt = 1) {
  return " (in worker " + std::to_string(getpid()) + ", attempt " + std::to_string(attempt) + ")";
}

struct NotCopyable {
  NotCopyable() = default;
  NotCopyable(NotCopyable&&) = default;
};
class Odd : public std::runtime_error {
 public:
  Odd() : runtime_error("") {}
  const char* what() const noexcept override { return nullptr; }
};

TEST(TaskError, ExceptionsKeepTypeTextAndPlace) {
  const absl::Status status = failure_of([] { throw std::invalid_argument("negative"); }, 2);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(text_of(status), "std::invalid_argument: negative" + place(2));
  const std::optional<TaskError> error = task_error(status);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, TaskError::Kind::kThrew);
  EXPECT_EQ(error->type, "std::invalid_argument");
  EXPECT_EQ(error->what, "negative");
  EXPECT_EQ(error->worker, getpid());
  EXPECT_EQ(error->attempt, 2U);
  EXPECT_FALSE(error->host.empty());
}

TEST(TaskError, AnythingMayBeThrown) {
  EXPECT_EQ(text_of(failure_of([] { throw 42; })), "int: 42" + place());
  EXPECT_EQ(text_of(failure_of([] { throw "text"; })), "char const*: text" + place());
  EXPECT_EQ(task_error(failure_of([] { throw std::string("s"); }))->what, "s");
  EXPECT_EQ(task_error(failure_of([] { throw Shape{1, 2}; }))->type, "warren::(anonymous namespace)::Shape");
  EXPECT_EQ(text_of(failure_of([] { throw NotCopyable(); })), "warren::(anonymous namespace)::NotCopyable" + place());
  EXPECT_EQ(text_of(failure_of([] { throw Odd(); })), "warren::(anonymous namespace)::Odd" + place());
  EXPECT_EQ(task_error(failure_of([] { throw std::runtime_error(std::string(1 << 20, 'x')); }))->what.size(), 1U << 20);
}

TEST(TaskError, ABadStatusOrAccessFailsWithTheStatusInside) {
  const absl::Status status = failure_of([] { (void)absl::StatusOr<int>(absl::NotFoundError("no such")).value(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(text_of(status), "no such");
  ASSERT_TRUE(task_error(status));
  EXPECT_EQ(task_error(status)->kind, TaskError::Kind::kThrew);
}

TEST(TaskError, AnInnerTasksErrorIsTheRootCause) {
  TaskError inner{.kind = TaskError::Kind::kDied, .worker = 7, .signal = SIGKILL, .attempt = 1};
  const absl::Status died = detail::make_task_status(absl::StatusCode::kAborted, inner);
  const absl::Status outer = failure_of([&] { (void)absl::StatusOr<int>(died).value(); });
  EXPECT_EQ(outer, died);
  EXPECT_EQ(task_error(outer)->worker, 7);
  EXPECT_EQ(task_error(detail::status_of_returned(died, 1))->worker, 7);
}

TEST(TaskError, DeathsAreNamed) {
  TaskError error{.kind = TaskError::Kind::kDied, .worker = 4711, .signal = SIGKILL, .attempt = 1};
  EXPECT_EQ(text_of(detail::make_task_status(absl::StatusCode::kAborted, error)),
            "worker 4711 died: killed by signal 9 (SIGKILL), attempt 1");
  EXPECT_EQ(task_error(detail::make_task_status(absl::StatusCode::kAborted, error)).value().what,
            "worker 4711 was killed by signal 9 (SIGKILL) while it ran the task");
  error.signal = 0;
  EXPECT_EQ(task_error(detail::make_task_status(absl::StatusCode::kAborted, error)).value().what,
            "worker 4711 exited with code 0 in the middle of a task");
  EXPECT_EQ(text_of(detail::make_task_status(absl::StatusCode::kAborted, error)),
            "worker 4711 died: exited with code 0 in the middle of a task, attempt 1");
}

TEST(TaskError, ItemsAreNamed) {
  const absl::Status alone = detail::status_of_returned(absl::NotFoundError("x;y=z"), 1);
  EXPECT_EQ(task_error(alone).value().item, std::nullopt);
  const absl::Status item = detail::status_of_item(alone, 47);
  EXPECT_EQ(item.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(item.message(), "item 47: x;y=z");
  EXPECT_EQ(task_error(item).value().item, 47u);
  EXPECT_EQ(task_error(item).value().what, "x;y=z");
  EXPECT_EQ(task_error(detail::status_of_item(item, 3)).value().item, 47u) << "the root cause stays";
  EXPECT_FALSE(task_error(detail::status_of_item(absl::DataLossError(""), 3)));
}

TEST(TaskError, ReturnedFailuresKeepCodeTextAndPayloads) {
  absl::Status returned = absl::NotFoundError("no such");
  returned.SetPayload("mine", absl::Cord("payload"));
  const absl::Status status = detail::status_of_returned(returned, 3);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(text_of(status), "no such");
  EXPECT_EQ(status.GetPayload("mine").value(), "payload");
  EXPECT_EQ(task_error(status)->kind, TaskError::Kind::kReturned);
  EXPECT_EQ(task_error(status)->attempt, 3U);
}

TEST(TaskError, OtherStatusesHaveNone) {
  EXPECT_FALSE(task_error(absl::OkStatus()));
  EXPECT_FALSE(task_error(absl::DeadlineExceededError("not yet")));
  absl::Status forged = absl::AbortedError("");
  forged.SetPayload("warren/TaskError", absl::Cord("nonsense"));
  EXPECT_FALSE(task_error(forged));
}

TEST(TaskError, StatusesTravelWhole) {
  absl::Status status = failure_of([] { throw std::invalid_argument("negative"); });
  status.SetPayload("mine", absl::Cord("payload"));
  BufferWriter w;
  detail::put_status(w, status);
  Reader r(w.written());
  EXPECT_EQ(detail::get_status(r), status);
  for (std::size_t n = 0; n < w.size(); ++n) {
    Reader prefix(w.written().first(n));
    EXPECT_EQ(detail::get_status(prefix).code(), absl::StatusCode::kDataLoss);
  }
  BufferWriter success;
  detail::put_status(success, absl::OkStatus());
  Reader hostile(success.written());
  EXPECT_EQ(detail::get_status(hostile).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace warren
