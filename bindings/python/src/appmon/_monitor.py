# SPDX-License-Identifier: BSD-2-Clause
"""The monitor. Pull mode underneath: the one function that C calls is the log function."""
from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import datetime
import errno
import os
import select
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _abi
from ._data import (Capabilities, Event, LogLevel, Options, Outcome, Role, Stats, StatsFlags,
                    event_from)
from ._errors import Error, error
from ._library import lib
from ._memory import text
from ._metrics import Metrics

if TYPE_CHECKING:
    from typing_extensions import Self

LogFunction = Callable[[LogLevel, str], object]

# How many events in a row an async iteration hands out before it lets other tasks run.
_STREAK = 128


class _Closed(ValueError):
    """The monitor is closed: the end of an iteration, an error elsewhere."""


class Target:
    """A cgroup that is watched. As a context manager it is detached at the end."""

    def __init__(self, monitor: "Monitor", id: int, user: object) -> None:
        self._monitor = monitor
        self.id = id
        self.user = user

    def __repr__(self) -> str:
        return f"<appmon.Target {self.id}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.detach()

    def detach(self) -> None:
        """Stops watching: from here on no event names this target."""
        self._monitor.detach(self)

    def stats(self) -> Stats:
        """Counters since the attach."""
        return self._monitor.stats(self)


class TargetInfo(NamedTuple):
    """One of the cgroups that a monitor watches."""

    id: int
    name: str  # as in events: target_name
    path: str  # of its directory at the attach; "": not known, as in a replay
    cgroup_id: int  # inode of the directory
    capture_bytes: int
    removed: bool  # the cgroup is gone, and so is its last socket
    user: object
    protocols: int  # in force: bit n is Protocol n


class Process(NamedTuple):
    """A process that lived when it was asked for."""

    pid: int
    start_ns: int
    exe_inode: int  # of the executable: st_ino and st_dev
    exe_device: int
    exe: str  # its path in the process's own mount namespace


def _log_callback(log: LogFunction, raised: list[BaseException]) -> Any:
    """What C calls. Nothing may be raised through C: it is raised once C has returned."""

    def call(_: int | None, level: int, line: bytes) -> None:
        try:
            log(LogLevel(level), line.decode("utf-8", "backslashreplace"))
        except BaseException as problem:
            raised.append(problem)

    return _abi.appmon_log_fn(call)


def _close(handle: ctypes.c_void_p, callback: Any) -> None:
    """At the latest when the Monitor is collected, or at exit. The callback has to live until then."""
    lib.appmon_close(handle)


class Monitor:
    """Watches cgroups and gives an Event for each request.

    Iterate over it, `for event in monitor` or `async for event in monitor`, or call next_event().
    Close it, or use it as a context manager. Threads may share a monitor: one waits for events
    while others attach, detach, ask or close.

    log gets the library's log, a level and one line, on the thread that made the call. It must not
    use the monitor; what it raises comes out of the call that made the line, or for an event the next.
    """

    def __init__(self, options: Options | None = None, *, log: LogFunction | None = None) -> None:
        self._open(options, log, lib.appmon_open)

    @classmethod
    def replay(cls, fd: int, options: Options | None = None, *, log: LogFunction | None = None) -> Self:
        """A monitor that is fed from a recording, an open file that it borrows until it is closed.
        Iterations end with the file, next_event() raises EndOfRecording there."""
        self = cls.__new__(cls)
        self._open(options, log, lib.appmon_open_replay, fd)
        return self

    def _open(self, options: Options | None, log: LogFunction | None, function: Any,
              *arguments: int) -> None:
        self._raised: list[BaseException] = []
        words = ctypes.create_string_buffer(512)
        opts = _c_options(options or Options())
        callback = _log_callback(log, self._raised) if log else None
        if callback:
            opts.log_fn = callback
        opts.error_text, opts.error_text_size = ctypes.addressof(words), len(words)
        handle = ctypes.c_void_p()
        code = function(ctypes.byref(handle), *arguments, ctypes.byref(opts))
        if code < 0:
            self._raise_logged()
            raise error(code, _text(words.value) or _text(lib.appmon_strerror(code)))
        self._handle: ctypes.c_void_p | None = handle
        self._finalize = weakref.finalize(self, _close, handle, callback)
        self._users: dict[int, object] = {}
        self._metrics: tuple[Metrics, ...] = ()
        self._place = ctypes.POINTER(_abi.appmon_event)()
        self._address = ctypes.c_void_p.from_buffer(self._place)
        self._lock = threading.RLock()  # held during each call
        self._busy = False
        self._waiting = threading.RLock()  # held while a thread waits for the descriptor
        self._waker = threading.RLock()  # taken in signal handlers, too
        self._closing = False
        self._woken = False
        self._streak = 0
        self._awaiting: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._fd: int = lib.appmon_fd(handle)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        if self._raised:
            self.close()
            self._raise_logged()

    # ---- inside -------------------------------------------------------------------------

    def _raise_logged(self) -> None:
        if self._raised:
            raise self._raised.pop(0)

    @contextmanager
    def _use(self) -> Iterator[ctypes.c_void_p]:
        """The handle, for this thread alone."""
        with self._lock:
            if self._busy:
                raise RuntimeError("a monitor cannot be used by its own log function, by a function of "
                                   "metrics that it feeds or by a signal handler that interrupts it, except "
                                   "for wakeup()")
            if self._handle is None or self._closing:
                raise _Closed("the monitor is closed")
            self._busy = True
            try:
                yield self._handle
            finally:
                self._busy = False

    def _inside(self) -> bool:
        """This thread is inside a call: in the log function, or in a signal handler."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self._busy
        finally:
            self._lock.release()

    def _error(self, handle: ctypes.c_void_p, code: int) -> Error:
        words = lib.appmon_last_error(handle) if code != -errno.ECHILD else b""
        if code == -errno.ENODATA:
            return EndOfRecording(-code, _text(lib.appmon_strerror(code)))
        return error(code, _text(words) or _text(lib.appmon_strerror(code)))

    def _call(self, name: str, *arguments: Any) -> int:
        with self._use() as handle:
            code: int = getattr(lib, name)(handle, *arguments)
            self._raise_logged()
            if code < 0:
                raise self._error(handle, code)
            return code

    def _pull(self) -> Event | None:
        with self._use() as handle:
            self._raise_logged()
            code = lib.appmon_next(handle, ctypes.byref(self._place))
            if code > 0:
                event = event_from(self._address.value or 0, self._users)
                for metrics in self._metrics:
                    try:
                        metrics._add(self._place, event)
                    except BaseException as problem:  # the event would be lost
                        self._raised.append(problem)
                return event
            self._raise_logged()
            if code:
                raise self._error(handle, code)
            return None

    def _was_woken(self) -> bool:
        woken, self._woken = self._woken, False
        return woken

    def _wait(self, seconds: float | None) -> None:
        if not self._waiting.acquire(timeout=-1 if seconds is None else seconds):
            return
        try:
            if not self._closing:
                self._poll.poll(None if seconds is None else seconds * 1000)
        finally:
            self._waiting.release()

    # ---- life cycle -----------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self._handle is None or self._closing

    def close(self) -> None:
        """Detaches everything. Threads that wait for events see the end of their iteration, or a
        ValueError; so does a task, if close() is called in the thread of its loop."""
        with self._waker:
            if self._handle is None or self._closing:
                return
            if self._inside():
                raise RuntimeError("a monitor cannot be closed by its own log function, by a function of "
                                   "metrics that it feeds or by a signal handler that interrupts it")
            self._closing = True
            lib.appmon_wakeup(self._handle)
        with self._waiting, self._lock:
            if self._awaiting:
                loop, future = self._awaiting
                loop.remove_reader(self._fd)
                if not future.done():
                    future.set_result(None)
            with self._waker:
                self._handle = None
            self._finalize()

    # ---- targets ----------------------------------------------------------------------------

    def attach(self, cgroup: str | os.PathLike[str] | int, *, name: str | None = None,
               user: object = None, capture_bytes: int = 0, protocols: int = 0,
               ports: Mapping[int, int] | None = None) -> Target:
        """Watches the sockets of a cgroup v2 directory and of all below it. cgroup: its path, or an
        open descriptor of it. name and user come back in each event. protocols: as in Options, for
        this target. ports: the Protocol that is spoken where a server listens, by port."""
        pairs = [_abi.appmon_port_hint(port, protocol) for port, protocol in (ports or {}).items()]
        hints = (_abi.appmon_port_hint * len(pairs))(*pairs)
        opts = _abi.appmon_attach_opts(size=ctypes.sizeof(_abi.appmon_attach_opts),
                                       capture_bytes=capture_bytes,
                                       name=_bytes(name) if name is not None else None,
                                       protocols=protocols, port_count=len(hints), ports=hints)
        target = ctypes.c_uint32()
        where: Any = cgroup if isinstance(cgroup, int) else _bytes(cgroup)
        function = "appmon_attach_cgroup_fd" if isinstance(cgroup, int) else "appmon_attach_cgroup"
        with self._lock:
            self._call(function, where, ctypes.byref(opts), ctypes.byref(target))
            self._users[target.value] = user
        return Target(self, target.value, user)

    def detach(self, target: Target) -> None:
        """Stops watching: from here on no event names this target."""
        with self._lock:
            self._call("appmon_detach", target.id)
            self._users.pop(target.id, None)

    def targets(self) -> Iterator[TargetInfo]:
        """The cgroups that are watched, in the order of their ids. Attach and detach meanwhile as
        you like. stats() takes a target's id, too."""
        c = _abi.appmon_target(size=ctypes.sizeof(_abi.appmon_target))
        while True:
            with self._lock:
                if not self._call("appmon_next_target", c.id, ctypes.byref(c)):
                    return
                info = TargetInfo(c.id, text(c.name.data, c.name.len), text(c.path.data, c.path.len),
                                  c.cgroup_id, c.capture_bytes, bool(c.flags & StatsFlags.REMOVED),
                                  self._users.get(c.id), c.protocols)
            yield info

    # ---- receiving ----------------------------------------------------------------------------

    def fileno(self) -> int:
        """For an event loop of the host's own: readable when next_event(0) has work."""
        return self._fd

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event, or None after timeout seconds (None: for ever) or a wakeup()."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            event = self._pull()
            if event is not None or self._was_woken():
                return event
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            self._wait(left)

    def wakeup(self) -> None:
        """Makes a waiting next_event(), or the next one, return None, and ends an iteration. May be
        called by any thread and by signal handlers."""
        with self._waker:
            if self._handle is not None:
                self._woken = True
                lib.appmon_wakeup(self._handle)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            event = self.next_event()
        except (EndOfRecording, _Closed):
            event = None
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self.closed:
            try:
                event = self._pull()
            except EndOfRecording:
                break
            if event is not None:
                self._streak += 1
                if self._streak % _STREAK == 0:
                    await asyncio.sleep(0)
                return event
            if self._was_woken():
                break
            await self._readable()
        raise StopAsyncIteration

    async def _readable(self) -> None:
        if self._awaiting:
            raise RuntimeError("another task awaits events of this monitor")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._awaiting = loop, future
        loop.add_reader(self._fd, lambda: None if future.done() else future.set_result(None))
        try:
            await future
        finally:
            self._awaiting = None
            if not self.closed:
                loop.remove_reader(self._fd)

    def feed(self, metrics: Metrics) -> None:
        """From here on each event that this monitor hands out is counted there, too. Several
        monitors may feed one aggregator. What fails there, the next call of the monitor raises."""
        with self._use():
            self._metrics += (metrics,)

    def feed_active(self, metrics: Metrics) -> None:
        """Counts what is in progress, for the next snapshot only: call it right before that.
        The aggregator needs MetricsFlags.ACTIVE."""
        problems: list[BaseException] = []

        def count(_: int | None, place: Any) -> int:
            try:
                metrics._add_active(place, event_from(ctypes.addressof(place.contents), self._users))
            except BaseException as problem:  # nothing may be raised through C
                problems.append(problem)
            return 0

        self._call("appmon_each_active", _abi.appmon_event_fn(count), None)
        if problems:
            raise problems[0]

    def set_filter(self, *, roles: Iterable[Role] = (), outcomes: Iterable[Outcome] = (),
                   min_duration_ns: int = 0, path_prefix: str = "") -> None:
        """From here on only events that pass all of it; what is left out counts as Stats.filtered.
        What is not given lets everything pass."""
        c = _abi.appmon_filter(size=ctypes.sizeof(_abi.appmon_filter), min_duration_ns=min_duration_ns,
                               path_prefix=_bytes(path_prefix) if path_prefix else None)
        for role in roles:
            c.roles |= _bit(role)
        for outcome in outcomes:
            c.outcomes |= _bit(outcome)
        self._call("appmon_set_filter", ctypes.byref(c))

    # ---- budget -----------------------------------------------------------------------------------

    def set_sampling(self, connections_ppm: int, events_per_second: int = 0) -> None:
        """Watches a share of the connections, in parts per million, and fewer while they make more
        events than that (0: no ceiling)."""
        self._call("appmon_set_sampling", connections_ppm, events_per_second)

    def pause(self) -> None:
        """Turns all capture off without detaching."""
        self._call("appmon_pause")

    def resume(self) -> None:
        """Turns capture on again."""
        self._call("appmon_resume")

    # ---- recording, asking ----------------------------------------------------------------------

    def record(self, fd: int) -> None:
        """Writes what comes from the kernel to an open file from now on, until record(-1) or close().
        The recording holds the captured bytes of all heads. It also ends before it would exceed
        Options.record_max_bytes, or with a write that fails: Stats.flags has RECORD_ENDED then."""
        self._call("appmon_record", fd)

    def stats(self, target: Target | TargetInfo | None = None) -> Stats:
        """Counters of the monitor, or of one target."""
        c = _abi.appmon_stats(size=ctypes.sizeof(_abi.appmon_stats))
        self._call("appmon_get_stats", target.id if target else 0, ctypes.byref(c))
        return Stats._from(c)

    def capabilities(self) -> Capabilities:
        """What the running kernel supports."""
        c = _abi.appmon_capabilities(size=ctypes.sizeof(_abi.appmon_capabilities))
        self._call("appmon_get_capabilities", ctypes.byref(c))
        return Capabilities(c.supported)

    def find_process(self, pid: int, start_ns: int) -> Process:
        """The executable of an event's process, by its pid and process_start_ns. The first time while
        the process lives; the answer is kept."""
        c = _abi.appmon_process(size=ctypes.sizeof(_abi.appmon_process))
        with self._lock:
            self._call("appmon_find_process", pid, start_ns, ctypes.byref(c))
            return Process(c.pid, c.start_ns, c.exe_inode, c.exe_device, text(c.exe.data, c.exe.len))

    def find_cgroup(self, cgroup_id: int) -> str:
        """The path of a cgroup below the mount of cgroup v2, by an event's cgroup_id. The answer is kept."""
        c = _abi.appmon_str()
        with self._lock:
            self._call("appmon_find_cgroup", cgroup_id, ctypes.byref(c))
            return text(c.data, c.len)

    def realtime(self, monotonic_ns: int) -> datetime.datetime:
        """Wall time, with a time zone (UTC), for one of the times of this monitor's events."""
        with self._use() as handle:
            ns: int = lib.appmon_realtime_ns(handle, monotonic_ns)
        return datetime.datetime.fromtimestamp(0, datetime.timezone.utc) + \
            datetime.timedelta(microseconds=ns // 1000)


class EndOfRecording(Error, EOFError):
    """ENODATA: everything that the recording holds has been delivered."""


def _text(words: bytes) -> str:
    return words.decode("utf-8", "backslashreplace")


def _bytes(words: str | os.PathLike[str]) -> bytes:
    encoded = os.fsencode(words)
    if b"\0" in encoded:  # C would not see what is behind it
        raise ValueError(f"a null byte is inside {words!r}")
    return encoded


def _bit(value: int) -> int:
    """In a mask of C's, which has 32. The library refuses the last for what it does not know."""
    return 1 << min(value, 31)


def _c_options(options: Options) -> Any:
    """Lists of names become an array and its length, HEADERs its header_COUNT; the rest is numbers."""
    opts = _abi.appmon_opts(size=ctypes.sizeof(_abi.appmon_opts))
    for name in (field.name for field in dataclasses.fields(options)):
        value = getattr(options, name)
        if isinstance(value, int):
            setattr(opts, name, value)
        else:
            setattr(opts, name, (ctypes.c_char_p * len(value))(*map(_bytes, value)))
            setattr(opts, name[:-1] + "_count", len(value))
    return opts
