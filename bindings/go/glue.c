/* SPDX-License-Identifier: BSD-2-Clause */
#include "glue.h"

#include <string.h>

#include "_cgo_export.h"

char glue_empty[1];

/* A handle is a number that fits into a pointer, never an address. */
static void log_line(void *ctx, int level, const char *line)
{
	goLog((uintptr_t)ctx, level, (char *)line);
}

int glue_open(struct appmon **ret, int fd, struct appmon_opts *opts, uintptr_t log)
{
	opts->log_fn = log ? log_line : NULL;
	opts->log_ctx = (void *)log;
	return fd < 0 ? appmon_open(ret, opts) : appmon_open_replay(ret, fd, opts);
}

static int active(void *ctx, const struct appmon_event *ev)
{
	goActive((uintptr_t)ctx, (struct appmon_event *)ev);
	return 0;
}

int glue_each_active(struct appmon *mon, uintptr_t list)
{
	return appmon_each_active(mon, active, (void *)list);
}

void glue_free_events(struct appmon_event **events, int count)
{
	for (int i = 0; i < count; i++)
		appmon_event_free(events[i]);
}

static int route(void *ctx, const struct appmon_event *ev, char *buf, size_t size)
{
	const struct glue_answers *a = ctx;

	(void)ev;
	if (!a->route)
		return -1;
	memcpy(buf, a->route, a->route_len < size ? a->route_len : size);
	return (int)a->route_len;
}

static int error(void *ctx, const struct appmon_event *ev)
{
	(void)ev;
	return ((const struct glue_answers *)ctx)->error;
}

static uint64_t instance(void *ctx, const struct appmon_event *ev)
{
	(void)ev;
	return ((const struct glue_answers *)ctx)->instance;
}

void glue_answer(struct appmon_metrics_opts *opts, struct glue_answers *answers, int has_route,
		 int has_error, int has_instance)
{
	opts->route_fn = has_route ? route : NULL;
	opts->error_fn = has_error ? error : NULL;
	opts->instance_fn = has_instance ? instance : NULL;
	opts->route_ctx = opts->error_ctx = opts->instance_ctx = answers;
}
