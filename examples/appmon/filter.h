/* SPDX-License-Identifier: BSD-2-Clause */
/* Which events are shown. A zeroed filter shows all of them. */
#ifndef APPMON_CLI_FILTER_H
#define APPMON_CLI_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include <appmon/appmon.h>

struct filter {
	bool by_status;
	bool status[1000]; /* the statuses to show; [0]: no response */
	uint32_t role;	   /* APPMON_ROLE_*; unknown: any */
	uint64_t slower_ns;
	const char *path;    /* prefix */
	const char *methods; /* comma-separated */
};

/* "5xx", "404", "none" or several of them, comma-separated. Returns 0 or -EINVAL. */
int filter_add_status(struct filter *filter, const char *text);

bool filter_matches(const struct filter *filter, const struct appmon_event *ev);

#endif /* APPMON_CLI_FILTER_H */
