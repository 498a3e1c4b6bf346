# SPDX-License-Identifier: MIT
"""Load by vegeta: a file of targets, a rate, a time; what came back, one by one and as a report.

A file in targets/ has a line of vegeta's JSON format for each request in turn, with names in angle brackets: <n> counts them (each
line is used `repeat` times), <key> is <n> or what a scenario makes of it, <balancer>, <gateway1>, <gateway2> are addresses."""
import base64
import json
import subprocess
import threading
from pathlib import Path

from system import VEGETA, Broken

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "build" / "try"
NO_MORE = "no targets to attack"
HISTOGRAM = "hist[0,1ms,2ms,3ms,5ms,10ms,15ms,25ms,50ms,100ms,500ms,1s,5s]"


def targets(name):
    """The lines of targets/NAME.json; `body` is text there, vegeta wants base64."""
    lines = []
    for line in (HERE / "targets" / (name + ".json")).read_text().splitlines():
        target = json.loads(line)
        if "body" in target:
            target["body"] = base64.b64encode(target["body"].encode()).decode()
        lines.append(json.dumps(target))
    return lines


class Attack:
    """`name`: targets/NAME.json and build/try/LABEL.bin. words: an iterable of dicts, one for each request: what the angle brackets
    stand for. rate: requests a second, at most 500 on their way. It ends when the words do."""

    def __init__(self, system, name, words, rate, label=None, timeout="20s"):
        self._lines, self._words, self._system = targets(name), words, system
        OUT.mkdir(parents=True, exist_ok=True)
        self._label = label or name
        self._file = OUT / (self._label + ".bin")
        self._process = subprocess.Popen(
            [str(VEGETA), "attack", "-format=json", "-lazy", "-rate=%d" % rate, "-timeout=" + timeout, "-max-workers=500", "-duration=0",
             "-output=" + str(self._file)], stdin=subprocess.PIPE, text=True)
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self):
        known = {name: self._system.url(name) for name in ("balancer", "gateway1", "gateway2")}
        try:
            for i, words in enumerate(self._words):
                line = self._lines[i % len(self._lines)]
                for name, value in {**known, "n": i, **words}.items():
                    line = line.replace("<%s>" % name, str(value))
                self._process.stdin.write(line + "\n")
            self._process.stdin.close()
        except BrokenPipeError:
            pass

    def wait(self):
        self._feeder.join()
        if self._process.wait() != 0:
            raise Broken("vegeta ended with %d" % self._process.returncode)
        return Results(self._file, OUT / (self._label + ".json"))


class Seen:
    """What came back. `each`: dicts with code (0: no answer), seq (which of the words), latency (ns), replayed, retry_after."""

    def __init__(self, each):
        self.each = each

    def count(self, code=None, replayed=None):
        return sum(1 for r in self.each if (code is None or r["code"] == code) and (replayed is None or r["replayed"] == replayed))

    def codes(self):
        return {code: self.count(code) for code in sorted({r["code"] for r in self.each})}

    def latency_ms(self):
        """mean and 99th percentile: that which 99 % do not exceed."""
        latencies = sorted(r["latency"] / 1e6 for r in self.each)
        return sum(latencies) / len(latencies), latencies[-(-99 * len(latencies) // 100) - 1]


class Results(Seen):
    """By vegeta: its own format is read from `taken` and kept as JSON in `file`, without the hits that found the list at its end."""

    def __init__(self, taken, file):
        lines = [line for line in self._vegeta("encode", "-to=json", taken).splitlines() if NO_MORE not in line]
        file.write_text("\n".join(lines) + "\n")
        taken.unlink()
        self._file = file
        super().__init__([self._short(json.loads(line)) for line in lines])

    @staticmethod
    def _vegeta(*words):
        return subprocess.run([str(VEGETA), *map(str, words)], check=True, capture_output=True, text=True).stdout

    def _report(self, kind):
        return self._vegeta("report", "-type=" + kind, self._file)

    @staticmethod
    def _short(result):
        headers = {name.lower(): values[0] for name, values in (result.get("headers") or {}).items()}
        return {"code": result["code"], "seq": result["seq"], "latency": result["latency"],
                "replayed": headers.get("idempotent-replayed") == "true", "retry_after": headers.get("retry-after")}

    def show(self):
        report = self._report("text").split("Error Set:")[0] + self._report(HISTOGRAM)
        print("\n".join("    " + line.rstrip() for line in report.splitlines()), flush=True)
