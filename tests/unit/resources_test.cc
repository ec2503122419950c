// What objects take they give back, all of it: descriptors, mappings, names, memory. And where there is none, that is
// an error that leaves nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/every_kind.h"
#include "support/isolation.h"
#include "support/limits.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

namespace fs = std::filesystem;
using test::AnyObject;
using test::Census;
using test::Kind;
using test::unique_name;
using ::testing::AnyOf;
using ::testing::HasSubstr;

// Beside what Census counts.
struct Memory {
  std::size_t mappings = 0;  // of segments: an allocator may map more for itself
  std::size_t heap = 0;      // bytes in use

  static Memory now() {
    Memory memory{.mappings = 0, .heap = ::mallinfo2().uordblks};
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("/dev/shm/") != std::string::npos || line.find("/memfd:warren") != std::string::npos)
        ++memory.mappings;
    }
    return memory;
  }
};

// The allocator and the libraries keep a little of what they once had: the process's lists of attachments and of ends
// of pipes do not shrink.
constexpr std::size_t kHeapSlack = 32 << 10;

// A few to begin with, so that what is made once is there.
template <class Run>
void expect_nothing_left_by(const char* type, int count, Run run) {
  run(count / 20);
  const Census census = Census::now();
  const Memory before = Memory::now();
  run(count);
  const Memory after = Memory::now();
  EXPECT_EQ(Census::left_behind(census, Census::now()), "") << type;
  EXPECT_EQ(after.mappings, before.mappings) << type;
  EXPECT_LE(after.heap, before.heap + kHeapSlack) << type;
}

class EveryKind : public ::testing::TestWithParam<Kind> {
 protected:
  // That many large queues would take seconds.
  void SetUp() override {
    detail::elastic_tuning().chunk_bytes = 4096;
    detail::elastic_tuning().most_chunks = 64;
  }
  void TearDown() override {
    detail::elastic_tuning().chunk_bytes = 512 << 10;
    detail::elastic_tuning().most_chunks = layout::kMaxChunks;
  }
};
INSTANTIATE_TEST_SUITE_P(Of, EveryKind, ::testing::ValuesIn(test::every_kind()), [](const auto& each) {
  std::string name = each.param.type;
  std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
  return name;
});

TEST_P(EveryKind, TenThousandOneAfterTheOtherLeaveNothing) {
  expect_nothing_left_by(GetParam().type, 10'000, [](int count) {
    const std::string name = unique_name();
    for (int i = 0; i < count; ++i) {
      const bool named = i % 10 == 0 && GetParam().named();
      ASSERT_TRUE((named ? GetParam().create_named(name) : GetParam().create()).ok()) << i;
    }
  });
}

TEST_P(EveryKind, AThousandAtOnceLeaveNothing) {
  const test::ResourceLimit descriptors(RLIMIT_NOFILE, 8192);
  expect_nothing_left_by(GetParam().type, 1000, [](int count) {
    std::vector<AnyObject> objects;
    for (int i = 0; i < count; ++i) {
      const bool named = i % 2 != 0 && GetParam().named();
      absl::StatusOr<AnyObject> object =
          named ? GetParam().create_named(unique_name(std::to_string(i))) : GetParam().create();
      ASSERT_TRUE(object.ok()) << i << ": " << object.status();
      objects.push_back(*std::move(object));
    }
    EXPECT_GE(Memory::now().mappings, objects.size()) << "the control: they are seen";
  });
}

// With no descriptor left, with one, with two, until there are enough.
TEST_P(EveryKind, DescriptorsThatEndAtAnyStepAreAnErrorThatLeavesNothing) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  const Kind& kind = GetParam();
  const std::string taken = unique_name("taken");
  const AnyObject held = kind.named() ? kind.create_named(taken).value() : nullptr;
  const std::string fresh = unique_name("fresh");
  std::vector<std::function<absl::StatusOr<AnyObject>()>> calls{kind.create};
  if (kind.named()) {
    calls.insert(calls.end(), {[&] { return kind.create_named(fresh); }, [&] { return kind.open(taken); },
                               [&] { return kind.open_or_create(fresh); }, [&] { return kind.open_or_create(taken); }});
  }
  for (const auto& call : calls) {
    const rlim_t next = [] {
      const int fd = ::dup(STDIN_FILENO);
      ::close(fd);
      return static_cast<rlim_t>(fd);
    }();
    ASSERT_TRUE(call().ok());
    int failures = 0;
    for (rlim_t more = 0, enough = 0; enough < 3; ++more) {
      ASSERT_LT(more, 20u);
      const Census before = Census::now();
      const Memory memory = Memory::now();
      absl::StatusOr<AnyObject> object = [&] {
        const test::ResourceLimit descriptors(RLIMIT_NOFILE, next + more);
        return call();
      }();
      if (object.ok()) {
        ++enough;
        *object = nullptr;
      } else {
        EXPECT_TRUE(absl::IsResourceExhausted(object.status())) << more << ": " << object.status();
        EXPECT_THAT(std::string(object.status().message()), AnyOf(HasSubstr("ulimit -n"), HasSubstr("descriptors")))
            << more;
        ++failures;
      }
      EXPECT_EQ(Census::left_behind(before, Census::now()), "") << more;
      EXPECT_EQ(Memory::now().mappings, memory.mappings) << more;
    }
    EXPECT_GT(failures, 0);
  }
}

// In a /dev/shm of one page, of two, until there is enough.
TEST_P(EveryKind, AFullShmIsAnErrorThatLeavesNothing) {
  if (!GetParam().named()) GTEST_SKIP() << "it has no name, and so nothing in /dev/shm";
  WARREN_EXPECT_ISOLATED(test::with_small_shm(2 << 20, [] {
    constexpr std::size_t kPage = 4096;
    const auto free_pages = [] { return fs::space("/dev/shm").available / kPage; };
    (void)GetParam().create_named("first");  // the file that removals lock
    const std::size_t all = free_pages();
    std::ofstream filler("/dev/shm/filler", std::ios::binary);
    const std::string page(kPage, 'x');
    bool refused = false;
    while (free_pages() > 0) filler.write(page.data(), kPage).flush();
    for (std::size_t left = 0;; ++left) {
      ASSERT_LT(left, all);
      fs::resize_file("/dev/shm/filler", (all - left) * kPage);
      const absl::Status status = GetParam().create_named("object").status();
      EXPECT_FALSE(test::name_exists("object"));
      EXPECT_EQ(free_pages(), left) << "memory is left behind";
      if (status.ok()) break;
      refused = true;
      ASSERT_TRUE(absl::IsResourceExhausted(status)) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("memory"));
    }
    EXPECT_TRUE(refused);
  }));
}

}  // namespace
}  // namespace warren
