/* SPDX-License-Identifier: BSD-2-Clause */
/* Durations in buckets with fixed bounds. */
#ifndef APPMON_EXPORT_DURATIONS_H
#define APPMON_EXPORT_DURATIONS_H

#include <stdint.h>

#include <appmon/metrics.h>

#define DURATIONS_BOUNDS_MAX 64

struct durations_bounds {
	unsigned count;
	double seconds[DURATIONS_BOUNDS_MAX]; /* rising */
};

/*
 * From 100 us to 10 s: below 5 ms by 1, 2.5 and 5, from there on those that OpenTelemetry advises
 * for http.server.request.duration.
 */
extern const struct durations_bounds durations_default;

/* What is told where durations_parse() fails. */
#define BUCKETS_WRONG                                                                              \
	"'%s' is no list of rising bounds such as 100us,1ms,10ms,100ms,1s: from one to 64 of "     \
	"them, "                                                                                   \
	"from 1us on"

/*
 * "100us,1ms,10ms,1s", or numbers of seconds: from 1 to DURATIONS_BOUNDS_MAX, each above the one
 * before it and at least 1 us. Returns 0 or -EINVAL.
 */
int durations_parse(const char *text, struct durations_bounds *ret);

/* How many values are at most each of the bounds. */
void durations_at_most(const struct durations_bounds *bounds,
		       const struct appmon_histogram *histogram,
		       uint64_t ret_counts[DURATIONS_BOUNDS_MAX]);

/* The first bound that a duration does not exceed; bounds->count: it exceeds all of them. */
unsigned durations_bound_of(const struct durations_bounds *bounds, double seconds);

#endif /* APPMON_EXPORT_DURATIONS_H */
