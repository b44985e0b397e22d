/* SPDX-License-Identifier: BSD-2-Clause */
/* Durations in the buckets that OpenTelemetry advises for http.server.request.duration. */
#ifndef APPMON_EXPORT_DURATIONS_H
#define APPMON_EXPORT_DURATIONS_H

#include <stdint.h>

#include <appmon/metrics.h>

#define DURATIONS_BOUNDS 14
extern const double durations_bounds[DURATIONS_BOUNDS]; /* seconds */

/* How many values are at most each of the bounds. */
void durations_at_most(const struct appmon_histogram *histogram,
		       uint64_t ret_counts[DURATIONS_BOUNDS]);

/* The first bound that a duration does not exceed; DURATIONS_BOUNDS: it exceeds all of them. */
unsigned durations_bound_of(double seconds);

#endif /* APPMON_EXPORT_DURATIONS_H */
