# SPDX-License-Identifier: MIT
"""Asks the reference gateway of lib/gateway that runs in the current directory. For the tests' own `python3 -`.

    a = ask("GET", "/api/v1/orders", 200, user="viewer")     an HTTP request; a status that is not the wanted one ends the test
    a.status  a.head (names in small letters)  a.body  a.json  a.seen: the headers that the service has seen, {name: [values]}
    jwt(role="viewer", ..)                                   a signed token; alg=, kid=, key=, more= in its header, any claim (None: without it)
    expect(what, got, wanted)                                ends the test unless they are equal
"""
import hashlib
import http.client
import importlib.machinery
import importlib.util
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import traceback

PORT, TLS_PORT = (int(p) for p in open("ports", encoding="utf-8").read().split())
INSTANCES = dict(line.split("=") for line in open("instances", encoding="utf-8").read().split("\nready\n")[0].splitlines())
# Signs as tools/gateway-token does, which is a program and has no `.py`.
SIGNER = importlib.machinery.SourceFileLoader("gateway_token", os.path.join(os.path.dirname(__file__), "../../../tools/gateway-token"))
token_maker = importlib.util.module_from_spec(importlib.util.spec_from_loader("gateway_token", SIGNER))
SIGNER.exec_module(token_maker)
b64 = token_maker.b64


def fail(text):
    """Ends the test, also from a thread (sys.exit would end that alone)."""
    print(text, flush=True)
    os._exit(1)


threading.excepthook = lambda args: fail("a thread: " + "".join(traceback.format_exception(*args[:3])))


def expect(what, got, wanted):
    if got != wanted:
        fail("%s: wanted %r, got %r" % (what, wanted, got))


def jwt(alg="HS256", kid="", key=None, more=None, **claims):
    return token_maker.jwt("keys", alg, kid, key, more, **{"sub": "alice", "role": "viewer", "exp": int(time.time()) + 600, **claims})


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.head = {}
        for name, value in response.getheaders():
            self.head[name.lower()] = self.head[name.lower()] + ", " + value if name.lower() in self.head else value
        self.json = json.loads(self.body) if self.head.get("content-type", "").endswith("json") and self.body else None
        self.seen = (self.json or {}).get("headers", {}) if isinstance(self.json, dict) else {}


def ask(method, path, wanted=None, user=None, token=None, api_key=None, headers=None, body=None, address="192.0.2.1", port=PORT, tls=False, patience=20):
    """user: a role, for a JWT of that role. body: an object is sent as JSON. address: whom the trusted proxy names as the client.
    patience: seconds."""
    fields = [("X-Forwarded-For", address)] if address else []
    if user:
        token = jwt(role=user, sub=user + "-1")
    if token:
        fields.append(("Authorization", "Bearer " + token))
    if api_key:
        fields.append(("X-API-Key", api_key))
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        fields.append(("Content-Type", "application/json"))
    fields += headers.items() if isinstance(headers, dict) else headers or []
    if tls:
        context = ssl.create_default_context(cafile="keys/tls.crt")
        c = http.client.HTTPSConnection("localhost", TLS_PORT, timeout=patience, context=context)
    else:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    names = [n.lower() for n, _ in fields]
    c.putrequest(method, path, skip_host="host" in names, skip_accept_encoding=True)
    for name, value in fields:
        c.putheader(name, value)
    if body is not None and not {"content-length", "transfer-encoding"} & set(names):
        c.putheader("Content-Length", str(len(body)))
    try:
        c.endheaders(body)
        answer = Answer(c.getresponse())
    finally:
        c.close()
    if wanted is not None:
        expect("%s %s %s" % (method, path[:120], answer.body[:300]), answer.status, wanted)
    return answer


def instance(name):
    """Port of a service's instance, to ask it directly."""
    return int(INSTANCES[name].rsplit(":", 1)[1])


def seen(name):
    return ask("GET", "/demo/seen", 200, port=instance(name), address=None).json["requests"]


def operate(command):
    """A command for HAProxy's runtime API; what it says."""
    s = socket.socket(socket.AF_UNIX)
    s.connect("operate.sock")
    s.sendall(command.encode() + b"\n")
    said = s.makefile().read()
    s.close()
    return said


def health(service):
    """What /health says of it now: its text is kept for a second."""
    time.sleep(1.05)
    return ask("GET", "/health", address=None).json["services"][service]


def breaker(service):
    """closed, half-open, open; by the metrics, which are never kept."""
    text = ask("GET", "/metrics/gateway", 200, address=None).body.decode()
    return ("closed", "half-open", "open")[int(text.split('gateway_breaker_state{service="%s"} ' % service)[1][0])]


def counters():
    """The agent's metrics: {'name{labels}': value}."""
    c = http.client.HTTPConnection("agent", timeout=5)
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect("http.sock")
    c.request("GET", "/metrics")
    lines = c.getresponse().read().decode().splitlines()
    c.close()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def log_lines():
    """What HAProxy has logged, each line of JSON as an object; any other line that is no notice of its own ("[WARNING] ..", "Proxy
    gateway stopped ..") ends the test."""
    out = []
    for line in open("haproxy.log", encoding="utf-8", errors="replace"):
        if line.startswith("{") and line.endswith("\n"):
            out.append(json.loads(line))
        elif not line.startswith(("{", "[", "Proxy ")):
            fail("a line of the log that is none: %r" % line)
    return out


def reload():
    """Tells the master to load its configuration anew; one that is still loading would not hear it."""
    master = int(open("haproxy.pid", encoding="utf-8").read())
    mask = lambda: int(next(line for line in open("/proc/%d/status" % master, encoding="utf-8") if line.startswith("SigCgt")).split()[1], 16)
    eventually("the master listens to signals", lambda: mask() >> (signal.SIGUSR2 - 1) & 1)
    os.kill(master, signal.SIGUSR2)


def eventually(what, true, seconds=5.0):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            fail("%s: not within %s s" % (what, seconds))
        time.sleep(0.02)
