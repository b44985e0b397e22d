/* SPDX-License-Identifier: BSD-2-Clause */
#include "requests.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "../collect.h"
#include "../names.h"
#include "../text.h"

/* A second. */
#define MAX_LATEST 200
#define MAX_FAILED 50
/* A minute and an application. */
#define MAX_SLOW 20
/* Applications beyond that have no slow ones: a hostile name must not eat the memory. */
#define MAX_SLOWNESS 1024
/* A chain of requests is followed so far. */
#define MAX_RELATED 64

void requests_init(struct requests *requests, size_t max_bytes)
{
	*requests = (struct requests){.max_bytes = max_bytes};
}

static void drop(struct requests *requests, struct request *request)
{
	*(request->previous ? &request->previous->next : &requests->first) = request->next;
	*(request->next ? &request->next->previous : &requests->last) = request->previous;
	requests->bytes -= request->bytes;
	requests->latest_count -= request->kept & KEPT_LATEST;
	appmon_event_free(request->event);
	free(request);
}

/* One that is not kept for any reason any more goes. */
static void unkeep(struct requests *requests, struct request *request, unsigned reason)
{
	requests->latest_count -= request->kept & reason & KEPT_LATEST;
	request->kept &= ~reason;
	if (!request->kept)
		drop(requests, request);
}

static void make_room(struct requests *requests)
{
	struct request *request, *next;

	for (request = requests->first; request && requests->latest_count > REQUESTS_LATEST;
	     request = next) {
		next = request->next;
		if (request->kept & KEPT_LATEST)
			unkeep(requests, request, KEPT_LATEST);
	}
	while (requests->bytes > requests->max_bytes && requests->first != requests->last)
		drop(requests, requests->first);
}

/* ---- What belongs together ----------------------------------------------------------- */

static bool is_id(const struct exchange_id *id, const struct appmon_event *ev)
{
	return id->ordinal == ev->ordinal && id->connection_id == ev->connection_id;
}

static struct exchange_id cause_of(const struct appmon_event *ev)
{
	return (struct exchange_id){ev->link_connection_id, ev->link_ordinal};
}

bool requests_is_effect(const struct appmon_event *a, const struct appmon_event *b)
{
	struct exchange_id cause = cause_of(b);

	return b->link != APPMON_LINK_NONE && is_id(&cause, a);
}

static bool is_related(const struct appmon_event *a, const struct appmon_event *b)
{
	return requests_is_effect(a, b) || requests_is_effect(b, a);
}

/* Its cause ends later than it, as a rule. */
static void want_cause(struct requests *requests, const struct appmon_event *ev)
{
	if (ev->link == APPMON_LINK_NONE)
		return;
	requests->wanted[requests->wanted_at++ % REQUESTS_WANTED] = cause_of(ev);
}

static bool is_wanted(const struct requests *requests, const struct appmon_event *ev)
{
	for (size_t i = 0; i < REQUESTS_WANTED; i++) {
		if (is_id(&requests->wanted[i], ev))
			return ev->ordinal != 0;
	}
	return false;
}

/* What this one caused came before it, and is kept with it from now on. */
static void keep_related(struct requests *requests, struct request *of)
{
	struct request *found[MAX_RELATED] = {of};
	size_t count = 1;

	for (size_t i = 0; i < count; i++) {
		want_cause(requests, found[i]->event);
		for (struct request *r = of->previous; r && count < MAX_RELATED; r = r->previous) {
			bool known = false;

			/* Those that are no longer among the latest are too old. */
			if (of->number - r->number > 2 * REQUESTS_LATEST)
				break;
			if (!is_related(found[i]->event, r->event))
				continue;
			for (size_t k = 0; k < count; k++)
				known |= found[k] == r;
			if (known)
				continue;
			r->kept |= KEPT_RELATED;
			found[count++] = r;
		}
	}
}

/* ---- Which ones are kept ------------------------------------------------------------- */

static struct slowness *slowness_of(struct requests *requests, const char *application)
{
	struct slowness **bucket, *of;

	bucket =
		&requests->slowness[hash_bytes(application, strlen(application)) % REQUESTS_HASHES];
	for (of = *bucket; of; of = of->next) {
		if (strcmp(of->application, application) == 0)
			return of;
	}
	if (requests->slowness_count == MAX_SLOWNESS)
		return NULL;
	of = calloc(1, sizeof(*of) + strlen(application) + 1);
	if (!of)
		return NULL;
	strcpy(of->application, application);
	of->next = *bucket;
	*bucket = of;
	requests->slowness_count++;
	return of;
}

/*
 * Whether it is one of the slowest of its minute. The threshold rises with what is taken, and a new
 * minute begins at half of what the last one's longest took.
 */
static bool is_slow(struct requests *requests, const struct appmon_event *ev, uint64_t end_ns)
{
	struct slowness *of;

	if (ev->duration_ns == 0)
		return false;
	of = slowness_of(requests, ev->target_name.data);
	if (!of)
		return false;
	if (end_ns >= of->minute_ns + 60 * NSEC_PER_SEC) {
		of->minute_ns = end_ns;
		of->threshold_ns = of->longest_ns / 2;
		of->longest_ns = 0;
		of->taken = 0;
	}
	if (ev->duration_ns > of->longest_ns)
		of->longest_ns = ev->duration_ns;
	if (ev->duration_ns <= of->threshold_ns)
		return false;
	if (++of->taken > MAX_SLOW)
		of->threshold_ns = ev->duration_ns;
	return true;
}

static unsigned reasons(struct requests *requests, const struct appmon_event *ev, uint64_t end_ns)
{
	struct allowance *allowance = &requests->allowance;
	unsigned kept = 0;

	if (end_ns >= allowance->second_ns + NSEC_PER_SEC)
		*allowance = (struct allowance){.second_ns = end_ns};
	if (allowance->latest < MAX_LATEST) {
		allowance->latest++;
		kept |= KEPT_LATEST;
	}
	if (outcome_is_error(ev->outcome, ev->role) && allowance->failed < MAX_FAILED) {
		allowance->failed++;
		kept |= KEPT_FAILED;
	}
	if (is_slow(requests, ev, end_ns))
		kept |= KEPT_SLOW;
	if (is_wanted(requests, ev))
		kept |= KEPT_RELATED;
	return kept;
}

void requests_add(struct requests *requests, const struct appmon_event *ev)
{
	uint64_t end_ns = event_end_ns(ev);
	unsigned kept = reasons(requests, ev, end_ns);
	struct request *request;

	if (!kept)
		return;
	request = calloc(1, sizeof(*request));
	if (!request || appmon_event_copy(ev, &request->event) < 0) {
		free(request);
		return;
	}
	request->kept = kept;
	request->end_ns = end_ns;
	request->number = ++requests->number;
	request->bytes = malloc_usable_size(request->event) + malloc_usable_size(request);
	request->previous = requests->last;
	*(requests->last ? &requests->last->next : &requests->first) = request;
	requests->last = request;
	requests->bytes += request->bytes;
	requests->latest_count += kept & KEPT_LATEST;
	if (kept & (KEPT_FAILED | KEPT_SLOW | KEPT_RELATED))
		keep_related(requests, request);
	make_room(requests);
}

const struct request *requests_find(const struct requests *requests, uint64_t number)
{
	const struct request *request = requests->last;

	while (request && request->number != number)
		request = request->previous;
	return request;
}

void requests_forget(struct requests *requests, uint64_t before_ns)
{
	while (requests->first && requests->first->end_ns < before_ns)
		drop(requests, requests->first);
}

void requests_free(struct requests *requests)
{
	struct slowness *next;

	while (requests->first)
		drop(requests, requests->first);
	for (size_t i = 0; i < REQUESTS_HASHES; i++) {
		for (struct slowness *of = requests->slowness[i]; of; of = next) {
			next = of->next;
			free(of);
		}
	}
	*requests = (struct requests){0};
}
