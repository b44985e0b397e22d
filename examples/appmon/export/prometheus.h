/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures for Prometheus, in the formats that it knows. */
#ifndef APPMON_EXPORT_PROMETHEUS_H
#define APPMON_EXPORT_PROMETHEUS_H

#include <stdbool.h>
#include <stdio.h>

#include <appmon/metrics.h>

#include "addresses.h"
#include "durations.h"
#include "exposition.h"
#include "instances.h"

/* A figure of the host's own. */
struct prometheus_number {
	const char *name; /* of a counter without _total */
	bool counter;	  /* else a gauge */
	const char *help;
	uint64_t value;
};

#define PROMETHEUS_NUMBERS_MAX 9

struct prometheus_input {
	struct appmon *mon;
	struct appmon_metrics *metrics;
	const struct appmon_snapshot *snapshot;
	struct instances *instances;
	const struct addresses *addresses; /* NULL: none */
	const struct durations_bounds *bounds;
	const struct prometheus_number *numbers;
	size_t number_count;
};

/* Returns 0 or -ENOMEM. */
int prometheus_write(FILE *out, const struct prometheus_input *input,
		     enum exposition_format format);

#endif /* APPMON_EXPORT_PROMETHEUS_H */
