/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks docker, or podman by the same API, for the containers of this machine, and again whenever it
 * tells that one was made, renamed or removed, in the background of the caller's loop. One that is
 * not there is no failure, as in kubernetes.h.
 */
#ifndef APPMON_AGENT_DOCKER_H
#define APPMON_AGENT_DOCKER_H

#include <stdbool.h>
#include <stdint.h>

#include "../export/http-client.h"
#include "pods.h"
#include "source.h"

struct docker;

/* socket: its Unix socket; copied. quiet: the user is not told how it goes. Returns 0 or a negative
 * errno value and has told the user then. */
int docker_open(struct docker **ret, const char *socket, struct http_client *client,
		struct pods *pods, bool quiet);

/* Not later than the client. */
void docker_close(struct docker *docker);

/* Asks if it is time to. Milliseconds until it is; -1: while an answer goes on. */
int docker_run(struct docker *docker, uint64_t now_ns);

const struct source *docker_source(const struct docker *docker);

#endif /* APPMON_AGENT_DOCKER_H */
