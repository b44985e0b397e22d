#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""stub.py DIRECTORY VERSION [STRUCT=SIZE...]: builds a libappmon.so.0 that only says its version
and its struct sizes, those of layout.txt but for the ones given: what the bindings must refuse."""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def sizes():
    lines = (line.split() for line in (HERE / "layout.txt").read_text().splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2}


def build(directory, version, **different):
    """Returns the library's path."""
    major, minor, patch = map(int, version.split("."))
    symbol_map = HERE.parent / "libappmon" / "libappmon.map"
    names = set(re.findall(r"\bappmon_\w+", symbol_map.read_text()))
    known = sizes() | different
    text = "#include <string.h>\n"
    text += "".join(f"void {name}(void);\nvoid {name}(void) {{}}\n"
                    for name in sorted(names - {"appmon_version", "appmon_struct_size"}))
    text += f"unsigned appmon_version(void) {{ return {major << 16 | minor << 8 | patch}; }}\n"
    text += "unsigned appmon_struct_size(const char *name) {\n"
    text += "".join(f'\tif (!strcmp(name, "{name}")) return {size};\n' for name, size in known.items())
    text += "\treturn 0;\n}\n"
    path = pathlib.Path(directory) / "libappmon.so.0"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", path, "-Wl,-soname,libappmon.so.0",
                    f"-Wl,--version-script={symbol_map}"], input=text, text=True, check=True)
    return path


if __name__ == "__main__":
    build(sys.argv[1], sys.argv[2], **{name: int(size) for name, _, size in
                                       (word.partition("=") for word in sys.argv[3:])})
