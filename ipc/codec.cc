#include <warren/ipc/codec.h>
#include <warren/ipc/detail/buffer_writer.h>

#include <algorithm>
#include <new>
#include <string>
#include <utility>

namespace warren {

void Writer::fail(absl::Status why) {
  if (!status_.ok()) return;
  status_ = std::move(why);
  memory_ = memory_.first(used_);  // so that every later write comes to make_room
}

bool Writer::make_room(std::size_t n) {
  if (!status_.ok()) return false;
  const bool countable = n <= SIZE_MAX - used_;
  const std::span<std::byte> larger =
      countable && grow_ != nullptr ? grow_(context_, used_, used_ + n) : std::span<std::byte>();
  if (larger.size() < used_ || larger.size() - used_ < n) {
    fail(absl::ResourceExhaustedError("no memory for a value of at least " + std::to_string(used_) + " + " +
                                      std::to_string(n) + " bytes"));
    return false;
  }
  memory_ = larger;
  return true;
}

absl::StatusOr<std::span<const std::byte>> Reader::bytes(std::size_t n) {
  const std::byte* from = take(n);
  if (!ok()) return status_;
  return std::span(from, n);
}

absl::StatusOr<std::size_t> Reader::length(std::size_t each) {
  const auto n = get<std::uint64_t>();
  if (!n.ok()) return n.status();
  if (*n > remaining() / each) {
    return fail(absl::DataLossError(std::to_string(*n) + " elements of " + std::to_string(each) +
                                    " bytes or more are announced, but " + std::to_string(remaining()) +
                                    " bytes are left"));
  }
  return static_cast<std::size_t>(*n);
}

const absl::Status& Reader::fail(absl::Status why) {
  if (status_.ok()) status_ = std::move(why);
  return status_;
}

const absl::Status& Reader::missing(std::size_t n) {
  return fail(absl::DataLossError("a value of " + std::to_string(n) +
                                  " bytes is cut off: " + std::to_string(remaining()) + " bytes are left"));
}

void Codec<std::vector<bool>>::encode(Writer& w, const std::vector<bool>& elements) {
  w.length(elements.size());
  for (const bool e : elements) w.put(e);
}

absl::StatusOr<std::vector<bool>> Codec<std::vector<bool>>::decode(Reader& r) {
  const auto n = r.length();
  if (!n.ok()) return n.status();
  std::vector<bool> elements(*n);
  for (std::size_t i = 0; i < *n; ++i) {
    const auto e = r.get<bool>();
    if (!e.ok()) return e.status();
    elements[i] = *e;
  }
  return elements;
}

namespace detail {

std::span<std::byte> BufferWriter::grow(void* self, std::size_t used, std::size_t needed) {
  auto& buffer = static_cast<BufferWriter*>(self)->buffer_;
  try {
    buffer.resize(std::max({needed, used * 2, std::size_t{256}}));
  } catch (const std::exception&) {
    return {};
  }
  return buffer;
}

absl::Status too_deep_to_write() {
  return absl::InvalidArgumentError("a value nests deeper than " + std::to_string(kMaxNesting) + " levels");
}

absl::Status too_deep_to_read() {
  return absl::DataLossError("a value nests deeper than " + std::to_string(kMaxNesting) + " levels");
}

absl::Status not_a_bool(unsigned value) { return absl::DataLossError("a bool has the value " + std::to_string(value)); }

absl::Status not_a_flag(unsigned value) {
  return absl::DataLossError("whether a value is present is said by " + std::to_string(value) + ", neither 0 nor 1");
}

absl::Status not_an_alternative(std::uint32_t index, std::size_t alternatives) {
  return absl::DataLossError("a variant of " + std::to_string(alternatives) + " alternatives has the index " +
                             std::to_string(index));
}

absl::Status valueless_variant() { return absl::InvalidArgumentError("a variant is valueless by exception"); }

absl::Status duplicate_key() { return absl::DataLossError("a set or map has the same key twice"); }

}  // namespace detail
}  // namespace warren
