# SPDX-License-Identifier: MIT
"""Everything that runs: two HAProxy (master-worker, the shipped attach lines), three agents, Redis or a cluster of it, the bank.

HAProxy 0 is the smallest attachment, with a small table; HAProxy 1 has notices and the hop.

    clients ──► HAProxy 0, 1 ──► bank          DIR/h0, DIR/h1     runtime sockets, haproxy.cfg, logs
                   └──► agents 0, 1, 2         DIR/a0 .. DIR/a2   their sockets; redis.sock is the link's
                            ├──► link ──► Redis (appendonly: what it acknowledged survives its death)
                            └──► tables ──► runtime.sock of HAProxy 0, 1, each by one link for all agents
"""
import asyncio
import re
from pathlib import Path

from cluster import Cluster
from links import Link
from process import Process, ask_socket, free_port, until
from stores import Stores

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ATTACH = ROOT / "haproxy-conf" / "attach"
AGENTS, PROXIES = 3, 2
# Entries of one HAProxy's table of executions: now and then it is full.
SMALL_TABLE = 40


def bare(name):
    """A shipped file without its comments and empty lines."""
    return "".join(line + "\n" for line in (ATTACH / name).read_text().splitlines()
                   if line.strip() and not line.lstrip().startswith("#"))


def for_each_agent(text, pattern, folder):
    """The shipped line for one agent becomes one for each."""
    def lines(match):
        return "\n".join(match[0].replace("agent1", "agent%d" % i).replace("${ONCE_RUN}", str(folder / ("a%d" % i)))
                         for i in range(AGENTS))
    return re.sub(pattern, lines, text, flags=re.M)


class Site:
    """other: an agent of another protocol version, or None. replicated: Redis has a replica. redis_options: more of the agents'
    configuration. cluster: Redis is six nodes, which the agents reach without a link."""

    def __init__(self, folder, agent, other=None, replicated=False, redis_options="", cluster=False):
        self.folder, self.agent, self.other, self.replicated, self.cluster = Path(folder), agent, other, replicated, cluster
        self.ports = [free_port() for _ in range(PROXIES)]
        self._bank_port = free_port()
        self.ledger = self.folder / "ledger"
        self.stores = Cluster(self.folder) if cluster else Stores(self.folder, replicated)
        where = 'mode = "cluster"; seeds = [ %s ];' % self.stores.seeds if cluster else 'address = "unix@${ONCE_RUN}/redis.sock";'
        (self.folder / "site.conf").write_text((HERE / "site.conf").read_text().replace(
            'address = "unix@${ONCE_RUN}/redis.sock";', where + " " + redis_options))
        self.bank = Process("bank", [str(HERE / "bank.py"), str(self._bank_port), str(self.ledger)], self.folder / "bank.out")
        self.agents = [self._new_agent(i) for i in range(AGENTS)]
        self.proxies = [self._new_proxy(i) for i in range(PROXIES)]
        self.links = [] if cluster else [
            Link(self.folder / ("a%d" % i) / "redis.sock", self.stores.primary.socket) for i in range(AGENTS)]
        self.stores.links = self.links
        runs = [self.folder / ("h%d" % i) for i in range(PROXIES)]
        self.tables = [Link(run / "haproxy.sock", run / "runtime.sock") for run in runs]

    def _new_agent(self, i):
        run = self.folder / ("a%d" % i)
        run.mkdir()
        env = {"ONCE_RUN": str(run), "ONCE_HAPROXY1": str(self.folder / "h0"), "ONCE_HAPROXY2": str(self.folder / "h1")}
        return Process("agent %d" % i, [self.agent, "-f", str(self.folder / "site.conf")], self.folder / ("agent%d.log" % i), env)

    def _new_proxy(self, i):
        run = self.folder / ("h%d" % i)
        run.mkdir()
        conf = run / "haproxy.cfg"
        conf.write_text(self._configuration(i))
        return Process("haproxy %d" % i, ["haproxy", "-W", "-f", str(conf)], self.folder / ("haproxy%d.log" % i))

    def _configuration(self, i):
        each = lambda text, pattern: for_each_agent(text, pattern, self.folder)
        full = i % 2 == 1
        return "".join([
            "global\n    setenv ONCE_RUN %s\n    setenv ONCE_SPOE %s\n    nbthread 4\n    log stderr format raw local1 info\n"
            % (self.folder / ("h%d" % i), ATTACH / "once.spoe.cfg"),
            bare("global.cfg").replace("/haproxy.sock", "/runtime.sock"),
            each(bare("notices-global.cfg"), r"^ *log .*$") if full else "",
            "defaults\n    mode http\n    log global\n    timeout connect 1s\n    timeout client 30s\n    timeout server 12s\n",
            "frontend bank\n    bind 127.0.0.1:%d\n" % self.ports[i],
            "    http-request set-var(txn.once_policy) str(release) if { path /release }\n",
            "    http-request set-var(txn.once_policy) str(hold) if { path /hold }\n",
            bare("hop-frontend.cfg") if full else "", bare("frontend.cfg"), bare("notices-frontend.cfg") if full else "",
            bare("routing.cfg"), bare("hop-routing.cfg") if full else "",
            "    default_backend bank\nbackend bank\n", bare("backend.cfg"),
            "    server bank 127.0.0.1:%d\n" % self._bank_port,
            bare("hop-backend.cfg") if full else "", each(self._tables(i), r"^ *server agent1 .*$")])

    @staticmethod
    def _tables(i):
        tables = bare("tables.cfg")
        return tables if i else tables.replace("size 100k expire 1s", "size %d expire 1s" % SMALL_TABLE)

    async def start(self):
        await self.stores.start()
        for link in [*self.links, *self.tables]:
            await link.start()
        await self.start_bank()
        for i in range(PROXIES):
            await self.start_proxy(i)
        for i in range(AGENTS):
            await self.start_agent(i)

    async def start_bank(self):
        await self.bank.start()
        await self._listening(self._bank_port, "bank")

    async def start_proxy(self, i):
        await self.proxies[i].start()
        await self._listening(self.ports[i], "haproxy %d" % i)

    async def _listening(self, port, what):
        async def connects():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True
        await until(connects, what)

    async def start_agent(self, i):
        await self.agents[i].start()
        await self.agent_ready(i)

    async def agent_ready(self, i):
        path = self.folder / ("a%d" % i) / "http.sock"

        async def ready():
            return b" 200 " in await ask_socket(path, b"GET /health/readiness HTTP/1.0\r\n\r\n", b"\r\n")
        await until(ready, "agent %d" % i)

    async def worker(self, i):
        """Pid of the HAProxy worker that answers at the runtime socket; empty if none does."""
        found = re.search(rb"^Pid: (\d+)", await ask_socket(self.folder / ("h%d" % i) / "haproxy.sock", b"show info\n", b"\n\n"), re.M)
        return found[1] if found else b""

    def died(self):
        """What ended by itself, as lines."""
        return ["%s ended by itself with status %d" % (p.name, status)
                for p in [*self.agents, *self.proxies, self.bank, *self.stores.processes] for status in p.died]

    def old_workers(self):
        """HAProxy's workers of before a reload that are still there."""
        return sum(max(0, len(p.children()) - 1) for p in self.proxies)

    async def end(self):
        for link in (*self.links, self.stores):
            link.close()
        for process in [*self.agents, *self.proxies, self.bank, *self.stores.processes]:
            await process.end()
