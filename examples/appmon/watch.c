/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon watch: what is running already. */
#include <stdlib.h>

#include "commands.h"
#include "privileges.h"
#include "session.h"
#include "signals.h"
#include "targets.h"

struct arguments {
	struct options options;
	struct targets targets;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &args->targets;
	state->child_inputs[1] = &args->options;
	return 0;
}

static const struct argp_child children[] = {{.argp = &targets_argp}, {.argp = &options_argp}, {0}};

static const struct argp argp = {
	.parser = parse,
	.children = children,
	.doc = "Shows every request that processes serve or send, while they run."
	       "\v"
	       "A line is: time, application, <- for a request that came in or -> for one that was "
	       "sent, the remote end, status (--- if none came), duration from the first byte of "
	       "the request to the last byte of the response, size of the response's body, method "
	       "and path, and in brackets what is worth to know.\n\n"
	       "Examples:\n"
	       "  appmon watch --unit nginx\n"
	       "  appmon watch --cgroup /sys/fs/cgroup/system.slice --status 5xx,none\n"
	       "  appmon watch --pid 1234 --name shop --slower 100ms --path /api/\n"
	       "  appmon watch --unit nginx --json | jq .path\n\n"
	       "Ctrl-C ends it. Exit status: 0, 1 after a failure, 2 for wrong usage. "
	       "Needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and gives up all "
	       "capabilities "
	       "once it watches, but for --goroutines and --tls.",
};

static int watch(const struct arguments *args)
{
	struct session session;
	int ret;

	ret = session_open(&session, &args->options);
	if (ret < 0)
		return ret;
	ret = container_names_open(&session.containers);
	if (ret == 0)
		ret = targets_attach(&args->targets, session.mon);
	session.targets = (unsigned)args->targets.count;
	/* Programs that start later are attached to when they are seen. */
	if (ret == 0 && !(args->options.flags & (APPMON_OPEN_GOROUTINES | APPMON_OPEN_TLS)))
		ret = privileges_drop();
	if (ret == 0) {
		session_announce(&session);
		while (ret == 0 && signals_take() == 0)
			ret = session_step(&session);
	}
	if (ret >= 0)
		ret = session_drain(&session);
	if (ret >= 0)
		ret = session_summarize(&session);
	session_close(&session);
	return ret;
}

int command_watch(int argc, char **argv)
{
	struct arguments args = {0};
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	ret = watch(&args);
	targets_free(&args.targets);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
