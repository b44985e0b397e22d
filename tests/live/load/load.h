/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs of this directory share: dice and options. */
#ifndef LOAD_H
#define LOAD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

/* splitmix64: good from any seed. */
static inline uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* 0 to below n. */
static inline size_t below(uint64_t *state, size_t n)
{
	return (size_t)(next_random(state) % n);
}

/* The value of an argument NAME=VALUE. */
static inline double option(int argc, char **argv, const char *name, double otherwise)
{
	size_t len = strlen(name);

	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], name, len) && argv[i][len] == '=')
			return strtod(argv[i] + len + 1, NULL);
	return otherwise;
}

#endif
