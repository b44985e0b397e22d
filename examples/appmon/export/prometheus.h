/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures in Prometheus' text format 0.0.4, or as OpenMetrics 1.0 with exemplars. */
#ifndef APPMON_EXPORT_PROMETHEUS_H
#define APPMON_EXPORT_PROMETHEUS_H

#include <stdbool.h>
#include <stdio.h>

#include <appmon/metrics.h>

#include "addresses.h"
#include "durations.h"
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

#define PROMETHEUS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define PROMETHEUS_OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Returns 0 or -ENOMEM. */
int prometheus_write(FILE *out, const struct prometheus_input *input, bool openmetrics);

#endif /* APPMON_EXPORT_PROMETHEUS_H */
