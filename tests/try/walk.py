# SPDX-License-Identifier: MIT
"""The walk-throughs of docs/walk-through.md, as they stand there: a line that begins with `$` is run by bash, the lines below are what it must
say. `...` in them stands for anything. Only addresses and names of containers are replaced by those of this system."""
import re
import subprocess
import time

from loads import hold
from system import ROOT

PAGE = ROOT / "docs" / "walk-through.md"
WRITTEN = {"127.0.0.1:8080": "balancer", "127.0.0.1:8081": "gateway1", "127.0.0.1:8082": "gateway2", "127.0.0.1:8474": "toxiproxy",
           "127.0.0.1:9181": "agent1"}


def steps(text):
    """(line number, command, expected lines) of the indented blocks."""
    command, expected, at = None, [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("    $ "):
            if command:
                yield at, command, expected
            command, expected, at = line[6:], [], number
        elif line.startswith("    ") and command:
            expected.append(line[4:])
        elif command:
            yield at, command, expected
            command = None
    if command:
        yield at, command, expected


def matches(expected, said):
    pattern = r"\s*".join(".*?".join(re.escape(part) for part in line.split("...")) for line in expected)
    return re.fullmatch(pattern + r"\s*", said, re.S) is not None


def through(system):
    """M2.11: the walk-throughs by curl of docs/walk-through.md say what stands there."""
    text, run = PAGE.read_text(), "%d" % (time.time() % 1e6)
    count = 0
    for at, command, expected in steps(text):
        for address, name in WRITTEN.items():
            command = command.replace(address, system.url(name)[7:])
        # Keys of an earlier walk are known.
        command = re.sub(r"(Idempotency-Key: |key=)([a-z]+-)", r"\g<1>\g<2>%s-" % run, command)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
        said = done.stdout + done.stderr
        said = said.replace("\r", "").replace(run + "-", "")
        hold("docs/walk-through.md:%d: %s" % (at, command), matches(expected, said), expected="\n" + "\n".join(expected), said="\n" + said)
        count += 1
    return "%d commands said what the page says" % count
