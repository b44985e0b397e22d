/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "names.h"
#include "signals.h"
#include "text.h"

/* Few enough that a reader of the output gets lines soon. */
#define BATCH_EVENTS 256
/* How often to look whether a pipe still has a reader while nothing is written. */
#define READER_CHECK_MS 500
/* A busy server goes on while its last events are read: those that begin later are not waited for.
 * By their time, not by that of the reader: it may wait long for a CPU. */
#define DRAIN_NS (500 * NSEC_PER_MSEC)
#define DRAIN_IDLE_MS 50

/* stdio's own buffer holds two events as JSON. This is what a pipe holds by default. */
static char output_buffer[65536];

static void write_event(struct session *session, const struct appmon_event *ev, uint64_t began_ns)
{
	struct appmon_event named = container_names_event(session->containers, session->mon, ev);

	began_ns = appmon_realtime_ns(session->mon, began_ns);
	if (session->options->json)
		json_event(session->out, &named, began_ns);
	else
		human_event(&session->human, &named, began_ns);
}

static int show_event(void *ctx, const struct appmon_event *ev)
{
	struct session *session = ctx;
	const struct options *options = session->options;
	uint64_t began_ns = ev->request_start_ns ? ev->request_start_ns : ev->response_start_ns;

	session->latest_ns = began_ns;
	if (!filter_matches(&options->filter, ev))
		return 0;
	session->summary.requests++;
	if (outcome_is_error(ev->outcome, ev->role))
		session->summary.errors++;
	if (ev->duration_ns > 0)
		histogram_add(&session->summary.durations, ev->duration_ns);
	if (!options->quiet)
		write_event(session, ev, began_ns);
	if (session->summary.requests == options->count) {
		session->done = true;
		return 1;
	}
	/* A full disk or a reader that left is noticed at once. */
	return ferror(session->out) ? 1 : 0;
}

static void show_log(void *ctx, int level, const char *line)
{
	static const char *const names[] = {"", "error", "warning", "info", "debug", "trace"};
	const struct session *session = ctx;

	if (session->options->explain && level >= APPMON_LOG_DEBUG) {
		put_escaped(session->out, line, strlen(line), SIZE_MAX);
		fputc('\n', session->out);
		return;
	}

	/* The call that fails is reported anyhow. */
	if (session->options->log_level == 0 && level == APPMON_LOG_ERROR)
		return;
	fprintf(stderr, "appmon: %s: ",
		level >= APPMON_LOG_ERROR && level <= APPMON_LOG_TRACE ? names[level] : "log");
	put_escaped(stderr, line, strlen(line), SIZE_MAX);
	fputc('\n', stderr);
}

static int open_output(struct session *session)
{
	const char *path = session->options->output;
	struct stat st;

	session->out = stdout;
	if (path) {
		session->out = fopen(path, "we");
		if (!session->out) {
			int err = -errno;

			warn("cannot write %s", path);
			return err;
		}
	}
	/* A terminal too: all that a poll delivered is flushed after it. */
	setvbuf(session->out, output_buffer, _IOFBF, sizeof(output_buffer));
	session->watch_reader = fstat(fileno(session->out), &st) == 0 &&
				(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
	human_init(&session->human, session->out, session->options->color);
	session->human.links = session->options->flags & APPMON_OPEN_LINKS;
	return 0;
}

/* The library's sentence about its last failure. */
static int report(struct session *session, int error)
{
	const char *text = appmon_last_error(session->mon);

	warnx("%s", *text != '\0' ? text : appmon_strerror(error));
	return error;
}

static int open_monitor(struct session *session)
{
	const struct options *options = session->options;
	char text[512] = "";
	struct appmon_opts opts = {
		.size = sizeof(opts),
		.flags = options->flags | (options->no_identity ? 0 : APPMON_OPEN_IDENTITY),
		.protocols = options->protocols,
		.memory_limit = options->memory_limit,
		.record_max_bytes = options->record_max,
		.ring_bytes = options->ring_bytes,
		.capture_bytes = options->capture_bytes,
		.exchange_timeout_ms = options->exchange_timeout_ms,
		.idle_timeout_ms = options->idle_timeout_ms,
		.log_level = options->log_level,
		.header_count = options->header_count,
		.headers = options->header_count > 0 ? options->headers : NULL,
		.request_id_headers = options->request_ids,
		.request_id_header_count = options->request_id_count,
		.redact_names = options->redact,
		.redact_name_count = options->redact_count,
		.event_fn = show_event,
		.event_ctx = session,
		.log_fn = show_log,
		.log_ctx = session,
		.error_text = text,
		.error_text_size = sizeof(text),
	};
	int ret;

	if (options->replay)
		ret = appmon_open_replay(&session->mon, session->replay_fd, &opts);
	else
		ret = appmon_open(&session->mon, &opts);
	if (ret < 0)
		warnx("%s", text[0] != '\0' ? text : appmon_strerror(ret));
	return ret;
}

static int open_file(const char *path, int flags, int *ret_fd)
{
	int err = 0;

	*ret_fd = open(path, flags | O_CLOEXEC, 0666);
	if (*ret_fd < 0) {
		err = -errno;
		warn("%s", path);
	}
	return err;
}

int session_open(struct session *session, const struct options *options)
{
	int ret;

	*session = (struct session){.options = options, .replay_fd = -1, .record_fd = -1};
	ret = open_output(session);
	if (ret == 0 && options->replay)
		ret = open_file(options->replay, O_RDONLY, &session->replay_fd);
	if (ret == 0 && options->record)
		ret = open_file(options->record, O_WRONLY | O_CREAT | O_TRUNC, &session->record_fd);
	if (ret == 0)
		ret = open_monitor(session);
	if (ret == 0 && options->record) {
		ret = appmon_record(session->mon, session->record_fd);
		if (ret < 0)
			report(session, ret);
	}
	if (ret < 0) {
		session_close(session);
		return ret;
	}
	signals_catch(session->mon);
	return 0;
}

int session_attach(struct session *session, const char *cgroup, const char *name,
		   const struct ports *ports)
{
	struct appmon_attach_opts opts = {.size = sizeof(opts),
					  .name = name,
					  .ports = ports->list,
					  .port_count = ports->count};
	int ret;

	ret = appmon_attach_cgroup(session->mon, cgroup, &opts, NULL);
	if (ret < 0)
		return report(session, ret);
	session->targets++;
	return 0;
}

void session_announce(struct session *session)
{
	fprintf(stderr, "appmon: watching %u cgroup(s); Ctrl-C to stop\n", session->targets);
	if (session->options->duration_ns > 0)
		session->deadline_ns = now_ns() + session->options->duration_ns;
}

/* A pipe whose last reader has closed it polls as an error. */
static bool reader_is_gone(const struct session *session)
{
	struct pollfd pollfd = {.fd = fileno(session->out)};

	return session->watch_reader && poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLERR);
}

static int flush(struct session *session)
{
	int err;

	errno = 0;
	if (fflush(session->out) == 0 && !ferror(session->out)) {
		session->reader_gone = reader_is_gone(session);
		return 0;
	}
	err = errno;
	if (err == EPIPE || reader_is_gone(session)) {
		session->reader_gone = true;
		return 0;
	}
	warnx("cannot write the output: %s", strerror(err ? err : EIO));
	return err ? -err : -EIO;
}

/* Without a word an application that was started again would only seem to be quiet. */
static void tell_removal(struct session *session)
{
	struct appmon_stats stats = {.size = sizeof(stats)};
	uint64_t now = now_ns();

	if (session->removal_told || now < session->look_ns)
		return;
	session->look_ns = now + NSEC_PER_SEC;
	if (appmon_get_stats(session->mon, 0, &stats) < 0 || !(stats.flags & APPMON_STATS_REMOVED))
		return;
	session->removal_told = true;
	if (session->targets == 1)
		warnx("the watched cgroup was removed: start again to watch its successor");
	else
		warnx("one of the watched cgroups was removed: start again to watch its successor");
}

static int poll_once(struct session *session, int timeout_ms)
{
	int ret, err;

	ret = appmon_poll(session->mon, timeout_ms, BATCH_EVENTS);
	if (ret == -ENODATA) {
		session->done = true; /* the end of a recording */
		ret = 0;
	}
	if (ret < 0 && ret != -EINTR)
		return report(session, ret);
	err = flush(session);
	if (err < 0)
		return err;
	tell_removal(session);
	return ret < 0 ? 0 : ret;
}

/* Until the deadline, rounded up; -1: for ever. */
static int step_timeout_ms(const struct session *session)
{
	uint64_t now, left_ms;
	int timeout_ms = session->watch_reader ? READER_CHECK_MS : -1;

	if (session->deadline_ns == 0)
		return timeout_ms;
	now = now_ns();
	if (now >= session->deadline_ns)
		return 0;
	left_ms = (session->deadline_ns - now) / NSEC_PER_MSEC + 1;
	if (timeout_ms >= 0 && left_ms > (uint64_t)timeout_ms)
		return timeout_ms;
	return left_ms < 60000 ? (int)left_ms : 60000;
}

int session_step(struct session *session)
{
	int ret;

	ret = poll_once(session, step_timeout_ms(session));
	if (ret < 0)
		return ret;
	return session->done || session->reader_gone ||
	       (session->deadline_ns > 0 && now_ns() >= session->deadline_ns);
}

int session_drain(struct session *session)
{
	uint64_t end_ns = now_ns() + DRAIN_NS;
	int idle = 0, ret;

	/* Records may become visible a moment after the bytes have passed. */
	while (!session->done && !session->reader_gone && idle < 3 && session->latest_ns < end_ns) {
		ret = poll_once(session, idle > 0 ? DRAIN_IDLE_MS : 0);
		if (ret < 0)
			return ret;
		idle = ret > 0 ? 0 : idle + 1;
	}
	return 0;
}

int session_summarize(struct session *session)
{
	const struct options *options = session->options;
	struct appmon_stats stats = {.size = sizeof(stats)};
	struct appmon_capabilities capabilities = {.size = sizeof(capabilities)};
	int ret;

	ret = appmon_get_stats(session->mon, 0, &stats);
	if (ret == 0)
		ret = appmon_get_capabilities(session->mon, &capabilities);
	if (ret < 0) {
		report(session, ret);
	} else if (!session->reader_gone) {
		if (options->json)
			json_summary(session->out, &session->summary, &stats,
				     capabilities.supported);
		else
			human_summary(stderr, &session->summary, &stats);
		ret = flush(session);
	}
	return ret;
}

void session_close(struct session *session)
{
	if (session->mon) {
		signals_restore();
		appmon_close(session->mon);
	}
	container_names_close(session->containers);
	if (session->out && session->out != stdout)
		fclose(session->out);
	if (session->replay_fd >= 0)
		close(session->replay_fd);
	if (session->record_fd >= 0)
		close(session->record_fd);
	session->mon = NULL;
	session->containers = NULL;
	session->out = NULL;
}
