// A server that forks before it serves: workers share one listening socket, and each serves many connections with
// coroutines. It answers each line with "keep PID LINE", or with "close PID LINE" where the connection ends behind it.
//
//     preforked_server [PORT [WORKERS]]      # SIGTERM or Ctrl-C: finishes what is there, and ends. SIGHUP: new workers
//
// A worker that is killed takes its own connections along and is replaced; the others go on, and so does the socket.
#include <unistd.h>
#include <warren/ipc/pipe.h>
#include <warren/pool/supervisor.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <list>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr auto kToken =
    asio::as_tuple(asio::use_awaitable);  // errors are values: no exception for each client that goes
constexpr std::size_t kLongestLine = 65'536;

class Worker {
 public:
  Worker(const warren::Descriptor& listening, const warren::Shutdown& shutdown)
      : acceptor_(context_, tcp::v4(), ::dup(listening.fileno())), shutdown_(context_, ::dup(shutdown.fileno())) {}

  void run() {
    asio::co_spawn(context_, accept(), asio::detached);
    asio::co_spawn(context_, drain(), asio::detached);
    context_.run();  // until nobody has anything left to do
  }

 private:
  asio::awaitable<void> accept() {
    while (!draining_) {
      auto [error, client] = co_await acceptor_.async_accept(kToken);
      if (!error) {
        asio::co_spawn(context_, converse(std::move(client)), asio::detached);
      } else if (!draining_) {  // no descriptor is left: clients wait in the socket until one is
        asio::steady_timer pause(context_, 10ms);
        co_await pause.async_wait(kToken);
      }
    }
  }

  asio::awaitable<void> converse(tcp::socket client) {
    const auto place = clients_.insert(clients_.end(), &client);
    std::string line;
    for (bool last = false; !last;) {
      const auto [failed, length] =
          co_await asio::async_read_until(client, asio::dynamic_buffer(line, kLongestLine), '\n', kToken);
      if (failed) break;
      last = draining_;
      const std::string answer =
          (last ? "close " : "keep ") + std::to_string(::getpid()) + ' ' + line.substr(0, length);
      line.erase(0, length);
      const auto [broken, written] = co_await asio::async_write(client, asio::buffer(answer), kToken);
      if (broken) break;
    }
    clients_.erase(place);
    if (draining_ && clients_.empty()) silence_.cancel();
  }

  // Takes no new clients, answers one more line of each that is there, and lets go of who says nothing.
  asio::awaitable<void> drain() {
    co_await shutdown_.async_wait(asio::posix::stream_descriptor::wait_read, kToken);
    draining_ = true;
    acceptor_.close();  // in this process: the socket goes on listening
    if (clients_.empty()) co_return;
    silence_.expires_after(1s);
    co_await silence_.async_wait(kToken);
    for (tcp::socket* const client : clients_) {
      boost::system::error_code gone;
      client->shutdown(tcp::socket::shutdown_receive, gone);
    }
  }

  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  asio::posix::stream_descriptor shutdown_;
  asio::steady_timer silence_{context_};
  std::list<tcp::socket*> clients_;
  bool draining_ = false;
};

void serve(warren::Shutdown& shutdown, const warren::Descriptor& listening) { Worker(listening, shutdown).run(); }

int main(int argc, char** argv) {
  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
  const auto workers = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 0);
  asio::io_context context;
  tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), port));  // before the fork
  std::cout << "listening on 127.0.0.1:" << acceptor.local_endpoint().port() << std::endl;

  auto listening = warren::Descriptor::dup(acceptor.native_handle()).value();
  auto group = warren::Supervisor::start({.workers = workers, .name = "server"}, serve, listening).value();
  const absl::Status ended = group.run_until_signal();
  if (!ended.ok()) std::cerr << ended.message() << '\n';
  return ended.ok() ? 0 : 1;
}
