# SPDX-License-Identifier: MIT
"""A fault proxy: one link from an agent to Redis or to a runtime socket, or of a replica, that can be cut, hung or slowed.

    agent ──► link (pass | cut | hang | slow) ──► redis, haproxy

cut: connections are closed and new ones too.  hang: bytes stay here until it passes again.  slow: each read is delayed.
"""
import asyncio

SLOW = 0.15
PIECE = 64 << 10


class Link:
    """listen, target: each the path of a unix socket, or a port of 127.0.0.1. The target may be set anew."""

    def __init__(self, listen, target):
        self.listen, self.target = listen, target
        self._mode = "pass"
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers = set()
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

    def close(self):
        self.set("cut")
        if self._server:
            self._server.close()

    async def _connect(self):
        if isinstance(self.target, int):
            return await asyncio.open_connection("127.0.0.1", self.target)
        return await asyncio.open_unix_connection(str(self.target))

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            if self._mode == "cut":
                return
            up_reader, up_writer = await self._connect()
            self._writers.add(up_writer)
            try:
                both = [asyncio.create_task(self._copy(reader, up_writer)),
                        asyncio.create_task(self._copy(up_reader, writer))]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for task in both:
                    task.cancel()
            finally:
                self._writers.discard(up_writer)
                up_writer.transport.abort()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
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
