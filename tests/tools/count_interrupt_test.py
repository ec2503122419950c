#!/usr/bin/env python3
"""Ctrl-C in the middle of a count; and the progress bar, which is there on a terminal only."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import support
from support import wait_until


def named_segments():
    return set(os.listdir("/dev/shm"))


class Interrupted(support.TreeTest):
    def interrupt(self, send, hold=True, stop_supervisor=False):
        """Exit code and stderr of a count that was interrupted by `send(running)`; nothing of it is left."""
        with support.Running("/usr", "--workers", 2, "--output", self.output) as running:
            if hold:
                running.hold(2)
            else:
                running.wait_for_workers(2)
            send(running)
            code, out, err = running.finish()
            self.assertEqual(b"", out)
            self.assertTrue(running.family_is_gone())
            for process in support.children_of(1) + support.children_of(os.getpid()):
                self.assertNotIn(process.pid, [member.pid for member in running.family if not member.is_gone()])
        self.nothing_left_beside_the_output()
        return code, err

    def test_by_ctrl_c_ends_and_leaves_nothing(self):
        with open(self.output, "wb") as file:
            file.write(b"what was there before")
        before = named_segments()
        for hold in (True, False):
            code, err = self.interrupt(lambda running: os.killpg(running.pid, signal.SIGINT), hold)
            self.assertEqual((130, b"warren-count: interrupted; nothing was written\n"), (code, err))
            self.assertEqual(b"what was there before", self.written())
        self.assertEqual(set(), {name for name in named_segments() - before if "warren-count" in name})

    def test_by_other_signals(self):
        for number, wanted in ((signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            for whole_group in (False, True):
                kill = os.killpg if whole_group else os.kill
                code, _ = self.interrupt(lambda running: kill(running.pid, number))
                self.assertEqual(wanted, code)
        self.assertFalse(os.path.exists(self.output))

    def test_before_there_are_workers(self):
        for _ in range(20):
            with support.Running("/usr/include", "--output", self.output) as running:
                wait_until(lambda: catches_interrupts(running.pid), "it catches SIGINT")
                os.killpg(running.pid, signal.SIGINT)
                self.assertEqual(130, running.finish()[0])

    def test_while_it_writes(self):
        self.write_many(2000)  # more than a pipe holds
        pipe = os.path.join(self.folder, "pipe")
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # and does not read
        try:
            with support.Running(self.tree, "--output", pipe) as running:
                wait_until(lambda: select.select([reader], [], [], 0)[0], "something written")
                running.process.send_signal(signal.SIGINT)
                self.assertEqual(130, running.finish()[0])
        finally:
            os.close(reader)

    def test_one_that_ignores_it_goes_on(self):
        self.write_many(100)
        done = subprocess.run(
            ["sh", "-c", "trap '' INT HUP; \"$0\" \"$1\" & kill -INT $!; kill -HUP $!; wait $!",
             support.program("warren-count"), self.tree],
            capture_output=True, timeout=support.WATCHDOG, check=False,
        )  # fmt: skip
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(b"100 files", done.stdout)


def catches_interrupts(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", file.read(), re.MULTILINE)
    except OSError:
        return False
    return caught and int(caught[1], 16) >> (signal.SIGINT - 1) & 1


class OnATerminal(support.TreeTest):
    """With a pseudo terminal as its controlling one, as in a shell."""

    def setUp(self):
        super().setUp()
        os.environ["TERM"] = "xterm"
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            support.default_signals()
            name = support.program("warren-count")
            os.execv(name, [name, "/usr/include", "--workers", "2", "--output", self.output])
        self.seen = b""
        self.family = []

    def tearDown(self):
        for process in self.family:
            process.signal(signal.SIGKILL)
        os.close(self.terminal)

    def read(self):
        """What came so far."""
        while select.select([self.terminal], [], [], 0)[0]:
            try:
                more = os.read(self.terminal, 65536)
            except OSError:  # how the end of a pseudo terminal shows
                break
            if not more:
                break
            self.seen += more
        return self.seen

    def hold_and_wait_for_the_bar(self):
        workers = wait_until(lambda: len(found := support.workers_of(self.pid)) == 2 and found, "two workers")
        self.family = [support.supervisor_of(self.pid), *workers]
        for worker in workers:
            worker.stop()
        wait_until(lambda: re.search(rb"\r\[[#.]{24}\] +\d+ %  \d+ of \d+ files  \d+ files/s  \d+ MB/s", self.read()), "a bar")
        return workers

    def exit_code(self):
        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return pid and (os.waitstatus_to_exitcode(status),)

        return wait_until(ended, "its end")[0]

    def test_a_bar_shows_the_rate_and_how_long_it_takes(self):
        for worker in self.hold_and_wait_for_the_bar():
            worker.signal(signal.SIGCONT)
        self.assertEqual(0, self.exit_code())
        last_draw, totals = self.read().rsplit(b"\x1b[K", 1)
        self.assertTrue(last_draw.endswith(b"\r"), "the bar is wiped away before the totals")
        self.assertRegex(totals, rb"^\d+ files, \d+ lines, \d+ characters\r\n")
        self.assertEqual(support.expected_counts("/usr/include"), self.written())

    def test_ctrl_c_is_typed(self):
        self.hold_and_wait_for_the_bar()
        start = time.monotonic()
        os.write(self.terminal, b"\x03")
        self.assertEqual(130, self.exit_code())
        self.assertLess(time.monotonic() - start, 10)
        wait_until(lambda: all(process.is_gone() for process in self.family), "all gone")
        self.assertFalse(os.path.exists(self.output))


if __name__ == "__main__":
    support.main()
