// Names: what may be one, who owns it, how long it lives.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/detail/attachment.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/segment.h>
#include <warren/layout/segment.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/isolation.h"
#include "support/limits.h"
#include "support/resources.h"
#include "support/segment_file.h"

namespace warren {
namespace {

using test::Child;
using test::Gate;
using test::name_exists;
using test::SegmentFile;
using test::shm_path;
using test::unique_name;
using ::testing::HasSubstr;

std::atomic<int>& counter_in(Segment& segment) { return *reinterpret_cast<std::atomic<int>*>(segment.bytes().data()); }

// --- what may be a name ----------------------------------------------------------------------------------------------

TEST(SegmentName, NamesThatCannotBeAreInvalidEverywhere) {
  const std::string too_long(201, 'a');
  for (const std::string& name :
       {std::string(), std::string("/"), std::string("."), std::string(".."), std::string(".hidden"),
        std::string("/.hidden"), std::string("a/b"), std::string("//a"), std::string("a b"), std::string("a\nb"),
        std::string("a\0b", 3), std::string("\xc3\xa4"), std::string("a*"), too_long, "/" + too_long}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Segment::create(name, 64).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(Segment::open(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(Segment::open_read_only(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(Segment::unlink(name))) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(Queue<int>::create(name, {.capacity = 1}).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(Queue<int>::open(name).status())) << name;
  }
}

TEST(SegmentName, EveryAllowedCharacterAndTheLongestNameWork) {
  std::string name = unique_name("AZaz09._-");
  name += std::string(200 - name.size(), 'x');
  auto segment = Segment::create(name, 64);
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->name(), name);
  EXPECT_TRUE(Segment::open(name).ok());
}

TEST(SegmentName, ALeadingSlashMeansNothing) {
  const std::string name = unique_name();
  auto segment = Segment::create("/" + name, 64);
  ASSERT_TRUE(segment.ok());
  EXPECT_EQ(segment->name(), name);
  segment->bytes()[0] = std::byte{1};
  auto opened = Segment::open(name);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->bytes()[0], std::byte{1});
  EXPECT_TRUE(absl::IsAlreadyExists(Segment::create(name, 64).status()));
  EXPECT_EQ(Segment::unlink("/" + name), absl::OkStatus());
}

// --- create, open, unlink --------------------------------------------------------------------------------------------

TEST(SegmentName, CreateIsExclusive) {
  const std::string name = unique_name();
  auto first = Segment::create(name, 64);
  ASSERT_TRUE(first.ok());
  const absl::Status second = Segment::create(name, 64).status();
  EXPECT_TRUE(absl::IsAlreadyExists(second));
  EXPECT_THAT(second.message(), HasSubstr(name));
}

TEST(SegmentName, OpenOfNothingIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(Segment::open(unique_name()).status()));
  EXPECT_TRUE(absl::IsNotFound(Segment::open_read_only(unique_name()).status()));
  EXPECT_TRUE(absl::IsNotFound(Segment::unlink(unique_name())));
}

TEST(SegmentName, OpenFindsSizeAndReserve) {
  const std::string name = unique_name();
  auto created = Segment::create(name, 100, {.max_size = 300});
  auto opened = Segment::open(name);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->size(), 100u);
  EXPECT_EQ(opened->grow(300), absl::OkStatus());
  EXPECT_EQ(created->size(), 300u);
}

TEST(SegmentName, OpenOrCreateCreatesOnceAndThenOpens) {
  const std::string name = unique_name();
  auto first = Segment::open_or_create(name, 100);
  ASSERT_TRUE(first.ok());
  first->bytes()[0] = std::byte{1};
  auto second = Segment::open_or_create(name, 9999);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->size(), 100u);
  EXPECT_EQ(second->bytes()[0], std::byte{1});
}

TEST(SegmentName, FilesAreTheirOwnersAlone) {
  const std::string name = unique_name();
  const mode_t before = ::umask(0);
  auto segment = Segment::create(name, 64);
  ::umask(before);
  ASSERT_TRUE(segment.ok());
  const struct stat st = SegmentFile(name).stat();
  EXPECT_EQ(st.st_mode, static_cast<mode_t>(S_IFREG | 0600));
  EXPECT_EQ(st.st_uid, ::geteuid());
}

TEST(SegmentName, AnUnusualUmaskDoesNotMatter) {
  const std::string name = unique_name();
  const mode_t before = ::umask(0777);
  auto segment = Segment::create(name, 64);
  ::umask(before);
  ASSERT_TRUE(segment.ok());
  EXPECT_TRUE(Segment::open(name).ok());
}

TEST(SegmentName, UnlinkRemovesTheNameAndLeavesTheMemory) {
  const std::string name = unique_name();
  auto segment = Segment::create(name, 64);
  ASSERT_TRUE(segment.ok());
  ASSERT_EQ(Segment::unlink(name), absl::OkStatus());
  EXPECT_FALSE(name_exists(name));
  segment->bytes()[0] = std::byte{1};
  EXPECT_EQ(segment->bytes()[0], std::byte{1});
  EXPECT_TRUE(absl::IsNotFound(Segment::open(name).status()));
}

TEST(SegmentName, WhoLeavesAfterAnUnlinkDoesNotRemoveTheNextSegmentOfThatName) {
  const std::string name = unique_name();
  std::optional<Segment> first(Segment::create(name, 64).value());
  ASSERT_EQ(Segment::unlink(name), absl::OkStatus());
  auto second = Segment::create(name, 64);
  ASSERT_TRUE(second.ok());
  first.reset();
  EXPECT_TRUE(name_exists(name));
  EXPECT_TRUE(Segment::open(name).ok());
}

// --- what is not ours ------------------------------------------------------------------------------------------------

TEST(SegmentName, ASymbolicLinkIsNeverFollowedNorRemoved) {
  const std::string name = unique_name();
  const std::string target = unique_name("target");
  auto segment = Segment::create(target, 64);
  ASSERT_TRUE(segment.ok());
  ASSERT_EQ(::symlink(shm_path(target).c_str(), shm_path(name).c_str()), 0);
  for (const absl::Status& status : {Segment::open(name).status(), Segment::open_read_only(name).status(),
                                     Segment::open_or_create(name, 64).status(), Segment::unlink(name)}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr("symbolic link"));
  }
  EXPECT_TRUE(absl::IsAlreadyExists(Segment::create(name, 64).status()));
  EXPECT_TRUE(name_exists(name));
  ::unlink(shm_path(name).c_str());
}

// What somebody else put there is neither opened nor removed.
class SquattedName : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(::remove(shm_path(name_).c_str()), 0) << "it was removed"; }
  void refused(absl::StatusCode code) {
    for (const absl::Status& status : {Segment::open(name_).status(), Segment::open_read_only(name_).status(),
                                       Segment::open_or_create(name_, 64).status()}) {
      EXPECT_EQ(status.code(), code) << status;
    }
    EXPECT_TRUE(absl::IsAlreadyExists(Segment::create(name_, 64).status()));
    EXPECT_FALSE(Segment::unlink(name_).ok());
  }
  const std::string name_ = unique_name();
};

TEST_F(SquattedName, EmptyFile) {
  { std::ofstream file(shm_path(name_)); }
  ::chmod(shm_path(name_).c_str(), 0600);
  refused(absl::StatusCode::kFailedPrecondition);
}

TEST_F(SquattedName, SomeoneElsesFile) {
  std::ofstream(shm_path(name_)) << std::string(8 << 20, 'x');
  ::chmod(shm_path(name_).c_str(), 0600);
  refused(absl::StatusCode::kFailedPrecondition);
}

TEST_F(SquattedName, SparseFileIsNotTouched) {
  { std::ofstream file(shm_path(name_)); }
  ::chmod(shm_path(name_).c_str(), 0600);
  SegmentFile(name_).resize(std::size_t{1} << 40);
  refused(absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SegmentFile(name_).stat().st_blocks, 0) << "looking at it allocated memory";
}

TEST_F(SquattedName, FileOpenToOthers) {
  std::ofstream(shm_path(name_)) << "x";
  ::chmod(shm_path(name_).c_str(), 0644);
  refused(absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(Segment::open(name_).status().message(), HasSubstr("mode 0644"));
}

TEST_F(SquattedName, Directory) {
  ASSERT_EQ(::mkdir(shm_path(name_).c_str(), 0700), 0);
  EXPECT_FALSE(Segment::open(name_).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Segment::open_read_only(name_).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(Segment::create(name_, 64).status()));
  EXPECT_FALSE(Segment::unlink(name_).ok());
}

TEST_F(SquattedName, FifoDoesNotBlock) {
  ASSERT_EQ(::mkfifo(shm_path(name_).c_str(), 0600), 0);
  refused(absl::StatusCode::kFailedPrecondition);
}

TEST(SegmentName, ASecondHardLinkIsRefused) {
  const std::string name = unique_name();
  const std::string other = unique_name("link");
  auto segment = Segment::create(name, 64);
  ASSERT_TRUE(segment.ok());
  ASSERT_EQ(::link(shm_path(name).c_str(), shm_path(other).c_str()), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Segment::open(other).status()));
  ::unlink(shm_path(other).c_str());
  EXPECT_TRUE(Segment::open(name).ok());
}

TEST(SegmentName, AnotherUsersSegmentIsPermissionDenied) {
  const std::string ours = unique_name("ours");
  const std::string theirs = unique_name("theirs");
  auto segment = Segment::create(ours, 64);
  ASSERT_TRUE(segment.ok());
  WARREN_EXPECT_ISOLATED(test::as_another_user([&] {
    EXPECT_TRUE(absl::IsPermissionDenied(Segment::open(ours).status()));
    EXPECT_TRUE(absl::IsPermissionDenied(Segment::open_read_only(ours).status()));
    EXPECT_TRUE(absl::IsPermissionDenied(Segment::open_or_create(ours, 64).status()));
    EXPECT_TRUE(absl::IsAlreadyExists(Segment::create(ours, 64).status()));
    EXPECT_FALSE(Segment::unlink(ours).ok());
    // Left behind on purpose, for the other direction.
    EXPECT_TRUE(Segment::create(theirs, 64, {.lifetime = Lifetime::kUntilUnlinked}).ok());
  }));
  const absl::Status status = Segment::open(theirs).status();
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("65534"));
  EXPECT_TRUE(absl::IsPermissionDenied(Segment::unlink(theirs)));
  ::unlink(shm_path(theirs).c_str());
}

// --- lifetime --------------------------------------------------------------------------------------------------------

TEST(SegmentLifetime, TheLastOneOutRemovesTheName) {
  const std::string name = unique_name();
  std::optional<Segment> a(Segment::create(name, 64).value());
  std::optional<Segment> b(Segment::open(name).value());
  std::optional<Segment> copy(*b);
  a.reset();
  EXPECT_TRUE(name_exists(name));
  b.reset();
  EXPECT_TRUE(name_exists(name));
  copy.reset();
  EXPECT_FALSE(name_exists(name));
}

TEST(SegmentLifetime, TheCreatorsEndLeavesTheNameToOthers) {
  const std::string name = unique_name();
  Gate created, opened;
  Child creator([&] {
    auto segment = Segment::create(name, 64);
    created.open();
    opened.wait();
  });
  created.wait();
  auto segment = Segment::open(name);
  ASSERT_TRUE(segment.ok());
  opened.open();
  EXPECT_TRUE(creator.join().well());
  EXPECT_TRUE(Segment::open(name).ok());
}

TEST(SegmentLifetime, UntilUnlinkedStays) {
  const std::string name = unique_name();
  { auto segment = Segment::create(name, 64, {.lifetime = Lifetime::kUntilUnlinked}); }
  EXPECT_TRUE(name_exists(name));
  {
    auto again = Segment::open(name);
    EXPECT_TRUE(again.ok()) << again.status();
  }
  EXPECT_TRUE(absl::IsAlreadyExists(Segment::create(name, 64).status()));
  EXPECT_TRUE(name_exists(name));
  EXPECT_EQ(Segment::unlink(name), absl::OkStatus());
  EXPECT_FALSE(name_exists(name));
}

// A name whose only process was killed.
std::string stale_name() {
  const std::string name = unique_name("stale");
  Gate held;
  Child holder([&] {
    auto segment = Segment::create(name, 64);
    ASSERT_TRUE(segment.ok());
    held.open();
    Gate().wait();
  });
  held.wait();
  EXPECT_EQ(holder.kill().signal, SIGKILL);
  EXPECT_TRUE(name_exists(name));
  return name;
}

TEST(SegmentLifetime, OpenOfAStaleNameIsNotFoundAndRemovesIt) {
  const std::string name = stale_name();
  EXPECT_TRUE(absl::IsNotFound(Segment::open(name).status()));
  EXPECT_FALSE(name_exists(name));
}

TEST(SegmentLifetime, ReadOnlyOpenOfAStaleNameIsNotFound) {
  const std::string name = stale_name();
  EXPECT_TRUE(absl::IsNotFound(Segment::open_read_only(name).status()));
  EXPECT_FALSE(name_exists(name));
}

TEST(SegmentLifetime, CreateReclaimsAStaleName) {
  const std::string name = stale_name();
  auto fresh = Segment::create(name, 128);
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_EQ(fresh->size(), 128u);
  auto opened = Segment::open(name);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->size(), 128u);
}

TEST(SegmentLifetime, OpenOrCreateReclaimsAStaleName) {
  const std::string name = stale_name();
  auto fresh = Segment::open_or_create(name, 128);
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_EQ(fresh->size(), 128u);
}

TEST(SegmentLifetime, AStaleNameOfAnotherTypeIsReclaimedToo) {
  const std::string name = stale_name();
  EXPECT_TRUE(Queue<int>::create(name, {.capacity = 1}).ok());
}

TEST(SegmentLifetime, UnlinkRemovesAStaleName) {
  const std::string name = stale_name();
  EXPECT_EQ(Segment::unlink(name), absl::OkStatus());
  EXPECT_FALSE(name_exists(name));
}

TEST(SegmentLifetime, OneOfSeveralHoldersKilledLeavesTheName) {
  const std::string name = unique_name();
  auto segment = Segment::create(name, 64);
  Gate held;
  Child holder([&] {
    auto mine = Segment::open(name);
    held.open();
    Gate().wait();
  });
  held.wait();
  holder.kill();
  EXPECT_TRUE(Segment::open(name).ok());
  EXPECT_TRUE(name_exists(name));
}

TEST(SegmentLifetime, AForkedChildKeepsTheNameAliveAfterItsParentLeft) {
  const std::string name = unique_name();
  std::optional<Segment> segment(Segment::create(name, 64).value());
  Gate parent_left, looked;
  Child child([&] {
    parent_left.wait();
    EXPECT_TRUE(name_exists(name));
    looked.wait();
    segment.reset();
    EXPECT_FALSE(name_exists(name));
  });
  segment.reset();
  parent_left.open();
  EXPECT_TRUE(Segment::open(name).ok());
  looked.open();
  EXPECT_TRUE(child.join().well());
}

TEST(SegmentLifetime, AForkedChildsEndLeavesTheNameToItsParent) {
  const std::string name = unique_name();
  std::optional<Segment> segment(Segment::create(name, 64).value());
  Child leaves([&] { segment.reset(); });
  EXPECT_TRUE(leaves.join().well());
  EXPECT_TRUE(name_exists(name));
  Child exits([&] {});
  EXPECT_TRUE(exits.join().well());
  EXPECT_TRUE(Segment::open(name).ok());
  EXPECT_TRUE(name_exists(name));
}

TEST(SegmentLifetime, AGrandchildKeepsTheNameAliveToo) {
  const std::string name = unique_name();
  std::optional<Segment> segment(Segment::create(name, 64).value());
  Gate alone, looked;
  Child child([&] {
    Child grandchild([&] {
      alone.wait_for(2);
      EXPECT_TRUE(name_exists(name));
      segment.reset();
      EXPECT_FALSE(name_exists(name));
      looked.open();
    });
    segment.reset();
    alone.arrive();
    EXPECT_TRUE(grandchild.join().well());
  });
  segment.reset();
  alone.arrive();
  looked.wait();
  EXPECT_TRUE(child.join().well());
}

// Without a descriptor for it the child has no hold of its own, and must not take its parent's for one.
TEST(SegmentLifetime, AChildForkedWithoutDescriptorsLeavesTheNameToItsParent) {
  WARREN_NEEDS_NO_DESCRIPTORS();
  const std::string name = unique_name();
  std::optional<Segment> segment(Segment::create(name, 64).value());
  std::optional<Child> child;
  {
    const test::NoDescriptors none;
    child.emplace([&] { segment.reset(); });
  }
  EXPECT_TRUE(child->join().well());
  EXPECT_TRUE(name_exists(name));
  EXPECT_TRUE(Segment::open(name).ok());
}

// _Fork and raw clone run no fork handlers.
TEST(SegmentLifetime, AChildForkedBehindOurBackLeavesTheNameToItsParent) {
  const std::string name = unique_name();
  std::optional<Segment> segment(Segment::create(name, 64).value());
  const pid_t pid = ::_Fork();
  if (pid == 0) {
    segment.reset();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(name_exists(name));
  EXPECT_TRUE(Segment::open(name).ok());
}

// Ends like a process that runs no destructors, and leaves its names all the same.
TEST(SegmentLifetime, AChildThatEndsByExitWithoutDestructorsCanLeaveItsNames) {
  const std::string name = unique_name();
  const std::string kept = unique_name("kept");
  std::optional<Segment> segment(Segment::create(name, 64).value());
  auto until_unlinked = Segment::create(kept, 64, {.lifetime = Lifetime::kUntilUnlinked});
  Gate alone;
  Child early([&] { detail::Attachment::leave_all_names(); });
  EXPECT_TRUE(early.join().well());
  EXPECT_TRUE(name_exists(name)) << "the parent holds it";
  Child last([&] {
    alone.wait();
    detail::Attachment::leave_all_names();
  });
  segment.reset();
  EXPECT_TRUE(name_exists(name));
  alone.open();
  EXPECT_TRUE(last.join().well());
  EXPECT_FALSE(name_exists(name));
  EXPECT_TRUE(name_exists(kept));
  EXPECT_EQ(Segment::unlink(kept), absl::OkStatus());
}

// --- somebody stands in the way of removals --------------------------------------------------------------------------

const std::string kLock = ".warren." + std::to_string(::geteuid());

// Locks `path` until it goes, as a process would that was stopped while it removes a name.
class HeldLock {
 public:
  explicit HeldLock(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    EXPECT_EQ(::flock(fd_, LOCK_EX | LOCK_NB), 0) << path;
  }
  ~HeldLock() { ::close(fd_); }
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

 private:
  int fd_;
};

constexpr std::size_t kOwnShm = std::size_t{4} << 20;  // other tests are not to wait for these locks

// Anybody can lock the directory.
TEST(SegmentRemoval, ALockOnTheDirectoryIsNobodysBusiness) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(kOwnShm, [] {
    const HeldLock directory("/dev/shm");
    const std::string stale = stale_name();
    EXPECT_TRUE(Segment::create("left", 64).ok());
    EXPECT_FALSE(name_exists("left"));
    EXPECT_TRUE(Segment::create("kept", 64, {.lifetime = Lifetime::kUntilUnlinked}).ok());
    EXPECT_EQ(Segment::unlink("kept"), absl::OkStatus());
    EXPECT_TRUE(absl::IsNotFound(Segment::open(stale).status()));
    EXPECT_FALSE(name_exists(stale));
  }));
}

TEST(SegmentRemoval, LocksAFileOfThisUsersThatStays) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(kOwnShm, [] {
    const mode_t before = ::umask(0777);
    EXPECT_TRUE(Segment::create("a", 64).ok());
    ::umask(before);
    struct stat st {};
    ASSERT_EQ(::lstat(shm_path(kLock).c_str(), &st), 0);
    EXPECT_TRUE(S_ISREG(st.st_mode));
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    EXPECT_EQ(st.st_size, 0);
    EXPECT_EQ(st.st_uid, ::geteuid());
    EXPECT_FALSE(Segment::open(kLock).ok());
    EXPECT_FALSE(Segment::unlink(kLock).ok());
  }));
}

// Whoever removes it by hand harms nobody: also not who waits for it just then.
TEST(SegmentRemoval, ALockFileThatWasRemovedIsMadeAgain) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(kOwnShm, [] {
    const std::string stale = stale_name();
    EXPECT_TRUE(Segment::create("a", 64).ok());
    std::optional<HeldLock> held(shm_path(kLock));
    std::thread waits([&] { EXPECT_TRUE(absl::IsNotFound(Segment::open(stale).status())); });
    EXPECT_EQ(::unlink(shm_path(kLock).c_str()), 0);
    held.reset();
    waits.join();
    EXPECT_FALSE(name_exists(stale));
    EXPECT_TRUE(name_exists(kLock));
  }));
}

TEST(SegmentRemoval, WhereTheLockFileIsNotOursTheDirectoryIsLocked) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(kOwnShm, [] {
    const std::string path = shm_path(kLock);
    const std::vector<std::function<int()>> squats = {[&] { return ::mkfifo(path.c_str(), 0600); },
                                                      [&] { return ::mkdir(path.c_str(), 0700); },
                                                      [&] { return ::symlink("/etc/passwd", path.c_str()); },
                                                      [&] {
                                                        const int fd = ::open(path.c_str(), O_CREAT | O_RDWR, 0666);
                                                        ::close(fd);
                                                        return ::chown(path.c_str(), 65534, 65534);
                                                      }};
    for (const auto& squat : squats) {
      if (squat() != 0) {  // only root can give a file away
        std::filesystem::remove(path);
        continue;
      }
      EXPECT_TRUE(Segment::create("left", 64).ok());
      EXPECT_FALSE(name_exists("left"));
      if (&squat == &squats.back()) {
        const HeldLock directory("/dev/shm");
        EXPECT_TRUE(absl::IsUnavailable(Segment::unlink("left")));
      }
      std::filesystem::remove(path);
    }
  }));
}

TEST(SegmentRemoval, AStoppedRemoverHoldsUpRemovalsAloneAndNotForEver) {
  WARREN_EXPECT_ISOLATED(test::with_small_shm(kOwnShm, [] {
    std::vector<std::string> stale;
    for (int i = 0; i < 4; ++i) stale.push_back(stale_name());
    auto living = Segment::create("living", 64);
    EXPECT_TRUE(Segment::create("first", 64).ok()) << "removed again, for which the lock was made";
    std::optional<HeldLock> held(shm_path(kLock));
    const std::vector<std::function<void()>> calls = {
        [&] { EXPECT_TRUE(absl::IsNotFound(Segment::open(stale[0]).status())) << "nobody has it"; },
        [&] { EXPECT_TRUE(absl::IsUnavailable(Segment::create(stale[1], 64).status())); },
        [&] { EXPECT_TRUE(absl::IsUnavailable(Segment::unlink(stale[2]))); },
        [&] {
          const auto begin = std::chrono::steady_clock::now();
          EXPECT_TRUE(absl::IsUnavailable(Segment::open_or_create(stale[3], 64).status()));
          EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60)) << "4 s, and not 64 times that";
        },
        [&] { EXPECT_TRUE(Segment::open("living").ok()); },
        [&] { EXPECT_TRUE(absl::IsAlreadyExists(Segment::create("living", 64).status())); },
        [&] {
          EXPECT_TRUE(Segment::open_or_create("fresh", 64).ok());
          EXPECT_TRUE(name_exists("fresh")) << "its last process could not remove it";
          EXPECT_TRUE(absl::IsNotFound(Segment::open("fresh").status()));
        }};
    std::vector<std::thread> threads;
    threads.reserve(calls.size());
    for (const auto& call : calls) threads.emplace_back(call);
    for (std::thread& thread : threads) thread.join();
    held.reset();
    EXPECT_TRUE(absl::IsNotFound(Segment::open("fresh").status()));
    for (const std::string& name : stale) EXPECT_TRUE(Segment::open_or_create(name, 64).ok());
    for (const std::string& name : stale) EXPECT_FALSE(name_exists(name));
  }));
}

// --- races -----------------------------------------------------------------------------------------------------------

TEST(SegmentRace, OpenOrCreateOfEightProcessesIsDecidedOnce) {
  constexpr int kProcesses = 8;
  for (int round = 0; round < 20; ++round) {
    const std::string name = unique_name();
    Gate start, attached, counted;
    std::vector<Child> children;
    for (int i = 0; i < kProcesses; ++i) {
      children.emplace_back([&, i] {
        start.wait();
        auto segment = Segment::open_or_create(name, 4096 * static_cast<std::size_t>(i + 1));
        ASSERT_TRUE(segment.ok()) << segment.status();
        counter_in(*segment).fetch_add(1);
        attached.arrive();
        attached.wait_for(kProcesses);
        EXPECT_EQ(counter_in(*segment).load(), kProcesses);
        counted.arrive();
        counted.wait_for(kProcesses);
        segment = absl::UnknownError("left");
      });
    }
    start.open();
    for (Child& child : children) EXPECT_TRUE(child.join().well());
    EXPECT_FALSE(name_exists(name));
  }
}

TEST(SegmentRace, CreateOfEightProcessesHasOneWinner) {
  constexpr int kProcesses = 8;
  for (int round = 0; round < 20; ++round) {
    const std::string name = unique_name();
    test::Shared<std::atomic<int>> winners{0};
    Gate start, tried;
    std::vector<Child> children;
    for (int i = 0; i < kProcesses; ++i) {
      children.emplace_back([&] {
        start.wait();
        auto segment = Segment::create(name, 64);
        if (segment.ok()) {
          winners->fetch_add(1);
        } else {
          EXPECT_TRUE(absl::IsAlreadyExists(segment.status())) << segment.status();
        }
        tried.arrive();
        tried.wait_for(kProcesses);
        segment = absl::UnknownError("left");
      });
    }
    start.open();
    for (Child& child : children) EXPECT_TRUE(child.join().well());
    EXPECT_EQ(winners->load(), 1);
    EXPECT_FALSE(name_exists(name));
  }
}

// Names come and go all the time; nobody ever sees an error, nor a segment that is not whole.
TEST(SegmentRace, ComingAndGoingIsAlwaysDecided) {
  const std::string name = unique_name();
  Gate start;
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back([&] {
      start.wait();
      for (int round = 0; round < 300; ++round) {
        auto segment = Segment::open_or_create(name, 64);
        ASSERT_TRUE(segment.ok()) << segment.status();
        EXPECT_EQ(segment->size(), 64u);
        counter_in(*segment).fetch_add(1);
      }
    });
  }
  start.open();
  for (Child& child : children) EXPECT_TRUE(child.join().well());
  EXPECT_FALSE(name_exists(name));
}

// Between its processes' deaths a name is stale now and then; who comes next always gets a segment, and in the end
// nothing stays.
TEST(SegmentRace, KilledHoldersNeverBlockAName) {
  const std::string name = unique_name();
  for (int round = 0; round < 50; ++round) {
    Gate running;
    Child victim([&] {
      for (;;) {
        auto segment = Segment::open_or_create(name, 64);
        ASSERT_TRUE(segment.ok()) << segment.status();
        running.open();
      }
    });
    running.wait();
    victim.kill();
    auto segment = Segment::open_or_create(name, 64);
    ASSERT_TRUE(segment.ok()) << segment.status();
  }
  EXPECT_FALSE(name_exists(name));
}

}  // namespace
}  // namespace warren
