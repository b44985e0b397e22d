/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the cgroup v2 hierarchy is mounted, and where in it a cgroup is.
 *
 * In a cgroup namespace of its own, a container's for example, a process has the hierarchy from its
 * own cgroup on at the usual place, and the host's, if it was given that, at any other. There
 * mountinfo has a root such as "/../..": all of these mounts are looked at, the one that shows most
 * first. Numbers of cgroups are the same in all of them.
 */
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/base.h"

/* kernfs: the number of the top of every hierarchy, for all namespaces. */
#define TOP_INODE 1

struct mount {
	char *point;
	char *root;	/* the cgroup that it shows as its top, from this process's namespace */
	unsigned shows; /* UINT_MAX: the whole hierarchy; else how far up it reaches */
};

struct mounts {
	struct mount *list;
	size_t count;
};

void mountinfo_unescape(char *s)
{
	char *to = s;

	while (*s) {
		unsigned int byte;

		if (sscanf(s, "\\%3o", &byte) == 1) {
			*to++ = (char)byte;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

unsigned cgroup_ups(const char *path)
{
	unsigned n = 0;

	for (; !strncmp(path, "/..", 3) && (path[3] == '/' || !path[3]); path += 3)
		n++;
	return n;
}

bool cgroup_is_top(const char *point, long magic)
{
	struct statfs fs;
	struct stat st;

	return !statfs(point, &fs) && fs.f_type == magic && !stat(point, &st) &&
	       st.st_ino == TOP_INODE;
}

static void mounts_free(struct mounts *m)
{
	while (m->count--) {
		free(m->list[m->count].point);
		free(m->list[m->count].root);
	}
	free(m->list);
}

static int by_shows(const void *a, const void *b)
{
	unsigned x = ((const struct mount *)a)->shows, y = ((const struct mount *)b)->shows;

	return x < y ? 1 : x > y ? -1 : 0;
}

static bool mounts_add(struct mounts *m, const char *line)
{
	struct mount *grown = reallocarray(m->list, m->count + 1, sizeof(*grown));

	if (!grown)
		return false;
	m->list = grown;
	grown += m->count++;
	*grown = (struct mount){0};
	if (sscanf(line, "%*s %*s %*s %ms %ms", &grown->root, &grown->point) != 2)
		return false;
	mountinfo_unescape(grown->point);
	mountinfo_unescape(grown->root);
	grown->shows = cgroup_is_top(grown->point, CGROUP2_SUPER_MAGIC) ? UINT_MAX
									: cgroup_ups(grown->root);
	return true;
}

/* The one that shows most first. */
static int mounts_read(struct mounts *m)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	int err = 0;

	*m = (struct mounts){0};
	if (!f)
		return -errno;
	while (!err && getline(&line, &size, f) > 0)
		if (strstr(line, " - cgroup2 ") && !mounts_add(m, line))
			err = -ENOMEM;
	free(line);
	fclose(f);
	if (m->count)
		qsort(m->list, m->count, sizeof(*m->list), by_shows);
	if (err)
		mounts_free(m);
	return err;
}

/* The path of a directory, as a mount with this root has it. */
static int path_in(const char *point, const char *root, const char *dir, char *path)
{
	size_t len = strlen(point);

	if (strncmp(dir, point, len) != 0 || (dir[len] && dir[len] != '/'))
		return -ENOENT;
	if (!strcmp(root, "/"))
		root = "";
	if (snprintf(path, PATH_MAX, "%s%s", root, dir + len) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (!*path)
		strcpy(path, "/");
	return 0;
}

/* What is above the top of an incomplete mount has no name here. */
static const char *root_of(const struct mount *t)
{
	return t->shows == UINT_MAX ? "" : t->root + 3 * cgroup_ups(t->root);
}

static int locate_in(const char *point, const char *root, uint64_t id, char *dir, char *path)
{
	int err = cgroup_directory(point, id, dir);

	/* A file handle also finds what is outside of the mount. */
	return err ? err : path_in(point, root, dir, path);
}

int cgroup_locate(const char *point, uint64_t id, char *dir, char *path)
{
	struct mounts m;
	int err;

	if (point) {
		err = locate_in(point, "", id, dir, path);
		return err ? err : cgroup_is_top(point, CGROUP2_SUPER_MAGIC);
	}
	err = mounts_read(&m);
	if (err)
		return err;
	err = -ENOENT;
	for (size_t i = 0; i < m.count && err < 0; i++) {
		const struct mount *t = &m.list[i];
		int r = locate_in(t->point, root_of(t), id, dir, path);

		if (!r)
			err = t->shows == UINT_MAX;
		else if (r != -ENOENT || !i)
			err = r;
	}
	mounts_free(&m);
	return err;
}

int cgroup_locate_fd(const char *point, int fd, char *path)
{
	char link[32], dir[PATH_MAX];
	struct mounts m;
	ssize_t n;
	int err;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, dir, sizeof(dir) - 1);
	if (n < 0)
		return -errno;
	dir[n] = '\0';
	if (point)
		return path_in(point, "", dir, path);
	err = mounts_read(&m);
	if (err)
		return err;
	err = m.count ? path_in(m.list[0].point, root_of(&m.list[0]), dir, path) : -ENOENT;
	mounts_free(&m);
	return err;
}
