# SPDX-License-Identifier: MIT
"""Redis: one server, or a primary and a replica that take turns.

    links of the agents ──unix──► primary ◄──TCP── lag ◄──TCP── replica

A failover is what a Sentinel does behind an address that moves: the primary is killed, the replica promoted, the agents' links
lead there, the old primary comes back as a replica. What the lag held back is lost.
"""
import asyncio
import re

from links import Link
from process import Process, ask_socket, free_port, until


class Store:
    def __init__(self, folder, name):
        self.folder, self.socket, self.port = folder / name, folder / (name + ".sock"), free_port()
        self.folder.mkdir()
        self.process = Process(name, [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket), "--save", "",
            "--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0", "--repl-diskless-sync-delay", "0",
            "--dir", str(self.folder), "--logfile", str(folder / (name + ".log"))], folder / (name + ".out"))

    async def ask(self, command, enough=b"\r\n"):
        return await ask_socket(self.socket, command.encode() + b"\r\n", enough)

    async def start(self):
        await self.process.start()
        await until(self._pongs, self.process.name)

    async def _pongs(self):
        return await self.ask("PING") == b"+PONG\r\n"

    async def in_step(self):
        """As a replica: has it all that the primary has sent?"""
        return bool(re.search(rb"master_link_status:up", await self.ask("INFO replication", b"second_repl_offset")))


class Stores:
    def __init__(self, folder, replicated):
        self._all = [Store(folder, "redis%d" % i) for i in range(2 if replicated else 1)]
        self._lag = Link(free_port(), self._all[0].port)
        self.links = []  # of the agents; led to the primary

    @property
    def primary(self):
        return self._all[0]

    @property
    def processes(self):
        return [store.process for store in self._all]

    async def start(self):
        await self._lag.start()
        for store in self._all:
            await store.start()
        await self._follow()

    async def ready(self):
        """The primary answers, and its replica is in step."""
        await until(self.primary._pongs, self.primary.process.name)
        for store in self._all[1:]:
            await until(store.in_step, "its replica")

    async def _follow(self):
        for store in self._all[1:]:
            await store.ask("REPLICAOF 127.0.0.1 %d" % self._lag.listen)
        await self.ready()

    async def failover(self, signum, lag, lasts):
        """lag: seconds of writes that the replica never gets."""
        old, new = self._all
        self._lag.set("hang")
        await asyncio.sleep(lag)
        old.process.send(signum)
        await old.process.wait()
        self._lag.set("cut")
        await new.ask("REPLICAOF NO ONE")
        self._all.reverse()
        for link in self.links:
            link.target = new.socket
        self._lag.target = new.port
        self._lag.set("pass")
        await asyncio.sleep(lasts)
        await old.start()
        await self._follow()

    def close(self):
        self._lag.close()
