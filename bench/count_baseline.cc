// What warren-count is compared with: its job in one process.
//   count_baseline plain DIR [OUTPUT]   as a loop over std::filesystem is commonly written
//   count_baseline lean DIR [OUTPUT]    warren-count's own walk and counting, without the pool
// Writes path:lines,characters of every regular file to OUTPUT, sorted by path, and prints how many files there are.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "warren_count/count_file.h"
#include "warren_count/tree_walker.h"

namespace {

using warren::tools::FileCounts;

struct File {
  std::string path;
  FileCounts counts;
};

FileCounts count_plainly(const std::filesystem::path& path) {
  static std::vector<char> buffer(std::size_t{256} << 10);
  FileCounts counts;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  for (ssize_t got = 0; (got = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    const auto lines = static_cast<std::uint64_t>(std::count(buffer.begin(), buffer.begin() + got, '\n'));
    counts += {.lines = lines, .characters = static_cast<std::uint64_t>(got) - lines};
  }
  ::close(fd);
  return counts;
}

std::vector<File> plain(const std::string& directory) {
  std::vector<File> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!std::filesystem::is_regular_file(entry.symlink_status())) continue;
    files.push_back({.path = entry.path(), .counts = count_plainly(entry.path())});
  }
  std::ranges::sort(files, {}, &File::path);
  return files;
}

std::vector<File> lean(const std::string& directory) {
  std::vector<File> files;
  const int root = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto count = [&](const std::string& path) {
    FileCounts counts;
    if (warren::tools::count_file(root, path, counts) == 0)
      files.push_back({.path = directory + '/' + path, .counts = counts});
  };
  warren::tools::TreeWalker walker(root, count, [](const std::string&, int) {});
  while (!walker.done()) walker.step();
  ::close(root);
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 2 ? argv[1] : "";
  if ((mode != "plain" && mode != "lean") || argc > 4) {
    std::cerr << "usage: count_baseline plain|lean DIR [OUTPUT]\n";
    return 2;
  }
  const std::vector<File> files = mode == "plain" ? plain(argv[2]) : lean(argv[2]);
  if (argc == 4) {
    std::ofstream output(argv[3]);
    for (const File& file : files)
      output << file.path << ':' << file.counts.lines << ',' << file.counts.characters << '\n';
  }
  std::cout << files.size() << " files\n";
}
