#include <warren/ipc/queue.h>
#include <warren/pool/process.h>

#include <iostream>

void squares(warren::Queue<int> numbers, warren::Queue<int> results) {
  while (auto n = numbers.pop()) results.push(*n * *n);  // ends when closed and drained
}

int main() {
  auto numbers = warren::Queue<int>::create().value();
  auto results = warren::Queue<int>::create().value();
  auto p = warren::Process::start({.name = "squares"}, squares, numbers, results).value();
  for (int i = 0; i < 10; ++i) numbers.push(i);
  numbers.close();
  if (int code = p.join(); code != 0) std::cerr << p.name() << " ended with " << code << '\n';
  while (auto n = results.try_pop()) std::cout << *n << '\n';
}
