#!/usr/bin/env bash
# The tests labelled soak and the fuzzers (tools/fuzz.sh), one after the other, each for WARREN_SOAK_SECONDS (600), and
# clang-tidy, and the crash tests under AddressSanitizer: what is too long for every change.
#   tools/soak.sh [options of ctest]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export WARREN_SOAK_SECONDS=${WARREN_SOAK_SECONDS:-600}

tools/deps.sh build test check
cmake --preset release
cmake --build --preset release --parallel "$(nproc)" --target tests-soak
exec ctest --preset release -C soak -L '^soak$' --verbose "$@" </dev/null
