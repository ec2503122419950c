"""examples/preforked_server.cc under 500 clients at once: a worker killed, all killed, reload, drain.

Every client sends lines as long as the load lasts, and wants each answered. A connection that breaks without an answer
is counted with the worker that it had; the line is sent again over a new one.
"""

import asyncio
import collections
import contextlib
import os
import random
import signal
import subprocess
import unittest

from support import WATCHDOG, main, program, wait_until

CLIENTS = 500
LINES_OF_A_CONNECTION = 20


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return [int(child) for child in children.read().split()]


class Load:
    """The clients, and what happened to them."""

    def __init__(self, port):
        self.port = port
        self.stopped = False
        self.answered = 0
        self.served = collections.Counter()  # lines by worker
        self.refused = 0
        self.broken = []  # the worker of each connection that ended without an answer; None: it had answered nothing yet
        self.wrong = []
        self.begun = set()  # clients that have an answer

    async def client(self, number, goes_on):
        line = 0
        while not self.stopped:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionRefusedError:
                self.refused += 1
                await asyncio.sleep(0.01)
                continue
            except OSError:
                self.broken.append(None)
                continue
            try:
                line = await self.converse(reader, writer, number, line, goes_on)
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            if not goes_on:
                return

    async def converse(self, reader, writer, number, line, goes_on):
        """Over one connection; gives the line that is next."""
        worker = None
        for _ in range(random.randint(1, LINES_OF_A_CONNECTION) if goes_on else 10**9):
            text = f"{number} {line}\n"
            answer = b""
            with contextlib.suppress(ConnectionError):
                writer.write(text.encode())
                await writer.drain()
                answer = await reader.readline()
            if not answer.endswith(b"\n"):
                self.broken.append(worker)
                break
            verb, pid, rest = answer.decode().split(" ", 2)
            worker = int(pid)
            if rest != text:
                self.wrong.append(answer)
            line += 1
            self.answered += 1
            self.served[worker] += 1
            self.begun.add(number)
            if verb == "close" or self.stopped:
                break
        return line

    async def run(self, what, goes_on=True):
        """All clients, while what(self) goes on; and then until each has its answers."""
        clients = [asyncio.create_task(self.client(number, goes_on)) for number in range(CLIENTS)]
        await self.until(lambda: len(self.begun) == CLIENTS)
        await what(self)
        self.stopped = goes_on
        await asyncio.wait_for(asyncio.gather(*clients), WATCHDOG)

    async def until(self, condition):
        for _ in range(WATCHDOG * 200):
            if condition():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("the load stands still")

    async def another(self, answers):
        goal = self.answered + answers
        await self.until(lambda: self.answered >= goal)


class PreforkedServer(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.server = subprocess.Popen([program("example_preforked_server"), "0", "4"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.server.stdout.close)
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.kill)
        self.port = int(self.server.stdout.readline().rpartition(":")[2])
        self.supervisor = wait_until(lambda: children_of(self.server.pid), "a supervisor")[0]
        wait_until(lambda: len(self.workers()) == 4, "four workers")

    def workers(self):
        return children_of(self.supervisor)

    def under_load(self, what, goes_on=True):
        load = Load(self.port)
        asyncio.run(load.run(what, goes_on))
        self.assertEqual(load.wrong, [])
        self.assertEqual(load.refused, 0)
        return load

    def end(self):
        processes = [self.supervisor, *self.workers()]
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(WATCHDOG), 0)
        self.assertEqual([pid for pid in processes if os.path.exists(f"/proc/{pid}")], [])

    def test_a_killed_worker_breaks_only_its_own_connections(self):
        victims = []

        async def kill(load):
            for _ in range(3):
                victims.append(random.choice(self.workers()))
                os.kill(victims[-1], signal.SIGKILL)
                await load.another(2000)

        load = self.under_load(kill)
        self.assertLessEqual(set(load.broken), {*victims, None})
        wait_until(lambda: len(self.workers()) == 4, "four workers")
        self.assertGreater(len(load.served), 4, "no new worker has served")
        self.end()

    def test_all_workers_killed_at_once(self):
        async def kill_all(load):
            for worker in self.workers():
                os.kill(worker, signal.SIGKILL)
            await load.another(2000)

        self.under_load(kill_all)
        self.end()

    def test_reload_fails_no_request(self):
        seen = set(self.workers())

        async def reload(load):
            for _ in range(3):
                before = set(self.workers())
                self.server.send_signal(signal.SIGHUP)
                await load.until(lambda old=before: len(self.workers()) == 4 and old.isdisjoint(self.workers()))
                seen.update(self.workers())
                await load.another(2000)

        load = self.under_load(reload)
        self.assertEqual(load.broken, [])
        self.assertEqual(len(seen), 16)
        self.assertLessEqual(set(load.served), seen)
        self.end()

    def test_sigterm_answers_who_is_there(self):
        async def terminate(_):
            self.server.send_signal(signal.SIGTERM)

        load = self.under_load(terminate, goes_on=False)
        self.assertEqual(load.broken, [])
        self.assertEqual(self.server.wait(WATCHDOG), 0)
        self.assertFalse(os.path.exists(f"/proc/{self.supervisor}"))

    def test_silent_clients_do_not_hold_up_the_end(self):
        async def connect():
            return await asyncio.open_connection("127.0.0.1", self.port)

        async def run():
            connections = [await connect() for _ in range(10)]
            for reader, writer in connections[:5]:  # those that have said something, and now are silent
                writer.write(b"x\n")
                self.assertTrue((await reader.readline()).startswith(b"keep "))
            self.server.send_signal(signal.SIGTERM)
            for reader, writer in connections[:5]:
                with contextlib.suppress(ConnectionError):
                    self.assertEqual(await asyncio.wait_for(reader.read(), WATCHDOG), b"")
            for _, writer in connections:
                writer.close()

        asyncio.run(run())
        self.assertEqual(self.server.wait(WATCHDOG), 0)


if __name__ == "__main__":
    main()
