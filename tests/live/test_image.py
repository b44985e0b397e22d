# SPDX-License-Identifier: BSD-2-Clause
"""The image of examples/kubernetes, built from its Dockerfile with buildah, and run by runc with the
privileges and mounts that the DaemonSet gives it."""
import json
import os
import shutil
import subprocess
import tempfile

import pytest
import yaml

from cgroups import mount_point
from exporting import Monitor, wait_for
from kubernetes import EXAMPLE, NODE, Stub, id_of, make_pod
from test_agent import requests, serve
from test_kubernetes import Node, watched

SOURCE = os.path.join(EXAMPLE, "..", "..")
# What containers of docker, podman and cri-o have.
SECCOMP = "/usr/share/containers/seccomp.json"


@pytest.fixture(scope="module")
def rootfs():
    """The image's files. debian:bookworm-slim is made here by mmdebstrap from where apt takes its
    packages on this machine."""
    for tool in "buildah", "mmdebstrap", "runc":
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    with tempfile.TemporaryDirectory(prefix="appmon-image-") as directory:
        def run(*argv):
            done = subprocess.run(list(map(str, argv)), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
            assert done.returncode == 0, done.stdout[-4000:]
            return done.stdout.split()[-1]

        buildah = ["buildah", "--root", f"{directory}/root", "--runroot", f"{directory}/run",
                   "--storage-driver", "vfs"]
        sources = [f"/etc/apt/sources.list.d/{name}"
                   for name in os.listdir("/etc/apt/sources.list.d") if name.startswith("debian.")]
        run("mmdebstrap", "--variant=apt", "bookworm", f"{directory}/base.tar", *sources)
        base = run(*buildah, "from", "scratch")
        run(*buildah, "add", base, f"{directory}/base.tar", "/")
        run(*buildah, "commit", base, "localhost/base")
        run(*buildah, "bud", "--isolation=chroot", "--network=host",
            "--build-arg=BASE=localhost/base", "-f", f"{EXAMPLE}/Dockerfile", "-t", "agent", SOURCE)
        yield run(*buildah, "mount", run(*buildah, "from", "localhost/agent"))


def bundle(directory, rootfs, config):
    """An OCI bundle of what the DaemonSet says."""
    with open(f"{EXAMPLE}/daemonset.yaml") as f:
        pod = yaml.safe_load(f)["spec"]["template"]["spec"]
    container, = pod["containers"]
    context = container["securityContext"]
    capabilities = ["CAP_" + name for name in context["capabilities"]["add"]]
    sources = {"cgroup": mount_point(), "config": config}
    assert {volume["name"] for volume in pod["volumes"]} == sources.keys()
    assert pod["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "ociVersion": "1.0.2",
        "root": {"path": rootfs, "readonly": context["readOnlyRootFilesystem"]},
        "process": {
            "args": ["/usr/bin/appmon", *container["args"]], "cwd": "/",
            "env": ["PATH=/usr/bin", f"NODE_NAME={NODE}"],
            "user": {"uid": context["runAsUser"], "gid": 0},
            "noNewPrivileges": not context["allowPrivilegeEscalation"],
            "capabilities": {kind: capabilities for kind in
                             ("bounding", "effective", "permitted")}},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            *({"destination": mount["mountPath"], "type": "bind",
               "source": str(sources[mount["name"]]), "options": ["rbind", "ro"]}
              for mount in container["volumeMounts"])],
        "linux": {
            "seccomp": seccomp(capabilities),
            # Not of the network: the agent reaches the API server as a pod would.
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")]}}
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(spec))
    return directory


def seccomp(capabilities):
    """The default profile for these capabilities, as containerd makes it from 1.7 on: that of Debian
    12's containers-common does not know yet that CAP_BPF is enough for bpf(2)."""
    with open(SECCOMP) as f:
        profile = json.load(f)

    def counts(rule):
        wanted, unwanted = ((rule.get(key) or {}).get("caps") or []
                            for key in ("includes", "excludes"))
        archs = (rule.get("includes") or {}).get("arches") or ["amd64"]
        return (all(cap in capabilities for cap in wanted) and "amd64" in archs
                and not any(cap in capabilities for cap in unwanted))

    own = {"CAP_BPF": "bpf", "CAP_PERFMON": "perf_event_open"}
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name not in own.values()]
    profile["syscalls"] += [{"names": [name], "action": "SCMP_ACT_ALLOW",
                             "includes": {"caps": [cap]}} for cap, name in own.items()]
    keys = ("names", "action", "args", "errnoRet")
    return {"defaultAction": profile["defaultAction"],
            "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{key: rule[key] for key in keys if rule.get(key)}
                         for rule in profile["syscalls"] if rule["names"] and counts(rule)]}


def test_image(watch, rootfs, cgroup, tmp_path, request):
    """The agent in its container watches a pod outside by the name that its label says."""
    (tmp_path / "api").mkdir()
    (tmp_path / "config").mkdir()
    stub = Stub(tmp_path / "api")
    request.addfinalizer(stub.close)
    for name in "token", "ca.crt":
        shutil.copy(tmp_path / "api" / name, tmp_path / "config")
    with open(f"{EXAMPLE}/agent.yaml") as f:
        text = f.read()
    assert 'listen: "[::]:9464"' in text and "kubernetes: {}" in text
    (tmp_path / "config/agent.yaml").write_text(
        text.replace('"[::]:9464"', "127.0.0.1:0").replace(
            "kubernetes: {}", f"kubernetes: {{api: '{stub.url}', token_file: /etc/appmon/token, "
            "ca_file: /etc/appmon/ca.crt}"))
    uid = stub.create(make_pod("a", {"appmon.name": "books"}))
    node = Node(cgroup)
    request.addfinalizer(node.close)
    group = node.container(node.pod(uid), uid, id_of(uid))
    path = bundle(tmp_path / "bundle", rootfs, tmp_path / "config")
    runc = ["runc", "--root", f"{tmp_path}/runc"]
    monitor = Monitor("run", "--bundle", path, "appmon-test", wrapper=runc[:2], program=runc[2])
    request.addfinalizer(lambda: subprocess.run([*runc, "delete", "--force", "appmon-test"]))
    request.addfinalizer(monitor.kill)
    monitor.wait_line(": books$", 20)
    serve(watched(group))
    wait_for(lambda: requests(monitor) == {"books": 1})
    state = json.loads(subprocess.run([*runc, "state", "appmon-test"], check=True,
                                      stdout=subprocess.PIPE).stdout)
    with open(f"/proc/{state['pid']}/status") as f:
        status = dict(line.split(":\t", 1) for line in f)
    assert int(status["CapEff"], 16) == 1 << 12 | 1 << 38 | 1 << 39
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
    assert not monitor.find("cannot|error|missing")
    subprocess.run([*runc, "kill", "appmon-test", "TERM"], check=True)
    monitor.process.wait(20)
