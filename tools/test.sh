#!/usr/bin/env bash
# All tests, from nothing: installs what is missing, builds the preset release, runs ctest.
#   tools/test.sh [options of ctest]      for instance: tools/test.sh -L unit
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/deps.sh build test
cmake --preset release
cmake --build --preset release --parallel "$(nproc)"
exec ctest --preset release "$@" </dev/null
