/* SPDX-License-Identifier: BSD-2-Clause */
#include "console.h"

#include <err.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../names.h"
#include "history.h"
#include "past-alerts.h"
#include "requests.h"
#include "server.h"
#include "views.h"

/* Of the history; of single requests. Both are documented in appmon-console(1). */
#define HISTORY_MAX_BYTES (64 << 20)
#define REQUESTS_MAX_BYTES (16 << 20)
#define KEEP_NS (3600 * NSEC_PER_SEC)

/* Between two events of the stream. */
#define TICK_NS (2 * NSEC_PER_SEC)
/* Figures may be that old when they are asked for. */
#define FRESH_NS (300 * NSEC_PER_MSEC)
/* What a question is about if it does not say. */
#define DEFAULT_RANGE_S 300
#define MAX_SILENCE_S (7 * 24 * 3600)

struct console {
	struct console_opts opts;
	struct server *server;
	struct history history;
	struct requests requests;
	struct past_alerts past;
	struct host_names hosts;
	uint64_t updated_ns, tick_ns;
};

/* ---- What it learns --------------------------------------------------------------------- */

static void on_event(void *ctx, const struct appmon_event *ev)
{
	struct console *console = ctx;

	host_names_event(&console->hosts, ev);
	/* A response without its request says too little. */
	if (ev->request_start_ns != 0 || ev->operation.len > 0)
		requests_add(&console->requests, ev);
}

static void update(struct console *console, uint64_t now)
{
	struct exporter *exporter = console->opts.exporter;
	struct appmon_snapshot *snapshot;

	console->updated_ns = now;
	if (exporter_snapshot(exporter, &snapshot) == 0 &&
	    history_update(&console->history, snapshot, &exporter->instances, exporter->addresses,
			   &console->hosts) < 0)
		warnx("a part of the console's history is missing: out of memory");
	requests_forget(&console->requests, now > KEEP_NS ? now - KEEP_NS : 0);
}

static void refresh(struct console *console, uint64_t now)
{
	if (now >= console->updated_ns + FRESH_NS)
		update(console, now);
}

void console_notice(struct console *console, const struct alert_notice *notice)
{
	static const char text[] = "{}";

	if (!notice->firing)
		past_alerts_add(&console->past, notice);
	server_send(console->server, "alert", text, strlen(text));
}

/* ---- What it is asked ------------------------------------------------------------------- */

static bool number_of(const struct server_request *request, const char *name, uint64_t *ret)
{
	const char *text = server_argument(request, name);
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

/* The CLOCK_MONOTONIC time of a second since 1970; 0: it was before. */
static uint64_t monotonic_of(const struct console *console, uint64_t second, uint64_t now)
{
	uint64_t realtime = appmon_realtime_ns(console->opts.exporter->mon, now);
	uint64_t ahead = realtime - now;

	if (second > UINT64_MAX / NSEC_PER_SEC)
		return UINT64_MAX;
	return second * NSEC_PER_SEC > ahead ? second * NSEC_PER_SEC - ahead : 0;
}

/* ?range=SECONDS up to now, or ?from= and ?to=, seconds since 1970. */
static struct period period_of(const struct console *console, const struct server_request *request,
			       uint64_t now)
{
	struct period period = {.history = &console->history, .to_ns = UINT64_MAX};
	uint64_t range = DEFAULT_RANGE_S, second;

	if (number_of(request, "from", &second)) {
		period.from_ns = monotonic_of(console, second, now);
		if (number_of(request, "to", &second))
			period.to_ns = monotonic_of(console, second, now);
		return period;
	}
	number_of(request, "range", &range);
	if (range < now / NSEC_PER_SEC)
		period.from_ns = now - range * NSEC_PER_SEC;
	return period;
}

struct counting {
	size_t firing, pending;
};

static void count_alert(void *ctx, const struct alert_view *alert)
{
	struct counting *counting = ctx;

	if (alert->state->status == ALERT_FIRING)
		counting->firing++;
	else
		counting->pending++;
}

static struct view view_of(struct console *console, struct period period)
{
	struct counting counting = {0};

	alerts_each(console->opts.alerts, count_alert, &counting);
	return (struct view){.mon = console->opts.exporter->mon,
			     .instances = &console->opts.exporter->instances,
			     .requests = &console->requests,
			     .period = period,
			     .firing = counting.firing,
			     .pending = counting.pending,
			     .label_instance = console->opts.label_instance,
			     .ctx = console->opts.ctx};
}

static unsigned fail(FILE *out, unsigned status, const char *why)
{
	fprintf(out, "%s\n", why);
	return status;
}

static unsigned done(FILE *out, int ret)
{
	/* What was written so far is no document. */
	if (ret == -ENOMEM)
		return fail(out, 500, "\nout of memory");
	if (ret == -ENOENT)
		return fail(out, 404, "it is not kept any more");
	return 200;
}

static struct which which_of(const struct server_request *request, const char *argument)
{
	const char *role = server_argument(request, "role");
	bool client = role && strcmp(role, "client") == 0;

	return (struct which){.application = server_argument(request, argument),
			      .role = client ? APPMON_ROLE_CLIENT : APPMON_ROLE_SERVER};
}

static unsigned answer_overview(struct console *console, const struct server_request *request,
				FILE *out, uint64_t now)
{
	struct view view = view_of(console, period_of(console, request, now));

	return done(out, view_overview(out, &view));
}

static unsigned answer_application(struct console *console, const struct server_request *request,
				   FILE *out, uint64_t now)
{
	struct view view = view_of(console, period_of(console, request, now));
	struct which which = which_of(request, "name");

	if (!which.application)
		return fail(out, 400, "say which: ?name=APPLICATION");
	return done(out, view_application(out, &view, &which));
}

static unsigned answer_requests(struct console *console, const struct server_request *request,
				FILE *out, uint64_t now)
{
	static const struct {
		const char *name;
		unsigned kept;
	} kinds[] = {{"failed", KEPT_FAILED}, {"slow", KEPT_SLOW}, {"latest", KEPT_LATEST}};
	struct view view = view_of(console, period_of(console, request, now));
	struct which which = which_of(request, "application");
	const char *kind = server_argument(request, "kind");

	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i].name) == 0)
			return done(out,
				    view_requests(out, &view, which.application ? &which : NULL,
						  kinds[i].kept));
	}
	return fail(out, 400, "say which: ?kind=failed, slow or latest");
}

static unsigned answer_request(struct console *console, const struct server_request *request,
			       FILE *out, uint64_t now)
{
	struct view view = view_of(console, period_of(console, request, now));
	uint64_t number;

	if (!number_of(request, "number", &number))
		return fail(out, 400, "say which: ?number=NUMBER");
	return done(out, view_request(out, &view, number));
}

static unsigned answer_alerts(struct console *console, const struct server_request *request,
			      FILE *out, uint64_t now)
{
	struct view view = view_of(console, period_of(console, request, now));

	view_alerts(out, &view, console->opts.alerts, console->opts.silences, &console->past, now);
	return 200;
}

/* {"alert": NAME, "application": NAME, "seconds": NUMBER}; 0 seconds: the silence ends. */
static unsigned answer_silence(struct console *console, const struct server_request *request,
			       FILE *out, uint64_t now)
{
	struct json_object *object = json_tokener_parse(request->body), *alert, *app, *seconds;
	unsigned status = 400;
	int64_t duration;

	if (json_object_is_type(object, json_type_object) &&
	    json_object_object_get_ex(object, "alert", &alert) &&
	    json_object_is_type(alert, json_type_string) &&
	    json_object_object_get_ex(object, "application", &app) &&
	    json_object_is_type(app, json_type_string) &&
	    json_object_object_get_ex(object, "seconds", &seconds) &&
	    json_object_is_type(seconds, json_type_int)) {
		duration = json_object_get_int64(seconds);
		if (duration >= 0 && duration <= MAX_SILENCE_S)
			status = silences_set(console->opts.silences, json_object_get_string(alert),
					      json_object_get_string(app),
					      duration ? now + (uint64_t)duration * NSEC_PER_SEC
						       : 0) < 0
					 ? 507
					 : 200;
	}
	json_object_put(object);
	if (status == 507)
		return fail(out, status, "there are too many silences");
	if (status != 200)
		return fail(out, status,
			    "{\"alert\": NAME, \"application\": NAME, \"seconds\": 0 to 604800} "
			    "is wanted");
	return answer_alerts(console, request, out, now);
}

static unsigned answer(void *ctx, const struct server_request *request, FILE *out)
{
	static const struct {
		const char *path;
		bool change;
		unsigned (*answer)(struct console *console, const struct server_request *request,
				   FILE *out, uint64_t now);
	} documents[] = {
		{"/api/overview", false, answer_overview},
		{"/api/application", false, answer_application},
		{"/api/requests", false, answer_requests},
		{"/api/request", false, answer_request},
		{"/api/alerts", false, answer_alerts},
		{"/api/silence", true, answer_silence},
	};
	struct console *console = ctx;
	uint64_t now = now_ns();

	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		if (strcmp(request->path, documents[i].path) != 0 ||
		    request->change != documents[i].change)
			continue;
		refresh(console, now);
		return documents[i].answer(console, request, out, now);
	}
	return fail(out, 404, "there is no such document: see appmon-console(1)");
}

/* ---- Its life --------------------------------------------------------------------------- */

/* The overview of the last minute, for those who follow. */
static void tick(struct console *console, uint64_t now)
{
	struct period period = {.history = &console->history, .to_ns = UINT64_MAX};
	struct view view;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	refresh(console, now);
	period.from_ns = now - 60 * NSEC_PER_SEC;
	view = view_of(console, period);
	if (view_overview(out, &view) == 0 && fflush(out) == 0)
		/* Without the newline at its end. */
		server_send(console->server, "overview", text, len - 1);
	fclose(out);
	free(text);
}

int console_open(struct console **ret_console, const struct console_opts *opts)
{
	struct console *console = calloc(1, sizeof(*console));
	struct server_opts server = {
		.listen = opts->listen, .token = opts->token, .answer = answer, .ctx = console};
	int ret;

	if (!console) {
		warnx("out of memory");
		return -ENOMEM;
	}
	console->opts = *opts;
	ret = server_open(&console->server, &server);
	if (ret < 0) {
		free(console);
		return ret;
	}
	history_init(&console->history, HISTORY_MAX_BYTES, now_ns());
	requests_init(&console->requests, REQUESTS_MAX_BYTES);
	opts->exporter->observe = on_event;
	opts->exporter->observe_ctx = console;
	fprintf(stderr, "appmon: console: http://%s/\n", server_address(console->server));
	*ret_console = console;
	return 0;
}

void console_close(struct console *console)
{
	if (!console)
		return;
	console->opts.exporter->observe = NULL;
	server_close(console->server);
	history_free(&console->history);
	requests_free(&console->requests);
	past_alerts_free(&console->past);
	host_names_free(&console->hosts);
	free(console);
}

uint16_t console_port(const struct console *console)
{
	return server_port(console->server);
}

int console_fd(const struct console *console)
{
	int timeout_ms;

	return server_fd(console->server, &timeout_ms);
}

int console_run(struct console *console, uint64_t now)
{
	uint64_t due = history_due_ns(&console->history), wait_ns;
	int timeout_ms;

	server_run(console->server);
	if (server_followers(console->server) > 0 && now >= console->tick_ns + TICK_NS) {
		console->tick_ns = now;
		tick(console, now);
	}
	if (now >= due)
		update(console, now);
	due = history_due_ns(&console->history);
	wait_ns = due > now ? due - now : 0;
	if (server_followers(console->server) > 0 && TICK_NS < wait_ns)
		wait_ns = console->tick_ns + TICK_NS - now;
	server_fd(console->server, &timeout_ms);
	if (timeout_ms >= 0 && (uint64_t)timeout_ms * NSEC_PER_MSEC < wait_ns)
		return timeout_ms;
	return (int)(wait_ns / NSEC_PER_MSEC) + 1;
}
