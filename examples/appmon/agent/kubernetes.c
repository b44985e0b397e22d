/* SPDX-License-Identifier: BSD-2-Clause */
#include "kubernetes.h"

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../text.h"
#include "json-stream.h"

#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"
/* The API server takes no object above 1.5 MiB, and sends some more of its own with it. */
#define OBJECT_MAX (4 << 20)
#define TOKEN_MAX 65536
#define LIST_TIMEOUT_S 30
/* The server ends a watch after a random time within these, so that not all come at once. */
#define WATCH_MIN_S 300
#define WATCH_MAX_S 600
#define WATCH_GRACE_S 30
/* A watch that lasted as long was none that the server refuses. */
#define LASTING_NS (60 * NSEC_PER_SEC)
#define VERSION_SIZE 64

enum asking { ASKING_NOTHING, ASKING_LIST, ASKING_WATCH };

struct kubernetes {
	struct http_client *client;
	struct pods *pods;
	char *api, *token_file, *ca_file, *node;
	enum asking asking;
	struct json_stream stream;
	/* Where the watch goes on; "": a list is wanted first. */
	char version[VERSION_SIZE];
	/* The list may come from the server's cache: no watch has said that this is too old. */
	bool any_version;
	bool expired; /* the watch has said so */
	char error[256];
	uint64_t begun_ns;
	bool told_pods;
	struct source source;
};

/* Told once until it works again. */
static void fail(struct kubernetes *k, const struct http_answer *answer)
{
	source_fails(&k->source, k->error[0] != '\0' ? k->error : answer->error,
		     answer->status == 401   ? ": it does not take the token"
		     : answer->status == 403 ? ": the service account may not list and watch pods"
					     : "");
}

/* ---- What it answers ---------------------------------------------------------------- */

static const char *get_text(struct json_object *object, const char *key)
{
	const char *text = json_object_get_string(json_member(object, key));

	return text ? text : "";
}

/* It comes back in a URL. By the API's rules it says nothing to us beyond that. */
static bool take_version(struct kubernetes *k, struct json_object *object)
{
	const char *version = get_text(json_member(object, "metadata"), "resourceVersion");
	size_t len = strlen(version);

	if (len == 0 || len >= VERSION_SIZE)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)version[i]))
			return false;
	}
	memcpy(k->version, version, len + 1);
	return true;
}

static bool wrong(struct kubernetes *k, const char *what)
{
	snprintf(k->error, sizeof(k->error), "%s", what);
	return false;
}

static bool on_listed(void *ctx, struct json_object *pod)
{
	struct kubernetes *k = ctx;

	pods_put(k->pods, pod);
	return true;
}

/* A Status in place of a pod. */
static bool on_error(struct kubernetes *k, struct json_object *status)
{
	k->version[0] = '\0';
	k->expired = json_object_get_int(json_member(status, "code")) == 410;
	return wrong(k, get_text(status, "message"));
}

static bool on_watched(void *ctx, struct json_object *event)
{
	struct json_object *object = json_member(event, "object");
	const char *type = get_text(event, "type");
	struct kubernetes *k = ctx;

	if (strcmp(type, "ERROR") == 0)
		return on_error(k, object);
	if (!take_version(k, object))
		return wrong(k, "it tells of an object without a version");
	if (strcmp(type, "DELETED") == 0)
		pods_remove(k->pods, object, now_ns());
	else if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		pods_put(k->pods, object);
	else if (strcmp(type, "BOOKMARK") != 0)
		return wrong(k, "it tells of a pod what is not known here");
	k->source.delay_ns = 0;
	return true;
}

static bool on_data(void *ctx, const char *data, size_t len)
{
	struct kubernetes *k = ctx;

	source_works(&k->source);
	return json_stream_feed(&k->stream, data, len) ||
	       (k->error[0] == '\0' && wrong(k, "its answer is no JSON, or too long"));
}

static void on_list_done(struct kubernetes *k, const struct http_answer *answer)
{
	struct json_object *list = answer->error ? NULL : json_stream_rest(&k->stream);

	if (list && take_version(k, list)) {
		pods_list_end(k->pods, now_ns());
		if (!k->told_pods)
			fprintf(stderr, "appmon: Kubernetes: %zu pod(s) of node %s\n",
				pods_count(k->pods), k->node);
		k->told_pods = k->any_version = true;
		k->source.due_ns = now_ns();
	} else {
		if (!answer->error)
			wrong(k, "its answer is no list of pods");
		/* 410, or 504 for a version that is too new: the newest that there is will do. */
		if (answer->status == 410 || answer->status == 504)
			k->any_version = false;
		fail(k, answer);
		source_schedule(&k->source, answer->retry_after_ns);
	}
	json_object_put(list);
}

static void on_watch_done(struct kubernetes *k, const struct http_answer *answer)
{
	k->expired |= answer->status == 410;
	if (k->expired) {
		k->version[0] = '\0';
		k->any_version = false;
	} else if (answer->error) {
		fail(k, answer);
	} else if (now_ns() - k->begun_ns > LASTING_NS) {
		k->source.delay_ns = 0;
	}
	source_schedule(&k->source, answer->retry_after_ns);
}

static void on_done(void *ctx, const struct http_answer *answer)
{
	struct kubernetes *k = ctx;
	enum asking asking = k->asking;

	k->asking = ASKING_NOTHING;
	if (asking == ASKING_LIST)
		on_list_done(k, answer);
	else
		on_watch_done(k, answer);
	json_stream_free(&k->stream);
}

/* ---- How it asks ----------------------------------------------------------------------- */

/* "Authorization: Bearer TOKEN", to be freed; NULL and *ret_error: it cannot be read. */
static char *authorization(const struct kubernetes *k, const char **ret_error)
{
	FILE *file = fopen(k->token_file, "re");
	char token[TOKEN_MAX], *field = NULL;
	size_t len;

	*ret_error = file ? "the token is not readable" : strerror(errno);
	if (!file)
		return NULL;
	len = fread(token, 1, sizeof(token) - 1, file);
	fclose(file);
	token[len] = '\0';
	token[strcspn(token, "\r\n")] = '\0';
	if (token[0] == '\0' || asprintf(&field, "Authorization: Bearer %s", token) < 0)
		return NULL;
	explicit_bzero(token, len);
	return field;
}

static char *make_url(const struct kubernetes *k, unsigned seconds)
{
	static const char pods[] = "/api/v1/pods?fieldSelector=spec.nodeName%3D";
	char *url;
	int ret;

	if (k->version[0] == '\0')
		ret = asprintf(&url, "%s%s%s%s", k->api, pods, k->node,
			       k->any_version ? "&resourceVersion=0" : "");
	else
		ret = asprintf(&url,
			       "%s%s%s&watch=1&allowWatchBookmarks=true&timeoutSeconds=%u"
			       "&resourceVersion=%s",
			       k->api, pods, k->node, seconds, k->version);
	return ret < 0 ? NULL : url;
}

static void ask(struct kubernetes *k)
{
	bool list = k->version[0] == '\0';
	unsigned seconds = list ? LIST_TIMEOUT_S
				: WATCH_MIN_S + (unsigned)source_random(WATCH_MAX_S - WATCH_MIN_S);
	const char *error = "out of memory";
	char *field = NULL, *url = NULL;
	struct http_get get = {.ca_file = k->ca_file,
			       .timeout_ms = (seconds + (list ? 0 : WATCH_GRACE_S)) * 1000,
			       .data = on_data,
			       .done = on_done,
			       .ctx = k};
	int ret = -ENOMEM;

	k->error[0] = '\0';
	k->expired = false;
	k->stream = (struct json_stream){.elements = list,
					 .max = OBJECT_MAX,
					 .object = list ? on_listed : on_watched,
					 .ctx = k};
	if (k->token_file)
		field = authorization(k, &error);
	if (field || !k->token_file)
		url = make_url(k, seconds);
	if (url) {
		get.url = url;
		get.fields = &field;
		get.field_count = field ? 1 : 0;
		ret = http_client_get(k->client, &get);
	}
	if (ret == 0) {
		k->asking = list ? ASKING_LIST : ASKING_WATCH;
		k->begun_ns = now_ns();
		if (list)
			pods_list_begin(k->pods);
	} else {
		fail(k, &(struct http_answer){.error = error});
		source_schedule(&k->source, 0);
	}
	if (field)
		explicit_bzero(field, strlen(field));
	free(field);
	free(url);
}

int kubernetes_run(struct kubernetes *k, uint64_t now)
{
	pods_expire(k->pods, now);
	if (k->asking == ASKING_NOTHING && now >= k->source.due_ns)
		ask(k);
	if (k->asking != ASKING_NOTHING)
		return -1;
	return source_timeout_ms(&k->source, now);
}

const struct source *kubernetes_source(const struct kubernetes *k)
{
	return &k->source;
}

/* ---- Where it is ---------------------------------------------------------------------------- */

static char *in_cluster_api(void)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT_HTTPS");
	char *api;

	if (!port)
		port = getenv("KUBERNETES_SERVICE_PORT");
	if (!host || !port ||
	    asprintf(&api, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port) < 0)
		return NULL;
	return api;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* By RFC 1123, as the API has it: it comes back in a URL. */
static bool is_node_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '.')
			return false;
	}
	return len > 0 && len <= 253;
}

static int find_server(struct kubernetes *k, const struct kubernetes_opts *opts)
{
	k->api = opts->api ? strdup(opts->api) : in_cluster_api();
	k->token_file =
		opts->token_file || opts->api ? copy(opts->token_file) : strdup(ACCOUNT "token");
	k->ca_file = opts->ca_file || opts->api ? copy(opts->ca_file) : strdup(ACCOUNT "ca.crt");
	k->node = copy(opts->node ? opts->node : getenv("NODE_NAME"));
	if (!k->api) {
		warnx("kubernetes: this is no pod, as KUBERNETES_SERVICE_HOST is not set: say "
		      "api:");
		return -EINVAL;
	}
	if (!k->node || !is_node_name(k->node)) {
		warnx("kubernetes: which node is this? Set NODE_NAME, from the field "
		      "spec.nodeName, "
		      "or say node:");
		return -EINVAL;
	}
	if (k->api[strlen(k->api) - 1] == '/')
		k->api[strlen(k->api) - 1] = '\0';
	if (asprintf(&k->source.what, "Kubernetes' API server at %s", k->api) < 0) {
		k->source.what = NULL;
		warnx("out of memory");
		return -ENOMEM;
	}
	return 0;
}

int kubernetes_open(struct kubernetes **ret, const struct kubernetes_opts *opts)
{
	struct kubernetes *k = calloc(1, sizeof(*k));
	int err;

	if (!k) {
		warnx("out of memory");
		return -ENOMEM;
	}
	k->client = opts->client;
	k->pods = opts->pods;
	k->any_version = true;
	err = find_server(k, opts);
	if (err < 0)
		kubernetes_close(k);
	else
		*ret = k;
	return err;
}

void kubernetes_close(struct kubernetes *k)
{
	if (!k)
		return;
	http_client_cancel(k->client, k);
	json_stream_free(&k->stream);
	free(k->api);
	free(k->token_file);
	free(k->ca_file);
	free(k->node);
	free(k->source.what);
	free(k);
}
