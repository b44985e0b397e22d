# SPDX-License-Identifier: BSD-2-Clause
"""Events of many exchanges against the logs of load/client.c and load/server.c."""
import collections

FIELDS = ("request_head_bytes", "request_body_bytes", "response_head_bytes", "response_body_bytes")
# With these, or an end other than "complete", an event does not claim that its lengths are exact.
INEXACT = {"gap", "truncated", "mid_message", "inferred_end", "no_response", "malformed"}
# With these the exchange was seen in part only.
PARTIAL = {"gap", "mid_message", "no_response", "malformed"}


class Exchange(collections.namedtuple("Exchange", ("id", "method", "target", "status", *FIELDS))):
    """A line of the log."""

    @classmethod
    def read(cls, path):
        """By target. An id comes once."""
        with open(path) as f:
            split = [line.split() for line in f]
        lines = [cls(*words[:3], *map(int, words[3:])) for words in split]
        table = {line.target: line for line in lines}
        assert len(table) == len({line.id for line in lines}) == len(lines)
        return table


class Tally:
    """What one role's events say about the exchanges that both ends logged as complete."""

    def __init__(self, truth, events, stats):
        self.exchanges, self.events, self.stats = len(truth), len(events), stats
        self.dropped = {reason: n for reason, n in stats["dropped"].items() if n}
        self.lost = sum(self.dropped.values())
        # Each a list, for the message of an assertion.
        self.wrong, self.strange, self.inexact, self.partial, self.excused = [], [], [], [], []
        count = collections.Counter(e.get("request_target") for e in events)
        self.twice = [target for target, n in count.items() if n > 1 and target in truth]
        self.missing = [target for target in truth if not count[target]]
        for event in events:
            line = truth.get(event.get("request_target"))
            if line:
                self._compare(event, line)
            else:
                self.strange.append(event)

    def _compare(self, event, line):
        ids = event["headers"].get("response", {}).get("x-request-id", [line.id])
        answered = "no_response" not in event["flags"]
        if (ids != [line.id] or event["operation"] != line.method
                or answered and event["status"] != line.status):
            self.wrong.append((line, event))
            return
        exact = all(event[name] == getattr(line, name) for name in FIELDS)
        whole = event["end"] == "complete"
        if not whole or PARTIAL & set(event["flags"]):
            self.partial.append((line, event))
        if not exact:
            claims = whole and not INEXACT & set(event["flags"])
            (self.inexact if claims else self.excused).append((line, event))

    def __str__(self):
        numbers = {name: len(getattr(self, name)) for name in
                   ("wrong", "twice", "strange", "missing", "partial", "inexact", "excused")}
        return (f"{self.exchanges} exchanges, {self.stats['exchanges_seen']} seen, "
                f"{self.events} events: "
                + ", ".join(f"{n} {name}" for name, n in numbers.items() if n or name == "wrong")
                + "".join(f", dropped {n} {reason}" for reason, n in self.dropped.items())
                + (f", {self.stats['outstanding']} outstanding" * (self.stats["outstanding"] > 0)))

    def check_pairs(self):
        """What is reported is right, and the counters add up."""
        stats = self.stats
        assert not self.wrong, self.wrong[:2]
        assert not self.twice, self.twice[:5]
        assert not self.inexact, self.inexact[:2]
        assert stats["exchanges_seen"] == stats["delivered"] + self.lost + stats["outstanding"]
        assert stats["delivered"] == self.events
        assert stats["records_bad"] == 0

    def check(self, limit):
        """At most `limit` of the exchanges may be reported in part, or not at all but counted."""
        stats = self.stats
        self.check_pairs()
        assert not self.strange, self.strange[:2]
        assert len(self.missing) <= self.lost, self.missing[:5]
        assert self.lost + stats["outstanding"] <= limit * self.exchanges, self.missing[:5]
        assert len(self.partial) <= limit * self.exchanges, self.partial[:2]
