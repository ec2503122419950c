#!/usr/bin/env python3
"""Checks the direction of the includes: pool -> ipc -> layout -> std, and public headers never reach into sources.

tools/check-layering.py [--root DIR]    exits with 1 and file:line: rule for each include that breaks one
tools/check-layering.py --self-test     shows on made-up trees that it finds what it must, and only that
"""

import argparse
import pathlib
import re
import sys
import tempfile

STD = r"[a-z_0-9]+"  # <vector>
SYSTEM = r"[a-z_0-9]+\.h|(sys|linux|asm|netinet|arpa)/[a-z_0-9/]+\.h"  # <unistd.h>, <sys/mman.h>
LIBRARIES = r"absl/.+|boost/.+"
LOGGING = r"spdlog/.+|fmt/.+"
LAYOUT, IPC, POOL = r"warren/layout/.+", r"warren/ipc/.+", r"warren/pool/.+"
PRIVATE_IPC, PRIVATE_POOL = r"ipc/.+", r"pool/.+"

# Folder (the first that matches counts): what its files may include, and the rule in words.
ALLOWED = {
    "include/warren/layout": ([STD, LAYOUT], "layout stands on std alone"),
    "include/warren/ipc": (
        [STD, SYSTEM, LIBRARIES, LAYOUT, IPC],
        "public ipc headers include std, the system, absl, boost, layout and ipc; never pool, sources or logging",
    ),
    "include/warren/pool": (
        [STD, SYSTEM, LIBRARIES, LAYOUT, IPC, POOL],
        "public pool headers include std, the system, absl, boost, layout, ipc and pool; never sources or logging",
    ),
    "ipc": ([STD, SYSTEM, LIBRARIES, LOGGING, LAYOUT, IPC, PRIVATE_IPC], "ipc knows nothing of pool"),
    "pool": (
        [STD, SYSTEM, LIBRARIES, LOGGING, LAYOUT, IPC, POOL, PRIVATE_POOL],
        "pool stands on the public headers of ipc and layout",
    ),
}
# Everybody else may include what they like, except these.
FORBIDDEN = {
    "examples": ([PRIVATE_IPC, PRIVATE_POOL, r"warren/(\w+/)?detail/.+"], "examples show what users may include"),
    "tools": ([PRIVATE_IPC, PRIVATE_POOL], "only public headers are included from outside"),
    "bench": ([PRIVATE_IPC, PRIVATE_POOL], "only public headers are included from outside"),
    "tests": ([PRIVATE_IPC, PRIVATE_POOL], "only public headers are included from outside"),
}

# What a folder may include all the same, and why.
EXCEPTED = {
    "tests/crash": [r"pool/task_table\.h"],  # its steps are killed one by one, with no pool around them
}

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def matches(patterns, target):
    return any(re.fullmatch(pattern, target) for pattern in patterns)


def broken_rule(folder, quote, target):
    """The rule that an include of `target` from a file in `folder` breaks, or None."""
    if ".." in pathlib.PurePosixPath(target).parts:
        return "includes are written from the root, without .."
    if quote == '"' and target.startswith("warren/"):
        return "public headers are included in angle brackets"
    if folder in FORBIDDEN:
        patterns, rule = FORBIDDEN[folder]
        return rule if matches(patterns, target) else None
    patterns, rule = ALLOWED[folder]
    return None if matches(patterns, target) else rule


def check(root):
    problems, files = [], 0
    for folder in [*ALLOWED, *FORBIDDEN]:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            files += 1
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                found = INCLUDE.match(line)
                rule = broken_rule(folder, *found.groups()) if found else None
                if rule and not excepted(path.relative_to(root), found[2]):
                    problems.append(f"{path.relative_to(root)}:{number}: includes {found[2]}: {rule}")
    stray = [p for p in sorted((root / "include").rglob("*.h")) if not in_a_layer(p.relative_to(root))]
    problems += [f"{p.relative_to(root)}:1: a public header belongs to layout, ipc or pool" for p in stray]
    return problems, files


def excepted(path, target):
    return any(path.is_relative_to(folder) and matches(targets, target) for folder, targets in EXCEPTED.items())


def in_a_layer(path):
    return any(path.is_relative_to(folder) for folder in ALLOWED)


GOOD = {
    "include/warren/layout/a.h": "#include <cstdint>\n#include <warren/layout/b.h>\n",
    "include/warren/ipc/queue.h": "#include <absl/status/statusor.h>\n#include <sys/mman.h>\n#include <vector>\n"
    "#include <warren/ipc/detail/ring.h>\n#include <warren/layout/a.h>\n",
    "include/warren/pool/pool.h": "#include <warren/ipc/queue.h>\n#include <warren/pool/future.h>\n",
    "ipc/futex.cc": '#include "ipc/futex.h"\n\n#include <linux/futex.h>\n#include <spdlog/spdlog.h>\n',
    "pool/pool.cc": '#include <warren/pool/pool.h>\n#include <warren/ipc/queue.h>\n#include "pool/worker.h"\n',
    "tools/count.cc": "#include <CLI/CLI.hpp>\n#include <warren/pool/pool.h>\n#include <warren/layout/a.h>\n",
    "tests/unit/queue_test.cc": '#include <gtest/gtest.h>\n#include "support/kill.h"\n'
    "#include <warren/ipc/detail/ring.h>\n",
    "tests/crash/table_trial.h": '#include "pool/task_table.h"\n',
    "examples/one.cc": "#include <warren/pool/pool.h>\n",
}
BAD = {
    "include/warren/layout/a.h": "#include <warren/ipc/queue.h>\n",
    "include/warren/layout/b.h": "#include <absl/status/status.h>\n",
    "include/warren/layout/c.h": "#include <unistd.h>\n",
    "include/warren/ipc/queue.h": "#include <warren/pool/pool.h>\n",
    "include/warren/ipc/pipe.h": '#include "ipc/futex.h"\n',
    "include/warren/ipc/log.h": "#include <spdlog/spdlog.h>\n",
    "include/warren/pool/pool.h": '#include "pool/worker.h"\n',
    "include/warren/pool/up.h": '#include "../ipc/queue.h"\n',
    "include/warren/stray.h": "",
    "ipc/futex.cc": "#include <warren/pool/pool.h>\n",
    "ipc/table.cc": '  #  include "pool/table.h"\n',
    "pool/pool.cc": '#include "ipc/futex.h"\n',
    "pool/quoted.cc": '#include "warren/pool/pool.h"\n',
    "tools/inspect.cc": '#include "ipc/futex.h"\n',
    "tests/unit/queue_test.cc": '#include "pool/worker.h"\n',
    "tests/unit/table_test.cc": '#include "pool/task_table.h"\n',
    "tests/crash/worker_test.cc": '#include "pool/worker.h"\n',
    "examples/one.cc": "#include <warren/ipc/detail/ring.h>\n",
}


def self_test():
    def problems_of(files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            return check(root)[0]

    wrong = [f"found in a good tree: {problem}" for problem in problems_of(GOOD)]
    found = problems_of(BAD)
    wrong += [f"not found: {name}" for name in BAD if not any(problem.startswith(name + ":1:") for problem in found)]
    if len(found) != len(BAD):
        wrong.append(f"{len(BAD)} broken includes, {len(found)} findings")
    print("\n".join(wrong) or f"self-test: {len(GOOD)} good files pass, {len(BAD)} bad ones are found")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    problems, files = check(options.root)
    print("\n".join(problems) or f"layering: {files} files, every include points the right way")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
