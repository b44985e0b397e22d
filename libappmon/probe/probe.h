/* SPDX-License-Identifier: BSD-2-Clause */
/* Places in executables, and uprobes on them. */
#ifndef APPMON_PROBE_H
#define APPMON_PROBE_H

#include "base/base.h"
#include "probe/go-binary.h"
#include "probe/tls-binary.h"
#include "records.h"

/* ---- process.c: files, uprobes, processes ---------------------------------------------------- */

/* A file, by what of it stays the same however it is mounted. */
struct file_id {
	uint64_t device, inode, size, mtime_ns;
};

/* 0 or an error. */
int file_identify(int fd, struct file_id *ret);
/* The same, maybe written to since: what is attached to one is attached to the other. */
bool file_same(const struct file_id *a, const struct file_id *b);
/* Returns a descriptor of what the process runs, or an error. */
int executable_open(uint32_t pid, struct file_id *ret);

/* The number of the uprobes among the kinds of perf events; negative: there are none. */
int uprobe_type(void);
/* In every process that runs the file, also those that will; or, unless pid is 0, only in this one.
 * type: uprobe_type(). Returns a link, which detaches when it is closed (the kernel takes a tenth of a
 * second for that), or an error. */
int uprobe_attach(int type, int prog_fd, int file_fd, uint64_t offset, bool at_return,
		  uint64_t cookie, uint32_t pid);
/* The same at all places of a file, for a program of UPROBE_SESSION. */
int uprobe_attach_session(int prog_fd, int file_fd, const uint64_t *offset, const uint64_t *cookie,
			  uint32_t count);
/* What the host can do about an error of that. */
const char *uprobe_error(int err);

/* Sets of processes by number. */
#define SEEN_SETS 128
#define SEEN_WAYS 4

/* Processes that were looked at, the last ones. */
struct seen {
	struct seen_process {
		uint64_t start_ns;
		uint32_t pid;
		uint32_t times;
	} set[SEEN_SETS][SEEN_WAYS];
	uint32_t turn; /* which of a set is forgotten next */
	uint32_t pad;
};

/* How often it was asked for this process, with this time. */
uint32_t seen_count(struct seen *seen, const struct rec_task *task);
/* Calls fn for each process in a cgroup and below it. */
void each_process(int cgroup_fd, void (*fn)(void *ctx, uint32_t pid), void *ctx);

/* ---- go.c: goroutines ------------------------------------------------------------------------ */

struct go_programs {
	struct log *log;
	struct pool *pool;
	int program_fd[GO_HOOKS];
	struct executable *executable; /* NULL: not asked for */
	int uprobe_type;
	uint32_t executables;
	uint32_t refused; /* processes whose executable could not be read */
	struct seen seen;
};

/* False: no memory. */
bool go_init(struct go_programs *go, struct log *log, struct pool *pool);
void go_free(struct go_programs *go);
/* Follows the goroutines of a process, or of all in a cgroup, as far as it can; these do nothing
 * unless that was asked for. */
void go_see_process(struct go_programs *go, const struct rec_task *task);
void go_see_cgroup(struct go_programs *go, int cgroup_fd);

/* ---- tls.c: plaintext of TLS ----------------------------------------------------------------- */

/* Processes that have connections whose hellos were not seen, and write to memory. */
#define RECORD_LINKS 64

struct tls_programs {
	struct log *log;
	struct pool *pool;
	int program_fd[TLS_HOOKS];
	int processes_fd;	  /* the map tls_processes */
	uint64_t *generation;	  /* of what that has */
	volatile uint64_t *since; /* by file: when its last probe was attached */
	struct tls_file *file;	  /* NULL: not asked for */
	uint32_t files;
	uint32_t attached; /* of them */
	uint32_t turn;	   /* which is forgotten next */
	int uprobe_type;
	uint64_t refused_files, refused_processes; /* whose plaintext cannot be had */
	int record_fd[RECORD_LINKS];		   /* links of processes whose records are told */
	uint32_t records;
	struct seen seen, greeted, recorded;
};

/* False: no memory. */
bool tls_programs_init(struct tls_programs *tls, struct log *log, struct pool *pool);
void tls_free(struct tls_programs *tls);
/* Looks which libraries a process has, when it is met, and again when it has sent a hello; or all
 * processes of a cgroup, which does nothing unless it was asked for. */
void tls_see_process(struct tls_programs *tls, const struct rec_task *task, bool hello);
void tls_see_cgroup(struct tls_programs *tls, int cgroup_fd);
/* Tells of this process the records, too, that its sessions make: it has connections whose sessions are
 * not known. */
void tls_see_records(struct tls_programs *tls, uint32_t pid);

/* Is this line of /proc/PID/maps the code of a TLS library? Then ret_range is its name in
 * /proc/PID/map_files. */
#define MAPS_RANGE_MAX 40
bool tls_maps_line(const char *line, char ret_range[MAPS_RANGE_MAX]);

#endif /* APPMON_PROBE_H */
