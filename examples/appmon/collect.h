/* SPDX-License-Identifier: BSD-2-Clause */
/* A monitor whose events go into an aggregator: what top and topology look at. */
#ifndef APPMON_CLI_COLLECT_H
#define APPMON_CLI_COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include <appmon/metrics.h>

#include "container-names.h"
#include "targets.h"

struct collect {
	struct appmon *mon;
	struct appmon_metrics *metrics;
	struct container_names *containers; /* NULL: nobody knows any */
	/* Gets every event too, under its application's name, unless NULL. */
	void (*event_fn)(void *ctx, const struct appmon_event *ev);
	void *event_ctx;
	uint32_t protocols;	    /* as in appmon_opts; 0: the library's default */
	uint32_t flags;		    /* as in appmon_opts */
	uint64_t first_ns, last_ns; /* when the first event ended, and the latest */
	uint64_t events;
	int replay_fd; /* -1: the kernel is the source */
};

/*
 * Opens both and attaches the targets, or reads a recording unless replay is NULL; gives up all
 * privileges, unless programs that start later are to be attached to. From here on signals wake
 * the monitor: see signals.h. Returns 0 or a negative errno value, and has told the user then.
 */
int collect_open(struct collect *collect, const struct targets *targets, const char *replay);

/* Waits for events and counts them. Returns 0, 1 at the end of a recording, or as above. */
int collect_step(struct collect *collect, int timeout_ms);

/* What is on its way when nothing more is wanted; and says what was lost. As collect_step(). */
int collect_drain(struct collect *collect);

/* When an exchange was over, as far as it was seen. */
uint64_t event_end_ns(const struct appmon_event *ev);

/* A snapshot at the present, or at the recording's. last: with the events that wait for their
 * other end. NULL and a message if there is no memory. */
struct appmon_snapshot *collect_snapshot(struct collect *collect, bool last);

void collect_close(struct collect *collect);

#endif /* APPMON_CLI_COLLECT_H */
