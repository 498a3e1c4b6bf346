#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""debian/: what can drift from the rest of the source without a package being built. `make deb` builds one, `make test-deb` installs it."""
import os
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

    def test_scripts(self):
        """deb: what runs a script that is shipped is Essential, or is named, and then lintian is told why the package does not need it"""
        control, told = (DEBIAN / "control").read_text(), (DEBIAN / "spoa-once.lintian-overrides").read_text()
        shipped = [ROOT / line.split()[0] for line in (DEBIAN / "spoa-once.install").read_text().splitlines()] + [ROOT / "haproxy-conf"]
        for path in (p for top in shipped for p in (top.rglob("*") if top.is_dir() else [top]) if p.is_file() and p.parent != ROOT / "haproxy-conf"):
            first = path.read_bytes().split(b"\n")[0].decode(errors="replace")
            if first.startswith("#!") and first != "#!/bin/sh":
                with self.subTest(path):
                    name = first.split()[-1]
                    self.assertRegex(control, rf"(?m)^(Depends|Recommends|Suggests):.*\b{name}\b")
                    self.assertIn(f"{name}-script-but-no-{name}-dep * [usr/share/spoa-once/{path.relative_to(ROOT)}]", told)

    def test_what_is_taken_away(self):
        """deb: before a build only this package's own earlier files are taken away"""
        old = ("spoa-once_0.1_amd64.deb", "spoa-once-dbgsym_0.1_amd64.deb", "spoa-once_0.1_amd64.changes", "spoa-once_0.1_amd64.buildinfo")
        others = ("other_1_all.deb", "other_1_all.changes", "other_1_all.buildinfo")
        for name in (*old, *others):
            (self.dir / name).touch()
        (self.dir / "bin").mkdir()
        (self.dir / "bin/dpkg-buildpackage").write_text("#!/bin/sh\nexit 1\n")
        (self.dir / "bin/dpkg-buildpackage").chmod(0o755)
        self.assertEqual(run(ROOT / "tools/deb", self.dir, env={**os.environ, "PATH": f"{self.dir}/bin:{os.environ['PATH']}"}).returncode, 1)
        self.assertEqual([(self.dir / name).exists() for name in (*old, *others)], [False] * 4 + [True] * 3)

    def test_files(self):
        """deb: every file that debian/ names is there, links too"""
        for name in ("install", "docs", "examples"):
            for line in (DEBIAN / f"spoa-once.{name}").read_text().splitlines():
                self.assertTrue(list(ROOT.glob(line.split()[0])), line)
        for link in DEBIAN.iterdir():
            self.assertTrue(link.exists(), link)


if __name__ == "__main__":
    ship.main()
