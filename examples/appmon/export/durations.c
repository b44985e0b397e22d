/* SPDX-License-Identifier: BSD-2-Clause */
#include "durations.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../text.h"

/* What a bound is rounded to: shorter ones cannot be told apart from outside. */
#define LEAST_NS 1000

const struct durations_bounds durations_default = {
	.count = 19,
	.seconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,
		    0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10},
};

static int parse_bound(const char *text, double *ret)
{
	uint64_t ns;

	if (parse_duration(text, NSEC_PER_SEC, &ns) < 0 || ns < LEAST_NS)
		return -EINVAL;
	*ret = (double)(ns / LEAST_NS * LEAST_NS) / NSEC_PER_SEC;
	return 0;
}

int durations_parse(const char *text, struct durations_bounds *ret)
{
	struct durations_bounds bounds = {0};
	char bound[32];
	size_t len;

	for (;; text += len + 1) {
		len = strcspn(text, ",");
		if (len >= sizeof(bound) || bounds.count == DURATIONS_BOUNDS_MAX)
			return -EINVAL;
		memcpy(bound, text, len);
		bound[len] = '\0';
		if (parse_bound(bound, &bounds.seconds[bounds.count]) < 0 ||
		    (bounds.count > 0 &&
		     bounds.seconds[bounds.count] <= bounds.seconds[bounds.count - 1]))
			return -EINVAL;
		bounds.count++;
		if (text[len] == '\0')
			break;
	}
	*ret = bounds;
	return 0;
}

void durations_at_most(const struct durations_bounds *bounds,
		       const struct appmon_histogram *histogram,
		       uint64_t ret_counts[DURATIONS_BOUNDS_MAX])
{
	for (unsigned i = 0; i < bounds->count; i++)
		ret_counts[i] = appmon_histogram_count_at_most(
			histogram, (uint64_t)llround(bounds->seconds[i] * NSEC_PER_SEC));
}

unsigned durations_bound_of(const struct durations_bounds *bounds, double seconds)
{
	unsigned i = 0;

	while (i < bounds->count && seconds > bounds->seconds[i])
		i++;
	return i;
}
