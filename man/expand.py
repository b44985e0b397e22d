#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Puts into a manual page what has its only place elsewhere: expand.py PAGE TOP HEADER... >OUTPUT

    .\\" MEMBERS appmon_opts     the members of a struct, with their comments in the header
    .\\" CONSTANTS APPMON_END    the constants of a prefix, likewise
    .\\" INCLUDE options.mdoc    a file of mdoc(7) beside the page
    .\\" CODE examples/epoll.c   a source file below TOP
"""
import pathlib
import re
import sys
import textwrap


def comment_text(pieces):
    """The words of comments, without what frames them."""
    text = " ".join(re.sub(r"^\s*\*(?=\s)", " ", piece, flags=re.M) for piece in pieces)
    return " ".join(text.replace("\\\n", " ").split())


def members(header, struct):
    """(type, name, comment) of each member; (None, None, comment) for one that stands before some."""
    found = re.search(r"^struct " + struct + r" \{\n(.*?)^\};", header, re.S | re.M)
    if not found:
        sys.exit(f"no struct {struct} in the headers")
    result = []
    for match in re.finditer(r"(?P<indent>^\t)?/\*(?P<comment>.*?)\*/|(?P<code>[^;/]+);",
                             found[1], re.S | re.M):
        if match["code"]:
            for one in declarators(match["code"]):
                result.append([*one, []])
        elif match["indent"] and not continues(match["comment"]):
            result.append([None, None, [match["comment"]]])
        else:
            result[-1][2].append(match["comment"])
    return [(ctype, name, comment_text(comments)) for ctype, name, comments in result]


def continues(comment):
    """A comment on a line of its own may be the rest of the one before it."""
    return re.match(r"\s*[a-z]", comment) is not None


def is_own(comment):
    """Of a comment above a constant of an enum: it is about this one, not about those that follow."""
    return not comment.rstrip().endswith(":") and not continues(comment)


def declarators(code):
    """"uint32_t size, reserved" is two."""
    code = " ".join(code.split())
    first = re.match(r"(.*?)(\w+(?:\[\w+\])?)$", code.split(",")[0].strip())
    yield first[1].strip(), first[2]
    for more in code.split(",")[1:]:
        yield first[1].strip(), more.strip()


def constants(header, prefix):
    """(name, comment) of each; (None, comment) for one that stands before some, and ends with a
    colon. The comment of a constant stands behind it or above it; above the first #define stands what
    all are."""
    start = re.compile(r"(?:#define\s+|^\s+|\{ |, )(" + prefix +
                       r"_[A-Z0-9_]+)\b(?=\s*=|\s*\\?\s*(?:U?INT|\())", re.M)
    result, first = [], True
    for match in start.finditer(header):
        above, define = [], match[0].startswith("#define")
        found = re.search((r"((?:^" if define else r"((?:^\t") + r"/\*(?:(?!\*/).)*\*/\n)+)\Z",
                          header[:match.start()], re.S | re.M)
        if found:
            above = re.findall(r"^\t?/\*(.*?)\*/", found[1], re.S | re.M)
            above = above[first:] if define else [c for c in above[-1:] if is_own(c)]
        first = first and not define
        # Up to the next constant, an empty line or the end of the enum.
        rest = re.split(r"#define|\n\n|^\};|^\s+APPMON_\w+\s*=|, APPMON_", header[match.end():],
                        maxsplit=1, flags=re.M)[0]
        own, before_next = [], []
        for comment in re.finditer(r"(?P<indent>^\t)?/\*(?P<text>.*?)\*/", rest, re.S | re.M):
            if rest[:comment.start()].endswith("\n") and not comment["indent"]:
                break  # of the next #define
            heads = comment["indent"] and not continues(comment["text"])
            if heads and is_own(comment["text"]):
                break
            (before_next if heads else own).append(comment["text"])
        result.append((match[1], comment_text(above or own)))
        if before_next:
            result.append((None, comment_text(before_next)))
    if not result:
        sys.exit(f"no constant {prefix}_ in the headers")
    return result


def paragraph(text):
    """Lines of at most 78 bytes, a sentence beginning a line, nothing that roff would take for its own."""
    text = text.replace("\\", "\\e").rstrip(";,")
    if text and not text.endswith((".", ":")):
        text += "."
    if re.match(r"[a-z]+( |\.?$)", text):  # a word, no name
        text = text[0].upper() + text[1:]
    lines = []
    for sentence in re.split(r"(?<=[\w)*]\.) (?=[A-Z])", text):
        lines += textwrap.wrap(sentence, 78, break_long_words=False, break_on_hyphens=False)
    text = "\n".join(lines)
    # A function is named by a macro, on a line of its own.
    text = re.sub(r"\s*\b(appmon_\w+)\(\)([.,:;)]*)\s*",
                  lambda m: f"\n.Fn {m[1]}{' ' + m[2] if m[2] else ''}\n", text)
    lines = text.strip().splitlines()
    return "".join(("\\&" if line[0] == "'" or line[0] == "." and line[1:3] != "Fn" else "") + line + "\n" for line in lines)


def described(entries):
    """A list of (head or None, text); where the head is None the text stands between lists."""
    out, open_list = "", False
    compact = "" if any(text for head, text in entries if head) else " -compact"
    for head, text in entries:
        if head and not open_list:
            out += f".Bl -tag -width Ds{compact}\n"
        if not head and open_list:
            out += ".El\n.Pp\n"
        out += (f".It {head}\n" if head else "") + paragraph(text)
        open_list = bool(head)
    return out + (".El\n" if open_list else "")


def member_list(header, struct):
    def head(ctype, name):
        join = "Ns " if ctype.endswith("*") else ""
        return f'Vt "{ctype}" {join}Va "{name}"'

    return described([(head(ctype, name) if name else None, text)
                      for ctype, name, text in members(header, struct)])


def constant_list(header, prefix):
    return described([(f"Dv {name}" if name else None, text)
                      for name, text in constants(header, prefix)])


def code(path):
    text = path.read_text().replace("\\", "\\e").expandtabs(8)
    return (".Bd -literal -offset indent\n" +
            re.sub(r"^([.'])", r"\\&\1", text, flags=re.M) + ".Ed\n")


def expand(page, top, headers):
    header = "\n".join(pathlib.Path(path).read_text() for path in headers)
    page = pathlib.Path(page)

    def one(match):
        kind, argument = match[1], match[2]
        if kind == "MEMBERS":
            return member_list(header, argument)
        if kind == "CONSTANTS":
            return constant_list(header, argument)
        if kind == "INCLUDE":
            return parts((page.parent / argument).read_text())
        return code(pathlib.Path(top) / argument)

    def parts(text):
        return re.sub(r'^\.\\" (MEMBERS|CONSTANTS|INCLUDE|CODE) (\S+)\n', one, text, flags=re.M)

    return parts(page.read_text())


if __name__ == "__main__":
    sys.stdout.write(expand(sys.argv[1], sys.argv[2], sys.argv[3:]))
