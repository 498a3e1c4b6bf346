# SPDX-License-Identifier: MIT
"""The targets, one table: what it is, limit, which way, and how the value follows from what was measured.

A value is a function of `m`, the medians by variant's id (see variants.py), and `x`, what was measured besides. One that needs what
was left out has no value, and is said to be left out.
"""
from variants import GROUPS


def _peers(m):
    return [m[v] for v in GROUPS["peers"] if v in m and v not in ("alone", "gated")]


def _best(m):
    return min(p["us"]["sum"] for p in _peers(m))


def _sum(m, variant):
    return m[variant]["us"]["sum"]


def _against(variant, other):
    """CPU of HAProxy, agent and Redis for a request, of one variant against another one."""
    return lambda m, x: _sum(m, variant) / _sum(m, other)


# Name, limit (None: to be printed), "<=" or ">=", unit, value.
TARGETS = [
    ("HAProxy, gated, against the same with a no-op agent", 1.10, "<=", "x", lambda m, x: m["gated"]["us"]["front"] / m["noop-gate"]["us"]["front"]),
    ("HAProxy + agent + Redis, gated, against the best peer", 0.80, "<=", "x", lambda m, x: m["gated"]["us"]["sum"] / _best(m)),
    ("HAProxy + agent + Redis, gated, against the Go agent on go-redis", 0.55, "<=", "x", lambda m, x: m["gated"]["us"]["sum"] / m["go-redis"]["us"]["sum"]),
    ("agent, gated, 64 concurrent", 7, "<=", "us", lambda m, x: m["gated"]["us"]["agent"]),
    ("agent, gated, against the tuned Go agent", 0.35, "<=", "x", lambda m, x: m["gated"]["us"]["agent"] / m["go-tuned"]["us"]["agent"]),
    ("agent, one limit without idempotency", 4, "<=", "us", lambda m, x: m["limit"]["us"]["agent"]),
    ("in-flight table, checks, polling: HAProxy", 4, "<=", "us", lambda m, x: m["noop-gate"]["us"]["front"] - m["noop-table"]["us"]["front"]),
    ("in-flight table: HAProxy, three agents against one", 1.05, "<=", "x", lambda m, x: m["gated-agents-3"]["us"]["front"] / m["gated"]["us"]["front"]),
    ("codec: NOTIFY decode + ACK encode", 100, "<=", "ns", lambda m, x: x["codec"]["codec_ns"]),
    ("codec: allocations", 0, "<=", "", lambda m, x: x["codec"]["allocations"]),
    ("Redis, gate with 1 limit + complete of 1 KB, against the bare scripts", 1.25, "<=", "x",
     lambda m, x: x["floor"]["gated complete"]["us"] / x["floor"]["bare complete"]["us"]),
    ("gated requests a second against HAProxy alone", 0.45, ">=", "x", lambda m, x: m["gated"]["rate"] / m["alone"]["rate"]),
    ("gated requests a second against the fastest peer", 1.0, ">=", "x", lambda m, x: m["gated"]["rate"] / max(p["rate"] for p in _peers(m))),
    ("added at 1 connection, p50", 0.25, "<=", "ms", lambda m, x: x["one"]["gated"]["p50"] - x["one"]["alone"]["p50"]),
    ("added at 1 connection, p99", 1, "<=", "ms", lambda m, x: x["one"]["gated"]["p99"] - x["one"]["alone"]["p99"]),
    ("p99 at 5,000 requests/s", 5, "<=", "ms", lambda m, x: x["open"]["5000"]["p99"]),
    ("refusal by Redis against one without it (agent + Redis)", 5, ">=", "x",
     lambda m, x: x["refusals"]["redis"]["us"] / x["refusals"]["local"]["us"]),
    ("agent's memory, idle", 15, "<=", "MB", lambda m, x: x["memory"]["agent"]),
    ("agent's memory, for each request in flight", 2, "<=", "KB", lambda m, x: x["memory"]["agent_in_flight"]),
    ("decision at 1,000,000 records against 1,000: Redis", 1.2, "<=", "x", lambda m, x: x["records"]["1000000"]["us"] / x["records"]["1000"]["us"]),
    ("M3.19: added at 64 connections, p50", 5, "<=", "ms", lambda m, x: m["gated"]["p50"] - m["alone"]["p50"]),
    ("M3.19: added at 64 connections, p99", 20, "<=", "ms", lambda m, x: m["gated"]["p99"] - m["alone"]["p99"]),
    ("M3.19: HAProxy + agent, idle", 50, "<=", "MB", lambda m, x: x["memory"]["agent"] + x["memory"]["front"]),
    ("M3.19: cores for 50,000 requests/s (scaled from CPU; HAProxy + agent + Redis)", None, "", "cores",
     lambda m, x: 50000 * m["gated"]["us"]["sum"] / 1e6),
    ("M5.10: 12,000 requests/s, p50", 8, "<=", "ms", lambda m, x: x["open"]["12000"]["p50"]),
    ("M5.10: 12,000 requests/s, p95", 35, "<=", "ms", lambda m, x: x["open"]["12000"]["p95"]),
    ("M5.10: 12,000 requests/s, p99", 75, "<=", "ms", lambda m, x: x["open"]["12000"]["p99"]),
    ("M5.10: HAProxy + agent at that rate", 320, "<=", "MB", lambda m, x: sum(x["open"]["12000"]["mb"].values())),
    ("M5.10: CPU at 1,000 requests/s (HAProxy + agent + Redis)", 25, "<=", "% of a core",
     lambda m, x: x["open"]["1000"]["us"]["sum"] * 1000 / 1e4),
    ("2 agents against 1: CPU of a decision (HAProxy + agents + Redis)", 1.10, "<=", "x", _against("gated-agents-2", "gated")),
    ("3 agents against 1: CPU of a decision (HAProxy + agents + Redis)", 1.10, "<=", "x", _against("gated-agents-3", "gated")),
    ("three shards against one, both a cluster: Redis' CPU of a decision", 1.10, "<=", "x",
     lambda m, x: m["gated-shards-3"]["us"]["redis"] / m["gated-shards-1"]["us"]["redis"]),
    ("a leased global limit adds to none (HAProxy + agent + Redis)", 0.5, "<=", "us", lambda m, x: _sum(m, "limit-leased") - _sum(m, "unlimited")),
    ("a global limit that each request asks for adds (HAProxy + agent + Redis)", None, "", "us", lambda m, x: _sum(m, "limit-global") - _sum(m, "unlimited")),
    ("Redis' commands, leased against asked", 0.02, "<=", "x", lambda m, x: m["limit-leased"]["commands"] / m["limit-global"]["commands"]),
    ("cache: a hit of 1 KB from Redis against a replay (whose key is remembered for a second)", 1.10, "<=", "x", _against("hit-1k", "replay-1k")),
    ("cache: a hit of 12 KB from Redis against a replay", 1.10, "<=", "x", _against("hit-12k", "replay-12k")),
    ("cache: a hit of 1 KB against a replay that asks Redis too", None, "", "x", _against("hit-1k", "replay-asked")),
    ("cache: a hit of 1 KB against nginx + Lua asking Redis", 2.0, "<=", "x", _against("hit-1k", "nginx-cache")),
    ("cache: a hit from HAProxy's cache in front against HAProxy's cache alone", 1.15, "<=", "x", _against("hit-local", "haproxy-cache")),
    ("cache: what a miss adds to a GET against what the gate adds to a POST", 1.2, "<=", "x",
     lambda m, x: (_sum(m, "page-miss") - _sum(m, "page-alone")) / (_sum(m, "gated") - _sum(m, "alone"))),
    ("the whole reference gateway against HAProxy alone: CPU of all", None, "", "x", lambda m, x: m["gateway"]["us"]["sum"] / m["alone"]["us"]["sum"]),
    ("the whole reference gateway against the gate alone: CPU of all", None, "", "x", lambda m, x: m["gateway"]["us"]["sum"] / m["gated"]["us"]["sum"]),
    ("the whole reference gateway with an API key against the gate alone: CPU of all", None, "", "x",
     lambda m, x: m["gateway-api-key"]["us"]["sum"] / m["gated"]["us"]["sum"]),
    ("tune.bufsize 65536 against 16384: CPU of all", None, "", "x", lambda m, x: m["gated-64k"]["us"]["sum"] / m["gated"]["us"]["sum"]),
    ("HAProxy's memory for each request in flight, 16384", None, "", "KB", lambda m, x: x["in_flight"]["16k"]["haproxy_kb"]),
    ("HAProxy's memory for each request in flight, 65536", None, "", "KB", lambda m, x: x["in_flight"]["64k"]["haproxy_kb"]),
]


def judge(medians, others):
    """Rows {name, limit, unit, value, met}; value and met None where it was left out."""
    rows = []
    for name, limit, way, unit, value in TARGETS:
        try:
            v = value(medians, others)
        except (KeyError, ValueError):
            v = None
        met = None if v is None or limit is None else v <= limit if way == "<=" else v >= limit
        rows.append({"name": name, "limit": "printed," if limit is None else "%s %g" % (way, limit), "unit": unit, "value": None if v is None else round(v, 3), "met": met})
    return rows
