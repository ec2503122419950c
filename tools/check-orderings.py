#!/usr/bin/env python3
"""Keeps the memory orders in the code and the ordering tables of docs/algorithms/ equal.

Each acquire, release, acq_rel or seq_cst in include/, ipc/ and pool/ carries a tag such as [S2] in a comment: on its
line, later in its statement, or on comment lines right above it. Each tag is one row, first cell, of one table whose
first column is headed "Tag"; each row has its tag in the code; and what "pairs with" names is a row too.

tools/check-orderings.py [--root DIR]    exits with 1 and file:line: what is missing
tools/check-orderings.py --self-test     shows on made-up trees that it finds what it must, and only that
"""

import argparse
import pathlib
import re
import sys
import tempfile

FOLDERS = ("include", "ipc", "pool")
ORDER = re.compile(r"\bmemory_order(?:_|::)(?:release|acquire|acq_rel|seq_cst)\b")
TAG = re.compile(r"\[([A-Z]{1,3}\d{1,3})\]")
NAME = re.compile(r"\b[A-Z]{1,3}\d{1,3}\b")


def comment_of(line):
    """The text after //, or the whole line where it stands inside a block comment."""
    if line.lstrip().startswith(("*", "/*")):
        return line
    return line.partition("//")[2]


def code_of(line):
    return "" if line.lstrip().startswith(("*", "/*")) else line.partition("//")[0]


def tagged(lines, index):
    """Has the order on lines[index] a tag: in the rest of its statement, in its beginning, or right above it?"""
    end = index
    while end + 1 < len(lines) and not re.search(r"[;{}]\s*$", code_of(lines[end])):
        end += 1
    start = index
    while start > 0 and code_of(lines[start - 1]).strip() and not re.search(r"[;{}:]\s*$", code_of(lines[start - 1])):
        start -= 1
    above = start
    while above > 0 and lines[above - 1].strip() and not code_of(lines[above - 1]).strip():
        above -= 1
    return any(TAG.search(comment_of(line)) for line in lines[above : end + 1])


def read_code(root):
    """{tag: first place}, and the places of orders without a tag."""
    tags, untagged, orders = {}, [], 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            lines = path.read_text(encoding="utf-8").splitlines()
            for index, line in enumerate(lines):
                place = f"{path.relative_to(root)}:{index + 1}"
                for tag in TAG.findall(comment_of(line)):
                    tags.setdefault(tag, place)
                if ORDER.search(code_of(line)):
                    orders += 1
                    if not tagged(lines, index):
                        untagged.append(f"{place}: a memory order without a tag: {line.strip()}")
    return tags, untagged, orders


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def read_tables(root):
    """Rows of the ordering tables: [(tag, place, tags it pairs with)]."""
    rows = []
    for path in sorted((root / "docs/algorithms").glob("*.md")):
        header = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.lstrip().startswith("|"):
                header = None
                continue
            row = cells(line)
            if header is None:
                header = [cell.lower() for cell in row]
            elif header[0] == "tag" and not set(row[0]) <= set("-: "):
                pairs = row[header.index("pairs with")] if "pairs with" in header[: len(row)] else ""
                tag = row[0].strip("`*[] ")
                rows.append((tag, f"{path.relative_to(root)}:{number}", NAME.findall(pairs)))
    return rows


def check(root):
    tags, problems, orders = read_code(root)
    rows = read_tables(root)
    first = {}
    for tag, place, _ in rows:
        if not NAME.fullmatch(tag):
            problems.append(f"{place}: the first cell is no tag: {tag}")
        elif tag in first:
            problems.append(f"{place}: {tag} has a row already, at {first[tag]}")
        elif tag not in tags:
            problems.append(f"{place}: {tag} is nowhere in the code")
        first.setdefault(tag, place)
    for tag, place in tags.items():
        if tag not in first:
            problems.append(f"{place}: [{tag}] has no row in a table of docs/algorithms/")
    for tag, place, pairs in rows:
        problems += [f"{place}: {tag} pairs with {other}, which has no row" for other in pairs if other not in first]
    return problems, orders, len(rows)


TABLE = "| Tag | operation | order | pairs with | what breaks if weaker |\n|---|---|---|---|---|\n"
GOOD = {
    "docs/algorithms/ring.md": TABLE + "| S1 | load | acquire | S2 | x |\n| `[S2]` | store | release | S1 | x |\n"
    "\n| state | S9 |\n|---|---|\n| none | no row of ours |\n",
    "docs/algorithms/word.md": TABLE + "| W1 | CAS | acq_rel | itself | x |\n| W2 | fence | seq_cst | W1 | x |\n",
    "include/warren/ipc/ring.h": "x.load(std::memory_order_acquire);  // [S1] pairs with S2\n"
    "y.load(std::memory_order_relaxed);\n// memory_order_acquire in words\n",
    "ipc/ring.cc": "x.store(1,\n        std::memory_order_release);  // [S2] publishes; pairs with S1\n",
    "pool/word.cc": "f();\n// [W1] whoever wins owns the word\nif (!x.compare_exchange_strong(a, b,\n"
    "       std::memory_order_acq_rel, std::memory_order_acquire)) {\n}\n"
    "std::atomic_thread_fence(std::memory_order::seq_cst);  // [W2]\n",
}
BAD = [
    ("ipc/ring.cc:1: a memory order without a tag", {"ipc/ring.cc": "x.load(std::memory_order_acquire);  // why\n"}),
    (
        "ipc/ring.cc:2: a memory order without a tag",
        {"ipc/ring.cc": "x.store(1, std::memory_order_release);  // [S2]\ny.load(std::memory_order::seq_cst);\n"},
    ),
    (
        "include/warren/ipc/new.h:1: [Q7] has no row",
        {"include/warren/ipc/new.h": "x.load(std::memory_order_acquire);  // [Q7] pairs with Q8\n"},
    ),
    ("docs/algorithms/word.md:4: W2 is nowhere in the code", {"pool/word.cc": "f();  // [W1]\n"}),
    (
        "docs/algorithms/zz.md:3: S1 has a row already, at docs/algorithms/ring.md:3",
        {"docs/algorithms/zz.md": TABLE + "| S1 | load | acquire | S2 | x |\n"},
    ),
    (
        "docs/algorithms/ring.md:3: S1 pairs with S4, which has no row",
        {"docs/algorithms/ring.md": TABLE + "| S1 | load | acquire | S4 | x |\n| S2 | store | release | S1 | x |\n"},
    ),
]


def self_test():
    def problems_of(files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            return check(root)[0]

    wrong = [f"found in a good tree: {problem}" for problem in problems_of(GOOD)]
    for expected, change in BAD:
        found = problems_of(GOOD | change)
        if not any(problem.startswith(expected) for problem in found):
            wrong.append(f"not found: {expected}; found {found}")
    print("\n".join(wrong) or f"self-test: a good tree passes, {len(BAD)} broken ones are found")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    problems, orders, rows = check(options.root)
    print("\n".join(problems) or f"orderings: {orders} memory orders in the code, {rows} rows in the tables, equal")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
