/* SPDX-License-Identifier: BSD-2-Clause */
#include "cgroup-tree.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* IN_ATTRIB: an extended attribute, a label, was set. */
#define WATCHED_EVENTS (IN_CREATE | IN_DELETE | IN_ATTRIB | IN_ONLYDIR)

struct directory {
	int watch;
	bool seen; /* by the present scan */
	char *path;
};

struct cgroup_tree {
	int fd;
	char *top;
	struct cgroup_tree_callbacks callbacks;
	struct directory *directories;
	size_t count, capacity;
};

static struct directory *find_watch(struct cgroup_tree *tree, int watch)
{
	for (size_t i = 0; i < tree->count; i++) {
		if (tree->directories[i].watch == watch)
			return &tree->directories[i];
	}
	return NULL;
}

static struct directory *find_path(struct cgroup_tree *tree, const char *path)
{
	for (size_t i = 0; i < tree->count; i++) {
		if (strcmp(tree->directories[i].path, path) == 0)
			return &tree->directories[i];
	}
	return NULL;
}

static void remove_directory(struct cgroup_tree *tree, struct directory *directory)
{
	char *path = directory->path;

	*directory = tree->directories[--tree->count];
	tree->callbacks.disappeared(tree->callbacks.ctx, path);
	free(path);
}

static int add_directory(struct cgroup_tree *tree, int watch, const char *path)
{
	struct directory *known = find_path(tree, path);

	/* Removed and made again: it is another cgroup now. */
	if (known)
		remove_directory(tree, known);
	if (tree->count == tree->capacity) {
		size_t capacity = tree->capacity > 0 ? tree->capacity * 2 : 64;
		struct directory *grown = reallocarray(tree->directories, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		tree->directories = grown;
		tree->capacity = capacity;
	}
	tree->directories[tree->count].path = strdup(path);
	if (!tree->directories[tree->count].path)
		return -ENOMEM;
	tree->directories[tree->count].watch = watch;
	tree->directories[tree->count].seen = true;
	tree->count++;
	tree->callbacks.appeared(tree->callbacks.ctx, path);
	return 0;
}

static int scan(struct cgroup_tree *tree, const char *path);

static int scan_children(struct cgroup_tree *tree, const char *path)
{
	char child[PATH_MAX];
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	while (ret == 0 && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) <
		    (int)sizeof(child))
			ret = scan(tree, child);
	}
	closedir(dir);
	return ret;
}

/*
 * The watch comes before the look: what is made in between is found twice, and the kernel
 * gives the same watch for the same directory.
 */
static int scan(struct cgroup_tree *tree, const char *path)
{
	int watch = inotify_add_watch(tree->fd, path, WATCHED_EVENTS);
	struct directory *known;
	int ret = 0;

	if (watch < 0 && errno == EACCES && strcmp(path, tree->top) != 0) {
		warnx("cannot watch %s: %s", path, strerror(errno));
		return 0;
	}
	if (watch < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	known = find_watch(tree, watch);
	if (known)
		known->seen = true;
	else
		ret = add_directory(tree, watch, path);
	return ret < 0 ? ret : scan_children(tree, path);
}

static int report(const struct cgroup_tree *tree, int error)
{
	if (error == -ENOSPC)
		warnx("too many cgroups below %s for inotify: raise "
		      "/proc/sys/fs/inotify/max_user_watches",
		      tree->top);
	else if (error < 0)
		warnx("cannot watch the cgroups below %s: %s", tree->top, strerror(-error));
	return error;
}

/* Events were lost: look at everything again. */
static int rescan(struct cgroup_tree *tree)
{
	int ret;

	for (size_t i = 0; i < tree->count; i++)
		tree->directories[i].seen = false;
	ret = scan(tree, tree->top);
	for (size_t i = tree->count; ret == 0 && i-- > 0;) {
		if (!tree->directories[i].seen)
			remove_directory(tree, &tree->directories[i]);
	}
	return ret;
}

static int handle_event(struct cgroup_tree *tree, const struct inotify_event *event)
{
	struct directory *directory;
	char path[PATH_MAX];

	if (event->mask & IN_Q_OVERFLOW)
		return rescan(tree);
	/* The parent's event, which has a name, tells all. */
	if (event->len == 0 || !(event->mask & IN_ISDIR))
		return 0;
	directory = find_watch(tree, event->wd);
	if (!directory || snprintf(path, sizeof(path), "%s/%s", directory->path, event->name) >=
				  (int)sizeof(path))
		return 0;
	if (event->mask & IN_CREATE)
		return scan(tree, path);
	directory = find_path(tree, path);
	if (directory && event->mask & IN_DELETE)
		remove_directory(tree, directory);
	else if (directory && event->mask & IN_ATTRIB)
		tree->callbacks.appeared(tree->callbacks.ctx, path);
	return 0;
}

int cgroup_tree_dispatch(struct cgroup_tree *tree)
{
	union {
		struct inotify_event event;
		char bytes[16384];
	} buffer;
	ssize_t size;
	int ret = 0;

	while (ret == 0 && (size = read(tree->fd, &buffer, sizeof(buffer))) > 0) {
		for (const char *at = buffer.bytes; ret == 0 && at < buffer.bytes + size;) {
			const struct inotify_event *event = (const void *)at;

			ret = handle_event(tree, event);
			at += sizeof(*event) + event->len;
		}
	}
	return report(tree, ret);
}

int cgroup_tree_open(struct cgroup_tree **ret_tree, const char *top,
		     const struct cgroup_tree_callbacks *callbacks)
{
	struct cgroup_tree *tree = calloc(1, sizeof(*tree));
	int ret = -ENOMEM;

	if (!tree) {
		warnx("out of memory");
		return ret;
	}
	tree->callbacks = *callbacks;
	tree->top = strdup(top);
	tree->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (tree->fd < 0)
		ret = -errno;
	else if (tree->top)
		ret = scan(tree, top);
	if (ret < 0) {
		report(tree, ret);
		cgroup_tree_close(tree);
		return ret;
	}
	*ret_tree = tree;
	return 0;
}

void cgroup_tree_close(struct cgroup_tree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->count; i++)
		free(tree->directories[i].path);
	if (tree->fd >= 0)
		close(tree->fd);
	free(tree->directories);
	free(tree->top);
	free(tree);
}

int cgroup_tree_fd(const struct cgroup_tree *tree)
{
	return tree->fd;
}

size_t cgroup_tree_count(const struct cgroup_tree *tree)
{
	return tree->count;
}

void cgroup_tree_repeat(struct cgroup_tree *tree, void (*tell)(void *ctx, const char *path))
{
	for (size_t i = 0; i < tree->count; i++)
		tell(tree->callbacks.ctx, tree->directories[i].path);
}
