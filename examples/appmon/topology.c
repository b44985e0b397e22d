/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon topology: who calls whom. */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "collect.h"
#include "commands.h"
#include "graph-output.h"
#include "signals.h"
#include "text.h"
#include "protocols.h"

#define DEFAULT_DURATION_NS (10 * NSEC_PER_SEC)

enum { KEY_DURATION = 0x100, KEY_FORMAT, KEY_HTML, KEY_REPLAY, KEY_TLS };

static const struct {
	const char *name;
	int (*write)(FILE *out, const struct graph *graph);
} formats[] = {{"text", graph_write_text}, {"dot", graph_write_dot}, {"json", graph_write_json}};
#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

struct arguments {
	struct targets targets;
	uint32_t protocols; /* 0: the library's default */
	uint32_t flags;	    /* APPMON_OPEN_* */
	uint64_t duration_ns;
	size_t format;
	const char *html;   /* NULL: no page */
	const char *replay; /* NULL: the kernel is the source */
	bool format_given;
};

static const struct argp_option argp_options[] = {
	{"tls", KEY_TLS, NULL, 0, TLS_HELP, 4},
	{.doc = "What to write, and when:", .group = 5},
	{"duration", KEY_DURATION, "TIME", 0, "Watch for this long (default 10s); Ctrl-C ends it",
	 0},
	{"format", KEY_FORMAT, "FORMAT", 0,
	 "text (a tree, the default), dot (for Graphviz) or json, to standard output", 0},
	{"html", KEY_HTML, "FILE", 0,
	 "Write a page with the graph to FILE, and text only if its format is given", 0},
	{"replay", KEY_REPLAY, "FILE", 0,
	 "Of a recording that appmon watch made, in place of targets", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->targets;
		state->child_inputs[1] = &args->protocols;
		args->duration_ns = DEFAULT_DURATION_NS;
		break;
	case KEY_DURATION:
		if (parse_duration(arg, NSEC_PER_SEC, &args->duration_ns) < 0)
			argp_error(state, "--duration: '%s' is no time such as 10s", arg);
		break;
	case KEY_FORMAT:
		args->format_given = true;
		for (args->format = 0; args->format < FORMAT_COUNT; args->format++)
			if (strcmp(arg, formats[args->format].name) == 0)
				return 0;
		argp_error(state, "--format: '%s' is not text, dot or json", arg);
		break;
	case KEY_HTML:
		args->html = arg;
		break;
	case KEY_REPLAY:
		args->replay = arg;
		args->targets.optional = true;
		break;
	case KEY_TLS:
		args->flags |= APPMON_OPEN_TLS;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {
	{.argp = &targets_argp}, {.argp = &protocols_argp}, {0}};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.children = children,
	.doc = "Watches for a while, then shows who calls whom, with rate, errors and latency: "
	       "applications by name, also of containers, where both ends are watched; else the "
	       "unit, "
	       "container or "
	       "cgroup "
	       "that listens on this machine, or the name in /etc/hosts or that its clients use, "
	       "with its port; else the "
	       "address. (clients) are all that call from outside."
	       "\v"
	       "Examples:\n"
	       "  appmon topology --unit nginx --unit shop --duration 30s\n"
	       "  appmon topology --cgroup /sys/fs/cgroup/shop --html shop.html\n"
	       "  appmon topology --unit nginx --format dot | dot -Tsvg > nginx.svg\n\n"
	       "Exit status: 0, 1 after a failure, 2 for wrong usage. Needs what appmon watch "
	       "needs.",
};

static int write_page(const char *path, const struct graph *graph)
{
	FILE *file = fopen(path, "we");
	int ret, err;

	if (!file) {
		err = -errno;
		warn("cannot write %s", path);
		return err;
	}
	ret = graph_write_html(file, graph);
	err = ferror(file) ? -EIO : 0;
	if (fclose(file) != 0 && err == 0)
		err = -errno;
	if (ret == 0 && err < 0) {
		warnx("cannot write %s: %s", path, strerror(-err));
		ret = err;
	}
	return ret;
}

static int write_graph(const struct arguments *args, const struct graph *graph)
{
	int ret = 0;

	if (args->html)
		ret = write_page(args->html, graph);
	if (ret == 0 && (!args->html || args->format_given)) {
		ret = formats[args->format].write(stdout, graph);
		if (ret == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
			ret = -EIO;
			warnx("cannot write the output");
		}
	}
	return ret;
}

static int watch(struct collect *collect, uint64_t duration_ns)
{
	uint64_t end_ns = now_ns() + duration_ns, now;
	int ret = 0;

	while (ret == 0 && signals_take() == 0 && (now = now_ns()) < end_ns) {
		uint64_t left_ms = (end_ns - now) / NSEC_PER_MSEC + 1;

		ret = collect_step(collect, left_ms < 1000 ? (int)left_ms : 1000);
	}
	if (ret == 0)
		ret = collect_drain(collect);
	return ret < 0 ? ret : 0;
}

static int replay(struct collect *collect)
{
	int ret = 0;

	while (ret == 0 && signals_take() == 0)
		ret = collect_step(collect, -1);
	return ret < 0 ? ret : 0;
}

static int show(struct collect *collect, const struct address_names *names,
		const struct arguments *args, uint64_t begin_ns)
{
	struct appmon_snapshot *snapshot = collect_snapshot(collect, true);
	struct graph graph;
	int ret;

	if (!snapshot)
		return -ENOMEM;
	if (args->replay)
		begin_ns = collect->first_ns;
	ret = graph_make(&graph, snapshot, names,
			 (double)(appmon_snapshot_time(snapshot) - begin_ns) / 1e9);
	if (ret == 0) {
		if (graph.arrow_count == 0)
			warnx("no request was seen");
		ret = write_graph(args, &graph);
		graph_free(&graph);
	} else {
		warnx("out of memory");
	}
	appmon_snapshot_free(snapshot);
	return ret;
}

static void take_event(void *ctx, const struct appmon_event *ev)
{
	address_names_event(ctx, ev);
}

static int run(const struct arguments *args)
{
	struct address_names names = {0};
	/* The network namespace that a client is in says whose addresses it means. */
	struct collect collect = {.protocols = args->protocols,
				  .flags = args->flags | APPMON_OPEN_IDENTITY,
				  .event_fn = take_event,
				  .event_ctx = &names};
	uint64_t begin_ns;
	int ret;

	ret = collect_open(&collect, &args->targets, args->replay);
	if (ret < 0)
		return ret;
	begin_ns = now_ns();
	names.containers = collect.containers;
	if (args->replay) {
		ret = replay(&collect);
	} else {
		fprintf(stderr, "appmon: watching %zu cgroup(s) for %.0f s; Ctrl-C ends it\n",
			args->targets.count, (double)args->duration_ns / 1e9);
		/* What ends meanwhile, and what begins. A recording may be another machine's. */
		address_names_read_hosts(&names, "/etc/hosts");
		address_names_read_listeners(&names, collect.mon);
		ret = watch(&collect, args->duration_ns);
		address_names_read_listeners(&names, collect.mon);
	}
	if (ret == 0)
		ret = show(&collect, &names, args, begin_ns);
	address_names_free(&names);
	collect_close(&collect);
	return ret;
}

int command_topology(int argc, char **argv)
{
	struct arguments args = {0};
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	ret = run(&args);
	targets_free(&args.targets);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
