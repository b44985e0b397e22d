/* SPDX-License-Identifier: BSD-2-Clause */
/* What Go calls in place of the library, where C has to hand over a function. */
#ifndef GLUE_H
#define GLUE_H

#include <appmon/appmon.h>
#include <appmon/metrics.h>

/* appmon_open(), or appmon_open_replay() if fd is not negative. log: a cgo.Handle, 0 for none. */
int glue_open(struct appmon **ret, int fd, struct appmon_opts *opts, uintptr_t log);

/* appmon_each_active(); list: a cgo.Handle for goActive(). */
int glue_each_active(struct appmon *mon, uintptr_t list);

/* Gives count events of appmon_next_batch() to appmon_event_free(). */
void glue_free_events(struct appmon_event **events, int count);

/*
 * What the functions of struct appmon_metrics_opts answer for the event that is added next: the
 * program's own functions have been asked before, so that C never calls Go, which may panic.
 */
struct glue_answers {
	const char *route; /* NULL: built in */
	size_t route_len;
	int error; /* negative: as server_errors and client_errors say */
	uint64_t instance;
};

/* Sets the functions that were asked for; all of them answer from answers. */
void glue_answer(struct appmon_metrics_opts *opts, struct glue_answers *answers, int has_route,
		 int has_error, int has_instance);

/* The text of what is empty: the library's is never NULL. */
extern char glue_empty[1];

#endif /* GLUE_H */
