#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Hosts that were built with shorter and with longer structs run with this library, see the same
event, and members that the library does not know are refused.

Arguments: shared library, recording program, build directory, sanitizers, headers."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

STRUCT = re.compile(r"^struct (appmon_\w+) \{\n\tuint32_t size;.*?^\};", re.S | re.M)


def shorter(text):
    """Without the last members, at least eight bytes of them, as if they had come later."""
    def cut(match):
        end = match[0].rindex("}")
        body, bytes_cut = match[0][:end], 0
        while bytes_cut == 0 or bytes_cut % 8:
            member = list(re.finditer(r"[^;{]+;", body))[-1]
            small = re.match(r"\s*u?int(16|32)_t \w+;", member[0])
            bytes_cut += int(small[1]) // 8 if small else 8
            body = body[:member.start()]
        return body + "\n};"
    return STRUCT.sub(cut, text)


def longer(text):
    return STRUCT.sub(lambda match: match[0][:-2] + "\tuint64_t added;\n};", text)


def without_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def fresh_cgroup():
    """A directory of our own, or None where there cannot be one."""
    mounts = [line.split() for line in open("/proc/self/mountinfo") if " - cgroup2 " in line]
    if os.geteuid() or not mounts or not os.path.exists("/sys/kernel/btf/vmlinux"):
        return None
    try:
        name = tempfile.mkdtemp(prefix="appmon-skew-", dir=mounts[0][4])
    except OSError:
        return None
    os.chmod(name, 0o755)  # as any cgroup: an agent that is not root looks into all of them
    return name


def main():
    library, recording, build, sanitize, *headers = sys.argv[1:]
    source = pathlib.Path(__file__).parent / "host.c"
    flags = [] if sanitize == "none" else [f"-fsanitize={sanitize}"]
    lib_dir = os.path.dirname(library)
    cgroup = fresh_cgroup()
    said = {}
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        (directory / "recording").write_bytes(subprocess.run([recording], check=True,
                                                             stdout=subprocess.PIPE).stdout)
        for kind, change in ("same", str), ("shorter", shorter), ("longer", longer):
            include = directory / kind / "appmon"
            include.mkdir(parents=True)
            for header in headers:
                text = without_comments(pathlib.Path(header).read_text())
                (include / os.path.basename(header)).write_text(change(text))
            program = directory / f"host-{kind}"
            subprocess.run([*os.environ.get("CC", "cc").split(), "-Wall", "-Wextra", "-Werror",
                            f"-I{include.parent}", f"-I{build}/include", *flags,
                            *(["-DNEWER"] if kind == "longer" else []), "-o", program, source,
                            f"-L{lib_dir}", "-lappmon", f"-Wl,-rpath,{lib_dir}"], check=True)
            said[kind] = subprocess.run(
                [program, directory / "recording", *([cgroup] if cgroup else [])],
                check=True, stdout=subprocess.PIPE, text=True).stdout
    if cgroup:
        os.rmdir(cgroup)
    expected = "GET /old 200 2000000 shop\n"
    wrong = [f"{kind}: {text!r}" for kind, text in said.items() if text != expected]
    if wrong:
        sys.exit("\n".join(wrong))
    print("shorter, same, longer; " + ("attached" if cgroup else "without attaching: no privileges"))


main()
