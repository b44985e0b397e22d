/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocations that fail, for a program that is linked with -Wl,--wrap (wrap_args). Counted while
 * armed; the one that reaches fail_at fails, and with it, if asked for, all others.
 */
#ifndef APPMON_FAILING_ALLOC_H
#define APPMON_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
char *__wrap_strdup(const char *s);

static bool armed, for_ever;
static unsigned long count, fail_at;

static bool fails(void)
{
	if (!armed)
		return false;
	count++;
	return count == fail_at || (for_ever && count > fail_at);
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
	return fails() ? NULL : __real_realloc(ptr, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

#endif /* APPMON_FAILING_ALLOC_H */
