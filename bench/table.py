#!/usr/bin/env python3
"""Prints Warren's figures beside the physical limits of the same run: medians over the repetitions, and their spread."""

import json
import sys

# figure -> the limit that it is read beside
BESIDE = {
    "spsc_queue/round_trip/8": "limit/line_round_trip",
    "queue/round_trip/8": "limit/line_round_trip",
    "spsc_queue/one_way/8": "boost_spsc/one_way/8",
    "spsc_queue/one_way/64": "limit/line_stream/1",
    "spsc_queue/one_way/1024": "boost_spsc/one_way/1024",
    "spsc_queue/one_way_batches/64": "limit/line_stream/64",
    "queue/one_way/64": "limit/line_stream/1",
    "spsc_queue/round_trip_one_core/8": "limit/futex_round_trip/core:0",
    "queue/round_trip_one_core/8": "limit/futex_round_trip/core:0",
    "safety/queue/push_and_pop": "safety/queue_without/push_and_pop",
    "safety/queue/one_way/pairs:1": "safety/queue_without/one_way/pairs:1",
    "safety/queue/one_way/pairs:2": "safety/queue_without/one_way/pairs:2",
    "safety/lock/lock_and_unlock": "safety/lock_pthread/lock_and_unlock",
    "safety/lock/contended": "safety/lock_pthread/contended",
    "pool/submit_get/workers:1": "spsc_queue/round_trip/8",
    "pool/submit_get_asleep/workers:2": "limit/futex_round_trip/core:1",
    "pool/start_stop/workers:2": "limit/fork_and_wait/processes:2",
    "pool/start_stop/workers:8": "limit/fork_and_wait/processes:8",
    "pool/start_stop/workers:32": "limit/fork_and_wait/processes:32",
}
UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def plain(name):
    return name.replace("/real_time", "").replace("/core:1", "") if "futex" not in name else name.replace("/real_time", "")


def figures(report):
    """name -> list of (seconds per iteration in ns, items per second or None), one for each repetition"""
    runs = {}
    for run in report["benchmarks"]:
        if run.get("run_type") != "iteration" or run.get("error_occurred"):
            continue
        figure = (run["real_time"] * UNITS[run["time_unit"]], run.get("items_per_second"))
        runs.setdefault(plain(run.get("run_name", run["name"])), []).append(figure)
    return runs


def middle(values):
    return sorted(values)[len(values) // 2]


def show(nanoseconds):
    for unit, size in (("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.2f} {unit}"
    return f"{nanoseconds:.1f} ns"


def main():
    report = json.load(open(sys.argv[1], encoding="utf-8"))
    runs = figures(report)
    errors = [run["name"] for run in report["benchmarks"] if run.get("error_occurred")]
    print(f"{'figure':44} {'median':>12} {'min .. max':>26}  {'rate':>12}  beside")
    for name, repetitions in sorted(runs.items()):
        times = [time for time, _ in repetitions]
        rates = [rate for _, rate in repetitions if rate]
        rate = f"{middle(rates) / 1e6:.1f} M/s" if rates else ""
        beside = ""
        if (limit := BESIDE.get(name)) in runs:
            limit_rates = [r for _, r in runs[limit] if r]
            if rates and limit_rates:
                beside = f"{middle(rates) / middle(limit_rates):.2f} x the rate of {limit}"
            else:
                beside = f"{middle(times) / middle([t for t, _ in runs[limit]]):.2f} x {limit}"
        span = f"{show(min(times))} .. {show(max(times))}"
        print(f"{name:44} {show(middle(times)):>12} {span:>26}  {rate:>12}  {beside}")
    for name in errors:
        print(f"{name}: FAILED its own check")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
