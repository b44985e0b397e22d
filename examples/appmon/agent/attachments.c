/* SPDX-License-Identifier: BSD-2-Clause */
#include "attachments.h"

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

struct attachment {
	uint32_t target;
	uint64_t cgroup_id;
	uint64_t due_ns; /* gone: when it is detached */
	bool told;	 /* gone: that it is no longer watched */
	char *path;
	char *name;
	uint32_t protocols;
	struct ports ports;
};

/* What an administrator reads in the journal. */
static void say(const struct attachments *attachments, const char *what, const char *path,
		const char *name, const char *more)
{
	const char *cgroup = path + strlen(attachments->top);

	fprintf(stderr, "appmon: %s ", what);
	put_escaped(stderr, cgroup, strlen(cgroup), SIZE_MAX);
	fputs(": ", stderr);
	put_escaped(stderr, name, strlen(name), SIZE_MAX);
	fprintf(stderr, "%s\n", more);
}

static struct attachment *find(struct attachments *attachments, const char *path)
{
	for (size_t i = 0; i < attachments->count; i++) {
		if (strcmp(attachments->list[i].path, path) == 0)
			return &attachments->list[i];
	}
	return NULL;
}

static void forget(struct attachments *attachments, struct attachment *attachment)
{
	free(attachment->path);
	free(attachment->name);
	*attachment = attachments->list[--attachments->count];
}

static void tell_gone(struct attachments *attachments, struct attachment *gone)
{
	if (!gone->told)
		say(attachments, "no longer watching", gone->path, gone->name, "");
	gone->told = true;
}

static void detach_gone(struct attachments *attachments, struct attachment *gone)
{
	appmon_detach(attachments->mon, gone->target);
	tell_gone(attachments, gone);
	free(gone->path);
	free(gone->name);
	*gone = attachments->gone[--attachments->gone_count];
}

int attachments_reap(struct attachments *attachments, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;

	for (size_t i = 0; i < attachments->gone_count;) {
		struct attachment *gone = &attachments->gone[i];

		if (gone->due_ns <= now_ns) {
			detach_gone(attachments, gone); /* another one is here now */
			continue;
		}
		if (gone->due_ns < next_ns)
			next_ns = gone->due_ns;
		i++;
	}
	return next_ns == UINT64_MAX ? -1 : (int)((next_ns - now_ns) / NSEC_PER_MSEC) + 1;
}

/*
 * Where events come late, a cgroup that was made again under the same path is seen before the end
 * of the one before it, is ended with that, and comes again.
 */
static void detach_same(struct attachments *attachments, const char *path, uint64_t cgroup_id)
{
	for (size_t i = attachments->gone_count; i-- > 0;) {
		struct attachment *gone = &attachments->gone[i];

		if (gone->cgroup_id == cgroup_id)
			detach_gone(attachments, gone);
		else if (strcmp(gone->path, path) == 0)
			tell_gone(attachments, gone); /* before its successor is */
	}
}

static void detach(struct attachments *attachments, struct attachment *attachment)
{
	appmon_detach(attachments->mon, attachment->target);
	say(attachments, "no longer watching", attachment->path, attachment->name, "");
	forget(attachments, attachment);
}

static struct attachment *add(struct attachments *attachments, const char *path, const char *name,
			      const struct application_rule *rule)
{
	struct attachment *grown =
		reallocarray(attachments->list, attachments->count + 1, sizeof(*attachments->list));

	if (!grown)
		return NULL;
	attachments->list = grown;
	grown += attachments->count++;
	*grown = (struct attachment){.path = strdup(path),
				     .name = strdup(name),
				     .protocols = rule->protocols,
				     .ports = rule->ports};
	if (grown->path && grown->name)
		return grown;
	forget(attachments, grown);
	return NULL;
}

static void attach(struct attachments *attachments, const char *path, const char *name,
		   const struct application_rule *rule)
{
	struct appmon_attach_opts opts = {.size = sizeof(opts),
					  .name = name,
					  .protocols = rule->protocols,
					  .ports = rule->ports.list,
					  .port_count = rule->ports.count};
	struct attachment *attachment = add(attachments, path, name, rule);
	struct stat st = {0};
	int ret;

	if (!attachment) {
		say(attachments, "cannot watch", path, name, ": out of memory");
		return;
	}
	if (stat(path, &st) == 0)
		detach_same(attachments, path, st.st_ino);
	attachment->cgroup_id = st.st_ino;
	/* There is a limit to how many there are at once. */
	if (attachments->gone_count > GONE_MAX)
		attachments_reap(attachments, UINT64_MAX);
	ret = appmon_attach_cgroup(attachments->mon, path, &opts, &attachment->target);
	if (ret == 0) {
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

void attachments_update(struct attachments *attachments, const char *path)
{
	struct attachment *attachment = find(attachments, path);
	const struct application_rule *rule;
	char name[APPLICATION_NAME_SIZE];

	rule = applications_match(attachments->applications, attachments->top, path, name);
	if (attachment && rule && strcmp(attachment->name, name) == 0 &&
	    attachment->protocols == rule->protocols &&
	    memcmp(&attachment->ports, &rule->ports, sizeof(rule->ports)) == 0)
		return;
	if (attachment)
		detach(attachments, attachment);
	if (rule)
		attach(attachments, path, name, rule);
}

void attachments_remove(struct attachments *attachments, const char *path)
{
	struct attachment *attachment = find(attachments, path), *grown;

	if (!attachment)
		return;
	grown = reallocarray(attachments->gone, attachments->gone_count + 1, sizeof(*grown));
	if (!grown) {
		detach(attachments, attachment);
		return;
	}
	attachments->gone = grown;
	attachment->due_ns = now_ns() + GRACE_NS;
	attachments->gone[attachments->gone_count++] = *attachment;
	*attachment = attachments->list[--attachments->count];
}

void attachments_free(struct attachments *attachments)
{
	while (attachments->count > 0)
		forget(attachments, &attachments->list[0]);
	attachments_reap(attachments, UINT64_MAX);
	free(attachments->gone);
	free(attachments->list);
	attachments->gone = attachments->list = NULL;
}
