/* SPDX-License-Identifier: BSD-2-Clause */
/* The options that say what is watched: --cgroup, --pid, --unit, each with a --name, and --port. */
#ifndef APPMON_CLI_TARGETS_H
#define APPMON_CLI_TARGETS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

#include <appmon/appmon.h>

#include "protocols.h"

struct target {
	int key; /* the option that named it */
	const char *value;
	const char *name; /* NULL: the cgroup's */
};

struct targets {
	struct target *list;
	size_t count;
	struct ports ports; /* of each of them */
	bool optional;	    /* there need not be any */
	/* Called for each cgroup that is attached. NULL: not. */
	void (*attached)(void *ctx, const char *cgroup);
	void *ctx;
};

/* For argp's children; the input is a struct targets. */
extern const struct argp targets_argp;

/*
 * Attaches all of them. One without a name has a target_user, which says no more than that. Returns 0
 * or a negative errno value and has told the user then.
 */
int targets_attach(const struct targets *targets, struct appmon *mon);

void targets_free(struct targets *targets);

#endif /* APPMON_CLI_TARGETS_H */
