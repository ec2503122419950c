// map_async: the chunks of a map, followed by the pool's thread for callbacks.
#pragma once
#include <warren/pool/detail/local_task.h>
#include <warren/pool/detail/map.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace warren::detail {

template <class R>
class MapTask final : public LocalTask<typename MapOf<R>::value> {
 public:
  using Values = typename MapOf<R>::value;

  MapTask(std::shared_ptr<PoolClient> client, const MapOptions& options, PoolClient::MapUnderWay under_way)
      : client_(std::move(client)), options_(options), under_way_(std::move(under_way)) {}
  ~MapTask() override {
    if (this->foreign()) (void)under_way_.release();
  }

  // A map that cannot begin has failed.
  template <class F, class Source, class Item = typename Source::Item>
  static std::shared_ptr<MapTask> start(PoolClient& client, const MapOptions& options, const F& f, Source&& source) {
    absl::StatusOr<PoolClient::MapUnderWay> begun = begin_map(client, options);
    const absl::Status status = begun.status();
    if (!begun.ok()) begun.emplace(nullptr, [](PoolClient*) {});
    auto task = std::make_shared<MapTask>(client.shared_from_this(), options, *std::move(begun));
    if (!status.ok()) return task->set(status), task;
    std::deque<Chunk> chunks = submit_all<F, Item>(client, options, f, source);
    task->open_ = 1;  // this call
    task->follow(chunks);
    task->close_one();
    return task;
  }

  [[nodiscard]] bool running() const override { return !this->ended(); }
  // Of the chunks that wait. True: there was one, so the map fails.
  bool cancel() override {
    const auto cancelled = std::ranges::count_if(tickets(), [](const auto& ticket) { return ticket->cancel(); });
    const std::scoped_lock lock(mutex_);
    return cancelled_ = cancelled_ || cancelled != 0;
  }
  bool kill() override {
    {
      const std::scoped_lock lock(mutex_);
      killed_ = true;
    }
    const auto killed = std::ranges::count_if(tickets(), [](const auto& ticket) { return ticket->kill(); });
    const std::scoped_lock lock(mutex_);
    return cancelled_ = cancelled_ || killed != 0;
  }
  [[nodiscard]] TaskId id() const noexcept override { return id_; }
  [[nodiscard]] double progress() const noexcept override {
    const std::scoped_lock lock(mutex_);
    return followed_ == 0 ? 0 : static_cast<double>(ended_) / static_cast<double>(followed_);
  }

 private:
  template <class Chunks>
  void follow(Chunks& chunks) {
    bool killed = false;
    {
      const std::scoped_lock lock(mutex_);
      for (const Chunk& chunk : chunks) {
        tickets_.push_back(chunk.ticket);
        if (id_ == TaskId{}) id_ = chunk.ticket->id();
      }
      open_ += chunks.size();
      followed_ += chunks.size();
      killed = killed_;
    }
    for (Chunk& chunk : chunks) {
      const std::shared_ptr<Ticket> ticket = chunk.ticket;
      if (killed) (void)ticket->kill();
      ticket->watch(this, [self = std::static_pointer_cast<MapTask>(this->shared_from_this()),
                           chunk = std::move(chunk)](TaskCore&) { self->take(chunk); });
    }
  }

  // Nobody could take what it throws: it is told as the failure of the item that threw as it was decoded, and the map
  // ends in any case.
  void take(const Chunk& chunk) {
    std::size_t next = chunk.begin + chunk.first;
    try {
      Piece piece;
      std::vector<Chunk> rest = collect<R>(chunk, options_.task, [&](std::size_t item, Result<R> result) {
        if (!result.ok()) {
          fail(item, status_of(result));
        } else if constexpr (!std::is_void_v<R>) {
          piece.push_back(*std::move(result));
        }
        next = item + 1;
      });
      if constexpr (!std::is_void_v<R>) {
        // One that died with its first item has none, and the place is that of the chunk that runs the item again.
        const std::scoped_lock lock(mutex_);
        if (!piece.empty()) pieces_.emplace(chunk.begin + chunk.first, std::move(piece));
      }
      follow(rest);
    } catch (...) {
      fail(next, status_of_item(status_of_current_exception(0), next));
    }
    {
      const std::scoped_lock lock(mutex_);
      ++ended_;
    }
    close_one();
  }

  // The first in order is what the map gives.
  void fail(std::size_t item, const absl::Status& status) {
    const std::scoped_lock lock(mutex_);
    if (item >= failed_item_) return;
    failed_item_ = item;
    failure_ = status;
  }

  void close_one() {
    {
      const std::scoped_lock lock(mutex_);
      if (--open_ != 0) return;
    }
    under_way_.reset();  // before callbacks, which may wait for the pool's end
    if constexpr (std::is_void_v<R>) {
      this->set(failure_);
    } else {
      if (!failure_.ok()) return this->set(failure_);
      const auto join = [this] {
        std::vector<R> whole;
        for (auto& [begin, piece] : pieces_) std::ranges::move(piece, std::back_inserter(whole));
        pieces_.clear();
        return whole;
      };
      this->set(call_here<Values>(join));
    }
  }

  [[nodiscard]] std::vector<std::shared_ptr<Ticket>> tickets() const {
    const std::scoped_lock lock(mutex_);
    std::vector<std::shared_ptr<Ticket>> found;
    for (const auto& each : tickets_) {
      if (auto ticket = each.lock()) found.push_back(std::move(ticket));
    }
    return found;
  }

  using Piece = std::vector<std::conditional_t<std::is_void_v<R>, char, R>>;

  std::shared_ptr<PoolClient> client_;
  MapOptions options_;
  PoolClient::MapUnderWay under_way_;
  mutable std::mutex mutex_;  // of what follows
  std::vector<std::weak_ptr<Ticket>> tickets_;
  std::size_t open_ = 0;      // chunks, and who submits them
  std::size_t followed_ = 0;  // chunks
  std::size_t ended_ = 0;
  bool killed_ = false;
  bool cancelled_ = false;  // a chunk was
  TaskId id_;
  std::map<std::size_t, Piece> pieces_;  // by the place of their first item
  std::size_t failed_item_ = SIZE_MAX;
  absl::Status failure_;
};

}  // namespace warren::detail
