// OutputFile: a file that gets its name when it is whole, so that nobody ever finds half of it.
#pragma once
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "common/file_descriptor.h"

namespace warren::tools {

class OutputFile {
 public:
  // Finds out early what can be known of a later failure. Makes nothing.
  static absl::Status check(const std::string& path);

  // A new file beside the one that it will replace; links are followed to that one, and its mode stays. What is not a
  // regular file (/dev/stdout, a pipe) is written as it is.
  static absl::StatusOr<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&&) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();  // not committed: removes what there is

  void append(std::string_view text);  // errors are commit()'s
  absl::Status commit();               // Cancelled: the program was interrupted

 private:
  OutputFile(std::string path, std::string temporary, FileDescriptor fd);
  void flush();

  std::string path_;
  std::string temporary_;  // empty: written in place, or committed
  FileDescriptor fd_;
  std::string buffer_;
  absl::Status status_;
};

}  // namespace warren::tools
