#!/usr/bin/env python3
"""warren-count's answer is that of find and wc, whatever lies in the tree; and what it does with its output."""

import json
import os
import re
import signal
import socket
import stat
import subprocess

import support
from support import count


class Answer(support.TreeTest):
    def assert_answer_is_that_of_find_and_wc(self, directory, *options):
        code, out, err = count(directory, "--output", self.output, *options)
        self.assertEqual((0, b""), (code, err))
        self.assertEqual(support.expected_counts(directory), self.written())
        return out

    def test_usr_include(self):
        for workers in ("1", "2", "5"):
            out = self.assert_answer_is_that_of_find_and_wc("/usr/include", "--workers", workers)
            self.assertRegex(out.decode(), rf"with {workers} workers?: \d+ files/s, [\d.]+ MB/s")

    def test_directory_as_find_takes_it(self):
        self.write("a")
        self.write("b/c")
        for directory in (self.tree, self.tree + "/", self.tree + "/./b/.."):
            self.assert_answer_is_that_of_find_and_wc(directory)

    def test_empty_tree(self):
        self.assert_answer_is_that_of_find_and_wc(self.tree)
        self.assertEqual(b"", self.written())

    def test_sorted_by_path_not_by_directory(self):
        for path in ("a/z", "a-b", "a.b", "a/b/c", "a/b-c", "a0", "B", "a/b0"):
            self.write(path)
        self.assert_answer_is_that_of_find_and_wc(self.tree)

    def test_contents(self):
        for i, content in enumerate((b"", b"\n", b"a", b"\n\n\n", b"no end", b"\0\n\xff\n", b"\r\n", b"\n" * 1_000_003)):
            self.write(f"{i}", content)
        for size in (63, 64, 65, 16319, 16320, 16321, 262143, 262144, 262145):  # edges of the counting loop, of a read
            self.write(f"size{size}", (b"x\n" * size)[:size])
            self.write(f"newlines{size}", b"\n" * size)
        self.assert_answer_is_that_of_find_and_wc(self.tree)

    def test_names(self):
        names = [b"-n", b" ", b"a b", b"tab\there", b"colon:1,2", b"back\\slash", b"\xff\xfe", b"\x01\x1b[31m", b"*", b"\xc3\xa4"]
        for name in names + [b"x" * 255, b"d" * 255 + b"/" + b"y" * 255]:
            self.write(name)
        self.assert_answer_is_that_of_find_and_wc(self.tree)

    def test_newlines_in_names(self):
        paths = sorted([self.write(b"a\nb", b"1\n"), self.write(b"a", b"22"), self.write(b"\n/\n", b"")])
        counts = {b"a\nb": b"1,1", b"a": b"0,2", b"\n/\n": b"0,0"}
        records = [path + b":" + counts[path[len(self.tree) + 1 :]] for path in paths]
        self.assertEqual(0, count(self.tree, "--output", self.output)[0])
        self.assertEqual(b"".join(record + b"\n" for record in records), self.written())
        self.assertEqual(0, count(self.tree, "--output", self.output, "--null")[0])
        self.assertEqual(b"".join(record + b"\0" for record in records), self.written())

    def test_links_are_not_followed(self):
        self.write("real/file")
        os.symlink("real", os.path.join(self.tree, "directory"))
        os.symlink("real/file", os.path.join(self.tree, "file"))
        os.symlink("..", os.path.join(self.tree, "real", "loop"))
        os.symlink("self", os.path.join(self.tree, "self"))
        os.symlink("nowhere", os.path.join(self.tree, "dangling"))
        os.link(os.path.join(self.tree, "real/file"), os.path.join(self.tree, "hard"))
        self.assert_answer_is_that_of_find_and_wc(self.tree)
        self.assertEqual(2, self.written().count(b"\n"))

    def test_but_the_directory_itself_may_be_a_link(self):
        self.write("file")
        link = os.path.join(self.folder, "link")
        os.symlink(self.tree, link)
        self.assertEqual(0, count(link, "--output", self.output)[0])
        self.assertEqual(os.fsencode(link) + b"/file:2,6\n", self.written())

    def test_pipes_sockets_devices_are_passed_over(self):
        self.write("file")
        os.mkfifo(os.path.join(self.tree, "pipe"))
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.path.join(self.tree, "socket"))
        if os.geteuid() == 0:
            os.mknod(os.path.join(self.tree, "zero"), stat.S_IFCHR | 0o600, os.makedev(1, 5))
        self.assert_answer_is_that_of_find_and_wc(self.tree)

    def test_files_that_say_they_are_empty_are_read(self):
        directory = "/proc/sys/net/unix"
        if not os.path.isdir(directory):
            self.skipTest(f"no {directory}")
        code, _, _ = count(directory, "--output", self.output)
        self.assertEqual(0, code)
        self.assertEqual(support.expected_counts(directory), self.written())
        self.assertNotIn(b":0,0\n", self.written())

    def test_holes(self):
        size = 1 << 40
        with open(self.write("holes", b"first\n"), "r+b") as file:
            try:
                file.truncate(size)
            except OSError:
                self.skipTest("no such large files here")
            file.seek(size // 2 - 3)
            file.write(b"\n" * 10)
            file.seek(size - 5)
            file.write(b"x\n")
        self.assertEqual((0, b""), count(self.tree, "--output", self.output)[::2])
        self.assertEqual(os.fsencode(self.tree) + b"/holes:12,%d\n" % (size - 12), self.written())

    def test_deep_trees(self):
        for name, depth in (("x" * 200, 100), ("d", 3000)):  # both longer than a path may be for the kernel
            here = os.open(self.tree, os.O_RDONLY)
            for _ in range(depth):
                os.mkdir(name, dir_fd=here)
                there = os.open(name, os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = there
            with open("file", "wb", opener=lambda path, flags, at=here: os.open(path, flags, dir_fd=at)) as file:
                file.write(b"deep\n")
            os.close(here)
        code, _, err = count(self.tree, "--output", self.output)
        self.assertEqual((0, b""), (code, err))
        paths = ["/".join([self.tree, *["d"] * 3000, "file"]), "/".join([self.tree, *["x" * 200] * 100, "file"])]
        self.assertEqual("".join(f"{path}:1,4\n" for path in paths), self.written().decode())

    def test_files_that_come_and_go(self):
        for i in range(300):
            self.write(f"stays/{i}")
        coming_and_going = subprocess.Popen(
            ["bash", "-c", 'cd "$1"; while :; do mkdir -p c/d; for i in {1..50}; do echo x >c/$i; echo x >c/d/$i; done; '
             "rm -rf c; done", "_", self.tree],
            start_new_session=True,
        )  # fmt: skip
        try:
            for _ in range(20):
                code, _, err = count(self.tree, "--output", self.output)
                self.assertEqual(0, code, err)  # what vanished needed no counting
                written = self.written().splitlines()
                self.assertEqual(300, sum(b"/stays/" in line for line in written))
                self.assertTrue(all(re.search(rb":(0,0|1,1|2,6)$", line) for line in written))
                self.assertTrue(all(line.endswith((b": vanished", b"while they were counted")) for line in err.splitlines()), err)
        finally:
            os.killpg(coming_and_going.pid, signal.SIGKILL)
            coming_and_going.wait()


class Unreadable(support.TreeTest):
    def test_is_told_and_the_rest_is_counted(self):
        nobody = support.as_nobody()
        if nobody is None:
            self.skipTest("the programs cannot be run by a user who is not root")
        self.write("a/good")
        os.chmod(self.write("a/secret"), 0)
        self.write("closed/file")
        os.chmod(os.path.join(self.tree, "closed"), 0)
        self.addCleanup(os.chmod, os.path.join(self.tree, "closed"), 0o755)
        os.chmod(self.folder, 0o777)
        done = subprocess.run(
            [*nobody, support.program("warren-count"), self.tree, "--output", self.output],
            capture_output=True, timeout=support.WATCHDOG, check=False,
        )  # fmt: skip
        self.assertEqual(1, done.returncode)
        self.assertEqual("1 files, 2 lines, 6 characters", done.stdout.decode().splitlines()[0])
        self.assertEqual(f"{self.tree}/a/good:2,6\n", self.written().decode())
        self.assertEqual(
            [
                f"warren-count: {self.tree}/a/secret: Permission denied",
                f"warren-count: {self.tree}/closed/: Permission denied",
                "warren-count: 2 files or directories could not be read",
            ],
            done.stderr.decode().splitlines(),
        )


class Output(support.TreeTest):
    def test_json_says_what_the_text_says(self):
        self.write("a")
        self.write("b", b"x")
        code, out, err = count(self.tree, "--json", "--workers", "2")
        self.assertEqual((0, b""), (code, err))
        totals = json.loads(out)
        wanted = {"directory": self.tree, "files": 2, "lines": 2, "characters": 7, "bytes": 9, "workers": 2, "problems": []}
        self.assertEqual(wanted, {key: totals[key] for key in wanted})
        self.assertGreater(totals["seconds"], 0)
        self.assertGreater(totals["files_per_second"], 0)
        code, out, _ = count(self.tree)
        self.assertEqual("2 files, 2 lines, 7 characters", out.decode().splitlines()[0])

    def test_replaces_the_file_behind_a_link_and_keeps_its_mode(self):
        self.write("a")
        with open(self.output, "wb") as file:
            file.write(b"old" * 1000)
        os.chmod(self.output, 0o640)
        link = os.path.join(self.folder, "link")
        os.symlink("counts", link)
        self.assertEqual(0, count(self.tree, "--output", link)[0])
        self.assertTrue(os.path.islink(link))
        self.assertEqual(os.fsencode(self.tree) + b"/a:2,6\n", self.written())
        self.assertEqual(0o640, stat.S_IMODE(os.stat(self.output).st_mode))
        self.nothing_left_beside_the_output()

    def test_into_the_tree_that_is_counted(self):
        self.write("a")
        inside = os.path.join(self.tree, "counts")
        for files in (1, 2):  # not there yet; then counted as it was before
            code, out, _ = count(self.tree, "--output", inside)
            self.assertEqual((0, f"{files} files"), (code, out.decode().split(",")[0]))

    def test_of_another_kind_is_written_as_it_is(self):
        self.write("a")
        code, out, _ = count(self.tree, "--output", "/dev/stdout")
        self.assertEqual((0, f"{self.tree}/a:2,6"), (code, out.decode().splitlines()[0]))
        self.assertEqual(0, count(self.tree, "--output", "/dev/null")[0])
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))

    def test_full(self):
        self.write("a")
        with open("/dev/full", "wb") as full:
            for arguments, options in ((["--output", "/dev/full"], {}), ([], {"stdout": full})):
                with support.Running(self.tree, *arguments, **options) as running:
                    code, _, err = running.finish()
                self.assertEqual(3, code)
                self.assertIn(b"cannot write", err)

    def test_nothing_but_problems_goes_to_stderr_where_that_is_no_terminal(self):
        self.assertEqual(b"", count("/usr/include")[2])


class Usage(support.TreeTest):
    def assert_refused(self, says, *arguments):
        code, out, err = count(*arguments)
        self.assertEqual((2, b""), (code, out))
        self.assertIn(says, err.decode())

    def test_mistakes(self):
        path = os.fsdecode(self.write("file"))
        self.assert_refused("DIR is required")
        self.assert_refused("/nowhere: No such file or directory", "/nowhere")
        self.assert_refused("Not a directory", path)
        for wrong in ("0", "-1", "1025", "two"):
            self.assert_refused("--workers", self.tree, "--workers", wrong)
        self.assert_refused("--retries", self.tree, "--retries", "-1")
        self.assert_refused("--what", self.tree, "--what")
        self.assert_refused("cannot write /nowhere/counts: No such file", self.tree, "--output", "/nowhere/counts")
        self.assert_refused("Is a directory", self.tree, "--output", self.folder)

    def test_help(self):
        code, out, err = count("--help")
        self.assertEqual((0, b""), (code, err))
        for word in (b"--workers", b"--output", b"--json", b"--retries", b"Exit codes"):
            self.assertIn(word, out)


if __name__ == "__main__":
    support.main()
