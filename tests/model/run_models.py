#!/usr/bin/env python3
"""Explores the SPIN models of this folder: every run must end as the table says, negative controls included.

tests/model/run_models.py [MODEL ...]   all models, or those named; exits with 1 if any run ends otherwise
tests/model/run_models.py --long        with the runs that take most of a minute and up to 3 GiB each
tests/model/run_models.py --list        prints the table
tests/model/run_models.py --self-test   shows on made-up models that it fails what it must, and only that

A pass means: every reachable state explored, no error. A search cut short (depth, memory, time) is no pass. A control
must end in the very kind of error the table names; a control that passes is a failure. The passes of a model must
also, taken together, execute each of its statements: a model that blocks too early would pass with nothing shown.
"""

import argparse
import dataclasses
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_MIB = 3584
SECONDS = 300  # a watchdog for one run
ASSERTION, END_STATE = "assertion violated", "invalid end state"


@dataclasses.dataclass(frozen=True)
class Run:
    model: str
    spin: str = ""  # what to set, see the model's head comment
    expect: str = "pass"  # or the kind of error a control must end in
    long: bool = False  # only with --long
    cc: str = "-O1 -DSAFETY"  # -O2 takes longer to compile than most searches gain by it
    pan: str = "-m20000"  # no path comes near

    @property
    def control(self):
        return self.expect != "pass"


def runs(model, passes, long=(), **controls):
    table = [Run(model, flags) for flags in passes] + [Run(model, flags, long=True) for flags in long]
    for error, flags_of_controls in controls.items():
        kind = {"assertion": ASSERTION, "end_state": END_STATE}[error]
        # Most end at once: compiling takes longer than searching.
        table += [Run(model, flags, kind, cc="-O0 -DSAFETY") for flags in flags_of_controls]
    return table


TABLE = (
    runs(
        "queue",
        [
            "",
            "-DN=1 -DMAXC=3",
            "-DN=1 -DC=1 -DITEMS=2 -DMAXC=3",
            "-DC=1 -DITEMS=2 -DMAXC=3",
            "-DP=1 -DC=3 -DITEMS=2",
            "-DP=3 -DC=1 -DMAXC=3",
        ],
        long=["-DITEMS=2 -DMAXC=1", "-DITEMS=2"],
        assertion=["-DNOANN", "-DPLAINHEAD"],
        end_state=["-DNOCLEAR -DN=1 -DC=1 -DMAXC=1"],
    )
    + runs(
        "close",
        ["", "-DN=1", "-DC=1 -DITEMS=2 -DMAXC=3", "-DP=3 -DC=1"],
        long=["-DITEMS=2 -DMAXC=1", "-DITEMS=2"],
        assertion=["-DSEPARATE", "-DBYSLOT", "-DBLINDCLOSE"],
        end_state=["-DNOCLEAR"],
    )
    + runs(
        "takeover",
        ["", "-DN=1 -DK=1", "-DP=3 -DC=1 -DK=1", "-DP=1 -DC=3"],
        long=["-DK=1 -DMAXC=3"],
        assertion=["-DNOCAS", "-DSTALE", "-DNOGEN"],
    )
    + runs(
        "records",
        ["", "-DU=8 -DK=3", "-DU=4 -DK=5 -DMAXC=3"],
        assertion=["-DEARLYTAIL", "-DEARLYHEAD", "-DNOSKIP", "-DTWOSTORES", "-DNOROOM"],
    )
    + runs(
        "condition",
        [
            "",
            "-DPLAIN",
            "-DPLAIN -DALL",
            "-DPLAIN -DC=3 -DPRODUCERS=1",
            "-DNOSLICE -DMAXC=0",
            "-DNOSLICE -DMAXC=0 -DC=3 -DPRODUCERS=1",
        ],
        assertion=[
            "-DNOSLICE",
            "-DPLAIN -DUNTOLD",
            "-DPLAIN -DTOKEN",
            "-DLATE -DNOSLICE -DMAXC=0",
            "-DWAKEFIRST -DNOSLICE -DMAXC=0",
            "-DNORETEST -DNOSLICE -DMAXC=0",
        ],
    )
    + runs("event", ["", "-DWAITERS=3"], end_state=["-DBLINDSTORE", "-DNORETEST"])
    + runs(
        "event_flag",
        ["", "-DNOSLICE -DMAXC=0", "-DSETTERS=1 -DSTEPS=3 -DWAITERS=3"],
        assertion=["-DNOSLICE", "-DNORETEST -DNOSLICE -DMAXC=0", "-DLEVEL", "-DBLINDSET", "-DBLINDCLEAR"],
    )
    + runs(
        "join",
        [""],
        assertion=["-DLATE", "-DUNSAID", "-DONELOOK", "-DLANESFIRST", "-DBLINDWRITE -DJ=2"],
    )
    + runs(
        "semaphore",
        [
            "",
            "-DS=0 -DP=3",
            "-DFIRST=0 -DK=2",
            "-DNOSLICE -DMAXC=0",
            "-DNOSLICE -DMAXC=0 -DS=0 -DP=3",
            "-DKEEP -DNOSLICE -DMAXC=0 -DFIRST=0 -DK=2 -DP=3",
            "-DMAX=1",
        ],
        long=["-DP=3 -DMAXC=1"],
        assertion=[
            "-DNOSLICE",
            "-DNORETEST -DNOSLICE -DMAXC=0 -DFIRST=0",
            "-DNOFLUSH -DNOSLICE -DMAXC=0 -DFIRST=0",
            "-DNOLASTTEST -DKEEP -DNOSLICE -DMAXC=0 -DFIRST=0 -DP=3",
            "-DWAKEONE -DKEEP -DNOSLICE -DMAXC=0 -DFIRST=0 -DK=2 -DP=3",
            "-DBLIND",
            "-DADD -DMAX=1",
        ],
    )
    + runs(
        "wake_one",
        ["", "-DPUSHERS=3", "-DPUSHERS=3 -DC=2 -DT=2", "-DC=4 -DT=2", "-DK=2 -DC=4", "-DPUSHERS=3 -DK=2", "-DBUMP"],
        assertion=["-DNOFLUSH", "-DNOFLUSH -DBUMP", "-DCLEARONE", "-DNORETEST", "-DSAMESEQ", "-DNOLASTTEST"],
    )
    + runs(
        "mutex",
        ["", "-DMAXC=3", "-DP=2 -DROUNDS=3", "-DNOSLICE -DMAXC=0"],
        assertion=["-DBLIND", "-DNOTELL", "-DFORGET"],
        end_state=["-DNOSLICE", "-DNORETEST -DNOSLICE -DMAXC=0"],
    )
    + runs(
        "parcels",
        ["-DMAXC=1", "-DN=1 -DC=1", "-DC=1 -DMAXC=3"],
        long=["", "-DN=1", "-DB=1 -DC=1 -DR=2"],
        assertion=["-DNOTAKE", "-DMARKLATE", "-DLANESFIRST", "-DCLEAREARLY"],
    )
    + runs(
        "lease",
        ["-DSWEEPS", "-DSWEEPS -DN=1", "-DP=3 -DN=1 -DR=1"],
        long=["", "-DM=3 -DMAXC=1", "-DP=3 -DR=1 -DMAXC=1", "-DSWEEPS -DP=3 -DN=1 -DR=1"],
        assertion=[
            "-DNOCONFIRM",
            "-DNOREREAD",
            "-DBLINDNAME -DSWEEPS -DP=3 -DN=1 -DS=1",
            "-DNOVERSION",
            "-DHEADFIRST -DSWEEPS -DN=1",
            "-DLATEFILL",
            "-DBYHEAD",
        ],
    )
    + runs(
        "elastic",
        [
            "",
            "-DCHUNKS=2",
            "-DC=2 -DITEMS=1",
            "-DP=1 -DITEMS=5 -DC=2 -DMAXC=1",
            "-DDIR=3 -DCHUNKS=3 -DITEMS=4 -DMAXC=0",
        ],
        long=["-DP=1 -DITEMS=3 -DC=3 -DCHUNKS=2", "-DP=3 -DITEMS=1"],
        assertion=[
            "-DFREEFIRST",
            "-DNOAGE -DDIR=3 -DCHUNKS=3 -DITEMS=4 -DMAXC=0",
            "-DNOTAG -DP=1 -DITEMS=5",
            "-DOLDHEAD -DCHUNKS=2",
        ],
        end_state=["-DNOCOLLECT -DP=1 -DITEMS=3 -DC=3 -DCHUNKS=2", "-DBLINDENTER"],
    )
    + runs(
        "priority",
        ["", "-DPOPPERS=1 -DITEMS=2 -DMAXC=1", "-DN=1 -DPOPPERS=1 -DITEMS=2"],
        long=["-DPOPPERS=1 -DITEMS=2", "-DPUSHERS=3 -DPOPPERS=1", "-DN=1 -DITEMS=2 -DMAXC=1"],
        assertion=[
            "-DNOREPAIR",
            "-DHEAPONLY",
            "-DCOMMITFIRST",
            "-DFREEFIRST -DPOPPERS=1 -DITEMS=2 -DMAXC=1",
            "-DBLINDPUSH",
        ],
    )
    + runs(
        "bounded_semaphore",
        ["", "-DP=2 -DROUNDS=2", "-DNOSLICE -DMAXC=0", "-DTRIES -DP=2 -DROUNDS=3 -DMAXC=1"],
        assertion=["-DBLIND", "-DTRIES -DONELOOK -DP=2 -DROUNDS=3", "-DTRIES -DNOCOUNT -DP=2 -DROUNDS=3"],
        end_state=["-DNOSLICE", "-DNORETEST -DNOSLICE -DMAXC=0"],
    )
    + runs(
        "broadcast",
        ["", "-DWAITS", "-DWAITS -DREADERS=2 -DROUNDS=1", "-DCLOSES", "-DCAP=2 -DROUNDS=3 -DMAXC=1"],
        long=["-DREADERS=2 -DMAXC=1", "-DWAITS -DREADERS=2 -DMAXC=1"],
        assertion=["-DTIGHT", "-DEARLY", "-DNORECHECK", "-DCLOSES -DSTORE", "-DWAITS -DGUESS", "-DWAITS -DNOTURN"],
        end_state=["-DWAITS -DKEEP"],
    )
    + runs(
        "barrier",
        ["", "-DTIMEOUT", "-DRESETS", "-DRESETS -DTIMEOUT -DMAXC=1", "-DP=2 -DROUNDS=3", "-DSTOPS -DP=2 -DMAXC=1"],
        assertion=["-DTIMEOUT -DBLIND", "-DRESETS -DNOFATE", "-DRESETS -DSTALE", "-DSPLIT"],
        end_state=["-DNOSLICE", "-DMARKLATE", "-DOWNGEN", "-DSTOPS -DALONE -DP=2 -DMAXC=1"],
    )
    + runs(
        "shared_mutex",
        ["", "-DROUNDS=2 -DMAXC=1", "-DGIVEUP", "-DREADERS=3 -DWRITERS=1", "-DREADERS=1 -DWRITERS=3"],
        assertion=["-DLOOKFIRST", "-DNODRAIN", "-DNOTELL", "-DSTEAL"],
        end_state=["-DKEEPCELL", "-DKEEPWORD"],
    )
    + runs(
        "readiness",
        ["", "-DTAKERS=3 -DITEMS=2", "-DTAKERS=1 -DITEMS=4"],
        end_state=["-DRINGFIRST", "-DTURNFIRST", "-DNOEMPTY"],
    )
    + runs(
        "deadline",
        ["", "-DITEMS=2"],
        assertion=["-DBLINDSTOP"],
        end_state=["-DNOSECOND", "-DNORING"],
    )
    + runs(
        "lend",
        ["", "-DMOST=2 -DROOTS=1", "-DROOTS=1 -DMAXC=2"],
        end_state=["-DNOLEND", "-DNORING", "-DKEEPWAKE"],
    )
    + runs(
        "door",
        [
            "-DMAXC=0 -DNOSLICE",
            "-DS=1 -DMSGS=3",
            "-DS=1 -DMSGS=2 -DMAXC=2",
            "-DS=2 -DMSGS=2 -DR=1",
            "-DNOSLICE -DNUDGE -DS=1 -DMSGS=2",
        ],
        long=["", "-DNOSLICE -DNUDGE", "-DMAXC=0 -DNOSLICE -DS=1 -DMSGS=3 -DR=3"],
        assertion=["-DONELOOK"],
        end_state=[
            "-DMAXC=0 -DNOSLICE -DNOSECOND",
            "-DMAXC=0 -DNOSLICE -DNORING",
            "-DMAXC=0 -DNOSLICE -DNONUMBER",
            "-DNOSLICE -DNUDGE -DNOARMING",
        ],
    )
    + runs(
        "pieces",
        ["", "-DN=2", "-DMSGS=2 -DP=1", "-DMSGS=2 -DN=2", "-DP=3 -DC=1"],
        assertion=["-DNOTURN", "-DNODROP", "-DNOPASS", "-DTAKEFIRST -DMAXC=0"],
    )
    + runs(
        "task",
        [
            "",
            "-DSLOTHINT",
            "-DGIVEUP=1",
            "-DSUBDIE",
            "-DGIVEUP=1 -DSUBDIE -DR=1",
            "-DS=1 -DTASKS=3 -DMAXC=3",
            "-DS=1 -DRETRIES=2 -DMAXC=3",
            "-DWORKERS=3 -DMAXC=1",
            "-DKILL=1 -DTASKS=1",
        ],
        long=["-DTASKS=3", "-DWORKERS=3", "-DRETRIES=2 -DMAXC=3", "-DKILL=1 -DS=1"],
        assertion=["-DBLINDCLAIM", "-DNOACK -DGIVEUP=1", "-DRETRYLIVE -DGIVEUP=1"]
        + [f"-DKILL=1 -DS=1 -DTASKS=1 -D{error}" for error in ("BYSIGHT", "ENDANYWAY", "EARLYSETTLE", "NOREST")],
        end_state=["-DNOREPUSH", "-DBLIND", "-DNOSCAN -DR=1", "-DNOADOPT -DSUBDIE"],
    )
    + runs(
        "value",
        ["", "-DMAXC=3 -DROUNDS=1 -DREADERS=2", "-DWRITERS=3 -DROUNDS=1"],
        assertion=["-DINPLACE", "-DEARLY", "-DNORECHECK", "-DTRUST", "-DNOLOCK"],
    )
)


@dataclasses.dataclass
class Outcome:
    verdict: str
    fine: bool
    states: int = 0
    transitions: int = 0
    depth: int = 0
    unreached: frozenset = frozenset()
    seconds: float = 0.0


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, ((MEMORY_MIB + 512) << 20, (MEMORY_MIB + 512) << 20))


def call(command, folder, **options):
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options
    )


def number(pattern, report):
    found = re.search(pattern, report, re.MULTILINE)
    return int(float(found.group(1))) if found else 0  # pan prints 1.1592934e+08


def judge(run, report):
    """What pan's report of this run means."""
    error = re.search(r"^pan:\d+: (.*?)(?: \(at depth -?\d+\))?$", report, re.MULTILINE)
    cut = re.search(r"max search depth too small|reached -DMEMLIM|out of memory|Search not completed", report)
    count = re.search(r"errors: (\d+)$", report, re.MULTILINE)
    if error:
        verdict, fine = error.group(1), run.control and error.group(1).startswith(run.expect)
    elif cut or not count:
        verdict, fine = "search cut short: " + (cut.group(0) if cut else "no report"), False
    else:
        verdict, fine = f"{count.group(1)} errors", not run.control and count.group(1) == "0"
    unreached = re.findall(r"^(?:unreached in (.+)|\t.*?:(\d+), state \d+, \"(.*)\")$", report, re.MULTILINE)
    process, never = "", set()
    for name, line, statement in unreached:
        process = name or process
        if line and statement not in ("-end-", "assert(0)"):
            never.add(f"line {line} ({process}): {statement}")
    return Outcome(
        verdict,
        fine,
        states=number(r"^\s*(\S+) states, stored", report),
        transitions=number(r"^\s*(\S+) transitions", report),
        depth=number(r"depth reached (\d+)", report),
        unreached=frozenset(never),
    )


def execute(run, source, folder):
    unknown = [name for name in re.findall(r"-D(\w+)", run.spin) if not re.search(rf"\b{name}\b", source)]
    if unknown:
        return Outcome(f"the model does not know {' '.join(unknown)}", False)
    (folder / "model.pml").write_text(source, encoding="utf-8")
    generated = call(["spin", *run.spin.split(), "-a", "model.pml"], folder)
    if generated.returncode != 0 or not (folder / "pan.c").exists():
        return Outcome("spin: " + generated.stdout.strip(), False)
    compiled = call(["cc", "-w", f"-DMEMLIM={MEMORY_MIB}", *run.cc.split(), "-o", "pan", "pan.c"], folder)
    if compiled.returncode != 0:
        return Outcome("cc: " + compiled.stdout.strip(), False)
    start = time.monotonic()
    try:
        report = call(["./pan", *run.pan.split()], folder, timeout=SECONDS, preexec_fn=limit_memory).stdout
    except subprocess.TimeoutExpired:
        return Outcome(f"search cut short: {SECONDS} s", False, seconds=time.monotonic() - start)
    outcome = judge(run, report)
    outcome.seconds = time.monotonic() - start
    return outcome


def explore(run, source):
    with tempfile.TemporaryDirectory(prefix="warren-model-") as folder:
        return execute(run, source, pathlib.Path(folder))


def explore_all(table):
    failures, states, unreached = [], 0, {}
    start = time.monotonic()
    print(f"{'model':<9}{'states':>12}{'transitions':>13}{'depth':>7}{'seconds':>9}  run: verdict")
    for run in table:
        outcome = explore(run, (HERE / f"{run.model}.pml").read_text(encoding="utf-8"))
        name = ("control " if run.control else "") + (run.spin or "(default)")
        mark = "" if outcome.fine else f"   <-- FAILED, expected: {run.expect}"
        print(
            f"{run.model:<9}{outcome.states:>12,}{outcome.transitions:>13,}{outcome.depth:>7}{outcome.seconds:>9.2f}"
            f"  {name}: {outcome.verdict}{mark}",
            flush=True,
        )
        states += outcome.states
        if not outcome.fine:
            failures.append(f"{run.model} {name}")
        elif not run.control:
            unreached[run.model] = unreached.get(run.model, outcome.unreached) & outcome.unreached
    for model, statements in unreached.items():
        for statement in sorted(statements):
            print(f"{model}: no pass executes {statement}")
            failures.append(f"{model} {statement}")
    controls = sum(run.control for run in table)
    print(
        f"{len({run.model for run in table})} models, {len(table) - controls} passes, {controls} controls, "
        f"{states:,} states, {time.monotonic() - start:.0f} s: {len(failures)} failures"
    )
    return not failures


def self_test():
    counter = "byte n;\nactive proctype p() { do :: n < 200 -> n++ :: n == 200 -> break od; assert(n == LIMIT) }\n"
    stuck = "byte n;\nactive proctype p() { n == LIMIT }\n"
    fine, wrong, blocked = "-DLIMIT=200", "-DLIMIT=0", "-DLIMIT=1"
    cases = [
        ("a pass that passes", Run("", fine), counter, True),
        ("a pass with an error", Run("", wrong), counter, False),
        ("a pass cut short by its depth", Run("", fine, pan="-m100"), counter, False),
        ("a control that fails", Run("", wrong, ASSERTION), counter, True),
        ("a control that passes", Run("", fine, ASSERTION), counter, False),
        ("a control that fails in another way", Run("", blocked, ASSERTION), stuck, False),
        ("a control cut short", Run("", wrong, ASSERTION, pan="-m100"), counter, False),
        ("a control that blocks", Run("", blocked, END_STATE), stuck, True),
        ("a setting the model does not know", Run("", fine + " -DLIMTI=1"), counter, False),
        ("a model that is no Promela", Run("", fine), "LIMIT", False),
    ]
    failures = 0
    for what, run, source, wanted in cases:
        outcome = explore(run, source)
        right = outcome.fine == wanted
        failures += not right
        print(f"{'ok' if right else 'FAILED'}: {what}: {'accepted' if outcome.fine else 'refused'}, {outcome.verdict}")
    blind = explore(Run("", "-DLIMIT=0"), "byte n;\nactive proctype p() { end: n > LIMIT; n = 7 }\n")
    seen = any("n = 7" in statement for statement in blind.unreached)
    failures += not seen
    print(f"{'ok' if seen else 'FAILED'}: a statement never executed: {sorted(blind.unreached)}")
    return failures == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = list(dict.fromkeys(run.model for run in TABLE))
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(models))
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if unknown := [model for model in options.models if model not in models]:
        parser.error(f"no such model: {' '.join(unknown)}; there are {' '.join(models)}")
    if options.self_test:
        return self_test()
    table = [run for run in TABLE if run.model in (options.models or models) and (options.long or not run.long)]
    if options.list:
        for run in table:
            print(f"{run.model:<9} spin: {run.spin or '-'} | cc: {run.cc} | pan: {run.pan} | expect: {run.expect}")
        return True
    return explore_all(table)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
