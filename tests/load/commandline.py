# SPDX-License-Identifier: MIT
"""What the programs of this folder do alike: numbers within bounds, what must be there before anything begins, and an end that leaves nothing.

    run(name, main) ──► main() ──► exit status        SIGINT, SIGTERM, SIGHUP: main's `finally` runs, a word, 128 + signal
                          └── RuntimeError, OSError, a program that failed: a word, 1
"""
import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path


class Stopped(BaseException):
    """A signal has ended the run; no `except Exception` on the way holds it."""


def within(least, most, kind=int):
    """For argparse: a number of that kind from `least` to `most`, both included."""
    def number(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError("%r is not a%s number from %g to %g" % (text, " whole" if kind is int else "", least, most))
        return value
    return number


def must_have(programs, *folders):
    """OSError that names the program that is not in PATH, or the folder that cannot be written to."""
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        raise OSError("not in PATH: %s (tools/deps bench installs them)" % ", ".join(missing))
    for folder in folders:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OSError("%s is no folder that can be written to" % folder)


def write_json(file, value):
    """All of it or nothing: who reads the file never meets half of it."""
    new = Path("%s.new" % file)
    new.write_text(json.dumps(value, indent=1))
    new.replace(file)


def _stop(number, _):
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # what is cleared away now is cleared away whole
    raise Stopped(number)


def run(name, main):
    """main's exit status, or that of what ended it."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _stop)
    try:
        return main()
    except Stopped as by:
        print("%s: stopped by %s" % (name, signal.Signals(by.args[0]).name), file=sys.stderr)
        return 128 + by.args[0]
    except (RuntimeError, OSError, subprocess.SubprocessError) as why:
        print("%s: %s" % (name, why), file=sys.stderr)
        return 1
