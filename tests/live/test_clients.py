# SPDX-License-Identifier: BSD-2-Clause
"""Every client, watched: each event against the client's own log and the server's."""
import pytest

import mix
from cgroups import Cgroup
from compare import by_target, check_client_owner, check_logged, check_times
from programs import CLIENTS, Missing, run_client


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("name", CLIENTS)
def test_client(name, address, cgroup, start_server, programs, tmp_path, watch):
    with Cgroup() as outside:
        server = start_server("python-asyncio", outside, host=address)
        plan = mix.requests(server.name)
        watching = watch(cgroup)
        try:
            sent = run_client(programs, name, cgroup, tmp_path, (address, server.port), plan)
        except Missing as reason:
            pytest.skip(str(reason))
        watching.wait(len(plan))
        events = by_target(watching.stop())
        logged = {line["target"]: line for line in server.log.lines(len(plan))}

    assert set(events) == set(logged) == {target for _, target, _, _ in plan}
    for line in sent:
        event = events[line["target"]]
        assert event["role"] == "client"
        assert event["end"] == "complete"
        assert event["cgroup_id"] == cgroup.id
        check_logged(event, logged[line["target"]])
        assert (event["operation"], event["status"]) == (line["method"], line["status"])
        if "chunked_response" not in event["flags"]:
            assert event["response_body_bytes"] == line["body"]
        check_times(event)
        check_client_owner(event, line)
        assert line["start"] <= event["request_start_ns"]
        assert event["response_end_ns"] <= line["end"]
        if "duration" in line:  # curl rounds to microseconds
            assert event["duration_ns"] <= line["duration"] + 1000
    watching.check_sums(delivered=len(plan))
