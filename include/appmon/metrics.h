/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libappmon: from events to figures. An aggregator that a host may feed with its events: requests,
 * errors and latency by application, instance, peer, method, route and status; which application
 * calls which; what each of them uses of the machine. An aggregator knows no monitor (struct
 * appmon): events of several handles, or of a recording, can go into one.
 *
 *	appmon_metrics_open(&metrics, NULL);
 *	... in the event callback:	appmon_metrics_add(metrics, ev);
 *	... every now and then:		appmon_metrics_snapshot(metrics, NULL, &now);
 *					read it, alone or as the difference to an earlier one,
 *					appmon_snapshot_free(earlier); earlier = now;
 *
 * Errors, structs and constants follow appmon.h. One thread at a time may use an aggregator;
 * snapshots and histograms are independent of it, and several threads may read one snapshot as long
 * as it is not freed. No call blocks or keeps a descriptor.
 */
#ifndef APPMON_METRICS_H
#define APPMON_METRICS_H

#include <appmon/appmon.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The aggregator: a bounded table of series and one of edges. */
struct appmon_metrics;
/* What the aggregator held at one moment. Never changes. */
struct appmon_snapshot;
/* Counts of values in log-linear buckets. */
struct appmon_histogram;

/* ---- Constants. Values are ABI: never renumbered, never reused. ---------- */

/*
 * appmon_metrics_opts.dimensions: what tells series apart beside application, role, protocol,
 * system and outcome. 0 means APPMON_DIM_DEFAULT.
 */
/* The leaf cgroup. */
#define APPMON_DIM_INSTANCE UINT32_C(0x1)
/* The process, where events name it. */
#define APPMON_DIM_PID UINT32_C(0x2)
/* The other application where it is monitored too; of a server that is not, address and port. */
#define APPMON_DIM_PEER UINT32_C(0x4)
/* The address of clients that are not monitored; without it they are all one, in edges too. */
#define APPMON_DIM_CLIENT UINT32_C(0x8)
/* The method; of what is not HTTP the operation. */
#define APPMON_DIM_METHOD UINT32_C(0x10)
/* The path without ids and the like; of a statement its summary, its table and the database. */
#define APPMON_DIM_ROUTE UINT32_C(0x20)
/* The status: status_text and the number of it. */
#define APPMON_DIM_STATUS UINT32_C(0x40)
/* None of the above. */
#define APPMON_DIM_NONE UINT32_C(0x80000000)
/* What 0 means. */
#define APPMON_DIM_DEFAULT                                                                         \
	(APPMON_DIM_INSTANCE | APPMON_DIM_PEER | APPMON_DIM_METHOD | APPMON_DIM_ROUTE |            \
	 APPMON_DIM_STATUS)

/* appmon_metrics_opts.flags */
#define APPMON_METRICS_RAW_ROUTES UINT32_C(0x1) /* the path is the route as it is */
#define APPMON_METRICS_NO_JOIN UINT32_C(0x2)	/* never look for the application behind a peer */
/* Snapshots have what is in progress: the host calls appmon_metrics_active() for it before each. */
#define APPMON_METRICS_ACTIVE UINT32_C(0x4)
/* Histograms of queue and service times, too: three of them in place of one. */
#define APPMON_METRICS_SERVICE UINT32_C(0x8)

/* appmon_metrics_opts.server_errors, client_errors: the outcomes that are errors, bit n for
 * enum appmon_outcome n. 0: the default. */
/* APPMON_OUTCOME_CLIENT_ERROR */
#define APPMON_ERROR_CLIENT UINT32_C(0x4)
/* APPMON_OUTCOME_SERVER_ERROR */
#define APPMON_ERROR_SERVER UINT32_C(0x8)
/* APPMON_OUTCOME_TIMEOUT */
#define APPMON_ERROR_TIMEOUT UINT32_C(0x10)
/* APPMON_OUTCOME_CANCELLED */
#define APPMON_ERROR_CANCELLED UINT32_C(0x20)
/* APPMON_OUTCOME_NO_RESPONSE */
#define APPMON_ERROR_NO_RESPONSE UINT32_C(0x40)
/* No outcome is an error. */
#define APPMON_ERROR_NEVER UINT32_C(0x80000000)

/* appmon_series.flags */
/* Holds what found no room of its own. A series has app and role, if all of it has the same, and no
 * other member; an edge has no member. */
#define APPMON_SERIES_OTHER UINT32_C(0x1)

/*
 * What a snapshot has several of: series, where every event that has a request is in exactly one;
 * edges, where every exchange is in exactly one, as its client saw it if both ends were seen (an
 * event without a role has no edge); and, with APPMON_METRICS_ACTIVE, what was in progress when it
 * was taken.
 */
enum appmon_snapshot_kind {
	APPMON_SNAPSHOT_SERIES = 0, /* one for each combination of labels */
	APPMON_SNAPSHOT_EDGES = 1,  /* one for each pair of who asked and who was asked */
	APPMON_SNAPSHOT_ACTIVE = 2  /* one for each application with requests in progress */
};

/*
 * Which times of its events a series or edge has a histogram of: members of appmon_event. Those of the
 * queue and of service are of servers that were seen to read (APPMON_OPEN_IDENTITY), with
 * APPMON_METRICS_SERVICE.
 */
enum appmon_time {
	APPMON_TIME_DURATION = 0, /* duration_ns */
	APPMON_TIME_QUEUE = 1,	  /* queue_ns */
	APPMON_TIME_SERVICE = 2	  /* service_ns */
};

/* appmon_resources.valid, from_v1. A figure that is not valid is 0. */
#define APPMON_RES_CPU UINT64_C(0x1)	    /* cpu_ns, cpu_user_ns, cpu_system_ns */
#define APPMON_RES_THROTTLING UINT64_C(0x2) /* periods, throttled_periods, throttled_ns */
#define APPMON_RES_MEMORY UINT64_C(0x4)	    /* memory_bytes, memory_limit */
#define APPMON_RES_PIDS UINT64_C(0x8)	    /* pids, pids_limit */
#define APPMON_RES_IO UINT64_C(0x10)	    /* read_bytes, write_bytes, reads, writes */

/* ---- Data ---------------------------------------------------------------- */

/*
 * A route for an event, in place of the built-in normalising: at most size bytes into buf, which
 * need no '\0'. Returns their number (more than size: cut off) or a negative value for the built-in
 * one. Must not use the aggregator.
 */
typedef int (*appmon_route_fn)(void *ctx, const struct appmon_event *ev, char *buf, size_t size);

/* Whether an event counts as an error: 0 or 1, negative: as server_errors and client_errors say. */
typedef int (*appmon_error_fn)(void *ctx, const struct appmon_event *ev);

/*
 * The instance of an event in place of its cgroup_id: one number for all cgroups that were made one
 * after the other under a path, for instance, so that the series of a service go on when it is
 * restarted. Must not use the aggregator.
 */
typedef uint64_t (*appmon_instance_fn)(void *ctx, const struct appmon_event *ev);

struct appmon_metrics_opts {
	uint32_t size;
	uint32_t flags;		/* APPMON_METRICS_* */
	uint32_t dimensions;	/* APPMON_DIM_*; default APPMON_DIM_DEFAULT */
	uint32_t max_series;	/* hard limit, 16 to 1,000,000; default 8192. No application gets
				 * more than are left for others: half of them if it is alone */
	uint32_t idle_ms;	/* series and edges without an event for this long go; default
				 * 600,000; UINT32_MAX: never */
	uint32_t server_errors; /* APPMON_ERROR_*; default all but CLIENT */
	uint32_t client_errors; /* APPMON_ERROR_*; default all */
	uint32_t reserved;
	uint64_t memory_limit;	  /* bytes; default 64 MiB, at least 1 MiB. Where it is reached,
				   * series are refused as by max_series. The other tables go by it,
				   * too: up to 1 GiB, each MiB gives 16 edges, 256 path segments to
				   * learn routes from and 128 connections whose ends are remembered */
	appmon_route_fn route_fn; /* NULL: built in */
	void *route_ctx;
	appmon_error_fn error_fn; /* NULL: by server_errors and client_errors */
	void *error_ctx;
	appmon_instance_fn instance_fn; /* NULL: cgroup_id */
	void *instance_ctx;
};

/* Counters of the aggregator since appmon_metrics_open(), gauges where it says so. */
struct appmon_metrics_stats {
	uint32_t size;
	uint32_t reserved;
	uint64_t events;	  /* added == counted in series + waiting + expired_events +
				   * without_request */
	uint64_t waiting;	  /* gauge: events that wait for their other end, 500 ms at most */
	uint64_t series;	  /* gauge */
	uint64_t edges;		  /* gauge */
	uint64_t other_events;	  /* events that went to a series with APPMON_SERIES_OTHER */
	uint64_t other_exchanges; /* exchanges that went to the edge with APPMON_SERIES_OTHER */
	uint64_t expired_series;  /* gone for want of events */
	uint64_t expired_edges;
	uint64_t expired_events;      /* that the expired series had counted */
	uint64_t joined_connections;  /* of which both ends were seen */
	uint64_t evicted_connections; /* forgotten to make room */
	uint64_t unwaited;	      /* events that could not wait long enough, for want of room */
	uint64_t refused_segments;    /* not learned, for want of room */
	uint64_t memory_bytes;	      /* gauge */
	uint64_t memory_limit;
	uint64_t without_request; /* events of which only a response was seen: in no series or edge
				   */
};

/*
 * What a series is about. Strings are valid as long as the snapshot; those of a dimension that is
 * off are "", its numbers 0. Names in parentheses are OpenTelemetry's.
 */
struct appmon_series {
	uint32_t size;
	uint32_t flags;	    /* APPMON_SERIES_* */
	uint64_t id;	    /* the same in every snapshot, never reused by the aggregator */
	uint64_t cgroup_id; /* the instance; see appmon_cgroup_path(). With instance_fn: what it
			       returned */
	uint32_t pid;
	uint32_t role;		       /* APPMON_ROLE_* */
	uint32_t protocol;	       /* APPMON_PROTO_* (network.protocol.name) */
	uint32_t method;	       /* APPMON_METHOD_*; OTHER also where it could not be read */
	uint32_t status;	       /* http.response.status_code; 0: none */
	uint32_t outcome;	       /* enum appmon_outcome, APPMON_OUTCOME_* */
	struct appmon_str app;	       /* target_name of the events, at most 127 bytes of it */
	struct appmon_str peer_app;    /* the application at the other end; "": peer says what is
					* known of it */
	struct appmon_str method_name; /* http.request.method; "_OTHER" for APPMON_METHOD_OTHER */
	struct appmon_str route; /* at most 255 bytes (http.route): visible ASCII, unless it is
				  * the host's or APPMON_METRICS_RAW_ROUTES. SQL: the event's
				  * query_summary (db.query.summary). gRPC, RESP and SQL without
				  * a summary: operation */
	struct appmon_str status_text; /* as the events have it, at most 23 bytes */
	struct appmon_endpoint peer;   /* family 0: unknown; port 0: of a client */
	/* What speaks the protocol, as the events have it, at most 15 bytes: it tells HTTP (""), gRPC
	 * ("grpc", rpc.system.name) and databases (db.system.name) apart. */
	struct appmon_str system;
	/* At most 255 bytes. gRPC: service and method (rpc.method). SQL: as the events have it
	 * (db.operation.name). RESP: the command in upper case; "_OTHER" for one that is not listed
	 * and that the server did not take, as clients may send any word. HTTP: "", as
	 * method_name says it. */
	struct appmon_str operation;
	/* SQL: at most 127 bytes of the first table and of the database (db.collection.name,
	 * db.namespace); else "". */
	struct appmon_str resource;
	struct appmon_str resource_namespace;
};

/*
 * What one application's instance has in progress: requests that have begun and have no event yet,
 * by role and method. One row for each that has series, or had anything in progress within idle_ms.
 */
struct appmon_active {
	uint32_t size;
	uint32_t flags;	    /* APPMON_SERIES_*: OTHER is what found no room of its own */
	uint64_t cgroup_id; /* the instance, as in appmon_series */
	uint32_t role;	    /* APPMON_ROLE_* */
	uint32_t protocol;  /* APPMON_PROTO_* */
	uint32_t method;    /* APPMON_METHOD_*; OTHER also while it is not known */
	uint32_t reserved;
	struct appmon_str app;
	struct appmon_str method_name; /* as in appmon_series */
	uint64_t requests;  /* gauge (http.server.active_requests, http.client.active_requests) */
	uint64_t oldest_ns; /* CLOCK_MONOTONIC: when the oldest of them began; 0: there is none */
};

/* Who calls whom. An end that is monitored has its application's name, else an address if that is
 * known (of clients: asked for, APPMON_DIM_CLIENT). */
struct appmon_edge {
	uint32_t size;
	uint32_t flags; /* APPMON_SERIES_* */
	uint64_t id;
	uint32_t protocol; /* APPMON_PROTO_* */
	uint32_t reserved;
	struct appmon_str client_app;
	struct appmon_str server_app;
	struct appmon_endpoint client; /* family 0 if client_app is set; port 0 */
	struct appmon_endpoint server; /* family 0 if server_app is set */
};

/*
 * Sums over the events of a series or edge, since it began or between two snapshots. Times in
 * nanoseconds; each _sum is over the events where that time is known.
 */
struct appmon_figures {
	uint32_t size;
	uint32_t reserved;
	uint64_t requests;
	uint64_t errors;
	uint64_t request_bytes; /* heads and bodies */
	uint64_t response_bytes;
	uint64_t duration_count; /* events that have a duration: those of the histogram */
	uint64_t duration_sum;	 /* first byte of the request to last byte of the response */
	uint64_t duration_max;	 /* between snapshots: within the histogram's error */
	uint64_t request_sum;	 /* the request on its way */
	uint64_t wait_count;
	uint64_t wait_sum;     /* last byte of the request to first byte of the response */
	uint64_t response_sum; /* the response on its way */
	/* Events of servers that were seen to read (APPMON_OPEN_IDENTITY). */
	uint64_t service_count;
	uint64_t queue_sum;   /* of those: until the application read the request */
	uint64_t service_sum; /* of those: from there to the first byte of the response */
	uint64_t retransmits; /* segments sent again by this host, and by the peer */
	uint64_t first_ns;    /* CLOCK_MONOTONIC: when the first event ended; of the series, also */
	/* between snapshots */
	uint64_t last_ns; /* when the last one did */
};

/* One event out of those of a series that carried a W3C traceparent: a recent or a slow one. */
struct appmon_exemplar {
	uint32_t size;
	uint32_t reserved;
	uint64_t duration_ns;
	uint64_t end_ns; /* CLOCK_MONOTONIC */
	uint8_t trace_id[16];
	uint8_t span_id[8];
};

struct appmon_snapshot_opts {
	uint32_t size;
	uint32_t flags;	 /* APPMON_TAKE_* */
	uint64_t now_ns; /* CLOCK_MONOTONIC; default: the present. For a recording: of its last
			  * event, as the time matters for expiry and waiting */
};

/* appmon_snapshot_opts.flags */
/* Events that wait for their other end are counted as they are: at the end, or for a test. */
#define APPMON_TAKE_WAITING UINT32_C(0x1)

/* What a cgroup used since it was made, and has now. */
struct appmon_resources {
	uint32_t size;
	uint32_t reserved;
	uint64_t valid;	  /* APPMON_RES_*: what could be read */
	uint64_t from_v1; /* APPMON_RES_*: read from a version 1 hierarchy */
	uint64_t time_ns; /* CLOCK_MONOTONIC of the reading */
	uint64_t cpu_ns;
	uint64_t cpu_user_ns;
	uint64_t cpu_system_ns;
	uint64_t periods;
	uint64_t throttled_periods;
	uint64_t throttled_ns;
	uint64_t memory_bytes; /* gauge */
	uint64_t memory_limit; /* UINT64_MAX: none */
	uint64_t pids;	       /* gauge: processes and threads */
	uint64_t pids_limit;   /* UINT64_MAX: none */
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint64_t reads;
	uint64_t writes;
};

/* ---- The aggregator -------------------------------------------------------- */

/*
 * opts may be NULL.
 *  -EINVAL  a value is out of range
 *  -E2BIG   unknown members are set
 *  -ENOMEM  out of memory, or memory_limit does not hold the tables themselves
 */
APPMON_API int appmon_metrics_open(struct appmon_metrics **ret,
				   const struct appmon_metrics_opts *opts);

/* NULL is accepted. Snapshots stay. */
APPMON_API void appmon_metrics_close(struct appmon_metrics *metrics);

/*
 * Counts one event, and keeps no reference to it. Never fails for want of room: what does not fit
 * goes to a series with APPMON_SERIES_OTHER, and is counted. Allocates only for a new series,
 * or for durations unlike any before. Figures are of the events that come: where a handle leaves
 * out connections, they are of the share in appmon_event.sampling_ppm.
 */
APPMON_API int appmon_metrics_add(struct appmon_metrics *metrics, const struct appmon_event *ev);

/*
 * Counts one exchange that is in progress, for the next snapshot only: an event of
 * appmon_each_active(), of one handle or several, right before appmon_metrics_snapshot().
 * -EINVAL: without APPMON_METRICS_ACTIVE.
 */
APPMON_API int appmon_metrics_active(struct appmon_metrics *metrics, const struct appmon_event *ev);

APPMON_API int appmon_metrics_get_stats(struct appmon_metrics *metrics,
					struct appmon_metrics_stats *stats);

/*
 * Copies what the aggregator holds; idle series go first. opts may be NULL. The copy takes as
 * much memory as the series themselves, on top of memory_limit.
 *  -ENOMEM  out of memory
 *  -E2BIG   as above
 */
APPMON_API int appmon_metrics_snapshot(struct appmon_metrics *metrics,
				       const struct appmon_snapshot_opts *opts,
				       struct appmon_snapshot **ret);

/* ---- Reading a snapshot ------------------------------------------------------ */

/* NULL is accepted. */
APPMON_API void appmon_snapshot_free(struct appmon_snapshot *snapshot);

/* When it was taken (now_ns): the distance of two is what rates are divided by. */
APPMON_API uint64_t appmon_snapshot_time(const struct appmon_snapshot *snapshot);

/* How many series, edges or rows of what is active (APPMON_SNAPSHOT_*) there are: indices 0 up to
 * it, in the order in which they began. 0 for another kind. */
APPMON_API uint32_t appmon_snapshot_count(const struct appmon_snapshot *snapshot, uint32_t kind);

/* -ENOENT: no such index. */
APPMON_API int appmon_snapshot_series(const struct appmon_snapshot *snapshot, uint32_t index,
				      struct appmon_series *series);
APPMON_API int appmon_snapshot_edge(const struct appmon_snapshot *snapshot, uint32_t index,
				    struct appmon_edge *edge);
APPMON_API int appmon_snapshot_active(const struct appmon_snapshot *snapshot, uint32_t index,
				      struct appmon_active *active);

/*
 * The figures of one series or edge: all of them (since NULL), or what came since an earlier
 * snapshot of the same aggregator. One that the earlier snapshot does not have counts from 0.
 *  -ENOENT  no such index, or a kind that has no figures
 *  -EINVAL  since is the later one, or of another aggregator
 */
APPMON_API int appmon_snapshot_figures(const struct appmon_snapshot *snapshot, uint32_t kind,
				       uint32_t index, const struct appmon_snapshot *since,
				       struct appmon_figures *figures);

/* Adds the durations (all, or since, as above) to a histogram of the host's. */
APPMON_API int appmon_snapshot_durations(const struct appmon_snapshot *snapshot, uint32_t kind,
					 uint32_t index, const struct appmon_snapshot *since,
					 struct appmon_histogram *histogram);

/* The same of one of the times of enum appmon_time. Without APPMON_METRICS_SERVICE there is nothing to
 * add of queue and service times. -EINVAL: as above, or time is none of them. */
APPMON_API int appmon_snapshot_histogram(const struct appmon_snapshot *snapshot, uint32_t kind,
					 uint32_t index, const struct appmon_snapshot *since,
					 uint32_t time, struct appmon_histogram *histogram);

/* -ENODATA: no event of it carried a traceparent. */
APPMON_API int appmon_snapshot_exemplar(const struct appmon_snapshot *snapshot, uint32_t kind,
					uint32_t index, struct appmon_exemplar *exemplar);

/* ---- Histograms ---------------------------------------------------------------- */

/*
 * Log-linear: each power of two is split into 32 buckets of equal width, values below 64 have one
 * each. Any 64-bit value fits; a quantile is within 1/64 (1.6 %) of the exact one. Merging is
 * exact: it gives the histogram that all the values would have given.
 */
APPMON_API int appmon_histogram_new(struct appmon_histogram **ret);
APPMON_API void appmon_histogram_free(struct appmon_histogram *histogram);
APPMON_API void appmon_histogram_clear(struct appmon_histogram *histogram);
/* count times the value. -ENOMEM: nothing was added. */
APPMON_API int appmon_histogram_add(struct appmon_histogram *histogram, uint64_t value,
				    uint64_t count);
APPMON_API int appmon_histogram_merge(struct appmon_histogram *histogram,
				      const struct appmon_histogram *other);
APPMON_API uint64_t appmon_histogram_count(const struct appmon_histogram *histogram);
APPMON_API uint64_t appmon_histogram_sum(const struct appmon_histogram *histogram);
APPMON_API uint64_t appmon_histogram_max(const struct appmon_histogram *histogram);
/* The least recorded value that a share of q (0 to 1) of all do not exceed; 0 if there is none. */
APPMON_API uint64_t appmon_histogram_quantile(const struct appmon_histogram *histogram, double q);
/* How many values are at most this one; exact for 2^n - 1 and below 64, else as a quantile is. */
APPMON_API uint64_t appmon_histogram_count_at_most(const struct appmon_histogram *histogram,
						   uint64_t value);
/*
 * Goes through the buckets that hold values, in rising order: 1 and the next one from *cursor (0 at
 * first) with its least and greatest value and how many it has, or 0 at the end.
 */
APPMON_API int appmon_histogram_next(const struct appmon_histogram *histogram, uint32_t *cursor,
				     uint64_t *ret_least, uint64_t *ret_greatest,
				     uint64_t *ret_count);

/* ---- Helpers ------------------------------------------------------------------- */

/*
 * The route of a path by the look of its segments, which is what the aggregator does without
 * route_fn, before learning: numbers become {id}, and {uuid}, {hash}, {date} what looks so, in a
 * part of a segment too ("order-17.json": "order-{id}.json"); {param} what is not visible ASCII;
 * "*" the rest of a path that is too long. Writes at most size bytes, always '\0'-terminated if
 * size > 0, and returns the length written.
 */
APPMON_API size_t appmon_route(const char *path, size_t len, char *buf, size_t size);

/*
 * What a cgroup v2 directory and those below it use, as the kernel counts it. Where the mount is
 * hybrid and a controller belongs to version 1, its files are read if the same cgroup
 * exists there with the same processes. What cannot be read is not valid.
 *  -ENOENT, -ENOTDIR, -EACCES  the directory cannot be opened
 *  -EINVAL  not a cgroup v2 directory
 */
APPMON_API int appmon_read_resources(const char *cgroup_path, struct appmon_resources *resources);

/*
 * The directory of a cgroup id (appmon_event.cgroup_id, appmon_series.cgroup_id), for a host that
 * has no handle at hand; see appmon_find_cgroup(). Returns the length written without the '\0'.
 *  -ENOENT  it is gone, outside of what is mounted, or there is no cgroup v2
 *  -ENOSPC  buf is too small
 */
APPMON_API int appmon_cgroup_path(uint64_t cgroup_id, char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* APPMON_METRICS_H */
