#!/usr/bin/env python3
"""What warren-count is compared with: its job with Python's multiprocessing.Pool.

count_baseline.py DIR WORKERS [OUTPUT]
"""

import multiprocessing
import os
import sys


def files_below(directory):
    directories = [directory]
    while directories:
        with os.scandir(directories.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path


def count(path):
    with open(path, "rb", buffering=0) as file:
        content = file.read()
    lines = content.count(b"\n")
    return path, lines, len(content) - lines


def main():
    directory, workers = os.fsencode(sys.argv[1]), int(sys.argv[2])
    with multiprocessing.Pool(workers) as pool:
        counts = sorted(pool.imap_unordered(count, files_below(directory), chunksize=64))
    if len(sys.argv) > 3:
        with open(sys.argv[3], "wb") as output:
            output.writelines(b"%b:%d,%d\n" % each for each in counts)
    print(len(counts), "files")


if __name__ == "__main__":
    main()
