#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pastes what `oncectl attach` has printed into a haproxy.cfg, where its headings say: assemble.py HAPROXY.CFG LINES > NEW"""
import re
import sys


def assemble(site, lines):
    places = {}
    for heading, text in re.findall(r"(?m)^#=== ([^:\n]+):[^\n]*\n((?:(?!#===).*\n?)*)", lines):
        places[heading] = text
    out, section = [], None

    def flush():
        out.append(places.pop(section, ""))

    for line in site.splitlines(keepends=True):
        if re.match(r"\w", line):
            if section and section.startswith("frontend "):
                flush()
            words = line.split()
            section = " ".join(words[:2]) if words[0] in ("frontend", "backend") else words[0]
            out.append(line)
            if section == "global" or section.startswith("backend "):
                flush()
            continue
        if section and section.startswith("frontend ") and re.match(r"\s+(use_backend|default_backend)\b", line):
            flush()
        out.append(line)
    if section and section.startswith("frontend "):
        flush()
    out.append(places.pop("end"))
    assert not places, f"nowhere to paste: {list(places)}"
    return "".join(out)


if __name__ == "__main__":
    sys.stdout.write(assemble(open(sys.argv[1]).read(), open(sys.argv[2]).read()))
