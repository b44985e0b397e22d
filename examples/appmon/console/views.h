/* SPDX-License-Identifier: BSD-2-Clause */
/* The console's JSON documents: see appmon-console(1) for what is in them. */
#ifndef APPMON_CONSOLE_VIEWS_H
#define APPMON_CONSOLE_VIEWS_H

#include <stdio.h>

#include "figures.h"
#include "requests.h"

struct view {
	struct appmon *mon;
	struct instances *instances;
	const struct requests *requests;
	struct period period;
	size_t firing, pending; /* alerts */
	/* As in struct console_opts. */
	bool (*label_instance)(void *ctx, const char *path, char *buf, size_t size);
	void *ctx;
};

/* Return 0 or -ENOMEM. */
int view_overview(FILE *out, const struct view *view);
int view_application(FILE *out, const struct view *view, const struct which *which);

/* Those kept for one of these reasons (KEPT_*), the latest or the slowest first; which NULL: all. */
int view_requests(FILE *out, const struct view *view, const struct which *which, unsigned kept);

/* One with all that is known to belong to it. -ENOENT: it is not kept any more. */
int view_request(FILE *out, const struct view *view, uint64_t number);

#endif /* APPMON_CONSOLE_VIEWS_H */
