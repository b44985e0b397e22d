# SPDX-License-Identifier: BSD-2-Clause
"""A negative errno value of the library as an exception with the library's own words."""
from __future__ import annotations

import errno


class Error(OSError):
    """The library refused, or failed. errno says how, strerror what to do about it.

    What is raised is also the built-in exception of that errno, where there is one: a missing
    capability is an Error and a PermissionError."""


class PermissionDenied(Error, PermissionError):
    """EPERM, EACCES: a capability is missing, or the cgroup forbids it."""


class NotFound(Error, FileNotFoundError):
    """ENOENT: no such cgroup or target."""


class NoSuchProcess(Error, ProcessLookupError):
    """ESRCH: the process has ended."""


class NotADirectory(Error, NotADirectoryError):
    """ENOTDIR."""


class AlreadyAttached(Error, FileExistsError):
    """EEXIST: this monitor watches the cgroup already."""


class WrongProcess(Error, ChildProcessError):
    """ECHILD: the monitor belongs to the parent of this process."""


class Interrupted(Error, InterruptedError):
    """EINTR."""


_KINDS = {errno.EPERM: PermissionDenied, errno.ENOENT: NotFound, errno.ENOTDIR: NotADirectory,
          errno.EEXIST: AlreadyAttached, errno.ECHILD: WrongProcess, errno.EINTR: Interrupted, errno.ESRCH: NoSuchProcess, errno.EACCES: PermissionDenied}


def error(code: int, words: str) -> Error:
    """code: a negative errno value."""
    return _KINDS.get(-code, Error)(-code, words)
