/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon export: figures for Prometheus and OpenTelemetry. */
#include <stdlib.h>
#include <string.h>

#include "../commands.h"
#include "../options.h"
#include "../privileges.h"
#include "../protocols.h"
#include "../signals.h"
#include "../targets.h"
#include "../text.h"
#include "exporter.h"

/* Prometheus' list of default ports has it for OpenTelemetry's exporter. */
#define DEFAULT_LISTEN "127.0.0.1:9464"
#define DEFAULT_INTERVAL_NS (10 * NSEC_PER_SEC)

enum {
	KEY_LISTEN = 1,
	KEY_OTLP,
	KEY_OTLP_PROTOCOL,
	KEY_INTERVAL,
	KEY_SPANS,
	KEY_OTLP_HEADER,
	KEY_OTLP_HEADERS_FILE,
	KEY_NO_QUERY,
	KEY_REDACT,
	KEY_TLS,
	KEY_BUCKETS,
	KEY_SERVICE_TIMES
};

struct arguments {
	struct targets targets;
	struct exporter_opts exporter;
	struct durations_bounds bounds;
	struct otlp_headers headers;
	const char *headers_file; /* NULL: none */
	const char *redact[OPTIONS_MAX_REDACT];
};

static const struct argp_option argp_options[] = {
	{.doc = "Where to:", .group = 2},
	{"listen", KEY_LISTEN, "ADDRESS:PORT", 0,
	 "Serve /metrics there (default: " DEFAULT_LISTEN "; port 0: a free one; none: do not)", 0},
	{"otlp", KEY_OTLP, "URL", 0,
	 "Push to this OpenTelemetry receiver by OTLP/HTTP: http://localhost:4318", 0},
	{"otlp-protocol", KEY_OTLP_PROTOCOL, "PROTOCOL", 0,
	 "http/json, the default, or http/protobuf, which is shorter", 0},
	{"interval", KEY_INTERVAL, "TIME", 0, "Time between two pushes (default: 10s)", 0},
	{"spans", KEY_SPANS, "SHARE", 0,
	 "Push spans, too, of this share of traces: 100%, 0.05 (default: none)", 0},
	{"buckets", KEY_BUCKETS, "LIST", 0,
	 "Bounds of the histograms' buckets: 100us,1ms,10ms ... (default: 19 from 100us to 10s)",
	 0},
	{"service-times", KEY_SERVICE_TIMES, NULL, 0,
	 "Histograms of how long requests waited to be read, and how long the servers took, too",
	 0},
	{"otlp-header", KEY_OTLP_HEADER, "NAME=VALUE", 0,
	 "Send this header field with each push (repeatable); whoever lists processes sees it", 0},
	{"otlp-headers-file", KEY_OTLP_HEADERS_FILE, "FILE", 0,
	 "The same of each line of FILE; those of OTEL_EXPORTER_OTLP_HEADERS are sent, too", 0},
	{"no-query", KEY_NO_QUERY, NULL, 0, "Never keep the query part of a request target", 0},
	{"redact", KEY_REDACT, "NAME", 0,
	 "The value of this query parameter is a secret, too (repeatable)", 0},
	{"tls", KEY_TLS, NULL, 0, TLS_HELP, 4},
	{0},
};

static double share_or_error(struct argp_state *state, const char *arg)
{
	double share;

	if (parse_share(arg, &share) < 0)
		argp_error(state, "--spans: '%s' is no share such as 5%% or 0.05", arg);
	return share;
}

static void add_header(struct argp_state *state, struct arguments *args, const char *arg)
{
	const char *wrong = otlp_headers_add(&args->headers, arg);

	if (wrong)
		argp_error(state, "--otlp-header: %s", wrong);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;
	struct exporter_opts *opts = &args->exporter;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->targets;
		state->child_inputs[1] = &args->exporter.protocols;
		break;
	case KEY_LISTEN:
		opts->listen = strcmp(arg, "none") == 0 ? NULL : arg;
		break;
	case KEY_OTLP:
		if (strncmp(arg, "http://", 7) != 0 && strncmp(arg, "https://", 8) != 0)
			argp_error(state, "--otlp: '%s' is no http:// or https:// URL", arg);
		opts->otlp_endpoint = arg;
		break;
	case KEY_OTLP_PROTOCOL:
		if (otlp_protocol_parse(arg, &opts->otlp_protocol) < 0)
			argp_error(state, "--otlp-protocol: " OTLP_PROTOCOL_WRONG, arg);
		break;
	case KEY_INTERVAL:
		if (parse_duration(arg, NSEC_PER_SEC, &opts->otlp_interval_ns) < 0)
			argp_error(state, "--interval: '%s' is no time such as 30s", arg);
		break;
	case KEY_SPANS:
		opts->otlp_spans = share_or_error(state, arg);
		break;
	case KEY_BUCKETS:
		if (durations_parse(arg, &args->bounds) < 0)
			argp_error(state, "--buckets: " BUCKETS_WRONG, arg);
		opts->bounds = &args->bounds;
		break;
	case KEY_SERVICE_TIMES:
		opts->service_times = true;
		break;
	case KEY_OTLP_HEADER:
		add_header(state, args, arg);
		break;
	case KEY_OTLP_HEADERS_FILE:
		args->headers_file = arg;
		break;
	case KEY_NO_QUERY:
		opts->open_flags |= APPMON_OPEN_DROP_QUERY;
		break;
	case KEY_REDACT:
		options_add_redact(state, args->redact, &opts->redact_count, arg);
		break;
	case KEY_TLS:
		opts->open_flags |= APPMON_OPEN_TLS;
		break;
	case ARGP_KEY_END:
		if ((args->headers.count > 0 || args->headers_file) && !opts->otlp_endpoint)
			argp_error(state, "--otlp-header: say where to with --otlp");
		if (!opts->listen && !opts->otlp_endpoint)
			argp_error(state, "--listen none: say where to with --otlp");
		if (opts->otlp_spans > 0 && !opts->otlp_endpoint)
			argp_error(state, "--spans: say where to with --otlp");
		if (opts->otlp_protocol != OTLP_HTTP_JSON && !opts->otlp_endpoint)
			argp_error(state, "--otlp-protocol: say where to with --otlp");
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
	.doc = "Counts the requests of processes and hands the figures to Prometheus "
	       "(/metrics as text, OpenMetrics or protobuf) and OpenTelemetry. Names and "
	       "labels are those of OpenTelemetry's semantic conventions: "
	       "http_server_request_duration_seconds with service_name, http_route ..."
	       "\v"
	       "Examples:\n"
	       "  appmon export --unit nginx --name web\n"
	       "  curl http://127.0.0.1:9464/metrics\n"
	       "  appmon export --unit nginx --otlp http://localhost:4318 --spans 10%\n\n"
	       "Ctrl-C ends it. Exit status: 0, 1 after a failure, 2 for wrong usage. "
	       "Needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and gives up all "
	       "capabilities once it watches, but for --tls. More than a few cgroups, cgroups that "
	       "come and go, and alerts: see appmon agent.",
};

static void on_attached(void *ctx, const char *cgroup)
{
	struct exporter *exporter = ctx;

	instances_see_tree(&exporter->instances, cgroup);
}

static int export_figures(struct arguments *args)
{
	struct exporter exporter;
	int ret;

	ret = exporter_open(&exporter, &args->exporter);
	if (ret < 0)
		return ret;
	args->targets.attached = on_attached;
	args->targets.ctx = &exporter;
	ret = targets_attach(&args->targets, exporter.mon);
	if (ret == 0 && !(args->exporter.open_flags & APPMON_OPEN_TLS))
		ret = privileges_drop();
	if (ret == 0)
		fprintf(stderr, "appmon: watching %zu cgroup(s); Ctrl-C to stop\n",
			args->targets.count);
	while (ret >= 0 && signals_take() == 0)
		ret = exporter_step(&exporter, NULL, 0, -1);
	if (ret >= 0)
		ret = exporter_drain(&exporter);
	exporter_close(&exporter);
	return ret;
}

/* The command line counts before the file, and that before the environment. */
static int read_headers(struct arguments *args)
{
	int ret = 0;

	if (!args->exporter.otlp_endpoint)
		return 0;
	if (args->headers_file)
		ret = otlp_headers_add_file(&args->headers, args->headers_file);
	if (ret == 0)
		ret = otlp_headers_add_environment(&args->headers);
	return ret;
}

int command_export(int argc, char **argv)
{
	struct arguments args = {
		.exporter = {.listen = DEFAULT_LISTEN, .otlp_interval_ns = DEFAULT_INTERVAL_NS}};
	int ret;

	args.exporter.redact = args.redact;
	argp_parse(&argp, argc, argv, 0, NULL, &args);
	ret = read_headers(&args);
	args.exporter.otlp_headers = args.headers;
	if (ret == 0)
		ret = export_figures(&args);
	otlp_headers_free(&args.headers);
	targets_free(&args.targets);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
