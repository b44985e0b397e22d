/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cgroup v2 tree: where it is mounted, which directory belongs to a process or
 * a systemd unit, and a fresh directory for `appmon run`. See cgroups(7).
 *
 * Functions return 0 or a negative errno value and have told the user then. A
 * returned path is to be freed.
 */
#ifndef APPMON_CLI_CGROUP_H
#define APPMON_CLI_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

/* Where the hierarchy is mounted: of several mounts the one that shows the whole of it. */
int cgroup_mount(char **ret_path);

/* Whether there is such a one. A container has its own part only, unless it is given the host's. */
bool cgroup_mount_is_whole(void);

int cgroup_of_pid(pid_t pid, char **ret_path);

/* name as systemctl takes it: ".service" may be left out. */
int cgroup_of_unit(const char *name, char **ret_path);

/* Why the kernel does not say how much memory it uses, for people; a string that lasts. */
const char *cgroup_why_no_memory(const char *path);

/* Below the caller's own cgroup if processes may live there, else below the root. */
int cgroup_make(const char *name, char **ret_path);

/* Moves the calling process. */
int cgroup_enter(const char *path);

/* Whether a process is left in it or below. */
bool cgroup_is_populated(const char *path);

/* SIGKILL for all that are in it and below (Linux 5.14). */
int cgroup_kill(const char *path);

/* Removes the directory and those that were made below it. */
int cgroup_remove(const char *path);

#endif /* APPMON_CLI_CGROUP_H */
