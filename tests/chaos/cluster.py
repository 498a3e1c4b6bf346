# SPDX-License-Identifier: MIT
"""A Redis Cluster of six nodes in the place of one Redis: three primaries, three replicas.

    agents ──TCP──► node 0, 1, 2 ◄── node 3, 4, 5          who is what changes with each failover
                       └── bus, by a link to each ──┘

The nodes know each other from their nodes.conf. A slot is moved as redis-cli does it: its keys first, then its owner.

Nodes are cut off from each other, and from nobody else, at those links: each node announces its link's port as its bus's, and
connects from an address of its own (127.0.0.11 to .16), by which the links tell who is cut off.
"""
import random
import re

from links import Link
from process import Process, ask_socket, free_port, until

NODES, PRIMARIES, SLOTS = 6, 3, 16384
NODE_TIMEOUT_MS = 1000


def node_id(i):
    return "%040d" % (i + 1)


class Node:
    def __init__(self, folder, i, ports, buses, bus):
        """buses: the ports that the nodes announce; bus: the one that this node listens at."""
        self.name, self.number, self.port = "node%d" % i, i, ports[i]
        self.address = "127.0.0.%d" % (i + 11)  # from which it connects
        self.folder, self.socket = folder / self.name, folder / (self.name + ".sock")
        self.folder.mkdir()
        lines = []
        for k in range(NODES):
            at = "%s 127.0.0.1:%d@%d %s" % (node_id(k), ports[k], buses[k], "myself," if k == i else "")
            first, last = k * SLOTS // PRIMARIES, (k + 1) * SLOTS // PRIMARIES - 1
            lines.append(at + ("master - 0 0 %d connected %d-%d" % (k + 1, first, last) if k < PRIMARIES else
                               "slave %s 0 0 %d connected" % (node_id(k - PRIMARIES), k - PRIMARIES + 1)))
        lines.append("vars currentEpoch %d lastVoteEpoch 0\n" % NODES)
        (self.folder / "nodes.conf").write_text("\n".join(lines))
        self.process = Process(self.name, [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket), "--save", "",
            "--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", str(NODE_TIMEOUT_MS),
            "--cluster-announce-ip", "127.0.0.1", "--cluster-announce-bus-port", str(buses[i]), "--bind-source-addr", self.address,
            "--protected-mode", "no",
            "--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0", "--appendonly", "yes",
            "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0", "--repl-diskless-sync-delay", "0",
            "--dir", str(self.folder), "--logfile", str(folder / (self.name + ".log"))], folder / (self.name + ".out"))

    async def ask(self, command):
        """The whole reply, whatever it is: that of PING stands behind it."""
        return (await ask_socket(self.socket, command.encode() + b"\r\nPING\r\n", b"+PONG\r\n")).decode(errors="replace")

    async def start(self):
        await self.process.start()

    async def name_itself(self, user):
        """To its primary, when it connects to that again; empty: as everybody."""
        await self.ask('CONFIG SET masteruser "%s" masterauth "%s"' % (user, user))

    async def role(self):
        """master, and its replicas that are in step; slave, and whether it is."""
        info = await self.ask("INFO replication")
        role = re.search(r"role:(\w+)", info)
        steps = len(re.findall(r"slave\d+:.*state=online", info)) + len(re.findall(r"master_link_status:up", info))
        return (role[1], steps) if role else ("", 0)


class Cluster:
    """What the schedule and the site want of Redis, as Stores; and what is a cluster's own."""

    def __init__(self, folder):
        ports, buses, own = [[free_port() for _ in range(NODES)] for _ in range(3)]
        self.nodes = [Node(folder, i, ports, buses, own[i]) for i in range(NODES)]
        self._buses = [Link(buses[i], own[i]) for i in range(NODES)]
        self.links = []

    @property
    def seeds(self):
        return ", ".join('"127.0.0.1:%d"' % n.port for n in self.nodes)

    @property
    def processes(self):
        return [n.process for n in self.nodes]

    async def start(self):
        for bus in self._buses:
            await bus.start()
        for node in self.nodes:
            await node.start()
        await self.ready()

    async def ready(self):
        """Every slot is served, and each primary has a replica that is in step."""
        await until(self._whole, "the cluster")

    async def _whole(self):
        roles = [await n.role() for n in self.nodes]
        infos = [await n.ask("CLUSTER INFO") for n in self.nodes]
        return (sorted(r for r, _ in roles) == ["master"] * PRIMARIES + ["slave"] * PRIMARIES and
                all(steps > 0 for _, steps in roles) and
                all("cluster_state:ok" in i and "cluster_slots_ok:%d" % SLOTS in i for i in infos))

    async def primaries(self):
        return [n for n in self.nodes if (await n.role())[0] == "master"]

    async def replicas(self, primary):
        """Its own, as it knows them."""
        told = await primary.ask("CLUSTER REPLICAS " + node_id(primary.number))
        return [n for n in self.nodes if node_id(n.number) + " " in told]

    async def stop_replication(self, primary):
        """Its replicas come back as somebody whom it does not know. Returned: who they are."""
        replicas = await self.replicas(primary)
        for replica in replicas:
            await replica.name_itself("nobody")
        await primary.ask("CLIENT KILL TYPE replica")
        return replicas

    def cut_off(self, group):
        """These nodes hear each other only, and so do the others; none: all hear all."""
        for node, bus in zip(self.nodes, self._buses):
            bus.bar(n.address for n in self.nodes if group and (n in group) != (node in group))

    async def move(self, choice: random.Random):
        """One slot that has keys, with them."""
        source, target = choice.sample(await self.primaries(), 2)
        key = re.search(r"once:\{\w+\}:r:\w+", await source.ask("RANDOMKEY"))
        if not key:
            return
        slot = int(re.match(r":(\d+)", await source.ask("CLUSTER KEYSLOT " + key[0]))[1])
        here, there = node_id(source.number), node_id(target.number)
        if not (await target.ask("CLUSTER SETSLOT %d IMPORTING %s" % (slot, here))).startswith("+OK"):
            return
        await source.ask("CLUSTER SETSLOT %d MIGRATING %s" % (slot, there))
        while keys := re.findall(r"once:\{\w+\}:[^\r\n]+", await source.ask("CLUSTER GETKEYSINSLOT %d 100" % slot)):
            for name in keys:
                await source.ask("MIGRATE 127.0.0.1 %d %s 0 5000" % (target.port, name))
        for node in (target, source):
            await node.ask("CLUSTER SETSLOT %d NODE %s" % (slot, there))

    def close(self):
        for bus in self._buses:
            bus.close()
