#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the README says of the sources is so: it is short, as is examples/minimal.c; code that it
shows is in a file that it links to; appmon-event(7) names every member of an event; the errors under
Troubleshooting are in the sources, and the files that README and CONTRIBUTING name are there."""
import pathlib
import re
import sys

top = pathlib.Path(sys.argv[1])
readme = (top / "README.md").read_text()
problems = []

program = (top / "examples" / "minimal.c").read_text()
if readme.count("\n") > 200:
    problems.append("README.md has more than 200 lines")
if program.count("\n") >= 60:
    problems.append("examples/minimal.c has 60 lines or more")

links = [link for link in re.findall(r"\]\(([^)#:]+)\)", readme)]
for link in links:
    if not (top / link).exists():
        problems.append(f"there is no {link}")
linked = [(top / link).read_text() for link in links
          if (top / link).is_file() and pathlib.Path(link).suffix in (".c", ".h", ".py", ".go", ".rs")]
for language, code in re.findall(r"^```(c|python|go|rust)\n(.*?)^```$", readme, re.S | re.M):
    if not any(code in text for text in linked):
        problems.append(f"no file that is linked to has this:\n{code}")

header = re.sub(r"/\*.*?\*/", " ", (top / "include/appmon/appmon.h").read_text(), flags=re.S)
event = re.search(r"^struct appmon_event \{(.*?)^\};", header, re.S | re.M)[1]
grouped = set(re.findall(r"\w+", " ".join(
    re.findall(r"^\.(?:Va|Vt) (.*)$", (top / "man/appmon-event.7").read_text(), re.M))))
for member in re.findall(r"(\w+);", event):
    if member not in grouped and not re.fullmatch(r"size|reserved\d*", member):
        problems.append(f"appmon-event(7) does not name appmon_event.{member}")

# Adjacent string literals are one.
sources = "".join(re.sub(r'"\s*\n\s*"', "", path.read_text())
                  for directory in ("libappmon", "examples/appmon", "examples/appmon/agent")
                  for path in (top / directory).rglob("*.c"))
table = re.search(r"^## Troubleshooting\n(.*?)^## ", readme, re.S | re.M)[1]
for error in re.findall(r"^\| ([^|]*) \|", table, re.M)[2:]:
    if error.startswith("it "):
        continue
    for piece in re.split(r"\.\.\.|`dropped`:|`", error):
        if piece.strip() and piece.strip() not in sources:
            problems.append(f"Troubleshooting: {piece.strip()!r} is in no source")

for path in re.findall(r"`((?:tests|examples|bindings|man|libappmon|bpf)/[\w./-]+)[ `]",
                       readme + (top / "CONTRIBUTING.md").read_text()):
    if "NAME" not in path and not list(top.glob(path + "*")):
        problems.append(f"there is no {path}")
if problems:
    sys.exit("\n".join(problems))
