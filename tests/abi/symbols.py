#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The exported functions are the same in the headers, in the symbol map and in the shared library, and
appmon_struct_size() knows every struct of the headers."""
import os
import re
import subprocess
import sys


def of_header(path):
    text = re.sub(r"/\*.*?\*/", " ", open(path, encoding="utf-8").read(), flags=re.S)
    found = re.findall(r"^APPMON_API\s[^;(]*?\b(\w+)\s*\(", text, flags=re.M)
    if len(found) != len(re.findall(r"^APPMON_API\s", text, flags=re.M)):
        sys.exit(f"{path}: an APPMON_API declaration was not understood")
    if len(found) != len(set(found)):
        sys.exit(f"{path}: a function is declared twice")
    return set(found)


def of_map(path):
    """name -> version node, all nodes taken together."""
    text = re.sub(r"/\*.*?\*/", " ", open(path, encoding="utf-8").read(), flags=re.S)
    symbols, has_local = {}, False
    for node, body in re.findall(r"(\w[\w.]*)\s*\{(.*?)\}", text, flags=re.S):
        section = "global"
        for word in re.split(r"[;\s]+", body):
            if word in ("global:", "local:"):
                section = word[:-1]
            elif word == "*" and section == "local":
                has_local = True
            elif word and section == "global":
                if word in symbols:
                    sys.exit(f"{path}: {word} is in two nodes")
                symbols[word] = node
    if not has_local:
        sys.exit(f"{path}: nothing hides the other symbols (local: *)")
    return symbols


def of_library(path):
    """name -> version node, as the dynamic linker sees it."""
    out = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", path],
                         check=True, capture_output=True, text=True).stdout
    symbols = {}
    for line in out.splitlines():
        kind, name = line.split()[-2:]
        if kind == "A":  # the version nodes themselves
            continue
        name, _, version = name.replace("@@", "@").partition("@")
        symbols[name] = version
    return symbols


def compare(a_name, a, b_name, b):
    for name in sorted(a - b):
        print(f"{name}: in {a_name}, not in {b_name}")
    for name in sorted(b - a):
        print(f"{name}: in {b_name}, not in {a_name}")
    return a == b


def main():
    map_path, library_path, version, *header_paths = sys.argv[1:]
    header = set().union(*map(of_header, header_paths))
    mapped, library = of_map(map_path), of_library(library_path)
    good = compare("the headers", header, "the map", set(mapped))
    good &= compare("the map", set(mapped), "the library", set(library))
    for name in sorted(set(mapped) & set(library)):
        if mapped[name] != library[name]:
            print(f"{name}: {mapped[name]} in the map, {library[name]} in the library")
            good = False
    for name in sorted(library):
        if not name.startswith("appmon_"):
            print(f"{name}: has not the prefix appmon_")
            good = False

    def number(node):
        return [int(part) for part in node.rsplit("_", 1)[1].split(".")]

    newest = max(map(number, mapped.values()))
    if newest > [int(part) for part in version.split(".")]:
        print(f"the map's newest node {newest} is newer than version {version}")
        good = False
    text = open(os.path.join(os.path.dirname(map_path), "base", "text.c"), encoding="utf-8").read()
    sized = set(re.findall(r"RETURN_SIZE_IF_NAMED\((appmon_\w+)\);", text))
    structs = set()
    for path in header_paths:
        structs |= set(re.findall(r"^struct (appmon_\w+) \{", open(path, encoding="utf-8").read(),
                                  re.M))
    good &= compare("the headers", structs, "appmon_struct_size()", sized)
    if not good:
        sys.exit(1)
    print(f"{len(header)} functions")


main()
