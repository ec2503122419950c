// A queue in use, bounded or not, whose header, slots, directory and lanes somebody else writes into meanwhile: calls
// return, whatever they return.
#include <warren/ipc/queue.h>

#include <array>
#include <chrono>

#include "fuzz/elements.h"
#include "fuzz/in_use.h"
#include "fuzz/must.h"
#include "fuzz/targets.h"
#include "support/lease_view.h"

namespace warren::fuzz {
namespace {

constexpr int kMostSteps = 100;
constexpr std::chrono::microseconds kShort{200};

// Head, and the first lease cells.
template <class T>
void spoil_leases(Input& input, const Queue<T>& queue) noexcept {
  constexpr std::size_t kWords = detail::kInSlot<T> ? detail::kWordsOf<T> : layout::kParcelWords;
  const test::LeaseView view(test::Reach::attachment(queue), kWords);
  auto* const words = reinterpret_cast<std::uint64_t*>(&view.cell(0));
  std::uint64_t* const to =
      input.below(4) == 0 ? reinterpret_cast<std::uint64_t*>(&view.ring().head) : words + input.below(24);
  std::atomic_ref(*to).fetch_xor(std::uint64_t{1} << input.below(64) | input.below(2), std::memory_order_relaxed);
}

template <class T>
void use(Input& input, std::size_t capacity) {
  auto queue = Queue<T>::create({.capacity = capacity}).value();
  const std::size_t object_bytes = test::Reach::attachment(queue).size();  // before its word is written to
  std::array<T, 5> items{};
  std::array<Lease<T>, 3> leases;
  for (int step = 0; step < kMostSteps && !input.empty(); ++step) {
    switch (input.below(16)) {
      case 0: (void)queue.try_push(input.take<T>()); break;
      case 1: (void)queue.try_pop(); break;
      case 2: (void)queue.try_push_n(items); break;
      case 3: must(queue.try_pop_n(items) <= items.size(), "no more than there is room for"); break;
      case 4: (void)queue.try_pop_for(kShort); break;
      case 5: (void)queue.try_push_for(items.front(), kShort); break;
      case 6: (void)queue.drained(); break;
      case 7: must(queue.approx_size() <= queue.capacity(), "never more than its capacity"); break;
      case 8: (void)queue.stats(); break;
      case 9: (void)queue.check(items.front()); break;
      case 10: (void)test::Reach::attachment(queue).sweep(); break;
      case 11: queue.close(); break;
      case 12: spoil_word(input, queue, object_bytes); break;
      case 13: spoil_leases(input, queue); break;
      case 14: leases[input.below(3)] = queue.try_lease(); break;
      default: leases[input.below(3)].ack();
    }
  }
}

}  // namespace

void queue(Bytes bytes) {
  hurry();
  detail::elastic_tuning().chunk_bytes = 512;
  detail::elastic_tuning().most_chunks = 8;
  Input input(bytes);
  switch (input.below(4)) {
    case 0: use<int>(input, 1 + input.below(8)); break;
    case 1: use<int>(input, 0); break;
    case 2: use<Large>(input, 1 + input.below(8)); break;
    default: use<Large>(input, 0);
  }
}

}  // namespace warren::fuzz
