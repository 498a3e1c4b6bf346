# SPDX-License-Identifier: MIT
"""Processes of the bench, and what the operating system says that they have used."""
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

PATIENCE = 15.0


class Missing(Exception):
    """Something that a variant needs is not on this machine; says what."""


def free_ports(n):
    """All different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def free_port():
    return free_ports(1)[0]


def until(works, what):
    end = time.monotonic() + PATIENCE
    while not works():
        if time.monotonic() > end:
            raise RuntimeError(what + " does not come up")
        time.sleep(0.02)


def connects(address):
    """address: a port of 127.0.0.1, or a path."""
    path = isinstance(address, (str, Path))
    with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as s:
        s.settimeout(1)
        try:
            s.connect(str(address) if path else ("127.0.0.1", address))
        except OSError:
            return False
    return True


def _ask(s, address, text, enough):
    s.settimeout(2)
    data = b""
    try:
        s.connect(address)
        s.sendall(text)
        while enough not in data and (more := s.recv(65536)):
            data += more
    except OSError:
        return b""
    return data


def ask(path, text, enough):
    """What a unix socket answers, up to the bytes `enough` or its end; empty if nobody is there."""
    with socket.socket(socket.AF_UNIX) as s:
        return _ask(s, str(path), text, enough)


def ask_port(port, text, enough=b"\r\n"):
    """The same of a port of this machine."""
    with socket.socket() as s:
        return _ask(s, ("127.0.0.1", port), text, enough)


class Process:
    """One process; it dies with the bench (setpriv --pdeathsig) even if that is killed."""

    def __init__(self, name, argv, log, listens=None, env=()):
        self.name, self.log = name, Path(log)
        with open(self.log, "ab") as out:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **dict(env)}, start_new_session=True)
        try:
            if listens is not None:
                until(lambda: self._up(listens), name)
        except BaseException:
            self.end()
            raise

    def _up(self, listens):
        if self._process.poll() is not None:
            raise RuntimeError("%s ended by itself: %s" % (self.name, self.log.read_text(errors="replace")[-800:]))
        return connects(listens)

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process.poll() is None

    def end(self):
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _children(pid):
    try:
        return [int(p) for p in Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()]
    except OSError:
        return []


def family(pid):
    return [pid] + [p for child in _children(pid) for p in family(child)]


def cpu(pid):
    """Seconds of CPU of a process, its threads and its children, user and system: the scheduler's own count, in ns."""
    total = 0
    for p in family(pid):
        for task in Path("/proc/%d/task" % p).iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:
                pass  # a thread that has just ended
    return total / 1e9


def resident(pid):
    """MB; none of a process that has ended."""
    return sum(int(kb) for p in family(pid) for kb in re.findall(r"VmRSS:\s*(\d+)", Path("/proc/%d/status" % p).read_text())) / 1000
