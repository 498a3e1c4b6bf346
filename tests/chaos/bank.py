#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The backend of the chaos run: a bank whose ledger is the judge.

    bank.py PORT LEDGER

Each line of LEDGER is one JSON object, in the order in which things happened; `t` is the machine's monotonic clock (seconds).
A line is in the file before the bank goes on, so that a `kill -9` loses none:

    {"e": "begin",  "n", "t", "key", "call", "fence", "execution"}   a whole request has arrived
    {"e": "head",   "n", "t", "status", "streamed"}                 head and half of a body are about to be written
    {"e": "answer", "n", "t", "status", "digest"}                   the end of a whole answer is about to be written
    {"e": "end",    "n", "t", "how"}    written | closed (by us) | peer (the other side closed)

`n` names the execution, `PID-NUMBER`. The request header Bank-Do steers an answer, words separated by blanks:

    status=503   delay=0.4   size=2000   chunked
    close | reset      no byte of an answer       head    half of the headers, then closed
    cut                half of the body, closed   hang    nothing until the other side closes
    stall=2            seconds between the two halves of the body        stream  an event stream, whose body nobody waits for
"""
import asyncio
import hashlib
import json
import os
import re
import socket
import struct
import sys
import time

REQUEST_MAX = 64 << 10


class Ledger:
    """Lines that are in the file when add() returns."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._count = 0

    def next(self):
        self._count += 1
        return "%d-%d" % (os.getpid(), self._count)

    def add(self, event, number, **more):
        line = {"e": event, "n": number, "t": time.monotonic(), **more}
        os.write(self._fd, json.dumps(line).encode() + b"\n")


def body_of(number, size):
    """The body that belongs to an execution, at least `size` bytes. No two executions have the same."""
    text = b'{"execution": "%s"}\n' % number.encode()
    return text + (number.encode() + b".") * max(0, (size - len(text)) // (len(number) + 1))


def head_of(number, status, length, content_type):
    """The bytes of an answer's head; length None: chunked."""
    framing = "Transfer-Encoding: chunked" if length is None else "Content-Length: %d" % length
    return ("HTTP/1.1 %d Bank\r\nBank-Execution: %s\r\nLocation: /payments/%s\r\n"
            "Content-Type: %s\r\n%s\r\n\r\n" % (status, number, number, content_type, framing)).encode()


def chunks_of(body):
    """The body in two chunks and the last one."""
    half = max(1, len(body) // 2)
    parts = [body[:half], body[half:], b""]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts if p or p is parts[2])


class Connection(asyncio.Protocol):
    """One connection of HAProxy: requests one after another, each an execution."""

    def __init__(self, ledger):
        self._ledger = ledger
        self._buffer = b""
        self._transport = None
        self._running = None  # number of the execution that has begun and not ended
        self._timer = None

    def connection_made(self, transport):
        self._transport = transport

    def connection_lost(self, exc):
        self._end("peer")

    def eof_received(self):
        self._end("peer")
        return False

    def data_received(self, data):
        self._buffer += data
        if len(self._buffer) > REQUEST_MAX:
            self._transport.abort()
        elif not self._running:
            self._next()

    def _next(self):
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        fields = dict((name.lower(), value.strip()) for name, _, value in (l.partition(":") for l in lines[1:]))
        length = int(fields.get("content-length", 0))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._begin(fields)

    def _begin(self, fields):
        number = self._running = self._ledger.next()
        self._ledger.add("begin", number, key=fields.get("once-key", ""), call=fields.get("call-id", ""),
                         fence=int(fields.get("once-fence", 0)), execution=fields.get("once-execution", ""))
        words = dict(re.findall(r"([a-z]+)(?:=([0-9.]+))?", fields.get("bank-do", "")))
        self._timer = asyncio.get_running_loop().call_later(float(words.get("delay", 0)), self._act, number, words)

    def _act(self, number, words):
        if "hang" in words:
            return
        if "close" in words or "reset" in words:
            self._close("reset" in words)
            return
        status = int(words.get("status", 201))
        body = body_of(number, int(words.get("size", 0)))
        chunked = "chunked" in words or "stream" in words
        head = head_of(number, status, None if chunked else len(body),
                       "text/event-stream" if "stream" in words else "application/json")
        sent = chunks_of(body) if chunked else body
        half = len(sent) // 2
        if "head" in words:
            self._transport.write(head[:len(head) // 2])
            self._close(False)
        elif "stall" in words or "cut" in words:
            self._ledger.add("head", number, status=status, streamed="stream" in words)
            self._transport.write(head + sent[:half])
            self._timer = asyncio.get_running_loop().call_later(float(words.get("stall", 0)), self._rest, number, status, body,
                                                                sent[half:], words)
        else:
            self._finish(number, status, body, head + sent)

    def _rest(self, number, status, body, rest, words):
        if "cut" in words:
            self._close(False)
        else:
            self._finish(number, status, body, rest)

    def _finish(self, number, status, body, rest):
        self._ledger.add("answer", number, status=status, digest=hashlib.sha256(body).hexdigest()[:16])
        # Ended before the bytes leave: what follows from the answer must not seem to come before its end.
        self._end("written")
        self._transport.write(rest)
        self._next()

    def _close(self, reset):
        self._end("closed")
        if reset:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.close()

    def _end(self, how):
        if self._timer:
            self._timer.cancel()
        if self._running:
            self._ledger.add("end", self._running, how=how)
        self._running = None


async def serve(port, path):
    ledger = Ledger(path)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(ledger), "127.0.0.1", port, reuse_address=True, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
