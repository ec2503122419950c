#!/usr/bin/env python3
"""Every whole program that README.md quotes is a file of examples/, which CI compiles and runs, word for word."""

import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
examples = {path.read_text(encoding="utf-8").strip(): path.name for path in (root / "examples").rglob("*.cc")}
blocks = re.findall(r"^```cpp\n(.*?)^```", (root / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
programs = [block.strip() for block in blocks if "int main(" in block]
strays = [program for program in programs if program not in examples]

for program in strays:
    print("README.md quotes a program that is no file of examples/:\n" + program)
if not programs:
    print("README.md quotes no program")
if strays or not programs:
    sys.exit(1)
print("README.md quotes " + ", ".join(sorted(examples[program] for program in programs)))
