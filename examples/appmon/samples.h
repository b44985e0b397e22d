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
	uint64_t end_ns; /* CLOCK_MONOTONIC */
	bool error;
	struct appmon_event *event; /* a copy; NULL: the place is free */
};

struct samples {
	struct sample error[SAMPLES_ERRORS];
	struct sample slow[SAMPLES_SLOW];
	uint64_t threshold_ns; /* of the slow ones: worth a place if longer */
	uint64_t review_ns;    /* when the threshold is to be looked at again */
};

/* Keeps a copy if it is worth it and there is memory. */
void samples_add(struct samples *samples, const struct appmon_event *ev);

/* Pointers to those of one application and role (app NULL: all), the latest first; how many. */
size_t samples_list(const struct samples *samples, const char *app, uint32_t role,
		    const struct sample *list[SAMPLES_ERRORS + SAMPLES_SLOW]);

/* The status, or how it ended without one. */
const char *sample_status(const struct sample *sample);

/* "GET /stock/7?all", an operation and what it is about, a statement: as it came, cut at size. */
void sample_what(const struct appmon_event *ev, char *buf, size_t size);

/* The latest error of a row BY_ERROR; NULL: none of it is kept. */
struct row;
const struct sample *samples_find(const struct samples *samples, const struct row *row);

/* One with this id of its exchange; NULL: it is not kept. */
const struct sample *samples_by_id(const struct samples *samples, uint64_t connection_id,
				   uint64_t ordinal);
/* One that was made for it, behind the one before (NULL: the first); NULL: no other is kept. */
const struct sample *samples_next_effect(const struct samples *samples,
					 const struct appmon_event *cause,
					 const struct sample *before);

void samples_free(struct samples *samples);

#endif /* APPMON_CLI_SAMPLES_H */
