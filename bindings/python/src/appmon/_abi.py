# SPDX-License-Identifier: BSD-2-Clause
"""The C interface for ctypes.

Made by bindings/generate from the public headers: do not edit."""

import ctypes
from typing import Any

VERSION = (0, 1, 0)


class appmon_str(ctypes.Structure):
    data: Any
    len: int
    truncated: int
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("len", ctypes.c_uint32),
        ("truncated", ctypes.c_uint32),
    ]


class appmon_endpoint(ctypes.Structure):
    family: int
    port: int
    reserved: int
    addr: Any
    _fields_ = [
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("reserved", ctypes.c_uint32),
        ("addr", ctypes.c_uint8 * 16),
    ]


class appmon_header(ctypes.Structure):
    name: appmon_str
    value: appmon_str
    response: int
    reserved: int
    _fields_ = [
        ("name", appmon_str),
        ("value", appmon_str),
        ("response", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class appmon_event(ctypes.Structure):
    size: int
    protocol: int
    flags: int
    role: int
    end: int
    target_id: int
    reserved0: int
    cgroup_id: int
    connection_id: int
    ordinal: int
    request_start_ns: int
    request_end_ns: int
    response_start_ns: int
    response_end_ns: int
    duration_ns: int
    request_ns: int
    wait_ns: int
    response_ns: int
    request_head_bytes: int
    request_body_bytes: int
    response_head_bytes: int
    response_body_bytes: int
    request_content_length: int
    response_content_length: int
    method: int
    request_http_version: int
    response_http_version: int
    status: int
    status_class: int
    srtt_us: int
    retransmits: int
    peer_retransmits: int
    pid: int
    tid: int
    comm: appmon_str
    local: appmon_endpoint
    remote: appmon_endpoint
    target_name: appmon_str
    target_user: Any
    headers: Any
    method_name: appmon_str
    request_target: appmon_str
    path: appmon_str
    query: appmon_str
    authority: appmon_str
    reason: appmon_str
    header_count: int
    reserved1: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("protocol", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("role", ctypes.c_uint32),
        ("end", ctypes.c_uint32),
        ("target_id", ctypes.c_uint32),
        ("reserved0", ctypes.c_uint32),
        ("cgroup_id", ctypes.c_uint64),
        ("connection_id", ctypes.c_uint64),
        ("ordinal", ctypes.c_uint64),
        ("request_start_ns", ctypes.c_uint64),
        ("request_end_ns", ctypes.c_uint64),
        ("response_start_ns", ctypes.c_uint64),
        ("response_end_ns", ctypes.c_uint64),
        ("duration_ns", ctypes.c_uint64),
        ("request_ns", ctypes.c_uint64),
        ("wait_ns", ctypes.c_uint64),
        ("response_ns", ctypes.c_uint64),
        ("request_head_bytes", ctypes.c_uint64),
        ("request_body_bytes", ctypes.c_uint64),
        ("response_head_bytes", ctypes.c_uint64),
        ("response_body_bytes", ctypes.c_uint64),
        ("request_content_length", ctypes.c_int64),
        ("response_content_length", ctypes.c_int64),
        ("method", ctypes.c_uint32),
        ("request_http_version", ctypes.c_uint32),
        ("response_http_version", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
        ("status_class", ctypes.c_uint32),
        ("srtt_us", ctypes.c_uint32),
        ("retransmits", ctypes.c_uint32),
        ("peer_retransmits", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("comm", appmon_str),
        ("local", appmon_endpoint),
        ("remote", appmon_endpoint),
        ("target_name", appmon_str),
        ("target_user", ctypes.c_void_p),
        ("headers", ctypes.POINTER(appmon_header)),
        ("method_name", appmon_str),
        ("request_target", appmon_str),
        ("path", appmon_str),
        ("query", appmon_str),
        ("authority", appmon_str),
        ("reason", appmon_str),
        ("header_count", ctypes.c_uint32),
        ("reserved1", ctypes.c_uint32),
    ]

appmon_event_fn = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(appmon_event))

appmon_log_fn = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


class appmon_opts(ctypes.Structure):
    size: int
    flags: int
    memory_limit: int
    ring_bytes: int
    capture_bytes: int
    exchange_timeout_ms: int
    idle_timeout_ms: int
    log_level: int
    header_count: int
    headers: Any
    event_fn: Any
    event_ctx: Any
    log_fn: Any
    log_ctx: Any
    error_text: Any
    error_text_size: int
    reserved: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("memory_limit", ctypes.c_uint64),
        ("ring_bytes", ctypes.c_uint32),
        ("capture_bytes", ctypes.c_uint32),
        ("exchange_timeout_ms", ctypes.c_uint32),
        ("idle_timeout_ms", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("header_count", ctypes.c_uint32),
        ("headers", ctypes.POINTER(ctypes.c_char_p)),
        ("event_fn", appmon_event_fn),
        ("event_ctx", ctypes.c_void_p),
        ("log_fn", appmon_log_fn),
        ("log_ctx", ctypes.c_void_p),
        ("error_text", ctypes.c_char_p),
        ("error_text_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class appmon_attach_opts(ctypes.Structure):
    size: int
    capture_bytes: int
    name: Any
    user: Any
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("capture_bytes", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
    ]


class appmon_stats(ctypes.Structure):
    size: int
    reserved: int
    valid: int
    exchanges_seen: int
    delivered: int
    outstanding: int
    dropped: Any
    connections_seen: int
    connections_open: int
    connections_skipped: int
    requests: int
    responses: int
    tunnel_bytes: int
    records: int
    records_lost: int
    records_bad: int
    memory_bytes: int
    memory_limit: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("valid", ctypes.c_uint64),
        ("exchanges_seen", ctypes.c_uint64),
        ("delivered", ctypes.c_uint64),
        ("outstanding", ctypes.c_uint64),
        ("dropped", ctypes.c_uint64 * 16),
        ("connections_seen", ctypes.c_uint64),
        ("connections_open", ctypes.c_uint64),
        ("connections_skipped", ctypes.c_uint64),
        ("requests", ctypes.c_uint64),
        ("responses", ctypes.c_uint64),
        ("tunnel_bytes", ctypes.c_uint64),
        ("records", ctypes.c_uint64),
        ("records_lost", ctypes.c_uint64),
        ("records_bad", ctypes.c_uint64),
        ("memory_bytes", ctypes.c_uint64),
        ("memory_limit", ctypes.c_uint64),
    ]


class appmon_capabilities(ctypes.Structure):
    size: int
    reserved: int
    supported: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("supported", ctypes.c_uint64),
    ]


# True: begins with size, and a newer library's may be larger.
STRUCTS: dict[type[ctypes.Structure], bool] = {
    appmon_str: False,
    appmon_endpoint: False,
    appmon_header: False,
    appmon_event: True,
    appmon_opts: True,
    appmon_attach_opts: True,
    appmon_stats: True,
    appmon_capabilities: True,
}

# name: (result, parameters)
FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "appmon_open": (ctypes.c_int, (ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(appmon_opts))),
    "appmon_close": (ctypes.c_int, (ctypes.c_void_p,)),
    "appmon_attach_cgroup": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(appmon_attach_opts), ctypes.POINTER(ctypes.c_uint32))),
    "appmon_attach_cgroup_fd": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(appmon_attach_opts), ctypes.POINTER(ctypes.c_uint32))),
    "appmon_detach": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_uint32)),
    "appmon_fd": (ctypes.c_int, (ctypes.c_void_p,)),
    "appmon_poll": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)),
    "appmon_next": (ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(ctypes.POINTER(appmon_event)))),
    "appmon_wakeup": (ctypes.c_int, (ctypes.c_void_p,)),
    "appmon_record": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int)),
    "appmon_open_replay": (ctypes.c_int, (
        ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.POINTER(appmon_opts))),
    "appmon_get_stats": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(appmon_stats))),
    "appmon_get_capabilities": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.POINTER(appmon_capabilities))),
    "appmon_last_error": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "appmon_strerror": (ctypes.c_char_p, (ctypes.c_int,)),
    "appmon_format_endpoint": (ctypes.c_int, (
        ctypes.POINTER(appmon_endpoint), ctypes.c_char_p, ctypes.c_size_t)),
    "appmon_realtime_ns": (ctypes.c_uint64, (ctypes.c_void_p, ctypes.c_uint64)),
    "appmon_event_header": (ctypes.POINTER(appmon_str), (
        ctypes.POINTER(appmon_event), ctypes.c_char_p, ctypes.c_int)),
    "appmon_method_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_end_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_drop_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_version": (ctypes.c_uint32, ()),
    "appmon_version_string": (ctypes.c_char_p, ()),
    "appmon_struct_size": (ctypes.c_uint32, (ctypes.c_char_p,)),
}
