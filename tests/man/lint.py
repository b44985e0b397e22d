#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""mandoc finds nothing to say about the pages, and what they refer to is there."""
import pathlib
import re
import shutil
import subprocess
import sys

# Pages of other projects that are referred to.
OTHERS = {"capabilities.7", "cgroups.7", "epoll.7", "errno.3", "fork.2", "longjmp.3", "proc.5"}


def main():
    pages = [p for p in sorted(pathlib.Path(sys.argv[1]).iterdir())
             if re.fullmatch(r"appmon\S*\.[137]", p.name)]
    if not shutil.which("mandoc"):
        print("mandoc is not installed")
        sys.exit(77)
    own = {p.name for p in pages}
    problems = []
    for page in pages:
        text = page.read_text()
        if alias := re.fullmatch(r"\.so man\d/(\S+)\n", text):
            if alias[1] not in own:
                problems.append(f"{page.name}: there is no {alias[1]}")
            continue
        if left := re.search(r'^\.\\" [A-Z]+ \S+$', text, re.M):
            problems.append(f"{page.name}: not expanded: {left[0]}")
        out = subprocess.run(["mandoc", "-T", "lint", "-W", "style", page], text=True,
                             stdout=subprocess.PIPE, check=False).stdout
        problems += [line for line in out.splitlines()
                     # These are not installed yet; that they are there is looked up below.
                     if "referenced manual not found" not in line
                     and "outdated mandoc.db" not in line]
        for line in re.findall(r"^\.(?:It )?(Xr .*)", text, re.M):
            for name, section in re.findall(r"Xr (\S+) (\d)", line):
                if f"{name}.{section}" not in own | OTHERS:
                    problems.append(f"{page.name}: refers to {name}({section}), which is not there")
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(pages)} pages")


main()
