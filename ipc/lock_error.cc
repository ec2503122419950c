#include <warren/ipc/detail/lock_error.h>

#include <system_error>

namespace warren::detail {

void throw_would_deadlock(const char* what) {
  throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur), what);
}

void throw_not_held(const char* what) {
  throw std::system_error(std::make_error_code(std::errc::operation_not_permitted), what);
}

}  // namespace warren::detail
