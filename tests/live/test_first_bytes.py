# SPDX-License-Identifier: BSD-2-Clause
"""nginx behind haproxy that sends the PROXY protocol (nginx's log and the clients' own ports say who
asked), methods that are not upper case, answers without a status line."""
import http.client
import json
import shutil
import socket
import time

import pytest

from programs import free_port

NGINX = """daemon off; user root; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
	log_format truth escape=json '{{"target":"$request_uri","method":"$request_method",'
		'"client":"$proxy_protocol_addr:$proxy_protocol_port","status":$status}}';
	access_log {dir}/access.log truth;
	client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fcgi;
	uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
	server {{ listen 127.0.0.1:{nginx} proxy_protocol; location / {{ return 200 "body\\n"; }} }}
}}
"""
HAPROXY = """defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	http-reuse {reuse}
listen front
	bind 127.0.0.1:{haproxy}
	server nginx 127.0.0.1:{nginx} {send}
"""


def connect(port):
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError(f"nobody listens at port {port}")


@pytest.mark.parametrize("reuse", ["never", "always"])
@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2",
                                  "send-proxy-v2 proxy-v2-options unique-id"])
def test_nginx_behind_haproxy(send, reuse, cgroup, watch, tmp_path):
    for name in ("nginx", "haproxy"):
        if not shutil.which(name):
            pytest.skip(f"no {name}")
    ports = {"nginx": free_port("127.0.0.1"), "haproxy": free_port("127.0.0.1")}
    (tmp_path / "nginx.conf").write_text(NGINX.format(dir=tmp_path, **ports))
    config = HAPROXY.format(reuse=reuse, send=send, **ports)
    if "unique-id" in send:
        config += "\tunique-id-format %{+X}o\\ %ci:%cp\n"
    (tmp_path / "haproxy.cfg").write_text(config)
    cgroup.spawn(["nginx", "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")])
    cgroup.spawn(["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")])
    for port in ports.values():
        connect(port).close()
    time.sleep(0.3)
    watching = watch(cgroup)
    asked = {}
    for client in range(8):
        conn = http.client.HTTPConnection("127.0.0.1", ports["haproxy"])
        for i in range(5):
            target = f"/{client}/{i}"
            method = ["GET", "HEAD", "POST"][(client + i) % 3]
            conn.request(method, target, body=b"x" * 2000 if method == "POST" else None)
            asked[target] = method, "127.0.0.1:%d" % conn.sock.getsockname()[1]
            response = conn.getresponse()
            response.read()
            assert response.status == 200
        conn.close()
    watching.wait(3 * len(asked), 10)
    events = watching.stop()
    truth = {line["target"]: (line["method"], line["client"]) for line in
             map(json.loads, (tmp_path / "access.log").read_text().splitlines())
             if line["target"] in asked}
    assert set(truth) == set(asked)
    hops = {"front": [], "back": [], "nginx": []}
    for e in events:
        if e["role"] == "client":
            hops["back"].append(e)
        else:
            hops["nginx" if e["local"] == "127.0.0.1:%d" % ports["nginx"] else "front"].append(e)
    for hop, told in hops.items():
        assert sorted(e["request_target"] for e in told) == sorted(asked), hop
        for e in told:
            assert (e["operation"], e["status"]) == (asked[e["request_target"]][0], 200)
            assert not {"gap", "mid_message", "inferred_end", "pipelined"} & set(e["flags"])
            if hop == "front":
                assert "client" not in e
                assert e["remote"] == asked[e["request_target"]][1]
            else:
                assert e["client"] == truth[e["request_target"]][1]
                if reuse == "never":
                    assert truth[e["request_target"]][1] == asked[e["request_target"]][1]
    watching.check_sums(delivered=3 * len(asked))


@pytest.mark.parametrize("method", ["get", "Patch", "x", "HTML", "m2", "HTTPX"])
def test_method(method, cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    for path in "/1", "/2":
        client.sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        served.recv(4096)
        served.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        client.sock.recv(4096)
    client.sock.close()
    served.close()
    watching.wait(2)
    told = [(e["operation"], e["path"], e["status"]) for e in watching.stop()]
    assert told == [(method, "/1", 200), (method, "/2", 200)]
    watching.check_sums(delivered=2)


@pytest.mark.parametrize("answer", [b"ICY 200 OK\r\nicy-name: a\r\n\r\n", b"<p>hello</p>", b"HTTPX"])
def test_no_status_line(answer, cgroup, watch, play):
    watching = watch(cgroup)
    client, served = play()
    client.sock.sendall(b"GET /odd HTTP/1.0\r\n\r\n")
    served.recv(4096)
    served.sendall(answer)
    time.sleep(0.05)
    served.sendall(b"x" * 3000)
    served.shutdown(socket.SHUT_WR)
    while client.sock.recv(4096):
        pass
    client.sock.close()
    served.close()
    watching.wait(1)
    (event,) = watching.stop()
    assert (event["path"], event["response_body_bytes"]) == ("/odd", len(answer) + 3000)
    assert "no_status_line" in event["flags"] and not event["status"]
    watching.check_sums(delivered=1)
