// Who lends memory of a shared object for longer than a call: what is behind a Loan and a Borrow.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace warren::detail {

class Attachment;

// What was lent, in the lender's own words.
struct LentMemory {
  std::uint64_t ref = 0;  // 0: nothing
  std::uint64_t owner = 0;
  std::span<std::byte> memory = {};
};

class Lender {
 public:
  virtual void give_back(const LentMemory& lent) noexcept = 0;
  [[nodiscard]] virtual Attachment& attachment() const noexcept = 0;

 protected:
  ~Lender() = default;
};

}  // namespace warren::detail
