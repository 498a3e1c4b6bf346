# SPDX-License-Identifier: MIT
"""What the run hands to the checker: calls, executions and faults. Times are the machine's monotonic clock, in seconds.

    Call        one request of a client and what it got     Execution   one request that the bank has seen
    Fault       what was broken, from when to when          Key         all calls and executions of one key
"""
import json
from dataclasses import dataclass, field

FOREVER = float("inf")


@dataclass(slots=True)
class Call:
    """kind: `answer` (whole, the bank's; a replay or not), `refused` (our problem+json, word says which), `gateway` (an error
    page of HAProxy's own), `none` (closed, cut, or the client left: then gave_up)."""
    id: str
    key: str
    proxy: int
    sent: float
    done: float
    kind: str
    status: int = 0
    word: str = ""
    replayed: bool = False
    number: str = ""     # the execution that the answer names
    digest: str = ""
    location: str = ""
    gave_up: bool = False
    h2: bool = False     # an HTTP/2 client may send a request again by itself


@dataclass(slots=True)
class Execution:
    """status 0: no whole answer was written. begun: the status of an answer of which half was written, at `half`; streamed:
    its body is not waited for, so that its beginning is on record and passed on before its end."""
    number: str
    key: str
    call: str
    fence: int
    begin: float
    end: float = FOREVER
    how: str = "open"
    status: int = 0
    digest: str = ""
    answered: float = FOREVER
    begun: int = 0
    half: float = FOREVER
    streamed: bool = False


@dataclass(slots=True)
class Fault:
    """target: agent or HAProxy by its number, None where there is one of it only. end: everything works again."""
    kind: str
    target: int | None
    begin: float
    end: float = FOREVER


@dataclass(slots=True)
class Key:
    name: str
    policy: str          # `release` or `hold`
    born: float
    calls: list = field(default_factory=list)
    executions: list = field(default_factory=list)
    retired: float = 0.0
    stuck: bool = False  # the client gave up without a final answer


class LedgerReader:
    """Reads the bank's ledger as it grows, and sorts its lines into keys. What belongs to no known key is in `strays`."""

    def __init__(self, path, keys):
        self._path, self._keys = path, keys
        self._at, self._rest = 0, b""
        self._open = {}
        self.strays = []

    def read(self):
        try:
            with open(self._path, "rb") as ledger:
                ledger.seek(self._at)
                data = ledger.read()
        except FileNotFoundError:
            return
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(json.loads(line))

    def bank_died(self, now):
        """Its connections are closed: nothing runs any more."""
        self.read()
        for execution in self._open.values():
            execution.end, execution.how = now, "killed"
        self._open.clear()

    def _line(self, line):
        if line["e"] == "begin":
            e = Execution(line["n"], line["key"], line["call"], line["fence"], line["t"])
            self._open[e.number] = e
            key = self._keys.get(e.key)
            (key.executions if key else self.strays).append(e)
            return
        e = self._open.get(line["n"])
        if e and line["e"] == "answer":
            e.status, e.digest, e.answered = line["status"], line["digest"], line["t"]
        elif e and line["e"] == "head":
            e.begun, e.half, e.streamed = line["status"], line["t"], line["streamed"]
        elif e:
            e.end, e.how = line["t"], line["how"]
            del self._open[line["n"]]
