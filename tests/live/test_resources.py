# SPDX-License-Identifier: BSD-2-Clause
"""What appmon_read_resources() says of a cgroup, against the processes in it and the kernel's files.
Through ctypes: the library as any host finds it."""
import ctypes
import errno
import glob
import os
import subprocess
import sys
import time

import pytest

CPU, THROTTLING, MEMORY, PIDS, IO = 1, 2, 4, 8, 16
FIELDS = ("cpu_ns cpu_user_ns cpu_system_ns periods throttled_periods throttled_ns memory_bytes "
          "memory_limit pids pids_limit read_bytes write_bytes reads writes").split()


class Resources(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("reserved", ctypes.c_uint32)] + [
        (name, ctypes.c_uint64) for name in ["valid", "from_v1", "time_ns", *FIELDS]]


@pytest.fixture
def library():
    if "APPMON_BUILD" not in os.environ:
        pytest.skip("APPMON_BUILD does not name a meson build directory")
    return ctypes.CDLL(glob.glob(f"{os.environ['APPMON_BUILD']}/libappmon/libappmon.so.?")[0])


def read(library, path):
    resources = Resources(size=ctypes.sizeof(Resources))
    ret = library.appmon_read_resources(path.encode(), ctypes.byref(resources))
    assert ret == 0, os.strerror(-ret)
    return resources


BURN = """
import os, sys, time
blob = b"x" * (64 << 20)
end = time.process_time() + 0.5
while time.process_time() < end:
    pass
print(sum(os.times()[:2]), flush=True)
sys.stdin.read()
"""


def burn(cgroup):
    """A process that has used half a second and holds 64 MiB; and the seconds it says it used."""
    process = cgroup.spawn([sys.executable, "-c", BURN], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
    return process, float(process.stdout.readline())


def test_cpu(library, cgroup):
    before = read(library, cgroup.path)
    _, used = burn(cgroup)
    after = read(library, cgroup.path)
    assert after.valid & CPU
    assert after.time_ns > before.time_ns
    # What it says includes its start; the shell before it is not in its own count.
    assert used * 1e9 - 50e6 <= after.cpu_ns - before.cpu_ns <= used * 1e9 + 300e6
    assert abs(after.cpu_user_ns + after.cpu_system_ns - after.cpu_ns) < 50e6


def v1(controller):
    for line in open("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup ") and controller in after.split()[-1].split(","):
            return before.split()[4]
    return None


class V1Cgroup:
    def __init__(self, controller, path):
        self.path = f"{v1(controller)}/{path}"
        os.mkdir(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for pid in open(f"{self.path}/cgroup.procs").read().split():
            with open(f"{os.path.dirname(self.path)}/cgroup.procs", "w") as f:
                f.write(pid)
        deadline = time.monotonic() + 5
        while True:
            try:
                return os.rmdir(self.path)
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def take(self, pid):
        with open(f"{self.path}/cgroup.procs", "w") as f:
            f.write(str(pid))


@pytest.mark.parametrize("same_path", [True, False])
def test_version_1_fallback(library, cgroup, same_path):
    """Memory and pids belong to version 1: read where the same processes are, not elsewhere."""
    if os.path.exists(f"{cgroup.path}/memory.current") or not v1("memory") or not v1("pids"):
        pytest.skip("the memory and pids controllers are not version 1's here")
    name = cgroup.name if same_path else cgroup.name + "-elsewhere"
    with V1Cgroup("memory", name) as memory, V1Cgroup("pids", name) as pids:
        process, _ = burn(cgroup)
        assert not read(library, cgroup.path).valid & (MEMORY | PIDS)  # it is elsewhere
        memory.take(process.pid)
        pids.take(process.pid)
        with open(f"{memory.path}/memory.limit_in_bytes", "w") as f:
            f.write(str(1 << 30))
        resources = read(library, cgroup.path)
        assert resources.valid & resources.from_v1 & MEMORY
        assert resources.valid & resources.from_v1 & PIDS
        assert resources.memory_limit == 1 << 30
        assert resources.memory_bytes == pytest.approx(
            int(open(f"{memory.path}/memory.usage_in_bytes").read()), abs=1 << 20)
        assert (resources.pids, resources.pids_limit) == (1, 2**64 - 1)
        # A stranger among them: then it is not this cgroup.
        with subprocess.Popen(["sleep", "60"]) as stranger:
            memory.take(stranger.pid)
            assert not read(library, cgroup.path).valid & MEMORY
            stranger.kill()
        process.kill()
        process.wait()


def test_version_2(library, cgroup):
    if not os.path.exists(f"{cgroup.path}/memory.current"):
        pytest.skip("not on this machine: the memory controller is version 1's")
    burn(cgroup)
    resources = read(library, cgroup.path)
    assert resources.valid & MEMORY and not resources.from_v1 & MEMORY
    assert resources.memory_bytes >= 64 << 20


def test_refusals(library, cgroup, tmp_path):
    resources = Resources(size=ctypes.sizeof(Resources))

    def refused(path):
        return -library.appmon_read_resources(path, ctypes.byref(resources))
    assert refused(b"/nowhere") == errno.ENOENT
    assert refused(str(tmp_path).encode()) == errno.EINVAL
    assert refused(f"{cgroup.path}/cgroup.procs".encode()) == errno.ENOTDIR
    assert refused(None) == errno.EINVAL
    resources.size = 3
    assert refused(cgroup.path.encode()) == errno.EINVAL


def test_path_of_id(library, cgroup):
    leaf = cgroup.child("one").child("two")
    library.appmon_cgroup_path.argtypes = [ctypes.c_uint64, ctypes.c_char_p, ctypes.c_size_t]
    for known in (cgroup, leaf):
        buf = ctypes.create_string_buffer(4096)
        assert library.appmon_cgroup_path(known.id, buf, 4096) == len(known.path)
        assert buf.value.decode() == known.path
    assert library.appmon_cgroup_path(leaf.id, buf, len(leaf.path)) < 0  # no room for the NUL
    assert library.appmon_cgroup_path(2**63, buf, 4096) < 0
