# SPDX-License-Identifier: MIT
"""What a rate of requests needs, from what one request costs (`bench`, `scale`: what make bench and make bench-scale have written).

All functions are pure; us are microseconds of CPU for each request, of one process.
"""
import math
import re

FULL = "1,000,000 records against 1,000"
STORED = "1,000,000 stored answers of the cache against 1,000"
KEPT = "an AOF and a replica, for what writes"
# Kinds of traffic: title, variant of the bench, factors besides those of a fleet, does a request leave a record?
KINDS = [
    ("key + 1 limit, forwarded", "gated", (FULL, KEPT), True),
    ("1 limit", "limit", (FULL, KEPT), False),
    ("1 global limit, leased", "limit-leased", (), False),
    ("replay, 1 KB", "replay-1k", (FULL,), False),
    ("cache: hit, 1 KB", "hit-1k", (STORED,), False),
    ("cache: miss", "page-miss", (STORED, KEPT), False),
]
RATES = (10000, 100000, 1000000)
PARTS = ("front", "agent", "redis")
ANSWER = 200  # bytes of the answers that the variant `gated` stores


class Lacks(Exception):
    """What has not been measured, and which command does it."""


def _rows(bench):
    return {r["variant"]: r for r in bench["rows"]}


def _row(bench, variant):
    try:
        return _rows(bench)[variant]
    except KeyError:
        raise Lacks("build/bench.json lacks the variant %s: run make bench" % variant) from None


def _point(scale, series, x, part="redis"):
    for p in scale.get(series, ()):
        if p["x"] == x:
            return p[part]
    raise Lacks("build/scale.json lacks the point %s of %s: run make bench-scale" % (x, series))


def factors(bench, scale):
    """What the machine of the bench does not have, as factors (at least 1) on what it measured: title -> {part: factor}."""
    least = lambda v: max(1.0, v)
    grows = lambda series, x, y, part="redis": least(_point(scale, series, x, part) / _point(scale, series, y, part))
    return {
        "more than one HAProxy thread (2 against 1)": {"front": least(_row(bench, "gated-threads")["us"]["front"] / _row(bench, "gated")["us"]["front"])},
        "more than one agent (3 against 1)": {part: grows("agents", 3, 1, part) for part in PARTS},
        "more than one Redis (a cluster of 3 shards against 1)": {
            "redis": least(_row(bench, "gated-shards-3")["us"]["redis"] / _row(bench, "gated-shards-1")["us"]["redis"])},
        FULL: {"redis": grows("records", 1000000, 1000)},
        STORED: {part: grows("stored", 1000000, 1000, part) for part in PARTS},
        KEPT: {"redis": grows("kept", 2, 0)},
    }


def cost(bench, scale, variant, special):
    """us of each part for one request of a large fleet, with the factors that its kind names."""
    row = _row(bench, variant)
    out = {part: row["us"][part] for part in PARTS}
    for title, by in factors(bench, scale).items():
        if title in special or title not in (FULL, STORED, KEPT):
            for part, factor in by.items():
                out[part] *= factor
    return out


def seconds(text):
    """A time such as 24h in seconds; ValueError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,8})(s|min|h|d)", text)
    if not found:
        raise ValueError("%r is no time such as 30min, 24h, 7d" % text)
    return int(found[1]) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[found[2]]


def _whole(v):
    """Rounded up, but not for what is no more than an error of the calculation."""
    return math.ceil(round(v, 6))


def need(bench, scale, kind, rate, o):
    """A row of the table. o.use: share of a core that is planned with; o.answer: bytes of an answer to a request with a key; o.record: how
    long its record stays, s; o.mean: mean rate of that time against `rate`; o.shard_gb: memory of one shard."""
    title, variant, special, recorded = kind
    us, row = cost(bench, scale, variant, special), _row(bench, variant)
    more = o.answer - ANSWER if recorded else 0
    record = row["bytes_kept"] + more if recorded else 0
    memory = rate * o.mean * o.record * record
    return {"kind": title, "rate": rate, **{part: max(1, _whole(rate * us[part] / 1e6 / o.use)) for part in PARTS},
            "gbit": rate * (row["bytes_in"] + row["bytes_out"] + more) * 8 / 1e9, "record": record, "memory": memory,
            "by_memory": _whole(memory / (o.shard_gb * 1e9))}


def unit(bench, scale, kind, o):
    """How many requests a second one thread, one agent and one shard carry."""
    title, variant, special, _ = kind
    us = cost(bench, scale, variant, special)
    return {"kind": title, **{part: {"us": us[part], "rate": o.use * 1e6 / us[part] if us[part] > 0 else math.inf} for part in PARTS}}
