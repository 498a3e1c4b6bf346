#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""oncectl doctor beside a real HAProxy, Redis and agent: nothing to say of a good site, and each finding provoked once."""
import json
import os
import re
import signal
import socket
import subprocess
import unittest

import ship
from ship import AGENT, CTL, ROOT, run, wait_for

ATTACH = ROOT / "haproxy-conf/attach"
CLUSTER = ROOT / "tests/e2e/lib/cluster"
SITE = """\
global
    setenv ONCE_RUN {dir}
    setenv ONCE_SPOE {dir}/once.spoe.cfg
{global_}
{notices}
    maxconn 500
defaults
    mode http
    log global
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend www
    bind unix@{dir}/www.sock
    http-request set-var(txn.once_policy) str(payments)
    http-request set-var(txn.once_policy) req.hdr(x-policy) if {{ req.hdr(x-policy) -m found }}
    http-request set-var(txn.once_open) bool(true) if {{ var(txn.once_policy) -m str open }}
{frontend}
    default_backend shop
backend shop
{backend}
    server s1 unix@{dir}/backend.sock
{tables}
"""
POLICIES = """policies = (
    { name = "payments"; idempotency = { principal = "none"; required = true; lock = "30s"; }; },
    { name = "hold"; idempotency = { principal = "none"; required = true; lock = "3s"; on_unknown = "hold"; }; },
    { name = "open"; limits = ( { name = "l"; rate = "5/s"; key = "global"; fail_open = true; } ); }
);
"""
NOBODY = 65534
AS_NOBODY = ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--")
# Listens at argv[1], and says that its pid is argv[2], and what INFO of each node is: argv[3], ..
LIAR = """
import json, os, socket, sys
nodes = [{"address": "node%d" % i, "ready": True, "info": info} for i, info in enumerate(sys.argv[3:])]
site = json.dumps({"pid": os.getpid() if sys.argv[2] == "self" else int(sys.argv[2]), "file": "/dev/null", "sockets": [], "haproxy": [], "counters": {}, "redis": {"nodes": nodes}})
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
s.listen()
while True:
    c, _ = s.accept()
    try:
        c.recv(65536)
        c.sendall(("HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(site), site)).encode())
    except OSError:
        pass
    c.close()
"""
provoked = set()


class Doctor(ship.Case):
    def part(self, *names):
        return "".join((ATTACH / f"{n}.cfg").read_text() for n in names)

    def redis(self, *options):
        self.port = ship.free_port()
        self.primary = self.start("redis", "redis-server", "--port", self.port, "--bind", "127.0.0.1", "--unixsocket", self.dir / "redis.sock", "--save", "",
                                  "--appendonly", "yes", "--dir", self.dir, *options)
        wait_for((self.dir / "redis.sock").exists)

    def replica(self):
        (self.dir / "replica").mkdir()
        p = self.start("replica", "redis-server", "--port", ship.free_port(), "--bind", "127.0.0.1", "--replicaof", f"127.0.0.1 {self.port}", "--save", "",
                       "--repl-diskless-sync-delay", "0", "--dir", self.dir / "replica")
        wait_for(lambda: "state=online" in self.cli("info", "replication") and "lag=0" in self.cli("info", "replication"))
        return p

    def cli(self, *words):
        return run("redis-cli", "-s", self.dir / "redis.sock", *words).stdout

    def agent(self, text=""):
        conf = self.agent_conf(text + POLICIES)
        p = self.start("agent", AGENT, "-f", conf)
        wait_for((self.dir / "admin.sock").exists)
        return p

    def haproxy(self, change=lambda text: text, mode="-db"):
        spoe = (ATTACH / "once.spoe.cfg").read_text()
        (self.dir / "once.spoe.cfg").write_text(spoe)
        text = SITE.format(dir=self.dir, global_=self.part("global"), notices=self.part("notices-global"), backend=self.part("backend"),
                           frontend=self.part("frontend", "notices-frontend", "routing"), tables=self.part("tables"))
        (self.dir / "haproxy.cfg").write_text(change(text))
        p = self.start("haproxy", "haproxy", *mode.split(), "-f", self.dir / "haproxy.cfg")
        wait_for(lambda: ship.ask(self.dir / "haproxy.sock", "show info\n"))
        return p

    def backend(self):
        self.start("backend", "python3", ROOT / "deploy/demo/payments.py", f"unix@{self.dir}/backend.sock")
        wait_for((self.dir / "backend.sock").exists)

    def ready(self):
        """The agent is connected to all, and HAProxy has seen it."""
        wait_for(lambda: (ship.http(self.dir / "http.sock", "/health/readiness") or (0,))[0] == 200)
        wait_for(lambda: "spoa_once_haproxy_workers 1" in ship.http(self.dir / "http.sock", "/metrics")[1])
        wait_for(lambda: ",UP," in (ship.ask(self.dir / "haproxy.sock", "show stat once_replay 4 -1\n") or ""))

    def good_site(self, text=""):
        self.redis("--min-replicas-to-write", "1")
        self.second = self.replica()
        self.agent(text)
        self.haproxy()
        self.backend()
        self.ready()

    def pay(self, key, *more, policy="payments"):
        return run("curl", "-s", "-m", "8", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", self.dir / "www.sock", "-H", f"Idempotency-Key: {key}",
                   "-H", f"X-Policy: {policy}", "-d", "amount=10", *more, "http://x/payments").stdout

    def doctor(self, *files):
        """{id: what} and the exit status."""
        said = subprocess.run([CTL, "-s", self.dir / "admin.sock", "--json", "doctor", *files], capture_output=True, text=True, timeout=30, check=False)
        findings = json.loads(said.stdout)["findings"]
        self.status = said.returncode
        provoked.update(f["id"] for f in findings)
        return {f["id"]: f["what"] for f in findings}

    def finds(self, word, text="", errors=None):
        """Sooner or later that finding is said, with that in it."""
        seen = {}

        def there():
            seen.clear()
            seen.update(self.doctor())
            return word in seen and text in seen[word]
        try:
            wait_for(there)
        except AssertionError:
            raise AssertionError(f"{word} {text!r} not in {seen}\n{self.log('agent')[-2000:]}") from None
        if errors is not None:
            self.assertEqual(self.status, errors)
        return seen

    def test_a_good_site(self):
        """doctor: nothing to say of a good site"""
        self.good_site()
        self.assertEqual(self.pay("k1"), "201")
        self.assertEqual((self.doctor(), self.status), ({}, 0))
        said = run(CTL, "-s", self.dir / "admin.sock", "doctor", self.dir / "haproxy.cfg")
        self.assertEqual(said.stdout, "0 errors, 0 warnings\n")
        (self.dir / "other.cfg").write_text("frontend other\n    http-request send-spoe-group once once-request\n")
        self.assertEqual(set(self.doctor(self.dir / "other.cfg")), {"configuration"})

    def test_redis_settings(self):
        """doctor: Redis' eviction, files, memory, replicas and rights"""
        self.good_site()
        self.cli("config", "set", "min-replicas-to-write", "0")
        self.finds("redis-min-replicas", errors=0)
        self.second.send_signal(signal.SIGSTOP)
        self.cli("config", "set", "appendonly", "no")
        self.finds("redis-aof", errors=0)
        self.cli("config", "set", "maxmemory-policy", "allkeys-lru")
        self.finds("redis-eviction", "allkeys-lru", errors=1)
        self.finds("redis-lag", "state=online")
        self.second.kill()
        self.finds("redis-alone")
        self.cli("config", "set", "maxmemory", "3mb")
        self.cli("eval", "for i = 1, 4000 do redis.call('SET', 'x' .. i, string.rep('x', 1000)) end", "0")
        self.finds("redis-memory", "of 3145728")
        self.finds("redis-evicted")
        self.cli("config", "set", "maxmemory", "0")
        self.cli("acl", "setuser", "default", "-info")
        self.finds("redis-blind", "NOPERM")

    def test_redis_files(self):
        """doctor: a Redis that cannot write its files; fewer replicas than redis.ack_replicas"""
        where = self.dir / "data"
        where.mkdir()
        self.start("redis", "redis-server", "--port", "0", "--unixsocket", self.dir / "redis.sock", "--save", "", "--dir", where)
        wait_for((self.dir / "redis.sock").exists)
        self.agent(f'redis = {{ address = "unix@{self.dir}/redis.sock"; ack_replicas = 1; }};\n')
        self.haproxy()
        self.ready()
        where.rmdir()
        self.cli("bgsave")
        self.finds("redis-write-failed", "rdb_last_bgsave_status")
        self.finds("redis-acks", "0 replicas")

    def test_redis_gone(self):
        """doctor: a Redis that stands still, that is gone, that has forgotten; requests that passed without it; Sentinels that are missing"""
        self.redis()
        agent = self.agent(f'redis = {{ address = "unix@{self.dir}/redis.sock"; on_data_loss = "refuse"; }};\n')
        self.haproxy()
        self.ready()
        self.finds("data-lost", errors=1)
        run(CTL, "-s", self.dir / "admin.sock", "-y", "go")
        self.primary.send_signal(signal.SIGSTOP)
        wait_for(lambda: self.pay("k") and self.pay("k", policy="open") and "spoa_once_breaker_open 1" in ship.http(self.dir / "http.sock", "/metrics")[1])
        self.finds("breaker-open")
        self.finds("failed-open")
        self.primary.send_signal(signal.SIGCONT)
        self.primary.terminate()
        self.finds("redis-away", errors=1)
        agent.terminate()
        agent.wait(10)
        sentinel = f"127.0.0.1:{ship.free_port()}"
        self.agent(f'redis = {{ sentinels = [ "{sentinel}" ]; sentinel_name = "once"; }};\n')
        self.finds("sentinels-missing", "0 of 1")

    def test_cluster(self):
        """doctor: each primary of a cluster, by its name; one that is gone, slots that none has"""
        self.start("cluster", CLUSTER, self.dir, "nodes", "--appendonly", "yes", "--min-replicas-to-write", "1")
        wait_for((self.dir / "cluster-ready").exists)
        ports = (self.dir / "nodes").read_text().split()
        def node(i, *words):
            return run("redis-cli", "-p", ports[i], *words).stdout
        agent = self.agent(f'redis = {{ mode = "cluster"; seeds = "127.0.0.1:{ports[0]}, 127.0.0.1:{ports[1]}"; }};\n')
        self.haproxy()
        self.ready()
        wait_for(lambda: self.doctor() == {} and self.status == 0)
        node(1, "config", "set", "maxmemory-policy", "allkeys-lru")
        node(2, "config", "set", "appendonly", "no")
        self.assertEqual(self.finds("redis-eviction", errors=1)["redis-eviction"], f"127.0.0.1:{ports[1]}: maxmemory-policy is allkeys-lru")
        self.finds("redis-aof", f"127.0.0.1:{ports[2]}: appendonly is no")
        node(3, "shutdown", "nosave")
        self.finds("redis-alone", f"127.0.0.1:{ports[0]}: it has no replica")
        for i in (5, 2):
            os.kill(int((self.dir / f"node{i}.pid").read_text()), signal.SIGKILL)
        seen = self.finds("redis-away", f"127.0.0.1:{ports[2]}: ", errors=1)
        self.assertIn(ports[1], seen["redis-eviction"])
        agent.terminate()
        agent.wait(10)
        for i in (0, 1, 4):
            node(i, "cluster", "delslots", *range(10923, 16384))
        self.start("agent", AGENT, "-f", self.dir / "agent.conf")
        wait_for(lambda: run(CTL, "-s", self.dir / "admin.sock", "status").returncode == 0)
        self.finds("redis-away", "the cluster has slots without a primary", errors=1)

    def test_versions(self):
        """doctor: primaries of two versions"""
        self.start("liar", "python3", "-c", LIAR, self.dir / "admin.sock", "self", "# Server\r\nredis_version:7.0.15\r\n", "# Server\r\nredis_version:8.0.2\r\n")
        wait_for((self.dir / "admin.sock").exists)
        self.finds("redis-versions", "node1: its version is 8.0.2, another primary's is 7.0.15")

    def test_agent(self):
        """doctor: sockets that were taken away, outcomes that are held or not stored, locks that were lost, bad notices, messages, reloads"""
        self.redis()
        agent = self.agent()
        self.haproxy()
        self.backend()
        self.ready()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"once/1 nonsense", str(self.dir / "notices.sock"))
        self.finds("notices-bad", "1 lines")
        self.pay("h", "-H", "Demo-Fault: close-before-headers", policy="hold")
        self.finds("outcomes-held")
        slow = subprocess.Popen(["curl", "-s", "-m", "8", "-o", "/dev/null", "--unix-socket", self.dir / "www.sock", "-H", "Idempotency-Key: slow", "-H", "Demo-Delay: 1s",
                                 "-d", "amount=10", "http://x/payments"])
        wait_for(lambda: run(CTL, "-s", self.dir / "admin.sock", "-y", "-f", "-p", "payments", "delete", "slow").returncode == 0)
        self.assertEqual(self.pay("slow"), "201")
        slow.wait()
        self.finds("lost-locks", errors=1)
        full = subprocess.Popen(["curl", "-s", "-m", "8", "-o", "/dev/null", "--unix-socket", self.dir / "www.sock", "-H", "Idempotency-Key: full", "-H", "Demo-Delay: 500ms",
                                 "-d", "amount=10", "http://x/payments"])
        wait_for(lambda: "running" in run(CTL, "-s", self.dir / "admin.sock", "-p", "payments", "show", "full").stdout)
        self.cli("config", "set", "maxmemory", "1")
        full.wait()
        self.finds("outcomes-dropped")
        self.cli("config", "set", "maxmemory", "0")
        conf = (self.dir / "agent.conf").read_text()
        (self.dir / "agent.conf").write_text("nonsense")
        agent.send_signal(signal.SIGHUP)
        self.finds("reload-refused")
        (self.dir / "agent.conf").write_text(conf)
        agent.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload-refused" not in self.doctor())
        os.unlink(self.dir / "replay.sock")
        self.finds("socket-gone", "replay.listen", errors=1)

    def test_start(self):
        """doctor: an agent without notices, without HAProxy, after a crash; one that has too few connections and gets wrong messages"""
        self.redis()
        (self.dir / "crash").write_text("crashes 3 SIGSEGV 0x10 812 1763736435".ljust(127) + "\n")
        text = f'notices = {{ listen = ""; }};\ncrash = {{ file = "{self.dir}/crash"; }};\nspop = {{ listen = "unix@{self.dir}/spop.sock"; maxrewrite = 1024; max_connections = 1; }};\n'
        self.agent(text)
        (self.dir / "haproxy.cfg").write_text("global\n")
        seen = self.finds("haproxy-away", "haproxy.sock", errors=1)
        self.assertLessEqual({"haproxy-unread", "notices-off", "crashed"}, set(seen))
        self.haproxy()
        wait_for(lambda: self.pay("k") and "connections-refused" in self.doctor())

    def test_messages(self):
        """doctor: messages without an argument; requests of an HAProxy that nobody polls; answers that cannot be opened"""
        self.redis()
        keys = []
        for name in "ab":
            (self.dir / name).write_bytes(os.urandom(32).hex().encode() + b"\n")
            os.chmod(self.dir / name, 0o400)
            keys.append(f'replay = {{ listen = "unix@{self.dir}/replay.sock"; keep = "10ms"; seal_keys = [ "{self.dir}/{name}" ]; }};\n')
        agent = self.agent(keys[0])
        haproxy = self.haproxy()
        self.backend()
        self.ready()
        wait_for(lambda: self.pay("sealed") == "201")
        agent.terminate()
        agent.wait(10)
        self.agent(keys[1])
        self.ready()
        wait_for(lambda: self.pay("sealed") in ("502", "503"))
        self.finds("seals-failed", errors=1)
        haproxy.terminate()
        haproxy.wait(10)
        haproxy = self.haproxy()
        spoe = self.dir / "once.spoe.cfg"
        spoe.write_text(spoe.read_text().replace("sent=date(0,us)", "sent=method"))
        haproxy.terminate()
        haproxy.wait(10)
        self.start("haproxy", "haproxy", "-db", "-f", self.dir / "haproxy.cfg")
        self.ready()
        self.pay("bad")
        self.finds("messages-bad")

    def test_unpolled(self):
        """doctor: an agent that was told of another HAProxy's socket"""
        self.redis()
        self.agent(f'haproxy = ( {{ socket = "{self.dir}/other.sock"; }} );\n')
        self.haproxy()
        self.backend()
        wait_for(lambda: ",UP," in (ship.ask(self.dir / "haproxy.sock", "show stat once_agents 4 -1\n") or ""))
        wait_for(lambda: self.pay("k") == "503" and "spoa_once_unpolled_total 0" not in ship.http(self.dir / "http.sock", "/metrics")[1])
        self.finds("unpolled", errors=1)

    def test_haproxy(self):
        """doctor: HAProxy's tables, servers, checks, its socket's level, its configuration, and a worker that a reload left"""
        self.redis()
        self.agent('inflight = { max_entries = 100; };\n')
        p = self.haproxy(lambda t: t.replace("size 100k expire 1s", "size 200 expire 1h").replace("no option abortonclose", "option abortonclose", 1), "-W -db")
        self.backend()
        self.ready()
        seen = self.finds("configuration", "[", errors=1)
        self.assertIn("room for 200, maxconn is 500", seen["table-small"])
        self.assertIn("table-listing", seen)
        for i in range(170):
            ship.ask(self.dir / "haproxy.sock", f"set table once_inflight key k{i} data.gpt0 1000\n")
        self.finds("table-full", "170 of 200")
        slow = subprocess.Popen(["curl", "-s", "-m", "8", "-o", "/dev/null", "--unix-socket", self.dir / "www.sock", "-H", "Idempotency-Key: slow", "-H", "Demo-Delay: 3s",
                                 "-d", "amount=10", "http://x/payments"])
        wait_for(lambda: "running" in run(CTL, "-s", self.dir / "admin.sock", "-p", "payments", "show", "slow").stdout)
        p.send_signal(signal.SIGUSR2)
        self.finds("old-workers", "2 workers behind 1")
        slow.wait()

    def test_haproxy_otherwise(self):
        """doctor: servers that are down or not checked, a socket of level user, a HAProxy without the tables"""
        self.redis()
        self.agent()
        p = self.haproxy(lambda t: t.replace("replay.sock", "nowhere.sock").replace("default-server check inter 300ms fall 2 rise 1 on-marked", "default-server on-marked", 1)
                         .replace("observe layer4 error-limit 10 on-error mark-down", "", 1).replace("level operator", "level user"))
        self.finds("agents-down", "once_replay/agent1 is DOWN", errors=1)
        seen = self.finds("no-check", "once_agents/agent1")
        self.assertIn("level is user", seen["socket-level"])
        p.terminate()
        p.wait(10)
        (self.dir / "haproxy.cfg").write_text(f"global\n stats socket {self.dir}/haproxy.sock level operator\ndefaults\n mode http\n timeout client 1s\nfrontend f\n bind unix@{self.dir}/f.sock\n")
        self.start("haproxy", "haproxy", "-db", "-f", self.dir / "haproxy.cfg")
        self.finds("table-missing", "once_unsettled", errors=1)

    @unittest.skipUnless(os.geteuid() == 0, "root's doctor")
    def test_another_user(self):
        """doctor: root's check runs as the agent's user: what the agent's environment has loaded has no more rights, and what that user may not read is said"""
        os.chmod(self.dir, 0o777)
        self.redis()
        secret = self.dir / "secret"
        secret.write_text(os.urandom(32).hex() + "\n")
        os.chmod(secret, 0o400)
        os.chown(secret, NOBODY, NOBODY)
        conf = self.agent_conf(f'replay = {{ listen = "unix@{self.dir}/replay.sock"; seal_keys = [ "{secret}" ]; }};\n' + POLICIES)
        self.start("agent", *AS_NOBODY, AGENT, "-f", conf, env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": self.dir / "loaded"})
        wait_for((self.dir / "admin.sock").exists)
        (self.dir / "haproxy.cfg").write_text("global\n")
        self.doctor(self.dir / "haproxy.cfg")
        checks = [p for p in self.dir.glob("loaded.*") if b"spoa-once [0]" in p.read_bytes()]
        self.assertEqual([p.stat().st_uid for p in checks], [NOBODY])
        os.chown(secret, 0, 0)
        said = self.doctor(self.dir / "haproxy.cfg")["configuration"]
        self.assertIn(str(secret), said)

    @unittest.skipUnless(os.geteuid() == 0, "root's doctor")
    def test_an_agent_that_lies(self):
        """doctor: an agent that names its own or a process of root's gets no program run as root"""
        os.chmod(self.dir, 0o777)
        self.start("liar", *AS_NOBODY, "python3", "-c", LIAR, self.dir / "admin.sock", "self", env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": self.dir / "loaded"})
        named = self.start("named", "sleep", "60", env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": self.dir / "named"})
        self.start("other", *AS_NOBODY, "python3", "-c", LIAR, self.dir / "other.sock", named.pid)
        (self.dir / "haproxy.cfg").write_text("global\n")
        for name in ("admin", "other"):
            wait_for((self.dir / f"{name}.sock").exists)
            run(CTL, "-s", self.dir / f"{name}.sock", "doctor", self.dir / "haproxy.cfg")
        loaded = [p for p in (*self.dir.glob("loaded.*"), *self.dir.glob("named.*")) if b"spoa-once [0]" in p.read_bytes()]
        self.assertEqual([p.name for p in loaded if p.stat().st_uid == 0], [])

    def test_no_agent(self):
        """doctor: without an agent it says so and ends with 3"""
        said = run(CTL, "-s", self.dir / "admin.sock", "doctor")
        self.assertEqual((said.returncode, "systemctl status spoa-once" in said.stdout), (3, True))

    def test_z_all_were_provoked(self):
        """doctor: each finding of its table was provoked above"""
        if len(provoked) == 0:
            self.skipTest("alone")
        listed = set(re.findall(r"(?m)^\| `([a-z-]+)` \|", run(CTL, "doctor", "--rules").stdout))
        self.assertGreater(len(listed), 30)
        self.assertEqual(listed - provoked, set())


if __name__ == "__main__":
    ship.main()
