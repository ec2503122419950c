#!/usr/bin/env python3
"""ipc-inspect ls beside segments whose bytes are wrong: it says so, or believes them, and never crashes."""

import os
import random
import struct
import sys

import support
from inspect_support import SegmentTest, inspect, listed

OBJECT = 4096 + 65536 * 64  # where layout/segment.h puts the object
SEED = int(os.environ.get("WARREN_TEST_SEED", "0")) or random.randrange(1 << 30)
INTERESTING = [0, 1, 2, 63, 64, 4095, 4096, 65535, 65536, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1]


class Corrupt(SegmentTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.holder = self.hold()

    def originals(self):
        """The bytes of every kind of segment, without the holes."""
        found = {}
        for segment in self.own(self.holder):
            path = os.path.join("/dev/shm", segment["name"])
            if not segment["named"]:
                path = f"/proc/{self.holder.pid}/fd/{segment['name'].split(':')[1]}"
            elif not os.path.exists(path):
                continue
            with open(path, "rb") as file:
                head, lanes = os.pread(file.fileno(), 4096, 0), os.pread(file.fileno(), 4096, 4096)
                contents = os.pread(file.fileno(), 1 << 20, OBJECT)
                if segment["type"] == "pool":  # workers lie behind what is reserved for hints
                    (workers,) = struct.unpack_from("<Q", contents, 8)
                    contents = os.pread(file.fileno(), max(1 << 20, workers + 4096), OBJECT)
                found[segment["type"]] = segment["file_bytes"], head, lanes, contents
        self.assertEqual({"queue", "spsc_queue", "segment", "pool"}, set(found))
        return found

    def put(self, number, size, head, lanes, contents):
        """Without memory for the holes: a pool says that it has 600 GB."""
        name = f"{self.prefix}-{number}"
        with open(os.path.join("/dev/shm", name), "wb") as file:
            file.write(head[:size])
            if size > 4096:
                file.write(lanes[: size - 4096])
            if size > OBJECT:
                file.seek(OBJECT)
                file.write(contents[: size - OBJECT])
            file.truncate(size)
        return name

    def assert_lives(self):
        for arguments in (["ls"], ["ls", "--json"]):
            code, out, err = inspect(*arguments)
            self.assertIn(code, (0, 1), f"seed {SEED}: {err}")
            self.assertNotIn(b"\x1b", out + err)
        return {segment["name"]: segment for segment in listed()}

    def mutated(self, content, count, most):
        content = bytearray(content)
        for _ in range(count):
            width = self.random.choice((1, 4, 8))
            at = self.random.randrange(0, min(most, len(content)) // width) * width
            value = self.random.choice((self.random.choice(INTERESTING), self.random.getrandbits(64)))
            content[at : at + width] = struct.pack("<Q", value)[:width]
        return bytes(content)

    def test_cut_short(self):
        sizes = [0, 1, 7, 8, 100, 511, 512, 4095, 4096, 4097, 8192, OBJECT - 1, OBJECT, OBJECT + 1, OBJECT + 64, OBJECT + 255]
        for _, head, lanes, contents in self.originals().values():
            names = {size: self.put(size, size, head, lanes, contents) for size in sizes}
            told = self.assert_lives()
            for size, name in names.items():
                if size < 8:
                    self.assertNotIn(name, told)  # nothing says that it is a segment
                else:
                    self.assertEqual("corrupt", told[name]["state"], f"{size} bytes")
            self.assertEqual(1, inspect("ls")[0])

    def test_of_another_version(self):
        size, head, lanes, contents = self.originals()["queue"]
        name = self.put(0, size, head[:8] + struct.pack("<I", 77) + head[12:], lanes, contents)
        told = self.assert_lives()[name]
        self.assertEqual(("other-abi", 77), (told["state"], told["abi"]))

    def test_without_contents(self):
        for kind, (size, head, lanes, _) in self.originals().items():
            name = self.put(kind, size, head, lanes, bytes(64))
            self.assertIn(name, self.assert_lives())

    def test_a_worker_that_never_started_has_no_age(self):
        size, head, lanes, contents = self.originals()["pool"]
        running = next(segment for segment in self.own(self.holder) if segment["type"] == "pool")["pool"]["workers"][0]
        self.assertGreaterEqual(running["age_seconds"], 0)
        records = range(0, len(contents), 64)
        at = next(at for at in records if struct.unpack_from("<I", contents, at)[0] == running["pid"] and at > 2048)
        name = self.put(0, size, head, lanes, contents[:at] + bytes(64) + contents[at + 64 :])
        never = self.assert_lives()[name]["pool"]["workers"][0]
        self.assertEqual((0, None, 0), (never["pid"], never["age_seconds"], never["tasks_done"]))
        lines = inspect("ls")[1].decode().splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith(name)) + 3
        self.assertRegex(lines[first], r"^ +0 +- .* -$")

    def test_any_bytes(self):
        files = 0
        for kind, (size, head, lanes, contents) in self.originals().items():
            for trial in range(150):
                where = self.random.choice(("head", "lanes", "contents", "all"))
                count = self.random.choice((1, 3, 20))
                bad = (
                    head[:8] + self.mutated(head[8:], count, 504) if where in ("head", "all") else head,
                    self.mutated(lanes, count, 4096) if where in ("lanes", "all") else lanes,
                    self.mutated(contents, count, 2048) if where in ("contents", "all") else contents,
                )
                self.put(f"{kind}-{trial}", size, *bad)
                files += 1
            self.assert_lives()
            self.remove_names()
        print(f"{files} files, seed {SEED}", end=" ... ", file=sys.stderr)

    def test_pipes_and_links_and_strangers(self):
        os.mkfifo(os.path.join("/dev/shm", f"{self.prefix}-pipe"))
        os.symlink("/etc/passwd", os.path.join("/dev/shm", f"{self.prefix}-link"))
        with open(os.path.join("/dev/shm", f"{self.prefix}-stranger"), "wb") as file:
            file.write(random.randbytes(10_000))
        self.assertFalse({name for name in self.assert_lives() if name.split("-")[-1] in ("pipe", "link", "stranger")})


if __name__ == "__main__":
    support.main()
