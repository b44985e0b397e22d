/* SPDX-License-Identifier: BSD-2-Clause */
#include "glue.h"

#include "_cgo_export.h"

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
