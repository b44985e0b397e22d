/* SPDX-License-Identifier: BSD-2-Clause */
/* Which cgroups are watched, and the names of the applications in them. */
#ifndef APPMON_AGENT_APPLICATIONS_H
#define APPMON_AGENT_APPLICATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../protocols.h"

#include "pods.h"

enum match_kind { MATCH_LABEL, MATCH_ANNOTATION, MATCH_NAMESPACE };

/* A condition beside the cgroup's path. */
struct application_match {
	enum match_kind kind;
	char *key;   /* of a label or annotation; NULL: none */
	char *value; /* glob(7) */
};

/*
 * All conditions have to hold. A label is an extended attribute of the cgroup's directory,
 * user.KEY, see xattr(7), or one of its pod or container; annotations and the namespace are of the pod. The name
 * may have {leaf}, {parent}, {unit}, {container_id}, {label:KEY} in it, and of a pod {namespace},
 * {pod}, {pod_uid}, {workload}, {container} and {annotation:KEY}; a cgroup without what a name asks
 * for does not match.
 */
struct application_rule {
	char *cgroup; /* path_glob_matches(), from the top of the hierarchy; NULL: any */
	struct application_match *matches;
	size_t match_count;
	char *name;	    /* NULL: not watched */
	uint32_t protocols; /* as in appmon_attach_opts */
	struct ports ports;
};

struct applications {
	struct application_rule *rules;
	size_t count;
	uint32_t protocols; /* of those that do not say, and of what is undecided */
};

/* Whether every {...} in a name is one that is known. */
bool application_name_is_valid(const char *name);

/* Whether the rule asks for what only Kubernetes knows, or, with containers, docker. */
bool application_rule_needs_pods(const struct application_rule *rule, bool containers);

/* The longest name that a rule can give, with its NUL. */
#define APPLICATION_NAME_SIZE 256

enum application_decision {
	APPLICATION_NONE,	 /* no rule wants it */
	APPLICATION_WATCHED,	 /* it is to be watched by itself */
	APPLICATION_WITH_PARENT, /* it is watched with its pod or container, which has this name */
	APPLICATION_UNDECIDED,	 /* it may be one, once more is known of its pod */
};

/* What it is decided by. */
struct application_input {
	const char *top;	 /* where the hierarchy is mounted */
	const char *path;	 /* of the cgroup; begins with top */
	const struct pods *pods; /* NULL: none are known */
	bool containers;	 /* pods has containers, which are in no pod, by their ids */
	bool wait;		 /* more may become known of a pod: UNDECIDED is an answer */
};

/*
 * By the first rule that matches. A rule that asks for a pod, and neither for {container} nor for a
 * cgroup, is about pods as a whole: the pod's cgroup is watched, those below are watched with it.
 * One that asks for {container} is about containers in the same way. name and *by, the rule, are set
 * for WATCHED and WITH_PARENT.
 */
enum application_decision applications_decide(const struct applications *applications,
					      const struct application_input *input,
					      char name[APPLICATION_NAME_SIZE],
					      const struct application_rule **by);

void applications_free(struct applications *applications);

#endif /* APPMON_AGENT_APPLICATIONS_H */
