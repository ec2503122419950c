#include <warren/ipc/queue.h>
#include <warren/pool/pool.h>

#include <cstdio>

int main() {
  auto queue = warren::Queue<int>::create({.capacity = 8}).value();
  if (!queue.push(21)) return 1;
  auto pool = warren::Pool::create({.workers = 1}).value();
  const int doubled = pool.submit([](int x) { return 2 * x; }, queue.pop().value()).get().value();
  std::printf("%d\n", doubled);
  return doubled == 42 ? 0 : 1;
}
