/* SPDX-License-Identifier: BSD-2-Clause */
#include "http-client.h"

#include <curl/curl.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"

#define POST_TIMEOUT_MS 10000
/* A peer that is gone is noticed while an answer that takes its time is waited for. */
#define KEEPALIVE_S 30L

struct http_client {
	CURLM *multi;
	struct request *requests; /* all that are on their way */
};

struct request {
	struct request *next;
	CURL *easy;
	struct curl_slist *headers;
	char *body;		  /* of a POST */
	http_client_data_fn data; /* NULL: the answer's body is of no interest */
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

static void unlink_request(struct http_client *client, const struct request *request)
{
	struct request **link = &client->requests;

	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
}

static void free_request(struct http_client *client, struct request *request)
{
	curl_multi_remove_handle(client->multi, request->easy);
	curl_easy_cleanup(request->easy);
	curl_slist_free_all(request->headers);
	free(request->body);
	free(request);
}

void http_client_cancel(struct http_client *client, const void *ctx)
{
	struct request *request, *next;

	for (request = client->requests; request; request = next) {
		next = request->next;
		if (request->ctx == ctx) {
			unlink_request(client, request);
			free_request(client, request);
		}
	}
}

void http_client_close(struct http_client *client)
{
	if (!client)
		return;
	while (client->requests) {
		struct request *request = client->requests;

		unlink_request(client, request);
		free_request(client, request);
	}
	curl_multi_cleanup(client->multi);
	free(client);
	curl_global_cleanup();
}

/* Of answers that are no 2xx the status says enough. */
static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
	struct request *request = ctx;
	long status = 0;

	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (request->data && status / 100 == 2 && !request->data(request->ctx, data, size * count))
		return 0;
	return size * count;
}

/* The empty line ends the head. */
static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
	if (size * count <= 2 && (*line == '\r' || *line == '\n'))
		on_data("", 1, 0, ctx);
	return size * count;
}

static struct curl_slist *header_list(const char *first, char *const *fields, size_t count)
{
	struct curl_slist *list = curl_slist_append(NULL, first), *longer;

	for (size_t i = 0; list && i < count; i++) {
		longer = curl_slist_append(list, fields[i]);
		if (!longer)
			curl_slist_free_all(list);
		list = longer;
	}
	return list;
}

/* NULL: out of memory. headers is taken over. */
static struct request *add_request(struct http_client *client, const char *url,
				   struct curl_slist *headers, uint64_t timeout_ms)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request)
		request->easy = curl_easy_init();
	if (!request || !request->easy || !headers) {
		curl_slist_free_all(headers);
		free(request);
		return NULL;
	}
	request->headers = headers;
	curl_easy_setopt(request->easy, CURLOPT_URL, url);
	curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(request->easy, CURLOPT_USERAGENT, "appmon");
	curl_easy_setopt(request->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(request->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(request->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(request->easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(request->easy, CURLOPT_ERRORBUFFER, request->error);
	curl_easy_setopt(request->easy, CURLOPT_PRIVATE, request);
	request->next = client->requests;
	client->requests = request;
	return request;
}

int http_client_post(struct http_client *client, const struct http_post *post)
{
	struct request *request;
	char type[64];

	snprintf(type, sizeof(type), "Content-Type: %s", post->type);
	request = add_request(client, post->url, header_list(type, post->fields, post->field_count),
			      POST_TIMEOUT_MS);
	if (!request) {
		free(post->body);
		return -ENOMEM;
	}
	request->body = post->body;
	request->done = post->done;
	request->ctx = post->ctx;
	curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->len);
	curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, post->body);
	curl_multi_add_handle(client->multi, request->easy);
	return 0;
}

int http_client_get(struct http_client *client, const struct http_get *get)
{
	struct request *request =
		add_request(client, get->url,
			    header_list("Accept: application/json", get->fields, get->field_count),
			    get->timeout_ms);

	if (!request)
		return -ENOMEM;
	request->data = get->data;
	request->done = get->done;
	request->ctx = get->ctx;
	curl_easy_setopt(request->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(request->easy, CURLOPT_HEADERDATA, request);
	if (get->ca_file)
		curl_easy_setopt(request->easy, CURLOPT_CAINFO, get->ca_file);
	if (get->unix_socket)
		curl_easy_setopt(request->easy, CURLOPT_UNIX_SOCKET_PATH, get->unix_socket);
	curl_easy_setopt(request->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(request->easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	curl_easy_setopt(request->easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S / 3);
	curl_multi_add_handle(client->multi, request->easy);
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
	struct request *request;
	long status = 0;
	char *private;

	curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
	request = (struct request *)private;
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (message->data.result != CURLE_OK)
		snprintf(error, sizeof(error), "%s",
			 request->error[0] != '\0' ? request->error
						   : curl_easy_strerror(message->data.result));
	else if (status / 100 != 2)
		snprintf(error, sizeof(error), "it answered %ld", status);
	curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after);
	if (error[0] != '\0')
		answer.error = error;
	answer.status = status;
	answer.temporary = is_temporary(message->data.result, status);
	answer.retry_after_ns = (uint64_t)retry_after * NSEC_PER_SEC;
	/* done() may cancel others of the same ctx. */
	unlink_request(client, request);
	request->done(request->ctx, &answer);
	free_request(client, request);
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
