#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The program that the README shows is examples/minimal.c, to the letter, and short."""
import pathlib
import sys

top = pathlib.Path(sys.argv[1])
program = (top / "examples" / "minimal.c").read_text()
if "```c\n" + program + "```\n" not in (top / "README.md").read_text():
    sys.exit("README.md does not show examples/minimal.c as it is")
if program.count("\n") >= 60:
    sys.exit("examples/minimal.c has 60 lines or more")
