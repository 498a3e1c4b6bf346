#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The man pages: groff has nothing to say, and everything that the programs say of themselves stands in them, in full."""
import re

import ship
from ship import AGENT, BUILD, CTL, ROOT, run


def plain(page):
    """A page as somebody reads it, white space and line ends gone."""
    said = run("sh", "-c", f'groff -man -Tutf8 -P-cbou -rLL=1000n "{page}"')
    return re.sub(r"\s+", "", said.stdout.replace("‐\n", "").replace("−", "-").replace("‐", "-").replace("’", "'"))


class ManPages(ship.Case):
    @classmethod
    def setUpClass(cls):
        said = run(ROOT / "tools/man", BUILD)
        assert said.returncode == 0, said.stdout

    def test_groff(self):
        """man pages: groff warns of nothing"""
        for page in ("spoa-once.8", "spoa-once.conf.5", "oncectl.1"):
            said = run("groff", "-man", "-Tutf8", "-ww", "-z", BUILD / "man" / page)
            self.assertEqual((said.returncode, said.stdout), (0, ""), page)

    def holds(self, page, texts):
        text = plain(BUILD / "man" / page)
        self.assertGreater(len(texts), 8)
        for wanted in texts:
            self.assertTrue(re.sub(r"\s+", "", wanted) in text, f"{page} lacks: {wanted}")

    def test_options(self):
        """man pages: each option of the tables stands in spoa-once.conf(5) with its default, its bounds and its sentence"""
        rows = [r.strip("| \n").split(" | ") for r in run(AGENT, "--options").stdout.splitlines() if r.startswith("| `")]
        texts = []
        for name, kind, default, allowed, _, says in ([c.replace("`", "") for c in r] for r in rows):
            texts.append(f"{name} ({kind}, {'' if default == 'required' else 'default '}{default}) {says}" + (f" Allowed: {allowed}." if allowed else ""))
        self.holds("spoa-once.conf.5", texts)

    def test_switches(self):
        """man pages: each switch and each word stands in spoa-once(8) and oncectl(1) with its sentence"""
        for program, page in ((AGENT, "spoa-once.8"), (CTL, "oncectl.1")):
            texts = []
            for line in run(program, "--help").stdout.splitlines():
                if m := re.match(r"  (-.), (--[a-z]+) +([A-Z][A-Z.]*(?= ))?(.*)", line):
                    texts.append(f"{m[1]}, {m[2]} {m[3] or ''} {m[4]}")
                elif re.match(r"  [a-z]", line):
                    texts.append(line)
            self.holds(page, texts)


if __name__ == "__main__":
    ship.main()
