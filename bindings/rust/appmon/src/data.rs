// SPDX-License-Identifier: BSD-2-Clause
// Made by bindings/generate from the public headers: do not edit.

use crate::log::LogFunction;
use crate::metrics::Functions;
use crate::text::{address, array_text, headers, Header, Kept, Str};
use crate::{Error, Event, Monitor};
use libappmon_sys as sys;
use std::fmt;
use std::net::SocketAddr;

number! {
    /// appmon_event.protocol. Expect values unknown to you
    Protocol: u32 {
        /// of no event so far
        UNKNOWN = 0, "unknown";
        /// HTTP/1.0 and HTTP/1.1, RFC 9112
        HTTP1 = 1, "http1";
        /// Redis's, RESP2 and RESP3: only if asked for, see protocols
        RESP = 2, "resp";
        /// HTTP/2 (RFC 9113) in clear text, an event for each stream, and gRPC: only if asked for
        HTTP2 = 3, "http2";
        /// PostgreSQL's, version 3: likewise
        POSTGRESQL = 4, "postgresql";
        /// MySQL's and MariaDB's: likewise
        MYSQL = 5, "mysql";
        /// TLS up to 1.3 as it is on the wire, without its plaintext: only if asked for. An event is an
        /// opaque exchange, or a handshake that failed.
        TLS = 6, "tls";
    }
}

number! {
    /// appmon_event.role: what the monitored socket was in this exchange
    Role: u32 {
        /// which side sends the requests was not seen
        UNKNOWN = 0, "unknown";
        /// the request arrived on it
        SERVER = 1, "server";
        /// the request was sent from it
        CLIENT = 2, "client";
    }
}

number! {
    /// appmon_event.method: http.request.method (RFC 9110 section 9, RFC 5789)
    Method: u32 {
        /// no request line was seen
        UNKNOWN = 0, "UNKNOWN";
        /// a token not listed here: see operation
        OTHER = 1, "OTHER";
        /// RFC 9110 section 9.3.1
        GET = 2, "GET";
        /// RFC 9110 section 9.3.2
        HEAD = 3, "HEAD";
        /// RFC 9110 section 9.3.3
        POST = 4, "POST";
        /// RFC 9110 section 9.3.4
        PUT = 5, "PUT";
        /// RFC 9110 section 9.3.5
        DELETE = 6, "DELETE";
        /// RFC 9110 section 9.3.6
        CONNECT = 7, "CONNECT";
        /// RFC 9110 section 9.3.7
        OPTIONS = 8, "OPTIONS";
        /// RFC 9110 section 9.3.8
        TRACE = 9, "TRACE";
        /// RFC 5789
        PATCH = 10, "PATCH";
    }
}

number! {
    /// appmon_event.end: why the exchange is over
    End: u32 {
        /// the last byte of the response was seen
        COMPLETE = 0, "complete";
        /// the connection closed (FIN) before that
        CLOSED = 1, "closed";
        /// an RST arrived before that
        RESET_BY_PEER = 2, "reset_by_peer";
        /// an RST was sent before that
        RESET_BY_US = 3, "reset_by_us";
        /// silence for exchange_timeout_ms
        TIMEOUT = 4, "timeout";
        /// bytes were missed: the rest is unknown
        GAP = 5, "gap";
        /// became a tunnel (101, or 2xx to CONNECT)
        UPGRADED = 6, "upgraded";
        /// reported at its head: APPMON_OPEN_STREAM_HEADS
        AT_HEAD = 7, "at_head";
        /// HTTP/2: a peer gave the stream up (RST_STREAM, GOAWAY). PostgreSQL: the server passed over it,
        /// because an error came before it.
        ABANDONED = 8, "abandoned";
        /// what follows on the connection is encrypted: SSLRequest
        ENCRYPTED = 9, "encrypted";
    }
}

number! {
    /// appmon_event.outcome: what became of the request, by the rule of its protocol
    Outcome: u32 {
        /// Not known: the answer was missed (a gap), has not come yet, or cannot be read (TLS).
        UNKNOWN = 0, "unknown";
        /// HTTP: a status below 400, or an answer without a status line. gRPC, SQL: no error. RESP: a
        /// reply that is no error, none where none was due, or one that sends the client elsewhere
        /// (MOVED, ASK).
        OK = 1, "ok";
        /// HTTP: 400 to 499. gRPC, RESP, SQL: other errors than the next. TLS: the server's alert ended
        /// the handshake.
        CLIENT_ERROR = 2, "client_error";
        /// HTTP: 500 and above. gRPC: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE,
        /// DATA_LOSS, and a call that the server gave up. RESP: the server cannot at present: LOADING,
        /// BUSY, OOM, MISCONF, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, NOREPLICAS. PostgreSQL: SQLSTATE of the
        /// classes 08, 53, 57, 58, XX. MySQL: 1040, 1205, 1213, 2000 to 2999. TLS: the client's alert
        /// ended the handshake, as it does for the server's certificate, or the server's internal_error.
        SERVER_ERROR = 3, "server_error";
        /// no answer for exchange_timeout_ms
        TIMEOUT = 4, "timeout";
        /// The client reset the connection before the answer. HTTP/2: it gave the stream up. gRPC:
        /// CANCELLED, too. PostgreSQL: also SQLSTATE 57014, and what was passed over after an error.
        /// MySQL: also 1317.
        CANCELLED = 5, "cancelled";
        /// the connection ended otherwise before the answer
        NO_RESPONSE = 6, "no_response";
    }
}

number! {
    /// appmon_event.operation_type: what kind of operation it is. Expect values unknown to you
    OperationType: u32 {
        /// no request was seen
        UNKNOWN = 0, "unknown";
        /// none of those below, or not known to be one
        OTHER = 1, "other";
        /// HTTP: safe methods (RFC 9110 section 9.2.1). RESP: reads keys
        READ = 2, "read";
        /// HTTP: PUT, DELETE, PATCH. RESP: changes keys
        WRITE = 3, "write";
        /// HTTP: POST. RESP: runs a script or a function
        CALL = 4, "call";
        /// RESP: PUBLISH, SPUBLISH
        PUBLISH = 5, "publish";
        /// RESP: begins or ends a subscription
        RECEIVE = 6, "receive";
        /// about the connection itself. HTTP: CONNECT. RESP: AUTH, SELECT ...
        SESSION = 7, "session";
    }
}

number! {
    /// appmon_trace.format: the header fields that carried the ids
    TraceFormat: u32 {
        /// none of the fields below is well formed
        NONE = 0, "none";
        /// traceparent (W3C Trace Context)
        W3C = 1, "w3c";
        /// b3 (Zipkin), the single field
        B3 = 2, "b3";
        /// x-b3-traceid, x-b3-spanid ...
        B3_MULTI = 3, "b3_multi";
        /// uber-trace-id
        JAEGER = 4, "jaeger";
        /// sw8 (SkyWalking)
        SW8 = 5, "sw8";
    }
}

number! {
    /// appmon_container.runtime
    Runtime: u32 {
        /// the path names the container only
        UNKNOWN = 0, "unknown";
        /// docker-ID.scope, or ID in a directory docker
        DOCKER = 1, "docker";
        /// cri-containerd-ID, nerdctl-ID
        CONTAINERD = 2, "containerd";
        /// crio-ID
        CRIO = 3, "crio";
        /// libpod-ID
        PODMAN = 4, "podman";
    }
}

number! {
    /// appmon_event.owner: how pid and tid are known
    Owner: u32 {
        /// not at all: both are 0
        UNKNOWN = 0, "unknown";
        /// server: this thread read the request
        READ = 1, "read";
        /// server: several threads read it; this is the last
        READ_SHARED = 2, "read_shared";
        /// Client: this thread sent the request. Server: this thread sent the response; who read the
        /// request was not seen.
        SENT = 3, "sent";
        /// Client: this thread connected; who sent the request was not seen.
        CONNECTED = 4, "connected";
    }
}

number! {
    /// appmon_event.link: how the exchange that this one was made for is known
    Link: u32 {
        /// for none that is known
        NONE = 0, "none";
        /// Certain. Client: sent by the thread that had read that request, and no other, with blocking
        /// reads, and had not answered it yet.
        THREAD = 1, "thread";
        /// Certain. Server: the same bytes, seen where they were sent.
        PEER = 2, "peer";
        /// As certain as the header field that says so. Client: its Forwarded field (RFC 7239) names the
        /// address and port from which that request came.
        FORWARDED = 3, "forwarded";
        /// As certain as the field. Client: of the open requests only that one has its x-request-id, or
        /// other field of request_id_headers.
        REQUEST_ID = 4, "request_id";
        /// As certain as the field. Client: of the open requests only that one has its trace id.
        TRACE_ID = 5, "trace_id";
        /// Likely. Client: as THREAD, without blocking reads, of a process that has always served each of
        /// overlapping requests by one thread.
        WORKER = 6, "worker";
        /// Likely. Client: sent by the thread that had read that request, the only one that its process
        /// had in progress; not while a share of the connections is watched.
        SOLE = 7, "sole";
        /// Certain; of Go programs, with APPMON_OPEN_GOROUTINES. Client: asked for by the goroutine in
        /// which net/http was serving that request, which was not answered yet.
        GOROUTINE = 8, "goroutine";
        /// Likely; of Go programs, as above. Client: by a goroutine that was started while that request
        /// was served, by the one that served it or one so started, and that request was not answered
        /// yet.
        STARTED = 9, "started";
    }
}

number! {
    /// appmon_stats.dropped\[\]: why an exchange that was seen has no event
    Drop: u32 {
        /// the host did not read fast enough
        RING_FULL = 0, "ring_full";
        /// memory_limit reached, now or when its connection was forgotten a moment before: then the
        /// handle counts it, but no target
        MEMORY = 1, "memory";
        /// a message could not be assembled: bytes missed
        GAP = 2, "gap";
        /// the request line alone exceeds the capture limit
        TRUNCATED = 3, "truncated";
        /// began like HTTP, but the start line cannot be read
        PARSE = 4, "parse";
        /// its target was detached meanwhile
        DETACHED = 5, "detached";
        /// a response whose request was not seen and cannot be reported
        ORPHAN = 6, "orphan";
        /// its connection left the sample, or capture was paused
        SAMPLED = 7, "sampled";
    }
}

number! {
    /// appmon_log_fn level
    LogLevel: u32 {
        /// a failure, as appmon_last_error() has it; the verifier's words
        ERROR = 1, "error";
        /// something is missing from now on, and what to do about it
        WARN = 2, "warn";
        /// what was attached, and what becomes of it
        INFO = 3, "info";
        /// for those who look for a fault: also each exchange that is dropped, and where pairing is given
        /// up, with the reason
        DEBUG = 4, "debug";
        /// each record and each decision: many lines a request
        TRACE = 5, "trace";
    }
}

bits! {
    /// appmon_event.flags
    EventFlags: u64 {
        /// No final response was seen.
        NO_RESPONSE = 0x1, "no_response";
        /// An RST arrived.
        RESET_BY_PEER = 0x2, "reset_by_peer";
        /// An RST was sent.
        RESET_BY_US = 0x4, "reset_by_us";
        /// A head was longer than the capture limit, or cut off by the end: headers are missing.
        TRUNCATED = 0x8, "truncated";
        /// The capture began inside the exchange.
        MID_MESSAGE = 0x10, "mid_message";
        /// Bytes of this exchange were missed.
        GAP = 0x20, "gap";
        /// The connection is a tunnel from here on.
        UPGRADED = 0x40, "upgraded";
        /// Both sides let the connection persist.
        KEEP_ALIVE = 0x80, "keep_alive";
        /// Sent before an earlier response was complete.
        PIPELINED = 0x100, "pipelined";
        /// The request's body came in chunks.
        CHUNKED_REQUEST = 0x200, "chunked_request";
        /// The response's body came in chunks.
        CHUNKED_RESPONSE = 0x400, "chunked_response";
        /// The response began before the request ended.
        EARLY_RESPONSE = 0x800, "early_response";
        /// A 1xx response came before the final one.
        CONTINUED = 0x1000, "continued";
        /// Framing that has two readings (RFC 9112 section 11.2): Content-Length with Transfer-Encoding,
        /// two lengths, one that is no number, a field that readers may miss, chunk lines that are not as
        /// in section 7.1. TLS 1.3: the first exchange of a connection; bytes of the handshake, such as
        /// tickets, can be counted with it, and its response can seem to begin with them.
        AMBIGUOUS = 0x2000, "ambiguous";
        /// The end of a body was inferred, not counted: chunked beyond the captured bytes, or delimited
        /// by what cannot be read.
        INFERRED_END = 0x4000, "inferred_end";
        /// A head is not as in RFC 9112: lines that are no fields were passed over, start lines keep
        /// their control bytes. Without a method: not even the request line could be read, but it was
        /// answered.
        MALFORMED = 0x8000, "malformed";
        /// The answer has no status line (HTTP/0.9, ICY): status is 0, all of it is body.
        NO_STATUS_LINE = 0x10000, "no_status_line";
        /// Something that was said is not known. HTTP/2: fields that were indexed before the capture
        /// began or in a block that was missed, or a head that was not captured whole; what is there is
        /// certain. SQL: a statement that was prepared before the attach, or so long ago that it was
        /// forgotten.
        PARTIAL = 0x20000, "partial";
        /// The server began it (HTTP/2: PUSH_PROMISE): the request, too, came from it.
        SERVER_BEGAN = 0x40000, "server_began";
        /// One request with several statements; operation is the first one's.
        MULTI = 0x80000, "multi";
        /// The connection is a stream of replication from here on.
        REPLICATION = 0x100000, "replication";
        /// What follows on the connection is compressed, and has no events.
        COMPRESSED = 0x200000, "compressed";
        /// Inside TLS: times can be those of the TLS library's calls, for records of the wire could not
        /// be told for all of them.
        CALL_TIMES = 0x400000, "call_times";
    }
}

bits! {
    /// appmon_trace.flags
    TraceFlags: u32 {
        /// the sender records the trace
        SAMPLED = 0x1, "sampled";
        /// b3, x-b3-*: that is left to the receiver
        UNDECIDED = 0x2, "undecided";
        /// b3, x-b3-*, uber-trace-id: it shall be kept
        DEBUG = 0x4, "debug";
    }
}

bits! {
    /// appmon_stats.flags
    StatsFlags: u32 {
        /// The target's cgroup was removed, and its last socket is gone: no request of it will come any
        /// more. It stays attached until appmon_detach(). Of the handle: one of its targets is such a
        /// one.
        REMOVED = 0x1, "removed";
        /// Of the handle: appmon_record() was asked for, and the recording has ended by itself, at
        /// record_max_bytes or with a write that failed.
        RECORD_ENDED = 0x2, "record_ended";
    }
}

bits! {
    /// appmon_opts.flags
    OpenFlags: u32 {
        /// Never keep the query part of a target, nor a fragment that a client sends behind it.
        DROP_QUERY = 0x1, "drop_query";
        /// Who served or sent, and when it read: fills in appmon_event.owner and what depends on it,
        /// where the kernel can (APPMON_CAP_IDENTITY).
        IDENTITY = 0x2, "identity";
        /// Trace ids: keeps the fields that carry them, fills in appmon_event.trace, trace_text,
        /// request_id.
        TRACE = 0x4, "trace";
        /// A response without a declared length, such as an event stream, is reported at its head if it
        /// goes on behind it (APPMON_END_AT_HEAD): without its end, and with no second event for that.
        STREAM_HEADS = 0x8, "stream_heads";
        /// What an exchange was made for: appmon_event.link. Implies APPMON_OPEN_IDENTITY and _TRACE;
        /// without APPMON_CAP_IDENTITY there is evidence from header fields and from the other end only.
        LINKS = 0x10, "links";
        /// Follows goroutines, for links of Go programs (1.21 to 1.26, x86-64): attaches uprobes to their
        /// executables, those of processes that are in a cgroup at its attach, and of others when their
        /// first event is due; at most 64, until appmon_close(). Whoever runs such an executable pays
        /// some 2 microseconds for each go statement and each request that is served, and twice that for
        /// one that is sent. Implies APPMON_OPEN_LINKS. Needs CAP_SYS_ADMIN (before Linux 6.16
        /// CAP_PERFMON), and CAP_SYS_PTRACE for other users' processes, as long as programs come. What
        /// cannot be followed is logged (WARN), and has no links of that kind.
        GOROUTINES = 0x20, "goroutines";
        /// Leaves out what has no request: a response to one that passed before the attach, or was
        /// missed. It has no event, and counts as dropped\[APPMON_DROP_ORPHAN\].
        ONLY_REQUESTS = 0x40, "only_requests";
        /// Targets as sent: with the secrets that are left out otherwise, see appmon_opts.redact_names.
        /// For debugging; whoever reads the events can act as the clients.
        KEEP_SECRETS = 0x80, "keep_secrets";
        /// SQL: appmon_event.query_text with its literals, the very bytes of the client, and message with
        /// the server's words, which may repeat them.
        QUERY_TEXT = 0x100, "query_text";
        /// Requests inside TLS are reported as others are, by what the application's TLS library reads
        /// and writes: OpenSSL 1.1.1 and later, GnuTLS and BoringSSL with symbols, as a library or in the
        /// executable, and crypto/tls of Go 1.21 to 1.26. x86-64 only. Keys are never touched. The
        /// library attaches uprobes to such files: those of processes that are in a cgroup at its attach,
        /// and of others when they make their first socket or send a hello; at most 256, until
        /// appmon_close(), which takes up to a second for each (since Linux 6.13 less than a tenth). A
        /// call costs 2 to 5 microseconds; a read of OpenSSL that finds nothing costs none where the
        /// library understands its code, as that of 1.1.1 and 3.0. Whoever else maps such a file pays 2
        /// to 3 for each call, and since Linux 6.13 some 1.5, but only calls of processes in the cgroups,
        /// and of those that they start, are read: a probe for one process alone would miss what its
        /// children do first. The first connections of the first process with a new file can stay closed:
        /// an event of TLS. A connection that was open before the attach is told once a write shows its
        /// socket: because its thread sends meanwhile, or, where OpenSSL and BoringSSL write to memory as
        /// in node and asyncio, by the ciphertext. For that such a process, 64 at most, gets one more
        /// probe, of a microsecond a write. Implies APPMON_OPEN_IDENTITY, and APPMON_PROTO_TLS in
        /// protocols. Needs CAP_SYS_ADMIN as long as processes come (before Linux 6.16 CAP_PERFMON with
        /// CAP_CHECKPOINT_RESTORE), and for other users' processes CAP_SYS_PTRACE and
        /// CAP_DAC_READ_SEARCH. A file or process that cannot be looked into is logged (WARN), and
        /// counted in appmon_stats.tls_refused.
        TLS = 0x200, "tls";
    }
}

bits! {
    /// appmon_capabilities.supported: what this kernel gives
    Capabilities: u64 {
        /// cgroup_skb with socket storage: the core.
        CAPTURE = 0x1, "capture";
        /// iter/bpf_sk_storage_map, or iter/task_file where that is refused: the end of a long body is
        /// reported at once even if its signal was rate-limited.
        SWEEP = 0x2, "sweep";
        /// APPMON_OPEN_IDENTITY was asked for and works.
        IDENTITY = 0x4, "identity";
        /// APPMON_OPEN_GOROUTINES was asked for and works.
        GOROUTINES = 0x8, "goroutines";
        /// APPMON_OPEN_TLS was asked for and works.
        TLS = 0x10, "tls";
    }
}

number! {
    /// What a snapshot has several of: series, where every event that has a request is in exactly one;
    /// edges, where every exchange is in exactly one, as its client saw it if both ends were seen (an
    /// event without a role has no edge); and, with APPMON_METRICS_ACTIVE, what was in progress when it
    /// was taken
    SnapshotKind: u32 {
        /// one for each combination of labels
        SERIES = 0, "series";
        /// one for each pair of who asked and who was asked
        EDGES = 1, "edges";
        /// one for each application with requests in progress
        ACTIVE = 2, "active";
    }
}

number! {
    /// Which times of its events a series or edge has a histogram of: members of appmon_event. Those of
    /// the queue and of service are of servers that were seen to read (APPMON_OPEN_IDENTITY), with
    /// APPMON_METRICS_SERVICE
    TimeKind: u32 {
        /// duration_ns
        DURATION = 0, "duration";
        /// queue_ns
        QUEUE = 1, "queue";
        /// service_ns
        SERVICE = 2, "service";
    }
}

bits! {
    /// appmon_metrics_opts.dimensions: what tells series apart beside application, role, protocol, system
    /// and outcome. 0 means APPMON_DIM_DEFAULT
    Dimensions: u32 {
        /// The leaf cgroup.
        INSTANCE = 0x1, "instance";
        /// The process, where events name it.
        PID = 0x2, "pid";
        /// The other application where it is monitored too; of a server that is not, address and port.
        PEER = 0x4, "peer";
        /// The address of clients that are not monitored; without it they are all one, in edges too.
        CLIENT = 0x8, "client";
        /// The method; of what is not HTTP the operation.
        METHOD = 0x10, "method";
        /// The path without ids and the like; of a statement its summary, its table and the database.
        ROUTE = 0x20, "route";
        /// The status: status_text and the number of it.
        STATUS = 0x40, "status";
        /// None of the above.
        NONE = 0x80000000, "none";
    }
}

bits! {
    /// appmon_metrics_opts.flags
    MetricsFlags: u32 {
        /// the path is the route as it is
        RAW_ROUTES = 0x1, "raw_routes";
        /// never look for the application behind a peer
        NO_JOIN = 0x2, "no_join";
        /// Snapshots have what is in progress: the host calls appmon_metrics_active() for it before each.
        ACTIVE = 0x4, "active";
        /// Histograms of queue and service times, too: three of them in place of one.
        SERVICE = 0x8, "service";
    }
}

bits! {
    /// appmon_metrics_opts.server_errors, client_errors: the outcomes that are errors, bit n for enum
    /// appmon_outcome n. 0: the default
    ErrorFlags: u32 {
        /// APPMON_OUTCOME_CLIENT_ERROR
        CLIENT = 0x4, "client";
        /// APPMON_OUTCOME_SERVER_ERROR
        SERVER = 0x8, "server";
        /// APPMON_OUTCOME_TIMEOUT
        TIMEOUT = 0x10, "timeout";
        /// APPMON_OUTCOME_CANCELLED
        CANCELLED = 0x20, "cancelled";
        /// APPMON_OUTCOME_NO_RESPONSE
        NO_RESPONSE = 0x40, "no_response";
        /// No outcome is an error.
        NEVER = 0x80000000, "never";
    }
}

bits! {
    /// appmon_series.flags
    SeriesFlags: u32 {
        /// Holds what found no room of its own. A series has app and role, if all of it has the same, and
        /// no other member; an edge has no member.
        OTHER = 0x1, "other";
    }
}

bits! {
    /// appmon_resources.valid, from_v1. A figure that is not valid is 0
    ResourceFlags: u64 {
        /// cpu_ns, cpu_user_ns, cpu_system_ns
        CPU = 0x1, "cpu";
        /// periods, throttled_periods, throttled_ns
        THROTTLING = 0x2, "throttling";
        /// memory_bytes, memory_limit
        MEMORY = 0x4, "memory";
        /// pids, pids_limit
        PIDS = 0x8, "pids";
        /// read_bytes, write_bytes, reads, writes
        IO = 0x10, "io";
    }
}

bits! {
    /// appmon_snapshot_opts.flags
    TakeFlags: u32 {
        /// Events that wait for their other end are counted as they are: at the end, or for a test.
        WAITING = 0x1, "waiting";
    }
}

impl Monitor {
    /// all connections
    pub const SAMPLING_ALL: u32 = 1000000;
}

/// The trace ids of a request, from the first of the fields at APPMON_TRACE_* that is well formed.
/// Shorter ids have zeros before them; an id that the format lacks is all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// enum appmon_trace_format, APPMON_TRACE_*
    pub format: TraceFormat,
    /// APPMON_TRACE_SAMPLED ...
    pub flags: TraceFlags,
    /// sw8: 0 unless it is a UUID; see appmon_event.trace_text
    pub trace_id: [u8; 16],
    /// `appmon_trace.span_id`
    pub span_id: [u8; 8],
    /// of the sender's parent: b3, x-b3-*, uber-trace-id
    pub parent_span_id: [u8; 8],
}

impl Trace {
    fn new(raw: &sys::appmon_trace) -> Trace {
        Trace {
            format: TraceFormat(raw.format),
            flags: TraceFlags(raw.flags),
            trace_id: raw.trace_id,
            span_id: raw.span_id,
            parent_span_id: raw.parent_span_id,
        }
    }
}

impl<'a> Event<'a> {
    /// enum appmon_protocol, APPMON_PROTO_* (network.protocol.name)
    pub fn protocol(&self) -> Protocol {
        Protocol(self.raw.protocol)
    }

    /// APPMON_EVF_*
    pub fn flags(&self) -> EventFlags {
        EventFlags(self.raw.flags)
    }

    /// enum appmon_role, APPMON_ROLE_*
    pub fn role(&self) -> Role {
        Role(self.raw.role)
    }

    /// enum appmon_end, APPMON_END_*
    pub fn end(&self) -> End {
        End(self.raw.end)
    }

    /// as returned by appmon_attach_cgroup()
    pub fn target_id(&self) -> u32 {
        self.raw.target_id
    }

    // Share of connections watched when the request began, parts per million: it stands for
    // 1,000,000 / sampling_ppm exchanges.
    /// `appmon_event.sampling_ppm`
    pub fn sampling_ppm(&self) -> u32 {
        self.raw.sampling_ppm
    }

    /// the name given at attach
    pub fn target_name(&self) -> Str<'a> {
        Str::new(&self.raw.target_name)
    }

    /// leaf cgroup of the socket: inode of its cgroup v2 directory
    pub fn cgroup_id(&self) -> u64 {
        self.raw.cgroup_id
    }

    // Socket cookie: unique per boot (SO_COOKIE, Linux 4.12). 2^62 and up: an id of the library's
    // own, unique in the handle: the request met a listening socket, and its connection's own
    // socket had not shown up when the event was made.
    /// `appmon_event.connection_id`
    pub fn connection_id(&self) -> u64 {
        self.raw.connection_id
    }

    // 1 for the first exchange seen on the connection, then one more each; unique with
    // connection_id: after the library had to forget the connection (limits, idle time) it goes
    // on higher.
    /// `appmon_event.ordinal`
    pub fn ordinal(&self) -> u64 {
        self.raw.ordinal
    }

    // What was asked and what became of it, for any protocol alike. "" where it is not known,
    // or where there is no such thing.
    /// enum appmon_operation_type, APPMON_OP_*
    pub fn operation_type(&self) -> OperationType {
        OperationType(self.raw.operation_type)
    }

    /// enum appmon_outcome, APPMON_OUTCOME_*: error rates go by it
    pub fn outcome(&self) -> Outcome {
        Outcome(self.raw.outcome)
    }

    /// what speaks the protocol (db.system.name): RESP: "redis"; gRPC: "grpc" (rpc.system.name);
    /// "postgresql", "mysql", "tls"; HTTP: ""
    pub fn system(&self) -> Str<'a> {
        Str::new(&self.raw.system)
    }

    // HTTP: the method as sent (http.request.method). RESP: the command's name as sent
    // (db.operation.name). gRPC: the service with its package, '/' and the method
    // (rpc.method). SQL: a statement's first word in upper case, behind WITH its main one; FETCH:
    // more rows of a statement that was told before; CONNECT: the log-in; CANCEL: a request to
    // cancel, on a connection of its own. TLS: "handshake" of one that failed, else "exchange".
    // "": no request was seen.
    /// `appmon_event.operation`
    pub fn operation(&self) -> Str<'a> {
        Str::new(&self.raw.operation)
    }

    // What the operation is about. HTTP: the path (url.path), of CONNECT the authority; of gRPC
    // "", for operation says it all. RESP: the command's first argument, mostly a key; "" where
    // it may be a secret (AUTH, HELLO). SQL: the first table, or the procedure of CALL
    // (db.collection.name). TLS: tls_server_name.
    /// `appmon_event.resource`
    pub fn resource(&self) -> Str<'a> {
        Str::new(&self.raw.resource)
    }

    /// SQL: the database (db.namespace)
    pub fn resource_namespace(&self) -> Str<'a> {
        Str::new(&self.raw.resource_namespace)
    }

    // SQL: the statement, without its data (db.query.text): literals and parameters are '?', a
    // list of them is one, rows behind the first are left out, comments too. truncated: there
    // was more. "": it could not be split, or APPMON_EVF_PARTIAL.
    /// `appmon_event.query_text`
    pub fn query_text(&self) -> Str<'a> {
        Str::new(&self.raw.query_text)
    }

    // SQL: operation and up to three tables, as in "SELECT orders customers"
    // (db.query.summary).
    /// `appmon_event.query_summary`
    pub fn query_summary(&self) -> Str<'a> {
        Str::new(&self.raw.query_summary)
    }

    // HTTP: the status code as text (http.response.status_code). RESP: the prefix of an error
    // (db.response.status_code), such as WRONGTYPE. gRPC: the name of grpc-status
    // (rpc.response.status_code), such as NOT_FOUND; where none came, HTTP's. PostgreSQL: an
    // error's SQLSTATE. MySQL: its number. TLS: the name of the alert that ended a handshake,
    // such as unknown_ca; status_number is its number.
    /// `appmon_event.status_text`
    pub fn status_text(&self) -> Str<'a> {
        Str::new(&self.raw.status_text)
    }

    // The server's words for it. HTTP: the reason phrase of the status line. RESP: the text of an
    // error, prefix and all, without the arguments that it may repeat. gRPC: grpc-message,
    // decoded. SQL: an error's, with APPMON_OPEN_QUERY_TEXT.
    /// `appmon_event.message`
    pub fn message(&self) -> Str<'a> {
        Str::new(&self.raw.message)
    }

    /// status_text as a number; -1: it is none, or was not seen
    pub fn status_number(&self) -> i64 {
        self.raw.status_number
    }

    // Bytes of the TCP stream: no headers of TCP or IP, each byte once. HTTP: of head and body.
    // TLS: records of application data with their heads.
    /// `appmon_event.request_bytes`
    pub fn request_bytes(&self) -> u64 {
        self.raw.request_bytes
    }

    /// of the final response
    pub fn response_bytes(&self) -> u64 {
        self.raw.response_bytes
    }

    // SQL: xxh64 of the sanitised text in lower case, the same for statements that differ in
    // their data only. 0: there is no text.
    /// `appmon_event.digest`
    pub fn digest(&self) -> u64 {
        self.raw.digest
    }

    // What paired the two messages. HTTP/2: the id of the stream. 0: their order did.
    /// `appmon_event.key`
    pub fn key(&self) -> u64 {
        self.raw.key
    }

    // gRPC: messages in the stream, whole or not. SQL: response_items are rows that came or were
    // changed (db.response.returned_rows). -1: there is no such thing, or it could not be
    // counted, as of several messages in one DATA frame.
    /// `appmon_event.request_items`
    pub fn request_items(&self) -> i64 {
        self.raw.request_items
    }

    /// `appmon_event.response_items`
    pub fn response_items(&self) -> i64 {
        self.raw.response_items
    }

    /// SQL: the first row of the response, or of MySQL what describes the rows; 0: none was seen
    pub fn first_item_ns(&self) -> u64 {
        self.raw.first_item_ns
    }

    // CLOCK_MONOTONIC, nanoseconds, taken where bytes reach or leave the TCP
    // stack; 0: not seen. appmon_realtime_ns() converts to wall time.
    /// first byte of the request
    pub fn request_start_ns(&self) -> u64 {
        self.raw.request_start_ns
    }

    /// last byte of the request
    pub fn request_end_ns(&self) -> u64 {
        self.raw.request_end_ns
    }

    /// first byte of the final response
    pub fn response_start_ns(&self) -> u64 {
        self.raw.response_start_ns
    }

    /// last byte of the final response
    pub fn response_end_ns(&self) -> u64 {
        self.raw.response_end_ns
    }

    // Derived; 0 where one end is missing.
    /// request_start to response_end (http.server.request.duration)
    pub fn duration_ns(&self) -> u64 {
        self.raw.duration_ns
    }

    /// request_start to request_end
    pub fn request_ns(&self) -> u64 {
        self.raw.request_ns
    }

    /// request_end to response_start; 0 for an early response
    pub fn wait_ns(&self) -> u64 {
        self.raw.wait_ns
    }

    /// response_start to response_end
    pub fn response_ns(&self) -> u64 {
        self.raw.response_ns
    }

    // Where the time went, on the server's side: APPMON_OPEN_IDENTITY; CLOCK_MONOTONIC. With
    // pipelining, and where the request's bytes were not seen to be read, these are 0. Then
    // duration_ns is queue_ns + (read_end_ns - read_start_ns) + service_ns + response_ns.
    /// the application took the first bytes of the request from TCP
    pub fn read_start_ns(&self) -> u64 {
        self.raw.read_start_ns
    }

    /// ... the last bytes that it took before it answered request_start to read_start: in the accept
    /// backlog, in the socket, waiting for a thread.
    pub fn read_end_ns(&self) -> u64 {
        self.raw.read_end_ns
    }

    /// `appmon_event.queue_ns`
    pub fn queue_ns(&self) -> u64 {
        self.raw.queue_ns
    }

    /// read_end to response_start: the application's own time
    pub fn service_ns(&self) -> u64 {
        self.raw.service_ns
    }

    // On the client's side: SYN sent to SYN-ACK received, in the first event of a connection
    // that was seen to connect. Then request_ns, wait_ns and response_ns follow.
    /// `appmon_event.connect_ns`
    pub fn connect_ns(&self) -> u64 {
        self.raw.connect_ns
    }

    /// `appmon_event.local`
    pub fn local(&self) -> Option<SocketAddr> {
        address(&self.raw.local)
    }

    /// `appmon_event.remote`
    pub fn remote(&self) -> Option<SocketAddr> {
        address(&self.raw.remote)
    }

    // The client that a PROXY protocol header, version 1 or 2, in front of the connection's
    // first request names (client.address and client.port): whoever connected to the proxy,
    // where remote, or for the proxy's own requests local, is the proxy. In every event of the
    // connection. family 0: there was no header, or it names none (UNKNOWN, LOCAL, a UNIX
    // socket).
    /// `appmon_event.client`
    pub fn client(&self) -> Option<SocketAddr> {
        address(&self.raw.client)
    }

    /// TCP's smoothed round-trip time at the end, microseconds; 0: unknown
    pub fn srtt_us(&self) -> u32 {
        self.raw.srtt_us
    }

    /// segments this host sent again during the exchange
    pub fn retransmits(&self) -> u32 {
        self.raw.retransmits
    }

    /// segments that arrived again during the exchange
    pub fn peer_retransmits(&self) -> u32 {
        self.raw.peer_retransmits
    }

    /// network namespace of the socket, with APPMON_OPEN_IDENTITY: inode of /proc/PID/ns/net; may be used
    /// again
    pub fn netns_inum(&self) -> u32 {
        self.raw.netns_inum
    }

    /// the same: unique per boot
    pub fn netns_cookie(&self) -> u64 {
        self.raw.netns_cookie
    }

    // The same in the events of both ends of a connection, whatever addresses and ports are
    // translated between them: TCP's sequence numbers of the request's first byte (upper half)
    // and of the response's, or of where it would have begun. Both begin at random (RFC 6528),
    // so that two exchanges of one minute have the same by chance once in 2^64. What ends the
    // connection in between has two connections: a proxy, SYNPROXY. 0: not known.
    /// `appmon_event.wire_id`
    pub fn wire_id(&self) -> u64 {
        self.raw.wire_id
    }

    // Who served the request, or sent it: APPMON_OPEN_IDENTITY, with APPMON_CAP_IDENTITY. Taken
    // in the thread's own context, when it reads or sends: right whoever accepted or connected,
    // and whoever else has the socket open. Numbers of the initial pid namespace, as /proc of
    // the host has them. What was not seen is 0 or "".
    /// enum appmon_owner, APPMON_OWNER_*: how this group is known
    pub fn owner(&self) -> Owner {
        Owner(self.raw.owner)
    }

    /// effective user, initial user namespace (process.user.id)
    pub fn uid(&self) -> u32 {
        self.raw.uid
    }

    /// process.pid
    pub fn pid(&self) -> u32 {
        self.raw.pid
    }

    /// thread.id
    pub fn tid(&self) -> u32 {
        self.raw.tid
    }

    /// pid in the process's own pid namespace, as it sees itself
    pub fn inner_pid(&self) -> u32 {
        self.raw.inner_pid
    }

    /// tid in that namespace
    pub fn inner_tid(&self) -> u32 {
        self.raw.inner_tid
    }

    /// server: the process that sent the response's first byte; 0: TCP sent it by itself
    pub fn response_pid(&self) -> u32 {
        self.raw.response_pid
    }

    /// server: the thread that sent it
    pub fn response_tid(&self) -> u32 {
        self.raw.response_tid
    }

    /// CLOCK_BOOTTIME: with pid it names a process for ever; field 22 of /proc/PID/stat has it in ticks
    pub fn process_start_ns(&self) -> u64 {
        self.raw.process_start_ns
    }

    /// of the process, at that moment: /proc/PID/comm
    pub fn comm(&self) -> Str<'a> {
        Str::new(&self.raw.comm)
    }

    // Trace ids of the request: APPMON_OPEN_TRACE. What is not well formed is in headers only.
    /// `appmon_event.trace`
    pub fn trace(&self) -> Trace {
        Trace::new(&self.raw.trace)
    }

    /// sw8: its trace id as text; "" for others
    pub fn trace_text(&self) -> Str<'a> {
        Str::new(&self.raw.trace_text)
    }

    /// x-request-id, or another of request_id_headers: of those the first in the head
    pub fn request_id(&self) -> Str<'a> {
        Str::new(&self.raw.request_id)
    }

    // What the exchange was made for: APPMON_OPEN_LINKS. Client: the request that the sender
    // was serving. Server: the exchange that a monitored client sees of the same request.
    // Decided when the request begins, from what is open at that moment; that other exchange's
    // event usually comes later, or never if it is dropped.
    /// connection_id and ordinal of that exchange
    pub fn link_connection_id(&self) -> u64 {
        self.raw.link_connection_id
    }

    /// `appmon_event.link_ordinal`
    pub fn link_ordinal(&self) -> u64 {
        self.raw.link_ordinal
    }

    /// enum appmon_link, APPMON_LINK_*; NONE: those two are 0
    pub fn link(&self) -> Link {
        Link(self.raw.link)
    }

    // HTTP's own; 0, NULL and "" in events of other protocols.
    /// enum appmon_method, APPMON_METHOD_*
    pub fn method(&self) -> Method {
        Method(self.raw.method)
    }

    /// http.response.status_code; 0: none
    pub fn status(&self) -> u32 {
        self.raw.status
    }

    // 20: HTTP/2, 10: HTTP/1.0, 11: HTTP/1.1 and any newer HTTP/1.x (RFC 9112 section 2.3); others, such
    // as
    // 20, by way of 10 * major + minor, which counts up to 9; 0: unknown.
    /// `appmon_event.request_http_version`
    pub fn request_http_version(&self) -> u32 {
        self.raw.request_http_version
    }

    /// `appmon_event.response_http_version`
    pub fn response_http_version(&self) -> u32 {
        self.raw.response_http_version
    }

    /// header_count of them; NULL if 0
    pub fn headers(&self) -> &'a [Header] {
        headers(self.raw.headers, self.raw.header_count)
    }

    /// as sent (RFC 9112 section 3.2), but for secrets: see appmon_opts.redact_names; query per options
    pub fn request_target(&self) -> Str<'a> {
        Str::new(&self.raw.request_target)
    }

    /// path of it (url.path); "" for CONNECT
    pub fn path(&self) -> Str<'a> {
        Str::new(&self.raw.path)
    }

    /// after '?' (url.query); secrets as above
    pub fn query(&self) -> Str<'a> {
        Str::new(&self.raw.query)
    }

    /// of an absolute or CONNECT target, else Host; without user and password (server.address and
    /// server.port)
    pub fn authority(&self) -> Str<'a> {
        Str::new(&self.raw.authority)
    }

    /// `appmon_event.request_head_bytes`
    pub fn request_head_bytes(&self) -> u64 {
        self.raw.request_head_bytes
    }

    /// as transferred, with chunk framing; HTTP/2: what DATA frames carry without padding
    /// (http.request.body.size)
    pub fn request_body_bytes(&self) -> u64 {
        self.raw.request_body_bytes
    }

    /// of the final response
    pub fn response_head_bytes(&self) -> u64 {
        self.raw.response_head_bytes
    }

    /// as transferred (http.response.body.size)
    pub fn response_body_bytes(&self) -> u64 {
        self.raw.response_body_bytes
    }

    /// declared; -1: none
    pub fn request_content_length(&self) -> i64 {
        self.raw.request_content_length
    }

    /// declared; -1: none
    pub fn response_content_length(&self) -> i64 {
        self.raw.response_content_length
    }

    // TLS's own, from the hellos, in every event of the connection; 0 and "" in events of other
    // protocols, where the hellos were not seen, and where they do not say it. What is no
    // printable ASCII is '?'.
    /// SNI, as sent (tls.client.server_name)
    pub fn tls_server_name(&self) -> Str<'a> {
        Str::new(&self.raw.tls_server_name)
    }

    /// names that the client offers, in its order, with commas: "h2,http/1.1"
    pub fn tls_alpn_offered(&self) -> Str<'a> {
        Str::new(&self.raw.tls_alpn_offered)
    }

    /// the chosen one (tls.next_protocol); TLS 1.3 hides it: ""
    pub fn tls_alpn(&self) -> Str<'a> {
        Str::new(&self.raw.tls_alpn)
    }

    /// 0x0304: TLS 1.3, 0x0303: TLS 1.2 ...; before the server's hello came, the highest that the client
    /// offers
    pub fn tls_version(&self) -> u16 {
        self.raw.tls_version
    }

    /// the chosen one by IANA's number (tls.cipher); 0: not known
    pub fn tls_cipher(&self) -> u16 {
        self.raw.tls_cipher
    }

    /// APPMON_TLS_*
    pub fn tls_flags(&self) -> u32 {
        self.raw.tls_flags
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("protocol", &self.protocol())
            .field("flags", &self.flags())
            .field("role", &self.role())
            .field("end", &self.end())
            .field("target_id", &self.target_id())
            .field("sampling_ppm", &self.sampling_ppm())
            .field("target_name", &self.target_name())
            .field("cgroup_id", &self.cgroup_id())
            .field("connection_id", &self.connection_id())
            .field("ordinal", &self.ordinal())
            .field("operation_type", &self.operation_type())
            .field("outcome", &self.outcome())
            .field("system", &self.system())
            .field("operation", &self.operation())
            .field("resource", &self.resource())
            .field("resource_namespace", &self.resource_namespace())
            .field("query_text", &self.query_text())
            .field("query_summary", &self.query_summary())
            .field("status_text", &self.status_text())
            .field("message", &self.message())
            .field("status_number", &self.status_number())
            .field("request_bytes", &self.request_bytes())
            .field("response_bytes", &self.response_bytes())
            .field("digest", &self.digest())
            .field("key", &self.key())
            .field("request_items", &self.request_items())
            .field("response_items", &self.response_items())
            .field("first_item_ns", &self.first_item_ns())
            .field("request_start_ns", &self.request_start_ns())
            .field("request_end_ns", &self.request_end_ns())
            .field("response_start_ns", &self.response_start_ns())
            .field("response_end_ns", &self.response_end_ns())
            .field("duration_ns", &self.duration_ns())
            .field("request_ns", &self.request_ns())
            .field("wait_ns", &self.wait_ns())
            .field("response_ns", &self.response_ns())
            .field("read_start_ns", &self.read_start_ns())
            .field("read_end_ns", &self.read_end_ns())
            .field("queue_ns", &self.queue_ns())
            .field("service_ns", &self.service_ns())
            .field("connect_ns", &self.connect_ns())
            .field("local", &self.local())
            .field("remote", &self.remote())
            .field("client", &self.client())
            .field("srtt_us", &self.srtt_us())
            .field("retransmits", &self.retransmits())
            .field("peer_retransmits", &self.peer_retransmits())
            .field("netns_inum", &self.netns_inum())
            .field("netns_cookie", &self.netns_cookie())
            .field("wire_id", &self.wire_id())
            .field("owner", &self.owner())
            .field("uid", &self.uid())
            .field("pid", &self.pid())
            .field("tid", &self.tid())
            .field("inner_pid", &self.inner_pid())
            .field("inner_tid", &self.inner_tid())
            .field("response_pid", &self.response_pid())
            .field("response_tid", &self.response_tid())
            .field("process_start_ns", &self.process_start_ns())
            .field("comm", &self.comm())
            .field("trace", &self.trace())
            .field("trace_text", &self.trace_text())
            .field("request_id", &self.request_id())
            .field("link_connection_id", &self.link_connection_id())
            .field("link_ordinal", &self.link_ordinal())
            .field("link", &self.link())
            .field("method", &self.method())
            .field("status", &self.status())
            .field("request_http_version", &self.request_http_version())
            .field("response_http_version", &self.response_http_version())
            .field("headers", &self.headers())
            .field("request_target", &self.request_target())
            .field("path", &self.path())
            .field("query", &self.query())
            .field("authority", &self.authority())
            .field("request_head_bytes", &self.request_head_bytes())
            .field("request_body_bytes", &self.request_body_bytes())
            .field("response_head_bytes", &self.response_head_bytes())
            .field("response_body_bytes", &self.response_body_bytes())
            .field("request_content_length", &self.request_content_length())
            .field("response_content_length", &self.response_content_length())
            .field("tls_server_name", &self.tls_server_name())
            .field("tls_alpn_offered", &self.tls_alpn_offered())
            .field("tls_alpn", &self.tls_alpn())
            .field("tls_version", &self.tls_version())
            .field("tls_cipher", &self.tls_cipher())
            .field("tls_flags", &self.tls_flags())
            .finish()
    }
}

/// Counters since the monitor was opened, or since the attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// APPMON_STATS_*: noticed by appmon_poll() and appmon_next(), within a second, and one more for each
    /// 64 targets; 0 in a replay
    pub flags: StatsFlags,
    /// bit n: the n-th 64-bit member below is supported here, dropped\[\] being one
    pub valid: u64,
    /// `appmon_stats.exchanges_seen`
    pub exchanges_seen: u64,
    /// `appmon_stats.delivered`
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

impl Stats {
    pub(crate) fn new(raw: &sys::appmon_stats) -> Stats {
        Stats {
            flags: StatsFlags(raw.flags),
            valid: raw.valid,
            exchanges_seen: raw.exchanges_seen,
            delivered: raw.delivered,
            outstanding: raw.outstanding,
            dropped: raw.dropped,
            connections_seen: raw.connections_seen,
            connections_open: raw.connections_open,
            connections_skipped: raw.connections_skipped,
            requests: raw.requests,
            responses: raw.responses,
            tunnel_bytes: raw.tunnel_bytes,
            records: raw.records,
            records_lost: raw.records_lost,
            records_bad: raw.records_bad,
            memory_bytes: raw.memory_bytes,
            memory_limit: raw.memory_limit,
            sampling_ppm: raw.sampling_ppm,
            filtered: raw.filtered,
            plain_calls: raw.plain_calls,
            plain_dropped: raw.plain_dropped,
            tls_refused: raw.tls_refused,
            tls_refused_processes: raw.tls_refused_processes,
        }
    }
}

/// How to open a [`Monitor`](crate::Monitor). What is not set has its default.
#[derive(Default)]
pub struct Options {
    pub(crate) flags: OpenFlags,
    pub(crate) memory_limit: u64,
    pub(crate) ring_bytes: u32,
    pub(crate) capture_bytes: u32,
    pub(crate) exchange_timeout_ms: u32,
    pub(crate) idle_timeout_ms: u32,
    pub(crate) log_level: LogLevel,
    pub(crate) headers: Vec<String>,
    pub(crate) protocols: u32,
    pub(crate) request_id_headers: Vec<String>,
    pub(crate) redact_names: Vec<String>,
    pub(crate) record_max_bytes: u64,
    pub(crate) log: Option<LogFunction>,
}

impl Options {
    /// APPMON_OPEN_*
    pub fn flags(mut self, value: OpenFlags) -> Options {
        self.flags = value;
        self
    }

    /// bytes of connection state in this process; default 64 MiB, at least 64 KiB
    pub fn memory_limit(mut self, value: u64) -> Options {
        self.memory_limit = value;
        self
    }

    /// the kernel's rings together: power of two, 4 KiB to 256 MiB; default 8 MiB. There is one for each
    /// CPU, all of one size; but CPUs share them if there are more than 16, or if each would have less
    /// than 512 KiB.
    pub fn ring_bytes(mut self, value: u32) -> Options {
        self.ring_bytes = value;
        self
    }

    /// most bytes of one message head, 128 to 65536; default 4096
    pub fn capture_bytes(mut self, value: u32) -> Options {
        self.capture_bytes = value;
        self
    }

    /// silence that ends an exchange; default 300,000; UINT32_MAX: never
    pub fn exchange_timeout_ms(mut self, value: u32) -> Options {
        self.exchange_timeout_ms = value;
        self
    }

    /// silence after which a connection without an exchange is forgotten (it is found again); default
    /// 3,600,000, less than 2000 is taken for that
    pub fn idle_timeout_ms(mut self, value: u32) -> Options {
        self.idle_timeout_ms = value;
        self
    }

    /// most verbose APPMON_LOG_* wanted; default WARN
    pub fn log_level(mut self, value: LogLevel) -> Options {
        self.log_level = value;
        self
    }

    /// Adds to the list:
    /// header_count names to keep beside the default ones: content-type, user-agent, x-request-id,
    /// traceparent, tracestate, x-forwarded-for. Nothing else is ever kept: authorization, cookie and
    /// set-cookie only when named here. At most 64.
    pub fn header(mut self, name: &str) -> Options {
        self.headers.push(name.to_owned());
        self
    }

    /// bit n: APPMON_PROTO_n, see appmon_protocol_by_name(); default HTTP/1 only. RESP costs more: its
    /// strings are copied. HTTP/1 is followed in any case; without its bit its exchanges have no event
    /// and count as filtered
    pub fn protocols(mut self, value: u32) -> Options {
        self.protocols = value;
        self
    }

    /// Adds to the list:
    /// names of fields that carry a request's id beside x-request-id; kept with APPMON_OPEN_TRACE. At
    /// most 8.
    pub fn request_id_header(mut self, name: &str) -> Options {
        self.request_id_headers.push(name.to_owned());
        self
    }

    /// Adds to the list:
    pub fn redact_name(mut self, name: &str) -> Options {
        self.redact_names.push(name.to_owned());
        self
    }

    /// most bytes of a recording: appmon_record(); default: any
    pub fn record_max_bytes(mut self, value: u64) -> Options {
        self.record_max_bytes = value;
        self
    }

    pub(crate) fn fill(&self, raw: &mut sys::appmon_opts, kept: &mut Kept) -> Result<(), Error> {
        raw.flags = self.flags.0;
        raw.memory_limit = self.memory_limit;
        raw.ring_bytes = self.ring_bytes;
        raw.capture_bytes = self.capture_bytes;
        raw.exchange_timeout_ms = self.exchange_timeout_ms;
        raw.idle_timeout_ms = self.idle_timeout_ms;
        raw.log_level = self.log_level.0;
        raw.headers = kept.strings(&self.headers)?;
        raw.header_count = self.headers.len() as u32;
        raw.protocols = self.protocols;
        raw.request_id_headers = kept.strings(&self.request_id_headers)?;
        raw.request_id_header_count = self.request_id_headers.len() as u32;
        raw.redact_names = kept.strings(&self.redact_names)?;
        raw.redact_name_count = self.redact_names.len() as u32;
        raw.record_max_bytes = self.record_max_bytes;
        Ok(())
    }
}

/// What a series is about. Strings are valid as long as the snapshot; those of a dimension that is
/// off are "", its numbers 0. Names in parentheses are OpenTelemetry's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Series<'a> {
    /// APPMON_SERIES_*
    pub flags: SeriesFlags,
    /// the same in every snapshot, never reused by the aggregator
    pub id: u64,
    /// the instance; see appmon_cgroup_path(). With instance_fn: what it returned
    pub cgroup_id: u64,
    /// `appmon_series.pid`
    pub pid: u32,
    /// APPMON_ROLE_*
    pub role: Role,
    /// APPMON_PROTO_* (network.protocol.name)
    pub protocol: Protocol,
    /// APPMON_METHOD_*; OTHER also where it could not be read
    pub method: Method,
    /// http.response.status_code; 0: none
    pub status: u32,
    /// enum appmon_outcome, APPMON_OUTCOME_*
    pub outcome: Outcome,
    /// target_name of the events, at most 127 bytes of it
    pub app: Str<'a>,
    /// the application at the other end; "": peer says what is known of it
    pub peer_app: Str<'a>,
    /// http.request.method; "_OTHER" for APPMON_METHOD_OTHER
    pub method_name: Str<'a>,
    /// at most 255 bytes (http.route): visible ASCII, unless it is the host's or
    /// APPMON_METRICS_RAW_ROUTES. SQL: the event's query_summary (db.query.summary). gRPC, RESP and SQL
    /// without a summary: operation
    pub route: Str<'a>,
    /// as the events have it, at most 23 bytes
    pub status_text: Str<'a>,
    /// family 0: unknown; port 0: of a client
    pub peer: Option<SocketAddr>,
    /// `appmon_series.system`
    pub system: Str<'a>,
    /// `appmon_series.operation`
    pub operation: Str<'a>,
    /// `appmon_series.resource`
    pub resource: Str<'a>,
    /// `appmon_series.resource_namespace`
    pub resource_namespace: Str<'a>,
}

impl<'a> Series<'a> {
    /// The caller says that what raw points to lives for 'a.
    pub(crate) unsafe fn new(raw: &sys::appmon_series) -> Series<'a> {
        Series {
            flags: SeriesFlags(raw.flags),
            id: raw.id,
            cgroup_id: raw.cgroup_id,
            pid: raw.pid,
            role: Role(raw.role),
            protocol: Protocol(raw.protocol),
            method: Method(raw.method),
            status: raw.status,
            outcome: Outcome(raw.outcome),
            app: Str::lent(&raw.app),
            peer_app: Str::lent(&raw.peer_app),
            method_name: Str::lent(&raw.method_name),
            route: Str::lent(&raw.route),
            status_text: Str::lent(&raw.status_text),
            peer: address(&raw.peer),
            system: Str::lent(&raw.system),
            operation: Str::lent(&raw.operation),
            resource: Str::lent(&raw.resource),
            resource_namespace: Str::lent(&raw.resource_namespace),
        }
    }
}

/// Who calls whom. An end that is monitored has its application's name, else an address if that is
/// known (of clients: asked for, APPMON_DIM_CLIENT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edge<'a> {
    /// APPMON_SERIES_*
    pub flags: SeriesFlags,
    /// `appmon_edge.id`
    pub id: u64,
    /// APPMON_PROTO_*
    pub protocol: Protocol,
    /// `appmon_edge.client_app`
    pub client_app: Str<'a>,
    /// `appmon_edge.server_app`
    pub server_app: Str<'a>,
    /// family 0 if client_app is set; port 0
    pub client: Option<SocketAddr>,
    /// family 0 if server_app is set
    pub server: Option<SocketAddr>,
}

impl<'a> Edge<'a> {
    /// The caller says that what raw points to lives for 'a.
    pub(crate) unsafe fn new(raw: &sys::appmon_edge) -> Edge<'a> {
        Edge {
            flags: SeriesFlags(raw.flags),
            id: raw.id,
            protocol: Protocol(raw.protocol),
            client_app: Str::lent(&raw.client_app),
            server_app: Str::lent(&raw.server_app),
            client: address(&raw.client),
            server: address(&raw.server),
        }
    }
}

/// What one application's instance has in progress: requests that have begun and have no event yet,
/// by role and method. One row for each that has series, or had anything in progress within idle_ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Active<'a> {
    /// APPMON_SERIES_*: OTHER is what found no room of its own
    pub flags: SeriesFlags,
    /// the instance, as in appmon_series
    pub cgroup_id: u64,
    /// APPMON_ROLE_*
    pub role: Role,
    /// APPMON_PROTO_*
    pub protocol: Protocol,
    /// APPMON_METHOD_*; OTHER also while it is not known
    pub method: Method,
    /// `appmon_active.app`
    pub app: Str<'a>,
    /// as in appmon_series
    pub method_name: Str<'a>,
    /// gauge (http.server.active_requests, http.client.active_requests)
    pub requests: u64,
    /// CLOCK_MONOTONIC: when the oldest of them began; 0: there is none
    pub oldest_ns: u64,
}

impl<'a> Active<'a> {
    /// The caller says that what raw points to lives for 'a.
    pub(crate) unsafe fn new(raw: &sys::appmon_active) -> Active<'a> {
        Active {
            flags: SeriesFlags(raw.flags),
            cgroup_id: raw.cgroup_id,
            role: Role(raw.role),
            protocol: Protocol(raw.protocol),
            method: Method(raw.method),
            app: Str::lent(&raw.app),
            method_name: Str::lent(&raw.method_name),
            requests: raw.requests,
            oldest_ns: raw.oldest_ns,
        }
    }
}

/// Sums over the events of a series or edge, since it began or between two snapshots. Times in
/// nanoseconds; each _sum is over the events where that time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// `appmon_figures.requests`
    pub requests: u64,
    /// `appmon_figures.errors`
    pub errors: u64,
    /// heads and bodies
    pub request_bytes: u64,
    /// `appmon_figures.response_bytes`
    pub response_bytes: u64,
    /// events that have a duration: those of the histogram
    pub duration_count: u64,
    /// first byte of the request to last byte of the response
    pub duration_sum: u64,
    /// between snapshots: within the histogram's error
    pub duration_max: u64,
    /// the request on its way
    pub request_sum: u64,
    /// `appmon_figures.wait_count`
    pub wait_count: u64,
    /// last byte of the request to first byte of the response
    pub wait_sum: u64,
    /// the response on its way
    pub response_sum: u64,
    /// `appmon_figures.service_count`
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

impl Figures {
    pub(crate) fn new(raw: &sys::appmon_figures) -> Figures {
        Figures {
            requests: raw.requests,
            errors: raw.errors,
            request_bytes: raw.request_bytes,
            response_bytes: raw.response_bytes,
            duration_count: raw.duration_count,
            duration_sum: raw.duration_sum,
            duration_max: raw.duration_max,
            request_sum: raw.request_sum,
            wait_count: raw.wait_count,
            wait_sum: raw.wait_sum,
            response_sum: raw.response_sum,
            service_count: raw.service_count,
            queue_sum: raw.queue_sum,
            service_sum: raw.service_sum,
            retransmits: raw.retransmits,
            first_ns: raw.first_ns,
            last_ns: raw.last_ns,
        }
    }
}

/// One event out of those of a series that carried a W3C traceparent: a recent or a slow one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exemplar {
    /// `appmon_exemplar.duration_ns`
    pub duration_ns: u64,
    /// CLOCK_MONOTONIC
    pub end_ns: u64,
    /// `appmon_exemplar.trace_id`
    pub trace_id: [u8; 16],
    /// `appmon_exemplar.span_id`
    pub span_id: [u8; 8],
}

impl Exemplar {
    pub(crate) fn new(raw: &sys::appmon_exemplar) -> Exemplar {
        Exemplar {
            duration_ns: raw.duration_ns,
            end_ns: raw.end_ns,
            trace_id: raw.trace_id,
            span_id: raw.span_id,
        }
    }
}

/// Counters of the aggregator since appmon_metrics_open(), gauges where it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsStats {
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
    /// `appmon_metrics_stats.expired_edges`
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
    /// `appmon_metrics_stats.memory_limit`
    pub memory_limit: u64,
    /// events of which only a response was seen: in no series or edge
    pub without_request: u64,
}

impl MetricsStats {
    pub(crate) fn new(raw: &sys::appmon_metrics_stats) -> MetricsStats {
        MetricsStats {
            events: raw.events,
            waiting: raw.waiting,
            series: raw.series,
            edges: raw.edges,
            other_events: raw.other_events,
            other_exchanges: raw.other_exchanges,
            expired_series: raw.expired_series,
            expired_edges: raw.expired_edges,
            expired_events: raw.expired_events,
            joined_connections: raw.joined_connections,
            evicted_connections: raw.evicted_connections,
            unwaited: raw.unwaited,
            refused_segments: raw.refused_segments,
            memory_bytes: raw.memory_bytes,
            memory_limit: raw.memory_limit,
            without_request: raw.without_request,
        }
    }
}

/// What a cgroup used since it was made, and has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resources {
    /// APPMON_RES_*: what could be read
    pub valid: ResourceFlags,
    /// APPMON_RES_*: read from a version 1 hierarchy
    pub from_v1: ResourceFlags,
    /// CLOCK_MONOTONIC of the reading
    pub time_ns: u64,
    /// `appmon_resources.cpu_ns`
    pub cpu_ns: u64,
    /// `appmon_resources.cpu_user_ns`
    pub cpu_user_ns: u64,
    /// `appmon_resources.cpu_system_ns`
    pub cpu_system_ns: u64,
    /// `appmon_resources.periods`
    pub periods: u64,
    /// `appmon_resources.throttled_periods`
    pub throttled_periods: u64,
    /// `appmon_resources.throttled_ns`
    pub throttled_ns: u64,
    /// gauge
    pub memory_bytes: u64,
    /// UINT64_MAX: none
    pub memory_limit: u64,
    /// gauge: processes and threads
    pub pids: u64,
    /// UINT64_MAX: none
    pub pids_limit: u64,
    /// `appmon_resources.read_bytes`
    pub read_bytes: u64,
    /// `appmon_resources.write_bytes`
    pub write_bytes: u64,
    /// `appmon_resources.reads`
    pub reads: u64,
    /// `appmon_resources.writes`
    pub writes: u64,
}

impl Resources {
    pub(crate) fn new(raw: &sys::appmon_resources) -> Resources {
        Resources {
            valid: ResourceFlags(raw.valid),
            from_v1: ResourceFlags(raw.from_v1),
            time_ns: raw.time_ns,
            cpu_ns: raw.cpu_ns,
            cpu_user_ns: raw.cpu_user_ns,
            cpu_system_ns: raw.cpu_system_ns,
            periods: raw.periods,
            throttled_periods: raw.throttled_periods,
            throttled_ns: raw.throttled_ns,
            memory_bytes: raw.memory_bytes,
            memory_limit: raw.memory_limit,
            pids: raw.pids,
            pids_limit: raw.pids_limit,
            read_bytes: raw.read_bytes,
            write_bytes: raw.write_bytes,
            reads: raw.reads,
            writes: raw.writes,
        }
    }
}

/// What the path of a cgroup says about the container in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// enum appmon_runtime, APPMON_RUNTIME_*
    pub runtime: Runtime,
    /// container id, 64 hexadecimal digits; "": the cgroup is the pod's own
    pub id: String,
    /// Kubernetes: metadata.uid with its dashes; "": no pod
    pub pod_uid: String,
}

impl Container {
    pub(crate) fn new(raw: &sys::appmon_container) -> Container {
        Container {
            runtime: Runtime(raw.runtime),
            id: array_text(&raw.id),
            pod_uid: array_text(&raw.pod_uid),
        }
    }
}

/// How to open \[`Metrics`\](crate::Metrics). What is not set has its default.
#[derive(Default)]
pub struct MetricsOptions {
    pub(crate) flags: MetricsFlags,
    pub(crate) dimensions: Dimensions,
    pub(crate) max_series: u32,
    pub(crate) idle_ms: u32,
    pub(crate) server_errors: ErrorFlags,
    pub(crate) client_errors: ErrorFlags,
    pub(crate) memory_limit: u64,
    pub(crate) functions: Functions,
}

impl MetricsOptions {
    /// APPMON_METRICS_*
    pub fn flags(mut self, value: MetricsFlags) -> MetricsOptions {
        self.flags = value;
        self
    }

    /// APPMON_DIM_*; default APPMON_DIM_DEFAULT
    pub fn dimensions(mut self, value: Dimensions) -> MetricsOptions {
        self.dimensions = value;
        self
    }

    /// hard limit, 16 to 1,000,000; default 8192. No application gets more than are left for others: half
    /// of them if it is alone
    pub fn max_series(mut self, value: u32) -> MetricsOptions {
        self.max_series = value;
        self
    }

    /// series and edges without an event for this long go; default 600,000; UINT32_MAX: never
    pub fn idle_ms(mut self, value: u32) -> MetricsOptions {
        self.idle_ms = value;
        self
    }

    /// APPMON_ERROR_*; default all but CLIENT
    pub fn server_errors(mut self, value: ErrorFlags) -> MetricsOptions {
        self.server_errors = value;
        self
    }

    /// APPMON_ERROR_*; default all
    pub fn client_errors(mut self, value: ErrorFlags) -> MetricsOptions {
        self.client_errors = value;
        self
    }

    /// bytes; default 64 MiB, at least 1 MiB. Where it is reached, series are refused as by max_series.
    /// The other tables go by it, too: up to 1 GiB, each MiB gives 16 edges, 256 path segments to learn
    /// routes from and 128 connections whose ends are remembered
    pub fn memory_limit(mut self, value: u64) -> MetricsOptions {
        self.memory_limit = value;
        self
    }

    pub(crate) fn fill(&self, raw: &mut sys::appmon_metrics_opts) {
        raw.flags = self.flags.0;
        raw.dimensions = self.dimensions.0;
        raw.max_series = self.max_series;
        raw.idle_ms = self.idle_ms;
        raw.server_errors = self.server_errors.0;
        raw.client_errors = self.client_errors.0;
        raw.memory_limit = self.memory_limit;
    }
}

/// How to take a \[`Snapshot`\](crate::Snapshot). What is not set has its default.
#[derive(Clone, Copy, Default)]
pub struct SnapshotOptions {
    pub(crate) flags: TakeFlags,
    pub(crate) now_ns: u64,
}

impl SnapshotOptions {
    /// APPMON_TAKE_*
    pub fn flags(mut self, value: TakeFlags) -> SnapshotOptions {
        self.flags = value;
        self
    }

    /// CLOCK_MONOTONIC; default: the present. For a recording: of its last event, as the time matters for
    /// expiry and waiting
    pub fn now_ns(mut self, value: u64) -> SnapshotOptions {
        self.now_ns = value;
        self
    }

    pub(crate) fn fill(&self, raw: &mut sys::appmon_snapshot_opts) {
        raw.flags = self.flags.0;
        raw.now_ns = self.now_ns;
    }
}
