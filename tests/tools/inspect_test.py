#!/usr/bin/env python3
"""ipc-inspect ls: what it says of live and of dead programs, without disturbing them."""

import json
import os
import re
import signal
import unittest

import support
from inspect_support import SegmentTest, inspect, listed


class BesideWarrenCount(support.TreeTest):
    """Its workers are stopped, so it is in the middle of its work."""

    def setUp(self):
        super().setUp()
        self.running = support.Running("/usr", "--workers", 2, "--output", self.output)
        self.addCleanup(self.running.__exit__)
        self.workers = self.running.hold(2)

    def pool(self, segments):
        mine = [segment for segment in segments if self.running.pid in segment["holders"]]
        self.assertEqual(1, len(mine))
        return mine[0]

    def test_json(self):
        segment = self.pool(listed())
        wanted = {"type": "pool", "named": False, "state": "live", "trouble": "", "abi": 1, "creator_pid": self.running.pid}
        self.assertEqual(wanted, {key: segment[key] for key in wanted})
        self.assertEqual(os.geteuid(), segment["owner_uid"])
        self.assertLess(segment["age_seconds"], 300)
        family = {self.running.pid, *(process.pid for process in self.running.family)}
        self.assertEqual(family, set(segment["holders"]))
        pool = segment["pool"]
        self.assertEqual(("warren-count", "open"), (pool["name"], pool["phase"]))
        self.assertEqual({"pid": self.running.pid, "dead": False}, pool["application"])
        self.assertEqual({"pid": self.running.family[0].pid, "dead": False}, pool["supervisor"])
        self.assertEqual([worker.pid for worker in self.workers], [worker["pid"] for worker in pool["workers"]])
        for worker in pool["workers"]:
            self.assertIn(worker["state"], ("starting", "idle", "busy"))
            self.assertEqual(0, worker["restarts"])
        tasks = pool["tasks"]
        self.assertEqual(segment["used"], tasks["pending"] + tasks["running"] + tasks["ended"])
        self.assertEqual(4096, segment["capacity"])

    def test_text(self):
        code, out, _ = inspect("ls")
        self.assertIn(code, (0, 1))
        lines = out.decode().splitlines()
        self.assertEqual("NAME TYPE ELEMENT SIZE USED PEERS STATE ABI OWNER AGE", " ".join(lines[0].split()))
        at = next(i for i, line in enumerate(lines) if line.startswith(f"@{self.running.pid}:"))
        name, kind, *_ = lines[at].split()
        self.assertEqual("pool", kind)
        self.assertRegex(name, r"^@\d+:\d+$")
        self.assertRegex(lines[at], r" \d+/4096 +[123]/0 +live +1 +\S+:\d+ +\d+s$")
        self.assertIn(f'pool "warren-count" open: application {self.running.pid}, ', lines[at + 1])
        self.assertEqual("WORKER PID STATE TASK ATTEMPT DONE RESTARTS AGE", " ".join(lines[at + 2].split()))
        for i, worker in enumerate(self.workers):
            self.assertEqual([str(i), str(worker.pid)], lines[at + 3 + i].split()[:2])

    def test_without_headers(self):
        out = inspect("ls", "--no-headers")[1]
        self.assertNotIn(b"NAME", out)
        self.assertNotIn(b"WORKER", out)
        self.assertIn(b"@%d:" % self.running.pid, out)

    def test_it_takes_no_memory_and_changes_nothing(self):
        segment = self.pool(listed())
        descriptor = segment["name"].split(":")[1]
        path = f"/proc/{self.running.pid}/fd/{descriptor}"
        with open(path, "rb") as file:
            before = os.fstat(file.fileno()).st_blocks, file.read(4096), os.pread(file.fileno(), 4096, 65536 * 64 + 4096)
            for _ in range(5):
                inspect("ls")
            after = os.fstat(file.fileno()).st_blocks, os.pread(file.fileno(), 4096, 0), os.pread(file.fileno(), 4096, 65536 * 64 + 4096)
        self.assertEqual(before, after)

    def test_a_worker_that_is_dead_and_not_yet_replaced(self):
        self.running.family[0].stop()  # the supervisor, who would replace it
        victim = self.workers[0]
        victim.signal(signal.SIGKILL)
        support.wait_until(victim.is_gone, "it is dead")
        workers = self.pool(listed())["pool"]["workers"]
        self.assertIn(workers[0]["state"], ("dead", "starting"))  # the latter, where it was killed so early
        self.assertNotEqual("dead", workers[1]["state"])

    def test_after_a_kill_nothing_is_listed(self):
        self.running.process.kill()
        self.running.process.wait()
        self.running.family_is_gone()
        self.assertEqual([], [segment for segment in listed() if self.running.pid in segment["holders"]])

    def test_goes_on_as_if_nobody_had_looked(self):
        inspect("ls")
        for worker in self.workers:
            worker.signal(signal.SIGCONT)
        inspect("ls")
        os.kill(self.running.pid, signal.SIGINT)
        self.assertEqual(130, self.running.finish()[0])


class EveryKind(SegmentTest):
    def test_live(self):
        holder = self.hold()
        segments = self.own(holder)
        queue = self.named(segments, "queue")
        wanted = {"type": "queue", "element": "long", "element_bytes": 8, "used": 3, "capacity": 10, "state": "live"}
        self.assertEqual(wanted, {key: queue[key] for key in wanted})
        self.assertEqual({"live": 1, "dead": 0}, queue["peers"])
        spsc = self.named(segments, "spsc")
        wanted = {"type": "spsc_queue", "element": "int", "used": 2, "capacity": 8, "state": "live"}
        self.assertEqual(wanted, {key: spsc[key] for key in wanted})
        raw = self.named(segments, "raw")
        self.assertEqual(("segment", 10_000, None, "live"), tuple(raw[key] for key in ("type", "bytes", "used", "state")))
        self.assertEqual("unlinked", self.named(segments, "unlinked")["state"])
        anonymous = [segment for segment in segments if not segment["named"] and segment["element"] == "double"]
        self.assertEqual(1, len(anonymous))
        self.assertEqual((holder.pid, "live"), (anonymous[0]["creator_pid"], anonymous[0]["state"]))

    def test_what_it_prints_is_harmless_to_a_terminal(self):
        holder = self.hold()
        out = inspect("ls")[1]
        self.assertIn(rb'pool "evil \x1b[31m\n\xff name" open: application %d,' % holder.pid, out)
        self.assertNotIn(b"\x1b", out)

    def test_left_behind(self):
        holder = self.hold()
        holder.kill()
        segments = self.own(holder)
        states = {segment["name"].removeprefix(self.prefix): segment["state"] for segment in segments}
        self.assertEqual({"-queue": "stale", "-spsc": "stale", "-raw": "stale", "-kept": "kept"}, states)
        self.assertEqual({"live": 0, "dead": 1}, self.named(segments, "queue")["peers"])
        self.assertEqual(3, self.named(segments, "queue")["used"])
        self.assertRegex(inspect("ls")[1].decode(), rf"{re.escape(self.prefix)}-queue +queue +long .* 3/10 +0/1 +stale ")

    def test_a_reader_without_a_lane_keeps_a_name_from_being_stale(self):
        self.hold().kill()
        reader = self.hold("read")
        segments = self.own(reader)
        self.assertEqual("idle", self.named(segments, "kept")["state"])
        reader.kill()
        self.assertEqual("kept", self.named(self.own(reader), "kept")["state"])

    def test_what_ended_in_order_left_nothing_to_list(self):
        holder = self.hold()
        holder.end()
        self.assertEqual(["kept"], [segment["state"] for segment in self.own(holder)])


class Usage(unittest.TestCase):
    def test_mistakes(self):
        for arguments in ([], ["what"], ["ls", "--what"], ["ls", "more"]):
            code, out, err = inspect(*arguments)
            self.assertEqual((2, b""), (code, out), arguments)
            self.assertNotEqual(b"", err)

    def test_an_unknown_subcommand_is_named_and_so_are_the_known(self):
        for arguments in (["what"], ["what", "--help"], ["lss"]):
            code, out, err = inspect(*arguments)
            self.assertEqual((2, b""), (code, out))
            self.assertIn(b"'%s'" % arguments[0].encode(), err)
            self.assertIn(b"there is: ls\n", err)

    def test_help_tells_the_columns(self):
        out = inspect("ls", "--help")[1].decode()
        for word in ("USED", "PEERS", "STATE", "OWNER", "@PID:FD", "stale", "unlinked", "--no-headers "):
            self.assertIn(word, out)
        self.assertNotIn("{", out)

    def test_help(self):
        for arguments in (["--help"], ["ls", "--help"]):
            code, out, err = inspect(*arguments)
            self.assertEqual((0, b""), (code, err))
            self.assertIn(b"ls", out)

    def test_as_nobody(self):
        nobody = support.as_nobody()
        if nobody is None:
            self.skipTest("the programs cannot be run by a user who is not root")
        code, out, _ = inspect("ls", "--json", prefix=nobody)
        self.assertIn(code, (0, 1))
        if os.geteuid() == 0:
            self.assertGreater(json.loads(out)["not_permitted"]["processes"], 0)


if __name__ == "__main__":
    support.main()
