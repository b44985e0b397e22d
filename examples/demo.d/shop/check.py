# SPDX-License-Identifier: BSD-2-Clause
"""check.py DIR ALERT...: compares what the customers counted with what the agent counted at the
front door, and looks whether each alert fired and was resolved. Exit status 1 if not."""
import collections
import json
import re
import sys

directory, *alerts = sys.argv[1:]
SAMPLE = re.compile(r'http_server_requests_total\{(.*)\} (\d+)')

with open(f"{directory}/customers.json") as f:
    sent = collections.Counter(json.load(f))
seen = collections.Counter()
with open(f"{directory}/metrics") as f:
    for line in f:
        sample = SAMPLE.match(line)
        if sample:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', sample[1]))
            if labels["service_name"] == "web":
                seen[labels.get("http_response_status_code", "none")] += int(sample[2])
with open(f"{directory}/alerts.json") as f:
    history = [json.loads(line) for line in f]

agree = True
print("status  customers  agent")
for status in sorted(sent | seen):
    print(f"{status:6} {sent[status]:10} {seen[status]:6}")
    agree &= sent[status] == seen[status]
for alert in alerts:
    states = [change["status"] for change in history if change["alert"] == alert]
    print(f"{alert}: {', '.join(states)}")
    # It may come back for a moment while the fault ends, but it ends.
    agree &= states[:1] == ["firing"] and states[-1:] == ["resolved"]
print("All agree." if agree else "They do not agree.")
sys.exit(not agree)
