/* SPDX-License-Identifier: BSD-2-Clause */
#include "silences.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"

static void drop(struct silences *silences, size_t i)
{
	free(silences->list[i].alert);
	free(silences->list[i].application);
	silences->list[i] = silences->list[--silences->count];
}

static void expire(struct silences *silences, uint64_t now)
{
	for (size_t i = silences->count; i-- > 0;) {
		if (silences->list[i].until_ns <= now)
			drop(silences, i);
	}
}

static const struct silence *find(const struct silences *silences, const char *alert,
				  const char *application)
{
	for (size_t i = 0; i < silences->count; i++) {
		const struct silence *silence = &silences->list[i];

		if (strcmp(silence->alert, alert) == 0 &&
		    strcmp(silence->application, application) == 0)
			return silence;
	}
	return NULL;
}

int silences_set(struct silences *silences, const char *alert, const char *application,
		 uint64_t until_ns)
{
	struct silence fresh = {.until_ns = until_ns};
	const struct silence *before;

	expire(silences, now_ns());
	before = find(silences, alert, application);
	if (before)
		drop(silences, (size_t)(before - silences->list));
	if (until_ns == 0)
		return 0;
	if (silences->count == SILENCES_MAX)
		return -ENOSPC;
	fresh.alert = strdup(alert);
	fresh.application = strdup(application);
	if (!fresh.alert || !fresh.application) {
		free(fresh.alert);
		free(fresh.application);
		return -ENOMEM;
	}
	silences->list[silences->count++] = fresh;
	return 0;
}

uint64_t silences_until(const struct silences *silences, const char *alert, const char *application,
			uint64_t now)
{
	const struct silence *silence = find(silences, alert, application);

	return silence && silence->until_ns > now ? silence->until_ns : 0;
}

void silences_free(struct silences *silences)
{
	while (silences->count > 0)
		drop(silences, 0);
}
