#!/usr/bin/env bash
# until_it_fails.sh <times> <program> [arguments]: runs it until it fails, at most so often. What it said is for the caller to
# judge.
for ((turn = 0; turn < $1; ++turn)); do
  "${@:2}" || exit 0
done
echo "It never failed."
exit 1
