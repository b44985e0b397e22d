/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a snapshot has by the labels that it has outside. What has the same labels is one there: a
 * page or a message has each once, whatever tells them apart inside.
 */
#ifndef APPMON_EXPORT_LABELLED_H
#define APPMON_EXPORT_LABELLED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <appmon/metrics.h>

#include "attributes.h"
#include "instances.h"

/* By what a figure's name is chosen: what is spoken, and by which end. 0 has no name. */
enum side {
	SIDE_SERVER = APPMON_ROLE_SERVER,
	SIDE_CLIENT = APPMON_ROLE_CLIENT,
	SIDE_RPC_SERVER,
	SIDE_RPC_CLIENT,
	SIDE_DATABASE_SERVER,
	SIDE_DATABASE_CLIENT,
	SIDE_TLS_SERVER,
	SIDE_TLS_CLIENT,
	SIDES
};

/*
 * The histograms, as OpenTelemetry names them; the conventions know none of a database server, of TLS,
 * or of queue and service times, which are called as other times of the conventions are.
 */
struct histogram_metric {
	enum side side;
	enum appmon_time time;
	const char *name;
	const char *description;
};
#define HISTOGRAM_METRICS 14
extern const struct histogram_metric histogram_metrics[HISTOGRAM_METRICS];

struct labelled {
	const char *labels; /* as in Prometheus' formats: name="value",... */
	uint32_t side;	    /* enum side; of an edge 0 */
	uint32_t index;	    /* in the snapshot */
	size_t offset;	    /* of labels in the text */
};

/* Sorted by side and labels. */
struct labelled_list {
	const struct appmon_snapshot *snapshot;
	uint32_t kind; /* APPMON_SNAPSHOT_* */
	size_t count;
	struct labelled *list;
	char *text;
};

/* Those without a role are left out: there is no name for them. addresses: of edges; NULL: no names are
 * known. Returns 0 or -ENOMEM. */
int labelled_open(struct labelled_list *ret, const struct appmon_snapshot *snapshot, uint32_t kind,
		  struct instances *instances, const struct addresses *addresses);
void labelled_free(struct labelled_list *labelled);

/* The first one behind i that has other labels. */
size_t labelled_next(const struct labelled_list *labelled, size_t i);

/* The sums over those that are one, from the first one on. Of series and edges. */
void labelled_figures(const struct labelled_list *labelled, size_t i,
		      struct appmon_figures *figures);
/* Adds one of their times. Returns 0 or -ENOMEM. */
int labelled_times(const struct labelled_list *labelled, size_t i, enum appmon_time time,
		   struct appmon_histogram *histogram);
/* Of what is in progress: how many, and when the oldest began. */
void labelled_active(const struct labelled_list *labelled, size_t i, uint64_t *ret_requests,
		     uint64_t *ret_oldest_ns);

/* The labels, with commas between them. */
void put_labels(FILE *out, const struct attributes *attributes, const char **separator);

#endif /* APPMON_EXPORT_LABELLED_H */
