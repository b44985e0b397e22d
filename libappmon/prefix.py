#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""prefix.py HEADER...: pragmas that give each name which these internal headers share between the
library's objects the prefix appmon__ in the object files. In libappmon.a such a name is as global as
the public ones, and would meet a host's own. The compiler does it, so that it is so with every linker
and with link-time optimization."""
import re
import sys

names = set()
for path in sys.argv[1:]:
    text = re.sub(r"/\*.*?\*/", " ", open(path).read(), flags=re.S)
    text = re.sub(r"^#.*(\\\n.*)*", "", text, flags=re.M)
    # Declarations begin in the first column; bodies do not.
    for line in re.findall(r"^(?!static|typedef)[a-z][^;{}]*[;{]", text, flags=re.M):
        line = re.sub(r"__attribute__\(\(.*?\)\)", "", line)
        function = re.match(r"[^()=]*?(\w+)\(", line)
        if function:
            names.add(function[1])
        elif line.startswith("extern"):
            names.update(re.findall(r"(\w+)(?:\[[^]]*\])?\s*[,;]", line))
    # protocols.def
    names.update(re.findall(r"^PROTOCOL\(.*?(\w+)\)", text, flags=re.M))
for name in sorted(names):
    # Two underscores: appmon_histogram_clear() is a public function, and histogram_clear() one that
    # it calls.
    print(f"#pragma redefine_extname {name} appmon__{name}")
