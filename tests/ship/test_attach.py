#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""oncectl attach: for a running HAProxy it prints the shipped lines, fitted to the site; pasted as it says, they serve."""
import os
import re
import subprocess

import ship
from assemble import assemble
from ship import AGENT, BUILD, CTL, DEPLOY, ROOT, run, wait_for

ATTACH = ROOT / "haproxy-conf/attach"
SITE = """\
global
    stats socket {dir}/admin.sock mode 600 level admin
    {more}

defaults
    mode http
    log global
    timeout connect 1s
    timeout client 5s
    timeout server 5s

frontend www
    bind unix@{dir}/www.sock
    http-request deny deny_status 403 if {{ path /private }}
    use_backend pictures if {{ path_beg /pictures/ }}
    default_backend shop

frontend raw
    mode tcp
    bind unix@{dir}/raw.sock
    default_backend tunnel

backend shop
    server s1 unix@{dir}/backend.sock

backend pictures
    server s1 unix@{dir}/backend.sock

backend tunnel
    mode tcp
    server s1 unix@{dir}/backend.sock
"""


def bare(text):
    """Lines without comments and indentation."""
    return [l.strip() for l in text.splitlines() if l.strip() and not l.strip().startswith("#")]


class Attach(ship.Case):
    def site(self, more=""):
        """A HAProxy that has never heard of us, running."""
        (self.dir / "site.cfg").write_text(SITE.format(dir=self.dir, more=more))
        p = self.start("haproxy", "haproxy", "-db", "-f", self.dir / "site.cfg")
        wait_for(lambda: ship.ask(self.dir / "admin.sock", "show info\n"))
        return p

    def attach(self, *words):
        said = subprocess.run([CTL, "attach", "--runtime", self.dir / "admin.sock", *words], capture_output=True, text=True, check=False)
        return said.returncode, said.stdout, said.stderr

    def replace(self, old, text, conf="agent.conf"):
        """HAProxy anew with this configuration, which it and our check take without a word."""
        old.terminate()
        old.wait(10)
        (self.dir / "new.cfg").write_text(text)
        said = run("haproxy", "-c", "-f", self.dir / "new.cfg", env=self.env)
        self.assertEqual((said.returncode, "WARNING" in said.stdout), (0, False), said.stdout)
        said = run(AGENT, "-c", "-q", "-f", self.dir / conf, "--haproxy", self.dir / "new.cfg", env=self.env)
        self.assertEqual((said.returncode, said.stdout), (0, ""))
        self.start("haproxy", "haproxy", "-db", "-f", self.dir / "new.cfg", env=self.env)

    def pay(self, key, url="/payments"):
        said = run("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code} %header{idempotent-replayed}", "--unix-socket", self.dir / "www.sock",
                   "-H", f"Idempotency-Key: {key}", "-d", "amount=10", f"http://x{url}")
        return said.stdout.strip()

    def begin(self):
        """Until a payment is made; each try has its own key."""
        said = []
        try:
            wait_for(lambda: said.append(self.pay(f"try{len(said)}")) or said[-1] == "201")
        except AssertionError:
            raise AssertionError(f"{said} {self.log('agent')} {self.log('haproxy')}") from None

    def serve(self, *switches):
        """The site with the lines, an agent, Redis and the demo's ledger; everything answers."""
        (self.dir / "once.spoe.cfg").write_text(run(CTL, "attach", "--spoe").stdout)
        self.env = {**os.environ, "ONCE_SPOE": str(self.dir / "once.spoe.cfg")}
        rc, lines, err = self.attach("www", "shop", "pictures", "--run", self.dir, "--policy", "payments", "--path", "/payments", *switches)
        self.assertEqual((rc, err), (0, ""))
        self.start("backend", "python3", ROOT / "deploy/demo/payments.py", f"unix@{self.dir}/backend.sock")
        self.start_redis()
        return lines

    def test_serves(self):
        """attach: pasted as it says, the lines pass haproxy -c and our check without a warning, and a payment runs once"""
        old = self.site()
        lines = self.serve()
        self.start("agent", AGENT, "-f", self.agent_conf())
        self.replace(old, assemble((self.dir / "site.cfg").read_text(), lines))
        self.begin()
        self.assertEqual((self.pay("k1"), self.pay("k1"), self.pay("k2"), self.pay("k2", "/other")), ("201", "201 true", "201", "404"))
        self.assertEqual(self.pay("k3", "/private"), "403")

    def check_as_printed(self, lines):
        """The line that checks, as it is printed, with the files where they lie here."""
        text = (DEPLOY / "etc/instances.conf").read_text().replace("/run/spoa-once", str(self.dir)).replace("/var/lib/spoa-once", str(self.dir)).replace('"principal"', '"none"')
        (self.dir / "instances.conf").write_text(text)
        line, = re.findall(r"(?m)^# +(.*spoa-once -c .*)$", lines)
        line = line.replace("/etc/spoa-once", str(self.dir)).replace("/etc/haproxy/haproxy.cfg", str(self.dir / "new.cfg"))
        said = run("sh", "-c", line, env={**self.env, "PATH": f"{BUILD}:{os.environ['PATH']}"})
        self.assertEqual(said.returncode, 0, said.stdout)

    def test_agents(self):
        """attach: two agents are two servers in each backend and two targets of notices; each may be ended"""
        old = self.site()
        lines = self.serve("--agents", "2")
        self.assertEqual(len(re.findall(r"(?m)^ *server agent[12] ", lines)), 6)
        self.assertEqual(len(re.findall(r'(?m)^ *log ".*/notices-[12]\.sock"', lines)), 2)
        agents = [self.start(f"agent{i}", AGENT, "-f", self.agent_conf(suffix=f"-{i}")) for i in (1, 2)]
        self.replace(old, assemble((self.dir / "site.cfg").read_text(), lines), "agent-1.conf")
        self.check_as_printed(lines)
        self.begin()
        for i, other in ((0, "k2"), (1, None)):
            agents[i].terminate()
            agents[i].wait(20)
            if other:
                wait_for(lambda: self.pay(other) in ("201", "201 true"))
        wait_for(lambda: self.pay("k9") == "503")

    def test_lines_are_the_shipped_ones(self):
        """attach: nothing is said that is not in haproxy-conf/attach, and nothing of it is left out, but the optional charge lines, and those of the cache without --cache"""
        self.site()
        rc, lines, _ = self.attach("www", "shop")
        shipped = [l for p in ("global", "notices-global", "hop-frontend", "frontend", "notices-frontend", "hop-routing", "routing", "backend", "tables", "hop-backend")
                   for l in bare((ATTACH / f"{p}.cfg").read_text())]
        self.assertEqual((rc, [" ".join(l.split()) for l in bare(lines)]), (0, [" ".join(l.split()) for l in shipped]))
        for p in ("global", "frontend", "tables"):
            for comment in re.findall(r"(?m)^ *# .*", (ATTACH / f"{p}.cfg").read_text()):
                self.assertTrue("SPDX" in comment or comment in lines, comment)
        _, smallest, _ = self.attach("www", "shop", "--smallest")
        shipped = [l for p in ("global", "frontend", "routing", "backend", "tables") for l in bare((ATTACH / f"{p}.cfg").read_text())]
        self.assertEqual([" ".join(l.split()) for l in bare(smallest)], [" ".join(l.split()) for l in shipped])
        _, cached, _ = self.attach("www", "shop", "--cache", "--policy", "catalog", "--path", "/c")
        route = "http-request set-var(txn.once_cache) str(catalog) if { path /c } || { path_beg /c/ }"
        shipped = [route] + [l for p in ("global", "notices-global", "cache-frontend", "hop-frontend", "frontend", "notices-frontend", "cache-routing", "hop-routing", "routing",
                                         "backend", "tables", "hop-backend", "cache-tables") for l in bare((ATTACH / f"{p}.cfg").read_text())]
        self.assertEqual(sorted(" ".join(l.split()) for l in bare(cached)), sorted(" ".join(l.split()) for l in shipped))
        self.assertEqual(run(CTL, "attach", "--spoe").stdout, (ATTACH / "once.spoe.cfg").read_text())

    def test_table_size(self):
        """attach: a HAProxy with many connections gets larger tables, and the agent's option with them"""
        self.site("maxconn 60000\n    no strict-limits")
        _, lines, _ = self.attach("www", "shop")
        self.assertEqual(re.findall(r"size (\d+)k", "\n".join(bare(lines))), ["118", "118"])
        self.assertIn("inflight = { max_entries = 120832; };", lines)

    def test_refuses(self):
        """attach: an unknown proxy, TCP, no HAProxy, and words that would break a configuration are refused with the way out"""
        self.site()
        for words, code, text in ((("none", "shop"), 1, "no frontend 'none'; it has: www raw"), (("www", "none"), 1, "no backend 'none'; it has: shop pictures tunnel"),
                                  (("raw", "tunnel"), 1, "raw is of mode tcp"), (("www",), 2, "--spoe"), (("www", "shop", "--agents", "0"), 2, "1 to 9"),
                                  (("www", "shop", "--policy", "a) if TRUE #", "--path", "/"), 2, "single words"), (("www", "shop", "--yes"), 2, "--yes"),
                                  *((("www", "shop", "--policy", "p", "--path", path), 2, "--path begins with /") for path in ("/payments/", "/", "payments", "/pay?a=1", "//")),
                                  *((("www", "shop", "--policy", "p", "--path", path), 2, "single words")
                                    for path in ("/a b", "/a\vb", '/a"', "/a'", "/a}", "/{a", "/a\n", "/a#b", "/ä", "-f")),
                                  (("www", "shop", "--policy", "p", "--path", "/a", "--host", "-f"), 2, "single words"),
                                  (("www", "shop", "--runtime", self.dir / "gone.sock"), 3, "stats socket PATH")):
            rc, out, err = self.attach(*words)
            self.assertEqual((rc, out, text in err), (code, "", True), (words, out, err))


if __name__ == "__main__":
    ship.main()
