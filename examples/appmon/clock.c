/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock.h"

#include <time.h>

#include "text.h"

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}
