# SPDX-License-Identifier: MIT
"""What is measured besides the closed loop. Each function fills one part of `others`; targets.py reads them."""
import json
import os
import resource
import select
import socket
import subprocess
import time

from loads import Meter, settle, spop_bench, vegeta, wrk
from processes import Missing, cpu, resident
from sites import HERE, PROGRAMS, Silence

IN_FLIGHT = 2000
FLOOR = ("ping", "noop", "bare", "bare complete", "limit", "five", "idempotency complete", "gated", "gated complete")
GOOD = 0.999  # of all answers must be what a row says
RATES = {"1000": 6, "5000": 8, "12000": 8}  # requests a second, and for how long
ASKS = ("policy=str(%s) rid=uuid lost=null process=str(1.1.bench) sent=now timeout=int(1000) method=str(POST) host=str(127.0.0.1:8080) "
        "path=str(/pay) query=null type=str(application/json) key=%s key2=null keys=int(1) keys2=int(0) sha=bin(32) body=null "
        "body_len=int(200) content_length=int(200) head_len=int(160) src=ip(127.0.0.1) principal=null")


def scenario(policy, key="unique(k-)"):
    return "transaction 1\nmessage once-request " + ASKS % (policy, key) + "\n"


def codec(others):
    others["codec"] = json.loads(subprocess.run([PROGRAMS / "codec-bench", HERE / "scenarios" / "gated.spop"], capture_output=True, text=True,
                                                check=True).stdout)


def floor_of(world, seconds, records, *names):
    env = {**os.environ, "ONCE_RUN": str(world.folder), "ONCE_REDIS": str(world.redis_socket), "ONCE_SHIELD": "0", "ONCE_HAPROXY": "/nowhere"}
    world.redis_do("FLUSHALL")
    done = subprocess.run([PROGRAMS / "gate-floor", HERE / "site.conf", world.redis_socket, str(world.store.pids[0]), str(seconds), str(records), *names],
                          capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError("gate-floor: " + done.stderr)
    return json.loads(done.stdout)


def floor(world, others, short):
    """Redis alone: scripts of the gate, and the claim with few and with many records."""
    others["floor"] = floor_of(world, 2 if short else 12, 0, *FLOOR)
    if not short:
        others["records"] = {n: floor_of(world, 4, int(n), "gated")["gated"] for n in ("1000", "1000000")}
    world.redis_do("FLUSHALL")


def one_connection(world, fronts, others):
    """alone and gated in turn, twice; of each the run with the lower p99."""
    others["one"] = {}
    for name in ("alone", "gated") * 2:
        settle(world)
        wrk(fronts[name].port, 1, 1)
        sample = wrk(fronts[name].port, 2, 1)
        if sample["errors"] or sample["refused"]:
            raise RuntimeError("%s: %d of %d refused %s" % (name, sample["refused"], sample["n"], sample["errors"]))
        best = others["one"].get(name)
        others["one"][name] = sample if not best or sample["p99"] < best["p99"] else best


def open_loop(world, fronts, others, left_out, short):
    others["open"] = {}
    for rate, seconds in RATES.items():
        if short and rate != "1000":
            continue
        settle(world)
        try:
            vegeta(world.folder, fronts["gated"].port, int(rate), 1)
            sample = Meter(world, fronts["gated"]).around(lambda: vegeta(world.folder, fronts["gated"].port, int(rate), 2 if short else seconds))
        except Missing as why:
            left_out["vegeta"] = str(why)
            return
        if sample["ok"] < GOOD:
            raise RuntimeError("at %s requests/s %.2f %% were answered with 2xx" % (rate, 100 * sample["ok"]))
        others["open"][rate] = sample


def refusals(world, others, short):
    """An agent alone: refusals that Redis decides, and those that it need not."""
    others["refusals"] = {}
    seconds = 1 if short else 3
    for name, shield in (("redis", 0), ("local", 65536)):
        folder = world._folder("refusals-" + name)
        agent = world.once_agent(folder, shield)
        settle(world)
        before = cpu(agent.pid) + sum(map(cpu, world.store.pids))
        said = spop_bench("unix@%s" % (folder / "spop.sock"), agent.pid, scenario("refused"), seconds)
        spent = cpu(agent.pid) + sum(map(cpu, world.store.pids)) - before
        if said["values"].get("deny", 0) < GOOD * said["transactions"]:
            raise RuntimeError("not all were refused: %s" % said["values"])
        # The first half second is warm-up: it is asked and paid for, and not in the number of messages.
        share = said["seconds"] / (said["seconds"] + 0.5)
        others["refusals"][name] = {"us": spent * share * 1e6 / said["in_time"], "rate": said["in_time"] / said["seconds"],
                                    "agent_us": said["agent_cpu_s"] * 1e6 / said["in_time"], "values": said["values"]}
        agent.end()
        world._started.remove(agent)


def memory(world, fronts, others):
    """Idle, before anything was asked."""
    front = fronts["gated"]
    others["memory"] = {"agent": resident(front.agents[0].pid), "front": resident(front.front.pid)}


def still_held(held, n):
    """RuntimeError if answers have come, so that fewer than n requests are in flight."""
    waiting = select.poll()
    for s in held:
        waiting.register(s, select.POLLIN)
    answered = len(waiting.poll(0))
    if answered > n * (1 - GOOD):
        raise RuntimeError("of %d requests in flight %d were answered" % (n, answered))


def hold(front, n, path=b"/pay"):
    """So many requests that the application does not answer; their connections."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if files < 2 * n:
        raise RuntimeError("%d requests in flight want %d open files; allowed are %d (ulimit -Hn)" % (n, 2 * n, files))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    held = [socket.create_connection(("127.0.0.1", front.port)) for _ in range(n)]
    for i, s in enumerate(held):
        s.sendall(b"POST %s HTTP/1.1\r\nhost: bench\r\nidempotency-key: flying-%d-%d\r\ncontent-type: application/json\r\n"
                  b"content-length: 200\r\n\r\n" % (path, id(front), i) + b"x" * 200)
        if i % 50 == 0:
            time.sleep(0.05)  # so that they run, and do not wait for their decision all at one time
    time.sleep(2)
    still_held(held, n)
    return held


def in_flight(world, others):
    """What a request in flight costs HAProxy and the agent, by the size of HAProxy's buffers."""
    silence, out = Silence(), {}
    for name, bufsize in (("16k", None), ("64k", 65536)):
        front = world.once("gated", backend=silence.port, bufsize=bufsize)
        before = resident(front.agents[0].pid), resident(front.front.pid)
        held = hold(front, IN_FLIGHT)
        after = resident(front.agents[0].pid), resident(front.front.pid)
        out[name] = {"agent_kb": (after[0] - before[0]) * 1000 / IN_FLIGHT, "haproxy_kb": (after[1] - before[1]) * 1000 / IN_FLIGHT}
        for s in held:
            s.close()
        for process in [front.front, *front.agents]:
            process.end()
            world._started.remove(process)
    silence.end()
    others["in_flight"] = out
    others["memory"]["agent_in_flight"] = out["16k"]["agent_kb"]


def before(world, fronts, others):
    memory(world, fronts, others)
    codec(others)


def after(world, fronts, others, left_out, short, say):
    """What went wrong, a text each; what such a step would have measured is missing."""
    faults = []
    steps = [("refusals", lambda: refusals(world, others, short)), ("fixed rates", lambda: open_loop(world, fronts, others, left_out, short)),
             ("Redis alone", lambda: floor(world, others, short))]
    if not short:
        steps += [("one connection", lambda: one_connection(world, fronts, others)), ("in flight", lambda: in_flight(world, others))]
    for name, step in steps:
        say(name)
        try:
            step()
        except (RuntimeError, subprocess.SubprocessError) as why:
            faults.append("%s: %s" % (name, why))
    return faults
