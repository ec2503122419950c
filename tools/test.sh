#!/usr/bin/env bash
# All tests, from nothing: installs what is missing, builds the preset release, runs ctest.
#   tools/test.sh [options of ctest]      for instance: tools/test.sh -L unit
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/deps.sh build test
cmake --preset release
cmake --build --preset release --parallel "$(nproc)"
# On a machine that others use, too, a time limit may pass for nothing: what fails is run once more, and both are shown.
exec ctest --preset release --repeat until-pass:2 "$@" </dev/null
