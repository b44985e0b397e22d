/* SPDX-License-Identifier: BSD-2-Clause */
/* Places in executables, and uprobes on them. */
#ifndef APPMON_PROBE_H
#define APPMON_PROBE_H

#include "base/base.h"
#include "probe/go-binary.h"
#include "records.h"

/* Sets of processes by number. */
#define GO_SEEN_SETS 128
#define GO_SEEN_WAYS 4

struct go_programs {
	struct log *log;
	struct pool *pool;
	int program_fd[GO_HOOKS];
	struct executable *executable; /* NULL: not asked for */
	uint32_t executables;
	uint32_t turn;	  /* which of a set is forgotten next */
	uint32_t refused; /* processes whose executable could not be read */
	uint32_t pad;
	struct go_seen {
		uint64_t start_ns;
		uint32_t pid;
		uint32_t pad;
	} seen[GO_SEEN_SETS][GO_SEEN_WAYS]; /* processes that were looked at */
};

/* False: no memory. */
bool go_init(struct go_programs *go, struct log *log, struct pool *pool);
void go_free(struct go_programs *go);
/* Follows the goroutines of a process, or of all in a cgroup, as far as it can; these do nothing
 * unless that was asked for. */
void go_see_process(struct go_programs *go, const struct rec_task *task);
void go_see_cgroup(struct go_programs *go, int cgroup_fd);

#endif /* APPMON_PROBE_H */
