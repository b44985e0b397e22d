/* SPDX-License-Identifier: BSD-2-Clause */
#include "notify.h"

#include <err.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../clock.h"
#include "../json.h"
#include "../text.h"

/* 1, 2, 4, 8 and 16 seconds after the one before. */
#define MAX_TRIES 6
#define FIRST_RETRY_NS NSEC_PER_SEC

struct webhook_call {
	struct webhook_call *next;
	struct notify *notify;
	char *url, *body;
	unsigned tries;
	uint64_t due_ns; /* of the next try; 0: on its way */
};

/* RFC 3339 in UTC. */
static void format_time(uint64_t realtime_ns, char *buf, size_t size)
{
	time_t seconds = (time_t)(realtime_ns / NSEC_PER_SEC);
	struct tm tm;

	strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static void add_time(struct json_object *object, const char *key, struct appmon *mon, uint64_t ns)
{
	char text[32];

	format_time(appmon_realtime_ns(mon, ns), text, sizeof(text));
	add_text(object, key, text);
}

static struct json_object *to_json(struct notify *notify, const struct alert_notice *notice)
{
	const struct alert_rule *rule = notice->rule;
	struct json_object *object = json_object_new_object();
	char buf[ALERT_VALUE_SIZE], id[24];

	add_text(object, "alert", rule->name);
	add_text(object, "status", notice->firing ? "firing" : "resolved");
	if (rule->severity)
		add_text(object, "severity", rule->severity);
	json_object_object_add(object, "application", json_new_str(&notice->application));
	add_text(object, "role", rule->role == APPMON_ROLE_CLIENT ? "client" : "server");
	if (notice->cgroup_id != 0)
		add_text(object, "instance",
			 instances_name(notify->instances, notice->cgroup_id, id, sizeof(id)));
	if (rule->per == ALERT_PER_ROUTE)
		json_object_object_add(object, "route", json_new_str(&notice->route));
	add_text(object, "when", rule->when);
	if (notice->has_value) {
		json_object_object_add(object, "value", json_object_new_double(notice->value));
		add_text(object, "value_text",
			 alert_value_format(&rule->condition, notice->value, buf));
	}
	if (notice->reason)
		add_text(object, "reason", notice->reason);
	add_time(object, "since", notify->mon, notice->since_ns);
	add_time(object, "at", notify->mon, notice->now_ns);
	return object;
}

/* "12:01:02 FIRING checkout-errors: checkout: error_ratio 52% (error_ratio > 5%)" */
static void to_stderr(struct notify *notify, const struct alert_notice *notice)
{
	const struct alert_rule *rule = notice->rule;
	char metric[ALERT_VALUE_SIZE], value[ALERT_VALUE_SIZE], id[24];
	uint64_t realtime_ns = appmon_realtime_ns(notify->mon, notice->now_ns);
	time_t seconds = (time_t)(realtime_ns / NSEC_PER_SEC);
	const char *instance;
	struct tm tm;

	strftime(value, sizeof(value), "%H:%M:%S", localtime_r(&seconds, &tm));
	fprintf(stderr, "%s %s %s: ", value, notice->firing ? "FIRING" : "RESOLVED", rule->name);
	put_escaped(stderr, notice->application.data, notice->application.len, SIZE_MAX);
	if (notice->cgroup_id != 0) {
		fputc(' ', stderr);
		instance = instances_name(notify->instances, notice->cgroup_id, id, sizeof(id));
		put_escaped(stderr, instance, strlen(instance), SIZE_MAX);
	}
	if (rule->per == ALERT_PER_ROUTE) {
		fputc(' ', stderr);
		put_escaped(stderr, notice->route.data, notice->route.len, SIZE_MAX);
	}
	if (notice->has_value)
		fprintf(stderr, ": %s is %s", alert_metric_format(&rule->condition, metric),
			alert_value_format(&rule->condition, notice->value, value));
	if (notice->reason)
		fprintf(stderr, ": %s", notice->reason);
	fprintf(stderr, " (%s)\n", rule->when);
}

static void to_file(const char *path, struct json_object *object)
{
	FILE *file = fopen(path, "ae");

	if (file) {
		json_write_line(file, json_object_get(object));
		if (fclose(file) == 0)
			return;
	}
	warn("an alert could not be written to %s", path);
}

/* ---- Webhooks --------------------------------------------------------------------- */

static void drop_call(struct webhook_call *call)
{
	struct webhook_call **link = &call->notify->calls;

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
	free(call->url);
	free(call->body);
	free(call);
}

static void on_done(void *ctx, const struct http_answer *answer)
{
	struct webhook_call *call = ctx;

	if (!answer->error) {
		drop_call(call);
	} else if (call->tries == MAX_TRIES) {
		warnx("%s: %s; given up: %s", call->url, answer->error, call->body);
		drop_call(call);
	} else {
		if (call->tries == 1)
			warnx("%s: %s; it is tried again", call->url, answer->error);
		call->due_ns = now_ns() + (FIRST_RETRY_NS << (call->tries - 1));
	}
}

static void try_call(struct webhook_call *call)
{
	struct http_post post = {.url = call->url,
				 .type = HTTP_CLIENT_JSON,
				 .body = strdup(call->body),
				 .len = strlen(call->body),
				 .done = on_done,
				 .ctx = call};

	call->tries++;
	call->due_ns = 0;
	if (!post.body || http_client_post(call->notify->client, &post) < 0)
		on_done(call, &(struct http_answer){.error = "out of memory"});
}

static void to_webhook(struct notify *notify, const char *url, struct json_object *object)
{
	struct webhook_call *call = calloc(1, sizeof(*call));

	if (call) {
		call->notify = notify;
		call->url = strdup(url);
		call->body = strdup(json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		call->next = notify->calls;
		notify->calls = call;
		if (call->url && call->body) {
			try_call(call);
			return;
		}
		drop_call(call);
	}
	warnx("an alert could not be sent to %s: out of memory", url);
}

int notify_retry(struct notify *notify, uint64_t now)
{
	uint64_t next_ns = UINT64_MAX;
	struct webhook_call *call, *next;

	for (call = notify->calls; call; call = next) {
		next = call->next;
		if (call->due_ns == 0)
			continue;
		if (call->due_ns <= now)
			try_call(call);
		else if (call->due_ns < next_ns)
			next_ns = call->due_ns;
	}
	return next_ns == UINT64_MAX ? -1 : (int)((next_ns - now) / NSEC_PER_MSEC + 1);
}

void notify_close(struct notify *notify)
{
	while (notify->calls) {
		warnx("%s: not sent: %s", notify->calls->url, notify->calls->body);
		drop_call(notify->calls);
	}
}

void notify_send(void *ctx, const struct alert_notice *notice)
{
	struct notify *notify = ctx;
	struct json_object *object = to_json(notify, notice);

	for (size_t i = 0; i < notify->count; i++) {
		switch (notify->targets[i].kind) {
		case NOTIFY_STDERR:
			to_stderr(notify, notice);
			break;
		case NOTIFY_FILE:
			to_file(notify->targets[i].where, object);
			break;
		case NOTIFY_WEBHOOK:
			to_webhook(notify, notify->targets[i].where, object);
			break;
		}
	}
	json_object_put(object);
}
