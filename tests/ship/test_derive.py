#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""haproxy-conf/gateway/derive: what it makes is what is shipped; what endpoints.json cannot mean it refuses, in words that name the place."""
import json
import shutil
import tempfile
import unittest
from pathlib import Path

import ship
from ship import ROOT, run

# What is changed (a service by its number, None: the service itself, else the endpoint's number, and the fields), and what is said of it.
# Without a service: the whole text.
REFUSED = (
    ("an unknown field of an endpoint", 1, 0, {"auht": "service"}, "orders.create: there is no field auht"),
    ("an unknown field of a service", 1, None, {"timeouts": "3s"}, "service orders: there is no field timeouts"),
    ("no role", 1, 0, {"role": None}, "orders.create: it does not say its role"),
    ("no path", 1, 0, {"path": None}, "orders.create: it does not say its path"),
    ("no name", 1, 0, {"name": None}, "orders.(without a name): it does not say its name"),
    ("a service without a prefix", 1, None, {"prefix": None}, "service orders: it does not say its prefix"),
    ("a role that is none", 1, 0, {"role": "root"}, "orders.create: role is 'root'"),
    ("a time that is none", 1, 0, {"timeout": "3"}, "timeout '3'"),
    ("a body larger than the buffer", 1, 0, {"body": 15361}, "orders.create: body is 15361"),
    ("a body that is no number", 1, 0, {"body": "8k"}, "orders.create: body is '8k'"),
    ("a body below nothing", 1, 0, {"body": -1}, "orders.create: body is -1"),
    ("two services of one name", 1, None, {"name": "market-data"}, "two services are called market-data"),
    ("two endpoints of one name", 1, 1, {"name": "create"}, "two endpoints are called orders.create"),
    ("one path and method of two endpoints", 1, 1, {"path": "/active"}, "two endpoints answer GET /api/v1/orders/active"),
    ("the same with another parameter", 1, 1, {"path": "/{number}"}, "two endpoints answer GET /api/v1/orders/{}"),
    ("one path and method of two services", 2, None, {"prefix": "/api/v1/orders"}, "two endpoints answer "),
    ("no JSON", None, None, "{", "endpoints.json: no JSON: Expecting property name"),
    ("no services", None, None, "{}", "services is None; a list"),
    ("a service that is none", None, None, '{"services": [3]}', "3 is no object"),
    ("endpoints that are none", 1, None, {"endpoints": "x"}, "orders.endpoints is 'x'; a list"),
    ("a service's name that is no label", 1, None, {"name": "Orders_2"}, "the name 'Orders_2'"),
    ("a service's name that is ours", 1, None, {"name": "gateway"}, "the name 'gateway'"),
    ("an endpoint's name that is none", 1, 0, {"name": "a.b"}, "orders: the name 'a.b'"),
    ("a time that is a number", 1, 0, {"timeout": 3}, "orders.create: timeout 3"),
    ("no time at all", 1, 0, {"timeout": "0s"}, "orders.create: timeout '0s'"),
    ("a path that is no text", 1, 0, {"path": 7}, "orders.create: '/api/v1/orders' and 7 make no path"),
    ("a path that is too long", 1, 4, {"path": "/" + "x" * 90}, "1 to 95 letters"),
    ("what is stripped is not there", 1, None, {"strip": "/shop"}, "orders: strip '/shop' is not the beginning of its prefix '/api/v1/orders'"),
    ("a share of more than all", 2, None, {"canary": 100}, "strategies: canary is 100"),
    ("a time to cache that is a number", 1, 1, {"cache": 30}, "orders.list: cache is 30"),
    ("a service that nothing leads to", 1, None, {"name": "trades"}, "the line `use_backend trades if { var(txn.service) -m str trades }` is missing"),
    ("a parameter with two names", 1, 5, {"path": "/{number}"}, "two tables, or names of parameters, for /api/v1/orders/{}"),
)


def derive(change=None):
    """What derive says of endpoints.json once it was changed, and its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "haproxy-conf", Path(folder) / "conf", symlinks=True)
        path = Path(folder) / "conf/gateway/endpoints.json"
        text = json.loads(path.read_text())
        if isinstance(change, str):
            path.write_text(change)
        elif change:
            change(text["services"])
            path.write_text(json.dumps(text))
        done = run(path.with_name("derive"), *([] if change else ["--check"]))
        return done.returncode, done.stdout


class Derive(unittest.TestCase):
    def test_shipped(self):
        """derive: nothing that is shipped is stale"""
        self.assertEqual(derive(), (0, ""))

    def test_refused(self):
        """derive: what it cannot serve is refused, with the place"""
        for what, service, endpoint, fields, said in REFUSED:
            def change(services):
                row = services[service] if endpoint is None else services[service]["endpoints"][endpoint]
                for name, value in fields.items():
                    row[name] = value
                    if value is None:
                        del row[name]
            with self.subTest(what):
                status, text = derive(fields if service is None else change)
                self.assertEqual((status, "Traceback" in text), (1, False), text)
                self.assertIn(said, text)

    def test_largest_body(self):
        """derive: the largest body that HAProxy can measure is taken"""
        status, text = derive(lambda services: services[1]["endpoints"][0].update(body=15360))
        self.assertEqual((status, "Traceback" in text), (0, False), text)


if __name__ == "__main__":
    ship.main()
