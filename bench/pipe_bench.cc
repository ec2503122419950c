// Pipe between two processes, each on a processor of its own, beside a unix socketpair and POSIX pipes.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>
#include <warren/ipc/pipe.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "peer.h"

namespace warren::bench {
namespace {

using Bytes = std::span<std::byte>;

// What both processes hold: who receives what, all of it, false where that failed.
class WarrenPipe {
 public:
  WarrenPipe() : ends_(Pipe::create().value()) {}
  bool send(bool here, Bytes bytes) { return end(here).send_bytes(bytes).ok(); }
  bool recv(bool here, Bytes bytes) {
    const absl::StatusOr<std::size_t> got = end(here).recv_bytes_into(bytes);
    return got.ok() && *got == bytes.size();
  }

 private:
  Connection& end(bool here) { return here ? ends_.first : ends_.second; }
  std::pair<Connection, Connection> ends_;
};

// Streams of bytes, with two descriptors for each end.
class Streams {
 public:
  ~Streams() {
    for (const auto& end : fds_) {
      ::close(end[0]);
      if (end[1] != end[0]) ::close(end[1]);
    }
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  bool send(bool here, Bytes bytes) {
    return all(bytes, [&](Bytes rest) { return ::write(fds_[here][1], rest.data(), rest.size()); });
  }
  bool recv(bool here, Bytes bytes) {
    return all(bytes, [&](Bytes rest) { return ::read(fds_[here][0], rest.data(), rest.size()); });
  }

 protected:
  Streams() = default;
  std::array<std::array<int, 2>, 2> fds_{};

 private:
  template <class Call>
  static bool all(Bytes bytes, Call call) {
    while (!bytes.empty()) {
      const ssize_t n = call(bytes);
      if (n <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return true;
  }
};
struct Sockets : Streams {
  Sockets() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0)
      fds_ = {{{fds[0], fds[0]}, {fds[1], fds[1]}}};
  }
};
struct PosixPipes : Streams {
  PosixPipes() {
    std::array<int, 2> there{}, back{};
    if (::pipe(there.data()) == 0 && ::pipe(back.data()) == 0) fds_ = {{{there[0], back[1]}, {back[0], there[1]}}};
  }
};

template <class P>
void round_trip(benchmark::State& state) {
  P pipe;
  std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)));
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    while (pipe.recv(false, bytes) && pipe.send(false, bytes)) {
    }
  });
  for (auto _ : state) {
    if (!pipe.send(true, bytes) || !pipe.recv(true, bytes)) state.SkipWithError("lost");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes.size()) * 2 * state.iterations());
}

template <class P>
void one_way(benchmark::State& state) {
  P pipe;
  std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)));
  const Pinned pinned(kHere);
  const Peer peer(kThere, [&] {
    while (pipe.send(false, bytes)) {
    }
  });
  for (auto _ : state) {
    if (!pipe.recv(true, bytes)) state.SkipWithError("lost");
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes.size()) * state.iterations());
}

template <class P>
bool add(const std::string& name) {
  for (const std::int64_t size : {8, 1024, 65'536}) {
    benchmark::RegisterBenchmark((name + "/round_trip").c_str(), round_trip<P>)->Arg(size)->UseRealTime();
    benchmark::RegisterBenchmark((name + "/one_way").c_str(), one_way<P>)->Arg(size)->UseRealTime();
  }
  return true;
}
const bool added = add<WarrenPipe>("pipe") && add<Sockets>("unix_socketpair") && add<PosixPipes>("posix_pipes");

}  // namespace
}  // namespace warren::bench
