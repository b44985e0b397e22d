# SPDX-License-Identifier: BSD-2-Clause
"""Every HTTP request of a Linux workload, seen through eBPF: libappmon for Python.

    with appmon.Monitor() as monitor:
        monitor.attach("/sys/fs/cgroup/system.slice/nginx.service")
        for event in monitor:
            print(event.operation, event.path, event.status, event.duration_ns / 1e6, "ms")

Needs libappmon.so.0 (or its path in APPMON_LIBRARY), and for the kernel root or the capabilities
that the first error names. Text is decoded as UTF-8, other bytes are shown as \\xNN; it comes from the
network: escape control characters before a terminal sees them.
"""

from . import _data
from ._data import *  # noqa: F403 - what it has is what a host gets
from ._errors import (AlreadyAttached, Error, Interrupted, NoSuchProcess, NotADirectory, NotFound,
                      PermissionDenied, WrongProcess)
from ._library import LibraryError, version
from ._memory import Endpoint, Header
from ._metrics import (Bucket, Container, Histogram, Metrics, Snapshot, cgroup_container, cgroup_path,
                       read_resources, route)
from ._monitor import EndOfRecording, Monitor, Process, Target, TargetInfo

__all__ = ["AlreadyAttached", "EndOfRecording", "Endpoint", "Error", "Header", "Interrupted",
           "LibraryError", "Monitor", "NoSuchProcess", "NotADirectory", "NotFound", "PermissionDenied", "Process",
           "Target", "TargetInfo", "WrongProcess", "version"]
__all__ += ["Bucket", "Container", "Histogram", "Metrics", "Snapshot", "cgroup_container", "cgroup_path",
            "read_resources", "route"]
__all__ += _data.__all__
