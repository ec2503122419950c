// Any file, as ipc-inspect finds it: it is shown, as corrupt where it is.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "fuzz/must.h"
#include "fuzz/packed_segment.h"
#include "fuzz/targets.h"
#include "ipc_inspect/ls.h"

namespace warren::fuzz {

void inspect(Bytes bytes) {
  using namespace warren::tools;
  FileDescriptor file(::memfd_create("fuzzed", MFD_CLOEXEC));
  must(static_cast<bool>(file), "a descriptor is left");
  const Shape shape = unpack(bytes, file.get());
  struct stat st {};
  must(::fstat(file.get(), &st) == 0, "a descriptor can be looked at");
  FoundSegment segment{.file = RawFile(std::move(file), st), .name = {}, .holders = {::getpid()}, .descriptor = 3};
  if (shape.held % 2 != 0) segment.name = "fuzzed";
  Listing listing;
  listing.segments.push_back(describe(segment, {}));
  const SegmentInfo& info = listing.segments.front();
  must(info.trouble.empty() || info.state == "corrupt", "who has trouble is corrupt");
  const std::string text = listing_as_text(listing, true);
  for (const char c : text) must(c == '\n' || (c & 0x80) != 0 || (c >= ' ' && c != 0x7f), "only what can be printed");
  must(nlohmann::json::accept(listing_as_json(listing)), "the listing is JSON");
}

}  // namespace warren::fuzz
