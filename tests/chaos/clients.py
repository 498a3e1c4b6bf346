# SPDX-License-Identifier: MIT
"""The clients: each makes a new key, asks until it has a final answer, asks again for replays, and begins anew.

    first try (its answer steered: statuses, faults, delays, sizes), now and then with a twin at the other HAProxy
      └► nothing, 5xx, 409 in-progress, 503: again, at either HAProxy ... stored answer, 409 for good: final
           └► up to two more, now and then one seconds later, whose answers must be the same ──► retired

Every call goes into the key's history with its times. HTTP/1.1 is kept alive; a few calls are HTTP/2, by curl.
"""
import asyncio
import hashlib
import json
import random
import re
import time
from collections import Counter
from itertools import count

from checker import is_storable
from history import Call, Key
from http1 import Broken, Client

TIMEOUT = 15.0         # longer than HAProxy's `timeout server`
GIVE_UP_AFTER = 60.0   # without a final answer: stuck
FINAL_WORDS = ("outcome-not-stored", "outcome-unknown", "mismatch", "key-invalid", "key-missing", "body-too-large")
# What becomes of a try, and how often. The rest is a plain 201.
STEERS = [
    ("", 55), ("delay=0.2", 10), ("delay=1", 4), ("delay=3", 3), ("delay=4.5", 3), ("delay=9", 3), ("status=500", 3),
    ("status=503", 3), ("status=404", 2), ("status=429", 1), ("delay=1.5 status=503", 1), ("close", 3), ("reset", 2), ("head", 2), ("cut", 2),
    ("hang", 1), ("delay=0.6 close", 2), ("delay=3.5 close", 1), ("stall=2", 1), ("stall=2 cut", 1), ("size=9000", 2),
    ("size=40000", 1), ("chunked", 5), ("chunked cut", 1), ("chunked stall=3", 2), ("stream", 2), ("stream stall=3", 4),
    ("stream stall=2 cut", 1),
]
H2_SHARE, TWIN_SHARE, HOLD_SHARE, LATER_SHARE = 0.015, 0.15, 0.4, 0.3
# Who leaves early, and where the answer takes its time: its next tries meet the execution that it left behind.
IMPATIENT_SHARE, IMPATIENT_SLOW_SHARE = 0.03, 0.4


class Clients:
    """All clients of a run, and what they got. `keys` is shared with the checker, which takes retired ones out. steered: what
    becomes of a try is chosen by STEERS, else all are a plain 201. keep: connections are kept."""

    def __init__(self, seed, ports, keys, think, steered=True, keep=True):
        self.seed, self.ports, self.keys, self.think = seed, ports, keys, think
        self.steered, self.keep = steered, keep
        self.calls, self.operations = Counter(), 0
        self.stopping = False

    async def client(self, number):
        """One client, until stopping is set and all its keys are final."""
        await _Client(self, number).run()


class _Client:
    """A key after another; beside that its twins, and old keys that are asked for again."""

    def __init__(self, clients, number):
        self._clients, self._number = clients, number
        self._random = random.Random("%d client %d" % (clients.seed, number))
        self._names = count(1)
        self._beside = set()

    async def run(self):
        connections = [Client(port) for port in self._clients.ports]
        try:
            while not self._clients.stopping:
                await self._operation(connections)
                await asyncio.sleep(self._random.expovariate(1 / self._clients.think))
            if self._beside:
                await asyncio.wait(self._beside)
        finally:
            for task in self._beside:
                task.cancel()
            for c in connections:
                c.close()

    async def _operation(self, connections):
        name = "k%d-%d" % (self._number, next(self._names))
        policy = "hold" if self._random.random() < HOLD_SHARE else "release"
        key = self._clients.keys[name] = Key(name, policy, time.monotonic())
        tries = count(1)
        twin = self._twin(key, tries) if self._random.random() < TWIN_SHARE else None
        final = await self._until_final(key, connections, tries)
        if twin:
            await twin
        for _ in range(self._random.choice((0, 1, 1, 2))):
            await asyncio.sleep(self._random.uniform(0, 0.3))
            await self._try(key, connections, next(tries), "")
        key.stuck = not final
        if self._random.random() < LATER_SHARE:
            self._spawn(self._later(key, tries))
        else:
            key.retired = time.monotonic()

    async def _until_final(self, key, connections, tries):
        steer = self._steer()
        while time.monotonic() - key.born < GIVE_UP_AFTER:
            if await self._try(key, connections, next(tries), steer):
                return True
            steer = self._steer() if self._random.random() < 0.3 else ""
            await asyncio.sleep(self._random.choice((0, 0.02, 0.1, 0.3, 0.6)))
        return False

    def _spawn(self, work):
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task

    def _twin(self, key, tries):
        """The same request at about the same time, from somebody else."""
        return self._spawn(self._elsewhere(key, next(tries), self._random.choice((0, 0.005, 0.05, 0.3)), self._steer()))

    async def _later(self, key, tries):
        """What was final stays so."""
        await self._elsewhere(key, next(tries), self._random.uniform(3, 20), "")
        key.retired = time.monotonic()

    async def _elsewhere(self, key, number, delay, steer):
        """A call from another client, over connections of its own."""
        connections = [Client(port) for port in self._clients.ports]
        await asyncio.sleep(delay)
        await self._try(key, connections, number, steer)
        for c in connections:
            c.close()

    def _steer(self):
        if not self._clients.steered:
            return ""
        words, weights = zip(*STEERS)
        return self._random.choices(words, weights)[0]

    async def _try(self, key, connections, number, steer):
        """One call. True: its answer is final."""
        proxy = self._random.randrange(len(connections))
        call = Call("%s.%d" % (key.name, number), key.name, proxy, time.monotonic(), 0.0, "none")
        key.calls.append(call)
        call.h2 = self._random.random() < H2_SHARE
        try:
            if call.h2:
                answer = await self._curl(self._clients.ports[proxy], key, call, steer)
            else:
                answer = await self._ask(connections[proxy], key, call, steer)
            self._note(call, *answer)
        except Broken:
            pass
        call.done = time.monotonic()
        if not self._clients.keep:
            connections[proxy].close()
        self._clients.operations += 1
        self._clients.calls[call.word or ("%s %d%s" % (call.kind, call.status, "+" if call.replayed else ""))] += 1
        return call.word in FINAL_WORDS or (call.kind == "answer" and is_storable(call.status))

    async def _ask(self, connection, key, call, steer):
        head = ("POST /%s HTTP/1.1\r\nhost: bank\r\ncontent-type: text/plain\r\nidempotency-key: %s\r\ncall-id: %s\r\n"
                "bank-do: %s\r\n" % (key.policy, key.name, call.id, steer)).encode()
        slow = re.search(r"(delay|stall)=[1-9]|hang", steer)
        call.gave_up = self._random.random() < (IMPATIENT_SLOW_SHARE if slow else IMPATIENT_SHARE)
        timeout = self._random.uniform(0.002, 0.3) if call.gave_up else TIMEOUT
        return await connection.ask(head, key.name.encode(), timeout)

    async def _curl(self, port, key, call, steer):
        curl = await asyncio.create_subprocess_exec(
            "curl", "-sS", "-i", "--http2-prior-knowledge", "-m", str(TIMEOUT), "-H", "Host: bank",
            "-H", "Content-Type: text/plain", "-H", "Idempotency-Key: " + key.name, "-H", "Call-Id: " + call.id,
            "-H", "Bank-Do: " + steer, "-d", key.name, "http://127.0.0.1:%d/%s" % (port, key.policy),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        out, _ = await curl.communicate()
        head, found, body = out.partition(b"\r\n\r\n")
        if curl.returncode != 0 or not found:
            raise Broken("curl %d" % curl.returncode)
        lines = head.decode("latin-1").split("\r\n")
        fields = ((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:]))
        return int(lines[0].split(" ")[1]), dict(fields), body

    @staticmethod
    def _note(call, status, headers, body):
        """What an answer is: the bank's, ours, or HAProxy's own."""
        call.status, call.replayed = status, headers.get("idempotent-replayed") == "true"
        if "bank-execution" in headers:
            call.kind, call.number = "answer", headers["bank-execution"]
            call.digest = hashlib.sha256(body).hexdigest()[:16]
            call.location = headers.get("location", "")
        elif headers.get("content-type") == "application/problem+json":
            call.kind = "refused"
            call.word = re.sub(".*#", "", json.loads(body)["type"])
        else:
            call.kind = "gateway"
