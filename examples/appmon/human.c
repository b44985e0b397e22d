/* SPDX-License-Identifier: BSD-2-Clause */
#include "human.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "names.h"
#include "text.h"

/* Select Graphic Rendition, ECMA-48. */
#define SGR_DIM "\033[2m"
#define SGR_RED "\033[31m"
#define SGR_GREEN "\033[32m"
#define SGR_YELLOW "\033[33m"
#define SGR_CYAN "\033[36m"
#define SGR_RESET "\033[0m"

/* Flags that a reader of one line wants to know; the end of the exchange tells more. */
#define NOTABLE_FLAGS                                                                              \
	(APPMON_EVF_TRUNCATED | APPMON_EVF_MID_MESSAGE | APPMON_EVF_GAP | APPMON_EVF_PIPELINED |   \
	 APPMON_EVF_EARLY_RESPONSE | APPMON_EVF_CONTINUED | APPMON_EVF_AMBIGUOUS |                 \
	 APPMON_EVF_INFERRED_END | APPMON_EVF_MALFORMED | APPMON_EVF_MULTI |                       \
	 APPMON_EVF_REPLICATION | APPMON_EVF_COMPRESSED)

/* A longer name of an application is not cut, but does not move the columns. */
#define MAX_APP_WIDTH 24
#define MAX_PROCESS_WIDTH 28
#define MAX_REMOTE_WIDTH 47
/* A wait that makes up less of the request's time is not worth a note. */
#define NOTABLE_WAIT_NS NSEC_PER_MSEC
#define NOTABLE_WAIT_PART 4
/* Where a terminal is too narrow, the line wraps rather than lose the path. */
#define MIN_PATH_WIDTH 16

static bool want_color(enum color color, bool terminal)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (color != COLOR_AUTO)
		return color == COLOR_ALWAYS;
	return terminal && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

void human_init(struct human *human, FILE *out, enum color color)
{
	*human = (struct human){.out = out, .terminal = isatty(fileno(out)) == 1};
	human->color = want_color(color, human->terminal);
}

static void set_color(const struct human *human, const char *sgr)
{
	if (human->color)
		fputs(sgr, human->out);
}

static size_t terminal_columns(const struct human *human)
{
	struct winsize size;

	if (human->terminal && ioctl(fileno(human->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return SIZE_MAX;
}

/* Local time of day with milliseconds. */
static size_t put_time(const struct human *human, uint64_t ns)
{
	/* Most events are of the same second as the one before. */
	static char text[16];
	static uint64_t last = UINT64_MAX;
	const unsigned msec = (unsigned)(ns % NSEC_PER_SEC / NSEC_PER_MSEC);

	if (ns / NSEC_PER_SEC != last) {
		time_t sec = (time_t)(ns / NSEC_PER_SEC);
		struct tm tm;

		strftime(text, sizeof(text), ns > 0 ? "%H:%M:%S" : "--:--:--",
			 localtime_r(&sec, &tm));
		last = ns / NSEC_PER_SEC;
	}
	set_color(human, SGR_DIM);
	fprintf(human->out, "%s.%03u", text, msec);
	set_color(human, SGR_RESET);
	return strlen("00:00:00.000");
}

/* Fills a column up to the widest entry so far, but not beyond max. */
static size_t pad_column(const struct human *human, size_t width, int *widest, int max)
{
	if (width > (size_t)*widest)
		*widest = width < (size_t)max ? (int)width : max;
	if (width >= (size_t)*widest)
		return width;
	fprintf(human->out, "%*s", *widest - (int)width, "");
	return (size_t)*widest;
}

static size_t put_app(struct human *human, const struct appmon_event *ev)
{
	size_t width;

	fputc(' ', human->out);
	width = put_escaped(human->out, ev->target_name.data, ev->target_name.len, SIZE_MAX);
	return 1 + pad_column(human, width, &human->app_width, MAX_APP_WIDTH);
}

/* "nginx[4711]", "java[42/57]" in another thread than the main one. No column without identity. */
static size_t put_process(struct human *human, const struct appmon_event *ev)
{
	size_t width = 0;

	if (ev->pid == 0 && human->process_width == 0)
		return 0;
	fputc(' ', human->out);
	if (ev->pid == 0) {
		fputc('-', human->out);
		width = 1;
	} else {
		width = put_escaped(human->out, ev->comm.data, ev->comm.len, SIZE_MAX);
		width += (size_t)fprintf(human->out, "[%" PRIu32, ev->pid);
		if (ev->tid != ev->pid)
			width += (size_t)fprintf(human->out, "/%" PRIu32, ev->tid);
		fputc(']', human->out);
		width++;
	}
	return 1 + pad_column(human, width, &human->process_width, MAX_PROCESS_WIDTH);
}

static size_t put_remote(struct human *human, const struct appmon_event *ev)
{
	const char *arrow = "??";
	char remote[56];
	int width;

	if (ev->role == APPMON_ROLE_SERVER)
		arrow = "<-";
	else if (ev->role == APPMON_ROLE_CLIENT)
		arrow = "->";
	width = appmon_format_endpoint(&ev->remote, remote, sizeof(remote));
	if (width > human->remote_width)
		human->remote_width = width < MAX_REMOTE_WIDTH ? width : MAX_REMOTE_WIDTH;
	return (size_t)fprintf(human->out, " %s %-*s", arrow, human->remote_width, remote);
}

static size_t put_result(const struct human *human, const struct appmon_event *ev)
{
	static const char *const sgr[] = {
		[APPMON_OUTCOME_UNKNOWN] = SGR_CYAN,
		[APPMON_OUTCOME_OK] = SGR_GREEN,
		[APPMON_OUTCOME_CLIENT_ERROR] = SGR_YELLOW,
	};
	static const char *const words[] = {
		[APPMON_OUTCOME_UNKNOWN] = "---",
		[APPMON_OUTCOME_OK] = " OK",
		[APPMON_OUTCOME_CLIENT_ERROR] = "ERR",
		[APPMON_OUTCOME_SERVER_ERROR] = "ERR",
	};
	const uint32_t outcome = ev->outcome;
	char duration[TEXT_UNIT_SIZE] = "-", bytes[TEXT_UNIT_SIZE];
	size_t width;

	if (ev->duration_ns > 0)
		format_duration(ev->duration_ns, duration);
	/* Of HTTP the body, as access logs have it. */
	format_bytes(ev->response_bytes - ev->response_head_bytes, bytes);
	fputc(' ', human->out);
	set_color(human, outcome < sizeof(sgr) / sizeof(sgr[0]) ? sgr[outcome] : SGR_RED);
	/* The prefix of an error would not fit into the column, nor would gRPC's status; HTTP's says
	 * nothing of a call. */
	if (ev->status > 0 && ev->operation_type != APPMON_OP_CALL)
		width = (size_t)fprintf(human->out, "%03" PRIu32, ev->status);
	else
		width = (size_t)fprintf(human->out, "%s",
					outcome < sizeof(words) / sizeof(words[0]) ? words[outcome]
										   : "---");
	set_color(human, SGR_RESET);
	width += (size_t)fprintf(human->out, " %7s %7s ", duration, bytes);
	return 1 + width;
}

/*
 * What the request was for, cut where max_columns end. Returns the columns used;
 * out may be NULL, to measure.
 */
static size_t put_target(FILE *out, const struct appmon_event *ev, size_t max_columns)
{
	static const struct appmon_str mark = {.data = "?", .len = 1};
	const struct appmon_str *parts[4];
	size_t count = 0, columns = 0;

	if (ev->query_text.len > 0) {
		parts[count++] = &ev->query_text;
	} else if (ev->path.len > 0) {
		/* Where a client went: its remote address may be a proxy's. */
		if (ev->role == APPMON_ROLE_CLIENT)
			parts[count++] = &ev->authority;
		parts[count++] = &ev->path;
		if (ev->query.len > 0) {
			parts[count++] = &mark;
			parts[count++] = &ev->query;
		}
	} else {
		/* "CONNECT host:443" has no path. */
		parts[count++] = ev->request_target.len > 0 ? &ev->request_target : &ev->resource;
	}
	for (size_t i = 0; i < count; i++) {
		const char *data = parts[i]->data;
		size_t len = parts[i]->len, left = max_columns - columns;

		columns += put_escaped(out, data, len, left);
		if (put_escaped(NULL, data, len, SIZE_MAX) > left)
			break;
	}
	return columns;
}

/* Adds one note; what does not fit is cut off. */
__attribute__((format(printf, 3, 4))) static void note(char *to, size_t size, const char *fmt, ...)
{
	size_t len = strlen(to);
	va_list args;

	if (len > 0)
		len += (size_t)snprintf(to + len, size - len, ", ");
	if (len >= size)
		return;
	va_start(args, fmt);
	vsnprintf(to + len, size - len, fmt, args);
	va_end(args);
}

/* Where most of the time went that was not the application's own. */
static void note_wait(const struct appmon_event *ev, const char *what, uint64_t ns, char *notes,
		      size_t size)
{
	char duration[TEXT_UNIT_SIZE];

	if (ns >= NOTABLE_WAIT_NS && ns >= ev->duration_ns / NOTABLE_WAIT_PART)
		note(notes, size, "%s %s", what, format_duration(ns, duration));
}

static void note_trace(const struct appmon_event *ev, char *notes, size_t size)
{
	char id[FORMAT_HEX_SIZE(16)];

	if (format_hex(ev->trace.trace_id, sizeof(ev->trace.trace_id), id))
		note(notes, size, "trace %s", id);
}

/* An exchange's name is its connection and number; each that may be named has to say its own. */
static void note_link(const struct human *human, const struct appmon_event *ev, char *notes,
		      size_t size)
{
	if (human->links)
		note(notes, size, "id %" PRIu64 ".%" PRIu64, ev->connection_id, ev->ordinal);
	if (ev->link != APPMON_LINK_NONE)
		note(notes, size, "%s %" PRIu64 ".%" PRIu64 " (%s)",
		     ev->role == APPMON_ROLE_CLIENT ? "for" : "sent as", ev->link_connection_id,
		     ev->link_ordinal, appmon_link_name(ev->link));
}

/* "closed, gap, retransmits 2", or "" if nothing is worth a note. */
static void collect_notes(const struct human *human, const struct appmon_event *ev, char *notes,
			  size_t size)
{
	char bytes[TEXT_UNIT_SIZE];

	notes[0] = '\0';
	/* Where gRPC's did not come it is HTTP's. */
	if (ev->operation_type == APPMON_OP_CALL && ev->status_number > 0 &&
	    ev->status_number != ev->status && ev->status_text.len > 0)
		note(notes, size, "%s", ev->status_text.data);
	if (ev->digest != 0 && ev->status_text.len > 0)
		note(notes, size, "error %s", ev->status_text.data);
	else if (ev->digest != 0 && ev->response_items >= 0)
		note(notes, size, "%" PRId64 " row%s", ev->response_items,
		     ev->response_items == 1 ? "" : "s");
	note_wait(ev, "queue", ev->queue_ns, notes, size);
	note_wait(ev, "connect", ev->connect_ns, notes, size);
	if (ev->request_body_bytes > 0)
		note(notes, size, "request body %s", format_bytes(ev->request_body_bytes, bytes));
	if (ev->end != APPMON_END_COMPLETE)
		note(notes, size, "%s", appmon_end_name(ev->end));
	else if (ev->flags & APPMON_EVF_NO_RESPONSE)
		note(notes, size, "no response");
	for (const struct bit_name *flag = flag_names; flag->name; flag++) {
		/* A gap that ended the exchange is said already. */
		if (flag->bit == APPMON_EVF_GAP && ev->end == APPMON_END_GAP)
			continue;
		if (ev->flags & flag->bit & NOTABLE_FLAGS)
			note(notes, size, "%s", flag->text);
	}
	if (ev->retransmits > 0)
		note(notes, size, "retransmits %" PRIu32, ev->retransmits);
	if (ev->peer_retransmits > 0)
		note(notes, size, "peer retransmits %" PRIu32, ev->peer_retransmits);
	note_trace(ev, notes, size);
	note_link(human, ev, notes, size);
}

void human_event(struct human *human, const struct appmon_event *ev, uint64_t realtime_ns)
{
	size_t columns = terminal_columns(human), used, left = SIZE_MAX;
	const struct appmon_str *what = &ev->operation;
	FILE *out = human->out;
	char notes[512];

	collect_notes(human, ev, notes, sizeof(notes));
	used = put_time(human, realtime_ns);
	used += put_app(human, ev);
	used += put_process(human, ev);
	used += put_remote(human, ev);
	used += put_result(human, ev);
	/* A call's path is its operation. */
	if (ev->operation_type == APPMON_OP_CALL && ev->path.len > 0)
		what = &ev->system;
	/* A statement begins with its operation. */
	if (ev->query_text.len == 0) {
		used += put_escaped(out, what->data, what->len, SIZE_MAX);
		/* No request line was seen, or it was none: there is no target then. */
		fputc(what->len > 0 ? ' ' : '?', out);
		used++;
	}
	if (columns != SIZE_MAX) {
		used += notes[0] != '\0' ? strlen(notes) + strlen(" []") : 0;
		left = columns > used + MIN_PATH_WIDTH ? columns - used : MIN_PATH_WIDTH;
	}
	if (put_target(NULL, ev, SIZE_MAX) <= left) {
		put_target(out, ev, SIZE_MAX);
	} else {
		put_target(out, ev, left - strlen("..."));
		fputs("...", out);
	}
	if (notes[0] != '\0') {
		set_color(human, SGR_DIM);
		fprintf(out, " [%s]", notes);
		set_color(human, SGR_RESET);
	}
	fputc('\n', out);
}

void human_summary(FILE *out, const struct summary *summary, const struct appmon_stats *stats)
{
	const struct histogram *durations = &summary->durations;
	char p50[TEXT_UNIT_SIZE], p95[TEXT_UNIT_SIZE], p99[TEXT_UNIT_SIZE];

	fprintf(out, "requests: %" PRIu64 ", errors: %" PRIu64 "\n", summary->requests,
		summary->errors);
	if (durations->total > 0)
		fprintf(out, "duration: p50 %s, p95 %s, p99 %s\n",
			format_duration(histogram_percentile(durations, 50), p50),
			format_duration(histogram_percentile(durations, 95), p95),
			format_duration(histogram_percentile(durations, 99), p99));
	fprintf(out, "connections: %" PRIu64 " HTTP, %" PRIu64 " others skipped",
		stats->connections_seen, stats->connections_skipped);
	if (stats->outstanding > 0)
		fprintf(out, "; requests in progress: %" PRIu64, stats->outstanding);
	if (stats->filtered > 0)
		fprintf(out, "; left out: %" PRIu64, stats->filtered);
	fputc('\n', out);
	for (uint32_t i = 0; i < APPMON_DROP_MAX; i++) {
		if (stats->dropped[i] > 0)
			fprintf(out, "dropped (%s): %" PRIu64 "\n", appmon_drop_name(i),
				stats->dropped[i]);
	}
}
