/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon watch: what is running already. */
#include <err.h>
#include <limits.h>
#include <stdlib.h>

#include "cgroup.h"
#include "commands.h"
#include "privileges.h"
#include "session.h"
#include "signals.h"
#include "text.h"

enum { KEY_CGROUP = 1, KEY_UNIT = 2 };

struct target {
	int key; /* the option that named it */
	const char *value;
	const char *name;
};

struct arguments {
	struct options options;
	struct target *targets;
	size_t target_count;
};

static const struct argp_option argp_options[] = {
	{.doc = "What to watch (one or more):", .group = 1},
	{"cgroup", KEY_CGROUP, "PATH", 0, "The sockets of this cgroup v2 directory and below it",
	 0},
	{"pid", 'p', "PID", 0, "The cgroup of this process", 0},
	{"unit", KEY_UNIT, "NAME", 0, "The cgroup of this systemd unit (nginx or nginx.service)",
	 0},
	{"name", 'n', "NAME", 0,
	 "The application's name for the target before it (default: the cgroup's name)", 0},
	{0},
};

static void add_target(struct argp_state *state, int key, const char *value)
{
	struct arguments *args = state->input;
	size_t count = args->target_count + 1;
	uint64_t pid;

	if (key == 'p' && parse_count(value, INT_MAX, &pid) < 0)
		argp_error(state, "--pid: '%s' is no process id", value);
	if (*value == '\0')
		argp_error(state, "the name of a target is empty");
	args->targets = reallocarray(args->targets, count, sizeof(*args->targets));
	if (!args->targets)
		argp_failure(state, EXIT_FAILURE, 0, "out of memory");
	args->targets[args->target_count] = (struct target){.key = key, .value = value};
	args->target_count = count;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->options;
		break;
	case KEY_CGROUP:
	case 'p':
	case KEY_UNIT:
		add_target(state, key, arg);
		break;
	case 'n':
		if (args->target_count == 0 || args->targets[args->target_count - 1].name)
			argp_error(state, "--name %s: put it after the target that it names", arg);
		args->targets[args->target_count - 1].name = arg;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option; did you mean --cgroup %s?", arg, arg);
		break;
	case ARGP_KEY_END:
		if (args->target_count == 0)
			argp_error(state, "say what to watch: --cgroup, --pid or --unit");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {{.argp = &options_argp}, {0}};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.children = children,
	.doc = "Shows every HTTP request that processes serve or send, while they run."
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
	       "once it watches.",
};

static int attach_target(struct session *session, const struct target *target)
{
	const char *cgroup = target->value;
	char *found = NULL;
	int ret = 0;

	if (target->key == 'p')
		ret = cgroup_of_pid((pid_t)strtol(target->value, NULL, 10), &found);
	else if (target->key == KEY_UNIT)
		ret = cgroup_of_unit(target->value, &found);
	if (ret == 0)
		ret = session_attach(session, found ? found : cgroup, target->name);
	free(found);
	return ret;
}

static int watch(const struct arguments *args)
{
	struct session session;
	int ret;

	ret = session_open(&session, &args->options);
	if (ret < 0)
		return ret;
	for (size_t i = 0; ret == 0 && i < args->target_count; i++)
		ret = attach_target(&session, &args->targets[i]);
	if (ret == 0)
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
	free(args.targets);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
