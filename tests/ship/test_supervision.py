#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Units, users, directories and the configuration that the package installs; and that the agent says to its supervisor what the units rest on."""
import os
import re
import signal
import socket
import time

import ship
from ship import AGENT, DEPLOY, ROOT, run, wait_for

UNITS = DEPLOY / "systemd"
# Known since systemd 254; older ones say so and go on.
NEWER = re.compile(r"Unknown key( name)? '(RestartSteps|RestartMaxDelaySec)'")


class Supervision(ship.Case):
    def unit(self, name):
        """The unit with paths that are there: systemd-analyze looks whether it could be started."""
        text = (UNITS / name).read_text().replace("/usr/sbin/spoa-once", str(AGENT)).replace("man:spoa-once(8) man:spoa-once.conf(5) man:oncectl(1)", "https://x.example")
        path = self.dir / name.replace("@.", "@1.")
        path.write_text(text)
        return path

    def test_units_are_understood(self):
        """supervision: systemd-analyze verify has nothing to say of the units"""
        for name in ("spoa-once.service", "spoa-once@.service"):
            said = run("systemd-analyze", "verify", "--man=no", self.unit(name))
            lines = [l for l in said.stdout.splitlines() if str(self.dir) in l and not NEWER.search(l)]
            self.assertEqual((lines, said.returncode), ([], 0), said.stdout)

    def test_units_are_hardened(self):
        """supervision: systemd-analyze security says 2.0 or less of each unit"""
        for name in ("spoa-once.service", "spoa-once@.service"):
            said = run("systemd-analyze", "security", "--offline=true", "--threshold=20", UNITS / name)
            level = float(re.search(r"exposure level for .*: ([0-9.]+)", said.stdout).group(1))
            self.assertLessEqual(level, 2.0, said.stdout)
            self.assertEqual(said.returncode, 0, said.stdout)

    def test_template_is_the_unit(self):
        """supervision: spoa-once@.service is spoa-once.service, but for its instance and its file"""
        one, many = [(UNITS / n).read_text().split("[Unit]")[1] for n in ("spoa-once.service", "spoa-once@.service")]
        many = many.replace("Environment=ONCE_INSTANCE=%i\n", "").replace("spoa-once %i:", "spoa-once:").replace("/instances.conf", "/spoa-once.conf")
        self.assertEqual(one, many)
        for name in ("spoa-once.service", "spoa-once@.service"):
            self.assertIn("# Secrets that the configuration reads as ${NAME}.\nEnvironmentFile=", (UNITS / name).read_text())

    def test_environment_file(self):
        """supervision: a value that is written as the shipped environment file says is the same text for runit's shell as for systemd"""
        value = "p $HOME `id` \\ \"x\" #;&"
        text, n = re.subn(r"(?m)^# (REDIS_PASSWORD=')\.\.'$", lambda m: m[1] + value + "'", (ROOT / "debian/spoa-once.default").read_text())
        self.assertEqual(n, 1)
        (self.dir / "default").write_text(text)
        line = re.search(r"set -a; \. /etc/default/spoa-once; set \+a", (DEPLOY / "runit/run").read_text())[0].replace("/etc/default/spoa-once", str(self.dir / "default"))
        self.assertEqual(run("sh", "-c", line + "; printenv REDIS_PASSWORD").stdout, value + "\n")

    def test_user_and_directory(self):
        """supervision: sysusers and tmpfiles make the user, its group and the directory of sockets"""
        for sub, name in (("sysusers.d", "spoa-once.sysusers"), ("tmpfiles.d", "spoa-once.tmpfiles")):
            (self.dir / "usr/lib" / sub).mkdir(parents=True)
            (self.dir / "usr/lib" / sub / "spoa-once.conf").write_text((UNITS / name).read_text())
        (self.dir / "etc").mkdir()
        self.assertEqual(run("systemd-sysusers", f"--root={self.dir}").returncode, 0)
        group = re.search(r"^haproxy:x:(\d+):", (self.dir / "etc/group").read_text(), re.M).group(1)
        self.assertRegex((self.dir / "etc/passwd").read_text(), rf"(?m)^spoa-once:x:\d+:{group}:.*:/var/lib/spoa-once:/usr/sbin/nologin$")
        if os.geteuid() == 0:
            said = run("systemd-tmpfiles", f"--root={self.dir}", "--create")
            self.assertEqual(said.returncode, 0, said.stdout)
            run_dir = (self.dir / "var/lib/haproxy/run/spoa-once").stat()
            self.assertEqual((oct(run_dir.st_mode & 0o7777), run_dir.st_gid), ("0o2770", int(group)))
            self.assertEqual(os.readlink(self.dir / "run/spoa-once"), "/var/lib/haproxy/run/spoa-once")

    def test_configurations_are_valid(self):
        """supervision: the configuration files that are installed are valid; instances.conf has sockets of its own for each instance"""
        for name in ("spoa-once.conf", "instances.conf"):
            path = self.dir / name
            path.write_text((DEPLOY / "etc" / name).read_text().replace("/var/lib/spoa-once", str(self.dir)))
            said = run(AGENT, "-c", "-f", path, env={**os.environ, "ONCE_INSTANCE": "2"})
            self.assertEqual(said.returncode, 0, said.stdout)
        text = (DEPLOY / "etc/instances.conf").read_text()
        for name in ("spop", "replay", "notices", "admin"):
            self.assertIn(f"/run/spoa-once/{name}-${{ONCE_INSTANCE}}.sock", text)
        one = re.sub(r"(?m)^#.*\n", "", (DEPLOY / "etc/spoa-once.conf").read_text())
        self.assertEqual(re.sub(r"(?m)^#.*\n", "", text).replace("-${ONCE_INSTANCE}", "").replace("918${ONCE_INSTANCE}", "9180"), one)


class Filter(ship.Case):
    def allowed(self):
        """System calls that the unit's SystemCallFilter leaves, groups resolved."""
        groups = {}
        for line in run("systemd-analyze", "--no-pager", "syscall-filter").stdout.splitlines():
            word = line.strip()
            if re.match(r"@[a-z-]+", line):
                group = groups.setdefault(line.split()[0], set())
            elif word and not word.startswith("#"):
                group.add(word)

        def members(name):
            return {n for m in groups[name] for n in (members(m) if m.startswith("@") else {m})} if name.startswith("@") else {name}
        left = set()
        for words in re.findall(r"(?m)^SystemCallFilter=(.*)$", (UNITS / "spoa-once.service").read_text()):
            names = {n for w in words.lstrip("~").split() for n in members(w)}
            left = left - names if words.startswith("~") else left | names
        return left

    def test_system_calls(self):
        """supervision: what the agent asks of the kernel (start, Redis by name, scrape, oncectl, reload, drain) passes the unit's filter"""
        plain = ship.BUILD.parent / "release/spoa-once"  # a sanitizer asks for more than the agent does
        self.start_redis()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        run("redis-cli", "-s", self.dir / "redis.sock", "config", "set", "port", port)
        conf = self.agent_conf(f'redis = {{ address = "localhost:{port}"; }};\ncrash = {{ file = "{self.dir}/crash"; }};\n')
        p = self.start("agent", "strace", "-f", "-qq", "-o", self.dir / "calls", plain if plain.exists() else AGENT, "-f", conf)
        wait_for(lambda: (ship.http(self.dir / "http.sock", "/health/readiness") or (0,))[0] == 200)
        ship.http(self.dir / "http.sock", "/metrics")
        run(ship.CTL, "-s", self.dir / "admin.sock", "status")
        agent = int(run("pgrep", "-P", p.pid).stdout)
        os.kill(agent, signal.SIGHUP)
        wait_for(lambda: "reloaded" in self.log("agent"))
        os.kill(agent, signal.SIGTERM)
        self.assertEqual(p.wait(20), 0)
        calls = set(re.findall(r"(?m)^\d+ +(\w+)\(", (self.dir / "calls").read_text()))
        self.assertGreater(len(calls), 30)
        self.assertEqual(calls - self.allowed(), set())


class Notifications(ship.Case):
    """The agent under a supervisor that listens."""

    def setUp(self):
        super().setUp()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.dir / "notify"))
        self.said = []

    def tearDown(self):
        super().tearDown()
        self.notify.close()

    def heard(self, word, seconds=5):
        """The time at which a line came."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.notify.settimeout(max(end - time.monotonic(), 0.01))
            try:
                message = self.notify.recv(4096).decode()
            except TimeoutError:
                break
            self.said.append(message)
            if word in message.splitlines():
                return time.monotonic()
        return None

    def supervised(self, watchdog_us=0):
        env = {"NOTIFY_SOCKET": str(self.dir / "notify")}
        if watchdog_us:
            env["WATCHDOG_USEC"] = str(watchdog_us)
        p = self.start("agent", AGENT, "-f", self.agent_conf(), env=env)
        self.assertTrue(self.heard("READY=1"), self.log("agent"))
        return p

    def test_life(self):
        """supervision: ready, reloading, ready again, stopping with the time that the drain may take"""
        p = self.supervised()
        p.send_signal(signal.SIGHUP)
        self.assertTrue(self.heard("RELOADING=1") and self.heard("READY=1"))
        (self.dir / "agent.conf").write_text("nonsense")
        p.send_signal(signal.SIGHUP)
        self.assertTrue(self.heard("RELOADING=1") and self.heard("READY=1"))
        self.assertFalse(self.heard("WATCHDOG=1", 0.5))
        p.send_signal(signal.SIGTERM)
        self.assertTrue(self.heard("STOPPING=1"))
        self.assertIn("EXTEND_TIMEOUT_USEC=5100000", self.said[-1])
        self.assertEqual(p.wait(10), 0)

    def test_watchdog(self):
        """supervision: the watchdog hears the loop three times in its time, and nothing of a loop that stands still"""
        p = self.supervised(600000)
        times = [self.heard("WATCHDOG=1") for _ in range(4)]
        self.assertLess(times[3] - times[0], 1.2)
        self.assertGreater(times[3] - times[0], 0.4)
        p.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        self.notify.setblocking(False)
        try:
            while self.notify.recv(4096):
                pass
        except BlockingIOError:
            pass
        self.assertFalse(self.heard("WATCHDOG=1", 1))
        p.send_signal(signal.SIGCONT)
        self.assertTrue(self.heard("WATCHDOG=1"))

    def test_watchdog_of_another(self):
        """supervision: a watchdog that waits for another process is left to it"""
        env = {"NOTIFY_SOCKET": str(self.dir / "notify"), "WATCHDOG_USEC": "300000", "WATCHDOG_PID": "1"}
        self.start("agent", AGENT, "-f", self.agent_conf(), env=env)
        self.assertTrue(self.heard("READY=1"))
        self.assertFalse(self.heard("WATCHDOG=1", 0.8))

    def test_aborted(self):
        """M3.22: SIGABRT, as the watchdog sends it, is logged with a backtrace and counted at the next start"""
        conf = self.agent_conf(f'crash = {{ file = "{self.dir}/crash"; }};\n')
        p = self.start("agent", AGENT, "-f", conf)
        wait_for((self.dir / "admin.sock").exists)
        p.send_signal(signal.SIGABRT)
        self.assertEqual(p.wait(10), -signal.SIGABRT)
        self.assertIn("SIGABRT", self.log("agent"))
        self.start("agent", AGENT, "-f", conf)
        wait_for(lambda: (ship.http(self.dir / "http.sock", "/metrics") or (0, ""))[1].count("spoa_once_crashes_total 1"))


if __name__ == "__main__":
    ship.main()
