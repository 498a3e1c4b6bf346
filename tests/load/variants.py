# SPDX-License-Identifier: MIT
"""The variants of the closed loop, one table. Each is started once; they take turns in rounds.

ON_REQUEST only run where they are asked for, by name or as one of GROUPS.
"""
from sites import Silence, World

GO_TUNED = {"GOMAXPROCS": "1", "GOGC": "400"}


class Variant:
    """start: World -> Front. method, path, keys: what is asked (load.lua). forwards: how many of its requests reach the application.
    refuses: all answers are refusals, else none is."""

    def __init__(self, name, title, start, path="/pay", keys=0, method="POST", forwards=1, refuses=False, short=False):
        self.name, self.title, self.start = name, title, start
        self.asks = {"path": path, "keys": keys, "method": method}
        self.forwards, self.refuses, self.short = forwards, refuses, short


def _silent(world):
    world.silence = Silence()  # lives as long as the world
    return world.silence.port


def _page(name, title, start, path="/page/1k", keys=200, **more):
    return Variant(name, title, start, path, keys, "GET", **{"forwards": 0, **more})


VARIANTS = [
    Variant("alone", "HAProxy alone", World.alone, short=True),
    Variant("noop-request", "no-op agent, request", lambda w: w.noop(False)),
    Variant("noop", "no-op agent, request + response", lambda w: w.noop(True)),
    Variant("noop-table", "the shipped lines, no-op agent, no table", lambda w: w.noop_gate(False)),
    Variant("noop-gate", "the shipped lines, no-op agent", World.noop_gate, short=True),
    Variant("idempotency", "idempotency", lambda w: w.once("idempotency")),
    Variant("gated", "idempotency + 1 limit", lambda w: w.once("gated"), short=True),
    Variant("gated-threads", "the same, HAProxy nbthread 2", lambda w: w.once("gated", threads=2)),
    Variant("gated-agents-2", "the same, 2 agents", lambda w: w.once("gated", agents=2)),
    Variant("gated-agents-3", "the same, 3 agents", lambda w: w.once("gated", agents=3)),
    Variant("gated-shards-1", "the same, a cluster of 1 shard", lambda w: w.once("gated", shards=1)),
    Variant("gated-shards-3", "the same, a cluster of 3 shards", lambda w: w.once("gated", shards=3)),
    Variant("gated-64k", "the same, tune.bufsize 65536", lambda w: w.once("gated", bufsize=65536)),
    Variant("replay-1k", "replay, 1 KB", lambda w: w.once("gated"), "/pay/1k", 200, forwards=0),
    Variant("replay-12k", "replay, 12 KB", lambda w: w.once("gated"), "/pay/12k", 200, forwards=0),
    Variant("replay-asked", "replay, 1 KB, each asked in Redis", lambda w: w.once("charged"), "/pay/1k", 200, forwards=0),
    Variant("busy", "409: in progress", lambda w: w.once("idempotency", backend=_silent(w)), keys=1, forwards=0, refuses=True),
    Variant("refused", "429: refused without Redis", lambda w: w.once("refused"), forwards=0, refuses=True, short=True),
    Variant("unlimited", "no limit: the agent is asked, and lets pass", lambda w: w.once("unlimited")),
    Variant("limit", "one limit, by address", lambda w: w.once("limit")),
    Variant("limit-global", "one limit, global", lambda w: w.once("global")),
    Variant("limit-leased", "one limit, global, leased", lambda w: w.once("leased"), short=True),
    _page("page-alone", "GET: HAProxy alone", World.alone, "/page", forwards=1),
    _page("page-miss", "GET: miss, and stored", World.cached, "/page", 0, forwards=1),
    _page("hit-1k", "GET: hit, 1 KB, from Redis", World.cached, short=True),
    _page("hit-12k", "GET: hit, 12 KB, from Redis", World.cached, "/page/12k"),
    _page("hit-local", "GET: hit, 1 KB, from HAProxy's cache in front", lambda w: w.cached(local=True), keys=1),
    _page("haproxy-cache", "GET: hit, 1 KB, HAProxy's cache alone", World.haproxy_cache, keys=1),
    _page("nginx-cache", "GET: hit, 1 KB, nginx + Lua asking Redis", World.nginx, short=True),
    Variant("gateway", "the reference gateway: JWT (RS256), role, 4 limits, key", lambda w: w.gateway("jwt"), "/shop/order", short=True),
    Variant("gateway-api-key", "the same with an API key", lambda w: w.gateway("api-key"), "/shop/order"),
    Variant("go-tuned", "Go agent, rueidis, tuned", lambda w: w.peer_agent("rueidis", GO_TUNED), short=True),
    Variant("go-redis", "Go agent, go-redis", lambda w: w.peer_agent("go-redis")),
    Variant("nginx", "nginx + Lua", World.nginx, short=True),
]
ON_REQUEST = [
    Variant("go-rueidis", "Go agent, rueidis", lambda w: w.peer_agent("rueidis")),
    Variant("haproxy-lua", "HAProxy's own Lua", World.haproxy_lua),
    Variant("go-proxy", "Go reverse proxy, rueidis", lambda w: w.go_proxy("rueidis")),
    Variant("go-proxy-redis", "Go reverse proxy, go-redis", lambda w: w.go_proxy("go-redis")),
]
GROUPS = {
    "peers": ["alone", "gated", "go-tuned", "go-rueidis", "go-redis", "haproxy-lua", "nginx", "go-proxy", "go-proxy-redis"],
    "cache": ["alone", "gated", "replay-1k", "replay-12k", "replay-asked", "page-alone", "page-miss", "hit-1k", "hit-12k", "hit-local", "haproxy-cache", "nginx-cache"],
    "limits": ["unlimited", "limit", "limit-global", "limit-leased"],
    "agents": ["gated", "gated-agents-2", "gated-agents-3"],
    "shards": ["gated", "gated-shards-1", "gated-shards-3"],
}
EVERY = {v.name: v for v in VARIANTS + ON_REQUEST}
