// A worker's SIGTERM, as its Shutdown tells it.
#pragma once
#include <warren/pool/shutdown.h>

namespace warren::detail {

class WorkerSignal {
 public:
  static Shutdown install() noexcept;  // from now on a SIGTERM is a request
  static Shutdown none() noexcept;     // it ends the process
};

}  // namespace warren::detail
