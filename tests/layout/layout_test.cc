// The bytes in shared memory, compared with files that say what they must be. Every field is filled with bytes that
// count on from the one before, so that a field that moved, grew or changed places shows. A difference is a change of
// the ABI: raise kAbiVersion, and take over what this prints (WARREN_UPDATE_GOLDEN=1 writes it).
#include <gtest/gtest.h>
#include <warren/ipc/array.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/priority_queue.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/ipc/stack.h>
#include <warren/ipc/value.h>
#include <warren/layout/array.h>
#include <warren/layout/barrier.h>
#include <warren/layout/bounded_semaphore.h>
#include <warren/layout/broadcast.h>
#include <warren/layout/condition.h>
#include <warren/layout/event.h>
#include <warren/layout/latch.h>
#include <warren/layout/lease_cells.h>
#include <warren/layout/locked_slots.h>
#include <warren/layout/mpmc_ring.h>
#include <warren/layout/mutex.h>
#include <warren/layout/pipe.h>
#include <warren/layout/pool.h>
#include <warren/layout/queue.h>
#include <warren/layout/segment.h>
#include <warren/layout/semaphore.h>
#include <warren/layout/shared_mutex.h>
#include <warren/layout/spsc_records.h>
#include <warren/layout/spsc_ring.h>
#include <warren/layout/value.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "support/pipe_view.h"
#include "support/reach.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using namespace layout;

void expect_golden(const std::string& name, const std::string& found) {
  const std::string path = std::string(WARREN_GOLDEN) + "/" + name + ".txt";
  if (std::getenv("WARREN_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << found;
  std::ifstream file(path);
  const std::string wanted((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(found, wanted) << path << " must say so, if the ABI is to change";
}

void print_bytes(std::ostream& out, std::span<const std::byte> bytes) {
  out << std::hex << std::setfill('0');
  const auto print = [&](std::span<const std::byte> run) {
    for (const std::byte byte : run) out << ' ' << std::setw(2) << std::to_integer<int>(byte);
  };
  if (bytes.size() <= 16) {
    print(bytes);
  } else {
    print(bytes.first(8));
    out << " ..";
    print(bytes.last(4));
  }
  out << std::dec << std::setfill(' ') << '\n';
}

void print_line(std::ostream& out, std::size_t offset, const std::string& name, std::span<const std::byte> bytes) {
  out << std::setfill('0') << std::setw(4) << offset << std::setfill(' ') << "  " << std::left << std::setw(20) << name
      << std::right << std::setw(4) << bytes.size() << " ";
  print_bytes(out, bytes);
}

// A struct in memory that was zeros, filled field by field.
template <class S>
class Image {
 public:
  Image() : memory_(static_cast<std::byte*>(::operator new(sizeof(S), std::align_val_t(alignof(S))))) {
    std::memset(memory_.get(), 0, sizeof(S));
  }
  template <class F>
  Image& operator()(const char* name, F S::*member) {
    F& field = reinterpret_cast<S*>(memory_.get())->*member;
    fill(field);
    fields_.push_back(
        {static_cast<std::size_t>(reinterpret_cast<std::byte*>(&field) - memory_.get()), sizeof(F), name});
    return *this;
  }
  // In the order of their offsets; what no field covers is named too, and must be zeros.
  [[nodiscard]] std::string text(const std::string& name) {
    std::ranges::sort(fields_, {}, &Field::offset);
    std::ostringstream out;
    out << name << ": " << sizeof(S) << " bytes, aligned to " << alignof(S) << '\n';
    std::size_t end = 0;
    for (const Field& field : fields_) {
      gap(out, end, field.offset);
      print_line(out, field.offset, field.name, {memory_.get() + field.offset, field.size});
      end = field.offset + field.size;
    }
    gap(out, end, sizeof(S));
    return out.str();
  }

 private:
  struct Field {
    std::size_t offset, size;
    std::string name;
  };
  struct Delete {
    void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t(alignof(S))); }
  };

  void count_into(void* to, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) static_cast<unsigned char*>(to)[i] = ++last_;
  }
  template <class F>
  void fill(F& field) {
    count_into(static_cast<void*>(&field), sizeof field);
  }
  template <class V>
  void fill(std::atomic<V>& field) {
    V value;
    count_into(&value, sizeof value);
    field.store(value);
  }
  void gap(std::ostream& out, std::size_t begin, std::size_t end) {
    if (begin == end) return;
    const std::span<const std::byte> bytes{memory_.get() + begin, end - begin};
    EXPECT_TRUE(std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; })) << "at " << begin;
    print_line(out, begin, "-", bytes);
  }

  std::unique_ptr<std::byte, Delete> memory_;
  std::vector<Field> fields_;
  unsigned char last_ = 0;
};

#define FIELD(member) (#member, &S::member)

TEST(Layout, SegmentHeader) {
  using S = SegmentHeader;
  Image<S> image;
  image FIELD(magic) FIELD(abi_version) FIELD(kind) FIELD(id) FIELD(size) FIELD(max_size) FIELD(wait_mode) FIELD(flags)
      FIELD(created_ns) FIELD(creator_pid) FIELD(creator_uid) FIELD(creator_start_time) FIELD(pid_namespace)
          FIELD(foreign) FIELD(element_size) FIELD(element_hash) FIELD(element_align) FIELD(wait_words)
              FIELD(time_namespace) FIELD(element_name) FIELD(name) FIELD(lanes_high) FIELD(lanes_committed)
                  FIELD(looked_ns) FIELD(looks);
  expect_golden("segment_header", image.text("SegmentHeader"));
}

TEST(Layout, Lane) {
  using S = Lane;
  Image<S> image;
  image FIELD(identity) FIELD(start_time) FIELD(pid_namespace) FIELD(thread_id) FIELD(announcement) FIELD(take)
      FIELD(time_namespace) FIELD(taking) FIELD(taken) FIELD(finished);
  expect_golden("lane", image.text("Lane"));
}

TEST(Layout, MpmcRingHeader) {
  using S = MpmcRingHeader;
  Image<S> image;
  image FIELD(capacity) FIELD(slot_count) FIELD(slot_bytes) FIELD(payload_bytes) FIELD(chunk_count) FIELD(chunk_slots)
      FIELD(chunks_committed) FIELD(tail) FIELD(head) FIELD(not_empty) FIELD(not_full) FIELD(burials) FIELD(high_water)
          FIELD(returned) FIELD(lease_cells);
  expect_golden("mpmc_ring_header", image.text("MpmcRingHeader"));
}

TEST(Layout, TakeLedger) {
  using S = TakeLedger;
  Image<S> image;
  image FIELD(settled) FIELD(joiners) FIELD(blind) FIELD(loser);
  expect_golden("take_ledger", image.text("TakeLedger"));
}

TEST(Layout, LeaseCell) {
  using S = LeaseCell;
  Image<S> image;
  image FIELD(word) FIELD(position) FIELD(first);
  expect_golden("lease_cell", image.text("LeaseCell"));
}

TEST(Layout, SpscRingHeader) {
  using S = SpscRingHeader;
  Image<S> image;
  image FIELD(capacity) FIELD(slot_bytes) FIELD(tail) FIELD(producer) FIELD(committing) FIELD(head) FIELD(consumer)
      FIELD(not_empty) FIELD(not_full) FIELD(closed);
  expect_golden("spsc_ring_header", image.text("SpscRingHeader"));
}

TEST(Layout, Mutex) {
  using S = layout::Mutex;
  Image<S> image;
  image FIELD(state) FIELD(waiters) FIELD(depth) FIELD(holder) FIELD(dead) FIELD(died_ns);
  expect_golden("mutex", image.text("Mutex"));
}

TEST(Layout, MutexState) {
  EXPECT_EQ(MutexState{}.word(), 0u);
  EXPECT_EQ((MutexState{.inconsistent = true}.word()), 1u);
  const MutexState state{.lane = 0x1234, .generation = 0x5678, .thread = 0x9abcde, .held = true, .inconsistent = true};
  EXPECT_EQ(state.word(), 0x1235'5678'9abc'de01u);
  EXPECT_TRUE(MutexState::from(state.word()).held_by(state));
  EXPECT_FALSE(MutexState::from(1).held);
}

TEST(Layout, ValueHeader) {
  using S = ValueHeader;
  Image<S> image;
  image FIELD(mutex) FIELD(writer) FIELD(word) FIELD(copy_bytes);
  expect_golden("value_header", image.text("ValueHeader"));
}

TEST(Layout, ArrayHeader) {
  using S = ArrayHeader;
  Image<S> image;
  image FIELD(mutex) FIELD(size) FIELD(element_bytes) FIELD(elements_offset);
  expect_golden("array_header", image.text("ArrayHeader"));
}

TEST(Layout, LockedSlotsHeader) {
  using S = LockedSlotsHeader;
  Image<S> image;
  image FIELD(lock) FIELD(capacity) FIELD(slot_bytes) FIELD(payload_bytes) FIELD(pushed) FIELD(popped) FIELD(not_empty)
      FIELD(not_full) FIELD(high_water);
  expect_golden("locked_slots_header", image.text("LockedSlotsHeader"));
}

TEST(Layout, LockedSlots) {
  EXPECT_EQ(offsetof(PrioritySlot, ticket), 0u);
  EXPECT_EQ(offsetof(PrioritySlot, taken), 8u);
  EXPECT_EQ(offsetof(PrioritySlot, priority), 16u);
  EXPECT_FALSE(PrioritySlot::holds_item(0, 0, 9, 0)) << "never used";
  EXPECT_FALSE(PrioritySlot::holds_item(10, 0, 9, 0)) << "its push is not committed";
  EXPECT_TRUE(PrioritySlot::holds_item(9, 0, 9, 0));
  EXPECT_TRUE(PrioritySlot::holds_item(9, 4, 9, 3)) << "its pop is not committed";
  EXPECT_FALSE(PrioritySlot::holds_item(9, 3, 9, 3));
  EXPECT_EQ(static_cast<int>(ObjectKind::kPriorityQueue), 17);
  EXPECT_EQ(static_cast<int>(ObjectKind::kStack), 18);
}

TEST(Layout, Event) {
  using S = layout::Event;
  Image<S> image;
  image FIELD(state) FIELD(waiters);
  expect_golden("event", image.text("Event"));
}

TEST(Layout, EventState) {
  EXPECT_EQ(EventState{}.word(), 0u);
  EXPECT_EQ(EventState{}.when_set().word(), 3u);
  EXPECT_EQ(EventState::from(3).when_set().word(), 3u) << "set twice is set once";
  EXPECT_EQ(EventState::from(2).when_set().word(), 5u);
  EXPECT_EQ(EventState::from(~std::uint64_t{1}).when_set().word(), 1u) << "the count goes round";
}

TEST(Layout, Semaphore) {
  using S = layout::Semaphore;
  Image<S> image;
  image FIELD(permits) FIELD(waiters);
  expect_golden("semaphore", image.text("Semaphore"));
}

TEST(Layout, Condition) {
  using S = layout::Condition;
  Image<S> image;
  image FIELD(notified) FIELD(waiters);
  expect_golden("condition", image.text("Condition"));
}

TEST(Layout, Barrier) {
  using S = layout::Barrier;
  Image<S> image;
  image FIELD(state) FIELD(waiters) FIELD(parties);
  expect_golden("barrier", image.text("Barrier"));
}

TEST(Layout, BarrierState) {
  EXPECT_EQ(BarrierState{}.word(), 0u);
  const BarrierState state{
      .generation = 0x1234'5678, .voided = 0x2a, .broken = BarrierState::Broken::kByAbort, .value = 0x2a'bcde};
  EXPECT_EQ(state.word(), 0x1234'5678'a8ea'bcdeu);
  EXPECT_EQ(BarrierState::from(state.word()).word(), state.word());
  EXPECT_EQ(state.after(true).word(), 0x1234'5679'5000'0000u);
  EXPECT_EQ(state.after(false).word(), 0x1234'5679'5400'0000u);
  EXPECT_EQ(barrier_party(0), 1u);
  EXPECT_EQ(barrier_party(0xffff), 0x1ffffu);
}

TEST(Layout, Latch) {
  using S = layout::Latch;
  Image<S> image;
  image FIELD(count) FIELD(waiters);
  expect_golden("latch", image.text("Latch"));
}

TEST(Layout, BoundedSemaphore) {
  using S = layout::BoundedSemaphore;
  Image<S> image;
  image FIELD(permits) FIELD(waiters);
  expect_golden("bounded_semaphore", image.text("BoundedSemaphore"));
}

TEST(Layout, Broadcast) {
  {
    using S = layout::BroadcastHeader;
    Image<S> image;
    image FIELD(capacity) FIELD(slot_count) FIELD(slot_bytes) FIELD(payload_bytes) FIELD(cells) FIELD(writer)
        FIELD(tail) FIELD(not_empty) FIELD(not_full) FIELD(lowest) FIELD(cells_high);
    expect_golden("broadcast_header", image.text("BroadcastHeader"));
  }
  using S = layout::BroadcastCell;
  Image<S> image;
  image FIELD(owner) FIELD(cursor);
  expect_golden("broadcast_cell", image.text("BroadcastCell"));
  EXPECT_EQ(layout::kMaxSubscribers, 1024u);
}

TEST(Layout, SharedMutex) {
  EXPECT_EQ(offsetof(layout::SharedMutex, writer), 0u);
  EXPECT_EQ(offsetof(layout::SharedMutex, readers), 64u);
  EXPECT_EQ(offsetof(layout::SharedMutex, drained), 68u);
  EXPECT_EQ(offsetof(layout::SharedMutex, cells_high), 72u);
  EXPECT_EQ(offsetof(layout::SharedMutex, cells), 128u);
  EXPECT_EQ(sizeof(ReaderCell), 64u);
  EXPECT_EQ(kReaderCells, 1024u);
}

TEST(Layout, OwnedCell) {
  EXPECT_EQ(OwnedCell{}.word(), 0u);
  EXPECT_EQ((OwnedCell{.lane = 5, .generation = 6, .note = 7}.word()), 7u) << "nobody's";
  const OwnedCell cell{.lane = 0x1234, .generation = 0x5678, .note = 0x9abc'def0, .owned = true};
  EXPECT_EQ(cell.word(), 0x1235'5678'9abc'def0u);
  EXPECT_TRUE(OwnedCell::from(cell.word()).owned_by(0x1234, 0x5678));
  EXPECT_FALSE(OwnedCell::from(7).owned);
}

TEST(Layout, PipeHeader) {
  using S = PipeHeader;
  Image<S> image;
  image FIELD(capacity) FIELD(directions);
  expect_golden("pipe_header", image.text("PipeHeader"));
}

TEST(Layout, PipeDirection) {
  using S = PipeDirection;
  Image<S> image;
  image FIELD(tail) FIELD(head) FIELD(dropped) FIELD(door) FIELD(room) FIELD(watched) FIELD(departures) FIELD(sending)
      FIELD(receiving);
  expect_golden("pipe_direction", image.text("PipeDirection"));
}

TEST(Layout, PieceHead) {
  const PieceHead head{.length = 0x2345'6789, .type = 0x89ab'cdef, .first = true, .last = true};
  EXPECT_EQ(head.word(), 0x89ab'cdef'e345'6789u);
  EXPECT_EQ(PieceHead::from(head.word()).length, 0x2345'6789u);
  EXPECT_EQ((PieceHead{.length = 1, .first = true}.word()), 0x4000'0001u);
  EXPECT_EQ((PieceHead{.length = 1, .last = true}.word()), 0x8000'0001u);
  EXPECT_EQ(kDoorRing, 1u);
  EXPECT_EQ(kDoorArming, 2u);
}

TEST(Layout, PoolHeader) {
  using S = PoolHeader;
  Image<S> image;
  image FIELD(table_capacity) FIELD(workers_offset) FIELD(hints_offset) FIELD(slots_offset) FIELD(worker_count)
      FIELD(application_pid) FIELD(name) FIELD(bands_offset) FIELD(places_offset) FIELD(extras_offset) FIELD(phase)
          FIELD(supervisor_pid) FIELD(diagnosed) FIELD(worker_deaths) FIELD(slots_committed) FIELD(bands)
              FIELD(bands_committed) FIELD(most_workers) FIELD(retired) FIELD(next_look_ns) FIELD(delayed)
                  FIELD(delayed_committed) FIELD(nested) FIELD(nested_committed) FIELD(completions) FIELD(followed)
                      FIELD(idle_spinner) FIELD(rescan) FIELD(condemned) FIELD(lent) FIELD(vacant) FIELD(nested_submits)
                          FIELD(max_pending) FIELD(diagnosis) FIELD(classes) FIELD(endings) FIELD(ended);
  expect_golden("pool_header", image.text("PoolHeader"));
}

TEST(Layout, ParcelHeader) {
  using S = ParcelHeader;
  Image<S> image;
  image FIELD(scale) FIELD(max_item_bytes) FIELD(undecodable);
  expect_golden("parcel_header", image.text("ParcelHeader"));
  EXPECT_EQ(offsetof(S, classes), 128u);
  EXPECT_EQ(kParcelFront, 1280u);
}

TEST(Layout, ParcelWords) {
  EXPECT_EQ((ParcelLabel{.bytes = 5, .in_block = true}.word()), 0x8000'0000'0000'0005u);
  EXPECT_TRUE(ParcelLabel::from(0x8000'0000'0000'0005u).in_block);
  EXPECT_EQ(ParcelLabel::from(0x8000'0000'0000'0005u).bytes, 5u);
  EXPECT_EQ(ParcelOwner::process(0xfffe, 3), 0x4000'0000'0003'fffeu);
  EXPECT_EQ(ParcelOwner::item(7), 0x8000'0000'0000'0007u);
  EXPECT_EQ(ParcelOwner::lane(0x4000'0000'0003'fffeu), 0xfffeu);
  EXPECT_EQ(ParcelOwner::generation(0x4000'0000'0003'fffeu), 3u);
  EXPECT_EQ((BlockReleaser{.lane = 3, .generation = 2}.word()),
            (BlockOwner{.role = BlockOwner::Role::kReleasing, .generation = 2, .slot = 3}.word()));
}

TEST(Layout, BlockClass) {
  using S = BlockClass;
  Image<S> image;
  image FIELD(owners_offset) FIELD(blocks_offset) FIELD(count) FIELD(committed);
  expect_golden("block_class", image.text("BlockClass"));
}

TEST(Layout, WorkerRecord) {
  using S = WorkerRecord;
  Image<S> image;
  image FIELD(pid) FIELD(state) FIELD(current) FIELD(tasks_done) FIELD(started_ns) FIELD(restarts) FIELD(lane)
      FIELD(last_signal) FIELD(last_exit_code) FIELD(leave) FIELD(pinned) FIELD(idle_since_ns) FIELD(deadline_ns)
          FIELD(ring_committed) FIELD(follows) FIELD(report);
  expect_golden("worker_record", image.text("WorkerRecord"));
}

TEST(Layout, TaskSlot) {
  using S = TaskSlot;
  Image<S> image;
  image FIELD(state) FIELD(waiters) FIELD(submitter) FIELD(function_module) FIELD(function_offset)
      FIELD(arguments_block) FIELD(arguments_bytes) FIELD(result_block) FIELD(result_bytes) FIELD(retries)
          FIELD(retry_on) FIELD(has_extras) FIELD(depth) FIELD(worker) FIELD(cancelled) FIELD(ending) FIELD(progress)
              FIELD(arguments) FIELD(result);
  expect_golden("task_slot", image.text("TaskSlot"));
}

TEST(Layout, TaskExtras) {
  using S = TaskExtras;
  Image<S> image;
  image FIELD(priority) FIELD(place) FIELD(not_before_ns) FIELD(backoff_ns) FIELD(deadline_ns) FIELD(soft_deadline_ns)
      FIELD(name);
  expect_golden("task_extras", image.text("TaskExtras"));
}

// --- places, numbers, packed words -----------------------------------------------------------------------------------

TEST(Layout, PlacesAndNumbers) {
  EXPECT_EQ(std::memcmp("\0WARREN1", &kMagic, 8), 0);
  EXPECT_EQ(kAbiVersion, 1u);
  EXPECT_EQ(kLanesOffset, 4096u);
  EXPECT_EQ(kObjectOffset, 4'198'400u);
  EXPECT_EQ(kMaxLanes, 65'535u);
  EXPECT_EQ(kLanesPerPage, 64u);
  EXPECT_EQ(static_cast<int>(ObjectKind::kRaw), 1);
  EXPECT_EQ(static_cast<int>(ObjectKind::kQueue), 2);
  EXPECT_EQ(static_cast<int>(ObjectKind::kSpscQueue), 3);
  EXPECT_EQ(static_cast<int>(ObjectKind::kPool), 4);
  EXPECT_EQ(static_cast<int>(ObjectKind::kEvent), 7);
  EXPECT_EQ(static_cast<int>(ObjectKind::kSemaphore), 8);
  EXPECT_EQ(static_cast<int>(ObjectKind::kCondition), 10);
  EXPECT_EQ(static_cast<int>(WaitMode::kMembarrier), 1);
  EXPECT_EQ(static_cast<int>(WaitMode::kFenced), 2);
  EXPECT_EQ(SegmentHeader::kKeepName, 1u);
}

TEST(Layout, PackedWords) {
  using Phase = LaneIdentity::Phase;
  EXPECT_EQ((LaneIdentity{.pid = 1, .start_low = 2, .generation = 3, .phase = Phase::kLive}.word()),
            0x0000'0400'0008'000du);
  EXPECT_EQ((LaneIdentity{.pid = 0x3fffff, .start_low = 0, .generation = 0, .phase = Phase::kSweeping}.word()),
            0xffff'fc00'0000'0002u);
  EXPECT_EQ(LaneIdentity{}.word(), 0u);
  EXPECT_EQ((SideOwner{.lane = 4, .generation = 5, .owned = true}.word()), 0x5'0005u);
  EXPECT_EQ((SideOwner{.lane = 0, .generation = 0, .owned = true}.word()), 0x1'0000u);
  EXPECT_EQ(SideOwner{}.word(), 0u);
  EXPECT_EQ(committed(0), 2u);
  EXPECT_EQ(buried(0), 3u);
  EXPECT_EQ((Burials{.last = 0x12'3456'789a, .count = 0xbcdef0}.word()), 0x1234'5678'9abc'def0u);
  EXPECT_FALSE(Burials{}.counted((std::uint64_t{1} << 40) - 1));
  EXPECT_EQ((Settled{.items = 0x123'4567'89ab, .lost = 0xcdef0}.word()), 0x1234'5678'9abc'def0u);
  EXPECT_EQ(Settled{.items = Settled::kItemsMask}.open_of(Settled::kItemsMask + 2), 2u) << "the numbers go round";
  EXPECT_EQ(Settled{.lost = 1}.lost_since(Settled::kLostMask), 2u);
  EXPECT_EQ((Loser{.lost = 0x12345, .surely = true, .pid = 0x6789'abcd}.word()), 0x1234'5800'6789'abcdu);
  EXPECT_EQ(committed(9), 20u);
  EXPECT_EQ(kClosedBit, 0x8000'0000'0000'0000u);
  EXPECT_EQ(kMaxPosition, 0x0008'0000'0000'0000u);
  EXPECT_EQ(HeadWord::naming(0x3fe, 7), 0x3ff0'0000'0000'0007u);
  EXPECT_EQ(HeadWord::naming(0, 7) | HeadWord::kReturned, 0x4010'0000'0000'0007u);
  EXPECT_EQ((LeaseWord{.state = LeaseWord::State::kHeld, .lane = 1, .generation = 2, .version = 3}.word()),
            0x8000'4000'8000'0003u);
  EXPECT_EQ((TaskState{.generation = 1,
                       .attempt = 2,
                       .lane_generation = 3,
                       .lane = 4,
                       .abandoned = true,
                       .phase = TaskState::Phase::kRunning}
                 .word()),
            0x0000'0100'2030'004bu);
  EXPECT_EQ(TaskState{.phase = TaskState::Phase::kLost}.word(), 7u);
  EXPECT_EQ((BlockOwner{.role = BlockOwner::Role::kResult, .attempt = 1, .generation = 2, .slot = 3}.word()),
            0x8004'0000'0800'0003u);
  EXPECT_EQ((BlockRef{.size_class = 1, .index = 2}.word()), 0x0002'0000'0000'0002u);
  EXPECT_EQ((WorkerLane{.index = 1, .generation = 2}.word()), 0x2'0002u);
}

TEST(Layout, APriorityQueueInUse) {
  auto queue = PriorityQueue<std::uint16_t>::create({.capacity = 3}).value();
  ASSERT_TRUE(queue.try_push(0x1111, 5) && queue.try_push(0x2222, -1) && queue.try_push(0x3333, 5));
  ASSERT_EQ(queue.try_pop(), 0x1111);
  const std::byte* const object = test::Reach::attachment(queue).object();
  const auto& header = *reinterpret_cast<const LockedSlotsHeader*>(object);
  EXPECT_EQ(header.pushed.load(), 3u);
  EXPECT_EQ(header.popped.load(), 1u);
  std::array<std::uint32_t, 3> heap{};
  std::memcpy(heap.data(), object + 192, sizeof heap);
  EXPECT_EQ(heap, (std::array<std::uint32_t, 3>{2, 1, 0}));
  std::array<std::uint64_t, 12> slots{};
  std::memcpy(slots.data(), object + 256, sizeof slots);
  EXPECT_EQ(slots, (std::array<std::uint64_t, 12>{1, 1, 5, 0x1111, 2, 0, ~std::uint64_t{0}, 0x2222, 3, 0, 5, 0x3333}));
}

TEST(Layout, AStackInUse) {
  auto stack = Stack<std::uint16_t>::create({.capacity = 2}).value();
  ASSERT_TRUE(stack.try_push(0x1111) && stack.try_push(0x2222));
  std::array<std::uint64_t, 4> slots{};
  std::memcpy(slots.data(), test::Reach::attachment(stack).object() + 192, sizeof slots);
  EXPECT_EQ(slots, (std::array<std::uint64_t, 4>{0, 0x1111, 1, 0x2222}));
}

TEST(Layout, APipeInUse) {
  auto [first, second] = Pipe::create({.capacity = 64}).value();
  ASSERT_TRUE(second.send_bytes(std::as_bytes(std::span("ABCD", 5))).ok());
  ASSERT_TRUE(second.send_bytes({}).ok());
  ASSERT_TRUE(first.recv_bytes().ok());
  const auto& header = test::PipeView::header(first);
  EXPECT_EQ(header.capacity, 64u);
  EXPECT_EQ(header.directions, 2u);
  EXPECT_EQ(header.direction[0].tail, 24u);
  EXPECT_EQ(header.direction[0].head, 16u);
  std::ostringstream out;
  for (std::size_t offset = 0; offset < 64; offset += 16) {
    out << std::setfill('0') << std::setw(4) << offset;
    print_bytes(out, test::PipeView::ring(first, 0).subspan(offset, 16));
  }
  expect_golden("pipe_in_use", out.str());
}

// --- rings with something in them ------------------------------------------------------------------------------------

std::string dump_object(const std::string& name, std::size_t size) {
  const test::SegmentFile file(name);
  std::ostringstream out;
  for (std::size_t offset = 0; offset < size; offset += 16) {
    const auto line = file.read<std::array<std::byte, 16>>(kObjectOffset + offset);
    if (std::ranges::all_of(line, [](std::byte byte) { return byte == std::byte{0}; })) continue;
    out << std::setfill('0') << std::setw(4) << offset;
    print_bytes(out, line);
  }
  return out.str();
}

TEST(Layout, AQueueInUse) {
  const std::string name = test::unique_name();
  auto queue = Queue<std::uint32_t>::create(name, {.capacity = 3}).value();
  for (const std::uint32_t item : {0x1111'1111u, 0x2222'2222u, 0x3333'3333u}) ASSERT_TRUE(queue.try_push(item));
  ASSERT_EQ(queue.try_pop(), 0x1111'1111u);
  ASSERT_TRUE(queue.try_push(0x4444'4444u));
  ASSERT_EQ(queue.try_pop(), 0x2222'2222u);
  ASSERT_TRUE(queue.try_push(0x5555'5555u));  // in the first slot again
  queue.close();
  expect_golden("queue_in_use", dump_object(name, sizeof(MpmcRingHeader) + 4 * 16));
}

struct Sample {
  std::uint16_t a;
  std::uint8_t b[4];
};

TEST(Layout, AnSpscQueueInUse) {
  const std::string name = test::unique_name();
  auto queue = SpscQueue<Sample>::create(name, {.capacity = 4}).value();
  for (std::uint8_t i = 1; i <= 3; ++i) ASSERT_TRUE(queue.try_push({.a = i, .b = {i, i, i, 0xff}}));
  ASSERT_EQ(queue.try_pop()->a, 1);
  queue.close();
  expect_golden("spsc_queue_in_use", dump_object(name, sizeof(SpscRingHeader) + 4 * sizeof(Sample) + 8));
}

// The fourth record does not go behind the third: what is left is skipped, and it stands at the begin.
TEST(Layout, SpscRecordsInUse) {
  const std::string name = test::unique_name();
  auto ring = SpscRecords::create(name, 4096).value();
  const std::vector<std::byte> bytes(1300, std::byte{0x11});
  for (const std::size_t size : {1300u, 1300u, 5u}) ASSERT_TRUE(ring.try_push(std::span(bytes).first(size)));
  for (const std::size_t size : {1300u, 1300u}) ASSERT_EQ(ring.try_pop()->size(), size);
  const std::vector<std::byte> more(1500, std::byte{0x22});
  ASSERT_TRUE(ring.try_push(more));
  ring.close();
  expect_golden("spsc_records_in_use", dump_object(name, sizeof(SpscRingHeader) + 32));
  constexpr std::size_t kSkipped = sizeof(SpscRingHeader) + std::size_t{164 + 164 + 2} * kRecordUnit;
  EXPECT_EQ(test::SegmentFile(name).read<std::uint64_t>(kObjectOffset + kSkipped), 0xffff'ffffu);
}

TEST(Layout, RecordHead) {
  EXPECT_EQ((RecordHead{.length = 5}.word()), 0xffff'fffa'0000'0005u);
  EXPECT_EQ((RecordHead{.length = RecordHead::kSkips}.word()), 0x0000'0000'ffff'ffffu);
  EXPECT_TRUE(RecordHead::from(0xffff'fffa'0000'0005u).whole);
  EXPECT_EQ(RecordHead::from(0xffff'fffa'0000'0005u).length, 5u);
  EXPECT_FALSE(RecordHead::from(0).whole);
  EXPECT_EQ(kRingCorrupt, 4u);
}

// --- values and arrays with something in them ------------------------------------------------------------------------

struct Triple {
  std::uint64_t a, b;
  std::uint32_t c;
};

TEST(Layout, ValuesInUse) {
  const std::string small = test::unique_name(), large = test::unique_name() + "l";
  auto word = Value<std::uint32_t>::create(small, 0x1111'1111u).value();
  word += 0x0101'0101u;
  expect_golden("value_word", dump_object(small, sizeof(ValueHeader)));
  auto copies = Value<Triple>::create(large, {.a = 1, .b = 2, .c = 3}).value();
  copies.update([](Triple& x) { x.a = 4, x.b = 5, x.c = 6; });
  std::string dump = dump_object(large, sizeof(ValueHeader) + 128);
  expect_golden("value_copies", dump.substr(dump.find("0128")));  // without the state of the locks
}

TEST(Layout, AnArrayInUse) {
  const std::string name = test::unique_name();
  const auto array = Array<std::uint16_t>::create(name, {0x1111, 0x2222, 0x3333}).value();
  expect_golden("array_in_use", dump_object(name, sizeof(ArrayHeader) + 16));
}

}  // namespace
}  // namespace warren
