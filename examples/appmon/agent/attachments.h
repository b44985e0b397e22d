/* SPDX-License-Identifier: BSD-2-Clause */
/* The cgroups that the agent watches, as the rules want it. */
#ifndef APPMON_AGENT_ATTACHMENTS_H
#define APPMON_AGENT_ATTACHMENTS_H

#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

#include "applications.h"

struct attachment;

struct attachments {
	struct appmon *mon;
	const char *top; /* where the hierarchy is mounted */
	const struct applications *applications;
	struct attachment *list;
	size_t count;
};

/* A cgroup is there, or its labels or the rules have changed: attaches, renames or detaches. */
void attachments_update(struct attachments *attachments, const char *path);

/* It is gone. */
void attachments_remove(struct attachments *attachments, const char *path);

void attachments_free(struct attachments *attachments);

#endif /* APPMON_AGENT_ATTACHMENTS_H */
