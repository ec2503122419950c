"""What the tests of ipc-inspect share: segments of every kind, and what is said of them."""

import json
import os
import subprocess
import unittest

import support


def inspect(*arguments, prefix=()):
    """Exit code, stdout, stderr of ipc-inspect."""
    done = subprocess.run(
        [*prefix, support.program("ipc-inspect"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=support.WATCHDOG,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def listed():
    """All segments, as JSON has them. Other tests' segments come and go, some of them corrupt."""
    code, out, err = inspect("ls", "--json")
    assert code in (0, 1), (code, err)
    return json.loads(out)["segments"]


class Holder:
    """A process that makes segments of every kind and holds them."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [support.program("hold_segments"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self.process.pid
        ready = self.process.stdout.readline()
        assert ready == b"ready\n", ready

    def kill(self):
        """And waits until its pool is gone too."""
        supervisor = support.supervisor_of(self.pid)
        family = [supervisor, *support.workers_of(self.pid)] if supervisor else []
        self.process.kill()
        self.process.communicate()
        support.wait_until(lambda: all(process.is_gone() for process in family), "its pool gone")

    def end(self):
        self.process.communicate(timeout=support.WATCHDOG)


class SegmentTest(unittest.TestCase):
    """Has a prefix for names in /dev/shm, of which none is left behind."""

    def setUp(self):
        self.prefix = f"warren-inspect-test.{os.getpid()}"
        self.addCleanup(self.remove_names)

    def remove_names(self):
        for name in os.listdir("/dev/shm"):
            if name.startswith(self.prefix):
                os.unlink(os.path.join("/dev/shm", name))

    def hold(self, what="make"):
        holder = Holder(what, self.prefix)
        self.addCleanup(holder.kill)
        return holder

    def own(self, holder):
        """The segments of the test: those that the holder has, and those that bear a name of the test."""
        return [
            segment
            for segment in listed()
            if holder.pid in segment["holders"] or segment["name"].startswith(self.prefix)
        ]

    def named(self, segments, name):
        found = [segment for segment in segments if segment["name"] == f"{self.prefix}-{name}"]
        self.assertEqual(1, len(found), f"{name} in {segments}")
        return found[0]
