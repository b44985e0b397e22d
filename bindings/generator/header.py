# SPDX-License-Identifier: BSD-2-Clause
"""What the public headers declare: read through clang's syntax tree, comments from the text."""
import bisect
import json
import pathlib
import re
import subprocess
import tempfile
from dataclasses import dataclass, field

TOP = pathlib.Path(__file__).resolve().parents[2]
HEADERS = TOP / "include" / "appmon"


@dataclass
class Type:
    """base with `pointers` stars, `count` of them (0: not an array)."""
    base: str
    pointers: int = 0
    count: int = 0
    const: bool = False  # what the innermost pointer points to
    const_pointer: bool = False  # what the outer of two points to


@dataclass
class Member:
    name: str
    type: Type
    doc: str = ""  # the comment behind it
    section: str = ""  # the comment above it, which may be about those that follow, too


@dataclass
class Struct:
    name: str
    doc: str
    members: list[Member]

    @property
    def grows(self):
        return self.members[0].name == "size"

    def member(self, name):
        return next((m for m in self.members if m.name == name), None)

    def counts(self):
        """{name of a count: name of the list it counts}: header_count, headers."""
        lists = {m.name for m in self.members if m.type.pointers}
        return {m.name: m.name[:-len("_count")] + "s" for m in self.members
                if m.name.endswith("_count") and m.name[:-len("_count")] + "s" in lists}


@dataclass
class Constant:
    name: str  # without the group's prefix
    value: int
    doc: str


@dataclass
class Group:
    """Constants with a common prefix: an enum, or bits."""
    prefix: str  # APPMON_ROLE_
    doc: str
    bits: int  # 0: an enum, else 32 or 64
    constants: list[Constant]


@dataclass
class Function:
    name: str
    doc: str
    result: Type
    parameters: list[Member]


@dataclass
class Api:
    version: tuple[int, ...]
    structs: list[Struct] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    callbacks: list[Function] = field(default_factory=list)  # the function pointer types
    functions: list[Function] = field(default_factory=list)

    def struct(self, name):
        return next(s for s in self.structs if s.name == name)


class Text:
    """A header's text: its comments, and which of them belongs to what."""

    def __init__(self, text):
        self.text = text
        self._lines = [0] + [m.end() for m in re.finditer("\n", text)]
        self._comments = [(m.start(), m.end()) for m in re.finditer(r"/\*.*?\*/", text, re.S)]
        self._taken = set()

    def _line(self, offset):
        return bisect.bisect_right(self._lines, offset)

    def _column(self, offset):
        start = self._lines[self._line(offset) - 1]
        return len(self.text[start:offset].expandtabs(8))

    def _take(self, comment):
        self._taken.add(comment)
        body = self.text[comment[0] + 2:comment[1] - 2].replace("\\\n", "\n")
        lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in body.split("\n")]
        return "\n".join(lines).strip()

    def behind(self, start, end, deepest=8):
        """The comment behind a declaration, on its line; further lines of it are indented more
        than a declaration (deepest columns), or go on with a sentence. One that is not indented
        stands above what follows."""
        found = []
        line = self._line(end)
        for comment in self._comments[bisect.bisect_left(self._comments, (end, 0)):]:
            begin = self._line(comment[0])
            if not found:
                between = self.text[end:comment[0]]
                if begin != line and "\\\n" not in between or not re.fullmatch(r"[\s;,\\]*", between):
                    break
            elif begin != line + 1 or self.text[self._lines[begin - 1]:comment[0]].strip():
                break
            elif self._column(comment[0]) == 0 or self._column(comment[0]) <= deepest and \
                    not self.text[comment[0] + 3].islower():
                break
            found.append(self._take(comment))
            line = self._line(comment[1])
        return re.sub(r"\s+", " ", " ".join(found)).strip()

    def _above(self, start):
        i = bisect.bisect_left(self._comments, (start, 0)) - 1
        if i < 0 or self._comments[i] in self._taken:
            return None
        comment = self._comments[i]
        return comment if self._line(comment[1]) + 1 == self._line(start) else None

    def above(self, start):
        """The comment that ends on the line before."""
        comment = self._above(start)
        return self._take(comment) if comment else ""

    def above_first(self, start):
        """The comments above the first constant of a group: of the group and, if another stands
        below that, of the constant."""
        own = self._above(start)
        group = self._above(own[0]) if own else None
        return (self._take(group), self._take(own)) if group else (self.above(start), "")


def parse_type(text):
    match = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", text)
    bare, count = match[1], int(match[2] or 0)
    base = re.sub(r"\b(const|struct)\b|\*", "", bare).strip()
    return Type(base, bare.count("*"), count, bare.startswith("const "), "*const" in bare)


def _offset(location):
    return location.get("expansionLoc", location)["offset"]


def _extent(node):
    end = node["range"]["end"]
    end = end.get("expansionLoc", end)
    return _offset(node["range"]["begin"]), end["offset"] + end["tokLen"]


def _value(node):
    if "value" in node:
        return int(node["value"])
    return _value(node["inner"][0])


def _prefix(name):
    return re.match(r"APPMON_[A-Z0-9]+_", name)[0]


def _struct(node, text):
    doc = text.above(_extent(node)[0])
    members = []
    for inner in node["inner"]:
        if inner["kind"] != "FieldDecl":
            continue
        start, end = _extent(inner)
        section = text.above(start)
        members.append(Member(inner["name"], parse_type(inner["type"]["qualType"]),
                              text.behind(start, end), section))
    return Struct(node["name"], doc, members)


def _enum(node, text):
    doc = text.above(_extent(node)[0])
    constants = []
    for inner in node["inner"]:
        start, end = _extent(inner)
        above = " ".join(text.above(start).split())
        constants.append((inner["name"], _value(inner), above or text.behind(start, end)))
    prefix = _prefix(constants[0][0])
    return Group(prefix, doc, 0, [Constant(name[len(prefix):], value, comment)
                                  for name, value, comment in constants])


def _function(node, text):
    kind = node["type"]["qualType"]
    result = parse_type(kind[:kind.index("(")].strip())
    parameters = [Member(p["name"], parse_type(p["type"]["qualType"]))
                  for p in node.get("inner", []) if p["kind"] == "ParmVarDecl"]
    return Function(node["name"], text.above(_extent(node)[0]), result, parameters)


def _callback(node, text):
    match = re.fullmatch(r"(.*?)\(\*\)\((.*)\)", node["type"]["qualType"])
    start, end = _extent(node)
    names = re.findall(r"(\w+)\s*[,)]", text.text[start:end + 200].partition(")(")[2].partition(";")[0])
    types = [parse_type(part.strip()) for part in match[2].split(",")]
    return Function(node["name"], text.above(start), parse_type(match[1].strip()),
                    [Member(n, t) for n, t in zip(names, types, strict=True)])


MACRO = re.compile(r"^#define (APPMON_[A-Z0-9_]+)(?:\\\n|[ \t])+UINT(32|64)_C\((0x[0-9a-fA-F]+|\d+)\)", re.M)


def _bits(text):
    """Macros of one value each, grouped by prefix in the order of the text."""
    groups = {}
    for match in MACRO.finditer(text.text):
        prefix = _prefix(match[1])
        if prefix not in groups:
            group, doc = text.above_first(match.start())
            groups[prefix] = Group(prefix, group, int(match[2]), [])
        else:
            doc = text.above(match.start())
        doc = " ".join(doc.split()) or text.behind(match.start(), match.end())
        groups[prefix].constants.append(Constant(match[1][len(prefix):], int(match[3], 0), doc))
    return list(groups.values())


def project_version():
    return tuple(int(part) for part in
                 re.search(r"version : '(\d+)\.(\d+)\.(\d+)'", (TOP / "meson.build").read_text()).groups())


def version_header(directory, version):
    """Writes version.h as meson would, for a compiler that is called without meson."""
    text = (HEADERS / "version.h.in").read_text()
    for key, value in zip(("MAJOR", "MINOR", "PATCH", "VERSION"),
                          (*version, ".".join(map(str, version)))):
        text = text.replace(f"@{key}@", str(value))
    target = pathlib.Path(directory) / "appmon"
    target.mkdir(exist_ok=True)
    (target / "version.h").write_text(text)


def names():
    """The public headers; what others include comes first."""
    return sorted((p.name for p in HEADERS.glob("*.h")), key=lambda n: (n != "appmon.h", n))


def _syntax_tree(name, directory):
    done = subprocess.run(["clang", f"-I{HEADERS.parent}", f"-I{directory}", "-fsyntax-only", "-x", "c",
                           "-std=c11", "-Xclang", "-ast-dump=json", str(HEADERS / name)],
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["inner"]


def read():
    api = Api(project_version())
    known = set()
    with tempfile.TemporaryDirectory() as directory:
        version_header(directory, api.version)
        for name in names():
            text = Text((HEADERS / name).read_text())
            for node in _syntax_tree(name, directory):
                _declaration(node, text, api, known)
            api.groups += _bits(text)
    return api


def _declaration(node, text, api, known):
    kind, name = node["kind"], node.get("name", "")
    if kind == "EnumDecl" and node.get("inner", [{}])[0].get("name", "").startswith("APPMON_"):
        name = node["inner"][0]["name"]
    elif not name.startswith("appmon_") or kind == "RecordDecl" and not node.get("completeDefinition"):
        return
    if (kind, name) in known:
        return
    known.add((kind, name))
    if kind == "RecordDecl":
        api.structs.append(_struct(node, text))
    elif kind == "EnumDecl":
        api.groups.append(_enum(node, text))
    elif kind == "FunctionDecl":
        api.functions.append(_function(node, text))
    elif kind == "TypedefDecl":
        api.callbacks.append(_callback(node, text))
