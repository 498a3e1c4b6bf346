# SPDX-License-Identifier: MIT
"""Asks the reference gateway of lib/gateway that runs in the current directory. For the tests' own `python3 -`.

    a = ask("GET", "/api/v1/orders", 200, user="viewer")     an HTTP request; a status that is not the wanted one ends the test
    a.status  a.head (names in small letters)  a.body  a.json  a.seen: the headers that the service has seen, {name: [values]}
    jwt(role="viewer", ..)                                   a signed token; alg=, kid=, key=, any claim (None: without it)
    expect(what, got, wanted)                                ends the test unless they are equal
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

PORT, TLS_PORT = (int(p) for p in open("ports", encoding="utf-8").read().split())
INSTANCES = dict(line.split("=") for line in open("instances", encoding="utf-8").read().split("\nready\n")[0].splitlines())
SECRET = open("keys/jwt-secrets.map", encoding="utf-8").read().split()[1].encode()


def expect(what, got, wanted):
    if got != wanted:
        print("%s: wanted %r, got %r" % (what, wanted, got))
        sys.exit(1)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def der_to_raw(der):
    """An ECDSA signature as JWS has it: r and s, 32 bytes each (RFC 7518, 3.4)."""
    out, at = b"", 2
    for _ in range(2):
        size = der[at + 1]
        out += der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + size
    return out


def sign(alg, data, key):
    if alg == "none":
        return b""
    if alg == "HS256":
        return hmac.new(SECRET if key is None else key, data, hashlib.sha256).digest()
    path = key or {"RS256": "keys/issuer/rs256-1.pem", "ES256": "keys/issuer/es256-1.pem"}[alg]
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", path], input=data, capture_output=True, check=True).stdout
    return der_to_raw(signature) if alg == "ES256" else signature


def jwt(alg="HS256", kid="", key=None, **claims):
    kid = kid or {"HS256": "demo-hs", "RS256": "demo-rs", "ES256": "demo-es"}.get(alg, "demo-hs")
    head = {"typ": "JWT", "alg": alg, "kid": kid}
    all_claims = {"iss": "https://auth.example", "aud": "gateway", "sub": "alice", "role": "viewer", "exp": int(time.time()) + 600, **claims}
    parts = [{k: v for k, v in d.items() if v is not None} for d in (head, all_claims)]
    text = ".".join(b64(json.dumps(p).encode()) for p in parts)
    return text + "." + b64(sign(alg, text.encode(), key))


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.head = {}
        for name, value in response.getheaders():
            self.head[name.lower()] = self.head[name.lower()] + ", " + value if name.lower() in self.head else value
        self.json = json.loads(self.body) if self.head.get("content-type", "").endswith("json") and self.body else None
        self.seen = (self.json or {}).get("headers", {}) if isinstance(self.json, dict) else {}


def ask(method, path, wanted=None, user=None, token=None, api_key=None, headers=None, body=None, address="192.0.2.1", port=PORT, tls=False):
    """user: a role, for a JWT of that role. body: an object is sent as JSON. address: whom the trusted proxy names as the client."""
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
        c = http.client.HTTPSConnection("localhost", TLS_PORT, timeout=20, context=context)
    else:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
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
    return ask("GET", "/health", address=None).json["services"][service]


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
    """What HAProxy has logged, each line of JSON as an object; any other line that is no notice of its own ends the test."""
    out = []
    for line in open("haproxy.log", encoding="utf-8"):
        if line.startswith("{"):
            out.append(json.loads(line))
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
            print("%s: not within %s s" % (what, seconds))
            sys.exit(1)
        time.sleep(0.02)
