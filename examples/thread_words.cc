// Words counted by threads: captures by reference, move-only arguments, tasks that wait for tasks.
#include <warren/pool/thread_pool.h>

#include <iostream>
#include <map>
#include <memory>
#include <sstream>

using Counts = std::map<std::string, int>;

int main() {
  const std::vector<std::string> pages{"a rabbit digs", "a warren of rabbits", "a rabbit hides"};
  auto pool = warren::ThreadPool::create({.workers = 2, .name = "words"}).value();

  const auto count = [&pages](std::size_t page) {  // the pages stay where they are
    Counts counts;
    std::istringstream words(pages[page]);
    for (std::string word; words >> word;) ++counts[word];
    return counts;
  };
  warren::Future<Counts> total = pool.submit([&] {
    Counts sum;
    const std::vector<Counts> each = pool.map(count, std::views::iota(std::size_t{0}, pages.size())).value();
    for (const Counts& counts : each) {
      for (const auto& [word, n] : counts) sum[word] += n;
    }
    return sum;
  });
  const Counts words = total.get().value();

  auto report = std::make_unique<std::string>("rabbit: ");
  std::cout << *pool.apply(
                        [&words](std::unique_ptr<std::string> text) {
                          *text += std::to_string(words.at("rabbit"));
                          return text;
                        },
                        std::move(report))
                    .value()
            << '\n';
}
