/* SPDX-License-Identifier: BSD-2-Clause */
/* What every room uses, and what knows none of them: bounded memory, the log, structs of the ABI. */
#ifndef APPMON_BASE_H
#define APPMON_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

#include "base/list.h"

#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC UINT64_C(1000000000)

/* ---- pool.c: memory with a bound ------------------------------------------------------------- */

#define POOL_CLASSES 69 /* 128 bytes to 16 MiB: pool.c */

struct pool {
	uint64_t limit;
	uint64_t held; /* handed out and kept for reuse, in bytes */
	void *free[POOL_CLASSES];
	/* Gives up something that can be done without; false: there is nothing. NULL: never. */
	bool (*evict)(void *ctx);
	void *evict_ctx;
};

/* NULL when the limit is reached or malloc fails. Not cleared. */
void *pool_alloc(struct pool *pool, size_t size);
/* The same for what matters more than what pool.evict gives up. */
void *pool_alloc_evicting(struct pool *pool, size_t size);
/* And cleared. */
void *pool_zalloc_evicting(struct pool *pool, size_t size);
void pool_free(struct pool *pool, void *ptr);
/* Bytes that a block has room for: what was asked for, or some more. */
size_t pool_size(const void *ptr);
/* Counts memory that is got elsewhere; false if it does not fit. */
bool pool_charge(struct pool *pool, size_t bytes);
void pool_destroy(struct pool *pool);

/* ---- log.c ----------------------------------------------------------------------------------- */

#define ERROR_TEXT_MAX 512

struct log {
	appmon_log_fn fn;
	void *ctx;
	uint32_t level;
	char error[ERROR_TEXT_MAX];
};

void log_line(struct log *log, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Keeps the text as the last error, logs it, returns err. */
int fail(struct log *log, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same for what is an ordinary answer, such as that something is gone: no error in the log. */
int log_answer(struct log *log, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- abi.c ----------------------------------------------------------------------------------- */

/* Copies a caller's struct of any size; -EINVAL: too short to have a size; -E2BIG: an unknown
 * member is set. The part that the caller does not have is 0. */
int opts_read(void *dst, size_t known, const void *src);
/* Writes what fits into the caller's struct and sets its size. -EINVAL: as above. */
int opts_write(void *dst, const void *src, size_t known);

/* ---- clock.c --------------------------------------------------------------------------------- */

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t now_ns(void);
/* CLOCK_REALTIME - CLOCK_MONOTONIC at this moment. */
uint64_t realtime_offset(void);

/* ---- cgroup-directory.c, cgroup-mount.c ------------------------------------------------------ */

/* The directory of a cgroup id, in PATH_MAX bytes. */
int cgroup_directory(const char *point, uint64_t id, char *path);
/* proc(5): white space and backslashes are octal escapes in mountinfo. */
void mountinfo_unescape(char *s);
/* How many "/.." a path begins with: so far above the process's cgroup namespace it is. */
unsigned cgroup_ups(const char *path);
/* Whether a hierarchy of this type is mounted there as a whole. */
bool cgroup_is_top(const char *point, long magic);
/*
 * The directory of a cgroup id, and its path in the hierarchy: PATH_MAX bytes each. point: where
 * that is mounted, NULL: wherever it is. 1: the path is that of the whole hierarchy, 0: of the part
 * that is mounted.
 */
int cgroup_locate(const char *point, uint64_t id, char *dir, char *path);
/* The path of one that is open, if it was opened below the mount that shows most: 0, or an error. */
int cgroup_locate_fd(const char *point, int fd, char *path);

#endif /* APPMON_BASE_H */
