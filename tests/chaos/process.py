# SPDX-License-Identifier: MIT
"""Processes that can be started again, and what is asked of their sockets.

Each process is ended by its pid, and dies with the run (setpriv --pdeathsig) even if that is killed.
"""
import asyncio
import os
import random
import signal
import socket
from pathlib import Path

START_PATIENCE = 30.0


def free_port():
    """Below those that the kernel gives to connections: it stays free while its server is away."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


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
