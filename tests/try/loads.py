# SPDX-License-Identifier: MIT
"""What clients do to a system that is whole: steady, double-click, retry-storm, lag. Each returns its verdict as a line of figures,
or raises Failed."""
import itertools
import os
import random
import time

from load import Attack
from system import Broken

# name: its default and its least value; docs/containers.md and run say what they are
SETTINGS = {"SECONDS": (600, 0.1), "RATE": (400, 1), "MEAN": (10, 0), "P99": (15, 0), "SIZE": (1, 0.01)}


def setting(name):
    """The number that the environment gives by that name, or its default."""
    default, least = SETTINGS[name]
    try:
        value = float(os.environ.get(name) or default)
    except ValueError:
        value = -1
    if not least <= value < 1e6:
        raise Broken("%s=%s: wanted a number from %g on" % (name, os.environ[name], least))
    return value


class Failed(Exception):
    """A pass rule does not hold; the text names the rule and the figures."""


class Violated(Failed):
    """What is promised does not hold: no load of the machine excuses that."""


def hold(rule, is_so, kind=Failed, **figures):
    if not is_so:
        raise kind("%s: %s" % (rule, ", ".join("%s=%s" % pair for pair in figures.items())))


def promise(rule, is_so, **figures):
    hold(rule, is_so, Violated, **figures)


def name(what):
    """A prefix for keys that no earlier run has used."""
    return "%s-%d-" % (what, time.time_ns() // 1_000_000)


def never_twice(system, prefix):
    """The ledger's word: none of these keys has two charges."""
    ledger = system.charges(prefix=prefix)
    promise("nobody is charged twice", ledger["charges"] == ledger["keys"], **ledger)
    return ledger["keys"]


def charged_once(system, prefix, keys):
    """Each of so many keys has exactly one charge."""
    hold("each key is charged", (charged := never_twice(system, prefix)) == keys, wanted=keys, charged=charged)


def steady(system):
    """M1.5: unique keys through the balancer, far beyond 10,000 requests a minute: mean under 10 ms, 99 % under 15 ms."""
    rate, seconds, mean_most, p99_most = int(setting("RATE")), setting("SECONDS"), setting("MEAN"), setting("P99")
    warm, prefix, count = name("warm"), name("steady"), int(rate * seconds)
    Attack(system, "steady", ({"key": "%s%d" % (warm, i)} for i in range(rate)), rate).wait()
    results = Attack(system, "steady", ({"key": "%s%d" % (prefix, i)} for i in range(count)), rate).wait()
    results.show()
    mean, p99 = results.latency_ms()
    never_twice(system, prefix)
    hold("every payment is made", results.count(201, replayed=False) == count, wanted=count, codes=results.codes())
    charged_once(system, prefix, count)
    hold("mean under %g ms, 99 %% under %g ms" % (mean_most, p99_most), mean < mean_most and p99 < p99_most, mean="%.2f" % mean, p99="%.2f" % p99)
    return "%d payments at %d a minute, mean %.2f ms (under %g), 99 %% in %.2f ms (under %g)" % (count, rate * 60, mean, mean_most, p99, p99_most)


def double_click(system):
    """M1.2 M1.6 I7: each key two to five times within 50 ms, over both gateways: charged once."""
    rate, keys, prefix = 400, int(1500 * setting("SIZE")), name("click")
    clicks = [{"key": "%s%d" % (prefix, k)} for k in range(keys) for _ in range(random.randint(2, 5))]
    results = Attack(system, "double-click", clicks, rate).wait()
    results.show()
    codes = results.codes()
    never_twice(system, prefix)
    hold("a click is paid, replayed or refused as in progress", set(codes) <= {201, 409}, codes=codes)
    hold("one answer of each key is no replay", results.count(201, replayed=False) == keys, wanted=keys, codes=codes)
    charged_once(system, prefix, keys)
    return "%d keys in %d clicks: %d charges, %d replays, %d refused (409)" % (
        keys, len(clicks), keys, results.count(201, replayed=True), results.count(409))


def retry_storm(system):
    """M1.3 R16: clients over their limit, all at once: they reach neither the backend nor Redis."""
    rate, clients, limit = 500, int(2000 * setting("SIZE")), 6
    run = random.randint(1, 250)
    addresses = ["11.%d.%d.%d" % (run, i // 250, i % 250 + 1) for i in range(clients)]
    storm = int(20000 * max(setting("SIZE"), 0.3))
    before = system.forwarded()
    # Everybody uses up what is allowed, and is refused by each gateway.
    first = ({"client": a} for a in addresses for _ in range(limit + 6))
    warm = Attack(system, "quotes-both", first, rate, label="quotes-first").wait()
    hold("each client gets what the limit allows, then 429", warm.codes() == {200: clients * limit, 429: clients * 6}, codes=warm.codes())
    forwarded, commands = system.forwarded(), system.redis_commands()
    promise("the backend sees only what the limit allows", forwarded - before == clients * limit, forwarded=forwarded - before)
    began = time.monotonic()
    results = Attack(system, "quotes", ({"client": random.choice(addresses)} for _ in range(storm)), rate * 3, label="quotes-storm").wait()
    asked, seconds = system.redis_commands() - commands, time.monotonic() - began
    results.show()
    hold("everybody is refused", results.codes() == {429: storm}, codes=results.codes())
    promise("the backend sees nothing of it", system.forwarded() == forwarded, forwarded=system.forwarded() - forwarded)
    hold("Redis sees at most 2 %", asked <= 0.02 * storm, commands=asked, requests=storm)
    return "%d refusals of %d clients in %.0f s: backend 0, Redis %d commands (%.2f %%)" % (storm, clients, seconds, asked, 100.0 * asked / storm)


def finished_storm(system):
    """M1.3 R20: retries of finished keys, all at once: replayed, past the backend and nearly all past Redis."""
    # Each agent asks once a second for each key: 2 * keys / rate.
    rate, keys, prefix = 1000, 20, name("done")
    count = int(30000 * setting("SIZE"))
    words = [{"key": "%s%d" % (prefix, k)} for k in range(keys)]
    Attack(system, "steady", words, 200, label="finished-first").wait()
    charged_once(system, prefix, keys)
    forwarded, commands = system.forwarded(), system.redis_commands()
    results = Attack(system, "steady", itertools.islice(itertools.cycle(words), count), rate, label="finished-storm").wait()
    asked = system.redis_commands() - commands
    results.show()
    hold("every retry is replayed", results.count(201, replayed=True) == count, wanted=count, codes=results.codes())
    promise("the backend sees nothing of it", system.forwarded() == forwarded, forwarded=system.forwarded() - forwarded)
    hold("Redis sees at most one command for ten", asked <= 0.1 * count, commands=asked, requests=count)
    charged_once(system, prefix, keys)
    return "%d retries of %d keys: backend 0, Redis %d commands (%.1f %%)" % (count, keys, asked, 100.0 * asked / count)


def lag(system):
    """M1.2: a backend that needs two seconds, clients that give up after 0.7 s and try again: charged once."""
    keys, rounds, rate, prefix = 35, 8, 50, name("lag")
    words = [{"key": "%s%d" % (prefix, k)} for _ in range(rounds) for k in range(keys)]
    results = Attack(system, "lag", words, rate, timeout="700ms").wait()
    results.show()
    last = [r for r in results.each if r["seq"] >= keys * (rounds - 1)]
    codes = results.codes()
    never_twice(system, prefix)
    hold("clients give up (0), are told to wait (409) or get the answer", set(codes) <= {0, 201, 409}, codes=codes)
    hold("the last try of each key is a replay", sum(r["code"] == 201 and r["replayed"] for r in last) == keys, codes=codes)
    charged_once(system, prefix, keys)
    return "%d keys, %d tries: %d gave up, %d told to wait, %d replays, %d charges" % (
        keys, len(words), codes.get(0, 0), codes.get(409, 0), results.count(201, replayed=True), keys)
