// PoolOptions as bytes, for a supervisor that is spawned.
#pragma once
#include <absl/status/statusor.h>
#include <warren/ipc/codec.h>
#include <warren/pool/pool.h>

namespace warren::detail {

// All but the initializer, which is code.
void put_options(Writer& out, const PoolOptions& options);
absl::StatusOr<PoolOptions> get_options(Reader& in);

}  // namespace warren::detail
