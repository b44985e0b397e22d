/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Serves GET /metrics by libmicrohttpd, from the caller's own loop; and /healthz and /readyz, which say
 * that this loop goes round.
 *
 * Functions return 0 or a negative errno value and have told the user then.
 */
#ifndef APPMON_EXPORT_HTTP_SERVER_H
#define APPMON_EXPORT_HTTP_SERVER_H

#include <stdio.h>

#include "exposition.h"

struct http_server;

/* Writes the page; a negative value becomes a 500. */
typedef int (*http_server_page_fn)(void *ctx, FILE *out, enum exposition_format format);

/* listen: ADDRESS:PORT, [ADDRESS]:PORT or NAME:PORT; port 0: a free one. */
int http_server_open(struct http_server **ret, const char *listen, http_server_page_fn page,
		     void *ctx);
void http_server_close(struct http_server *server);

/* The address that it listens on: "127.0.0.1:9464". */
const char *http_server_address(const struct http_server *server);

/* Readable when http_server_run() has work; it is due after *ret_timeout_ms, too, if that is not
 * negative. */
int http_server_fd(const struct http_server *server, int *ret_timeout_ms);
void http_server_run(struct http_server *server);

#endif /* APPMON_EXPORT_HTTP_SERVER_H */
