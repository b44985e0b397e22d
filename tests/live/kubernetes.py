# SPDX-License-Identifier: BSD-2-Clause
"""Kubernetes' API server for tests, in two kinds that do the same: Real is kube-apiserver with etcd;
Stub is written from the documentation of the API (API Concepts: list, watch, resource versions,
bookmarks, 410 Gone; Authenticating: 401), for what the real one cannot be made to do at will. It is
strict: what the documentation does not allow is answered with an error and kept in `mistakes`."""
import hashlib
import http.server
import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest
import yaml

from programs import free_port

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.join(HERE, "..", "..", "examples", "kubernetes")
NODE = "node-1"


def make_certificates(directory):
    """A CA and a server's certificate for 127.0.0.1 that it has signed."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")

    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, cwd=directory)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    (directory / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("req", "-x509", *curve, "-days", 2, "-subj", "/CN=test CA", "-keyout", "ca.key",
            "-out", "ca.crt")
    openssl("req", *curve, "-subj", "/CN=kubernetes", "-keyout", "server.key", "-out",
            "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", 2, "-extfile", "san", "-out", "server.crt")
    return directory / "ca.crt"


def make_pod(name, labels=None, annotations=None, namespace="shop", owner=None,
             containers=("main",), node=NODE):
    """A pod as a client creates it. owner: (kind, name) of its controller."""
    metadata = {"name": name, "namespace": namespace, "labels": labels or {},
                "annotations": annotations or {}}
    if owner:
        group = {"Job": "batch/v1", "Node": "v1"}.get(owner[0], "apps/v1")
        metadata["ownerReferences"] = [{"apiVersion": group, "kind": owner[0], "name": owner[1],
                                        "uid": str(uuid.uuid4()), "controller": True}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"nodeName": node,
                     "containers": [{"name": c, "image": "none"} for c in containers]}}


def make_service(name, address, port=80, namespace="shop"):
    """A Service as a client creates it, with the ClusterIP that it is to have."""
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": address, "clusterIPs": [address],
                     "ports": [{"port": port, "protocol": "TCP"}]}}


def make_slice(service, addresses, port, namespace="shop"):
    """An EndpointSlice as the controller creates it for a Service."""
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-x2x4z", "namespace": namespace,
                         "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address]} for address in addresses],
            "ports": [{"name": "", "port": port, "protocol": "TCP"}]}


# By kind: where a list is, and what it is called.
PLACES = {"Pod": "/api/v1/pods", "Service": "/api/v1/services",
          "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices"}


def statuses_of(containers):
    """containers: name -> id."""
    return [{"name": name, "containerID": f"containerd://{id_}", "image": "none", "imageID": "",
             "ready": True, "restartCount": 0} for name, id_ in containers.items()]


class Stub:
    """create(), replace(), label(), started() and delete() are what a client and the kubelet do; the
    rest is what can go wrong. What it keeps of requests, and statuses and cut, are about pods, unless
    their name says another kind."""

    def __init__(self, directory, tls=True, port=0):
        self.token_file, self.node = directory / "token", NODE
        self.ca_file = make_certificates(directory) if tls else None
        self.tokens = {"first"}
        self.token_file.write_text("first\n")
        self.mistakes = []
        self.requests = []  # (what, resourceVersion, status)
        self.others = []  # (kind, what, resourceVersion, status), of the other kinds
        self.forbidden = set()  # kinds
        self.gone_as_event = False
        self.bookmarks = True
        self.statuses = []  # with which the next requests are answered
        self.cut = 0  # so many watches end in the midst of an event
        self._changed = threading.Condition()
        self._pods = {}  # (namespace, name) -> pod
        self._objects = {}  # (kind, namespace, name) -> object of another kind
        self._version = itertools.count(1000)
        self.version = next(self._version)
        self._events = []  # (version, type, object)
        self._oldest = self.version
        self._raw = []  # sent to those that watch
        self._generation = 0
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                stub._serve(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass  # a client that is gone

        self._server = Server(("127.0.0.1", port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(directory / "server.crt", directory / "server.key")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                      do_handshake_on_connect=False)
        self.port = self._server.server_port
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        self.end_watches()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # ---- What happens in the cluster

    def _change(self, kind, object_):
        with self._changed:
            self.version = next(self._version)
            object_["metadata"]["resourceVersion"] = str(self.version)
            self._events.append((self.version, kind, json.loads(json.dumps(object_))))
            self._changed.notify_all()

    def _kept(self, object_):
        """Where objects of this one's kind are kept, and its key there."""
        key = object_["metadata"]["namespace"], object_["metadata"]["name"]
        if object_["kind"] == "Pod":
            return self._pods, key
        return self._objects, (object_["kind"], *key)

    def create(self, object_, uid=None):
        """Returns its uid, which the real one gives by itself."""
        object_ = json.loads(json.dumps(object_))
        object_["metadata"]["uid"] = uid or str(uuid.uuid4())
        objects, key = self._kept(object_)
        assert key not in objects
        objects[key] = object_
        self._change("ADDED", object_)
        return object_["metadata"]["uid"]

    def replace(self, object_):
        """Another object of the same kind and name in place of the one that is there."""
        objects, key = self._kept(object_)
        uid = objects[key]["metadata"]["uid"]
        objects[key] = json.loads(json.dumps(object_))
        objects[key]["metadata"]["uid"] = uid
        self._change("MODIFIED", objects[key])

    def label(self, pod, **labels):
        """Sets labels; None takes one away."""
        kept = self._pods[pod["metadata"]["namespace"], pod["metadata"]["name"]]
        for key, value in labels.items():
            kept["metadata"]["labels"].pop(key, None)
            if value is not None:
                kept["metadata"]["labels"][key] = value
        self._change("MODIFIED", kept)

    def started(self, pod, **containers):
        kept = self._pods[pod["metadata"]["namespace"], pod["metadata"]["name"]]
        kept["status"] = {"phase": "Running", "containerStatuses": statuses_of(containers)}
        self._change("MODIFIED", kept)

    def delete(self, object_):
        objects, key = self._kept(object_)
        self._change("DELETED", objects.pop(key))

    # ---- What goes wrong

    def compact(self):
        """Forgets what has happened; those that watch are cut off."""
        with self._changed:
            self._oldest = self.version
            self._events.clear()
        self.end_watches()

    def end_watches(self):
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def say(self, text):
        """Sends this to all that watch."""
        with self._changed:
            self._raw.append(text)
            self._changed.notify_all()

    def watches(self):
        """The resource versions with which watches began."""
        return [version for what, version, status in self.requests
                if what == "watch" and status == 200]

    # ---- The API

    def _fail(self, handler, code, reason, mistake=False):
        body = json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {},
                           "status": "Failure", "message": reason, "reason": reason,
                           "code": code}).encode()
        if mistake:
            self.mistakes.append(f"{handler.path}: {reason}")
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _serve(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True,
                                            strict_parsing=True))
        what = "watch" if query.pop("watch", "0") in ("1", "true") else "list"
        version = query.pop("resourceVersion", "")
        kind = {path: kind for kind, path in PLACES.items()}.get(url.path)
        scheme, _, token = handler.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            self._note(kind, what, version, 401)
            return self._fail(handler, 401, "Unauthorized")
        if self.statuses and kind == "Pod":
            self.requests.append((what, version, self.statuses[0]))
            return self._fail(handler, self.statuses.pop(0), "not now")
        if not kind:
            return self._fail(handler, 403, "Forbidden", True)
        if kind in self.forbidden:
            self._note(kind, what, version, 403)
            return self._fail(handler, 403, "Forbidden")
        if kind == "Pod" and query.pop("fieldSelector", None) != f"spec.nodeName={NODE}":
            return self._fail(handler, 400, "another node's pods", True)
        if "application/json" not in handler.headers.get("Accept", ""):
            return self._fail(handler, 406, "NotAcceptable", True)
        if version and not version.isdigit():
            return self._fail(handler, 400, "BadRequest", True)
        if what == "watch":
            return self._watch(handler, kind, int(version or 0), query)
        if query:
            return self._fail(handler, 400, f"unknown: {query}", True)
        return self._list(handler, kind, version)

    def _note(self, kind, *request):
        if kind == "Pod":
            self.requests.append(request)
        else:
            self.others.append((kind, *request))

    def _list(self, handler, kind, version):
        with self._changed:
            items = [object_ for object_ in (*self._pods.values(), *self._objects.values())
                     if object_["kind"] == kind]
            body = json.dumps({"kind": f"{kind}List", "apiVersion": items[0]["apiVersion"]
                               if items else "v1",
                               "metadata": {"resourceVersion": str(self.version)},
                               "items": items}).encode()
        self._note(kind, "list", version, 200)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _watch(self, handler, kind, version, query):
        bookmarks = query.pop("allowWatchBookmarks", "") == "true"
        seconds = int(query.pop("timeoutSeconds", 1800))
        if query or seconds < 1 or version == 0:
            return self._fail(handler, 400, f"unknown or missing: {query}", True)
        with self._changed:
            generation, raw = self._generation, len(self._raw)
            expired = version < self._oldest
        if expired and not self.gone_as_event:
            self._note(kind, "watch", str(version), 410)
            return self._fail(handler, 410, "Expired")
        self._note(kind, "watch", str(version), 200)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True

        def send(text):
            data = text.encode()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()

        if expired:
            send(json.dumps({"type": "ERROR", "object": {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": f"too old resource version: {version} ({self._oldest})",
                "reason": "Expired", "code": 410}}) + "\n")
            return send("")
        deadline = time.monotonic() + seconds
        now = version
        while time.monotonic() < deadline:
            with self._changed:
                self._changed.wait_for(lambda: generation != self._generation
                                       or raw != len(self._raw) or now < self.version, 0.5)
                fresh = [event for event in self._events
                         if event[0] > version and event[2]["kind"] == kind]
                texts = self._raw[raw:] if kind == "Pod" else []
                raw, ended = len(self._raw), generation != self._generation
                now = self.version
            for text in texts:
                send(text)
            for at, what, object_ in fresh:
                text = json.dumps({"type": what, "object": object_}) + "\n"
                if self.cut and kind == "Pod":
                    self.cut -= 1
                    half = text.encode()[:len(text) // 2]
                    handler.wfile.write(b"%x\r\n%s\r\n" % (len(half), half))
                    handler.wfile.flush()
                    return handler.connection.close()
                send(text)
                version = at
            if ended:
                break
            if bookmarks and self.bookmarks and not fresh and now >= version:
                send(json.dumps({"type": "BOOKMARK", "object": {
                    "kind": kind, "apiVersion": "v1",
                    "metadata": {"resourceVersion": str(now), "creationTimestamp": None},
                    "spec": {"containers": None}, "status": {}}}) + "\n")
                version = now
        return send("")


class Real:
    """kube-apiserver, built from its Go module (tests/live/kubernetes-programs), with etcd. The agent is
    the service account of examples/kubernetes with the rights that it has there. It has no
    controllers and no kubelet: the test does what those would do."""

    def __init__(self, directory, server):
        self.node, self.token_file = NODE, directory / "token"
        self.ca_file = make_certificates(directory)
        self.mistakes = []
        self._processes = []
        self._context = ssl.create_default_context(cafile=self.ca_file)
        self._log = open(directory / "log", "w")
        ports = [free_port("127.0.0.1") for _ in range(3)]
        self.url = f"https://127.0.0.1:{ports[2]}"
        self.port = ports[2]
        subprocess.run(["openssl", "genrsa", "-out", directory / "sa.key", "2048"], check=True,
                       stderr=subprocess.DEVNULL)
        (directory / "tokens").write_text('admin,admin,admin,"system:masters"\n')
        self._start(["etcd", "--data-dir", directory / "etcd", "--listen-client-urls",
                     f"http://127.0.0.1:{ports[0]}", "--advertise-client-urls",
                     f"http://127.0.0.1:{ports[0]}", "--listen-peer-urls",
                     f"http://127.0.0.1:{ports[1]}", "--initial-advertise-peer-urls",
                     f"http://127.0.0.1:{ports[1]}", "--initial-cluster",
                     f"default=http://127.0.0.1:{ports[1]}", "--logger", "zap"])
        self._start([server, f"--etcd-servers=http://127.0.0.1:{ports[0]}",
                     "--bind-address=127.0.0.1", f"--secure-port={ports[2]}",
                     f"--tls-cert-file={directory}/server.crt",
                     f"--tls-private-key-file={directory}/server.key",
                     f"--token-auth-file={directory}/tokens", "--authorization-mode=RBAC",
                     f"--service-account-signing-key-file={directory}/sa.key",
                     f"--service-account-key-file={directory}/sa.key",
                     "--service-account-issuer=https://kubernetes.default.svc",
                     "--service-cluster-ip-range=10.0.0.0/24",
                     "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition"])
        self._wait()
        for namespace in "shop", "appmon":
            self.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        self._grant()
        self.rotate()

    def _start(self, argv):
        self._processes.append(subprocess.Popen(list(map(str, argv)), stdout=self._log,
                                                stderr=self._log))

    def _wait(self):
        deadline = time.monotonic() + 120
        while True:
            assert all(p.poll() is None for p in self._processes), open(self._log.name).read()
            try:
                self.call("GET", "/readyz")
                return
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, open(self._log.name).read()
                time.sleep(0.2)

    def _grant(self):
        with open(f"{EXAMPLE}/rbac.yaml") as f:
            for document in yaml.safe_load_all(f):
                kind = document["kind"]
                self.call("POST", {
                    "ServiceAccount": "/api/v1/namespaces/appmon/serviceaccounts",
                    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
                    "ClusterRoleBinding":
                        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                }[kind], document)

    def call(self, method, path, body=None, token="admin", kind="application/json"):
        request = urllib.request.Request(
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": kind})
        with urllib.request.urlopen(request, timeout=30, context=self._context) as response:
            text = response.read()
        return json.loads(text) if text.startswith(b"{") else text

    def rotate(self):
        """A fresh token of the agent's service account, as the kubelet would write it."""
        answer = self.call("POST", "/api/v1/namespaces/appmon/serviceaccounts/appmon-agent/token",
                           {"spec": {"expirationSeconds": 600}})
        self.token_file.write_text(answer["status"]["token"])

    @staticmethod
    def _path(object_):
        place, _, plural = PLACES[object_["kind"]].rpartition("/")
        metadata = object_["metadata"]
        return f"{place}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"

    def create(self, object_):
        path = self._path(object_).rpartition("/")[0]
        return self.call("POST", path, object_)["metadata"]["uid"]

    def replace(self, object_):
        self.call("PUT", self._path(object_), object_)

    def label(self, pod, **labels):
        self.call("PATCH", self._path(pod), {"metadata": {"labels": labels}},
                  kind="application/merge-patch+json")

    def started(self, pod, **containers):
        self.call("PATCH", self._path(pod) + "/status",
                  {"status": {"phase": "Running", "containerStatuses": statuses_of(containers)}},
                  kind="application/merge-patch+json")

    def delete(self, object_):
        self.call("DELETE", self._path(object_) + "?gracePeriodSeconds=0")

    def close(self):
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()


def build_kubernetes(directory, program):
    """The path of kube-apiserver or kubectl; a skip that says why there is none. Some five minutes
    the first time."""
    for tool in "go", "etcd":
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    target = os.path.join(directory, program)
    if not os.path.exists(target):
        done = subprocess.run(["go", "build", "-p", "2", "-ldflags", "-s -w", "-o", target,
                               f"k8s.io/kubernetes/cmd/{program}"],
                              cwd=f"{HERE}/kubernetes-programs", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "GOFLAGS": "-mod=mod"})
        if done.returncode:
            pytest.skip(f"{program} cannot be built: {done.stdout[-500:]}")
    return target


def id_of(name):
    """64 hexadecimal digits for a container, as a runtime makes them up."""
    return hashlib.sha256(name.encode()).hexdigest()
