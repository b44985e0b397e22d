/* SPDX-License-Identifier: BSD-2-Clause */
#include "trends.h"

#include <errno.h>
#include <stdlib.h>

/* The latest step counts as at least this long: a few requests at its begin are no peak. */
#define LEAST_NS (TREND_STEP_NS / 4)

struct series_trend {
	uint64_t id;
	struct trend trend;
};

/* Numbers of the steps that are kept: up to the present one. */
static uint64_t first_step(uint64_t end_ns)
{
	uint64_t last = end_ns / TREND_STEP_NS;

	return last >= TREND_STEPS ? last - TREND_STEPS + 1 : 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The steps that began since then had something else. */
static void clear_steps(struct trend *trend, uint64_t old_end_ns, uint64_t end_ns)
{
	uint64_t step = later(old_end_ns / TREND_STEP_NS + 1, first_step(end_ns));

	for (; step <= end_ns / TREND_STEP_NS; step++)
		trend->requests[step % TREND_STEPS] = trend->errors[step % TREND_STEPS] = 0;
}

static void spread(struct trend *trend, uint64_t begin_ns, uint64_t end_ns,
		   const struct appmon_figures *f)
{
	uint64_t step = later(begin_ns / TREND_STEP_NS, first_step(end_ns));

	for (; step <= end_ns / TREND_STEP_NS; step++) {
		uint64_t from = later(begin_ns, step * TREND_STEP_NS);
		uint64_t to = earlier(end_ns, (step + 1) * TREND_STEP_NS);
		double share =
			end_ns > begin_ns ? (double)(to - from) / (double)(end_ns - begin_ns) : 1;

		trend->requests[step % TREND_STEPS] += share * (double)f->requests;
		trend->errors[step % TREND_STEPS] += share * (double)f->errors;
	}
}

int trends_add(struct trends *trends, const struct appmon_snapshot *now,
	       const struct appmon_snapshot *before)
{
	uint32_t count = appmon_snapshot_count(now, APPMON_SNAPSHOT_SERIES);
	uint64_t end_ns = appmon_snapshot_time(now);
	uint64_t begin_ns = before ? appmon_snapshot_time(before) : end_ns;
	struct series_trend *list = calloc((size_t)count + 1, sizeof(*list));
	size_t old = 0;

	if (!list)
		return -ENOMEM;
	/* Both lists rise by id. */
	for (uint32_t i = 0; i < count; i++) {
		struct appmon_series series = {.size = sizeof(series)};
		struct appmon_figures f = {.size = sizeof(f)};

		appmon_snapshot_series(now, i, &series);
		appmon_snapshot_figures(now, APPMON_SNAPSHOT_SERIES, i, before, &f);
		while (old < trends->count && trends->list[old].id < series.id)
			old++;
		if (old < trends->count && trends->list[old].id == series.id)
			list[i] = trends->list[old];
		list[i].id = series.id;
		clear_steps(&list[i].trend, trends->end_ns, end_ns);
		spread(&list[i].trend, begin_ns, end_ns, &f);
	}
	free(trends->list);
	*trends = (struct trends){.list = list, .count = count, .end_ns = end_ns};
	return 0;
}

static int by_id(const void *a, const void *b)
{
	uint64_t id = *(const uint64_t *)a, other = ((const struct series_trend *)b)->id;

	return id < other ? -1 : id > other;
}

void trends_sum(const struct trends *trends, uint64_t series_id, struct trend *trend)
{
	const struct series_trend *found = NULL;

	if (trends && trends->count > 0)
		found = bsearch(&series_id, trends->list, trends->count, sizeof(*trends->list),
				by_id);
	for (size_t i = 0; found && i < TREND_STEPS; i++) {
		trend->requests[i] += found->trend.requests[i];
		trend->errors[i] += found->trend.errors[i];
	}
}

static size_t place(const struct trends *trends, size_t step)
{
	return (first_step(trends->end_ns) + step) % TREND_STEPS;
}

double trends_step(const struct trends *trends, const struct trend *trend, size_t step)
{
	double requests = trend->requests[place(trends, step)];
	uint64_t elapsed_ns = later(trends->end_ns % TREND_STEP_NS, LEAST_NS);

	if (step == TREND_STEPS - 1)
		requests *= (double)TREND_STEP_NS / (double)elapsed_ns;
	return requests;
}

double trends_error_share(const struct trends *trends, const struct trend *trend, size_t step)
{
	size_t at = place(trends, step);

	return trend->requests[at] > 0 ? trend->errors[at] / trend->requests[at] : 0;
}

void trends_free(struct trends *trends)
{
	free(trends->list);
	*trends = (struct trends){0};
}
