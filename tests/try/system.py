# SPDX-License-Identifier: MIT
"""The compose system as the scenarios see it: up and down, who is killed, what the ledger, Redis and the metrics say.

Everything is asked on 127.0.0.1 or through the Docker engine; ports are those that the engine has published."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose"
VEGETA = ROOT / "build" / "tools" / "vegeta"
# name: service and its port in the container
PORTS = {"balancer": ("balancer", 8080), "gateway1": ("gateway1", 8080), "gateway2": ("gateway2", 8080), "stats1": ("gateway1", 8405),
         "stats2": ("gateway2", 8405), "agent1": ("agent1", 9180), "agent2": ("agent2", 9180), "toxiproxy": ("toxiproxy", 8474)}
IMAGES = ("spoa-once", "spoa-once-smallest", "spoa-once-demo", "spoa-once-haproxy", "spoa-once-redis", "spoa-once-payments",
          "spoa-once-tools", "spoa-once-together")
HOST = "shop.example"  # the same over every gateway: a key for another host is refused (422)
# What the compose files publish, and where unless the environment says otherwise; empty: the engine chooses.
PUBLISHED = {"ONCE_PORT": "8080", "ONCE_PORT1": "8081", "ONCE_PORT2": "8082", "ONCE_STATS1": "8405", "ONCE_STATS2": "8406",
             "ONCE_METRICS1": "9181", "ONCE_METRICS2": "9182", "ONCE_TOXIPROXY": "8474"}
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever the environment says of proxies
FIRST_NET, LAST_NET = 214, 250  # 10.N: what `apart` chooses from


class Broken(Exception):
    """The system, or what runs it, is not as it must be; the text is for people."""


def engine_answers():
    """None, or why there is no Docker engine to ask."""
    if not shutil.which("docker"):
        return "docker is not installed"
    asked = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True)
    return None if asked.returncode == 0 else asked.stderr.strip().splitlines()[-1]


def images_missing():
    names = ["%s:%s" % (name, os.environ.get("ONCE_TAG", "latest")) for name in IMAGES]
    return [n for n in names if subprocess.run(["docker", "image", "inspect", n], capture_output=True).returncode]


def take_vegeta():
    """Copies vegeta out of the image of tools: it runs on this machine's side of the published ports."""
    VEGETA.parent.mkdir(parents=True, exist_ok=True)
    image = "spoa-once-tools:" + os.environ.get("ONCE_TAG", "latest")
    container = run(["docker", "create", image]).strip()
    try:
        run(["docker", "cp", container + ":/vegeta", str(VEGETA)])
    finally:
        run(["docker", "rm", container])


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Broken("%s: %s" % (" ".join(command), (done.stderr or done.stdout).strip()[-2000:]))
    return done.stdout


def fetch(url, method="GET", body=None, headers=(), timeout=10):
    """(status, headers, body); status 0: no answer, or a broken one, and the body says why."""
    request = urllib.request.Request(url, body, dict(headers), method=method)
    try:
        with DIRECT.open(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, {}, repr(error).encode()


def metric_sum(text, name, *labels):
    """Sum of the samples of that name that have all these labels (written as in the text)."""
    total = 0.0
    for line in text.splitlines():
        if re.match(re.escape(name) + r"[{ ]", line) and all(label in line for label in labels):
            total += float(line.rsplit(" ", 1)[1])
    return total


def taken(environment):
    """None, or which of the ports to be published somebody has."""
    for name, default in PUBLISHED.items():
        port = environment.get(name, default)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", int(port or 0)))
            except (OSError, OverflowError, ValueError) as reason:
                return "%s=%s: 127.0.0.1:%s cannot be listened on: %s; another port: %s=NUMBER" % (
                    name, port, port, getattr(reason, "strerror", None) or "no port", name)
    return None


class System:
    """One project of docker-compose. With toxiproxy: the second file too."""

    def __init__(self, project="once", toxiproxy=True):
        self.project, self.toxiproxy = project, toxiproxy
        self._ports, self._env = {}, dict(os.environ)
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
        self._compose = ["docker", "compose"] if plugin else ["docker-compose"]

    def apart(self):
        """Free ports, and networks that nobody here has: beside whatever else runs."""
        self._env.update({name: "" for name in PUBLISHED})
        ids = run(["docker", "network", "ls", "-q"]).split()
        taken = run(["docker", "network", "inspect"] + ids)
        free = next((n for n in range(FIRST_NET, LAST_NET) if '"10.%d.' % n not in taken), None)
        if free is None:
            raise Broken("no network is free of 10.%d to 10.%d" % (FIRST_NET, LAST_NET - 1))
        self._env["ONCE_NET"] = "10.%d" % free

    def compose(self, *words, timeout=300):
        files = ["docker-compose.yml"] + (["toxiproxy.yml"] if self.toxiproxy else [])
        command = self._compose + ["-p", self.project]
        for name in files:
            command += ["-f", str(COMPOSE / name)]
        return run(command + list(words), env=self._env, timeout=timeout)

    def up(self):
        if not self.is_up() and (reason := taken(self._env)):
            raise Broken("%s. Nothing was started" % reason)
        self.compose("up", "-d", "--no-build")
        self._ports = {}
        self.wait_until_paid(60)

    def down(self):
        self.compose("down", "-v", "--remove-orphans", "-t", "2")

    def is_up(self):
        return bool(run(["docker", "ps", "-q", "--filter", "label=com.docker.compose.project=" + self.project]).split())

    # containers

    def container(self, service):
        ids = run(["docker", "ps", "-aq", "--filter", "label=com.docker.compose.project=" + self.project,
                   "--filter", "label=com.docker.compose.service=" + service]).split()
        if not ids:
            raise Broken("there is no container for %s: is the system up (make up)?" % service)
        return ids[0]

    def signal(self, service, name):
        run(["docker", "kill", "-s", name, self.container(service)])

    def start(self, service):
        run(["docker", "start", self.container(service)])

    def inside(self, service, *command):
        return run(["docker", "exec", self.container(service)] + list(command))

    def url(self, name, path=""):
        if name not in self._ports:
            service, port = PORTS[name]
            text = run(["docker", "port", self.container(service), "%d/tcp" % port])
            self._ports[name] = text.split()[0].rsplit(":", 1)[1]
        return "http://127.0.0.1:%s%s" % (self._ports[name], path)

    def forget_ports(self):
        """A container that was started again may have another one."""
        self._ports = {}

    # what is known

    def versions(self):
        """Of the parts that decide what is seen: one line."""
        asked = (("agent1", "spoa-once", r"spoa-once (\S+)", "spoa-once"), ("gateway1", "haproxy", r"version (\d+\.\d+\.\d+)", "HAProxy"),
                 ("redis1", "redis-server", r"v=(\S+)", "Redis"))
        return ", ".join("%s %s" % (name, re.search(form, self.inside(service, program, "-v"))[1]) for service, program, form, name in asked)

    def pay(self, key, gateway="balancer", timeout=20, body=b'{"amount": 10}', **headers):
        said = {"Host": HOST, "Idempotency-Key": key, "Content-Type": "application/json"}
        said.update({name.replace("_", "-"): value for name, value in headers.items()})
        return fetch(self.url(gateway, "/payments"), "POST", body, said, timeout)

    def wait_until_paid(self, seconds):
        """Seconds until payments are made again, through the balancer and through each gateway."""
        began = time.monotonic()
        waiting = ["balancer", "gateway1", "gateway2"]
        while waiting:
            status, _, _ = self.pay("probe-%d" % time.monotonic_ns(), waiting[0], timeout=3)
            if status == 201:
                waiting.pop(0)
            elif time.monotonic() - began > seconds:
                raise Broken("%s makes no payment within %d s; its last answer was %d" % (waiting[0], seconds, status))
            else:
                time.sleep(0.1)
        return time.monotonic() - began

    def charges(self, **query):
        for _ in range(50):
            status, _, body = fetch(self.url("gateway2", "/charges?" + urllib.parse.urlencode(query)))
            if status == 200:
                return json.loads(body)
            time.sleep(0.1)
        raise Broken("the ledger does not answer: %d" % status)

    def primary(self):
        """redis1 or redis2, as a Sentinel says."""
        said = self.inside("sentinel3", "redis-cli", "-p", "26379", "sentinel", "get-master-addr-by-name", "once").split()
        second = said[0].endswith(".22") or said[1] == "6380"
        return "redis2" if second else "redis1"

    def redis_commands(self):
        """Scripts that the primary has run, by its own count (some eight a second are the agents' own), and answers fetched from it."""
        text = self.inside(self.primary(), "redis-cli", "info", "commandstats")
        scripts = int((re.findall(r"cmdstat_evalsha:calls=(\d+)", text) or [0])[0])
        return scripts + self.agent_metric("spoa_once_replays_total", 'from="redis"')

    def forwarded(self):
        """Requests that the gateways have sent to the application, by HAProxy's own count."""
        return int(self._sum(("stats1", "stats2"), "haproxy_backend_http_requests_total", 'proxy="application"'))

    def agent_metric(self, name, *labels):
        return int(self._sum(("agent1", "agent2"), name, *labels))

    def _sum(self, pages, name, *labels):
        return sum(metric_sum(fetch(self.url(page, "/metrics"))[2].decode(), name, *labels) for page in pages)

    # Toxiproxy

    def has_toxiproxy(self):
        return bool(run(["docker", "ps", "-q", "--filter", "label=com.docker.compose.project=" + self.project,
                         "--filter", "label=com.docker.compose.service=toxiproxy"]).split())

    def _toxiproxy(self, method, path, value=None):
        body = json.dumps(value).encode() if value is not None else None
        status, _, said = fetch(self.url("toxiproxy", path), method, body, {"Content-Type": "application/json"})
        if status not in (200, 204):
            raise Broken("toxiproxy: %s %s: %d %s" % (method, path, status, said.decode()))

    def toxic(self, pipe, kind, stream="downstream", **attributes):
        self._toxiproxy("POST", "/proxies/%s/toxics" % pipe, {"name": kind + "-" + stream, "type": kind, "stream": stream,
                                                              "attributes": attributes})

    def switch(self, pipe, on):
        """Off: connections are cut, new ones refused."""
        self._toxiproxy("POST", "/proxies/" + pipe, {"enabled": on})

    def heal(self):
        """No toxics, every pipe on."""
        self._toxiproxy("POST", "/reset", {})
