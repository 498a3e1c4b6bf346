#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A payments backend to play with: a real ledger, and every failure a backend can show.

    POST /payments        makes ONE charge, answers 201, Location: /payments/N, {"charge": N, ..}
    GET  /payments/N      that charge, with the length and the digest of its request's body
    GET  /charges         {"charges": how many were made}
    GET  /charges?key=K   the same for those that carried the key K (Once-Key, else the client's own header)
    GET  /charges?prefix=P   of keys that begin so: charges, keys, and which were charged more than once
    GET  /quotes          a price
    GET  /catalog/X       how often this instance was asked for it

Request headers steer it; the charge is made BEFORE the delay and before the fault, as real backends do:
    Demo-Delay: 5s | 250ms      Demo-Status: 500        Demo-Size: 12000 (bytes of body)
    Demo-Chunked: yes           Demo-Fault: close-before-headers | reset-before-headers | cut-headers | cut-body | hang

Usage: payments.py [127.0.0.1:PORT | unix@/PATH [LEDGER]]; port 0 takes a free one. It prints the address when it listens. LEDGER is
a file that several backends of this machine share; without it the charges are in memory.
"""
import fcntl
import hashlib
import json
import os
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

KEY_HEADERS = ("Once-Key", "Idempotency-Key", "X-Idempotency-Key")
FAULTS = ("close-before-headers", "reset-before-headers", "cut-headers", "cut-body", "hang")
DELAY_MAX = 3600.0
SIZE_MAX = 64 << 20
BODY_MAX = 64 << 20


class Ledger:
    """The charges, numbered from 1, in memory; with a file, several backends share them.

    Each adds a line of JSON under the file's lock, after it has read what the others have added: a number is given once."""

    def __init__(self, path=None):
        self._lock = threading.Lock()
        self._charges, self._of_key, self._asked = [], {}, {}
        self._file = open(path, "a+b", buffering=0) if path else None
        self._read = 0

    @contextmanager
    def _locked(self):
        with self._lock:
            if self._file is None:
                yield
                return
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                self._take_over()
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take_over(self):
        """What others have written since."""
        self._file.seek(self._read)
        added = self._file.read()
        self._read += len(added)
        for line in added.splitlines():
            self._add(json.loads(line))

    def _add(self, charge):
        self._charges.append(charge)
        # Tuples of numbers, and dicts of numbers and texts: the collector of garbage leaves them alone, however many there are.
        self._of_key[charge["key"]] = self._of_key.get(charge["key"], ()) + (charge["charge"],)

    def charge(self, key, request):
        with self._locked():
            charge = {"charge": len(self._charges) + 1, "key": key, "bytes": len(request),
                      "sha256": hashlib.sha256(request).hexdigest()}
            if self._file:
                self._read += self._file.write(json.dumps(charge).encode() + b"\n")
            self._add(charge)
            return charge["charge"]

    def get(self, number):
        with self._locked():
            return dict(self._charges[number - 1]) if 0 < number <= len(self._charges) else None

    def count(self):
        with self._locked():
            return len(self._charges)

    def numbers(self, key):
        with self._locked():
            return list(self._of_key.get(key, ()))

    def ask(self, path):
        with self._lock:
            self._asked[path] = self._asked.get(path, 0) + 1
            return self._asked[path]

    def by_prefix(self, prefix):
        """How often each key that begins so was charged."""
        with self._locked():
            return {key: len(numbers) for key, numbers in self._of_key.items() if (key or "").startswith(prefix)}


class BadRequest(Exception):
    """A header or body that the demo cannot use; answered with 400."""


def seconds(text):
    """`5s`, `250ms` or `5` in seconds."""
    unit = 1.0
    if text.endswith("ms"):
        text, unit = text[:-2], 0.001
    elif text.endswith("s"):
        text = text[:-1]
    try:
        value = float(text) * unit
    except ValueError:
        raise BadRequest("Demo-Delay: a time such as 5s or 250ms") from None
    if not 0 <= value <= DELAY_MAX:
        raise BadRequest("Demo-Delay: 0 to %ds" % DELAY_MAX)
    return value


def number(name, text, low, high):
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise BadRequest("%s: a number from %d to %d" % (name, low, high))
    return int(text)


class Payments(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one write
    server_version = "payments-demo"
    sys_version = ""
    ledger = Ledger()

    # what is asked

    def do_GET(self):
        url = urlsplit(self.path)
        self.read_body()
        if url.path == "/charges":
            self.answer(200, self.charges(parse_qs(url.query)))
        elif url.path.startswith("/catalog/"):
            self.answer(200, {"item": url.path[9:], "asked": self.ledger.ask(url.path)})
        elif url.path == "/quotes":
            self.answer(200, {"price": "42.00", "currency": "EUR"})
        elif url.path.startswith("/payments/") and url.path[10:].isdigit():
            charge = self.ledger.get(int(url.path[10:]))
            self.answer(200, charge) if charge else self.answer(404, {"error": "no such charge"})
        else:
            self.answer(404, {"error": "not here"})

    do_HEAD = do_GET

    def charges(self, query):
        if "key" in query:
            numbers = self.ledger.numbers(query["key"][0])
            return {"charges": len(numbers), "numbers": numbers[-100:]}
        if "prefix" in query:
            charged = self.ledger.by_prefix(query["prefix"][0])
            return {"charges": sum(charged.values()), "keys": len(charged),
                    "twice": [key for key, times in charged.items() if times > 1][:100]}
        return {"charges": self.ledger.count()}

    def do_POST(self):
        if urlsplit(self.path).path != "/payments":
            self.read_body()
            self.answer(404, {"error": "not here"})
            return
        try:
            request = self.read_body()
            delay = seconds(self.headers.get("Demo-Delay", "0"))
            status = number("Demo-Status", self.headers.get("Demo-Status", "201"), 200, 599)
            size = number("Demo-Size", self.headers.get("Demo-Size", "0"), 0, SIZE_MAX)
            fault = self.headers.get("Demo-Fault")
            if fault is not None and fault not in FAULTS:
                raise BadRequest("Demo-Fault: one of " + ", ".join(FAULTS))
        except BadRequest as mistake:
            self.close_connection = True
            self.answer(400, {"error": str(mistake)})
            return
        key = next((self.headers[h] for h in KEY_HEADERS if h in self.headers), None)
        charge = self.ledger.charge(key, request)
        time.sleep(delay)
        self.finish_payment(charge, status, size, fault)

    do_PATCH = do_POST

    def finish_payment(self, charge, status, size, fault):
        body = json.dumps({"charge": charge, "status": "charged"}).encode() + b"\n"
        body += b"x" * (size - len(body))
        if fault == "hang":
            self.server.stopping.wait()
        if fault in ("hang", "close-before-headers"):
            self.drop(reset=False)
        elif fault == "reset-before-headers":
            self.drop(reset=True)
        elif fault == "cut-headers":
            self.wfile.write(b"HTTP/1.1 %d Cut\r\nLocation: /paym" % status)
            self.drop(reset=False)
        else:
            chunked = self.headers.get("Demo-Chunked", "no").lower() == "yes"
            self.send_payment(charge, status, body, chunked, cut=fault == "cut-body")

    # how it is answered

    def send_payment(self, charge, status, body, chunked, cut):
        """The answer, whole, or cut in the middle of its body."""
        if status in (204, 304):
            body, chunked = b"", False
        self.send_response(status)
        self.send_header("Location", "/payments/%d" % charge)
        self.send_header("Content-Type", "application/json")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        middle = len(body) // 2
        for part in (body[:middle], b"" if cut else body[middle:]):
            if part:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
        if cut:
            self.drop(reset=False)
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")

    def answer(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drop(self, reset):
        """Ends the connection now: FIN, or RST where the transport has one."""
        self.close_connection = True
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    # what arrives

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(iter(self.read_chunk, b""))
        return self.rfile.read(number("Content-Length", self.headers.get("Content-Length", "0"), 0, BODY_MAX))

    def read_chunk(self):
        try:
            size = int(self.rfile.readline(64).split(b";")[0], 16)
        except ValueError:
            raise BadRequest("a broken chunk") from None
        if not 0 <= size <= BODY_MAX:
            raise BadRequest("a chunk that is too large")
        data = self.rfile.read(size)
        self.rfile.readline(64)
        return data

    def handle_expect_100(self):
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, BadRequest, ValueError, OSError):
            self.close_connection = True

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            pass

    def address_string(self):
        return self.client_address[0] if self.client_address else "unix"

    def log_message(self, format, *args):
        print("%s %s" % (time.strftime("%H:%M:%S"), format % args), file=sys.stderr, flush=True)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024
    handler = Payments

    def __init__(self, address):
        self.stopping = threading.Event()
        self.path = None
        if address.startswith("unix@"):
            self.path = address[5:]
            self.address_family = socket.AF_UNIX
            if os.path.exists(self.path):
                os.unlink(self.path)
            super().__init__(self.path, self.handler)
        else:
            host, _, port = address.rpartition(":")
            super().__init__((host, int(port)), self.handler)

    def get_request(self):
        connection, peer = super().get_request()
        if self.path is None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, peer

    def name(self):
        return "unix@" + self.path if self.path else "%s:%d" % self.server_address[:2]


def main():
    sys.setswitchinterval(0.0005)  # who holds the ledger's lock does not wait long for its turn
    try:
        Payments.ledger = Ledger(sys.argv[2] if len(sys.argv) > 2 else None)
        server = Server(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8081")
    except (OSError, ValueError) as reason:
        sys.exit("payments.py: cannot serve %s: %s" % (" ".join(sys.argv[1:]) or "127.0.0.1:8081", reason))

    def stop(*_):
        server.stopping.set()
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(server.name(), flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)
    if server.path:
        os.unlink(server.path)


if __name__ == "__main__":
    main()
