# SPDX-License-Identifier: BSD-2-Clause
"""Real TCP over a bad network, thousands of requests, both ends watched: no event pairs a request
with another's response, and each exchange has its event or is counted."""
import os
import subprocess
import time

import pytest

from cgroups import Cgroup
from network import Veth
from tally import Exchange, Tally

# APPMON_NETEM=N: N seeds for each condition, and N times the requests.
FACTOR = int(os.environ.get("APPMON_NETEM", "1"))
REQUESTS = 1500


class Condition:
    """What the link does (netem's parameters), how the devices and both ends behave, and which
    part of the exchanges may have no event but a count, or an event that says it is partial."""

    def __init__(self, limit=0, link=None, server=None, client=None, **harm):
        self.limit, self.harm, self.link = limit, harm, link or {}
        self.server, self.client = server or {}, client or {}


# Where packets are lost one in a hundred or less, at most one exchange in a thousand may be.
FEW, MORE = 0.001, 0.01
SMALL = {"rcvbuf": 4096}
CONDITIONS = {
    "clean": Condition(),
    "short": Condition(client={"keep": 10}),
    "lookalike": Condition(server={"lookalike": 1}, client={"lookalike": 1}),
    "loss-0.1": Condition(FEW, loss=0.1),
    "loss-1": Condition(FEW, loss=1),
    "loss-5": Condition(MORE, loss=5),
    "lost-heads": Condition(MORE, heads=10),
    "reorder": Condition(FEW, delay=2, reorder=25, correlation=50),
    "reorder-gap": Condition(FEW, delay=2, reorder=25, correlation=50, gap=5),
    "jitter": Condition(FEW, delay=3, jitter=2),
    "duplicate": Condition(FEW, duplicate=5),
    "recut": Condition(FEW, recut=10),
    "mix": Condition(FEW, loss=1, delay=2, jitter=0.2, reorder=25, correlation=50, duplicate=5),
    "mtu-576": Condition(link={"mtu": 576}),
    "mtu-9000": Condition(link={"mtu": 9000}),
    "mtu-576-loss-1": Condition(FEW, link={"mtu": 576}, loss=1),
    "two-cpus": Condition(FEW, cpus=2),
    "two-cpus-loss-1": Condition(FEW, link={"offloads": ()}, cpus=2, loss=1),
    "offload": Condition(link={"offloads": Veth.OFFLOADS}),
    "offload-loss-1": Condition(FEW, link={"offloads": Veth.OFFLOADS}, loss=1),
    "no-offload": Condition(link={"offloads": ()}),
    "no-offload-loss-1": Condition(FEW, link={"offloads": ()}, loss=1),
    "small-server": Condition(server=SMALL),
    "small-client": Condition(client=SMALL),
    "clamped": Condition(server={"clamp": 3000}, client={"clamp": 3000}),
    "stalled-server": Condition(server={**SMALL, "stall": 500}),
    "stalled-client": Condition(client={**SMALL, "stall": 500}),
    "stalled-loss-1": Condition(FEW, server={**SMALL, "stall": 500}, client={**SMALL, "stall": 500},
                                loss=1),
    "fast-open": Condition(server={"fastopen": 1}, client={"fastopen": 1, "keep": 10}),
    "fast-open-loss-1": Condition(FEW, server={"fastopen": 1}, client={"fastopen": 1, "keep": 10},
                                  loss=1),
}


@pytest.fixture
def load(programs, cgroup, tmp_path, watch):
    """load(condition, seed, depth): runs it; returns the exchanges, on which the logs of both
    ends agree, a Tally of the events of each role, and what happened to packets."""
    def start(side, where, name, **habits):
        with side.inside():
            return where.spawn([*programs.load(name), "10.98.0.1", "80", str(tmp_path / name),
                                *(f"{k}={v}" for k, v in habits.items())],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(condition, seed=1, depth=1, requests=REQUESTS * FACTOR, watched=True, **sizes):
        with Cgroup() as clients, Veth(programs.load("netem"), seed=seed, **condition.link,
                                       **condition.harm) as net:
            for side in (net.server, net.client):
                side.sysctl("net.ipv4.tcp_fastopen", 3)
                side.sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", 0)
            server = start(net.server, cgroup, "server", seed=seed, **condition.server)
            assert server.stdout.readline() == "ready\n", server.stderr.read()
            outputs = {"server": tmp_path / "server-events", "client": tmp_path / "client-events"}
            watches = {role: watch(where, args=["--ring", "64M"], output=outputs[role])
                       for role, where in (("server", cgroup), ("client", clients)) if watched}
            client = start(net.client, clients, "client", seed=seed, depth=depth,
                           requests=requests, **{**sizes, **condition.client})
            _, errors = client.communicate(timeout=60 + 60 * FACTOR)
            assert client.returncode == 0, errors
            truth = Exchange.read(tmp_path / "client")
            for role in watches:
                settle(outputs[role], len(truth))
            tallies = {role: Tally(truth, watching.stop(), watching.stats)
                       for role, watching in watches.items()}
            server.terminate()
            _, errors = server.communicate(timeout=10)
            assert not errors
            assert Exchange.read(tmp_path / "server") == truth
            net.stop()
            return truth, tallies, net.harmed
    return run


def settle(path, count):
    """Until `count` lines are there, or none has come for a second; and a moment for what should
    not come."""
    last, since = -1, time.monotonic()
    while last < count and time.monotonic() < since + 1:
        with open(path, "rb") as f:
            lines = f.read().count(b"\n")
        if lines != last:
            last, since = lines, time.monotonic()
        time.sleep(0.05)
    time.sleep(0.1)


def check_harm(condition, harmed):
    """The link did what it was asked to, and nothing else."""
    asked = {"lost": {"loss", "heads"}, "doubled": {"duplicate"}, "hurried": {"reorder"},
             "recut": {"recut"}}
    for name, parameters in asked.items():
        assert (harmed[name] > 0) == bool(parameters & set(condition.harm)), harmed
    assert harmed["overflowed"] == 0


def test_logs_agree(load):
    """The truth, without the library."""
    truth, _, harmed = load(CONDITIONS["mix"], depth=4, watched=False)
    assert len(truth) >= REQUESTS
    check_harm(CONDITIONS["mix"], harmed)


@pytest.mark.parametrize("seed", range(1, 1 + FACTOR))
@pytest.mark.parametrize("depth", [1, 8], ids=["one-by-one", "pipelined"])
@pytest.mark.parametrize("name", CONDITIONS)
def test_load(name, depth, seed, load, capsys):
    condition = CONDITIONS[name]
    sizes = {"upload": 500, "download": 1000} if depth > 1 else {}
    _, tallies, harmed = load(condition, seed, depth, **sizes)
    with capsys.disabled():
        for role, tally in tallies.items():
            print(f"\n{name}, depth {depth}, {role}: {tally}", end="", flush=True)
    check_harm(condition, harmed)
    for tally in tallies.values():
        tally.check(condition.limit)
