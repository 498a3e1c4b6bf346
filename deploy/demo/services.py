#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The services behind the reference gateway, to play with: each says what it was asked, and fails when it is told to.

    any method and path   {"service", "instance", "method", "path", "headers", "body"}: the request as it arrived
    GET  /health          200, or what the last PUT /demo/health said
    GET  /demo/seen       {"requests": how many came, without /health and /demo}
    POST /verify          (service auth) {"token": ..} -> {"user", "role", "tier", "exp"}: opaque-USER-ROLE[-TIER[-SECONDS]] is good,
                          a JWT that a key in GW_KEYS has signed by its claims `sub` and `role`; 401 for all else, and for the user `revoked`
    Upgrade: websocket    101, then every byte comes back

Request headers steer it: Demo-Delay, Demo-Status, Demo-Size, Demo-Chunked, Demo-Fault as in payments.py, Demo-Location and Demo-Vary:
what to say in Location and Vary, and Demo-At: NAME_N, the instance that they are meant for.

Usage: services.py NAME_N=ADDRESS ..; port 0 takes a free one. It prints NAME_N=ADDRESS for each when all listen.
"""
import base64
import hashlib
import json
import os
import signal
import sys
import threading
import time

import tokens
from payments import FAULTS, SIZE_MAX, BadRequest, Payments, Server, number, seconds

# What a service may say, and a gateway should not pass on.
NOT_FOR_CLIENTS = {"X-Powered-By": "services-demo", "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "false",
                   "Access-Control-Allow-Methods": "PURGE", "Access-Control-Allow-Headers": "X-Anything", "Access-Control-Expose-Headers": "X-Inner",
                   "Access-Control-Max-Age": "86400", "Access-Control-Allow-Private-Network": "true"}
VERIFY_ROLES = ("viewer", "operator", "admin")
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" # RFC 6455, 1.3


def user_of(token):
    """What the auth service knows of a token; None: nothing."""
    if token.count(".") == 2:
        claims = tokens.claims(token, os.environ.get("GW_KEYS", "")) or {}
        words = ["opaque", claims.get("sub", ""), claims.get("role", "")]
    else:
        words = token.split("-")
    if not 3 <= len(words) <= 5 or words[0] != "opaque" or words[1] in ("", "revoked") or words[2] not in VERIFY_ROLES:
        return None
    user = {"user": words[1], "role": words[2], "tier": words[3] if len(words) > 3 else "standard"}
    if len(words) == 5:
        user["exp"] = int(time.time()) + int(words[4])
    return user


class Service(Payments):
    server_version = "services-demo"

    def handle_method(self):
        body = self.read_body()
        if self.path == "/health":
            return self.answer(self.server.health, {"health": self.server.health})
        if self.path == "/demo/health" and self.command == "PUT":
            self.server.health = number("health", body.decode("latin-1"), 200, 599)
            return self.answer(200, {"health": self.server.health})
        if self.path == "/demo/seen":
            return self.answer(200, {"requests": self.server.seen, "largest": self.server.most_at_once})
        with self.server.lock:
            self.server.seen += 1
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            self.serve(body)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_method

    def told(self, name, default):
        """A Demo-* header, if it is meant for this instance."""
        return self.headers.get(name, default) if self.headers.get("Demo-At", self.server.instance) == self.server.instance else default

    def serve(self, body):
        try:
            time.sleep(seconds(self.told("Demo-Delay", "0")))
            status = number("Demo-Status", self.told("Demo-Status", "200"), 200, 599)
            size = number("Demo-Size", self.told("Demo-Size", "0"), 0, SIZE_MAX)
            fault = self.told("Demo-Fault", None)
            if fault is not None and fault not in FAULTS:
                raise BadRequest("Demo-Fault: one of " + ", ".join(FAULTS))
        except BadRequest as mistake:
            return self.answer(400, {"error": str(mistake)})
        if self.server.instance.startswith("auth_") and self.path == "/verify":
            return self.verify(body, status)
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.echo()
        if fault:
            return self.finish_payment(0, status, size, fault)
        self.tell(body, status, size)

    def tell(self, body, status, size):
        fields = {}
        for name, value in self.headers.items():
            fields.setdefault(name.lower(), []).append(value)
        name, _, _ = self.server.instance.rpartition("_")
        what = json.dumps({"service": name, "instance": self.server.instance, "method": self.command, "path": self.path,
                           "headers": fields, "body": body.decode("latin-1")}).encode() + b"\n"
        what += b" " * (size - len(what))
        self.send_response(status)
        for name in ("Location", "Vary"):
            if "Demo-" + name in self.headers:
                self.send_header(name, self.headers["Demo-" + name])
        for name, value in NOT_FOR_CLIENTS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(what)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(what)

    def verify(self, body, status):
        if self.server.health != 200:
            return self.answer(self.server.health, {"error": "not now"})
        time.sleep(self.server.slowness)
        try:
            user = user_of(str(json.loads(body)["token"]))
        except (ValueError, KeyError, TypeError):
            user = None
        self.answer(status if user else 401, user or {"error": "unknown token"})

    def echo(self):
        accept = base64.b64encode(hashlib.sha1((self.headers.get("Sec-WebSocket-Key", "") + WEBSOCKET_GUID).encode()).digest())
        self.connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept)
        while data := self.connection.recv(65536):
            self.connection.sendall(data)
        self.close_connection = True


class Instance(Server):
    """One listener; what it counts is its own."""
    handler = Service

    def __init__(self, instance, address):
        self.instance, self.health, self.slowness = instance, 200, 0.05
        self.lock, self.seen, self.at_once, self.most_at_once = threading.Lock(), 0, 0, 0
        super().__init__(address)


def main():
    try:
        servers = [Instance(*argument.split("=", 1)) for argument in sys.argv[1:]]
    except (OSError, ValueError, TypeError) as reason:
        sys.exit("services.py: cannot listen: %s; usage: services.py NAME_N=ADDRESS .." % reason)
    for sign in (signal.SIGTERM, signal.SIGINT):
        # Threads may still be answering; nobody waits for them, and the kernel not even for Python. (A container's first process it spares.)
        signal.signal(sign, signal.SIG_DFL if os.getpid() != 1 else lambda *_: os._exit(0))
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True).start()
        print("%s=%s" % (server.instance, server.name()), flush=True)
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
