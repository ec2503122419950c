#!/usr/bin/env bash
# The main job, from nothing: installs what is missing, builds, and counts the files below a directory.
#   tools/demo.sh [DIR] [further options of warren-count]      DIR: /usr/include
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
directory=$(realpath -- "${1:-/usr/include}")
shift $(($# > 0))

cd "$root"
tools/deps.sh build
if [[ ! -f build/release/build.ninja ]]; then
  cmake --preset release -DWARREN_BUILD_TESTS=OFF -DWARREN_BUILD_BENCH=OFF -DWARREN_BUILD_EXAMPLES=OFF
fi
cmake --build --preset release --target warren-count ipc-inspect

output=$root/build/release/demo.txt
result=0
build/release/tools/warren-count "$directory" --output "$output" "$@" || result=$?
[[ ! -f $output ]] || echo "One line per file, path:lines,characters, in $output"
exit $result
