# SPDX-License-Identifier: MIT
"""What a variant runs on: Redis, the application, and for each variant its own HAProxy (or nginx) and agents.

    wrk, vegeta ──► front (HAProxy, nginx) ──► application (a HAProxy that answers by itself)
                       └──► agents ──► Redis

All of them run from the beginning to the end; only the one that is measured has anything to do.
"""
import grp
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import stores
from processes import Missing, Process, ask, ask_port, free_port, until

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ATTACH = ROOT / "haproxy-conf" / "attach"
GATEWAY = ROOT / "haproxy-conf" / "gateway"
BUILD = ROOT / "build"
PROGRAMS = BUILD / "release" / "tests" / "load"
SIZES = {"": 200, "/1k": 1024, "/12k": 12288, "/empty": 0}

DEFAULTS = """defaults
    mode http
    timeout connect 1s
    timeout client  30s
    timeout server  30s
"""


class Silence:
    """An application that takes every connection and never answers."""

    def __init__(self):
        self._socket, self._taken = socket.socket(), []
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(4096)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        try:
            while True:
                self._taken.append(self._socket.accept()[0])
        except OSError:
            pass  # it is over

    def end(self):
        self._socket.close()
        for s in self._taken:
            s.close()


def bare(name):
    """A shipped file without its comments and empty lines."""
    return "".join(line + "\n" for line in (ATTACH / name).read_text().splitlines()
                   if line.strip() and not line.lstrip().startswith("#"))


def without(text, *patterns):
    return "".join(line + "\n" for line in text.splitlines() if not any(re.search(p, line) for p in patterns))


# What the in-flight table costs HAProxy: these lines, and that it is polled.
TABLE_LINES = (r"track-sc", r"sc-set-gpt0", r"once_tracked", r"stick-table", r"backend once_(inflight|unsettled)")


class Front:
    """What a variant is reached at, whose CPU counts as which, headers (`Name: value`) that its requests need, and what keeps its records
    if that is not the world's Redis."""

    def __init__(self, port, front, agents=(), headers=(), store=None):
        self.port, self.front, self.agents, self.headers, self.store = port, front, list(agents), list(headers), store

    def pids(self, world):
        """Of the processes whose CPU is counted, by what they are."""
        return {"front": [self.front.pid], "agent": [a.pid for a in self.agents], "redis": (self.store or world.store).pids}


class World:
    def __init__(self, agent, only_agents=False):
        self.folder = Path(tempfile.mkdtemp(prefix="once-bench."))
        self.agent, self._started, self._n = Path(agent), [], 0
        self.redis_socket = self.folder / "redis.sock"
        try:
            self._start_common(only_agents)
        except BaseException:
            self.end()
            raise

    def _start_common(self, only_agents):
        self.store = stores.alone(self._start, self.folder, self.redis_socket)
        if not only_agents:
            self.application_port, self._application_socket = free_port(), self.folder / "application.sock"
            self.application = self._start("application", ["haproxy", "-db", "-f", self._application()], self.application_port)

    def _start(self, name, argv, listens, env=()):
        process = Process(name, argv, self.folder / (name + ".log"), listens, env)
        self._started.append(process)
        return process

    def _application(self):
        """Answers with so many bytes, by the path's end: 201, a GET with 200 that may be stored for an hour."""
        lines = []
        for path, size in SIZES.items():
            body = self.folder / ("body%d" % size)
            body.write_text("y" * size)
            answer = " content-type application/json file %s" % body if size else ""
            ends = " { path_end %s }" % path if path else ""
            lines.append("    http-request return status 200 hdr Cache-Control max-age=3600%s if { method GET }%s\n"
                         "    http-request return status 201%s%s\n" % (answer, ends, answer, " if" + ends if ends else ""))
        conf = self.folder / "application.cfg"
        conf.write_text("global\n    nbthread 1\n    maxconn 8000\n    stats socket %s\n" % self._application_socket + DEFAULTS +
                        "frontend application\n    bind 127.0.0.1:%d\n" % self.application_port + "".join(lines[1:] + lines[:1]))
        return conf

    def application_requests(self):
        """How many it has had so far."""
        said = ask(self._application_socket, b"show info\n", b"\n\n")
        return int(re.search(rb"CumReq: (\d+)", said)[1])

    def _folder(self, name):
        self._n += 1
        folder = self.folder / ("%02d-%s" % (self._n, re.sub(r"\W+", "-", name)))
        folder.mkdir()
        return folder

    def redis_do(self, *words):
        return self.store.each(*words)[0]

    # ---- fronts

    def alone(self):
        """HAProxy without anything."""
        return self._haproxy("alone", "frontend bench\n    bind 127.0.0.1:@PORT@\n    default_backend application\n", ())

    def once_agent(self, folder, shield=65536, haproxy=None, seeds=()):
        """seeds: of the cluster that it asks; none: the world's Redis."""
        env = {"ONCE_RUN": str(folder), "ONCE_REDIS": str(self.redis_socket), "ONCE_SHIELD": str(shield),
               "ONCE_HAPROXY": str(haproxy or folder)}
        agent = self._start(folder.name + "-agent", [self.agent, "-f", self._site(folder, seeds) if seeds else HERE / "site.conf"],
                            folder / "spop.sock", env)
        until(lambda: b" 200 " in ask(folder / "http.sock", b"GET /health/readiness HTTP/1.0\r\n\r\n", b"\r\n"), agent.name)
        return agent

    @staticmethod
    def _site(folder, seeds):
        """site.conf for agents of a cluster, which keeps no cached answers."""
        conf = without((HERE / "site.conf").read_text(), r"cache = \{ ttl")
        conf = re.sub(r"^redis .*$", "redis = { mode = \"cluster\"; seeds = [ %s ]; };" % ", ".join('"%s"' % s for s in seeds), conf, flags=re.M)
        (folder / "site.conf").write_text(conf)
        return folder / "site.conf"

    def once(self, policy, agents=1, threads=1, bufsize=None, backend=None, hangs=None, shards=0):
        """The shipped lines around one policy. backend, hangs: port of another application, for all or for the path /hang. shards: of a
        cluster; 0: the world's Redis."""
        folder = self._folder(policy)
        homes = [folder] + [self._folder(policy) for _ in range(agents - 1)]
        store = stores.cluster(self._start, self._folder("cluster"), shards) if shards else None
        processes = [self.once_agent(home, haproxy=folder, seeds=store.seeds if store else ()) for home in homes]
        front = self._haproxy(policy, self._gate(policy, homes, hangs), processes, folder, threads, bufsize, backend)
        front.store = store
        until(lambda: ask(folder / "http.sock", b"GET /metrics HTTP/1.0\r\n\r\n", b"\r\n\r\n") and self._polled(folder), "the poller")
        return front

    def cached(self, local=False):
        """The shipped lines around a cached route, as docs/cache.md attaches them; local: HAProxy's own cache in front."""
        folder = self._folder("cached")
        agent = self.once_agent(folder)
        text = self._gate(None, [folder], above="".join("    http-request set-var(txn.%s)\n" % v for v in (
            "once_cache) str(pages", "once_cache_open) bool(true", *(["once_local) bool(true"] if local else []))) + bare("cache-frontend.cfg"),
            routing=bare("cache-routing.cfg")) + bare("cache-tables.cfg")
        front = self._haproxy("cached", text, [agent], folder, settings=["ONCE_WAIT"] + (["ONCE_LOCAL"] if local else []))
        until(lambda: self._polled(folder), "the poller")
        return front

    def haproxy_cache(self):
        """HAProxy's own cache as its manual shows it, and nothing else."""
        return self._haproxy("haproxy-cache", "frontend bench\n    bind 127.0.0.1:@PORT@\n    http-request cache-use pages\n"
                             "    http-response cache-store pages\n    default_backend application\n"
                             "cache pages\n    total-max-size 64\n    max-object-size 16384\n    max-age 60\n", ())

    @staticmethod
    def _polled(folder):
        return re.search(rb"spoa_once_haproxy_workers [1-9]", ask(folder / "http.sock", b"GET /metrics HTTP/1.0\r\n\r\n", b"\0")) is not None

    def _gate(self, policy, homes, hangs=None, above="", routing=""):
        """policy: None for routes that are only cached. above, routing: lines of ours in front of frontend.cfg and routing.cfg."""
        each = lambda text: re.sub(r"^ *server agent1 .*$", lambda m: "\n".join(
            m[0].replace("agent1", "agent%d" % i).replace("${ONCE_RUN}", str(home)) for i, home in enumerate(homes)), text, flags=re.M)
        aside = "    use_backend hanging if { path /hang }\n" if hangs else ""
        hanging = "backend hanging\n%s    timeout server 1h\n    server hanging 127.0.0.1:%d\n" % (bare("backend.cfg"), hangs) if hangs else ""
        route = "    http-request set-var(txn.once_policy) str(%s)\n" % policy if policy else ""
        return ("frontend bench\n    bind 127.0.0.1:@PORT@\n" + route + above + bare("frontend.cfg") + routing + bare("routing.cfg") + aside +
                "    default_backend application\n" + hanging + each(bare("tables.cfg")))

    def gateway(self, credential):
        """haproxy-conf/gateway as it lies there, with keys made for it and limits that nobody reaches; `jwt` or `api-key`."""
        folder, port = self._folder("gateway-" + credential), free_port()
        subprocess.run([ROOT / "tools" / "gateway-keys", folder / "keys"], check=True)
        settings = dict(line.split("=", 1) for line in (GATEWAY / ".env.example").read_text().splitlines() if "=" in line and line[0] != "#")
        settings.update((name, "1000000/s") for name in settings if name.startswith("GW_RATE_"))
        settings.update(GW_CONF=GATEWAY, GW_SITE=GATEWAY / "site", GW_KEYS=folder / "keys", GW_DOCS=ROOT / "docs", GW_THREADS=1, GW_MAXCONN=8000,
                        GW_BIND="127.0.0.1:%d" % port, GW_JWT_RS256_1=folder / "keys" / "rs256-1.pem", GW_JWT_ES256_1=folder / "keys" / "es256-1.pem",
                        ONCE_RUN=folder, ONCE_SPOE=GATEWAY / "once.spoe.conf", ONCE_HTTP="unix@%s" % (folder / "http.sock"),
                        ONCE_REDIS="unix@%s" % self.redis_socket)
        for service in re.findall(r"^backend (\S+) from service$", (GATEWAY / "40-services.cfg").read_text(), re.M):
            settings.update(("GW_%s_%d" % (service.upper().replace("-", "_"), n), "127.0.0.1:%d" % self.application_port) for n in (1, 2))
        env = {name: str(value) for name, value in settings.items()}
        agent = self._start(folder.name + "-agent", [self.agent, "-f", GATEWAY / "spoa-once.conf"], folder / "spop.sock", env)
        front = self._start(folder.name, ["haproxy", "-db", "-f", GATEWAY], port, env)
        until(lambda: b" 200 " in ask_port(port, b"GET /health/readiness HTTP/1.0\r\n\r\n") and self._polled(folder), front.name)
        return Front(port, front, [agent], [self._credential(folder / "keys", credential)])

    @staticmethod
    def _credential(keys, kind):
        if kind == "api-key":
            return "X-API-Key: " + (keys / "issuer" / "api-key-operator").read_text().strip()
        token = subprocess.run([ROOT / "tools" / "gateway-token", keys, "bench", "operator"], capture_output=True, text=True, check=True)
        return "Authorization: Bearer " + token.stdout.strip()

    def noop_gate(self, table=True):
        """The same lines and a no-op agent that grants; table: with the in-flight table, checks and polling."""
        folder = self._folder("noop-gate")
        agent = self._start(folder.name + "-agent", [PROGRAMS / "noop-agent", "unix@%s" % (folder / "spop.sock"),
                                                     folder / "haproxy.sock" if table else "-"], folder / "spop.sock")
        text = self._gate("gated", [folder])
        if not table:
            text = without(text, *TABLE_LINES).replace("default-server check", "default-server")
        return self._haproxy("noop-gate", text, [agent], folder, gate=True, attach_backend=table)

    def noop(self, response):
        """A no-op agent and as little as calls it."""
        folder = self._folder("noop")
        agent = self._start(folder.name + "-agent", [PROGRAMS / "noop-agent", "unix@%s" % (folder / "spop.sock")], folder / "spop.sock")
        return self._peer("noop", folder, agent, ["peer-request"] + (["peer-response"] if response else []))

    def peer_agent(self, client, env=()):
        program = BUILD / "load" / "peer-agent"
        if not program.exists():
            raise Missing("Go: its agent was not built")
        folder = self._folder("go-" + client)
        agent = self._start(folder.name + "-agent", [program, "-listen", folder / "spop.sock", "-redis", self.redis_socket, "-client",
                                                     client], folder / "spop.sock", env)
        return self._peer("go", folder, agent, None)

    def _peer(self, name, folder, agent, groups):
        """groups: only these are asked, and nothing is refused; None: the peers' whole gate."""
        text = (HERE / "peers" / "agent.haproxy.cfg").read_text()
        if groups is not None:
            text = without(text, r"http-request return", *(r"send-spoe-group peer " + g for g in ("peer-request", "peer-response")
                                                           if g not in groups))
            if "peer-response" not in groups:
                text = without(text, r"http-response")
        return self._haproxy_of_peer(folder, text, [agent])

    def _haproxy_of_peer(self, folder, text, agents=(), env=()):
        port, conf = free_port(), folder / "haproxy.cfg"
        conf.write_text(self._filled(text, folder, port))
        return Front(port, self._start(folder.name, ["haproxy", "-db", "-f", conf], port, env), agents)

    def _filled(self, text, folder, port):
        """A peer's configuration with its @WORDS@ filled in."""
        for word, value in (("@PORT@", port), ("@BACKEND@", self.application_port), ("@RUN@", folder), ("@HERE@", HERE / "peers"),
                            ("@SOCKET@", folder / "spop.sock"), ("@REDIS@", self.redis_socket)):
            text = text.replace(word, str(value))
        return text

    def _peers_scripts(self):
        """SHA1 of the peers' two scripts, which Redis has then."""
        return [self.redis_do("SCRIPT", "LOAD", (HERE / "peers" / "gate" / name).read_text()) for name in ("gate.lua", "complete.lua")]

    def haproxy_lua(self):
        """The gate in HAProxy's own Lua, no agent."""
        if "+LUA" not in subprocess.run(["haproxy", "-vv"], capture_output=True, text=True).stdout:
            raise Missing("a HAProxy with Lua")
        gate, complete = self._peers_scripts()
        env = {"PEER_REDIS": str(self.redis_socket), "PEER_GATE": gate, "PEER_COMPLETE": complete}
        return self._haproxy_of_peer(self._folder("haproxy-lua"), (HERE / "peers" / "lua.haproxy.cfg").read_text(), env=env)

    def go_proxy(self, client):
        """A reverse proxy in Go with the gate in it, no HAProxy."""
        program, port = BUILD / "load" / "peer-proxy", free_port()
        if not program.exists():
            raise Missing("Go: its reverse proxy was not built")
        folder = self._folder("go-proxy")
        return Front(port, self._start(folder.name, [program, "-listen", "127.0.0.1:%d" % port, "-application", "http://127.0.0.1:%d" % self.application_port,
                                                     "-redis", self.redis_socket, "-client", client], port))

    def nginx(self):
        """nginx with the gate in Lua, and under /page/ a cache in Redis."""
        if not shutil.which("nginx") or not Path("/usr/lib/nginx/modules/ngx_http_lua_module.so").exists():
            raise Missing("nginx with Lua: tools/deps peers installs it")
        folder, port = self._folder("nginx"), free_port()
        text = self._filled((HERE / "peers" / "nginx.conf").read_text(), folder, port)
        for word, value in zip(("@GATE@", "@COMPLETE@", "@USER@"), (*self._peers_scripts(), "%s %s" % (
                pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name))):
            text = text.replace(word, value)
        conf = folder / "nginx.conf"
        conf.write_text(text)
        # Its worker would outlive a master that is killed: that one is told instead.
        return Front(port, self._start(folder.name, ["setpriv", "--pdeathsig", "TERM", "--", "nginx", "-e", folder / "nginx.err", "-c", conf], port))

    def _haproxy(self, name, text, agents, folder=None, threads=1, bufsize=None, backend=None, gate=None, attach_backend=True, settings=()):
        gate = bool(agents) if gate is None else gate
        folder, port = folder or self._folder(name), free_port()
        head = "global\n    nbthread %d\n    maxconn 8000\n" % threads
        if gate:
            head += "    setenv ONCE_RUN %s\n    setenv ONCE_SPOE %s\n" % (folder, ATTACH / "once.spoe.cfg")
            head += "".join("    setenv %s 1\n" % name for name in settings) + bare("global.cfg")
        if bufsize:
            head += "    tune.bufsize %d\n" % bufsize
        # `backend application` stands before the tables, which are sections of their own.
        own = "backend application\n" + (bare("backend.cfg") if gate and attach_backend else "")
        own += "    server application 127.0.0.1:%d\n" % (backend or self.application_port)
        front, mark, rest = text.partition("    default_backend application\n")
        conf = folder / "haproxy.cfg"
        conf.write_text((head + DEFAULTS + front + mark + own + rest).replace("@PORT@", str(port)))
        return Front(port, self._start(folder.name, ["haproxy", "-db", "-f", conf], port), agents)

    def end(self, keep=None):
        for process in reversed(self._started):
            process.end()
        if keep:
            shutil.copytree(self.folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock*"))
        shutil.rmtree(self.folder, ignore_errors=True)

    def died(self):
        return [p.name for p in self._started if not p.alive]
