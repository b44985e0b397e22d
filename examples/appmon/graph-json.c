/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "graph-output.h"
#include "json.h"
#include "names.h"

#include "topology.html.h" /* made by meson from topology.html */

/* Where the data goes in the page. */
#define DATA_MARK "@DATA@"

static void add_uint(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static struct json_object *new_name(const char *name)
{
	struct appmon_str str = {.data = name, .len = (uint32_t)strlen(name)};

	return json_new_str(&str);
}

static struct json_object *new_node(const struct graph *graph, size_t i)
{
	struct json_object *object = json_object_new_object();

	add_uint(object, "id", i);
	json_object_object_add(object, "name", new_name(graph->node[i].name));
	if (graph->node[i].address[0] != '\0')
		json_object_object_add(object, "address", new_name(graph->node[i].address));
	json_object_object_add(object, "monitored",
			       json_object_new_boolean(graph->node[i].monitored));
	return object;
}

static struct json_object *new_arrow(const struct graph *graph, const struct arrow *arrow)
{
	struct json_object *object = json_object_new_object();

	add_uint(object, "client", arrow->client);
	add_uint(object, "server", arrow->server);
	json_object_object_add(object, "protocol",
			       json_object_new_string(protocol_name(arrow->protocol)));
	add_uint(object, "requests", arrow->requests);
	add_uint(object, "errors", arrow->errors);
	json_object_object_add(object, "requests_per_second",
			       json_object_new_double(arrow_rate(graph, arrow)));
	add_uint(object, "request_bytes", arrow->request_bytes);
	add_uint(object, "response_bytes", arrow->response_bytes);
	if (arrow->has_durations) {
		add_uint(object, "p50_ns", arrow->p50);
		add_uint(object, "p95_ns", arrow->p95);
		add_uint(object, "p99_ns", arrow->p99);
		add_uint(object, "max_ns", arrow->max);
	}
	return object;
}

int graph_write_json(FILE *out, const struct graph *graph)
{
	struct json_object *object = json_object_new_object();
	struct json_object *nodes = json_object_new_array();
	struct json_object *edges = json_object_new_array();

	for (size_t i = 0; i < graph->node_count; i++)
		json_object_array_add(nodes, new_node(graph, i));
	for (size_t i = 0; i < graph->arrow_count; i++)
		json_object_array_add(edges, new_arrow(graph, &graph->arrow[i]));
	json_object_object_add(object, "seconds", json_object_new_double(graph->seconds));
	json_object_object_add(object, "nodes", nodes);
	json_object_object_add(object, "edges", edges);
	json_write_line(out, object);
	return 0;
}

int graph_write_html(FILE *out, const struct graph *graph)
{
	const char *mark = strstr(topology_html, DATA_MARK);
	char *data = NULL;
	size_t size;
	FILE *memory = open_memstream(&data, &size);

	if (!memory)
		return -ENOMEM;
	graph_write_json(memory, graph);
	if (fclose(memory) != 0) {
		free(data);
		return -ENOMEM;
	}
	fwrite(topology_html, 1, (size_t)(mark - topology_html), out);
	/* No name can end the element that the data is in. */
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '<')
			fputs("\\u003c", out);
		else
			fputc(data[i], out);
	}
	fputs(mark + strlen(DATA_MARK), out);
	free(data);
	return 0;
}
