/* SPDX-License-Identifier: BSD-2-Clause */
/* Which cgroups are watched, and the names of the applications in them. */
#ifndef APPMON_AGENT_APPLICATIONS_H
#define APPMON_AGENT_APPLICATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../protocols.h"

/* A label of a cgroup is an extended attribute of its directory: user.KEY, see xattr(7). */
struct label_match {
	char *key;
	char *value; /* glob(7) */
};

/*
 * All conditions have to hold. The name may have {leaf}, {parent}, {unit}, {container} and
 * {label:KEY} in it; a cgroup without what a name asks for does not match.
 */
struct application_rule {
	char *cgroup; /* path_glob_matches(), from the top of the hierarchy; NULL: any */
	struct label_match *labels;
	size_t label_count;
	char *name;	    /* NULL: not watched */
	uint32_t protocols; /* as in appmon_attach_opts */
	struct ports ports;
};

struct applications {
	struct application_rule *rules;
	size_t count;
};

/* Whether every {...} in a name is one that is known. */
bool application_name_is_valid(const char *name);

/* The longest name that a rule can give, with its NUL. */
#define APPLICATION_NAME_SIZE 256

/*
 * The first rule that matches a cgroup, and the name that it gives; NULL if the cgroup is not to be
 * watched. top: where the hierarchy is mounted; path: the cgroup, which begins with top.
 */
const struct application_rule *applications_match(const struct applications *applications,
						  const char *top, const char *path,
						  char name[APPLICATION_NAME_SIZE]);

void applications_free(struct applications *applications);

#endif /* APPMON_AGENT_APPLICATIONS_H */
