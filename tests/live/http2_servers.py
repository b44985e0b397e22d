# SPDX-License-Identifier: BSD-2-Clause
"""Servers that speak HTTP/2 in clear text: what starts each, and what it says that it was asked.

Some answer GET and HEAD of /hello and /bytes/N, POST of /echo, and /status/S as README.md says; those
that serve files have what they have. Each logs the method, the target and the status of a request."""
import json
import os
import shutil
import socket
import subprocess
import sys
import time

from programs import Missing, free_port, let_in

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = 0, 5000, 300000

NGINX = """
daemon off;
user root;
pid {dir}/pid;
error_log {dir}/error;
events {{ }}
http {{
	log_format truth '["$request_method", "$request_uri", $status]';
	access_log {log} truth;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	server {{
		listen 127.0.0.1:{port} http2;
		root {root};
		location = /status/404 {{ return 404 "no\\n"; }}
		location = /status/503 {{ return 503 "busy\\n"; }}
		location = /echo {{ proxy_pass http://unix:{dir}/echo; }}
	}}
	server {{
		listen unix:{dir}/echo;
		access_log off;
		location / {{ return 200 $http_content_length; }}
	}}
}}
"""

APACHE = """
ServerRoot {dir}
ServerName localhost
PidFile {dir}/pid
ErrorLog {dir}/error
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
User nobody
Group nogroup
Protocols h2c http/1.1
DocumentRoot {root}
Redirect 404 /status/404
Redirect 503 /status/503
LogFormat "[\\"%m\\", \\"%U%q\\", %>s]" truth
CustomLog {log} truth
"""

# Answers by itself; what it says on standard output is its log.
HAPROXY = """
global
	log stdout format raw local0
defaults
	mode http
	timeout connect 10s
	timeout client 10s
	timeout server 10s
frontend all
	bind 127.0.0.1:{port} proto h2
	log global
	log-format '["%HM", "%HPO%HQ", %ST]'
	http-request return status 404 content-type text/plain string no if {{ path /status/404 }}
	http-request return status 503 content-type text/plain string busy if {{ path /status/503 }}
	http-request return status 200 content-type text/plain file {root}/bytes/5000 if {{ path_beg /bytes/ }}
	http-request return status 200 content-type text/plain string hello
"""

H2O = """
listen:
  host: 127.0.0.1
  port: {port}
user: nobody
error-log: {dir}/error
access-log:
  path: {log}
  format: '["%m", "%U%q", %s]'
hosts:
  default:
    paths:
      /:
        file.dir: {root}
"""

CADDY = """
{{
	admin off
	auto_https off
	servers {{
		protocols h1 h2c
	}}
	log {{
		output file {log}
		format json
	}}
}}
http://127.0.0.1:{port} {{
	log
	respond /status/404 "no" 404
	respond /status/503 "busy" 503
	respond /echo "echo"
	root * {root}
	file_server
}}
"""

CONFIGURED = {"nginx": (NGINX, ["nginx", "-e", "{dir}/error", "-c", "{dir}/conf"]),
              "apache": (APACHE, ["apache2", "-f", "{dir}/conf", "-DFOREGROUND"]),
              "haproxy": (HAPROXY, ["haproxy", "-db", "-f", "{dir}/conf"]),
              "h2o": (H2O, ["h2o", "-c", "{dir}/conf"]),
              "caddy": (CADDY, ["caddy", "run", "--adapter", "caddyfile", "--config", "{dir}/conf"]),
              # It has no such log.
              "nghttpd": ("", ["nghttpd", "--no-tls", "-d", "{root}", "{port}"])}
NAMES = [*CONFIGURED, "node", "hypercorn", "go", "hyper"]


def files(directory):
    for name, size in [("hello", 6), *((f"bytes/{n}", n) for n in SIZES)]:
        path = f"{directory}/root/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(b"z" * size)
    return f"{directory}/root"


class Server:
    """A server of NAMES that runs in a cgroup."""

    def __init__(self, name, cgroup, directory, programs):
        self.name = name
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = f"{directory}/log"
        self._output = f"{directory}/output"
        open(self._log, "w").close()
        os.chmod(self._log, 0o666)
        let_in(directory)
        with open(self._output, "w") as output:
            self.process = cgroup.spawn(self._command(str(directory), programs), stdout=output,
                                        stderr=subprocess.STDOUT, start_new_session=True,
                                        env={**os.environ, "HOME": str(directory)})
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                with open(self._output) as f:
                    assert self.process.poll() is None and time.monotonic() < deadline, f.read()
                time.sleep(0.05)

    def _command(self, directory, programs):
        if self.name == "go":
            return programs.command("server", "go-http2") + [str(self.port), self._log]
        if self.name == "hyper":
            return programs.command("server", "rust-hyper") + [str(self.port), self._log]
        if self.name == "node":
            return [tool("node"), f"{HERE}/servers/http2.js", str(self.port), self._log]
        if self.name == "hypercorn":
            try:
                __import__("hypercorn")
            except ImportError:
                raise Missing("hypercorn is not installed") from None
            return [sys.executable, f"{HERE}/servers/http2_asgi.py", str(self.port), self._log]
        text, command = CONFIGURED[self.name]
        names = {"dir": directory, "root": files(directory), "log": self._log, "port": self.port}
        with open(f"{directory}/conf", "w") as f:
            f.write(text.format(**names).lstrip())
        return [tool(command[0]), *(word.format(**names) for word in command[1:])]

    def asked(self, count):
        """Method, target and status of each request, as soon as it has logged so many; or None."""
        if self.name == "nghttpd":
            return None
        deadline = time.monotonic() + 10
        while True:
            with open(self._output if self.name == "haproxy" else self._log) as f:
                lines = f.read().splitlines()
            told = [self._line(line) for line in lines]
            told = [line for line in told if line]
            if len(told) >= count:
                return told
            assert time.monotonic() < deadline, lines
            time.sleep(0.05)

    def _line(self, line):
        if not line.startswith(("[", "{")):
            return None
        line = json.loads(line)
        if self.name == "caddy":
            request = line.get("request")
            return request and (request["method"], request["uri"], line["status"])
        return tuple(line) if line[0] in ("GET", "HEAD", "POST", "PUT", "CONNECT") else None

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def tool(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/bin")
    if not path:
        raise Missing(f"{name} is not installed")
    return path
