# SPDX-License-Identifier: MIT
"""Loads: wrk (closed loop), vegeta (fixed rate), spop-bench (an agent alone). Each gives one sample of a variant: a dictionary."""
import base64
import json
import os
import re
import subprocess
import time
import uuid
from pathlib import Path

from processes import Missing, cpu, resident
from sites import BUILD, HERE, PROGRAMS

VEGETA = BUILD / "tools" / "vegeta"
PATIENCE = 120


def _run(argv, env=None):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=PATIENCE, env=env)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (argv[0], (done.stderr or done.stdout)[-400:]))
    return done.stdout


def _ms(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


class Meter:
    """CPU and memory of a variant's processes around a load, what Redis has done for it, and how many requests reached the application."""

    def __init__(self, world, front):
        self._world, self._application = world, world.application.pid
        self._store, self._pids = front.store or world.store, front.pids(world)

    def _counts(self):
        return {"forwarded": self._world.application_requests(), **self._store.counts()}

    def _machine(self):
        """Seconds that all cores were busy, that there were, and that the load and the application used."""
        ticks = [int(t) / os.sysconf("SC_CLK_TCK") for t in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        times = os.times()
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks), times.children_user + times.children_system + cpu(self._application)

    def _cpu(self):
        return {who: sum(map(cpu, pids)) for who, pids in self._pids.items()}

    def around(self, load):
        counted = self._counts()
        before, machine = self._cpu(), self._machine()
        sample = load()
        after, now = self._cpu(), self._machine()
        counts = self._counts()
        ours = sum(after.values()) - sum(before.values()) + now[2] - machine[2]
        sample["others"] = max(0, now[0] - machine[0] - ours) / max(now[1] - machine[1], 1e-9)
        sample["us"] = {who: (after[who] - before[who]) * 1e6 / sample["n"] for who in before}
        sample["us"]["sum"] = sum(sample["us"].values())
        sample.update((what, (counts[what] - counted[what]) / sample["n"]) for what in counted)
        sample["mb"] = {who: sum(map(resident, pids)) for who, pids in self._pids.items() if who != "redis"}
        return sample


def wrk(port, seconds, connections, path="/pay", keys=0, body=200, headers=(), method="POST", first=0):
    """seconds: whole ones, from 1 on."""
    text = _run(["wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "--latency", "-s", HERE / "load.lua",
                 *[word for h in headers for word in ("-H", h)], "http://127.0.0.1:%d%s" % (port, path), "--", method, keys, body, first])
    found = lambda pattern: re.search(pattern, text, re.M)
    n, took = int(found(r"(\d+) requests in")[1]), _ms(found(r"requests in (\S+),")[1]) / 1000
    refused, errors = found(r"Non-2xx or 3xx responses: (\d+)"), found(r"Socket errors: (.*)")
    return {"n": max(n, 1), "rate": n / took, "p50": _ms(found(r"^ +50%\s+(\S+)")[1]), "p99": _ms(found(r"^ +99%\s+(\S+)")[1]),
            "refused": int(refused[1]) if refused else 0, "errors": errors[1] if errors else ""}


def vegeta(folder, port, rate, seconds):
    if not VEGETA.exists():
        raise Missing("vegeta: Go (from tests/tools/go.mod) was not there to build it")
    targets, prefix = folder / "targets.json", uuid.uuid4().hex[:12]
    body = base64.b64encode(('{"amount":1000,"currency":"EUR","note":"%s"}' % ("x" * 158)).encode()).decode()
    with open(targets, "w") as f:
        for n in range(int(rate * seconds) + 10):
            f.write('{"method":"POST","url":"http://127.0.0.1:%d/pay","body":"%s","header":{"Content-Type":["application/json"],'
                    '"Idempotency-Key":["%s-%d"]}}\n' % (port, body, prefix, n))
    out = folder / "vegeta.bin"
    _run([VEGETA, "attack", "-format=json", "-lazy", "-targets", targets, "-rate", rate, "-duration", "%ds" % seconds, "-workers", 64,
          "-max-workers", 1024, "-connections", 1024, "-output", out], env={**os.environ, "GOGC": "400"})
    said = json.loads(_run([VEGETA, "report", "-type=json", out]))
    times = said["latencies"]
    return {"n": said["requests"], "rate": said["throughput"], "sent": said["rate"], "ok": said["success"],
            **{p: times[name] / 1e6 for p, name in (("p50", "50th"), ("p95", "95th"), ("p99", "99th"))}}


def spop_bench(address, pid, scenario, seconds, connections=8, depth=8, most=0):
    """An agent alone. The scenario's text is written to a file of this run."""
    file = BUILD / "load" / ("%d.spop" % os.getpid())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(scenario)
    try:
        said = json.loads(_run([PROGRAMS / "spop-bench", "-j", "-s", file, "-d", seconds, "-w", 0.5, "-c", connections, "-p", depth,
                                "-n", most, "-P", pid, address]))
    finally:
        file.unlink()
    return said


def settle(world, front=None):
    """Redis (of the front, if it has its own) is empty and HAProxy's table of what has ended too, before the next variant."""
    (front and front.store or world.store).each("FLUSHALL")
    time.sleep(0.1)
