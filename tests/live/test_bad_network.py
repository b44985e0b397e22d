# SPDX-License-Identifier: BSD-2-Clause
"""Packets that are lost, doubled and out of order change nothing in what is reported."""
import pytest

import mix
from cgroups import Cgroup
from compare import by_target, check_wire
from network import Link
from wire import Connection

LINKS = {"clean": {}, "loss": {"lose": 0.05}, "doubles": {"double": 0.3}, "order": {"swap": 0.3},
         "all": {"lose": 0.03, "double": 0.1, "swap": 0.1}}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("harm", LINKS)
def test_bad_link(harm, seed, cgroup, start_server, watch):
    """Both ends are watched: the sender's hook sees other trouble than the receiver's."""
    with Cgroup() as client_cgroup, Link(seed=seed, **LINKS[harm]) as link:
        with link.server.inside():
            server = start_server("python-asyncio", cgroup, host=link.server.address)
        watching = watch(cgroup, client_cgroup)
        address = (link.server.address, server.port)
        requests = mix.requests(server.name)
        with link.client.inside():
            sock = client_cgroup.connect(address)
        with Connection(address, sock) as connection:
            seen = [connection.exchange(*request) for request in requests]
        watching.wait(2 * len(requests))
        events = watching.stop()
        assert link.harmed > 0 or harm == "clean"
    for role, where in (("server", cgroup), ("client", client_cgroup)):
        table = by_target(e for e in events if e["role"] == role)
        assert set(table) == {target for _, target, _, _ in requests}
        for wire in seen:
            check_wire(table[wire["target"]], wire, where, role=role)
    watching.check_sums(delivered=2 * len(requests))
    if harm == "clean":
        assert not any(e["retransmits"] or e["peer_retransmits"] for e in events)
    if harm == "loss":
        assert any(e["retransmits"] for e in events)
    if harm == "doubles":
        assert any(e["peer_retransmits"] for e in events)
