/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single requests that are worth a look: those that failed, those that took longest, the latest;
 * and with the failed and the slow ones what they were made for and what they caused, as far as the
 * events say it. In memory, within a bound: where it is reached the oldest go.
 */
#ifndef APPMON_CONSOLE_REQUESTS_H
#define APPMON_CONSOLE_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

/* Why one is kept. */
#define KEPT_LATEST 1U /* it is among the latest of all */
#define KEPT_FAILED 2U
#define KEPT_SLOW 4U
#define KEPT_RELATED 8U /* to one that failed or was slow */

#define REQUESTS_LATEST 1024
/* Ids that a request to come may have to be kept for. */
#define REQUESTS_WANTED 64
#define REQUESTS_HASHES 256

struct request {
	struct request *next, *previous; /* later, earlier */
	uint64_t number;		 /* of its own, in the order in which they came */
	uint64_t end_ns;		 /* CLOCK_MONOTONIC */
	unsigned kept;			 /* KEPT_* */
	size_t bytes;
	struct appmon_event *event;
};

struct exchange_id {
	uint64_t connection_id, ordinal;
};

/* How many are taken in a second: of a busy machine a share is enough. */
struct allowance {
	uint64_t second_ns; /* that it is of */
	unsigned latest, failed;
};

/* The slow ones of an application. */
struct slowness {
	struct slowness *next;
	uint64_t threshold_ns; /* worth a place if longer */
	uint64_t minute_ns;    /* that the next two are of */
	uint64_t longest_ns;
	unsigned taken;
	char application[];
};

struct requests {
	size_t max_bytes, bytes;
	struct request *first, *last;
	uint64_t number;
	size_t latest_count;
	struct allowance allowance;
	struct slowness *slowness[REQUESTS_HASHES]; /* by the application's name */
	size_t slowness_count;
	struct exchange_id wanted[REQUESTS_WANTED];
	size_t wanted_at;
};

void requests_init(struct requests *requests, size_t max_bytes);

/* Copies the event if it is one to keep. */
void requests_add(struct requests *requests, const struct appmon_event *ev);

/* NULL: it is not kept any more. */
const struct request *requests_find(const struct requests *requests, uint64_t number);

/* Whether b was made for a, or is the other end of it. */
bool requests_is_effect(const struct appmon_event *a, const struct appmon_event *b);

/* Those older than that go. */
void requests_forget(struct requests *requests, uint64_t before_ns);

void requests_free(struct requests *requests);

#endif /* APPMON_CONSOLE_REQUESTS_H */
