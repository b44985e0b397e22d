// SPDX-License-Identifier: BSD-2-Clause
// Made by bindings/generate from the public headers: do not edit.

//! The structs as this compiler lays them out, against layout.txt, which is the C compiler's.
#![cfg_attr(rustfmt, rustfmt_skip)]

use libappmon_sys as sys;
use std::mem::{size_of, MaybeUninit};

fn size_behind<T>(_: *const T) -> usize {
    size_of::<T>()
}

macro_rules! member {
    ($lines:ident, $name:literal, $type:ident, $member:ident) => {{
        let space = MaybeUninit::<sys::$type>::uninit();
        let member = unsafe { std::ptr::addr_of!((*space.as_ptr()).$member) };
        let offset = member as usize - space.as_ptr() as usize;
        $lines.push(format!("{} {} {}", $name, offset, size_behind(member)));
    }};
}

#[test]
#[cfg(target_pointer_width = "64")]
fn layout_is_what_the_c_compiler_says() {
    let mut lines = Vec::new();
    lines.push(format!("appmon_str {}", size_of::<sys::appmon_str>()));
    member!(lines, "appmon_str.data", appmon_str, data);
    member!(lines, "appmon_str.len", appmon_str, len);
    member!(lines, "appmon_str.truncated", appmon_str, truncated);
    lines.push(format!("appmon_endpoint {}", size_of::<sys::appmon_endpoint>()));
    member!(lines, "appmon_endpoint.family", appmon_endpoint, family);
    member!(lines, "appmon_endpoint.port", appmon_endpoint, port);
    member!(lines, "appmon_endpoint.reserved", appmon_endpoint, reserved);
    member!(lines, "appmon_endpoint.addr", appmon_endpoint, addr);
    lines.push(format!("appmon_header {}", size_of::<sys::appmon_header>()));
    member!(lines, "appmon_header.name", appmon_header, name);
    member!(lines, "appmon_header.value", appmon_header, value);
    member!(lines, "appmon_header.response", appmon_header, response);
    member!(lines, "appmon_header.reserved", appmon_header, reserved);
    lines.push(format!("appmon_event {}", size_of::<sys::appmon_event>()));
    member!(lines, "appmon_event.size", appmon_event, size);
    member!(lines, "appmon_event.protocol", appmon_event, protocol);
    member!(lines, "appmon_event.flags", appmon_event, flags);
    member!(lines, "appmon_event.role", appmon_event, role);
    member!(lines, "appmon_event.end", appmon_event, end);
    member!(lines, "appmon_event.target_id", appmon_event, target_id);
    member!(lines, "appmon_event.reserved0", appmon_event, reserved0);
    member!(lines, "appmon_event.cgroup_id", appmon_event, cgroup_id);
    member!(lines, "appmon_event.connection_id", appmon_event, connection_id);
    member!(lines, "appmon_event.ordinal", appmon_event, ordinal);
    member!(lines, "appmon_event.request_start_ns", appmon_event, request_start_ns);
    member!(lines, "appmon_event.request_end_ns", appmon_event, request_end_ns);
    member!(lines, "appmon_event.response_start_ns", appmon_event, response_start_ns);
    member!(lines, "appmon_event.response_end_ns", appmon_event, response_end_ns);
    member!(lines, "appmon_event.duration_ns", appmon_event, duration_ns);
    member!(lines, "appmon_event.request_ns", appmon_event, request_ns);
    member!(lines, "appmon_event.wait_ns", appmon_event, wait_ns);
    member!(lines, "appmon_event.response_ns", appmon_event, response_ns);
    member!(lines, "appmon_event.request_head_bytes", appmon_event, request_head_bytes);
    member!(lines, "appmon_event.request_body_bytes", appmon_event, request_body_bytes);
    member!(lines, "appmon_event.response_head_bytes", appmon_event, response_head_bytes);
    member!(lines, "appmon_event.response_body_bytes", appmon_event, response_body_bytes);
    member!(lines, "appmon_event.request_content_length", appmon_event, request_content_length);
    member!(lines, "appmon_event.response_content_length", appmon_event, response_content_length);
    member!(lines, "appmon_event.method", appmon_event, method);
    member!(lines, "appmon_event.request_http_version", appmon_event, request_http_version);
    member!(lines, "appmon_event.response_http_version", appmon_event, response_http_version);
    member!(lines, "appmon_event.status", appmon_event, status);
    member!(lines, "appmon_event.status_class", appmon_event, status_class);
    member!(lines, "appmon_event.srtt_us", appmon_event, srtt_us);
    member!(lines, "appmon_event.retransmits", appmon_event, retransmits);
    member!(lines, "appmon_event.peer_retransmits", appmon_event, peer_retransmits);
    member!(lines, "appmon_event.pid", appmon_event, pid);
    member!(lines, "appmon_event.tid", appmon_event, tid);
    member!(lines, "appmon_event.comm", appmon_event, comm);
    member!(lines, "appmon_event.local", appmon_event, local);
    member!(lines, "appmon_event.remote", appmon_event, remote);
    member!(lines, "appmon_event.target_name", appmon_event, target_name);
    member!(lines, "appmon_event.target_user", appmon_event, target_user);
    member!(lines, "appmon_event.headers", appmon_event, headers);
    member!(lines, "appmon_event.method_name", appmon_event, method_name);
    member!(lines, "appmon_event.request_target", appmon_event, request_target);
    member!(lines, "appmon_event.path", appmon_event, path);
    member!(lines, "appmon_event.query", appmon_event, query);
    member!(lines, "appmon_event.authority", appmon_event, authority);
    member!(lines, "appmon_event.reason", appmon_event, reason);
    member!(lines, "appmon_event.header_count", appmon_event, header_count);
    member!(lines, "appmon_event.reserved1", appmon_event, reserved1);
    lines.push(format!("appmon_opts {}", size_of::<sys::appmon_opts>()));
    member!(lines, "appmon_opts.size", appmon_opts, size);
    member!(lines, "appmon_opts.flags", appmon_opts, flags);
    member!(lines, "appmon_opts.memory_limit", appmon_opts, memory_limit);
    member!(lines, "appmon_opts.ring_bytes", appmon_opts, ring_bytes);
    member!(lines, "appmon_opts.capture_bytes", appmon_opts, capture_bytes);
    member!(lines, "appmon_opts.exchange_timeout_ms", appmon_opts, exchange_timeout_ms);
    member!(lines, "appmon_opts.idle_timeout_ms", appmon_opts, idle_timeout_ms);
    member!(lines, "appmon_opts.log_level", appmon_opts, log_level);
    member!(lines, "appmon_opts.header_count", appmon_opts, header_count);
    member!(lines, "appmon_opts.headers", appmon_opts, headers);
    member!(lines, "appmon_opts.event_fn", appmon_opts, event_fn);
    member!(lines, "appmon_opts.event_ctx", appmon_opts, event_ctx);
    member!(lines, "appmon_opts.log_fn", appmon_opts, log_fn);
    member!(lines, "appmon_opts.log_ctx", appmon_opts, log_ctx);
    member!(lines, "appmon_opts.error_text", appmon_opts, error_text);
    member!(lines, "appmon_opts.error_text_size", appmon_opts, error_text_size);
    member!(lines, "appmon_opts.reserved", appmon_opts, reserved);
    lines.push(format!("appmon_attach_opts {}", size_of::<sys::appmon_attach_opts>()));
    member!(lines, "appmon_attach_opts.size", appmon_attach_opts, size);
    member!(lines, "appmon_attach_opts.capture_bytes", appmon_attach_opts, capture_bytes);
    member!(lines, "appmon_attach_opts.name", appmon_attach_opts, name);
    member!(lines, "appmon_attach_opts.user", appmon_attach_opts, user);
    lines.push(format!("appmon_stats {}", size_of::<sys::appmon_stats>()));
    member!(lines, "appmon_stats.size", appmon_stats, size);
    member!(lines, "appmon_stats.reserved", appmon_stats, reserved);
    member!(lines, "appmon_stats.valid", appmon_stats, valid);
    member!(lines, "appmon_stats.exchanges_seen", appmon_stats, exchanges_seen);
    member!(lines, "appmon_stats.delivered", appmon_stats, delivered);
    member!(lines, "appmon_stats.outstanding", appmon_stats, outstanding);
    member!(lines, "appmon_stats.dropped", appmon_stats, dropped);
    member!(lines, "appmon_stats.connections_seen", appmon_stats, connections_seen);
    member!(lines, "appmon_stats.connections_open", appmon_stats, connections_open);
    member!(lines, "appmon_stats.connections_skipped", appmon_stats, connections_skipped);
    member!(lines, "appmon_stats.requests", appmon_stats, requests);
    member!(lines, "appmon_stats.responses", appmon_stats, responses);
    member!(lines, "appmon_stats.tunnel_bytes", appmon_stats, tunnel_bytes);
    member!(lines, "appmon_stats.records", appmon_stats, records);
    member!(lines, "appmon_stats.records_lost", appmon_stats, records_lost);
    member!(lines, "appmon_stats.records_bad", appmon_stats, records_bad);
    member!(lines, "appmon_stats.memory_bytes", appmon_stats, memory_bytes);
    member!(lines, "appmon_stats.memory_limit", appmon_stats, memory_limit);
    lines.push(format!("appmon_capabilities {}", size_of::<sys::appmon_capabilities>()));
    member!(lines, "appmon_capabilities.size", appmon_capabilities, size);
    member!(lines, "appmon_capabilities.reserved", appmon_capabilities, reserved);
    member!(lines, "appmon_capabilities.supported", appmon_capabilities, supported);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../layout.txt");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(lines, text.lines().collect::<Vec<_>>());
}
