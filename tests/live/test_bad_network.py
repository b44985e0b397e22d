# SPDX-License-Identifier: BSD-2-Clause
"""Packets that are lost, doubled and out of order change nothing in what is reported."""
import collections
import shutil
import subprocess

import pytest

import http2_servers
import mix
import test_mysql
import test_postgresql
from cgroups import Cgroup
from compare import by_target, check_wire
from databases import Mariadb, Postgresql, running
from network import Link
from programs import Missing
from wire import Connection

LINKS = {"clean": {}, "loss": {"lose": 0.05}, "doubles": {"double": 0.3}, "order": {"swap": 0.3},
         "all": {"lose": 0.03, "double": 0.1, "swap": 0.1}}
HTTP2 = ["--protocols", "http2"]


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


@pytest.fixture
def link():
    with Link(**LINKS["all"]) as link:
        yield link
        assert link.harmed > 0


def ask(link, cgroup, *argv):
    """What the command says that runs in the cgroup at the client's end."""
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    with link.client.inside():
        process = cgroup.spawn(argv, stdout=subprocess.PIPE, text=True)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    return said


def test_http2(link, cgroup, watch, tmp_path, programs):
    """Streams side by side, with bodies."""
    with Cgroup() as clients:
        with link.server.inside():
            try:
                server = http2_servers.Server("nghttpd", cgroup, tmp_path, programs)
            except Missing as reason:
                pytest.skip(str(reason))
        watches = {"server": watch(cgroup, args=HTTP2), "client": watch(clients, args=HTTP2)}
        said = ask(link, clients, "h2load", "-n", "300", "-c", "3", "-m", "10",
                   *(f"http://{link.server.address}:{server.port}/bytes/{n}" for n in http2_servers.SIZES))
        assert "300 succeeded" in said
        for role, watching in watches.items():
            events = watching.wait(300, timeout=20)
            watching.stop()
            watching.check_sums(delivered=300)
            # How many requests each of its connections has is not fixed.
            asked = collections.Counter(e["path"] for e in events)
            assert all(95 < asked[f"/bytes/{n}"] < 105 for n in http2_servers.SIZES)
            assert {(e["role"], e["operation"]) for e in events} == {(role, "GET")}
            # Long bodies pass faster than the reader, perhaps, can say where a frame begins.
            whole = [e for e in events if "gap" not in e["flags"]]
            assert len(whole) > 150
            assert {(e["path"], e["response_body_bytes"], e["status"], e["end"]) for e in whole} == {
                (f"/bytes/{n}", n, 200, "complete") for n in http2_servers.SIZES}
        server.stop()


def test_postgresql_statements(link, watch, tmp_path):
    script = tmp_path / "script"
    with Cgroup() as clients, link.server.inside(), running(Postgresql, link.server.address) as server:
        for rows in 1, 100:
            script.write_text(f"SELECT i, repeat('x', 100) FROM generate_series(1, {rows}) i;\n")
            since = test_postgresql.begin(server)
            watches = [watch(where, args=test_postgresql.RAW) for where in (server.cgroup, clients)]
            for mode in "simple", "prepared":
                said = ask(link, clients, f"{server.bindir}/pgbench", "-h", server.host, "-p", str(server.port),
                           "-U", "postgres", "-n", "-M", mode, "-c", "3", "-t", "20", "-f", str(script),
                           "postgres")
                assert "actually processed: 60/60" in said
            told = [test_postgresql.check_log(server, since, watching) for watching in watches]
            for watching, events in zip(watches, told):
                test_postgresql.check_rows(server, events)
                watching.check_sums(delivered=len(watching.stop()))


def test_mysql_statements(link, watch):
    with Cgroup() as clients, link.server.inside(), running(Mariadb, link.server.address) as server:
        sysbench = ["sysbench", "--db-driver=mysql", f"--mysql-host={server.host}",
                    f"--mysql-port={server.port}", "--mysql-user=alice", "--mysql-password=hunter2",
                    "--mysql-db=shop", "--tables=1", "--table-size=1000", "--threads=3", "--time=0"]
        server.run(*sysbench, "oltp_read_write", "prepare")
        for script, count in ("oltp_point_select", 150), ("oltp_read_write", 9):
            server.begin()
            watches = [watch(where, args=test_mysql.RAW) for where in (server.cgroup, clients)]
            ask(link, clients, *sysbench, f"--events={count}", script, "run")
            for watching in watches:
                events = test_mysql.check_log(server, watching)
                test_mysql.check_rows(server, events)
                watching.check_sums(delivered=len(watching.stop()))
