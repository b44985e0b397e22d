/* SPDX-License-Identifier: BSD-2-Clause */
#include "durations.h"

#include "../text.h"

const double durations_bounds[DURATIONS_BOUNDS] = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
						   0.5,	  0.75, 1,     2.5,  5,	    7.5, 10};

void durations_at_most(const struct appmon_histogram *histogram,
		       uint64_t ret_counts[DURATIONS_BOUNDS])
{
	for (unsigned i = 0; i < DURATIONS_BOUNDS; i++)
		ret_counts[i] = appmon_histogram_count_at_most(
			histogram, (uint64_t)(durations_bounds[i] * NSEC_PER_SEC));
}

unsigned durations_bound_of(double seconds)
{
	unsigned i = 0;

	while (i < DURATIONS_BOUNDS && seconds > durations_bounds[i])
		i++;
	return i;
}
