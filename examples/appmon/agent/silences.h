/* SPDX-License-Identifier: BSD-2-Clause */
/* Alerts of which no word is wanted for a time. In memory only. */
#ifndef APPMON_AGENT_SILENCES_H
#define APPMON_AGENT_SILENCES_H

#include <stddef.h>
#include <stdint.h>

#define SILENCES_MAX 256

struct silence {
	char *alert, *application;
	uint64_t until_ns; /* CLOCK_MONOTONIC */
};

struct silences {
	struct silence list[SILENCES_MAX];
	size_t count;
};

/* until_ns 0: it ends. Returns 0, -ENOMEM, or -ENOSPC: there are too many. */
int silences_set(struct silences *silences, const char *alert, const char *application,
		 uint64_t until_ns);

/* Until when an alert is silent; 0: it is not. */
uint64_t silences_until(const struct silences *silences, const char *alert, const char *application,
			uint64_t now_ns);

void silences_free(struct silences *silences);

#endif /* APPMON_AGENT_SILENCES_H */
