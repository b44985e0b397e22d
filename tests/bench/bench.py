# SPDX-License-Identifier: BSD-2-Clause
"""What the benchmarks share: the machine, what watches, and what is watched."""
import contextlib
import ctypes
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "live"))

from cgroups import Cgroup  # noqa: E402

OUT = os.path.join(TOP, "build-bench")
BUILD = os.environ.get("APPMON_BUILD", os.path.join(OUT, "release"))
SERVER_CPU, LOAD_CPU = "0", "1"


def build():
    """A release build, once, and what the benchmarks run of it."""
    subprocess.run([os.path.join(TOP, "tests", "install-deps"), "build", "test", "bench"], check=True)
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        subprocess.run(["meson", "setup", BUILD, TOP, "--buildtype=release", "-Db_lto=true", "-Dexamples=false"],
                       check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILD, "tests/bench/bench-probe", "tests/bench/bench-replay",
                    "tests/bench/bench-arrivals"],
                   check=True, stdout=subprocess.DEVNULL)


# ---- the machine ---------------------------------------------------------------------------

VENDORS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}


def machine():
    def cpuinfo(key):
        with open("/proc/cpuinfo") as f:
            return re.search(rf"^{key}\s*: (.*)$", f.read(), re.M).group(1)

    def first_line(*argv):
        got = subprocess.run(argv, capture_output=True, text=True)
        return (got.stdout or got.stderr).splitlines()[0]

    mitigations = "/sys/devices/system/cpu/vulnerabilities"
    return {
        "vendor": VENDORS.get(cpuinfo("vendor_id"), cpuinfo("vendor_id")),
        "cpu": cpuinfo("model name"), "cpus": os.cpu_count(), "kernel": platform.release(),
        "virtual": "hypervisor" in cpuinfo("flags"),
        "retbleed": open(f"{mitigations}/retbleed").read().strip()
        if os.path.exists(f"{mitigations}/retbleed") else "",
        "jit": open("/proc/sys/net/core/bpf_jit_enable").read().strip(),
        "nginx": first_line("nginx", "-v"), "node": first_line("node", "--version"),
        "wrk": first_line("wrk", "--version"),
    }


def host_cpu_s():
    """CPU time that all processes of the host used, all CPUs together."""
    with open("/proc/stat") as f:
        fields = [int(n) for n in f.readline().split()[1:]]
    user, nice, system, _, _, irq, softirq, *_ = fields
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def cgroup_cpu_s(cgroup):
    with open(os.path.join(cgroup.path, "cpu.stat")) as f:
        return int(re.search(r"usage_usec (\d+)", f.read()).group(1)) / 1e6


# ---- the watchers ------------------------------------------------------------------------------

def pinned(cpu, argv, priority=1):
    """Ahead of what else the machine does, which makes noise enough in the caches."""
    return ["chrt", "--rr", str(priority), "taskset", "-c", cpu] + argv


class Probe:
    """One variant, attached while it lives."""

    def __init__(self, variant, cgroups, prefix=()):
        argv = [*prefix, *pinned(LOAD_CPU, [
            os.path.join(BUILD, "tests", "bench", "bench-probe"), variant, *(c.path for c in cgroups)],
            priority=2)]  # not to wait for the load's turn
        if variant == "syscalls" and not os.path.exists("/sys/kernel/tracing/events"):
            argv = ["unshare", "-m", "sh", "-c",
                    'mount -t tracefs nodev /sys/kernel/tracing && exec "$@"', "sh"] + argv
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{variant} does not attach")
        self.ready = json.loads(line)

    def programs(self):
        """Run time in ns and runs of its programs, all together, counted inside bpf_stats()."""
        directory, found = f"/proc/{self.process.pid}/fdinfo", {}
        for fd in os.listdir(directory):
            try:
                with open(os.path.join(directory, fd)) as f:
                    info = dict(line.split(":", 1) for line in f if ":" in line)
            except FileNotFoundError:
                continue  # the sweep's, closed meanwhile
            if "run_cnt" in info:
                found[int(info["prog_id"])] = (int(info["run_time_ns"]), int(info["run_cnt"]))
        return sum(ns for ns, _ in found.values()), sum(runs for _, runs in found.values())

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/schedstat") as f:
            return int(f.read().split()[0]) / 1e9

    def so_far(self):
        """What one of libappmon's variants has got."""
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        line = self.process.stdout.read()
        self.process.wait()
        return json.loads(line)


@contextlib.contextmanager
def bpf_stats():
    """As kernel.bpf_stats_enabled, but it ends with this process at the latest."""
    fd = ctypes.CDLL("libbpf.so.1", use_errno=True).bpf_enable_stats(0)  # BPF_STATS_RUN_TIME
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf_enable_stats()")
    try:
        yield
    finally:
        os.close(fd)


def net_ns(program, empty):
    """What (ns, runs) of programs say without what bpf_stats adds to each run: all that an empty one
    takes."""
    ns, runs = program
    return ns - runs * (empty[0] / empty[1] if empty[1] else 0)


# ---- the loads -----------------------------------------------------------------------------------

NGINX = """
worker_processes {workers}; daemon off; user root; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 19000; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 3600;
    {body}
}}
"""
TINY = "server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{text}'; }} }}"
NODE = """
require('http').createServer((req, res) => {
    res.setHeader('Content-Type', 'text/plain'); res.end('Hello, world\\n');
}).listen(%d, '127.0.0.1');
"""
TEXT = "0123456789abcdef0123456789abcdef1234"  # 36 bytes


class Load:
    """Servers in a cgroup, and what is asked of them."""

    port = 18080
    unit = "request"
    protocols = ""  # what libappmon is asked for; empty: what it does by itself
    scheme = "http"
    environment = {}
    connections = 8
    path = "/"
    headers = ()

    def __init__(self, directory, cgroup):
        self.directory, self.cgroup = directory, cgroup
        os.makedirs(directory, exist_ok=True)

    def nginx(self, name, body, workers=1):
        directory = os.path.join(self.directory, name)
        os.makedirs(directory, exist_ok=True)
        conf = os.path.join(directory, "nginx.conf")
        with open(conf, "w") as f:
            f.write(NGINX.format(dir=directory, body=body, workers=workers))
        return self.cgroup.spawn(
            pinned(SERVER_CPU, ["nginx", "-p", directory, "-c", conf, "-e", directory + "/e.log"]))

    def start(self):
        self.nginx("tiny", TINY.format(port=self.port, text=TEXT))

    def stop(self):
        """What is left when its processes have ended with the cgroup."""

    def run(self, seconds):
        """requests (or bytes) a second, and latencies."""
        got = subprocess.run(pinned(LOAD_CPU, [
            "wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--latency",
            *(arg for header in self.headers for arg in ("-H", header)),
            f"{self.scheme}://127.0.0.1:{self.port}{self.path}"]), capture_output=True, text=True, check=True,
            env={**os.environ, **self.environment})
        text = got.stdout
        units = {"us": 1, "ms": 1e3, "s": 1e6}

        def latency(percentile):
            n, unit = re.search(rf"^\s+{percentile}%\s+([\d.]+)(us|ms|s)", text, re.M).groups()
            return float(n) * units[unit]

        requests = int(re.search(r"(\d+) requests in", text).group(1))
        if "Non-2xx" in text or "Socket errors" in text and "read 0, write 0" not in text:
            raise RuntimeError("the load failed:\n" + text)
        return {"count": requests, "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
                "p50_us": latency(50), "p99_us": latency(99)}

    def run_at(self, rate, seconds):
        """The same at fixed arrival times; latencies are from when a request was due."""
        got = subprocess.run(pinned(LOAD_CPU, [
            os.path.join(BUILD, "tests", "bench", "bench-arrivals"), str(self.port), self.path,
            str(rate), str(seconds), str(self.connections), *self.headers]),
            stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(got.stdout)


class Tiny(Load):
    title = "nginx, 36-byte response"


class Large(Load):
    title = "nginx, 100 KB by sendfile"
    path = "/file"

    def start(self):
        with open(os.path.join(self.directory, "file"), "wb") as f:
            f.write(os.urandom(100_000))
        self.nginx("server", f"server {{ listen 127.0.0.1:{self.port}; root {self.directory}; }}")


class Node(Load):
    title = "node, hello world"

    def start(self):
        self.cgroup.spawn(pinned(SERVER_CPU, ["node", "-e", NODE % self.port]))


class Proxy(Load):
    title = "nginx as proxy of nginx (both roles)"

    def start(self):
        self.nginx("upstream", TINY.format(port=self.port + 1, text=TEXT))
        self.nginx("proxy", f"""
            upstream u {{ server 127.0.0.1:{self.port + 1}; keepalive 64; keepalive_requests 100000000; }}
            server {{ listen 127.0.0.1:{self.port}; location / {{ proxy_pass http://u;
                proxy_http_version 1.1; proxy_set_header Connection ''; }} }}""")


class Go(Load):
    title = "Go's net/http as proxy of nginx (both roles)"
    path = "/x/1"

    def start(self):
        program = os.path.join(self.directory, "go")
        subprocess.run(["go", "build", "-o", program, os.path.join(TOP, "tests/live/tiers/go.go")],
                       check=True, env={**os.environ, "GO111MODULE": "off", "CGO_ENABLED": "0"})
        self.nginx("upstream", TINY.format(port=self.port + 1, text=TEXT))
        self.cgroup.spawn(pinned(SERVER_CPU, [program, "127.0.0.1", str(self.port), str(self.port + 1)]))


class Thousand(Load):
    title = "nginx, 36-byte response, 1,000 connections"
    connections = 1000


class Bulk(Load):
    title = "bulk transfer that is not HTTP (iperf3)"
    unit = "GB"
    run_at = None  # as fast as it can

    def start(self):
        self.cgroup.spawn(pinned(SERVER_CPU, ["iperf3", "-s", "-B", "127.0.0.1", "-p", str(self.port)]),
                          stdout=subprocess.DEVNULL)

    def run(self, seconds):
        got = subprocess.run(pinned(LOAD_CPU, [
            "iperf3", "-c", "127.0.0.1", "-p", str(self.port), "-t", str(seconds), "-J"]),
            capture_output=True, text=True, check=True)
        end = json.loads(got.stdout)["end"]["sum_received"]
        return {"count": end["bytes"] / 1e9, "rate": end["bits_per_second"] / 8e9,
                "p50_us": None, "p99_us": None}


class Unmonitored(Load):
    title = "nginx, 36-byte response, in a cgroup that is not monitored"
    elsewhere = True


LOADS = {"tiny": Tiny, "large": Large, "node": Node, "proxy": Proxy, "thousand": Thousand,
         "bulk": Bulk, "unmonitored": Unmonitored, "go": Go}


def wait_for_port(port):
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens at port {port}")


# ---- measuring ----------------------------------------------------------------------------------

def asking(variant, load):
    """bench-probe's name of a variant, with the protocol that the load speaks."""
    ours = variant in ("appmon", "identity", "links")
    return f"{variant}:{load.protocols}" if ours and load.protocols else variant


def sample(load, run, watched, variant):
    """One run under one variant: throughput, latencies, CPU a request, and what the probe says."""
    probe = Probe(asking(variant, load), [watched])
    try:
        server, reader = cgroup_cpu_s(load.cgroup), probe.cpu_s()
        got = run()
        got["server_cpu_us"] = (cgroup_cpu_s(load.cgroup) - server) * 1e6 / got["count"]
        got["reader_cpu_us"] = (probe.cpu_s() - reader) * 1e6 / got["count"]
    finally:
        ended = probe.stop()
    got["probe"] = {**probe.ready, **ended}
    return got


def program_time(load, run, watched, variant):
    """Of the variant's programs: ns and runs a request, with what bpf_stats itself adds."""
    with bpf_stats():
        probe = Probe(asking(variant, load), [watched])
        try:
            got = run()
            ns, runs = probe.programs()
        finally:
            probe.stop()
    return {"ns": ns / got["count"], "runs": runs / got["count"]}


# ---- reporting ------------------------------------------------------------------------------------

def percent(ratio):
    return f"{100 * (ratio - 1):+.1f} %"


def describe(m):
    return (f"{m['cpus']} CPUs ({m['cpu']}{', virtual machine' if m['virtual'] else ''}), "
            f"Linux {m['kernel']}; {m['nginx']}, node {m['node']}.")


def write(name, text, results=None):
    """Into build-bench/NAME, where tests/bench/run --publish finds it."""
    os.makedirs(os.path.join(OUT, name), exist_ok=True)
    if results:
        with open(os.path.join(OUT, name, "results.json"), "w") as f:
            json.dump(results, f, indent=1)
    with open(os.path.join(OUT, name, "results.md"), "w") as f:
        f.write(text + "\n")
    print(text)
