// For the tests of ipc-inspect: makes segments of every kind, says "ready", and holds them until its input ends.
//   hold_segments make PREFIX        PREFIX-queue, -spsc, -raw, -kept; an unlinked one, an anonymous one, a pool
//   hold_segments read PREFIX        only PREFIX-kept, read-only
//   hold_segments remove NAME...     unlinks them, and holds nothing
#include <warren/ipc/queue.h>
#include <warren/ipc/segment.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/pool/pool.h>

#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

namespace {

void say_ready_and_wait() {
  std::cout << "ready" << std::endl;
  while (std::cin.get() != std::char_traits<char>::eof()) {
  }
}

void make(const std::string& prefix) {
  // Before the process has anything else that its workers would hold too.
  auto pool = warren::Pool::create({.workers = 1, .name = "evil \x1b[31m\n\xff name"}).value();
  auto queue = warren::Queue<std::int64_t>::create(prefix + "-queue", {.capacity = 10}).value();
  for (const std::int64_t item : {1, 2, 3}) queue.push(item);
  auto spsc = warren::SpscQueue<std::int32_t>::create(prefix + "-spsc", {.capacity = 8}).value();
  for (const std::int32_t item : {1, 2}) spsc.push(item);
  const auto raw = warren::Segment::create(prefix + "-raw", 10'000).value();
  const auto kept =
      warren::Segment::create(prefix + "-kept", 100, {.lifetime = warren::Lifetime::kUntilUnlinked}).value();
  const auto unlinked = warren::Segment::create(prefix + "-unlinked", 100).value();
  warren::Segment::unlink(prefix + "-unlinked").IgnoreError();
  const auto anonymous = warren::Queue<double>::create({.capacity = 4}).value();
  say_ready_and_wait();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 2 ? argv[1] : "";
  if (what == "make") {
    make(argv[2]);
  } else if (what == "read") {
    const auto kept = warren::Segment::open_read_only(std::string(argv[2]) + "-kept").value();
    say_ready_and_wait();
  } else if (what == "remove") {
    for (int i = 2; i < argc; ++i) warren::Segment::unlink(argv[i]).IgnoreError();
  } else {
    return 2;
  }
}
