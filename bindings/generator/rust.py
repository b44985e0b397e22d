# SPDX-License-Identifier: BSD-2-Clause
"""The generated files of bindings/rust: libappmon-sys and its layout test, and data.rs of appmon."""
import textwrap

from . import event as ev

NOTE = "// SPDX-License-Identifier: BSD-2-Clause\n// Made by bindings/generate from the public headers: do not edit.\n\n"
KEYWORDS = {"type", "match", "move", "ref", "in", "fn", "mod", "use", "loop", "impl", "where", "self", "box"}
C_TYPES = {"int": "c_int", "char": "c_char", "void": "c_void", "size_t": "usize", "double": "f64"}


def _name(name):
    return name + "_" if name in KEYWORDS else name


def _integer(base):
    return ("i" if base[0] == "i" else "u") + base.removesuffix("_t").removeprefix("u").removeprefix("int")


def _type(t):
    base = C_TYPES.get(t.base) or (_integer(t.base) if t.base in ev.INTEGERS else t.base)
    for i in range(t.pointers):
        base = ("*const " if (t.const_pointer if i else t.const) else "*mut ") + base
    return f"[{base}; {t.count}]" if t.count else base


def _doc(text, indent="", mark="///"):
    out = []
    for line in text.splitlines():
        # Not Markdown: brackets and angles are what they are.
        line = line.strip().replace("[", "\\[").replace("]", "\\]").replace("<", "\\<")
        out += textwrap.wrap(line, 106, initial_indent=f"{indent}{mark} ", subsequent_indent=f"{indent}{mark} ",
                             break_long_words=False, break_on_hyphens=False) or [f"{indent}{mark}"]
    return out


# ---- libappmon-sys ----------------------------------------------------------------------------


def _parameters(f):
    return ", ".join(f"{_name(p.name)}: {_type(p.type)}" for p in f.parameters)


def _result(f):
    return "" if f.result.base == "void" and not f.result.pointers else f" -> {_type(f.result)}"


def _handles(api):
    known = {n.name for n in api.structs + api.callbacks}
    types = [p.type for f in api.functions for p in f.parameters]
    return list(dict.fromkeys(t.base for t in types if t.base.startswith("appmon") and t.base not in known))


def sys(api):
    major, minor, patch = api.version
    out = [NOTE.rstrip("\n"), "", "use std::os::raw::{c_char, c_int, c_void};", "",
           "/// The version of the headers: (major << 16) | (minor << 8) | patch.",
           f"pub const APPMON_VERSION_NUM: u32 = {major << 16 | minor << 8 | patch:#x};", ""]
    for g in api.groups:
        for c in g.constants:
            out += _doc(c.doc)
            out.append(f"pub const {g.prefix}{c.name}: u{g.bits or 32} = {hex(c.value) if g.bits else c.value};")
        out.append("")
    for name in _handles(api):
        out += ["/// A handle of the library's.", "#[repr(C)]", f"pub struct {name} {{", "    _opaque: [u8; 0],", "}", ""]
    for c in api.callbacks:
        out += _doc(c.doc) + [f"pub type {c.name} =", f"    Option<unsafe extern \"C\" fn({_parameters(c)}){_result(c)}>;", ""]
    for s in api.structs:
        out += _doc(s.doc) + ["#[repr(C)]", "#[derive(Clone, Copy)]", f"pub struct {s.name} {{"]
        for m in s.members:
            out += _doc(m.section, "    ", "//") + _doc(m.doc, "    ")
            out.append(f"    pub {_name(m.name)}: {_type(m.type)},")
        out += ["}", ""]
    out += ["/// Name, size, and whether it begins with `size`, so that a newer library's may be larger.",
            f"pub const STRUCTS: [(&str, usize, bool); {len(api.structs)}] = ["]
    out += [f'    ("{s.name}", std::mem::size_of::<{s.name}>(), {"true" if s.grows else "false"}),' for s in api.structs]
    out += ["];", "", 'extern "C" {']
    for f in api.functions:
        out += _doc(f.doc, "    ") + [f"    pub fn {f.name}({_parameters(f)}){_result(f)};"]
    return "\n".join(out + ["}"]) + "\n"


def layout(api):
    out = [NOTE.rstrip("\n"), "", "//! The structs as this compiler lays them out, against layout.txt, which is the C compiler's.", "#![cfg_attr(rustfmt, rustfmt_skip)]", "",
           "use libappmon_sys as sys;", "use std::mem::{size_of, MaybeUninit};", "",
           "fn size_behind<T>(_: *const T) -> usize {", "    size_of::<T>()", "}", "",
           "macro_rules! member {",
           "    ($lines:ident, $name:literal, $type:ident, $member:ident) => {{",
           "        let space = MaybeUninit::<sys::$type>::uninit();",
           "        let member = unsafe { std::ptr::addr_of!((*space.as_ptr()).$member) };",
           "        let offset = member as usize - space.as_ptr() as usize;",
           '        $lines.push(format!("{} {} {}", $name, offset, size_behind(member)));',
           "    }};", "}", "", "#[test]", '#[cfg(target_pointer_width = "64")]', "fn layout_is_what_the_c_compiler_says() {",
           "    let mut lines = Vec::new();"]
    for s in api.structs:
        out.append(f'    lines.push(format!("{s.name} {{}}", size_of::<sys::{s.name}>()));')
        out += [f'    member!(lines, "{s.name}.{m.name}", {s.name}, {_name(m.name)});' for m in s.members]
    out += ['    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../layout.txt");',
            "    let text = std::fs::read_to_string(path).unwrap();",
            "    assert_eq!(lines, text.lines().collect::<Vec<_>>());", "}"]
    return "\n".join(out) + "\n"


# ---- appmon --------------------------------------------------------------------------------------


def _group(g):
    name = ev.type_name(g)
    out = [("bits" if g.bits else "number") + "! {"] + _doc(ev.group_doc(g), "    ")
    out += [f"    {name}: u{g.bits or 32} {{"]
    for c in ev.constants(g):
        word = c.name if ev.word(g) == "METHOD" else c.name.lower()
        out += _doc(c.doc, "        ") or [f"        /// `{g.prefix}{c.name}`"]
        constant = f"_{c.name}" if c.name[0].isdigit() else c.name
        out.append(f'        {constant} = {hex(c.value) if g.bits else c.value}, "{word}";')
    return "\n".join(out + ["    }", "}", ""])


def _numbers(api):
    out = ["impl Monitor {"]
    for g, c in ev.numbers(api):
        out += _doc(c.doc, "    ") + [f"    pub const {ev.word(g)}_{c.name}: u{g.bits} = {c.value};"]
    return "\n".join(out + ["}", ""])


def _value(api, struct, m, raw, lent=False):
    """Type and expression of a member; None: not for hosts. lent: raw is gone before what it points to."""
    t, c = m.type, f"{raw}.{_name(m.name)}"
    group = ev.group_of(api, m)
    if m.name == "target_user":
        return None
    if t.base == "appmon_str" and not t.pointers:
        return "Str<'a>", f"Str::lent(&{c})" if lent else f"Str::new(&{c})"
    if t.base == "appmon_endpoint" and not t.pointers:
        return "Option<SocketAddr>", f"address(&{c})"
    if t.base == "appmon_header" and t.pointers:
        return "&'a [Header]", f"headers({c}, {raw}.{m.name[:-1]}_count)"
    inner = ev.nested(api, m)
    if inner:
        name = ev.camel(inner.name.removeprefix("appmon_"))
        return name, f"{name}::new(&{c})"
    if ev.is_bytes(m):
        return f"[u8; {t.count}]", c
    if ev.is_text(m):
        return "String", f"array_text(&{c})"
    if t.base not in ev.INTEGERS or t.pointers or t.count:
        raise ev.Unknown(struct, m)
    return (ev.type_name(group), f"{ev.type_name(group)}({c})") if group else (_integer(t.base), c)


def _inner(api, struct, result=False):
    """A struct that is copied; result: by the calls of metrics.h and the helpers. Texts in it are lent
    by the snapshot that it comes from."""
    name = ev.camel(struct.name.removeprefix("appmon_"))
    members = [(m, *_value(api, struct, m, "raw", lent=True)) for m in ev.visible(struct)]
    life = "<'a>" if any("'a" in kind for _, kind, _ in members) else ""
    traits = "Clone, Debug, PartialEq, Eq" if any(kind == "String" for _, kind, _ in members) else \
        "Clone, Copy, Debug, PartialEq, Eq"
    out = _doc(struct.doc) + [f"#[derive({traits})]"] + ["#[non_exhaustive]"] * result + [f"pub struct {name}{life} {{"]
    for m, kind, _ in members:
        out += _doc(m.doc, "    ") or [f"    /// `{struct.name}.{m.name}`"]
        out.append(f"    pub {_name(m.name)}: {kind},")
    out += ["}", "", f"impl{life} {name}{life} {{"]
    if life:
        out.append("    /// The caller says that what raw points to lives for 'a.")
    out += [f"    {'pub(crate) ' * result}{'unsafe ' * bool(life)}fn new(raw: &sys::{struct.name}) -> {name}{life} {{",
            f"        {name} {{"]
    for m, _, value in members:
        out.append(f"            {_name(m.name)}: {value},")
    return "\n".join(out + ["        }", "    }", "}", ""])


def _event(api):
    struct = api.struct("appmon_event")
    out = ["impl<'a> Event<'a> {"]
    names = []
    for m in ev.visible(struct):
        value = _value(api, struct, m, "self.raw")
        if not value:
            continue
        names.append(_name(m.name))
        out += _doc(m.section, "    ", "//") + (_doc(m.doc, "    ") or [f"    /// `appmon_event.{m.name}`"])
        out += [f"    pub fn {_name(m.name)}(&self) -> {value[0]} {{", f"        {value[1]}", "    }", ""]
    out[-1] = "}"
    out += ["", "impl fmt::Debug for Event<'_> {", "    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {",
            '        f.debug_struct("Event")']
    out += [f'            .field("{n}", &self.{n}())' for n in names]
    return "\n".join(out + ["            .finish()", "    }", "}", ""])


def _stats(api):
    struct = api.struct("appmon_stats")
    out = ["/// Counters since the monitor was opened, or since the attach.",
           "#[derive(Clone, Copy, Debug, PartialEq, Eq)]", "#[non_exhaustive]", "pub struct Stats {"]
    values = []
    for m in ev.visible(struct):
        if m.type.base not in ev.INTEGERS or m.type.pointers:
            raise ev.Unknown(struct, m)
        name, group = _name(m.name), ev.group_of(api, m)
        typed = group and not m.type.count
        out += _doc(m.doc, "    ") or [f"    /// `appmon_stats.{m.name}`"]
        out.append(f"    pub {name}: {ev.type_name(group) if typed else _type(m.type)},")
        values.append(f"            {name}: {ev.type_name(group)}(raw.{name})," if typed else f"            {name}: raw.{name},")
    out += ["}", "", "impl Stats {", "    pub(crate) fn new(raw: &sys::appmon_stats) -> Stats {", "        Stats {"]
    out += values
    return "\n".join(out + ["        }", "    }", "}", ""])


def _settings(api, struct, name):
    """Fields, setters and what fills the struct in. name: of the type."""
    fields, setters, fills = [], [], []
    for m in ev.settable(struct):
        group, member = ev.group_of(api, m), _name(m.name)
        if ev.names_list(m):
            single = m.name[:-1]
            fields.append(f"    pub(crate) {member}: Vec<String>,")
            setters += ["    /// Adds to the list:"] + _doc(m.doc, "    ")
            setters += [f"    pub fn {single}(mut self, name: &str) -> {name} {{",
                        f"        self.{member}.push(name.to_owned());", "        self", "    }", ""]
            fills += [f"        raw.{member} = kept.strings(&self.{member})?;",
                      f"        raw.{single}_count = self.{member}.len() as u32;"]
            continue
        kind = ev.type_name(group) if group else _integer(m.type.base)
        fields.append(f"    pub(crate) {member}: {kind},")
        setters += _doc(m.doc, "    ") or [f"    /// `{struct.name}.{m.name}`"]
        setters += [f"    pub fn {member}(mut self, value: {kind}) -> {name} {{", f"        self.{member} = value;",
                    "        self", "    }", ""]
        fills.append(f"        raw.{member} = self.{member}{'.0' if group else ''};")
    return fields, setters, fills


def _options(api):
    fields, setters, fills = _settings(api, api.struct("appmon_opts"), "Options")
    out = ["/// How to open a [`Monitor`](crate::Monitor). What is not set has its default.",
           "#[derive(Default)]", "pub struct Options {"] + fields
    out += ["    pub(crate) log: Option<LogFunction>,", "}", "", "impl Options {"] + setters
    out += ["    pub(crate) fn fill(&self, raw: &mut sys::appmon_opts, kept: &mut Kept) -> Result<(), Error> {"]
    return "\n".join(out + fills + ["        Ok(())", "    }", "}", ""])


def _more_options(api, struct, name, doc, extra=(), traits="Default"):
    fields, setters, fills = _settings(api, struct, name)
    out = _doc(doc + " What is not set has its default.") + [f"#[derive({traits})]", f"pub struct {name} {{"] + fields
    out += [f"    pub(crate) {line}," for line in extra] + ["}", "", f"impl {name} {{"] + setters
    out += [f"    pub(crate) fn fill(&self, raw: &mut sys::{struct.name}) {{"]
    return "\n".join(out + fills + ["    }", "}", ""])


def data(api):
    head = NOTE + "use crate::log::LogFunction;\nuse crate::metrics::Functions;\n" \
        "use crate::text::{address, array_text, headers, Header, Kept, Str};\n" \
        "use crate::{Error, Event, Monitor};\nuse libappmon_sys as sys;\nuse std::fmt;\nuse std::net::SocketAddr;\n\n"
    parts = [_group(g) for g in ev.groups(api)] + [_numbers(api)] + [_inner(api, s) for s in ev.nested_in_event(api)]
    parts += [_event(api), _stats(api), _options(api)] + [_inner(api, s, result=True) for s in ev.results(api)]
    parts.append(_more_options(api, api.struct("appmon_metrics_opts"), "MetricsOptions",
                               "How to open [`Metrics`](crate::Metrics).", ["functions: Functions"]))
    parts.append(_more_options(api, api.struct("appmon_snapshot_opts"), "SnapshotOptions",
                               "How to take a [`Snapshot`](crate::Snapshot).", traits="Clone, Copy, Default"))
    return head + "\n".join(parts).rstrip("\n") + "\n"


def files(api):
    return {"rust/libappmon-sys/src/generated.rs": sys(api), "rust/libappmon-sys/tests/layout.rs": layout(api),
            "rust/appmon/src/data.rs": data(api)}
