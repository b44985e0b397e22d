/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

#include "graph-output.h"
#include "text.h"

/* ---- a tree ------------------------------------------------------------------- */

struct branches {
	const char *branch, *last, *stem, *none;
};

static const struct branches utf8 = {"├─ ", "└─ ", "│  ", "   "};
static const struct branches ascii = {"|- ", "`- ", "|  ", "   "};

struct tree {
	FILE *out;
	const struct graph *graph;
	const struct branches *branches;
	bool *shown; /* by node */
	char prefix[1024];
};

static void put_figures(FILE *out, const struct graph *graph, const struct arrow *arrow)
{
	char p50[TEXT_UNIT_SIZE], p95[TEXT_UNIT_SIZE];

	fprintf(out, "  %.1f req/s, %.2f%% errors", arrow_rate(graph, arrow),
		arrow_error_share(arrow));
	if (arrow->has_durations)
		fprintf(out, ", p50 %s, p95 %s", format_duration(arrow->p50, p50),
			format_duration(arrow->p95, p95));
}

static void put_calls(struct tree *tree, size_t client);

static void put_call(struct tree *tree, const struct arrow *arrow, bool last)
{
	const struct node *server = &tree->graph->node[arrow->server];
	const char *stem = last ? tree->branches->none : tree->branches->stem;
	size_t len = strlen(tree->prefix);
	bool shown = tree->shown[arrow->server];

	fprintf(tree->out, "%s%s", tree->prefix,
		last ? tree->branches->last : tree->branches->branch);
	put_escaped(tree->out, server->name, strlen(server->name), SIZE_MAX);
	put_figures(tree->out, tree->graph, arrow);
	if (shown && server->out > 0)
		fputs("  (see above)", tree->out);
	fputc('\n', tree->out);
	/* Deeper than a screen is wide. */
	if (shown || len + strlen(stem) >= sizeof(tree->prefix))
		return;
	strcpy(tree->prefix + len, stem);
	put_calls(tree, arrow->server);
	tree->prefix[len] = '\0';
}

static void put_calls(struct tree *tree, size_t client)
{
	size_t left = tree->graph->node[client].out;

	tree->shown[client] = true;
	for (size_t i = 0; i < tree->graph->arrow_count; i++)
		if (tree->graph->arrow[i].client == client)
			put_call(tree, &tree->graph->arrow[i], --left == 0);
}

static void put_root(struct tree *tree, size_t node)
{
	const char *name = tree->graph->node[node].name;

	put_escaped(tree->out, name, strlen(name), SIZE_MAX);
	fputc('\n', tree->out);
	put_calls(tree, node);
}

int graph_write_text(FILE *out, const struct graph *graph)
{
	struct tree tree = {.out = out, .graph = graph, .branches = &ascii};

	if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
		tree.branches = &utf8;
	tree.shown = calloc(graph->node_count + 1, sizeof(*tree.shown));
	if (!tree.shown)
		return -ENOMEM;
	for (size_t i = 0; i < graph->node_count; i++)
		if (graph->node[i].in == 0)
			put_root(&tree, i);
	/* Circles without a beginning. */
	for (size_t i = 0; i < graph->node_count; i++)
		if (!tree.shown[i] && graph->node[i].out > 0)
			put_root(&tree, i);
	free(tree.shown);
	return 0;
}

/* ---- Graphviz -------------------------------------------------------------------- */

static void put_quoted(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', out);
		/* What steers a terminal has no place in a label. */
		fputc((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s, out);
	}
	fputc('"', out);
}

int graph_write_dot(FILE *out, const struct graph *graph)
{
	fputs("digraph appmon {\n"
	      "\trankdir=LR;\n"
	      "\tnode [shape=box, style=\"rounded,filled\", fillcolor=\"#eef3fb\", "
	      "fontname=\"sans-serif\"];\n"
	      "\tedge [fontname=\"sans-serif\", fontsize=10];\n",
	      out);
	for (size_t i = 0; i < graph->node_count; i++) {
		fprintf(out, "\tn%zu [label=", i);
		put_quoted(out, graph->node[i].name);
		fputs(graph->node[i].monitored ? "];\n" : ", style=dashed];\n", out);
	}
	for (size_t i = 0; i < graph->arrow_count; i++) {
		const struct arrow *arrow = &graph->arrow[i];
		char p95[TEXT_UNIT_SIZE] = "-";

		if (arrow->has_durations)
			format_duration(arrow->p95, p95);
		fprintf(out, "\tn%zu -> n%zu [label=\"%.1f/s\\n%.2f%% errors\\np95 %s\"%s];\n",
			arrow->client, arrow->server, arrow_rate(graph, arrow),
			arrow_error_share(arrow), p95, arrow->errors > 0 ? ", color=red" : "");
	}
	fputs("}\n", out);
	return 0;
}
