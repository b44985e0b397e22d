# SPDX-License-Identifier: BSD-2-Clause
"""What is watched: connections from before the attach, several targets, nested cgroups, roles."""
import time

from cgroups import Cgroup
from compare import by_target, check_wire
from wire import Connection


def get(connection, target):
    return connection.exchange("GET", target)


def test_connections_that_were_open_before(cgroup, start_server, watch):
    """Exactly the requests after the attach are reported, whole."""
    server = start_server("nginx", cgroup)
    connections = [Connection(("127.0.0.1", server.port)) for _ in range(20)]
    for i, connection in enumerate(connections):
        for j in range(i % 3):  # some have served nothing yet
            get(connection, f"/hello?before={i}.{j}")
    watching = watch(cgroup)
    seen = [get(connection, f"/bytes/5000?after={i}.{j}")
            for j in range(3) for i, connection in enumerate(connections)]
    watching.wait(len(seen))
    events = by_target(watching.stop())
    assert set(events) == {wire["target"] for wire in seen}
    for wire in seen:
        check_wire(events[wire["target"]], wire, cgroup)
    watching.check_sums(delivered=len(seen))
    assert watching.stats["connections_seen"] == len(connections)
    for connection in connections:
        connection.sock.close()


def test_attach_in_the_middle_of_a_response(cgroup, start_server, watch):
    """The rest of a response that began before the attach disturbs nothing after it."""
    listener = cgroup.listener()
    with Connection(listener.getsockname()) as connection:
        served, _ = listener.accept()
        sent = connection.send("GET", "/first")
        served.recv(4096)
        served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b"x" * 4000)
        watching = watch(cgroup)
        served.sendall(b"y" * 6000)
        connection.receive(sent)
        sent = connection.send("GET", "/second")
        served.recv(4096)
        served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
        wire = connection.receive(sent)
        watching.wait(1)
        events = [e for e in watching.stop() if "mid_message" not in e["flags"]]
        assert len(events) == 1
        check_wire(events[0], wire, cgroup)
        watching.check_sums()
        served.close()
    listener.close()


def test_two_targets(cgroup, start_server, watch):
    with Cgroup() as other:
        watched = {"nginx": cgroup, "python-asyncio": other}
        servers = {name: start_server(name, where) for name, where in watched.items()}
        watching = watch(cgroup, other)
        seen = {}
        for i in range(10):
            for name, server in servers.items():
                with Connection(("127.0.0.1", server.port)) as connection:
                    seen[f"/hello?{name}={i}"] = name, get(connection, f"/hello?{name}={i}")
        watching.wait(len(seen))
        events = by_target(watching.stop())
        assert set(events) == set(seen)
        ids = {name: set() for name in watched}
        for target, (name, wire) in seen.items():
            check_wire(events[target], wire, watched[name])
            assert events[target]["app"] == watched[name].name
            ids[name].add(events[target]["target_id"])
        assert all(len(one) == 1 for one in ids.values())
        assert ids["nginx"] != ids["python-asyncio"]
        watching.check_sums(delivered=len(seen))


def serve_one(listener, target):
    """Plays one exchange on a listener; returns what the client end saw."""
    with Connection(listener.getsockname()) as connection:
        served, _ = listener.accept()
        sent = connection.send("GET", target)
        served.recv(4096)
        served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        wire = connection.receive(sent)
        served.close()
    return wire


def test_nested_targets(cgroup, watch):
    """With a parent and its child attached, an exchange goes to the innermost, once."""
    inner = cgroup.child("inner")
    leaf = inner.child("leaf")
    outer_listener, inner_listener, leaf_listener = (c.listener() for c in (cgroup, inner, leaf))
    watching = watch(cgroup, inner)
    seen = {"/outer": (serve_one(outer_listener, "/outer"), cgroup, cgroup.name),
            "/inner": (serve_one(inner_listener, "/inner"), inner, inner.name),
            "/leaf": (serve_one(leaf_listener, "/leaf"), leaf, inner.name)}
    watching.wait(3)
    events = by_target(watching.stop())
    assert set(events) == set(seen)
    for target, (wire, where, app) in seen.items():
        check_wire(events[target], wire, where)
        assert events[target]["app"] == app
    watching.check_sums(delivered=3)


def test_child_of_an_attached_parent(cgroup, start_server, watch):
    """A server below the attached cgroup is seen; the event names the leaf."""
    leaf = cgroup.child("pod").child("container")
    server = start_server("python-threading", leaf)
    watching = watch(cgroup)
    with Connection(("127.0.0.1", server.port)) as connection:
        wire = get(connection, "/hello?leaf")
    watching.wait(1)
    event, = watching.stop()
    check_wire(event, wire, leaf)
    assert event["app"] == cgroup.name
    watching.check_sums(delivered=1)


def test_cgroup_made_after_the_attach(cgroup, watch):
    watching = watch(cgroup)
    leaf = cgroup.child("late")
    wire = serve_one(leaf.listener(), "/late")
    watching.wait(1)
    event, = watching.stop()
    check_wire(event, wire, leaf)
    watching.check_sums(delivered=1)


def test_both_roles(cgroup, start_server, watch):
    """With both ends watched each exchange is reported twice: once from each end."""
    with Cgroup() as client:
        server = start_server("python-asyncio", cgroup)
        watching = watch(cgroup, client)
        address = ("127.0.0.1", server.port)
        with Connection(address, client.connect(address)) as connection:
            seen = [get(connection, f"/bytes/5000?both={i}") for i in range(10)]
        watching.wait(2 * len(seen))
        events = watching.stop()
        served = by_target(e for e in events if e["role"] == "server")
        sent = by_target(e for e in events if e["role"] == "client")
        assert set(served) == set(sent) == {wire["target"] for wire in seen}
        for wire in seen:
            at_server, at_client = served[wire["target"]], sent[wire["target"]]
            check_wire(at_server, wire, cgroup)
            check_wire(at_client, wire, client, role="client")
            assert (at_server["local"], at_server["remote"]) == \
                (at_client["remote"], at_client["local"])
            # The server's span lies inside the client's.
            assert at_client["request_start_ns"] <= at_server["request_start_ns"]
            assert at_server["response_end_ns"] <= at_client["response_end_ns"]
        watching.check_sums(delivered=2 * len(seen))


def test_unwatched_neighbour(cgroup, start_server, watch):
    """Traffic of a cgroup that is not attached never appears."""
    with Cgroup() as other:
        neighbour = start_server("nginx", other)
        server = start_server("nginx", cgroup)
        watching = watch(cgroup)
        for where, target in ((neighbour, "/hello?theirs"), (server, "/hello?ours")):
            with Connection(("127.0.0.1", where.port)) as connection:
                get(connection, target)
        watching.wait(1)
        assert [e["request_target"] for e in watching.stop()] == ["/hello?ours"]
        watching.check_sums(delivered=1)


def test_attach_between_request_and_response(cgroup, watch, play):
    """A response whose request was not seen is an exchange of its own, and the next is whole."""
    client, served = play()
    sent = client.send("GET", "/before")
    served.recv(4096)
    watching = watch(cgroup)
    served.sendall(b"HTTP/1.1 203 OK\r\nContent-Length: 3\r\n\r\nabc")
    client.receive(sent)
    sent = client.send("GET", "/after")
    served.recv(4096)
    served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    wire = client.receive(sent)
    watching.wait(2)
    first, second = watching.stop()
    assert (first["status"], first["request_target"], first["operation"]) == (203, "", "")
    # What is unknown is left out.
    assert not {"operation", "request_target", "path", "query", "request_start_ns", "duration_ns",
                "request_head_bytes"} & set(first)
    assert {"operation", "request_target", "path", "query", "request_start_ns", "duration_ns",
            "request_head_bytes"} < set(second)
    assert "mid_message" in first["flags"]
    assert (first["role"], first["end"]) == ("server", "complete")
    assert first["duration_ns"] == first["request_start_ns"] == 0
    check_wire(second, wire, cgroup)
    watching.check_sums(delivered=2)


def test_only_requests(cgroup, watch, play):
    """--only-requests: a response whose request was not seen is no event; it is counted."""
    client, served = play()
    sent = client.send("GET", "/before")
    served.recv(4096)
    watching = watch(cgroup, args=["--only-requests"])
    for target in "/before", "/after":
        served.sendall(b"HTTP/1.1 203 OK\r\nContent-Length: 3\r\n\r\nabc")
        client.receive(sent)
        if target == "/before":
            sent = client.send("GET", "/after")
            served.recv(4096)
    watching.wait(1)
    assert [e["request_target"] for e in watching.stop()] == ["/after"]
    watching.check_sums()
    assert watching.stats["dropped"]["orphan"] == 1


def test_socket_of_another_cgroup(cgroup, watch, start_server):
    """Socket activation: a process listens on a socket that was made in another cgroup. The log says
    so; one of its own, or of a cgroup below, is no reason to."""
    with Cgroup() as other:
        made_elsewhere = other.listener()
        below = cgroup.child("below").listener()
        own = cgroup.listener()
        holder = cgroup.spawn(["sleep", "60"], pass_fds=[s.fileno() for s in
                                                         (made_elsewhere, below, own)])
        time.sleep(0.2)
        watching = watch(cgroup, args=["-v"])
        watching.stop()
        holder.kill()
        lines = [line for line in watching.log() if "listens at" in line]
        assert len(lines) == 1, lines
        assert f"process {holder.pid} of /{cgroup.name} listens at port " \
               f"{made_elsewhere.getsockname()[1]} " in lines[0]
        assert f"made in /{other.name}:" in lines[0]
        for sock in (made_elsewhere, below, own):
            sock.close()
