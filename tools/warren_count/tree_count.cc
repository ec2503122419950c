#include "tree_count.h"

#include <warren/layout/pool.h>

#include <algorithm>
#include <chrono>
#include <ranges>
#include <set>
#include <system_error>
#include <utility>

#include "interrupt.h"
#include "progress_bar.h"
#include "tree_walker.h"

namespace warren::tools {
namespace {

// As they travel.
struct FileToCount {
  std::uint64_t index = 0;
  std::string path;
};
struct CountedFile {
  std::uint64_t index = 0;
  FileCounts counts;
  std::int64_t error = 0;  // errno
};

constexpr std::size_t kFilesPerChunk = 64;   // a millisecond of work, where files are small
constexpr std::size_t kChunksPerWorker = 4;  // as many as the pool keeps under way
constexpr std::size_t kMostPending = kChunksPerWorker * layout::kMaxWorkers;
constexpr std::chrono::milliseconds kTick{100};

bool means_vanished(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ESRCH; }

class TreeCounter {
 public:
  TreeCounter(Pool& pool, int root, std::uint32_t retries, ProgressBar& bar)
      : pool_(pool),
        root_(root),
        retries_(retries),
        bar_(bar),
        walker_(
            root, [this](std::string path) { tree_.files.push_back({.path = std::move(path)}); },
            [this](const std::string& directory, int error) { add_problem(directory, error); }) {}

  absl::StatusOr<TreeCount> run() {
    const absl::Status status = count();
    if (!status.ok()) {
      pool_.terminate();
      return status;
    }
    pool_.close();
    add_lost_files();
    std::ranges::stable_sort(tree_.problems, {}, &Problem::path);
    return std::move(tree_);
  }

 private:
  absl::Status count() {
    const std::size_t chunksize = walk_first_chunks();
    auto files = std::views::iota(std::uint64_t{0}) | std::views::take_while([this](auto i) { return find(i); }) |
                 std::views::transform([this](auto i) { return FileToCount{.index = i, .path = tree_.files[i].path}; });
    const auto count_one = [root = root_](const FileToCount& file) {
      CountedFile counted{.index = file.index, .counts = {}};
      counted.error = count_file(root, file.path, counted.counts);
      return counted;
    };
    auto results = pool_.imap_unordered({.chunksize = chunksize, .task = {.retries = retries_}}, count_one, files);
    while (interrupted() == 0) {
      // While workers count, this process walks on: so it soon knows how many files there are.
      const auto patience = walker_.done() ? kTick : std::chrono::milliseconds(0);
      if (const std::optional<absl::StatusOr<CountedFile>> result = results.next_for(patience)) {
        if (absl::Status status = take(*result); !status.ok()) return status;
      } else if (results.done()) {
        break;
      } else {
        walker_.step();
      }
      bar_.show({.files = tree_.counted,
                 .bytes = tree_.total.bytes(),
                 .found = tree_.files.size(),
                 .all_found = walker_.done()});
    }
    return interrupted() == 0 ? absl::OkStatus() : absl::CancelledError("interrupted");  // then the walk ended early
  }

  // A small tree is cut finer, so that every worker gets a share.
  std::size_t walk_first_chunks() {
    const std::size_t chunks = kChunksPerWorker * pool_.workers();
    while (tree_.files.size() < chunks * kFilesPerChunk && !walker_.done() && interrupted() == 0) walker_.step();
    return std::clamp<std::size_t>(tree_.files.size() / chunks, 1, kFilesPerChunk);
  }

  bool find(std::uint64_t index) {
    while (tree_.files.size() <= index && !walker_.done() && interrupted() == 0) walker_.step();
    return index < tree_.files.size();
  }

  absl::Status take(const absl::StatusOr<CountedFile>& result) {
    if (!result.ok()) {
      const std::optional<TaskError> error = task_error(result.status());
      if (!error || error->kind != TaskError::Kind::kDied) return result.status();
      deaths_.insert(error->signal != 0 ? "signal " + std::to_string(error->signal)
                                        : "exit code " + std::to_string(error->exit_code));
      return absl::OkStatus();
    }
    TreeFile& file = tree_.files[result->index];
    if (result->error != 0) {
      file.state = TreeFile::State::kFailed;
      add_problem(file.path, static_cast<int>(result->error));
      return absl::OkStatus();
    }
    file.state = TreeFile::State::kCounted;
    file.counts = result->counts;
    ++tree_.counted;
    tree_.total += file.counts;
    return absl::OkStatus();
  }

  void add_problem(const std::string& path, int error) {
    const bool vanished = means_vanished(error);
    tree_.problems.push_back(
        {.path = path, .why = vanished ? "vanished" : std::generic_category().message(error), .vanished = vanished});
  }

  // A stream says that a worker died, not of which file: it is of those that nothing else was heard of.
  void add_lost_files() {
    if (deaths_.empty()) return;
    std::string how;
    for (const std::string& death : deaths_) how += (how.empty() ? "" : ", ") + death;
    const std::string why =
        "its worker died in each of " + std::to_string(retries_ + std::uint64_t{1}) + " attempts (" + how + ")";
    for (const TreeFile& file : tree_.files) {
      if (file.state == TreeFile::State::kFound) tree_.problems.push_back({.path = file.path, .why = why});
    }
  }

  Pool& pool_;
  int root_;
  std::uint32_t retries_;
  ProgressBar& bar_;
  TreeCount tree_;
  std::set<std::string> deaths_;  // how workers died of files for good
  TreeWalker walker_;
};

}  // namespace

absl::StatusOr<Pool> make_counting_pool(std::uint32_t workers) {
  return Pool::create({.workers = workers, .max_pending = kMostPending, .name = "warren-count"});
}

absl::StatusOr<TreeCount> count_tree(Pool& pool, int root, std::uint32_t retries, ProgressBar& bar) {
  return TreeCounter(pool, root, retries, bar).run();
}

}  // namespace warren::tools
