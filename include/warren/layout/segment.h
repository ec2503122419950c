// The first page of every segment. It describes the rest, so that a tool that has never heard of the program can show
// it.
//   0     SegmentHeader
//   4096  Lane[kMaxLanes], committed a page at a time
//   kObjectOffset  the object: a ring, a pool, or plain bytes
#pragma once
#include <warren/layout/lane.h>

namespace warren::layout {

inline constexpr std::size_t kLanesOffset = kPage;
inline constexpr std::size_t kObjectOffset = kLanesOffset + (std::size_t{kMaxLanes} + 1) * sizeof(Lane);
inline constexpr std::size_t kMaxNameLength = 200;

// Everything above `lanes_high` is written before the segment is published, and never again but where it says so.
struct SegmentHeader {
  std::uint64_t magic;
  std::uint32_t abi_version;
  ObjectKind kind;
  std::uint64_t id[2];              // random: tells two segments of one name apart
  std::atomic<std::uint64_t> size;  // bytes of the object that are committed; grows
  std::uint64_t max_size;           // bytes of the object that are reserved
  WaitMode wait_mode;
  std::uint32_t flags;       // kKeepName
  std::uint64_t created_ns;  // CLOCK_REALTIME
  std::uint32_t creator_pid;
  std::uint32_t creator_uid;
  std::uint64_t creator_start_time;
  std::uint32_t pid_namespace;         // the creator's
  std::atomic<std::uint32_t> foreign;  // 1 once a process of another pid or time namespace attached
  std::uint64_t element_size;
  std::uint64_t element_hash;  // FNV-1a of the mangled name of T, which compilers of one ABI agree on
  std::uint32_t element_align;
  std::uint32_t wait_words[4];    // offsets in the object of the words that a sweep must wake; 0: none
  std::uint32_t time_namespace;   // the creator's
  char element_name[96];          // readable, cut where too long; for people
  char name[kMaxNameLength + 8];  // empty: anonymous; for people

  alignas(kLine) std::atomic<std::uint32_t> lanes_high;  // lanes ever claimed: what a scan has to look at
  std::atomic<std::uint32_t> lanes_committed;            // lanes whose memory is there
  std::atomic<std::uint64_t>
      looked_ns;                     // CLOCK_MONOTONIC, at whether somebody died: while it is young, nobody else need
  std::atomic<std::uint32_t> looks;  // so often; the next one goes on where the last one ended

  static constexpr std::uint32_t kKeepName = 1;
  static constexpr std::uint32_t kKnownFlags = kKeepName;
};
static_assert(sizeof(SegmentHeader) <= kPage);
static_assert(offsetof(SegmentHeader, id) == 16 && offsetof(SegmentHeader, size) == 32);
static_assert(offsetof(SegmentHeader, element_size) == 88 && offsetof(SegmentHeader, element_name) == 128);
static_assert(offsetof(SegmentHeader, lanes_high) == 448 && sizeof(SegmentHeader) == 512);

}  // namespace warren::layout
