# SPDX-License-Identifier: BSD-2-Clause
"""The C interface for ctypes.

Made by bindings/generate from the public headers: do not edit."""
from __future__ import annotations

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


class appmon_trace(ctypes.Structure):
    format: int
    flags: int
    trace_id: Any
    span_id: Any
    parent_span_id: Any
    _fields_ = [
        ("format", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("trace_id", ctypes.c_uint8 * 16),
        ("span_id", ctypes.c_uint8 * 8),
        ("parent_span_id", ctypes.c_uint8 * 8),
    ]


class appmon_event(ctypes.Structure):
    size: int
    protocol: int
    flags: int
    role: int
    end: int
    target_id: int
    sampling_ppm: int
    target_name: appmon_str
    target_user: Any
    cgroup_id: int
    connection_id: int
    ordinal: int
    operation_type: int
    outcome: int
    system: appmon_str
    operation: appmon_str
    resource: appmon_str
    resource_namespace: appmon_str
    query_text: appmon_str
    query_summary: appmon_str
    status_text: appmon_str
    message: appmon_str
    status_number: int
    request_bytes: int
    response_bytes: int
    digest: int
    key: int
    request_items: int
    response_items: int
    first_item_ns: int
    request_start_ns: int
    request_end_ns: int
    response_start_ns: int
    response_end_ns: int
    duration_ns: int
    request_ns: int
    wait_ns: int
    response_ns: int
    read_start_ns: int
    read_end_ns: int
    queue_ns: int
    service_ns: int
    connect_ns: int
    local: appmon_endpoint
    remote: appmon_endpoint
    client: appmon_endpoint
    srtt_us: int
    retransmits: int
    peer_retransmits: int
    netns_inum: int
    netns_cookie: int
    wire_id: int
    owner: int
    uid: int
    pid: int
    tid: int
    inner_pid: int
    inner_tid: int
    response_pid: int
    response_tid: int
    process_start_ns: int
    comm: appmon_str
    trace: appmon_trace
    trace_text: appmon_str
    request_id: appmon_str
    link_connection_id: int
    link_ordinal: int
    link: int
    method: int
    status: int
    request_http_version: int
    response_http_version: int
    header_count: int
    headers: Any
    request_target: appmon_str
    path: appmon_str
    query: appmon_str
    authority: appmon_str
    request_head_bytes: int
    request_body_bytes: int
    response_head_bytes: int
    response_body_bytes: int
    request_content_length: int
    response_content_length: int
    tls_server_name: appmon_str
    tls_alpn_offered: appmon_str
    tls_alpn: appmon_str
    tls_version: int
    tls_cipher: int
    tls_flags: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("protocol", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("role", ctypes.c_uint32),
        ("end", ctypes.c_uint32),
        ("target_id", ctypes.c_uint32),
        ("sampling_ppm", ctypes.c_uint32),
        ("target_name", appmon_str),
        ("target_user", ctypes.c_void_p),
        ("cgroup_id", ctypes.c_uint64),
        ("connection_id", ctypes.c_uint64),
        ("ordinal", ctypes.c_uint64),
        ("operation_type", ctypes.c_uint32),
        ("outcome", ctypes.c_uint32),
        ("system", appmon_str),
        ("operation", appmon_str),
        ("resource", appmon_str),
        ("resource_namespace", appmon_str),
        ("query_text", appmon_str),
        ("query_summary", appmon_str),
        ("status_text", appmon_str),
        ("message", appmon_str),
        ("status_number", ctypes.c_int64),
        ("request_bytes", ctypes.c_uint64),
        ("response_bytes", ctypes.c_uint64),
        ("digest", ctypes.c_uint64),
        ("key", ctypes.c_uint64),
        ("request_items", ctypes.c_int64),
        ("response_items", ctypes.c_int64),
        ("first_item_ns", ctypes.c_uint64),
        ("request_start_ns", ctypes.c_uint64),
        ("request_end_ns", ctypes.c_uint64),
        ("response_start_ns", ctypes.c_uint64),
        ("response_end_ns", ctypes.c_uint64),
        ("duration_ns", ctypes.c_uint64),
        ("request_ns", ctypes.c_uint64),
        ("wait_ns", ctypes.c_uint64),
        ("response_ns", ctypes.c_uint64),
        ("read_start_ns", ctypes.c_uint64),
        ("read_end_ns", ctypes.c_uint64),
        ("queue_ns", ctypes.c_uint64),
        ("service_ns", ctypes.c_uint64),
        ("connect_ns", ctypes.c_uint64),
        ("local", appmon_endpoint),
        ("remote", appmon_endpoint),
        ("client", appmon_endpoint),
        ("srtt_us", ctypes.c_uint32),
        ("retransmits", ctypes.c_uint32),
        ("peer_retransmits", ctypes.c_uint32),
        ("netns_inum", ctypes.c_uint32),
        ("netns_cookie", ctypes.c_uint64),
        ("wire_id", ctypes.c_uint64),
        ("owner", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("inner_pid", ctypes.c_uint32),
        ("inner_tid", ctypes.c_uint32),
        ("response_pid", ctypes.c_uint32),
        ("response_tid", ctypes.c_uint32),
        ("process_start_ns", ctypes.c_uint64),
        ("comm", appmon_str),
        ("trace", appmon_trace),
        ("trace_text", appmon_str),
        ("request_id", appmon_str),
        ("link_connection_id", ctypes.c_uint64),
        ("link_ordinal", ctypes.c_uint64),
        ("link", ctypes.c_uint32),
        ("method", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
        ("request_http_version", ctypes.c_uint32),
        ("response_http_version", ctypes.c_uint32),
        ("header_count", ctypes.c_uint32),
        ("headers", ctypes.POINTER(appmon_header)),
        ("request_target", appmon_str),
        ("path", appmon_str),
        ("query", appmon_str),
        ("authority", appmon_str),
        ("request_head_bytes", ctypes.c_uint64),
        ("request_body_bytes", ctypes.c_uint64),
        ("response_head_bytes", ctypes.c_uint64),
        ("response_body_bytes", ctypes.c_uint64),
        ("request_content_length", ctypes.c_int64),
        ("response_content_length", ctypes.c_int64),
        ("tls_server_name", appmon_str),
        ("tls_alpn_offered", appmon_str),
        ("tls_alpn", appmon_str),
        ("tls_version", ctypes.c_uint16),
        ("tls_cipher", ctypes.c_uint16),
        ("tls_flags", ctypes.c_uint32),
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
    protocols: int
    request_id_headers: Any
    request_id_header_count: int
    reserved: int
    cgroup_mount: Any
    redact_names: Any
    redact_name_count: int
    reserved1: int
    record_max_bytes: int
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
        ("protocols", ctypes.c_uint32),
        ("request_id_headers", ctypes.POINTER(ctypes.c_char_p)),
        ("request_id_header_count", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("cgroup_mount", ctypes.c_char_p),
        ("redact_names", ctypes.POINTER(ctypes.c_char_p)),
        ("redact_name_count", ctypes.c_uint32),
        ("reserved1", ctypes.c_uint32),
        ("record_max_bytes", ctypes.c_uint64),
    ]


class appmon_port_hint(ctypes.Structure):
    port: int
    protocol: int
    _fields_ = [
        ("port", ctypes.c_uint32),
        ("protocol", ctypes.c_uint32),
    ]


class appmon_attach_opts(ctypes.Structure):
    size: int
    capture_bytes: int
    name: Any
    user: Any
    protocols: int
    port_count: int
    ports: Any
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("capture_bytes", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
        ("protocols", ctypes.c_uint32),
        ("port_count", ctypes.c_uint32),
        ("ports", ctypes.POINTER(appmon_port_hint)),
    ]


class appmon_stats(ctypes.Structure):
    size: int
    flags: int
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
    sampling_ppm: int
    filtered: int
    plain_calls: int
    plain_dropped: int
    tls_refused: int
    tls_refused_processes: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
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
        ("sampling_ppm", ctypes.c_uint64),
        ("filtered", ctypes.c_uint64),
        ("plain_calls", ctypes.c_uint64),
        ("plain_dropped", ctypes.c_uint64),
        ("tls_refused", ctypes.c_uint64),
        ("tls_refused_processes", ctypes.c_uint64),
    ]


class appmon_filter(ctypes.Structure):
    size: int
    roles: int
    outcomes: int
    reserved: int
    min_duration_ns: int
    path_prefix: Any
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("roles", ctypes.c_uint32),
        ("outcomes", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("min_duration_ns", ctypes.c_uint64),
        ("path_prefix", ctypes.c_char_p),
    ]


class appmon_target(ctypes.Structure):
    size: int
    id: int
    cgroup_id: int
    name: appmon_str
    path: appmon_str
    user: Any
    capture_bytes: int
    flags: int
    protocols: int
    reserved: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("cgroup_id", ctypes.c_uint64),
        ("name", appmon_str),
        ("path", appmon_str),
        ("user", ctypes.c_void_p),
        ("capture_bytes", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("protocols", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class appmon_container(ctypes.Structure):
    size: int
    runtime: int
    id: Any
    pod_uid: Any
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("runtime", ctypes.c_uint32),
        ("id", ctypes.c_char * 72),
        ("pod_uid", ctypes.c_char * 40),
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


class appmon_process(ctypes.Structure):
    size: int
    pid: int
    start_ns: int
    exe_inode: int
    exe_device: int
    exe: appmon_str
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("start_ns", ctypes.c_uint64),
        ("exe_inode", ctypes.c_uint64),
        ("exe_device", ctypes.c_uint64),
        ("exe", appmon_str),
    ]

appmon_route_fn = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(appmon_event), ctypes.c_void_p, ctypes.c_size_t)

appmon_error_fn = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(appmon_event))

appmon_instance_fn = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.POINTER(appmon_event))


class appmon_metrics_opts(ctypes.Structure):
    size: int
    flags: int
    dimensions: int
    max_series: int
    idle_ms: int
    server_errors: int
    client_errors: int
    reserved: int
    memory_limit: int
    route_fn: Any
    route_ctx: Any
    error_fn: Any
    error_ctx: Any
    instance_fn: Any
    instance_ctx: Any
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("dimensions", ctypes.c_uint32),
        ("max_series", ctypes.c_uint32),
        ("idle_ms", ctypes.c_uint32),
        ("server_errors", ctypes.c_uint32),
        ("client_errors", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("memory_limit", ctypes.c_uint64),
        ("route_fn", appmon_route_fn),
        ("route_ctx", ctypes.c_void_p),
        ("error_fn", appmon_error_fn),
        ("error_ctx", ctypes.c_void_p),
        ("instance_fn", appmon_instance_fn),
        ("instance_ctx", ctypes.c_void_p),
    ]


class appmon_metrics_stats(ctypes.Structure):
    size: int
    reserved: int
    events: int
    waiting: int
    series: int
    edges: int
    other_events: int
    other_exchanges: int
    expired_series: int
    expired_edges: int
    expired_events: int
    joined_connections: int
    evicted_connections: int
    unwaited: int
    refused_segments: int
    memory_bytes: int
    memory_limit: int
    without_request: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("events", ctypes.c_uint64),
        ("waiting", ctypes.c_uint64),
        ("series", ctypes.c_uint64),
        ("edges", ctypes.c_uint64),
        ("other_events", ctypes.c_uint64),
        ("other_exchanges", ctypes.c_uint64),
        ("expired_series", ctypes.c_uint64),
        ("expired_edges", ctypes.c_uint64),
        ("expired_events", ctypes.c_uint64),
        ("joined_connections", ctypes.c_uint64),
        ("evicted_connections", ctypes.c_uint64),
        ("unwaited", ctypes.c_uint64),
        ("refused_segments", ctypes.c_uint64),
        ("memory_bytes", ctypes.c_uint64),
        ("memory_limit", ctypes.c_uint64),
        ("without_request", ctypes.c_uint64),
    ]


class appmon_series(ctypes.Structure):
    size: int
    flags: int
    id: int
    cgroup_id: int
    pid: int
    role: int
    protocol: int
    method: int
    status: int
    outcome: int
    app: appmon_str
    peer_app: appmon_str
    method_name: appmon_str
    route: appmon_str
    status_text: appmon_str
    peer: appmon_endpoint
    system: appmon_str
    operation: appmon_str
    resource: appmon_str
    resource_namespace: appmon_str
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("id", ctypes.c_uint64),
        ("cgroup_id", ctypes.c_uint64),
        ("pid", ctypes.c_uint32),
        ("role", ctypes.c_uint32),
        ("protocol", ctypes.c_uint32),
        ("method", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
        ("outcome", ctypes.c_uint32),
        ("app", appmon_str),
        ("peer_app", appmon_str),
        ("method_name", appmon_str),
        ("route", appmon_str),
        ("status_text", appmon_str),
        ("peer", appmon_endpoint),
        ("system", appmon_str),
        ("operation", appmon_str),
        ("resource", appmon_str),
        ("resource_namespace", appmon_str),
    ]


class appmon_active(ctypes.Structure):
    size: int
    flags: int
    cgroup_id: int
    role: int
    protocol: int
    method: int
    reserved: int
    app: appmon_str
    method_name: appmon_str
    requests: int
    oldest_ns: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cgroup_id", ctypes.c_uint64),
        ("role", ctypes.c_uint32),
        ("protocol", ctypes.c_uint32),
        ("method", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("app", appmon_str),
        ("method_name", appmon_str),
        ("requests", ctypes.c_uint64),
        ("oldest_ns", ctypes.c_uint64),
    ]


class appmon_edge(ctypes.Structure):
    size: int
    flags: int
    id: int
    protocol: int
    reserved: int
    client_app: appmon_str
    server_app: appmon_str
    client: appmon_endpoint
    server: appmon_endpoint
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("id", ctypes.c_uint64),
        ("protocol", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("client_app", appmon_str),
        ("server_app", appmon_str),
        ("client", appmon_endpoint),
        ("server", appmon_endpoint),
    ]


class appmon_figures(ctypes.Structure):
    size: int
    reserved: int
    requests: int
    errors: int
    request_bytes: int
    response_bytes: int
    duration_count: int
    duration_sum: int
    duration_max: int
    request_sum: int
    wait_count: int
    wait_sum: int
    response_sum: int
    service_count: int
    queue_sum: int
    service_sum: int
    retransmits: int
    first_ns: int
    last_ns: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("requests", ctypes.c_uint64),
        ("errors", ctypes.c_uint64),
        ("request_bytes", ctypes.c_uint64),
        ("response_bytes", ctypes.c_uint64),
        ("duration_count", ctypes.c_uint64),
        ("duration_sum", ctypes.c_uint64),
        ("duration_max", ctypes.c_uint64),
        ("request_sum", ctypes.c_uint64),
        ("wait_count", ctypes.c_uint64),
        ("wait_sum", ctypes.c_uint64),
        ("response_sum", ctypes.c_uint64),
        ("service_count", ctypes.c_uint64),
        ("queue_sum", ctypes.c_uint64),
        ("service_sum", ctypes.c_uint64),
        ("retransmits", ctypes.c_uint64),
        ("first_ns", ctypes.c_uint64),
        ("last_ns", ctypes.c_uint64),
    ]


class appmon_exemplar(ctypes.Structure):
    size: int
    reserved: int
    duration_ns: int
    end_ns: int
    trace_id: Any
    span_id: Any
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("duration_ns", ctypes.c_uint64),
        ("end_ns", ctypes.c_uint64),
        ("trace_id", ctypes.c_uint8 * 16),
        ("span_id", ctypes.c_uint8 * 8),
    ]


class appmon_snapshot_opts(ctypes.Structure):
    size: int
    flags: int
    now_ns: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("now_ns", ctypes.c_uint64),
    ]


class appmon_resources(ctypes.Structure):
    size: int
    reserved: int
    valid: int
    from_v1: int
    time_ns: int
    cpu_ns: int
    cpu_user_ns: int
    cpu_system_ns: int
    periods: int
    throttled_periods: int
    throttled_ns: int
    memory_bytes: int
    memory_limit: int
    pids: int
    pids_limit: int
    read_bytes: int
    write_bytes: int
    reads: int
    writes: int
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("valid", ctypes.c_uint64),
        ("from_v1", ctypes.c_uint64),
        ("time_ns", ctypes.c_uint64),
        ("cpu_ns", ctypes.c_uint64),
        ("cpu_user_ns", ctypes.c_uint64),
        ("cpu_system_ns", ctypes.c_uint64),
        ("periods", ctypes.c_uint64),
        ("throttled_periods", ctypes.c_uint64),
        ("throttled_ns", ctypes.c_uint64),
        ("memory_bytes", ctypes.c_uint64),
        ("memory_limit", ctypes.c_uint64),
        ("pids", ctypes.c_uint64),
        ("pids_limit", ctypes.c_uint64),
        ("read_bytes", ctypes.c_uint64),
        ("write_bytes", ctypes.c_uint64),
        ("reads", ctypes.c_uint64),
        ("writes", ctypes.c_uint64),
    ]


# True: begins with size, and a newer library's may be larger.
STRUCTS: dict[type[ctypes.Structure], bool] = {
    appmon_str: False,
    appmon_endpoint: False,
    appmon_header: False,
    appmon_trace: False,
    appmon_event: True,
    appmon_opts: True,
    appmon_port_hint: False,
    appmon_attach_opts: True,
    appmon_stats: True,
    appmon_filter: True,
    appmon_target: True,
    appmon_container: True,
    appmon_capabilities: True,
    appmon_process: True,
    appmon_metrics_opts: True,
    appmon_metrics_stats: True,
    appmon_series: True,
    appmon_active: True,
    appmon_edge: True,
    appmon_figures: True,
    appmon_exemplar: True,
    appmon_snapshot_opts: True,
    appmon_resources: True,
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
    "appmon_next_target": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(appmon_target))),
    "appmon_fd": (ctypes.c_int, (ctypes.c_void_p,)),
    "appmon_poll": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)),
    "appmon_next": (ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(ctypes.POINTER(appmon_event)))),
    "appmon_next_batch": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.POINTER(ctypes.POINTER(appmon_event)), ctypes.c_uint32)),
    "appmon_set_filter": (ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(appmon_filter))),
    "appmon_each_active": (ctypes.c_int, (ctypes.c_void_p, appmon_event_fn, ctypes.c_void_p)),
    "appmon_wakeup": (ctypes.c_int, (ctypes.c_void_p,)),
    "appmon_set_sampling": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64)),
    "appmon_pause": (ctypes.c_int, (ctypes.c_void_p,)),
    "appmon_resume": (ctypes.c_int, (ctypes.c_void_p,)),
    "appmon_record": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int)),
    "appmon_open_replay": (ctypes.c_int, (
        ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.POINTER(appmon_opts))),
    "appmon_get_stats": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(appmon_stats))),
    "appmon_get_capabilities": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.POINTER(appmon_capabilities))),
    "appmon_last_error": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "appmon_find_process": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.POINTER(appmon_process))),
    "appmon_find_cgroup": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(appmon_str))),
    "appmon_strerror": (ctypes.c_char_p, (ctypes.c_int,)),
    "appmon_format_endpoint": (ctypes.c_int, (
        ctypes.POINTER(appmon_endpoint), ctypes.c_char_p, ctypes.c_size_t)),
    "appmon_realtime_ns": (ctypes.c_uint64, (ctypes.c_void_p, ctypes.c_uint64)),
    "appmon_event_header": (ctypes.POINTER(appmon_str), (
        ctypes.POINTER(appmon_event), ctypes.c_char_p, ctypes.c_int)),
    "appmon_event_copy": (ctypes.c_int, (
        ctypes.POINTER(appmon_event), ctypes.POINTER(ctypes.POINTER(appmon_event)))),
    "appmon_event_free": (None, (ctypes.POINTER(appmon_event),)),
    "appmon_cgroup_container": (ctypes.c_int, (ctypes.c_char_p, ctypes.POINTER(appmon_container))),
    "appmon_protocol_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_protocol_by_name": (ctypes.c_uint32, (ctypes.c_char_p,)),
    "appmon_runtime_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_method_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_end_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_link_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_trace_format_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_drop_name": (ctypes.c_char_p, (ctypes.c_uint32,)),
    "appmon_version": (ctypes.c_uint32, ()),
    "appmon_version_string": (ctypes.c_char_p, ()),
    "appmon_struct_size": (ctypes.c_uint32, (ctypes.c_char_p,)),
    "appmon_metrics_open": (ctypes.c_int, (
        ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(appmon_metrics_opts))),
    "appmon_metrics_close": (None, (ctypes.c_void_p,)),
    "appmon_metrics_add": (ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(appmon_event))),
    "appmon_metrics_active": (ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(appmon_event))),
    "appmon_metrics_get_stats": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.POINTER(appmon_metrics_stats))),
    "appmon_metrics_snapshot": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.POINTER(appmon_snapshot_opts), ctypes.POINTER(ctypes.c_void_p))),
    "appmon_snapshot_free": (None, (ctypes.c_void_p,)),
    "appmon_snapshot_time": (ctypes.c_uint64, (ctypes.c_void_p,)),
    "appmon_snapshot_count": (ctypes.c_uint32, (ctypes.c_void_p, ctypes.c_uint32)),
    "appmon_snapshot_series": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(appmon_series))),
    "appmon_snapshot_edge": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(appmon_edge))),
    "appmon_snapshot_active": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(appmon_active))),
    "appmon_snapshot_figures": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.POINTER(appmon_figures))),
    "appmon_snapshot_durations": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p)),
    "appmon_snapshot_histogram": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)),
    "appmon_snapshot_exemplar": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.POINTER(appmon_exemplar))),
    "appmon_histogram_new": (ctypes.c_int, (ctypes.POINTER(ctypes.c_void_p),)),
    "appmon_histogram_free": (None, (ctypes.c_void_p,)),
    "appmon_histogram_clear": (None, (ctypes.c_void_p,)),
    "appmon_histogram_add": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)),
    "appmon_histogram_merge": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_void_p)),
    "appmon_histogram_count": (ctypes.c_uint64, (ctypes.c_void_p,)),
    "appmon_histogram_sum": (ctypes.c_uint64, (ctypes.c_void_p,)),
    "appmon_histogram_max": (ctypes.c_uint64, (ctypes.c_void_p,)),
    "appmon_histogram_quantile": (ctypes.c_uint64, (ctypes.c_void_p, ctypes.c_double)),
    "appmon_histogram_count_at_most": (ctypes.c_uint64, (ctypes.c_void_p, ctypes.c_uint64)),
    "appmon_histogram_next": (ctypes.c_int, (
        ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32), ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_uint64))),
    "appmon_route": (ctypes.c_size_t, (
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)),
    "appmon_read_resources": (ctypes.c_int, (ctypes.c_char_p, ctypes.POINTER(appmon_resources))),
    "appmon_cgroup_path": (ctypes.c_int, (ctypes.c_uint64, ctypes.c_char_p, ctypes.c_size_t)),
}
