// Any file under a name, opened as every kind of object: a handle that can be used, or an error that says why not.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <concepts>
#include <stdexcept>
#include <string>

#include "fuzz/elements.h"
#include "fuzz/packed_segment.h"
#include "fuzz/targets.h"
#include "fuzz/use_object.h"

namespace warren::fuzz {
namespace {

// The name of a file that is what the bytes say, until the end of this object.
class NamedFile {
 public:
  explicit NamedFile(Bytes packed)
      : path_("/dev/shm/" + name()), file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {
    if (file_ < 0) throw std::runtime_error("cannot make " + path_);
    const Shape shape = unpack(packed, file_);
    if (shape.held % 2 != 0) ::flock(file_, LOCK_SH);
  }
  ~NamedFile() {
    ::close(file_);
    ::unlink(path_.c_str());
  }
  NamedFile(const NamedFile&) = delete;
  NamedFile& operator=(const NamedFile&) = delete;

  static std::string name() { return "warren-fuzz." + std::to_string(::getpid()); }

 private:
  std::string path_;
  int file_;
};

void must_be_clear(const absl::Status& status) {
  const bool expected = absl::IsFailedPrecondition(status) || absl::IsDataLoss(status) || absl::IsNotFound(status) ||
                        absl::IsResourceExhausted(status);
  must(expected && !status.message().empty(), "an error of the factories that says what is wrong");
}

template <class Object>
void open_and_use(Bytes packed) {
  const NamedFile file(packed);
  absl::StatusOr<Object> object = Object::open(NamedFile::name());
  if (!object.ok()) return must_be_clear(object.status());
  use(*object);
  (void)test::Reach::attachment(*object).sweep();
  if constexpr (std::same_as<Object, Segment>) {
    if (auto shown = Segment::open_read_only(NamedFile::name()); shown.ok()) use(*shown);
  }
}

template <class... Objects>
void open_as_each(Bytes packed) {
  (open_and_use<Objects>(packed), ...);
}

}  // namespace

void attach(Bytes bytes) {
  hurry();
  open_as_each<Segment, Queue<int>, Queue<Large>, Queue<std::string>, SpscQueue<int>, SpscQueue<Large>, SpscRecords,
               Broadcast<int>, Broadcast<std::string>, PriorityQueue<int>, PriorityQueue<std::string>, Stack<Large>,
               Mutex, RecursiveMutex, SharedMutex, Event, Semaphore, BoundedSemaphore, Condition, Latch, Barrier,
               Value<int>, Value<Large>, Array<int>>(bytes);
}

}  // namespace warren::fuzz
