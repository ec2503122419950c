// Programs near to the wrong ones, which must compile without a warning.
#include "prelude.h"

using namespace std::chrono_literals;

struct Point {
  int x;
  double y;
};
struct Shape {
  double area() const { return w; }
  double w;
};
struct Vouched {
  int kind;
  union {
    int i;
    double d;
  };
};
template <>
inline constexpr bool warren::kCopyAsBytes<Vouched> = true;
struct HoldsVouched {
  Vouched value;
  std::string name;
};
struct Constexpr {
  explicit constexpr Constexpr(int v) : x(v) {}
  int x;
};
struct Job {
  std::string path;
  std::vector<Point> points;
  std::optional<std::string> tags[2];
};

int square(int x) { return x * x; }
int owned(std::unique_ptr<int> p) { return *p; }
static int same(int x) { return x; }

void right(warren::Pool& pool, warren::Queue<Point>& queue, int k, std::string text, std::vector<int> xs) {
  pool.submit(square, 1);  // fire and forget
  pool.submit(square, 1).on_done([&xs](const absl::StatusOr<int>& r) { xs.push_back(*r); });
  pool.submit(square, 1).then([p = std::make_unique<int>(k)](int x) { return x + *p; }).on_done([](auto&&) {});
  pool.submit([] {}).then([] { return absl::OkStatus(); }).cancel();
  pool.apply_async({.callback = [&](int r) { xs.push_back(r); }}, square, 1);
  pool.map_async(square, xs).then([](std::vector<int> all) { return all.size(); }).kill();
  pool.starmap_async([](int x, int y) { return x + y; }, std::vector<std::pair<int, int>>{{1, 2}}).wait();
  std::vector<warren::Future<int>> futures;
  for (warren::Future<int>& f : as_completed(futures, 1s)) (void)f.progress();
  (void)wait(futures, warren::ReturnWhen::kFirstException, 1s).done;
  (void)pool.shutdown({.wait = false, .cancel_pending = true});
  pool.submit(same, 1);
  pool.submit(
      {.retries = 3, .retry_on = warren::RetryOn::kAnyFailure}, [k](int x) { return x * k; }, 2);
  pool.submit([p = Point{k, 2}] { return p.y; });
  pool.submit([c = std::array<int, 4>{}]() mutable { return ++c[0]; });
  pool.submit([t = 5s] { return t; });
  auto [a, b] = std::pair<int, int>(1, 2);
  pool.submit([a, b] { return a + b; });
  pool.submit([](const std::string& s) { return s.size(); }, "literal");
  pool.submit([](std::string_view v) { return v.size(); }, text);
  pool.submit(
      [](int x) -> const int& {
        static int y;
        return y = x;
      },
      1);  // the result decays
  pool.submit(warren::bind_front([](const std::string& s, int n) { return s + std::to_string(n); }, text), 1);
  pool.submit(warren::fn<&Shape::area>, Shape{1});
  pool.submit(warren::fn<&square>, 1);
  pool.submit([](Vouched v) { return v; }, Vouched{});
  pool.submit([](std::vector<HoldsVouched> v) { return v; }, std::vector<HoldsVouched>(1));
  auto vouched = warren::Queue<Vouched>::create({.capacity = 1});
  auto no_default = warren::SpscQueue<Constexpr>::create({.capacity = 1});
  auto texts = warren::Queue<std::optional<std::string>>::create({.capacity = 1, .max_item_bytes = 100}).value();
  texts.push("literal");
  texts.push(std::nullopt);
  texts.push({});
  auto numbers = warren::Queue<std::vector<double>>::create({.capacity = 1}).value();
  if (auto loan = numbers.loan(3)) {
    (*loan)[0] = 1;
    numbers.push(std::move(loan));
  }
  if (const auto borrow = numbers.try_borrow()) (void)(*borrow).size();
  if (auto loan = queue.try_loan()) loan->x = 3;
  auto owners = warren::Queue<std::unique_ptr<int>>::create({.capacity = 1}).value();
  owners.push(std::make_unique<int>(3));
  const warren::TaskOptions task_options;
  const warren::MapOptions map_options;
  pool.submit(task_options, square, 1);
  (void)pool.map(map_options, square, xs);
  (void)pool.starmap(map_options, square, std::vector<std::tuple<int>>());
  for (auto r : pool.imap(map_options, square, xs)) (void)r;
  pool.submit(owned, std::make_unique<int>(3));
  pool.submit([](const Job& job) { return job.points; }, Job{});
  warren::Future<Job> job = pool.submit([](Job j) { return absl::StatusOr<Job>(std::move(j)); }, Job{});
  absl::Status nothing = pool.map([](int) {}, {1, 2, 3});
  absl::StatusOr<std::vector<int>> squares = pool.map(square, xs);
  absl::StatusOr<std::vector<int>> sums = pool.map([](int x, int y) { return x + y; }, xs, *squares);
  for (absl::StatusOr<int> r : pool.imap_unordered({.chunksize = 10}, square, xs)) (void)r;
  warren::PoolOptions options{.workers = 2, .initializer = [k] { (void)k; }};
  if (queue.try_push_for({1, 2}, 1s) && queue.try_push_until({1, 2}, std::chrono::steady_clock::now() + 1s))
    queue.close();
  while (auto point = queue.pop()) (void)point->x;
  const auto times = [k](int x) { return x * k; };
  pool.submit(times, 1);
  std::optional<decltype(times)> kept(times);  // g++ 12 no longer knows what `times` holds, but was asked before
  pool.submit([](warren::Queue<Point>& q) { q.close(); }, queue);
  pool.submit([](std::vector<warren::Queue<Point>> q) { return q.size(); }, std::vector<warren::Queue<Point>>{queue});
  auto process = warren::Process::start(
      {.name = "p", .daemon = true}, [](warren::Queue<Point>& q) { q.close(); }, queue);
  auto several = warren::Process::start([](const std::vector<warren::Queue<Point>>&) { return absl::OkStatus(); },
                                        std::vector<warren::Queue<Point>>{queue});
  (void)process, (void)several;
  (void)nothing, (void)sums, (void)options, (void)job, (void)kept;
}

void workers(warren::Pool& pool, warren::Queue<Point> queue, warren::Array<Point>& points) {
  auto group = warren::Supervisor::start(
      {.workers = 2, .grace = 1s},
      [](warren::Shutdown& shutdown, warren::Queue<Point>& q) { q.close(), shutdown.wait(); }, queue);
  auto plain = warren::Supervisor::start([](int) { return 3; }, 3);
  absl::Status moved = pool.for_each({.chunksize = 10, .task = {.retries = 1}}, points, [](Point& p) { ++p.x; });
  moved.Update(pool.for_each(points, [](const auto&) { return absl::OkStatus(); }));
  (void)group, (void)plain;
}

void values_and_arrays(std::span<const float> numbers, const std::vector<bool>& bits) {
  auto value = warren::Value<Point>::create({1, 2}).value();
  value.update([](Point& p) { ++p.x; });
  value.update([](auto& p) { return ++p.x; });
  const Point there = value.exchange({3, 4});
  const auto count = warren::Value<std::uint8_t>::create("count", 1, {.lifetime = warren::Lifetime::kUntilUnlinked});
  auto vouched = warren::Value<Vouched>::create();
  auto no_default = warren::Value<Constexpr>::create(Constexpr(1));
  auto array = warren::Array<double>::create(numbers).value();
  array.fetch_add(0, 1);
  auto flags = warren::Array<bool>::create("flags", bits);
  auto points = warren::Array<Point>::create({{1, 2}, {3, 4}}, {.lifetime = warren::Lifetime::kWhileAttached}).value();
  const std::scoped_lock both(points.mutex(), value.mutex());
  for (Point& p : points) p = there;
  auto threads = warren::ThreadPool::create({.workers = 2}).value();
  int here = 1;
  threads.submit([&here] { ++here; });
  threads.submit(
      {.priority = 1}, [](int& x, std::unique_ptr<int>) { ++x; }, std::ref(here), std::make_unique<int>(1));
  threads.submit([v = std::vector<std::unique_ptr<int>>()]() mutable { v.clear(); });
  const std::vector<std::unique_ptr<int>> owned_ints =
      threads.map([](int x) { return std::make_unique<int>(x); }, {1, 2}).value();
  (void)threads.for_each({.chunksize = 1}, points, [&here](Point& p) { p.x = here; });
  (void)owned_ints, (void)count, (void)vouched, (void)no_default, (void)flags;
}
