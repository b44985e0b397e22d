/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP in the background of the caller's loop, by libcurl: sends by POST, and reads answers, also
 * such that go on for ever, by GET.
 */
#ifndef APPMON_EXPORT_HTTP_CLIENT_H
#define APPMON_EXPORT_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_client;
struct curl_waitfd;

/* What became of a request. */
struct http_answer {
	const char *error; /* NULL: it was answered 2xx; else what was wrong, borrowed */
	long status;	   /* 0: no answer came */
	/* There was no connection, or the answer was 429, 502, 503 or 504: it may work later. */
	bool temporary;
	uint64_t retry_after_ns; /* the least time to wait, of Retry-After; 0: none is given */
};

typedef void (*http_client_done_fn)(void *ctx, const struct http_answer *answer);

int http_client_open(struct http_client **ret);

/* What is still on its way is given up, without a call of done. */
void http_client_close(struct http_client *client);

/* Gives up those requests that have this ctx. */
void http_client_cancel(struct http_client *client, const void *ctx);

#define HTTP_CLIENT_JSON "application/json"

struct http_post {
	const char *url;
	char *const *fields; /* field_count header fields, "Name: value", beside the client's own */
	size_t field_count;
	const char *type; /* of the body */
	char *body;	  /* taken over, to be freed by free(), whatever is returned */
	size_t len;
	http_client_done_fn done;
	void *ctx;
};

/* All of post but the body is copied. done is called from http_client_wait(). Returns 0 or -ENOMEM. */
int http_client_post(struct http_client *client, const struct http_post *post);

/*
 * Takes what has come of a 2xx answer's body, or with len 0 the news that its head has; false: no
 * more is wanted, the request fails.
 */
typedef bool (*http_client_data_fn)(void *ctx, const char *data, size_t len);

struct http_get {
	const char *url;
	char *const *fields; /* field_count header fields, "Name: value" */
	size_t field_count;
	const char *ca_file; /* PEM, of those that may have signed the server's certificate; NULL:
			      * the system's */
	const char *unix_socket; /* the server's, in place of the URL's host; NULL: none */
	uint64_t timeout_ms;	 /* until the answer is whole; 0: never */
	http_client_data_fn data;
	http_client_done_fn done;
	void *ctx;
};

/* All of get is copied. data and done are called from http_client_wait(). Returns 0 or -ENOMEM. */
int http_client_get(struct http_client *client, const struct http_get *get);

/*
 * Goes on with what is on its way, then waits up to timeout_ms for it or for one of the
 * descriptors, whose revents are set.
 */
void http_client_wait(struct http_client *client, struct curl_waitfd *fds, unsigned count,
		      int timeout_ms);

#endif /* APPMON_EXPORT_HTTP_CLIENT_H */
