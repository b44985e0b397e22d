/* SPDX-License-Identifier: BSD-2-Clause */
/* The screen of `appmon top`. 80 columns hold all that matters; wider ones show more of names. */
#include <inttypes.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "names.h"
#include "text.h"
#include "top.h"

/* Two lines, a note and the table's head; one below. */
#define LINES_ABOVE 4
#define LINES_BELOW 1
/* A request that takes longer than this has its columns on a narrow screen, too. */
#define HANGS_NS (2 * NSEC_PER_SEC)
/* This share of errors is red. */
#define MANY_ERRORS 0.05

/* A name has at least so much. */
#define NAME_WIDTH 18

static const struct {
	const char *title;
	int width; /* 0: the rest of the line */
} columns[COLUMNS_ALL] = {
	[COLUMN_NAME] = {NULL, 0},	 [COLUMN_RATE] = {"REQ/S", 8},
	[COLUMN_ERRORS] = {"ERR%", 6},	 [COLUMN_P50] = {"P50", 7},
	[COLUMN_P95] = {"P95", 7},	 [COLUMN_P99] = {"P99", 7},
	[COLUMN_QUEUE] = {"QUEUE", 7},	 [COLUMN_SERVICE] = {"SERVICE", 8},
	[COLUMN_BYTES] = {"BYTES/S", 8}, [COLUMN_CPU] = {"CPU%", 6},
	[COLUMN_MEMORY] = {"MEM", 8},	 [COLUMN_ACTIVE] = {"OPEN", 6},
	[COLUMN_OLDEST] = {"OLDEST", 7}, [COLUMN_TREND] = {"LAST 60 s", TREND_STEPS + 1},
};

/* What a narrower screen keeps longest. */
static const enum column by_rank[] = {
	COLUMN_RATE,   COLUMN_ERRORS,  COLUMN_P95,   COLUMN_CPU, COLUMN_MEMORY,
	COLUMN_QUEUE,  COLUMN_SERVICE, COLUMN_TREND, COLUMN_P50, COLUMN_P99,
	COLUMN_ACTIVE, COLUMN_OLDEST,  COLUMN_BYTES,
};
/* The same while a request hangs. */
static const enum column by_rank_hanging[] = {
	COLUMN_RATE, COLUMN_ERRORS, COLUMN_ACTIVE, COLUMN_OLDEST,  COLUMN_P95,
	COLUMN_CPU,  COLUMN_MEMORY, COLUMN_QUEUE,  COLUMN_SERVICE, COLUMN_TREND,
	COLUMN_P50,  COLUMN_P99,    COLUMN_BYTES,
};
#define RANKS (sizeof(by_rank) / sizeof(by_rank[0]))

static const char *const view_names[] = {
	[VIEW_APPS] = "applications",	[VIEW_INTERFACES] = "interfaces",
	[VIEW_INSTANCES] = "instances", [VIEW_PEERS] = "peers",
	[VIEW_STATUS] = "status",	[VIEW_SAMPLES] = "requests",
	[VIEW_ERRORS] = "errors",
};

size_t top_lines(void)
{
	return LINES > LINES_ABOVE + LINES_BELOW ? (size_t)(LINES - LINES_ABOVE - LINES_BELOW) : 0;
}

/* Bytes of others, escaped, in exactly this many columns. */
static void put_name(const char *name, int width)
{
	char *text = NULL;
	size_t size, used;
	FILE *out;

	if (width <= 0)
		return;
	out = open_memstream(&text, &size);
	if (!out)
		return;
	used = put_escaped(out, name, strlen(name), (size_t)width);
	fclose(out);
	addstr(text);
	free(text);
	printw("%*s", width - (int)used, "");
}

/* The end of a path tells more than its begin. */
static void put_path(const char *path, int width)
{
	size_t len = strlen(path);

	if (width > 3 && put_escaped(NULL, path, len, SIZE_MAX) > (size_t)width) {
		addstr("...");
		width -= 3;
		while (len > 0 && put_escaped(NULL, path, len, SIZE_MAX) > (size_t)width) {
			path++;
			len--;
		}
	}
	put_name(path, width);
}

/* How long the oldest request in progress has been. */
static uint64_t oldest_age(const struct top *top, uint64_t oldest_ns)
{
	uint64_t now = appmon_snapshot_time(top->history[0]);

	return oldest_ns != 0 && oldest_ns < now ? now - oldest_ns : 0;
}

/* What figures of cgroups and of requests in progress there are. */
static bool is_in_view(const struct top *top, enum column column)
{
	switch (column) {
	case COLUMN_CPU:
	case COLUMN_MEMORY:
	case COLUMN_ACTIVE:
	case COLUMN_OLDEST:
		return top->view == VIEW_APPS || top->view == VIEW_INSTANCES;
	default:
		return true;
	}
}

bool top_has_column(const struct top *top, enum column column)
{
	bool hangs = oldest_age(top, top->oldest_ns) > HANGS_NS;
	const enum column *rank = hangs ? by_rank_hanging : by_rank;
	int width = NAME_WIDTH;

	for (size_t i = 0; column != COLUMN_NAME && i < RANKS; i++) {
		if (!is_in_view(top, rank[i]))
			continue;
		width += columns[rank[i]].width;
		if (width > COLS)
			return false;
		if (rank[i] == column)
			return true;
	}
	return column == COLUMN_NAME;
}

static int name_width(const struct top *top)
{
	int width = COLS;

	for (int i = COLUMN_RATE; i < COLUMNS_ALL; i++)
		if (top_has_column(top, i))
			width -= columns[i].width;
	return width > 4 ? width : 4;
}

static char activity_sign(const struct top *top)
{
	return "|/-\\"[top->activity % 4];
}

static void put_window(const struct top *top)
{
	if (top->window == SIZE_MAX)
		printw("since the start");
	else
		printw("last %.*f s", top->seconds < 9.95 ? 1 : 0, top->seconds);
}

static void draw_summary(const struct top *top)
{
	double rate = top->seconds > 0 ? (double)top->total_requests / top->seconds : 0;
	time_t now = time(NULL);
	char clock[16] = "", age[TEXT_UNIT_SIZE];
	struct tm tm;

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
	attron(A_BOLD);
	mvprintw(0, 0, "appmon top");
	attroff(A_BOLD);
	printw("  %s  ", clock);
	/* In front of what may not fit into the line. */
	if (top->paused) {
		attron(A_REVERSE);
		printw(" PAUSED ");
		attroff(A_REVERSE);
	} else {
		addch((chtype)activity_sign(top));
	}
	printw("  ");
	put_window(top);
	printw(": %.1f req/s, ", rate);
	if (top->total_errors > 0)
		attron(COLOR_PAIR(PAIR_BAD));
	printw("%.2f%% errors", top->total_requests > 0 ? 100.0 * (double)top->total_errors /
								  (double)top->total_requests
							: 0);
	attroff(COLOR_PAIR(PAIR_BAD));
	if (top->total_active > 0) {
		format_duration(oldest_age(top, top->oldest_ns), age);
		printw(", %" PRIu64 " open for %s", top->total_active, age);
	}
}

static void draw_path(const struct top *top)
{
	struct appmon_stats stats = {.size = sizeof(stats)};
	uint64_t dropped = 0;

	move(1, 0);
	if (top->app) {
		put_name(top->app, (int)put_escaped(NULL, top->app, strlen(top->app), 30));
		printw(" (%s) > ", top->role == APPMON_ROLE_CLIENT ? "as a client" : "as a server");
	}
	printw("%s", view_names[top->view]);
	if (top->filter[0] != '\0' || top->typing)
		printw("   /%s%s", top->filter, top->typing ? "_" : "");
	if (appmon_get_stats(top->collect.mon, 0, &stats) < 0)
		return;
	for (int i = 0; i < APPMON_DROP_MAX; i++)
		dropped += stats.dropped[i];
	if (dropped > 0) {
		attron(COLOR_PAIR(PAIR_WARN));
		printw("   %" PRIu64 " of %" PRIu64 " not shown (lost)", dropped,
		       stats.exchanges_seen);
		attroff(COLOR_PAIR(PAIR_WARN));
	}
}

static void draw_head(const struct top *top)
{
	static const char *const names[] = {
		[VIEW_APPS] = "APPLICATION",   [VIEW_INTERFACES] = "INTERFACE",
		[VIEW_INSTANCES] = "INSTANCE", [VIEW_PEERS] = "PEER",
		[VIEW_STATUS] = "STATUS",
	};
	char line[128];

	move(LINES_ABOVE - 1, 0);
	attron(A_REVERSE);
	if (top->view == VIEW_SAMPLES || top->view == VIEW_ERRORS) {
		snprintf(line, sizeof(line), "%s %s%s",
			 top->view == VIEW_SAMPLES ? "    AGO  STATUS DURATION"
						   : " ERRORS   ERR/S    LAST  STATUS      ",
			 top->app ? "" : "APPLICATION             ",
			 top->view == VIEW_SAMPLES ? "REQUEST" : "INTERFACE");
		printw("%-*.*s", COLS, COLS, line);
	} else {
		for (int i = 0; i < COLUMNS_ALL; i++) {
			if (!top_has_column(top, i))
				continue;
			if (i == (int)top->sort)
				attron(A_BOLD | A_UNDERLINE);
			if (i == COLUMN_NAME)
				printw("%-*s", name_width(top), names[top->view]);
			else
				printw("%*s", columns[i].width, columns[i].title);
			attroff(A_BOLD | A_UNDERLINE);
		}
	}
	attroff(A_REVERSE);
}

static const char *role_arrow(uint32_t role)
{
	return role == APPMON_ROLE_CLIENT ? "-> " : role == APPMON_ROLE_SERVER ? "<- " : "?? ";
}

static void put_rate(double rate, int width)
{
	printw("%*.*f", width, rate < 99.95 ? 1 : 0, rate);
}

static void put_errors(const struct row *row)
{
	double share = row->requests > 0 ? 100.0 * (double)row->errors / (double)row->requests : 0;
	int pair = share >= 100 * MANY_ERRORS ? PAIR_BAD : PAIR_WARN;

	if (row->errors > 0)
		attron(COLOR_PAIR(pair));
	printw("%*.*f", columns[COLUMN_ERRORS].width, share < 9.995 ? 2 : 1, share);
	if (row->errors > 0)
		attroff(COLOR_PAIR(pair));
}

static void put_duration(const struct row *row, uint64_t ns)
{
	char text[TEXT_UNIT_SIZE] = "-";

	if (appmon_histogram_count(row->durations) > 0)
		format_duration(ns, text);
	printw("%*s", columns[COLUMN_P50].width, text);
}

static void put_mean(const struct row *row, uint64_t sum_ns, int width)
{
	char text[TEXT_UNIT_SIZE] = "-";

	if (row->served > 0)
		format_duration((uint64_t)row_mean(row, sum_ns), text);
	printw("%*s", width, text);
}

static void put_trend(const struct top *top, const struct row *row)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
	const size_t heights = sizeof(blocks) / sizeof(blocks[0]);
	double greatest = 0;

	for (size_t i = 0; i < TREND_STEPS; i++) {
		double value = trends_step(&top->trends, &row->trend, i);

		greatest = value > greatest ? value : greatest;
	}
	addch(' ');
	for (size_t i = 0; i < TREND_STEPS; i++) {
		double value = trends_step(&top->trends, &row->trend, i);
		double errors = trends_error_share(&top->trends, &row->trend, i);
		size_t height =
			greatest > 0 ? (size_t)(value / greatest * (double)(heights - 1)) : 0;
		int color = errors >= MANY_ERRORS ? PAIR_BAD : errors > 0 ? PAIR_WARN : PAIR_GOOD;

		attron(COLOR_PAIR(color));
		addstr(value <= 0 ? " " : top->utf8 ? blocks[height] : ascii[height]);
		attroff(COLOR_PAIR(color));
	}
}

static void put_cell(const struct top *top, const struct row *row, enum column column)
{
	char text[TEXT_UNIT_SIZE];
	int width = columns[column].width;
	double seconds = top->seconds > 0 ? top->seconds : 1;

	switch (column) {
	case COLUMN_RATE:
		put_rate((double)row->requests / seconds, width);
		break;
	case COLUMN_ERRORS:
		put_errors(row);
		break;
	case COLUMN_P50:
		put_duration(row, row->p50);
		break;
	case COLUMN_P95:
		put_duration(row, row->p95);
		break;
	case COLUMN_P99:
		put_duration(row, row->p99);
		break;
	case COLUMN_QUEUE:
		put_mean(row, row->queue_ns, width);
		break;
	case COLUMN_SERVICE:
		put_mean(row, row->service_ns, width);
		break;
	case COLUMN_TREND:
		put_trend(top, row);
		break;
	case COLUMN_BYTES:
		printw("%*s", width, format_bytes((uint64_t)((double)row->bytes / seconds), text));
		break;
	case COLUMN_CPU:
		if (row->cpu < 0)
			printw("%*s", width, "-");
		else
			printw("%*.1f", width, 100 * row->cpu);
		break;
	case COLUMN_MEMORY:
		if (row->memory == UINT64_MAX)
			printw("%*s", width, "-");
		else
			printw("%*s", width, format_bytes(row->memory, text));
		break;
	case COLUMN_ACTIVE:
		printw("%*" PRIu64, width, row->active);
		break;
	case COLUMN_OLDEST:
		format_duration(oldest_age(top, row->oldest_ns), text);
		printw("%*s", width, row->oldest_ns != 0 ? text : "-");
		break;
	default:
		break;
	}
}

static void draw_row(const struct top *top, const struct row *row)
{
	int width = name_width(top);

	if (top->view == VIEW_APPS) {
		addstr(role_arrow(row->role));
		width -= 3;
	}
	if (top->view == VIEW_INSTANCES)
		put_path(row->label, width);
	else
		put_name(row->label, width);
	for (int i = COLUMN_RATE; i < COLUMNS_ALL; i++)
		if (top_has_column(top, i))
			put_cell(top, row, i);
}

static uint64_t ago(const struct top *top, uint64_t ns)
{
	uint64_t now = appmon_snapshot_time(top->history[0]);

	return now > ns ? now - ns : 0;
}

static void draw_sample(const struct top *top, const struct sample *s)
{
	const struct appmon_event *ev = s->event;
	char past[TEXT_UNIT_SIZE], duration[TEXT_UNIT_SIZE] = "-", what[512];
	int used = 25;

	if (ev->duration_ns > 0)
		format_duration(ev->duration_ns, duration);
	printw("%7s  ", format_duration(ago(top, s->end_ns), past));
	attron(COLOR_PAIR(s->error ? PAIR_BAD : PAIR_WARN));
	/* It comes from a server: no byte of it may steer the terminal. */
	put_name(sample_status(s), 6);
	attroff(COLOR_PAIR(s->error ? PAIR_BAD : PAIR_WARN));
	printw(" %8s ", duration);
	if (!top->app) {
		addstr(role_arrow(ev->role));
		put_name(ev->target_name.data, 20);
		addch(' ');
		used += 24;
	}
	sample_what(ev, what, sizeof(what));
	put_name(what, COLS - used);
}

static void draw_error(const struct top *top, const struct row *row)
{
	double seconds = top->seconds > 0 ? top->seconds : 1;
	char past[TEXT_UNIT_SIZE];
	int used = 38;

	printw("%7" PRIu64, row->requests);
	put_rate((double)row->errors / seconds, 8);
	printw("%8s  ", format_duration(ago(top, row->last_ns), past));
	attron(COLOR_PAIR(PAIR_BAD));
	put_name(row->status, 12);
	attroff(COLOR_PAIR(PAIR_BAD));
	addch(' ');
	if (!top->app) {
		addstr(role_arrow(row->role));
		put_name(row->app, 20);
		addch(' ');
		used += 24;
	}
	put_name(row->label, COLS - used);
}

/* What the table has no room for, of the row under the cursor. */
static void draw_note(const struct top *top)
{
	const struct sample *sample;
	const struct row *row;
	char what[512];

	if (top->selected >= top->rows.count)
		return;
	row = &top->rows.list[top->selected];
	move(LINES_ABOVE - 2, 0);
	attron(A_DIM);
	if (top->view == VIEW_ERRORS) {
		sample = samples_find(&top->samples, row);
		if (sample) {
			sample_what(sample->event, what, sizeof(what));
			addstr("latest: ");
			put_name(what, COLS - (int)strlen("latest: "));
		}
	} else if (row->memory_why) {
		printw("%.*s", COLS - 1,
		       row->memory == UINT64_MAX ? "MEM is not known: "
						 : "MEM is of a part, not known of others: ");
		printw("%.*s", COLS - getcurx(stdscr) - 1, row->memory_why);
	}
	attroff(A_DIM);
}

static void draw_table(const struct top *top)
{
	size_t count = top->view == VIEW_SAMPLES ? top->sample_count : top->rows.count;
	size_t lines = top_lines();

	for (size_t i = 0; i < lines && top->first + i < count; i++) {
		size_t n = top->first + i;

		move(LINES_ABOVE + (int)i, 0);
		if (n == top->selected)
			attron(A_BOLD | A_REVERSE);
		if (top->view == VIEW_SAMPLES)
			draw_sample(top, top->sample[n]);
		else if (top->view == VIEW_ERRORS)
			draw_error(top, &top->rows.list[n]);
		else
			draw_row(top, &top->rows.list[n]);
		attroff(A_BOLD | A_REVERSE);
	}
	if (count == 0 && lines > 2) {
		uint64_t waited =
			(appmon_snapshot_time(top->history[0]) - top->begin_ns) / NSEC_PER_SEC;

		if (top->filter[0] != '\0')
			mvprintw(LINES_ABOVE + 1, 2, "nothing matches /%s", top->filter);
		else if (top->view == VIEW_SAMPLES)
			mvprintw(LINES_ABOVE + 1, 2, "%c no error and nothing slow so far",
				 activity_sign(top));
		else if (top->view == VIEW_ERRORS)
			mvprintw(LINES_ABOVE + 1, 2, "%c no error so far", activity_sign(top));
		else
			mvprintw(LINES_ABOVE + 1, 2,
				 "%c no request so far (%" PRIu64 " s); watching %zu target(s)",
				 activity_sign(top), waited, top->targets);
	}
}

static void draw_keys(const struct top *top)
{
	const char *keys =
		"Enter open  s sort  r reverse  / filter  w window  Space pause  e errors  ?  q";

	if (top->page)
		keys = "Esc back  Up Down PgUp PgDn  q";
	else if (top->typing)
		keys = "type what names must contain; Enter keeps it, Esc drops it";
	else if (top->view != VIEW_APPS)
		keys = "Esc back 1 interfaces 2 instances 3 peers 4 status 5 requests 6 errors "
		       "? q";
	attron(A_DIM);
	mvprintw(LINES - 1, 0, "%.*s", COLS - 1, keys);
	attroff(A_DIM);
}

/* The next line of a text, at most width columns of it; its length, and where the next one begins. */
static size_t page_line(const char *text, int width, const char **ret_next)
{
	size_t len = 0, end = strcspn(text, "\n"), n;
	int used = 0;
	uint32_t c;

	for (; len < end && used < width; len += n, used++) {
		n = utf8_decode(text + len, end - len, &c);
		n = n > 0 ? n : 1;
	}
	*ret_next = text + len + (text[len] == '\n');
	return len;
}

size_t top_page_rest(const struct top *top)
{
	size_t lines = 0, fit = LINES > LINES_BELOW ? (size_t)(LINES - LINES_BELOW) : 0;

	for (const char *at = top->page; *at != '\0'; lines++)
		page_line(at, COLS, &at);
	return lines > fit ? lines - fit : 0;
}

static void draw_page(const struct top *top)
{
	size_t rest = top_page_rest(top), fit = (size_t)(LINES - LINES_BELOW), n = 0;
	/* The screen may have grown. */
	size_t first = top->page_first < rest ? top->page_first : rest;

	for (const char *at = top->page, *next; *at != '\0' && n < first + fit; at = next, n++) {
		size_t len = page_line(at, COLS, &next);

		if (n < first)
			continue;
		if (n == 0)
			attron(A_BOLD);
		mvaddnstr((int)(n - first), 0, at, (int)len);
		attroff(A_BOLD);
	}
}

void top_draw(const struct top *top)
{
	erase();
	if (COLS < 40 || LINES < 8) {
		mvprintw(0, 0, "too small");
	} else if (top->page) {
		draw_page(top);
		draw_keys(top);
	} else {
		draw_summary(top);
		draw_path(top);
		draw_note(top);
		draw_head(top);
		draw_table(top);
		draw_keys(top);
	}
	refresh();
}
