// Pipes with threads only, so that ThreadSanitizer sees every access: rings, doors, shared ends, loops of events.
#include <gtest/gtest.h>
#include <sched.h>
#include <warren/ipc/detail/byte_ring.h>
#include <warren/ipc/pipe.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/resources.h"

namespace warren {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_THREAD__)
constexpr int kScale = 1;
#else
constexpr int kScale = 4;
#endif

// --- the ring by itself: its orders alone keep sender and receiver apart

struct RingOfOne {
  static constexpr std::size_t kBytes = 128;
  layout::PipeDirection words{};
  alignas(8) std::array<std::byte, kBytes> bytes{};
  detail::ByteRing sender{words, bytes.data(), kBytes}, receiver{words, bytes.data(), kBytes};
};

void send_through(RingOfOne& ring, int messages) {
  for (int i = 0; i < messages; ++i) {
    const std::array<int, 5> payload{i, i, i, i, i};
    const layout::PieceHead head{.length = sizeof payload, .first = true, .last = true};
    while (ring.sender.room_for(detail::ByteRing::record_bytes(head)) != detail::ByteRing::Room::kEnough) {
      ::sched_yield();
    }
    ring.sender.put(head, 0, std::as_bytes(std::span(payload)));
  }
}

TEST(ByteRingThreads, ARecordIsReadAsItWasWritten) {
  const int messages = 5000 * kScale;
  const auto ring = std::make_unique<RingOfOne>();
  std::thread sender([&] { send_through(*ring, messages); });
  for (int i = 0; i < messages;) {
    detail::ByteRing::Piece piece;
    if (ring->receiver.look(piece) != detail::ByteRing::Look::kPiece) {
      ::sched_yield();
      continue;
    }
    std::array<int, 5> payload{};
    ASSERT_EQ(piece.head.length, sizeof payload);
    ring->receiver.copy(piece, reinterpret_cast<std::byte*>(payload.data()));
    ring->receiver.take(piece);
    ASSERT_EQ(payload, (std::array<int, 5>{i, i, i, i, i}));
    ++i;
  }
  sender.join();
}

// --- connections

std::string text(int i, std::size_t size) { return std::to_string(i) + std::string(size, 'p'); }

TEST(PipeThreads, AConversationOfSmallAndLargeMessages) {
  auto [a, b] = Pipe::create({.capacity = 256}).value();
  std::thread echo([&b = b] {
    for (;;) {
      const absl::StatusOr<std::string> got = b.recv<std::string>();
      if (!got.ok() || !b.send(*got).ok()) break;
    }
  });
  for (int i = 0; i < 300 * kScale; ++i) {
    const std::string sent = text(i, static_cast<std::size_t>(i % 7 == 0 ? 2000 : i % 100));
    ASSERT_TRUE(a.send(sent).ok());
    ASSERT_EQ(a.recv<std::string>().value(), sent);
  }
  a.close();
  echo.join();
}

TEST(PipeThreads, SharedEndsDeliverEachMessageOnce) {
  constexpr int kSenders = 3, kReceivers = 3;
  const int each = 400 * kScale;
  auto [in, out] = Pipe::create({.duplex = false, .capacity = 512}).value();
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(kSenders * each));
  std::vector<std::thread> threads;
  for (int s = 0; s < kSenders; ++s) {
    threads.emplace_back([=, c = out.share()]() mutable {
      for (int i = 0; i < each; ++i) {
        const int number = s * each + i;
        if (i % 50 == 0) {
          EXPECT_TRUE(c.send(std::vector<int>(400, number)).ok());
        } else {
          EXPECT_TRUE(c.send(std::vector<int>{number}).ok());
        }
      }
    });
  }
  for (int r = 0; r < kReceivers; ++r) {
    threads.emplace_back([&, r, c = in.share()]() mutable {
      for (;;) {
        if (r == 0 && wait({c}, 10s).empty()) continue;
        const auto got = r == 0   ? c.recv_for<std::vector<int>>(0s)
                         : r == 1 ? c.recv_for<std::vector<int>>(1ms)
                                  : c.recv<std::vector<int>>();
        if (absl::IsOutOfRange(got.status())) return;
        if (!got.ok()) continue;
        for (const int number : *got) EXPECT_EQ(number, got->front());
        ++seen[static_cast<std::size_t>(got->front())];
      }
    });
  }
  out.close();
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i], 1) << i;
}

TEST(PipeThreads, ManyPipesComeAndGo) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 50 * kScale; ++i) {
        auto [a, b] = Pipe::create({.capacity = 64}).value();
        (void)b.fileno();
        std::thread other([c = std::move(b)]() mutable { EXPECT_EQ(c.recv<int>().value(), 5); });
        EXPECT_TRUE(a.send(5).ok());
        other.join();
        EXPECT_TRUE(absl::IsUnavailable(a.send(6)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace warren
