/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks Kubernetes' API server for the pods of this node, and for the Services and EndpointSlices of
 * the cluster, and is told of each that comes, changes or goes (list and watch), in the background of
 * the caller's loop. A server that does not answer is no failure: it is asked again, later and later,
 * and names come when it answers.
 */
#ifndef APPMON_AGENT_KUBERNETES_H
#define APPMON_AGENT_KUBERNETES_H

#include <stdbool.h>
#include <stdint.h>

#include "../export/addresses.h"
#include "../export/http-client.h"
#include "pods.h"

/* NULL: as a pod finds it, in its environment and its service account's files. */
struct kubernetes_opts {
	const char *api;	/* https://HOST:PORT */
	const char *token_file; /* read for each request, as it is replaced now and then; where api
				 * is given: none */
	const char *ca_file;	/* where api is given: the system's */
	const char *node;	/* else NODE_NAME */
	bool quiet;		/* the user is not told how it goes */
	struct http_client *client;
	struct pods *pods;
	struct addresses *addresses;
};

struct kubernetes;

/* The strings of opts are copied. Returns 0 or a negative errno value and has told the user then. */
int kubernetes_open(struct kubernetes **ret, const struct kubernetes_opts *opts);

/* Whether this is a pod with all that kubernetes_open() needs. */
bool kubernetes_is_around(void);

/* Not later than the client. */
void kubernetes_close(struct kubernetes *kubernetes);

/* Asks if it is time to. Milliseconds until it is; -1: while all answers go on. */
int kubernetes_run(struct kubernetes *kubernetes, uint64_t now_ns);

/* Whether it answers all that it is asked, and how many requests have failed. */
bool kubernetes_is_up(const struct kubernetes *kubernetes);
uint64_t kubernetes_failures(const struct kubernetes *kubernetes);

#endif /* APPMON_AGENT_KUBERNETES_H */
