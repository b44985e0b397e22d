/* SPDX-License-Identifier: BSD-2-Clause */
/* From paths to routes. */
#ifndef APPMON_ROUTE_H
#define APPMON_ROUTE_H

#include "base/base.h"

#define ROUTE_MAX 255

/* A path prefix that was seen, normalised. */
struct place {
	uint64_t hash;	      /* of the application and the prefix; 0: none */
	uint32_t taught : 24; /* different segments that followed it in requests that went well */
	uint32_t missed : 8;  /* and in others */
	uint32_t held;	      /* of an application's first: places that it has */
};

/* Learns which segments of an application's paths are parameters. */
struct learner {
	struct place *place; /* open addressing */
	uint32_t mask;
	uint32_t count, max;
	uint32_t max_children;
	uint64_t refused;
	uint64_t changes; /* what a path led to before may be wrong after one */
};

int learner_init(struct learner *l, uint32_t max_places, uint32_t max_children);
void learner_destroy(struct learner *l);
/* Bytes that a learner of this size takes. */
size_t learner_bytes(uint32_t max_places);

/*
 * Writes the route of a path, at most size bytes, and returns its length. l may be NULL: no
 * learning. seed tells applications apart; teaches: the request went well, so that its path
 * exists; cut: the path's end is missing.
 */
size_t route_of(struct learner *l, uint64_t seed, const char *path, size_t len, bool teaches,
		bool cut, char *buf, size_t size);

/* Paths of late with their routes: most requests are for a few. */
#define ROUTE_CACHE 256
#define ROUTE_CACHED_MAX 104

struct route_cache {
	struct {
		uint64_t hash;
		uint64_t changes; /* of the learner when it was put here */
		uint8_t path_len, route_len;
		char path[ROUTE_CACHED_MAX], route[ROUTE_CACHED_MAX];
	} entry[ROUTE_CACHE];
};

/* The same as route_of(), of a whole path, for a buffer of ROUTE_MAX bytes. */
size_t route_cached(struct route_cache *cache, struct learner *l, uint64_t seed, const char *path,
		    size_t len, bool teaches, char *buf);

#endif /* APPMON_ROUTE_H */
