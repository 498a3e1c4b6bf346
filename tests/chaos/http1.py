# SPDX-License-Identifier: MIT
"""A small HTTP/1.1 client over one kept connection: enough to tell a whole answer from a broken one.

`ask` returns (status, headers, body) of a whole answer and raises Broken otherwise. The connection is then closed and made
anew at the next call.
"""
import asyncio

HEAD_MAX = 64 << 10


class Broken(Exception):
    """No whole answer came."""


class Client:
    def __init__(self, port):
        self._port = port
        self._reader = self._writer = None

    async def ask(self, head, body, timeout):
        """One request. Raises Broken when the answer is not whole, or is not there within the timeout."""
        whole = False
        try:
            async with asyncio.timeout(timeout):
                if not self._writer:
                    self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=HEAD_MAX)
                self._writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
                status, headers = await self._head()
                answer = await self._body(headers)
                whole = True
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError) as e:
            raise Broken(type(e).__name__) from e
        finally:
            if not whole:
                self.close()
        if headers.get("connection", "") == "close":
            self.close()
        return status, headers, answer

    def close(self):
        """Closed at once: what is on its way is not waited for."""
        if self._writer:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _head(self):
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = ((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:]))
        return int(lines[0].split(" ")[1]), dict(fields)

    async def _body(self, headers):
        if headers.get("transfer-encoding", "") == "chunked":
            return await self._chunks()
        if "content-length" not in headers:
            return await self._reader.read()
        return await self._reader.readexactly(int(headers["content-length"]))

    async def _chunks(self):
        body = b""
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
            chunk = await self._reader.readexactly(size + 2)
            if size == 0:
                return body
            body += chunk[:-2]
