/* SPDX-License-Identifier: BSD-2-Clause */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect.h"
#include "names.h"
#include "rows.h"
#include "text.h"

/* How long a slow one keeps its place. */
#define SLOW_KEPT_NS (60 * NSEC_PER_SEC)
/* Of one application and status: a storm of one error does not hide the others. */
#define MAX_ALIKE (SAMPLES_ERRORS / 8)
/* An aggregator keeps so much of an application's name and of a status. */
#define APP_LEN 127
#define STATUS_LEN 23

static void fill(struct sample *s, const struct appmon_event *ev, uint64_t end_ns, bool error)
{
	struct appmon_event *copy;

	if (appmon_event_copy(ev, &copy) < 0)
		return;
	appmon_event_free(s->event);
	*s = (struct sample){.end_ns = end_ns, .error = error, .event = copy};
}

const char *sample_status(const struct sample *sample)
{
	const struct appmon_event *ev = sample->event;

	return ev->status_text.len > 0 ? ev->status_text.data : outcome_name(ev->outcome);
}

void sample_what(const struct appmon_event *ev, char *buf, size_t size)
{
	if (ev->query_text.len > 0)
		snprintf(buf, size, "%s", ev->query_text.data);
	else if (ev->operation_type == APPMON_OP_CALL)
		snprintf(buf, size, "%s", ev->operation.data);
	else
		snprintf(buf, size, "%s %s", ev->operation.data,
			 ev->request_target.len > 0 ? ev->request_target.data : ev->resource.data);
}

static bool is_alike(const struct sample *s, const struct appmon_event *ev)
{
	return s->event->role == ev->role && s->event->outcome == ev->outcome &&
	       strcmp(s->event->status_text.data, ev->status_text.data) == 0 &&
	       strcmp(s->event->target_name.data, ev->target_name.data) == 0;
}

/* A free place, that of the oldest, or of the oldest of its kind if there are many of it. */
static struct sample *place_of_error(struct samples *samples, const struct appmon_event *ev)
{
	struct sample *oldest = &samples->error[0], *oldest_alike = NULL;
	size_t alike = 0;

	for (size_t i = 0; i < SAMPLES_ERRORS; i++) {
		struct sample *s = &samples->error[i];

		if (s->end_ns < oldest->end_ns)
			oldest = s;
		if (!s->event || !is_alike(s, ev))
			continue;
		alike++;
		if (!oldest_alike || s->end_ns < oldest_alike->end_ns)
			oldest_alike = s;
	}
	return alike >= MAX_ALIKE ? oldest_alike : oldest;
}

/* The place to take: a free one, one that is too old, or the least slow. */
static struct sample *least_slow(struct samples *samples, uint64_t now_ns)
{
	struct sample *least = &samples->slow[0];

	for (size_t i = 0; i < SAMPLES_SLOW; i++) {
		struct sample *s = &samples->slow[i];

		if (!s->event || s->end_ns + SLOW_KEPT_NS < now_ns)
			return s;
		if (s->event->duration_ns < least->event->duration_ns)
			least = s;
	}
	return least;
}

/* What a request has to take longer than for this place. */
static uint64_t duration_at(const struct sample *place, uint64_t now_ns)
{
	return !place->event || place->end_ns + SLOW_KEPT_NS < now_ns ? 0
								      : place->event->duration_ns;
}

static void add_slow(struct samples *samples, const struct appmon_event *ev, uint64_t end_ns)
{
	struct sample *place;

	if (ev->duration_ns <= samples->threshold_ns && end_ns < samples->review_ns)
		return;
	samples->review_ns = end_ns + NSEC_PER_SEC;
	place = least_slow(samples, end_ns);
	if (ev->duration_ns > duration_at(place, end_ns) || duration_at(place, end_ns) == 0)
		fill(place, ev, end_ns, false);
	samples->threshold_ns = duration_at(least_slow(samples, end_ns), end_ns);
}

void samples_add(struct samples *samples, const struct appmon_event *ev)
{
	uint64_t end_ns = event_end_ns(ev);

	if (outcome_is_error(ev->outcome, ev->role))
		fill(place_of_error(samples, ev), ev, end_ns, true);
	else
		add_slow(samples, ev, end_ns);
}

static int latest_first(const void *a, const void *b)
{
	const struct sample *x = *(const struct sample *const *)a;
	const struct sample *y = *(const struct sample *const *)b;

	return (x->end_ns < y->end_ns) - (x->end_ns > y->end_ns);
}

static bool is_of(const struct sample *s, const char *app, uint32_t role)
{
	return s->event->role == role && strncmp(s->event->target_name.data, app, APP_LEN) == 0;
}

static size_t pick(const struct sample *from, size_t count, const char *app, uint32_t role,
		   const struct sample **list)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (from[i].event && (!app || is_of(&from[i], app, role)))
			list[n++] = &from[i];
	return n;
}

size_t samples_list(const struct samples *samples, const char *app, uint32_t role,
		    const struct sample *list[SAMPLES_ERRORS + SAMPLES_SLOW])
{
	size_t n = pick(samples->error, SAMPLES_ERRORS, app, role, list);

	n += pick(samples->slow, SAMPLES_SLOW, app, role, list + n);
	qsort(list, n, sizeof(list[0]), latest_first);
	return n;
}

/* Whether text is of a route: a segment with {id} or the like can be any, "*" is the rest. */
static bool matches_route(const char *route, const char *text)
{
	for (;;) {
		size_t len = strcspn(route, "/"), text_len = strcspn(text, "/?");

		if (strcmp(route, "*") == 0)
			return true;
		if (!memchr(route, '{', len) && (len != text_len || memcmp(route, text, len) != 0))
			return false;
		route += len;
		text += text_len;
		if (*route == '\0')
			return *text == '\0' || *text == '?';
		if (*text != '/')
			return false;
		route++;
		text++;
	}
}

static bool is_of_interface(const struct appmon_event *ev, const char *interface)
{
	char what[512];

	if (ev->query_summary.len > 0)
		return strcmp(ev->query_summary.data, interface) == 0;
	/* The operation, and what it is about. */
	if (ev->system.len > 0)
		return strncasecmp(ev->operation.data, interface, ev->operation.len) == 0 &&
		       strchr(" ", interface[ev->operation.len]);
	snprintf(what, sizeof(what), "%s %s", ev->operation.data, ev->path.data);
	return matches_route(interface, what);
}

const struct sample *samples_find(const struct samples *samples, const struct row *row)
{
	const struct sample *latest = NULL;

	for (size_t i = 0; i < SAMPLES_ERRORS; i++) {
		const struct sample *s = &samples->error[i];

		if (s->event && (!latest || s->end_ns > latest->end_ns) &&
		    is_of(s, row->app, row->role) &&
		    strncmp(sample_status(s), row->status, STATUS_LEN) == 0 &&
		    is_of_interface(s->event, row->label))
			latest = s;
	}
	return latest;
}

/* All of them in one row. */
static const struct sample *sample_at(const struct samples *samples, size_t i)
{
	return i < SAMPLES_ERRORS ? &samples->error[i] : &samples->slow[i - SAMPLES_ERRORS];
}

const struct sample *samples_by_id(const struct samples *samples, uint64_t connection_id,
				   uint64_t ordinal)
{
	for (size_t i = 0; i < SAMPLES_ERRORS + SAMPLES_SLOW; i++) {
		const struct sample *s = sample_at(samples, i);

		if (s->event && s->event->connection_id == connection_id &&
		    s->event->ordinal == ordinal)
			return s;
	}
	return NULL;
}

const struct sample *samples_next_effect(const struct samples *samples,
					 const struct appmon_event *cause,
					 const struct sample *before)
{
	bool behind = !before;

	for (size_t i = 0; i < SAMPLES_ERRORS + SAMPLES_SLOW; i++) {
		const struct sample *s = sample_at(samples, i);

		if (behind && s->event && s->event->link != APPMON_LINK_NONE &&
		    s->event->link_connection_id == cause->connection_id &&
		    s->event->link_ordinal == cause->ordinal)
			return s;
		behind |= s == before;
	}
	return NULL;
}

void samples_free(struct samples *samples)
{
	for (size_t i = 0; i < SAMPLES_ERRORS; i++)
		appmon_event_free(samples->error[i].event);
	for (size_t i = 0; i < SAMPLES_SLOW; i++)
		appmon_event_free(samples->slow[i].event);
	*samples = (struct samples){0};
}
