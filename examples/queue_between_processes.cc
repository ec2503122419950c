// One program runs this as `producer`, another as `consumer`, in any order; alone it is both.
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/queue.h>

#include <iostream>
#include <string_view>

struct Order {
  int id;
  double price;
};

int produce() {
  auto orders = warren::Queue<Order>::open_or_create("example-orders", {.capacity = 64});
  if (!orders.ok()) return std::cerr << orders.status() << '\n', 1;
  for (int id = 0; id < 1000; ++id) orders->push({.id = id, .price = 0.5 * id});  // waits while it is full
  orders->close();
  return 0;
}

int consume() {
  auto orders = warren::Queue<Order>::open_or_create("example-orders", {.capacity = 64});
  if (!orders.ok()) return std::cerr << orders.status() << '\n', 1;
  double total = 0;
  while (auto order = orders->pop()) total += order->price;  // ends when it is closed and drained
  std::cout << total << '\n';
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 2) return argv[1] == std::string_view("producer") ? produce() : consume();
  // The handle here holds the name until both have it: the last process that leaves takes it along.
  auto held = warren::Queue<Order>::open_or_create("example-orders", {.capacity = 64});
  const pid_t producer = fork();
  if (producer == 0) _exit(produce());
  const int failed = consume();
  int status = 0;
  waitpid(producer, &status, 0);
  return failed + status;
}
