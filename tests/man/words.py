#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every flag and every value of an enumeration has words in the manual pages and in the three
bindings, the same ones as far as those have the constant, and the right ones: a few of each are
written down here, so that a comment cannot move to its neighbour unseen."""
import pathlib
import re
import sys

# What is said of this constant, and of no other one of its group.
RIGHT = {
    "APPMON_OPEN_DROP_QUERY": "query part of a target",
    "APPMON_OPEN_IDENTITY": "who served or sent",
    "APPMON_OPEN_STREAM_HEADS": "without a declared length",
    "APPMON_OPEN_TRACE": "trace ids",
    "APPMON_OPEN_LINKS": "what an exchange was made for",
    "APPMON_OPEN_GOROUTINES": "follows goroutines",
    "APPMON_OPEN_ONLY_REQUESTS": "has no request",
    "APPMON_OPEN_KEEP_SECRETS": "as sent",
    "APPMON_EVF_NO_RESPONSE": "no final response",
    "APPMON_EVF_RESET_BY_PEER": "an rst arrived",
    "APPMON_EVF_RESET_BY_US": "an rst was sent",
    "APPMON_EVF_TRUNCATED": "longer than the capture limit",
    "APPMON_EVF_MID_MESSAGE": "began inside the exchange",
    "APPMON_EVF_GAP": "were missed",
    "APPMON_EVF_UPGRADED": "tunnel",
    "APPMON_EVF_KEEP_ALIVE": "connection persist",
    "APPMON_EVF_PIPELINED": "earlier response was complete",
    "APPMON_EVF_CHUNKED_REQUEST": "request's body",
    "APPMON_EVF_CHUNKED_RESPONSE": "response's body",
    "APPMON_EVF_EARLY_RESPONSE": "before the request ended",
    "APPMON_EVF_CONTINUED": "1xx response",
    "APPMON_EVF_AMBIGUOUS": "transfer-encoding",
    "APPMON_EVF_INFERRED_END": "inferred, not counted",
    "APPMON_EVF_MALFORMED": "not as in rfc 9112",
    "APPMON_OUTCOME_SERVER_ERROR": "500 and above",
    "APPMON_OUTCOME_CANCELLED": "client reset",
    "APPMON_OP_READ": "safe methods",
    "APPMON_OP_SESSION": "connection itself",
    "APPMON_TRACE_SAMPLED": "sender records",
    "APPMON_TRACE_UNDECIDED": "receiver",
    "APPMON_TRACE_DEBUG": "shall be kept",
    "APPMON_STATS_REMOVED": "cgroup was removed",
    "APPMON_CAP_SWEEP": "iter/bpf_sk_storage_map",
    "APPMON_CAP_GOROUTINES": "APPMON_OPEN_GOROUTINES was asked for".lower(),
    "APPMON_DIM_CLIENT": "clients that are not monitored",
    "APPMON_DIM_ROUTE": "without ids",
    "APPMON_LINK_FORWARDED": "rfc 7239",
    "APPMON_LINK_GOROUTINE": "net/http was serving",
    "APPMON_LINK_STARTED": "that was started",
    "APPMON_LOG_WARN": "what to do about it",
    "APPMON_DROP_SAMPLED": "left the sample",
    "APPMON_SAMPLING_ALL": "all connections",
    "APPMON_TAKE_WAITING": "wait for their other end",
}


def plain(words):
    """One spelling, whatever the language made of them."""
    words = re.sub(r"\n\.Fn (\w+)", r" \1()", words)
    words = re.sub(r"^\.(?:Fn|Dv|Va|Xr) ", "", words, flags=re.M)
    return re.sub(r"\s+", " ", re.sub(r"\\([\[\]])", r"\1", words.replace("\\&", ""))).strip().rstrip(".;:").replace("() ", "()").lower()


def of_headers(texts):
    """Every constant of the headers."""
    found = {}
    for text in texts:
        text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"\S", " ", m[0]), text, flags=re.S)
        for name in re.findall(r"^#define (APPMON_[A-Z]\w*)\s+\\?\s*U?INT", text, re.M) + \
                re.findall(r"\b(APPMON_[A-Z_0-9]+)\s*=", text):
            found[name] = True
    return list(found)


def of_pages(directory):
    found = {}
    for page in sorted(pathlib.Path(directory).glob("appmon*.[37]")):
        for name, words in re.findall(r"^\.It Dv (APPMON_\w+)\n(.*?)(?=^\.It |^\.El)", page.read_text(),
                                      re.S | re.M):
            found[name] = words
    return found


def of_rust(path):
    """libappmon-sys has the names of C."""
    return {name: re.sub(r"^\s*/// ?", "", words, flags=re.M) for words, name in
            re.findall(r"((?:^\s*///.*\n)*)^pub const (APPMON_\w+):", path.read_text(), re.M)}


def group(name):
    return name.split("_")[1]


def by_value(headers, path, mark):
    """Bindings with names of their own: every comment above a constant, as one text each."""
    text = path.read_text()
    return {plain(re.sub(rf"^\s*{mark} ?", "", words, flags=re.M))
            for words in re.findall(rf"((?:^[ \t]+{mark}.*\n)+)(?=^[ \t]+\w+\s+.*=|^[ \t]+\w+ = )", text, re.M)}


def main():
    directory, bindings, *headers = sys.argv[1:]
    bindings = pathlib.Path(bindings)
    names = [n for n in of_headers(pathlib.Path(p).read_text() for p in headers)]
    pages = of_pages(directory)
    rust = of_rust(bindings / "rust/libappmon-sys/src/generated.rs")
    others = {"Python": by_value(names, bindings / "python/src/appmon/_data.py", "#:"),
              "Go": by_value(names, bindings / "go/data.go", "//"),
              "Rust": by_value(names, bindings / "rust/appmon/src/data.rs", "///")}
    problems = []
    for name in names:
        where = {"the manual pages": pages, "libappmon-sys": rust}
        for place, texts in where.items():
            if name == "APPMON_SAMPLING_ALL" and place == "the manual pages":
                continue  # stands in a sentence of appmon_set_sampling(3)
            words = plain(texts.get(name, ""))
            if not words:
                problems.append(f"{name}: no words in {place}")
                continue
            for other, right in RIGHT.items():
                if (right in words) != (other == name) and group(other) == group(name) and \
                        (other == name or right not in RIGHT.get(name, "")):
                    problems.append(f"{name}: {place} say \"{words}\", and of {other} should say: {right}")
        words = plain(rust.get(name, ""))
        for language, texts in others.items():
            if words and not name.endswith("_MAX") and words not in texts:
                problems.append(f"{name}: {language} has not: {words}")
    problems += [f"{name}: no such constant" for name in RIGHT if name not in names]
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(names)} constants")


main()
