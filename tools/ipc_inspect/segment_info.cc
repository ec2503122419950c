#include "segment_info.h"

#include <absl/strings/str_cat.h>
#include <warren/layout/mpmc_ring.h>
#include <warren/layout/segment.h>
#include <warren/layout/spsc_ring.h>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstring>
#include <fstream>
#include <sstream>

namespace warren::tools {
namespace {

using layout::ObjectKind;
using layout::SegmentHeader;

double seconds_since(std::uint64_t realtime_ns) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::max(0.0, std::chrono::duration<double>(now).count() - static_cast<double>(realtime_ns) / 1e9);
}

const char* trouble_of(const SegmentHeader& header, std::uint64_t file_bytes) {
  if (file_bytes <= layout::kObjectOffset) return "its file is cut short";
  if (header.max_size == 0 || header.max_size > file_bytes - layout::kObjectOffset) return "it is larger than its file";
  const std::uint64_t size = header.size.load(std::memory_order_relaxed);
  if (size == 0 || size > header.max_size) return "its size";
  if (header.lanes_high.load(std::memory_order_relaxed) > layout::kMaxLanes)
    return "it has more lanes than there can be";
  if (std::strcmp(layout::kind_name(header.kind), "unknown") == 0) return "its kind";
  return nullptr;
}

std::optional<Usage> usage_between(std::uint64_t tail, std::uint64_t head, std::uint64_t capacity) {
  const std::uint64_t used = tail - head;  // read one after the other: may be off by what moved meanwhile
  return Usage{.used = used > std::uint64_t{1} << 63 ? 0 : std::min(used, capacity), .capacity = capacity};
}

template <class Ring>
std::optional<Usage> ring_usage(const RawFile& file) {
  const auto ring = file.read<Ring>(layout::kObjectOffset);
  if (!ring) return std::nullopt;
  const std::uint64_t tail = (*ring)->tail.load(std::memory_order_relaxed) & ~layout::kClosedBit;
  std::uint64_t head = (*ring)->head.load(std::memory_order_relaxed);
  if constexpr (std::same_as<Ring, layout::MpmcRingHeader>) head = layout::HeadWord::position(head);
  return usage_between(tail, head, (*ring)->capacity);
}

void add_contents(SegmentInfo& info, ObjectKind kind, const RawFile& file, const Peers& peers) {
  switch (kind) {
    case ObjectKind::kQueue: info.usage = ring_usage<layout::MpmcRingHeader>(file); break;
    case ObjectKind::kSpscQueue: info.usage = ring_usage<layout::SpscRingHeader>(file); break;
    case ObjectKind::kPool:
      info.pool = read_pool(file, peers, info.trouble);
      if (!info.pool) return;
      info.usage =
          Usage{.used = info.pool->pending + info.pool->running + info.pool->ended, .capacity = info.pool->capacity};
      return;
    default: return;  // the others hold nothing that fills up
  }
  if (!info.usage) info.trouble = "it ends before its contents do";
}

std::string state_of(const SegmentInfo& info, const FoundSegment& segment, bool kept, bool locked) {
  if (!info.trouble.empty()) return "corrupt";
  if (info.named && segment.file.stat().st_nlink == 0) return "unlinked";
  if (info.live_peers != 0) return "live";
  if (!info.named || locked || !info.holders.empty()) return "idle";
  return kept ? "kept" : "stale";
}

}  // namespace

SegmentInfo describe(const FoundSegment& segment, const std::set<ino_t>& locked) {
  const struct stat& st = segment.file.stat();
  SegmentInfo info;
  info.named = !segment.name.empty();
  info.name = info.named ? segment.name : absl::StrCat("@", segment.holders.front(), ":", segment.descriptor);
  info.holders = segment.holders;
  info.file_bytes = segment.file.size();
  info.memory_bytes = static_cast<std::uint64_t>(st.st_blocks) * 512;
  info.owner = st.st_uid;

  const auto header = segment.file.read<SegmentHeader>(0);
  if (!header) {
    info.trouble = "its file is cut short";
    info.state = "corrupt";
    return info;
  }
  info.abi = (*header)->abi_version;
  if (info.abi != layout::kAbiVersion) {  // what follows may mean anything
    info.state = "other-abi";
    return info;
  }
  info.type = layout::kind_name((*header)->kind);
  info.element.assign((*header)->element_name, ::strnlen((*header)->element_name, sizeof(*header)->element_name));
  info.element_bytes = (*header)->element_size;
  if (!info.named && (*header)->name[0] != '\0') {  // it had a name, or has it in another mount namespace
    info.named = true;
    info.name.assign((*header)->name, ::strnlen((*header)->name, sizeof(*header)->name));
  }
  info.bytes = (*header)->size.load(std::memory_order_relaxed);
  info.max_bytes = (*header)->max_size;
  info.creator = static_cast<pid_t>((*header)->creator_pid);
  info.age_seconds = seconds_since((*header)->created_ns);
  if (const char* trouble = trouble_of(**header, info.file_bytes); trouble != nullptr) {
    info.trouble = trouble;
  } else {
    const Peers peers(segment.file, **header);
    info.live_peers = peers.live();
    info.dead_peers = peers.dead();
    add_contents(info, (*header)->kind, segment.file, peers);
  }
  info.state = state_of(info, segment, ((*header)->flags & SegmentHeader::kKeepName) != 0, locked.contains(st.st_ino));
  return info;
}

// "1: FLOCK  ADVISORY  READ 1234 00:1a:5678 0 EOF"
std::set<ino_t> locked_inodes() {
  std::set<ino_t> inodes;
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string word;
    while (words >> word && std::ranges::count(word, ':') != 2) {
    }
    const std::size_t colon = word.rfind(':');
    if (colon != std::string::npos && std::ranges::count(word, ':') == 2) {
      inodes.insert(static_cast<ino_t>(std::strtoull(word.c_str() + colon + 1, nullptr, 10)));
    }
  }
  return inodes;
}

}  // namespace warren::tools
