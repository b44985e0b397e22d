/* SPDX-License-Identifier: BSD-2-Clause */
#include "request-rules.h"

#include <fnmatch.h>
#include <stdlib.h>

#include "path-glob.h"

static bool glob_matches(const char *pattern, const struct appmon_str *text)
{
	return !pattern || fnmatch(pattern, text ? text->data : "", 0) == 0;
}

static bool matches(const struct request_rule *rule, const struct appmon_event *ev)
{
	return (!rule->path || path_glob_matches(rule->path, ev->path.data)) &&
	       glob_matches(rule->application, &ev->target_name) &&
	       (!rule->user_agent ||
		glob_matches(rule->user_agent, appmon_event_header(ev, "user-agent", 0)));
}

const struct request_rule *request_rules_find(const struct request_rules *rules,
					      const struct appmon_event *ev)
{
	/* Only requests of HTTP have a path. */
	if (ev->path.len == 0)
		return NULL;
	for (size_t i = 0; i < rules->count; i++)
		if (matches(&rules->rules[i], ev))
			return &rules->rules[i];
	return NULL;
}

void request_rules_free(struct request_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		free(rules->rules[i].application);
		free(rules->rules[i].path);
		free(rules->rules[i].user_agent);
		free(rules->rules[i].route);
	}
	free(rules->rules);
	*rules = (struct request_rules){0};
}
