/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The aggregator and what its parts call of each other. The way of an event:
 *
 *   metrics.c   a sample of what counts  ->  route.c  its route
 *   join.c      which application is at the other end: known, none, or to be waited for
 *   series.c    the series and the edge that it belongs to, their figures (with histogram.c)
 *
 * and beside it snapshot.c (copies to read) and resources.c (files of cgroups).
 */
#ifndef APPMON_AGGREGATE_H
#define APPMON_AGGREGATE_H

#include <appmon/metrics.h>

#include "metrics/histogram.h"
#include "base/base.h"
#include "metrics/route.h"

#define APP_MAX 127
#define STATUS_TEXT_MAX 23
#define SYSTEM_MAX 15
#define RESOURCE_MAX 127
#define TIMES (APPMON_TIME_SERVICE + 1)

/* ---- series.c: tables of figures by key ------------------------------------------------------ */

/* What a series' text has one after the other, each with its '\0'; the last one is only known once
 * the other end is. */
enum { TEXT_APP, TEXT_ROUTE, TEXT_OPERATION, TEXT_RESOURCE, TEXT_NAMESPACE, TEXT_PEER_APP, TEXTS };

/* What figures are about. Compared and hashed as bytes: no padding, what is absent is 0. */
struct series_key {
	struct appmon_endpoint peer;
	uint64_t cgroup_id;
	uint32_t pid;
	uint32_t flags; /* APPMON_SERIES_* */
	uint16_t role, protocol, method, status;
	uint16_t outcome, reserved;
	uint16_t len[TEXTS];
	char status_text[STATUS_TEXT_MAX + 1];
	char system[SYSTEM_MAX + 1];
	char text[APP_MAX + 2 * ROUTE_MAX + 2 * RESOURCE_MAX + APP_MAX + TEXTS];
};

/* The same for an edge; the text is client_app, server_app. */
struct edge_key {
	struct appmon_endpoint client, server;
	uint32_t flags;
	uint16_t protocol, reserved;
	uint16_t client_app_len, server_app_len;
	char text[APP_MAX + APP_MAX + 2];
};

#define KEY_BYTES(key, text_len) (offsetof(typeof(*(key)), text) + (text_len))

struct figures {
	uint64_t requests, errors;
	uint64_t request_bytes, response_bytes;
	uint64_t request_sum, wait_count, wait_sum, response_sum;
	uint64_t service_count, queue_sum, service_sum;
	uint64_t retransmits;
	uint64_t first_ns, last_ns;
	struct appmon_histogram times[TIMES]; /* by enum appmon_time */
};

struct exemplar {
	uint64_t end_ns; /* 0: there is none */
	uint64_t duration_ns;
	uint8_t trace_id[16], span_id[8];
	/* The next one is an event that takes longer than this, or ends later. */
	uint64_t longer_ns, later_ns;
};

/* The series of one application in a table. */
struct share {
	struct share *next;
	uint64_t app; /* hash of its name */
	uint32_t count;
	uint32_t pad;
};

struct series {
	uint64_t id;
	struct share *share; /* NULL: of no application; it never expires */
	struct figures figures;
	struct exemplar exemplar;
	uint64_t key_len;
	unsigned char key[]; /* struct series_key or edge_key, as far as it is used */
};

#define SHARE_BUCKETS 64

struct table {
	struct slot {
		uint64_t hash;
		struct series *series; /* NULL: free */
	} * slot;		       /* open addressing, linear probing */
	uint32_t mask;
	uint32_t count;
	uint64_t next_id;
	struct pool *pool;
	uint64_t expiries; /* of series: what points to one may point to none after it */
	struct share *share[SHARE_BUCKETS];
};

int table_init(struct table *t, struct pool *pool, uint32_t max);
void table_destroy(struct table *t);
/*
 * The series of a key; made if there are fewer than limit, as one of an application's (a hash of
 * its name; 0: of none). fair: and if that has fewer than could still be made, so that none
 * takes all the room. NULL: there is none.
 */
struct series *table_get(struct table *t, const void *key, size_t len, uint32_t limit, uint64_t app,
			 bool fair);
/* Takes out what had no event since. Returns how many series, and the requests they counted. */
uint32_t table_expire(struct table *t, uint64_t since_ns, uint64_t *ret_requests);

/* ---- join.c: connections and their two ends -------------------------------------------------- */

enum { CLIENT, SERVER };

/* Both ends of a connection call it the same, unless addresses are translated between them. Hashed
 * as bytes. */
struct tuple {
	uint8_t addr[2][16]; /* by CLIENT, SERVER */
	uint16_t port[2];
	uint32_t family;
};

/* What is known of a connection at one of its ends. */
struct end {
	uint64_t connection_id;	   /* 0: not seen */
	uint64_t start_ns, end_ns; /* of its last event */
	uint64_t waiting;	   /* number of its latest event that was made to wait; 0: none */
	struct series *edge;	   /* of its last event; see edge_expiries */
	uint64_t edge_expiries;
	uint8_t alone; /* the other end did not show up */
	uint8_t app_len;
	char app[APP_MAX];
};

struct connection {
	struct tuple tuple;
	struct end end[2];
	uint64_t used;
	uint8_t joined;
	uint8_t translated; /* joined with an end that knows other addresses */
};

/* One event as it waits or is counted. What is borrowed is NULL once it waits. */
struct sample {
	uint64_t start_ns, end_ns;
	uint64_t duration_ns, request_ns, wait_ns, response_ns;
	uint64_t read_ns, queue_ns, service_ns;
	uint64_t request_bytes, response_bytes;
	uint64_t retransmits;
	uint64_t connection_id;
	uint64_t wire_id;  /* 0: not known */
	uint64_t since_ns; /* the aggregator's clock when it began to wait */
	uint64_t tuple_hash;
	struct tuple tuple;
	uint32_t side;	  /* CLIENT, SERVER */
	uint8_t joinable; /* the tuple is known */
	uint8_t error;
	uint8_t counted; /* waiting: it has been counted meanwhile */
	uint8_t times;	 /* bit n: enum appmon_time n is known, and has a histogram */
	const struct appmon_event *event;
	struct exemplar exemplar; /* once it waits */
	struct series_key key;	  /* without peer and peer_app; last: not copied whole */
};

/* Where a text of a key begins: behind those before it. */
static inline size_t text_offset(const struct series_key *key, unsigned which)
{
	size_t offset = 0;

	for (unsigned i = 0; i < which; i++)
		offset += key->len[i] + 1u;
	return offset;
}

/* The bytes of text in a sample's key. */
#define SAMPLE_TEXT(s) text_offset(&(s)->key, TEXT_PEER_APP)

struct connections;

int connections_init(struct connections **ret, uint32_t max);
size_t connections_bytes(uint32_t max);
/* Notes an event at its end of the connection. If that joins it, *ret_waiting is the number of an
 * event of the other end that waited for this; else unchanged. */
struct connection *connection_event(struct connections *cs, const struct sample *s,
				    struct appmon_metrics_stats *stats, uint64_t *ret_waiting);
/* The connection of an event that waited; NULL if that has been forgotten meanwhile. */
struct connection *connection_find(struct connections *cs, const struct sample *s);

/* ---- metrics.c ------------------------------------------------------------------------------- */

struct appmon_metrics {
	struct appmon_metrics_opts opts; /* with defaults filled in */
	struct appmon_metrics_stats stats;
	struct pool pool;
	struct table series, edges;
	struct table
		active; /* APPMON_METRICS_ACTIVE; figures: requests, first_ns (the oldest's), */
			/* last_ns (when it last had any, or its series an event) */
	/* Always there; by role. */
	struct series *other[APPMON_ROLE_CLIENT + 1], *other_active[APPMON_ROLE_CLIENT + 1];
	struct series *other_edge;
	uint32_t max_edges;
	struct learner learner;
	struct route_cache *routes;
	struct connections *connections; /* NULL: nothing is joined */
	/* Samples that wait for their other end, oldest first, from head on. */
	struct sample *waiting;
	uint32_t head, queued, queue_size;
	uint64_t head_number; /* they are numbered, from 1 */
	uint64_t clock_ns;    /* the end of the latest event */
	uint64_t room_ns;     /* when room was last made */
	uint64_t origin;      /* tells aggregators apart */
	uint64_t taken;	      /* snapshots */
};

/* A row for each application, instance, role and method that has series. */
void metrics_find_active(struct appmon_metrics *m, uint64_t now_ns);
/* Forgets what is in progress, until the host counts it again. */
void metrics_clear_active(struct appmon_metrics *m);
/* Counts the waiting events that need not wait any longer, or all of them. */
void metrics_settle(struct appmon_metrics *m, uint64_t now_ns, bool all);
/* Forgets what was idle for too long. */
void metrics_expire(struct appmon_metrics *m, uint64_t now_ns);

#endif /* APPMON_AGGREGATE_H */
