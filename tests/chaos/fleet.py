# SPDX-License-Identifier: MIT
"""Everything that runs: two HAProxy (master-worker, the shipped attach lines), three agents, Redis, the bank.

HAProxy 0 is the smallest attachment, with a small table; HAProxy 1 has notices and the hop.

    clients ──► HAProxy 0, 1 ──► bank          DIR/h0, DIR/h1     runtime sockets, haproxy.cfg, logs
                   └──► agents 0, 1, 2         DIR/a0 .. DIR/a2   their sockets; redis.sock is the link's
                            └──► link ──► Redis (appendonly: what it acknowledged survives its death)

Each process is ended by its pid, and dies with the run (setpriv --pdeathsig) even if that is killed.
"""
import asyncio
import os
import re
import signal
import socket
from pathlib import Path

from links import Link

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ATTACH = ROOT / "haproxy-conf" / "attach"
AGENTS, PROXIES = 3, 2
START_PATIENCE = 30.0
# Entries of one HAProxy's table of executions: now and then it is full.
SMALL_TABLE = 40


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """One process that can be started again."""

    def __init__(self, name, argv, log, env=()):
        self.name, self._argv, self._log, self._env = name, argv, log, dict(env)
        self._process = self._watch = None
        self._ending = False
        self.died = []  # its exit statuses, where nobody had ended it

    def run_instead(self, program, env=()):
        """From its next start on, with these variables besides."""
        self._argv[0] = program
        self._env.update(env)

    async def start(self):
        self._ending = False
        with open(self._log, "ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", "--", *self._argv, stdin=asyncio.subprocess.DEVNULL, stdout=log,
                stderr=log, env={**os.environ, **self._env}, start_new_session=True)
        self._watch = asyncio.create_task(self._see_it_end(self._process))

    async def _see_it_end(self, process):
        status = await process.wait()
        if not self._ending:
            self.died.append(status)

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process is not None and self._process.returncode is None

    def send(self, signum):
        self._ending = self._ending or signum in (signal.SIGKILL, signal.SIGTERM)
        if self.alive:
            os.kill(self.pid, signum)

    async def wait(self, patience=None):
        """Its exit status, or None after the patience."""
        try:
            return await asyncio.wait_for(self._process.wait(), patience)
        except TimeoutError:
            return None

    def children(self):
        """Pids of its children: HAProxy's workers, old ones too."""
        try:
            return [int(p) for p in Path("/proc/%d/task/%d/children" % (self.pid, self.pid)).read_text().split()]
        except OSError:
            return []

    async def end(self):
        """Whatever state it is in."""
        if not self._process:
            return
        workers = self.children()
        self.send(signal.SIGKILL)
        await self._process.wait()
        for pid in workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


async def until(works, what):
    """Waits until the coroutine function says True."""
    loop = asyncio.get_running_loop()
    patience = loop.time() + START_PATIENCE
    while not await works():
        if loop.time() > patience:
            raise RuntimeError(what + " does not come up")
        await asyncio.sleep(0.05)


async def ask_socket(path, text, enough):
    """What a unix socket answers, up to the bytes `enough` or its end; empty if nobody is there."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(text)
            data = b""
            while enough not in data and (more := await reader.read(4096)):
                data += more
            writer.transport.abort()
            return data
    except (OSError, TimeoutError):
        return b""


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
    """other: an agent of another protocol version, or None."""

    def __init__(self, folder, agent, other=None):
        self.folder, self.agent, self.other = Path(folder), agent, other
        self.ports = [free_port() for _ in range(PROXIES)]
        self._bank_port = free_port()
        self.ledger = self.folder / "ledger"
        self.redis_socket = self.folder / "redis.sock"
        self.redis = Process("redis", [
            "redis-server", "--port", "0", "--unixsocket", str(self.redis_socket), "--save", "", "--appendonly", "yes",
            "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0", "--dir", str(self.folder), "--logfile", str(self.folder / "redis.log")],
            self.folder / "redis.out")
        self.bank = Process("bank", [str(HERE / "bank.py"), str(self._bank_port), str(self.ledger)], self.folder / "bank.out")
        self.agents = [self._new_agent(i) for i in range(AGENTS)]
        self.proxies = [self._new_proxy(i) for i in range(PROXIES)]
        self.links = [Link(str(self.folder / ("a%d" % i) / "redis.sock"), str(self.redis_socket)) for i in range(AGENTS)]

    def _new_agent(self, i):
        run = self.folder / ("a%d" % i)
        run.mkdir()
        env = {"ONCE_RUN": str(run), "ONCE_HAPROXY1": str(self.folder / "h0"), "ONCE_HAPROXY2": str(self.folder / "h1")}
        return Process("agent %d" % i, [self.agent, "-f", str(HERE / "site.conf")], self.folder / ("agent%d.log" % i), env)

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
            bare("global.cfg"), each(bare("notices-global.cfg"), r"^ *log .*$") if full else "",
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
        await self.start_redis()
        for link in self.links:
            await link.start()
        await self.start_bank()
        for i in range(PROXIES):
            await self.start_proxy(i)
        for i in range(AGENTS):
            await self.start_agent(i)

    async def start_redis(self):
        await self.redis.start()
        await self.redis_ready()

    async def redis_ready(self):
        async def pongs():
            return await ask_socket(self.redis_socket, b"PING\r\n", b"\r\n") == b"+PONG\r\n"
        await until(pongs, "redis")

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
                for p in [*self.agents, *self.proxies, self.bank, self.redis] for status in p.died]

    def old_workers(self):
        """HAProxy's workers of before a reload that are still there."""
        return sum(max(0, len(p.children()) - 1) for p in self.proxies)

    async def end(self):
        for link in self.links:
            if link._server:
                link.close()
        for process in [*self.agents, *self.proxies, self.bank, self.redis]:
            await process.end()
