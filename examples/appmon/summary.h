/* SPDX-License-Identifier: BSD-2-Clause */
/* What is added up over the events that were shown. */
#ifndef APPMON_CLI_SUMMARY_H
#define APPMON_CLI_SUMMARY_H

#include <stdint.h>

#include "histogram.h"

struct summary {
	uint64_t requests;
	uint64_t errors; /* outcome_is_error() */
	struct histogram durations;
};

#endif /* APPMON_CLI_SUMMARY_H */
