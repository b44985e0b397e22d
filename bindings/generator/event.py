# SPDX-License-Identifier: BSD-2-Clause
"""What the members of the structs mean to a host, whatever its language."""
import re

INTEGERS = {"int": (4, True), "size_t": (8, False)}
for _bits in (8, 16, 32, 64):
    INTEGERS[f"uint{_bits}_t"] = (_bits // 8, False)
    INTEGERS[f"int{_bits}_t"] = (_bits // 8, True)

# Constants by the word in their prefix, and for bits with "+": the name of their type in the bindings.
TYPE_NAMES = {"PROTO": "Protocol", "OP": "OperationType", "LOG": "LogLevel", "EVF+": "EventFlags", "CAP+": "Capabilities",
              "TRACE": "TraceFormat", "DIM+": "Dimensions", "SNAPSHOT": "SnapshotKind", "TIME": "TimeKind",
              "RES+": "ResourceFlags"}

# Constants that are plain numbers: a share of connections.
NUMBERS = ("SAMPLING",)

# What the calls of metrics.h, and the helpers, fill in for a host.
RESULTS = ("appmon_series", "appmon_edge", "appmon_active", "appmon_figures", "appmon_exemplar",
           "appmon_metrics_stats", "appmon_resources", "appmon_container")


def camel(name):
    return "".join(part.capitalize() for part in name.lower().split("_"))


def word(group):
    return group.prefix.split("_")[1]


def groups(api):
    """Those that are types in the bindings."""
    return [g for g in api.groups if word(g) not in NUMBERS]


def numbers(api):
    """(group, constant) of those that are not."""
    return [(g, c) for g in api.groups if word(g) in NUMBERS for c in g.constants]


def type_name(group):
    default = camel(word(group)) + ("Flags" if group.bits else "")
    return TYPE_NAMES.get(word(group) + ("+" if group.bits else ""), default)


def constants(group):
    """Without the length of an array that the reasons index."""
    return [c for c in group.constants if c.name != "MAX"]


def group_of(api, member):
    """The constants that a member takes, as its comment says: APPMON_ROLE_*, or one and dots."""
    match = re.search(r"APPMON_([A-Z0-9]+)_(\*|[A-Z0-9]+ \.\.\.)", member.doc)
    if not match or member.type.pointers:
        return None
    groups = [g for g in api.groups if word(g) == match[1]]
    return next((g for g in groups if bool(g.bits) == ("flags" in member.name)), groups[0] if groups else None)


def group_doc(group):
    return " ".join(group.doc.split()).rstrip(".") or group.prefix + "*"


def hidden(struct, member):
    """Members that serve the C interface only."""
    return (member.name == "size" or member.name.startswith("reserved")
            or member.name in struct.counts())


def visible(struct):
    return [m for m in struct.members if not hidden(struct, m)]


def settable(struct):
    """The options that are numbers or lists of names: the rest is the binding's business."""
    return [m for m in visible(struct) if names_list(m) or
            m.type.base in INTEGERS and not m.type.pointers and not m.name.startswith("error_text")]


def names_list(member):
    return member.type.base == "char" and member.type.pointers == 2


def nested(api, member):
    """The struct that a member is, unless it has a meaning of its own in each language."""
    if member.type.pointers or member.type.base in ("appmon_str", "appmon_endpoint"):
        return None
    return next((s for s in api.structs if s.name == member.type.base), None)


def nested_in_event(api):
    event = api.struct("appmon_event")
    return list({s.name: s for s in (nested(api, m) for m in event.members) if s}.values())


def results(api):
    return [api.struct(name) for name in RESULTS]


def first_sentence(doc):
    """A struct's comment up to its first full stop."""
    return re.split(r"(?<=[.:])\s", " ".join(doc.split()), maxsplit=1)[0].rstrip(".:") + "."


def is_text(member):
    return member.type.base == "char" and not member.type.pointers and member.type.count > 0


def is_bytes(member):
    return member.type.base == "uint8_t" and member.type.count > 0


class Unknown(Exception):
    def __init__(self, struct, member):
        super().__init__(f"{struct.name}.{member.name}: teach bindings/generator what {member.type} is")
