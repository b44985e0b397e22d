# SPDX-License-Identifier: BSD-2-Clause
"""What the members of the structs mean to a host, whatever its language."""
import re

INTEGERS = {"int": (4, True), "size_t": (8, False)}
for _bits in (8, 16, 32, 64):
    INTEGERS[f"uint{_bits}_t"] = (_bits // 8, False)
    INTEGERS[f"int{_bits}_t"] = (_bits // 8, True)

# Constants by the word in their prefix: the name of their type in the bindings.
TYPE_NAMES = {"PROTO": "Protocol", "LOG": "LogLevel", "EVF": "EventFlags", "OPEN": "OpenFlags",
              "CAP": "Capabilities", "DROP": "Drop"}


def camel(name):
    return "".join(part.capitalize() for part in name.lower().split("_"))


def word(group):
    return group.prefix.split("_")[1]


def type_name(group):
    return TYPE_NAMES.get(word(group), camel(word(group)))


def constants(group):
    """Without the length of an array that the reasons index."""
    return [c for c in group.constants if c.name != "MAX"]


def group_of(api, member):
    """The constants that a member takes, as its comment says: APPMON_ROLE_*."""
    match = re.search(r"APPMON_([A-Z0-9]+)_\*", member.doc)
    return api.group(match[1]) if match and not member.type.pointers else None


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


def is_bytes(member):
    return member.type.base == "uint8_t" and member.type.count > 0


class Unknown(Exception):
    def __init__(self, struct, member):
        super().__init__(f"{struct.name}.{member.name}: teach bindings/generator what {member.type} is")
