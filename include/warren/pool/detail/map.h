// map and imap over chunks.
#pragma once
#include <warren/pool/detail/chunks.h>
#include <warren/pool/detail/zip.h>
#include <warren/pool/stream.h>

#include <algorithm>
#include <deque>
#include <iterator>

namespace warren {

namespace detail {

template <class R>
struct MapOf {
  using value = std::vector<R>;
};
template <>
struct MapOf<void> {
  using value = void;
};

template <class F, class Item>
struct CallOf;
template <class F, class... T>
struct CallOf<F, std::tuple<T...>> {
  using Value = typename ResultOf<std::decay_t<typename Call<F, T...>::raw>>::value;
};

inline absl::Status check_chunksize(const MapOptions& options) {
  if (options.chunksize == std::size_t{0})
    return absl::InvalidArgumentError("a chunksize of 0: ask for at least 1 item");
  return absl::OkStatus();
}

// While it is there, the client takes chunks. A failure: nothing can be mapped so, or no more.
template <class Client>
absl::StatusOr<typename Client::MapUnderWay> begin_map(Client& client, const MapOptions& options) {
  if (absl::Status status = check_chunksize(options); !status.ok()) return status;
  return client.begin_map(options.task);
}

// What a chunk under way is, for who runs it: a PoolClient or a ThreadCrew.
template <class Client>
struct ChunkOf {
  using type = Chunk;
};

// As Python does: about four chunks for each worker.
inline std::size_t default_chunksize(std::size_t items, std::uint32_t workers) {
  const std::size_t chunks = std::size_t{4} * workers;
  return std::max<std::size_t>(1, (items + chunks - 1) / chunks);
}

template <class F, class Item, class Client, class Source>
auto submit_all(Client& client, const MapOptions& options, const F& f, Source& source) {
  std::deque<typename ChunkOf<Client>::type> chunks;
  std::size_t begin = 0;
  const auto submit = [&](std::vector<Item> items) {
    if (items.empty()) return false;
    const std::size_t count = items.size();
    chunks.push_back(submit_chunk(client, options.task, f, begin, std::move(items)));
    begin += count;
    return true;
  };
  if (const std::optional<std::size_t> known = source.size(); known || options.chunksize) {
    const std::size_t size = options.chunksize.value_or(default_chunksize(known.value_or(1), client.most_workers()));
    while (submit(source.take(size))) {
    }
    return chunks;
  }
  // Nobody can tell how many there are, so they are read first.
  std::vector<Item> all = source.take(SIZE_MAX);
  const std::size_t size = default_chunksize(all.size(), client.most_workers());
  for (auto from = all.begin(); from != all.end();) {
    const auto to = from + std::min(static_cast<std::ptrdiff_t>(size), all.end() - from);
    (void)submit(std::vector<Item>(std::move_iterator(from), std::move_iterator(to)));
    from = to;
  }
  return chunks;
}

// Waits for every chunk in order, and hands it to collect(chunk), which returns the chunks that stand in its place.
template <class Chunk, class Collect>
void collect_all(std::deque<Chunk>& chunks, Collect&& collect) {
  while (!chunks.empty()) {
    const Chunk chunk = std::move(chunks.front());
    chunks.pop_front();
    (void)chunk.ticket->wait(Deadline::never());
    std::vector<Chunk> rest = collect(chunk);
    chunks.insert(chunks.begin(), std::move_iterator(rest.begin()), std::move_iterator(rest.end()));
  }
}

// The values of items that are added in order, or the first failure.
template <class R>
class Whole {
 public:
  void add(Result<R> result) {
    if (!failure_.ok()) return;
    if (!result.ok()) {
      failure_ = status_of(result);
    } else if constexpr (!std::is_void_v<R>) {
      values_.push_back(*std::move(result));
    }
  }
  Result<typename MapOf<R>::value> take() {
    if constexpr (std::is_void_v<R>) {
      return std::move(failure_);
    } else {
      if (!failure_.ok()) return std::move(failure_);
      return std::move(values_);
    }
  }

 private:
  std::conditional_t<std::is_void_v<R>, NoResult, typename MapOf<R>::value> values_;
  absl::Status failure_;
};

// Waits for every chunk, then tells the first failure in order.
template <class F, class Client, class Source, class Item = typename Source::Item,
          class R = typename CallOf<F, Item>::Value>
Result<typename MapOf<R>::value> run_map(Client& client, const MapOptions& options, const F& f, Source&& source) {
  const auto under_way = begin_map(client, options);
  if (!under_way.ok()) return under_way.status();
  auto chunks = submit_all<F, Item>(client, options, f, source);
  Whole<R> whole;
  collect_all(chunks, [&](const auto& chunk) {
    return collect<R>(chunk, options.task, [&whole](std::size_t, Result<R> result) { whole.add(std::move(result)); });
  });
  return whole.take();
}

// Keeps a bounded number of chunks under way, and gives their results in order, or chunk by chunk as they end.
template <class F, class Source, class Client = PoolClient, class Item = typename Source::Item,
          class R = typename CallOf<F, Item>::Value>
class MapStream final : public StreamSource<R> {
 public:
  template <class... Rg>
  MapStream(std::shared_ptr<Client> client, const MapOptions& options, F f, bool ordered, Rg&&... ranges)
      : client_(std::move(client)),
        options_(options),
        function_(std::move(f)),
        source_(std::forward<Rg>(ranges)...),
        ordered_(ordered) {
    if (absl::Status status = check_chunksize(options_); !status.ok()) {
      ready_.push_back(Result<R>(status));
      input_ended_ = true;
    }
  }

  std::optional<Result<R>> next(Deadline deadline) override {
    for (;;) {
      refill();
      if (!ready_.empty()) return take_ready();
      if (under_way_.empty() || !wait_for_one(deadline)) return std::nullopt;
      collect_ended();
    }
  }
  [[nodiscard]] bool done() const override { return input_ended_ && under_way_.empty() && ready_.empty(); }

 private:
  using Chunk = typename ChunkOf<Client>::type;
  static constexpr std::size_t kChunksPerWorker = 4;  // under way: one runs, the others are there when it ends

  // One variable and one return: where it has to be moved, g++ 12 takes the value that a failed StatusOr does not have
  // for one that is read (-Wmaybe-uninitialized).
  std::optional<Result<R>> take_ready() {
    std::optional<Result<R>> result(std::in_place, std::move(ready_.front()));
    ready_.pop_front();
    return result;
  }

  void refill() {
    while (!input_ended_ && under_way_.size() < kChunksPerWorker * client_->most_workers()) {
      std::vector<Item> items = source_.take(options_.chunksize.value_or(1));
      const std::size_t count = items.size();
      if (count == 0) {
        input_ended_ = true;
        return;
      }
      under_way_.push_back(submit_chunk(*client_, options_.task, function_, begin_, std::move(items)));
      begin_ += count;
    }
  }

  bool wait_for_one(Deadline deadline) {
    if (ordered_) return under_way_.front().ticket->wait(deadline);
    return client_->wait_for_completions(deadline, [this] { return std::ranges::any_of(under_way_, ended); });
  }

  void collect_ended() {
    const auto first = ordered_ ? under_way_.begin() : std::ranges::find_if(under_way_, ended);
    const Chunk chunk = std::move(*first);
    const auto after = under_way_.erase(first);
    auto rest = collect<R>(chunk, options_.task,
                           [this](std::size_t, Result<R> result) { ready_.push_back(std::move(result)); });
    under_way_.insert(after, std::move_iterator(rest.begin()), std::move_iterator(rest.end()));
  }

  static bool ended(const Chunk& chunk) { return chunk.ticket->ended(); }

  std::shared_ptr<Client> client_;
  MapOptions options_;
  F function_;
  Source source_;
  bool ordered_;
  bool input_ended_ = false;
  std::size_t begin_ = 0;
  std::deque<Chunk> under_way_;
  std::deque<Result<R>> ready_;
};

}  // namespace detail
}  // namespace warren
