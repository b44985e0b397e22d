/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of every public struct and the value of every public constant, as they were
 * in 0.1, on machines with 64-bit pointers. A line here never changes; new members and constants
 * add lines.
 */
#include <appmon/appmon.h>

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

AT(appmon_trace, format, 0, 4);
AT(appmon_trace, flags, 4, 4);
AT(appmon_trace, trace_id, 8, 16);
AT(appmon_trace, span_id, 24, 8);
AT(appmon_trace, parent_span_id, 32, 8);
EXACTLY(appmon_trace, 40);

AT(appmon_event, size, 0, 4);
AT(appmon_event, protocol, 4, 4);
AT(appmon_event, flags, 8, 8);
AT(appmon_event, role, 16, 4);
AT(appmon_event, end, 20, 4);
AT(appmon_event, target_id, 24, 4);
AT(appmon_event, reserved0, 28, 4);
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
AT(appmon_event, trace, 496, 40);
AT(appmon_event, trace_text, 536, 16);
AT(appmon_event, request_id, 552, 16);
AT(appmon_event, link, 568, 4);
AT(appmon_event, reserved3, 572, 4);
AT(appmon_event, link_connection_id, 576, 8);
AT(appmon_event, link_ordinal, 584, 8);
AT_LEAST(appmon_event, 592);

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
AT(appmon_opts, request_id_headers, 96, 8);
AT(appmon_opts, request_id_header_count, 104, 4);
AT(appmon_opts, reserved1, 108, 4);
AT_LEAST(appmon_opts, 112);

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
AT_LEAST(appmon_stats, 256);

AT(appmon_container, size, 0, 4);
AT(appmon_container, runtime, 4, 4);
AT(appmon_container, id, 8, 72);
AT(appmon_container, pod_uid, 80, 40);
AT_LEAST(appmon_container, 120);

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
IS(APPMON_DROP_RING_FULL, 0);
IS(APPMON_DROP_MEMORY, 1);
IS(APPMON_DROP_GAP, 2);
IS(APPMON_DROP_TRUNCATED, 3);
IS(APPMON_DROP_PARSE, 4);
IS(APPMON_DROP_DETACHED, 5);
IS(APPMON_DROP_ORPHAN, 6);
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
IS(APPMON_OPEN_TRACE, 0x4);
IS(APPMON_OPEN_LINKS, 0x8);
IS(APPMON_TRACE_NONE, 0);
IS(APPMON_TRACE_W3C, 1);
IS(APPMON_TRACE_B3, 2);
IS(APPMON_TRACE_B3_MULTI, 3);
IS(APPMON_TRACE_JAEGER, 4);
IS(APPMON_TRACE_SW8, 5);
IS(APPMON_TRACE_SAMPLED, 0x1);
IS(APPMON_TRACE_UNDECIDED, 0x2);
IS(APPMON_TRACE_DEBUG, 0x4);
IS(APPMON_RUNTIME_UNKNOWN, 0);
IS(APPMON_RUNTIME_DOCKER, 1);
IS(APPMON_RUNTIME_CONTAINERD, 2);
IS(APPMON_RUNTIME_CRIO, 3);
IS(APPMON_RUNTIME_PODMAN, 4);
IS(APPMON_LINK_NONE, 0);
IS(APPMON_LINK_THREAD, 1);
IS(APPMON_LINK_PEER, 2);
IS(APPMON_LINK_FORWARDED, 3);
IS(APPMON_LINK_REQUEST_ID, 4);
IS(APPMON_LINK_TRACE_ID, 5);
IS(APPMON_LINK_WORKER, 6);
IS(APPMON_LINK_SOLE, 7);
IS(APPMON_CAP_CAPTURE, 0x1);
IS(APPMON_CAP_SWEEP, 0x2);
IS(APPMON_CAP_IDENTITY, 0x4);

#endif
