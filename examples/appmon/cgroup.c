/* SPDX-License-Identifier: BSD-2-Clause */
#include "cgroup.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <appmon/metrics.h>

struct mount {
	char *root;  /* the cgroup that the mount shows as its top */
	char *point; /* the directory it is mounted on */
};

static void mount_free(struct mount *mount)
{
	free(mount->root);
	free(mount->point);
}

/* proc(5): space, tab, newline and backslash are octal escapes in mountinfo. */
static void unescape(char *s)
{
	char *to = s;

	while (*s != '\0') {
		unsigned byte;

		if (sscanf(s, "\\%3o", &byte) == 1) {
			*to++ = (char)byte;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* Where the top of the hierarchy is, which has this number in every cgroup namespace. */
static bool find_top(char path[PATH_MAX])
{
	return appmon_cgroup_path(1, path, PATH_MAX) > 0;
}

/* Of several mounts the one with the whole hierarchy. */
static int find_mount(struct mount *ret_mount)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct mount mount = {0};
	char top[PATH_MAX] = "";
	char *line = NULL;
	size_t size = 0;

	if (!file) {
		int err = -errno;

		warn("cannot read /proc/self/mountinfo");
		return err;
	}
	find_top(top);
	while (!mount.point && getline(&line, &size, file) >= 0) {
		if (!strstr(line, " - cgroup2 "))
			continue;
		if (sscanf(line, "%*s %*s %*s %ms %ms", &mount.root, &mount.point) != 2) {
			mount_free(&mount);
			mount = (struct mount){0};
			continue;
		}
		unescape(mount.root);
		unescape(mount.point);
		if (*top != '\0' && strcmp(mount.point, top) != 0) {
			mount_free(&mount);
			mount = (struct mount){0};
		}
	}
	free(line);
	fclose(file);
	if (!mount.point) {
		warnx("cgroup v2 is not mounted; try: mount -t cgroup2 none /sys/fs/cgroup");
		return -EOPNOTSUPP;
	}
	*ret_mount = mount;
	return 0;
}

/* Joins parts into a new string; NULL and a message if there is no memory. */
static char *join(const char *a, const char *b, const char *c)
{
	char *s;

	if (asprintf(&s, "%s%s%s", a, b, c) < 0) {
		warnx("out of memory");
		return NULL;
	}
	return s;
}

/* The directory of a cgroup whose path is given as /proc/PID/cgroup has it. */
static int path_in_mount(const struct mount *mount, const char *cgroup, char **ret_path)
{
	size_t root_len = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);

	if (strncmp(cgroup, mount->root, root_len) != 0 ||
	    (cgroup[root_len] != '/' && cgroup[root_len] != '\0') ||
	    strncmp(cgroup, "/..", 3) == 0) {
		warnx("cgroup %s is outside of what %s shows", cgroup, mount->point);
		return -ENOENT;
	}
	cgroup += root_len;
	/* No "/" after the mount point for the top itself. */
	if (strcmp(cgroup, "/") == 0)
		cgroup = "";
	*ret_path = join(mount->point, cgroup, "");
	return *ret_path ? 0 : -ENOMEM;
}

/* The "0::" line of /proc/PID/cgroup is the one of cgroup v2. */
static int read_cgroup(const char *proc, char **ret_cgroup)
{
	char *path = join("/proc/", proc, "/cgroup");
	char *line = NULL, *found = NULL;
	size_t size = 0;
	FILE *file;

	if (!path)
		return -ENOMEM;
	file = fopen(path, "re");
	free(path);
	if (!file) {
		int err = -errno;

		if (err == -ENOENT)
			warnx("there is no process %s", proc);
		else
			warn("cannot read /proc/%s/cgroup", proc);
		return err;
	}
	while (!found && getline(&line, &size, file) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0)
			found = strdup(line + 3);
	}
	free(line);
	fclose(file);
	if (!found) {
		warnx("process %s is in no cgroup of version 2", proc);
		return -ENOENT;
	}
	*ret_cgroup = found;
	return 0;
}

static bool file_has_line(const char *dir, const char *file, const char *wanted);

static bool has_process(const char *dir, pid_t pid)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", (int)pid);
	return file_has_line(dir, "cgroup.procs", number);
}

/*
 * In a cgroup namespace of our own /proc/PID/cgroup does not have the names that are above us: the
 * process is looked for.
 */
static int search_process(const struct mount *mount, const char *proc, char **ret_path)
{
	pid_t pid = strcmp(proc, "self") == 0 ? getpid() : (pid_t)strtol(proc, NULL, 10);
	char *const roots[] = {mount->point, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	char *found = NULL;
	FTSENT *entry;

	if (!fts) {
		int err = -errno;

		warn("cannot search %s", mount->point);
		return err;
	}
	while (!found && (entry = fts_read(fts))) {
		if (entry->fts_info == FTS_D && has_process(entry->fts_path, pid))
			found = strdup(entry->fts_path);
	}
	fts_close(fts);
	if (!found) {
		warnx("process %s is in no cgroup below %s", proc, mount->point);
		return -ENOENT;
	}
	*ret_path = found;
	return 0;
}

static int cgroup_of(const char *proc, const struct mount *mount, char **ret_path)
{
	char *cgroup = NULL;
	int ret;

	ret = read_cgroup(proc, &cgroup);
	if (ret < 0)
		return ret;
	if (strncmp(mount->root, "/..", 3) == 0) {
		free(cgroup);
		return search_process(mount, proc, ret_path);
	}
	ret = path_in_mount(mount, cgroup, ret_path);
	free(cgroup);
	return ret;
}

int cgroup_of_pid(pid_t pid, char **ret_path)
{
	struct mount mount;
	char proc[16];
	int ret;

	ret = find_mount(&mount);
	if (ret < 0)
		return ret;
	snprintf(proc, sizeof(proc), "%d", (int)pid);
	ret = cgroup_of(proc, &mount, ret_path);
	if (ret == 0 && strcmp(*ret_path, mount.point) == 0)
		fprintf(stderr,
			"appmon: process %d is in the root cgroup: "
			"every process of the system is watched\n",
			(int)pid);
	mount_free(&mount);
	return ret;
}

bool cgroup_mount_is_whole(void)
{
	char top[PATH_MAX];

	return find_top(top);
}

/* proc(5): each controller's hierarchy, 0 for version 2, and whether the kernel has it enabled. */
static bool find_controller(const char *name, unsigned *ret_hierarchy, unsigned *ret_enabled)
{
	FILE *file = fopen("/proc/cgroups", "re");
	char line[128], word[32];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%31s %u %*u %u", word, ret_hierarchy, ret_enabled) == 3 &&
			strcmp(word, name) == 0;
	if (file)
		fclose(file);
	return found;
}

/* Only the top of the hierarchy has no type. */
static bool is_top(const char *path)
{
	char *type = join(path, "/cgroup.type", "");
	bool top = type && access(type, F_OK) < 0;

	free(type);
	return top;
}

const char *cgroup_why_no_memory(const char *path)
{
	unsigned hierarchy, enabled;

	if (access(path, F_OK) < 0)
		return "its cgroup is gone";
	if (find_controller("memory", &hierarchy, &enabled)) {
		if (!enabled)
			return "no memory controller (the kernel runs without)";
		if (hierarchy != 0)
			return "no memory controller (version 1 has it, with other cgroups)";
	}
	if (is_top(path))
		return "the top of the hierarchy has no figure";
	return "no memory controller (not in cgroup.subtree_control of the parent)";
}

int cgroup_mount(char **ret_path)
{
	struct mount mount;
	int ret;

	ret = find_mount(&mount);
	if (ret < 0)
		return ret;
	free(mount.root);
	*ret_path = mount.point;
	return 0;
}

/* Unit types that have a cgroup, systemd.unit(5). */
static bool has_unit_suffix(const char *name)
{
	static const char *const suffixes[] = {".service", ".scope", ".slice",
					       ".socket",  ".mount", ".swap"};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (strcmp(dot, suffixes[i]) == 0)
			return true;
	}
	return false;
}

/* systemd puts '_' before a name that would clash with a cgroup file ("memory.service"). */
static bool is_unit_dir(const char *dir, const char *unit)
{
	return strcmp(dir, unit) == 0 || (dir[0] == '_' && strcmp(dir + 1, unit) == 0);
}

static int search_unit(const char *top, const char *unit, char **ret_path)
{
	char *const roots[] = {(char *)top, NULL};
	char *found = NULL;
	unsigned matches = 0;
	FTSENT *entry;
	FTS *fts;

	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!fts) {
		int err = -errno;

		warn("cannot search %s", top);
		return err;
	}
	while ((entry = fts_read(fts))) {
		if (entry->fts_info != FTS_D || !is_unit_dir(entry->fts_name, unit))
			continue;
		if (++matches == 1)
			found = strdup(entry->fts_path);
		else if (matches == 2)
			warnx("%s names more than one cgroup; use --cgroup with one of:\n  %s\n  "
			      "%s",
			      unit, found, entry->fts_path);
		else
			fprintf(stderr, "  %s\n", entry->fts_path);
	}
	fts_close(fts);
	if (matches == 1 && found) {
		*ret_path = found;
		return 0;
	}
	if (matches == 0)
		warnx("no cgroup %s below %s: is the unit running?", unit, top);
	free(found);
	return matches > 1 ? -EEXIST : -ENOENT;
}

int cgroup_of_unit(const char *name, char **ret_path)
{
	struct mount mount;
	char *unit;
	int ret;

	unit = join(name, has_unit_suffix(name) ? "" : ".service", "");
	if (!unit)
		return -ENOMEM;
	ret = find_mount(&mount);
	if (ret == 0) {
		ret = search_unit(mount.point, unit, ret_path);
		mount_free(&mount);
	}
	free(unit);
	return ret;
}

static int write_file(const char *dir, const char *file, const char *text)
{
	char path[PATH_MAX];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* Whether a file has this line. */
static bool file_has_line(const char *dir, const char *file, const char *wanted)
{
	char path[PATH_MAX], line[64];
	bool found = false;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	stream = fopen(path, "re");
	if (!stream)
		return false;
	while (!found && fgets(line, sizeof(line), stream)) {
		line[strcspn(line, "\n")] = '\0';
		found = strcmp(line, wanted) == 0;
	}
	fclose(stream);
	return found;
}

/*
 * A directory may be made where no process may enter: below a threaded cgroup its
 * type is "domain invalid". Such a one is taken away again.
 */
static int make_usable(const char *parent, const char *name, char **ret_path)
{
	char *path = join(parent, "/", name);
	int ret = 0;

	if (!path)
		return -ENOMEM;
	if (mkdir(path, 0755) < 0) {
		ret = -errno;
	} else if (!file_has_line(path, "cgroup.type", "domain")) {
		rmdir(path);
		ret = -EOPNOTSUPP;
	}
	if (ret < 0)
		free(path);
	else
		*ret_path = path;
	return ret;
}

int cgroup_make(const char *name, char **ret_path)
{
	struct mount mount;
	char *own;
	int ret;

	ret = find_mount(&mount);
	if (ret < 0)
		return ret;
	ret = cgroup_of("self", &mount, &own);
	if (ret == 0) {
		ret = make_usable(own, name, ret_path);
		if (ret < 0 && strcmp(own, mount.point) != 0)
			ret = make_usable(mount.point, name, ret_path);
		if (ret < 0)
			warnx("cannot make a cgroup below %s: %s%s", mount.point, strerror(-ret),
			      ret == -EACCES || ret == -EPERM ? " (run as root)" : "");
		free(own);
	}
	mount_free(&mount);
	return ret;
}

int cgroup_enter(const char *path)
{
	return write_file(path, "cgroup.procs", "0");
}

bool cgroup_is_populated(const char *path)
{
	return file_has_line(path, "cgroup.events", "populated 1");
}

int cgroup_kill(const char *path)
{
	return write_file(path, "cgroup.kill", "1");
}

int cgroup_remove(const char *path)
{
	char *const roots[] = {(char *)path, NULL};
	FTSENT *entry;
	int ret = 0;
	FTS *fts;

	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!fts)
		return -errno;
	while ((entry = fts_read(fts))) {
		if (entry->fts_info == FTS_DP && rmdir(entry->fts_path) < 0)
			ret = -errno;
	}
	fts_close(fts);
	return ret;
}
