// SPDX-License-Identifier: BSD-2-Clause
// Made by bindings/generate from the public headers: do not edit.

use std::os::raw::{c_char, c_int, c_void};

/// The version of the headers: (major << 16) | (minor << 8) | patch.
pub const APPMON_VERSION_NUM: u32 = 0x100;

/// of no event so far
pub const APPMON_PROTO_UNKNOWN: u32 = 0;
/// HTTP/1.0 and HTTP/1.1, RFC 9112
pub const APPMON_PROTO_HTTP1: u32 = 1;
/// Redis's, RESP2 and RESP3: only if asked for, see protocols
pub const APPMON_PROTO_RESP: u32 = 2;
/// HTTP/2 (RFC 9113) in clear text, an event for each stream, and gRPC: only if asked for
pub const APPMON_PROTO_HTTP2: u32 = 3;
/// PostgreSQL's, version 3: likewise
pub const APPMON_PROTO_POSTGRESQL: u32 = 4;
/// MySQL's and MariaDB's: likewise
pub const APPMON_PROTO_MYSQL: u32 = 5;
/// TLS up to 1.3 as it is on the wire, without its plaintext: only if asked for. An event is an opaque
/// exchange, or a handshake that failed.
pub const APPMON_PROTO_TLS: u32 = 6;

/// which side sends the requests was not seen
pub const APPMON_ROLE_UNKNOWN: u32 = 0;
/// the request arrived on it
pub const APPMON_ROLE_SERVER: u32 = 1;
/// the request was sent from it
pub const APPMON_ROLE_CLIENT: u32 = 2;

/// no request line was seen
pub const APPMON_METHOD_UNKNOWN: u32 = 0;
/// a token not listed here: see operation
pub const APPMON_METHOD_OTHER: u32 = 1;
/// RFC 9110 section 9.3.1
pub const APPMON_METHOD_GET: u32 = 2;
/// RFC 9110 section 9.3.2
pub const APPMON_METHOD_HEAD: u32 = 3;
/// RFC 9110 section 9.3.3
pub const APPMON_METHOD_POST: u32 = 4;
/// RFC 9110 section 9.3.4
pub const APPMON_METHOD_PUT: u32 = 5;
/// RFC 9110 section 9.3.5
pub const APPMON_METHOD_DELETE: u32 = 6;
/// RFC 9110 section 9.3.6
pub const APPMON_METHOD_CONNECT: u32 = 7;
/// RFC 9110 section 9.3.7
pub const APPMON_METHOD_OPTIONS: u32 = 8;
/// RFC 9110 section 9.3.8
pub const APPMON_METHOD_TRACE: u32 = 9;
/// RFC 5789
pub const APPMON_METHOD_PATCH: u32 = 10;

/// the last byte of the response was seen
pub const APPMON_END_COMPLETE: u32 = 0;
/// the connection closed (FIN) before that
pub const APPMON_END_CLOSED: u32 = 1;
/// an RST arrived before that
pub const APPMON_END_RESET_BY_PEER: u32 = 2;
/// an RST was sent before that
pub const APPMON_END_RESET_BY_US: u32 = 3;
/// silence for exchange_timeout_ms
pub const APPMON_END_TIMEOUT: u32 = 4;
/// bytes were missed: the rest is unknown
pub const APPMON_END_GAP: u32 = 5;
/// became a tunnel (101, or 2xx to CONNECT)
pub const APPMON_END_UPGRADED: u32 = 6;
/// reported at its head: APPMON_OPEN_STREAM_HEADS
pub const APPMON_END_AT_HEAD: u32 = 7;
/// HTTP/2: a peer gave the stream up (RST_STREAM, GOAWAY). PostgreSQL: the server passed over it, because
/// an error came before it.
pub const APPMON_END_ABANDONED: u32 = 8;
/// what follows on the connection is encrypted: SSLRequest
pub const APPMON_END_ENCRYPTED: u32 = 9;

/// Not known: the answer was missed (a gap), has not come yet, or cannot be read (TLS).
pub const APPMON_OUTCOME_UNKNOWN: u32 = 0;
/// HTTP: a status below 400, or an answer without a status line. gRPC, SQL: no error. RESP: a reply that
/// is no error, none where none was due, or one that sends the client elsewhere (MOVED, ASK).
pub const APPMON_OUTCOME_OK: u32 = 1;
/// HTTP: 400 to 499. gRPC, RESP, SQL: other errors than the next. TLS: the server's alert ended the
/// handshake.
pub const APPMON_OUTCOME_CLIENT_ERROR: u32 = 2;
/// HTTP: 500 and above. gRPC: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE,
/// DATA_LOSS, and a call that the server gave up. RESP: the server cannot at present: LOADING, BUSY, OOM,
/// MISCONF, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, NOREPLICAS. PostgreSQL: SQLSTATE of the classes 08, 53,
/// 57, 58, XX. MySQL: 1040, 1205, 1213, 2000 to 2999. TLS: the client's alert ended the handshake, as it
/// does for the server's certificate, or the server's internal_error.
pub const APPMON_OUTCOME_SERVER_ERROR: u32 = 3;
/// no answer for exchange_timeout_ms
pub const APPMON_OUTCOME_TIMEOUT: u32 = 4;
/// The client reset the connection before the answer. HTTP/2: it gave the stream up. gRPC: CANCELLED,
/// too. PostgreSQL: also SQLSTATE 57014, and what was passed over after an error. MySQL: also 1317.
pub const APPMON_OUTCOME_CANCELLED: u32 = 5;
/// the connection ended otherwise before the answer
pub const APPMON_OUTCOME_NO_RESPONSE: u32 = 6;

/// no request was seen
pub const APPMON_OP_UNKNOWN: u32 = 0;
/// none of those below, or not known to be one
pub const APPMON_OP_OTHER: u32 = 1;
/// HTTP: safe methods (RFC 9110 section 9.2.1). RESP: reads keys
pub const APPMON_OP_READ: u32 = 2;
/// HTTP: PUT, DELETE, PATCH. RESP: changes keys
pub const APPMON_OP_WRITE: u32 = 3;
/// HTTP: POST. RESP: runs a script or a function
pub const APPMON_OP_CALL: u32 = 4;
/// RESP: PUBLISH, SPUBLISH
pub const APPMON_OP_PUBLISH: u32 = 5;
/// RESP: begins or ends a subscription
pub const APPMON_OP_RECEIVE: u32 = 6;
/// about the connection itself. HTTP: CONNECT. RESP: AUTH, SELECT ...
pub const APPMON_OP_SESSION: u32 = 7;

/// none of the fields below is well formed
pub const APPMON_TRACE_NONE: u32 = 0;
/// traceparent (W3C Trace Context)
pub const APPMON_TRACE_W3C: u32 = 1;
/// b3 (Zipkin), the single field
pub const APPMON_TRACE_B3: u32 = 2;
/// x-b3-traceid, x-b3-spanid ...
pub const APPMON_TRACE_B3_MULTI: u32 = 3;
/// uber-trace-id
pub const APPMON_TRACE_JAEGER: u32 = 4;
/// sw8 (SkyWalking)
pub const APPMON_TRACE_SW8: u32 = 5;

/// the path names the container only
pub const APPMON_RUNTIME_UNKNOWN: u32 = 0;
/// docker-ID.scope, or ID in a directory docker
pub const APPMON_RUNTIME_DOCKER: u32 = 1;
/// cri-containerd-ID, nerdctl-ID
pub const APPMON_RUNTIME_CONTAINERD: u32 = 2;
/// crio-ID
pub const APPMON_RUNTIME_CRIO: u32 = 3;
/// libpod-ID
pub const APPMON_RUNTIME_PODMAN: u32 = 4;

/// not at all: both are 0
pub const APPMON_OWNER_UNKNOWN: u32 = 0;
/// server: this thread read the request
pub const APPMON_OWNER_READ: u32 = 1;
/// server: several threads read it; this is the last
pub const APPMON_OWNER_READ_SHARED: u32 = 2;
/// Client: this thread sent the request. Server: this thread sent the response; who read the request was
/// not seen.
pub const APPMON_OWNER_SENT: u32 = 3;
/// Client: this thread connected; who sent the request was not seen.
pub const APPMON_OWNER_CONNECTED: u32 = 4;

/// for none that is known
pub const APPMON_LINK_NONE: u32 = 0;
/// Certain. Client: sent by the thread that had read that request, and no other, with blocking reads, and
/// had not answered it yet.
pub const APPMON_LINK_THREAD: u32 = 1;
/// Certain. Server: the same bytes, seen where they were sent.
pub const APPMON_LINK_PEER: u32 = 2;
/// As certain as the header field that says so. Client: its Forwarded field (RFC 7239) names the address
/// and port from which that request came.
pub const APPMON_LINK_FORWARDED: u32 = 3;
/// As certain as the field. Client: of the open requests only that one has its x-request-id, or other
/// field of request_id_headers.
pub const APPMON_LINK_REQUEST_ID: u32 = 4;
/// As certain as the field. Client: of the open requests only that one has its trace id.
pub const APPMON_LINK_TRACE_ID: u32 = 5;
/// Likely. Client: as THREAD, without blocking reads, of a process that has always served each of
/// overlapping requests by one thread.
pub const APPMON_LINK_WORKER: u32 = 6;
/// Likely. Client: sent by the thread that had read that request, the only one that its process had in
/// progress; not while a share of the connections is watched.
pub const APPMON_LINK_SOLE: u32 = 7;
/// Certain; of Go programs, with APPMON_OPEN_GOROUTINES. Client: asked for by the goroutine in which
/// net/http was serving that request, which was not answered yet.
pub const APPMON_LINK_GOROUTINE: u32 = 8;
/// Likely; of Go programs, as above. Client: by a goroutine that was started while that request was
/// served, by the one that served it or one so started, and that request was not answered yet.
pub const APPMON_LINK_STARTED: u32 = 9;

/// the host did not read fast enough
pub const APPMON_DROP_RING_FULL: u32 = 0;
/// memory_limit reached, now or when its connection was forgotten a moment before: then the handle counts
/// it, but no target
pub const APPMON_DROP_MEMORY: u32 = 1;
/// a message could not be assembled: bytes missed
pub const APPMON_DROP_GAP: u32 = 2;
/// the request line alone exceeds the capture limit
pub const APPMON_DROP_TRUNCATED: u32 = 3;
/// began like HTTP, but the start line cannot be read
pub const APPMON_DROP_PARSE: u32 = 4;
/// its target was detached meanwhile
pub const APPMON_DROP_DETACHED: u32 = 5;
/// a response whose request was not seen and cannot be reported
pub const APPMON_DROP_ORPHAN: u32 = 6;
/// its connection left the sample, or capture was paused
pub const APPMON_DROP_SAMPLED: u32 = 7;
/// length of the array; the rest is 0
pub const APPMON_DROP_MAX: u32 = 16;

/// a failure, as appmon_last_error() has it; the verifier's words
pub const APPMON_LOG_ERROR: u32 = 1;
/// something is missing from now on, and what to do about it
pub const APPMON_LOG_WARN: u32 = 2;
/// what was attached, and what becomes of it
pub const APPMON_LOG_INFO: u32 = 3;
/// for those who look for a fault: also each exchange that is dropped, and where pairing is given up,
/// with the reason
pub const APPMON_LOG_DEBUG: u32 = 4;
/// each record and each decision: many lines a request
pub const APPMON_LOG_TRACE: u32 = 5;

/// No final response was seen.
pub const APPMON_EVF_NO_RESPONSE: u64 = 0x1;
/// An RST arrived.
pub const APPMON_EVF_RESET_BY_PEER: u64 = 0x2;
/// An RST was sent.
pub const APPMON_EVF_RESET_BY_US: u64 = 0x4;
/// A head was longer than the capture limit, or cut off by the end: headers are missing.
pub const APPMON_EVF_TRUNCATED: u64 = 0x8;
/// The capture began inside the exchange.
pub const APPMON_EVF_MID_MESSAGE: u64 = 0x10;
/// Bytes of this exchange were missed.
pub const APPMON_EVF_GAP: u64 = 0x20;
/// The connection is a tunnel from here on.
pub const APPMON_EVF_UPGRADED: u64 = 0x40;
/// Both sides let the connection persist.
pub const APPMON_EVF_KEEP_ALIVE: u64 = 0x80;
/// Sent before an earlier response was complete.
pub const APPMON_EVF_PIPELINED: u64 = 0x100;
/// The request's body came in chunks.
pub const APPMON_EVF_CHUNKED_REQUEST: u64 = 0x200;
/// The response's body came in chunks.
pub const APPMON_EVF_CHUNKED_RESPONSE: u64 = 0x400;
/// The response began before the request ended.
pub const APPMON_EVF_EARLY_RESPONSE: u64 = 0x800;
/// A 1xx response came before the final one.
pub const APPMON_EVF_CONTINUED: u64 = 0x1000;
/// Framing that has two readings (RFC 9112 section 11.2): Content-Length with Transfer-Encoding, two
/// lengths, one that is no number, a field that readers may miss, chunk lines that are not as in section
/// 7.1. TLS 1.3: the first exchange of a connection; bytes of the handshake, such as tickets, can be
/// counted with it, and its response can seem to begin with them.
pub const APPMON_EVF_AMBIGUOUS: u64 = 0x2000;
/// The end of a body was inferred, not counted: chunked beyond the captured bytes, or delimited by what
/// cannot be read.
pub const APPMON_EVF_INFERRED_END: u64 = 0x4000;
/// A head is not as in RFC 9112: lines that are no fields were passed over, start lines keep their
/// control bytes. Without a method: not even the request line could be read, but it was answered.
pub const APPMON_EVF_MALFORMED: u64 = 0x8000;
/// The answer has no status line (HTTP/0.9, ICY): status is 0, all of it is body.
pub const APPMON_EVF_NO_STATUS_LINE: u64 = 0x10000;
/// Something that was said is not known. HTTP/2: fields that were indexed before the capture began or in
/// a block that was missed, or a head that was not captured whole; what is there is certain. SQL: a
/// statement that was prepared before the attach, or so long ago that it was forgotten.
pub const APPMON_EVF_PARTIAL: u64 = 0x20000;
/// The server began it (HTTP/2: PUSH_PROMISE): the request, too, came from it.
pub const APPMON_EVF_SERVER_BEGAN: u64 = 0x40000;
/// One request with several statements; operation is the first one's.
pub const APPMON_EVF_MULTI: u64 = 0x80000;
/// The connection is a stream of replication from here on.
pub const APPMON_EVF_REPLICATION: u64 = 0x100000;
/// What follows on the connection is compressed, and has no events.
pub const APPMON_EVF_COMPRESSED: u64 = 0x200000;
/// Inside TLS: times can be those of the TLS library's calls, for records of the wire could not be told
/// for all of them.
pub const APPMON_EVF_CALL_TIMES: u64 = 0x400000;

/// the sender records the trace
pub const APPMON_TRACE_SAMPLED: u32 = 0x1;
/// b3, x-b3-*: that is left to the receiver
pub const APPMON_TRACE_UNDECIDED: u32 = 0x2;
/// b3, x-b3-*, uber-trace-id: it shall be kept
pub const APPMON_TRACE_DEBUG: u32 = 0x4;

/// The target's cgroup was removed, and its last socket is gone: no request of it will come any more. It
/// stays attached until appmon_detach(). Of the handle: one of its targets is such a one.
pub const APPMON_STATS_REMOVED: u32 = 0x1;
/// Of the handle: appmon_record() was asked for, and the recording has ended by itself, at
/// record_max_bytes or with a write that failed.
pub const APPMON_STATS_RECORD_ENDED: u32 = 0x2;

/// Never keep the query part of a target, nor a fragment that a client sends behind it.
pub const APPMON_OPEN_DROP_QUERY: u32 = 0x1;
/// Who served or sent, and when it read: fills in appmon_event.owner and what depends on it, where the
/// kernel can (APPMON_CAP_IDENTITY).
pub const APPMON_OPEN_IDENTITY: u32 = 0x2;
/// Trace ids: keeps the fields that carry them, fills in appmon_event.trace, trace_text, request_id.
pub const APPMON_OPEN_TRACE: u32 = 0x4;
/// A response without a declared length, such as an event stream, is reported at its head if it goes on
/// behind it (APPMON_END_AT_HEAD): without its end, and with no second event for that.
pub const APPMON_OPEN_STREAM_HEADS: u32 = 0x8;
/// What an exchange was made for: appmon_event.link. Implies APPMON_OPEN_IDENTITY and _TRACE; without
/// APPMON_CAP_IDENTITY there is evidence from header fields and from the other end only.
pub const APPMON_OPEN_LINKS: u32 = 0x10;
/// Follows goroutines, for links of Go programs (1.21 to 1.26, x86-64): attaches uprobes to their
/// executables, those of processes that are in a cgroup at its attach, and of others when their first
/// event is due; at most 64, until appmon_close(). Whoever runs such an executable pays some 2
/// microseconds for each go statement and each request that is served, and twice that for one that is
/// sent. Implies APPMON_OPEN_LINKS. Needs CAP_SYS_ADMIN (before Linux 6.16 CAP_PERFMON), and
/// CAP_SYS_PTRACE for other users' processes, as long as programs come. What cannot be followed is logged
/// (WARN), and has no links of that kind.
pub const APPMON_OPEN_GOROUTINES: u32 = 0x20;
/// Leaves out what has no request: a response to one that passed before the attach, or was missed. It has
/// no event, and counts as dropped\[APPMON_DROP_ORPHAN\].
pub const APPMON_OPEN_ONLY_REQUESTS: u32 = 0x40;
/// Targets as sent: with the secrets that are left out otherwise, see appmon_opts.redact_names. For
/// debugging; whoever reads the events can act as the clients.
pub const APPMON_OPEN_KEEP_SECRETS: u32 = 0x80;
/// SQL: appmon_event.query_text with its literals, the very bytes of the client, and message with the
/// server's words, which may repeat them.
pub const APPMON_OPEN_QUERY_TEXT: u32 = 0x100;
/// Requests inside TLS are reported as others are, by what the application's TLS library reads and
/// writes: OpenSSL 1.1.1 and later, GnuTLS and BoringSSL with symbols, as a library or in the executable,
/// and crypto/tls of Go 1.21 to 1.26. x86-64 only. Keys are never touched. The library attaches uprobes
/// to such files: those of processes that are in a cgroup at its attach, and of others when they make
/// their first socket or send a hello; at most 256, until appmon_close(), which takes up to a second for
/// each (since Linux 6.13 less than a tenth). A call costs 2 to 5 microseconds; a read of OpenSSL that
/// finds nothing costs none where the library understands its code, as that of 1.1.1 and 3.0. Whoever
/// else maps such a file pays 2 to 3 for each call, and since Linux 6.13 some 1.5, but only calls of
/// processes in the cgroups, and of those that they start, are read: a probe for one process alone would
/// miss what its children do first. The first connections of the first process with a new file can stay
/// closed: an event of TLS. A connection that was open before the attach is told once a write shows its
/// socket: because its thread sends meanwhile, or, where OpenSSL and BoringSSL write to memory as in node
/// and asyncio, by the ciphertext. For that such a process, 64 at most, gets one more probe, of a
/// microsecond a write. Implies APPMON_OPEN_IDENTITY, and APPMON_PROTO_TLS in protocols. Needs
/// CAP_SYS_ADMIN as long as processes come (before Linux 6.16 CAP_PERFMON with CAP_CHECKPOINT_RESTORE),
/// and for other users' processes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. A file or process that cannot
/// be looked into is logged (WARN), and counted in appmon_stats.tls_refused.
pub const APPMON_OPEN_TLS: u32 = 0x200;

/// cgroup_skb with socket storage: the core.
pub const APPMON_CAP_CAPTURE: u64 = 0x1;
/// iter/bpf_sk_storage_map, or iter/task_file where that is refused: the end of a long body is reported
/// at once even if its signal was rate-limited.
pub const APPMON_CAP_SWEEP: u64 = 0x2;
/// APPMON_OPEN_IDENTITY was asked for and works.
pub const APPMON_CAP_IDENTITY: u64 = 0x4;
/// APPMON_OPEN_GOROUTINES was asked for and works.
pub const APPMON_CAP_GOROUTINES: u64 = 0x8;
/// APPMON_OPEN_TLS was asked for and works.
pub const APPMON_CAP_TLS: u64 = 0x10;

/// all connections
pub const APPMON_SAMPLING_ALL: u32 = 0xf4240;

/// one for each combination of labels
pub const APPMON_SNAPSHOT_SERIES: u32 = 0;
/// one for each pair of who asked and who was asked
pub const APPMON_SNAPSHOT_EDGES: u32 = 1;
/// one for each application with requests in progress
pub const APPMON_SNAPSHOT_ACTIVE: u32 = 2;

/// duration_ns
pub const APPMON_TIME_DURATION: u32 = 0;
/// queue_ns
pub const APPMON_TIME_QUEUE: u32 = 1;
/// service_ns
pub const APPMON_TIME_SERVICE: u32 = 2;

/// The leaf cgroup.
pub const APPMON_DIM_INSTANCE: u32 = 0x1;
/// The process, where events name it.
pub const APPMON_DIM_PID: u32 = 0x2;
/// The other application where it is monitored too; of a server that is not, address and port.
pub const APPMON_DIM_PEER: u32 = 0x4;
/// The address of clients that are not monitored; without it they are all one, in edges too.
pub const APPMON_DIM_CLIENT: u32 = 0x8;
/// The method; of what is not HTTP the operation.
pub const APPMON_DIM_METHOD: u32 = 0x10;
/// The path without ids and the like; of a statement its summary, its table and the database.
pub const APPMON_DIM_ROUTE: u32 = 0x20;
/// The status: status_text and the number of it.
pub const APPMON_DIM_STATUS: u32 = 0x40;
/// None of the above.
pub const APPMON_DIM_NONE: u32 = 0x80000000;

/// the path is the route as it is
pub const APPMON_METRICS_RAW_ROUTES: u32 = 0x1;
/// never look for the application behind a peer
pub const APPMON_METRICS_NO_JOIN: u32 = 0x2;
/// Snapshots have what is in progress: the host calls appmon_metrics_active() for it before each.
pub const APPMON_METRICS_ACTIVE: u32 = 0x4;
/// Histograms of queue and service times, too: three of them in place of one.
pub const APPMON_METRICS_SERVICE: u32 = 0x8;

/// APPMON_OUTCOME_CLIENT_ERROR
pub const APPMON_ERROR_CLIENT: u32 = 0x4;
/// APPMON_OUTCOME_SERVER_ERROR
pub const APPMON_ERROR_SERVER: u32 = 0x8;
/// APPMON_OUTCOME_TIMEOUT
pub const APPMON_ERROR_TIMEOUT: u32 = 0x10;
/// APPMON_OUTCOME_CANCELLED
pub const APPMON_ERROR_CANCELLED: u32 = 0x20;
/// APPMON_OUTCOME_NO_RESPONSE
pub const APPMON_ERROR_NO_RESPONSE: u32 = 0x40;
/// No outcome is an error.
pub const APPMON_ERROR_NEVER: u32 = 0x80000000;

/// Holds what found no room of its own. A series has app and role, if all of it has the same, and no
/// other member; an edge has no member.
pub const APPMON_SERIES_OTHER: u32 = 0x1;

/// cpu_ns, cpu_user_ns, cpu_system_ns
pub const APPMON_RES_CPU: u64 = 0x1;
/// periods, throttled_periods, throttled_ns
pub const APPMON_RES_THROTTLING: u64 = 0x2;
/// memory_bytes, memory_limit
pub const APPMON_RES_MEMORY: u64 = 0x4;
/// pids, pids_limit
pub const APPMON_RES_PIDS: u64 = 0x8;
/// read_bytes, write_bytes, reads, writes
pub const APPMON_RES_IO: u64 = 0x10;

/// Events that wait for their other end are counted as they are: at the end, or for a test.
pub const APPMON_TAKE_WAITING: u32 = 0x1;

/// A handle of the library's.
#[repr(C)]
pub struct appmon {
    _opaque: [u8; 0],
}

/// A handle of the library's.
#[repr(C)]
pub struct appmon_metrics {
    _opaque: [u8; 0],
}

/// A handle of the library's.
#[repr(C)]
pub struct appmon_snapshot {
    _opaque: [u8; 0],
}

/// A handle of the library's.
#[repr(C)]
pub struct appmon_histogram {
    _opaque: [u8; 0],
}

/// Receives one event.
/// Lifetime   ev and all it points to are valid until the callback returns.
/// Return     0: go on. > 0: stop; appmon_poll() returns the number of events
/// delivered so far. \< 0: stop; appmon_poll() returns this value. The
/// event counts as delivered in every case.
/// Reserved   Return only 0, 1 or a negative errno value: others may get a meaning.
/// Inside     Allowed: attach, detach (also of the event's own target), stats,
/// capabilities, wakeup, last_error and all helpers. appmon_poll(),
/// appmon_next() and appmon_close() return -EBUSY. Do not longjmp or
/// unwind through the library.
pub type appmon_event_fn =
    Option<unsafe extern "C" fn(ctx: *mut c_void, ev: *const appmon_event) -> c_int>;

/// Receives one line of log: UTF-8 without newline, borrowed, on the calling thread. It may call
/// no function of the library. Lines are for people: their wording can change. Of what applications
/// say they hold a request's method and path or a command's name (TRACE), no more.
pub type appmon_log_fn =
    Option<unsafe extern "C" fn(ctx: *mut c_void, level: c_int, line: *const c_char)>;

/// A route for an event, in place of the built-in normalising: at most size bytes into buf, which
/// need no '\0'. Returns their number (more than size: cut off) or a negative value for the built-in
/// one. Must not use the aggregator.
pub type appmon_route_fn =
    Option<unsafe extern "C" fn(ctx: *mut c_void, ev: *const appmon_event, buf: *mut c_char, size: usize) -> c_int>;

/// Whether an event counts as an error: 0 or 1, negative: as server_errors and client_errors say.
pub type appmon_error_fn =
    Option<unsafe extern "C" fn(ctx: *mut c_void, ev: *const appmon_event) -> c_int>;

/// The instance of an event in place of its cgroup_id: one number for all cgroups that were made one
/// after the other under a path, for instance, so that the series of a service go on when it is
/// restarted. Must not use the aggregator.
pub type appmon_instance_fn =
    Option<unsafe extern "C" fn(ctx: *mut c_void, ev: *const appmon_event) -> u64>;

/// Bytes from the network: any value may occur, escape before printing. data is
/// never NULL and data\[len\] is '\0'; len does not count it. An absent value has
/// len 0. Valid as long as the struct that holds it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_str {
    pub data: *const c_char,
    pub len: u32,
    /// 1: the capture limit cut it off
    pub truncated: u32,
}

/// One address and port. A v4-mapped IPv6 socket is reported as IPv4.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_endpoint {
    /// 4, 6, or 0 when unknown
    pub family: u16,
    /// host byte order
    pub port: u16,
    pub reserved: u32,
    /// network byte order; IPv4 uses the first 4 bytes
    pub addr: [u8; 16],
}

/// A header field that was asked for. Repeated fields appear repeatedly.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_header {
    /// lower case
    pub name: appmon_str,
    /// without surrounding white space
    pub value: appmon_str,
    /// 0: of the request, 1: of the response
    pub response: u32,
    pub reserved: u32,
}

/// The trace ids of a request, from the first of the fields at APPMON_TRACE_* that is well formed.
/// Shorter ids have zeros before them; an id that the format lacks is all zeros.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_trace {
    /// enum appmon_trace_format, APPMON_TRACE_*
    pub format: u32,
    /// APPMON_TRACE_SAMPLED ...
    pub flags: u32,
    /// sw8: 0 unless it is a UUID; see appmon_event.trace_text
    pub trace_id: [u8; 16],
    // Of the sender: traceparent's parent-id, b3's span id; sw8: the number of the span in its
    // segment, big-endian.
    pub span_id: [u8; 8],
    /// of the sender's parent: b3, x-b3-*, uber-trace-id
    pub parent_span_id: [u8; 8],
}

/// One exchange: a request and its response, or what was seen of them.
///
/// Borrowed: valid until the callback returns, or in pull mode until the next
/// appmon_next(), appmon_poll(), appmon_detach() or appmon_close(). Names in
/// parentheses are OpenTelemetry's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_event {
    /// bytes of this struct that the library filled
    pub size: u32,
    /// enum appmon_protocol, APPMON_PROTO_* (network.protocol.name)
    pub protocol: u32,
    /// APPMON_EVF_*
    pub flags: u64,
    /// enum appmon_role, APPMON_ROLE_*
    pub role: u32,
    /// enum appmon_end, APPMON_END_*
    pub end: u32,
    /// as returned by appmon_attach_cgroup()
    pub target_id: u32,
    // Share of connections watched when the request began, parts per million: it stands for
    // 1,000,000 / sampling_ppm exchanges.
    pub sampling_ppm: u32,
    /// the name given at attach
    pub target_name: appmon_str,
    /// the pointer given at attach
    pub target_user: *mut c_void,
    /// leaf cgroup of the socket: inode of its cgroup v2 directory
    pub cgroup_id: u64,
    // Socket cookie: unique per boot (SO_COOKIE, Linux 4.12). 2^62 and up: an id of the library's
    // own, unique in the handle: the request met a listening socket, and its connection's own
    // socket had not shown up when the event was made.
    pub connection_id: u64,
    // 1 for the first exchange seen on the connection, then one more each; unique with
    // connection_id: after the library had to forget the connection (limits, idle time) it goes
    // on higher.
    pub ordinal: u64,
    // What was asked and what became of it, for any protocol alike. "" where it is not known,
    // or where there is no such thing.
    /// enum appmon_operation_type, APPMON_OP_*
    pub operation_type: u32,
    /// enum appmon_outcome, APPMON_OUTCOME_*: error rates go by it
    pub outcome: u32,
    /// what speaks the protocol (db.system.name): RESP: "redis"; gRPC: "grpc" (rpc.system.name);
    /// "postgresql", "mysql", "tls"; HTTP: ""
    pub system: appmon_str,
    // HTTP: the method as sent (http.request.method). RESP: the command's name as sent
    // (db.operation.name). gRPC: the service with its package, '/' and the method
    // (rpc.method). SQL: a statement's first word in upper case, behind WITH its main one; FETCH:
    // more rows of a statement that was told before; CONNECT: the log-in; CANCEL: a request to
    // cancel, on a connection of its own. TLS: "handshake" of one that failed, else "exchange".
    // "": no request was seen.
    pub operation: appmon_str,
    // What the operation is about. HTTP: the path (url.path), of CONNECT the authority; of gRPC
    // "", for operation says it all. RESP: the command's first argument, mostly a key; "" where
    // it may be a secret (AUTH, HELLO). SQL: the first table, or the procedure of CALL
    // (db.collection.name). TLS: tls_server_name.
    pub resource: appmon_str,
    /// SQL: the database (db.namespace)
    pub resource_namespace: appmon_str,
    // SQL: the statement, without its data (db.query.text): literals and parameters are '?', a
    // list of them is one, rows behind the first are left out, comments too. truncated: there
    // was more. "": it could not be split, or APPMON_EVF_PARTIAL.
    pub query_text: appmon_str,
    // SQL: operation and up to three tables, as in "SELECT orders customers"
    // (db.query.summary).
    pub query_summary: appmon_str,
    // HTTP: the status code as text (http.response.status_code). RESP: the prefix of an error
    // (db.response.status_code), such as WRONGTYPE. gRPC: the name of grpc-status
    // (rpc.response.status_code), such as NOT_FOUND; where none came, HTTP's. PostgreSQL: an
    // error's SQLSTATE. MySQL: its number. TLS: the name of the alert that ended a handshake,
    // such as unknown_ca; status_number is its number.
    pub status_text: appmon_str,
    // The server's words for it. HTTP: the reason phrase of the status line. RESP: the text of an
    // error, prefix and all, without the arguments that it may repeat. gRPC: grpc-message,
    // decoded. SQL: an error's, with APPMON_OPEN_QUERY_TEXT.
    pub message: appmon_str,
    /// status_text as a number; -1: it is none, or was not seen
    pub status_number: i64,
    // Bytes of the TCP stream: no headers of TCP or IP, each byte once. HTTP: of head and body.
    // TLS: records of application data with their heads.
    pub request_bytes: u64,
    /// of the final response
    pub response_bytes: u64,
    // SQL: xxh64 of the sanitised text in lower case, the same for statements that differ in
    // their data only. 0: there is no text.
    pub digest: u64,
    // What paired the two messages. HTTP/2: the id of the stream. 0: their order did.
    pub key: u64,
    // gRPC: messages in the stream, whole or not. SQL: response_items are rows that came or were
    // changed (db.response.returned_rows). -1: there is no such thing, or it could not be
    // counted, as of several messages in one DATA frame.
    pub request_items: i64,
    pub response_items: i64,
    /// SQL: the first row of the response, or of MySQL what describes the rows; 0: none was seen
    pub first_item_ns: u64,
    // CLOCK_MONOTONIC, nanoseconds, taken where bytes reach or leave the TCP
    // stack; 0: not seen. appmon_realtime_ns() converts to wall time.
    /// first byte of the request
    pub request_start_ns: u64,
    /// last byte of the request
    pub request_end_ns: u64,
    /// first byte of the final response
    pub response_start_ns: u64,
    /// last byte of the final response
    pub response_end_ns: u64,
    // Derived; 0 where one end is missing.
    /// request_start to response_end (http.server.request.duration)
    pub duration_ns: u64,
    /// request_start to request_end
    pub request_ns: u64,
    /// request_end to response_start; 0 for an early response
    pub wait_ns: u64,
    /// response_start to response_end
    pub response_ns: u64,
    // Where the time went, on the server's side: APPMON_OPEN_IDENTITY; CLOCK_MONOTONIC. With
    // pipelining, and where the request's bytes were not seen to be read, these are 0. Then
    // duration_ns is queue_ns + (read_end_ns - read_start_ns) + service_ns + response_ns.
    /// the application took the first bytes of the request from TCP
    pub read_start_ns: u64,
    /// ... the last bytes that it took before it answered request_start to read_start: in the accept
    /// backlog, in the socket, waiting for a thread.
    pub read_end_ns: u64,
    pub queue_ns: u64,
    /// read_end to response_start: the application's own time
    pub service_ns: u64,
    // On the client's side: SYN sent to SYN-ACK received, in the first event of a connection
    // that was seen to connect. Then request_ns, wait_ns and response_ns follow.
    pub connect_ns: u64,
    pub local: appmon_endpoint,
    pub remote: appmon_endpoint,
    // The client that a PROXY protocol header, version 1 or 2, in front of the connection's
    // first request names (client.address and client.port): whoever connected to the proxy,
    // where remote, or for the proxy's own requests local, is the proxy. In every event of the
    // connection. family 0: there was no header, or it names none (UNKNOWN, LOCAL, a UNIX
    // socket).
    pub client: appmon_endpoint,
    /// TCP's smoothed round-trip time at the end, microseconds; 0: unknown
    pub srtt_us: u32,
    /// segments this host sent again during the exchange
    pub retransmits: u32,
    /// segments that arrived again during the exchange
    pub peer_retransmits: u32,
    /// network namespace of the socket, with APPMON_OPEN_IDENTITY: inode of /proc/PID/ns/net; may be used
    /// again
    pub netns_inum: u32,
    /// the same: unique per boot
    pub netns_cookie: u64,
    // The same in the events of both ends of a connection, whatever addresses and ports are
    // translated between them: TCP's sequence numbers of the request's first byte (upper half)
    // and of the response's, or of where it would have begun. Both begin at random (RFC 6528),
    // so that two exchanges of one minute have the same by chance once in 2^64. What ends the
    // connection in between has two connections: a proxy, SYNPROXY. 0: not known.
    pub wire_id: u64,
    // Who served the request, or sent it: APPMON_OPEN_IDENTITY, with APPMON_CAP_IDENTITY. Taken
    // in the thread's own context, when it reads or sends: right whoever accepted or connected,
    // and whoever else has the socket open. Numbers of the initial pid namespace, as /proc of
    // the host has them. What was not seen is 0 or "".
    /// enum appmon_owner, APPMON_OWNER_*: how this group is known
    pub owner: u32,
    /// effective user, initial user namespace (process.user.id)
    pub uid: u32,
    /// process.pid
    pub pid: u32,
    /// thread.id
    pub tid: u32,
    /// pid in the process's own pid namespace, as it sees itself
    pub inner_pid: u32,
    /// tid in that namespace
    pub inner_tid: u32,
    /// server: the process that sent the response's first byte; 0: TCP sent it by itself
    pub response_pid: u32,
    /// server: the thread that sent it
    pub response_tid: u32,
    /// CLOCK_BOOTTIME: with pid it names a process for ever; field 22 of /proc/PID/stat has it in ticks
    pub process_start_ns: u64,
    /// of the process, at that moment: /proc/PID/comm
    pub comm: appmon_str,
    // Trace ids of the request: APPMON_OPEN_TRACE. What is not well formed is in headers only.
    pub trace: appmon_trace,
    /// sw8: its trace id as text; "" for others
    pub trace_text: appmon_str,
    /// x-request-id, or another of request_id_headers: of those the first in the head
    pub request_id: appmon_str,
    // What the exchange was made for: APPMON_OPEN_LINKS. Client: the request that the sender
    // was serving. Server: the exchange that a monitored client sees of the same request.
    // Decided when the request begins, from what is open at that moment; that other exchange's
    // event usually comes later, or never if it is dropped.
    /// connection_id and ordinal of that exchange
    pub link_connection_id: u64,
    pub link_ordinal: u64,
    /// enum appmon_link, APPMON_LINK_*; NONE: those two are 0
    pub link: u32,
    // HTTP's own; 0, NULL and "" in events of other protocols.
    /// enum appmon_method, APPMON_METHOD_*
    pub method: u32,
    /// http.response.status_code; 0: none
    pub status: u32,
    // 20: HTTP/2, 10: HTTP/1.0, 11: HTTP/1.1 and any newer HTTP/1.x (RFC 9112 section 2.3); others, such
    // as
    // 20, by way of 10 * major + minor, which counts up to 9; 0: unknown.
    pub request_http_version: u32,
    pub response_http_version: u32,
    pub header_count: u32,
    /// header_count of them; NULL if 0
    pub headers: *const appmon_header,
    /// as sent (RFC 9112 section 3.2), but for secrets: see appmon_opts.redact_names; query per options
    pub request_target: appmon_str,
    /// path of it (url.path); "" for CONNECT
    pub path: appmon_str,
    /// after '?' (url.query); secrets as above
    pub query: appmon_str,
    /// of an absolute or CONNECT target, else Host; without user and password (server.address and
    /// server.port)
    pub authority: appmon_str,
    pub request_head_bytes: u64,
    /// as transferred, with chunk framing; HTTP/2: what DATA frames carry without padding
    /// (http.request.body.size)
    pub request_body_bytes: u64,
    /// of the final response
    pub response_head_bytes: u64,
    /// as transferred (http.response.body.size)
    pub response_body_bytes: u64,
    /// declared; -1: none
    pub request_content_length: i64,
    /// declared; -1: none
    pub response_content_length: i64,
    // TLS's own, from the hellos, in every event of the connection; 0 and "" in events of other
    // protocols, where the hellos were not seen, and where they do not say it. What is no
    // printable ASCII is '?'.
    /// SNI, as sent (tls.client.server_name)
    pub tls_server_name: appmon_str,
    /// names that the client offers, in its order, with commas: "h2,http/1.1"
    pub tls_alpn_offered: appmon_str,
    /// the chosen one (tls.next_protocol); TLS 1.3 hides it: ""
    pub tls_alpn: appmon_str,
    /// 0x0304: TLS 1.3, 0x0303: TLS 1.2 ...; before the server's hello came, the highest that the client
    /// offers
    pub tls_version: u16,
    /// the chosen one by IANA's number (tls.cipher); 0: not known
    pub tls_cipher: u16,
    /// APPMON_TLS_*
    pub tls_flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_opts {
    pub size: u32,
    /// APPMON_OPEN_*
    pub flags: u32,
    /// bytes of connection state in this process; default 64 MiB, at least 64 KiB
    pub memory_limit: u64,
    /// the kernel's rings together: power of two, 4 KiB to 256 MiB; default 8 MiB. There is one for each
    /// CPU, all of one size; but CPUs share them if there are more than 16, or if each would have less
    /// than 512 KiB.
    pub ring_bytes: u32,
    /// most bytes of one message head, 128 to 65536; default 4096
    pub capture_bytes: u32,
    /// silence that ends an exchange; default 300,000; UINT32_MAX: never
    pub exchange_timeout_ms: u32,
    /// silence after which a connection without an exchange is forgotten (it is found again); default
    /// 3,600,000, less than 2000 is taken for that
    pub idle_timeout_ms: u32,
    /// most verbose APPMON_LOG_* wanted; default WARN
    pub log_level: u32,
    pub header_count: u32,
    /// header_count names to keep beside the default ones: content-type, user-agent, x-request-id,
    /// traceparent, tracestate, x-forwarded-for. Nothing else is ever kept: authorization, cookie and
    /// set-cookie only when named here. At most 64.
    pub headers: *const *const c_char,
    /// NULL: pull mode, see appmon_next()
    pub event_fn: appmon_event_fn,
    pub event_ctx: *mut c_void,
    /// NULL: silent
    pub log_fn: appmon_log_fn,
    pub log_ctx: *mut c_void,
    /// NULL, or a buffer that gets the last error's text if open fails
    pub error_text: *mut c_char,
    pub error_text_size: u32,
    /// bit n: APPMON_PROTO_n, see appmon_protocol_by_name(); default HTTP/1 only. RESP costs more: its
    /// strings are copied. HTTP/1 is followed in any case; without its bit its exchanges have no event
    /// and count as filtered
    pub protocols: u32,
    /// names of fields that carry a request's id beside x-request-id; kept with APPMON_OPEN_TRACE. At
    /// most 8.
    pub request_id_headers: *const *const c_char,
    pub request_id_header_count: u32,
    pub reserved: u32,
    /// copied; where the host's cgroup v2 hierarchy is mounted, for appmon_find_cgroup(); default: the
    /// mount that shows most redact_name_count names of query parameters whose values are secrets, beside
    /// the default ones: x-amz-signature, x-amz-credential, x-amz-security-token, awsaccesskeyid,
    /// signature, x-goog-signature, x-goog-credential, sig, access_token, refresh_token, id_token,
    /// client_secret, password, api_key, apikey. Compared without regard to case, after percent-decoding
    /// (RFC 3986 section 2.1), and also in a URL that is another parameter's value. Such a value is
    /// "REDACTED" in events, and so are user and password of an absolute target (RFC 3986 section 3.2.1).
    /// Copied; at most 64, of 1 to 127 characters.
    pub cgroup_mount: *const c_char,
    pub redact_names: *const *const c_char,
    pub redact_name_count: u32,
    pub reserved1: u32,
    /// most bytes of a recording: appmon_record(); default: any
    pub record_max_bytes: u64,
}

/// What is spoken where a server listens: see ports of struct appmon_attach_opts.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_port_hint {
    /// 1 to 65535
    pub port: u32,
    /// APPMON_PROTO_*, one that the target is watched for
    pub protocol: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_attach_opts {
    pub size: u32,
    /// as in appmon_opts, for this target; 0: the handle's
    pub capture_bytes: u32,
    /// copied; comes back as target_name; default: the path's last part
    pub name: *const c_char,
    /// comes back as target_user
    pub user: *mut c_void,
    /// as in appmon_opts, for this target; 0: the handle's. -EINVAL for what the handle does not have.
    /// What the target does not ask for is left out as the handle leaves it out: RESP is skipped,
    /// exchanges of HTTP/1 count as filtered. Of a connection that was followed already for a target
    /// around this one they count as filtered, too
    pub protocols: u32,
    pub port_count: u32,
    // port_count hints, at most 64, each port once; copied. A hint is for connections whose
    // local or remote port it names; two that differ do not count. That protocol is asked first
    // whether it knows a connection's first bytes. HTTP/1, which has none of its own, is not
    // asked: there is nothing else at such a port, and what does not look like it is skipped.
    // Of a connection that was open before the attach a hint of the lower port says, too, which
    // side serves: so a command of RESP is known by less of it, and a reply, or a body of
    // HTTP/1, is not taken for a request.
    pub ports: *const appmon_port_hint,
}

/// Counters since appmon_open() (or since the attach), for the handle or one
/// target. For each of them, after the events in flight are delivered:
/// exchanges_seen == delivered + filtered + dropped\[0\] + ... + outstanding
/// where "seen" counts requests (and responses without one) that reached the hook. A short request
/// reaches the reader together with its response, or, if that takes long, within a second or two.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_stats {
    pub size: u32,
    /// APPMON_STATS_*: noticed by appmon_poll() and appmon_next(), within a second, and one more for each
    /// 64 targets; 0 in a replay
    pub flags: u32,
    /// bit n: the n-th 64-bit member below is supported here, dropped\[\] being one
    pub valid: u64,
    pub exchanges_seen: u64,
    pub delivered: u64,
    /// gauge: requests waiting for the end of their response
    pub outstanding: u64,
    /// by APPMON_DROP_*
    pub dropped: [u64; 16],
    /// HTTP connections
    pub connections_seen: u64,
    /// gauge
    pub connections_open: u64,
    /// found not to be HTTP and ignored since
    pub connections_skipped: u64,
    /// request heads parsed
    pub requests: u64,
    /// final response heads parsed
    pub responses: u64,
    /// both directions, of connections that were upgraded
    pub tunnel_bytes: u64,
    /// read from the ring
    pub records: u64,
    /// that did not fit into the ring
    pub records_lost: u64,
    /// not understood; 0 unless library and programs disagree
    pub records_bad: u64,
    /// gauge: connection state held; handle only
    pub memory_bytes: u64,
    /// handle only
    pub memory_limit: u64,
    /// gauge: share of connections watched; 0: paused
    pub sampling_ppm: u64,
    /// complete, but left out by appmon_set_filter(), or of a protocol that was not asked for, by the
    /// handle or for the target
    pub filtered: u64,
    /// reads and writes of TLS libraries that were understood; handle only
    pub plain_calls: u64,
    /// ... that were not: no socket was found for them, no memory, or no room in the ring; handle only
    pub plain_dropped: u64,
    /// APPMON_OPEN_TLS: files whose functions are not understood or could not be probed, and processes
    /// that could not be looked at; handle only
    pub tls_refused: u64,
    /// of these, the processes; handle only
    pub tls_refused_processes: u64,
}

/// Which events the host wants: those that pass every member. 0 and NULL: whatever it is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_filter {
    pub size: u32,
    /// bit n: APPMON_ROLE_n passes
    pub roles: u32,
    /// bit n: APPMON_OUTCOME_n passes
    pub outcomes: u32,
    pub reserved: u32,
    /// least duration_ns; events without a duration pass: they have no end yet, or it was not seen
    pub min_duration_ns: u64,
    /// the path begins with it, byte for byte; copied
    pub path_prefix: *const c_char,
}

/// One cgroup that is attached.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_target {
    pub size: u32,
    /// as returned by appmon_attach_cgroup()
    pub id: u32,
    /// inode of its directory
    pub cgroup_id: u64,
    /// as in events: target_name
    pub name: appmon_str,
    /// of its directory at the attach, as this process saw it; "": not known, as in a replay
    pub path: appmon_str,
    /// the pointer given at attach
    pub user: *mut c_void,
    /// in force for it
    pub capture_bytes: u32,
    /// APPMON_STATS_REMOVED or 0
    pub flags: u32,
    /// in force for it: bit n: APPMON_PROTO_n
    pub protocols: u32,
    pub reserved: u32,
}

/// What the path of a cgroup says about the container in it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_container {
    pub size: u32,
    /// enum appmon_runtime, APPMON_RUNTIME_*
    pub runtime: u32,
    /// container id, 64 hexadecimal digits; "": the cgroup is the pod's own
    pub id: [c_char; 72],
    /// Kubernetes: metadata.uid with its dashes; "": no pod
    pub pod_uid: [c_char; 40],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_capabilities {
    pub size: u32,
    pub reserved: u32,
    /// APPMON_CAP_*
    pub supported: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_process {
    pub size: u32,
    pub pid: u32,
    pub start_ns: u64,
    /// of the executable: st_ino and st_dev of stat(2)
    pub exe_inode: u64,
    pub exe_device: u64,
    /// its path, as /proc/PID/exe has it: in the process's own mount namespace, " (deleted)" behind it
    /// where that is so
    pub exe: appmon_str,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_metrics_opts {
    pub size: u32,
    /// APPMON_METRICS_*
    pub flags: u32,
    /// APPMON_DIM_*; default APPMON_DIM_DEFAULT
    pub dimensions: u32,
    /// hard limit, 16 to 1,000,000; default 8192. No application gets more than are left for others: half
    /// of them if it is alone
    pub max_series: u32,
    /// series and edges without an event for this long go; default 600,000; UINT32_MAX: never
    pub idle_ms: u32,
    /// APPMON_ERROR_*; default all but CLIENT
    pub server_errors: u32,
    /// APPMON_ERROR_*; default all
    pub client_errors: u32,
    pub reserved: u32,
    /// bytes; default 64 MiB, at least 1 MiB. Where it is reached, series are refused as by max_series.
    /// The other tables go by it, too: up to 1 GiB, each MiB gives 16 edges, 256 path segments to learn
    /// routes from and 128 connections whose ends are remembered
    pub memory_limit: u64,
    /// NULL: built in
    pub route_fn: appmon_route_fn,
    pub route_ctx: *mut c_void,
    /// NULL: by server_errors and client_errors
    pub error_fn: appmon_error_fn,
    pub error_ctx: *mut c_void,
    /// NULL: cgroup_id
    pub instance_fn: appmon_instance_fn,
    pub instance_ctx: *mut c_void,
}

/// Counters of the aggregator since appmon_metrics_open(), gauges where it says so.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_metrics_stats {
    pub size: u32,
    pub reserved: u32,
    /// added == counted in series + waiting + expired_events + without_request
    pub events: u64,
    /// gauge: events that wait for their other end, 500 ms at most
    pub waiting: u64,
    /// gauge
    pub series: u64,
    /// gauge
    pub edges: u64,
    /// events that went to a series with APPMON_SERIES_OTHER
    pub other_events: u64,
    /// exchanges that went to the edge with APPMON_SERIES_OTHER
    pub other_exchanges: u64,
    /// gone for want of events
    pub expired_series: u64,
    pub expired_edges: u64,
    /// that the expired series had counted
    pub expired_events: u64,
    /// of which both ends were seen
    pub joined_connections: u64,
    /// forgotten to make room
    pub evicted_connections: u64,
    /// events that could not wait long enough, for want of room
    pub unwaited: u64,
    /// not learned, for want of room
    pub refused_segments: u64,
    /// gauge
    pub memory_bytes: u64,
    pub memory_limit: u64,
    /// events of which only a response was seen: in no series or edge
    pub without_request: u64,
}

/// What a series is about. Strings are valid as long as the snapshot; those of a dimension that is
/// off are "", its numbers 0. Names in parentheses are OpenTelemetry's.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_series {
    pub size: u32,
    /// APPMON_SERIES_*
    pub flags: u32,
    /// the same in every snapshot, never reused by the aggregator
    pub id: u64,
    /// the instance; see appmon_cgroup_path(). With instance_fn: what it returned
    pub cgroup_id: u64,
    pub pid: u32,
    /// APPMON_ROLE_*
    pub role: u32,
    /// APPMON_PROTO_* (network.protocol.name)
    pub protocol: u32,
    /// APPMON_METHOD_*; OTHER also where it could not be read
    pub method: u32,
    /// http.response.status_code; 0: none
    pub status: u32,
    /// enum appmon_outcome, APPMON_OUTCOME_*
    pub outcome: u32,
    /// target_name of the events, at most 127 bytes of it
    pub app: appmon_str,
    /// the application at the other end; "": peer says what is known of it
    pub peer_app: appmon_str,
    /// http.request.method; "_OTHER" for APPMON_METHOD_OTHER
    pub method_name: appmon_str,
    /// at most 255 bytes (http.route): visible ASCII, unless it is the host's or
    /// APPMON_METRICS_RAW_ROUTES. SQL: the event's query_summary (db.query.summary). gRPC, RESP and SQL
    /// without a summary: operation
    pub route: appmon_str,
    /// as the events have it, at most 23 bytes
    pub status_text: appmon_str,
    /// family 0: unknown; port 0: of a client
    pub peer: appmon_endpoint,
    // What speaks the protocol, as the events have it, at most 15 bytes: it tells HTTP (""), gRPC
    // ("grpc", rpc.system.name) and databases (db.system.name) apart.
    pub system: appmon_str,
    // At most 255 bytes. gRPC: service and method (rpc.method). SQL: as the events have it
    // (db.operation.name). RESP: the command in upper case; "_OTHER" for one that is not listed
    // and that the server did not take, as clients may send any word. HTTP: "", as
    // method_name says it.
    pub operation: appmon_str,
    // SQL: at most 127 bytes of the first table and of the database (db.collection.name,
    // db.namespace); else "".
    pub resource: appmon_str,
    pub resource_namespace: appmon_str,
}

/// What one application's instance has in progress: requests that have begun and have no event yet,
/// by role and method. One row for each that has series, or had anything in progress within idle_ms.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_active {
    pub size: u32,
    /// APPMON_SERIES_*: OTHER is what found no room of its own
    pub flags: u32,
    /// the instance, as in appmon_series
    pub cgroup_id: u64,
    /// APPMON_ROLE_*
    pub role: u32,
    /// APPMON_PROTO_*
    pub protocol: u32,
    /// APPMON_METHOD_*; OTHER also while it is not known
    pub method: u32,
    pub reserved: u32,
    pub app: appmon_str,
    /// as in appmon_series
    pub method_name: appmon_str,
    /// gauge (http.server.active_requests, http.client.active_requests)
    pub requests: u64,
    /// CLOCK_MONOTONIC: when the oldest of them began; 0: there is none
    pub oldest_ns: u64,
}

/// Who calls whom. An end that is monitored has its application's name, else an address if that is
/// known (of clients: asked for, APPMON_DIM_CLIENT).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_edge {
    pub size: u32,
    /// APPMON_SERIES_*
    pub flags: u32,
    pub id: u64,
    /// APPMON_PROTO_*
    pub protocol: u32,
    pub reserved: u32,
    pub client_app: appmon_str,
    pub server_app: appmon_str,
    /// family 0 if client_app is set; port 0
    pub client: appmon_endpoint,
    /// family 0 if server_app is set
    pub server: appmon_endpoint,
}

/// Sums over the events of a series or edge, since it began or between two snapshots. Times in
/// nanoseconds; each _sum is over the events where that time is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_figures {
    pub size: u32,
    pub reserved: u32,
    pub requests: u64,
    pub errors: u64,
    /// heads and bodies
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// events that have a duration: those of the histogram
    pub duration_count: u64,
    /// first byte of the request to last byte of the response
    pub duration_sum: u64,
    /// between snapshots: within the histogram's error
    pub duration_max: u64,
    /// the request on its way
    pub request_sum: u64,
    pub wait_count: u64,
    /// last byte of the request to first byte of the response
    pub wait_sum: u64,
    /// the response on its way
    pub response_sum: u64,
    // Events of servers that were seen to read (APPMON_OPEN_IDENTITY).
    pub service_count: u64,
    /// of those: until the application read the request
    pub queue_sum: u64,
    /// of those: from there to the first byte of the response
    pub service_sum: u64,
    /// segments sent again by this host, and by the peer
    pub retransmits: u64,
    /// CLOCK_MONOTONIC: when the first event ended; of the series, also between snapshots
    pub first_ns: u64,
    /// when the last one did
    pub last_ns: u64,
}

/// One event out of those of a series that carried a W3C traceparent: a recent or a slow one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_exemplar {
    pub size: u32,
    pub reserved: u32,
    pub duration_ns: u64,
    /// CLOCK_MONOTONIC
    pub end_ns: u64,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_snapshot_opts {
    pub size: u32,
    /// APPMON_TAKE_*
    pub flags: u32,
    /// CLOCK_MONOTONIC; default: the present. For a recording: of its last event, as the time matters for
    /// expiry and waiting
    pub now_ns: u64,
}

/// What a cgroup used since it was made, and has now.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct appmon_resources {
    pub size: u32,
    pub reserved: u32,
    /// APPMON_RES_*: what could be read
    pub valid: u64,
    /// APPMON_RES_*: read from a version 1 hierarchy
    pub from_v1: u64,
    /// CLOCK_MONOTONIC of the reading
    pub time_ns: u64,
    pub cpu_ns: u64,
    pub cpu_user_ns: u64,
    pub cpu_system_ns: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
    /// gauge
    pub memory_bytes: u64,
    /// UINT64_MAX: none
    pub memory_limit: u64,
    /// gauge: processes and threads
    pub pids: u64,
    /// UINT64_MAX: none
    pub pids_limit: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// Name, size, and whether it begins with `size`, so that a newer library's may be larger.
pub const STRUCTS: [(&str, usize, bool); 23] = [
    ("appmon_str", std::mem::size_of::<appmon_str>(), false),
    ("appmon_endpoint", std::mem::size_of::<appmon_endpoint>(), false),
    ("appmon_header", std::mem::size_of::<appmon_header>(), false),
    ("appmon_trace", std::mem::size_of::<appmon_trace>(), false),
    ("appmon_event", std::mem::size_of::<appmon_event>(), true),
    ("appmon_opts", std::mem::size_of::<appmon_opts>(), true),
    ("appmon_port_hint", std::mem::size_of::<appmon_port_hint>(), false),
    ("appmon_attach_opts", std::mem::size_of::<appmon_attach_opts>(), true),
    ("appmon_stats", std::mem::size_of::<appmon_stats>(), true),
    ("appmon_filter", std::mem::size_of::<appmon_filter>(), true),
    ("appmon_target", std::mem::size_of::<appmon_target>(), true),
    ("appmon_container", std::mem::size_of::<appmon_container>(), true),
    ("appmon_capabilities", std::mem::size_of::<appmon_capabilities>(), true),
    ("appmon_process", std::mem::size_of::<appmon_process>(), true),
    ("appmon_metrics_opts", std::mem::size_of::<appmon_metrics_opts>(), true),
    ("appmon_metrics_stats", std::mem::size_of::<appmon_metrics_stats>(), true),
    ("appmon_series", std::mem::size_of::<appmon_series>(), true),
    ("appmon_active", std::mem::size_of::<appmon_active>(), true),
    ("appmon_edge", std::mem::size_of::<appmon_edge>(), true),
    ("appmon_figures", std::mem::size_of::<appmon_figures>(), true),
    ("appmon_exemplar", std::mem::size_of::<appmon_exemplar>(), true),
    ("appmon_snapshot_opts", std::mem::size_of::<appmon_snapshot_opts>(), true),
    ("appmon_resources", std::mem::size_of::<appmon_resources>(), true),
];

extern "C" {
    /// Loads and verifies the BPF programs; nothing is attached yet. opts may be NULL.
    /// Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (root has them).
    /// -EPERM       a capability is missing, or bpf(2) is forbidden (seccomp, security module)
    /// -EOPNOTSUPP  a kernel feature is missing (BTF, bpf(2), Linux 5.15), or cgroup v2 is
    /// -EINVAL      a value in opts is out of range
    /// -E2BIG       unknown members are set
    /// -ENOMEM      out of memory, of this process, its memory cgroup or the kernel
    /// -EMFILE      fewer than 56 descriptors are left (RLIMIT_NOFILE)
    /// -ENFILE      the same, of the system
    /// The handle is close-on-exec throughout.
    /// The call blocks while the kernel verifies the programs: a good half second, and up to a minute
    /// under emulation. A host whose loop must not wait calls it on a thread of its own and hands the
    /// handle over: a handle belongs to no thread. opts and what it points to has to live that long.
    pub fn appmon_open(ret: *mut *mut appmon, opts: *const appmon_opts) -> c_int;
    /// Detaches everything and frees the handle; pending exchanges get no event.
    /// NULL is accepted. -EBUSY from inside a callback: nothing is closed then.
    /// If the process dies instead, the kernel detaches by itself.
    pub fn appmon_close(mon: *mut appmon) -> c_int;
    /// Watches the sockets that belong to a cgroup v2 directory or to any below it: a
    /// socket belongs to the cgroup its creator was in. Where attached cgroups are
    /// nested, an exchange goes to the innermost. Connections that are already open
    /// are seen from their next packet. opts may be NULL. *ret_target (may be NULL) gets an id
    /// that is never reused by this handle.
    /// -ENOENT  no such path
    /// -ENOTDIR, -EINVAL  not a cgroup v2 directory
    /// -EEXIST  already attached by this handle
    /// -EPERM   the cgroup does not allow it (a program attached without
    /// BPF_F_ALLOW_MULTI at or above it), or a capability is missing
    /// -ENOSPC  1024 targets are attached
    pub fn appmon_attach_cgroup(mon: *mut appmon, path: *const c_char, opts: *const appmon_attach_opts, ret_target: *mut u32) -> c_int;
    /// The same for an open directory. cgroup_fd is borrowed for the call only.
    pub fn appmon_attach_cgroup_fd(mon: *mut appmon, cgroup_fd: c_int, opts: *const appmon_attach_opts, ret_target: *mut u32) -> c_int;
    /// Stops watching. After it returns no event names this target and its user
    /// pointer may be freed; exchanges in flight count as APPMON_DROP_DETACHED.
    /// -ENOENT: no such target. Works for a cgroup that has been removed meanwhile.
    pub fn appmon_detach(mon: *mut appmon, target: u32) -> c_int;
    /// The target with the least id above after: with after 0 the first, then each by the id of the one
    /// before, which may be detached meanwhile. 1: *ret has it, 0: there are no more. Its strings are
    /// valid until appmon_detach() of it, or appmon_close(). Its counters: appmon_get_stats(). Allowed
    /// inside callbacks.
    /// -EINVAL  ret is NULL, or its size is not set
    pub fn appmon_next_target(mon: *mut appmon, after: u32, ret: *mut appmon_target) -> c_int;
    /// One level-triggered descriptor for the host's event loop: readable (EPOLLIN)
    /// when appmon_poll(mon, 0, n) or appmon_next() has work, timers included. Owned by the
    /// handle: do not read, close or modify it.
    pub fn appmon_fd(mon: *mut appmon) -> c_int;
    /// Waits up to timeout_ms (0: not at all, -1: for ever) for work, then delivers
    /// at most max_events events (0: 4096) to event_fn, so that a busy ring cannot
    /// starve the caller. Returns the number delivered (0: timeout or wakeup), the
    /// callback's negative value, or -EINTR.
    /// In pull mode it only waits: 1: call appmon_next(), 0: timeout or wakeup.
    pub fn appmon_poll(mon: *mut appmon, timeout_ms: c_int, max_events: u32) -> c_int;
    /// Pull mode, for languages where callbacks are dear: 1: *ret is the next event,
    /// 0: none now (wait on appmon_fd() or appmon_poll()). Never blocks.
    /// -EINVAL if the handle has an event_fn.
    pub fn appmon_next(mon: *mut appmon, ret: *mut *const appmon_event) -> c_int;
    /// Pull mode, many at a time, for languages where every call is dear: stores up to max events in
    /// ret\[\] and returns how many; 0: none now. They are copies, which stay valid until each is
    /// given to appmon_event_free(), whatever else is called, appmon_close() among it.
    /// -ENOMEM  there is no memory for the first; it counts as dropped\[APPMON_DROP_MEMORY\]
    /// else as appmon_next(); an error behind the first event is returned by the next call
    pub fn appmon_next_batch(mon: *mut appmon, ret: *mut *mut appmon_event, max: u32) -> c_int;
    /// From the next event on the handle delivers only what passes filter; NULL: everything again. What
    /// does not pass counts as appmon_stats.filtered. appmon_each_active() is not filtered. May be
    /// called at any time, inside callbacks, too; filter is copied.
    /// -EINVAL  bits in roles or outcomes that no constant has; -E2BIG: unknown members are set
    /// -ENOMEM  out of memory; the filter before stays
    pub fn appmon_set_filter(mon: *mut appmon, filter: *const appmon_filter) -> c_int;
    /// Calls fn for each exchange that is in progress, of all targets, in no order: those that
    /// appmon_stats.outstanding counts, without those that are over and wait to be delivered. The event
    /// is the one to come, as far as it is known (no status, no response_end_ns); flags and end are not
    /// final. A short request is known once its response begins, or, if that takes long,
    /// within a second or two.
    /// fn is as in appmon_opts, but its events do not count as delivered; appmon_detach()
    /// returns -EBUSY to it; and a return value that is not 0 ends the call, which then returns it. No
    /// event of appmon_next() is valid any more.
    /// -EBUSY   from inside a callback
    /// -ENOMEM  memory_limit is reached
    pub fn appmon_each_active(mon: *mut appmon, fn_: appmon_event_fn, ctx: *mut c_void) -> c_int;
    /// Makes a blocked appmon_poll(), or the next one, return 0 early. Safe from any
    /// thread and from signal handlers while the handle is open. Wakeups do not add up.
    pub fn appmon_wakeup(mon: *mut appmon) -> c_int;
    /// Watches a share of the connections, connections_ppm parts per million of them, and
    /// fewer while they make more than events_per_second events (0: no ceiling). Which ones
    /// the hash of TCP's initial sequence numbers decides: a connection is watched as a whole or
    /// not at all, both of its ends alike (by handles on other hosts, too, and across address
    /// translation), and at a smaller share no others than at a larger one. (With data in its SYN,
    /// RFC 7413, a connection is drawn by its client's socket, apart from the other end.) The share in
    /// force is in every event and in appmon_stats.sampling_ppm. What is not watched costs the
    /// application two look-ups a packet.
    /// So edges between applications, and links to the other end (APPMON_LINK_PEER), are whole at any
    /// share. Links from what was sent to what was received are between two connections, of which each
    /// is drawn for itself: of those at the share p the share p has its cause, and a chain over n
    /// connections is whole with p to the power of n. Evidence from header fields knows only requests
    /// that are watched; APPMON_LINK_SOLE is not given.
    /// The ceiling is kept by appmon_poll() and appmon_next(), which look ten times a second, on
    /// average over a second; with fewer connections than it takes, the share swings. Exchanges under
    /// way on connections that leave the sample count as dropped\[APPMON_DROP_SAMPLED\]; connections that
    /// come into it are met as those that are open at an attach. Applies to all targets, from the call
    /// on; the default is (APPMON_SAMPLING_ALL, 0).
    /// -EINVAL      connections_ppm is 0 or above APPMON_SAMPLING_ALL
    /// -EOPNOTSUPP  the handle replays a recording
    pub fn appmon_set_sampling(mon: *mut appmon, connections_ppm: u32, events_per_second: u64) -> c_int;
    /// Turns all capture off without detaching, and on again: one write to a map, after which the
    /// programs return at once. Events of what was complete before are still delivered; exchanges under
    /// way count as dropped\[APPMON_DROP_SAMPLED\]. Connections are met again as at an attach, from
    /// their next request. Calling either twice has no effect.
    /// -EOPNOTSUPP  the handle replays a recording
    pub fn appmon_pause(mon: *mut appmon) -> c_int;
    pub fn appmon_resume(mon: *mut appmon) -> c_int;
    /// Writes what the pipeline is fed from now on (captured bytes of all headers among it) to
    /// fd, until appmon_record(mon, -1) or appmon_close(). Replaying it gives the same events, if the
    /// recording began before the first attach. fd is the host's and stays open until then; writes
    /// block. A write that fails ends the recording and is logged.
    /// With appmon_opts.record_max_bytes the recording ends before it would exceed that, with its last
    /// whole entry; what is there can be replayed. That is logged (WARN). appmon_stats.flags has
    /// APPMON_STATS_RECORD_ENDED from then on, after a write that failed, too, until appmon_record() is
    /// called again.
    /// -ENOMEM  out of memory
    /// -EIO     the first write failed, or record_max_bytes has no room for the list of targets
    pub fn appmon_record(mon: *mut appmon, fd: c_int) -> c_int;
    /// A handle that is fed from a recording in place of the kernel: needs no privileges and
    /// attaches nothing; targets come from the recording, target_user is NULL, counters that
    /// the kernel keeps are 0. fd is borrowed until appmon_close(). At the end of the file
    /// appmon_poll() and appmon_next() return -ENODATA once everything is delivered.
    /// -EPROTO  not a recording, or one of another version; else as appmon_open()
    pub fn appmon_open_replay(ret: *mut *mut appmon, fd: c_int, opts: *const appmon_opts) -> c_int;
    /// Counters of one target, or of the handle (target 0). -ENOENT: no such target.
    pub fn appmon_get_stats(mon: *mut appmon, target: u32, stats: *mut appmon_stats) -> c_int;
    /// What the running kernel supports, as found when the handle was opened.
    pub fn appmon_get_capabilities(mon: *mut appmon, caps: *mut appmon_capabilities) -> c_int;
    /// The last failure on this handle as one sentence that says what to do; "" if
    /// there was none. Never NULL, valid until the next call that fails.
    pub fn appmon_last_error(mon: *mut appmon) -> *const c_char;
    /// The executable of an event's process, by its pid and process_start_ns. Answers are kept: the
    /// first one has to be asked for while the process lives, later ones not (1024 processes, the last
    /// asked for; at most a second old, for a process may run another program). ret->exe is valid until
    /// the next appmon_find_*() or appmon_close().
    /// -ESRCH   it has ended before, or is a kernel thread; or this handle replays a recording
    /// -EACCES  another user's process, and CAP_SYS_PTRACE is missing
    /// -ENOMEM  memory_limit is reached
    pub fn appmon_find_process(mon: *mut appmon, pid: u32, start_ns: u64, ret: *mut appmon_process) -> c_int;
    /// The path of a cgroup by an event's cgroup_id: "/system.slice/nginx.service". It begins at the
    /// top of the hierarchy if that is mounted anywhere, as a container can have the host's; else at the
    /// top of what is mounted (see appmon_opts.cgroup_mount). Kept as above, also after the cgroup was
    /// removed. Without CAP_DAC_READ_SEARCH all directories of the mount are looked through. *ret_path
    /// is valid until the next appmon_find_*() or appmon_close().
    /// -ENOENT  there is no such cgroup any more, or it is outside of what the mount shows; or this
    /// handle replays a recording
    /// -ENOMEM  memory_limit is reached
    pub fn appmon_find_cgroup(mon: *mut appmon, cgroup_id: u64, ret_path: *mut appmon_str) -> c_int;
    /// Text of a negative errno value that this library returned; static, never NULL.
    pub fn appmon_strerror(err: c_int) -> *const c_char;
    /// Writes "192.0.2.1:80", "\[2001:db8::1\]:80" or "?", always NUL-terminated if
    /// size > 0, and returns the length it has without truncation. 56 bytes suffice.
    pub fn appmon_format_endpoint(ep: *const appmon_endpoint, buf: *mut c_char, size: usize) -> c_int;
    /// Nanoseconds since 1970 for a CLOCK_MONOTONIC time of one of mon's events (its clocks'
    /// distance is kept, and recorded), or with NULL by the clocks' present distance; 0 for 0.
    pub fn appmon_realtime_ns(mon: *mut appmon, monotonic_ns: u64) -> u64;
    /// The first value of a header that ev holds; NULL if there is none. name in lower
    /// case; response: 0 or 1 as in appmon_header.
    pub fn appmon_event_header(ev: *const appmon_event, name: *const c_char, response: c_int) -> *const appmon_str;
    /// A copy of an event, with all that it points to but target_user, in one block: the host keeps it
    /// as long as it likes, on any thread, and gives it to appmon_event_free(), also after
    /// appmon_close(). ev may be any handle's, or a host's own.
    /// -EINVAL  ev or ret is NULL, or ev->size is not set
    /// -ENOMEM  out of memory
    pub fn appmon_event_copy(ev: *const appmon_event, ret: *mut *mut appmon_event) -> c_int;
    /// Frees a copy, of appmon_event_copy() or appmon_next_batch(), and no other event. NULL is
    /// accepted.
    pub fn appmon_event_free(copy: *mut appmon_event);
    /// The container that a cgroup holds, from the rules by which docker, containerd, cri-o, podman and
    /// the kubelet name them (systemd and cgroupfs drivers); nothing is looked up. path: of the
    /// cgroup, absolute or relative to any parent. A cgroup inside a container counts as the container;
    /// of nested ones the innermost.
    /// -ENOENT  neither a container nor a pod
    pub fn appmon_cgroup_container(path: *const c_char, ret: *mut appmon_container) -> c_int;
    /// "http1", "resp", "http2", "postgresql", "mysql", "tls" for APPMON_PROTO_*; NULL for 0 and for
    /// values that this library does not know. The protocols are numbered from 1 without gaps: a host
    /// that counts up until NULL has met them all.
    pub fn appmon_protocol_name(protocol: u32) -> *const c_char;
    /// The APPMON_PROTO_* of a name as above, in lower case; APPMON_PROTO_UNKNOWN if this library has no
    /// protocol of that name, and for NULL.
    pub fn appmon_protocol_by_name(name: *const c_char) -> u32;
    /// "docker", "containerd" ... for APPMON_RUNTIME_*; "unknown" otherwise.
    pub fn appmon_runtime_name(runtime: u32) -> *const c_char;
    /// "GET" for APPMON_METHOD_GET ...; "" for values without a name.
    pub fn appmon_method_name(method: u32) -> *const c_char;
    /// "complete", "closed", "reset by peer" ... for APPMON_END_*; "unknown" otherwise.
    pub fn appmon_end_name(end: u32) -> *const c_char;
    /// "thread", "peer", "request id" ... for APPMON_LINK_*; "none" for 0; "unknown" otherwise.
    pub fn appmon_link_name(link: u32) -> *const c_char;
    /// "w3c", "b3" ... for APPMON_TRACE_*; "" for 0; "unknown" otherwise.
    pub fn appmon_trace_format_name(format: u32) -> *const c_char;
    /// "ring_full", "memory" ... for APPMON_DROP_*; "unknown" otherwise.
    pub fn appmon_drop_name(reason: u32) -> *const c_char;
    /// The version that runs, (major \<\< 16) | (minor \<\< 8) | patch: compare with
    /// APPMON_VERSION_NUM, which the host was compiled with.
    pub fn appmon_version() -> u32;
    pub fn appmon_version_string() -> *const c_char;
    /// sizeof of a public struct, by name ("appmon_event"), as the running library knows it; 0: no
    /// such struct. For bindings that carry a copy of the layouts: a struct that begins with
    /// "size" may be larger here than there, each other one has to be equal.
    pub fn appmon_struct_size(name: *const c_char) -> u32;
    /// opts may be NULL.
    /// -EINVAL  a value is out of range
    /// -E2BIG   unknown members are set
    /// -ENOMEM  out of memory, or memory_limit does not hold the tables themselves
    pub fn appmon_metrics_open(ret: *mut *mut appmon_metrics, opts: *const appmon_metrics_opts) -> c_int;
    /// NULL is accepted. Snapshots stay.
    pub fn appmon_metrics_close(metrics: *mut appmon_metrics);
    /// Counts one event, and keeps no reference to it. Never fails for want of room: what does not fit
    /// goes to a series with APPMON_SERIES_OTHER, and is counted. Allocates only for a new series,
    /// or for durations unlike any before. Figures are of the events that come: where a handle leaves
    /// out connections, they are of the share in appmon_event.sampling_ppm.
    pub fn appmon_metrics_add(metrics: *mut appmon_metrics, ev: *const appmon_event) -> c_int;
    /// Counts one exchange that is in progress, for the next snapshot only: an event of
    /// appmon_each_active(), of one handle or several, right before appmon_metrics_snapshot().
    /// -EINVAL: without APPMON_METRICS_ACTIVE.
    pub fn appmon_metrics_active(metrics: *mut appmon_metrics, ev: *const appmon_event) -> c_int;
    pub fn appmon_metrics_get_stats(metrics: *mut appmon_metrics, stats: *mut appmon_metrics_stats) -> c_int;
    /// Copies what the aggregator holds; idle series go first. opts may be NULL. The copy takes as
    /// much memory as the series themselves, on top of memory_limit.
    /// -ENOMEM  out of memory
    /// -E2BIG   as above
    pub fn appmon_metrics_snapshot(metrics: *mut appmon_metrics, opts: *const appmon_snapshot_opts, ret: *mut *mut appmon_snapshot) -> c_int;
    /// NULL is accepted.
    pub fn appmon_snapshot_free(snapshot: *mut appmon_snapshot);
    /// When it was taken (now_ns): the distance of two is what rates are divided by.
    pub fn appmon_snapshot_time(snapshot: *const appmon_snapshot) -> u64;
    /// How many series, edges or rows of what is active (APPMON_SNAPSHOT_*) there are: indices 0 up to
    /// it, in the order in which they began. 0 for another kind.
    pub fn appmon_snapshot_count(snapshot: *const appmon_snapshot, kind: u32) -> u32;
    /// -ENOENT: no such index.
    pub fn appmon_snapshot_series(snapshot: *const appmon_snapshot, index: u32, series: *mut appmon_series) -> c_int;
    pub fn appmon_snapshot_edge(snapshot: *const appmon_snapshot, index: u32, edge: *mut appmon_edge) -> c_int;
    pub fn appmon_snapshot_active(snapshot: *const appmon_snapshot, index: u32, active: *mut appmon_active) -> c_int;
    /// The figures of one series or edge: all of them (since NULL), or what came since an earlier
    /// snapshot of the same aggregator. One that the earlier snapshot does not have counts from 0.
    /// -ENOENT  no such index, or a kind that has no figures
    /// -EINVAL  since is the later one, or of another aggregator
    pub fn appmon_snapshot_figures(snapshot: *const appmon_snapshot, kind: u32, index: u32, since: *const appmon_snapshot, figures: *mut appmon_figures) -> c_int;
    /// Adds the durations (all, or since, as above) to a histogram of the host's.
    pub fn appmon_snapshot_durations(snapshot: *const appmon_snapshot, kind: u32, index: u32, since: *const appmon_snapshot, histogram: *mut appmon_histogram) -> c_int;
    /// The same of one of the times of enum appmon_time. Without APPMON_METRICS_SERVICE there is nothing
    /// to
    /// add of queue and service times. -EINVAL: as above, or time is none of them.
    pub fn appmon_snapshot_histogram(snapshot: *const appmon_snapshot, kind: u32, index: u32, since: *const appmon_snapshot, time: u32, histogram: *mut appmon_histogram) -> c_int;
    /// -ENODATA: no event of it carried a traceparent.
    pub fn appmon_snapshot_exemplar(snapshot: *const appmon_snapshot, kind: u32, index: u32, exemplar: *mut appmon_exemplar) -> c_int;
    /// Log-linear: each power of two is split into 32 buckets of equal width, values below 64 have one
    /// each. Any 64-bit value fits; a quantile is within 1/64 (1.6 %) of the exact one. Merging is
    /// exact: it gives the histogram that all the values would have given.
    pub fn appmon_histogram_new(ret: *mut *mut appmon_histogram) -> c_int;
    pub fn appmon_histogram_free(histogram: *mut appmon_histogram);
    pub fn appmon_histogram_clear(histogram: *mut appmon_histogram);
    /// count times the value. -ENOMEM: nothing was added.
    pub fn appmon_histogram_add(histogram: *mut appmon_histogram, value: u64, count: u64) -> c_int;
    pub fn appmon_histogram_merge(histogram: *mut appmon_histogram, other: *const appmon_histogram) -> c_int;
    pub fn appmon_histogram_count(histogram: *const appmon_histogram) -> u64;
    pub fn appmon_histogram_sum(histogram: *const appmon_histogram) -> u64;
    pub fn appmon_histogram_max(histogram: *const appmon_histogram) -> u64;
    /// The least recorded value that a share of q (0 to 1) of all do not exceed; 0 if there is none.
    pub fn appmon_histogram_quantile(histogram: *const appmon_histogram, q: f64) -> u64;
    /// How many values are at most this one; exact for 2^n - 1 and below 64, else as a quantile is.
    pub fn appmon_histogram_count_at_most(histogram: *const appmon_histogram, value: u64) -> u64;
    /// Goes through the buckets that hold values, in rising order: 1 and the next one from *cursor (0 at
    /// first) with its least and greatest value and how many it has, or 0 at the end.
    pub fn appmon_histogram_next(histogram: *const appmon_histogram, cursor: *mut u32, ret_least: *mut u64, ret_greatest: *mut u64, ret_count: *mut u64) -> c_int;
    /// The route of a path by the look of its segments, which is what the aggregator does without
    /// route_fn, before learning: numbers become {id}, and {uuid}, {hash}, {date} what looks so, in a
    /// part of a segment too ("order-17.json": "order-{id}.json"); {param} what is not visible ASCII;
    /// "*" the rest of a path that is too long. Writes at most size bytes, always '\0'-terminated if
    /// size > 0, and returns the length written.
    pub fn appmon_route(path: *const c_char, len: usize, buf: *mut c_char, size: usize) -> usize;
    /// What a cgroup v2 directory and those below it use, as the kernel counts it. Where the mount is
    /// hybrid and a controller belongs to version 1, its files are read if the same cgroup
    /// exists there with the same processes. What cannot be read is not valid.
    /// -ENOENT, -ENOTDIR, -EACCES  the directory cannot be opened
    /// -EINVAL  not a cgroup v2 directory
    pub fn appmon_read_resources(cgroup_path: *const c_char, resources: *mut appmon_resources) -> c_int;
    /// The directory of a cgroup id (appmon_event.cgroup_id, appmon_series.cgroup_id), for a host that
    /// has no handle at hand; see appmon_find_cgroup(). Returns the length written without the '\0'.
    /// -ENOENT  it is gone, outside of what is mounted, or there is no cgroup v2
    /// -ENOSPC  buf is too small
    pub fn appmon_cgroup_path(cgroup_id: u64, buf: *mut c_char, size: usize) -> c_int;
}
