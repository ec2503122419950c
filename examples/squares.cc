#include <warren/pool/pool.h>

#include <iostream>

int main() {
  auto pool = warren::Pool::create({.workers = 4}).value();
  std::vector<int> squares = pool.map([](int x) { return x * x; }, std::views::iota(0, 100)).value();
  warren::Future<int> sum = pool.submit([](int a, int b) { return a + b; }, 40, 2);
  absl::StatusOr<int> lost = pool.submit([]() -> int { std::abort(); }).get();  // its worker dies, and only this fails
  std::cout << squares.back() << ' ' << sum.get().value() << '\n' << lost.status().message() << '\n';
}
