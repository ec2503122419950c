// The corpus without a fuzzer: every file through every target. It returns where nothing stopped the program.
//   fuzz_replay FOLDER
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/targets.h"

namespace {

namespace fs = std::filesystem;

std::vector<char> contents_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int replay(const fs::path& folder) {
  using namespace warren::fuzz;
  int files = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    // For who looks at what stopped the program.
    std::printf("%s\n", entry.path().c_str());
    std::fflush(stdout);
    const std::vector<char> text = contents_of(entry.path());
    for (const auto target : {attach, codec, inspect, warren::fuzz::pipe, queue, recover})
      target(std::as_bytes(std::span(text)));
    ++files;
  }
  std::printf("%d files\n", files);
  return files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return EXIT_FAILURE;
  try {
    return replay(argv[1]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return EXIT_FAILURE;
  }
}
