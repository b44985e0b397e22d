/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends JSON by HTTP POST in the background of the caller's loop, by libcurl. */
#ifndef APPMON_EXPORT_HTTP_CLIENT_H
#define APPMON_EXPORT_HTTP_CLIENT_H

#include <stddef.h>

struct http_client;
struct curl_waitfd;

/* error: NULL if the answer was 2xx, else what was wrong, borrowed. */
typedef void (*http_client_done_fn)(void *ctx, const char *error);

int http_client_open(struct http_client **ret);

/* What is still on its way is given up, without a call of done. */
void http_client_close(struct http_client *client);

/* Gives up those posts that have this ctx. */
void http_client_cancel(struct http_client *client, const void *ctx);

/*
 * body is taken over, to be freed by free(), whatever is returned. done is called from
 * http_client_wait(). Returns 0 or -ENOMEM.
 */
int http_client_post(struct http_client *client, const char *url, char *body,
		     http_client_done_fn done, void *ctx);

/*
 * Goes on with what is on its way, then waits up to timeout_ms for it or for one of the
 * descriptors, whose revents are set.
 */
void http_client_wait(struct http_client *client, struct curl_waitfd *fds, unsigned count,
		      int timeout_ms);

#endif /* APPMON_EXPORT_HTTP_CLIENT_H */
