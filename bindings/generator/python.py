# SPDX-License-Identifier: BSD-2-Clause
"""The generated modules of bindings/python: _abi.py (ctypes) and _data.py (what a host gets)."""
import textwrap

from . import event as ev
NOTE = ('# SPDX-License-Identifier: BSD-2-Clause\n"""{}\n\nMade by bindings/generate from the public headers: do not edit."""\n'
        "from __future__ import annotations\n")


SIMPLE = {"int": "c_int", "size_t": "c_size_t", "double": "c_double", "char": "c_char"}


def _ctype(t, known):
    """known: structs and callbacks; a pointer to another struct is a handle."""
    pointers = t.pointers
    if t.base in ev.INTEGERS or t.base == "double" or t.base == "char" and not pointers:
        base = "ctypes." + SIMPLE.get(t.base, "c_" + t.base.removesuffix("_t"))
    elif t.base == "char":
        base, pointers = "ctypes.c_char_p", pointers - 1
    elif t.base in known:
        base = t.base
    elif pointers:
        base, pointers = "ctypes.c_void_p", pointers - 1
    elif t.base == "void":
        return "None"
    else:
        raise ValueError(f"no ctypes type for {t}")
    for _ in range(pointers):
        base = f"ctypes.POINTER({base})"
    return f"{base} * {t.count}" if t.count else base


def _member_ctype(m, known):
    # An address, so that ctypes does not look for the end of a string by itself.
    if m.type.base == "char" and m.type.pointers == 1 and m.type.const and m.name == "data":
        return "ctypes.c_void_p"
    return _ctype(m.type, known)


def _annotation(m):
    t = m.type
    if t.base in ev.INTEGERS and not t.pointers:
        return "Any" if t.count else "int"
    return t.base if t.base.startswith("appmon_") and not t.pointers and t.base[-3:] != "_fn" else "Any"


def _callback(f, known):
    # A place to write to: ctypes would hand bytes to the function.
    place = [p.type.base == "char" and p.type.pointers and not p.type.const for p in f.parameters]
    parameters = ", ".join("ctypes.c_void_p" if w else _ctype(p.type, known) for w, p in zip(place, f.parameters))
    return _ctype(f.result, known), parameters


def _signature(f, known):
    parameters = ", ".join(_ctype(p.type, known) for p in f.parameters)
    return _ctype(f.result, known), parameters


def abi(api):
    known = {n.name for n in api.callbacks + api.structs}
    out = [NOTE.format("The C interface for ctypes."), "import ctypes\nfrom typing import Any\n",
           f"VERSION = {api.version}\n"]
    waiting = list(api.callbacks)
    for s in api.structs:
        for c in [c for c in waiting if any(m.type.base == c.name for m in s.members)]:
            waiting.remove(c)
            result, parameters = _callback(c, known)
            out.append(f"{c.name} = ctypes.CFUNCTYPE({result}, {parameters})\n")
        lines = [f"\nclass {s.name}(ctypes.Structure):"]
        lines += [f"    {m.name}: {_annotation(m)}" for m in s.members]
        lines += ["    _fields_ = ["]
        lines += [f'        ("{m.name}", {_member_ctype(m, known)}),' for m in s.members]
        out.append("\n".join(lines + ["    ]\n"]))
    out.append("\n# True: begins with size, and a newer library's may be larger.")
    out.append("STRUCTS: dict[type[ctypes.Structure], bool] = {")
    out += [f"    {s.name}: {s.grows}," for s in api.structs]
    out.append("}\n")
    out.append("# name: (result, parameters)\nFUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {")
    for f in api.functions:
        result, parameters = _signature(f, known)
        line = f'    "{f.name}": ({result}, ({parameters}{"," if len(f.parameters) == 1 else ""})),'
        if len(line) > 100:
            line = f'    "{f.name}": ({result}, (\n        {parameters})),'
        out.append(line)
    out.append("}")
    return "\n".join(out) + "\n"


def _comment(text, indent="    "):
    return textwrap.wrap(text, 92, initial_indent=indent + "#: ", subsequent_indent=indent + "#: ",
                         break_long_words=False, break_on_hyphens=False) if text else []


def _section(text):
    return textwrap.wrap(text, 92, initial_indent="    # ", subsequent_indent="    # ") if text else []


def _group(group):
    bases = "enum.IntFlag" if group.bits else "Number"
    lines = [f"class {ev.type_name(group)}({bases}):"]
    lines += textwrap.wrap(f'"""{ev.group_doc(group)}."""', 96, initial_indent="    ", subsequent_indent="    ")
    lines.append("")
    for c in ev.constants(group):
        lines += _comment(c.doc)
        name = f"_{c.name}" if c.name[0].isdigit() else c.name
        lines.append(f"    {name} = {hex(c.value) if group.bits else c.value}")
    return "\n".join(lines) + "\n\n"


class _Copy:
    """How one struct's memory becomes a Python object: a format, the names of its items, and an
    expression for each member."""

    def __init__(self, api, struct):
        self.api, self.struct = api, struct
        self.format, self.names, self.fields, self.texts = "@", [], [], []
        for m in struct.members:
            self._member(m)

    def _add(self, code, name):
        self.format += code
        self.names.append(name)

    def _nested(self, struct, prefix):
        """The expression for a struct inside, which is a dataclass of its own."""
        self._flat(struct, prefix)
        values = []
        for m in ev.visible(struct):
            group = ev.group_of(self.api, m)
            value = f"{prefix}_{m.name}"
            values.append(f"{ev.type_name(group)}({value})" if group else value)
        return f"{_class(struct)}({', '.join(values)})"

    def _flat(self, struct, prefix):
        for m in struct.members:
            if m.type.pointers:
                code = "P"
            elif ev.is_bytes(m):
                code = f"{m.type.count}s"
            else:
                size, signed = ev.INTEGERS[m.type.base]
                code = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
                code = code.lower() if signed else code
            self._add(code, "_" if m.name.startswith("reserved") else f"{prefix}_{m.name}")

    def _member(self, m):
        api, s, t, name = self.api, self.struct, m.type, m.name
        shown = not ev.hidden(s, m)
        if t.base == "appmon_str" and not t.pointers:
            self._flat(api.struct("appmon_str"), name)
            self.texts.append(name)
            self._field(m, "str", f"text({name}_data, {name}_len)")
        elif t.base == "appmon_endpoint" and not t.pointers:
            self._flat(api.struct("appmon_endpoint"), name)
            self._field(m, "Endpoint", f"endpoint({name}_family, {name}_port, {name}_addr)")
        elif name == "target_user":
            self._add("P", "_")
            self._field(m, "object", "users.get(target_id)")
        elif t.base == "appmon_header" and t.pointers:
            self._add("P", name)
            self._field(m, "list[Header]", f"headers_from({name}, {name[:-1]}_count)")
        elif ev.nested(api, m):
            inner = ev.nested(api, m)
            self._field(m, _class(inner), self._nested(inner, name))
        elif ev.is_bytes(m):
            self._add(f"{t.count}s", name if shown else "_")
            if shown:
                self._field(m, "bytes", name)
        elif t.base in ev.INTEGERS and not t.pointers and not t.count:
            size, signed = ev.INTEGERS[t.base]
            code = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
            used = shown or name in s.counts()
            self._add(code.lower() if signed else code, name if used else "_")
            if shown:
                group = ev.group_of(api, m)
                kind = ev.type_name(group) if group else "int"
                self._field(m, kind, f"{kind}({name})" if group else name)
        else:
            raise ev.Unknown(s, m)

    def _field(self, m, annotation, expression):
        self.fields.append((m, annotation, expression))


def _names(names, indent):
    return textwrap.fill(", ".join(names), 96, initial_indent=indent, subsequent_indent=indent)


def _class(struct):
    return ev.camel(struct.name.removeprefix("appmon_"))


def _inner(api, struct):
    lines = ["@dataclass", f"class {_class(struct)}:",
             textwrap.fill(f'"""{struct.doc.splitlines()[0]}"""', 96, initial_indent="    ",
                           subsequent_indent="    "), ""]
    for m in ev.visible(struct):
        group = ev.group_of(api, m)
        kind = "bytes" if ev.is_bytes(m) else ev.type_name(group) if group else "int"
        lines += _comment(m.doc) + [f"    {m.name}: {kind}"]
    return "\n".join(lines) + "\n\n"


def _event(api):
    copy = _Copy(api, api.struct("appmon_event"))
    lines = ["@dataclass", "class Event(EventBase):",
             '    """One exchange: a request and its response, or what was seen of them.',
             "", "    All of it is copied: an event may be kept for as long as it is needed. Names in",
             '    parentheses are OpenTelemetry\'s."""', ""]
    for m, annotation, _ in copy.fields:
        lines += _section(m.section) + _comment(m.doc) + [f"    {m.name}: {annotation}"]
    lines += _comment("names of the texts above that the capture limit cut off")
    lines += ["    truncated: tuple[str, ...]", "\n",
              f'_EVENT = struct.Struct("{copy.format}")', "_TEXTS = ("]
    lines += [_names([f'"{n}"' for n in copy.texts], "    ") + ")", "\n",
              "def event_from(address: int, users: dict[int, object]) -> Event:",
              '    """Copies the event that a pointer from the library shows."""', "    ("]
    lines += [_names(copy.names, "        "),
              "    ) = _EVENT.unpack(ctypes.string_at(address, _EVENT.size))", "    cut = ("]
    lines += [_names([f"{n}_truncated" for n in copy.texts], "        "), "    )",
              "    return Event("]
    lines += [f"        {expression}," for _, _, expression in copy.fields]
    lines += ["        tuple(name for name, yes in zip(_TEXTS, cut) if yes) if any(cut) else (),",
              "    )", "\n"]
    return "\n".join(lines)


def _numbers(api, struct, name, doc, skip=()):
    """A dataclass of a struct without lists, and how it is read from one."""
    lines = ["@dataclass", f"class {name}:", f'    """{doc}"""', ""]
    arguments = []
    for m in ev.visible(struct):
        if m.name in skip:
            continue
        group = ev.group_of(api, m)
        if m.type.base == "appmon_str" and not m.type.pointers:
            annotation, expression = "str", f"text(c.{m.name}.data, c.{m.name}.len)"
        elif m.type.base == "appmon_endpoint" and not m.type.pointers:
            annotation = "Endpoint"
            expression = f"endpoint(c.{m.name}.family, c.{m.name}.port, bytes(c.{m.name}.addr))"
        elif m.type.base not in ev.INTEGERS or m.type.pointers:
            raise ev.Unknown(struct, m)
        elif ev.is_bytes(m):
            annotation, expression = "bytes", f"bytes(c.{m.name})"
        elif m.type.count and group:
            kind = ev.type_name(group)
            annotation = f"dict[{kind}, int]"
            expression = f"{{{kind}(i): n for i, n in enumerate(c.{m.name}) if n or i < len({kind})}}"
        elif m.type.count:
            annotation, expression = "tuple[int, ...]", f"tuple(c.{m.name})"
        elif group:
            annotation = ev.type_name(group)
            expression = f"{annotation}(c.{m.name})"
        else:
            annotation, expression = "int", f"c.{m.name}"
        lines += _section(m.section) + _comment(m.doc) + [f"    {m.name}: {annotation}"]
        arguments.append(f"            {m.name}={expression},")
    lines += ["", "    @classmethod", f'    def _from(cls, c: _abi.{struct.name}) -> "{name}":',
              "        return cls("] + arguments + ["        )", "\n"]
    return "\n".join(lines)


def _options(api, struct, name, doc):
    lines = ["@dataclass", f"class {name}:", f'    """{doc}"""', ""]
    for m in ev.settable(struct):
        group = ev.group_of(api, m)
        if ev.names_list(m):
            kind, default = "Sequence[str]", "()"
        elif group and group.bits:
            kind = ev.type_name(group)
            default = f"{kind}(0)"
        else:
            kind, default = "int", "0"
        lines += _section(m.section) + _comment(m.doc) + [f"    {m.name}: {kind} = {default}"]
    return "\n".join(lines) + "\n"


# The structs that the calls of metrics.h fill.
METRICS = {
    "appmon_metrics_stats": "Counters of the aggregator since it was opened.",
    "appmon_series": "What a series is about.",
    "appmon_active": "What one instance of an application has in progress.",
    "appmon_edge": "Who calls whom.",
    "appmon_figures": "Sums over the events of a series or edge. Times in nanoseconds.",
    "appmon_exemplar": "One event of a series that carried a W3C traceparent.",
    "appmon_resources": "What a cgroup used since it was made, and has now.",
}


def data(api):
    out = [NOTE.format("What a host gets and gives: enumerations and dataclasses."),
           "import ctypes\nimport enum\nimport struct\n"
           "from collections.abc import Sequence\n\nfrom . import _abi\n"
           "from ._memory import Endpoint, EventBase, Header, Number, dataclass, endpoint, \\\n"
           "    headers_from, text\n\n"]
    out += [_group(g) for g in api.groups]
    out += [_inner(api, s) for s in ev.nested_in_event(api)]
    out.append(_event(api))
    out.append(_numbers(api, api.struct("appmon_stats"), "Stats",
                        "Counters since the monitor was opened, or since the attach."))
    out.append(_options(api, api.struct("appmon_opts"), "Options",
                        "How to open a monitor, each by its name. 0, or nothing: the default."))
    out.append("")
    out.append(_options(api, api.struct("appmon_metrics_opts"), "MetricsOptions",
                        "How to open an aggregator, each by its name. 0: the default."))
    out.append("")
    out += [_numbers(api, api.struct(name), _class(api.struct(name)), doc) for name, doc in METRICS.items()]
    exported = [ev.type_name(g) for g in api.groups] + [_class(s) for s in ev.nested_in_event(api)]
    exported += ["Event", "MetricsOptions", "Options", "Stats"]
    exported += [_class(api.struct(name)) for name in METRICS]
    out.append("\n__all__ = [\n" + _names([f'"{n}"' for n in exported], "    ") + "]\n")
    return "\n".join(out)


def files(api):
    package = "python/src/appmon/"
    return {package + "_abi.py": abi(api), package + "_data.py": data(api)}
