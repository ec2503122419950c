// Makes the corpus's seeds from real segments: whole, cut short, zeroed, with flipped bits; and values and sequences of
// calls to begin with.
//   fuzz_seeds FOLDER
#include <fcntl.h>
#include <unistd.h>
#include <warren/ipc/detail/buffer_writer.h>
#include <warren/ipc/pipe.h>
#include <warren/layout/pipe.h>
#include <warren/pool/pool.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "fuzz/elements.h"
#include "fuzz/packed_segment.h"
#include "fuzz/use_object.h"

namespace {

namespace fs = std::filesystem;
using namespace warren;
using fuzz::Large;
using Packed = std::vector<std::byte>;

constexpr std::size_t kLanes = 3;

class Folder {
 public:
  explicit Folder(fs::path path) : path_(std::move(path)) { fs::create_directories(path_); }
  void add(const std::string& name, const Packed& bytes) const {
    std::ofstream file(path_ / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  fs::path path_;
};

void add_spoilt(const Folder& folder, const std::string& name, const Packed& whole, std::mt19937& random) {
  folder.add(name + ".whole", whole);
  folder.add(name + ".cut",
             Packed(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(random() % whole.size())));
  Packed zeroed = whole;
  const std::size_t from = sizeof(fuzz::Shape) + random() % (whole.size() - sizeof(fuzz::Shape));
  std::fill(zeroed.begin() + static_cast<std::ptrdiff_t>(from), zeroed.end(), std::byte{0});
  folder.add(name + ".zeroed", zeroed);
  Packed flipped = whole;
  for (int i = 0; i < 8; ++i) flipped[random() % flipped.size()] ^= static_cast<std::byte>(1u << random() % 8);
  folder.add(name + ".flipped", flipped);
}

// As its file is while `object` is attached.
Packed packed(const Handle& object, std::size_t object_bytes) {
  return fuzz::pack(test::Reach::attachment(object).descriptor(), kLanes, object_bytes, true);
}

void add_segments(const Folder& folder, std::mt19937& random) {
  const auto add = [&](const char* name, const auto& object, std::size_t object_bytes) {
    add_spoilt(folder, name, packed(object, object_bytes), random);
  };
  const std::string name = "warren-fuzz-seed." + std::to_string(::getpid());
  add("segment", Segment::create(name, 64, {.max_size = 8192}).value(), 64);
  auto queue = Queue<int>::create(name, {.capacity = 4}).value();
  (void)queue.try_push(1);
  add("queue", queue, 320);
  queue = Queue<int>::create(name + ".2").value();
  (void)queue.try_push(1);
  add("unbounded", queue, 512);
  auto texts = Queue<std::string>::create({.capacity = 4}).value();
  (void)texts.try_push(std::string(300, 'x'));
  add("parcels", texts, 2048);
  texts = Queue<std::string>::create().value();
  (void)texts.try_push("x");
  add("unbounded_parcels", texts, 1536);
  auto large = Queue<Large>::create({.capacity = 2}).value();
  (void)large.try_push({});
  add("large", large, 416);
  auto spsc = SpscQueue<int>::create({.capacity = 4}).value();
  (void)spsc.try_push(1);
  add("spsc", spsc, 320);
  auto records = SpscRecords::create(4096).value();
  for (const std::size_t size : {5u, 0u, 40u}) (void)records.try_push(std::vector<std::byte>(size));
  add("records", records, 256 + 96);
  auto mutex = Mutex::create().value();
  mutex.lock();
  add("mutex", mutex, sizeof(layout::Mutex));
  add("recursive", RecursiveMutex::create().value(), sizeof(layout::Mutex));
  auto shared = SharedMutex::create().value();
  shared.lock_shared();
  add("shared_mutex", shared, 1024);
  add("event", Event::create().value(), 256);
  add("semaphore", Semaphore::create(2).value(), 256);
  auto bounded = BoundedSemaphore::create(2).value();
  bounded.acquire();
  add("bounded_semaphore", bounded, 512);
  auto broadcast = Broadcast<int>::create({.capacity = 4, .slow_reader = SlowReader::kBlocksWriter}).value();
  const auto subscriber = broadcast.subscribe().value();
  (void)broadcast.try_push(1);
  add("broadcast", broadcast, 1024);
  add("condition", Condition::create().value(), 256);
  add("latch", Latch::create(2).value(), 256);
  add("barrier", Barrier::create(2).value(), 512);
  add("value", Value<int>::create(7).value(), sizeof(layout::ValueHeader));
  add("large_value", Value<Large>::create().value(), 512);
  add("array", Array<int>::create({1, 2, 3}).value(), 512);
  auto ranked = PriorityQueue<int>::create({.capacity = 4}).value();
  (void)(ranked.try_push(1, 5) && ranked.try_push(2, 7) && ranked.try_push(3, 5) && ranked.try_pop());
  add("priority_queue", ranked, 384);
  auto ranked_texts = PriorityQueue<std::string>::create({.capacity = 2}).value();
  (void)(ranked_texts.try_push("text", 0) && ranked_texts.try_push(std::string(200, 'x'), 1));
  add("priority_parcels", ranked_texts, 4096 + 1024);
  auto stack = Stack<Large>::create({.capacity = 2}).value();
  (void)stack.try_push({});
  add("stack", stack, 384);
}

void add_pipes(const Folder& folder, std::mt19937& random) {
  auto [mine, theirs] = Pipe::create({.capacity = 64}).value();
  (void)mine.send(1);
  (void)theirs.send("text");
  add_spoilt(folder, "pipe", packed(mine, sizeof(layout::PipeHeader) + 2 * 64), random);
}

// Only ipc-inspect reads a pool's segment by itself.
void add_pool(const Folder& folder, std::mt19937& random) {
  auto pool = Pool::create({.workers = 1}).value();
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (fs::read_symlink(entry.path(), gone).string().find("warren:pool") == std::string::npos) continue;
    add_spoilt(folder, "pool", fuzz::pack(std::stoi(entry.path().filename()), kLanes, 6144, true), random);
    return;
  }
}

template <class T>
void add_value(const Folder& folder, const char* name, unsigned char type, const T& value) {
  detail::BufferWriter writer;
  writer.put(type);
  writer.put(value);
  folder.add(name, Packed(writer.written().begin(), writer.written().end()));
}

void add_values(const Folder& folder) {
  add_value(folder, "string", 5, std::string("text"));
  add_value(folder, "strings", 9, std::vector<std::string>{"a", "bc", ""});
  add_value(folder, "map", 13, std::map<std::string, int>{{"a", 1}, {"b", 2}});
  add_value(folder, "tuple", 19, std::tuple<bool, std::string, double>{true, "t", 1.5});
  add_value(folder, "optional", 20, std::optional<std::string>("there"));
}

// What the verbs of these targets are is in their code; any bytes are calls.
void add_calls(const Folder& folder, int objects, std::mt19937& random) {
  for (int n = 0; n < 2 * objects; ++n) {
    Packed calls(160);
    for (std::byte& b : calls) b = static_cast<std::byte>(random() % (n < objects ? 16 : 256));
    calls.front() = static_cast<std::byte>(n % objects);
    folder.add("calls." + std::to_string(n), calls);
  }
}

int make_seeds(const fs::path& to) {
  std::mt19937 random(1);
  add_segments(Folder(to / "attach"), random);
  add_segments(Folder(to / "inspect"), random);
  add_pool(Folder(to / "inspect"), random);
  add_values(Folder(to / "codec"));
  add_calls(Folder(to / "queue"), 4, random);
  add_calls(Folder(to / "recover"), 15, random);
  add_pipes(Folder(to / "attach"), random);
  add_pipes(Folder(to / "inspect"), random);
  add_calls(Folder(to / "pipe"), 6, random);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2) return make_seeds(argv[1]);
  std::fprintf(stderr, "fuzz_seeds FOLDER\n");
  return EXIT_FAILURE;
}
