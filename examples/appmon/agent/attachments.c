/* SPDX-License-Identifier: BSD-2-Clause */
#include "attachments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"

struct attachment {
	uint32_t target;
	char *path;
	char *name;
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

static void detach(struct attachments *attachments, struct attachment *attachment)
{
	appmon_detach(attachments->mon, attachment->target);
	say(attachments, "no longer watching", attachment->path, attachment->name, "");
	forget(attachments, attachment);
}

static struct attachment *add(struct attachments *attachments, const char *path, const char *name)
{
	struct attachment *grown =
		reallocarray(attachments->list, attachments->count + 1, sizeof(*attachments->list));

	if (!grown)
		return NULL;
	attachments->list = grown;
	grown += attachments->count++;
	*grown = (struct attachment){.path = strdup(path), .name = strdup(name)};
	if (grown->path && grown->name)
		return grown;
	forget(attachments, grown);
	return NULL;
}

static void attach(struct attachments *attachments, const char *path, const char *name)
{
	struct appmon_attach_opts opts = {.size = sizeof(opts), .name = name};
	struct attachment *attachment = add(attachments, path, name);
	int ret;

	if (!attachment) {
		say(attachments, "cannot watch", path, name, ": out of memory");
		return;
	}
	ret = appmon_attach_cgroup(attachments->mon, path, &opts, &attachment->target);
	if (ret == 0) {
		say(attachments, "watching", path, name, "");
		return;
	}
	forget(attachments, attachment);
	/* It is gone again. */
	if (ret == -ENOENT)
		return;
	say(attachments, "cannot watch", path, name, "");
	fprintf(stderr, "appmon: %s\n", appmon_last_error(attachments->mon));
}

void attachments_update(struct attachments *attachments, const char *path)
{
	struct attachment *attachment = find(attachments, path);
	char buf[APPLICATION_NAME_SIZE];
	const char *name;

	name = applications_name(attachments->applications, attachments->top, path, buf);
	if (attachment && name && strcmp(attachment->name, name) == 0)
		return;
	if (attachment)
		detach(attachments, attachment);
	if (name)
		attach(attachments, path, name);
}

void attachments_remove(struct attachments *attachments, const char *path)
{
	struct attachment *attachment = find(attachments, path);

	if (attachment)
		detach(attachments, attachment);
}

void attachments_free(struct attachments *attachments)
{
	while (attachments->count > 0)
		forget(attachments, &attachments->list[0]);
	free(attachments->list);
	attachments->list = NULL;
}
