#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The version stands in several files, and is the same in all: versions.py TOP VERSION"""
import pathlib
import re
import sys

PLACES = {
    "CHANGELOG.md": r"^## ([\d.]+)",
    "debian/changelog": r"^libappmon \(([\d.]+)\)",
    "bindings/python/pyproject.toml": r'^version = "([\d.]+)"',
    "bindings/rust/*/Cargo.toml": r'^version = "([\d.]+)"',
}

top, version = pathlib.Path(sys.argv[1]), sys.argv[2]
problems = []
for pattern, line in PLACES.items():
    for path in top.glob(pattern):
        found = re.search(line, path.read_text(), re.M)
        if not found or found[1] != version:
            problems.append(f"{path.relative_to(top)}: {found[1] if found else 'no version'}, "
                            f"meson.build has {version}")
if problems:
    sys.exit("\n".join(problems))
