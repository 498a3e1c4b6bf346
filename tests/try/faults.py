# SPDX-License-Identifier: MIT
"""M2.11: the network breaks, by Toxiproxy's toxics. The gateway is asked directly, so that its own answer is seen."""
import threading
import time

from load import Attack
from loads import charged_once, hold, name, promise

REDIS = ("redis1_pipe", "redis2_pipe")
RATE = 50


def healed(scenario):
    """Whatever happened, the pipes are whole again and payments are made before the next scenario begins."""
    def run(system):
        try:
            return scenario(system)
        finally:
            system.heal()
            system.wait_until_paid(40)
    run.__doc__ = scenario.__doc__
    return run


def attack(system, label, seconds):
    """Payments with keys of their own at one gateway: their prefix, how many, and what goes on."""
    prefix, count = name(label), int(RATE * seconds)
    return prefix, count, Attack(system, "gateway1", ({"key": "%s%d" % (prefix, i)} for i in range(count)), RATE, label=label)


def pays(system, label, seconds):
    prefix, count, going = attack(system, label, seconds)
    return prefix, count, going.wait()


@healed
def redis_latency(system):
    """M2.11: Redis 30 ms slower: payments take longer; 1 s slower, beyond the deadline: they are refused, not risked."""
    for pipe in REDIS:
        system.toxic(pipe, "latency", latency=30)
    prefix, count, results = pays(system, "redis-latency", 6)
    results.show()
    hold("every payment is made", results.count(201) == count, codes=results.codes())
    charged_once(system, prefix, count)
    slow = results.latency_ms()[0]
    hold("the delay is felt", slow >= 30, mean_ms="%.0f" % slow)
    system.heal()
    for pipe in REDIS:
        system.toxic(pipe, "latency", latency=1000)
    prefix, count, results = pays(system, "redis-deadline", 4)
    hold("every payment is refused", results.codes() == {503: count}, codes=results.codes())
    ledger = system.charges(prefix=prefix)
    promise("nothing is charged", ledger["charges"] == 0, **ledger)
    slowest = max(r["latency"] for r in results.each) / 1e6
    hold("within the processing timeout", slowest < 1500, slowest_ms="%.0f" % slowest)
    return "30 ms: mean %.0f ms, all made; 1 s: %d refused within %.0f ms, none charged" % (slow, count, slowest)


@healed
def redis_cut(system):
    """M2.11: all connections to Redis are cut, and may be made again half a second later."""
    prefix, count, going = attack(system, "redis-cut", 8)
    time.sleep(2)
    for on in (False, True):
        for pipe in REDIS:
            system.switch(pipe, on)
        time.sleep(0.5)
    results = going.wait()
    results.show()
    codes, late = results.codes(), sum(r["code"] != 201 for r in results.each if r["seq"] >= 5 * RATE)
    hold("payments are made, or refused while it is cut", set(codes) <= {201, 503}, codes=codes)
    hold("the cut is felt", codes.get(503, 0) > 0, codes=codes)
    hold("two seconds later every payment is made", late == 0, refused=late)
    ledger = system.charges(prefix=prefix)
    promise("nobody is charged twice", not ledger["twice"], **ledger)
    promise("who was paid was charged, who was refused was not", ledger["keys"] == codes.get(201, 0), codes=codes, **ledger)
    return "%d payments: %d made, %d refused (503)" % (count, codes.get(201, 0), codes.get(503, 0))


@healed
def redis_down(system):
    """M2.11: no Redis at all for four seconds: nothing is forwarded; afterwards no restart is needed."""
    for pipe in REDIS:
        system.switch(pipe, False)
    began = time.monotonic()
    prefix, count, results = pays(system, "redis-down", 4)
    results.show()
    hold("every payment is refused, with Retry-After", results.codes() == {503: count} and all(r["retry_after"] for r in results.each),
         codes=results.codes())
    ledger = system.charges(prefix=prefix)
    promise("nothing is charged", ledger["charges"] == 0, **ledger)
    down = time.monotonic() - began
    system.heal()
    back = system.wait_until_paid(20)
    return "%d refused in %.1f s, none charged; payments again after %.1f s" % (count, down, back)


def cut_backend(system, label, let_through, **headers):
    """One payment whose answer is cut after so many bytes; when the pipe is whole again, retries until one is answered."""
    key = name(label)
    # Connections that are there do not know of new toxics' counts.
    system.switch("backend_pipe", False)
    system.switch("backend_pipe", True)
    system.toxic("backend_pipe", "limit_data", bytes=let_through)
    first, _, body = system.pay(key, "gateway1", **headers)
    promise("the answer does not look whole", first in (0, 502), status=first, body=body[:100])
    system.heal()
    began, refused = time.monotonic(), 0
    while (status := system.pay(key, "gateway1", **headers)[0]) != 201 and time.monotonic() - began < 3:
        refused += 1
        time.sleep(0.02)
    took = time.monotonic() - began
    hold("a retry runs within a second", status == 201 and took < 1, status=status, seconds="%.2f" % took)
    status, head, _ = system.pay(key, "gateway1", **headers)
    hold("its answer is replayed from then on", status == 201 and head.get("Idempotent-Replayed") == "true", status=status)
    charges = system.charges(key=key)["charges"]
    promise("the first and the retry ran, nothing else", charges == 2, charges=charges)
    return "the client got %s; a retry ran after %.0f ms, %d before it were refused; charges 2: the backend had charged before the cut, and " \
        "on_unknown = release lets the retry run" % (first or "a broken answer", 1000 * took, refused)


@healed
def backend_cut_before_headers(system):
    """M2.11: the backend is cut off before its answer begins."""
    return cut_backend(system, "cut-before", 0)


@healed
def backend_cut_in_headers(system):
    """M2.11: the backend is cut off in the middle of its answer's head."""
    return cut_backend(system, "cut-in", 40)


@healed
def backend_cut_after_headers(system):
    """M2.11: the backend is cut off in the middle of its answer's body."""
    return cut_backend(system, "cut-after", 2000, Demo_Size="8000")


def judge_slow(system, key, first, meanwhile):
    """first: what the payment got (status, headers, body); meanwhile: the statuses of its duplicates, in turn."""
    status, _, body = first
    hold("the payment is made", status == 201, status=status, body=body[:100])
    # The last may have met the answer.
    hold("duplicates are refused as in progress", len(meanwhile) > 1 and set(meanwhile[:-1]) == {409}, statuses=meanwhile)
    status, head, again = system.pay(key, "gateway2")
    hold("and then replayed", (status, again) == (201, body) and head.get("Idempotent-Replayed") == "true", status=status)
    charged_once(system, key, 1)
    return "%d duplicates refused (409), one charge" % meanwhile.count(409)


@healed
def backend_slow(system):
    """M2.11: an answer that takes longer than two locks: duplicates are refused all the while, and then replayed."""
    key, slow_ms, lock = name("slow"), 9000, 4
    system.toxic("backend_pipe", "latency", latency=slow_ms)
    first, meanwhile = [], []
    payer = threading.Thread(target=lambda: first.append(system.pay(key, "gateway1", timeout=30)))
    payer.start()
    time.sleep(0.3)
    while payer.is_alive():
        meanwhile.append(system.pay(key, "gateway2" if len(meanwhile) % 2 else "gateway1")[0])
        time.sleep(0.5)
    payer.join()
    return "lock %d s, answer after %d s: %s" % (lock, slow_ms // 1000, judge_slow(system, key, first[0], meanwhile))
