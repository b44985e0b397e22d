/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's pipeline without the kernel: records in, events out. */
#ifndef APPMON_TEST_FIXTURE_H
#define APPMON_TEST_FIXTURE_H

#include "capture/capture.h"

struct fixture {
	struct log log;
	struct pipeline pl;
	struct flows flows;
	struct target target[2];	/* in slots 0 and 1, ids 1 and 2 */
	uint64_t said[APPMON_DROP_MAX]; /* lines of log that tell of a dropped exchange */
	void (*line)(const char *line); /* gets every line of log; NULL: no need */
};

/* All options have defaults, as in appmon_open(), and without a log_level the fixture reads the log. */
void fixture_init(struct fixture *p, const struct appmon_opts *opts);
void fixture_free(struct fixture *p);
/* False: the bytes are no record. */
bool fixture_record(struct fixture *p, const void *data, size_t size);
/* The next event, or NULL. Valid until the next call. */
const struct appmon_event *fixture_event(struct fixture *p);
/* exchanges_seen == delivered + dropped + outstanding, for the handle and for each target; the log
 * has told of every exchange that was dropped. */
bool fixture_adds_up(const struct fixture *p);

#endif /* APPMON_TEST_FIXTURE_H */
