/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libappmon: every request that a Linux workload serves or sends, seen
 * from outside through eBPF. See appmon(7) for the concepts.
 *
 * Errors   Functions that return int return >= 0 or a negative errno value.
 *          errno itself is not part of the interface. On failure no output
 *          parameter is written. appmon_last_error() has a sentence for people.
 * Threads  One thread at a time may use a handle; distinct handles are
 *          independent and the library has no mutable global state. Only
 *          appmon_wakeup() may be called from any thread or signal handler.
 *          The library starts no threads, installs no signal handlers, writes
 *          to no stdio stream and changes no rlimit or environment variable.
 * libbpf   Its print function belongs to the whole process, so the library leaves it
 *          alone, and asks the kernel beforehand for whatever can be asked. If a kernel
 *          still refuses a program (its verifier, or memory that ends meanwhile), libbpf
 *          writes lines to stderr, beside those that log_fn and error_text get. A host that
 *          does not want them calls once, before appmon_open():
 *              libbpf_set_print(NULL);
 * fork()   In a child every call on an inherited handle returns -ECHILD, except
 *          appmon_close(), which frees the child's copy and leaves the parent's
 *          attachments alone. A child that outlives a parent that was killed, and
 *          neither ran another program nor called appmon_close(), keeps them.
 * Structs  The first member is "size": set it to sizeof(the struct). In: 0 in any
 *          other member means the default; members that this library does not
 *          know must be 0, else -E2BIG. Out: the library writes the members that
 *          fit into "size" and sets "size" to the number of bytes it filled.
 *          Structs grow at the end only; every constant keeps its value.
 */
#ifndef APPMON_APPMON_H
#define APPMON_APPMON_H

#include <stddef.h>
#include <stdint.h>

#include <appmon/version.h>

#ifndef APPMON_API
#define APPMON_API __attribute__((visibility("default")))
#endif

/* True if the producer of *p (an older library, or an older host) knew member m. */
#define APPMON_HAS(p, type, m) ((p)->size >= offsetof(type, m) + sizeof((p)->m))

/*
 * Declares an options struct that is zero but for its size and the members named:
 *     APPMON_OPTS(appmon_opts, opts, .event_fn = on_event, .memory_limit = 1 << 20);
 * C++ declares it with APPMON_OPTS(appmon_opts, opts); and sets its members afterwards.
 */
#ifdef __cplusplus
#define APPMON_OPTS(type, name)                                                                    \
	struct type name = {};                                                                     \
	name.size = sizeof(struct type)
#else
#define APPMON_OPTS(type, ...) APPMON_OPTS_(type, __VA_ARGS__, )
#define APPMON_OPTS_(type, name, ...) struct type name = {.size = sizeof(struct type), __VA_ARGS__}
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One monitor: its BPF programs and maps, its ring buffer, its attachments. */
struct appmon;

/* ---- Constants. Values are ABI: never renumbered, never reused. ---------- */

/* appmon_event.protocol. Expect values unknown to you. */
enum appmon_protocol {
	APPMON_PROTO_UNKNOWN = 0, /* of no event so far */
	APPMON_PROTO_HTTP1 = 1,	  /* HTTP/1.0 and HTTP/1.1, RFC 9112 */
	APPMON_PROTO_RESP = 2,	  /* Redis's, RESP2 and RESP3: only if asked for, see protocols */
	/* HTTP/2 (RFC 9113) in clear text, an event for each stream, and gRPC: only if asked for */
	APPMON_PROTO_HTTP2 = 3,
	APPMON_PROTO_POSTGRESQL = 4, /* PostgreSQL's, version 3: likewise */
	APPMON_PROTO_MYSQL = 5,	     /* MySQL's and MariaDB's: likewise */
	/* TLS up to 1.3 as it is on the wire, without its plaintext: only if asked for. An event is
	 * an opaque exchange, or a handshake that failed. */
	APPMON_PROTO_TLS = 6
};

/* appmon_event.role: what the monitored socket was in this exchange. */
enum appmon_role {
	APPMON_ROLE_UNKNOWN = 0, /* which side sends the requests was not seen */
	APPMON_ROLE_SERVER = 1,	 /* the request arrived on it */
	APPMON_ROLE_CLIENT = 2	 /* the request was sent from it */
};

/* appmon_event.method: http.request.method (RFC 9110 section 9, RFC 5789). */
enum appmon_method {
	APPMON_METHOD_UNKNOWN = 0, /* no request line was seen */
	APPMON_METHOD_OTHER = 1,   /* a token not listed here: see operation */
	APPMON_METHOD_GET = 2,	   /* RFC 9110 section 9.3.1 */
	APPMON_METHOD_HEAD = 3,	   /* RFC 9110 section 9.3.2 */
	APPMON_METHOD_POST = 4,	   /* RFC 9110 section 9.3.3 */
	APPMON_METHOD_PUT = 5,	   /* RFC 9110 section 9.3.4 */
	APPMON_METHOD_DELETE = 6,  /* RFC 9110 section 9.3.5 */
	APPMON_METHOD_CONNECT = 7, /* RFC 9110 section 9.3.6 */
	APPMON_METHOD_OPTIONS = 8, /* RFC 9110 section 9.3.7 */
	APPMON_METHOD_TRACE = 9,   /* RFC 9110 section 9.3.8 */
	APPMON_METHOD_PATCH = 10   /* RFC 5789 */
};

/* appmon_event.end: why the exchange is over. */
enum appmon_end {
	APPMON_END_COMPLETE = 0,      /* the last byte of the response was seen */
	APPMON_END_CLOSED = 1,	      /* the connection closed (FIN) before that */
	APPMON_END_RESET_BY_PEER = 2, /* an RST arrived before that */
	APPMON_END_RESET_BY_US = 3,   /* an RST was sent before that */
	APPMON_END_TIMEOUT = 4,	      /* silence for exchange_timeout_ms */
	APPMON_END_GAP = 5,	      /* bytes were missed: the rest is unknown */
	APPMON_END_UPGRADED = 6,      /* became a tunnel (101, or 2xx to CONNECT) */
	APPMON_END_AT_HEAD = 7,	      /* reported at its head: APPMON_OPEN_STREAM_HEADS */
	/* HTTP/2: a peer gave the stream up (RST_STREAM, GOAWAY). PostgreSQL: the server passed over
	 * it, because an error came before it. */
	APPMON_END_ABANDONED = 8,
	APPMON_END_ENCRYPTED = 9 /* what follows on the connection is encrypted: SSLRequest */
};

/* appmon_event.outcome: what became of the request, by the rule of its protocol. */
enum appmon_outcome {
	/* Not known: the answer was missed (a gap), has not come yet, or cannot be read (TLS). */
	APPMON_OUTCOME_UNKNOWN = 0,
	/* HTTP: a status below 400, or an answer without a status line. gRPC, SQL: no error. RESP: a
	 * reply that is no error, none where none was due, or one that sends the client elsewhere
	 * (MOVED, ASK). */
	APPMON_OUTCOME_OK = 1,
	/* HTTP: 400 to 499. gRPC, RESP, SQL: other errors than the next. TLS: the server's alert
	 * ended the handshake. */
	APPMON_OUTCOME_CLIENT_ERROR = 2,
	/* HTTP: 500 and above. gRPC: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
	 * UNAVAILABLE, DATA_LOSS, and a call that the server gave up. RESP: the server cannot at
	 * present: LOADING, BUSY, OOM, MISCONF, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, NOREPLICAS.
	 * PostgreSQL: SQLSTATE of the classes 08, 53, 57, 58, XX. MySQL: 1040, 1205, 1213, 2000 to
	 * 2999. TLS: the client's alert ended the handshake, as it does for the server's
	 * certificate, or the server's internal_error. */
	APPMON_OUTCOME_SERVER_ERROR = 3,
	APPMON_OUTCOME_TIMEOUT = 4, /* no answer for exchange_timeout_ms */
	/* The client reset the connection before the answer. HTTP/2: it gave the stream up. gRPC:
	 * CANCELLED, too. PostgreSQL: also SQLSTATE 57014, and what was passed over after an error.
	 * MySQL: also 1317. */
	APPMON_OUTCOME_CANCELLED = 5,
	APPMON_OUTCOME_NO_RESPONSE = 6 /* the connection ended otherwise before the answer */
};

/* appmon_event.operation_type: what kind of operation it is. Expect values unknown to you. */
enum appmon_operation_type {
	APPMON_OP_UNKNOWN = 0, /* no request was seen */
	APPMON_OP_OTHER = 1,   /* none of those below, or not known to be one */
	APPMON_OP_READ = 2,    /* HTTP: safe methods (RFC 9110 section 9.2.1). RESP: reads keys */
	APPMON_OP_WRITE = 3,   /* HTTP: PUT, DELETE, PATCH. RESP: changes keys */
	APPMON_OP_CALL = 4,    /* HTTP: POST. RESP: runs a script or a function */
	APPMON_OP_PUBLISH = 5, /* RESP: PUBLISH, SPUBLISH */
	APPMON_OP_RECEIVE = 6, /* RESP: begins or ends a subscription */
	APPMON_OP_SESSION =
		7 /* about the connection itself. HTTP: CONNECT. RESP: AUTH, SELECT ... */
};

/* appmon_event.flags */
/* No final response was seen. */
#define APPMON_EVF_NO_RESPONSE UINT64_C(0x1)
/* An RST arrived. */
#define APPMON_EVF_RESET_BY_PEER UINT64_C(0x2)
/* An RST was sent. */
#define APPMON_EVF_RESET_BY_US UINT64_C(0x4)
/* A head was longer than the capture limit, or cut off by the end: headers are missing. */
#define APPMON_EVF_TRUNCATED UINT64_C(0x8)
/* The capture began inside the exchange. */
#define APPMON_EVF_MID_MESSAGE UINT64_C(0x10)
/* Bytes of this exchange were missed. */
#define APPMON_EVF_GAP UINT64_C(0x20)
/* The connection is a tunnel from here on. */
#define APPMON_EVF_UPGRADED UINT64_C(0x40)
/* Both sides let the connection persist. */
#define APPMON_EVF_KEEP_ALIVE UINT64_C(0x80)
/* Sent before an earlier response was complete. */
#define APPMON_EVF_PIPELINED UINT64_C(0x100)
/* The request's body came in chunks. */
#define APPMON_EVF_CHUNKED_REQUEST UINT64_C(0x200)
/* The response's body came in chunks. */
#define APPMON_EVF_CHUNKED_RESPONSE UINT64_C(0x400)
/* The response began before the request ended. */
#define APPMON_EVF_EARLY_RESPONSE UINT64_C(0x800)
/* A 1xx response came before the final one. */
#define APPMON_EVF_CONTINUED UINT64_C(0x1000)
/* Framing that has two readings (RFC 9112 section 11.2): Content-Length with Transfer-Encoding, two
 * lengths, one that is no number, a field that readers may miss, chunk lines that are not as in
 * section 7.1. TLS 1.3: the first exchange of a connection; bytes of the handshake, such as
 * tickets, can be counted with it, and its response can seem to begin with them. */
#define APPMON_EVF_AMBIGUOUS UINT64_C(0x2000)
/* The end of a body was inferred, not counted: chunked beyond the captured bytes, or delimited by
 * what cannot be read. */
#define APPMON_EVF_INFERRED_END UINT64_C(0x4000)
/* A head is not as in RFC 9112: lines that are no fields were passed over, start lines keep their
 * control bytes. Without a method: not even the request line could be read, but it was
 * answered. */
#define APPMON_EVF_MALFORMED UINT64_C(0x8000)
/* The answer has no status line (HTTP/0.9, ICY): status is 0, all of it is body. */
#define APPMON_EVF_NO_STATUS_LINE UINT64_C(0x10000)
/* Something that was said is not known. HTTP/2: fields that were indexed before the capture began or
 * in a block that was missed, or a head that was not captured whole; what is there is certain. SQL:
 * a statement that was prepared before the attach, or so long ago that it was forgotten. */
#define APPMON_EVF_PARTIAL UINT64_C(0x20000)
/* The server began it (HTTP/2: PUSH_PROMISE): the request, too, came from it. */
#define APPMON_EVF_SERVER_BEGAN UINT64_C(0x40000)
/* One request with several statements; operation is the first one's. */
#define APPMON_EVF_MULTI UINT64_C(0x80000)
/* The connection is a stream of replication from here on. */
#define APPMON_EVF_REPLICATION UINT64_C(0x100000)
/* What follows on the connection is compressed, and has no events. */
#define APPMON_EVF_COMPRESSED UINT64_C(0x200000)
/* Inside TLS: times can be those of the TLS library's calls, for records of the wire could not be told
 * for all of them. */
#define APPMON_EVF_CALL_TIMES UINT64_C(0x400000)

/* appmon_event.tls_flags */
/* The client offered an encrypted hello (RFC 9849): tls_server_name is the outer one, which need not
 * be the server that it wants. Some clients send this for show. */
#define APPMON_TLS_ECH 0x1
/* The server asked for another hello (HelloRetryRequest): one round trip more. */
#define APPMON_TLS_RETRY 0x2
/* TLS 1.3: the session was taken up again by a ticket. Before the server's hello: a ticket was
 * offered. */
#define APPMON_TLS_TICKET 0x4
/* The client's hello was not captured to its end: names may be missing. */
#define APPMON_TLS_CUT 0x8

/* appmon_trace.format: the header fields that carried the ids. */
enum appmon_trace_format {
	APPMON_TRACE_NONE = 0,	   /* none of the fields below is well formed */
	APPMON_TRACE_W3C = 1,	   /* traceparent (W3C Trace Context) */
	APPMON_TRACE_B3 = 2,	   /* b3 (Zipkin), the single field */
	APPMON_TRACE_B3_MULTI = 3, /* x-b3-traceid, x-b3-spanid ... */
	APPMON_TRACE_JAEGER = 4,   /* uber-trace-id */
	APPMON_TRACE_SW8 = 5	   /* sw8 (SkyWalking) */
};

/* appmon_trace.flags */
#define APPMON_TRACE_SAMPLED UINT32_C(0x1)   /* the sender records the trace */
#define APPMON_TRACE_UNDECIDED UINT32_C(0x2) /* b3, x-b3-*: that is left to the receiver */
#define APPMON_TRACE_DEBUG UINT32_C(0x4)     /* b3, x-b3-*, uber-trace-id: it shall be kept */

/* appmon_container.runtime */
enum appmon_runtime {
	APPMON_RUNTIME_UNKNOWN = 0,    /* the path names the container only */
	APPMON_RUNTIME_DOCKER = 1,     /* docker-ID.scope, or ID in a directory docker */
	APPMON_RUNTIME_CONTAINERD = 2, /* cri-containerd-ID, nerdctl-ID */
	APPMON_RUNTIME_CRIO = 3,       /* crio-ID */
	APPMON_RUNTIME_PODMAN = 4      /* libpod-ID */
};

/* appmon_event.owner: how pid and tid are known. */
enum appmon_owner {
	APPMON_OWNER_UNKNOWN = 0,     /* not at all: both are 0 */
	APPMON_OWNER_READ = 1,	      /* server: this thread read the request */
	APPMON_OWNER_READ_SHARED = 2, /* server: several threads read it; this is the last */
	/* Client: this thread sent the request. Server: this thread sent the response; who read the
	 * request was not seen. */
	APPMON_OWNER_SENT = 3,
	/* Client: this thread connected; who sent the request was not seen. */
	APPMON_OWNER_CONNECTED = 4
};

/* appmon_event.link: how the exchange that this one was made for is known. */
enum appmon_link {
	APPMON_LINK_NONE = 0, /* for none that is known */
	/* Certain. Client: sent by the thread that had read that request, and no other, with blocking
	 * reads, and had not answered it yet. */
	APPMON_LINK_THREAD = 1,
	/* Certain. Server: the same bytes, seen where they were sent. */
	APPMON_LINK_PEER = 2,
	/* As certain as the header field that says so. Client: its Forwarded field (RFC 7239) names
	 * the address and port from which that request came. */
	APPMON_LINK_FORWARDED = 3,
	/* As certain as the field. Client: of the open requests only that one has its x-request-id,
	 * or other field of request_id_headers. */
	APPMON_LINK_REQUEST_ID = 4,
	/* As certain as the field. Client: of the open requests only that one has its trace id. */
	APPMON_LINK_TRACE_ID = 5,
	/* Likely. Client: as THREAD, without blocking reads, of a process that has always served each
	 * of overlapping requests by one thread. */
	APPMON_LINK_WORKER = 6,
	/* Likely. Client: sent by the thread that had read that request, the only one that its
	 * process had in progress; not while a share of the connections is watched. */
	APPMON_LINK_SOLE = 7,
	/* Certain; of Go programs, with APPMON_OPEN_GOROUTINES. Client: asked for by the goroutine in
	 * which net/http was serving that request, which was not answered yet. */
	APPMON_LINK_GOROUTINE = 8,
	/* Likely; of Go programs, as above. Client: by a goroutine that was started while that request
	 * was served, by the one that served it or one so started, and that request was not answered
	 * yet. */
	APPMON_LINK_STARTED = 9
};

/* appmon_stats.dropped[]: why an exchange that was seen has no event. */
enum appmon_drop {
	APPMON_DROP_RING_FULL = 0, /* the host did not read fast enough */
	APPMON_DROP_MEMORY = 1,	   /* memory_limit reached, now or when its connection was forgotten
				    * a moment before: then the handle counts it, but no target */
	APPMON_DROP_GAP = 2,	   /* a message could not be assembled: bytes missed */
	APPMON_DROP_TRUNCATED = 3, /* the request line alone exceeds the capture limit */
	APPMON_DROP_PARSE = 4,	   /* began like HTTP, but the start line cannot be read */
	APPMON_DROP_DETACHED = 5,  /* its target was detached meanwhile */
	APPMON_DROP_ORPHAN = 6,	 /* a response whose request was not seen and cannot be reported */
	APPMON_DROP_SAMPLED = 7, /* its connection left the sample, or capture was paused */
	APPMON_DROP_MAX = 16	 /* length of the array; the rest is 0 */
};

/* appmon_stats.flags */
/* The target's cgroup was removed, and its last socket is gone: no request of it will come any
 * more. It stays attached until appmon_detach(). Of the handle: one of its targets is such a one. */
#define APPMON_STATS_REMOVED UINT32_C(0x1)

/* Of the handle: appmon_record() was asked for, and the recording has ended by itself, at
 * record_max_bytes or with a write that failed. */
#define APPMON_STATS_RECORD_ENDED UINT32_C(0x2)

/* appmon_log_fn level */
enum appmon_log_level {
	APPMON_LOG_ERROR = 1, /* a failure, as appmon_last_error() has it; the verifier's words */
	APPMON_LOG_WARN = 2,  /* something is missing from now on, and what to do about it */
	APPMON_LOG_INFO = 3,  /* what was attached, and what becomes of it */
	APPMON_LOG_DEBUG = 4, /* for those who look for a fault: also each exchange that is dropped,
			       * and where pairing is given up, with the reason */
	APPMON_LOG_TRACE = 5  /* each record and each decision: many lines a request */
};

/* appmon_opts.flags */
/* Never keep the query part of a target, nor a fragment that a client sends behind it. */
#define APPMON_OPEN_DROP_QUERY UINT32_C(0x1)
/* Who served or sent, and when it read: fills in appmon_event.owner and what depends on it, where
 * the kernel can (APPMON_CAP_IDENTITY). */
#define APPMON_OPEN_IDENTITY UINT32_C(0x2)
/* Trace ids: keeps the fields that carry them, fills in appmon_event.trace, trace_text, request_id. */
#define APPMON_OPEN_TRACE UINT32_C(0x4)
/* A response without a declared length, such as an event stream, is reported at its head if it
 * goes on behind it (APPMON_END_AT_HEAD): without its end, and with no second event for that. */
#define APPMON_OPEN_STREAM_HEADS UINT32_C(0x8)
/* What an exchange was made for: appmon_event.link. Implies APPMON_OPEN_IDENTITY and _TRACE;
 * without APPMON_CAP_IDENTITY there is evidence from header fields and from the other end only. */
#define APPMON_OPEN_LINKS UINT32_C(0x10)
/* Follows goroutines, for links of Go programs (1.21 to 1.26, x86-64): attaches uprobes to their
 * executables, those of processes that are in a cgroup at its attach, and of others when their
 * first event is due; at most 64, until appmon_close(). Whoever runs such an executable pays some 2
 * microseconds for each go statement and each request that is served, and twice that for one that
 * is sent. Implies APPMON_OPEN_LINKS. Needs CAP_SYS_ADMIN (before Linux 6.16 CAP_PERFMON), and
 * CAP_SYS_PTRACE for other users' processes, as long as programs come. What cannot be followed is
 * logged (WARN), and has no links of that kind. */
#define APPMON_OPEN_GOROUTINES UINT32_C(0x20)
/* Leaves out what has no request: a response to one that passed before the attach, or was missed.
 * It has no event, and counts as dropped[APPMON_DROP_ORPHAN]. */
#define APPMON_OPEN_ONLY_REQUESTS UINT32_C(0x40)
/* Targets as sent: with the secrets that are left out otherwise, see appmon_opts.redact_names. For
 * debugging; whoever reads the events can act as the clients. */
#define APPMON_OPEN_KEEP_SECRETS UINT32_C(0x80)
/* SQL: appmon_event.query_text with its literals, the very bytes of the client, and message with the
 * server's words, which may repeat them. */
#define APPMON_OPEN_QUERY_TEXT UINT32_C(0x100)
/* Requests inside TLS are reported as others are, by what the application's TLS library reads and
 * writes: OpenSSL 1.1.1 and later, GnuTLS and BoringSSL with symbols, as a library or in the executable,
 * and crypto/tls of Go 1.21 to 1.26. x86-64 only. Keys are never touched. The library attaches uprobes
 * to such files: those of processes that are in a cgroup at its attach, and of others when they make
 * their first socket or send a hello; at most 256, until appmon_close(), which takes up to a second for
 * each (since Linux 6.13 less than a tenth). A call costs 2 to 5 microseconds; a read of OpenSSL that
 * finds nothing costs none where the library understands its code, as that of 1.1.1 and 3.0. Whoever
 * else maps such a file pays 2 to 3 for each call, and since Linux 6.13 some 1.5, but only calls of
 * processes in the cgroups, and of those that they start, are read: a probe for one process alone would
 * miss what its children do first. The first connections of the first process with a new file can stay
 * closed: an event of TLS. A connection that was open before the attach is told
 * once a write shows its socket: because its thread sends meanwhile, or, where OpenSSL and BoringSSL
 * write to memory as in node and asyncio, by the ciphertext. For that such a process, 64 at most, gets
 * one more probe, of a microsecond a write. Implies APPMON_OPEN_IDENTITY, and APPMON_PROTO_TLS
 * in protocols. Needs CAP_SYS_ADMIN as long as processes come (before Linux 6.16 CAP_PERFMON with
 * CAP_CHECKPOINT_RESTORE), and for other users' processes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. A
 * file or process that cannot be looked into is logged (WARN), and counted in
 * appmon_stats.tls_refused. */
#define APPMON_OPEN_TLS UINT32_C(0x200)

/* appmon_capabilities.supported: what this kernel gives. */
/* cgroup_skb with socket storage: the core. */
#define APPMON_CAP_CAPTURE UINT64_C(0x1)
/* iter/bpf_sk_storage_map, or iter/task_file where that is refused: the end of a long body is
 * reported at once even if its signal was rate-limited. */
#define APPMON_CAP_SWEEP UINT64_C(0x2)
/* APPMON_OPEN_IDENTITY was asked for and works. */
#define APPMON_CAP_IDENTITY UINT64_C(0x4)
/* APPMON_OPEN_GOROUTINES was asked for and works. */
#define APPMON_CAP_GOROUTINES UINT64_C(0x8)
/* APPMON_OPEN_TLS was asked for and works. */
#define APPMON_CAP_TLS UINT64_C(0x10)

/* ---- Data ---------------------------------------------------------------- */

/*
 * Bytes from the network: any value may occur, escape before printing. data is
 * never NULL and data[len] is '\0'; len does not count it. An absent value has
 * len 0. Valid as long as the struct that holds it.
 */
struct appmon_str {
	const char *data;
	uint32_t len;
	uint32_t truncated; /* 1: the capture limit cut it off */
};

/* One address and port. A v4-mapped IPv6 socket is reported as IPv4. */
struct appmon_endpoint {
	uint16_t family; /* 4, 6, or 0 when unknown */
	uint16_t port;	 /* host byte order */
	uint32_t reserved;
	uint8_t addr[16]; /* network byte order; IPv4 uses the first 4 bytes */
};

/* A header field that was asked for. Repeated fields appear repeatedly. */
struct appmon_header {
	struct appmon_str name;	 /* lower case */
	struct appmon_str value; /* without surrounding white space */
	uint32_t response;	 /* 0: of the request, 1: of the response */
	uint32_t reserved;
};

/*
 * The trace ids of a request, from the first of the fields at APPMON_TRACE_* that is well formed.
 * Shorter ids have zeros before them; an id that the format lacks is all zeros.
 */
struct appmon_trace {
	uint32_t format;      /* enum appmon_trace_format, APPMON_TRACE_* */
	uint32_t flags;	      /* APPMON_TRACE_SAMPLED ... */
	uint8_t trace_id[16]; /* sw8: 0 unless it is a UUID; see appmon_event.trace_text */
	/* Of the sender: traceparent's parent-id, b3's span id; sw8: the number of the span in its
	 * segment, big-endian. */
	uint8_t span_id[8];
	uint8_t parent_span_id[8]; /* of the sender's parent: b3, x-b3-*, uber-trace-id */
};

/*
 * One exchange: a request and its response, or what was seen of them.
 *
 * Borrowed: valid until the callback returns, or in pull mode until the next
 * appmon_next(), appmon_poll(), appmon_detach() or appmon_close(). Names in
 * parentheses are OpenTelemetry's.
 */
struct appmon_event {
	uint32_t size;	   /* bytes of this struct that the library filled */
	uint32_t protocol; /* enum appmon_protocol, APPMON_PROTO_* (network.protocol.name) */
	uint64_t flags;	   /* APPMON_EVF_* */
	uint32_t role;	   /* enum appmon_role, APPMON_ROLE_* */
	uint32_t end;	   /* enum appmon_end, APPMON_END_* */

	uint32_t target_id; /* as returned by appmon_attach_cgroup() */
	/* Share of connections watched when the request began, parts per million: it stands for
	 * 1,000,000 / sampling_ppm exchanges. */
	uint32_t sampling_ppm;
	struct appmon_str target_name; /* the name given at attach */
	void *target_user;	       /* the pointer given at attach */
	uint64_t cgroup_id; /* leaf cgroup of the socket: inode of its cgroup v2 directory */

	/* Socket cookie: unique per boot (SO_COOKIE, Linux 4.12). 2^62 and up: an id of the library's
	 * own, unique in the handle: the request met a listening socket, and its connection's own
	 * socket had not shown up when the event was made. */
	uint64_t connection_id;
	/* 1 for the first exchange seen on the connection, then one more each; unique with
	 * connection_id: after the library had to forget the connection (limits, idle time) it goes
	 * on higher. */
	uint64_t ordinal;

	/*
	 * What was asked and what became of it, for any protocol alike. "" where it is not known,
	 * or where there is no such thing.
	 */
	uint32_t operation_type;  /* enum appmon_operation_type, APPMON_OP_* */
	uint32_t outcome;	  /* enum appmon_outcome, APPMON_OUTCOME_*: error rates go by it */
	struct appmon_str system; /* what speaks the protocol (db.system.name): RESP: "redis";
				   * gRPC: "grpc" (rpc.system.name); "postgresql", "mysql",
				   * "tls"; HTTP: "" */
	/* HTTP: the method as sent (http.request.method). RESP: the command's name as sent
	 * (db.operation.name). gRPC: the service with its package, '/' and the method
	 * (rpc.method). SQL: a statement's first word in upper case, behind WITH its main one; FETCH:
	 * more rows of a statement that was told before; CONNECT: the log-in; CANCEL: a request to
	 * cancel, on a connection of its own. TLS: "handshake" of one that failed, else "exchange".
	 * "": no request was seen. */
	struct appmon_str operation;
	/* What the operation is about. HTTP: the path (url.path), of CONNECT the authority; of gRPC
	 * "", for operation says it all. RESP: the command's first argument, mostly a key; "" where
	 * it may be a secret (AUTH, HELLO). SQL: the first table, or the procedure of CALL
	 * (db.collection.name). TLS: tls_server_name. */
	struct appmon_str resource;
	struct appmon_str resource_namespace; /* SQL: the database (db.namespace) */
	/* SQL: the statement, without its data (db.query.text): literals and parameters are '?', a
	 * list of them is one, rows behind the first are left out, comments too. truncated: there
	 * was more. "": it could not be split, or APPMON_EVF_PARTIAL. */
	struct appmon_str query_text;
	/* SQL: operation and up to three tables, as in "SELECT orders customers"
	 * (db.query.summary). */
	struct appmon_str query_summary;
	/* HTTP: the status code as text (http.response.status_code). RESP: the prefix of an error
	 * (db.response.status_code), such as WRONGTYPE. gRPC: the name of grpc-status
	 * (rpc.response.status_code), such as NOT_FOUND; where none came, HTTP's. PostgreSQL: an
	 * error's SQLSTATE. MySQL: its number. TLS: the name of the alert that ended a handshake,
	 * such as unknown_ca; status_number is its number. */
	struct appmon_str status_text;
	/* The server's words for it. HTTP: the reason phrase of the status line. RESP: the text of an
	 * error, prefix and all, without the arguments that it may repeat. gRPC: grpc-message,
	 * decoded. SQL: an error's, with APPMON_OPEN_QUERY_TEXT. */
	struct appmon_str message;
	int64_t status_number; /* status_text as a number; -1: it is none, or was not seen */
	/* Bytes of the TCP stream: no headers of TCP or IP, each byte once. HTTP: of head and body.
	 * TLS: records of application data with their heads. */
	uint64_t request_bytes;
	uint64_t response_bytes; /* of the final response */
	/* SQL: xxh64 of the sanitised text in lower case, the same for statements that differ in
	 * their data only. 0: there is no text. */
	uint64_t digest;
	/* What paired the two messages. HTTP/2: the id of the stream. 0: their order did. */
	uint64_t key;
	/* gRPC: messages in the stream, whole or not. SQL: response_items are rows that came or were
	 * changed (db.response.returned_rows). -1: there is no such thing, or it could not be
	 * counted, as of several messages in one DATA frame. */
	int64_t request_items;
	int64_t response_items;
	uint64_t
		first_item_ns; /* SQL: the first row of the response, or of MySQL what describes the
				 * rows; 0: none was seen */

	/* CLOCK_MONOTONIC, nanoseconds, taken where bytes reach or leave the TCP
	 * stack; 0: not seen. appmon_realtime_ns() converts to wall time. */
	uint64_t request_start_ns;  /* first byte of the request */
	uint64_t request_end_ns;    /* last byte of the request */
	uint64_t response_start_ns; /* first byte of the final response */
	uint64_t response_end_ns;   /* last byte of the final response */
	/* Derived; 0 where one end is missing. */
	uint64_t duration_ns; /* request_start to response_end (http.server.request.duration) */
	uint64_t request_ns;  /* request_start to request_end */
	uint64_t wait_ns;     /* request_end to response_start; 0 for an early response */
	uint64_t response_ns; /* response_start to response_end */

	/*
	 * Where the time went, on the server's side: APPMON_OPEN_IDENTITY; CLOCK_MONOTONIC. With
	 * pipelining, and where the request's bytes were not seen to be read, these are 0. Then
	 * duration_ns is queue_ns + (read_end_ns - read_start_ns) + service_ns + response_ns.
	 */
	uint64_t read_start_ns; /* the application took the first bytes of the request from TCP */
	uint64_t read_end_ns;	/* ... the last bytes that it took before it answered */
	/* request_start to read_start: in the accept backlog, in the socket, waiting for a thread. */
	uint64_t queue_ns;
	uint64_t service_ns; /* read_end to response_start: the application's own time */
	/* On the client's side: SYN sent to SYN-ACK received, in the first event of a connection
	 * that was seen to connect. Then request_ns, wait_ns and response_ns follow. */
	uint64_t connect_ns;

	struct appmon_endpoint local;
	struct appmon_endpoint remote;
	/*
	 * The client that a PROXY protocol header, version 1 or 2, in front of the connection's
	 * first request names (client.address and client.port): whoever connected to the proxy,
	 * where remote, or for the proxy's own requests local, is the proxy. In every event of the
	 * connection. family 0: there was no header, or it names none (UNKNOWN, LOCAL, a UNIX
	 * socket).
	 */
	struct appmon_endpoint client;
	uint32_t srtt_us; /* TCP's smoothed round-trip time at the end, microseconds; 0: unknown */
	uint32_t retransmits;	   /* segments this host sent again during the exchange */
	uint32_t peer_retransmits; /* segments that arrived again during the exchange */
	uint32_t netns_inum; /* network namespace of the socket, with APPMON_OPEN_IDENTITY: inode of
			      * /proc/PID/ns/net; may be used again */
	uint64_t netns_cookie; /* the same: unique per boot */
	/*
	 * The same in the events of both ends of a connection, whatever addresses and ports are
	 * translated between them: TCP's sequence numbers of the request's first byte (upper half)
	 * and of the response's, or of where it would have begun. Both begin at random (RFC 6528),
	 * so that two exchanges of one minute have the same by chance once in 2^64. What ends the
	 * connection in between has two connections: a proxy, SYNPROXY. 0: not known.
	 */
	uint64_t wire_id;

	/*
	 * Who served the request, or sent it: APPMON_OPEN_IDENTITY, with APPMON_CAP_IDENTITY. Taken
	 * in the thread's own context, when it reads or sends: right whoever accepted or connected,
	 * and whoever else has the socket open. Numbers of the initial pid namespace, as /proc of
	 * the host has them. What was not seen is 0 or "".
	 */
	uint32_t owner;	       /* enum appmon_owner, APPMON_OWNER_*: how this group is known */
	uint32_t uid;	       /* effective user, initial user namespace (process.user.id) */
	uint32_t pid;	       /* process.pid */
	uint32_t tid;	       /* thread.id */
	uint32_t inner_pid;    /* pid in the process's own pid namespace, as it sees itself */
	uint32_t inner_tid;    /* tid in that namespace */
	uint32_t response_pid; /* server: the process that sent the response's first byte; 0: TCP
				* sent it by itself */
	uint32_t response_tid; /* server: the thread that sent it */
	uint64_t process_start_ns; /* CLOCK_BOOTTIME: with pid it names a process for ever; field
				    * 22 of /proc/PID/stat has it in ticks */
	struct appmon_str comm;	   /* of the process, at that moment: /proc/PID/comm */

	/* Trace ids of the request: APPMON_OPEN_TRACE. What is not well formed is in headers only. */
	struct appmon_trace trace;
	struct appmon_str trace_text; /* sw8: its trace id as text; "" for others */
	struct appmon_str request_id; /* x-request-id, or another of request_id_headers: of those
				       * the first in the head */

	/*
	 * What the exchange was made for: APPMON_OPEN_LINKS. Client: the request that the sender
	 * was serving. Server: the exchange that a monitored client sees of the same request.
	 * Decided when the request begins, from what is open at that moment; that other exchange's
	 * event usually comes later, or never if it is dropped.
	 */
	uint64_t link_connection_id; /* connection_id and ordinal of that exchange */
	uint64_t link_ordinal;
	uint32_t link; /* enum appmon_link, APPMON_LINK_*; NONE: those two are 0 */

	/* HTTP's own; 0, NULL and "" in events of other protocols. */
	uint32_t method; /* enum appmon_method, APPMON_METHOD_* */
	uint32_t status; /* http.response.status_code; 0: none */
	/* 20: HTTP/2, 10: HTTP/1.0, 11: HTTP/1.1 and any newer HTTP/1.x (RFC 9112 section 2.3); others, such as
	 * 20, by way of 10 * major + minor, which counts up to 9; 0: unknown. */
	uint32_t request_http_version;
	uint32_t response_http_version;
	uint32_t header_count;
	const struct appmon_header *headers; /* header_count of them; NULL if 0 */
	struct appmon_str request_target;    /* as sent (RFC 9112 section 3.2), but for secrets:
					      * see appmon_opts.redact_names; query per options */
	struct appmon_str path;		     /* path of it (url.path); "" for CONNECT */
	struct appmon_str query;	     /* after '?' (url.query); secrets as above */
	struct appmon_str authority;	     /* of an absolute or CONNECT target, else Host;
					      * without user and password
					      * (server.address and server.port) */
	uint64_t request_head_bytes;
	uint64_t request_body_bytes;	 /* as transferred, with chunk framing; HTTP/2: what
					  * DATA frames carry without padding
					  * (http.request.body.size) */
	uint64_t response_head_bytes;	 /* of the final response */
	uint64_t response_body_bytes;	 /* as transferred (http.response.body.size) */
	int64_t request_content_length;	 /* declared; -1: none */
	int64_t response_content_length; /* declared; -1: none */

	/*
	 * TLS's own, from the hellos, in every event of the connection; 0 and "" in events of other
	 * protocols, where the hellos were not seen, and where they do not say it. What is no
	 * printable ASCII is '?'.
	 */
	struct appmon_str tls_server_name;  /* SNI, as sent (tls.client.server_name) */
	struct appmon_str tls_alpn_offered; /* names that the client offers, in its order, with
					     * commas: "h2,http/1.1" */
	struct appmon_str tls_alpn; /* the chosen one (tls.next_protocol); TLS 1.3 hides it: "" */
	uint16_t tls_version; /* 0x0304: TLS 1.3, 0x0303: TLS 1.2 ...; before the server's hello
			       * came, the highest that the client offers */
	uint16_t tls_cipher;  /* the chosen one by IANA's number (tls.cipher); 0: not known */
	uint32_t tls_flags;   /* APPMON_TLS_* */
};

/*
 * Receives one event.
 *  Lifetime   ev and all it points to are valid until the callback returns.
 *  Return     0: go on. > 0: stop; appmon_poll() returns the number of events
 *             delivered so far. < 0: stop; appmon_poll() returns this value. The
 *             event counts as delivered in every case.
 *  Reserved   Return only 0, 1 or a negative errno value: others may get a meaning.
 *  Inside     Allowed: attach, detach (also of the event's own target), stats,
 *             capabilities, wakeup, last_error and all helpers. appmon_poll(),
 *             appmon_next() and appmon_close() return -EBUSY. Do not longjmp or
 *             unwind through the library.
 */
typedef int (*appmon_event_fn)(void *ctx, const struct appmon_event *ev);

/* Receives one line of log: UTF-8 without newline, borrowed, on the calling thread. It may call
 * no function of the library. Lines are for people: their wording can change. Of what applications
 * say they hold a request's method and path or a command's name (TRACE), no more. */
typedef void (*appmon_log_fn)(void *ctx, int level, const char *line);

struct appmon_opts {
	uint32_t size;
	uint32_t flags;		/* APPMON_OPEN_* */
	uint64_t memory_limit;	/* bytes of connection state in this process; default 64 MiB,
				 * at least 64 KiB */
	uint32_t ring_bytes;	/* the kernel's rings together: power of two, 4 KiB to 256 MiB;
				 * default 8 MiB. There is one for each CPU, all of one size; but
				 * CPUs share them if there are more than 16, or if each would have
				 * less than 512 KiB. */
	uint32_t capture_bytes; /* most bytes of one message head, 128 to 65536; default 4096 */
	uint32_t exchange_timeout_ms; /* silence that ends an exchange; default 300,000;
				       * UINT32_MAX: never */
	uint32_t idle_timeout_ms;     /* silence after which a connection without an exchange is
				       * forgotten (it is found again); default 3,600,000, less than
				       * 2000 is taken for that */
	uint32_t log_level;	      /* most verbose APPMON_LOG_* wanted; default WARN */
	uint32_t header_count;
	const char *const *headers; /* header_count names to keep beside the default ones:
				     * content-type, user-agent, x-request-id, traceparent,
				     * tracestate, x-forwarded-for. Nothing else is ever kept:
				     * authorization, cookie and set-cookie only when named
				     * here. At most 64. */
	appmon_event_fn event_fn;   /* NULL: pull mode, see appmon_next() */
	void *event_ctx;
	appmon_log_fn log_fn; /* NULL: silent */
	void *log_ctx;
	char *error_text; /* NULL, or a buffer that gets the last error's text if open fails */
	uint32_t error_text_size;
	uint32_t protocols; /* bit n: APPMON_PROTO_n, see appmon_protocol_by_name(); default
			     * HTTP/1 only. RESP costs more: its strings are copied. HTTP/1 is
			     * followed in any case; without its bit its exchanges have no event
			     * and count as filtered */
	const char *const *request_id_headers; /* names of fields that carry a request's id
						* beside x-request-id; kept with
						* APPMON_OPEN_TRACE. At most 8. */
	uint32_t request_id_header_count;
	uint32_t reserved;
	const char *cgroup_mount; /* copied; where the host's cgroup v2 hierarchy is mounted, for
				   * appmon_find_cgroup(); default: the mount that shows most */
	/* redact_name_count names of query parameters whose values are secrets, beside the default
	 * ones: x-amz-signature, x-amz-credential, x-amz-security-token, awsaccesskeyid, signature,
	 * x-goog-signature, x-goog-credential, sig, access_token, refresh_token, id_token,
	 * client_secret, password, api_key, apikey. Compared without regard to case, after
	 * percent-decoding (RFC 3986 section 2.1), and also in a URL that is another parameter's
	 * value. Such a value is "REDACTED" in events, and so are user and password of an absolute
	 * target (RFC 3986 section 3.2.1). Copied; at most 64, of 1 to 127 characters. */
	const char *const *redact_names;
	uint32_t redact_name_count;
	uint32_t reserved1;
	uint64_t record_max_bytes; /* most bytes of a recording: appmon_record(); default: any */
};

/* What is spoken where a server listens: see ports of struct appmon_attach_opts. */
struct appmon_port_hint {
	uint32_t port;	   /* 1 to 65535 */
	uint32_t protocol; /* APPMON_PROTO_*, one that the target is watched for */
};

struct appmon_attach_opts {
	uint32_t size;
	uint32_t capture_bytes; /* as in appmon_opts, for this target; 0: the handle's */
	const char *name;   /* copied; comes back as target_name; default: the path's last part */
	void *user;	    /* comes back as target_user */
	uint32_t protocols; /* as in appmon_opts, for this target; 0: the handle's. -EINVAL for what
			     * the handle does not have. What the target does not ask for is left
			     * out as the handle leaves it out: RESP is skipped, exchanges of HTTP/1
			     * count as filtered. Of a connection that was followed already for a
			     * target around this one they count as filtered, too */
	uint32_t port_count;
	/* port_count hints, at most 64, each port once; copied. A hint is for connections whose
	 * local or remote port it names; two that differ do not count. That protocol is asked first
	 * whether it knows a connection's first bytes. HTTP/1, which has none of its own, is not
	 * asked: there is nothing else at such a port, and what does not look like it is skipped.
	 * Of a connection that was open before the attach a hint of the lower port says, too, which
	 * side serves: so a command of RESP is known by less of it, and a reply, or a body of
	 * HTTP/1, is not taken for a request. */
	const struct appmon_port_hint *ports;
};

/*
 * Counters since appmon_open() (or since the attach), for the handle or one
 * target. For each of them, after the events in flight are delivered:
 *     exchanges_seen == delivered + filtered + dropped[0] + ... + outstanding
 * where "seen" counts requests (and responses without one) that reached the hook. A short request
 * reaches the reader together with its response, or, if that takes long, within a second or two.
 */
struct appmon_stats {
	uint32_t size;
	uint32_t flags; /* APPMON_STATS_*: noticed by appmon_poll() and appmon_next(), within a
			 * second, and one more for each 64 targets; 0 in a replay */
	uint64_t valid; /* bit n: the n-th 64-bit member below is supported here, dropped[] being
			   one */
	uint64_t exchanges_seen;
	uint64_t delivered;
	uint64_t outstanding; /* gauge: requests waiting for the end of their response */
	uint64_t dropped[APPMON_DROP_MAX]; /* by APPMON_DROP_* */
	uint64_t connections_seen;	   /* HTTP connections */
	uint64_t connections_open;	   /* gauge */
	uint64_t connections_skipped;	   /* found not to be HTTP and ignored since */
	uint64_t requests;		   /* request heads parsed */
	uint64_t responses;		   /* final response heads parsed */
	uint64_t tunnel_bytes;		   /* both directions, of connections that were upgraded */
	uint64_t records;		   /* read from the ring */
	uint64_t records_lost;		   /* that did not fit into the ring */
	uint64_t records_bad;	/* not understood; 0 unless library and programs disagree */
	uint64_t memory_bytes;	/* gauge: connection state held; handle only */
	uint64_t memory_limit;	/* handle only */
	uint64_t sampling_ppm;	/* gauge: share of connections watched; 0: paused */
	uint64_t filtered;	/* complete, but left out by appmon_set_filter(), or of a protocol
				* that was not asked for, by the handle or for the target */
	uint64_t plain_calls;	/* reads and writes of TLS libraries that were understood; handle
				* only */
	uint64_t plain_dropped; /* ... that were not: no socket was found for them, no memory, or no
				 * room in the ring; handle only */
	uint64_t tls_refused; /* APPMON_OPEN_TLS: files whose functions are not understood or could
				 * not be probed, and processes that could not be looked at; handle
				 * only */
	uint64_t tls_refused_processes; /* of these, the processes; handle only */
};

/* Which events the host wants: those that pass every member. 0 and NULL: whatever it is. */
struct appmon_filter {
	uint32_t size;
	uint32_t roles;	   /* bit n: APPMON_ROLE_n passes */
	uint32_t outcomes; /* bit n: APPMON_OUTCOME_n passes */
	uint32_t reserved;
	uint64_t min_duration_ns; /* least duration_ns; events without a duration pass: they */
				  /* have no end yet, or it was not seen */
	const char *path_prefix;  /* the path begins with it, byte for byte; copied */
};

/* One cgroup that is attached. */
struct appmon_target {
	uint32_t size;
	uint32_t id;		/* as returned by appmon_attach_cgroup() */
	uint64_t cgroup_id;	/* inode of its directory */
	struct appmon_str name; /* as in events: target_name */
	struct appmon_str path; /* of its directory at the attach, as this process saw it; "": */
				/* not known, as in a replay */
	void *user;		/* the pointer given at attach */
	uint32_t capture_bytes; /* in force for it */
	uint32_t flags;		/* APPMON_STATS_REMOVED or 0 */
	uint32_t protocols;	/* in force for it: bit n: APPMON_PROTO_n */
	uint32_t reserved;
};

/* What the path of a cgroup says about the container in it. */
struct appmon_container {
	uint32_t size;
	uint32_t runtime; /* enum appmon_runtime, APPMON_RUNTIME_* */
	char id[72];	  /* container id, 64 hexadecimal digits; "": the cgroup is the pod's own */
	char pod_uid[40]; /* Kubernetes: metadata.uid with its dashes; "": no pod */
};

struct appmon_capabilities {
	uint32_t size;
	uint32_t reserved;
	uint64_t supported; /* APPMON_CAP_* */
};

/* ---- Life cycle ----------------------------------------------------------- */

/*
 * Loads and verifies the BPF programs; nothing is attached yet. opts may be NULL.
 * Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (root has them).
 *  -EPERM       a capability is missing, or bpf(2) is forbidden (seccomp, security module)
 *  -EOPNOTSUPP  a kernel feature is missing (BTF, bpf(2), Linux 5.15), or cgroup v2 is
 *  -EINVAL      a value in opts is out of range
 *  -E2BIG       unknown members are set
 *  -ENOMEM      out of memory, of this process, its memory cgroup or the kernel
 *  -EMFILE      fewer than 56 descriptors are left (RLIMIT_NOFILE)
 *  -ENFILE      the same, of the system
 * The handle is close-on-exec throughout.
 *   The call blocks while the kernel verifies the programs: a good half second, and up to a minute
 * under emulation. A host whose loop must not wait calls it on a thread of its own and hands the
 * handle over: a handle belongs to no thread. opts and what it points to has to live that long.
 */
APPMON_API int appmon_open(struct appmon **ret, const struct appmon_opts *opts);

/*
 * Detaches everything and frees the handle; pending exchanges get no event.
 * NULL is accepted. -EBUSY from inside a callback: nothing is closed then.
 * If the process dies instead, the kernel detaches by itself.
 */
APPMON_API int appmon_close(struct appmon *mon);

/* ---- Targets -------------------------------------------------------------- */

/*
 * Watches the sockets that belong to a cgroup v2 directory or to any below it: a
 * socket belongs to the cgroup its creator was in. Where attached cgroups are
 * nested, an exchange goes to the innermost. Connections that are already open
 * are seen from their next packet. opts may be NULL. *ret_target (may be NULL) gets an id
 * that is never reused by this handle.
 *  -ENOENT  no such path
 *  -ENOTDIR, -EINVAL  not a cgroup v2 directory
 *  -EEXIST  already attached by this handle
 *  -EPERM   the cgroup does not allow it (a program attached without
 *           BPF_F_ALLOW_MULTI at or above it), or a capability is missing
 *  -ENOSPC  1024 targets are attached
 */
APPMON_API int appmon_attach_cgroup(struct appmon *mon, const char *path,
				    const struct appmon_attach_opts *opts, uint32_t *ret_target);

/* The same for an open directory. cgroup_fd is borrowed for the call only. */
APPMON_API int appmon_attach_cgroup_fd(struct appmon *mon, int cgroup_fd,
				       const struct appmon_attach_opts *opts, uint32_t *ret_target);

/*
 * Stops watching. After it returns no event names this target and its user
 * pointer may be freed; exchanges in flight count as APPMON_DROP_DETACHED.
 * -ENOENT: no such target. Works for a cgroup that has been removed meanwhile.
 */
APPMON_API int appmon_detach(struct appmon *mon, uint32_t target);

/*
 * The target with the least id above after: with after 0 the first, then each by the id of the one
 * before, which may be detached meanwhile. 1: *ret has it, 0: there are no more. Its strings are
 * valid until appmon_detach() of it, or appmon_close(). Its counters: appmon_get_stats(). Allowed
 * inside callbacks.
 *  -EINVAL  ret is NULL, or its size is not set
 */
APPMON_API int appmon_next_target(struct appmon *mon, uint32_t after, struct appmon_target *ret);

/* ---- Receiving ------------------------------------------------------------ */

/*
 * One level-triggered descriptor for the host's event loop: readable (EPOLLIN)
 * when appmon_poll(mon, 0, n) or appmon_next() has work, timers included. Owned by the
 * handle: do not read, close or modify it.
 */
APPMON_API int appmon_fd(struct appmon *mon);

/*
 * Waits up to timeout_ms (0: not at all, -1: for ever) for work, then delivers
 * at most max_events events (0: 4096) to event_fn, so that a busy ring cannot
 * starve the caller. Returns the number delivered (0: timeout or wakeup), the
 * callback's negative value, or -EINTR.
 * In pull mode it only waits: 1: call appmon_next(), 0: timeout or wakeup.
 */
APPMON_API int appmon_poll(struct appmon *mon, int timeout_ms, uint32_t max_events);

/*
 * Pull mode, for languages where callbacks are dear: 1: *ret is the next event,
 * 0: none now (wait on appmon_fd() or appmon_poll()). Never blocks.
 * -EINVAL if the handle has an event_fn.
 */
APPMON_API int appmon_next(struct appmon *mon, const struct appmon_event **ret);

/*
 * Pull mode, many at a time, for languages where every call is dear: stores up to max events in
 * ret[] and returns how many; 0: none now. They are copies, which stay valid until each is
 * given to appmon_event_free(), whatever else is called, appmon_close() among it.
 *  -ENOMEM  there is no memory for the first; it counts as dropped[APPMON_DROP_MEMORY]
 *  else as appmon_next(); an error behind the first event is returned by the next call
 */
APPMON_API int appmon_next_batch(struct appmon *mon, struct appmon_event **ret, uint32_t max);

/*
 * From the next event on the handle delivers only what passes filter; NULL: everything again. What
 * does not pass counts as appmon_stats.filtered. appmon_each_active() is not filtered. May be
 * called at any time, inside callbacks, too; filter is copied.
 *  -EINVAL  bits in roles or outcomes that no constant has; -E2BIG: unknown members are set
 *  -ENOMEM  out of memory; the filter before stays
 */
APPMON_API int appmon_set_filter(struct appmon *mon, const struct appmon_filter *filter);

/*
 * Calls fn for each exchange that is in progress, of all targets, in no order: those that
 * appmon_stats.outstanding counts, without those that are over and wait to be delivered. The event
 * is the one to come, as far as it is known (no status, no response_end_ns); flags and end are not
 * final. A short request is known once its response begins, or, if that takes long,
 * within a second or two.
 *   fn is as in appmon_opts, but its events do not count as delivered; appmon_detach()
 * returns -EBUSY to it; and a return value that is not 0 ends the call, which then returns it. No
 * event of appmon_next() is valid any more.
 *  -EBUSY   from inside a callback
 *  -ENOMEM  memory_limit is reached
 */
APPMON_API int appmon_each_active(struct appmon *mon, appmon_event_fn fn, void *ctx);

/*
 * Makes a blocked appmon_poll(), or the next one, return 0 early. Safe from any
 * thread and from signal handlers while the handle is open. Wakeups do not add up.
 */
APPMON_API int appmon_wakeup(struct appmon *mon);

/* ---- Budget ---------------------------------------------------------------- */

/* appmon_set_sampling() */
#define APPMON_SAMPLING_ALL UINT32_C(1000000) /* all connections */

/*
 * Watches a share of the connections, connections_ppm parts per million of them, and
 * fewer while they make more than events_per_second events (0: no ceiling). Which ones
 * the hash of TCP's initial sequence numbers decides: a connection is watched as a whole or
 * not at all, both of its ends alike (by handles on other hosts, too, and across address
 * translation), and at a smaller share no others than at a larger one. (With data in its SYN,
 * RFC 7413, a connection is drawn by its client's socket, apart from the other end.) The share in
 * force is in every event and in appmon_stats.sampling_ppm. What is not watched costs the
 * application two look-ups a packet.
 *   So edges between applications, and links to the other end (APPMON_LINK_PEER), are whole at any
 * share. Links from what was sent to what was received are between two connections, of which each
 * is drawn for itself: of those at the share p the share p has its cause, and a chain over n
 * connections is whole with p to the power of n. Evidence from header fields knows only requests
 * that are watched; APPMON_LINK_SOLE is not given.
 *   The ceiling is kept by appmon_poll() and appmon_next(), which look ten times a second, on
 * average over a second; with fewer connections than it takes, the share swings. Exchanges under
 * way on connections that leave the sample count as dropped[APPMON_DROP_SAMPLED]; connections that
 * come into it are met as those that are open at an attach. Applies to all targets, from the call
 * on; the default is (APPMON_SAMPLING_ALL, 0).
 *  -EINVAL      connections_ppm is 0 or above APPMON_SAMPLING_ALL
 *  -EOPNOTSUPP  the handle replays a recording
 */
APPMON_API int appmon_set_sampling(struct appmon *mon, uint32_t connections_ppm,
				   uint64_t events_per_second);

/*
 * Turns all capture off without detaching, and on again: one write to a map, after which the
 * programs return at once. Events of what was complete before are still delivered; exchanges under
 * way count as dropped[APPMON_DROP_SAMPLED]. Connections are met again as at an attach, from
 * their next request. Calling either twice has no effect.
 *  -EOPNOTSUPP  the handle replays a recording
 */
APPMON_API int appmon_pause(struct appmon *mon);
APPMON_API int appmon_resume(struct appmon *mon);

/* ---- Recording ------------------------------------------------------------- */

/*
 * Writes what the pipeline is fed from now on (captured bytes of all headers among it) to
 * fd, until appmon_record(mon, -1) or appmon_close(). Replaying it gives the same events, if the
 * recording began before the first attach. fd is the host's and stays open until then; writes
 * block. A write that fails ends the recording and is logged.
 *   With appmon_opts.record_max_bytes the recording ends before it would exceed that, with its last
 * whole entry; what is there can be replayed. That is logged (WARN). appmon_stats.flags has
 * APPMON_STATS_RECORD_ENDED from then on, after a write that failed, too, until appmon_record() is
 * called again.
 *  -ENOMEM  out of memory
 *  -EIO     the first write failed, or record_max_bytes has no room for the list of targets
 */
APPMON_API int appmon_record(struct appmon *mon, int fd);

/*
 * A handle that is fed from a recording in place of the kernel: needs no privileges and
 * attaches nothing; targets come from the recording, target_user is NULL, counters that
 * the kernel keeps are 0. fd is borrowed until appmon_close(). At the end of the file
 * appmon_poll() and appmon_next() return -ENODATA once everything is delivered.
 *  -EPROTO  not a recording, or one of another version; else as appmon_open()
 */
APPMON_API int appmon_open_replay(struct appmon **ret, int fd, const struct appmon_opts *opts);

/* ---- Asking --------------------------------------------------------------- */

/* Counters of one target, or of the handle (target 0). -ENOENT: no such target. */
APPMON_API int appmon_get_stats(struct appmon *mon, uint32_t target, struct appmon_stats *stats);

/* What the running kernel supports, as found when the handle was opened. */
APPMON_API int appmon_get_capabilities(struct appmon *mon, struct appmon_capabilities *caps);

/*
 * The last failure on this handle as one sentence that says what to do; "" if
 * there was none. Never NULL, valid until the next call that fails.
 */
APPMON_API const char *appmon_last_error(struct appmon *mon);

/* ---- Looking up what an event's numbers stand for --------------------------- */

struct appmon_process {
	uint32_t size;
	uint32_t pid;
	uint64_t start_ns;
	uint64_t exe_inode; /* of the executable: st_ino and st_dev of stat(2) */
	uint64_t exe_device;
	struct appmon_str exe; /* its path, as /proc/PID/exe has it: in the process's own mount
				* namespace, " (deleted)" behind it where that is so */
};

/*
 * The executable of an event's process, by its pid and process_start_ns. Answers are kept: the
 * first one has to be asked for while the process lives, later ones not (1024 processes, the last
 * asked for; at most a second old, for a process may run another program). ret->exe is valid until
 * the next appmon_find_*() or appmon_close().
 *  -ESRCH   it has ended before, or is a kernel thread; or this handle replays a recording
 *  -EACCES  another user's process, and CAP_SYS_PTRACE is missing
 *  -ENOMEM  memory_limit is reached
 */
APPMON_API int appmon_find_process(struct appmon *mon, uint32_t pid, uint64_t start_ns,
				   struct appmon_process *ret);

/*
 * The path of a cgroup by an event's cgroup_id: "/system.slice/nginx.service". It begins at the
 * top of the hierarchy if that is mounted anywhere, as a container can have the host's; else at the
 * top of what is mounted (see appmon_opts.cgroup_mount). Kept as above, also after the cgroup was
 * removed. Without CAP_DAC_READ_SEARCH all directories of the mount are looked through. *ret_path
 * is valid until the next appmon_find_*() or appmon_close().
 *  -ENOENT  there is no such cgroup any more, or it is outside of what the mount shows; or this
 *           handle replays a recording
 *  -ENOMEM  memory_limit is reached
 */
APPMON_API int appmon_find_cgroup(struct appmon *mon, uint64_t cgroup_id,
				  struct appmon_str *ret_path);

/* ---- Helpers: no handle, safe from any thread ------------------------------ */

/* Text of a negative errno value that this library returned; static, never NULL. */
APPMON_API const char *appmon_strerror(int err);

/* Writes "192.0.2.1:80", "[2001:db8::1]:80" or "?", always NUL-terminated if
 * size > 0, and returns the length it has without truncation. 56 bytes suffice. */
APPMON_API int appmon_format_endpoint(const struct appmon_endpoint *ep, char *buf, size_t size);

/* Nanoseconds since 1970 for a CLOCK_MONOTONIC time of one of mon's events (its clocks'
 * distance is kept, and recorded), or with NULL by the clocks' present distance; 0 for 0. */
APPMON_API uint64_t appmon_realtime_ns(struct appmon *mon, uint64_t monotonic_ns);

/* The first value of a header that ev holds; NULL if there is none. name in lower
 * case; response: 0 or 1 as in appmon_header. */
APPMON_API const struct appmon_str *appmon_event_header(const struct appmon_event *ev,
							const char *name, int response);

/*
 * A copy of an event, with all that it points to but target_user, in one block: the host keeps it
 * as long as it likes, on any thread, and gives it to appmon_event_free(), also after
 * appmon_close(). ev may be any handle's, or a host's own.
 *  -EINVAL  ev or ret is NULL, or ev->size is not set
 *  -ENOMEM  out of memory
 */
APPMON_API int appmon_event_copy(const struct appmon_event *ev, struct appmon_event **ret);

/* Frees a copy, of appmon_event_copy() or appmon_next_batch(), and no other event. NULL is
 * accepted. */
APPMON_API void appmon_event_free(struct appmon_event *copy);

/*
 * The container that a cgroup holds, from the rules by which docker, containerd, cri-o, podman and
 * the kubelet name them (systemd and cgroupfs drivers); nothing is looked up. path: of the
 * cgroup, absolute or relative to any parent. A cgroup inside a container counts as the container;
 * of nested ones the innermost.
 *  -ENOENT  neither a container nor a pod
 */
APPMON_API int appmon_cgroup_container(const char *path, struct appmon_container *ret);

/* "http1", "resp", "http2", "postgresql", "mysql", "tls" for APPMON_PROTO_*; NULL for 0 and for
 * values that this library does not know. The protocols are numbered from 1 without gaps: a host
 * that counts up until NULL has met them all. */
APPMON_API const char *appmon_protocol_name(uint32_t protocol);

/* The APPMON_PROTO_* of a name as above, in lower case; APPMON_PROTO_UNKNOWN if this library has no
 * protocol of that name, and for NULL. */
APPMON_API uint32_t appmon_protocol_by_name(const char *name);

/* "docker", "containerd" ... for APPMON_RUNTIME_*; "unknown" otherwise. */
APPMON_API const char *appmon_runtime_name(uint32_t runtime);

/* "GET" for APPMON_METHOD_GET ...; "" for values without a name. */
APPMON_API const char *appmon_method_name(uint32_t method);

/* "complete", "closed", "reset by peer" ... for APPMON_END_*; "unknown" otherwise. */
APPMON_API const char *appmon_end_name(uint32_t end);

/* "thread", "peer", "request id" ... for APPMON_LINK_*; "none" for 0; "unknown" otherwise. */
APPMON_API const char *appmon_link_name(uint32_t link);

/* "w3c", "b3" ... for APPMON_TRACE_*; "" for 0; "unknown" otherwise. */
APPMON_API const char *appmon_trace_format_name(uint32_t format);

/* "ring_full", "memory" ... for APPMON_DROP_*; "unknown" otherwise. */
APPMON_API const char *appmon_drop_name(uint32_t reason);

/* The version that runs, (major << 16) | (minor << 8) | patch: compare with
 * APPMON_VERSION_NUM, which the host was compiled with. */
APPMON_API uint32_t appmon_version(void);
APPMON_API const char *appmon_version_string(void);

/* sizeof of a public struct, by name ("appmon_event"), as the running library knows it; 0: no
 * such struct. For bindings that carry a copy of the layouts: a struct that begins with
 * "size" may be larger here than there, each other one has to be equal. */
APPMON_API uint32_t appmon_struct_size(const char *name);

#ifdef __cplusplus
}
#endif

#endif /* APPMON_APPMON_H */
