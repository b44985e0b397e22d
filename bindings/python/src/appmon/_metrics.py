# SPDX-License-Identifier: BSD-2-Clause
"""From events to figures: the aggregator, its snapshots, histograms."""
from __future__ import annotations

import ctypes
import dataclasses
import errno
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _abi
from ._data import (Active, Edge, Event, Exemplar, Figures, MetricsOptions, MetricsStats, Resources, Runtime,
                    Series, SnapshotKind, TakeFlags, TimeKind)
from ._errors import error
from ._library import lib

if TYPE_CHECKING:
    from typing_extensions import Self


def _check(code: int) -> int:
    if code < 0:
        raise error(code, lib.appmon_strerror(code).decode("utf-8", "backslashreplace"))
    return code


class _Owner:
    """A handle that close(), the end of a with block or the collector gives back."""

    _what = ""

    def __init__(self, handle: ctypes.c_void_p, free: Any) -> None:
        self._lock = threading.RLock()  # held during each call
        self._handle: ctypes.c_void_p | None = handle
        self._finalize = weakref.finalize(self, free, handle)

    def _get(self) -> ctypes.c_void_p:
        if self._handle is None:
            raise ValueError(f"the {self._what} is closed")
        return self._handle

    def close(self) -> None:
        """Gives the memory back. May be called again."""
        with self._lock:
            self._handle = None
            self._finalize()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()


class Bucket(NamedTuple):
    """How many values there are from least to greatest."""

    least: int
    greatest: int
    values: int


class Histogram(_Owner):
    """Counts of values in log-linear buckets; a quantile is within 1/64 of the exact one.
    Iterate over it for the buckets that hold values."""

    _what = "histogram"

    def __init__(self) -> None:
        handle = ctypes.c_void_p()
        _check(lib.appmon_histogram_new(ctypes.byref(handle)))
        super().__init__(handle, lib.appmon_histogram_free)

    def add(self, value: int, count: int = 1) -> None:
        """count times the value."""
        if not (0 <= value < 1 << 64 and 0 <= count < 1 << 64):  # ctypes would cut them off
            raise OverflowError("value and count have 64 bits")
        with self._lock:
            _check(lib.appmon_histogram_add(self._get(), value, count))

    def merge(self, other: Histogram) -> None:
        """Adds all that the other one holds."""
        first, second = sorted((self, other), key=id)
        with first._lock, second._lock:
            _check(lib.appmon_histogram_merge(self._get(), other._get()))

    def clear(self) -> None:
        with self._lock:
            lib.appmon_histogram_clear(self._get())

    def _ask(self, name: str, *arguments: Any) -> int:
        with self._lock:
            value: int = getattr(lib, name)(self._get(), *arguments)
            return value

    @property
    def count(self) -> int:
        return self._ask("appmon_histogram_count")

    @property
    def sum(self) -> int:
        return self._ask("appmon_histogram_sum")

    @property
    def max(self) -> int:
        return self._ask("appmon_histogram_max")

    def quantile(self, q: float) -> int:
        """The least recorded value that a share of q (0 to 1) of all do not exceed; 0: no values."""
        return self._ask("appmon_histogram_quantile", q)

    def count_at_most(self, value: int) -> int:
        """How many values are at most this one."""
        return self._ask("appmon_histogram_count_at_most", value)

    def __iter__(self) -> Iterator[Bucket]:
        cursor = ctypes.c_uint32()
        least, greatest, count = ctypes.c_uint64(), ctypes.c_uint64(), ctypes.c_uint64()
        while self._ask("appmon_histogram_next", ctypes.byref(cursor), ctypes.byref(least),
                        ctypes.byref(greatest), ctypes.byref(count)) == 1:
            yield Bucket(least.value, greatest.value, count.value)


class Snapshot(_Owner):
    """What the aggregator held at one moment. Never changes; series, edges and what was active are
    told apart by their index. since: an earlier snapshot of the same aggregator, for what came after."""

    _what = "snapshot"

    def __init__(self, handle: ctypes.c_void_p) -> None:
        super().__init__(handle, lib.appmon_snapshot_free)

    @property
    def time_ns(self) -> int:
        """CLOCK_MONOTONIC: the distance of two is what rates are divided by."""
        with self._lock:
            time: int = lib.appmon_snapshot_time(self._get())
            return time

    def count(self, kind: SnapshotKind) -> int:
        with self._lock:
            count: int = lib.appmon_snapshot_count(self._get(), kind)
            return count

    def _each(self, kind: SnapshotKind, function: str, struct: Any, python: Any) -> list[Any]:
        with self._lock:
            rows = []
            for index in range(self.count(kind)):
                c = struct(size=ctypes.sizeof(struct))
                _check(getattr(lib, function)(self._get(), index, ctypes.byref(c)))
                rows.append(python._from(c))
            return rows

    def series(self) -> list[Series]:
        """By index."""
        return self._each(SnapshotKind.SERIES, "appmon_snapshot_series", _abi.appmon_series, Series)

    def edges(self) -> list[Edge]:
        """By index."""
        return self._each(SnapshotKind.EDGES, "appmon_snapshot_edge", _abi.appmon_edge, Edge)

    def active(self) -> list[Active]:
        """With MetricsFlags.ACTIVE."""
        return self._each(SnapshotKind.ACTIVE, "appmon_snapshot_active", _abi.appmon_active, Active)

    def _read(self, function: str, kind: SnapshotKind, index: int, since: Snapshot | None, *last: Any) -> None:
        first, second = sorted((self, since or self), key=id)
        with first._lock, second._lock:
            _check(getattr(lib, function)(self._get(), kind, index, since._get() if since else None, *last))

    def figures(self, index: int, since: Snapshot | None = None, *,
                kind: SnapshotKind = SnapshotKind.SERIES) -> Figures:
        """The figures of one series or edge."""
        c = _abi.appmon_figures(size=ctypes.sizeof(_abi.appmon_figures))
        self._read("appmon_snapshot_figures", kind, index, since, ctypes.byref(c))
        return Figures._from(c)

    def durations(self, index: int, since: Snapshot | None = None, *,
                  kind: SnapshotKind = SnapshotKind.SERIES, into: Histogram | None = None) -> Histogram:
        """Adds the durations of one series or edge, in nanoseconds, to a histogram, or to a new one."""
        histogram = Histogram() if into is None else into
        with histogram._lock:
            self._read("appmon_snapshot_durations", kind, index, since, histogram._get())
        return histogram

    def histogram(self, index: int, time: TimeKind, since: Snapshot | None = None, *,
                  kind: SnapshotKind = SnapshotKind.SERIES, into: Histogram | None = None) -> Histogram:
        """The same of one of the times of the events; without MetricsFlags.SERVICE there is nothing to
        add of queue and service times."""
        histogram = Histogram() if into is None else into
        with histogram._lock:
            self._read("appmon_snapshot_histogram", kind, index, since, time, histogram._get())
        return histogram

    def exemplar(self, index: int, *, kind: SnapshotKind = SnapshotKind.SERIES) -> Exemplar | None:
        """None: no event of it carried a traceparent."""
        c = _abi.appmon_exemplar(size=ctypes.sizeof(_abi.appmon_exemplar))
        with self._lock:
            code = lib.appmon_snapshot_exemplar(self._get(), kind, index, ctypes.byref(c))
            return None if code == -errno.ENODATA or _check(code) else Exemplar._from(c)


class _Answers:
    """What the program's functions said of the event that is added next. They are asked before C is
    called, so that none of them runs inside it."""

    def __init__(self, route: bytes | None = None, error: int = -1, instance: int = 0) -> None:
        self.route, self.error, self.instance = route, error, instance


def _callbacks(said: list[_Answers]) -> tuple[Any, Any, Any]:
    """What C calls. said: one, which is replaced. They are short: ctypes can only report what a signal
    handler raises at the moment one begins."""

    def route(_: int | None, event: Any, place: int, size: int) -> int:
        words = said[0].route
        if words is None:
            return -1
        ctypes.memmove(place, words, min(len(words), size))
        return len(words)

    return (_abi.appmon_route_fn(route), _abi.appmon_error_fn(lambda *_: said[0].error),
            _abi.appmon_instance_fn(lambda *_: said[0].instance))


class Metrics(_Owner):
    """The aggregator: Monitor.feed() gives it events. Threads may share it.

    route says what the route of an event is, None: as the library makes it; at most 255 bytes are kept.
    is_error says whether an event counts as an error, None: as server_errors and client_errors say.
    instance stands in place of an event's cgroup_id: one number for all cgroups of a service, for example,
    so that its series go on when it is restarted.

    They are called once for each event, by the thread that takes it from the monitor, which they must not
    use. When one raises, the event is handed out, but not counted here, and the next call of the monitor
    raises that; feed_active() does so itself.
    """

    _what = "aggregator"

    def __init__(self, options: MetricsOptions | None = None, *,
                 route: Callable[[Event], str | None] | None = None,
                 is_error: Callable[[Event], bool | None] | None = None,
                 instance: Callable[[Event], int] | None = None) -> None:
        opts = _abi.appmon_metrics_opts(size=ctypes.sizeof(_abi.appmon_metrics_opts))
        for field in dataclasses.fields(MetricsOptions):
            setattr(opts, field.name, getattr(options, field.name) if options else 0)
        self._route, self._is_error, self._instance = route, is_error, instance
        self._said = [_Answers()]
        self._callbacks = _callbacks(self._said)
        for name, function, callback in zip(("route_fn", "error_fn", "instance_fn"),
                                            (route, is_error, instance), self._callbacks):
            if function:
                setattr(opts, name, callback)
        handle = ctypes.c_void_p()
        _check(lib.appmon_metrics_open(ctypes.byref(handle), ctypes.byref(opts)))
        super().__init__(handle, lib.appmon_metrics_close)

    def _ask(self, event: Event) -> _Answers:
        answers = _Answers()
        route = self._route(event) if self._route else None
        if route is not None:
            answers.route = route.encode("utf-8", "surrogateescape")
        is_error = self._is_error(event) if self._is_error else None
        if is_error is not None:
            answers.error = 1 if is_error else 0
        if self._instance:
            answers.instance = self._instance(event)
            if not 0 <= answers.instance < 1 << 64:  # ctypes would cut it off
                raise OverflowError("an instance has 64 bits")
        return answers

    def _add(self, place: Any, event: Event) -> None:
        """place: of the event in C."""
        if self._handle is None:  # one that is closed counts no more
            return
        answers = self._ask(event)
        with self._lock:
            if self._handle is not None:
                self._said[0] = answers
                _check(lib.appmon_metrics_add(self._handle, place))

    def _add_active(self, place: Any, event: Event) -> None:
        answers = self._ask(event)
        with self._lock:
            self._said[0] = answers
            _check(lib.appmon_metrics_active(self._get(), place))

    def stats(self) -> MetricsStats:
        c = _abi.appmon_metrics_stats(size=ctypes.sizeof(_abi.appmon_metrics_stats))
        with self._lock:
            _check(lib.appmon_metrics_get_stats(self._get(), ctypes.byref(c)))
        return MetricsStats._from(c)

    def snapshot(self, flags: TakeFlags = TakeFlags(0), now_ns: int = 0) -> Snapshot:
        """Copies what it holds. now_ns: CLOCK_MONOTONIC, 0: the present; for a recording that of its
        last event."""
        opts = _abi.appmon_snapshot_opts(size=ctypes.sizeof(_abi.appmon_snapshot_opts), flags=flags,
                                         now_ns=now_ns)
        handle = ctypes.c_void_p()
        with self._lock:
            _check(lib.appmon_metrics_snapshot(self._get(), ctypes.byref(opts), ctypes.byref(handle)))
        return Snapshot(handle)


def route(path: str) -> str:
    """The route of a path by the look of its segments: /user/17 is /user/{id}."""
    data = path.encode("utf-8", "surrogateescape")
    buffer = ctypes.create_string_buffer(256)
    length = lib.appmon_route(data, len(data), buffer, len(buffer))
    return buffer.raw[:length].decode("utf-8", "backslashreplace")


def read_resources(cgroup: str | os.PathLike[str]) -> Resources:
    """What a cgroup v2 directory and those below it use."""
    path = os.fsencode(cgroup)
    if b"\0" in path:  # C would not see what is behind it
        raise ValueError(f"a null byte is inside {cgroup!r}")
    c = _abi.appmon_resources(size=ctypes.sizeof(_abi.appmon_resources))
    _check(lib.appmon_read_resources(path, ctypes.byref(c)))
    return Resources._from(c)


def cgroup_path(cgroup_id: int) -> str:
    """The directory of a cgroup, by an event's or a series' cgroup_id."""
    buffer = ctypes.create_string_buffer(4096)
    length = _check(lib.appmon_cgroup_path(cgroup_id, buffer, len(buffer)))
    return os.fsdecode(buffer.raw[:length])


class Container(NamedTuple):
    """What the path of a cgroup says about the container in it."""

    runtime: Runtime
    id: str  # 64 hexadecimal digits; "": the cgroup is the pod's own
    pod_uid: str  # Kubernetes: metadata.uid; "": no pod


def cgroup_container(path: str) -> Container | None:
    """The container of a cgroup; None: its path names none."""
    c = _abi.appmon_container(size=ctypes.sizeof(_abi.appmon_container))
    code = lib.appmon_cgroup_container(os.fsencode(path), ctypes.byref(c))
    if code == -errno.ENOENT:
        return None
    _check(code)
    return Container(Runtime(c.runtime), c.id.decode(), c.pod_uid.decode())
