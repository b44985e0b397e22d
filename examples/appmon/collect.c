/* SPDX-License-Identifier: BSD-2-Clause */
#include "collect.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "clock.h"
#include "privileges.h"
#include "signals.h"
#include "text.h"

/* Few enough that keys are answered soon. */
#define BATCH_EVENTS 4096
/* Who served and sent makes more records, and a loaded machine lets the reader wait for a CPU: the
 * default would not hold what comes meanwhile. */
#define RING_BYTES (32U << 20)
#define DRAIN_NS (500 * NSEC_PER_MSEC)
#define DRAIN_IDLE_MS 100

uint64_t event_end_ns(const struct appmon_event *ev)
{
	const uint64_t times[] = {ev->response_end_ns, ev->response_start_ns, ev->request_end_ns};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] > 0)
			return times[i];
	return ev->request_start_ns;
}

static int take_event(void *ctx, const struct appmon_event *ev)
{
	struct collect *collect = ctx;
	struct appmon_event named = container_names_event(collect->containers, collect->mon, ev);
	uint64_t end_ns = event_end_ns(ev);

	collect->events++;
	if (collect->first_ns == 0)
		collect->first_ns = end_ns;
	if (end_ns > collect->last_ns)
		collect->last_ns = end_ns;
	if (collect->event_fn)
		collect->event_fn(collect->event_ctx, &named);
	return appmon_metrics_add(collect->metrics, &named);
}

static int open_monitor(struct collect *collect, const char *replay)
{
	char text[512] = "";
	struct appmon_opts opts = {
		.size = sizeof(opts),
		.event_fn = take_event,
		.event_ctx = collect,
		.protocols = collect->protocols,
		.flags = collect->flags,
		.ring_bytes = RING_BYTES,
		.error_text = text,
		.error_text_size = sizeof(text),
	};
	int ret;

	if (replay) {
		collect->replay_fd = open(replay, O_RDONLY | O_CLOEXEC);
		if (collect->replay_fd < 0) {
			ret = -errno;
			warn("%s", replay);
			return ret;
		}
		ret = appmon_open_replay(&collect->mon, collect->replay_fd, &opts);
	} else {
		ret = appmon_open(&collect->mon, &opts);
	}
	if (ret < 0)
		warnx("%s", text[0] != '\0' ? text : appmon_strerror(ret));
	return ret;
}

int collect_open(struct collect *collect, const struct targets *targets, const char *replay)
{
	struct appmon_metrics_opts opts = {.size = sizeof(opts), .flags = APPMON_METRICS_ACTIVE};
	int ret;

	collect->replay_fd = -1;
	ret = appmon_metrics_open(&collect->metrics, &opts);
	if (ret < 0)
		warnx("%s", appmon_strerror(ret));
	else
		ret = open_monitor(collect, replay);
	/* A recording may be another machine's. */
	if (ret == 0 && !replay)
		ret = container_names_open(&collect->containers);
	if (ret == 0 && !replay)
		ret = targets_attach(targets, collect->mon);
	if (ret == 0 && (replay || !(collect->flags & APPMON_OPEN_TLS)))
		ret = privileges_drop();
	if (ret < 0)
		collect_close(collect);
	else
		signals_catch(collect->mon);
	return ret;
}

int collect_step(struct collect *collect, int timeout_ms)
{
	int ret = appmon_poll(collect->mon, timeout_ms, BATCH_EVENTS);

	container_names_run(collect->containers);
	if (ret == -ENODATA)
		return 1;
	if (ret < 0 && ret != -EINTR) {
		const char *text = appmon_last_error(collect->mon);

		warnx("%s", *text != '\0' ? text : appmon_strerror(ret));
		return ret;
	}
	return 0;
}

static void tell_losses(struct collect *collect)
{
	struct appmon_stats stats = {.size = sizeof(stats)};
	uint64_t dropped = 0;

	if (appmon_get_stats(collect->mon, 0, &stats) < 0)
		return;
	for (int i = 0; i < APPMON_DROP_MAX; i++)
		dropped += stats.dropped[i];
	if (dropped > 0)
		warnx("%" PRIu64 " of %" PRIu64 " requests were lost and are not counted", dropped,
		      stats.exchanges_seen);
}

int collect_drain(struct collect *collect)
{
	uint64_t end_ns = now_ns() + DRAIN_NS, before;
	int ret;

	/* A busy server goes on meanwhile: an end to it, by the events' time, as the reader may wait
	 * long for a CPU. */
	do {
		before = collect->events;
		ret = collect_step(collect, DRAIN_IDLE_MS);
	} while (ret == 0 && collect->events > before && collect->last_ns < end_ns);
	tell_losses(collect);
	return ret;
}

static int take_active(void *ctx, const struct appmon_event *ev)
{
	struct collect *collect = ctx;
	struct appmon_event named = container_names_event(collect->containers, collect->mon, ev);

	return appmon_metrics_active(collect->metrics, &named);
}

struct appmon_snapshot *collect_snapshot(struct collect *collect, bool last)
{
	struct appmon_snapshot_opts opts = {.size = sizeof(opts),
					    .flags = last ? APPMON_TAKE_WAITING : 0};
	struct appmon_snapshot *snapshot;

	if (collect->replay_fd >= 0)
		opts.now_ns = collect->last_ns;
	if (appmon_each_active(collect->mon, take_active, collect) < 0 ||
	    appmon_metrics_snapshot(collect->metrics, &opts, &snapshot) < 0) {
		warnx("out of memory");
		return NULL;
	}
	return snapshot;
}

void collect_close(struct collect *collect)
{
	if (collect->mon) {
		signals_restore();
		appmon_close(collect->mon);
	}
	appmon_metrics_close(collect->metrics);
	container_names_close(collect->containers);
	if (collect->replay_fd >= 0)
		close(collect->replay_fd);
	collect->mon = NULL;
	collect->metrics = NULL;
	collect->containers = NULL;
	collect->replay_fd = -1;
}
