#!/usr/bin/env python3
"""Kills random workers of one warren-count, and nothing else, until that ends. Says "ready", and how many they were.

kill_workers.py PID MILLISECONDS_BETWEEN_KILLS MOST_KILLS
"""

import random
import signal
import sys
import time

import support


def main():
    application, pause, most = support.Process(int(sys.argv[1])), float(sys.argv[2]) / 1000, int(sys.argv[3])
    kills = 0
    print("ready", flush=True)
    while kills < most and not application.is_gone():
        if workers := support.workers_of(application.pid):
            kills += random.choice(workers).signal(signal.SIGKILL)
        time.sleep(random.uniform(0, 2 * pause))
    print(kills)


if __name__ == "__main__":
    main()
