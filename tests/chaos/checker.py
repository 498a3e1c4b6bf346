# SPDX-License-Identifier: MIT
"""The judge: from the calls and executions of one key, and the faults, to what broke the promise. Pure.

    overlap         two executions whose connections were open at the same time
    after-outcome   an execution after a client knew that none may come any more
    answered-resent an execution after one whose streamed answer had begun, for long enough to be recorded, when HAProxy died
    replay-differs  an answer, replayed or not, that is not what its execution wrote; two different replays
    hold-resent     under `hold`: sent again, though the first outcome did not say `nothing was done`
    refused-but-ran our refusal, or a replay, of a request that the bank has seen
    sent-twice      one request, two executions
    busy-alone      409 in-progress, and nothing that it could be about
    unfounded       outcome-not-stored or outcome-unknown of a key that never ran; outcome-unknown under `release`; mismatch
    fence           a later execution without a larger fence
    stuck           no final answer though the client kept asking

What PROTOCOL allows is not found: each allowance is a function below with its reason.
"""
from collections import Counter

LOCK = 3.0                # seconds; run's configuration says the same
HEARTBEAT = LOCK / 3
AGENTS = 3
# An event is in a log a moment after it happened: less than this is no overlap.
BLUR = 0.02
# A release is visible within a second (ACCEPTANCE I21); the rest is for a busy machine.
VISIBLE = 1.5
# A client that left may leave a request behind that is still before the gate (processing timeouts).
LEFT_BEHIND = 2.0

# In a calm moment the record of an answer that has begun is confirmed within this.
RECORDED = 0.5
# How long after a fault a refusal is counted as its.
AFTERMATH = 1.0
# Lines of a history that are shown.
TOLD = 60

# Agents end, or all of them.
DEATHS = ("agent-kill", "agent+link-kill", "agent+link+redis-kill", "agent-restart", "agent-other")
# With these somebody forgets what he had promised to say, or was told: a release does not wait for replicas.
FORGETS = (*DEATHS, "haproxy-kill", "redis-failover")

NOT_STORED = {401, 403, 408, 409, 425, 429}


class Violation:
    def __init__(self, kind, key, text):
        self.kind, self.key, self.text = kind, key, text

    def __repr__(self):
        return "%s: key %s (%s): %s" % (self.kind, self.key.name, self.key.policy, self.text)


def is_storable(status):
    """Stored by the preset `default`."""
    return 200 <= status < 400 or (400 <= status < 500 and status not in NOT_STORED)


def says_try_again(policy, status):
    """An answer after which the key is free: under `hold` only what surely did nothing (run: definite = 503)."""
    if status == 0 or is_storable(status):
        return False
    return status in NOT_STORED or status == 503 or policy == "release"


def faults_in(faults, begin, end, kinds=()):
    return [f for f in faults if f.begin <= end and f.end >= begin and (not kinds or f.kind.startswith(tuple(kinds)))]


def worker_was_lost(faults, proxy, begin, end):
    """A reload replaced this HAProxy's worker, and since then each agent has died: the old worker can be asked only through
    connections of before, and they are gone."""
    for reload in faults_in(faults, begin, end, ["haproxy-reload"]):
        deaths = faults_in(faults, reload.begin, end, DEATHS)
        if reload.target == proxy and (any(f.target is None for f in deaths) or len({f.target for f in deaths}) == AGENTS):
            return True
    return False


def lease_outlived(faults, first, second, proxy):
    """Nobody could extend for as long as the lock: HAProxy itself stood still, or its worker was lost."""
    return worker_was_lost(faults, proxy, first.begin, second.begin) or any(min(f.end, second.begin) - max(f.begin, first.begin) >= LOCK - HEARTBEAT
               for f in faults_in(faults, first.begin, second.begin, ["haproxy-pause"]))


def word_was_lost(faults, call, execution):
    """PROTOCOL, "What a retry can count on": HAProxy died, or its old worker was lost, before anybody confirmed the answer. An answer passes unconfirmed
    only while an agent or Redis is disturbed."""
    died = any(f.target == call.proxy for f in faults_in(faults, call.done - 0.1, execution.begin, ["haproxy-kill"]))
    died = died or worker_was_lost(faults, call.proxy, call.sent, execution.begin)
    return died and bool(faults_in(faults, call.sent, call.done, ["agent", "redis", "link"]))


def busy_until(faults, begin, end, refused):
    """Until when a duplicate may be told that something runs which ran from begin to end: where something was broken
    meanwhile, the lock runs out and a heartbeat, counted from when it works again. A claim that was refused is given back
    as soon as all works again, unless who had to do that is gone."""
    until = end + VISIBLE
    for f in sorted(faults, key=lambda f: f.begin):
        if f.begin <= until and f.end >= begin:
            lease = 0 if refused and not f.kind.startswith(FORGETS) else LOCK + HEARTBEAT
            until = max(until, max(end, f.end) + lease + VISIBLE)
    return until


def looked_whole(key, call):
    """HAProxy 2.6 ends a chunked answer that its backend cut as if it were whole, towards HTTP/2 clients (on routes that are
    not gated too). The client could not tell; the gate knows, and released. Counted by the run, not judged."""
    if not (call.h2 and call.kind == "answer" and not call.replayed):
        return False
    return any(e.number == call.number and e.how in ("closed", "killed") for e in key.executions)


def overlaps(key, faults):
    ran = sorted(key.executions, key=lambda e: e.begin)
    proxies = {c.id: c.proxy for c in key.calls}
    for i, first in enumerate(ran):
        for second in ran[i + 1:]:
            if first.end - second.begin > BLUR and not lease_outlived(faults, first, second, proxies.get(first.call)):
                yield "execution %s ended %.3f s after %s began" % (first.number, first.end - second.begin, second.number)


def after_outcome(key, faults):
    """The first call that proves that the outcome is known, against each later execution."""
    for call in sorted(key.calls, key=lambda c: c.done):
        final = call.kind == "answer" and (call.replayed or is_storable(call.status)) and not looked_whole(key, call)
        if not final and call.word not in ("outcome-not-stored", "outcome-unknown"):
            continue
        if call.word == "outcome-unknown" and not any(e.begin <= call.done for e in key.executions):
            continue  # that it was never sent may be proved late: a link that hung, an agent that died
        for e in key.executions:
            lost = key.policy == "release" and call.kind == "answer" and word_was_lost(faults, call, e)
            if e.begin > call.done and not lost:
                yield "execution %s began %.3f s after call %s was told %s" % (
                    e.number, e.begin - call.done, call.id, call.word or call.status)
                return


def answered_resent(key, faults):
    """The record says ANSWERED, and nobody can say that the answer was cut: never again (PROTOCOL, Words)."""
    ran = sorted(key.executions, key=lambda e: e.begin)
    for first, second in zip(ran, ran[1:]):
        died = any(f.begin - RECORDED <= first.end <= f.end for f in faults if f.kind == "haproxy-kill")
        calm = not faults_in(faults, first.half - AFTERMATH, first.half + RECORDED)
        if first.how == "peer" and first.streamed and is_storable(first.begun) and first.end - first.half > RECORDED and died and calm:
            yield "execution %s had begun to answer %d and was followed by %s" % (first.number, first.begun, second.number)


def replay_differs(key, faults):
    wrote = {e.number: e for e in key.executions}
    replays = set()
    for c in key.calls:
        if c.kind != "answer" or looked_whole(key, c):
            continue
        e = wrote.get(c.number)
        if not e or (e.status, e.digest, "/payments/" + e.number) != (c.status, c.digest, c.location):
            yield "call %s got %d %s of execution %s, which wrote %s" % (
                c.id, c.status, c.digest, c.number, "%d %s" % (e.status, e.digest) if e else "nothing")
        if c.replayed:
            replays.add(c.number)
            if not is_storable(c.status):
                yield "call %s got a replay of %d" % (c.id, c.status)
    if len(replays) > 1:
        yield "replays of %s" % ", ".join(sorted(replays))


def hold_resent(key, faults):
    ran = sorted(key.executions, key=lambda e: e.begin)
    for first, second in zip(ran, ran[1:]):
        if key.policy == "hold" and not says_try_again("hold", first.status):
            yield "execution %s (%s, status %d) was followed by %s" % (first.number, first.how, first.status, second.number)


def refused_but_ran(key, faults):
    calls = {c.id: c for c in key.calls}
    for e in key.executions:
        c = calls.get(e.call)
        if c and not c.h2 and (c.kind == "refused" or c.replayed):
            yield "call %s was told %s, and was execution %s" % (c.id, c.word or "a replay", e.number)


def sent_twice(key, faults):
    h2 = {c.id for c in key.calls if c.h2}
    for call, times in Counter(e.call for e in key.executions).items():
        if times > 1 and call not in h2:
            yield "call %s was %d executions" % (call, times)


def activities(key, call):
    """What a 409 of this call could be about: executions, and the other calls that may have claimed the key; begin, end, and
    whether it was refused."""
    for e in key.executions:
        if e.call != call.id or call.h2:  # such a client sends again by itself
            yield e.begin, e.end, False
    for c in key.calls:
        if c.h2 and c.word == "in-progress":  # its first try may have claimed the key, and the bank died before it wrote that down
            yield c.sent, c.done, False
        if c is call or c.replayed or (c.kind == "refused" and c.word != "unavailable"):
            continue
        yield c.sent, c.done + (LEFT_BEHIND if c.kind == "none" else 0), c.word == "unavailable"


def busy_alone(key, faults):
    for call in key.calls:
        if call.word != "in-progress":
            continue
        if not any(begin <= call.done and busy_until(faults, begin, end, refused) >= call.sent
                   for begin, end, refused in activities(key, call)):
            yield "call %s was told in-progress, %.3f s after it all" % (
                call.id, call.sent - max((end for _, end, _ in activities(key, call)), default=key.born))


def unfounded(key, faults):
    for c in key.calls:
        before = [e for e in key.executions if e.begin <= c.done]
        claims = [o for o in key.calls if o is not c and o.sent <= c.done and o.kind != "answer"]
        if c.word == "outcome-not-stored" and not before:
            yield "call %s was told outcome-not-stored, and nothing ever ran" % c.id
        elif c.word == "outcome-unknown" and (key.policy == "release" or not (before or claims)):
            yield "call %s was told outcome-unknown" % c.id
        elif c.kind == "refused" and c.word not in ("in-progress", "outcome-not-stored", "outcome-unknown", "unavailable"):
            yield "call %s was told %s" % (c.id, c.word)


def fences(key, faults):
    ran = sorted(key.executions, key=lambda e: e.begin)
    for first, second in zip(ran, ran[1:]):
        if second.fence <= first.fence:
            yield "execution %s has fence %d, %s before it %d" % (second.number, second.fence, first.number, first.fence)


def is_of_another_version(key, faults):
    """The agent that understands its record has gone: nobody else may touch that, and all that can be said is 503 (I44)."""
    return any(all(c.word == "unavailable" or c.kind in ("none", "gateway") for c in key.calls if c.sent > f.end)
               for f in faults_in(faults, key.born, key.retired, ["agent-other"]))


def stuck(key, faults):
    if key.stuck and not is_of_another_version(key, faults):
        yield "no final answer in %.1f s" % (key.retired - key.born)


RULES = {
    "overlap": overlaps,
    "after-outcome": after_outcome,
    "answered-resent": answered_resent,
    "replay-differs": replay_differs,
    "hold-resent": hold_resent,
    "refused-but-ran": refused_but_ran,
    "sent-twice": sent_twice,
    "busy-alone": busy_alone,
    "unfounded": unfounded,
    "fence": fences,
    "stuck": stuck,
}


def notes(key, faults):
    """What is worth a figure, and breaks no promise."""
    for c in key.calls:
        if looked_whole(key, c):
            yield "cut answer that HAProxy let look whole over HTTP/2"
        if c.word == "unavailable" and key.stuck:
            yield "503 of ours: a record of another version"
        elif c.word == "unavailable":
            met = faults_in(faults, c.sent - AFTERMATH, c.done)
            yield "503 of ours in or after " + met[-1].kind if met else "503 of ours without a fault"


def judge(key, faults):
    """All violations in one key's history."""
    return [Violation(kind, key, text) for kind, rule in RULES.items() for text in rule(key, faults)]


def tell(key, faults):
    """The history of a key as lines for people, in the order of time; faults that overlap it included."""
    start = min([key.born] + [e.begin for e in key.executions])
    lines = []
    for c in key.calls:
        got = c.word or ("%d%s" % (c.status, "+" if c.replayed else "") if c.status else "nothing")
        lines.append((c.sent, "call %s%s to HAProxy %d" % (c.id, " (h2)" if c.h2 else "", c.proxy)))
        lines.append((c.done, "call %s got %s %s%s" % (c.id, c.kind, got, " of " + c.number if c.number else "")))
    for e in key.executions:
        lines.append((e.begin, "EXECUTION %s of call %s, fence %d" % (e.number, e.call, e.fence)))
        if e.begun:
            lines.append((e.half, "execution %s has answered half: %d" % (e.number, e.begun)))
        if e.status:
            lines.append((e.answered, "execution %s answers %d" % (e.number, e.status)))
        lines.append((e.end, "execution %s ended: %s" % (e.number, e.how)))
    last = max(t for t, _ in lines) if lines else start
    for f in faults_in(faults, start - LOCK, last):
        target = "" if f.target is None else " %d" % f.target
        lines.append((f.begin, "fault %s%s" % (f.kind, target)))
        lines.append((f.end, "fault %s%s is over" % (f.kind, target)))
    lines = ["%10.3f  %s" % (t - start, text) for t, text in sorted(lines, key=lambda l: l[0])]
    return lines if len(lines) <= TOLD else lines[:TOLD // 2] + ["       ..."] + lines[-TOLD // 2:]
