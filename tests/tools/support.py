"""What the tests of the programs share: running them, finding and signalling the processes of their pools.

Each test file is run as `python3 FILE DIRECTORIES_OF_PROGRAMS [unittest options]`, separated by colons.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

WATCHDOG = 60  # seconds that anything may take which should take none
PROGRAMS = sys.argv[1] if len(sys.argv) > 1 else ""


def program(name):
    found = shutil.which(name, path=PROGRAMS)
    assert found, f"no {name} in {PROGRAMS}"
    return found


def main():
    del sys.argv[1]
    unittest.main(verbosity=2)


def wait_until(condition, what):
    """What `condition` gives, as soon as that is true."""
    give_up = time.monotonic() + WATCHDOG
    while not (result := condition()):
        if time.monotonic() > give_up:
            raise AssertionError(f"after {WATCHDOG} s: not yet {what}")
        time.sleep(0.002)
    return result


class Process:
    """A process that is not confused with another one that gets its pid later."""

    def __init__(self, pid):
        self.pid = pid
        self.stat = Process.read_stat(pid)

    @staticmethod
    def read_stat(pid):
        """Name, state, parent and start time; None: there is no such process."""
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                text = file.read()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text[text.rindex(")") + 2 :].split()
        return text[text.index("(") + 1 : text.rindex(")")], fields[0], int(fields[1]), int(fields[19])

    @property
    def name(self):
        return self.stat[0]

    @property
    def parent(self):
        return self.stat[2]

    def state(self):
        """The letter of ps; None: it is gone."""
        now = Process.read_stat(self.pid)
        return now[1] if now and now[3] == self.stat[3] else None

    def is_gone(self):
        return self.state() in (None, "Z", "X")

    def signal(self, number):
        """False: it was gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if self.is_gone():  # looked at after it was opened: so the descriptor is its own
                return False
            signal.pidfd_send_signal(descriptor, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)

    def stop(self):
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self.state() in ("T", "t", None, "Z"), f"{self.name} stopped")


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            pids = [int(child) for child in file.read().split()]
    except OSError:  # gone, or a kernel without it
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    processes = [Process(child) for child in pids]
    return [process for process in processes if process.stat and process.parent == pid]


def supervisor_of(pid):
    return next((child for child in children_of(pid) if child.name == "warren-pool" and not child.is_gone()), None)


def workers_of(pid):
    supervisor = supervisor_of(pid)
    named = children_of(supervisor.pid) if supervisor else []
    return [child for child in named if child.name.startswith("warren-worker-") and not child.is_gone()]


def default_signals():
    """As a terminal's shell starts its jobs; who runs tests in the background ignores SIGINT."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


class Running:
    """warren-count under way, in a process group of its own. Whatever it leaves is killed at the end."""

    def __init__(self, *arguments, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        self.process = subprocess.Popen(
            [program("warren-count"), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=default_signals,
            **options,
        )
        self.pid = self.process.pid
        self.family = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.family:
            process.signal(signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_for_workers(self, count):
        """The workers, once all of them are there."""
        workers = wait_until(lambda: self._workers(count), f"{count} workers")
        self.family = [supervisor_of(self.pid), *workers]
        return workers

    def _workers(self, count):
        if self.process.poll() is not None:
            raise AssertionError(f"warren-count ended too early: {self.process.communicate()}")
        workers = workers_of(self.pid)
        return workers if len(workers) == count else None

    def hold(self, count):
        """Stops its workers, so that it is in the middle of its work for as long as the test likes."""
        workers = self.wait_for_workers(count)
        for worker in workers:
            worker.stop()
        return workers

    def finish(self):
        """Exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=WATCHDOG)
        return self.process.returncode, out, err

    def family_is_gone(self):
        wait_until(lambda: all(process.is_gone() for process in self.family), "all processes of the pool gone")
        return True


def count(*arguments, **options):
    """Runs warren-count to its end: exit code, stdout, stderr."""
    done = subprocess.run(
        [program("warren-count"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WATCHDOG,
        check=False,
        **options,
    )
    return done.returncode, done.stdout, done.stderr


def expected_counts(directory):
    """What warren-count must write, by find and wc. Only for trees whose names hold no newline."""
    environment = {**os.environ, "LC_ALL": "C"}
    files = subprocess.run(["find", directory, "-type", "f", "-print0"], capture_output=True, check=True).stdout
    if not files:
        return b""
    counted = subprocess.run(
        ["wc", "-l", "-c", "--files0-from=-"], input=files, capture_output=True, check=True, env=environment
    ).stdout
    lines = []
    for line in counted.rstrip(b"\n").split(b"\n"):
        newlines, size, path = line.split(maxsplit=2)
        lines.append((path, int(newlines), int(size) - int(newlines)))
    if len(lines) > 1:
        lines.pop()  # the total
    return b"".join(b"%b:%d,%d\n" % line for line in sorted(lines))


class TreeTest(unittest.TestCase):
    """Has a directory of its own, and a tree and an output file in it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="warren-count-test.")
        self.addCleanup(subprocess.run, ["rm", "-rf", self.folder], check=False)  # rmtree cannot do deep trees
        os.chmod(self.folder, 0o755)
        self.tree = os.path.join(self.folder, "tree")
        os.mkdir(self.tree)
        self.output = os.path.join(self.folder, "counts")

    def write(self, path, content=b"one\ntwo\n"):
        path = os.path.join(os.fsencode(self.tree), os.fsencode(path))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def write_many(self, files):
        for i in range(files):
            self.write(f"d{i % 10}/f{i}", random.Random(i).randbytes(i % 5000))

    def written(self):
        with open(self.output, "rb") as file:
            return file.read()

    def nothing_left_beside_the_output(self):
        self.assertEqual([], [name for name in os.listdir(self.folder) if name.startswith(".")])


def as_nobody():
    """A command prefix that gives up root's rights, or None where the programs could not be run like that."""
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    can = shutil.which("setpriv") and subprocess.run([*prefix, "test", "-x", program("warren-count")], check=False)
    return prefix if can and can.returncode == 0 else None
