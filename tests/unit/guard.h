/* SPDX-License-Identifier: BSD-2-Clause */
/* A buffer whose last byte is followed by a page that may not be touched: reading one byte too far
 * is a SIGSEGV, without any sanitizer. */
#ifndef APPMON_TEST_GUARD_H
#define APPMON_TEST_GUARD_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
	char *map;
	size_t size; /* of the accessible part */
};

static inline void guard_init(struct guard *g, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	g->size = (size + page - 1) / page * page;
	g->map = mmap(NULL, g->size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (g->map == MAP_FAILED || mprotect(g->map + g->size, page, PROT_NONE))
		abort();
}

static inline void guard_free(struct guard *g)
{
	munmap(g->map, g->size + (size_t)sysconf(_SC_PAGESIZE));
}

/* A copy of len bytes that ends at the forbidden page. */
static inline char *guard_copy(struct guard *g, const void *data, size_t len)
{
	char *p = g->map + g->size - len;

	if (len > g->size)
		abort();
	if (len)
		memcpy(p, data, len);
	return p;
}

#endif /* APPMON_TEST_GUARD_H */
