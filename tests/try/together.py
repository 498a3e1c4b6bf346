# SPDX-License-Identifier: MIT
"""M1.7: the image with HAProxy and agent together, beside a Redis and a backend that are there."""
import os
import subprocess
import time

from loads import hold, name
from system import Broken, fetch, run

IMAGE = "spoa-once-together:" + os.environ.get("ONCE_TAG", "latest")
# There is no ps in it.
KILL_AGENT = 'for p in /proc/[0-9]*; do [ "$(cat $p/comm)" = spoa-once ] && kill -KILL ${p#/proc/}; done; :'
PASSWORD = "p@ss/w%rd"


def refused(url, backend="http://payments:8081"):
    """What the image says of a wrong environment, at once."""
    done = subprocess.run(["docker", "run", "--rm", "-e", "REDIS_URL=" + url, "-e", "BACKEND_URL=" + backend, IMAGE],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def port_of(container, port):
    return run(["docker", "port", container, "%d/tcp" % port]).split()[0]


def wait_for(what, seconds, so):
    began = time.monotonic()
    while not so():
        if time.monotonic() - began > seconds:
            raise Broken("not within %d s: %s" % (seconds, what))
        time.sleep(0.2)


def together(system):
    """M1.7: one container, set by PORT, REDIS_URL and BACKEND_URL: pays, replays, dies with its agent, drains at SIGTERM."""
    status, said = refused("redis://shop:secret@redis1:port")
    hold("a wrong REDIS_URL is named, its password is not", status == 2 and "REDIS_URL" in said and "secret" not in said, status=status, said=said)
    status, said = refused("redis://redis1", "payments:8081")
    hold("so is a wrong BACKEND_URL", status == 2 and "BACKEND_URL is 'payments:8081'" in said, status=status, said=said)
    primary = system.primary()
    system.inside(primary, "redis-cli", "acl", "setuser", "shop", "on", ">" + PASSWORD, "~*", "&*", "+@all")
    container = run(["docker", "create", "--read-only", "--tmpfs", "/run/spoa-once:uid=1180,gid=1180", "--cap-drop", "ALL", "-p", "127.0.0.1::7070",
                     "-e", "PORT=7070", "-e", "REDIS_URL=redis://shop:%s@%s/0" % ("p%40ss%2Fw%25rd", primary),
                     "-e", "BACKEND_URL=http://payments:8081", "--network", system.project + "_redis", IMAGE]).strip()
    try:
        run(["docker", "network", "connect", system.project + "_backend", container])
        return try_out(system, container)
    finally:
        run(["docker", "rm", "-f", container])
        system.inside(primary, "redis-cli", "acl", "deluser", "shop")


def state(container, field):
    return run(["docker", "inspect", "-f", "{{.State.%s}}" % field, container]).strip()


def try_out(system, container):
    run(["docker", "start", container])
    wait_for("the container is healthy", 40, lambda: state(container, "Health.Status") == "healthy")
    url, key = "http://%s/payments" % port_of(container, 7070), name("together")
    answers = [fetch(url, "POST", b"amount=10", {"Idempotency-Key": key})[:2] for _ in range(2)]
    hold("a payment is made, and replayed", [a[0] for a in answers] == [201, 201] and answers[1][1].get("Idempotent-Replayed") == "true",
         statuses=[a[0] for a in answers])
    hold("one charge", system.charges(key=key)["charges"] == 1)
    logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
    hold("the password is in no log", PASSWORD not in logs.stdout + logs.stderr)
    run(["docker", "exec", container, "bash", "-c", KILL_AGENT])
    wait_for("it ends when its agent is killed", 35, lambda: state(container, "Running") == "false")
    hold("with a failure, so that it is started again", state(container, "ExitCode") == "1", status=state(container, "ExitCode"))
    run(["docker", "start", container])
    wait_for("the container is healthy again", 40, lambda: state(container, "Health.Status") == "healthy")
    began = time.monotonic()
    run(["docker", "stop", "-t", "30", container])
    hold("SIGTERM ends it well", state(container, "ExitCode") == "0", status=state(container, "ExitCode"))
    return "pays and replays with a password from REDIS_URL, ends with its agent, stopped in %.1f s" % (time.monotonic() - began)
