#!/usr/bin/env bash
# Is every source file formatted as .clang-format says? tools/check-format.sh --fix formats them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=(--dry-run --Werror)
if [[ ${1:-} == --fix ]]; then mode=(-i); fi
find include ipc pool tools tests bench examples \( -name '*.h' -o -name '*.cc' \) -print0 |
  xargs -0 --no-run-if-empty clang-format-16 --style=file "${mode[@]}"
