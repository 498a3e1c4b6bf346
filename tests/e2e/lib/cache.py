# SPDX-License-Identifier: MIT
"""Asks a HAProxy with the response cache (cache_site.part), with lib/origin behind it. For the tests' own `python3 -`.

    a = get("/x", say={..}, cache="plain", ..)   a GET; say: what lib/origin is to answer, cache: the policy; other words are headers
                                                 (if_none_match="\"a\""), headers=[..] those that must be written as they are
    a.status  a.head (names in small letters)  a.body  a.did: what Cache-Status says (hit, stale, uri-miss, ..)
    hit(..), miss(..)      the same, and it must have been one          b("/x")   requests of that URI that lib/origin has seen
    burst(n, path, ..)     n at one time, by turns over all gates: their answers
    expect(what, got, wanted)      ends the test unless they are equal
"""
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

GATES = [tuple(a.rsplit(":", 1)) if ":" in a else tuple(a.split()) for a in sys.argv[1:]]


def expect(what, got, wanted):
    if got != wanted:
        print("%s: wanted %r, got %r" % (what, wanted, got))
        sys.exit(1)


def fail(what):
    print(what)
    sys.exit(1)


class Answer:
    """status 0: no whole answer came; body is then what did."""

    def __init__(self, data, method, seconds):
        self.seconds, self.status, self.head, self.lines = seconds, 0, {}, []
        top, _, self.body = data.partition(b"\r\n\r\n")
        lines = top.decode("latin-1").split("\r\n")
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            self.lines.append((name.lower(), value))
            self.head[name.lower()] = self.head[name.lower()] + ", " + value if name.lower() in self.head else value
        whole = bool(data)
        bare = method == "HEAD" or lines[0].split()[1:2] in (["304"], ["204"])
        if not bare and "content-length" in self.head:
            whole = len(self.body) == int(self.head["content-length"])
        elif not bare and "chunked" in self.head.get("transfer-encoding", ""):
            whole = self.unchunk()
        if whole:
            self.status = int(lines[0].split()[1])
        self.said = (re.search(r"once;[^,]*", self.head.get("cache-status", "")) or [""])[0]
        self.did = "stale" if "ttl=-" in self.said else "hit" if "; hit" in self.said else \
            (re.search(r"fwd=([a-z-]+)", self.said) or [0, ""])[1].replace("stale", "expired")
        self.ttl = int((re.search(r"ttl=(-?[0-9]+)", self.said) or [0, "0"])[1])

    def unchunk(self):
        left, out = self.body, b""
        while True:
            size, found, left = left.partition(b"\r\n")
            if not found or not re.fullmatch(rb"[0-9a-fA-F]+", size):
                self.body = out
                return False
            n = int(size, 16)
            out += left[:n]
            if n == 0 or len(left) < n + 2:
                self.body = out
                return n == 0
            left = left[n + 2:]


def ask(method, path, say=None, cache=None, gate=0, host="shop.example", headers=(), body=b"", timeout=20, version="HTTP/1.1", **fields):
    lines = ["%s %s %s" % (method, path, version), "Connection: close"] + (["Host: " + host] if host else [])
    lines += ["Say: " + json.dumps(say)] if say else []
    lines += ["X-Cache: " + cache] if cache else []
    lines += ["%s: %s" % (n.replace("_", "-").title(), v) for n, v in fields.items()] + list(headers)
    lines += ["Content-Length: %d" % len(body)] if body else []
    began, got = time.monotonic(), b""
    with socket.create_connection(GATES[gate], timeout=timeout) as s:
        try:
            s.sendall("\r\n".join(lines + ["", ""]).encode("latin-1") + body)
            while (more := s.recv(65536)):
                got += more
        except ConnectionError:
            pass
    return Answer(got, method, time.monotonic() - began)


def get(path, **how):
    return ask("GET", path, **how)


def hit(path, did="hit", **how):
    a = get(path, **how)
    expect("GET %s %s: %s %s" % (path, how, a.status, a.said), a.did, did)
    return a


def miss(path, **how):
    a = get(path, **how)
    if a.did in ("hit", "stale", ""):
        fail("GET %s %s is no miss: %s %r %r" % (path, how, a.status, a.said, a.body[:200]))
    return a


def stored(path, **how):
    """A miss, and then the same from the cache."""
    a = miss(path, **how)
    again = hit(path, **how)
    expect("the stored answer of %s" % path, (again.status, again.body), (a.status, a.body))
    return again


def not_stored(path, **how):
    for _ in range(2):
        a = miss(path, **how)
    return a


def requests(path=None, method="GET"):
    lines = (json.loads(line) for line in open("origin.log", encoding="utf-8"))
    return [r for r in lines if r["method"] == method and path in (None, r["uri"])]


def b(path, method="GET"):
    return len(requests(path, method))


def burst(n, path, gates=None, **how):
    answers, threads = [None] * n, []

    def one(i):
        answers[i] = get(path, gate=i % (gates or len(GATES)), **how)
    for i in range(n):
        threads.append(threading.Thread(target=one, args=(i,)))
        threads[-1].start()
    for t in threads:
        t.join()
    return answers


def curl(*words, data=None):
    """Status, version and body by curl, for HTTP/2; data: what it reads."""
    said = subprocess.run(["curl", "-s", "-m", "20", "-w", "\n%{http_code} %{http_version} %header{cache-status}"] + list(words), input=data, capture_output=True, check=False)
    body, _, last = said.stdout.rpartition(b"\n")
    return last.decode(), body


def metric(name, where="."):
    c = socket.socket(socket.AF_UNIX)
    c.connect(where + "/http.sock")
    c.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = c.makefile().read()
    c.close()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.fullmatch(name, line.rsplit(" ", 1)[0]))


def redis(*words, where="."):
    return subprocess.run(["redis-cli", "-s", where + "/redis.sock"] + list(words), capture_output=True, text=True, check=True).stdout


def ctl(*words, agent=".", status=0):
    """What oncectl says."""
    program = os.path.join(os.path.dirname(os.path.realpath(os.environ["ONCE_AGENT"])), "oncectl")
    said = subprocess.run([program, "--socket", agent + "/admin.sock"] + list(words), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    expect("oncectl %s: %s%s" % (" ".join(words), said.stdout, said.stderr), said.returncode, status)
    return said.stdout + said.stderr


def show(*words, **how):
    return json.loads(ctl("cache", "show", "--json", *words, **how))["entries"]


def eventually(what, true, seconds=5.0):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            fail("%s: not within %s s" % (what, seconds))
        time.sleep(0.02)
