# SPDX-License-Identifier: MIT
"""The seeded faults. Each is begun, lasts, is healed, and is over when everything works again.

Some run at one time (lanes), never two of the same part: so one agent at most is dead or paused and one at most has a broken
link, and one agent always works, but where all die for a moment. A pause of HAProxy is shorter than a lease. Why: who outlives a lease is promised nothing.
"""
import asyncio
import os
import random
import signal
import time
from collections import Counter

from fleet import AGENTS, PROXIES
from history import Fault

# A fault is remembered for so long: no key's history is longer.
REMEMBERED = 300.0
# Seconds of writes that a failover loses at most.
LAG = 0.3


def parts_of(kind):
    """What a kind of fault breaks: its first word, or two."""
    return set(kind.split("-")[0].split("+"))


class Schedule:
    def __init__(self, seed, site, bank_died, gap, lanes):
        self._random, self._site, self._bank_died = random.Random(seed), site, bank_died
        self._gap, self._lanes, self._busy = gap, lanes, set()
        self.faults, self.counts = [], Counter()
        self.stopping = asyncio.Event()
        # kind: how often, the shortest and longest time broken, who: None, or one of so many
        self._table = {
            "agent-kill": (5, 0.1, 5, AGENTS, self._agent_kill),
            "agent+link-kill": (4, 0.3, 2, AGENTS, self._agent_dies_untold),
            "agent+link+redis-kill": (2, 0.2, 1.8, None, self._agents_die_untold),
            "agent-pause": (5, 0.2, 6, AGENTS, self._agent_pause),
            "agent-restart": (3, 0, 1, AGENTS, self._agent_restart),
            "agent-reload": (1, 0, 0, AGENTS, self._agent_reload),
            "agent-other": (2, 2, 12, AGENTS, self._agent_other),
            "haproxy-reload": (3, 0, 0, PROXIES, self._proxy_reload),
            "haproxy-kill": (2, 0.1, 3, PROXIES, self._proxy_kill),
            "haproxy-pause": (1, 0.1, 0.6, PROXIES, self._proxy_pause),
            "redis-kill": (4, 0.1, 7, None, self._redis_kill),
            "redis-pause": (4, 0.1, 7, None, self._redis_pause),
            "redis-restart": (2, 0, 1, None, self._redis_restart),
            "redis-flush-scripts": (2, 0, 0, None, self._redis_flush_scripts),
            "redis-failover": (6, 0.1, 3, None, self._redis_failover),
            "link-cut": (4, 0.1, 6, AGENTS, self._link("cut")),
            "link-hang": (4, 0.1, 6, AGENTS, self._link("hang")),
            "link-slow": (2, 0.5, 4, AGENTS, self._link("slow")),
            "tables-slow": (2, 0.5, 4, PROXIES, self._tables_slow),
            "bank-kill": (2, 0.1, 2, None, self._bank_kill),
            "bank-pause": (1, 0.2, 2, None, self._bank_pause),
        }
        if site.cluster:
            self._table = {k: v for k, v in self._table.items() if not parts_of(k) & {"redis", "link"}}
            self._table.update({
                "redis-failover-kill": (4, 0.1, 7, None, self._node_kill),
                "redis-failover-pause": (4, 0.1, 7, None, self._node_pause),
                "redis-failover-cut": (4, 0.3, 8, None, self._node_cut_off),
                "redis-pair-cut": (2, 0.3, 8, None, self._pair_cut_off),
                "redis-move": (8, 0, 0, None, self._slot_move),
                "redis-nodes-flush-scripts": (1, 0, 0, None, self._nodes_flush_scripts),
            })
        if not site.other:
            del self._table["agent-other"]
        if not site.replicated and not site.cluster:
            del self._table["redis-failover"]

    def only(self, kinds):
        """Of all faults those that begin with one of these."""
        self._table = {k: v for k, v in self._table.items() if k.startswith(tuple(kinds))}

    async def run(self):
        """Until stopping is set and all is healed; raises if something does not come back."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._lanes):
                group.create_task(self._lane())

    async def _lane(self):
        while not self.stopping.is_set():
            try:
                await asyncio.wait_for(self.stopping.wait(), self._random.expovariate(1 / self._gap))
            except TimeoutError:
                await self._one()

    async def _one(self):
        table = {kind: row for kind, row in self._table.items() if not parts_of(kind) & self._busy}
        if not table:
            return
        kind = self._random.choices(list(table), [row[0] for row in table.values()])[0]
        _, shortest, longest, many, act = table[kind]
        target = None if many is None else self._random.randrange(many)
        # Short ones are the many: the square leans towards them.
        lasts = shortest + (longest - shortest) * self._random.random() ** 2
        fault = Fault(kind, target, time.monotonic())
        self.faults.append(fault)
        self.counts[kind] += 1
        self._busy |= parts_of(kind)
        await act(target, lasts)
        self._busy -= parts_of(kind)
        fault.end = time.monotonic()
        while self.faults[0].end < fault.end - REMEMBERED:
            self.faults.pop(0)

    async def _agent_kill(self, i, lasts):
        self._site.agents[i].send(signal.SIGKILL)
        await self._site.agents[i].wait()
        await asyncio.sleep(lasts)
        await self._site.start_agent(i)

    async def _agent_dies_untold(self, i, lasts):
        """Cut off from Redis it dies, with all that it had to say."""
        self._site.links[i].set("hang")
        await asyncio.sleep(lasts)
        self._site.agents[i].send(signal.SIGKILL)
        await self._site.agents[i].wait()
        self._site.links[i].set("cut")
        self._site.links[i].set("pass")
        await self._site.start_agent(i)

    async def _agents_die_untold(self, _, lasts):
        """All at once, while Redis hears nothing; what HAProxy keeps is all that is left. Shorter than a lease."""
        redis = self._site.stores.primary.process
        redis.send(signal.SIGSTOP)
        await asyncio.sleep(lasts)
        for agent in self._site.agents:
            agent.send(signal.SIGKILL)
            await agent.wait()
        redis.send(signal.SIGCONT)
        await asyncio.gather(*(agent.start() for agent in self._site.agents))
        await self._redis_back()

    async def _agent_restart(self, i, lasts):
        self._site.agents[i].send(signal.SIGTERM)
        if await self._site.agents[i].wait(10) != 0:
            raise RuntimeError("agent %d did not end well at SIGTERM" % i)
        await asyncio.sleep(lasts)
        await self._site.start_agent(i)

    async def _agent_other(self, i, lasts):
        """An upgrade of one agent to another version of records and tokens, and back."""
        for program, pause in ((self._site.other, lasts), (self._site.agent, 0)):
            self._site.agents[i].run_instead(program)
            await self._agent_restart(i, 0)
            await asyncio.sleep(pause)

    async def _agent_pause(self, i, lasts):
        await self._pause(self._site.agents[i], lasts)
        await self._site.agent_ready(i)

    async def _agent_reload(self, i, lasts):
        self._site.agents[i].send(signal.SIGHUP)

    async def _proxy_reload(self, i, lasts):
        before = await self._site.worker(i)
        self._site.proxies[i].send(signal.SIGUSR2)
        for _ in range(100):
            if await self._site.worker(i) not in (b"", before):
                return
            await asyncio.sleep(0.05)
        raise RuntimeError("haproxy %d did not reload" % i)

    async def _proxy_kill(self, i, lasts):
        await self._site.proxies[i].end()
        await asyncio.sleep(lasts)
        await self._site.start_proxy(i)

    async def _proxy_pause(self, i, lasts):
        """The workers: the master only looks after them."""
        workers = self._site.proxies[i].children()
        for signum in (signal.SIGSTOP, signal.SIGCONT):
            for pid in workers:
                try:
                    os.kill(pid, signum)
                except ProcessLookupError:
                    pass
            await asyncio.sleep(lasts if signum == signal.SIGSTOP else 0)

    async def _redis_kill(self, _, lasts):
        await self._redis_again(signal.SIGKILL, lasts)

    async def _redis_restart(self, _, lasts):
        await self._redis_again(signal.SIGTERM, lasts)

    async def _redis_again(self, signum, lasts):
        redis = self._site.stores.primary
        redis.process.send(signum)
        await redis.process.wait()
        await asyncio.sleep(lasts)
        await redis.start()
        await self._redis_back()

    async def _redis_failover(self, _, lasts):
        """Half of the time the replica lags behind."""
        lag = max(0, self._random.uniform(-LAG, LAG))
        await self._site.stores.failover(signal.SIGKILL, lag, lasts)
        await self._redis_back()

    async def _redis_pause(self, _, lasts):
        await self._pause(self._site.stores.primary.process, lasts)
        await self._redis_back()

    async def _redis_flush_scripts(self, _, lasts):
        await self._site.stores.primary.ask("SCRIPT FLUSH")

    async def _node_kill(self, _, lasts):
        """A primary; its replica takes over unless it is back before."""
        node = self._random.choice(await self._site.stores.primaries())
        node.process.send(signal.SIGKILL)
        await node.process.wait()
        await asyncio.sleep(lasts)
        await node.start()
        await self._redis_back()

    async def _node_pause(self, _, lasts):
        """The same, and when it wakes it takes itself for the primary still."""
        await self._pause(self._random.choice(await self._site.stores.primaries()).process, lasts)
        await self._redis_back()

    async def _node_cut_off(self, _, lasts):
        """A primary, from the other nodes only: it serves until it finds itself alone, and its replica takes over. Half of the
        time what it serves meanwhile is not replicated either."""
        node = self._random.choice(await self._site.stores.primaries())
        untold = await self._site.stores.stop_replication(node) if self._random.random() < 0.5 else []
        await self._apart([node], lasts)
        for replica in untold:
            await replica.name_itself("")
        await self._redis_back()

    async def _pair_cut_off(self, _, lasts):
        """With its replica: nobody takes over, and it says CLUSTERDOWN until it hears the others again."""
        node = self._random.choice(await self._site.stores.primaries())
        await self._apart([node, *await self._site.stores.replicas(node)], lasts)
        await self._redis_back()

    async def _apart(self, nodes, lasts):
        self._site.stores.cut_off(nodes)
        await asyncio.sleep(lasts)
        self._site.stores.cut_off([])

    async def _slot_move(self, _, lasts):
        await self._site.stores.move(self._random)

    async def _nodes_flush_scripts(self, _, lasts):
        for node in await self._site.stores.primaries():
            await node.ask("SCRIPT FLUSH")

    def _link(self, mode):
        async def act(i, lasts):
            self._site.links[i].set(mode)
            await asyncio.sleep(lasts)
            self._site.links[i].set("pass")
            await self._site.agent_ready(i)
        return act

    async def _tables_slow(self, i, lasts):
        """HAProxy is busy, and answers slowly at its runtime socket."""
        self._site.tables[i].set("slow")
        await asyncio.sleep(lasts)
        self._site.tables[i].set("pass")

    async def _bank_kill(self, _, lasts):
        await self._site.bank.end()
        self._bank_died(time.monotonic())
        await asyncio.sleep(lasts)
        await self._site.start_bank()

    async def _bank_pause(self, _, lasts):
        await self._pause(self._site.bank, lasts)

    async def _pause(self, process, lasts):
        process.send(signal.SIGSTOP)
        await asyncio.sleep(lasts)
        process.send(signal.SIGCONT)

    async def _redis_back(self):
        await self._site.stores.ready()
        for i in range(AGENTS):
            await self._site.agent_ready(i)
