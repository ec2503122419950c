#!/usr/bin/env bash
# The fuzzers of tests/fuzz, one after the other: tools/fuzz.sh [SECONDS of each] [TARGET ...]
#   tools/fuzz.sh --self-test    builds them, and sees whether a planted fault is found
# What stops one is kept in build/fuzz/findings, and goes into tests/fuzz/corpus once it is mended.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
self_test=false
if [[ ${1-} == --self-test ]]; then
  self_test=true
  shift
fi
seconds=${1:-${WARREN_SOAK_SECONDS:-60}}
targets=("${@:2}")
if [[ ${#targets[@]} -eq 0 ]]; then
  targets=(attach codec inspect pipe queue recover)
fi
bin=build/fuzz/tests/fuzz
findings=build/fuzz/findings

cmake --preset fuzz
cmake --build --preset fuzz --parallel "$(nproc)"
export UBSAN_OPTIONS=print_stacktrace=1
mkdir -p "$findings"

# Exits with what the fuzzer exits with: not 0 where it found something.
run() {
  local target=$1 seconds=$2
  shift 2
  local grown=build/fuzz/grown/$target
  mkdir -p "$grown"
  "$bin/fuzz_$target" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=4096 -max_len=8192 -print_final_stats=1 \
    -artifact_prefix="$findings/$target." "$grown" "$@" </dev/null
}

if $self_test; then
  log=$findings/planted.log
  if run planted 120 >"$log" 2>&1 || ! grep -q 'AddressSanitizer: heap-buffer-overflow' "$log"; then
    echo "the planted fault was not found; see $log" >&2
    exit 1
  fi
  rm -f "$findings"/planted.*
  echo "the planted fault was found"
  exit
fi

failed=0
for target in "${targets[@]}"; do
  echo "--- $target, $seconds s"
  run "$target" "$seconds" "tests/fuzz/corpus/$target" || failed=1
done
exit "$failed"
