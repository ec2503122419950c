// Wrong programs, and what the compiler must say of them. check.py compiles each, and the rest without any.
//   #elif CASE == <number>  // [g++: | clang: only that compiler] text that the first error contains
#include "prelude.h"

using namespace std::chrono_literals;
using warren::Array;
using warren::Pool;
using warren::Queue;
using warren::Value;

struct WithPointer {
  int id;
  const char* name;
};
struct Seventeen {
  std::string a;
  int b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q;
};
struct Shape {
  double area() const { return w; }
  double w;
};
struct Unfinished {
  std::string text;
};
template <>
struct warren::Codec<Unfinished> {
  static void encode(warren::Writer& w, const Unfinished& u) { w.put(u.text); }
};

struct WithView {
  int id;
  std::string_view text;
};
struct AnonymousUnion {
  int kind;
  union {
    int i;
    double d;
  };
};
struct WithUnion {
  std::string name;
  union Either {
    int i;
    double d;
  } either;
};
struct NoConstexpr {
  explicit NoConstexpr(int v) : x(v) {}
  int x;
};
struct Locked {
  std::mutex mutex;
  int x;
};

struct Big {
  int words[4];
};
struct Small {
  int word;
};

int square(int x) { return x * x; }
void by_reference(int& x) { ++x; }
int owned(std::unique_ptr<int> p) { return *p; }

void wrong(Pool& pool, Queue<int>& queue, int k, std::string text, std::vector<int> xs) {
  int* pointer = &k;
  [[maybe_unused]] const auto shared = std::make_shared<int>(3);
  [[maybe_unused]] auto unique = std::make_unique<int>(3);
  [[maybe_unused]] const std::string_view view = text;
  [[maybe_unused]] const std::array<int*, 2> pointers{pointer, pointer};
  (void)pool, (void)queue, (void)xs;
  [[maybe_unused]] auto ends = warren::Pipe::create().value();
  [[maybe_unused]] auto wave = warren::Broadcast<int>::create().value();
  [[maybe_unused]] auto subscriber = wave.subscribe().value();
  [[maybe_unused]] auto big = Value<Big>::create().value();
  [[maybe_unused]] auto small = Value<Small>::create().value();
  [[maybe_unused]] auto fraction = Value<double>::create().value();
  [[maybe_unused]] auto big_array = Array<Big>::create(1).value();
  [[maybe_unused]] auto small_array = Array<Small>::create(1).value();
  [[maybe_unused]] auto threads = warren::ThreadPool::create().value();

#if CASE == 0
  // --- captures
#elif CASE == 1    // this callable cannot travel: it captures a pointer, a reference (&)
  pool.submit([&](int x) { return x + k; }, 1);
#elif CASE == 2    // Remedy: pass that as an argument, or warren::bind_front(f, value)
  pool.submit([text] { return text.size(); });
#elif CASE == 3    // this callable cannot travel
  pool.submit({.retries = 1}, [pointer] { return *pointer; });
#elif CASE == 4    // this callable cannot travel
  pool.submit([shared] { return *shared; });
#elif CASE == 5    // this callable cannot travel
  pool.submit([view] { return view.size(); });
#elif CASE == 6    // this callable cannot travel
  pool.submit([s = std::span<int>(xs)] { return s.size(); });
#elif CASE == 7    // this callable cannot travel
  pool.submit([queue]() mutable { queue.push(1); });
#elif CASE == 8    // this callable cannot travel
  auto r = pool.map([&](int x) { return x + k; }, {1, 2, 3});
#elif CASE == 9    // this callable cannot travel
  for (auto r : pool.imap_unordered([&](int x) { return x + k; }, xs)) (void)r;
#elif CASE == 10   // this callable cannot travel
  auto r = pool.starmap([&](int x, int y) { return x + y + k; }, std::vector<std::pair<int, int>>{{1, 2}});
#elif CASE == 11   // this callable cannot travel
  auto options = warren::PoolOptions{.initializer = [&k] { k = 1; }};
#elif CASE == 12   // a member function as warren::fn<&Type::function>
  pool.submit(&Shape::area, Shape{1});
#elif CASE == 13   // this callable cannot travel
  pool.submit(warren::bind_front([](int* p) { return *p; }, pointer));
#elif CASE == 14   // clang: this callable cannot travel
  pool.submit([pointers] { return *pointers[0]; });
#elif CASE == 15   // g++: this compiler no longer sees what this closure captures
  auto f = [k] { return k; };
  std::optional<decltype(f)> kept(f);
  pool.submit(f);

  // --- arguments
#elif CASE == 20   // an argument cannot travel to another process
  pool.submit([](int* x) { return *x; }, pointer);
#elif CASE == 21   // the function cannot be called with these arguments
  pool.submit(by_reference, 1);
#elif CASE == 22   // std::ref cannot travel: the worker has its own memory
  pool.submit(square, std::ref(k));
#elif CASE == 23   // the function cannot be called with these arguments
  pool.submit(square, "nope");
#elif CASE == 24   // a move-only argument: std::move it
  pool.submit(owned, unique);
#elif CASE == 26   // an argument cannot travel to another process
  pool.submit([](const std::vector<WithPointer>& v) { return v.size(); }, std::vector<WithPointer>());
#elif CASE == 28   // this type cannot travel to another process by itself: it holds a union
  pool.submit([](const AnonymousUnion& u) { return u.kind; }, AnonymousUnion{});
#elif CASE == 29   // it holds a union
  pool.submit([](const WithUnion& u) { return u.name; }, WithUnion{});
#elif CASE == 60   // the compiler cannot look into this trivially copyable type, since it has no constexpr constructor
  pool.submit([](NoConstexpr n) { return n.x; }, NoConstexpr(1));
#elif CASE == 61   // this type can be neither copied nor moved to another process: it holds a mutex
  Locked locked;
  pool.submit([](const Locked& l) { return l.x; }, locked);
#elif CASE == 62   // the fields of this struct cannot be told
  pool.submit([](const Seventeen& s) { return s.a; }, Seventeen{});
#elif CASE == 63   // static absl::StatusOr<T> decode(warren::Reader&)
  pool.submit([](const Unfinished& u) { return u.text; }, Unfinished{});
#elif CASE == 65   // the function cannot be called with these arguments: their number or types differ
  std::string sum = std::to_string(pool.submit([](int a, int b) { return a + b; }, 3).get().value());
#elif CASE == 66   // the function cannot be called with these arguments: their number or types differ
  for (absl::StatusOr<int> r : pool.imap([](int a, int b) { return a + b; }, xs)) (void)r;
#elif CASE == 27   // cannot be called without arguments. Remedy: warren::bind_front
  auto options = warren::PoolOptions{.initializer = [](int) {}};

  // --- results
#elif CASE == 30   // the result cannot travel back
  pool.submit([](std::string_view v) { return v; }, "x");
#elif CASE == 31   // the result cannot travel back
  auto r = pool.map([](int x) { return new int(x); }, xs);
#elif CASE == 32   // ignoring return
  pool.submit(square, 1).get();
#elif CASE == 34   // it holds a union
  pool.submit([] { return AnonymousUnion{}; });
#elif CASE == 33   // bool
  while (auto x = pool.submit(square, 1).get()) {
  }

  // --- payloads
#elif CASE == 40   // this type cannot travel to another process: it holds a pointer, a reference, a view or private
  auto q = Queue<WithPointer>::create({.capacity = 1});
#elif CASE == 41   // in its place char text[N] for a text
  auto q = warren::SpscQueue<std::string_view>::create({.capacity = 1});
#elif CASE == 42   // the fields of this struct cannot be told
  auto q = Queue<Seventeen>::create({.capacity = 1});
#elif CASE == 43   // in its place char text[N] for a text
  auto q = warren::SpscQueue<WithView>::create({.capacity = 1});
#elif CASE == 44   // which warren::Queue carries. Remedy: a struct with named fields
  auto q = warren::SpscQueue<std::string>::create({.capacity = 1});
#elif CASE == 45   // which warren::Queue carries
  auto q = warren::SpscQueue<std::pair<int, int>>::create({.capacity = 1});
#elif CASE == 46   // which warren::Queue carries
  auto q = warren::SpscQueue<std::map<int, int>>::create({.capacity = 1});
#elif CASE == 47   // it holds a union, and which member counts only the program knows
  auto q = Queue<AnonymousUnion>::create({.capacity = 1});
#elif CASE == 48   // the compiler cannot look into this trivially copyable type, since it has no constexpr constructor
  auto q = Queue<NoConstexpr>::create({.capacity = 1});
#elif CASE == 49   // this type can be neither copied nor moved to another process
  auto q = Queue<Locked>::create({.capacity = 1});
#elif CASE == 150  // this type cannot travel to another process: it holds a pointer, a reference, a view or private
  auto q = Queue<std::vector<std::string_view>>::create({.capacity = 1});
#elif CASE == 151  // this type cannot be lent: it is encoded when it is pushed
  auto q = Queue<std::optional<std::string>>::create({.capacity = 1}).value().loan();
#elif CASE == 152  // Remedy: push(item) and pop(); or a type whose bytes are its value
  auto q = Queue<std::vector<bool>>::create({.capacity = 1}).value().try_borrow();

  // --- calls
#elif CASE == 50   // ignoring return
  queue.try_push(1);
#elif CASE == 51   // ignoring return
  queue.try_pop();
#elif CASE == 52   // a deadline is a time of std::chrono::steady_clock
  (void)queue.try_push_until(1, std::chrono::system_clock::now());
#elif CASE == 53   // ambiguous
  auto q = Queue<int>::create({});
#elif CASE == 54   // order
  pool.submit({.retry_on = warren::RetryOn::kDeath, .retries = 1}, square, 1);
#elif CASE == 56   // Remedy: a container, a view, or one list {1, 2, 3}; for a single call submit(f, x)
  auto r = pool.map(square, 3);
#elif CASE == 57   // Remedy: a container, a view, or one list {1, 2, 3}; for a single call submit(f, x)
  for (auto r : pool.imap({.chunksize = 2}, square, k)) (void)r;
#elif CASE == 58   // starmap takes one range of tuples, pairs or arrays
  auto r = pool.starmap([](int a, int b) { return a + b; }, xs);
#elif CASE == 195  // {.task = {.deadline = 5s}}
  (void)pool.map({.deadline = 300ms}, square, xs);
#elif CASE == 59   // Remedy: {.task = {.retries = 3}}
  auto r = pool.map({.retries = 3}, square, xs);

  // --- values and arrays
#elif CASE == 120  // Remedy: a struct with named fields, char text[N] for a text
  auto v = Value<std::string>::create();
#elif CASE == 121  // an index or an offset for a pointer
  auto v = Value<int*>::create();
#elif CASE == 122  // the name of what a handle reaches
  auto v = Value<Queue<int>>::open("jobs");
#elif CASE == 123  // a warren::Value is atomic itself, and it and an Array have a mutex()
  auto v = Value<Locked>::create();
#elif CASE == 124  // a warren::Value is atomic itself, and it and an Array have a mutex()
  auto v = Value<std::atomic<int>>::create();
#elif CASE == 126  // Value<T> holds a plain T
  auto v = Value<const int>::create(3);
#elif CASE == 127  // Remedy: a struct with named fields, char text[N] for a text, std::array for a container
  auto a = Array<std::vector<int>>::create(3);
#elif CASE == 128  // Remedy: hold mutex() and use operator[]; or a T of 1, 2, 4 or 8 bytes
  (void)big_array.load(0);
#elif CASE == 129  // Remedy: hold mutex() and use operator[]
  big_array.store(0, Big{});
#elif CASE == 130  // Remedy: compare_exchange, or mutex()
  (void)small_array.fetch_add(0, Small{});
#elif CASE == 131  // compare_exchange is for a T of up to 8 bytes. Remedy: update
  Big expected{};
  (void)big.compare_exchange(expected, Big{});
#elif CASE == 132  // are for numbers. Remedy: update([](T& x) { ... })
  small += Small{};
#elif CASE == 133  // ++ and -- are for integers. Remedy: += 1
  ++fraction;
#elif CASE == 134  // fetch_and is for integers
  fraction.fetch_and(1);
#elif CASE == 135  // f changes its argument in place
  fraction.update([](double x) { return x + 1; });
#elif CASE == 136  // update(f) calls f with a T&
  fraction.update([] {});
#elif CASE == 137  // a text alone is neither a size nor elements
  auto a = Array<char>::create("text");
#elif CASE == 138  // the elements of this range cannot be converted to the array's
  auto a = Array<int>::create(std::vector<std::string>{"1"});
#elif CASE == 139  // ignoring return
  small_array.load(0);
#elif CASE == 140  // ignoring return
  fraction.load();
#elif CASE == 141  // g++: operator=
  fraction = 3.0;
#elif CASE == 142  // clang: no viable overloaded '='
  fraction = 3.0;
#elif CASE == 55   // no matching
  auto s = std::string_view(absl::InternalError("x").message());

  // --- futures
#elif CASE == 160  // on_done() calls f with the result
  pool.submit(square, 1).on_done([](int x) { return x; });
#elif CASE == 161  // then() calls f with the value of the task
  pool.submit(square, 1).then([](std::string s) { return s; });
#elif CASE == 162  // then() calls f with the value of the task
  pool.submit([] {}).then([](int x) { return x; });
#elif CASE == 163  // needs a range that holds them, not const
  const std::vector<warren::Future<int>> futures;
  for (auto& f : as_completed(futures)) (void)f;
#elif CASE == 164  // g++: use of deleted function
  auto future = pool.submit(square, 1);
  auto copy = future;

  // --- processes
#elif CASE == 70   // the target of a process gives void, int (the exit code), absl::Status or absl::StatusOr<int>
  auto p = warren::Process::start([] { return std::string("result"); });
#elif CASE == 71   // the target cannot be called with these arguments
  auto p = warren::Process::start(by_reference, 3);
#elif CASE == 72   // Remedy: pass that as an argument
  auto p = warren::Process::start([queue] { (void)queue.approx_size(); });
#elif CASE == 73   // std::ref cannot travel
  auto p = warren::Process::start([](int& x) { ++x; }, std::ref(k));
#elif CASE == 75   // a move-only argument: std::move it
  auto p = warren::Process::start([](warren::Connection& c) { c.close(); }, ends.first);
#elif CASE == 76   // a move-only argument: std::move it
  std::vector<warren::Connection> many;
  auto p = warren::Process::start([](std::vector<warren::Connection>& c) { c.clear(); }, many);
#elif CASE == 77   // of a Broadcast a subscribe()
  auto p = warren::Process::start([](warren::Subscriber<int> s) { (void)s.pop(); }, std::move(subscriber));
#elif CASE == 78   // of a Broadcast a subscribe()
  pool.submit([](warren::Subscriber<int> s) { return s.lost(); }, subscriber);
#elif CASE == 79   // of a Queue a lease()
  pool.submit([](warren::Lease<int> l) { return *l; }, queue.lease());
#elif CASE == 80   // a Connection goes with Process::start
  pool.submit([](warren::Connection& c) { c.close(); }, std::move(ends.first));
#elif CASE == 81   // in place of a Subscriber its Broadcast
  auto q = Queue<warren::Subscriber<int>>::create({.capacity = 1});

  // --- waiting
#elif CASE == 90   // for a Process its sentinel()
  auto p = warren::Process::start(square, 3).value();
  (void)warren::wait({queue, p});
#elif CASE == 91   // for a Broadcast a Subscriber
  (void)warren::wait({wave}, 1s);
#elif CASE == 92   // for any open descriptor Descriptor::dup(fd)
  (void)warren::wait({k});
#elif CASE == 74   // the target cannot be called with these arguments
  auto p = warren::Process::start({.name = "p"}, square, 1, 2);
#elif CASE == 187  // the target cannot be called with these arguments
  auto s = warren::Supervisor::start(
      {.workers = 1}, [](warren::Shutdown&, int) {}, std::string("text"));
#elif CASE == 323  // a worker's target takes its Shutdown& before the arguments
  auto s = warren::Supervisor::start([](int, warren::Shutdown&) {}, 1);
#elif CASE == 324  // a time without a unit. Remedy: 5s or 500ms
  pool.submit({.deadline = 5}, square, 1);
#elif CASE == 325  // a time without a unit. Remedy: 5s or 500ms
  (void)queue.try_pop_for(5);
#elif CASE == 188  // the target of a process gives void, int (the exit code), absl::Status or absl::StatusOr<int>
  auto s = warren::Supervisor::start([](warren::Shutdown&) { return std::string("result"); });
#elif CASE == 189  // Remedy: pass that as an argument
  auto s = warren::Supervisor::start([&k](warren::Shutdown&) { ++k; });

  // --- for_each
#elif CASE == 190  // Remedy: Array<T>::create(items); or map
  (void)pool.for_each(xs, [](int& x) { ++x; });
#elif CASE == 191  // Remedy: Array<T>::create(items); or map
  const auto constant = small_array;
  (void)pool.for_each(constant, [](const Small&) {});
#elif CASE == 192  // for_each calls the function with a T& for each element
  (void)pool.for_each(small_array, [](int& x) { ++x; });
#elif CASE == 193  // this callable cannot travel
  (void)pool.for_each({.chunksize = 1}, small_array, [&k](Small& x) { x.word += k; });
#elif CASE == 320  // this function takes a copy of each: nothing would change. Remedy: take T&
  (void)pool.for_each(small_array, [](Small x) { ++x.word; });
#elif CASE == 321  // this function takes a copy of each: nothing would change. Remedy: take T&
  (void)threads.for_each(xs, [](int x) { return ++x; });
#elif CASE == 322  // this function takes a copy of each: nothing would change. Remedy: take T&
  (void)pool.for_each(small_array, warren::bind_front([](int by, Small x) { x.word += by; }, 2));
#elif CASE == 194  // ignoring return
  pool.for_each(small_array, [](Small& x) { ++x.word; });

  // --- records
#elif CASE == 170  // Remedy: push({buffer, bytes})
  char buffer[64];
  warren::SpscRecords::create(4096).value().push(buffer);

  // --- threads
#elif CASE == 180  // a move-only argument: std::move it
  threads.submit([](std::unique_ptr<int> p) { return *p; }, unique);
#elif CASE == 181  // Remedy: std::ref(x) where the thread may use yours
  threads.submit(by_reference, k);
#elif CASE == 182  // Remedy: std::ref(f), which all threads call at once
  auto r = threads.map([p = std::make_unique<int>(1)](int x) { return x + *p; }, xs);
#elif CASE == 183  // for_each changes the elements of a range where they lie
  std::vector<bool> bits(3);
  (void)threads.for_each(bits, [](auto&& bit) { bit = true; });
#elif CASE == 184  // for_each calls the function with each element, a T&
  (void)threads.for_each(xs, [](std::string& s) { s.clear(); });
#elif CASE == 185  // starmap takes one range of tuples, pairs or arrays
  auto r = threads.starmap(square, xs);
#elif CASE == 186  // map and imap take the function, then a range
  auto r = threads.map(square, 3);
#endif
}
