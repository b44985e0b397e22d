/* SPDX-License-Identifier: BSD-2-Clause */
/* Who calls whom: the edges of a snapshot with the nodes that they connect. */
#ifndef APPMON_CLI_GRAPH_H
#define APPMON_CLI_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/metrics.h>

#include "address-names.h"

struct node {
	/* An application, a name of an address with the port behind it, an address, or
	 * GRAPH_CLIENTS; as it came: escape it. */
	char *name;
	char address
		[56]; /* what has the name, of several the latest; "": an application, clients */
	bool monitored;
	size_t in, out; /* edges */
};

/* The node of all clients that are not monitored, and that of what the aggregator had no room for.
 */
#define GRAPH_CLIENTS "(clients)"
#define GRAPH_OTHER "(other)"

struct arrow {
	size_t client, server; /* nodes */
	uint32_t protocol;     /* APPMON_PROTO_* */
	uint64_t requests, errors;
	uint64_t request_bytes, response_bytes;
	uint64_t p50, p95, p99, max; /* ns */
	bool has_durations;
	struct appmon_histogram *durations;
};

struct graph {
	struct node *node;
	size_t node_count;
	struct arrow *arrow; /* the busiest first */
	size_t arrow_count;
	double seconds; /* that the figures are over */
};

/* Returns 0 or -ENOMEM. */
int graph_make(struct graph *graph, const struct appmon_snapshot *snapshot,
	       const struct address_names *names, double seconds);
void graph_free(struct graph *graph);

double arrow_rate(const struct graph *graph, const struct arrow *arrow);
/* Percent. */
double arrow_error_share(const struct arrow *arrow);

#endif /* APPMON_CLI_GRAPH_H */
