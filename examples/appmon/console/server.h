/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Serves the console's page, its documents and its stream of events by libmicrohttpd, from the
 * caller's own loop.
 */
#ifndef APPMON_CONSOLE_SERVER_H
#define APPMON_CONSOLE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct server;

struct server_request {
	const char *path; /* /api/... */
	bool change;	  /* POST, with a body */
	const char *body; /* ends with NUL */
	void *connection;
};

/* Writes a document. Returns the status: 200, or else a sentence was written in its place. */
typedef unsigned (*server_answer_fn)(void *ctx, const struct server_request *request, FILE *out);

struct server_opts {
	const char *listen;
	const char *token; /* copied; NULL: none, which is possible on the loopback only */
	server_answer_fn answer;
	void *ctx;
};

/* Returns 0 or a negative errno value and has told the user then. */
int server_open(struct server **ret, const struct server_opts *opts);
void server_close(struct server *server);

/* "127.0.0.1:9465" */
const char *server_address(const struct server *server);
uint16_t server_port(const struct server *server);

/* As http-server.h has them. */
int server_fd(const struct server *server, int *ret_timeout_ms);
void server_run(struct server *server);

/* The value of ?name=; NULL: there is none. */
const char *server_argument(const struct server_request *request, const char *name);

/* How many follow the stream, and one event of it for each of them. */
size_t server_followers(const struct server *server);
void server_send(struct server *server, const char *event, const char *data, size_t len);

#endif /* APPMON_CONSOLE_SERVER_H */
