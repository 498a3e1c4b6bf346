# SPDX-License-Identifier: MIT
"""The tables of the documentation, as lines of Markdown, from what make bench (`bench`) and make bench-scale (`scale`) have written."""
import re
import statistics

import demand

QUIET = 0.1  # of the CPU may be others'
KEPT = 0.95  # of a fixed rate must be answered
# Series of make bench-scale.
LABELS = {
    "in flight": "requests in flight beside the load", "connections": "connections of the load", "agents": "agents", "shards": "shards of a cluster",
    "limits": "limits, besides idempotency", "body": "bytes of the answer", "records": "records in Redis (a claim, Redis alone)",
    "stored": "stored answers of the cache (a hit)", "kept": "what Redis keeps: 0 nothing, 1 an AOF (everysec), 2 an AOF and a replica (claim and complete, Redis alone)",
}


def table(heads, rows):
    line = lambda cells: "| %s |" % " | ".join(cells)
    return [line(heads), "|---" * len(heads) + "|", *map(line, rows)]


def _us(v):
    return "%.1f" % v if v >= 0.3 else "-"


def variants(bench):
    """All rows of the closed loop."""
    return table(("variant", "HAProxy", "agent", "Redis", "sum", "spread", "req/s", "p50", "p99 ms", "agent MB", "Redis' commands"), [
        (r["title"], _us(r["us"]["front"]), _us(r["us"]["agent"]), _us(r["us"]["redis"]), "%.1f" % r["us"]["sum"], "%.0f-%.0f" % tuple(r["spread"]),
         "%.0f" % r["rate"], "%.2f" % r["p50"], "%.2f" % r["p99"], "%.1f" % r["mb"]["agent"] if r["mb"]["agent"] else "-",
         "%.2f" % r["commands"] if r["commands"] >= 0.005 else "-") for r in bench["rows"]])


def targets(bench):
    return table(("target", "limit", "value", "met"), [
        (t["name"], ("%s %s" % (t["limit"], t["unit"])).strip(), "left out" if t["value"] is None else "%g" % t["value"],
         {True: "yes", False: "**no**", None: "-"}[t["met"]]) for t in bench["targets"]])


def busy(bench):
    """Share of the CPU that others used, the median of all rows."""
    return statistics.median(r["others"] for r in bench["rows"]) if bench["rows"] else 0


def run(bench):
    """On what, and how quiet it was."""
    m, others = bench["machine"], busy(bench)
    missed = [t["name"] for t in bench["targets"] if t["met"] is False]
    text = ["%d cores (%s, %s), %s, %s; rounds: %d, of %g s. Other programs used %.0f %% of the CPU meanwhile%s" % (
        m["cores"], m["cpu"], m["kernel"], re.sub(r" \d{4}/.*", "", m["haproxy"]), re.sub(r" sha=.*", "", m["redis"]), m["rounds"], m["seconds"], 100 * others,
        "." if others <= QUIET else ": **rates and latencies say little, microseconds are too large**; ratios within one process are the least wrong.")]
    slow = ["%s (%.0f)" % (rate, s["rate"]) for rate, s in bench.get("others", {}).get("open", {}).items() if s["rate"] < KEPT * int(rate)]
    if slow:
        text.append("Fixed rates that were not kept, so that their latencies are those of a full queue: %s requests/s." % ", ".join(slow))
    if bench["left_out"]:
        text.append("Left out: %s." % ", ".join(sorted(bench["left_out"])))
    text.append("%d of %d targets are met%s" % (sum(t["met"] is True for t in bench["targets"]), sum(t["met"] is not None for t in bench["targets"]),
                                               "; not: %s." % "; ".join(missed) if missed else "."))
    return text


def growth(scale):
    """How the cost grows: a table for each series, its parts in us of a request."""
    lines = []
    for series, label in LABELS.items():
        points = scale.get(series)
        if not points:
            continue
        parts = [p for p in ("sum", "front", "agent", "redis", "p99") if p in points[0]]
        names = {"sum": "us a request", "front": "HAProxy", "agent": "agent", "redis": "Redis", "p99": "p99 ms"}
        lines += ["", *table((label, *(names[p] for p in parts)), [("{:,}".format(p["x"]), *("%.1f" % p[part] for part in parts)) for p in points])]
    return lines[1:]


def _rate(v):
    return "{:,.0f}".format(float("%.2g" % v)) if v < 1e7 else "-"


def units(bench, scale, o):
    """What one thread, one agent, one shard carry."""
    rows = [demand.unit(bench, scale, kind, o) for kind in demand.KINDS]
    cell = lambda part: "%s (%.1f us)" % (_rate(part["rate"]), part["us"])
    return table(("a second, at %.0f %% of a core" % (100 * o.use), "one HAProxy thread", "one agent", "one Redis"), [
        (r["kind"], *(cell(r[p]) if r[p]["us"] >= 0.05 else "-" for p in demand.PARTS)) for r in rows])


def _bytes(v):
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if v >= size:
            return "%.3g %s" % (v / size, unit)
    return "-"


def sizing(bench, scale, o):
    """What the rates need."""
    rows = [demand.need(bench, scale, kind, rate, o) for rate in o.rates for kind in demand.KINDS]
    return table(("requests/s", "each of them", "HAProxy threads", "agents", "Redis, by CPU", "to and from Redis", "records", "Redis, by memory"), [
        ("{:,}".format(r["rate"]), r["kind"], str(r["front"]), str(r["agent"]), str(r["redis"]), "%.2g Gbit/s" % r["gbit"], _bytes(r["memory"]),
         str(r["by_memory"]) if r["memory"] else "-") for r in rows])


def assumed(bench, scale, o):
    """What the table rests on."""
    record = demand.need(bench, scale, demand.KINDS[0], 1, o)["record"]
    lines = ["* A record with an answer of %d bytes takes %.0f bytes in Redis, and stays for %g h; mean rate of that time: %g of the rate. A Redis of %g GB, %.0f %% of a core." % (
        o.answer, record, o.record / 3600, o.mean, o.shard_gb, 100 * o.use)]
    for title, by in demand.factors(bench, scale).items():
        lines.append("* %s: %s." % (title, ", ".join("%s x %.2f" % ({"front": "HAProxy", "agent": "agent", "redis": "Redis"}[p], f) for p, f in by.items())))
    return lines
