#!/usr/bin/env python3
"""warren-count while its processes are killed: workers, the supervisor, the program itself."""

import os
import re
import signal
import subprocess
import sys

import support
from support import wait_until

MANY = 8000  # files: workers are caught before they are through
MOST_KILLS = 2000  # where no worker lives for long, no more of the work gets done than chance allows


class WorkersKilled(support.TreeTest):
    def kill_while_counting(self, pause_ms):
        """How many were killed; the answer has been checked."""
        script = os.path.join(os.path.dirname(__file__), "kill_workers.py")
        with support.Running("/usr/include", "--workers", 2, "--retries", 1_000_000, "--output", self.output) as running:
            workers = running.hold(2)
            killer = subprocess.Popen(
                [sys.executable, script, str(running.pid), str(pause_ms), str(MOST_KILLS)],
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                self.assertEqual("ready\n", killer.stdout.readline())
                for worker in workers:
                    worker.signal(signal.SIGCONT)
                code, _, err = running.finish()
                kills = int(killer.communicate(timeout=support.WATCHDOG)[0])
            finally:
                killer.kill()
                killer.communicate()
            self.assertEqual((0, b""), (code, err))
            self.assertTrue(running.family_is_gone())
        self.assertEqual(self.expected, self.written())
        return kills

    def test_at_random_the_answer_is_the_same(self):
        self.expected = support.expected_counts("/usr/include")
        kills = {pause: 0 for pause in (0.1, 2, 20)}  # hardly ever a worker that gets ready; in the middle of its work
        for pause in kills:
            while kills[pause] < 20:
                kills[pause] += self.kill_while_counting(pause)
        print(", ".join(f"{n} kills {pause} ms apart" for pause, n in kills.items()), end=" ... ", file=sys.stderr)

    def test_a_file_that_takes_its_worker_with_it_too_often_is_told(self):
        self.write_many(MANY)
        with support.Running(self.tree, "--workers", 2, "--retries", 0, "--output", self.output) as running:
            for worker in running.hold(2):
                worker.signal(signal.SIGKILL)
            code, out, err = running.finish()
        counted = int(re.match(rb"(\d+) file", out)[1])
        lost = re.findall(rb"^warren-count: (.*): its worker died in each of 1 attempts \(signal 9\)$", err, re.MULTILINE)
        self.assertEqual(MANY, counted + len(lost))
        self.assertLessEqual(len(lost), 2)  # at most what was under way
        self.assertEqual(1 if lost else 0, code)
        expected = support.expected_counts(self.tree).splitlines()
        self.assertEqual([line for line in expected if line.rpartition(b":")[0] not in lost], self.written().splitlines())

    def test_stopped_ones_are_waited_for(self):
        self.write_many(MANY)
        with support.Running(self.tree, "--workers", 2, "--output", self.output) as running:
            for worker in running.hold(2):
                worker.signal(signal.SIGCONT)
            self.assertEqual(0, running.finish()[0])
        self.assertEqual(support.expected_counts(self.tree), self.written())


class OthersKilled(support.TreeTest):
    def test_of_the_program_itself_nothing_is_left(self):
        for hold in (True, False):
            with support.Running("/usr/include", "--workers", 3, "--output", self.output) as running:
                running.hold(3) if hold else running.wait_for_workers(3)
                running.process.kill()
                running.process.wait()
                self.assertTrue(running.family_is_gone())
            if hold:
                self.assertFalse(os.path.exists(self.output))

    def test_without_its_supervisor_it_says_so_and_ends(self):
        for hold in (True, False):
            with support.Running("/usr/include", "--workers", 3, "--output", self.output) as running:
                running.hold(3) if hold else running.wait_for_workers(3)
                supervisor = running.family[0]
                supervisor.signal(signal.SIGKILL)
                code, _, err = running.finish()
                self.assertTrue(running.family_is_gone())
            if hold:
                self.assertEqual(3, code)
                self.assertIn(b"warren-count: the pool's supervisor was killed", err)
                self.assertFalse(os.path.exists(self.output))
            else:
                self.assertIn(code, (0, 3))  # it may have been done
            self.nothing_left_beside_the_output()

    def test_without_anybody(self):
        with support.Running("/usr/include", "--workers", 2) as running:
            running.hold(2)
            supervisor = running.family[0]
            supervisor.stop()
            running.process.kill()
            running.process.wait()
            supervisor.signal(signal.SIGKILL)
            wait_until(supervisor.is_gone, "the supervisor gone")
            self.assertTrue(running.family_is_gone())


if __name__ == "__main__":
    support.main()
