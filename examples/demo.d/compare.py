# SPDX-License-Identifier: BSD-2-Clause
"""compare.py DIR SERVER...: compares what libappmon saw (DIR/seen.jsonl, from appmon watch --json)
with each server's own access log (DIR/SERVER.access.log) and with what the clients counted
(DIR/curl.log, DIR/SERVER.wrk.log). Exit status 0 only if they agree."""
import collections
import json
import os
import signal
import sys

COLOR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
SHOWN = 5  # examples of a mismatch
# Both servers that send it send just this; libappmon counts the bytes of final responses.
CONTINUE = len("HTTP/1.1 100 Continue\r\n\r\n")

# One exchange, as both sides must tell it: on which connection, what was asked, what was answered,
# and how many bytes the whole messages (heads and bodies) had.
Exchange = collections.namedtuple("Exchange", "port method target status received sent agent")


def paint(text, sgr):
    return f"\033[{sgr}m{text}\033[0m" if COLOR else text


def read_log(path):
    """Exchanges and the server's own duration of each, in seconds."""
    exchanges, seconds = [], []
    with open(path) as f:
        for line in f:
            record = json.loads(line)
            seconds.append((record["agent"], record.pop("seconds")))
            exchanges.append(Exchange(**record))
    return exchanges, seconds


def read_seen(path, servers):
    """The same from libappmon, for each server, and the summary that it ended with."""
    exchanges = {server: [] for server in servers}
    seconds = {server: [] for server in servers}
    summary = None
    with open(path) as f:
        for line in f:
            event = json.loads(line)
            if "summary" in event:
                summary = event["summary"]
                continue
            agent = "".join(event["headers"]["request"].get("user-agent", []))
            sent = event.get("response_head_bytes", 0) + event.get("response_body_bytes", 0)
            if "continued" in event["flags"]:
                sent += CONTINUE
            exchanges[event["app"]].append(Exchange(
                int(event["remote"].rpartition(":")[2]), event.get("operation"), event.get("request_target"),
                event.get("status", 0),
                event.get("request_head_bytes", 0) + event.get("request_body_bytes", 0), sent,
                agent))
            seconds[event["app"]].append((agent, event.get("duration_ns", 0) / 1e9))
    return exchanges, seconds, summary


def read_clients(directory, server):
    """The requests that curl and wrk counted, and wrk's own percentiles in seconds."""
    with open(f"{directory}/curl.log") as f:
        curl = sum(line.split()[0] == server for line in f)
    with open(f"{directory}/{server}.wrk.log") as f:
        burst = [line.split() for line in f if line.startswith("burst ")]
    if not burst:
        sys.exit(f"wrk told no result: see {directory}/{server}.wrk.log")
    requests, p50, p95 = (int(n) for n in burst[0][1:])
    return curl, requests, p50 / 1e6, p95 / 1e6


def percentile(values, percent):
    values = sorted(values)
    return values[max(0, -(-len(values) * percent // 100) - 1)] if values else 0


def table(head, rows, group=1):
    """Prints rows of (name, cells, good); good None: nothing to judge. Columns are set in groups."""
    width = [max(len(str(row[1][i])) for row in [("", head, None), *rows])
             for i in range(len(head))]
    names = max(len(row[0]) for row in rows)
    for name, cells, good in [("", head, None), *rows]:
        line = f"{name:<{names}}" + "".join(
            f"{'' if i % group else ' '} {cell:>{w}}" for i, (cell, w) in enumerate(zip(cells, width)))
        mark = {None: "", True: paint("ok", 32), False: paint("DIFFERENT", 31)}[good]
        print(f"{line} {mark}".rstrip())


def rows_of(log, seen):
    """What each server's log says beside what was seen: (name, [(log, seen) for each server])."""
    def row(name, count):
        return name, [(count(log[server]), count(seen[server])) for server in log]

    yield row("requests", len)
    for status in range(1, 6):
        if any(e.status // 100 == status for server in log for e in log[server] + seen[server]):
            yield row(f"status {status}xx", lambda some: sum(e.status // 100 == status for e in some))
    yield row("no answer", lambda some: sum(e.status == 0 for e in some))
    yield row("bytes in", lambda some: sum(e.received for e in some))
    yield row("bytes out", lambda some: sum(e.sent for e in some))


def judged(pairs, good):
    return [f"{n:,}" for pair in pairs for n in pair], good


def compare(directory, servers):
    """Prints the comparison; True if all agree."""
    log, log_seconds = {}, {}
    for server in servers:
        log[server], log_seconds[server] = read_log(f"{directory}/{server}.access.log")
    seen, seen_seconds, summary = read_seen(f"{directory}/seen.jsonl", servers)
    if summary is None:
        sys.exit("appmon ended without a summary")
    differences, clients, rows = {}, {}, []
    for server in servers:
        in_log, was_seen = collections.Counter(log[server]), collections.Counter(seen[server])
        differences[server] = (list((in_log - was_seen).elements()),
                               list((was_seen - in_log).elements()))
        clients[server] = read_clients(directory, server)
    for name, pairs in rows_of(log, seen):
        rows.append((name, *judged(pairs, all(a == b for a, b in pairs))))
    lonely = [(len(in_log), len(was_seen)) for in_log, was_seen in differences.values()]
    rows.append(("unmatched", *judged(lonely, not any(sum(pair) for pair in lonely))))
    counts = [(curl + wrk, len(seen[s])) for s, (curl, wrk, _, _) in clients.items()]
    rows.append(("by clients", *judged(counts, all(a == b for a, b in counts))))
    agree = all(good for _, _, good in rows)
    table([head for server in servers for head in (server + " log", "seen")], rows, 2)
    print("Matched: client port, method, target, status, user agent, bytes of the whole request\n"
          "and response (head and body, as transferred). By clients: what curl and wrk count.")
    for server, (in_log, was_seen) in differences.items():
        for side, part in (("only in the log", in_log), ("only seen", was_seen)):
            for exchange in part[:SHOWN]:
                print(f"  {server}, {side}: " + " ".join(f"{k}={v}" for k, v in
                                                         exchange._asdict().items()))
            if len(part) > SHOWN:
                print(f"  {server}, {side}: and {len(part) - SHOWN} more")

    stats = summary["stats"]
    dropped = sum(stats["dropped"].values())
    closed = stats["exchanges_seen"] == stats["delivered"] + dropped + stats["outstanding"]
    whole = closed and not dropped and not stats["records_lost"] and not stats["records_bad"]
    print(f"\nlibappmon's own account: {stats['exchanges_seen']:,} seen = {stats['delivered']:,} "
          f"delivered + {dropped:,} dropped + {stats['outstanding']:,} outstanding "
          + (paint("ok", 32) if whole else paint("NOT WHOLE", 31)))
    for reason, count in stats["dropped"].items():
        if count:
            print(f"  dropped ({reason}): {count:,}")

    print("\nLatency of wrk's requests, p50 / p95 in ms, from the inside out (not judged)")
    rows = []
    for server in servers:
        cells = []
        for source in (log_seconds, seen_seconds):
            burst = [s for agent, s in source[server] if agent == "wrk"]
            cells.append(f"{percentile(burst, 50) * 1e3:.3f} / {percentile(burst, 95) * 1e3:.3f}")
        _, _, p50, p95 = clients[server]
        cells.append(f"{p50 * 1e3:.3f} / {p95 * 1e3:.3f}")
        rows.append((server, cells, None))
    table(["server's log", "libappmon", "wrk"], rows)
    if "nginx" in servers:
        print("(nginx writes whole milliseconds.)")
    return agree and whole


def main():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C without a traceback
    agree = compare(sys.argv[1], sys.argv[2:])
    print("\n" + (paint("All agree.", "1;32") if agree else paint("They do not agree.", "1;31")))
    return 0 if agree else 1


sys.exit(main())
