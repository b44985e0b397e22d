/* SPDX-License-Identifier: BSD-2-Clause */
/* Single requests that are worth a look: the latest errors and the slowest of late. */
#ifndef APPMON_CLI_SAMPLES_H
#define APPMON_CLI_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

#define SAMPLES_ERRORS 128
#define SAMPLES_SLOW 64

struct sample {
	uint64_t end_ns; /* CLOCK_MONOTONIC; 0: the place is free */
	uint64_t duration_ns;
	uint32_t outcome, role;
	bool error;
	char app[64], status[16], what[160]; /* cut off if longer */
	char remote[56];
};

struct samples {
	struct sample error[SAMPLES_ERRORS];
	struct sample slow[SAMPLES_SLOW];
	uint64_t errors;       /* seen */
	uint64_t threshold_ns; /* of the slow ones: worth a place if longer */
	uint64_t review_ns;    /* when the threshold is to be looked at again */
};

void samples_add(struct samples *samples, const struct appmon_event *ev);

/* Pointers to those of one application and role (app NULL: all), the latest first; how many. */
size_t samples_list(const struct samples *samples, const char *app, uint32_t role,
		    const struct sample *list[SAMPLES_ERRORS + SAMPLES_SLOW]);

#endif /* APPMON_CLI_SAMPLES_H */
