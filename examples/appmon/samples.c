/* SPDX-License-Identifier: BSD-2-Clause */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect.h"
#include "names.h"
#include "text.h"

/* How long a slow one keeps its place. */
#define SLOW_KEPT_NS (60 * NSEC_PER_SEC)

static void fill(struct sample *s, const struct appmon_event *ev, uint64_t end_ns, bool error)
{
	*s = (struct sample){.end_ns = end_ns,
			     .duration_ns = ev->duration_ns,
			     .outcome = ev->outcome,
			     .role = ev->role,
			     .error = error};
	snprintf(s->app, sizeof(s->app), "%s", ev->target_name.data);
	snprintf(s->status, sizeof(s->status), "%s", ev->status_text.data);
	snprintf(s->what, sizeof(s->what), "%s %s", ev->operation.data,
		 ev->request_target.len > 0 ? ev->request_target.data : ev->resource.data);
	appmon_format_endpoint(&ev->remote, s->remote, sizeof(s->remote));
}

/* The place to take: a free one, one that is too old, or the least slow. */
static struct sample *least_slow(struct samples *samples, uint64_t now_ns)
{
	struct sample *least = &samples->slow[0];

	for (size_t i = 0; i < SAMPLES_SLOW; i++) {
		struct sample *s = &samples->slow[i];

		if (s->end_ns + SLOW_KEPT_NS < now_ns)
			return s;
		if (s->duration_ns < least->duration_ns)
			least = s;
	}
	return least;
}

static void add_slow(struct samples *samples, const struct appmon_event *ev, uint64_t end_ns)
{
	struct sample *place;

	if (ev->duration_ns <= samples->threshold_ns && end_ns < samples->review_ns)
		return;
	samples->review_ns = end_ns + NSEC_PER_SEC;
	place = least_slow(samples, end_ns);
	if (ev->duration_ns > place->duration_ns || place->end_ns + SLOW_KEPT_NS < end_ns)
		fill(place, ev, end_ns, false);
	place = least_slow(samples, end_ns);
	samples->threshold_ns = place->end_ns + SLOW_KEPT_NS < end_ns ? 0 : place->duration_ns;
}

void samples_add(struct samples *samples, const struct appmon_event *ev)
{
	uint64_t end_ns = event_end_ns(ev);
	bool error = outcome_is_error(ev->outcome, ev->role);

	if (error)
		fill(&samples->error[samples->errors++ % SAMPLES_ERRORS], ev, end_ns, true);
	else
		add_slow(samples, ev, end_ns);
}

static int latest_first(const void *a, const void *b)
{
	const struct sample *x = *(const struct sample *const *)a;
	const struct sample *y = *(const struct sample *const *)b;

	return (x->end_ns < y->end_ns) - (x->end_ns > y->end_ns);
}

static size_t pick(const struct sample *from, size_t count, const char *app, uint32_t role,
		   const struct sample **list)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (from[i].end_ns > 0 &&
		    (!app || (from[i].role == role &&
			      strncmp(from[i].app, app, sizeof(from[i].app) - 1) == 0)))
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
