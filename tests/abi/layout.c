/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of every public struct and the value of every public constant, as they were
 * in 0.1, on machines with 64-bit pointers. A line here never changes; new members and constants
 * add lines.
 */
#include <appmon/metrics.h>

#if __SIZEOF_POINTER__ == 8

#define AT(type, member, offset, bytes)                                                            \
	_Static_assert(offsetof(struct type, member) == (offset) &&                                \
			       sizeof(((struct type *)0)->member) == (bytes),                      \
		       #type "." #member " moved or changed")
/* Structs that begin with size may grow, the others are frozen. */
#define AT_LEAST(type, bytes) _Static_assert(sizeof(struct type) >= (bytes), #type " shrank")
#define EXACTLY(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " resized")
#define IS(name, value) _Static_assert(name == (value), #name " was renumbered")

AT(appmon_str, data, 0, 8);
AT(appmon_str, len, 8, 4);
AT(appmon_str, truncated, 12, 4);
EXACTLY(appmon_str, 16);

AT(appmon_endpoint, family, 0, 2);
AT(appmon_endpoint, port, 2, 2);
AT(appmon_endpoint, reserved, 4, 4);
AT(appmon_endpoint, addr, 8, 16);
EXACTLY(appmon_endpoint, 24);

AT(appmon_header, name, 0, 16);
AT(appmon_header, value, 16, 16);
AT(appmon_header, response, 32, 4);
AT(appmon_header, reserved, 36, 4);
EXACTLY(appmon_header, 40);

AT(appmon_event, size, 0, 4);
AT(appmon_event, protocol, 4, 4);
AT(appmon_event, flags, 8, 8);
AT(appmon_event, role, 16, 4);
AT(appmon_event, end, 20, 4);
AT(appmon_event, target_id, 24, 4);
AT(appmon_event, sampling_ppm, 28, 4);
AT(appmon_event, cgroup_id, 32, 8);
AT(appmon_event, connection_id, 40, 8);
AT(appmon_event, ordinal, 48, 8);
AT(appmon_event, request_start_ns, 56, 8);
AT(appmon_event, request_end_ns, 64, 8);
AT(appmon_event, response_start_ns, 72, 8);
AT(appmon_event, response_end_ns, 80, 8);
AT(appmon_event, duration_ns, 88, 8);
AT(appmon_event, request_ns, 96, 8);
AT(appmon_event, wait_ns, 104, 8);
AT(appmon_event, response_ns, 112, 8);
AT(appmon_event, request_head_bytes, 120, 8);
AT(appmon_event, request_body_bytes, 128, 8);
AT(appmon_event, response_head_bytes, 136, 8);
AT(appmon_event, response_body_bytes, 144, 8);
AT(appmon_event, request_content_length, 152, 8);
AT(appmon_event, response_content_length, 160, 8);
AT(appmon_event, method, 168, 4);
AT(appmon_event, request_http_version, 172, 4);
AT(appmon_event, response_http_version, 176, 4);
AT(appmon_event, status, 180, 4);
AT(appmon_event, status_class, 184, 4);
AT(appmon_event, srtt_us, 188, 4);
AT(appmon_event, retransmits, 192, 4);
AT(appmon_event, peer_retransmits, 196, 4);
AT(appmon_event, pid, 200, 4);
AT(appmon_event, tid, 204, 4);
AT(appmon_event, comm, 208, 16);
AT(appmon_event, local, 224, 24);
AT(appmon_event, remote, 248, 24);
AT(appmon_event, target_name, 272, 16);
AT(appmon_event, target_user, 288, 8);
AT(appmon_event, headers, 296, 8);
AT(appmon_event, method_name, 304, 16);
AT(appmon_event, request_target, 320, 16);
AT(appmon_event, path, 336, 16);
AT(appmon_event, query, 352, 16);
AT(appmon_event, authority, 368, 16);
AT(appmon_event, reason, 384, 16);
AT(appmon_event, header_count, 400, 4);
AT(appmon_event, reserved1, 404, 4);
AT(appmon_event, owner, 408, 4);
AT(appmon_event, uid, 412, 4);
AT(appmon_event, inner_pid, 416, 4);
AT(appmon_event, inner_tid, 420, 4);
AT(appmon_event, process_start_ns, 424, 8);
AT(appmon_event, response_pid, 432, 4);
AT(appmon_event, response_tid, 436, 4);
AT(appmon_event, netns_cookie, 440, 8);
AT(appmon_event, netns_inum, 448, 4);
AT(appmon_event, reserved2, 452, 4);
AT(appmon_event, read_start_ns, 456, 8);
AT(appmon_event, read_end_ns, 464, 8);
AT(appmon_event, queue_ns, 472, 8);
AT(appmon_event, service_ns, 480, 8);
AT(appmon_event, connect_ns, 488, 8);
AT_LEAST(appmon_event, 496);

AT(appmon_opts, size, 0, 4);
AT(appmon_opts, flags, 4, 4);
AT(appmon_opts, memory_limit, 8, 8);
AT(appmon_opts, ring_bytes, 16, 4);
AT(appmon_opts, capture_bytes, 20, 4);
AT(appmon_opts, exchange_timeout_ms, 24, 4);
AT(appmon_opts, idle_timeout_ms, 28, 4);
AT(appmon_opts, log_level, 32, 4);
AT(appmon_opts, header_count, 36, 4);
AT(appmon_opts, headers, 40, 8);
AT(appmon_opts, event_fn, 48, 8);
AT(appmon_opts, event_ctx, 56, 8);
AT(appmon_opts, log_fn, 64, 8);
AT(appmon_opts, log_ctx, 72, 8);
AT(appmon_opts, error_text, 80, 8);
AT(appmon_opts, error_text_size, 88, 4);
AT(appmon_opts, reserved, 92, 4);
AT_LEAST(appmon_opts, 96);

AT(appmon_attach_opts, size, 0, 4);
AT(appmon_attach_opts, capture_bytes, 4, 4);
AT(appmon_attach_opts, name, 8, 8);
AT(appmon_attach_opts, user, 16, 8);
AT_LEAST(appmon_attach_opts, 24);

AT(appmon_stats, size, 0, 4);
AT(appmon_stats, reserved, 4, 4);
AT(appmon_stats, valid, 8, 8);
AT(appmon_stats, exchanges_seen, 16, 8);
AT(appmon_stats, delivered, 24, 8);
AT(appmon_stats, outstanding, 32, 8);
AT(appmon_stats, dropped, 40, 128);
AT(appmon_stats, connections_seen, 168, 8);
AT(appmon_stats, connections_open, 176, 8);
AT(appmon_stats, connections_skipped, 184, 8);
AT(appmon_stats, requests, 192, 8);
AT(appmon_stats, responses, 200, 8);
AT(appmon_stats, tunnel_bytes, 208, 8);
AT(appmon_stats, records, 216, 8);
AT(appmon_stats, records_lost, 224, 8);
AT(appmon_stats, records_bad, 232, 8);
AT(appmon_stats, memory_bytes, 240, 8);
AT(appmon_stats, memory_limit, 248, 8);
AT(appmon_stats, sampling_ppm, 256, 8);
AT_LEAST(appmon_stats, 256);

AT(appmon_process, size, 0, 4);
AT(appmon_process, pid, 4, 4);
AT(appmon_process, start_ns, 8, 8);
AT(appmon_process, exe_inode, 16, 8);
AT(appmon_process, exe_device, 24, 8);
AT(appmon_process, exe, 32, 16);
AT_LEAST(appmon_process, 48);

AT(appmon_capabilities, size, 0, 4);
AT(appmon_capabilities, reserved, 4, 4);
AT(appmon_capabilities, supported, 8, 8);
AT_LEAST(appmon_capabilities, 16);

AT(appmon_metrics_opts, size, 0, 4);
AT(appmon_metrics_opts, flags, 4, 4);
AT(appmon_metrics_opts, dimensions, 8, 4);
AT(appmon_metrics_opts, max_series, 12, 4);
AT(appmon_metrics_opts, max_edges, 16, 4);
AT(appmon_metrics_opts, max_segments, 20, 4);
AT(appmon_metrics_opts, max_children, 24, 4);
AT(appmon_metrics_opts, max_connections, 28, 4);
AT(appmon_metrics_opts, join_ms, 32, 4);
AT(appmon_metrics_opts, idle_ms, 36, 4);
AT(appmon_metrics_opts, memory_limit, 40, 8);
AT(appmon_metrics_opts, server_errors, 48, 4);
AT(appmon_metrics_opts, client_errors, 52, 4);
AT(appmon_metrics_opts, route_fn, 56, 8);
AT(appmon_metrics_opts, route_ctx, 64, 8);
AT(appmon_metrics_opts, error_fn, 72, 8);
AT(appmon_metrics_opts, error_ctx, 80, 8);
AT_LEAST(appmon_metrics_opts, 88);

AT(appmon_metrics_stats, size, 0, 4);
AT(appmon_metrics_stats, reserved, 4, 4);
AT(appmon_metrics_stats, events, 8, 8);
AT(appmon_metrics_stats, waiting, 16, 8);
AT(appmon_metrics_stats, series, 24, 8);
AT(appmon_metrics_stats, edges, 32, 8);
AT(appmon_metrics_stats, other_events, 40, 8);
AT(appmon_metrics_stats, other_exchanges, 48, 8);
AT(appmon_metrics_stats, expired_series, 56, 8);
AT(appmon_metrics_stats, expired_edges, 64, 8);
AT(appmon_metrics_stats, expired_events, 72, 8);
AT(appmon_metrics_stats, joined_connections, 80, 8);
AT(appmon_metrics_stats, evicted_connections, 88, 8);
AT(appmon_metrics_stats, unwaited, 96, 8);
AT(appmon_metrics_stats, refused_segments, 104, 8);
AT(appmon_metrics_stats, memory_bytes, 112, 8);
AT(appmon_metrics_stats, memory_limit, 120, 8);
AT_LEAST(appmon_metrics_stats, 128);

AT(appmon_series, size, 0, 4);
AT(appmon_series, flags, 4, 4);
AT(appmon_series, id, 8, 8);
AT(appmon_series, cgroup_id, 16, 8);
AT(appmon_series, pid, 24, 4);
AT(appmon_series, role, 28, 4);
AT(appmon_series, protocol, 32, 4);
AT(appmon_series, method, 36, 4);
AT(appmon_series, status, 40, 4);
AT(appmon_series, status_class, 44, 4);
AT(appmon_series, app, 48, 16);
AT(appmon_series, peer_app, 64, 16);
AT(appmon_series, method_name, 80, 16);
AT(appmon_series, route, 96, 16);
AT(appmon_series, peer, 112, 24);
AT_LEAST(appmon_series, 136);

AT(appmon_edge, size, 0, 4);
AT(appmon_edge, flags, 4, 4);
AT(appmon_edge, id, 8, 8);
AT(appmon_edge, protocol, 16, 4);
AT(appmon_edge, reserved, 20, 4);
AT(appmon_edge, client_app, 24, 16);
AT(appmon_edge, server_app, 40, 16);
AT(appmon_edge, client, 56, 24);
AT(appmon_edge, server, 80, 24);
AT_LEAST(appmon_edge, 104);

AT(appmon_figures, size, 0, 4);
AT(appmon_figures, reserved, 4, 4);
AT(appmon_figures, requests, 8, 8);
AT(appmon_figures, errors, 16, 8);
AT(appmon_figures, request_bytes, 24, 8);
AT(appmon_figures, response_bytes, 32, 8);
AT(appmon_figures, duration_count, 40, 8);
AT(appmon_figures, duration_sum, 48, 8);
AT(appmon_figures, duration_max, 56, 8);
AT(appmon_figures, request_sum, 64, 8);
AT(appmon_figures, wait_count, 72, 8);
AT(appmon_figures, wait_sum, 80, 8);
AT(appmon_figures, response_sum, 88, 8);
AT(appmon_figures, service_count, 96, 8);
AT(appmon_figures, queue_sum, 104, 8);
AT(appmon_figures, service_sum, 112, 8);
AT(appmon_figures, retransmits, 120, 8);
AT(appmon_figures, first_ns, 128, 8);
AT(appmon_figures, last_ns, 136, 8);
AT_LEAST(appmon_figures, 144);

AT(appmon_exemplar, size, 0, 4);
AT(appmon_exemplar, reserved, 4, 4);
AT(appmon_exemplar, duration_ns, 8, 8);
AT(appmon_exemplar, end_ns, 16, 8);
AT(appmon_exemplar, trace_id, 24, 16);
AT(appmon_exemplar, span_id, 40, 8);
AT_LEAST(appmon_exemplar, 48);

AT(appmon_snapshot_opts, size, 0, 4);
AT(appmon_snapshot_opts, flags, 4, 4);
AT(appmon_snapshot_opts, now_ns, 8, 8);
AT_LEAST(appmon_snapshot_opts, 16);

AT(appmon_resources, size, 0, 4);
AT(appmon_resources, reserved, 4, 4);
AT(appmon_resources, valid, 8, 8);
AT(appmon_resources, from_v1, 16, 8);
AT(appmon_resources, time_ns, 24, 8);
AT(appmon_resources, cpu_ns, 32, 8);
AT(appmon_resources, cpu_user_ns, 40, 8);
AT(appmon_resources, cpu_system_ns, 48, 8);
AT(appmon_resources, periods, 56, 8);
AT(appmon_resources, throttled_periods, 64, 8);
AT(appmon_resources, throttled_ns, 72, 8);
AT(appmon_resources, memory_bytes, 80, 8);
AT(appmon_resources, memory_limit, 88, 8);
AT(appmon_resources, pids, 96, 8);
AT(appmon_resources, pids_limit, 104, 8);
AT(appmon_resources, read_bytes, 112, 8);
AT(appmon_resources, write_bytes, 120, 8);
AT(appmon_resources, reads, 128, 8);
AT(appmon_resources, writes, 136, 8);
AT_LEAST(appmon_resources, 144);

IS(APPMON_PROTO_UNKNOWN, 0);
IS(APPMON_PROTO_HTTP1, 1);
IS(APPMON_ROLE_UNKNOWN, 0);
IS(APPMON_ROLE_SERVER, 1);
IS(APPMON_ROLE_CLIENT, 2);
IS(APPMON_OWNER_UNKNOWN, 0);
IS(APPMON_OWNER_READ, 1);
IS(APPMON_OWNER_READ_SHARED, 2);
IS(APPMON_OWNER_SENT, 3);
IS(APPMON_OWNER_CONNECTED, 4);
IS(APPMON_METHOD_UNKNOWN, 0);
IS(APPMON_METHOD_OTHER, 1);
IS(APPMON_METHOD_GET, 2);
IS(APPMON_METHOD_HEAD, 3);
IS(APPMON_METHOD_POST, 4);
IS(APPMON_METHOD_PUT, 5);
IS(APPMON_METHOD_DELETE, 6);
IS(APPMON_METHOD_CONNECT, 7);
IS(APPMON_METHOD_OPTIONS, 8);
IS(APPMON_METHOD_TRACE, 9);
IS(APPMON_METHOD_PATCH, 10);
IS(APPMON_END_COMPLETE, 0);
IS(APPMON_END_CLOSED, 1);
IS(APPMON_END_RESET_BY_PEER, 2);
IS(APPMON_END_RESET_BY_US, 3);
IS(APPMON_END_TIMEOUT, 4);
IS(APPMON_END_GAP, 5);
IS(APPMON_END_UPGRADED, 6);
IS(APPMON_END_AT_HEAD, 7);
IS(APPMON_DROP_RING_FULL, 0);
IS(APPMON_DROP_MEMORY, 1);
IS(APPMON_DROP_GAP, 2);
IS(APPMON_DROP_TRUNCATED, 3);
IS(APPMON_DROP_PARSE, 4);
IS(APPMON_DROP_DETACHED, 5);
IS(APPMON_DROP_ORPHAN, 6);
IS(APPMON_DROP_SAMPLED, 7);
IS(APPMON_DROP_MAX, 16);
IS(APPMON_LOG_ERROR, 1);
IS(APPMON_LOG_WARN, 2);
IS(APPMON_LOG_INFO, 3);
IS(APPMON_LOG_DEBUG, 4);
IS(APPMON_EVF_NO_RESPONSE, 0x1);
IS(APPMON_EVF_RESET_BY_PEER, 0x2);
IS(APPMON_EVF_RESET_BY_US, 0x4);
IS(APPMON_EVF_TRUNCATED, 0x8);
IS(APPMON_EVF_MID_MESSAGE, 0x10);
IS(APPMON_EVF_GAP, 0x20);
IS(APPMON_EVF_UPGRADED, 0x40);
IS(APPMON_EVF_KEEP_ALIVE, 0x80);
IS(APPMON_EVF_PIPELINED, 0x100);
IS(APPMON_EVF_CHUNKED_REQUEST, 0x200);
IS(APPMON_EVF_CHUNKED_RESPONSE, 0x400);
IS(APPMON_EVF_EARLY_RESPONSE, 0x800);
IS(APPMON_EVF_CONTINUED, 0x1000);
IS(APPMON_EVF_AMBIGUOUS, 0x2000);
IS(APPMON_EVF_INFERRED_END, 0x4000);
IS(APPMON_EVF_MALFORMED, 0x8000);
IS(APPMON_OPEN_DROP_QUERY, 0x1);
IS(APPMON_OPEN_IDENTITY, 0x2);
IS(APPMON_OPEN_STREAM_HEADS, 0x8);
IS(APPMON_CAP_CAPTURE, 0x1);
IS(APPMON_CAP_SWEEP, 0x2);
IS(APPMON_CAP_IDENTITY, 0x4);
IS(APPMON_DIM_INSTANCE, 0x1);
IS(APPMON_DIM_PID, 0x2);
IS(APPMON_DIM_PEER, 0x4);
IS(APPMON_DIM_CLIENT, 0x8);
IS(APPMON_DIM_METHOD, 0x10);
IS(APPMON_DIM_ROUTE, 0x20);
IS(APPMON_DIM_STATUS, 0x40);
IS(APPMON_DIM_NONE, 0x80000000);
IS(APPMON_METRICS_RAW_ROUTES, 0x1);
IS(APPMON_METRICS_NO_LEARNING, 0x2);
IS(APPMON_METRICS_NO_JOIN, 0x4);
IS(APPMON_ERROR_NO_RESPONSE, 0x1);
IS(APPMON_ERROR_1XX, 0x2);
IS(APPMON_ERROR_2XX, 0x4);
IS(APPMON_ERROR_3XX, 0x8);
IS(APPMON_ERROR_4XX, 0x10);
IS(APPMON_ERROR_5XX, 0x20);
IS(APPMON_ERROR_NEVER, 0x80000000);
IS(APPMON_SERIES_OTHER, 0x1);
IS(APPMON_RES_CPU, 0x1);
IS(APPMON_RES_THROTTLING, 0x2);
IS(APPMON_RES_MEMORY, 0x4);
IS(APPMON_RES_PIDS, 0x8);
IS(APPMON_RES_IO, 0x10);
IS(APPMON_TAKE_WAITING, 0x1);
IS(APPMON_SNAPSHOT_SERIES, 0);
IS(APPMON_SNAPSHOT_EDGES, 1);

#endif
