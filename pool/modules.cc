#include "pool/modules.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>

// NOLINTBEGIN: the names are libgcc's, whose unwinder has no header for them
struct dwarf_eh_bases {
  void* tbase;
  void* dbase;
  void* func;
};
extern "C" const void* _Unwind_Find_FDE(void* address, dwarf_eh_bases* bases);
// NOLINTEND

namespace warren::detail {
namespace {

std::span<const std::byte> memory_of(const dl_phdr_info& info, const ElfW(Phdr) & segment) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): this is how the loader tells where a segment lies
  return {reinterpret_cast<const std::byte*>(info.dlpi_addr + segment.p_vaddr), segment.p_memsz};
}

// The bytes of the NT_GNU_BUILD_ID among the notes of a segment; empty when there is none.
std::span<const std::byte> build_id_in(std::span<const std::byte> notes, std::size_t alignment) {
  const auto aligned = [alignment](std::size_t n) { return (n + alignment - 1) / alignment * alignment; };
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof(note));
    const std::size_t name_at = sizeof(note);
    const std::size_t id_at = aligned(name_at + note.n_namesz);
    const std::size_t next = aligned(id_at + note.n_descsz);
    if (id_at + note.n_descsz > notes.size()) break;
    const bool gnu = note.n_namesz == 4 && std::memcmp(notes.data() + name_at, "GNU", 4) == 0;
    if (gnu && note.n_type == NT_GNU_BUILD_ID) return notes.subspan(id_at, note.n_descsz);
    if (next >= notes.size()) break;
    notes = notes.subspan(next);
  }
  return {};
}

std::uint64_t hash_shape(const dl_phdr_info& info) {
  std::string_view name = info.dlpi_name == nullptr ? "" : info.dlpi_name;  // empty: the program
  name.remove_prefix(name.rfind('/') + 1);
  std::uint64_t hash = hash_bytes(std::as_bytes(std::span(name)));
  for (const ElfW(Phdr) & segment : std::span(info.dlpi_phdr, info.dlpi_phnum)) {
    if (segment.p_type != PT_LOAD) continue;
    const std::uint64_t shape[] = {segment.p_offset, segment.p_vaddr, segment.p_filesz, segment.p_memsz,
                                   segment.p_flags};
    hash = hash_bytes(std::as_bytes(std::span(shape)), hash);
  }
  return hash;
}

std::uint64_t module_id(const dl_phdr_info& info) {
  for (const ElfW(Phdr) & segment : std::span(info.dlpi_phdr, info.dlpi_phnum)) {
    if (segment.p_type != PT_NOTE) continue;
    const std::size_t alignment = segment.p_align == 8 ? 8 : 4;
    if (const auto id = build_id_in(memory_of(info, segment), alignment); !id.empty()) return hash_bytes(id);
  }
  return hash_shape(info);
}

int add_module(dl_phdr_info* info, std::size_t, void* list) {
  auto& modules = *static_cast<std::vector<Module>*>(list);
  Module module{.id = module_id(*info), .base = info->dlpi_addr, .ranges = {}};
  for (const ElfW(Phdr) & segment : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    module.ranges.push_back({begin, begin + segment.p_memsz, (segment.p_flags & PF_X) != 0});
  }
  const auto same_id = [&module](const Module& other) { return other.id == module.id; };
  if (std::none_of(modules.begin(), modules.end(), same_id)) modules.push_back(std::move(module));
  return 0;
}

}  // namespace

std::vector<Module> loaded_modules() {
  std::vector<Module> modules;
  dl_iterate_phdr(&add_module, &modules);
  return modules;
}

bool function_starts_at(std::uintptr_t address) noexcept {
  void* const pointer = reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr)
  dwarf_eh_bases bases{};
  return _Unwind_Find_FDE(pointer, &bases) != nullptr && bases.func == pointer;
}

std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t hash) noexcept {
  for (const std::byte b : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3;
  return hash;
}

}  // namespace warren::detail
