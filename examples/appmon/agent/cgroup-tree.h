/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The directories of the cgroup v2 hierarchy as they come and go, by inotify(7).
 *
 * Functions return 0 or a negative errno value and have told the user then.
 */
#ifndef APPMON_AGENT_CGROUP_TREE_H
#define APPMON_AGENT_CGROUP_TREE_H

#include <stddef.h>

struct cgroup_tree;

struct cgroup_tree_callbacks {
	/*
	 * path is absolute and borrowed. appeared() also tells of a cgroup whose attributes
	 * have changed. May be called for one that is gone already.
	 */
	void (*appeared)(void *ctx, const char *path);
	void (*disappeared)(void *ctx, const char *path);
	void *ctx;
};

/* Calls appeared() for top and everything below it that is there now. */
int cgroup_tree_open(struct cgroup_tree **ret, const char *top,
		     const struct cgroup_tree_callbacks *callbacks);
void cgroup_tree_close(struct cgroup_tree *tree);

/* Readable when cgroup_tree_dispatch() has something to tell. */
int cgroup_tree_fd(const struct cgroup_tree *tree);

/* Tells what has happened; never waits. */
int cgroup_tree_dispatch(struct cgroup_tree *tree);

/* How many there are. */
size_t cgroup_tree_count(const struct cgroup_tree *tree);

/* Calls tell(), with the callbacks' ctx, for every cgroup that is known. */
void cgroup_tree_repeat(struct cgroup_tree *tree, void (*tell)(void *ctx, const char *path));

#endif /* APPMON_AGENT_CGROUP_TREE_H */
