// What the programs of this folder include; precompiled once for all.
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <warren/ipc/array.h>
#include <warren/ipc/broadcast.h>
#include <warren/ipc/pipe.h>
#include <warren/ipc/queue.h>
#include <warren/ipc/spsc_queue.h>
#include <warren/ipc/value.h>
#include <warren/pool/pool.h>
#include <warren/pool/process.h>
#include <warren/pool/thread_pool.h>

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
