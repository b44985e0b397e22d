# SPDX-License-Identifier: BSD-2-Clause
"""layout.txt: size and offset of each member, by the C compiler, where pointers have 64 bits."""
import pathlib
import subprocess
import tempfile

from .header import HEADERS, names, version_header

MAIN = """#include <stdio.h>
{includes}
#define STRUCT(type) printf(#type " %zu\\n", sizeof(struct type))
#define MEMBER(type, member) \\
	printf(#type "." #member " %zu %zu\\n", offsetof(struct type, member), \\
	       sizeof(((struct type *)0)->member))

int main(void)
{{
{body}
	return 0;
}}
"""


def probe(api):
    body = []
    for s in api.structs:
        body.append(f"\tSTRUCT({s.name});")
        body += [f"\tMEMBER({s.name}, {m.name});" for m in s.members]
    includes = "\n".join(f"#include <appmon/{name}>" for name in names())
    return MAIN.format(includes=includes, body="\n".join(body))


def text(api):
    with tempfile.TemporaryDirectory() as directory:
        version_header(directory, api.version)
        source, program = pathlib.Path(directory) / "layout.c", pathlib.Path(directory) / "layout"
        source.write_text(probe(api))
        subprocess.run(["cc", f"-I{HEADERS.parent}", f"-I{directory}", "-o", program, source], check=True)
        return subprocess.run([program], stdout=subprocess.PIPE, check=True, text=True).stdout


def files(api):
    return {"layout.txt": text(api)}
