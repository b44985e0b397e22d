/* SPDX-License-Identifier: BSD-2-Clause */
#include "graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The index of a node, made if it is not there; negative: no memory. */
static int node_of(struct graph *graph, const char *name, bool monitored, size_t *ret)
{
	struct node *list;
	char *copy;

	for (size_t i = 0; i < graph->node_count; i++) {
		if (graph->node[i].monitored == monitored &&
		    strcmp(graph->node[i].name, name) == 0) {
			*ret = i;
			return 0;
		}
	}
	list = reallocarray(graph->node, graph->node_count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	graph->node = list;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	*ret = graph->node_count++;
	list[*ret] = (struct node){.name = copy, .monitored = monitored};
	return 0;
}

static int end_of(struct graph *graph, const struct appmon_str *app,
		  const struct appmon_endpoint *address, bool other, size_t *ret)
{
	char text[56];

	if (other)
		return node_of(graph, GRAPH_OTHER, false, ret);
	if (app->len > 0)
		return node_of(graph, app->data, true, ret);
	if (!address->family)
		return node_of(graph, GRAPH_CLIENTS, false, ret);
	appmon_format_endpoint(address, text, sizeof(text));
	/* A client's port is of one connection only, and not kept: "192.0.2.1:0". */
	if (address->port == 0)
		*strrchr(text, ':') = '\0';
	return node_of(graph, text, false, ret);
}

static int fill_arrow(struct arrow *arrow, const struct appmon_snapshot *snapshot, uint32_t index)
{
	struct appmon_figures f = {.size = sizeof(f)};
	struct appmon_histogram *h;
	int ret;

	ret = appmon_histogram_new(&h);
	if (ret < 0)
		return ret;
	ret = appmon_snapshot_figures(snapshot, APPMON_SNAPSHOT_EDGES, index, NULL, &f);
	if (ret == 0)
		ret = appmon_snapshot_durations(snapshot, APPMON_SNAPSHOT_EDGES, index, NULL, h);
	arrow->requests = f.requests;
	arrow->errors = f.errors;
	arrow->request_bytes = f.request_bytes;
	arrow->response_bytes = f.response_bytes;
	arrow->has_durations = f.duration_count > 0;
	arrow->p50 = appmon_histogram_quantile(h, 0.5);
	arrow->p95 = appmon_histogram_quantile(h, 0.95);
	arrow->p99 = appmon_histogram_quantile(h, 0.99);
	arrow->max = f.duration_max;
	appmon_histogram_free(h);
	return ret;
}

static int busiest_first(const void *a, const void *b)
{
	const struct arrow *x = a, *y = b;

	return (x->requests < y->requests) - (x->requests > y->requests);
}

int graph_make(struct graph *graph, const struct appmon_snapshot *snapshot, double seconds)
{
	uint32_t count = appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_EDGES);
	int ret = 0;

	*graph = (struct graph){.seconds = seconds};
	graph->arrow = calloc(count > 0 ? count : 1, sizeof(*graph->arrow));
	if (!graph->arrow)
		return -ENOMEM;
	for (uint32_t i = 0; ret == 0 && i < count; i++) {
		struct arrow *arrow = &graph->arrow[i];
		struct appmon_edge edge = {.size = sizeof(edge)};
		bool other;

		ret = appmon_snapshot_edge(snapshot, i, &edge);
		other = edge.flags & APPMON_SERIES_OTHER;
		if (ret == 0)
			ret = end_of(graph, &edge.client_app, &edge.client, other, &arrow->client);
		if (ret == 0)
			ret = end_of(graph, &edge.server_app, &edge.server, other, &arrow->server);
		if (ret == 0)
			ret = fill_arrow(arrow, snapshot, i);
		if (ret < 0)
			break;
		graph->node[arrow->client].out++;
		graph->node[arrow->server].in++;
		graph->arrow_count++;
	}
	if (ret < 0)
		graph_free(graph);
	else
		qsort(graph->arrow, graph->arrow_count, sizeof(*graph->arrow), busiest_first);
	return ret;
}

void graph_free(struct graph *graph)
{
	for (size_t i = 0; i < graph->node_count; i++)
		free(graph->node[i].name);
	free(graph->node);
	free(graph->arrow);
	*graph = (struct graph){0};
}

double arrow_rate(const struct graph *graph, const struct arrow *arrow)
{
	return graph->seconds > 0 ? (double)arrow->requests / graph->seconds : 0;
}

double arrow_error_share(const struct arrow *arrow)
{
	return arrow->requests > 0 ? 100.0 * (double)arrow->errors / (double)arrow->requests : 0;
}
