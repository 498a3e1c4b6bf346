# SPDX-License-Identifier: MIT
"""A fault proxy: one link from an agent to Redis or to a runtime socket, of a replica, or between a cluster's nodes, that can be cut,
hung or slowed.

    agent ──► link (pass | cut | hang | slow) ──► redis, haproxy

cut: connections are closed and new ones too.  hang: bytes stay here until it passes again.  slow: each read is delayed.
"""
import asyncio

SLOW = 0.15
PIECE = 64 << 10


def caller_of(writer):
    """The address of who has connected; empty where it has none."""
    name = writer.get_extra_info("peername")
    return name[0] if isinstance(name, tuple) else ""


class Link:
    """listen, target: each the path of a unix socket, or a port of 127.0.0.1. The target may be set anew. barred: the addresses
    of whom it is cut for, though it passes the others."""

    def __init__(self, listen, target):
        self.listen, self.target = listen, target
        self._mode, self._barred = "pass", frozenset()
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers = {}  # of both ends of each connection, and who has opened it
        self._server = None

    async def start(self):
        if isinstance(self.listen, int):
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.listen)
        else:
            self._server = await asyncio.start_unix_server(self._serve, str(self.listen))

    def set(self, mode):
        self._mode = mode
        self._passing.clear() if mode == "hang" else self._passing.set()
        if mode == "cut":
            for writer in list(self._writers):
                writer.transport.abort()

    def bar(self, addresses):
        """Cut for these, and no others."""
        self._barred = frozenset(addresses)
        for writer, caller in list(self._writers.items()):
            if caller in self._barred:
                writer.transport.abort()

    def close(self):
        self.set("cut")
        if self._server:
            self._server.close()

    async def _connect(self):
        if isinstance(self.target, int):
            return await asyncio.open_connection("127.0.0.1", self.target)
        return await asyncio.open_unix_connection(str(self.target))

    async def _serve(self, reader, writer):
        caller = caller_of(writer)
        self._writers[writer] = caller
        try:
            if self._mode == "cut" or caller in self._barred:
                return
            up_reader, up_writer = await self._connect()
            self._writers[up_writer] = caller
            try:
                both = [asyncio.create_task(self._copy(reader, up_writer)),
                        asyncio.create_task(self._copy(up_reader, writer))]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for task in both:
                    task.cancel()
            finally:
                del self._writers[up_writer]
                up_writer.transport.abort()
        except OSError:
            pass
        finally:
            del self._writers[writer]
            writer.transport.abort()

    async def _copy(self, reader, writer):
        try:
            while data := await reader.read(PIECE):
                if self._mode == "slow":
                    await asyncio.sleep(SLOW)
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
