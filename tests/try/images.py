# SPDX-License-Identifier: MIT
"""M3.17: the agent's images: small, not root, nothing written, and healthy by their own check."""
import json
import os
import time

from loads import hold
from system import COMPOSE, Broken, run

TAG = os.environ.get("ONCE_TAG", "latest")
BASE, AGENT, SMALLEST = "debian:bookworm-slim", "spoa-once:" + TAG, "spoa-once-smallest:" + TAG
AGENT_MAX, SMALLEST_MAX = 15e6, 20e6


def look(thing):
    return json.loads(run(["docker", "inspect", thing]))[0]


def images(system):
    """M3.17: the agent adds less than 15 MB to its base, the smallest image has less than 20 MB in all; both run read-only, not as root, and answer oncectl."""
    added, whole = look(AGENT)["Size"] - look(BASE)["Size"], look(SMALLEST)["Size"]
    hold("the agent adds less than 15 MB", 0 < added < AGENT_MAX, bytes=added)
    hold("the smallest has less than 20 MB", whole < SMALLEST_MAX, bytes=whole)
    for image in (AGENT, SMALLEST):
        become_healthy(system, image)
    return "agent: %.1f MB over its base; smallest: %.1f MB" % (added / 1e6, whole / 1e6)


def become_healthy(system, image):
    user = look(image)["Config"]["User"]
    hold("%s is not root's" % image, user.split(":")[0] not in ("", "0", "root"), user=user)
    settings = [word for value in look(system.container("agent1"))["Config"]["Env"] if value.startswith("ONCE_") for word in ("-e", value)]
    sockets = run(["docker", "volume", "create"]).strip()
    container = run(["docker", "run", "-d", "--read-only", "-v", sockets + ":/run/spoa-once", "--cap-drop", "ALL", *settings,
                     "-v", "%s:/etc/spoa-once/spoa-once.conf:ro" % (COMPOSE / "spoa-once.conf"),
                     "--network", system.project + "_redis", image]).strip()
    try:
        began = time.monotonic()
        while look(container)["State"]["Health"]["Status"] != "healthy":
            if time.monotonic() - began > 40 or not look(container)["State"]["Running"]:
                raise Broken("%s is not healthy: %s" % (image, run(["docker", "logs", container])[-500:]))
            time.sleep(0.3)
        # As docs/containers.md says: from the image that has it, over the volume.
        said = run(["docker", "run", "--rm", "--network", "none", "-v", sockets + ":/run/spoa-once", "--entrypoint", "oncectl", AGENT, "status"])
        hold("oncectl asks it", "payments" in said, said=said)
    finally:
        run(["docker", "rm", "-f", container])
        run(["docker", "volume", "rm", sockets])
