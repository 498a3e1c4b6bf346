# SPDX-License-Identifier: MIT
"""The variants of the closed loop, one table. Each is started once; they take turns in rounds.

`only` those that are asked for by name are started beside these: PEERS_ON_REQUEST.
"""
from sites import Silence, World

GO_TUNED = {"GOMAXPROCS": "1", "GOGC": "400"}


class Variant:
    """start: World -> Front. path, keys: what is asked (load.lua). refuses: all answers are refusals, else none is."""

    def __init__(self, name, title, start, path="/pay", keys=0, refuses=False, short=False):
        self.name, self.title, self.start, self.path, self.keys = name, title, start, path, keys
        self.refuses, self.short = refuses, short


def _silent(world):
    world.silence = Silence()  # lives as long as the world
    return world.silence.port


VARIANTS = [
    Variant("alone", "HAProxy alone", World.alone, short=True),
    Variant("noop-request", "no-op agent, request", lambda w: w.noop(False)),
    Variant("noop", "no-op agent, request + response", lambda w: w.noop(True)),
    Variant("noop-table", "the shipped lines, no-op agent, no table", lambda w: w.noop_gate(False)),
    Variant("noop-gate", "the shipped lines, no-op agent", World.noop_gate, short=True),
    Variant("limit", "one limit", lambda w: w.once("limit")),
    Variant("idempotency", "idempotency", lambda w: w.once("idempotency")),
    Variant("gated", "idempotency + 1 limit", lambda w: w.once("gated"), short=True),
    Variant("gated-threads", "the same, HAProxy nbthread 2", lambda w: w.once("gated", threads=2)),
    Variant("gated-agents-2", "the same, 2 agents", lambda w: w.once("gated", agents=2)),
    Variant("gated-agents-3", "the same, 3 agents", lambda w: w.once("gated", agents=3)),
    Variant("gated-64k", "the same, tune.bufsize 65536", lambda w: w.once("gated", bufsize=65536)),
    Variant("replay-1k", "replay, 1 KB", lambda w: w.once("gated"), "/pay/1k", 200),
    Variant("replay-12k", "replay, 12 KB", lambda w: w.once("gated"), "/pay/12k", 200),
    Variant("busy", "409: in progress", lambda w: w.once("idempotency", backend=_silent(w)), keys=1, refuses=True),
    Variant("refused", "429: refused without Redis", lambda w: w.once("refused"), refuses=True, short=True),
    Variant("gateway", "the reference gateway: JWT (RS256), role, 4 limits, key", lambda w: w.gateway("jwt"), "/shop/order", short=True),
    Variant("gateway-api-key", "the same with an API key", lambda w: w.gateway("api-key"), "/shop/order"),
    Variant("go-tuned", "Go agent, rueidis, tuned", lambda w: w.peer_agent("rueidis", GO_TUNED), short=True),
    Variant("go-redis", "Go agent, go-redis", lambda w: w.peer_agent("go-redis")),
    Variant("nginx", "nginx + Lua", World.nginx, short=True),
]
PEERS_ON_REQUEST = [
    Variant("go-rueidis", "Go agent, rueidis", lambda w: w.peer_agent("rueidis")),
]
