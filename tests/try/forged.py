# SPDX-License-Identifier: MIT
"""The compose system on paper, for the judge's own trial (test_rules.py): the same words as system.System and load.Attack, a clock that
only moves when somebody waits, a ledger, and flaws that can be put into it.

    Forged()     keeps every promise          Forged(gate=False)     agents let everything pass; the other flaws: `FLAWS`

Requests of an attack are played in order, each at its own moment, whenever the clock is read behind them: what is switched off or killed
meanwhile meets those that come later."""
from load import Seen

LIMIT = 6
# name: its value in a whole system
FLAWS = {
    "gate": True,            # agents decide; else everything is forwarded
    "shared": True,          # the gateways know the same keys
    "charges_each": 1,       # that the backend makes for a request
    "forgets": (),           # of an attack's payments, those (by seq) that are answered 201 and not charged
    "odd": {},               # of an attack's requests, those (by seq) that get this status instead
    "leaks": (),             # of an attack's requests, those (by seq) that the backend sees besides
    "latency_ms": 3.0,
    "slowest_ms": 3.0,       # every fiftieth request
    "replays": True,         # finished keys get their answer; else 409
    "limited": LIMIT,        # requests that the limit lets pass
    "redis_of_refusal": 0.0, "redis_of_replay": 0.02,  # commands
    "fail_open": False,      # without Redis payments are made
    "risks": False,          # without Redis, and behind a kill, they are refused, but forwarded: a 503 that charged
    "refusal": 503,          # how they are refused then
    "pipes": True,           # the pipes lead to Redis; else agents have a way of their own
    "hint": "1",             # Retry-After of a 503
    "refusal_ms": 300,
    "outage": 1.5,           # seconds for which a kill is felt
    "lasting": False,        # what was refused once is refused for ever
    "runs_again": False,     # at a kill the key that was paid before it is charged again
    "down_after_cut": 0.0,   # seconds for which payments are refused after Redis is back
    "cut_looks_whole": False, "released_after": 0.05,  # of a backend that was cut off: its answer, its key (seconds)
    "retry_charges": 1,      # that the retry behind the cut makes
}


class Clock:
    """time, as the scenarios use it."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    def time_ns(self):
        return int(self.now * 1e9)

    def sleep(self, seconds):
        self.now += seconds


class Forged:
    project = "forged"

    def __init__(self, **flaws):
        unknown = set(flaws) - set(FLAWS)
        assert not unknown, unknown
        self.__dict__.update(FLAWS, **flaws)
        self.clock = Clock()
        self.attacks, self.ledger, self.done_at, self.used, self.refused = [], {}, {}, {}, set()
        self.off, self.redis_ms, self.cut, self.down_until, self.busy_until = set(), 0, False, 0.0, {}
        self.sent, self.commands = 0, 0.0

    # what the scenarios do to it

    def catch_up(self):
        for attack in self.attacks:
            attack.play(self.clock.now)

    def signal(self, service, name):
        self.catch_up()
        if name == "KILL":
            self.down_until = self.clock.now + self.outage
            if self.runs_again and self.ledger:
                self.ledger[list(self.ledger)[-1]] += 1

    def start(self, service):
        self.catch_up()

    def forget_ports(self):
        pass

    def primary(self):
        return "redis1"

    def switch(self, pipe, on):
        self.catch_up()
        if on and pipe in self.off and pipe.startswith("redis"):
            self.down_until = self.clock.now + self.down_after_cut
        (self.off.discard if on else self.off.add)(pipe)

    def toxic(self, pipe, kind, stream="downstream", **attributes):
        self.catch_up()
        if pipe == "backend_pipe":
            self.cut = kind == "limit_data"
        else:
            self.redis_ms = attributes["latency"]

    def heal(self):
        self.catch_up()
        self.off, self.redis_ms, self.cut = set(), 0, False

    def wait_until_paid(self, seconds):
        self.clock.sleep(0.1)
        return 0.1

    # what it says

    def charges(self, key=None, prefix=""):
        self.catch_up()
        if key is not None:
            return {"charges": self.ledger.get(key, 0)}
        of = {k: n for k, n in self.ledger.items() if k.startswith(prefix) and n}
        return {"charges": sum(of.values()), "keys": len(of), "twice": [k for k, n in of.items() if n > 1]}

    def forwarded(self):
        return self.sent

    def redis_commands(self):
        return int(self.commands)

    # what it does

    def pay(self, key, gateway="balancer", timeout=20, **headers):
        self.catch_up()
        code, replayed, ms = self.payment(key, gateway, self.clock.now)
        self.clock.sleep(ms / 1000)
        return code, {"Idempotent-Replayed": "true"} if replayed else {}, b"{}"

    def payment(self, key, gateway, when, lasts=0.0):
        """(status, replayed, ms)."""
        no_redis = self.pipes and ({"redis1_pipe", "redis2_pipe"} <= self.off or self.redis_ms >= 300)
        if (when < self.down_until or no_redis) and not (self.fail_open and no_redis) or key in self.refused:
            if self.lasting:
                self.refused.add(key)
            if self.risks:
                self.charge(key)
            return self.refusal, False, self.refusal_ms
        ms = self.latency_ms + (self.redis_ms if self.pipes else 0)
        place = key if self.shared else (key, gateway)
        if not self.gate:
            self.charge(key)
            return 201, False, ms
        if when < self.busy_until.get(place, 0):
            return 409, False, ms
        if place in self.done_at:
            self.commands += self.redis_of_replay
            replayed = self.replays and when >= self.done_at[place]
            return (201, True, ms) if replayed else (409, False, ms)
        self.commands += 1
        if self.cut:
            self.charge(key)
            self.busy_until[place] = when + self.released_after
            return 201 if self.cut_looks_whole else 502, False, ms
        self.charge(key, self.retry_charges if key in self.ledger else 1)
        self.done_at[place] = when + lasts
        return 201, False, ms + 1000 * lasts

    def charge(self, key, times=1):
        self.sent += 1
        self.ledger[key] = self.ledger.get(key, 0) + self.charges_each * times

    def quote(self, client):
        used = self.used[client] = self.used.get(client, 0) + 1
        if used <= self.limited:
            self.sent += 1
            self.commands += 1
            return 200
        self.commands += self.redis_of_refusal
        return 429

    def attack(self, name, words, rate, label=None, timeout="20s"):
        made = Attack(self, name, words, rate, timeout)
        self.attacks.append(made)
        return made


class Attack:
    """One attack: request i at its beginning + i / rate."""

    def __init__(self, system, name, words, rate, timeout):
        self.system, self.name, self.words, self.rate = system, name, list(words), rate
        self.patience = float(timeout[:-2]) if timeout.endswith("ms") else 1000 * float(timeout[:-1])
        self.began, self.each = system.clock.now, []

    def play(self, now):
        while len(self.each) < len(self.words) and self.began + len(self.each) / self.rate <= now:
            self.each.append(self.request(len(self.each)))

    def request(self, seq):
        words, system, when = self.words[seq], self.system, self.began + seq / self.rate
        system.sent += seq in system.leaks
        if self.name.startswith("quotes"):
            return self.seen(seq, system.quote(words["client"]), False, system.latency_ms)
        gateway = ("gateway1", "gateway2")[seq % 2] if self.name == "double-click" else "gateway1"
        code, replayed, ms = system.payment(words["key"], gateway, when, 2.0 if self.name == "lag" else 0.0)
        if seq in system.forgets and code == 201:
            system.ledger.pop(words["key"], None)
        return self.seen(seq, code, replayed, system.slowest_ms if seq % 50 == 49 and ms < system.slowest_ms else ms)

    def seen(self, seq, code, replayed, ms):
        if ms > self.patience:
            code, replayed, ms = 0, False, self.patience
        code = self.system.odd.get(seq, code)
        return {"code": code, "seq": seq, "latency": ms * 1e6, "replayed": replayed, "retry_after": self.system.hint if code == 503 else None}

    def wait(self):
        self.system.clock.now = max(self.system.clock.now, self.began + len(self.words) / self.rate)
        self.play(self.system.clock.now)
        return Shown(self.each)


class Shown(Seen):
    def show(self):
        pass
