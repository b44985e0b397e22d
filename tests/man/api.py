#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every public function has a page that declares it as the header does, and says what it returns,
how it fails and since when it is there; every struct member and constant stands in a page."""
import pathlib
import re
import sys

NEEDED = ("RETURN VALUES", "ERRORS", "HISTORY")


def plain(declaration):
    """One spelling of a declaration: no spaces but between words."""
    words = re.sub(r"\s+", " ", declaration).strip()
    return re.sub(r" ?([^\w ]) ?", r"\1", words)


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def of_headers(text):
    """name -> declaration, without APPMON_API."""
    return {re.search(r"(\w+)\(", d)[1]: plain(d)
            for d in re.findall(r"^APPMON_API\s+([^;]*);", without_comments(text), re.M)}


def of_page(text):
    """name -> declaration, from .Ft, .Fo, .Fa, .Fc and .Fn in SYNOPSIS."""
    found = {}
    synopsis = re.search(r"^\.Sh SYNOPSIS\n(.*?)^\.Sh ", text, re.S | re.M)
    kind, name, arguments = "", "", []
    for line in (synopsis[1] if synopsis else "").splitlines():
        macro, _, rest = line.partition(" ")
        rest = rest.replace('"', "")
        if macro == ".Ft":
            kind = rest
        elif macro == ".Fo":
            name, arguments = rest, []
        elif macro == ".Fa":
            arguments.append(rest)
        elif macro == ".Fc":
            found[name] = plain(f"{kind} {name}({', '.join(arguments)})")
        elif macro == ".Fn":
            name, *arguments = re.findall(r'"[^"]*"|\S+', line)[1:]
            found[name] = plain(f"{kind} {name}({', '.join(a.strip(chr(34)) for a in arguments)})")
    return found


def typedefs(text):
    return {re.search(r"\(\*(\w+)\)", d)[1]: plain(d)
            for d in re.findall(r"^(typedef [^;]*\(\*\w+\)[^;]*);", without_comments(text), re.M)}


def words_of_headers(text):
    """Members of structs and constants."""
    text = without_comments(text)
    for struct, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", text, re.S | re.M):
        for member in re.findall(r"(\w+)(?:\[\w+\])?(?=[;,])", body):
            yield f"member of struct {struct}", member
    for constant in re.findall(r"^#define (APPMON_[A-Z]\w*) *(?:\\\n\s*)?U?INT", text, re.M) + \
            re.findall(r"\b(APPMON_[A-Z_0-9]+)\s*=", text):
        yield "constant", constant


def sections(text):
    return dict(re.findall(r"^\.Sh ([^\n]*)\n(.*?)(?=^\.Sh |\Z)", text, re.S | re.M))


def main():
    directory, symbol_map, *headers = sys.argv[1:]
    header = "\n".join(pathlib.Path(path).read_text() for path in headers)
    pages = {p.name: p.read_text() for p in sorted(pathlib.Path(directory).glob("appmon*.3"))}
    nodes = {name: node.rsplit("_", 1)[1]
             for node, body in re.findall(r"^(\w[\w.]*) \{(.*?)^\}", open(symbol_map).read(),
                                          re.S | re.M)
             for name in re.findall(r"\b(appmon_\w+);", body)}
    problems, documented = [], {}
    for name, text in pages.items():
        if text.startswith(".so "):
            continue
        declared = of_page(text)
        documented.update(dict.fromkeys(declared, name))
        has = sections(text)
        names = set(re.findall(r"^\.Nm (\w+)", has["NAME"], re.M))
        if declared:
            problems += [f"{name}: no section {section}" for section in NEEDED
                         if not has.get(section, "").strip()]
            if not set(declared) <= names:
                problems.append(f"{name}: not under NAME: {set(declared) - names}")
        for function, declaration in declared.items():
            expected = of_headers(header).get(function)
            if declaration != expected:
                problems.append(f"{name}: {declaration}\n  the header has: {expected}")
            if nodes.get(function, "no node") not in has.get("HISTORY", ""):
                problems.append(f"{name}: HISTORY does not say that {function} came with "
                                f"{nodes.get(function)}")
        # The name of each function of the page leads to it.
        for function in names:
            target = pages.get(f"{function}.3")
            if target is None or target not in (text, f".so man3/{name}\n"):
                problems.append(f"{function}.3 does not lead to {name}")
        for text_of in re.findall(r"^typedef .*?;", text, re.S | re.M):
            if plain(text_of.rstrip(";")) not in typedefs(header).values():
                problems.append(f"{name}: not as in the header: {text_of}")
    every = "\n".join(pages.values())
    for function in sorted(set(of_headers(header)) - set(documented)):
        problems.append(f"{function}: has no page")
    for name in typedefs(header):
        if f"(*{name})(" not in every:
            problems.append(f"{name}: not declared in a page")
    words = set(re.findall(r"\w+", " ".join(
        re.findall(r"^\.(?:It (?:Vt .*?Va|Dv)|Dv|Va) (.*)$", every, re.M))))
    for kind, word in words_of_headers(header):
        if word not in words:
            problems.append(f"{word}: {kind}, in no page")
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(documented)} functions in {len(set(documented.values()))} pages")


main()
