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
	/* Of cgroups that were removed: what they said last may still be on its way. */
	struct attachment *gone;
	size_t gone_count;
};

/* A cgroup is there, or its labels or the rules have changed: attaches, attaches anew or detaches. */
void attachments_update(struct attachments *attachments, const char *path);

/* It is gone: detached a little later, see attachments_reap(). */
void attachments_remove(struct attachments *attachments, const char *path);

/* Detaches what has been gone for long enough. Milliseconds until the next one is due; -1: none. */
int attachments_reap(struct attachments *attachments, uint64_t now_ns);

void attachments_free(struct attachments *attachments);

#endif /* APPMON_AGENT_ATTACHMENTS_H */
