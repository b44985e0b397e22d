/* SPDX-License-Identifier: BSD-2-Clause */
#include "targets.h"

#include <err.h>
#include <limits.h>
#include <stdlib.h>

#include "cgroup.h"
#include "text.h"

enum { KEY_CGROUP = 1, KEY_UNIT = 2 };

static const struct argp_option argp_options[] = {
	{.doc = "What to watch (one or more):", .group = 1},
	{"cgroup", KEY_CGROUP, "PATH", 0, "The sockets of this cgroup v2 directory and below it",
	 0},
	{"pid", 'p', "PID", 0, "The cgroup of this process", 0},
	{"unit", KEY_UNIT, "NAME", 0, "The cgroup of this systemd unit (nginx or nginx.service)",
	 0},
	{"name", 'n', "NAME", 0,
	 "The application's name for the target before it (default: those of its containers, else "
	 "the cgroup's)",
	 0},
	{0},
};

static void add_target(struct argp_state *state, int key, const char *value)
{
	struct targets *targets = state->input;
	size_t count = targets->count + 1;
	uint64_t pid;

	if (key == 'p' && parse_count(value, INT_MAX, &pid) < 0)
		argp_error(state, "--pid: '%s' is no process id", value);
	if (*value == '\0')
		argp_error(state, "the name of a target is empty");
	targets->list = reallocarray(targets->list, count, sizeof(*targets->list));
	if (!targets->list)
		argp_failure(state, EXIT_FAILURE, 0, "out of memory");
	targets->list[targets->count] = (struct target){.key = key, .value = value};
	targets->count = count;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct targets *targets = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &targets->ports;
		break;
	case KEY_CGROUP:
	case 'p':
	case KEY_UNIT:
		add_target(state, key, arg);
		break;
	case 'n':
		if (targets->count == 0 || targets->list[targets->count - 1].name)
			argp_error(state, "--name %s: put it after the target that it names", arg);
		targets->list[targets->count - 1].name = arg;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option; did you mean --cgroup %s?", arg, arg);
		break;
	case ARGP_KEY_END:
		if (targets->count == 0 && !targets->optional)
			argp_error(state, "say what to watch: --cgroup, --pid or --unit");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {{.argp = &ports_argp}, {0}};

const struct argp targets_argp = {.options = argp_options, .parser = parse, .children = children};

static int attach(const struct targets *targets, const struct target *target, struct appmon *mon)
{
	struct appmon_attach_opts opts = {.size = sizeof(opts),
					  .name = target->name,
					  .user = target->name ? NULL : (void *)target,
					  .ports = targets->ports.list,
					  .port_count = targets->ports.count};
	const char *cgroup = target->value;
	char *found = NULL;
	int ret = 0;

	if (target->key == 'p')
		ret = cgroup_of_pid((pid_t)strtol(target->value, NULL, 10), &found);
	else if (target->key == KEY_UNIT)
		ret = cgroup_of_unit(target->value, &found);
	if (ret < 0)
		return ret;
	ret = appmon_attach_cgroup(mon, found ? found : cgroup, &opts, NULL);
	if (ret < 0)
		warnx("%s", appmon_last_error(mon));
	else if (targets->attached)
		targets->attached(targets->ctx, found ? found : cgroup);
	free(found);
	return ret;
}

int targets_attach(const struct targets *targets, struct appmon *mon)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < targets->count; i++)
		ret = attach(targets, &targets->list[i], mon);
	return ret;
}

void targets_free(struct targets *targets)
{
	free(targets->list);
	targets->list = NULL;
	targets->count = 0;
}
