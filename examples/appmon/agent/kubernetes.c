/* SPDX-License-Identifier: BSD-2-Clause */
#include "kubernetes.h"

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../clock.h"
#include "../text.h"
#include "json-stream.h"
#include "services.h"
#include "source.h"

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

enum kind { PODS, SERVICES, SLICES };
#define KINDS 3

static const struct {
	const char *name, *path;
} kinds[KINDS] = {
	[PODS] = {"pods", "/api/v1/pods"},
	[SERVICES] = {"services", "/api/v1/services"},
	[SLICES] = {"endpointslices", "/apis/discovery.k8s.io/v1/endpointslices"},
};

/* One kind of objects. */
struct watch {
	struct kubernetes *kubernetes;
	enum kind kind;
	enum asking asking;
	struct json_stream stream;
	/* Where the watch goes on; "": a list is wanted first. */
	char version[VERSION_SIZE];
	/* The list may come from the server's cache: no watch has said that this is too old. */
	bool any_version;
	bool expired; /* the watch has said so */
	char error[256];
	uint64_t begun_ns;
	struct source source;
};

struct kubernetes {
	struct http_client *client;
	struct pods *pods;
	struct addresses *addresses;
	char *api, *token_file, *ca_file, *node;
	bool told_pods; /* or there is nobody to tell */
	struct watch watches[KINDS];
};

/* Told once until it works again. */
static void fail(struct watch *w, const struct http_answer *answer)
{
	char hint[128] = "";

	if (answer->status == 401)
		snprintf(hint, sizeof(hint), ": it does not take the token");
	else if (answer->status == 403)
		snprintf(hint, sizeof(hint), ": the service account may not list and watch %s",
			 kinds[w->kind].name);
	source_fails(&w->source, w->error[0] != '\0' ? w->error : answer->error, hint);
}

/* ---- Who keeps it ------------------------------------------------------------------- */

static void put(struct watch *w, struct json_object *object)
{
	struct kubernetes *k = w->kubernetes;

	if (w->kind == PODS)
		pods_put(k->pods, object);
	else if (w->kind == SERVICES)
		services_put(k->addresses, object, now_ns());
	else
		services_put_slice(k->addresses, object, now_ns());
}

static void take_away(struct watch *w, struct json_object *object)
{
	if (w->kind == PODS)
		pods_remove(w->kubernetes->pods, object, now_ns());
	else
		services_remove(w->kubernetes->addresses, object, now_ns());
}

static unsigned addresses_kind(const struct watch *w)
{
	return w->kind == SERVICES ? ADDRESSES_OF_SERVICES : ADDRESSES_OF_SLICES;
}

static void list_begin(struct watch *w)
{
	if (w->kind == PODS)
		pods_list_begin(w->kubernetes->pods);
	else
		addresses_list_begin(w->kubernetes->addresses, addresses_kind(w));
}

static void list_end(struct watch *w)
{
	struct kubernetes *k = w->kubernetes;

	if (w->kind != PODS) {
		addresses_list_end(k->addresses, addresses_kind(w), now_ns());
		return;
	}
	pods_list_end(k->pods, now_ns());
	if (!k->told_pods)
		fprintf(stderr, "appmon: Kubernetes: %zu pod(s) of node %s\n", pods_count(k->pods),
			k->node);
	k->told_pods = true;
}

/* ---- What it answers ---------------------------------------------------------------- */

static const char *get_text(struct json_object *object, const char *key)
{
	const char *text = json_object_get_string(json_member(object, key));

	return text ? text : "";
}

/* It comes back in a URL. By the API's rules it says nothing to us beyond that. */
static bool take_version(struct watch *w, struct json_object *object)
{
	const char *version = get_text(json_member(object, "metadata"), "resourceVersion");
	size_t len = strlen(version);

	if (len == 0 || len >= VERSION_SIZE)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)version[i]))
			return false;
	}
	memcpy(w->version, version, len + 1);
	return true;
}

static bool wrong(struct watch *w, const char *what)
{
	snprintf(w->error, sizeof(w->error), "%s", what);
	return false;
}

static bool on_listed(void *ctx, struct json_object *object)
{
	put(ctx, object);
	return true;
}

/* A Status in place of an object. */
static bool on_error(struct watch *w, struct json_object *status)
{
	w->version[0] = '\0';
	w->expired = json_object_get_int(json_member(status, "code")) == 410;
	return wrong(w, get_text(status, "message"));
}

static bool on_watched(void *ctx, struct json_object *event)
{
	struct json_object *object = json_member(event, "object");
	const char *type = get_text(event, "type");
	struct watch *w = ctx;

	if (strcmp(type, "ERROR") == 0)
		return on_error(w, object);
	if (!take_version(w, object))
		return wrong(w, "it tells of an object without a version");
	if (strcmp(type, "DELETED") == 0)
		take_away(w, object);
	else if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		put(w, object);
	else if (strcmp(type, "BOOKMARK") != 0)
		return wrong(w, "it tells of an object what is not known here");
	w->source.delay_ns = 0;
	return true;
}

static bool on_data(void *ctx, const char *data, size_t len)
{
	struct watch *w = ctx;

	source_works(&w->source);
	return json_stream_feed(&w->stream, data, len) ||
	       (w->error[0] == '\0' && wrong(w, "its answer is no JSON, or too long"));
}

static void on_list_done(struct watch *w, const struct http_answer *answer)
{
	struct json_object *list = answer->error ? NULL : json_stream_rest(&w->stream);

	if (list && take_version(w, list)) {
		list_end(w);
		w->any_version = true;
		w->source.due_ns = now_ns();
	} else {
		if (!answer->error)
			wrong(w, "its answer is no list");
		/* 410, or 504 for a version that is too new: the newest that there is will do. */
		if (answer->status == 410 || answer->status == 504)
			w->any_version = false;
		fail(w, answer);
		source_schedule(&w->source, answer->retry_after_ns);
	}
	json_object_put(list);
}

static void on_watch_done(struct watch *w, const struct http_answer *answer)
{
	w->expired |= answer->status == 410;
	if (w->expired) {
		w->version[0] = '\0';
		w->any_version = false;
	} else if (answer->error) {
		fail(w, answer);
	} else if (now_ns() - w->begun_ns > LASTING_NS) {
		w->source.delay_ns = 0;
	}
	source_schedule(&w->source, answer->retry_after_ns);
}

static void on_done(void *ctx, const struct http_answer *answer)
{
	struct watch *w = ctx;
	enum asking asking = w->asking;

	w->asking = ASKING_NOTHING;
	if (asking == ASKING_LIST)
		on_list_done(w, answer);
	else
		on_watch_done(w, answer);
	json_stream_free(&w->stream);
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

static char *make_url(const struct watch *w, unsigned seconds)
{
	const struct kubernetes *k = w->kubernetes;
	const char *path = kinds[w->kind].path;
	const char *selector = w->kind == PODS ? "fieldSelector=spec.nodeName%3D" : "";
	const char *node = w->kind == PODS ? k->node : "", *and = w->kind == PODS ? "&" : "";
	char *url;
	int ret;

	if (w->version[0] != '\0')
		ret = asprintf(&url,
			       "%s%s?%s%s%swatch=1&allowWatchBookmarks=true&timeoutSeconds=%u"
			       "&resourceVersion=%s",
			       k->api, path, selector, node, and, seconds, w->version);
	else
		ret = asprintf(&url, "%s%s?%s%s%sresourceVersion=%s", k->api, path, selector, node,
			       and, w->any_version ? "0" : "");
	return ret < 0 ? NULL : url;
}

static void ask(struct watch *w)
{
	const struct kubernetes *k = w->kubernetes;
	bool list = w->version[0] == '\0';
	unsigned seconds = list ? LIST_TIMEOUT_S
				: WATCH_MIN_S + (unsigned)source_random(WATCH_MAX_S - WATCH_MIN_S);
	const char *error = "out of memory";
	char *field = NULL, *url = NULL;
	struct http_get get = {.ca_file = k->ca_file,
			       .timeout_ms = (seconds + (list ? 0 : WATCH_GRACE_S)) * 1000,
			       .data = on_data,
			       .done = on_done,
			       .ctx = w};
	int ret = -ENOMEM;

	w->error[0] = '\0';
	w->expired = false;
	w->stream = (struct json_stream){.elements = list,
					 .max = OBJECT_MAX,
					 .object = list ? on_listed : on_watched,
					 .ctx = w};
	if (k->token_file)
		field = authorization(k, &error);
	if (field || !k->token_file)
		url = make_url(w, seconds);
	if (url) {
		get.url = url;
		get.fields = &field;
		get.field_count = field ? 1 : 0;
		ret = http_client_get(k->client, &get);
	}
	if (ret == 0) {
		w->asking = list ? ASKING_LIST : ASKING_WATCH;
		w->begun_ns = now_ns();
		if (list)
			list_begin(w);
	} else {
		fail(w, &(struct http_answer){.error = error});
		source_schedule(&w->source, 0);
	}
	if (field)
		explicit_bzero(field, strlen(field));
	free(field);
	free(url);
}

int kubernetes_run(struct kubernetes *k, uint64_t now)
{
	int timeout_ms = -1;

	pods_expire(k->pods, now);
	addresses_expire(k->addresses, now);
	for (size_t i = 0; i < KINDS; i++) {
		struct watch *w = &k->watches[i];
		int one_ms;

		if (w->asking == ASKING_NOTHING && now >= w->source.due_ns)
			ask(w);
		if (w->asking != ASKING_NOTHING)
			continue;
		one_ms = source_timeout_ms(&w->source, now);
		if (timeout_ms < 0 || one_ms < timeout_ms)
			timeout_ms = one_ms;
	}
	return timeout_ms;
}

bool kubernetes_is_up(const struct kubernetes *k)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (!k->watches[i].source.up)
			return false;
	}
	return true;
}

uint64_t kubernetes_failures(const struct kubernetes *k)
{
	uint64_t failures = 0;

	for (size_t i = 0; i < KINDS; i++)
		failures += k->watches[i].source.failures;
	return failures;
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
	return 0;
}

/* The pods' watch speaks for the server as a whole: its absence is not told three times in the same
 * words. */
static int init_watch(struct kubernetes *k, enum kind kind)
{
	struct watch *w = &k->watches[kind];
	int ret = kind == PODS ? asprintf(&w->source.what, "Kubernetes' API server at %s", k->api)
			       : asprintf(&w->source.what, "Kubernetes' %s", kinds[kind].name);

	w->kubernetes = k;
	w->kind = kind;
	w->any_version = true;
	if (ret >= 0)
		return 0;
	w->source.what = NULL;
	warnx("out of memory");
	return -ENOMEM;
}

bool kubernetes_is_around(void)
{
	const char *node = getenv("NODE_NAME");
	char *api = in_cluster_api();
	bool around = api && node && is_node_name(node) && access(ACCOUNT "token", R_OK) == 0;

	free(api);
	return around;
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
	k->addresses = opts->addresses;
	k->told_pods = opts->quiet;
	err = find_server(k, opts);
	for (size_t i = 0; err == 0 && i < KINDS; i++)
		err = init_watch(k, i);
	for (size_t i = 0; i < KINDS; i++)
		k->watches[i].source.quiet = opts->quiet;
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
	for (size_t i = 0; i < KINDS; i++) {
		http_client_cancel(k->client, &k->watches[i]);
		json_stream_free(&k->watches[i].stream);
		free(k->watches[i].source.what);
	}
	free(k->api);
	free(k->token_file);
	free(k->ca_file);
	free(k->node);
	free(k);
}
