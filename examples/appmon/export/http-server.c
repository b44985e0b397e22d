/* SPDX-License-Identifier: BSD-2-Clause */
#include "http-server.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http-daemon.h"
#include "listen.h"

/* More scrapers than these at once are a mistake, or an attack. */
#define MAX_CONNECTIONS 32
#define IDLE_SECONDS 30

struct http_server {
	struct MHD_Daemon *daemon;
	http_server_page_fn page;
	void *ctx;
	char address[LISTEN_ADDRESS_SIZE];
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, char *body,
			      size_t len, const char *type)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result ret;

	if (!response) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	ret = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status,
				   const char *text)
{
	char *body = strdup(text);

	return body ? answer(connection, status, body, strlen(body), "text/plain; charset=utf-8")
		    : MHD_NO;
}

static enum MHD_Result answer_metrics(struct http_server *server, struct MHD_Connection *connection)
{
	const char *accept =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	enum exposition_format format = exposition_choose(accept);
	char *body = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&body, &len);
	int ret;

	if (!out)
		return MHD_NO;
	ret = server->page(server->ctx, out, format);
	if (fclose(out) != 0 || ret < 0) {
		free(body);
		return answer_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	}
	return answer(connection, MHD_HTTP_OK, body, len, exposition_type(format));
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **request)
{
	struct http_server *server = ctx;

	(void)version;
	(void)upload;
	(void)request;
	/* A body, which none of these has, is read and forgotten. */
	if (*upload_size > 0) {
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET is served here\n");
	if (strcmp(url, "/metrics") == 0)
		return answer_metrics(server, connection);
	/* It is asked from the loop that does all the work. */
	if (strcmp(url, "/healthz") == 0 || strcmp(url, "/readyz") == 0)
		return answer_text(connection, MHD_HTTP_OK, "ok\n");
	if (strcmp(url, "/") == 0)
		return answer_text(connection, MHD_HTTP_OK, "appmon: see /metrics\n");
	return answer_text(connection, MHD_HTTP_NOT_FOUND, "see /metrics\n");
}

int http_server_open(struct http_server **ret_server, const char *listen, http_server_page_fn page,
		     void *ctx)
{
	struct http_server *server;
	int fd;

	server = calloc(1, sizeof(*server));
	if (!server) {
		warnx("out of memory");
		return -ENOMEM;
	}
	server->page = page;
	server->ctx = ctx;
	fd = listen_open(listen);
	if (fd < 0) {
		free(server);
		return fd;
	}
	listen_address(fd, server->address);
	server->daemon =
		http_daemon_start(fd, &(struct http_daemon_opts){.what = "/metrics",
								 .max_connections = MAX_CONNECTIONS,
								 .idle_seconds = IDLE_SECONDS,
								 .handle = handle,
								 .ctx = server});
	if (!server->daemon) {
		free(server);
		return -ENOMEM;
	}
	*ret_server = server;
	return 0;
}

void http_server_close(struct http_server *server)
{
	if (!server)
		return;
	MHD_stop_daemon(server->daemon);
	free(server);
}

const char *http_server_address(const struct http_server *server)
{
	return server->address;
}

int http_server_fd(const struct http_server *server, int *ret_timeout_ms)
{
	return http_daemon_fd(server->daemon, ret_timeout_ms);
}

void http_server_run(struct http_server *server)
{
	MHD_run(server->daemon);
}
