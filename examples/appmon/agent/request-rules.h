/* SPDX-License-Identifier: BSD-2-Clause */
/* Which requests of HTTP are left out of all figures, and which have a route of the host's choice. */
#ifndef APPMON_AGENT_REQUEST_RULES_H
#define APPMON_AGENT_REQUEST_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include <appmon/appmon.h>

/* All conditions have to hold; NULL: any. */
struct request_rule {
	char *application; /* glob(7) */
	char *path;	   /* path_glob_matches() */
	char *user_agent;  /* glob(7) */
	bool ignore;
	char *route; /* NULL: that of the path */
};

/* The longest route that the aggregator takes. */
#define REQUEST_ROUTE_MAX 255

struct request_rules {
	struct request_rule *rules;
	size_t count;
};

/* The first rule that matches; NULL: none. target_name is the application. */
const struct request_rule *request_rules_find(const struct request_rules *rules,
					      const struct appmon_event *ev);

void request_rules_free(struct request_rules *rules);

#endif /* APPMON_AGENT_REQUEST_RULES_H */
