# SPDX-License-Identifier: BSD-2-Clause
"""What a host gets and gives: enumerations and dataclasses.

Made by bindings/generate from the public headers: do not edit."""
from __future__ import annotations

import ctypes
import enum
import struct
from collections.abc import Sequence

from . import _abi
from ._memory import Endpoint, EventBase, Header, Number, dataclass, endpoint, \
    headers_from, text


class Protocol(Number):
    """appmon_event.protocol. Expect values unknown to you."""

    #: of no event so far
    UNKNOWN = 0
    #: HTTP/1.0 and HTTP/1.1, RFC 9112
    HTTP1 = 1
    #: Redis's, RESP2 and RESP3: only if asked for, see protocols
    RESP = 2
    #: HTTP/2 (RFC 9113) in clear text, an event for each stream, and gRPC: only if asked
    #: for
    HTTP2 = 3
    #: PostgreSQL's, version 3: likewise
    POSTGRESQL = 4
    #: MySQL's and MariaDB's: likewise
    MYSQL = 5
    #: TLS up to 1.3 as it is on the wire, without its plaintext: only if asked for. An
    #: event is an opaque exchange, or a handshake that failed.
    TLS = 6


class Role(Number):
    """appmon_event.role: what the monitored socket was in this exchange."""

    #: which side sends the requests was not seen
    UNKNOWN = 0
    #: the request arrived on it
    SERVER = 1
    #: the request was sent from it
    CLIENT = 2


class Method(Number):
    """appmon_event.method: http.request.method (RFC 9110 section 9, RFC 5789)."""

    #: no request line was seen
    UNKNOWN = 0
    #: a token not listed here: see operation
    OTHER = 1
    #: RFC 9110 section 9.3.1
    GET = 2
    #: RFC 9110 section 9.3.2
    HEAD = 3
    #: RFC 9110 section 9.3.3
    POST = 4
    #: RFC 9110 section 9.3.4
    PUT = 5
    #: RFC 9110 section 9.3.5
    DELETE = 6
    #: RFC 9110 section 9.3.6
    CONNECT = 7
    #: RFC 9110 section 9.3.7
    OPTIONS = 8
    #: RFC 9110 section 9.3.8
    TRACE = 9
    #: RFC 5789
    PATCH = 10


class End(Number):
    """appmon_event.end: why the exchange is over."""

    #: the last byte of the response was seen
    COMPLETE = 0
    #: the connection closed (FIN) before that
    CLOSED = 1
    #: an RST arrived before that
    RESET_BY_PEER = 2
    #: an RST was sent before that
    RESET_BY_US = 3
    #: silence for exchange_timeout_ms
    TIMEOUT = 4
    #: bytes were missed: the rest is unknown
    GAP = 5
    #: became a tunnel (101, or 2xx to CONNECT)
    UPGRADED = 6
    #: reported at its head: APPMON_OPEN_STREAM_HEADS
    AT_HEAD = 7
    #: HTTP/2: a peer gave the stream up (RST_STREAM, GOAWAY). PostgreSQL: the server passed
    #: over it, because an error came before it.
    ABANDONED = 8
    #: what follows on the connection is encrypted: SSLRequest
    ENCRYPTED = 9


class Outcome(Number):
    """appmon_event.outcome: what became of the request, by the rule of its protocol."""

    #: Not known: the answer was missed (a gap), has not come yet, or cannot be read (TLS).
    UNKNOWN = 0
    #: HTTP: a status below 400, or an answer without a status line. gRPC, SQL: no error.
    #: RESP: a reply that is no error, none where none was due, or one that sends the client
    #: elsewhere (MOVED, ASK).
    OK = 1
    #: HTTP: 400 to 499. gRPC, RESP, SQL: other errors than the next. TLS: the server's
    #: alert ended the handshake.
    CLIENT_ERROR = 2
    #: HTTP: 500 and above. gRPC: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
    #: UNAVAILABLE, DATA_LOSS, and a call that the server gave up. RESP: the server cannot
    #: at present: LOADING, BUSY, OOM, MISCONF, MASTERDOWN, CLUSTERDOWN, TRYAGAIN,
    #: NOREPLICAS. PostgreSQL: SQLSTATE of the classes 08, 53, 57, 58, XX. MySQL: 1040,
    #: 1205, 1213, 2000 to 2999. TLS: the client's alert ended the handshake, as it does for
    #: the server's certificate, or the server's internal_error.
    SERVER_ERROR = 3
    #: no answer for exchange_timeout_ms
    TIMEOUT = 4
    #: The client reset the connection before the answer. HTTP/2: it gave the stream up.
    #: gRPC: CANCELLED, too. PostgreSQL: also SQLSTATE 57014, and what was passed over after
    #: an error. MySQL: also 1317.
    CANCELLED = 5
    #: the connection ended otherwise before the answer
    NO_RESPONSE = 6


class OperationType(Number):
    """appmon_event.operation_type: what kind of operation it is. Expect values unknown to
    you."""

    #: no request was seen
    UNKNOWN = 0
    #: none of those below, or not known to be one
    OTHER = 1
    #: HTTP: safe methods (RFC 9110 section 9.2.1). RESP: reads keys
    READ = 2
    #: HTTP: PUT, DELETE, PATCH. RESP: changes keys
    WRITE = 3
    #: HTTP: POST. RESP: runs a script or a function
    CALL = 4
    #: RESP: PUBLISH, SPUBLISH
    PUBLISH = 5
    #: RESP: begins or ends a subscription
    RECEIVE = 6
    #: about the connection itself. HTTP: CONNECT. RESP: AUTH, SELECT ...
    SESSION = 7


class TraceFormat(Number):
    """appmon_trace.format: the header fields that carried the ids."""

    #: none of the fields below is well formed
    NONE = 0
    #: traceparent (W3C Trace Context)
    W3C = 1
    #: b3 (Zipkin), the single field
    B3 = 2
    #: x-b3-traceid, x-b3-spanid ...
    B3_MULTI = 3
    #: uber-trace-id
    JAEGER = 4
    #: sw8 (SkyWalking)
    SW8 = 5


class Runtime(Number):
    """appmon_container.runtime."""

    #: the path names the container only
    UNKNOWN = 0
    #: docker-ID.scope, or ID in a directory docker
    DOCKER = 1
    #: cri-containerd-ID, nerdctl-ID
    CONTAINERD = 2
    #: crio-ID
    CRIO = 3
    #: libpod-ID
    PODMAN = 4


class Owner(Number):
    """appmon_event.owner: how pid and tid are known."""

    #: not at all: both are 0
    UNKNOWN = 0
    #: server: this thread read the request
    READ = 1
    #: server: several threads read it; this is the last
    READ_SHARED = 2
    #: Client: this thread sent the request. Server: this thread sent the response; who read
    #: the request was not seen.
    SENT = 3
    #: Client: this thread connected; who sent the request was not seen.
    CONNECTED = 4


class Link(Number):
    """appmon_event.link: how the exchange that this one was made for is known."""

    #: for none that is known
    NONE = 0
    #: Certain. Client: sent by the thread that had read that request, and no other, with
    #: blocking reads, and had not answered it yet.
    THREAD = 1
    #: Certain. Server: the same bytes, seen where they were sent.
    PEER = 2
    #: As certain as the header field that says so. Client: its Forwarded field (RFC 7239)
    #: names the address and port from which that request came.
    FORWARDED = 3
    #: As certain as the field. Client: of the open requests only that one has its
    #: x-request-id, or other field of request_id_headers.
    REQUEST_ID = 4
    #: As certain as the field. Client: of the open requests only that one has its trace id.
    TRACE_ID = 5
    #: Likely. Client: as THREAD, without blocking reads, of a process that has always
    #: served each of overlapping requests by one thread.
    WORKER = 6
    #: Likely. Client: sent by the thread that had read that request, the only one that its
    #: process had in progress; not while a share of the connections is watched.
    SOLE = 7
    #: Certain; of Go programs, with APPMON_OPEN_GOROUTINES. Client: asked for by the
    #: goroutine in which net/http was serving that request, which was not answered yet.
    GOROUTINE = 8
    #: Likely; of Go programs, as above. Client: by a goroutine that was started while that
    #: request was served, by the one that served it or one so started, and that request was
    #: not answered yet.
    STARTED = 9


class Drop(Number):
    """appmon_stats.dropped[]: why an exchange that was seen has no event."""

    #: the host did not read fast enough
    RING_FULL = 0
    #: memory_limit reached, now or when its connection was forgotten a moment before: then
    #: the handle counts it, but no target
    MEMORY = 1
    #: a message could not be assembled: bytes missed
    GAP = 2
    #: the request line alone exceeds the capture limit
    TRUNCATED = 3
    #: began like HTTP, but the start line cannot be read
    PARSE = 4
    #: its target was detached meanwhile
    DETACHED = 5
    #: a response whose request was not seen and cannot be reported
    ORPHAN = 6
    #: its connection left the sample, or capture was paused
    SAMPLED = 7


class LogLevel(Number):
    """appmon_log_fn level."""

    #: a failure, as appmon_last_error() has it; the verifier's words
    ERROR = 1
    #: something is missing from now on, and what to do about it
    WARN = 2
    #: what was attached, and what becomes of it
    INFO = 3
    #: for those who look for a fault: also each exchange that is dropped, and where pairing
    #: is given up, with the reason
    DEBUG = 4
    #: each record and each decision: many lines a request
    TRACE = 5


class EventFlags(enum.IntFlag):
    """appmon_event.flags."""

    #: No final response was seen.
    NO_RESPONSE = 0x1
    #: An RST arrived.
    RESET_BY_PEER = 0x2
    #: An RST was sent.
    RESET_BY_US = 0x4
    #: A head was longer than the capture limit, or cut off by the end: headers are missing.
    TRUNCATED = 0x8
    #: The capture began inside the exchange.
    MID_MESSAGE = 0x10
    #: Bytes of this exchange were missed.
    GAP = 0x20
    #: The connection is a tunnel from here on.
    UPGRADED = 0x40
    #: Both sides let the connection persist.
    KEEP_ALIVE = 0x80
    #: Sent before an earlier response was complete.
    PIPELINED = 0x100
    #: The request's body came in chunks.
    CHUNKED_REQUEST = 0x200
    #: The response's body came in chunks.
    CHUNKED_RESPONSE = 0x400
    #: The response began before the request ended.
    EARLY_RESPONSE = 0x800
    #: A 1xx response came before the final one.
    CONTINUED = 0x1000
    #: Framing that has two readings (RFC 9112 section 11.2): Content-Length with
    #: Transfer-Encoding, two lengths, one that is no number, a field that readers may miss,
    #: chunk lines that are not as in section 7.1. TLS 1.3: the first exchange of a
    #: connection; bytes of the handshake, such as tickets, can be counted with it, and its
    #: response can seem to begin with them.
    AMBIGUOUS = 0x2000
    #: The end of a body was inferred, not counted: chunked beyond the captured bytes, or
    #: delimited by what cannot be read.
    INFERRED_END = 0x4000
    #: A head is not as in RFC 9112: lines that are no fields were passed over, start lines
    #: keep their control bytes. Without a method: not even the request line could be read,
    #: but it was answered.
    MALFORMED = 0x8000
    #: The answer has no status line (HTTP/0.9, ICY): status is 0, all of it is body.
    NO_STATUS_LINE = 0x10000
    #: Something that was said is not known. HTTP/2: fields that were indexed before the
    #: capture began or in a block that was missed, or a head that was not captured whole;
    #: what is there is certain. SQL: a statement that was prepared before the attach, or so
    #: long ago that it was forgotten.
    PARTIAL = 0x20000
    #: The server began it (HTTP/2: PUSH_PROMISE): the request, too, came from it.
    SERVER_BEGAN = 0x40000
    #: One request with several statements; operation is the first one's.
    MULTI = 0x80000
    #: The connection is a stream of replication from here on.
    REPLICATION = 0x100000
    #: What follows on the connection is compressed, and has no events.
    COMPRESSED = 0x200000
    #: Inside TLS: times can be those of the TLS library's calls, for records of the wire
    #: could not be told for all of them.
    CALL_TIMES = 0x400000


class TraceFlags(enum.IntFlag):
    """appmon_trace.flags."""

    #: the sender records the trace
    SAMPLED = 0x1
    #: b3, x-b3-*: that is left to the receiver
    UNDECIDED = 0x2
    #: b3, x-b3-*, uber-trace-id: it shall be kept
    DEBUG = 0x4


class StatsFlags(enum.IntFlag):
    """appmon_stats.flags."""

    #: The target's cgroup was removed, and its last socket is gone: no request of it will
    #: come any more. It stays attached until appmon_detach(). Of the handle: one of its
    #: targets is such a one.
    REMOVED = 0x1
    #: Of the handle: appmon_record() was asked for, and the recording has ended by itself,
    #: at record_max_bytes or with a write that failed.
    RECORD_ENDED = 0x2


class OpenFlags(enum.IntFlag):
    """appmon_opts.flags."""

    #: Never keep the query part of a target, nor a fragment that a client sends behind it.
    DROP_QUERY = 0x1
    #: Who served or sent, and when it read: fills in appmon_event.owner and what depends on
    #: it, where the kernel can (APPMON_CAP_IDENTITY).
    IDENTITY = 0x2
    #: Trace ids: keeps the fields that carry them, fills in appmon_event.trace, trace_text,
    #: request_id.
    TRACE = 0x4
    #: A response without a declared length, such as an event stream, is reported at its
    #: head if it goes on behind it (APPMON_END_AT_HEAD): without its end, and with no
    #: second event for that.
    STREAM_HEADS = 0x8
    #: What an exchange was made for: appmon_event.link. Implies APPMON_OPEN_IDENTITY and
    #: _TRACE; without APPMON_CAP_IDENTITY there is evidence from header fields and from the
    #: other end only.
    LINKS = 0x10
    #: Follows goroutines, for links of Go programs (1.21 to 1.26, x86-64): attaches uprobes
    #: to their executables, those of processes that are in a cgroup at its attach, and of
    #: others when their first event is due; at most 64, until appmon_close(). Whoever runs
    #: such an executable pays some 2 microseconds for each go statement and each request
    #: that is served, and twice that for one that is sent. Implies APPMON_OPEN_LINKS. Needs
    #: CAP_SYS_ADMIN (before Linux 6.16 CAP_PERFMON), and CAP_SYS_PTRACE for other users'
    #: processes, as long as programs come. What cannot be followed is logged (WARN), and
    #: has no links of that kind.
    GOROUTINES = 0x20
    #: Leaves out what has no request: a response to one that passed before the attach, or
    #: was missed. It has no event, and counts as dropped[APPMON_DROP_ORPHAN].
    ONLY_REQUESTS = 0x40
    #: Targets as sent: with the secrets that are left out otherwise, see
    #: appmon_opts.redact_names. For debugging; whoever reads the events can act as the
    #: clients.
    KEEP_SECRETS = 0x80
    #: SQL: appmon_event.query_text with its literals, the very bytes of the client, and
    #: message with the server's words, which may repeat them.
    QUERY_TEXT = 0x100
    #: Requests inside TLS are reported as others are, by what the application's TLS library
    #: reads and writes: OpenSSL 1.1.1 and later, GnuTLS and BoringSSL with symbols, as a
    #: library or in the executable, and crypto/tls of Go 1.21 to 1.26. x86-64 only. Keys
    #: are never touched. The library attaches uprobes to such files: those of processes
    #: that are in a cgroup at its attach, and of others when they make their first socket
    #: or send a hello; at most 256, until appmon_close(), which takes up to a second for
    #: each (since Linux 6.13 less than a tenth). A call costs 2 to 5 microseconds; a read
    #: of OpenSSL that finds nothing costs none where the library understands its code, as
    #: that of 1.1.1 and 3.0. Whoever else maps such a file pays 2 to 3 for each call, and
    #: since Linux 6.13 some 1.5, but only calls of processes in the cgroups, and of those
    #: that they start, are read: a probe for one process alone would miss what its children
    #: do first. The first connections of the first process with a new file can stay closed:
    #: an event of TLS. A connection that was open before the attach is told once a write
    #: shows its socket: because its thread sends meanwhile, or, where OpenSSL and BoringSSL
    #: write to memory as in node and asyncio, by the ciphertext. For that such a process,
    #: 64 at most, gets one more probe, of a microsecond a write. Implies
    #: APPMON_OPEN_IDENTITY, and APPMON_PROTO_TLS in protocols. Needs CAP_SYS_ADMIN as long
    #: as processes come (before Linux 6.16 CAP_PERFMON with CAP_CHECKPOINT_RESTORE), and
    #: for other users' processes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. A file or process
    #: that cannot be looked into is logged (WARN), and counted in appmon_stats.tls_refused.
    TLS = 0x200


class Capabilities(enum.IntFlag):
    """appmon_capabilities.supported: what this kernel gives."""

    #: cgroup_skb with socket storage: the core.
    CAPTURE = 0x1
    #: iter/bpf_sk_storage_map, or iter/task_file where that is refused: the end of a long
    #: body is reported at once even if its signal was rate-limited.
    SWEEP = 0x2
    #: APPMON_OPEN_IDENTITY was asked for and works.
    IDENTITY = 0x4
    #: APPMON_OPEN_GOROUTINES was asked for and works.
    GOROUTINES = 0x8
    #: APPMON_OPEN_TLS was asked for and works.
    TLS = 0x10


class SamplingFlags(enum.IntFlag):
    """appmon_set_sampling()."""

    #: all connections
    ALL = 0xf4240


class SnapshotKind(Number):
    """What a snapshot has several of: series, where every event that has a request is in
    exactly one; edges, where every exchange is in exactly one, as its client saw it if both
    ends were seen (an event without a role has no edge); and, with APPMON_METRICS_ACTIVE, what
    was in progress when it was taken."""

    #: one for each combination of labels
    SERIES = 0
    #: one for each pair of who asked and who was asked
    EDGES = 1
    #: one for each application with requests in progress
    ACTIVE = 2


class TimeKind(Number):
    """Which times of its events a series or edge has a histogram of: members of appmon_event.
    Those of the queue and of service are of servers that were seen to read
    (APPMON_OPEN_IDENTITY), with APPMON_METRICS_SERVICE."""

    #: duration_ns
    DURATION = 0
    #: queue_ns
    QUEUE = 1
    #: service_ns
    SERVICE = 2


class Dimensions(enum.IntFlag):
    """appmon_metrics_opts.dimensions: what tells series apart beside application, role,
    protocol, system and outcome. 0 means APPMON_DIM_DEFAULT."""

    #: The leaf cgroup.
    INSTANCE = 0x1
    #: The process, where events name it.
    PID = 0x2
    #: The other application where it is monitored too; of a server that is not, address and
    #: port.
    PEER = 0x4
    #: The address of clients that are not monitored; without it they are all one, in edges
    #: too.
    CLIENT = 0x8
    #: The method; of what is not HTTP the operation.
    METHOD = 0x10
    #: The path without ids and the like; of a statement its summary, its table and the
    #: database.
    ROUTE = 0x20
    #: The status: status_text and the number of it.
    STATUS = 0x40
    #: None of the above.
    NONE = 0x80000000


class MetricsFlags(enum.IntFlag):
    """appmon_metrics_opts.flags."""

    #: the path is the route as it is
    RAW_ROUTES = 0x1
    #: never look for the application behind a peer
    NO_JOIN = 0x2
    #: Snapshots have what is in progress: the host calls appmon_metrics_active() for it
    #: before each.
    ACTIVE = 0x4
    #: Histograms of queue and service times, too: three of them in place of one.
    SERVICE = 0x8


class ErrorFlags(enum.IntFlag):
    """appmon_metrics_opts.server_errors, client_errors: the outcomes that are errors, bit n for
    enum appmon_outcome n. 0: the default."""

    #: APPMON_OUTCOME_CLIENT_ERROR
    CLIENT = 0x4
    #: APPMON_OUTCOME_SERVER_ERROR
    SERVER = 0x8
    #: APPMON_OUTCOME_TIMEOUT
    TIMEOUT = 0x10
    #: APPMON_OUTCOME_CANCELLED
    CANCELLED = 0x20
    #: APPMON_OUTCOME_NO_RESPONSE
    NO_RESPONSE = 0x40
    #: No outcome is an error.
    NEVER = 0x80000000


class SeriesFlags(enum.IntFlag):
    """appmon_series.flags."""

    #: Holds what found no room of its own. A series has app and role, if all of it has the
    #: same, and no other member; an edge has no member.
    OTHER = 0x1


class ResourceFlags(enum.IntFlag):
    """appmon_resources.valid, from_v1. A figure that is not valid is 0."""

    #: cpu_ns, cpu_user_ns, cpu_system_ns
    CPU = 0x1
    #: periods, throttled_periods, throttled_ns
    THROTTLING = 0x2
    #: memory_bytes, memory_limit
    MEMORY = 0x4
    #: pids, pids_limit
    PIDS = 0x8
    #: read_bytes, write_bytes, reads, writes
    IO = 0x10


class TakeFlags(enum.IntFlag):
    """appmon_snapshot_opts.flags."""

    #: Events that wait for their other end are counted as they are: at the end, or for a
    #: test.
    WAITING = 0x1


@dataclass
class Trace:
    """The trace ids of a request, from the first of the fields at APPMON_TRACE_* that is well
    formed."""

    #: enum appmon_trace_format, APPMON_TRACE_*
    format: TraceFormat
    #: APPMON_TRACE_SAMPLED ...
    flags: TraceFlags
    #: sw8: 0 unless it is a UUID; see appmon_event.trace_text
    trace_id: bytes
    span_id: bytes
    #: of the sender's parent: b3, x-b3-*, uber-trace-id
    parent_span_id: bytes


@dataclass
class Event(EventBase):
    """One exchange: a request and its response, or what was seen of them.

    All of it is copied: an event may be kept for as long as it is needed. Names in
    parentheses are OpenTelemetry's."""

    #: enum appmon_protocol, APPMON_PROTO_* (network.protocol.name)
    protocol: Protocol
    #: APPMON_EVF_*
    flags: EventFlags
    #: enum appmon_role, APPMON_ROLE_*
    role: Role
    #: enum appmon_end, APPMON_END_*
    end: End
    #: as returned by appmon_attach_cgroup()
    target_id: int
    # Share of connections watched when the request began, parts per million: it stands for
    # 1,000,000 / sampling_ppm exchanges.
    sampling_ppm: int
    #: the name given at attach
    target_name: str
    #: the pointer given at attach
    target_user: object
    #: leaf cgroup of the socket: inode of its cgroup v2 directory
    cgroup_id: int
    # Socket cookie: unique per boot (SO_COOKIE, Linux 4.12). 2^62 and up: an id of the
    # library's own, unique in the handle: the request met a listening socket, and its
    # connection's own socket had not shown up when the event was made.
    connection_id: int
    # 1 for the first exchange seen on the connection, then one more each; unique with
    # connection_id: after the library had to forget the connection (limits, idle time) it
    # goes on higher.
    ordinal: int
    # What was asked and what became of it, for any protocol alike. "" where it is not
    # known, or where there is no such thing.
    #: enum appmon_operation_type, APPMON_OP_*
    operation_type: OperationType
    #: enum appmon_outcome, APPMON_OUTCOME_*: error rates go by it
    outcome: Outcome
    #: what speaks the protocol (db.system.name): RESP: "redis"; gRPC: "grpc"
    #: (rpc.system.name); "postgresql", "mysql", "tls"; HTTP: ""
    system: str
    # HTTP: the method as sent (http.request.method). RESP: the command's name as sent
    # (db.operation.name). gRPC: the service with its package, '/' and the method
    # (rpc.method). SQL: a statement's first word in upper case, behind WITH its main one;
    # FETCH: more rows of a statement that was told before; CONNECT: the log-in; CANCEL: a
    # request to cancel, on a connection of its own. TLS: "handshake" of one that failed,
    # else "exchange". "": no request was seen.
    operation: str
    # What the operation is about. HTTP: the path (url.path), of CONNECT the authority; of
    # gRPC "", for operation says it all. RESP: the command's first argument, mostly a key;
    # "" where it may be a secret (AUTH, HELLO). SQL: the first table, or the procedure of
    # CALL (db.collection.name). TLS: tls_server_name.
    resource: str
    #: SQL: the database (db.namespace)
    resource_namespace: str
    # SQL: the statement, without its data (db.query.text): literals and parameters are '?',
    # a list of them is one, rows behind the first are left out, comments too. truncated:
    # there was more. "": it could not be split, or APPMON_EVF_PARTIAL.
    query_text: str
    # SQL: operation and up to three tables, as in "SELECT orders customers"
    # (db.query.summary).
    query_summary: str
    # HTTP: the status code as text (http.response.status_code). RESP: the prefix of an
    # error (db.response.status_code), such as WRONGTYPE. gRPC: the name of grpc-status
    # (rpc.response.status_code), such as NOT_FOUND; where none came, HTTP's. PostgreSQL: an
    # error's SQLSTATE. MySQL: its number. TLS: the name of the alert that ended a
    # handshake, such as unknown_ca; status_number is its number.
    status_text: str
    # The server's words for it. HTTP: the reason phrase of the status line. RESP: the text
    # of an error, prefix and all, without the arguments that it may repeat. gRPC: grpc-
    # message, decoded. SQL: an error's, with APPMON_OPEN_QUERY_TEXT.
    message: str
    #: status_text as a number; -1: it is none, or was not seen
    status_number: int
    # Bytes of the TCP stream: no headers of TCP or IP, each byte once. HTTP: of head and
    # body. TLS: records of application data with their heads.
    request_bytes: int
    #: of the final response
    response_bytes: int
    # SQL: xxh64 of the sanitised text in lower case, the same for statements that differ in
    # their data only. 0: there is no text.
    digest: int
    # What paired the two messages. HTTP/2: the id of the stream. 0: their order did.
    key: int
    # gRPC: messages in the stream, whole or not. SQL: response_items are rows that came or
    # were changed (db.response.returned_rows). -1: there is no such thing, or it could not
    # be counted, as of several messages in one DATA frame.
    request_items: int
    response_items: int
    #: SQL: the first row of the response, or of MySQL what describes the rows; 0: none was
    #: seen
    first_item_ns: int
    # CLOCK_MONOTONIC, nanoseconds, taken where bytes reach or leave the TCP stack; 0: not
    # seen. appmon_realtime_ns() converts to wall time.
    #: first byte of the request
    request_start_ns: int
    #: last byte of the request
    request_end_ns: int
    #: first byte of the final response
    response_start_ns: int
    #: last byte of the final response
    response_end_ns: int
    # Derived; 0 where one end is missing.
    #: request_start to response_end (http.server.request.duration)
    duration_ns: int
    #: request_start to request_end
    request_ns: int
    #: request_end to response_start; 0 for an early response
    wait_ns: int
    #: response_start to response_end
    response_ns: int
    # Where the time went, on the server's side: APPMON_OPEN_IDENTITY; CLOCK_MONOTONIC. With
    # pipelining, and where the request's bytes were not seen to be read, these are 0. Then
    # duration_ns is queue_ns + (read_end_ns - read_start_ns) + service_ns + response_ns.
    #: the application took the first bytes of the request from TCP
    read_start_ns: int
    #: ... the last bytes that it took before it answered request_start to read_start: in
    #: the accept backlog, in the socket, waiting for a thread.
    read_end_ns: int
    queue_ns: int
    #: read_end to response_start: the application's own time
    service_ns: int
    # On the client's side: SYN sent to SYN-ACK received, in the first event of a connection
    # that was seen to connect. Then request_ns, wait_ns and response_ns follow.
    connect_ns: int
    local: Endpoint
    remote: Endpoint
    # The client that a PROXY protocol header, version 1 or 2, in front of the connection's
    # first request names (client.address and client.port): whoever connected to the proxy,
    # where remote, or for the proxy's own requests local, is the proxy. In every event of
    # the connection. family 0: there was no header, or it names none (UNKNOWN, LOCAL, a
    # UNIX socket).
    client: Endpoint
    #: TCP's smoothed round-trip time at the end, microseconds; 0: unknown
    srtt_us: int
    #: segments this host sent again during the exchange
    retransmits: int
    #: segments that arrived again during the exchange
    peer_retransmits: int
    #: network namespace of the socket, with APPMON_OPEN_IDENTITY: inode of
    #: /proc/PID/ns/net; may be used again
    netns_inum: int
    #: the same: unique per boot
    netns_cookie: int
    # The same in the events of both ends of a connection, whatever addresses and ports are
    # translated between them: TCP's sequence numbers of the request's first byte (upper
    # half) and of the response's, or of where it would have begun. Both begin at random
    # (RFC 6528), so that two exchanges of one minute have the same by chance once in 2^64.
    # What ends the connection in between has two connections: a proxy, SYNPROXY. 0: not
    # known.
    wire_id: int
    # Who served the request, or sent it: APPMON_OPEN_IDENTITY, with APPMON_CAP_IDENTITY.
    # Taken in the thread's own context, when it reads or sends: right whoever accepted or
    # connected, and whoever else has the socket open. Numbers of the initial pid namespace,
    # as /proc of the host has them. What was not seen is 0 or "".
    #: enum appmon_owner, APPMON_OWNER_*: how this group is known
    owner: Owner
    #: effective user, initial user namespace (process.user.id)
    uid: int
    #: process.pid
    pid: int
    #: thread.id
    tid: int
    #: pid in the process's own pid namespace, as it sees itself
    inner_pid: int
    #: tid in that namespace
    inner_tid: int
    #: server: the process that sent the response's first byte; 0: TCP sent it by itself
    response_pid: int
    #: server: the thread that sent it
    response_tid: int
    #: CLOCK_BOOTTIME: with pid it names a process for ever; field 22 of /proc/PID/stat has
    #: it in ticks
    process_start_ns: int
    #: of the process, at that moment: /proc/PID/comm
    comm: str
    # Trace ids of the request: APPMON_OPEN_TRACE. What is not well formed is in headers
    # only.
    trace: Trace
    #: sw8: its trace id as text; "" for others
    trace_text: str
    #: x-request-id, or another of request_id_headers: of those the first in the head
    request_id: str
    # What the exchange was made for: APPMON_OPEN_LINKS. Client: the request that the sender
    # was serving. Server: the exchange that a monitored client sees of the same request.
    # Decided when the request begins, from what is open at that moment; that other
    # exchange's event usually comes later, or never if it is dropped.
    #: connection_id and ordinal of that exchange
    link_connection_id: int
    link_ordinal: int
    #: enum appmon_link, APPMON_LINK_*; NONE: those two are 0
    link: Link
    # HTTP's own; 0, NULL and "" in events of other protocols.
    #: enum appmon_method, APPMON_METHOD_*
    method: Method
    #: http.response.status_code; 0: none
    status: int
    # 20: HTTP/2, 10: HTTP/1.0, 11: HTTP/1.1 and any newer HTTP/1.x (RFC 9112 section 2.3);
    # others, such as 20, by way of 10 * major + minor, which counts up to 9; 0: unknown.
    request_http_version: int
    response_http_version: int
    #: header_count of them; NULL if 0
    headers: list[Header]
    #: as sent (RFC 9112 section 3.2), but for secrets: see appmon_opts.redact_names; query
    #: per options
    request_target: str
    #: path of it (url.path); "" for CONNECT
    path: str
    #: after '?' (url.query); secrets as above
    query: str
    #: of an absolute or CONNECT target, else Host; without user and password
    #: (server.address and server.port)
    authority: str
    request_head_bytes: int
    #: as transferred, with chunk framing; HTTP/2: what DATA frames carry without padding
    #: (http.request.body.size)
    request_body_bytes: int
    #: of the final response
    response_head_bytes: int
    #: as transferred (http.response.body.size)
    response_body_bytes: int
    #: declared; -1: none
    request_content_length: int
    #: declared; -1: none
    response_content_length: int
    # TLS's own, from the hellos, in every event of the connection; 0 and "" in events of
    # other protocols, where the hellos were not seen, and where they do not say it. What is
    # no printable ASCII is '?'.
    #: SNI, as sent (tls.client.server_name)
    tls_server_name: str
    #: names that the client offers, in its order, with commas: "h2,http/1.1"
    tls_alpn_offered: str
    #: the chosen one (tls.next_protocol); TLS 1.3 hides it: ""
    tls_alpn: str
    #: 0x0304: TLS 1.3, 0x0303: TLS 1.2 ...; before the server's hello came, the highest
    #: that the client offers
    tls_version: int
    #: the chosen one by IANA's number (tls.cipher); 0: not known
    tls_cipher: int
    #: APPMON_TLS_*
    tls_flags: int
    #: names of the texts above that the capture limit cut off
    truncated: tuple[str, ...]


_EVENT = struct.Struct("@IIQIIIIPIIPQQQIIPIIPIIPIIPIIPIIPIIPIIPIIqQQQQqqQQQQQQQQQQQQQQHHI16sHHI16sHHI16sIIIIQQIIIIIIIIQPIIII16s8s8sPIIPIIQQIIIIIIPPIIPIIPIIPIIQQQQqqPIIPIIPIIHHI")
_TEXTS = (
    "target_name", "system", "operation", "resource", "resource_namespace", "query_text",
    "query_summary", "status_text", "message", "comm", "trace_text", "request_id",
    "request_target", "path", "query", "authority", "tls_server_name", "tls_alpn_offered",
    "tls_alpn")


def event_from(address: int, users: dict[int, object]) -> Event:
    """Copies the event that a pointer from the library shows."""
    (
        _, protocol, flags, role, end, target_id, sampling_ppm, target_name_data,
        target_name_len, target_name_truncated, _, cgroup_id, connection_id, ordinal,
        operation_type, outcome, system_data, system_len, system_truncated, operation_data,
        operation_len, operation_truncated, resource_data, resource_len, resource_truncated,
        resource_namespace_data, resource_namespace_len, resource_namespace_truncated,
        query_text_data, query_text_len, query_text_truncated, query_summary_data,
        query_summary_len, query_summary_truncated, status_text_data, status_text_len,
        status_text_truncated, message_data, message_len, message_truncated, status_number,
        request_bytes, response_bytes, digest, key, request_items, response_items,
        first_item_ns, request_start_ns, request_end_ns, response_start_ns, response_end_ns,
        duration_ns, request_ns, wait_ns, response_ns, read_start_ns, read_end_ns, queue_ns,
        service_ns, connect_ns, local_family, local_port, _, local_addr, remote_family,
        remote_port, _, remote_addr, client_family, client_port, _, client_addr, srtt_us,
        retransmits, peer_retransmits, netns_inum, netns_cookie, wire_id, owner, uid, pid, tid,
        inner_pid, inner_tid, response_pid, response_tid, process_start_ns, comm_data, comm_len,
        comm_truncated, trace_format, trace_flags, trace_trace_id, trace_span_id,
        trace_parent_span_id, trace_text_data, trace_text_len, trace_text_truncated,
        request_id_data, request_id_len, request_id_truncated, link_connection_id, link_ordinal,
        link, method, status, request_http_version, response_http_version, header_count,
        headers, request_target_data, request_target_len, request_target_truncated, path_data,
        path_len, path_truncated, query_data, query_len, query_truncated, authority_data,
        authority_len, authority_truncated, request_head_bytes, request_body_bytes,
        response_head_bytes, response_body_bytes, request_content_length,
        response_content_length, tls_server_name_data, tls_server_name_len,
        tls_server_name_truncated, tls_alpn_offered_data, tls_alpn_offered_len,
        tls_alpn_offered_truncated, tls_alpn_data, tls_alpn_len, tls_alpn_truncated,
        tls_version, tls_cipher, tls_flags
    ) = _EVENT.unpack(ctypes.string_at(address, _EVENT.size))
    cut = (
        target_name_truncated, system_truncated, operation_truncated, resource_truncated,
        resource_namespace_truncated, query_text_truncated, query_summary_truncated,
        status_text_truncated, message_truncated, comm_truncated, trace_text_truncated,
        request_id_truncated, request_target_truncated, path_truncated, query_truncated,
        authority_truncated, tls_server_name_truncated, tls_alpn_offered_truncated,
        tls_alpn_truncated
    )
    return Event(
        Protocol(protocol),
        EventFlags(flags),
        Role(role),
        End(end),
        target_id,
        sampling_ppm,
        text(target_name_data, target_name_len),
        users.get(target_id),
        cgroup_id,
        connection_id,
        ordinal,
        OperationType(operation_type),
        Outcome(outcome),
        text(system_data, system_len),
        text(operation_data, operation_len),
        text(resource_data, resource_len),
        text(resource_namespace_data, resource_namespace_len),
        text(query_text_data, query_text_len),
        text(query_summary_data, query_summary_len),
        text(status_text_data, status_text_len),
        text(message_data, message_len),
        status_number,
        request_bytes,
        response_bytes,
        digest,
        key,
        request_items,
        response_items,
        first_item_ns,
        request_start_ns,
        request_end_ns,
        response_start_ns,
        response_end_ns,
        duration_ns,
        request_ns,
        wait_ns,
        response_ns,
        read_start_ns,
        read_end_ns,
        queue_ns,
        service_ns,
        connect_ns,
        endpoint(local_family, local_port, local_addr),
        endpoint(remote_family, remote_port, remote_addr),
        endpoint(client_family, client_port, client_addr),
        srtt_us,
        retransmits,
        peer_retransmits,
        netns_inum,
        netns_cookie,
        wire_id,
        Owner(owner),
        uid,
        pid,
        tid,
        inner_pid,
        inner_tid,
        response_pid,
        response_tid,
        process_start_ns,
        text(comm_data, comm_len),
        Trace(TraceFormat(trace_format), TraceFlags(trace_flags), trace_trace_id, trace_span_id, trace_parent_span_id),
        text(trace_text_data, trace_text_len),
        text(request_id_data, request_id_len),
        link_connection_id,
        link_ordinal,
        Link(link),
        Method(method),
        status,
        request_http_version,
        response_http_version,
        headers_from(headers, header_count),
        text(request_target_data, request_target_len),
        text(path_data, path_len),
        text(query_data, query_len),
        text(authority_data, authority_len),
        request_head_bytes,
        request_body_bytes,
        response_head_bytes,
        response_body_bytes,
        request_content_length,
        response_content_length,
        text(tls_server_name_data, tls_server_name_len),
        text(tls_alpn_offered_data, tls_alpn_offered_len),
        text(tls_alpn_data, tls_alpn_len),
        tls_version,
        tls_cipher,
        tls_flags,
        tuple(name for name, yes in zip(_TEXTS, cut) if yes) if any(cut) else (),
    )


@dataclass
class Stats:
    """Counters since the monitor was opened, or since the attach."""

    #: APPMON_STATS_*: noticed by appmon_poll() and appmon_next(), within a second, and one
    #: more for each 64 targets; 0 in a replay
    flags: StatsFlags
    #: bit n: the n-th 64-bit member below is supported here, dropped[] being one
    valid: int
    exchanges_seen: int
    delivered: int
    #: gauge: requests waiting for the end of their response
    outstanding: int
    #: by APPMON_DROP_*
    dropped: dict[Drop, int]
    #: HTTP connections
    connections_seen: int
    #: gauge
    connections_open: int
    #: found not to be HTTP and ignored since
    connections_skipped: int
    #: request heads parsed
    requests: int
    #: final response heads parsed
    responses: int
    #: both directions, of connections that were upgraded
    tunnel_bytes: int
    #: read from the ring
    records: int
    #: that did not fit into the ring
    records_lost: int
    #: not understood; 0 unless library and programs disagree
    records_bad: int
    #: gauge: connection state held; handle only
    memory_bytes: int
    #: handle only
    memory_limit: int
    #: gauge: share of connections watched; 0: paused
    sampling_ppm: int
    #: complete, but left out by appmon_set_filter(), or of a protocol that was not asked
    #: for, by the handle or for the target
    filtered: int
    #: reads and writes of TLS libraries that were understood; handle only
    plain_calls: int
    #: ... that were not: no socket was found for them, no memory, or no room in the ring;
    #: handle only
    plain_dropped: int
    #: APPMON_OPEN_TLS: files whose functions are not understood or could not be probed, and
    #: processes that could not be looked at; handle only
    tls_refused: int
    #: of these, the processes; handle only
    tls_refused_processes: int

    @classmethod
    def _from(cls, c: _abi.appmon_stats) -> "Stats":
        return cls(
            flags=StatsFlags(c.flags),
            valid=c.valid,
            exchanges_seen=c.exchanges_seen,
            delivered=c.delivered,
            outstanding=c.outstanding,
            dropped={Drop(i): n for i, n in enumerate(c.dropped) if n or i < len(Drop)},
            connections_seen=c.connections_seen,
            connections_open=c.connections_open,
            connections_skipped=c.connections_skipped,
            requests=c.requests,
            responses=c.responses,
            tunnel_bytes=c.tunnel_bytes,
            records=c.records,
            records_lost=c.records_lost,
            records_bad=c.records_bad,
            memory_bytes=c.memory_bytes,
            memory_limit=c.memory_limit,
            sampling_ppm=c.sampling_ppm,
            filtered=c.filtered,
            plain_calls=c.plain_calls,
            plain_dropped=c.plain_dropped,
            tls_refused=c.tls_refused,
            tls_refused_processes=c.tls_refused_processes,
        )


@dataclass
class Options:
    """How to open a monitor, each by its name. 0, or nothing: the default."""

    #: APPMON_OPEN_*
    flags: OpenFlags = OpenFlags(0)
    #: bytes of connection state in this process; default 64 MiB, at least 64 KiB
    memory_limit: int = 0
    #: the kernel's rings together: power of two, 4 KiB to 256 MiB; default 8 MiB. There is
    #: one for each CPU, all of one size; but CPUs share them if there are more than 16, or
    #: if each would have less than 512 KiB.
    ring_bytes: int = 0
    #: most bytes of one message head, 128 to 65536; default 4096
    capture_bytes: int = 0
    #: silence that ends an exchange; default 300,000; UINT32_MAX: never
    exchange_timeout_ms: int = 0
    #: silence after which a connection without an exchange is forgotten (it is found
    #: again); default 3,600,000, less than 2000 is taken for that
    idle_timeout_ms: int = 0
    #: most verbose APPMON_LOG_* wanted; default WARN
    log_level: int = 0
    #: header_count names to keep beside the default ones: content-type, user-agent,
    #: x-request-id, traceparent, tracestate, x-forwarded-for. Nothing else is ever kept:
    #: authorization, cookie and set-cookie only when named here. At most 64.
    headers: Sequence[str] = ()
    #: bit n: APPMON_PROTO_n, see appmon_protocol_by_name(); default HTTP/1 only. RESP costs
    #: more: its strings are copied. HTTP/1 is followed in any case; without its bit its
    #: exchanges have no event and count as filtered
    protocols: int = 0
    #: names of fields that carry a request's id beside x-request-id; kept with
    #: APPMON_OPEN_TRACE. At most 8.
    request_id_headers: Sequence[str] = ()
    redact_names: Sequence[str] = ()
    #: most bytes of a recording: appmon_record(); default: any
    record_max_bytes: int = 0


@dataclass
class MetricsOptions:
    """How to open an aggregator, each by its name. 0: the default."""

    #: APPMON_METRICS_*
    flags: MetricsFlags = MetricsFlags(0)
    #: APPMON_DIM_*; default APPMON_DIM_DEFAULT
    dimensions: Dimensions = Dimensions(0)
    #: hard limit, 16 to 1,000,000; default 8192. No application gets more than are left for
    #: others: half of them if it is alone
    max_series: int = 0
    #: series and edges without an event for this long go; default 600,000; UINT32_MAX:
    #: never
    idle_ms: int = 0
    #: APPMON_ERROR_*; default all but CLIENT
    server_errors: ErrorFlags = ErrorFlags(0)
    #: APPMON_ERROR_*; default all
    client_errors: ErrorFlags = ErrorFlags(0)
    #: bytes; default 64 MiB, at least 1 MiB. Where it is reached, series are refused as by
    #: max_series. The other tables go by it, too: up to 1 GiB, each MiB gives 16 edges, 256
    #: path segments to learn routes from and 128 connections whose ends are remembered
    memory_limit: int = 0


@dataclass
class MetricsStats:
    """Counters of the aggregator since it was opened."""

    #: added == counted in series + waiting + expired_events + without_request
    events: int
    #: gauge: events that wait for their other end, 500 ms at most
    waiting: int
    #: gauge
    series: int
    #: gauge
    edges: int
    #: events that went to a series with APPMON_SERIES_OTHER
    other_events: int
    #: exchanges that went to the edge with APPMON_SERIES_OTHER
    other_exchanges: int
    #: gone for want of events
    expired_series: int
    expired_edges: int
    #: that the expired series had counted
    expired_events: int
    #: of which both ends were seen
    joined_connections: int
    #: forgotten to make room
    evicted_connections: int
    #: events that could not wait long enough, for want of room
    unwaited: int
    #: not learned, for want of room
    refused_segments: int
    #: gauge
    memory_bytes: int
    memory_limit: int
    #: events of which only a response was seen: in no series or edge
    without_request: int

    @classmethod
    def _from(cls, c: _abi.appmon_metrics_stats) -> "MetricsStats":
        return cls(
            events=c.events,
            waiting=c.waiting,
            series=c.series,
            edges=c.edges,
            other_events=c.other_events,
            other_exchanges=c.other_exchanges,
            expired_series=c.expired_series,
            expired_edges=c.expired_edges,
            expired_events=c.expired_events,
            joined_connections=c.joined_connections,
            evicted_connections=c.evicted_connections,
            unwaited=c.unwaited,
            refused_segments=c.refused_segments,
            memory_bytes=c.memory_bytes,
            memory_limit=c.memory_limit,
            without_request=c.without_request,
        )


@dataclass
class Series:
    """What a series is about."""

    #: APPMON_SERIES_*
    flags: SeriesFlags
    #: the same in every snapshot, never reused by the aggregator
    id: int
    #: the instance; see appmon_cgroup_path(). With instance_fn: what it returned
    cgroup_id: int
    pid: int
    #: APPMON_ROLE_*
    role: Role
    #: APPMON_PROTO_* (network.protocol.name)
    protocol: Protocol
    #: APPMON_METHOD_*; OTHER also where it could not be read
    method: Method
    #: http.response.status_code; 0: none
    status: int
    #: enum appmon_outcome, APPMON_OUTCOME_*
    outcome: Outcome
    #: target_name of the events, at most 127 bytes of it
    app: str
    #: the application at the other end; "": peer says what is known of it
    peer_app: str
    #: http.request.method; "_OTHER" for APPMON_METHOD_OTHER
    method_name: str
    #: at most 255 bytes (http.route): visible ASCII, unless it is the host's or
    #: APPMON_METRICS_RAW_ROUTES. SQL: the event's query_summary (db.query.summary). gRPC,
    #: RESP and SQL without a summary: operation
    route: str
    #: as the events have it, at most 23 bytes
    status_text: str
    #: family 0: unknown; port 0: of a client
    peer: Endpoint
    # What speaks the protocol, as the events have it, at most 15 bytes: it tells HTTP (""),
    # gRPC ("grpc", rpc.system.name) and databases (db.system.name) apart.
    system: str
    # At most 255 bytes. gRPC: service and method (rpc.method). SQL: as the events have it
    # (db.operation.name). RESP: the command in upper case; "_OTHER" for one that is not
    # listed and that the server did not take, as clients may send any word. HTTP: "", as
    # method_name says it.
    operation: str
    # SQL: at most 127 bytes of the first table and of the database (db.collection.name,
    # db.namespace); else "".
    resource: str
    resource_namespace: str

    @classmethod
    def _from(cls, c: _abi.appmon_series) -> "Series":
        return cls(
            flags=SeriesFlags(c.flags),
            id=c.id,
            cgroup_id=c.cgroup_id,
            pid=c.pid,
            role=Role(c.role),
            protocol=Protocol(c.protocol),
            method=Method(c.method),
            status=c.status,
            outcome=Outcome(c.outcome),
            app=text(c.app.data, c.app.len),
            peer_app=text(c.peer_app.data, c.peer_app.len),
            method_name=text(c.method_name.data, c.method_name.len),
            route=text(c.route.data, c.route.len),
            status_text=text(c.status_text.data, c.status_text.len),
            peer=endpoint(c.peer.family, c.peer.port, bytes(c.peer.addr)),
            system=text(c.system.data, c.system.len),
            operation=text(c.operation.data, c.operation.len),
            resource=text(c.resource.data, c.resource.len),
            resource_namespace=text(c.resource_namespace.data, c.resource_namespace.len),
        )


@dataclass
class Active:
    """What one instance of an application has in progress."""

    #: APPMON_SERIES_*: OTHER is what found no room of its own
    flags: SeriesFlags
    #: the instance, as in appmon_series
    cgroup_id: int
    #: APPMON_ROLE_*
    role: Role
    #: APPMON_PROTO_*
    protocol: Protocol
    #: APPMON_METHOD_*; OTHER also while it is not known
    method: Method
    app: str
    #: as in appmon_series
    method_name: str
    #: gauge (http.server.active_requests, http.client.active_requests)
    requests: int
    #: CLOCK_MONOTONIC: when the oldest of them began; 0: there is none
    oldest_ns: int

    @classmethod
    def _from(cls, c: _abi.appmon_active) -> "Active":
        return cls(
            flags=SeriesFlags(c.flags),
            cgroup_id=c.cgroup_id,
            role=Role(c.role),
            protocol=Protocol(c.protocol),
            method=Method(c.method),
            app=text(c.app.data, c.app.len),
            method_name=text(c.method_name.data, c.method_name.len),
            requests=c.requests,
            oldest_ns=c.oldest_ns,
        )


@dataclass
class Edge:
    """Who calls whom."""

    #: APPMON_SERIES_*
    flags: SeriesFlags
    id: int
    #: APPMON_PROTO_*
    protocol: Protocol
    client_app: str
    server_app: str
    #: family 0 if client_app is set; port 0
    client: Endpoint
    #: family 0 if server_app is set
    server: Endpoint

    @classmethod
    def _from(cls, c: _abi.appmon_edge) -> "Edge":
        return cls(
            flags=SeriesFlags(c.flags),
            id=c.id,
            protocol=Protocol(c.protocol),
            client_app=text(c.client_app.data, c.client_app.len),
            server_app=text(c.server_app.data, c.server_app.len),
            client=endpoint(c.client.family, c.client.port, bytes(c.client.addr)),
            server=endpoint(c.server.family, c.server.port, bytes(c.server.addr)),
        )


@dataclass
class Figures:
    """Sums over the events of a series or edge. Times in nanoseconds."""

    requests: int
    errors: int
    #: heads and bodies
    request_bytes: int
    response_bytes: int
    #: events that have a duration: those of the histogram
    duration_count: int
    #: first byte of the request to last byte of the response
    duration_sum: int
    #: between snapshots: within the histogram's error
    duration_max: int
    #: the request on its way
    request_sum: int
    wait_count: int
    #: last byte of the request to first byte of the response
    wait_sum: int
    #: the response on its way
    response_sum: int
    # Events of servers that were seen to read (APPMON_OPEN_IDENTITY).
    service_count: int
    #: of those: until the application read the request
    queue_sum: int
    #: of those: from there to the first byte of the response
    service_sum: int
    #: segments sent again by this host, and by the peer
    retransmits: int
    #: CLOCK_MONOTONIC: when the first event ended; of the series, also between snapshots
    first_ns: int
    #: when the last one did
    last_ns: int

    @classmethod
    def _from(cls, c: _abi.appmon_figures) -> "Figures":
        return cls(
            requests=c.requests,
            errors=c.errors,
            request_bytes=c.request_bytes,
            response_bytes=c.response_bytes,
            duration_count=c.duration_count,
            duration_sum=c.duration_sum,
            duration_max=c.duration_max,
            request_sum=c.request_sum,
            wait_count=c.wait_count,
            wait_sum=c.wait_sum,
            response_sum=c.response_sum,
            service_count=c.service_count,
            queue_sum=c.queue_sum,
            service_sum=c.service_sum,
            retransmits=c.retransmits,
            first_ns=c.first_ns,
            last_ns=c.last_ns,
        )


@dataclass
class Exemplar:
    """One event of a series that carried a W3C traceparent."""

    duration_ns: int
    #: CLOCK_MONOTONIC
    end_ns: int
    trace_id: bytes
    span_id: bytes

    @classmethod
    def _from(cls, c: _abi.appmon_exemplar) -> "Exemplar":
        return cls(
            duration_ns=c.duration_ns,
            end_ns=c.end_ns,
            trace_id=bytes(c.trace_id),
            span_id=bytes(c.span_id),
        )


@dataclass
class Resources:
    """What a cgroup used since it was made, and has now."""

    #: APPMON_RES_*: what could be read
    valid: ResourceFlags
    #: APPMON_RES_*: read from a version 1 hierarchy
    from_v1: ResourceFlags
    #: CLOCK_MONOTONIC of the reading
    time_ns: int
    cpu_ns: int
    cpu_user_ns: int
    cpu_system_ns: int
    periods: int
    throttled_periods: int
    throttled_ns: int
    #: gauge
    memory_bytes: int
    #: UINT64_MAX: none
    memory_limit: int
    #: gauge: processes and threads
    pids: int
    #: UINT64_MAX: none
    pids_limit: int
    read_bytes: int
    write_bytes: int
    reads: int
    writes: int

    @classmethod
    def _from(cls, c: _abi.appmon_resources) -> "Resources":
        return cls(
            valid=ResourceFlags(c.valid),
            from_v1=ResourceFlags(c.from_v1),
            time_ns=c.time_ns,
            cpu_ns=c.cpu_ns,
            cpu_user_ns=c.cpu_user_ns,
            cpu_system_ns=c.cpu_system_ns,
            periods=c.periods,
            throttled_periods=c.throttled_periods,
            throttled_ns=c.throttled_ns,
            memory_bytes=c.memory_bytes,
            memory_limit=c.memory_limit,
            pids=c.pids,
            pids_limit=c.pids_limit,
            read_bytes=c.read_bytes,
            write_bytes=c.write_bytes,
            reads=c.reads,
            writes=c.writes,
        )



__all__ = [
    "Protocol", "Role", "Method", "End", "Outcome", "OperationType", "TraceFormat", "Runtime",
    "Owner", "Link", "Drop", "LogLevel", "EventFlags", "TraceFlags", "StatsFlags", "OpenFlags",
    "Capabilities", "SamplingFlags", "SnapshotKind", "TimeKind", "Dimensions", "MetricsFlags",
    "ErrorFlags", "SeriesFlags", "ResourceFlags", "TakeFlags", "Trace", "Event",
    "MetricsOptions", "Options", "Stats", "MetricsStats", "Series", "Active", "Edge", "Figures",
    "Exemplar", "Resources"]
