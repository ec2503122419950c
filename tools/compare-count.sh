#!/usr/bin/env bash
# How fast warren-count is beside other ways to do its job, on this machine, in one run: the programs take turns, and
# what counts is the median of each.
#   tools/compare-count.sh [DIR] [RUNS]      DIR: /usr/include, RUNS: 7
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
directory=$(realpath -- "${1:-/usr/include}")
runs=${2:-7}
build=${WARREN_BUILD_DIR:-$root/build/release}

if [[ -z ${WARREN_BUILD_DIR:-} ]]; then
  "$root/tools/deps.sh" build test
  (cd "$root" && cmake --preset release >/dev/null && cmake --build --preset release --target warren-count count_baseline)
fi
export PATH=$build/tools:$build/bench:$root/bench:$PATH
exec python3 - "$directory" "$runs" <<'PYTHON'
import filecmp, os, statistics, subprocess, sys, tempfile, time

directory, runs = sys.argv[1], int(sys.argv[2])
ways = {
    "C++ loop": ["count_baseline", "plain", directory],
    "C++ loop, warren-count's own code": ["count_baseline", "lean", directory],
    "Python Pool, 1 worker": ["count_baseline.py", directory, "1"],
    "Python Pool, 2 workers": ["count_baseline.py", directory, "2"],
    "warren-count, 1 worker": ["warren-count", directory, "--workers", "1", "--output"],
    "warren-count, 2 workers": ["warren-count", directory, "--workers", "2", "--output"],
}
seconds = {name: [] for name in ways}
with tempfile.TemporaryDirectory() as folder:
    outputs = {name: os.path.join(folder, str(i)) for i, name in enumerate(ways)}
    for run in range(runs + 1):  # the first fills the caches
        for name, command in ways.items():
            start = time.perf_counter()
            subprocess.run([*command, outputs[name]], stdout=subprocess.DEVNULL, check=True)
            if run > 0:
                seconds[name].append(time.perf_counter() - start)
    first, *others = outputs.values()
    same = all(filecmp.cmp(first, other, shallow=False) for other in others)
    with open(first, "rb") as file:
        files = sum(1 for _ in file)

ours = statistics.median(seconds["warren-count, 2 workers"])
load = os.getloadavg()[0]
print(f"{directory}: {files} files; {runs} runs each, in turn; {os.cpu_count()} processors, load {load:.1f}")
print(f"{'':36}{'median':>10}{'fastest':>10}{'slowest':>10}   warren-count with 2 workers takes")
for name, taken in seconds.items():
    median = statistics.median(taken)
    print(f"{name:36}{median * 1e3:7.1f} ms{min(taken) * 1e3:7.1f} ms{max(taken) * 1e3:7.1f} ms   {ours / median:.2f} of that")
if not same:
    sys.exit("the answers differ")
PYTHON
