#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""archive.py NM LIBRARY.a: what the archive defines for a whole program begins with appmon_."""
import subprocess
import sys

nm, archive = sys.argv[1:]
lines = subprocess.run([nm, "--defined-only", "--extern-only", archive], check=True,
                       capture_output=True, text=True).stdout.splitlines()
names = {line.split()[-1] for line in lines if len(line.split()) == 3}
# Of the address sanitizer.
foreign = {name for name in names if not name.startswith(("appmon_", "__odr_asan"))}
if not any(name == "appmon_open" for name in names):
    sys.exit(f"{archive} does not define appmon_open()")
if foreign:
    sys.exit("global names without the prefix appmon_: " + " ".join(sorted(foreign)))
