#!/usr/bin/env bash
# clang-tidy over our sources, with the flags of the preset clang: tools/tidy.sh [regular expression of paths]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
paths=${1:-'(ipc|pool|tools|bench|examples)/'}

cmake --preset clang -B build/tidy -DWARREN_QUICK=OFF >/dev/null
# Each source once: the crash-point variants repeat the libraries, and the header checks are generated.
python3 - <<'PYTHON'
import json, os
root = os.getcwd()
with open("build/tidy/compile_commands.json") as file:
    entries = json.load(file)
once = {}
for entry in entries:
    if not entry["file"].startswith(root + "/build/") and "-DWARREN_CRASH_POINTS" not in entry["command"]:
        once.setdefault(entry["file"], entry)
with open("build/tidy/compile_commands.json", "w") as file:
    json.dump(list(once.values()), file)
PYTHON
exec run-clang-tidy-16 -quiet -p build/tidy -j "$(nproc)" "^$PWD/$paths"
