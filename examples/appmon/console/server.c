/* SPDX-License-Identifier: BSD-2-Clause */
#include "server.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../export/http-daemon.h"
#include "../export/listen.h"
#include "access.h"
#include "follower.h"

#define MAX_CONNECTIONS 64
#define MAX_FOLLOWERS 16
#define IDLE_SECONDS 60
#define MAX_BODY 4096

struct server {
	struct MHD_Daemon *daemon;
	char *token; /* NULL: none */
	server_answer_fn answer;
	void *ctx;
	struct follower *followers;
	size_t follower_count;
	char address[LISTEN_ADDRESS_SIZE];
};

/* The body of a POST. */
struct body {
	size_t len;
	char text[MAX_BODY + 1];
};

/* ---- Answers ---------------------------------------------------------------------------- */

/* The page, made by meson from page/. */
#include "index.html.h"
#include "style.css.h"
#include "ui.js.h"
#include "charts.js.h"
#include "layout.js.h"
#include "map.js.h"
#include "application.js.h"
#include "request.js.h"
#include "alerts.js.h"
#include "main.js.h"

static const struct {
	const char *path, *type, *text;
} files[] = {
	{"/", "text/html; charset=utf-8", index_html},
	{"/style.css", "text/css; charset=utf-8", style_css},
	{"/ui.js", "text/javascript; charset=utf-8", ui_js},
	{"/charts.js", "text/javascript; charset=utf-8", charts_js},
	{"/layout.js", "text/javascript; charset=utf-8", layout_js},
	{"/map.js", "text/javascript; charset=utf-8", map_js},
	{"/application.js", "text/javascript; charset=utf-8", application_js},
	{"/request.js", "text/javascript; charset=utf-8", request_js},
	{"/alerts.js", "text/javascript; charset=utf-8", alerts_js},
	{"/main.js", "text/javascript; charset=utf-8", main_js},
};

static void add_fields(struct MHD_Response *response, const char *type)
{
	static const char *const fields[][2] = {
		/* The page's own files and documents, and no others; no frame around it. */
		{"Content-Security-Policy",
		 "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		 "img-src 'self' data:; base-uri 'none'; form-action 'none'; "
		 "frame-ancestors 'none'"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
		{"Referrer-Policy", "no-referrer"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cache-Control", "no-store"},
	};

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		MHD_add_response_header(response, fields[i][0], fields[i][1]);
}

/* Gives the response away. */
static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status,
				     struct MHD_Response *response, const char *type)
{
	enum MHD_Result ret;

	if (!response)
		return MHD_NO;
	add_fields(response, type);
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status,
				 const char *text)
{
	return send_response(
		connection, status,
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY),
		"text/plain; charset=utf-8");
}

static enum MHD_Result send_document(struct server *server, struct MHD_Connection *connection,
				     const struct server_request *request)
{
	struct MHD_Response *response;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	unsigned status;

	if (!out)
		return MHD_NO;
	status = server->answer(server->ctx, request, out);
	if (fclose(out) != 0) {
		free(text);
		return MHD_NO;
	}
	response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(text);
	return send_response(connection, status, response,
			     status == MHD_HTTP_OK ? "application/json"
						   : "text/plain; charset=utf-8");
}

/* ---- The stream --------------------------------------------------------------------------- */

static void on_gone(void *ctx)
{
	struct follower *follower = ctx, **link = follower->list;

	while (*link != follower)
		link = &(*link)->next;
	*link = follower->next;
	(*follower->count)--;
	follower_free(follower);
}

static enum MHD_Result send_stream(struct server *server, struct MHD_Connection *connection)
{
	struct MHD_Response *response;
	struct follower *follower;

	if (server->follower_count == MAX_FOLLOWERS)
		return send_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				 "too many follow the stream\n");
	follower = follower_new(connection);
	if (!follower)
		return MHD_NO;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, FOLLOWER_BLOCK,
						     follower_read, follower, on_gone);
	if (!response) {
		follower_free(follower);
		return MHD_NO;
	}
	follower->list = &server->followers;
	follower->count = &server->follower_count;
	follower->next = server->followers;
	server->followers = follower;
	server->follower_count++;
	return send_response(connection, MHD_HTTP_OK, response, "text/event-stream");
}

size_t server_followers(const struct server *server)
{
	return server->follower_count;
}

void server_send(struct server *server, const char *event, const char *data, size_t len)
{
	for (struct follower *f = server->followers; f; f = f->next)
		follower_send(f, event, data, len);
}

/* ---- Requests ----------------------------------------------------------------------------- */

static const char *field_of(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
	char text[160];

	snprintf(text, sizeof(text), "%s\n", why);
	return send_text(connection, status, text);
}

static enum MHD_Result dispatch(struct server *server, struct MHD_Connection *connection,
				const char *path, const char *body)
{
	const struct access_fields fields = {
		.host = field_of(connection, MHD_HTTP_HEADER_HOST),
		.origin = field_of(connection, MHD_HTTP_HEADER_ORIGIN),
		.fetch_site = field_of(connection, "Sec-Fetch-Site"),
		.authorization = field_of(connection, MHD_HTTP_HEADER_AUTHORIZATION),
		.content_type = field_of(connection, MHD_HTTP_HEADER_CONTENT_TYPE)};
	bool api = strncmp(path, "/api/", 5) == 0;
	enum access_to to = !api ? ACCESS_PAGE : body ? ACCESS_CHANGE : ACCESS_DATA;
	struct server_request request = {
		.path = path, .change = body != NULL, .body = body, .connection = connection};
	const char *why;
	unsigned status = access_check(server->token, to, &fields, &why);

	if (status != 200)
		return refuse(connection, status, why);
	/* The one thing that can be changed here: the watched applications are only looked at. */
	if (body && strcmp(path, "/api/silence") != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET is served here");
	if (!body && strcmp(path, "/api/stream") == 0)
		return send_stream(server, connection);
	if (api)
		return send_document(server, connection, &request);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (strcmp(path, files[i].path) == 0)
			return send_response(connection, MHD_HTTP_OK,
					     MHD_create_response_from_buffer(
						     strlen(files[i].text), (void *)files[i].text,
						     MHD_RESPMEM_PERSISTENT),
					     files[i].type);
	}
	return refuse(connection, MHD_HTTP_NOT_FOUND, "not here: the page is /");
}

/* One too long is cut off, and refused at its end. */
static void take_body(struct body *body, const char *upload, size_t *size)
{
	size_t room = MAX_BODY - body->len, part = *size < room ? *size : room;

	memcpy(body->text + body->len, upload, part);
	body->len += part;
	*size = 0;
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **state)
{
	struct server *server = ctx;
	struct body *body = *state;

	(void)version;
	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
		/* A body, which none of these has, is read and forgotten. */
		if (*upload_size > 0) {
			*upload_size = 0;
			return MHD_YES;
		}
		return dispatch(server, connection, path, NULL);
	}
	if (strcmp(method, "POST") != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET is served here");
	if (!body) {
		*state = calloc(1, sizeof(struct body));
		return *state ? MHD_YES : MHD_NO;
	}
	if (*upload_size > 0) {
		take_body(body, upload, upload_size);
		return MHD_YES;
	}
	if (body->len == MAX_BODY)
		return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long");
	return dispatch(server, connection, path, body->text);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode how)
{
	(void)ctx;
	(void)connection;
	(void)how;
	free(*state);
	*state = NULL;
}

const char *server_argument(const struct server_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* ---- Life cycle --------------------------------------------------------------------------- */

int server_open(struct server **ret, const struct server_opts *opts)
{
	struct server *server;
	int fd = listen_open(opts->listen);

	if (fd < 0)
		return fd;
	if (!opts->token && !listen_is_loopback(fd)) {
		warnx("the console on %s could be read by other machines: a token is needed, see "
		      "appmon-console(1)",
		      opts->listen);
		close(fd);
		return -EPERM;
	}
	server = calloc(1, sizeof(*server));
	if (server && opts->token)
		server->token = strdup(opts->token);
	if (!server || (opts->token && !server->token)) {
		warnx("out of memory");
		close(fd);
		free(server);
		return -ENOMEM;
	}
	server->answer = opts->answer;
	server->ctx = opts->ctx;
	listen_address(fd, server->address);
	server->daemon =
		http_daemon_start(fd, &(struct http_daemon_opts){.what = "the console",
								 .flags = MHD_ALLOW_SUSPEND_RESUME,
								 .max_connections = MAX_CONNECTIONS,
								 .idle_seconds = IDLE_SECONDS,
								 .handle = handle,
								 .ctx = server,
								 .completed = on_completed});
	if (!server->daemon) {
		free(server->token);
		free(server);
		return -ENOMEM;
	}
	*ret = server;
	return 0;
}

void server_close(struct server *server)
{
	if (!server)
		return;
	/* What is suspended would never end. */
	for (struct follower *f = server->followers; f; f = f->next)
		follower_end(f);
	MHD_run(server->daemon);
	MHD_stop_daemon(server->daemon);
	free(server->token);
	free(server);
}

const char *server_address(const struct server *server)
{
	return server->address;
}

uint16_t server_port(const struct server *server)
{
	return (uint16_t)strtoul(strrchr(server->address, ':') + 1, NULL, 10);
}

int server_fd(const struct server *server, int *ret_timeout_ms)
{
	return http_daemon_fd(server->daemon, ret_timeout_ms);
}

void server_run(struct server *server)
{
	MHD_run(server->daemon);
}
