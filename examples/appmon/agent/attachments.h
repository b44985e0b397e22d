/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cgroups that the agent watches, as the rules want it, and what their applications are called.
 * A cgroup of a pod that may have to be watched, once more is known of the pod, is watched from the
 * start; its events are held until its name is known, and forgotten if it has none.
 */
#ifndef APPMON_AGENT_ATTACHMENTS_H
#define APPMON_AGENT_ATTACHMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

#include "applications.h"

struct attachment;

struct attachments {
	struct appmon *mon;
	const char *top; /* where the hierarchy is mounted */
	const struct applications *applications;
	const struct pods *pods; /* NULL: none */
	bool containers;	 /* pods are those of docker */
	uint64_t wait_ns;	 /* for what is not known of a pod */
	/* Takes an event that was held, of an application with this name. */
	void (*release)(void *ctx, const struct appmon_event *ev, const char *name);
	void *ctx;
	struct attachment **list;
	size_t count;
	/* Of cgroups that were removed: what they said last may still be on its way. */
	struct attachment **gone;
	size_t gone_count;
	size_t undecided_count;
	size_t held;	 /* events */
	uint64_t unheld; /* events for which there was no room */
};

/* A cgroup is there: attaches it if it is to be watched, or may have to be. */
void attachments_appeared(struct attachments *attachments, const char *path);

/* Its labels, what is known of its pod or the rules have changed: attaches, renames, attaches anew,
 * detaches. */
void attachments_update(struct attachments *attachments, const char *path);

/* Decides again of what was undecided and is gone. */
void attachments_update_gone(struct attachments *attachments);

/* It is gone: detached a little later, see attachments_run(). */
void attachments_remove(struct attachments *attachments, const char *path);

/*
 * Detaches what has been gone for long enough, and decides what has waited for long enough by what
 * is known. Milliseconds until the next one is due; -1: none.
 */
int attachments_run(struct attachments *attachments, uint64_t now_ns);

/* What an event's application is called; NULL: that is not decided, attachments_hold() it. */
const char *attachments_name(const struct appmon_event *ev);
void attachments_hold(struct attachments *attachments, const struct appmon_event *ev);

/* Decides all by what is known. */
void attachments_decide(struct attachments *attachments);

void attachments_free(struct attachments *attachments);

#endif /* APPMON_AGENT_ATTACHMENTS_H */
