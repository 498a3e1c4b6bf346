# SPDX-License-Identifier: MIT
"""What keeps the records of a variant: one Redis, or a Redis Cluster of some shards without replicas. Nothing is kept on disk.

    cluster of 3:   shard 0 ── slots 0..5460     shard 1 ── 5461..10922     shard 2 ── 10923..16383

The shards know each other from their nodes.conf, so nobody has to meet; like the agents, they listen on loopback.
"""
import re
import subprocess

from processes import free_ports, until

SLOTS = 16384
COUNTS = {"commands": "total_commands_processed", "bytes_in": "total_net_input_bytes", "bytes_out": "total_net_output_bytes",
          "bytes_kept": "used_memory"}


class Store:
    """seeds: addresses of a cluster's shards, empty for one Redis alone."""

    def __init__(self, servers, seeds=()):
        """servers: of each its Process, and the switches by which redis-cli reaches it."""
        self._servers, self.seeds = servers, list(seeds)

    @property
    def pids(self):
        return [process.pid for process, _ in self._servers]

    def each(self, *words):
        """What each of them answers."""
        return [subprocess.run(["redis-cli", *switches, *map(str, words)], capture_output=True, text=True, check=True).stdout.strip()
                for _, switches in self._servers]

    def counts(self):
        """What they have done so far (commands, also those of scripts; bytes to them and from them), and bytes that they hold now."""
        said = [stats + memory for stats, memory in zip(self.each("INFO", "stats"), self.each("INFO", "memory"))]
        return {name: sum(int(re.search(r"^%s:(\d+)" % word, text, re.M)[1]) for text in said) for name, word in COUNTS.items()}


def alone(start, folder, socket):
    """One Redis at a unix socket. start: World's."""
    return Store([(start("redis", ["redis-server", "--port", 0, "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder], socket),
                   ["-s", str(socket)])])


def _nodes(ports, me):
    """The nodes.conf of shard `me`. ports: of each shard that for clients and that for the other shards."""
    lines, n = [], len(ports)
    for i, (port, bus) in enumerate(ports):
        lines.append("%040d 127.0.0.1:%d@%d %smaster - 0 0 %d connected %d-%d" % (
            i + 1, port, bus, "myself," if i == me else "", i + 1, i * SLOTS // n, (i + 1) * SLOTS // n - 1))
    return "\n".join([*lines, "vars currentEpoch %d lastVoteEpoch 0" % n, ""])


def cluster(start, folder, shards):
    """A cluster that is up. folder: of its own."""
    every = free_ports(2 * shards)
    ports = list(zip(every[:shards], every[shards:]))
    servers = []
    for i, (port, bus) in enumerate(ports):
        (folder / ("shard%d.nodes" % i)).write_text(_nodes(ports, i))
        servers.append((start("%s-shard%d" % (folder.name, i), [
            "redis-server", "--port", port, "--cluster-port", bus, "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-config-file",
            "shard%d.nodes" % i, "--save", "", "--appendonly", "no", "--dir", folder], port), ["-p", str(port)]))
    store = Store(servers, ["127.0.0.1:%d" % port for port, _ in ports])
    until(lambda: all("cluster_state:ok" in said for said in store.each("CLUSTER", "INFO")), "the cluster of %d" % shards)
    return store
