/* SPDX-License-Identifier: BSD-2-Clause */
/* The handle behind the public calls. No other room sees it. */
#ifndef APPMON_HOST_H
#define APPMON_HOST_H

#include "base/base.h"
#include "capture/capture.h"
#include "exchange/exchange.h"
#include "host/options.h"
#include "probe/probe.h"
#include "stream/stream.h"

/* ---- lookup.c: executables and cgroup paths, kept -------------------------------------------- */

/* An answer. */
struct kept {
	struct list_node link; /* in lookups.processes or .cgroups, the last asked for first */
	uint64_t id;	       /* pid or cgroup id */
	uint64_t start_ns;     /* of a process */
	uint64_t checked_ns;
	uint64_t inode, device;
	int err; /* why there is none */
	uint32_t len;
	char path[];
};

struct lookups {
	struct list_node processes, cgroups;
};

void lookups_init(struct lookups *lookups);
void lookups_free(struct appmon *mon);

/* Keeps the path of a cgroup that is open, for when it is gone. */
void lookup_see_cgroup(struct appmon *mon, uint64_t cgroup_id, int fd);

/* ---- budget.c: which connections are watched ------------------------------------------------- */

struct budget {
	uint32_t most_ppm;	     /* what the host asked for */
	uint32_t generation;	     /* of connections that are met now */
	uint64_t ceiling;	     /* events a second; 0: none */
	uint64_t seen;		     /* exchanges, at looked_ns */
	uint64_t looked_ns, look_ns; /* when the ceiling was looked after, and when next */
	bool paused;
};

void budget_init(struct appmon *mon);
/* The pipeline's part of a change: forgets who is not watched any more. */
void budget_apply(struct appmon *mon, uint32_t ppm, uint32_t from);
/* Keeps the events within the ceiling. */
void budget_control(struct appmon *mon);

/* ---- handle.c -------------------------------------------------------------------------------- */

struct appmon {
	struct log log;
	struct appmon_opts opts; /* with defaults filled in */

	struct capture cap;
	struct pipeline pl;
	struct flows flows;
	struct go_programs go;
	struct tls_programs tls;
	struct lookups lookups;
	struct budget budget;
	uint32_t next_target_id;

	int epoll_fd, timer_fd, wake_fd, more_fd;
	bool in_callback;
	bool batching;	   /* the ring is looked at by timer, the kernel does not wake us */
	bool more;	   /* more_fd is raised */
	bool woken;	   /* a wakeup that appmon_next() took is still appmon_poll()'s */
	bool ring_busy;	   /* a record was being written when we looked */
	uint64_t consumed; /* records since the last settle() */
	uint64_t batch_ns; /* batching: when to look next */
	uint64_t timer_ns; /* when timer_fd fires; 0: not armed */
	uint64_t now_ns;   /* at the last look; not after any record's time that passed since */
	uint64_t read_ns;  /* the ring has been read up to what passed at this time */
	uint64_t sweep_ns; /* earliest time of the next sweep */
	uint64_t sweep_every_ns;
	uint64_t expire_ns;
	uint64_t targets_ns;  /* when to look at some targets next; 0: there are none */
	uint32_t target_turn; /* the slot at which that goes on */
	bool loss_told;	      /* the host's log has that the ring was full */

	bool in_walk;		     /* appmon_each_active(): targets stay */
	char *cgroup_mount;	     /* the one that the host names, or NULL */
	struct recording *recording; /* NULL: none is made */
	struct replay *replay;	     /* NULL: the kernel is the source */
	int replay_end;		     /* -ENODATA at its end, or what was wrong with it */
	uint64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */

	uint32_t *alive; /* a page that fork() wipes: 0 in a child */
};

/* 0, or what every call answers: -EINVAL for NULL, -ECHILD after fork(). */
int handle_check(struct appmon *mon);

/* ---- loop.c: from the sources through the pipeline to the host ------------------------------- */

/* 0 or an error, with its text. */
int loop_open(struct appmon *mon);
void loop_close(struct appmon *mon);
/* Takes from the ring all that is in it at the moment. False: one record is not finished. */
bool loop_catch_up(struct appmon *mon);
/* From now on there is a target to look after. */
void loop_look_after_targets(struct appmon *mon);

/* ---- replay.c -------------------------------------------------------------------------------- */

/* Feeds the pipeline one entry of the recording. False: there is no more, see replay_end. */
bool replay_step(struct appmon *mon);

/* ---- targets.c ------------------------------------------------------------------------------- */

struct target *target_by_id(struct appmon *mon, uint32_t id);
/* Detaches, with all that belongs to it. */
void target_remove(struct appmon *mon, struct target *t);
void targets_free(struct appmon *mon);
/* Notices what happens to targets: a cgroup is removed, the ring was full. False: there is no
 * target to which anything could happen. */
bool targets_look(struct appmon *mon);

/* ---- unwatched.c ----------------------------------------------------------------------------- */

/* Logs which processes of a cgroup listen on sockets of others. */
void unwatched_tell(struct appmon *mon, int cgroup_fd, uint64_t cgroup_id);

#endif /* APPMON_HOST_H */
