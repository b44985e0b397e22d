# SPDX-License-Identifier: BSD-2-Clause
"""Connections that stop speaking HTTP: Upgrade (RFC 9110 section 7.8) and CONNECT (9.3.6).

The exchange that turns a connection into a tunnel is one event; what passes afterwards is counted
in stats.tunnel_bytes, both directions together, and is never taken for HTTP."""
import base64
import hashlib
import os
import struct
import time

import pytest

from compare import check_wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPGRADE = (b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n"
           b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n")
SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
          b"Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n")
TRAP = b"GET /not-a-request HTTP/1.1\r\nHost: h\r\n\r\n"


def handshake():
    """The heads of both sides (RFC 6455 section 1.3)."""
    key = base64.b64encode(os.urandom(16))
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return UPGRADE % key, SWITCH % base64.b64encode(accept)


def frame(payload, masked):
    """A binary frame (RFC 6455 section 5.2)."""
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", 0x82, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x82, bit | 126, size)
    else:
        head = struct.pack("!BBQ", 0x82, bit | 127, size)
    mask = b"\0\0\0\0" if masked else b""  # a mask of zeros leaves what looks like HTTP as it is
    return head + mask + payload


def take(sock, n):
    got = b""
    while len(got) < n:
        data = sock.recv(n - len(got))
        assert data
        got += data
    return got


def only(watching, tunnel_bytes):
    event, = watching.stop()
    watching.check_sums(delivered=1)
    assert watching.stats["tunnel_bytes"] == tunnel_bytes
    assert watching.stats["exchanges_seen"] == 1
    return event


@pytest.mark.parametrize("together", [False, True], ids=["apart", "behind the heads"])
def test_websocket(together, cgroup, watch, play):
    """Frames of all three length forms, with HTTP in them; their first ones right behind the heads."""
    watching = watch(cgroup)
    client, served = play()
    ask, switch = handshake()
    up = [frame(TRAP, True), frame(b"x" * 300 + TRAP, True), frame(TRAP * 2000, True)]
    down = [frame(OK, False), frame(OK * 20, False), frame(OK * 3000, False)]
    client.sock.sendall(ask)
    take(served, len(ask))
    if together:
        served.sendall(switch + down[0])
    else:
        served.sendall(switch)
        time.sleep(0.02)
        served.sendall(down[0])
    assert client._take(len(switch)) == switch
    event, = watching.wait(1)  # not only when the connection ends
    client._take(len(down[0]))
    for one, two in zip(up, down[1:] + [b""]):
        client.sock.sendall(one)
        take(served, len(one))
        served.sendall(two)
        client._take(len(two))
    client.sock.close()
    assert served.recv(1) == b""
    served.close()
    time.sleep(0.1)
    assert only(watching, sum(map(len, up + down))) == event
    assert (event["request_target"], event["status"], event["end"]) == ("/chat", 101, "upgraded")
    assert "upgraded" in event["flags"]
    assert (event["request_head_bytes"], event["response_head_bytes"]) == (len(ask), len(switch))
    assert event["request_body_bytes"] == event["response_body_bytes"] == 0


def test_tunnel_bytes_of_a_tunnel_that_is_open(cgroup, watch, play):
    """The counter does not wait for the connection's end."""
    watching = watch(cgroup)
    client, served = play()
    ask, switch = handshake()
    client.sock.sendall(ask)
    take(served, len(ask))
    served.sendall(switch)
    client._take(len(switch))
    data = frame(b"x" * 100000, False)
    served.sendall(data)
    client._take(len(data))
    time.sleep(0.3)
    only(watching, len(data))


def test_upgrade_that_is_ignored(cgroup, watch, play):
    """A server may answer as if it had not been asked; the connection goes on with HTTP."""
    watching = watch(cgroup)
    client, served = play()
    ask, _ = handshake()
    client.sock.sendall(ask)
    take(served, len(ask))
    served.sendall(OK)
    client._take_until(b"ok")
    sent = client.send("GET", "/next")
    take(served, sent["request_head"])
    served.sendall(OK)
    wire = client.receive(sent)
    watching.wait(2)
    first, second = watching.stop()
    watching.check_sums(delivered=2)
    assert (first["request_target"], first["status"], first["end"]) == ("/chat", 200, "complete")
    assert "upgraded" not in first["flags"]
    check_wire(second, wire, cgroup)
    assert watching.stats["tunnel_bytes"] == 0


@pytest.mark.parametrize("status", [426, 400])
def test_upgrade_that_is_refused(status, cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    ask, _ = handshake()
    client.sock.sendall(ask)
    take(served, len(ask))
    served.sendall(b"HTTP/1.1 %d No\r\nUpgrade: HTTP/3.0\r\nConnection: upgrade, close\r\n"
                   b"Content-Length: 2\r\n\r\nno" % status)
    served.close()
    client._take_until(b"no")
    watching.wait(1)
    event = only(watching, 0)
    assert (event["status"], event["end"], event["response_body_bytes"]) == (status, "complete", 2)


@pytest.mark.parametrize("field", [b"", b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_connect(field, cgroup, watch, play):
    """Content-Length and Transfer-Encoding of a 2xx to CONNECT mean nothing (RFC 9110 9.3.6)."""
    watching = watch(cgroup)
    client, served = play()
    ask = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
    client.sock.sendall(ask)
    take(served, len(ask))
    served.sendall(b"HTTP/1.1 200 Connected\r\n" + field + b"\r\n")
    client._take_until(b"\r\n\r\n")
    hello = b"\x16\x03\x01\x02\x00" + TRAP * 50
    client.sock.sendall(hello)
    take(served, len(hello))
    served.sendall(b"\x16\x03\x03" + OK * 50)
    client._take(3 + 50 * len(OK))
    client.sock.close()
    assert served.recv(1) == b""
    served.close()
    watching.wait(1)
    time.sleep(0.1)
    event = only(watching, len(hello) + 3 + 50 * len(OK))
    assert (event["operation"], event["request_target"], event["authority"], event["path"]) == \
        ("CONNECT", "example.org:443", "example.org:443", "")
    assert (event["status"], event["end"]) == (200, "upgraded")


def test_client_that_does_not_wait_for_the_tunnel(cgroup, watch, play):
    """Bytes right behind CONNECT's head are the tunnel's as well, once there is one."""
    watching = watch(cgroup)
    client, served = play()
    ask = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
    hello = b"\x16\x03\x01\x00\x05hello"
    client.sock.sendall(ask + hello)
    take(served, len(ask + hello))
    served.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
    client._take_until(b"\r\n\r\n")
    watching.wait(1)
    time.sleep(0.1)
    event, = watching.stop()
    watching.check_sums()
    assert (event["operation"], event["status"], event["end"]) == ("CONNECT", 200, "upgraded")
    assert event["request_head_bytes"] == len(ask)


def test_connect_refused(cgroup, watch, play):
    """No tunnel: the connection goes on, here with the credentials that were asked for."""
    watching = watch(cgroup)
    client, served = play()
    ask = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
    client.sock.sendall(ask)
    take(served, len(ask))
    served.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                   b"Proxy-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nwho?")
    client._take_until(b"who?")
    again = ask[:-2] + b"Proxy-Authorization: Basic SECRET\r\n\r\n"
    client.sock.sendall(again)
    take(served, len(again))
    served.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    client._take_until(b"\r\n\r\n")
    served.sendall(b"through")
    client._take(7)
    watching.wait(2)
    time.sleep(0.1)
    first, second = watching.stop()
    watching.check_sums(delivered=2)
    assert (first["status"], first["end"], first["response_body_bytes"]) == (407, "complete", 4)
    assert (second["status"], second["end"]) == (200, "upgraded")
    assert watching.stats["tunnel_bytes"] == 7
    assert "SECRET" not in str(second)
