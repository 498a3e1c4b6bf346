#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the operators' pages say can be typed: every `oncectl ..` and `spoa-once ..` on them is understood by the program, every `make NAME` is a
target, every file that is named with a link is there. And what else a release has: licence, workflow."""
import os
import re
import shlex
import subprocess
import unittest

import ship
from ship import AGENT, CTL, ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "deploy").glob("*/*.md"))]
# What stands for something, and something.
STANDS_FOR = (("completed\\|failed", "completed"), ("completed|failed", "completed"), ("KEY|ID", "key"), ("FRONTEND BACKEND..", "www shop"), ("FILE..", "/none"))
WRONG_USE = 2


def commands(text, program):
    """Those in backquotes, and in indented blocks, without what follows them."""
    found = re.findall(rf"`(?:sudo |[^\s`]*/)?({program} [^`]+)`", text) + re.findall(rf"(?m)^    (?:sudo |[^\s`]*/)?({program} [^#\n]+?)(?:  .*)?$", text)
    for command in found:
        for name, value in STANDS_FOR:
            command = command.replace(name, value)
        words = shlex.split(re.split(r"[;|>\\]|\.\.", command)[0])[1:]
        # A word alone is spoken of, and need not be whole. No agent is started: its file is another one.
        if program == "oncectl" and len(words) > 1 or words and words[0].startswith("-"):
            words += ["/none"] if words[-1] == "--haproxy" else []
            yield command, ["/none" if before == "-f" else word for before, word in zip(["", *words], words)]


class Pages(unittest.TestCase):
    def understood(self, program, path, *more):
        count = 0
        for page in PAGES:
            for command, words in commands(page.read_text(), program):
                with self.subTest(page=page.name, command=command):
                    done = subprocess.run([path, *more, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
                    self.assertNotEqual(done.returncode, WRONG_USE, done.stdout)
                    self.assertNotIn("usage:", done.stdout)
                    count += 1
        return count

    def test_oncectl(self):
        """pages: oncectl understands every command that README and docs show"""
        self.assertGreater(self.understood("oncectl", CTL, "-s", "/none"), 20)

    def test_spoa_once(self):
        """pages: spoa-once understands every command that README and docs show"""
        self.assertGreater(self.understood("spoa-once", AGENT), 10)

    def test_targets(self):
        """pages: every make NAME on them is a target"""
        targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
        for page in PAGES:
            for name in re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(), re.M):
                self.assertIn(name, targets, page.name)

    def test_links(self):
        """pages: what they link to is there"""
        for page in PAGES:
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
                self.assertTrue((page.parent / link).exists(), f"{page.name}: {link}")


class Ready(unittest.TestCase):
    def test_ready(self):
        """M1.7: MIT licence, the operators' pages, a workflow that runs what `make test` runs on both Debians"""
        self.assertIn("MIT License", (ROOT / "LICENSE").read_text())
        readme = (ROOT / "README.md").read_text()
        for page in ("docs/production.md", "docs/troubleshooting.md", "docs/containers.md"):
            self.assertIn(f"({page})", readme)
            self.assertTrue((ROOT / page).is_file())
        self.assertIn("- run: .ci/run\n", (ROOT / ".github/workflows/ci.yml").read_text())
        self.assertTrue(os.access(ROOT / ".ci/run", os.X_OK))
        self.assertTrue((ROOT / ".ci/run").read_text().endswith("\nexec make test\n"))


if __name__ == "__main__":
    ship.main()
