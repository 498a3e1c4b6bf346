# SPDX-License-Identifier: MIT
"""What the tests of shipped files share: where things lie, processes that end with the test, and a line for each case."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ONCE_BUILD", ROOT / "build"))
AGENT, CTL = BUILD / "spoa-once", BUILD / "oncectl"
DEPLOY = ROOT / "deploy"
POLICY = 'policies = ( { name = "payments"; idempotency = { principal = "none"; required = true; }; } );\n'
os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"


def run(*argv, **more):
    """The ended process; its stdout and stderr as one text."""
    return subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          check=False, **more)


def wait_for(what, seconds=20):
    """The first true value of what(), or an assertion."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"nothing came within {seconds} s")


def free_port():
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(path, request):
    """What a unix socket says until it closes; None: nobody listens."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        try:
            s.connect(str(path))
        except OSError:
            return None
        s.sendall(request.encode())
        return s.makefile(errors="replace").read()


def http(path, url):
    """(status, body) of a GET over a unix socket; None: nobody listens."""
    said = ask(path, f"GET {url} HTTP/1.0\r\nHost: x\r\n\r\n")
    if not said:
        return None
    head, _, body = said.partition("\n\n") if "\n\n" in said else said.partition("\r\n\r\n")
    return int(head.split()[1]), body


class Case(unittest.TestCase):
    """A directory of its own, and processes that are ended with it. Sockets' paths are short: /tmp."""

    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="once-ship.", dir="/tmp"))
        self.processes = []

    def tearDown(self):
        for p in reversed(self.processes):
            if p.poll() is None:
                p.terminate()
                try:
                    p.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, signal.SIGKILL)  # and what it has started itself
                    p.wait()
        said = {log.name: log.read_text(errors="replace") for log in self.dir.glob("*.log")}
        shutil.rmtree(self.dir)
        for name, text in said.items():
            self.assertFalse("Sanitizer" in text or "runtime error:" in text, f"{name}: {text[-5000:]}")

    def start(self, name, *argv, env=(), dies="KILL", **more):
        """dies: the signal it gets if the test itself is killed; a script that has children wants TERM."""
        log = open(self.dir / f"{name}.log", "ab")
        p = subprocess.Popen(["setpriv", "--pdeathsig", dies, "--", *map(str, argv)], stdout=log, stderr=log, start_new_session=True,
                             env={**os.environ, **dict(env)}, **more)
        log.close()
        self.processes.append(p)
        return p

    def log(self, name):
        return (self.dir / f"{name}.log").read_text(errors="replace")

    def agent_conf(self, text="", suffix=""):
        """A configuration with all its sockets in the directory. Sections in `text` take the place of those here; several agents have suffixes, "-1"."""
        conf = self.dir / f"agent{suffix}.conf"
        sections = {s: f'{s} = {{ listen = "unix@{self.dir}/{s}{suffix}.sock"; }};\n' for s in ("replay", "http", "admin", "notices")}
        sections["spop"] = f'spop = {{ listen = "unix@{self.dir}/spop{suffix}.sock"; maxrewrite = 1024; }};\n'
        sections["redis"] = f'redis = {{ address = "unix@{self.dir}/redis.sock"; }};\n'
        sections["haproxy"] = f'haproxy = ( {{ socket = "{self.dir}/haproxy.sock"; }} );\n'
        sections["stop"] = 'stop = { drain = "100ms"; };\n'
        sections["policies"] = POLICY
        given = {line.split()[0] for line in text.splitlines() if line and not line[0].isspace()}
        conf.write_text("".join(line for name, line in sections.items() if name not in given) + text)
        return conf

    def start_redis(self, *options):
        self.start("redis", "redis-server", "--port", "0", "--unixsocket", self.dir / "redis.sock", "--save", "", "--dir", self.dir, *options)
        wait_for((self.dir / "redis.sock").exists)


class Lines(unittest.TextTestResult):
    """One line for each case: its docstring, which begins with the ids that it shows."""

    def addSuccess(self, test):
        super().addSuccess(test)
        print(f"ok      {test.shortDescription()}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print(f"FAILED  {test.shortDescription()}", flush=True)

    addError = addFailure


def main():
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stderr, verbosity=0, resultclass=Lines))
