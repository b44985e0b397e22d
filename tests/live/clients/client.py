# SPDX-License-Identifier: BSD-2-Clause
"""client.py HOST PORT PLAN LOG: the plan on one http.client connection. See ../README.md."""
import http.client
import json
import sys
import time

host, port, plan, log = sys.argv[1:]
connection = http.client.HTTPConnection(host, int(port))
with open(plan) as plan_file, open(log, "w") as log_file:
    for line in plan_file:
        method, target, length, framing = line.split()
        body = None
        if framing == "chunked":
            body = (b"x" * 1000 for _ in range(int(length) // 1000))
        elif framing == "length":
            body = b"x" * int(length)
        start = time.monotonic_ns()
        connection.request(method, target, body=body, encode_chunked=framing == "chunked",
                           headers={"Transfer-Encoding": "chunked"} if framing == "chunked" else {})
        response = connection.getresponse()
        got = len(response.read())
        end = time.monotonic_ns()
        log_file.write(json.dumps({"method": method, "target": target, "status": response.status,
                                   "body": got, "start": start, "end": end}) + "\n")
