#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The installed package in a room of its own (tools/test-deb), root, without a network: what was installed, that it starts as its unit, runit and s6
say, serves beside Debian's HAProxy with the lines of `oncectl attach`, is upgraded and purged. The cases build on each other."""
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

os.environ["ONCE_BUILD"] = tempfile.mkdtemp()
for name in ("sbin/spoa-once", "bin/oncectl"):
    os.symlink("/usr/" + name, os.path.join(os.environ["ONCE_BUILD"], os.path.basename(name)))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import ship  # noqa: E402
from assemble import assemble  # noqa: E402
from ship import run, wait_for  # noqa: E402

UNIT = next(p for p in (Path("/usr/lib/systemd/system/spoa-once.service"), Path("/lib/systemd/system/spoa-once.service")) if p.exists())
CONF, RUN = Path("/etc/spoa-once/spoa-once.conf"), Path("/run/spoa-once")
SITE = """
frontend www
    bind 127.0.0.1:8080
    http-request set-var(txn.once_principal) req.hdr(x-user)
    default_backend shop

backend shop
    server s1 127.0.0.1:8081
"""


def unit(name):
    """Value of the unit's line; the last one."""
    return re.findall(rf"(?m)^{name}=-?(.*)$", UNIT.read_text())[-1]


def pay(key):
    said = run("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code} %header{idempotent-replayed}",
               "-H", f"Idempotency-Key: {key}", "-H", "X-User: alice", "-d", "amount=10", "http://127.0.0.1:8080/payments")
    return said.stdout.strip()


def ready():
    return run("curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:9180/health/readiness").stdout == "200"


class Package(unittest.TestCase):
    """Named so that they run in this order; processes stay from case to case."""
    processes = {}

    @classmethod
    def tearDownClass(cls):
        for name in list(cls.processes):
            cls.end(name)

    @classmethod
    def start(cls, name, *argv, env=None, **more):
        log = open(f"/tmp/{name}.log", "ab")
        cls.processes[name] = subprocess.Popen([str(a) for a in argv], stdout=log, stderr=log, env={**os.environ, **(env or {})}, **more)

    @classmethod
    def end(cls, name, number=signal.SIGTERM):
        p = cls.processes.pop(name)
        p.send_signal(number)
        return p.wait(60)

    def as_the_unit_says(self):
        """ExecStart by its user and group, without rights, and a supervisor that listens; returns when it says READY."""
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.settimeout(15)
        path = tempfile.mktemp(dir="/tmp")
        notify.bind(path)
        os.chmod(path, 0o666)
        os.makedirs("/var/lib/spoa-once", exist_ok=True)
        self.start("agent", "setpriv", "--reuid", unit("User"), "--regid", unit("Group"), "--clear-groups", "--no-new-privs", "--bounding-set=-all",
                   "--inh-caps=-all", "--", *unit("ExecStart").split(), env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(int(unit("WatchdogSec").rstrip("s")) * 1000000)},
                   umask=int(unit("UMask"), 8))
        self.assertIn(b"READY=1", notify.recv(4096))
        self.assertIn(b"WATCHDOG=1", notify.recv(4096))
        notify.close()

    def test_01_installed(self):
        """deb: user, group, directories, link, man pages, examples and units are there; the user may not log in, nor others read passwords"""
        self.assertEqual(stat.S_IMODE(os.stat("/etc/default/spoa-once").st_mode), 0o640)
        user, group = pwd.getpwnam("spoa-once"), grp.getgrnam("haproxy")
        self.assertEqual((user.pw_gid, user.pw_shell), (group.gr_gid, "/usr/sbin/nologin"))
        self.assertEqual(pwd.getpwnam("haproxy").pw_gid, group.gr_gid)
        where = os.stat("/var/lib/haproxy/run/spoa-once")
        self.assertEqual((stat.S_IMODE(where.st_mode), where.st_gid), (0o2770, group.gr_gid))
        self.assertEqual(os.readlink(RUN), "/var/lib/haproxy/run/spoa-once")
        for page in ("man8/spoa-once.8.gz", "man5/spoa-once.conf.5.gz", "man1/oncectl.1.gz"):
            self.assertTrue(os.path.exists(f"/usr/share/man/{page}"), page)
        self.assertTrue(os.path.exists("/usr/share/doc/spoa-once/examples/attach/frontend.cfg"))
        self.assertTrue(UNIT.with_name("spoa-once@.service").exists())
        self.assertTrue(os.path.lexists("/etc/systemd/system/multi-user.target.wants/spoa-once.service"))
        self.assertEqual(run("systemctl", "is-enabled", "spoa-once.service").stdout.strip(), "enabled")

    def test_02_default_configuration(self):
        """deb: the default configuration is valid, also for instances; the example too"""
        for conf in ("/etc/spoa-once/spoa-once.conf", "/etc/spoa-once/instances.conf"):
            said = run("spoa-once", "-c", "-f", conf, env={**os.environ, "ONCE_INSTANCE": "1"})
            self.assertEqual(said.returncode, 0, said.stdout)
        self.assertIn("hiredis", run("spoa-once", "-vv").stdout)

    def test_02_secrets(self):
        """deb: docs/troubleshooting.md's look at a secret as the agent's user: root's is named, its own is taken, everybody's is refused"""
        page = (Path("/src/troubleshooting.md")).read_text()
        command = re.search(r"`(setpriv --reuid spoa-once [^`]+)`", page)[1].split()
        secret, conf = Path("/etc/spoa-once/redis.pw"), Path("/tmp/secret.conf")
        secret.write_text("secret\n")
        conf.write_text(CONF.read_text().replace('# password_file = ', 'password_file = '))
        for mode, owner, said in ((0o400, "root", "Permission denied"), (0o400, "spoa-once", "valid"), (0o444, "spoa-once", "may be read by everybody")):
            os.chmod(secret, mode)
            shutil.chown(secret, owner)
            self.assertIn(said, run(*command[:-1], conf).stdout)
        secret.unlink()

    def test_03_starts(self):
        """deb: started as ExecStart says, with its user, group, umask and no capability, it is ready and answers oncectl"""
        self.start("redis", "redis-server", "--save", "", "--appendonly", "yes", "--dir", tempfile.mkdtemp(), "--bind", "127.0.0.1")
        self.as_the_unit_says()
        wait_for(ready)
        self.assertEqual(run("oncectl", "status").returncode, 0)
        for name in ("spop", "replay", "notices"):
            s = os.stat(RUN / f"{name}.sock")
            self.assertEqual((stat.S_IMODE(s.st_mode), s.st_gid), (0o660, grp.getgrnam("haproxy").gr_gid))
        status = Path(f"/proc/{self.processes['agent'].pid}/status").read_text()
        self.assertRegex(status, r"(?m)^CapEff:\s+0+$")

    def test_04_serves(self):
        """deb: Debian's haproxy.cfg (user, chroot) with the lines of oncectl attach: a payment runs once, a retry is replayed"""
        Path("/etc/haproxy/haproxy.cfg").open("a").write(SITE)
        os.makedirs("/run/haproxy", exist_ok=True)
        self.start("haproxy", "haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg")
        wait_for(lambda: ship.ask("/run/haproxy/admin.sock", "show info\n"))
        lines = run("oncectl", "attach", "www", "shop", "--policy", "payments", "--path", "/payments").stdout
        self.end("haproxy")
        Path("/etc/haproxy/once.spoe.cfg").write_text(run("oncectl", "attach", "--spoe").stdout)
        site = Path("/etc/haproxy/haproxy.cfg")
        site.write_text(assemble(site.read_text(), lines))
        said = run("haproxy", "-c", "-f", site)
        self.assertEqual(said.returncode, 0, said.stdout)
        said = run("spoa-once", "-c", "-f", CONF, "--haproxy", site)
        self.assertEqual(said.returncode, 0, said.stdout)
        self.start("shop", "python3", "/src/deploy/demo/payments.py", "127.0.0.1:8081")
        self.start("haproxy", "haproxy", "-Ws", "-f", site)
        tries = []
        wait_for(lambda: tries.append(pay(f"try{len(tries)}")) or tries[-1] == "201", 20)
        self.assertEqual((pay("k1"), pay("k1")), ("201", "201 true"))
        self.assertIn("payments", run("oncectl", "list").stdout)

    def test_05_doctor(self):
        """deb: oncectl doctor finds no error in it"""
        said = run("oncectl", "doctor")
        self.assertEqual(said.returncode, 0, said.stdout)

    def test_06_upgrade(self):
        """deb: an upgrade keeps the configuration as it was changed, and what was paid; the agent that runs goes on meanwhile"""
        CONF.write_text(CONF.read_text() + "# changed here\n")
        said = run("dpkg", "--force-confold", "-i", "/src/next.deb")
        self.assertEqual(said.returncode, 0, said.stdout)
        self.assertIn("+next", run("dpkg-query", "-W", "spoa-once").stdout)
        self.assertIn("# changed here", CONF.read_text())
        self.assertNotIn("# new here", CONF.read_text())
        self.assertIn("# new here", Path(f"{CONF}.dpkg-dist").read_text())
        self.assertEqual(pay("k1"), "201 true")
        self.assertEqual(self.end("agent"), 0)
        self.as_the_unit_says()
        wait_for(ready)
        wait_for(lambda: pay("k1") == "201 true")

    def supervised(self, name, supervisor, directory, down, again):
        self.end("agent") if "agent" in self.processes else None
        self.start(name, supervisor, directory)
        wait_for(ready)
        pid = run("pidof", "spoa-once").stdout.strip()
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, pwd.getpwnam("spoa-once").pw_uid)
        os.kill(int(pid), signal.SIGKILL)
        wait_for(lambda: ready() and run("pidof", "spoa-once").stdout.strip() != pid)
        run(*again)
        wait_for(lambda: run("pidof", "spoa-once").stdout.strip() and ready())
        run(*down)
        wait_for(lambda: not run("pidof", "spoa-once").stdout, 60)
        self.end(name)

    def test_07_runit(self):
        """deb: under runit it runs in the foreground as its user, is started anew when it dies, reloads and drains"""
        run("cp", "-r", "/usr/share/spoa-once/deploy/runit", "/etc/sv/spoa-once")
        self.supervised("runit", "runsv", "/etc/sv/spoa-once", ("sv", "down", "/etc/sv/spoa-once"), ("sv", "hup", "/etc/sv/spoa-once"))
        log = Path("/var/log/spoa-once/current").read_text()
        self.assertIn("reloaded", log)
        self.assertIn("stopped", log)

    def test_08_s6(self):
        """deb: the same under s6"""
        run("cp", "-r", "/usr/share/spoa-once/deploy/s6", "/tmp/s6")
        self.supervised("s6", "s6-supervise", "/tmp/s6", ("s6-svc", "-d", "/tmp/s6"), ("s6-svc", "-h", "/tmp/s6"))

    def test_09_purge(self):
        """deb: a purge leaves nothing of it but the user; HAProxy goes on"""
        said = run("dpkg", "--purge", "spoa-once")
        self.assertEqual(said.returncode, 0, said.stdout)
        left = run("find", "/etc", "/usr", "/lib/systemd", "/var", "/run", "-xdev", "-name", "*spoa-once*", "-not", "-path", "/var/lib/systemd/*", "-not", "-path", "/etc/sv/*",
                   "-not", "-path", "/var/log/*", "-not", "-path", "/var/lib/dpkg/*").stdout.split()
        # HAProxy still has its own sockets in there.
        self.assertEqual(left, ["/var/lib/haproxy/run/spoa-once"])
        self.assertEqual(set(os.listdir(left[0])), {"haproxy.sock", "hop.sock"})
        self.assertEqual(pay("k1")[:3], "503")


if __name__ == "__main__":
    ship.main()
