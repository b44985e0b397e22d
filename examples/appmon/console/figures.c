/* SPDX-License-Identifier: BSD-2-Clause */
#include "figures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool period_has(const struct period *period, const struct step *step)
{
	return step->end_ns > period->from_ns && step->begin_ns < period->to_ns;
}

uint64_t period_length_ns(const struct period *period)
{
	uint64_t length_ns = 0;

	for (size_t i = 0; i < period->history->count; i++) {
		const struct step *step = period->history->steps[i];

		if (period_has(period, step))
			length_ns += step->end_ns - step->begin_ns;
	}
	return length_ns;
}

void figures_add(struct figures *figures, const struct step *step, const struct cell *cell)
{
	figures->requests += cell->requests;
	figures->errors += cell->errors;
	figures->durations += cell->duration_count;
	figures->waits += cell->wait_count;
	figures->services += cell->service_count;
	figures->duration_sum += cell->duration_sum;
	figures->request_sum += cell->request_sum;
	figures->wait_sum += cell->wait_sum;
	figures->response_sum += cell->response_sum;
	figures->queue_sum += cell->queue_sum;
	figures->service_sum += cell->service_sum;
	for (uint32_t i = 0; i < cell->bucket_count; i++) {
		const struct bucket *bucket = &step->buckets[cell->bucket + i];

		figures->counts[bucket->index] += bucket->count;
	}
}

bool which_has(const struct which *which, const struct subject *subject)
{
	return !which || (subject->role == which->role &&
			  strcmp(subject->texts[TEXT_APPLICATION], which->application) == 0);
}

static bool same_text(const struct subject *a, const struct subject *b, enum subject_text text)
{
	return strcmp(a->texts[text], b->texts[text]) == 0;
}

static bool same_group(enum figures_per per, const struct subject *a, const struct subject *b)
{
	bool same_interface = a->protocol == b->protocol && same_text(a, b, TEXT_SYSTEM) &&
			      same_text(a, b, TEXT_OPERATION) && same_text(a, b, TEXT_ROUTE);

	switch (per) {
	case PER_APPLICATION:
		return a->role == b->role && same_text(a, b, TEXT_APPLICATION);
	case PER_EDGE:
		return a->protocol == b->protocol && a->ends == b->ends &&
		       same_text(a, b, TEXT_APPLICATION) && same_text(a, b, TEXT_PEER);
	case PER_INTERFACE:
		return same_interface;
	case PER_INSTANCE:
		return a->instance == b->instance;
	case PER_PEER:
		return a->ends == b->ends && same_text(a, b, TEXT_PEER);
	case PER_ERROR:
		return same_interface && a->outcome == b->outcome && same_text(a, b, TEXT_STATUS);
	}
	return false;
}

/* What is known of a subject: its group, by the subject's number. */
#define UNKNOWN (-1)
#define IN_NONE (-2)

struct making {
	struct figures_groups *groups;
	enum figures_per per;
	int32_t *known;
};

/* NULL: no memory, or there are too many. */
static struct figures_group *add_group(struct figures_groups *groups, const struct subject *subject)
{
	struct figures_group **grown, *group;

	if (groups->count == GROUPS_MAX) {
		groups->full = true;
		return NULL;
	}
	grown = reallocarray(groups->list, groups->count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	groups->list = grown;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->subject = subject;
	grown[groups->count++] = group;
	return group;
}

static struct figures_group *find_group(struct making *making, const struct subject *subject)
{
	int32_t *known = &making->known[subject->number];
	struct figures_groups *groups = making->groups;

	if (*known >= 0)
		return groups->list[*known];
	for (size_t i = 0; *known == UNKNOWN && i < groups->count; i++) {
		if (!same_group(making->per, groups->list[i]->subject, subject))
			continue;
		*known = (int32_t)i;
		return groups->list[i];
	}
	if (*known == IN_NONE || !add_group(groups, subject))
		return NULL;
	*known = (int32_t)groups->count - 1;
	return groups->list[*known];
}

static int add_step(struct making *making, const struct step *step, const struct which *which)
{
	enum subject_kind kind = making->per == PER_EDGE ? SUBJECT_EDGE : SUBJECT_SERIES;

	for (size_t i = 0; i < step->cell_count; i++) {
		const struct cell *cell = &step->cells[i];
		struct figures_group *group;

		if (cell->subject->kind != kind || !which_has(which, cell->subject) ||
		    (making->per == PER_ERROR && cell->errors == 0))
			continue;
		group = find_group(making, cell->subject);
		if (group)
			figures_add(&group->figures, step, cell);
		else if (making->groups->full)
			making->known[cell->subject->number] = IN_NONE;
		else
			return -ENOMEM;
	}
	return 0;
}

int groups_make(struct figures_groups *groups, const struct period *period, enum figures_per per,
		const struct which *which)
{
	const struct history *history = period->history;
	struct making making = {.groups = groups, .per = per};
	int ret = 0;

	*groups = (struct figures_groups){0};
	making.known = malloc((history->numbers + 1) * sizeof(*making.known));
	if (!making.known)
		return -ENOMEM;
	for (uint32_t i = 0; i < history->numbers; i++)
		making.known[i] = UNKNOWN;
	for (size_t i = 0; ret == 0 && i < history->count; i++) {
		if (period_has(period, history->steps[i]))
			ret = add_step(&making, history->steps[i], which);
	}
	free(making.known);
	if (ret < 0)
		groups_release(groups);
	return ret;
}

void groups_release(struct figures_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->list[i]);
	free(groups->list);
	*groups = (struct figures_groups){0};
}
