#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The judge of `make try` is judged: each scenario passes on a system that keeps its promises, each of its rules fails on one that does not
(forged.py), and no rule of loads.py, kills.py and faults.py is without such a system.

    python3 tests/try/test_rules.py
"""
import ast
import importlib.util
import os
import re
import socket
import sys
import unittest
import unittest.mock
from importlib.machinery import SourceFileLoader
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
os.environ.update(SECONDS="2", RATE="400", MEAN="10", P99="15", SIZE="0.1")
import faults  # noqa: E402
import images  # noqa: E402
import kills  # noqa: E402
import loads  # noqa: E402
import system  # noqa: E402
import walk  # noqa: E402
from forged import Forged  # noqa: E402

TWICE, LOST = {"charges_each": 2}, {"forgets": (7,)}
CHARGED_503, CHARGED_502 = {"risks": True}, {"risks": True, "refusal": 502}
STORM = 3000  # a request (seq) of retry_storm's second attack, beyond its first one
# scenario: what is wrong with the system, and the rule that says so
MUTANTS = {
    loads.steady: (
        (TWICE, "nobody is charged twice"), (LOST, "each key is charged"), ({"odd": {7: 503}}, "every payment is made"),
        ({"odd": {7: 0}}, "every payment is made"), ({"latency_ms": 12.0}, "mean under 10 ms"), ({"slowest_ms": 40.0}, "mean under 10 ms, 99 % under 15 ms")),
    loads.double_click: (
        ({"gate": False}, "nobody is charged twice"), ({"shared": False}, "nobody is charged twice"), (LOST, "each key is charged"),
        ({"odd": {7: 500}}, "a click is paid, replayed or refused as in progress"), ({"odd": {0: 409}}, "one answer of each key is no replay")),
    loads.retry_storm: (
        ({"limited": 10**6}, "each client gets what the limit allows, then 429"), ({"limited": 7}, "each client gets what the limit allows, then 429"),
        ({"limited": 5}, "each client gets what the limit allows, then 429"), ({"leaks": (20,)}, "the backend sees only what the limit allows"),
        ({"odd": {STORM: 200}}, "everybody is refused"), ({"leaks": (STORM,)}, "the backend sees nothing of it"),
        ({"redis_of_refusal": 0.03}, "Redis sees at most 2 %"), ({"redis_of_refusal": 1}, "Redis sees at most 2 %")),
    loads.finished_storm: (
        (TWICE, "nobody is charged twice"), (LOST, "each key is charged"), ({"gate": False}, "every retry is replayed"),
        ({"odd": {500: 409}}, "every retry is replayed"), ({"leaks": (500,)}, "the backend sees nothing of it"),
        ({"redis_of_replay": 1}, "Redis sees at most one command for ten")),
    loads.lag: (
        ({"gate": False}, "nobody is charged twice"), (LOST, "each key is charged"), ({"odd": {40: 500}}, "clients give up (0), are told to wait"),
        ({"replays": False}, "the last try of each key is a replay")),
    kills.gateway: (
        ({"odd": {7: 503}}, "nothing fails before"), ({"outage": 2.5}, "2 s later every payment is made"), (LOST, "every payment is made in the end"),
        ({"runs_again": True}, "twice only what was in flight and unknown"), (CHARGED_503, "twice only what was in flight and unknown"), (TWICE, "twice only what was in flight and unknown"),
        ({"lasting": True}, "a payment that was refused is made when it is tried again")),
    kills.agent: (({"outage": 2.5}, "2 s later every payment is made"), (CHARGED_503, "twice only what was in flight and unknown"),
                  (CHARGED_502, "twice only what was in flight and unknown"), ({"runs_again": True}, "twice only what was in flight and unknown")),
    kills.redis: (({"outage": 9.5}, "9 s later every payment is made"), (CHARGED_503, "twice only what was in flight and unknown"),
                  (CHARGED_502, "twice only what was in flight and unknown"), ({"runs_again": True}, "twice only what was in flight and unknown"),
                  (LOST, "every payment is made in the end")),
    kills.reload: (({"odd": {500: 503}}, "every payment is made"), ({"odd": {500: 0}}, "every payment is made"), (TWICE, "nobody is charged twice")),
    faults.redis_latency: (
        ({"odd": {7: 503}}, "every payment is made"), (LOST, "each key is charged"), ({"pipes": False}, "the delay is felt"),
        ({"fail_open": True}, "every payment is refused"), ({"risks": True}, "nothing is charged"), ({"refusal_ms": 1600}, "within the processing timeout")),
    faults.redis_cut: (
        ({"odd": {7: 502}}, "payments are made, or refused while it is cut"), ({"pipes": False}, "the cut is felt"),
        ({"down_after_cut": 3.0}, "two seconds later every payment is made"), (TWICE, "nobody is charged twice"),
        (LOST, "who was paid was charged, who was refused was not"), ({"risks": True}, "who was paid was charged, who was refused was not")),
    faults.redis_down: (
        ({"fail_open": True}, "every payment is refused, with Retry-After"), ({"hint": None}, "every payment is refused, with Retry-After"),
        ({"pipes": False}, "every payment is refused, with Retry-After"), ({"risks": True}, "nothing is charged")),
    faults.backend_cut_before_headers: (
        ({"cut_looks_whole": True}, "the answer does not look whole"), ({"released_after": 1.5}, "a retry runs within a second"),
        ({"released_after": 4.0}, "a retry runs within a second"), ({"replays": False}, "its answer is replayed from then on"),
        ({"retry_charges": 2}, "the first and the retry ran, nothing else"), ({"retry_charges": 0}, "the first and the retry ran, nothing else")),
    faults.backend_cut_in_headers: (({"cut_looks_whole": True}, "the answer does not look whole"),),
    faults.backend_cut_after_headers: (({"gate": False}, "the answer does not look whole"),),
}
MODULES = (loads, kills, faults)


def rules():
    """(whether it is a promise, its text) of every rule in the modules."""
    for module in MODULES:
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("hold", "promise", "Failed"):
                text = node.args[0].left if isinstance(node.args[0], ast.BinOp) else node.args[0]
                if isinstance(text, ast.Constant):
                    yield node.func.id == "promise", text.value


def pattern(text):
    """Of a rule's text with %g and the like in it."""
    return ".*".join(re.escape(part) for part in re.split(r"%(?:g|s|d)", text.replace("%%", "%")))


class Rules(unittest.TestCase):
    failed = set()

    def play(self, scenario, **flaws):
        """The scenario's verdict on such a system."""
        paper = Forged(**flaws)
        for module in MODULES:
            module.time = paper.clock
            module.Attack = lambda of, *words, **more: of.attack(*words, **more)
        return scenario(paper)

    def fails(self, rule, call):
        with self.assertRaises(loads.Failed) as caught:
            call()
        said = str(caught.exception)
        self.assertTrue(said.startswith(rule), "%s: not %s" % (said, rule))
        self.failed.add((isinstance(caught.exception, loads.Violated), said))

    def test_kept(self):
        """each scenario passes on a system that keeps its promises"""
        for scenario in MUTANTS:
            with self.subTest(scenario.__doc__):
                self.assertIsInstance(self.play(scenario), str)

    def test_unknown_behind_a_gateway(self):
        """what was in flight when HAProxy died may have run: the only payments that may be charged twice"""
        for status in kills.UNKNOWN:
            self.assertRegex(self.play(kills.gateway, risks=True, refusal=status), "charged twice: [1-9]")

    def test_broken(self):
        """each scenario fails on a system that breaks one, by the rule that is about it"""
        for scenario, mutants in MUTANTS.items():
            for flaws, rule in mutants:
                with self.subTest(scenario.__doc__, flaws=flaws):
                    self.fails(rule, lambda: self.play(scenario, **flaws))

    def slow(self, first=201, body=b"{}", meanwhile=(409, 409, 201), **flaws):
        paper = Forged(**flaws)
        paper.pay("slow-1")
        return faults.judge_slow(paper, "slow-1", (first, {}, body), list(meanwhile))

    def test_slow(self):
        """M2.11: a slow backend: a duplicate that is not refused, is refused behind the answer, or runs, is found"""
        self.assertIn("2 duplicates refused", self.slow())
        self.fails("the payment is made", lambda: self.slow(first=504))
        for meanwhile in ((409, 201, 409), (409, 503, 409), (), (409,)):
            self.fails("duplicates are refused as in progress", lambda: self.slow(meanwhile=meanwhile))
        self.fails("and then replayed", lambda: self.slow(replays=False))
        self.fails("and then replayed", lambda: self.slow(body=b"other"))
        self.fails("nobody is charged twice", lambda: self.slow(charges_each=2))

    def test_steady(self):
        """M1.5: steady sends far more than 10,000 requests a minute for ten minutes, and fails from a mean of 10 ms, or 15 ms of the slowest of a hundred, on"""
        shipped = {name: default for name, (default, _) in loads.SETTINGS.items()}
        self.assertEqual([shipped[name] for name in ("SECONDS", "MEAN", "P99")], [600, 10, 15])
        self.assertGreaterEqual(shipped["RATE"] * 60, 2 * 10_000)
        self.assertIn("payments at %d a minute" % (60 * loads.setting("RATE")), self.play(loads.steady, latency_ms=9.8, slowest_ms=14.9))
        for flaws in ({"latency_ms": 10.0, "slowest_ms": 10.0}, {"slowest_ms": 15.0}):
            self.fails("mean under 10 ms, 99 % under 15 ms", lambda: self.play(loads.steady, **flaws))

    def test_z_every_rule_has_failed(self):
        """no rule is without a system that breaks it; promises are told from what a busy machine may excuse"""
        for promised, text in rules():
            with self.subTest(text):
                self.assertTrue(any(promised == kind and re.match(pattern(text), said) for kind, said in self.failed))


class Images(unittest.TestCase):
    """M3.17, as far as no container is needed for it."""

    def verdict(self, base=100e6, agent=112e6, smallest=14e6):
        sizes = {images.BASE: base, images.AGENT: agent, images.SMALLEST: smallest}
        with unittest.mock.patch.object(images, "look", lambda name: {"Size": sizes[name]}), unittest.mock.patch.object(images, "become_healthy"):
            return images.images(None)

    def test_sizes(self):
        """M3.17: an agent of 15 MB over its base, or another one's base, is found; so is a smallest image of 20 MB"""
        self.assertEqual(self.verdict(), "agent: 12.0 MB over its base; smallest: 14.0 MB")
        for sizes in ({"agent": 115e6}, {"base": 112e6}, {"smallest": 20e6}):
            with self.subTest(sizes), self.assertRaises(loads.Failed):
                self.verdict(**sizes)

    def test_user(self):
        """M3.17: an image that runs as root is found before it is started"""
        for user in ("", "0", "root", "0:1180"):
            with unittest.mock.patch.object(images, "look", lambda name: {"Config": {"User": user}}), self.assertRaisesRegex(loads.Failed, "is not root's"):
                images.become_healthy(None, images.AGENT)


class Settings(unittest.TestCase):
    def test_settings(self):
        """a setting that is no number, or none that can be, is named"""
        self.assertEqual(loads.setting("SECONDS"), 2)
        for value in ("ten", "0", "-1", "1e9", "nan"):
            with unittest.mock.patch.dict(os.environ, SECONDS=value), self.assertRaisesRegex(system.Broken, "SECONDS=%s: wanted a number" % value):
                loads.setting("SECONDS")


class Ports(unittest.TestCase):
    def test_published(self):
        """the ports that are looked at are those that the compose files publish"""
        files = "".join((system.COMPOSE / name).read_text() for name in ("docker-compose.yml", "toxiproxy.yml"))
        self.assertEqual(dict(re.findall(r"127\.0\.0\.1:\$\{(\w+)-(\d+)\}", files)), system.PUBLISHED)

    def test_taken(self):
        """a port that somebody has, or that is none, is named before anything is started"""
        free = {name: "" for name in system.PUBLISHED}
        self.assertIsNone(system.taken(free))
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = str(s.getsockname()[1])
            self.assertRegex(system.taken({**free, "ONCE_STATS2": port}), "^ONCE_STATS2=%s: 127.0.0.1:%s cannot be listened on: Address" % (port, port))
        for port in ("http", "70000"):
            self.assertRegex(system.taken({**free, "ONCE_PORT": port}), "^ONCE_PORT=%s: .*no port; another port: ONCE_PORT=NUMBER" % port)


class Titles(unittest.TestCase):
    def test_rows(self):
        """M1.5 M1.7 M2.11 M3.17 M5.1: each scenario's title begins with the rows that it shows"""
        loader = SourceFileLoader("try_run", str(HERE / "run"))
        run = importlib.util.module_from_spec(importlib.util.spec_from_loader("try_run", loader))
        loader.exec_module(run)
        rows = set()
        for name, (scenario, _, _) in run.SCENARIOS.items():
            with self.subTest(name):
                title = re.match(r"((?:[MIR]\d+(?:\.\d+)? ?)+): \S", scenario.__doc__)
                self.assertTrue(title, scenario.__doc__)
                rows.update(title[1].split())
        self.assertLessEqual({"M1.5", "M1.7", "M2.11", "M3.17", "M5.1"}, rows)
        page = (HERE.parents[1] / "docs" / "containers.md").read_text()
        for name in run.SCENARIOS:
            self.assertTrue("`%s`" % name in page or name.startswith("backend-cut-"), "docs/containers.md does not say when %s passes" % name)


class Texts(unittest.TestCase):
    def test_metrics(self):
        """a sum takes the samples of that very name that have all the labels"""
        text = 'a_total{x="1",y="2"} 3\na_total{x="1",y="3"} 4\na_total_more{x="1"} 9\n# a_total 7\na_total 0.5\n'
        self.assertEqual(system.metric_sum(text, "a_total"), 7.5)
        self.assertEqual(system.metric_sum(text, "a_total", 'x="1"', 'y="3"'), 4)
        self.assertEqual(system.metric_sum(text, "b_total"), 0)

    def test_walk(self):
        """M2.11: the page is read as it stands: commands, what they must say, `...` for anything, and nothing else"""
        page = "Text.\n\n    $ one\n    HTTP/1.1 201\n    ...\n    end\n\n    $ two\n    $ three\n    x\n"
        self.assertEqual([(n, c, e) for n, c, e in walk.steps(page)], [(3, "one", ["HTTP/1.1 201", "...", "end"]), (8, "two", []), (9, "three", ["x"])])
        expected = ["HTTP/1.1 201", "...", "end"]
        self.assertTrue(walk.matches(expected, "HTTP/1.1 201\nhead: 1\n\nend\n"))
        for said in ("HTTP/1.1 409\nhead: 1\n\nend\n", "HTTP/1.1 201\nhead: 1\n\nend\nmore\n", ""):
            self.assertFalse(walk.matches(expected, said))
        self.assertGreaterEqual(len(list(walk.steps(walk.PAGE.read_text()))), 20)


if __name__ == "__main__":
    unittest.main()
