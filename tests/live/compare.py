# SPDX-License-Identifier: BSD-2-Clause
"""Events against what the two ends of the same exchange wrote down themselves."""


def port(endpoint):
    return int(endpoint.rpartition(":")[2])


def host(endpoint):
    return endpoint.rpartition(":")[0].strip("[]")


def by_target(events):
    """Events by request-target, which the tests make unique."""
    events = list(events)
    table = {e["request_target"]: e for e in events}
    assert len(table) == len(events), sorted(e["request_target"] for e in events)
    return table


def check_times(event):
    """The four times are in order and the derived ones derive."""
    times = [event[f"{name}_ns"] for name in ("request_start", "request_end", "response_start",
                                              "response_end")]
    assert times == sorted(times) and times[0] > 0, times
    assert event["duration_ns"] == times[3] - times[0]
    assert event["request_ns"] == times[1] - times[0]
    assert event["wait_ns"] == times[2] - times[1]
    assert event["response_ns"] == times[3] - times[2]


def check_wire(event, wire, cgroup, role="server"):
    """Every field of the event of a plain, complete exchange against the wire's other end."""
    path, _, query = wire["target"].partition("?")
    assert event["protocol"] == "http1"
    assert event["role"] == role
    assert event["end"] == "complete"
    assert event["operation"] == wire["method"]
    assert (event["request_target"], event["path"], event["query"]) == (wire["target"], path, query)
    assert event["authority"] == wire["authority"]
    assert event["status"] == wire["status"]
    assert event["message"] == wire["reason"]
    assert event["request_http_version"] == "1.1"
    assert event["response_http_version"] == wire["version"]
    assert event["headers"]["request"]["user-agent"] == ["wire"]
    kept = event["headers"].get("response", {})
    assert kept.get("content-type", [None])[0] == wire["fields"].get("content-type")

    assert event["request_head_bytes"] == wire["request_head"]
    assert event["request_body_bytes"] == wire["request_body"]
    assert event["response_head_bytes"] == wire["response_head"]
    assert event["response_body_bytes"] == wire["response_body"]
    declared = wire["length"] if wire["framing"] == "length" else -1
    assert event["request_content_length"] == declared
    assert event["response_content_length"] == wire["content_length"]

    chunked = {"chunked_request": wire["framing"] == "chunked", "chunked_response": wire["chunked"]}
    expected = {name for name, is_so in {"keep_alive": wire["keep"], **chunked}.items() if is_so}
    flags = set(event["flags"])
    if any(chunked.values()):
        flags -= {"inferred_end"}
    assert flags == expected

    assert event["cgroup_id"] == cgroup.id
    ours, theirs = ("local", "remote") if role == "client" else ("remote", "local")
    assert port(event[ours]) == wire["port"]
    assert event[theirs] == wire["authority"]

    check_times(event)
    assert wire["start"] <= event["request_start_ns"]
    assert event["response_end_ns"] <= wire["end"]


def check_server_owner(event, line, reader="answers"):
    """Who served, against what the server said of itself, which names the thread that answers.
    reader: that thread reads the request too, another "hands_over" after the head, or the runtime
    "may_move"."""
    shared = event["owner"] == "read_shared"
    assert event["owner"] == "read" or (shared and reader != "answers")
    assert event["pid"] == line["pid"]
    assert event["response_tid"] in (line["tid"], 0)  # 0: TCP was still busy with something
    if reader == "answers":
        assert event["tid"] == line["tid"]
    elif reader == "hands_over":
        assert event["tid"] and (event["tid"] == line["tid"]) == shared
    assert event["request_start_ns"] <= event["read_start_ns"] <= event["read_end_ns"] \
        <= event["response_start_ns"]
    assert event["queue_ns"] == event["read_start_ns"] - event["request_start_ns"]
    assert event["service_ns"] == event["response_start_ns"] - event["read_end_ns"]


def check_client_owner(event, line):
    assert event["owner"] == "sent"
    assert event["pid"] == line["pid"]
    assert event["tid"]
    assert (event["connect_ns"] > 0) == (event["ordinal"] == 1)
    assert event["connect_ns"] < line["end"] - line["start"] or event["ordinal"] > 1


def check_logged(event, line):
    """The event of an exchange against the server's own log line for it."""
    assert event["operation"] == line["method"]
    assert event["status"] == line["status"]
    assert port(event["remote" if event["role"] == "server" else "local"]) == line["port"]
    if "bytes_sent" in line:  # nginx counts the bytes of the stream
        assert event["response_body_bytes"] == line["sent"]
        assert event["response_head_bytes"] + event["response_body_bytes"] == line["bytes_sent"]
        assert event["request_head_bytes"] + event["request_body_bytes"] == line["request_length"]
        return
    if "chunked_response" in event["flags"]:  # the others count content
        assert event["response_body_bytes"] > line["sent"] or event["operation"] == "HEAD"
    else:
        assert event["response_body_bytes"] == line["sent"]
    if "chunked_request" in event["flags"]:
        assert event["request_body_bytes"] > line["read"]
    else:
        assert event["request_body_bytes"] == line["read"]
