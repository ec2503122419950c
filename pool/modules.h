// The program and the libraries that it has loaded: their identity, and where their code lies.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace warren::detail {

struct CodeRange {
  std::uintptr_t begin, end;
  bool executable;
  [[nodiscard]] bool contains(std::uintptr_t address) const noexcept { return begin <= address && address < end; }
};

struct Module {
  std::uint64_t id;     // 64 bits from its build id; where it has none, from its name and the sizes of its segments
  std::uintptr_t base;  // what is added to the addresses in its file
  std::vector<CodeRange> ranges;

  [[nodiscard]] bool contains(std::uintptr_t address, bool executable) const noexcept {
    for (const CodeRange& range : ranges) {
      if (range.contains(address)) return range.executable || !executable;
    }
    return false;
  }
};

// Of two with the same id (a library loaded twice), the first only.
std::vector<Module> loaded_modules();

// By the unwind tables. Functions without unwind tables are none.
bool function_starts_at(std::uintptr_t address) noexcept;

// FNV-1a.
std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t hash = 0xcbf29ce484222325) noexcept;

}  // namespace warren::detail
