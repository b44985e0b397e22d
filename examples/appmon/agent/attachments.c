/* SPDX-License-Identifier: BSD-2-Clause */
#include "attachments.h"

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../clock.h"
#include "../text.h"

/* Sockets outlive the processes of their cgroup by a moment, records lie in the ring. */
#define GRACE_NS NSEC_PER_SEC
/* A handle takes 1,024 targets. */
#define GONE_MAX 256
/* Events of cgroups that are not decided about; an event is about a kilobyte. */
#define HELD_MAX 8192

struct held {
	struct held *next;
	struct appmon_event *event;
};

struct attachment {
	uint32_t target;
	uint64_t cgroup_id;
	uint64_t due_ns; /* undecided: when it is decided; gone: when it is detached */
	bool told;	 /* gone: that it is no longer watched */
	char *path;
	char *name; /* NULL: undecided */
	uint32_t protocols;
	struct ports ports;
	struct held *held, **held_end;
};

/* What an administrator reads in the journal. */
static void say(const struct attachments *attachments, const char *what, const char *path,
		const char *name, const char *more)
{
	const char *cgroup = path + strlen(attachments->top);

	fprintf(stderr, "appmon: %s ", what);
	put_escaped(stderr, cgroup, strlen(cgroup), SIZE_MAX);
	if (name) {
		fputs(": ", stderr);
		put_escaped(stderr, name, strlen(name), SIZE_MAX);
	}
	fprintf(stderr, "%s\n", more);
}

static struct attachment *find(struct attachments *attachments, const char *path)
{
	for (size_t i = 0; i < attachments->count; i++) {
		if (strcmp(attachments->list[i]->path, path) == 0)
			return attachments->list[i];
	}
	return NULL;
}

/* ---- Events that wait for a name ------------------------------------------------------- */

const char *attachments_name(const struct appmon_event *ev)
{
	const struct attachment *attachment = ev->target_user;

	return attachment->name;
}

void attachments_hold(struct attachments *attachments, const struct appmon_event *ev)
{
	struct attachment *attachment = ev->target_user;
	struct held *held = NULL;

	if (attachments->held < HELD_MAX)
		held = calloc(1, sizeof(*held));
	if (!held || appmon_event_copy(ev, &held->event) < 0) {
		if (attachments->unheld++ == 0)
			warnx("more requests than can be held wait for the name of their pod: some "
			      "are in no figures");
		free(held);
		return;
	}
	*attachment->held_end = held;
	attachment->held_end = &held->next;
	attachments->held++;
}

/* With a name they go on, without they are of no application. */
static void release_held(struct attachments *attachments, struct attachment *attachment)
{
	struct held *held;

	while ((held = attachment->held)) {
		attachment->held = held->next;
		if (attachment->name)
			attachments->release(attachments->ctx, held->event, attachment->name);
		appmon_event_free(held->event);
		free(held);
		attachments->held--;
	}
	attachment->held_end = &attachment->held;
}

/* ---- The list ----------------------------------------------------------------------------- */

static void attachment_free(struct attachments *attachments, struct attachment *attachment)
{
	if (!attachment->name)
		attachments->undecided_count--;
	release_held(attachments, attachment);
	free(attachment->path);
	free(attachment->name);
	free(attachment);
}

static void forget(struct attachments *attachments, struct attachment *attachment)
{
	size_t i = 0;

	while (attachments->list[i] != attachment)
		i++;
	attachments->list[i] = attachments->list[--attachments->count];
	attachment_free(attachments, attachment);
}

static struct attachment *add(struct attachments *attachments, const char *path, const char *name,
			      const struct application_rule *rule)
{
	struct attachment **grown =
		reallocarray(attachments->list, attachments->count + 1, sizeof(*attachments->list));
	struct attachment *attachment = NULL;

	if (grown) {
		attachments->list = grown;
		attachment = calloc(1, sizeof(*attachment));
	}
	if (!attachment)
		return NULL;
	attachment->path = strdup(path);
	attachment->name = name ? strdup(name) : NULL;
	attachment->protocols = attachments->applications->protocols;
	if (rule) {
		attachment->protocols = rule->protocols;
		attachment->ports = rule->ports;
	}
	attachment->held_end = &attachment->held;
	attachment->due_ns = now_ns() + attachments->wait_ns;
	if (!attachment->name)
		attachments->undecided_count++;
	attachments->list[attachments->count++] = attachment;
	if (attachment->path && (attachment->name || !name))
		return attachment;
	forget(attachments, attachment);
	return NULL;
}

/* ---- Those that are gone ------------------------------------------------------------------- */

static void tell_gone(struct attachments *attachments, struct attachment *gone)
{
	if (!gone->told && gone->name)
		say(attachments, "no longer watching", gone->path, gone->name, "");
	gone->told = true;
}

static void detach_gone(struct attachments *attachments, size_t i)
{
	struct attachment *gone = attachments->gone[i];

	appmon_detach(attachments->mon, gone->target);
	tell_gone(attachments, gone);
	attachments->gone[i] = attachments->gone[--attachments->gone_count];
	attachment_free(attachments, gone);
}

/*
 * Where events come late, a cgroup that was made again under the same path is seen before the end
 * of the one before it, is ended with that, and comes again.
 */
static void detach_same(struct attachments *attachments, const char *path, uint64_t cgroup_id)
{
	for (size_t i = attachments->gone_count; i-- > 0;) {
		struct attachment *gone = attachments->gone[i];

		if (gone->cgroup_id == cgroup_id)
			detach_gone(attachments, i);
		else if (strcmp(gone->path, path) == 0)
			tell_gone(attachments, gone); /* before its successor is */
	}
}

/* ---- As the rules want it -------------------------------------------------------------------- */

static enum application_decision decide(const struct attachments *attachments, const char *path,
					bool wait, char name[APPLICATION_NAME_SIZE],
					const struct application_rule **by)
{
	struct application_input input = {.top = attachments->top,
					  .path = path,
					  .pods = attachments->pods,
					  .containers = attachments->containers,
					  .wait = wait};

	return applications_decide(attachments->applications, &input, name, by);
}

static void detach(struct attachments *attachments, struct attachment *attachment)
{
	appmon_detach(attachments->mon, attachment->target);
	if (attachment->name)
		say(attachments, "no longer watching", attachment->path, attachment->name, "");
	forget(attachments, attachment);
}

/* name and rule: NULL while it is undecided. */
static void attach(struct attachments *attachments, const char *path, const char *name,
		   const struct application_rule *rule)
{
	struct attachment *attachment = add(attachments, path, name, rule);
	struct appmon_attach_opts opts = {.size = sizeof(opts), .name = name, .user = attachment};
	struct stat st = {0};
	int ret;

	if (!attachment) {
		say(attachments, "cannot watch", path, name, ": out of memory");
		return;
	}
	opts.protocols = attachment->protocols;
	opts.ports = attachment->ports.list;
	opts.port_count = attachment->ports.count;
	if (stat(path, &st) == 0)
		detach_same(attachments, path, st.st_ino);
	attachment->cgroup_id = st.st_ino;
	/* There is a limit to how many there are at once. */
	while (attachments->gone_count > GONE_MAX)
		detach_gone(attachments, 0);
	ret = appmon_attach_cgroup(attachments->mon, path, &opts, &attachment->target);
	if (ret == 0) {
		if (name)
			say(attachments, "watching", path, name, "");
		return;
	}
	forget(attachments, attachment);
	/* It is gone again. */
	if (ret == -ENOENT || ret == -ENODEV)
		return;
	say(attachments, "cannot watch", path, name, "");
	fprintf(stderr, "appmon: %s\n", appmon_last_error(attachments->mon));
}

/* It stays attached: requests that are in progress are not lost, and have the new name. */
static void rename_to(struct attachments *attachments, struct attachment *attachment,
		      const char *name)
{
	char *copy = strdup(name);

	if (!copy) {
		say(attachments, "cannot rename", attachment->path, name, ": out of memory");
		return;
	}
	if (attachment->name)
		say(attachments, "no longer watching", attachment->path, attachment->name, "");
	else
		attachments->undecided_count--;
	free(attachment->name);
	attachment->name = copy;
	say(attachments, "watching", attachment->path, name, "");
	release_held(attachments, attachment);
}

/* Protocols and ports cannot change without attaching anew, which drops what is in progress. */
static bool is_attached_by(const struct attachment *attachment, const struct application_rule *rule)
{
	return attachment->protocols == rule->protocols &&
	       memcmp(&attachment->ports, &rule->ports, sizeof(rule->ports)) == 0;
}

/* wait: a cgroup may be left undecided. */
static void update(struct attachments *attachments, const char *path, bool wait)
{
	struct attachment *attachment = find(attachments, path);
	const struct application_rule *rule = NULL;
	char name[APPLICATION_NAME_SIZE];

	switch (decide(attachments, path, wait, name, &rule)) {
	case APPLICATION_NONE:
		if (attachment)
			detach(attachments, attachment);
		break;
	case APPLICATION_WATCHED:
		if (attachment && (!attachment->name || strcmp(attachment->name, name) != 0))
			rename_to(attachments, attachment, name);
		if (attachment && !is_attached_by(attachment, rule)) {
			detach(attachments, attachment);
			attachment = NULL;
		}
		if (!attachment)
			attach(attachments, path, name, rule);
		break;
	case APPLICATION_WITH_PARENT:
		/* Detached it would lose what is in progress. */
		if (attachment && (!attachment->name || strcmp(attachment->name, name) != 0))
			rename_to(attachments, attachment, name);
		break;
	case APPLICATION_UNDECIDED:
		if (!attachment)
			attach(attachments, path, NULL, NULL);
		break;
	}
}

void attachments_appeared(struct attachments *attachments, const char *path)
{
	update(attachments, path, true);
}

void attachments_update(struct attachments *attachments, const char *path)
{
	/*
	 * What is watched stays so while its pod is not known any more; what is not watched waits for
	 * no more to be known: it would flap.
	 */
	update(attachments, path, find(attachments, path) != NULL);
}

void attachments_remove(struct attachments *attachments, const char *path)
{
	struct attachment *attachment = find(attachments, path), **grown;
	size_t i = 0;

	if (!attachment)
		return;
	grown = reallocarray(attachments->gone, attachments->gone_count + 1, sizeof(*grown));
	if (!grown) {
		detach(attachments, attachment);
		return;
	}
	attachments->gone = grown;
	if (attachment->name)
		attachment->due_ns = now_ns() + GRACE_NS;
	attachments->gone[attachments->gone_count++] = attachment;
	while (attachments->list[i] != attachment)
		i++;
	attachments->list[i] = attachments->list[--attachments->count];
}

/* ---- What is undecided ------------------------------------------------------------------------- */

/* Its last requests are still on their way, also after its name has come. */
static void decide_gone(struct attachments *attachments, struct attachment *gone, bool wait)
{
	const struct application_rule *rule;
	char name[APPLICATION_NAME_SIZE];

	switch (decide(attachments, gone->path, wait, name, &rule)) {
	case APPLICATION_UNDECIDED:
		return;
	case APPLICATION_NONE:
		gone->due_ns = 0;
		return;
	case APPLICATION_WATCHED:
	case APPLICATION_WITH_PARENT:
		rename_to(attachments, gone, name);
		gone->due_ns = now_ns() + GRACE_NS;
		return;
	}
}

void attachments_update_gone(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->gone_count; i++) {
		if (!attachments->gone[i]->name)
			decide_gone(attachments, attachments->gone[i], true);
	}
}

static void run_undecided(struct attachments *attachments, uint64_t now)
{
	for (size_t i = attachments->count; attachments->undecided_count > 0 && i-- > 0;) {
		struct attachment *attachment = attachments->list[i];

		if (!attachment->name && attachment->due_ns <= now)
			update(attachments, attachment->path, false);
	}
	for (size_t i = 0; attachments->undecided_count > 0 && i < attachments->gone_count; i++) {
		struct attachment *gone = attachments->gone[i];

		if (!gone->name && gone->due_ns <= now)
			decide_gone(attachments, gone, false);
	}
}

static void run_gone(struct attachments *attachments, uint64_t now)
{
	for (size_t i = attachments->gone_count; i-- > 0;) {
		if (attachments->gone[i]->due_ns <= now)
			detach_gone(attachments, i); /* another one is here now */
	}
}

int attachments_run(struct attachments *attachments, uint64_t now)
{
	uint64_t next_ns = UINT64_MAX;

	run_undecided(attachments, now);
	run_gone(attachments, now);
	for (size_t i = 0; i < attachments->gone_count; i++) {
		if (attachments->gone[i]->due_ns < next_ns)
			next_ns = attachments->gone[i]->due_ns;
	}
	for (size_t i = 0; attachments->undecided_count > 0 && i < attachments->count; i++) {
		if (!attachments->list[i]->name && attachments->list[i]->due_ns < next_ns)
			next_ns = attachments->list[i]->due_ns;
	}
	return next_ns == UINT64_MAX ? -1 : (int)((next_ns - now) / NSEC_PER_MSEC) + 1;
}

void attachments_decide(struct attachments *attachments)
{
	run_undecided(attachments, UINT64_MAX);
}

void attachments_free(struct attachments *attachments)
{
	run_gone(attachments, UINT64_MAX);
	while (attachments->count > 0) {
		appmon_detach(attachments->mon, attachments->list[0]->target);
		forget(attachments, attachments->list[0]);
	}
	free(attachments->gone);
	free(attachments->list);
	attachments->gone = attachments->list = NULL;
}
