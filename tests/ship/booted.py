#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The installed units under a real systemd (tools/test-deb boots it): their sandbox, watchdog, reload, restart, instances, drain."""
import os
import re
import sys
import tempfile
import unittest
from pathlib import Path

os.environ["ONCE_BUILD"] = tempfile.mkdtemp()
sys.path.insert(0, str(Path(__file__).resolve().parent))
import ship  # noqa: E402
from ship import run, wait_for  # noqa: E402

CONF = Path("/etc/spoa-once/spoa-once.conf")


def shown(name, unit="spoa-once"):
    return run("systemctl", "show", "-P", name, unit).stdout.strip()


def ready(port=9180):
    return run("curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{port}/health/readiness").stdout == "200"


def journal():
    return run("journalctl", "--no-pager", "-u", "spoa-once").stdout


class Booted(unittest.TestCase):
    """Named so that they run in this order."""

    def test_1_sandbox(self):
        """systemd: the unit is started at boot and ready in its sandbox: its user, no capability, a filter of system calls"""
        wait_for(ready, 60)
        self.assertEqual((shown("ActiveState"), shown("NRestarts"), shown("WatchdogUSec")), ("active", "0", "10s"))
        status = Path(f"/proc/{shown('MainPID')}/status").read_text()
        for line in (r"CapEff:\s+0+", r"CapBnd:\s+0+", r"NoNewPrivs:\s+1", r"Seccomp:\s+2"):
            self.assertRegex(status, rf"(?m)^{line}$")
        self.assertEqual(run("oncectl", "status").returncode, 0)

    def test_2_reload(self):
        """systemd: a reload is taken over; one with a mistake fails, says it, and leaves the agent as it was"""
        said = run("systemctl", "reload", "spoa-once")
        self.assertEqual(said.returncode, 0, said.stdout + journal())
        wait_for(lambda: " reloaded" in journal())
        good = CONF.read_text()
        CONF.write_text(good + "nonsense\n")
        self.assertNotEqual(run("systemctl", "reload", "spoa-once").returncode, 0)
        self.assertIn("syntax error", journal())
        CONF.write_text(good)
        self.assertTrue(ready())

    def test_3_watchdog(self):
        """M3.22: a loop that stands still is aborted by the watchdog, logged with a backtrace, counted, and started again"""
        run("systemctl", "kill", "-s", "STOP", "spoa-once")
        wait_for(lambda: shown("NRestarts") == "1" and ready(), 60)
        self.assertRegex(journal(), r"crashed signal=SIGABRT[^\n]*\n[^\n]*spoa-once\(\+0x")
        self.assertIn("spoa_once_crashes_total 1", run("curl", "-s", "http://127.0.0.1:9180/metrics").stdout)

    def test_4_killed(self):
        """systemd: an agent that is killed is started again"""
        run("systemctl", "kill", "-s", "KILL", "spoa-once")
        wait_for(lambda: shown("NRestarts") == "2" and ready(), 60)

    def test_5_drain(self):
        """systemd: a stop drains, and ends well"""
        self.assertEqual(run("systemctl", "stop", "spoa-once").returncode, 0)
        self.assertEqual((shown("ActiveState"), shown("Result")), ("inactive", "success"))
        self.assertRegex(journal(), r"stopped drained=yes")

    def test_6_instances(self):
        """systemd: two instances share a file and have sockets, ports and counts of crashes of their own"""
        said = run("systemctl", "start", "spoa-once@1", "spoa-once@2")
        self.assertEqual(said.returncode, 0, said.stdout)
        wait_for(lambda: ready(9181) and ready(9182), 60)
        for i in "12":
            self.assertEqual(run("oncectl", "-s", f"/run/spoa-once/admin-{i}.sock", "status").returncode, 0)
            self.assertTrue(re.search(rf"crash-{i}", " ".join(os.listdir("/var/lib/spoa-once"))))
        self.assertEqual(run("systemctl", "stop", "spoa-once@1", "spoa-once@2").returncode, 0)


if __name__ == "__main__":
    ship.main()
