/* SPDX-License-Identifier: BSD-2-Clause */
/* Sums over the history's cells, by what they are about. */
#ifndef APPMON_CONSOLE_FIGURES_H
#define APPMON_CONSOLE_FIGURES_H

#include "buckets.h"
#include "history.h"

/* A part of the history: the steps that overlap it. */
struct period {
	const struct history *history;
	uint64_t from_ns, to_ns;
};

/* Whether the step counts. */
bool period_has(const struct period *period, const struct step *step);

/* How long the steps that count took together. */
uint64_t period_length_ns(const struct period *period);

struct figures {
	uint64_t requests, errors;
	uint64_t durations, waits, services; /* requests of which these are known */
	uint64_t duration_sum, request_sum, wait_sum, response_sum, queue_sum, service_sum;
	uint32_t counts[BUCKETS];
};

void figures_add(struct figures *figures, const struct step *step, const struct cell *cell);

enum figures_per {
	PER_APPLICATION, /* and role */
	PER_EDGE,
	PER_INTERFACE,
	PER_INSTANCE,
	PER_PEER,
	PER_ERROR, /* what failed, and how; its requests are those that failed */
};

/* Which series are meant; NULL: all. */
struct which {
	const char *application;
	uint32_t role;
};

bool which_has(const struct which *which, const struct subject *subject);

struct figures_group {
	const struct subject *subject; /* one of them */
	struct figures figures;
};

struct figures_groups {
	struct figures_group **list;
	size_t count;
	bool full; /* there are more than GROUPS_MAX: they are in none */
};

#define GROUPS_MAX 2000

/* The subjects are the history's, and stay as long as it is not updated. Returns 0 or -ENOMEM. */
int groups_make(struct figures_groups *groups, const struct period *period, enum figures_per per,
		const struct which *which);
void groups_release(struct figures_groups *groups);

#endif /* APPMON_CONSOLE_FIGURES_H */
