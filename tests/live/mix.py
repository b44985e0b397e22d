# SPDX-License-Identifier: BSD-2-Clause
"""The requests that every server gets, from every client: (method, target, length, framing)."""
import itertools

_id = itertools.count(1)

_BASIC = [("GET", "/hello", 0, "none"),
          ("HEAD", "/hello", 0, "none"),
          ("GET", "/bytes/0", 0, "none"),
          ("GET", "/bytes/100", 0, "none"),
          ("HEAD", "/bytes/100", 0, "none"),
          ("GET", "/bytes/5000", 0, "none"),
          ("GET", "/bytes/100000", 0, "none"),
          ("GET", "/hello", 0, "none")]
_FULL = _BASIC + [("GET", "/chunked/100", 0, "none"),
                  ("GET", "/chunked/5000", 0, "none"),
                  ("GET", "/chunked/100000", 0, "none"),
                  ("PUT", "/echo", 10, "length"),
                  ("POST", "/echo", 3000, "chunked"),
                  ("POST", "/echo", 70000, "length"),
                  ("PUT", "/echo", 90000, "chunked"),
                  ("GET", "/status/204", 0, "none"),
                  ("GET", "/status/304", 0, "none"),
                  ("GET", "/status/404", 0, "none"),
                  ("GET", "/status/500", 0, "none"),
                  ("GET", "/status/503", 0, "none"),
                  ("GET", "/slow/200", 0, "none"),
                  ("GET", "/hello", 0, "none")]


def requests(server):
    """The mix for a server, each request with an id of its own in the query."""
    return [(method, f"{path}?id={next(_id)}", length, framing)
            for method, path, length, framing in (_BASIC if server == "uring" else _FULL)]
