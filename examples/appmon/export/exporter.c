/* SPDX-License-Identifier: BSD-2-Clause */
#include "exporter.h"

#include <curl/curl.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../clock.h"
#include "../signals.h"
#include "../text.h"
#include "prometheus.h"

/* Few enough that scrapers and signals have their turn. */
#define BATCH_EVENTS 4096
/* Records may become visible a moment after the bytes have passed. */
#define DRAIN_IDLE_MS 50
/* The aggregator's default: metrics.h. */
#define DEFAULT_IDLE_MS 600000
/* For the last push, if the receiver hangs. */
#define LAST_PUSH_MS 2000

static struct exporter_verdict judge(const struct exporter *exporter, const struct appmon_event *ev)
{
	return exporter->judge ? exporter->judge(exporter->judge_ctx, ev)
			       : (struct exporter_verdict){0};
}

static void count(struct exporter *exporter, const struct appmon_event *ev)
{
	struct exporter_verdict verdict = judge(exporter, ev);

	if (verdict.ignore) {
		exporter->ignored++;
		return;
	}
	exporter->route = verdict.route;
	appmon_metrics_add(exporter->metrics, ev);
	if (exporter->observe)
		exporter->observe(exporter->observe_ctx, ev);
	/* A response without its request is no span. */
	if (exporter->otlp && (ev->request_start_ns != 0 || ev->operation.len > 0))
		otlp_add_event(exporter->otlp, ev, verdict.route);
}

/* The event as one of an application with this name. */
static struct appmon_event named(const struct appmon_event *ev, const char *name)
{
	struct appmon_event copy = {0};

	memcpy(&copy, ev, ev->size < sizeof(copy) ? ev->size : sizeof(copy));
	if (copy.size > sizeof(copy))
		copy.size = sizeof(copy);
	copy.target_name = (struct appmon_str){.data = name, .len = (uint32_t)strlen(name)};
	return copy;
}

void exporter_add(struct exporter *exporter, const struct appmon_event *ev, const char *name)
{
	struct appmon_event copy = named(ev, name);

	count(exporter, &copy);
}

static int on_event(void *ctx, const struct appmon_event *ev)
{
	struct exporter *exporter = ctx;
	const struct exporter_names *names = &exporter->names;
	const char *name;

	if (!names->name) {
		count(exporter, ev);
		return 0;
	}
	name = names->name(names->ctx, ev);
	if (name)
		exporter_add(exporter, ev, name);
	else
		names->hold(names->ctx, ev);
	return 0;
}

static void on_log(void *ctx, int level, const char *line)
{
	(void)ctx;
	fputs(level == APPMON_LOG_ERROR ? "appmon: error: " : "appmon: warning: ", stderr);
	put_escaped(stderr, line, strlen(line), SIZE_MAX);
	fputc('\n', stderr);
}

static void count_active(struct exporter *exporter, const struct appmon_event *ev)
{
	if (!judge(exporter, ev).ignore)
		appmon_metrics_active(exporter->metrics, ev);
}

static int on_active(void *ctx, const struct appmon_event *ev)
{
	struct exporter *exporter = ctx;
	const struct exporter_names *names = &exporter->names;
	struct appmon_event copy;
	const char *name;

	if (!names->name) {
		count_active(exporter, ev);
		return 0;
	}
	name = names->name(names->ctx, ev);
	if (name) {
		copy = named(ev, name);
		count_active(exporter, &copy);
	}
	return 0;
}

/* Its path is looked up at the first event at the latest, while it is there. */
static uint64_t instance_of(void *ctx, const struct appmon_event *ev)
{
	struct exporter *exporter = ctx;

	return instances_of(&exporter->instances, ev->cgroup_id);
}

static int route_of(void *ctx, const struct appmon_event *ev, char *buf, size_t size)
{
	const struct exporter *exporter = ctx;
	size_t len;

	(void)ev;
	if (!exporter->route)
		return -1;
	len = strlen(exporter->route);
	memcpy(buf, exporter->route, len < size ? len : size);
	return (int)len;
}

int exporter_snapshot(struct exporter *exporter, struct appmon_snapshot **ret)
{
	int err = appmon_each_active(exporter->mon, on_active, exporter);

	if (err == 0)
		err = appmon_metrics_snapshot(exporter->metrics, NULL, ret);

	if (err < 0)
		warnx("the figures could not be read: %s", appmon_strerror(err));
	return err;
}

static const struct durations_bounds *bounds_of(const struct exporter_opts *opts)
{
	return opts->bounds ? opts->bounds : &durations_default;
}

static int write_page(void *ctx, FILE *out, enum exposition_format format)
{
	struct exporter *exporter = ctx;
	struct appmon_snapshot *snapshot;
	struct prometheus_number numbers[PROMETHEUS_NUMBERS_MAX];
	struct prometheus_input input;
	int ret;

	ret = exporter_snapshot(exporter, &snapshot);
	if (ret < 0)
		return ret;
	input = (struct prometheus_input){.mon = exporter->mon,
					  .metrics = exporter->metrics,
					  .snapshot = snapshot,
					  .instances = &exporter->instances,
					  .addresses = exporter->addresses,
					  .bounds = bounds_of(&exporter->opts),
					  .numbers = numbers};
	if (exporter->numbers)
		input.number_count = exporter->numbers(exporter->numbers_ctx, numbers);
	ret = prometheus_write(out, &input, format);
	appmon_snapshot_free(snapshot);
	return ret;
}

static int open_monitor(struct exporter *exporter, const struct exporter_opts *from)
{
	char text[512] = "";
	struct appmon_opts opts = {
		.size = sizeof(opts),
		.flags = from->open_flags | (from->otlp_spans > 0 ? APPMON_OPEN_LINKS : 0) |
			 (from->service_times ? APPMON_OPEN_IDENTITY : 0),
		.protocols = from->protocols,
		.redact_names = from->redact,
		.redact_name_count = from->redact_count,
		.event_fn = on_event,
		.event_ctx = exporter,
		.log_fn = on_log,
		.error_text = text,
		.error_text_size = sizeof(text),
	};
	int ret;

	ret = appmon_open(&exporter->mon, &opts);
	if (ret < 0)
		warnx("%s", text[0] != '\0' ? text : appmon_strerror(ret));
	return ret;
}

static int open_metrics(struct exporter *exporter, const struct exporter_opts *from)
{
	struct appmon_metrics_opts opts = {
		.size = sizeof(opts),
		.flags = APPMON_METRICS_ACTIVE | (from->service_times ? APPMON_METRICS_SERVICE : 0),
		.idle_ms = from->idle_ms,
		.route_fn = route_of,
		.route_ctx = exporter,
		.instance_fn = instance_of,
		.instance_ctx = exporter};
	int ret;

	ret = appmon_metrics_open(&exporter->metrics, &opts);
	if (ret < 0)
		warnx("cannot aggregate: %s", appmon_strerror(ret));
	return ret;
}

static int open_server(struct exporter *exporter, const char *listen, struct http_server **ret)
{
	int err;

	*ret = NULL;
	if (!listen)
		return 0;
	err = http_server_open(ret, listen, write_page, exporter);
	if (err == 0)
		fprintf(stderr, "appmon: http://%s/metrics\n", http_server_address(*ret));
	return err;
}

static int open_otlp(struct exporter *exporter, const struct exporter_opts *opts, struct otlp **ret)
{
	struct otlp_opts otlp = {.endpoint = opts->otlp_endpoint,
				 .protocol = opts->otlp_protocol,
				 .spans = opts->otlp_spans,
				 .mon = exporter->mon,
				 .client = exporter->client,
				 .instances = &exporter->instances,
				 .bounds = bounds_of(opts),
				 .headers = opts->otlp_headers};

	*ret = NULL;
	exporter->otlp_due_ns = now_ns() + opts->otlp_interval_ns;
	return opts->otlp_endpoint ? otlp_open(ret, &otlp) : 0;
}

int exporter_open(struct exporter *exporter, const struct exporter_opts *opts)
{
	int ret;

	*exporter = (struct exporter){0};
	ret = http_client_open(&exporter->client);
	if (ret == 0)
		ret = open_metrics(exporter, opts);
	if (ret == 0)
		ret = open_monitor(exporter, opts);
	if (ret == 0)
		ret = instances_init(&exporter->instances, exporter->mon);
	exporter->instances.now_ns = exporter->forget_ns = now_ns();
	if (ret == 0)
		ret = open_server(exporter, opts->listen, &exporter->server);
	if (ret == 0)
		ret = open_otlp(exporter, opts, &exporter->otlp);
	if (ret < 0) {
		exporter_close(exporter);
		return ret;
	}
	exporter->opts = *opts;
	signals_catch(exporter->mon);
	return 0;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_redaction(const struct exporter_opts *a, const struct exporter_opts *b)
{
	if (a->open_flags != b->open_flags || a->redact_count != b->redact_count)
		return false;
	for (uint32_t i = 0; i < a->redact_count; i++)
		if (strcmp(a->redact[i], b->redact[i]) != 0)
			return false;
	return true;
}

int exporter_reconfigure(struct exporter *exporter, const struct exporter_opts *opts)
{
	struct http_server *server = exporter->server;
	struct otlp *otlp;
	int ret = 0;

	if (opts->protocols != exporter->opts.protocols) {
		warnx("what protocols are watched cannot change while it runs: start it again");
		return -EINVAL;
	}
	if (!same_redaction(opts, &exporter->opts)) {
		warnx("what is kept of queries cannot change while it runs: start it again");
		return -EINVAL;
	}
	if (opts->service_times != exporter->opts.service_times) {
		warnx("service_times: cannot change while it runs: start it again");
		return -EINVAL;
	}
	/* The address is in use as long as it is the same. */
	if (!is_same(opts->listen, exporter->opts.listen))
		ret = open_server(exporter, opts->listen, &server);
	if (ret < 0)
		return ret;
	ret = open_otlp(exporter, opts, &otlp);
	if (ret < 0) {
		if (server != exporter->server)
			http_server_close(server);
		return ret;
	}
	otlp_close(exporter->otlp);
	exporter->otlp = otlp;
	if (server != exporter->server)
		http_server_close(exporter->server);
	exporter->server = server;
	exporter->opts = *opts;
	return 0;
}

void exporter_close(struct exporter *exporter)
{
	if (exporter->mon)
		signals_restore();
	otlp_close(exporter->otlp);
	http_server_close(exporter->server);
	http_client_close(exporter->client);
	appmon_close(exporter->mon);
	appmon_metrics_close(exporter->metrics);
	instances_free(&exporter->instances);
	*exporter = (struct exporter){0};
}

static void push_otlp(struct exporter *exporter)
{
	struct appmon_snapshot *snapshot;

	if (exporter_snapshot(exporter, &snapshot) < 0)
		return;
	otlp_push(exporter->otlp, snapshot);
	appmon_snapshot_free(snapshot);
}

/* The earlier of two times to wait; negative: for ever. */
static int earlier(int a, int b)
{
	if (a < 0)
		return b;
	return b < 0 || a < b ? a : b;
}

static int otlp_timeout_ms(struct exporter *exporter)
{
	uint64_t now = now_ns();

	if (!exporter->otlp)
		return -1;
	if (now >= exporter->otlp_due_ns) {
		push_otlp(exporter);
		exporter->otlp_due_ns = now + exporter->opts.otlp_interval_ns;
	}
	return earlier((int)((exporter->otlp_due_ns - now) / NSEC_PER_MSEC) + 1,
		       otlp_retry(exporter->otlp));
}

static int read_events(struct exporter *exporter)
{
	int ret = appmon_poll(exporter->mon, 0, BATCH_EVENTS);

	if (ret < 0 && ret != -EINTR) {
		warnx("%s", appmon_last_error(exporter->mon));
		return ret;
	}
	return ret < 0 ? 0 : ret;
}

/* Twice as long as the series of an instance stay. */
static void forget_instances(struct exporter *exporter)
{
	uint64_t now = exporter->instances.now_ns;
	uint64_t idle_ns =
		(exporter->opts.idle_ms ? exporter->opts.idle_ms : DEFAULT_IDLE_MS) * NSEC_PER_MSEC;

	if (now - exporter->forget_ns < idle_ns || now < 2 * idle_ns)
		return;
	exporter->forget_ns = now;
	instances_forget(&exporter->instances, now - 2 * idle_ns);
}

int exporter_step(struct exporter *exporter, const int *more, unsigned more_count, int timeout_ms)
{
	struct curl_waitfd fds[2 + EXPORTER_FDS_MAX];
	unsigned count = 0;
	int server_timeout_ms;

	fds[count++] =
		(struct curl_waitfd){.fd = appmon_fd(exporter->mon), .events = CURL_WAIT_POLLIN};
	timeout_ms = earlier(timeout_ms, otlp_timeout_ms(exporter));
	if (exporter->server) {
		fds[count++] = (struct curl_waitfd){
			.fd = http_server_fd(exporter->server, &server_timeout_ms),
			.events = CURL_WAIT_POLLIN};
		timeout_ms = earlier(timeout_ms, server_timeout_ms);
	}
	for (unsigned i = 0; i < more_count; i++)
		fds[count++] = (struct curl_waitfd){.fd = more[i], .events = CURL_WAIT_POLLIN};
	/* libcurl takes no "for ever". */
	http_client_wait(exporter->client, fds, count, earlier(timeout_ms, 60000));
	exporter->instances.now_ns = now_ns();
	forget_instances(exporter);
	if (exporter->server)
		http_server_run(exporter->server);
	return read_events(exporter);
}

int exporter_drain(struct exporter *exporter)
{
	uint64_t end;
	int ret;

	ret = appmon_poll(exporter->mon, DRAIN_IDLE_MS, BATCH_EVENTS);
	if (ret >= 0 || ret == -EINTR)
		ret = read_events(exporter);
	if (ret < 0 || !exporter->otlp)
		return ret;
	end = now_ns() + LAST_PUSH_MS * NSEC_PER_MSEC;
	push_otlp(exporter);
	while (otlp_is_busy(exporter->otlp) && now_ns() < end) {
		http_client_wait(exporter->client, NULL, 0, 100);
		otlp_flush(exporter->otlp);
	}
	return 0;
}
