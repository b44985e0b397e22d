# SPDX-License-Identifier: BSD-2-Clause
"""A scene of three applications: "web" asks "stock" and "pay". Each is an nginx in a cgroup of its
own, with an access log that says what really happened."""
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections import Counter

import pytest

from programs import Log, free_port
from watch import cli

MAIN = """daemon off;
master_process off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
    log_format truth escape=json '{{"uri":"$uri","status":$status,"time":$request_time}}';
    access_log {dir}/access.log truth;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    keepalive_requests 1000000;
    {upstreams}
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
"""
UPSTREAM = "upstream {name} {{ server 127.0.0.1:{port}; keepalive {keepalive}; }}\n"
PROXY = """location /{name} {{ proxy_pass http://{name}; proxy_http_version 1.1;
           proxy_set_header Connection ""; }}\n"""


class App:
    def __init__(self, cgroup, directory, name, locations, upstreams=""):
        self.name, self.port = name, free_port("127.0.0.1")
        self.cgroup = cgroup.child(name)
        self.directory = f"{directory}/{name}"
        os.mkdir(self.directory, 0o755)
        self.log = Log(f"{self.directory}/access.log")
        with open(f"{self.directory}/conf", "w") as f:
            f.write(MAIN.format(dir=self.directory, port=self.port, locations=locations,
                                upstreams=upstreams))
        self.process = self.cgroup.spawn(["nginx", "-e", f"{self.directory}/error.log",
                                          "-p", self.directory, "-c", f"{self.directory}/conf"])

    def statuses(self, count):
        """Status -> how often, by the server's own log."""
        return Counter(line["status"] for line in self.log.lines(count))


class Scene:
    def __init__(self, cgroup, directory):
        if not shutil.which("nginx"):
            pytest.skip("nginx is not installed")
        os.chmod(directory, 0o755)
        self.stock = App(cgroup, directory, "stock", 'location / { return 200 "in stock"; }')
        self.pay = App(cgroup, directory, "pay", 'location / { return 200 "paid"; }\n'
                       'location /pay/broken { return 503 "no"; }')
        upstreams = "".join(UPSTREAM.format(name=a.name, port=a.port, keepalive=8)
                            for a in (self.stock, self.pay))
        self.web = App(cgroup, directory, "web", 'location / { return 200 "hello"; }\n' +
                       "".join(PROXY.format(name=n) for n in ("stock", "pay")), upstreams)
        self.apps = [self.web, self.stock, self.pay]
        for app in self.apps:
            self._wait(app)

    def _wait(self, app):
        import socket
        import time
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", app.port), timeout=1).close()
                return
            except OSError:
                assert app.process.poll() is None and time.monotonic() < deadline, app.name
                time.sleep(0.02)

    def targets(self):
        return [word for app in self.apps
                for word in ("--cgroup", app.cgroup.path, "--name", app.name)]

    def get(self, path):
        """One request to web, on a connection of its own, from a client that is not watched."""
        url = f"http://127.0.0.1:{self.web.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as error:
            error.read()
            return error.code


def start_cli(*args):
    """The CLI, once it watches."""
    process = subprocess.Popen([cli(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    line = process.stderr.readline()
    assert line.startswith("appmon: watching"), line + process.stderr.read()
    return process
