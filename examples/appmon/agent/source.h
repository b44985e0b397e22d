/* SPDX-License-Identifier: BSD-2-Clause */
/* One that is asked for names: whether it answers, and when it is asked again if it does not. */
#ifndef APPMON_AGENT_SOURCE_H
#define APPMON_AGENT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

struct source {
	char *what;	   /* "Kubernetes' API server at https://192.0.2.1:6443" */
	bool up;	   /* the last request was answered, or is being answered */
	uint64_t failures; /* requests that failed */
	uint64_t due_ns;   /* when it is asked next */
	uint64_t delay_ns; /* after the next failure; 0: at once */
	bool quiet;	   /* the user is not told of it */
	bool told_down;
};

/* It answers. */
void source_works(struct source *source);

/* A request failed: told once, until it works again, unless it is quiet. The texts are put one
 * behind the other. */
void source_fails(struct source *source, const char *error, const char *hint);

/*
 * Says when to ask again: at once where delay_ns is 0, else later and later, at a random time, so
 * that not all hosts ask at the same. at_least_ns: what an answer asked for; it counts up to 30 s.
 */
void source_schedule(struct source *source, uint64_t at_least_ns);

/* Milliseconds until it is asked. */
int source_timeout_ms(const struct source *source, uint64_t now_ns);

/* From 0 to bound - 1. */
uint64_t source_random(uint64_t bound);

#endif /* APPMON_AGENT_SOURCE_H */
