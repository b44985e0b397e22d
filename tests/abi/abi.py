#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The ABI against the baseline that is kept beside this file.

    abi.py check LIBRARY HEADER-DIRECTORY     fails on a break; what a minor release may add is none
    abi.py renew LIBRARY HEADER-DIRECTORY     writes the baseline: with a release, or to break on purpose
    abi.py selftest HEADER...                 the check finds breaks, and lets pass what is none
"""
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

HERE = pathlib.Path(__file__).resolve().parent
BASELINE = HERE / "libappmon.so.0.abi"
MACHINE = "x86_64"


def skip(reason):
    print(reason)
    sys.exit(77)


def written(library, include):
    """The ABI as XML, without anything of the machine that it was made on."""
    xml = subprocess.run(["abidw", "--headers-dir", include, "--drop-private-types", "--no-show-locs",
                          "--no-corpus-path", "--no-comp-dir-path", "--no-elf-needed",
                          "--drop-undefined-syms", library],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.sub(r" path='[^']*/", " path='", xml)


def as_older_hosts_see(new, old):
    """The new ABI with the structs that begin with their size cut to what the old one knew."""
    root = ElementTree.fromstring(new)
    for known in ElementTree.fromstring(old).iter("class-decl"):
        size = int(known.get("size-in-bits", 0))
        first = known.find("data-member/var-decl")
        if first is None or first.get("name") != "size":
            continue
        for struct in root.iter("class-decl"):
            if struct.get("name") == known.get("name") and \
                    int(struct.get("size-in-bits", 0)) > size:
                struct.set("size-in-bits", str(size))
                for member in struct.findall("data-member"):
                    if int(member.get("layout-offset-in-bits")) >= size:
                        struct.remove(member)
    return ElementTree.tostring(root, encoding="unicode")


def difference(old, library, include):
    """(exit status, report) of abidiff: 0 where a host of the old ABI can run with the library."""
    with tempfile.NamedTemporaryFile("w", suffix=".abi") as new:
        new.write(as_older_hosts_see(written(library, include), old.read_text()))
        new.flush()
        done = subprocess.run(["abidiff", "--no-added-syms", old, new.name], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def need_tools():
    for tool in "abidw", "abidiff":
        if not shutil.which(tool):
            skip(f"{tool} is not installed (abigail-tools)")


def check(library, include):
    need_tools()
    if platform.machine() != MACHINE:
        skip(f"the baseline is of {MACHINE}")
    sections = subprocess.run(["readelf", "-SW", library], check=True, stdout=subprocess.PIPE,
                              text=True).stdout
    if ".debug_info" not in sections:
        skip("the library was built without debug information")
    status, report = difference(BASELINE, library, include)
    if status:
        print(report)
        sys.exit("The ABI is not that of the baseline. A break on purpose is written down with\n"
                 "    ninja -C BUILD abi-baseline")


def stub(headers, directory, version_h):
    """A library with the interface of the headers and no content."""
    (directory / "appmon").mkdir(parents=True)
    (directory / "appmon" / "version.h").write_text(version_h)
    source = ""
    for name, text in headers.items():
        (directory / "appmon" / name).write_text(text)
        source += f"#include <appmon/{name}>\n"
    # A use of each struct: else there is no debug information.
    for name, text in headers.items():
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        for declaration in re.findall(r"^APPMON_API\s+([^;]*);", text, re.M):
            source += declaration + "\n{\n\t__builtin_trap();\n}\n"
    (directory / "stub.c").write_text(source)
    library = directory / "libappmon.so.0"
    subprocess.run([*os.environ.get("CC", "cc").split(), "-g", "-shared", "-fPIC", "-w",
                    "-Wl,-soname,libappmon.so.0", f"-I{directory}", "-o", library,
                    directory / "stub.c"], check=True)
    return library


def replaced(text, old, new):
    assert old in text, f"the header has no {old!r}: change the selftest"
    return text.replace(old, new, 1)


# name: (is a break, what changes in appmon.h)
CHANGES = {
    "nothing": (False, lambda h: h),
    "function added": (False, lambda h: replaced(
        h, "APPMON_API uint32_t appmon_version(void);",
        "APPMON_API uint32_t appmon_version(void);\nAPPMON_API int appmon_new(void);")),
    "opts grew": (False, lambda h: grown(h, "appmon_opts")),
    "event grew": (False, lambda h: grown(h, "appmon_event")),
    "opts and event grew": (False, lambda h: grown(grown(h, "appmon_opts"), "appmon_event")),
    "frozen struct grew": (True, lambda h: grown(h, "appmon_endpoint")),
    "function removed": (True, lambda h: replaced(
        h, "APPMON_API int appmon_wakeup(struct appmon *mon);", "")),
    "parameter added": (True, lambda h: replaced(
        h, "appmon_wakeup(struct appmon *mon)", "appmon_wakeup(struct appmon *mon, int why)")),
    "parameter's type": (True, lambda h: replaced(h, "int timeout_ms", "long timeout_ms")),
    "result's type": (True, lambda h: replaced(
        h, "uint64_t appmon_realtime_ns", "uint32_t appmon_realtime_ns")),
    "member's type": (True, lambda h: replaced(h, "uint32_t ring_bytes;", "int32_t ring_bytes;")),
    "member inserted": (True, lambda h: replaced(
        h, "uint32_t ring_bytes;", "uint64_t inserted;\n\tuint32_t ring_bytes;")),
    "member removed": (True, lambda h: replaced(h, "uint64_t valid;", "")),
    "members swapped": (True, lambda h: replaced(replaced(replaced(
        h, "uint64_t cgroup_id;", "uint64_t X;"), "uint64_t connection_id;",
        "uint64_t cgroup_id;"), "uint64_t X;", "uint64_t connection_id;")),
    "callback's parameter": (True, lambda h: replaced(
        h, "(*appmon_log_fn)(void *ctx, int level,", "(*appmon_log_fn)(void *ctx, long level,")),
}


def grown(header, struct):
    return re.sub(r"(^struct " + struct + r" \{\n.*?)^\};", r"\1\tuint64_t added;\n};", header,
                  count=1, flags=re.S | re.M)


def selftest(paths):
    need_tools()
    headers = {os.path.basename(path): pathlib.Path(path).read_text() for path in paths}
    version_h = headers.pop("version.h")
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        original = stub(headers, directory / "original", version_h)
        baseline = directory / "baseline.abi"
        baseline.write_text(written(original, original.parent))
        for number, (what, (is_break, change)) in enumerate(CHANGES.items()):
            changed = dict(headers, **{"appmon.h": change(headers["appmon.h"])})
            library = stub(changed, directory / str(number), version_h)
            status, report = difference(baseline, library, library.parent)
            if bool(status) != is_break:
                wrong.append(f"{what}: abidiff says {status}\n{report}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(CHANGES)} changes told apart")


def main():
    command, *arguments = sys.argv[1:]
    if command == "check":
        check(*arguments)
    elif command == "renew":
        BASELINE.write_text(written(*arguments))
        print(f"{BASELINE.name}: look at its difference before you commit it")
    else:
        selftest(arguments)


main()
