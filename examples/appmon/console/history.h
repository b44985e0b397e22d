/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the aggregator counted during the last hour, in steps of ten seconds. A step is the
 * difference of two snapshots: a cell for each series and each edge that had requests. Series that the
 * aggregator has forgotten are there as long as a step has them.
 *
 * Memory has a bound: where it is reached the oldest steps go, and the history is shorter.
 */
#ifndef APPMON_CONSOLE_HISTORY_H
#define APPMON_CONSOLE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/metrics.h>

#include "../export/addresses.h"
#include "../export/instances.h"
#include "../host-names.h"
#include "../text.h"

#define HISTORY_STEP_NS (10 * NSEC_PER_SEC)
/* An hour, and the step that is under way. */
#define HISTORY_STEPS 361

enum subject_kind {
	SUBJECT_SERIES,
	SUBJECT_EDGE,
	SUBJECT_ACTIVE,
};

/* Texts of a subject. An edge has APPLICATION as its client and PEER as its server. */
enum subject_text {
	TEXT_APPLICATION,
	TEXT_PEER,
	TEXT_SYSTEM, /* "" is HTTP */
	TEXT_OPERATION,
	TEXT_ROUTE,
	TEXT_STATUS,
	TEXTS,
};

/* What a cell is about. */
struct subject {
	struct subject *next; /* of the same hash */
	enum subject_kind kind;
	uint32_t role, protocol, outcome;
	uint32_t ends;	   /* SUBJECT_*_WATCHED */
	uint64_t instance; /* see instances.h */
	uint32_t users;	   /* cells that are about it */
	uint32_t number;   /* below numbers of the history; its own while it has users */
	uint32_t size;	   /* of text */
	const char *texts[TEXTS];
	char text[];
};

/* The name is one of an application, not an address. */
#define SUBJECT_APPLICATION_WATCHED 1U
#define SUBJECT_PEER_WATCHED 2U

/* What came of one series or edge in one step. Times in nanoseconds, as in appmon_figures. */
struct cell {
	struct subject *subject;
	uint32_t requests, errors;
	uint32_t duration_count, wait_count, service_count;
	uint32_t bucket, bucket_count; /* of the step's buckets */
	uint64_t duration_sum;
	uint64_t request_sum, wait_sum, response_sum;
	uint64_t queue_sum, service_sum;
};

/* More than fit into a count are in further buckets of the same index. */
struct bucket {
	uint16_t index;
	uint16_t count;
};

/* What was in progress when the step ended. */
struct gauge {
	struct subject *subject;
	uint64_t requests;
	uint64_t oldest_ns;
};

/* What an instance used at the end of the step, or up to CONSUMPTION_NS before. */
struct consumption {
	uint64_t instance;
	struct appmon_resources resources;
};

struct step {
	uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC */
	struct cell *cells;
	struct bucket *buckets;
	struct gauge *gauges;
	struct consumption *consumptions;
	size_t cell_count, bucket_count, gauge_count, consumption_count;
	size_t bucket_room;
	uint64_t consumed_ns; /* when consumptions were read */
};

#define CONSUMPTION_NS (5 * NSEC_PER_SEC)

#define HISTORY_HASHES 4096

struct history {
	size_t max_bytes, bytes;
	uint32_t *free_numbers;
	uint32_t free_count, numbers;
	struct subject *subjects[HISTORY_HASHES];
	struct step *steps[HISTORY_STEPS]; /* oldest first; the last one is under way */
	size_t count;
	struct appmon_snapshot *base; /* where the last one begins; NULL: at the start */
	uint64_t start_ns;
};

void history_init(struct history *history, size_t max_bytes, uint64_t now_ns);

/*
 * The step that is under way is what came since it began. Takes the snapshot over. What instances
 * use is read, unless that was done less than CONSUMPTION_NS ago. addresses and hosts have names of
 * servers that are not watched, the first before the second; NULL: none. Returns 0 or -ENOMEM: the
 * step has what there was room for.
 */
int history_update(struct history *history, struct appmon_snapshot *snapshot,
		   struct instances *instances, const struct addresses *addresses,
		   const struct host_names *hosts);

/* When the step under way is to be closed. */
uint64_t history_due_ns(const struct history *history);

/* Whether steps had to go before their hour was over. */
bool history_is_cut(const struct history *history);

void history_free(struct history *history);

#endif /* APPMON_CONSOLE_HISTORY_H */
