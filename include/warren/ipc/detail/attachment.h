// Attachment: one process's mapping of one segment, with the lanes of its threads. Every handle shares one.
#pragma once
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/ipc/detail/element.h>
#include <warren/ipc/detail/handle_value.h>
#include <warren/ipc/detail/process.h>
#include <warren/ipc/detail/readiness.h>
#include <warren/ipc/detail/wait.h>
#include <warren/layout/segment.h>
#include <warren/layout/take_ledger.h>

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warren {
struct SegmentOptions;
}

namespace warren::detail {

class Attachment;
struct OpenedFile;

// A lane in one of its lives: names its owner for as long as that has it.
struct LaneRef {
  std::uint32_t index = 0;
  std::uint16_t generation = 0;
  bool known = false;  // false: there is none
};

// A thread's place in a segment: its lane, and what only this thread remembers. `sharing` is set on the one seat that
// threads without a lane of their own use in turn.
struct Seat {
  layout::Lane* lane = nullptr;  // null: memory for lanes ended; the seat can take but not announce
  std::uint32_t lane_index = 0;
  std::uint16_t generation = 0;
  std::uint64_t thread = 0;  // thread_token()
  std::uint64_t name = 0;    // layout::ThreadName of who claimed the lane
  std::unique_ptr<std::recursive_mutex> sharing;
  LaneRef process;  // process_lane(), once it was asked for; never set in a seat that threads share

  std::uint64_t push_end = 0;          // of the segment's ring: positions below it need no look at `head`
  std::uint64_t crowded_at = 0;        // tick_count() when that ring was last found full, or nearly
  std::uint64_t looked_at = 0;         // tick_count() of the last look at all that can be found in an empty ring
  std::uint64_t stalled_position = 0;  // the claim (position + 1) or word that was found standing, and since when
  std::chrono::steady_clock::time_point stalled_since{};
  std::atomic<std::uint32_t> cell{0}, suspect{0};  // of the segment's cells: the last one used; whose owner may be dead
  std::chrono::steady_clock::time_point leases_looked_at{};  // for those of the dead
  Spinner push_spinner, pop_spinner;
};

// For the length of one try: alone in a shared seat.
class SeatUse {
 public:
  explicit SeatUse(Seat& seat) : sharing_(seat.sharing.get()) {
    if (sharing_ != nullptr) [[unlikely]]
      sharing_->lock();
  }
  ~SeatUse() {
    if (sharing_ != nullptr) [[unlikely]]
      sharing_->unlock();
  }
  SeatUse(const SeatUse&) = delete;
  SeatUse& operator=(const SeatUse&) = delete;

 private:
  std::recursive_mutex* sharing_;
};

// What a new segment holds.
struct SegmentPlan {
  layout::ObjectKind kind = layout::ObjectKind::kRaw;
  std::size_t size = 0;
  std::size_t max_size = 0;  // reserved behind it, for commit()
  ElementType element = {};
  std::array<std::uint32_t, 4> wait_words = {};
  // Writes the object before anybody else can see it. The memory reads as zeros.
  std::function<void(std::span<std::byte>)> initialise = {};
};

// What an opened segment must hold.
struct SegmentExpectation {
  layout::ObjectKind kind = layout::ObjectKind::kRaw;
  ElementType element = {};
};

// The looks of one sleep at whether somebody died. One of all who sleep on a segment makes them: who says when it did,
// and goes on. The others see that, and one of them goes on where it has not been said for too long.
// docs/algorithms/wait_word.md.
class Lookout {
 public:
  explicit Lookout(Attachment& attachment) noexcept : attachment_(attachment) {}
  static constexpr std::uint32_t kLanes = 80;  // that one look is at; the next one is at the next ones
  [[nodiscard]] Time next(Time now) const noexcept;
  // True: there is somebody to sweep.
  [[nodiscard]] bool found_dead(Time now) noexcept;

 private:
  [[nodiscard]] std::uint32_t parts() const noexcept;  // of the lanes, one for each look of a round
  [[nodiscard]] bool somebody_died(std::uint32_t from, std::uint32_t to) noexcept;

  Attachment& attachment_;
  std::uint64_t said_ = 0;  // when this one looked last; 0: it never did
};

// The lanes in SWEEPING, by index and identity, that the looks of this process told of: that wakes all, and once is
// enough, for whoever sweeps may stand still. One for each such sweeper: of more than fit, the oldest is forgotten.
class SweepsTold {
 public:
  // True the first time.
  [[nodiscard]] bool tell(std::uint32_t index, layout::LaneIdentity identity) noexcept;

 private:
  std::array<std::atomic<std::uint64_t>, 16> told_{};
  std::atomic<std::uint32_t> next_{0};
};

class Attachment : public std::enable_shared_from_this<Attachment> {
 public:
  using Pointer = std::shared_ptr<Attachment>;
  static absl::StatusOr<Pointer> create(std::string_view name, const SegmentPlan& plan, const SegmentOptions& options);
  static absl::StatusOr<Pointer> open(std::string_view name, const SegmentExpectation& expected,
                                      bool read_only = false);
  static absl::StatusOr<Pointer> open_or_create(std::string_view name, const SegmentPlan& plan,
                                                const SegmentOptions& options);
  // What another process sent. Where this one has the segment already, that attachment.
  static absl::StatusOr<Pointer> open(const HandleValue& value, const SegmentExpectation& expected);
  static absl::Status unlink(std::string_view name);

  // For another process to open. InvalidArgument where this one may only read.
  [[nodiscard]] absl::StatusOr<HandleValue> value() const;

  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  ~Attachment();

  // Geometry is this process's copy: a peer that changes the header changes nothing here.
  [[nodiscard]] std::byte* object() const noexcept { return object_; }
  [[nodiscard]] std::size_t max_size() const noexcept { return max_size_; }
  [[nodiscard]] std::size_t size() const noexcept;
  absl::Status grow(std::size_t size);
  // Commits a range of the object ahead of its use, or gives its memory back (what it held reads as zeros).
  absl::Status commit(std::size_t offset, std::size_t length);
  void discard(std::size_t offset, std::size_t length) noexcept;

  // What this process remembers of the object: the same for all its handles, also for one that came as a value. Made by
  // who asks first; there is one, and so one type of it.
  template <class State>
  std::shared_ptr<State> state() {
    return std::static_pointer_cast<State>(state([]() -> std::shared_ptr<void> { return std::make_shared<State>(); }));
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool read_only() const noexcept { return read_only_; }
  [[nodiscard]] layout::WaitMode wait_mode() const noexcept { return wait_mode_; }
  [[nodiscard]] int descriptor() const noexcept { return fd_; }

  // The calling thread's seat. Never fails; a seat without a lane can still take.
  Seat& seat() noexcept;
  // A lane that is this process's for as long as it is attached, whichever of its threads come and go. For what belongs
  // to the process. Not known where it got none: then it can own nothing.
  LaneRef process_lane(Seat& mine) noexcept;  // of the calling thread's seat
  // Gives back the lanes of this process (before _exit, say), while no other thread is inside. Who comes again gets a
  // new one.
  void leave() noexcept;
  // For a process that is about to _exit: leaves the names of all its attachments, and removes those that nobody else
  // holds. No lane is given back (leave_all_lanes_if_alone()). Waits up to 200 ms for each name while somebody else is
  // removing one.
  static void leave_all_names() noexcept;
  // Likewise, gives back the lanes of all: else it would count as killed. Nothing where the process has more than
  // `own_threads`, which may be inside.
  static void leave_all_lanes_if_alone(std::uint64_t own_threads = 1) noexcept;
  // Those of all attachments of this process.
  static std::vector<int> all_descriptors();
  // How many threads of this process mirror an object's readiness: they hold no lane, and no lock that a fork could
  // catch them with.
  static std::uint64_t mirrors() noexcept;

  [[nodiscard]] layout::Lane& lane(std::uint32_t index) const noexcept;
  [[nodiscard]] std::uint32_t lanes_high() const noexcept;
  // True unless the thread that held lane `index` in `generation` is confirmed dead or has left.
  [[nodiscard]] bool holds_lane(std::uint32_t index, std::uint16_t generation) const noexcept;
  // True when that thread has left, or was found dead by whoever sweeps its lane now. Costs a load: nobody is asked.
  [[nodiscard]] bool lane_given_back(std::uint32_t index, std::uint16_t generation) const noexcept;
  // True when that thread is one of this very process, attached here or through another attachment of the segment.
  [[nodiscard]] bool lane_of_this_process(std::uint32_t index, std::uint16_t generation) const noexcept;
  // True when a lane that announces `position` is not confirmed dead.
  [[nodiscard]] bool announced_by_living(std::uint64_t position) const noexcept;
  // The same for a lane that says that it takes `position`.
  [[nodiscard]] bool taken_by_living(std::uint64_t position) const noexcept;
  // From now on whoever ends or is found dead with items of this queue is noted there (take_ledger.h).
  void keep_takes(layout::TakeLedger& ledger) noexcept { takes_.store(&ledger, std::memory_order_relaxed); }
  // Frees the lanes of the dead and wakes every waiting word of the segment. Returns how many it freed. `on_dead` is
  // told of each lane of the dead in that generation before that is emptied, and of the pid that had it, where that is
  // still known: else of the thread. Of a lane that another one is sweeping, who may be stopped, it is told too: so one
  // death may be told to many, at any time, also when the lane has another owner.
  using OnDead = std::function<void(layout::Lane& lane, std::uint16_t generation, std::uint32_t pid)>;
  std::uint32_t sweep(const OnDead& on_dead = nullptr) noexcept;
  // True once after this process's sweeps freed lanes, whichever call swept: what the dead had of the object besides is
  // there to be taken back.
  bool remains() noexcept {
    return remains_.load(std::memory_order_relaxed) && remains_.exchange(false, std::memory_order_relaxed);
  }

  [[nodiscard]] std::chrono::nanoseconds slice() const noexcept { return slice_for(lanes_high()); }
  template <class Test>
  bool wait_for_change(std::atomic<std::uint32_t>& word, Spinner& spinner, Deadline deadline, Test&& test) {
    return wait_for_change(word, spinner, deadline, std::forward<Test>(test), [this] { (void)sweep(); });
  }
  template <class Test, class OnSlice>
  bool wait_for_change(std::atomic<std::uint32_t>& word, Spinner& spinner, Deadline deadline, Test&& test,
                       OnSlice&& on_slice) {
    return await(
        word, wait_mode_, spinner, deadline, std::forward<Test>(test), [this] { return slice(); },
        std::forward<OnSlice>(on_slice), Lookout(*this));
  }
  // Without spinning: where a test costs more than a sleep.
  template <class Test>
  bool sleep_for_change(std::atomic<std::uint32_t>& word, Deadline deadline, Test&& test) {
    if (test() == Progress::kDone) return true;
    if (deadline.expired()) return false;
    return sleep_until_done(
        word, wait_mode_, deadline, std::forward<Test>(test), [this] { return slice(); }, [this] { (void)sweep(); },
        Lookout(*this));
  }

  // A descriptor that is readable while the object, whose waiters wait on `word`, has something. The first call in a
  // process starts a thread, which ends with this. -1: no descriptor or thread is left.
  int readable_when(std::atomic<std::uint32_t>& word, const std::function<Ask()>& make_ask) {
    return readiness_.readable_when(*this, word, make_ask);
  }
  // After a look in vain: that descriptor, where there is one, is not readable until there is something again.
  void found_nothing() noexcept { readiness_.found_nothing(); }
  [[nodiscard]] bool mirrored() const noexcept { return readiness_.used(); }

 private:
  friend class AttachmentList;
  friend class Lookout;
  struct Mapping;

  Attachment();
  void bear_name(const std::string& name);
  void leave_name() noexcept;
  static absl::StatusOr<Pointer> make(const std::string& name, const SegmentPlan& plan, const SegmentOptions& options,
                                      Deadline patience);
  static absl::StatusOr<Pointer> attach(OpenedFile file, const std::string& name, const SegmentExpectation& expected,
                                        bool read_only);
  static absl::StatusOr<Pointer> open_checked(const std::string& name, const SegmentExpectation& expected,
                                              bool read_only, Deadline patience);
  absl::Status map(int fd, std::size_t file_size, bool read_only);
  absl::StatusOr<SegmentId> adopt(const SegmentExpectation& expected, std::size_t file_size);
  void be_found_by(const SegmentId& id);  // once it is whole
  absl::Status join();                    // what attaching takes beside the mapping: membarrier, a spare lane
  static std::uint64_t next_serial() noexcept;
  Seat& find_seat() noexcept;
  LaneRef find_process_lane(Seat& seat) noexcept;
  void seat_this_process() noexcept;
  [[nodiscard]] bool dead(const layout::Lane& lane, layout::LaneIdentity identity) const noexcept;
  [[nodiscard]] bool living(const layout::Lane& lane) const noexcept;
  [[nodiscard]] bool said_by_living(std::atomic<std::uint64_t> layout::Lane::*word, std::uint64_t said) const noexcept;
  enum class Swept { kNothing, kFreed, kByAnother };
  Swept sweep_lane(layout::Lane& lane, const OnDead& on_dead) noexcept;
  bool claim_lane(Seat& seat) noexcept;
  bool claim_spare() noexcept;  // under the list's mutex
  bool commit_more_lanes(std::uint32_t committed) noexcept;
  void release(Seat& seat) noexcept;
  void pass_on_takes(Seat& seat) noexcept;
  void release_all_seats() noexcept;  // under the list's mutex, as the next
  void release_seats_of(std::uint64_t thread) noexcept;
  std::shared_ptr<void> state(std::shared_ptr<void> (*first)());
  layout::SegmentHeader& header() const noexcept;

  std::uint64_t serial_;  // names this attachment in thread caches; never reused
  std::unique_ptr<Mapping> mapping_;
  int fd_ = -1;
  int fd_for_child_ = -1;  // during a fork: holds the name's lock for the child
  std::byte* object_ = nullptr;
  std::size_t max_size_ = 0;
  std::string name_;  // set under the list's mutex: a fork by another thread looks at it
  std::uint64_t name_epoch_ =
      0;  // the process that holds the name through fd_: a child may have got no hold of its own
  bool read_only_ = false;
  SegmentId id_{};  // set under the list's mutex, last of all: others find it by that
  layout::ObjectKind kind_ = layout::ObjectKind::kRaw;
  std::uint64_t element_hash_ = 0;
  bool keep_name_ = false;
  layout::WaitMode wait_mode_ = layout::WaitMode::kMembarrier;
  std::uint32_t creator_pid_namespace_ = 0;
  std::uint32_t creator_time_namespace_ = 0;
  std::array<std::uint32_t, 4> wait_words_{};
  ReadinessSlot readiness_;
  std::atomic<bool> remains_{false};
  SweepsTold sweeps_told_;
  std::atomic<layout::TakeLedger*> takes_{nullptr};

  std::uint64_t seats_epoch_ = 0;  // the process that the seats belong to
  std::vector<std::unique_ptr<Seat>> seats_;
  // What threads share is never changed: others read it. Null: no lane was to be had for it, and `laneless_` serves.
  std::unique_ptr<Seat> spare_, laneless_;
  std::vector<std::uint64_t> sharers_;  // the threads that were given the spare one, and keep it

  std::shared_ptr<void> state_;  // under the list's mutex, which no fork finds locked
};

// The last seat a thread used of each attachment, so that finding it again costs two compares.
struct SeatCacheEntry {
  std::uint64_t serial = 0;
  std::uint64_t epoch = 0;
  Seat* seat = nullptr;
};
inline constexpr std::size_t kSeatCacheSize = 16;
extern constinit thread_local std::array<SeatCacheEntry, kSeatCacheSize> seat_cache;

// Names a thread of this process until it gives its lanes back; never 0, never reused (its address would be).
extern constinit thread_local std::uint64_t assigned_thread_token;
std::uint64_t assign_thread_token() noexcept;
[[nodiscard]] inline std::uint64_t thread_token() noexcept {
  return assigned_thread_token != 0 ? assigned_thread_token : assign_thread_token();
}

// The same for its process too: a fork copies the token, and not the epoch. One word, so that nobody reads half of it.
[[nodiscard]] inline std::uint64_t thread_word() noexcept { return process_epoch() + thread_token(); }

inline Seat& Attachment::seat() noexcept {
  const SeatCacheEntry& entry = seat_cache[serial_ % kSeatCacheSize];
  if (entry.serial == serial_ && entry.epoch == process_epoch()) [[likely]]
    return *entry.seat;
  return find_seat();
}

inline LaneRef Attachment::process_lane(Seat& mine) noexcept {
  return mine.process.known ? mine.process : find_process_lane(mine);
}

}  // namespace warren::detail
