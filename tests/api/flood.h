/* SPDX-License-Identifier: BSD-2-Clause */
/* A server and clients for many connections; each answer names its request. */
#ifndef APPMON_API_FLOOD_H
#define APPMON_API_FLOOD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "traffic.h"

/* The server's own count. */
struct flood_counts {
	atomic_ulong connections, requests;
};

/*
 * Like place_serve(): a server on every address of 127/8, of so many processes: each one has a
 * limit of descriptors. An answer has the header X-Id: PATH and the body "ok"; "/hang..." is not
 * answered; after
 * ".../close" the server closes. The counts are shared with that process and go with this one.
 */
const struct flood_counts *flood_serve(struct place *place, unsigned int processes);

/* How many connections one process can have; raises its limit of descriptors if that is allowed. */
unsigned long flood_limit(void);

/* A connection; different n give different addresses: one has only 28,000 ports. -1: errno. */
int flood_connect(const struct place *place, unsigned long n);
bool flood_send(int fd, const char *path);
/* Waits for the answer to path; false: it is another one, or none. */
bool flood_answer(int fd, const char *path);
bool flood_get(int fd, const char *path);
/* Closes with RST: no port stays in TIME_WAIT. */
void flood_reset(int fd);

#endif /* APPMON_API_FLOOD_H */
