#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Alerts and dashboard: promtool accepts and fires them, and every metric that they name is one that agent and HAProxy really have."""
import json
import re
import socket

import yaml

import ship
from ship import AGENT, DEPLOY, ROOT, run, wait_for

PROMETHEUS, RULES = DEPLOY / "prometheus", DEPLOY / "prometheus/spoa-once.rules.yml"
DASHBOARD = DEPLOY / "grafana/spoa-once.json"
# What the alerts of M3.18 are about, each by one that is there for it.
WANTED = {"error rate": "OnceErrorRate", "cache hit ratio": "OnceCacheHitRatio", "response cache hit ratio": "OnceResponseCacheHitRatio", "upstream latency": "OnceUpstreamLatency",
          "rate limit violations": "OnceRateLimitViolations", "authentication failures": "OnceAuthenticationFailures",
          "breaker open": "OnceBreakerOpen", "agent down": "OnceAgentDown", "Redis down": "OnceRedisDown"}
GATEWAY = """
global
    setenv ONCE_RUN {dir}
    setenv ONCE_SPOE {attach}/once.spoe.cfg
{global_}
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend fe
    bind unix@{dir}/fe.sock
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request deny deny_status 401 if {{ path /secret }}
    http-request set-var(txn.once_policy) str(quotes)
{frontend}
    default_backend be
backend be
{backend}
    server s1 127.0.0.1:1
{tables}
"""


def rules():
    return [r for g in yaml.safe_load(RULES.read_text())["groups"] for r in g["rules"]]


def panels():
    return [p for p in json.loads(DASHBOARD.read_text())["panels"] if p["type"] != "row"]


def expressions():
    """(where, expression) of all alerts and panels; Grafana's own variables are a time."""
    for r in rules():
        yield r["alert"], r["expr"]
    for p in panels():
        for t in p["targets"]:
            yield p["title"], re.sub(r"\$__(rate_interval|range)", "5m", t["expr"])


def samples(text):
    """{name: [{label: value}]} of a scrape."""
    found = {}
    for name, labels in re.findall(r"(?m)^([a-z_]+)(?:\{(.*)\})? [^ ]+$", text):
        found.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))
    return found


def selectors(expression):
    """(metric, {label: (operator, value)}) of an expression; by (..) and functions are no metrics."""
    bare = re.sub(r"\b(by|without|on|ignoring) *\([^)]*\)", "", expression)
    for name, labels in re.findall(r"\b((?:spoa_once|haproxy|process|up)(?:_\w+)?)\b(?:\{([^}]*)\})?", bare):
        yield name, {k: (op, v) for k, op, v in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', labels)}


class Alerts(ship.Case):
    def test_rules_are_accepted(self):
        """M3.18: promtool accepts the rules, the configuration and each query of the dashboard"""
        for word, name in (("rules", RULES), ("config", PROMETHEUS / "prometheus.yml")):
            said = run("promtool", "check", word, name)
            self.assertEqual(said.returncode, 0, said.stdout)
        queries = [{"record": f"q{i}", "expr": e} for i, (_, e) in enumerate(expressions())]
        (self.dir / "queries.yml").write_text(json.dumps({"groups": [{"name": "q", "rules": queries}]}))
        said = run("promtool", "check", "rules", self.dir / "queries.yml")
        self.assertEqual(said.returncode, 0, said.stdout)

    def test_monitoring_of_the_compose_system(self):
        """M3.18: what monitoring.yml mounts is there; its Prometheus has the rules' job names and asks services of docker-compose.yml at their ports"""
        compose = DEPLOY / "compose"
        services = yaml.safe_load((compose / "docker-compose.yml").read_text())["services"]
        for service in yaml.safe_load((compose / "monitoring.yml").read_text())["services"].values():
            for volume in service["volumes"]:
                self.assertTrue((compose / volume.split(":")[0]).is_file(), volume)
        for name in ("prometheus.yml", RULES):
            (self.dir / (compose / name).name).write_text((compose / name).read_text())
        said = run("promtool", "check", "config", self.dir / "prometheus.yml")
        self.assertEqual(said.returncode, 0, said.stdout)
        asked, usual = (yaml.safe_load((d / "prometheus.yml").read_text())["scrape_configs"] for d in (compose, PROMETHEUS))
        self.assertEqual([j["job_name"] for j in asked], [j["job_name"] for j in usual])
        for target in (t for j in asked for c in j["static_configs"] for t in c["targets"]):
            host, port = target.split(":")
            self.assertTrue(any(p.endswith(":" + port) for p in services[host]["ports"]), target)

    def test_each_alert_fires(self):
        """M3.18: each alert is fired by a case of promtool test rules, and silent before"""
        said = run("promtool", "test", "rules", PROMETHEUS / "spoa-once.tests.yml")
        self.assertEqual(said.returncode, 0, said.stdout)
        cases = yaml.safe_load((PROMETHEUS / "spoa-once.tests.yml").read_text())["tests"]
        fired = {t["alertname"] for c in cases for t in c["alert_rule_test"] if t["exp_alerts"]}
        silent = {t["alertname"] for c in cases for t in c["alert_rule_test"] if not t["exp_alerts"]}
        alerts = {r["alert"] for r in rules()}
        self.assertEqual((fired, silent), (alerts, alerts))
        self.assertLessEqual(set(WANTED.values()), alerts)

    def test_alerts_are_explained(self):
        """M3.18: each alert says how urgent it is, and has its section in docs/troubleshooting.md"""
        sections = re.findall(r"(?m)^#+ (\w+)$", (ROOT / "docs/troubleshooting.md").read_text())
        for r in rules():
            self.assertIn(r["labels"]["severity"], ("page", "ticket"))
            self.assertEqual(r["annotations"]["runbook"], "docs/troubleshooting.md#" + r["alert"].lower())
            self.assertIn(r["alert"], sections)

    def test_dashboard(self):
        """M3.18: the dashboard's panels have ids of their own, overlap nowhere, and ask the chosen Prometheus"""
        board = json.loads(DASHBOARD.read_text())
        self.assertEqual(len({p["id"] for p in board["panels"]}), len(board["panels"]))
        cells = [(x, y) for p in board["panels"] for g in [p["gridPos"]] for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])]
        self.assertEqual(len(set(cells)), len(cells))
        self.assertLess(max(x for x, _ in cells), 24)
        for p in panels():
            self.assertEqual(p["datasource"]["uid"], "${datasource}")
            self.assertTrue(p["targets"] and all(t["expr"] for t in p["targets"]))

    def scrape(self):
        """What an agent and an HAProxy with the shipped lines say, after a request under a limit and one that was denied."""
        attach = ROOT / "haproxy-conf/attach"
        part = {n: (attach / f"{n}.cfg").read_text() for n in ("global", "frontend", "backend", "tables", "routing")}
        (self.dir / "haproxy.cfg").write_text(GATEWAY.format(dir=self.dir, attach=attach, global_=part["global"], backend=part["backend"],
                                                            frontend=part["frontend"] + part["routing"], tables=part["tables"]))
        self.start_redis()
        policy = (f'traffic = {{ listen = "unix@{self.dir}/traffic.sock"; }};\n'
                  'policies = ( { name = "quotes"; limits = ( { name = "all"; rate = "6/min"; key = "global"; } ); },\n'
                  '             { name = "catalog"; cache = { ttl = "30s"; }; } );\n')
        self.start("agent", AGENT, "-f", self.agent_conf(policy))
        wait_for(lambda: ship.http(self.dir / "http.sock", "/health/readiness"))
        self.start("haproxy", "haproxy", "-db", "-f", self.dir / "haproxy.cfg")
        wait_for(lambda: (ship.http(self.dir / "fe.sock", "/quotes") or (0,))[0] == 503
                 and "spoa_once_limit_decisions_total{" in ship.http(self.dir / "http.sock", "/metrics")[1])
        self.assertEqual(ship.http(self.dir / "fe.sock", "/secret")[0], 401)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"once/1 - -- 0 401 p GET /orders orders 5 100 200 bearer expired expired", str(self.dir / "traffic.sock"))
        wait_for(lambda: "spoa_once_traffic_credentials_total{" in ship.http(self.dir / "http.sock", "/metrics")[1])
        return [samples(ship.http(self.dir / s, "/metrics")[1]) for s in ("http.sock", "fe.sock")]

    def test_names_exist(self):
        """M3.18: every metric and label that alerts and dashboard name is in a real scrape of agent and HAProxy; a 401 counts"""
        agent, haproxy = self.scrape()
        there = {**haproxy, **agent, "up": [{"job": "", "instance": ""}]}
        for where, expression in expressions():
            for name, labels in selectors(expression):
                self.assertIn(name, there, where)
                known = [{"job": "", "instance": "", **s} for s in there[name]]
                for label, (op, value) in labels.items():
                    self.assertTrue(any(label in s for s in known), f"{where}: {name} has no label {label}")
                    if op in ("=", "=~") and label != "job":
                        pattern = value if op == "=~" else re.escape(value)
                        self.assertTrue(any(re.fullmatch(pattern, s.get(label, "")) for s in known), f"{where}: {name} has no {label}={value}")
            for group in re.findall(r"\bby *\(([^)]*)\)", expression):
                names = [n for n, _ in selectors(expression)]
                for label in re.split(r", *", group):
                    self.assertTrue(any(label in {"instance", *s} for n in names for s in there[n]), f"{where}: nothing has a label {label}")
        self.assertIn({"proxy": "once_agents"}, haproxy["haproxy_backend_active_servers"])
        text = ship.http(self.dir / "fe.sock", "/metrics")[1]
        self.assertRegex(text, r'(?m)^haproxy_frontend_requests_denied_total\{proxy="fe"\} 1$')


if __name__ == "__main__":
    ship.main()
