/* SPDX-License-Identifier: BSD-2-Clause */
/* The directory of a cgroup, by its number. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

/* The id of a cgroup is the file handle of its directory. Needs CAP_DAC_READ_SEARCH. */
static int path_by_handle(const char *point, uint64_t id, char *path)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} h = {.handle = {.handle_bytes = sizeof(id), .handle_type = 0xfe /* FILEID_KERNFS */}};
	int mount = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	char link[32];
	ssize_t n;

	if (mount < 0)
		return -errno;
	memcpy(h.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(mount, &h.handle, O_PATH | O_CLOEXEC);
	close(mount);
	if (fd < 0)
		return errno == ESTALE ? -ENOENT : -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	close(fd);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

static int path_by_search(const char *point, uint64_t id, char *path)
{
	char *const roots[] = {(char *)point, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	int err = -ENOENT;
	FTSENT *e;

	if (!fts)
		return -errno;
	while (err && (e = fts_read(fts))) {
		if (e->fts_info != FTS_D || e->fts_statp->st_ino != id ||
		    e->fts_pathlen >= PATH_MAX)
			continue;
		memcpy(path, e->fts_path, e->fts_pathlen + 1u);
		err = 0;
	}
	fts_close(fts);
	return err;
}

int cgroup_directory(const char *point, uint64_t id, char *path)
{
	int err = path_by_handle(point, id, path);

	if (err == -EPERM || err == -EOPNOTSUPP)
		err = path_by_search(point, id, path);
	return err;
}
