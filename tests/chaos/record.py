# SPDX-License-Identifier: MIT
"""What Redis wrote of the records, in its order: its append-only file, read at the end of a run (docs/wire.md, Record).

An outcome that was recorded (DONE, TOMB) stays: whoever claims after it, or takes it back, has broken the promise, whether a
client noticed or not. A claim has a larger fence than any before it.
"""
import struct
from pathlib import Path

HEAD = struct.Struct("<BccxQ")
RECORD = b":r:"  # in the name of a record's key
STATES = b"FRAHDT"
OUTCOMES = (b"D", b"T")


def commands(path):
    """The commands of one append-only file, each a list of bytes; half a command at the end is left out."""
    with open(path, "rb") as file:
        while line := file.readline():
            if not line.startswith(b"*"):
                continue  # a comment
            words = []
            for _ in range(int(line[1:])):
                length = int(file.readline()[1:] or 0)
                words.append(file.read(length + 2))
                if len(words[-1]) < length + 2:
                    return
            yield [word[:-2] for word in words]


def states(folder):
    """(key, state, fence) of each state that a record was written in."""
    for path in sorted(Path(folder).glob("*.incr.aof"), key=lambda p: int(p.name.split(".")[-3])):
        for words in commands(path):
            name = words[0].upper()
            head = words[2] if name == b"SET" else words[3] if name == b"SETRANGE" and words[2] == b"0" else b""
            if len(head) >= HEAD.size and RECORD in words[1] and head[1] in STATES:
                _, state, _, fence = HEAD.unpack_from(head)
                yield words[1], state, fence


def broken(written):
    """What must not be in such a sequence, as lines and the fence that they are about."""
    last = {}
    for key, state, fence in written:
        state_before, fence_before = last.get(key, (b"", 0))
        last[key] = state, fence
        if fence < fence_before:
            yield "record with fence %d after fence %d" % (fence, fence_before), fence
        elif state_before in OUTCOMES and (fence != fence_before or state not in OUTCOMES or (state_before, state) == OUTCOMES):
            yield "record with outcome %s of fence %d became %s of fence %d" % (
                state_before.decode(), fence_before, state.decode(), fence), fence
