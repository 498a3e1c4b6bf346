#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The manifests for Kubernetes: what each must say, that names lead to what is there, and that HAProxy and agent accept what is mounted."""
import os
import re
import signal

import yaml

import ship
from ship import AGENT, DEPLOY, run, wait_for

HERE = DEPLOY / "kubernetes"
KINDS = {"Deployment": "apps/v1", "Service": "v1", "Secret": "v1", "PodDisruptionBudget": "policy/v1",
         "HorizontalPodAutoscaler": "autoscaling/v2", "NetworkPolicy": "networking.k8s.io/v1"}


class Manifests(ship.Case):
    def setUp(self):
        super().setUp()
        self.kustomization = yaml.safe_load((HERE / "kustomization.yaml").read_text())
        # The Secret is an example beside them.
        found = [d for name in (*self.kustomization["resources"], "secret.yaml") for d in yaml.safe_load_all((HERE / name).read_text())]
        self.by_kind = {d["kind"]: d for d in found}
        self.assertEqual(len(self.by_kind), len(found))
        self.pod = self.by_kind["Deployment"]["spec"]["template"]["spec"]
        self.agent, = self.pod["initContainers"]
        self.haproxy, = self.pod["containers"]
        self.both = (self.agent, self.haproxy)

    def test_kinds(self):
        """M3.17: each object is of its API, of one name, under one label"""
        self.assertEqual({k: d["apiVersion"] for k, d in self.by_kind.items()}, KINDS)
        label = {"app.kubernetes.io/name": "spoa-once"}
        for d in self.by_kind.values():
            self.assertEqual((d["metadata"]["name"], d["metadata"]["labels"]), ("spoa-once", label))
        spec = self.by_kind["Deployment"]["spec"]
        self.assertEqual((spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]), (label, label))
        self.assertEqual(self.by_kind["Service"]["spec"]["selector"], label)
        self.assertEqual(self.by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"], label)

    def test_applying_keeps_the_secret(self):
        """M3.17: nothing that is applied is a Secret: the site's own is not written over"""
        for name in self.kustomization["resources"]:
            for d in yaml.safe_load_all((HERE / name).read_text()):
                self.assertNotEqual(d["kind"], "Secret", name)
        self.assertNotIn("secretGenerator", self.kustomization)
        self.assertIn("kubectl create secret generic spoa-once --from-file=redis-password=", (HERE / "README.md").read_text())

    def test_numbers(self):
        """M3.17: three replicas, requests 100m / 128Mi, limits 500m / 512Mi; a budget and an autoscaler that fit them"""
        spec = self.by_kind["Deployment"]["spec"]
        self.assertEqual(spec["replicas"], 3)
        for c in self.both:
            self.assertEqual(c["resources"], {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}})
        scale = self.by_kind["HorizontalPodAutoscaler"]["spec"]
        self.assertEqual(scale["scaleTargetRef"], {"apiVersion": "apps/v1", "kind": "Deployment", "name": "spoa-once"})
        self.assertEqual(scale["minReplicas"], spec["replicas"])
        self.assertLess(self.by_kind["PodDisruptionBudget"]["spec"]["minAvailable"], scale["minReplicas"])
        self.assertGreater(scale["maxReplicas"], scale["minReplicas"])

    def test_probes(self):
        """M3.17: both are probed, by ports that they have"""
        for c in self.both:
            ports = {p["name"] for p in c["ports"]}
            for probe in ("livenessProbe", "readinessProbe"):
                self.assertIn(c[probe]["httpGet"]["port"], ports)
        self.assertEqual(self.agent["readinessProbe"]["httpGet"]["path"], "/health/readiness")
        self.assertEqual(self.agent["startupProbe"]["httpGet"]["path"], "/health/liveness")
        ports = {p["name"] for c in self.both for p in c["ports"]}
        self.assertIn(self.by_kind["Service"]["spec"]["ports"][0]["targetPort"], ports)
        named = {p["port"] for rule in self.by_kind["NetworkPolicy"]["spec"]["ingress"] for p in rule["ports"]}
        self.assertEqual(named, ports)

    def test_stopping(self):
        """M3.17: HAProxy goes first and has time for it; the agent is a sidecar that outlives it"""
        self.assertEqual(self.agent["restartPolicy"], "Always")
        waits = int(self.haproxy["lifecycle"]["preStop"]["exec"]["command"][1])
        drain = int(re.search(r'drain = "(\d+)s"', (HERE / "spoa-once.conf").read_text()).group(1))
        self.assertGreaterEqual(self.pod["terminationGracePeriodSeconds"], waits + drain + 30)
        self.assertEqual(self.by_kind["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0)

    def test_locked(self):
        """M3.17: no root, no capability, a root file system that is read only, a secret that is not everybody's"""
        self.assertTrue(self.pod["securityContext"]["runAsNonRoot"])
        self.assertFalse(self.pod["automountServiceAccountToken"])
        for c in self.both:
            s = c["securityContext"]
            self.assertEqual((s["allowPrivilegeEscalation"], s["readOnlyRootFilesystem"], s["capabilities"]), (False, True, {"drop": ["ALL"]}))
        secret, = (v["secret"] for v in self.pod["volumes"] if "secret" in v)
        self.assertEqual((secret["secretName"], secret["defaultMode"] & 0o007), ("spoa-once", 0))
        self.assertNotIn("password", str([c.get("env") for c in self.both] + [self.agent["args"], self.haproxy["command"]]))

    def mounted(self):
        """Writes each ConfigMap's files as the pod would see them, and returns {map: {key}}."""
        maps = {}
        for g in self.kustomization["configMapGenerator"]:
            keys = maps.setdefault(g["name"], {})
            for entry in g.get("files", []):
                key, _, path = entry.rpartition("=")
                source = HERE / path
                self.assertTrue(source.is_file(), path)
                keys[key or source.name] = source.read_text()
            keys.update(dict(e.split("=", 1) for e in g.get("literals", [])))
        return maps

    def test_names_lead_somewhere(self):
        """M3.17: volumes, mounts, ConfigMaps, the Secret and their keys are there; both containers see one directory of sockets"""
        maps, volumes = self.mounted(), {v["name"]: v for v in self.pod["volumes"]}
        for v in volumes.values():
            if "configMap" in v:
                self.assertIn(v["configMap"]["name"], maps)
        for c in self.both:
            mounts = {m["name"]: m["mountPath"] for m in c["volumeMounts"]}
            self.assertLessEqual(set(mounts), set(volumes))
            self.assertEqual(mounts["sockets"], "/run/spoa-once")
            for e in c["env"]:
                if "valueFrom" in e:
                    ref = e["valueFrom"]["configMapKeyRef"]
                    self.assertIn(ref["key"], maps[ref["name"]])
        self.assertIn("emptyDir", volumes["sockets"])
        secret = next(m["mountPath"] for m in self.agent["volumeMounts"] if m["name"] == "secret")
        self.assertIn(f'"{secret}/{list(self.by_kind["Secret"]["stringData"])[0]}"', maps["spoa-once-agent"]["spoa-once.conf"])
        images = {i["name"] for i in self.kustomization["images"]}
        self.assertEqual(images, {c["image"] for c in self.both})

    def test_pod_serves(self):
        """M3.17: what is mounted runs: probes say ready with an agent and not without, SIGUSR1 ends HAProxy, SIGTERM the agent"""
        maps = self.mounted()
        for name in ("spoa-once-agent", "spoa-once-haproxy"):
            for key, text in maps[name].items():
                (self.dir / key).write_text(text)
        (self.dir / "redis-password").write_text("secret\n")
        os.chmod(self.dir / "redis-password", 0o440)
        env = {e["name"]: e.get("value", "127.0.0.1:1") for c in self.both for e in c["env"]}
        env.update(ONCE_RUN=str(self.dir), ONCE_SPOE=str(self.dir / "once.spoe.cfg"), ONCE_DOCS=str(self.dir), ONCE_BIND=f"unix@{self.dir}/fe.sock",
                   ONCE_REDIS=f"unix@{self.dir}/redis.sock")
        moved = [("/run/spoa-once", str(self.dir)), ("/etc/spoa-once-secret", str(self.dir)), ("0.0.0.0:9180", f"unix@{self.dir}/http.sock"),
                 (":8404", f"unix@{self.dir}/health.sock")]
        for key in ("spoa-once.conf", "health.cfg"):
            text = (self.dir / key).read_text()
            for a, b in moved:
                text = text.replace(a, b)
            (self.dir / key).write_text(text)
        self.start_redis("--requirepass", "secret")
        agent = self.start("agent", AGENT, "-f", self.dir / "spoa-once.conf", env=env)
        wait_for(lambda: (ship.http(self.dir / "http.sock", "/health/readiness") or (0,))[0] == 200)
        files = [self.dir / os.path.basename(f) for f in self.haproxy["command"] if f.endswith(".cfg")]
        self.assertEqual(run(*self.haproxy["command"][:1], "-c", "-f", files[0], "-f", files[1], env={**os.environ, **env}).returncode, 0)
        haproxy = self.start("haproxy", "haproxy", "-W", "-db", "-f", files[0], "-f", files[1], env=env)
        probe = lambda path: (ship.http(self.dir / "health.sock", path) or (0,))[0]
        wait_for(lambda: probe("/ready") == 200)
        self.assertEqual((probe("/alive"), probe("/metrics"), probe("/else")), (200, 200, 404))
        said = run(AGENT, "-c", "-q", "-f", self.dir / "spoa-once.conf", "--haproxy", files[0], env={**os.environ, **env})
        self.assertEqual(said.returncode, 0, said.stdout)
        agent.send_signal(signal.SIGTERM)
        wait_for(lambda: probe("/ready") == 503)
        self.assertEqual(probe("/alive"), 200)
        self.assertEqual(agent.wait(30), 0)
        haproxy.send_signal(signal.SIGUSR1)
        self.assertEqual(haproxy.wait(20), 0)


if __name__ == "__main__":
    ship.main()
