# SPDX-License-Identifier: BSD-2-Clause
"""curl.py HOST PORT PLAN LOG: the plan by one curl process on one connection. See ../README.md.

curl tells how long each transfer took, not when: start and end are those of the whole run."""
import json
import os
import subprocess
import sys
import time

host, port, plan, log = sys.argv[1:]
argv = ["curl", "--silent", "--show-error"]
with open(plan) as f:
    requests = [line.split() for line in f]
for i, (method, target, length, framing) in enumerate(requests):
    if i:
        argv += ["--next", "--silent", "--show-error"]
    argv += ["--globoff", f"http://{'[%s]' % host if ':' in host else host}:{port}{target}",
             "--output", os.devnull, "--write-out", "%{json}\\n", "--http1.1"]
    argv += ["--head"] if method == "HEAD" else ["--request", method]
    if framing != "none":
        argv += ["--data-binary", "x" * int(length), "--header", "Expect:"]
    if framing == "chunked":
        argv += ["--header", "Transfer-Encoding: chunked"]
start = time.monotonic_ns()
curl = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
out, _ = curl.communicate()
assert curl.returncode == 0
end = time.monotonic_ns()
with open(log, "w") as f:
    for (method, target, *_), line in zip(requests, out.splitlines()):
        result = json.loads(line)
        f.write(json.dumps({"method": method, "target": target, "status": result["http_code"],
                            "body": result["size_download"], "start": start, "end": end, "pid": curl.pid,
                            "duration": round(result["time_total"] * 1e9)}) + "\n")
