// A pipe in use whose header, rings and lanes somebody else writes into meanwhile: calls return, whatever they return.
#include <warren/ipc/detail/byte_ring.h>
#include <warren/ipc/pipe.h>

#include <chrono>
#include <string>
#include <vector>

#include "fuzz/in_use.h"
#include "fuzz/targets.h"
#include "support/pipe_view.h"

namespace warren::fuzz {
namespace {

constexpr int kMostSteps = 100;
constexpr std::chrono::microseconds kShort{200};

// A send waits for room as long as a reader is left, and for the lock as long as a living thread has it: so it may not
// be called where the words say so.
bool sends_at_once(const Connection& end, int towards, std::size_t capacity, std::size_t length) {
  const layout::PipeDirection& words = test::PipeView::to(end, towards);
  const std::uint64_t used = words.tail.load(std::memory_order_relaxed) - words.head.load(std::memory_order_relaxed);
  const std::uint64_t record = detail::ByteRing::record_bytes({.length = static_cast<std::uint32_t>(length)});
  return (used > capacity || capacity - used >= record) && !held_by_living(end, words.sending);
}

void use(Input& input, std::size_t capacity, bool duplex) {
  auto [first, second] = Pipe::create({.duplex = duplex, .capacity = capacity}).value();
  const std::size_t object_bytes = test::PipeView::attachment(first).size();  // before its word is written to
  const std::vector<std::byte> message(capacity, std::byte{7});
  for (int step = 0; step < kMostSteps && !input.empty(); ++step) {
    const bool is_first = input.below(2) == 0;
    Connection& end = is_first ? first : second;
    const auto send = [&](std::size_t length, const auto& what) {
      if (sends_at_once(end, is_first ? 1 : 0, capacity, length)) (void)what();
    };
    switch (input.below(16)) {
      case 0: send(sizeof step, [&] { return end.send(step); }); break;
      case 1: send(64, [&] { return end.send("text"); }); break;
      case 2: {
        const std::size_t length = input.take<std::uint16_t>() % (capacity - detail::ByteRing::kUnit + 1);
        send(length, [&] { return end.send_bytes(std::span(message).first(length)); });
        break;
      }
      case 3: (void)end.recv_for<int>(kShort); break;
      case 4: (void)end.recv_for<std::string>(kShort); break;
      case 5: (void)end.recv_for<std::vector<std::string>>(kShort); break;
      case 6: (void)end.poll(); break;
      case 7: (void)end.poll(kShort); break;
      case 8: (void)end.fileno(); break;
      case 9: (void)wait({first, second}, kShort); break;
      case 10: (void)test::PipeView::attachment(end).sweep(); break;
      case 11: {
        end.close();
        Connection& other = is_first ? second : first;
        (void)other.recv_for<int>(kShort);
        (void)other.poll();
        (void)other.send(step);  // no reader is left, or not in this direction
        return;
      }
      default: spoil_word(input, end, object_bytes);
    }
  }
}

}  // namespace

void pipe(Bytes bytes) {
  hurry();
  Input input(bytes);
  const std::size_t capacity = std::size_t{64} << input.below(6);
  use(input, capacity, /*duplex=*/input.below(4) != 0);
}

}  // namespace warren::fuzz
