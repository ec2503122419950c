#!/usr/bin/env bash
# Configures, builds and tests one preset; clang: builds the libraries, the programs, and all headers or another target:
#   tools/check-preset.sh asan-ubsan|asan-ubsan-crash|tsan|dev|release
#   tools/check-preset.sh clang [target]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:?name a preset}

cmake --preset "$preset"
cmake --build --preset "$preset" --parallel "$(nproc)"
if [[ $preset == clang ]]; then
  exec cmake --build --preset clang --parallel "$(nproc)" --target "${2:-all_headers}"
fi
# ThreadSanitizer of g++ 12 cannot place its shadow where the kernel randomises addresses by more than 28 bits.
fixed_addresses=()
if [[ $preset == tsan ]] && setarch -R true 2>/dev/null; then fixed_addresses=(setarch -R); fi
exec "${fixed_addresses[@]}" ctest --preset "$preset" --repeat until-pass:2 </dev/null
