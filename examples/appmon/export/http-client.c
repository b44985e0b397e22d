/* SPDX-License-Identifier: BSD-2-Clause */
#include "http-client.h"

#include <curl/curl.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"

#define TIMEOUT_MS 10000L
#define CONTENT_TYPE "Content-Type: application/json"

struct http_client {
	CURLM *multi;
	struct post *posts; /* all that are on their way */
};

struct post {
	struct post *next;
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	http_client_done_fn done;
	void *ctx;
	char error[CURL_ERROR_SIZE];
};

int http_client_open(struct http_client **ret)
{
	struct http_client *client = calloc(1, sizeof(*client));

	if (client && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
		client->multi = curl_multi_init();
		if (client->multi) {
			*ret = client;
			return 0;
		}
		http_client_close(client);
	} else {
		free(client);
	}
	warnx("out of memory");
	return -ENOMEM;
}

static void free_post(struct http_client *client, struct post *post)
{
	struct post **link = &client->posts;

	while (*link != post)
		link = &(*link)->next;
	*link = post->next;
	curl_multi_remove_handle(client->multi, post->easy);
	curl_easy_cleanup(post->easy);
	curl_slist_free_all(post->headers);
	free(post->body);
	free(post);
}

void http_client_cancel(struct http_client *client, const void *ctx)
{
	struct post *post, *next;

	for (post = client->posts; post; post = next) {
		next = post->next;
		if (post->ctx == ctx)
			free_post(client, post);
	}
}

void http_client_close(struct http_client *client)
{
	if (!client)
		return;
	while (client->posts)
		free_post(client, client->posts);
	curl_multi_cleanup(client->multi);
	free(client);
	curl_global_cleanup();
}

/* What the receiver answers is of no interest beyond its status. */
static size_t discard(char *data, size_t size, size_t count, void *ctx)
{
	(void)data;
	(void)ctx;
	return size * count;
}

static struct curl_slist *header_list(char *const *fields, size_t count)
{
	struct curl_slist *list = curl_slist_append(NULL, CONTENT_TYPE), *longer;

	for (size_t i = 0; list && i < count; i++) {
		longer = curl_slist_append(list, fields[i]);
		if (!longer)
			curl_slist_free_all(list);
		list = longer;
	}
	return list;
}

int http_client_post(struct http_client *client, const char *url, char *const *fields,
		     size_t field_count, char *body, http_client_done_fn done, void *ctx)
{
	struct post *post = calloc(1, sizeof(*post));

	if (post) {
		post->headers = header_list(fields, field_count);
		post->easy = curl_easy_init();
	}
	if (!post || !post->easy || !post->headers) {
		if (post) {
			curl_easy_cleanup(post->easy);
			curl_slist_free_all(post->headers);
		}
		free(post);
		free(body);
		return -ENOMEM;
	}
	post->body = body;
	post->done = done;
	post->ctx = ctx;
	curl_easy_setopt(post->easy, CURLOPT_URL, url);
	curl_easy_setopt(post->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	curl_easy_setopt(post->easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(post->easy, CURLOPT_HTTPHEADER, post->headers);
	curl_easy_setopt(post->easy, CURLOPT_USERAGENT, "appmon");
	curl_easy_setopt(post->easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(post->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(post->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(post->easy, CURLOPT_WRITEFUNCTION, discard);
	curl_easy_setopt(post->easy, CURLOPT_ERRORBUFFER, post->error);
	curl_easy_setopt(post->easy, CURLOPT_PRIVATE, post);
	post->next = client->posts;
	client->posts = post;
	curl_multi_add_handle(client->multi, post->easy);
	return 0;
}

/* By the OTLP/HTTP specification; what the receiver did not get can come later, too. */
static bool is_temporary(CURLcode result, long status)
{
	switch (result) {
	case CURLE_OK:
		return status == 429 || (status >= 502 && status <= 504);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
		return true;
	default:
		return false;
	}
}

static void finish(struct http_client *client, const CURLMsg *message)
{
	char error[CURL_ERROR_SIZE + 32] = "";
	struct http_answer answer = {0};
	curl_off_t retry_after = 0;
	struct post *post;
	long status = 0;
	char *private;

	curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
	post = (struct post *)private;
	curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
	if (message->data.result != CURLE_OK)
		snprintf(error, sizeof(error), "%s",
			 post->error[0] != '\0' ? post->error
						: curl_easy_strerror(message->data.result));
	else if (status / 100 != 2)
		snprintf(error, sizeof(error), "it answered %ld", status);
	curl_easy_getinfo(post->easy, CURLINFO_RETRY_AFTER, &retry_after);
	if (error[0] != '\0')
		answer.error = error;
	answer.temporary = is_temporary(message->data.result, status);
	answer.retry_after_ns = (uint64_t)retry_after * NSEC_PER_SEC;
	post->done(post->ctx, &answer);
	free_post(client, post);
}

void http_client_wait(struct http_client *client, struct curl_waitfd *fds, unsigned count,
		      int timeout_ms)
{
	CURLMsg *message;
	int running, left;

	curl_multi_perform(client->multi, &running);
	while ((message = curl_multi_info_read(client->multi, &left))) {
		if (message->msg == CURLMSG_DONE)
			finish(client, message);
	}
	curl_multi_poll(client->multi, fds, count, timeout_ms, NULL);
}
