#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""debian/: what can drift from the rest of the source without a package being built. `make deb` builds one, `make test-deb` installs it."""
import re

import ship
from ship import AGENT, ROOT, run

DEBIAN = ROOT / "debian"
# Of every build room (build-essential), or of tests alone.
NOT_NAMED = {"gcc", "make", "libc6-dev", "libcmocka-dev"}


class Debian(ship.Case):
    def test_build_depends(self):
        """deb: Build-Depends names what tools/deps build installs"""
        control = re.search(r"(?ms)^Build-Depends:(.*?)^\n", (DEBIAN / "control").read_text()).group(1)
        named = [set(re.sub(r"\(.*?\)", "", entry).replace("|", " ").split()) for entry in control.split(",")]
        build = re.search(r"(?ms)^build='(.*?)'", (ROOT / "tools/deps").read_text()).group(1)
        wanted = [set(entry.split("=")[0].split("|")) for entry in build.split()]
        self.assertGreater(len(wanted), 8)
        self.assertEqual([w for w in wanted if not w & NOT_NAMED and not any(w & n for n in named)], [])

    def test_version(self):
        """deb: the changelog's version is the program's"""
        said = run(AGENT, "--version").stdout.split()[1]
        self.assertEqual(re.match(r"spoa-once \((.*?)\)", (DEBIAN / "changelog").read_text()).group(1), said)

    def test_files(self):
        """deb: every file that debian/ names is there, links too"""
        for name in ("install", "docs", "examples"):
            for line in (DEBIAN / f"spoa-once.{name}").read_text().splitlines():
                self.assertTrue(list(ROOT.glob(line.split()[0])), line)
        for link in DEBIAN.iterdir():
            self.assertTrue(link.exists(), link)


if __name__ == "__main__":
    ship.main()
