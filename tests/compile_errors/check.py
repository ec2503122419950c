#!/usr/bin/env python3
"""check.py COMPILER [FLAGS...]: compiles every wrong program of wrong.cc, whose first error must be what it says there
(and the only one, where it is an assertion), and what must compile: right.cc, and wrong.cc without a case."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
CASE = re.compile(r"#(?:el)?if CASE == (\d+)\s+//\s*(?:(g\+\+|clang): )?(.+)")


def compile_one(command, source, *flags):
    done = subprocess.run([*command, "-fsyntax-only", *flags, str(source)], capture_output=True, text=True)
    return done.returncode, done.stderr


def judge_wrong(command, number, text):
    code, message = compile_one(command, HERE / "wrong.cc", f"-DCASE={number}")
    errors = [line for line in message.splitlines() if "error:" in line]
    if code == 0:
        return "compiles, but must not"
    if not errors or text not in errors[0]:
        return f"is not told first: {text}\n" + "\n".join(errors[:5])
    if "static assertion" in errors[0] and len(errors) > 1:
        return "is told more than that:\n" + "\n".join(errors[:5])
    return None


def judge_right(command, source, *flags):
    code, message = compile_one(command, source, *flags)
    return None if code == 0 else "does not compile:\n" + message


def main():
    compiler, flags = sys.argv[1], sys.argv[2:]
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    name = "clang" if "clang" in version else "g++"
    lines = (HERE / "wrong.cc").read_text().splitlines()
    cases = [match.groups() for line in lines if (match := CASE.match(line))]
    numbers = [number for number, _, _ in cases]
    if twice := {number for number in numbers if numbers.count(number) > 1}:
        sys.exit(f"wrong.cc: only the first of two cases is compiled: {', '.join(sorted(twice))}")
    cases = [(int(number), text) for number, only, text in cases if only in (None, name)]

    with tempfile.TemporaryDirectory() as folder:
        header = pathlib.Path(folder) / "prelude.h"
        header.write_text((HERE / "prelude.h").read_text())
        base = [compiler, "-std=c++20", "-Wall", "-Wextra", "-Werror", *flags]
        subprocess.run([*base, "-x", "c++-header", str(header), "-o", f"{header}.gch"], check=True)
        command = [*base, "-include", str(header), "-I", folder]
        failed = 0
        with concurrent.futures.ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            jobs = {"right.cc": pool.submit(judge_right, command, HERE / "right.cc"),
                    "wrong.cc without a case": pool.submit(judge_right, command, HERE / "wrong.cc", "-DCASE=0")}
            jobs |= {f"wrong.cc, case {number}": pool.submit(judge_wrong, command, number, text)
                     for number, text in cases}
            for what, job in jobs.items():
                if (problem := job.result()) is not None:
                    failed += 1
                    print(f"{what} {problem}")
    print(f"{name}: {len(cases)} wrong programs and 2 right ones, {failed} not as they must be")
    return 1 if failed or len(cases) < 30 else 0


if __name__ == "__main__":
    sys.exit(main())
