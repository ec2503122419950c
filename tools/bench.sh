#!/usr/bin/env bash
# Measures Warren beside the machine's limits, all in one run: tools/bench.sh [--quick] [--json FILE] [FILTER]
# Five repetitions of everything, interleaved at random, since machines have phases; medians and spread are printed.
set -euo pipefail
cd "$(dirname "$0")/.."

repetitions=5
seconds=0.2
json=build/bench.json
filter=.
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) repetitions=3 seconds=0.05; shift ;;
    --json) json=$2; shift 2 ;;
    -h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
    -*) echo "bench.sh: unknown option $1" >&2; exit 2 ;;
    *) filter=$1; shift ;;
  esac
done

tools/deps.sh build test
cmake --preset release >/dev/null
cmake --build build/release --target warren_bench
build/release/bench/warren_bench --benchmark_filter="$filter" --benchmark_repetitions="$repetitions" \
  --benchmark_min_time="$seconds" --benchmark_enable_random_interleaving=true --benchmark_out="$json" \
  --benchmark_out_format=json --benchmark_context=commit="$(git rev-parse --short HEAD 2>/dev/null || echo none)" \
  --benchmark_context=compiler="$(c++ --version | head -n 1)" >/dev/null
python3 bench/table.py "$json"
echo "details: $json"
