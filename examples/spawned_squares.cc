#include <warren/pool/pool.h>
#include <warren/pool/process.h>

#include <iostream>
#include <thread>

int add(int a, int b) { return a + b; }

int main(int argc, char** argv) {
  warren::enter(argc, argv);  // first: a spawned process begins here, and goes no further
  std::jthread other([](std::stop_token stop) {
    while (!stop.stop_requested()) std::this_thread::yield();
  });
  auto pool = warren::Pool::create({.workers = 2, .start_method = warren::StartMethod::kSpawn}).value();
  std::cout << pool.apply([](int x) { return x * x; }, 7).value() << '\n';
  auto p = warren::Process::start({.start_method = warren::StartMethod::kSpawn}, add, 1, 2).value();
  return p.join() == 3 ? 0 : 1;
}
