/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon console: a page that shows what a machine's applications do. */
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../commands.h"
#include "../container-names.h"
#include "../options.h"
#include "../privileges.h"
#include "../machine-names.h"
#include "../protocols.h"
#include "../signals.h"
#include "../targets.h"
#include "../text.h"
#include "access.h"
#include "console.h"

#define EVALUATE_NS (5 * NSEC_PER_SEC)
#define NAME_SIZE 128

enum { KEY_LISTEN = 1, KEY_TOKEN_FILE, KEY_NO_QUERY, KEY_REDACT, KEY_TLS };

struct arguments {
	struct targets targets;
	struct exporter_opts exporter;
	const char *listen, *token_file;
	const char *redact[OPTIONS_MAX_REDACT];
};

static const struct argp_option argp_options[] = {
	{.doc = "The page:", .group = 2},
	{"listen", KEY_LISTEN, "ADDRESS:PORT", 0,
	 "Serve it there (default: " CONSOLE_DEFAULT_LISTEN "; port 0: a free one)", 0},
	{"token-file", KEY_TOKEN_FILE, "FILE", 0,
	 "Only who knows the token in FILE may read it: needed where other machines could", 0},
	{"no-query", KEY_NO_QUERY, NULL, 0, "Never keep the query part of a request target", 0},
	{"redact", KEY_REDACT, "NAME", 0,
	 "The value of this query parameter is a secret, too (repeatable)", 0},
	{"tls", KEY_TLS, NULL, 0, TLS_HELP, 4},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		args->targets.optional = true;
		state->child_inputs[0] = &args->targets;
		state->child_inputs[1] = &args->exporter.protocols;
		break;
	case KEY_LISTEN:
		args->listen = arg;
		break;
	case KEY_TOKEN_FILE:
		args->token_file = arg;
		break;
	case KEY_NO_QUERY:
		args->exporter.open_flags |= APPMON_OPEN_DROP_QUERY;
		break;
	case KEY_REDACT:
		options_add_redact(state, args->redact, &args->exporter.redact_count, arg);
		break;
	case KEY_TLS:
		args->exporter.open_flags |= APPMON_OPEN_TLS;
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
	.doc = "Watches the applications of this machine, or those that are named, and serves a "
	       "live "
	       "page: a map of who calls whom, the last hour of each application, its interfaces, "
	       "instances, failed and slow requests, and alerts."
	       "\v"
	       "Examples:\n"
	       "  appmon console\n"
	       "  appmon console --unit nginx --name web\n"
	       "  ssh -L 9465:127.0.0.1:9465 server appmon console\n\n"
	       "Then open http://127.0.0.1:9465/. Ctrl-C ends it. With nothing named it watches "
	       "all "
	       "cgroups and all protocols that it knows; applications have the names of systemd "
	       "services, containers and processes. Exit status: 0, 1 after a failure, 2 for wrong "
	       "usage. Needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and gives up all "
	       "capabilities once it watches, but for --tls. Names by rules, and alerts of your "
	       "own: see appmon agent.",
};

/* ---- What is watched ---------------------------------------------------------------------- */

struct running {
	struct exporter exporter;
	struct container_names *containers; /* NULL: nobody knows any */
	struct console *console;
	struct alerts *alerts;
	struct silences silences;
	bool all; /* whatever is on the machine */
	char name[NAME_SIZE];
	uint64_t evaluate_due_ns;
};

/* Those of the page would otherwise be among the busiest. */
static bool is_own(const struct running *running, const struct appmon_event *ev)
{
	uint16_t port = console_port(running->console);

	return ev->role == APPMON_ROLE_SERVER ? ev->local.port == port : ev->remote.port == port;
}

static const char *name_of(void *ctx, const struct appmon_event *ev)
{
	struct running *running = ctx;
	char number[24];
	const char *path, *container;

	if (is_own(running, ev))
		return NULL;
	if (!running->all)
		return container_names_of_event(running->containers, running->exporter.mon, ev);
	instances_of(&running->exporter.instances, ev->cgroup_id);
	path = instances_name(&running->exporter.instances, ev->cgroup_id, number, sizeof(number));
	container = container_names_find(running->containers, ev->cgroup_id, path);
	if (container)
		return container;
	return machine_name(path, ev->comm.data, running->name, sizeof(running->name));
}

static bool label_instance(void *ctx, const char *path, char *buf, size_t size)
{
	const struct running *running = ctx;

	return container_names_instance(running->containers, path, buf, size);
}

/* What has no name is not shown. */
static void forget(void *ctx, const struct appmon_event *ev)
{
	(void)ctx;
	(void)ev;
}

static void on_attached(void *ctx, const char *cgroup)
{
	struct running *running = ctx;

	instances_see_tree(&running->exporter.instances, cgroup);
}

static int attach_all(struct running *running)
{
	const char *mount = running->exporter.instances.mount;
	struct appmon_attach_opts opts = {.size = sizeof(opts), .name = "machine"};
	int ret = appmon_attach_cgroup(running->exporter.mon, mount, &opts, NULL);

	if (ret < 0)
		warnx("%s", appmon_last_error(running->exporter.mon));
	else
		on_attached(running, mount);
	return ret;
}

static int attach(struct running *running, struct targets *targets)
{
	running->all = targets->count == 0;
	running->exporter.names =
		(struct exporter_names){.name = name_of, .hold = forget, .ctx = running};
	if (running->all)
		return attach_all(running);
	targets->attached = on_attached;
	targets->ctx = running;
	return targets_attach(targets, running->exporter.mon);
}

/* ---- Alerts ------------------------------------------------------------------------------- */

/* What goes for any application. */
static struct alert_rule rules[] = {
	{.name = "errors",
	 .when = "error_ratio > 5%",
	 .clear = 0.02,
	 .for_ns = 30 * NSEC_PER_SEC,
	 .clear_for_ns = 60 * NSEC_PER_SEC,
	 .min_requests = 20},
	{.name = "hangs", .when = "active_age > 30s", .clear = 30, .min_requests = 1},
};
#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

static void on_notice(void *ctx, const struct alert_notice *notice)
{
	struct running *running = ctx;

	console_notice(running->console, notice);
}

static int open_alerts(struct running *running)
{
	int ret;

	for (size_t i = 0; i < RULE_COUNT; i++) {
		rules[i].role = APPMON_ROLE_SERVER;
		rules[i].over_ns = 60 * NSEC_PER_SEC;
		alert_condition_parse(&rules[i].condition, rules[i].when);
	}
	ret = alerts_open(&running->alerts, rules, RULE_COUNT, on_notice, running);
	if (ret == 0)
		alerts_use_silences(running->alerts, &running->silences);
	return ret;
}

static void evaluate(struct running *running, uint64_t now)
{
	struct appmon_snapshot *snapshot;

	if (now < running->evaluate_due_ns)
		return;
	running->evaluate_due_ns = now + EVALUATE_NS;
	if (exporter_snapshot(&running->exporter, &snapshot) == 0 &&
	    alerts_evaluate(running->alerts, snapshot) < 0)
		warnx("the alerts could not be evaluated: out of memory");
}

/* ---- The command -------------------------------------------------------------------------- */

static int open_all(struct running *running, struct arguments *args, const char *token)
{
	struct console_opts opts = {.listen = args->listen,
				    .token = token,
				    .exporter = &running->exporter,
				    .silences = &running->silences,
				    .label_instance = label_instance,
				    .ctx = running};
	int ret;

	ret = exporter_open(&running->exporter, &args->exporter);
	if (ret < 0)
		return ret;
	ret = container_names_open(&running->containers);
	if (ret == 0)
		ret = open_alerts(running);
	opts.alerts = running->alerts;
	if (ret == 0)
		ret = console_open(&running->console, &opts);
	if (ret == 0)
		ret = attach(running, &args->targets);
	if (ret == 0 && !(args->exporter.open_flags & APPMON_OPEN_TLS))
		ret = privileges_drop();
	return ret;
}

static int step(struct running *running)
{
	uint64_t now = now_ns();
	int fd = console_fd(running->console), timeout_ms, evaluate_ms;

	container_names_run(running->containers);
	evaluate(running, now);
	timeout_ms = console_run(running->console, now);
	evaluate_ms = (int)((running->evaluate_due_ns - now) / NSEC_PER_MSEC) + 1;
	return exporter_step(&running->exporter, &fd, 1,
			     evaluate_ms < timeout_ms ? evaluate_ms : timeout_ms);
}

static int run(struct arguments *args, const char *token)
{
	struct running running = {0};
	int ret = open_all(&running, args, token);

	if (ret == 0)
		fprintf(stderr, "appmon: watching %zu cgroup(s)%s; Ctrl-C to stop\n",
			running.all ? 1 : args->targets.count,
			running.all ? " with all below" : "");
	while (ret >= 0 && signals_take() == 0)
		ret = step(&running);
	console_close(running.console);
	alerts_close(running.alerts);
	silences_free(&running.silences);
	if (running.exporter.mon)
		exporter_close(&running.exporter);
	container_names_close(running.containers);
	return ret;
}

static uint32_t all_protocols(void)
{
	uint32_t all = 0;

	for (uint32_t protocol = 1; protocol < 32 && appmon_protocol_name(protocol); protocol++)
		all |= 1U << protocol;
	return all;
}

int command_console(int argc, char **argv)
{
	struct arguments args = {.listen = CONSOLE_DEFAULT_LISTEN};
	char *token = NULL;
	int ret = -EINVAL;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	args.exporter.open_flags |= CONSOLE_OPEN_FLAGS;
	args.exporter.redact = args.redact;
	if (args.exporter.protocols == 0)
		args.exporter.protocols = all_protocols();
	if (args.token_file)
		token = access_read_token(args.token_file);
	if (token || !args.token_file)
		ret = run(&args, token);
	free(token);
	targets_free(&args.targets);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
