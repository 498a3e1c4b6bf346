# SPDX-License-Identifier: MIT
"""SPOE agents that nobody should have, played to spop-bench; a behaviour is what one sends for HAPROXY-HELLO and for each NOTIFY.

Frames: doc/SPOE.txt, section 3.2.
"""
import socket
import threading
import time

HELLO = 1
AGENT_HELLO, AGENT_DISCONNECT, ACK = 101, 102, 103
FIN = b"\0\0\0\1"


def _varint(v):
    if v < 240:
        return bytes([v])
    out, v = bytearray([v & 0xff | 0xf0]), (v - 240) >> 4
    while v >= 128:
        out.append(v & 0xff | 0x80)
        v = (v - 128) >> 7
    return bytes(out) + bytes([v])


def _text(s):
    return _varint(len(s)) + s


def _frame(kind, ids, payload):
    body = bytes([kind]) + FIN + ids + payload
    return len(body).to_bytes(4, "big") + body


def _ids(body):
    """The two varints behind type and flags, as they came: those of the answer."""
    at = 5
    for _ in range(2):
        more = body[at] >= 240
        at += 1
        while more:
            more = body[at] >= 128
            at += 1
    return body[5:at]


def _hello(capabilities=b"pipelining"):
    return _frame(AGENT_HELLO, b"\0\0", _text(b"version") + b"\x08" + _text(b"2.0") + _text(b"max-frame-size") + b"\x03" + _varint(16380) +
                  _text(b"capabilities") + b"\x08" + _text(capabilities))


def _ack(ids, verdict=b"go"):
    return _frame(ACK, ids, b"\x01\x03\x02" + _text(b"verdict") + b"\x08" + _text(verdict))


def _late(ids):
    time.sleep(0.01)
    return _ack(ids)


_BUSY = _frame(AGENT_DISCONNECT, b"\0\0", _text(b"status-code") + b"\x03" + _varint(3) + _text(b"message") + b"\x08" + _text(b'busy, say "no"'))
_LONG = b'"' + b"x" * 60

# What it sends for HAPROXY-HELLO, and for a NOTIFY by its ids; None: it closes.
SLOW = (_hello(), _late)
# ..; is the exit status 0?; what spop-bench has seen.
MISBEHAVING = {
    "never says hello": ((b"", None), False, lambda r: r["messages"] == 0 and r["shut"] == 2),
    "closes": ((None, None), False, lambda r: r["lost"] >= 2 and r["lost_by"] == "closed by the agent"),
    "speaks HTTP": ((b"HTTP/1.1 400 Bad Request\r\n\r\n", None), False, lambda r: r["lost"] >= 2 and "no SPOP" in r["lost_by"]),
    "disconnects": ((_BUSY, None), False, lambda r: r["refused"] >= 2 and r["lost_by"] == "AGENT-DISCONNECT" and r["status"] == 3 and r["reason"] == "busy, say ?no?"),
    "never answers": ((_hello(), lambda ids: b""), False, lambda r: r["messages"] == 0 and r["unanswered"] == 8),
    "answers twice": ((_hello(), lambda ids: 2 * _ack(ids)), False, lambda r: r["lost"] >= 2 and r["latency"][-1]["max_ms"] < 10000),
    "does not pipeline": ((_hello(b""), _ack), True, lambda r: r["single"] == 2 and r["messages"] > 0),
    "says odd words": ((_hello(), lambda ids: _ack(ids, _LONG)), True, lambda r: r["values"] == {"?" + "x" * 30: r["transactions"]}),
}


class FakeAgent:
    """Listens at a unix socket while its `with` lasts."""

    def __init__(self, path, behaviour):
        self.address, self._hello, self._answer = "unix@%s" % path, *behaviour
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(64)

    def __enter__(self):
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)  # accept() ends
        self._socket.close()

    def _take(self):
        while True:
            try:
                client = self._socket.accept()[0]
            except OSError:
                return  # it is over
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, client.makefile("rb") as frames:
            try:
                while len(head := frames.read(4)) == 4:
                    body = frames.read(int.from_bytes(head, "big"))
                    answer = self._hello if body[0] == HELLO else self._answer(_ids(body))
                    if answer is None:
                        return
                    client.sendall(answer)
            except OSError:
                pass  # the other side has gone
