# SPDX-License-Identifier: MIT
"""M5.1: payments go on while a gateway, an agent or the Redis primary is killed, and while all is reloaded."""
import time

from load import Attack
from loads import Failed, hold, name, never_twice, promise

RATE = 100
# What clients saw of a request that may have run: no answer, or a gateway that had none; or 409 of the other gateway, to which the
# balancer has sent it again, for as long as the first one's lock lasts. A refusal (503) says that it did not run.
UNKNOWN = (0, 409, 502, 504)


class Storm:
    """Payments with keys of their own through the balancer, for `seconds`; moments are seconds since their beginning."""

    def __init__(self, system, label, seconds):
        self.system, self.prefix, self.count = system, name(label), int(RATE * seconds)
        self._attack = Attack(system, "steady", ({"key": self.key(i)} for i in range(self.count)), RATE, label=label)
        self._began = time.monotonic()

    def key(self, i):
        return "%s%d" % (self.prefix, i)

    def wait_until(self, moment):
        time.sleep(max(0, moment - (time.monotonic() - self._began)))
        return time.monotonic() - self._began

    def end(self):
        results = self._attack.wait()
        results.show()
        return results


def pay_the_rest(storm, results):
    """What was refused or broken is tried again, as clients do, until it is made."""
    for key in [storm.key(r["seq"]) for r in results.each if r["code"] != 201]:
        for _ in range(100):
            status, _, _ = storm.system.pay(key, timeout=5)
            if status == 201:
                break
            time.sleep(0.1)
        else:
            raise Failed("a payment that was refused is made when it is tried again: %s: %d" % (key, status))


def judge(storm, results, down, back, grace, unknown=()):
    """down, back: when it was killed and started again; grace: for so long payments may be refused; unknown: statuses behind which a
    payment may have run, and run again when it is tried again. What is seen is told."""
    def not_paid(begin, end):
        return sum(r["code"] != 201 for r in results.each if begin * RATE <= r["seq"] < end * RATE)

    hold("nothing fails before", not_paid(0, down) == 0, failed=not_paid(0, down))
    hold("%g s later every payment is made" % grace, not_paid(down + grace, back) == 0, failed=not_paid(down + grace, back))
    refused = {code: n for code, n in results.codes().items() if code != 201}
    may = {storm.key(r["seq"]) for r in results.each if r["code"] in unknown}
    pay_the_rest(storm, results)
    ledger = storm.system.charges(prefix=storm.prefix)
    hold("every payment is made in the end", ledger["keys"] == storm.count, wanted=storm.count, **ledger)
    promise("twice only what was in flight and unknown", set(ledger["twice"]) <= may, **ledger)
    last = max([r["seq"] for r in results.each if r["code"] != 201 and r["seq"] < back * RATE], default=int(down * RATE)) / RATE - down
    return "%d payments, refused or broken %s over %.1f s; when tried again all are made; charged twice: %d" % (
        storm.count, refused or "none", max(last, 0), len(ledger["twice"]))


def kill(system, service, label, grace, seconds=12.0, unknown=()):
    storm = Storm(system, label, seconds)
    down = storm.wait_until(seconds / 4)
    system.signal(service, "KILL")
    back = storm.wait_until(seconds * 3 / 4)
    system.start(service)
    verdict = judge(storm, storm.end(), down, back, grace, unknown)
    system.forget_ports()
    system.wait_until_paid(30)
    return verdict


def gateway(system):
    """M5.1 M2.11: one HAProxy is killed: the balancer gives everything to the other one."""
    return kill(system, "gateway1", "gateway-killed", grace=2, unknown=UNKNOWN)


def agent(system):
    """M5.1 M2.11: one agent is killed: its gateway refuses, the balancer turns to the other one."""
    return kill(system, "agent1", "agent-killed", grace=2)


def redis(system):
    """M5.1 M2.11: the Redis primary is killed: the Sentinels promote the replica, the agents follow."""
    return kill(system, system.primary(), "redis-killed", grace=9, seconds=24.0)


def reload(system):
    """M4.7 M2.11: HAProxy and agents are reloaded while payments are made: none is lost."""
    storm = Storm(system, "reload", 10)
    for moment, (service, signal) in enumerate((("gateway1", "USR2"), ("agent1", "HUP"), ("gateway2", "USR2"), ("agent2", "HUP"))):
        storm.wait_until(1 + 2 * moment)
        system.signal(service, signal)
    results = storm.end()
    never_twice(system, storm.prefix)
    hold("every payment is made", results.count(201, replayed=False) == storm.count, codes=results.codes())
    return "%d payments, none refused" % storm.count
