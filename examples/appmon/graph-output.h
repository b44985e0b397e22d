/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways to show a graph. */
#ifndef APPMON_CLI_GRAPH_OUTPUT_H
#define APPMON_CLI_GRAPH_OUTPUT_H

#include <stdio.h>

#include "graph.h"

/* A tree from the applications without callers; what has been shown is not shown again. */
int graph_write_text(FILE *out, const struct graph *graph);
/* For Graphviz: dot -Tsvg. */
int graph_write_dot(FILE *out, const struct graph *graph);
/* One object on one line. */
int graph_write_json(FILE *out, const struct graph *graph);
/* A page that is complete in one file. */
int graph_write_html(FILE *out, const struct graph *graph);

#endif /* APPMON_CLI_GRAPH_OUTPUT_H */
