#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""M1.7: what one container runs (deploy/docker/together), here without the container: beside a Redis with a password and a backend.
The image itself is tried by `make try` (tests/try/together.py)."""
import os
import re
import shutil
import signal
from urllib.parse import quote

import ship
from ship import AGENT, ROOT, free_port, run, wait_for

PASSWORD = 'p@ss/w%rd "quoted" \\back |pipe ${HOME} $(id) &; #'


class Together(ship.Case):
    def setUp(self):
        super().setUp()
        (self.dir / "bin").mkdir()
        os.symlink(AGENT, self.dir / "bin" / "spoa-once")
        etc = self.dir / "etc"
        for name, source in (("haproxy/haproxy.cfg", "haproxy-conf/demo/haproxy.cfg"), ("haproxy/resolve.cfg", "deploy/docker/resolve.cfg"),
                             ("haproxy/redis-tls.cfg", "haproxy-conf/redis-tls/haproxy.cfg"), ("spoa-once/spoa-once.conf", "haproxy-conf/demo/spoa-once.conf")):
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, etc / name)
        self.ports = {name: free_port() for name in ("http", "redis", "backend")}
        self.env = {"PATH": f"{self.dir}/bin:{os.environ['PATH']}", "ONCE_RUN": str(self.dir), "ONCE_ETC": str(etc), "ONCE_HTTP": f"127.0.0.1:{free_port()}",
                    "ONCE_SPOE": str(ROOT / "haproxy-conf/attach/once.spoe.cfg"), "ONCE_DOCS": str(ROOT / "docs"), "PORT": str(self.ports["http"]),
                    "REDIS_URL": f"redis://shop:{quote(PASSWORD, safe='')}@127.0.0.1:{self.ports['redis']}/0", "BACKEND_URL": f"http://127.0.0.1:{self.ports['backend']}"}

    def together(self, serves=None):
        self.main = self.start("together", ROOT / "deploy/docker/together", env=self.env, dies="TERM")
        wait_for(lambda: self.main.poll() is not None or (serves() if serves else self.pay("probe").startswith("201")))
        self.assertIsNone(self.main.poll(), self.log("together"))

    def around(self, serves=None):
        acl = self.dir / "users.acl"
        acl.write_text("user default off\nuser shop on >%s ~* &* +@all\n" % PASSWORD.replace(" ", "_"))
        self.env["REDIS_URL"] = self.env["REDIS_URL"].replace("%20", "_")
        self.redis = self.start("redis", "redis-server", "--port", self.ports["redis"], "--bind", "127.0.0.1", "--save", "", "--dir", self.dir, "--aclfile", acl)
        self.start("backend", "python3", ROOT / "deploy/demo/payments.py", f"127.0.0.1:{self.ports['backend']}")
        self.together(serves)

    def pay(self, key):
        return run("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}%header{idempotent-replayed}", "-H", f"Idempotency-Key: {key}", "-d", "amount=10",
                   f"http://127.0.0.1:{self.ports['http']}/payments").stdout

    def child(self, name):
        return int(run("pgrep", "-P", self.main.pid, "-x", name).stdout)

    def test_serves(self):
        """M1.7: PORT, REDIS_URL with an odd password and BACKEND_URL: pays and replays, the password is in no log, SIGTERM ends all well"""
        self.around()
        self.assertEqual((self.pay("a"), self.pay("a")), ("201", "201true"))
        self.main.send_signal(signal.SIGTERM)
        self.assertEqual(self.main.wait(30), 0, self.log("together"))
        self.assertNotIn(PASSWORD.split()[0], self.log("together") + (self.dir / "agent.conf").read_text())
        self.assertEqual(self.pay("a")[:3], "000")

    def healthy(self):
        return run(ROOT / "deploy/docker/together", "healthy", env={**os.environ, **self.env})

    def test_healthy(self):
        """M1.7: the image's health check holds for a site's own routes: ready, and PORT is listened on; not without Redis, nor without HAProxy"""
        self.assertIn('HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["together", "healthy"]\n',
                      (ROOT / "deploy/docker/together.Dockerfile").read_text())
        self.assertNotEqual(self.healthy().returncode, 0)
        for name in ("haproxy/haproxy.cfg", "spoa-once/spoa-once.conf"):
            file = self.dir / "etc" / name
            file.write_text(file.read_text().replace("/payments", "/orders"))
        self.around(lambda: self.healthy().returncode == 0)
        port, self.env["PORT"] = self.env["PORT"], str(free_port())
        self.assertNotEqual(self.healthy().returncode, 0)
        self.env["PORT"] = port
        self.redis.terminate()
        wait_for(lambda: "ready" in self.healthy().stdout and self.healthy().returncode == 1)

    def test_dies_whole(self):
        """M1.7: whichever of the processes dies, by kill -9 too, it is named and the others end: status 1, for the platform"""
        self.around()
        for name in ("spoa-once", "haproxy"):
            with self.subTest(name):
                os.kill(self.child(name), signal.SIGKILL)
                self.assertEqual(self.main.wait(40), 1)
                self.assertIn(f"together: {'agent' if name == 'spoa-once' else name} has died", self.log("together"))
                self.together()

    def test_refuses(self):
        """M1.7: what is missing or wrong in the environment or the files is named at once, without the password: status 2, nothing started"""
        conf = self.dir / "etc/spoa-once/spoa-once.conf"
        text = conf.read_text()
        for changes, said in (
                ({"REDIS_URL": None}, "REDIS_URL is ''"), ({"REDIS_URL": "redis.example:6379"}, "REDIS_URL is 'redis.example:6379'"),
                ({"REDIS_URL": "redis://shop:secret@redis:port/0"}, "REDIS_URL is 'redis://***@redis:port/0'"), ({"REDIS_URL": "http://redis"}, "wanted redis://"),
                ({"REDIS_URL": "redis://shop:sec/ret@redis"}, "REDIS_URL is 'redis://***@redis'"), ({"REDIS_URL": "redis://redis/70000"}, "redis.db"),
                ({"REDIS_URL": "redis://redis:70000"}, "redis.address"), ({"BACKEND_URL": None}, "BACKEND_URL is ''"), ({"BACKEND_URL": "app:8081"}, "BACKEND_URL is 'app:8081'"),
                ({"BACKEND_URL": "http://app/path"}, "BACKEND_URL is 'http://app/path'"), ({"BACKEND_URL": "http://127.0.0.1:99999"}, "haproxy.cfg:"),
                ({"REDIS_URL": "shop:secret@redis:6379"}, "REDIS_URL is '***@redis:6379'"), ({"REDIS_URL": "redis://shop:secret://x@y@redis:port"}, "REDIS_URL is 'redis://***@redis:port'"),
                ({"REDIS_URL": "redis://shop:secret\nx@redis:port"}, "REDIS_URL is 'redis://***@redis:port'"), ({"REDIS_URL": "shop:secret://@redis"}, "REDIS_URL is '***@redis'"),
                ({"BACKEND_URL": "http://shop:secret@app:8081"}, "BACKEND_URL is 'http://***@app:8081'"), ({"BACKEND_URL": "shop:secret@app"}, "BACKEND_URL is '***@app'"),
                ({"PORT": "http"}, "PORT is 'http'"), ({"PORT": "0"}, "a number from 1 to 65535"), ({"PORT": "65536"}, "PORT is '65536'"), ({"PORT": "-1"}, "PORT is '-1'"),
                ({"DRAIN": "x[$(id)]"}, "DRAIN is 'x[$(id)]'"), ({"DRAIN": "1m"}, "a number from 0 to 3600"), ({"ONCE_RUN": "/nowhere"}, "/nowhere must be a directory"),
                ({"ONCE_ETC": "/nowhere"}, "/nowhere/spoa-once/spoa-once.conf and /nowhere/haproxy/haproxy.cfg must be readable"),
                ("policies = nonsense;\n", "agent.conf:"), (text.replace("redis = {", "  redis = {"), "has no line `redis = { .. };`")):
            with self.subTest(said):
                conf.write_text(text + changes if isinstance(changes, str) and "redis" not in changes else changes if isinstance(changes, str) else text)
                env = {**os.environ, **self.env, **(changes if isinstance(changes, dict) else {})}
                done = run(ROOT / "deploy/docker/together", env={name: value for name, value in env.items() if value is not None})
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(said, done.stdout)
                self.assertFalse(re.search("secret|sec/|p@ss|p%40ss", done.stdout), done.stdout)


if __name__ == "__main__":
    ship.main()
