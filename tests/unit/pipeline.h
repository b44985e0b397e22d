/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's pipeline without the kernel: records in, events out. */
#ifndef APPMON_TEST_PIPELINE_H
#define APPMON_TEST_PIPELINE_H

#include "internal.h"

struct pipeline {
	struct appmon mon;
	struct target target[2]; /* in slots 0 and 1, ids 1 and 2 */
};

/* All options have defaults, as in struct appmon_opts. */
void pipeline_init(struct pipeline *p, const struct appmon_opts *opts);
void pipeline_free(struct pipeline *p);
/* False: the bytes are no record. */
bool pipeline_record(struct pipeline *p, const void *data, size_t size);
/* The next event, or NULL. Valid until the next call. */
const struct appmon_event *pipeline_event(struct pipeline *p);
/* exchanges_seen == delivered + dropped + outstanding, for the handle and for each target. */
bool pipeline_adds_up(const struct pipeline *p);

#endif /* APPMON_TEST_PIPELINE_H */
