# SPDX-License-Identifier: BSD-2-Clause
"""Traffic that is not HTTP gives no events and is ignored after its first bytes."""
import time

import pytest

DIALOGUES = {
    "redis": [(b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")] * 3,
    "tls": [(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
             b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76" + b"\1" * 3000)] * 2,
    "http2": [(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"\0\0\0\4\0\0\0\0\0")],
    "speaks first": [(None, b"220 mail ESMTP\r\n"), (b"EHLO me\r\n", b"250 mail\r\n")],
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_not_http(name, cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    for ask, reply in DIALOGUES[name]:
        if ask:
            client.sock.sendall(ask)
            served.recv(65536)
        served.sendall(reply)
        client.sock.recv(65536)
    # An exchange on a second connection: when its event is here, the rest has been seen too.
    http, http_served = play()
    sent = http.send("GET", "/after")
    http_served.recv(4096)
    http_served.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    http.receive(sent)
    watching.wait(1)
    client.sock.close()
    served.close()
    assert [e["request_target"] for e in watching.stop()] == ["/after"]
    watching.check_sums(delivered=1)
    assert watching.stats["connections_seen"] == 1
    assert watching.stats["connections_skipped"] == 1


def test_malformed(cgroup, watch, play):
    """Begins like HTTP and is not: no event, and counted."""
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"GET it from somewhere else\r\n\r\n")
    served.recv(65536)
    served.sendall(b"HTTPS? no\r\n")
    client.sock.recv(65536)
    client.sock.close()
    served.close()
    time.sleep(0.3)
    assert watching.stop() == []
    watching.check_sums()
    assert watching.stats["dropped"]["parse"] == watching.stats["exchanges_seen"] > 0
