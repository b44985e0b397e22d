/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run of the monitor as the CLI uses it: open, attach, show what passes the
 * filter until something ends it, summarize, close. Functions that return a
 * negative errno value have told the user.
 */
#ifndef APPMON_CLI_SESSION_H
#define APPMON_CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <appmon/appmon.h>

#include "container-names.h"
#include "human.h"
#include "options.h"
#include "protocols.h"
#include "summary.h"

struct session {
	const struct options *options;
	struct appmon *mon;
	struct container_names *containers; /* NULL: nobody knows any */
	FILE *out;
	int replay_fd, record_fd; /* -1: none */
	bool watch_reader;	  /* out is a pipe whose reader may go away */
	bool reader_gone;
	bool done; /* --count is reached */
	bool removal_told;
	unsigned targets;
	uint64_t latest_ns;   /* when the latest event began */
	uint64_t look_ns;     /* when to ask whether a cgroup was removed */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
	struct human human;
	struct summary summary;
};

/* From here on signals wake the session: see signals.h. */
int session_open(struct session *session, const struct options *options);

/* name may be NULL. */
int session_attach(struct session *session, const char *cgroup, const char *name,
		   const struct ports *ports);

/* Tells the user (and scripts that wait for it) that everything from now on is seen. */
void session_announce(struct session *session);

/*
 * Waits for events (or a signal) and shows them. Returns 1 when the session is over:
 * --count or --duration is reached, or the reader of the output is gone.
 */
int session_step(struct session *session);

/* Shows what is still on its way through the ring. */
int session_drain(struct session *session);

/* Prints the summary. */
int session_summarize(struct session *session);

void session_close(struct session *session);

#endif /* APPMON_CLI_SESSION_H */
