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

static int node_of_address(struct graph *graph, const struct address_names *names,
			   const struct appmon_endpoint *address, size_t *ret)
{
	const struct address_name *known = address_names_find(names, address);
	char name[300];
	int err;

	address_name_format(known, address, name, sizeof(name));
	err = node_of(graph, name, known && known->watched, ret);
	if (err == 0 && !graph->node[*ret].monitored)
		address_name_format(NULL, address, graph->node[*ret].address,
				    sizeof(graph->node[*ret].address));
	return err;
}

static int end_of(struct graph *graph, const struct address_names *names,
		  const struct appmon_str *app, const struct appmon_endpoint *address, bool other,
		  size_t *ret)
{
	if (other)
		return node_of(graph, GRAPH_OTHER, false, ret);
	if (app->len > 0)
		return node_of(graph, app->data, true, ret);
	if (!address->family)
		return node_of(graph, GRAPH_CLIENTS, false, ret);
	return node_of_address(graph, names, address, ret);
}

/* The arrow between two nodes, which addresses with one name share. NULL: no memory. */
static struct arrow *arrow_of(struct graph *graph, size_t client, size_t server, uint32_t protocol)
{
	struct arrow *arrow;

	for (size_t i = 0; i < graph->arrow_count; i++) {
		arrow = &graph->arrow[i];
		if (arrow->client == client && arrow->server == server &&
		    arrow->protocol == protocol)
			return arrow;
	}
	arrow = &graph->arrow[graph->arrow_count];
	*arrow = (struct arrow){.client = client, .server = server, .protocol = protocol};
	if (appmon_histogram_new(&arrow->durations) < 0)
		return NULL;
	graph->arrow_count++;
	graph->node[client].out++;
	graph->node[server].in++;
	return arrow;
}

static int add_figures(struct arrow *arrow, const struct appmon_snapshot *snapshot, uint32_t index)
{
	struct appmon_figures f = {.size = sizeof(f)};
	int ret = appmon_snapshot_figures(snapshot, APPMON_SNAPSHOT_EDGES, index, NULL, &f);

	if (ret < 0)
		return ret;
	arrow->requests += f.requests;
	arrow->errors += f.errors;
	arrow->request_bytes += f.request_bytes;
	arrow->response_bytes += f.response_bytes;
	arrow->has_durations |= f.duration_count > 0;
	arrow->max = f.duration_max > arrow->max ? f.duration_max : arrow->max;
	return appmon_snapshot_durations(snapshot, APPMON_SNAPSHOT_EDGES, index, NULL,
					 arrow->durations);
}

static int busiest_first(const void *a, const void *b)
{
	const struct arrow *x = a, *y = b;

	return (x->requests < y->requests) - (x->requests > y->requests);
}

int graph_make(struct graph *graph, const struct appmon_snapshot *snapshot,
	       const struct address_names *names, double seconds)
{
	uint32_t count = appmon_snapshot_count(snapshot, APPMON_SNAPSHOT_EDGES);
	int ret = 0;

	*graph = (struct graph){.seconds = seconds};
	graph->arrow = calloc(count > 0 ? count : 1, sizeof(*graph->arrow));
	if (!graph->arrow)
		return -ENOMEM;
	for (uint32_t i = 0; ret == 0 && i < count; i++) {
		struct appmon_edge edge = {.size = sizeof(edge)};
		size_t client = 0, server = 0;
		struct arrow *arrow;
		bool other;

		ret = appmon_snapshot_edge(snapshot, i, &edge);
		other = edge.flags & APPMON_SERIES_OTHER;
		if (ret == 0)
			ret = end_of(graph, names, &edge.client_app, &edge.client, other, &client);
		if (ret == 0)
			ret = end_of(graph, names, &edge.server_app, &edge.server, other, &server);
		if (ret < 0)
			break;
		arrow = arrow_of(graph, client, server, edge.protocol);
		ret = arrow ? add_figures(arrow, snapshot, i) : -ENOMEM;
	}
	for (size_t i = 0; i < graph->arrow_count; i++) {
		struct arrow *arrow = &graph->arrow[i];

		arrow->p50 = appmon_histogram_quantile(arrow->durations, 0.5);
		arrow->p95 = appmon_histogram_quantile(arrow->durations, 0.95);
		arrow->p99 = appmon_histogram_quantile(arrow->durations, 0.99);
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
	for (size_t i = 0; i < graph->arrow_count; i++)
		appmon_histogram_free(graph->arrow[i].durations);
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
