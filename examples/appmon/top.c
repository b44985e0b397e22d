/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon top: applications, and what is behind them, as they are now. */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <ncurses.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "commands.h"
#include "signals.h"
#include "text.h"
#include "top.h"
#include "protocols.h"

/* A key, alone and not the begin of a function key's bytes. */
#define KEY_ESC 27
#define ESC_DELAY_MS 25

enum { KEY_INTERVAL = 0x100, KEY_TLS };

struct arguments {
	struct targets targets;
	uint32_t protocols; /* 0: the library's default */
	uint32_t flags;	    /* APPMON_OPEN_* */
	uint64_t interval_ns;
};

static const struct argp_option argp_options[] = {
	{"tls", KEY_TLS, NULL, 0, TLS_HELP, 4},
	{.doc = "Display:", .group = 5},
	{"interval", KEY_INTERVAL, "TIME", 0, "How often to look: 1s (the default), 500ms ...", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->targets;
		state->child_inputs[1] = &args->protocols;
		args->interval_ns = NSEC_PER_SEC;
		break;
	case KEY_INTERVAL:
		if (parse_duration(arg, NSEC_PER_SEC, &args->interval_ns) < 0 ||
		    args->interval_ns < 100 * NSEC_PER_MSEC)
			argp_error(state, "--interval: '%s' is no time from 100ms on", arg);
		break;
	case KEY_TLS:
		args->flags |= APPMON_OPEN_TLS;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {
	{.argp = &targets_argp}, {.argp = &protocols_argp}, {0}};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.children = children,
	.doc = "Shows applications live: rates, errors and latency as a server (<-) and as a "
	       "client "
	       "(->), their last minute, what they use of the machine, and behind each its "
	       "interfaces, instances, peers, statuses, errors and single requests that failed or "
	       "were slow. The worst come first: errors, then latency."
	       "\v"
	       "Keys: up and down, Enter to look into an application or a request, Esc to go back, "
	       "Tab or 1 to 6 for an application's tables, e for the errors and x for single "
	       "requests of all, s for the next column to sort by, r to reverse, / to filter by "
	       "name, w for the time that figures are over, Space to pause, ? for help, q to "
	       "end.\n\n"
	       "Examples:\n"
	       "  appmon top --cgroup /sys/fs/cgroup/system.slice\n"
	       "  appmon top --unit nginx --unit shop --interval 2s\n\n"
	       "An application is a target with its name, or a container in one without; CPU% is "
	       "of one CPU. Exit status: 0, 1 "
	       "after a failure, 2 for wrong usage. Needs what appmon watch needs.",
};

/* 80 columns. */
static const char help[] =
	"appmon top: applications as a server (<-) and as a client (->), the worst first\n"
	"\n"
	"Up, Down, PgUp, PgDn, Home, End   move; the cursor stays with its row\n"
	"Enter      look into an application; all of a request; an error's latest one\n"
	"Esc        back to the applications\n"
	"Tab, 1-6   interfaces, instances, peers, status, single requests, errors\n"
	"e, x       errors of all applications, single requests of all\n"
	"s, r       sort by the next column (underlined), reverse the order\n"
	"/          show only what contains a text\n"
	"w          the time that figures are over: 10 intervals, all, one\n"
	"Space      pause: the screen stands still, counting goes on\n"
	"q          end\n"
	"\n"
	"REQ/S ERR%          requests a second, and the share of them that failed\n"
	"P50 P95 P99         durations that 50, 95, 99 of 100 requests do not exceed\n"
	"QUEUE SERVICE       of a server: mean time until it read a request, from there to\n"
	"                    its response\n"
	"BYTES/S             requests and responses, heads and bodies\n"
	"CPU% MEM            of its cgroups, CPU% of one CPU. A dash: not known; why MEM is\n"
	"                    not says the third line, of the row under the cursor\n"
	"OPEN OLDEST         requests in progress, how long the oldest of them has been\n"
	"LAST 60 s           requests, each row by its own greatest; red where 5% failed\n"
	"\n"
	"A narrow terminal has fewer columns. OPEN and OLDEST come first as soon as a\n"
	"request takes longer than two seconds. Single requests are the latest errors, of\n"
	"each application and status at most 16, and the slowest of the last minute.\n";

static void take_sample(void *ctx, const struct appmon_event *ev)
{
	struct top *top = ctx;

	address_names_event(&top->names, ev);
	/* What is shown stands still. */
	if (!top->paused)
		samples_add(&top->samples, ev);
}

/* ---- what is shown -------------------------------------------------------------- */

static const struct appmon_snapshot *since(const struct top *top)
{
	if (top->window == SIZE_MAX || top->history_count < 2)
		return NULL;
	return top
		->history[top->window < top->history_count ? top->window : top->history_count - 1];
}

/* The sum over an application's instances. */
static void add_usage(struct top *top, struct row *row)
{
	const struct selection only = {.app = row->app, .role = row->role};
	struct rows instances;

	if (top->view == VIEW_INSTANCES) {
		const struct usage *u = usages_get(&top->usages, row->cgroup_id);

		if (!u)
			return;
		row->cpu = u->cpu;
		row->memory = u->memory;
		row->memory_why = u->memory_why;
		if (u->path) {
			char name[512], *label;

			label = strdup(container_names_instance(top->collect.containers, u->path,
								name, sizeof(name))
					       ? name
					       : u->path);
			if (label) {
				free(row->label);
				row->label = label;
			}
		}
		return;
	}
	if (rows_make(&instances, BY_INSTANCE, &only, top->history[0], NULL, NULL, NULL) < 0)
		return;
	for (size_t i = 0; i < instances.count; i++) {
		const struct usage *u = usages_get(&top->usages, instances.list[i].cgroup_id);

		if (u && u->cpu >= 0)
			row->cpu = (row->cpu < 0 ? 0 : row->cpu) + u->cpu;
		if (u && u->memory != UINT64_MAX)
			row->memory = (row->memory == UINT64_MAX ? 0 : row->memory) + u->memory;
		if (u && u->memory_why)
			row->memory_why = u->memory_why;
	}
	rows_free(&instances);
}

static void filter_rows(struct top *top)
{
	size_t kept = 0;

	for (size_t i = 0; i < top->rows.count; i++) {
		struct row row = top->rows.list[i];

		/* Only errors of all applications have other names beside the label. */
		if (strcasestr(row.label, top->filter) ||
		    (row.status &&
		     (strcasestr(row.status, top->filter) || strcasestr(row.app, top->filter))))
			top->rows.list[kept++] = row;
		else
			row_free(&row);
	}
	top->rows.count = kept;
}

static void filter_samples(struct top *top)
{
	size_t kept = 0;
	char what[512];

	for (size_t i = 0; i < top->sample_count; i++) {
		const struct sample *s = top->sample[i];

		sample_what(s->event, what, sizeof(what));
		if (strcasestr(what, top->filter) ||
		    strcasestr(s->event->target_name.data, top->filter))
			top->sample[kept++] = s;
	}
	top->sample_count = kept;
}

static void sum_up(struct top *top)
{
	const struct appmon_snapshot *now = top->history[0], *then = since(top);
	uint64_t begin = appmon_snapshot_time(then ? then : top->history[top->history_count - 1]);

	top->seconds = (double)(appmon_snapshot_time(now) - begin) / 1e9;
	top->total_requests = top->total_errors = 0;
	top->total_active = top->oldest_ns = 0;
	for (uint32_t i = 0; i < appmon_snapshot_count(now, APPMON_SNAPSHOT_ACTIVE); i++) {
		struct appmon_active active = {.size = sizeof(active)};

		appmon_snapshot_active(now, i, &active);
		top->total_active += active.requests;
		if (active.oldest_ns != 0 &&
		    (top->oldest_ns == 0 || active.oldest_ns < top->oldest_ns))
			top->oldest_ns = active.oldest_ns;
	}
	for (uint32_t i = 0; i < appmon_snapshot_count(now, APPMON_SNAPSHOT_EDGES); i++) {
		struct appmon_figures f = {.size = sizeof(f)};

		if (appmon_snapshot_figures(now, APPMON_SNAPSHOT_EDGES, i, then, &f) < 0)
			continue;
		top->total_requests += f.requests;
		top->total_errors += f.errors;
	}
}

static size_t row_count(const struct top *top)
{
	return top->view == VIEW_SAMPLES ? top->sample_count : top->rows.count;
}

/* What tells a row from all others of its table. */
static void key_of(const struct top *top, size_t i, char key[TOP_KEY])
{
	const struct row *row;

	if (top->view == VIEW_SAMPLES) {
		snprintf(key, TOP_KEY, "%" PRIu64 ".%" PRIu64, top->shown[i].connection_id,
			 top->shown[i].ordinal);
		return;
	}
	row = &top->rows.list[i];
	snprintf(key, TOP_KEY, "%" PRIu32 " %s %s %s", row->role, row->app,
		 row->status ? row->status : "", row->label);
}

/* Rows change places while somebody looks: the cursor stays on its own. */
static void follow_cursor(struct top *top)
{
	size_t count = row_count(top);
	char key[TOP_KEY];

	for (size_t i = 0; top->cursor[0] != '\0' && i < count; i++) {
		key_of(top, i, key);
		if (strcmp(key, top->cursor) == 0)
			top->selected = i;
	}
}

/* After a key that moved it. */
static void set_cursor(struct top *top)
{
	size_t count = row_count(top);

	top->cursor[0] = '\0';
	if (top->selected >= count)
		top->selected = count > 0 ? count - 1 : 0;
	/* On the first row it stays there: that is where the worst is. */
	if (top->selected > 0)
		key_of(top, top->selected, top->cursor);
}

static int make_rows(struct top *top)
{
	static const enum grouping grouping[VIEWS_ALL] = {
		[VIEW_APPS] = BY_APP,		[VIEW_INTERFACES] = BY_INTERFACE,
		[VIEW_INSTANCES] = BY_INSTANCE, [VIEW_PEERS] = BY_PEER,
		[VIEW_STATUS] = BY_STATUS,	[VIEW_ERRORS] = BY_ERROR,
	};
	const struct selection only = {.app = top->app, .role = top->role};

	if (rows_make(&top->rows, grouping[top->view], top->app ? &only : NULL, top->history[0],
		      since(top), &top->trends, &top->names) < 0)
		return -ENOMEM;
	if (top->view == VIEW_APPS || top->view == VIEW_INSTANCES)
		for (size_t i = 0; i < top->rows.count; i++)
			add_usage(top, &top->rows.list[i]);
	filter_rows(top);
	/* The rate of errors so far. */
	if (top->view == VIEW_ERRORS)
		rows_sort(&top->rows, COLUMN_RATE, top->reverse);
	else
		rows_sort(&top->rows, top->sort, top->reverse);
	return 0;
}

static int update(struct top *top)
{
	int ret = 0;

	sum_up(top);
	rows_free(&top->rows);
	top->sample_count = 0;
	if (top->view == VIEW_SAMPLES) {
		top->sample_count = samples_list(&top->samples, top->app, top->role, top->sample);
		filter_samples(top);
		for (size_t i = 0; i < top->sample_count; i++) {
			top->shown[i].connection_id = top->sample[i]->event->connection_id;
			top->shown[i].ordinal = top->sample[i]->event->ordinal;
		}
	} else {
		ret = make_rows(top);
	}
	follow_cursor(top);
	if (top->selected >= row_count(top))
		top->selected = row_count(top) > 0 ? row_count(top) - 1 : 0;
	return ret;
}

/* The row under the cursor stays on the screen. */
static void scroll_to_selected(struct top *top)
{
	size_t lines = top_lines();

	if (top->selected < top->first)
		top->first = top->selected;
	if (lines > 0 && top->selected >= top->first + lines)
		top->first = top->selected - lines + 1;
}

static int take_snapshot(struct top *top)
{
	struct appmon_snapshot *now;

	container_names_run(top->collect.containers);
	now = collect_snapshot(&top->collect, false);

	if (!now)
		return -ENOMEM;
	if (trends_add(&top->trends, now, top->history_count > 0 ? top->history[0] : NULL) < 0) {
		appmon_snapshot_free(now);
		return -ENOMEM;
	}
	if (top->history_count == TOP_HISTORY)
		appmon_snapshot_free(top->history[--top->history_count]);
	memmove(top->history + 1, top->history, top->history_count * sizeof(now));
	top->history[0] = now;
	top->history_count++;
	return 0;
}

/* ---- keys ---------------------------------------------------------------------------- */

static void to_first(struct top *top)
{
	top->selected = top->first = 0;
	top->cursor[0] = '\0';
}

static void go(struct top *top, enum view view)
{
	if (view == VIEW_PEERS) {
		address_names_forget_listeners(&top->names);
		address_names_read_listeners(&top->names, top->collect.mon);
	}
	top->view = view;
	top->filter[0] = '\0';
	to_first(top);
}

/* Takes the text over; NULL: no memory, the table stays. */
static void open_page(struct top *top, char *text)
{
	free(top->page);
	top->page = text;
	top->page_first = 0;
}

static void open_sample(struct top *top)
{
	const struct sample *sample;

	if (top->view == VIEW_ERRORS)
		sample = samples_find(&top->samples, &top->rows.list[top->selected]);
	else
		sample = samples_by_id(&top->samples, top->shown[top->selected].connection_id,
				       top->shown[top->selected].ordinal);
	if (sample)
		open_page(top, top_describe(top, sample));
}

static void open_app(struct top *top)
{
	char *app = strdup(top->rows.list[top->selected].app);

	if (!app)
		return;
	top->role = top->rows.list[top->selected].role;
	free(top->app);
	top->app = app;
	go(top, VIEW_INTERFACES);
}

static void open_selected(struct top *top)
{
	if (top->selected >= row_count(top))
		return;
	if (top->view == VIEW_APPS)
		open_app(top);
	else if (top->view == VIEW_SAMPLES || top->view == VIEW_ERRORS)
		open_sample(top);
	else
		go(top, VIEW_SAMPLES);
}

static void go_back(struct top *top)
{
	free(top->app);
	top->app = NULL;
	go(top, VIEW_APPS);
}

static void type(struct top *top, int key)
{
	size_t len = strlen(top->filter);

	if (key == KEY_ESC)
		top->filter[0] = '\0';
	if (key == KEY_ESC || key == '\n' || key == '\r' || key == KEY_ENTER) {
		top->typing = false;
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && len > 0) {
		top->filter[len - 1] = '\0';
	} else if (key < 256 && isprint(key) && len + 1 < TOP_FILTER) {
		top->filter[len] = (char)key;
		top->filter[len + 1] = '\0';
	}
}

/* Of those that the screen has. */
static void next_column(struct top *top)
{
	do {
		top->sort = (top->sort + 1) % COLUMNS_SORT;
	} while (!top_has_column(top, top->sort));
	to_first(top);
}

static void next_window(struct top *top)
{
	if (top->window == 1)
		top->window = TOP_HISTORY - 1;
	else
		top->window = top->window == SIZE_MAX ? 1 : SIZE_MAX;
}

/* Keys that move in a table or a page. False: it is another key. */
static bool move_by_key(int key, size_t *at, size_t count, size_t page)
{
	size_t last = count > 0 ? count - 1 : 0;

	switch (key) {
	case KEY_UP:
	case 'k':
		*at -= *at > 0;
		break;
	case KEY_DOWN:
	case 'j':
		*at += *at < last;
		break;
	case KEY_PPAGE:
		*at -= *at < page ? *at : page;
		break;
	case KEY_NPAGE:
		*at = *at + page < last ? *at + page : last;
		break;
	case KEY_HOME:
		*at = 0;
		break;
	case KEY_END:
		*at = last;
		break;
	default:
		return false;
	}
	return true;
}

static void take_page_key(struct top *top, int key)
{
	if (move_by_key(key, &top->page_first, top_page_rest(top) + 1, top_lines()))
		return;
	if (key != KEY_RESIZE)
		open_page(top, NULL);
}

static void take_table_key(struct top *top, int key)
{
	if (move_by_key(key, &top->selected, row_count(top), top_lines())) {
		set_cursor(top);
		return;
	}
	switch (key) {
	case '\n':
	case '\r':
	case KEY_ENTER:
	case KEY_RIGHT:
		open_selected(top);
		break;
	case KEY_ESC:
	case KEY_LEFT:
	case KEY_BACKSPACE:
	case 127:
		go_back(top);
		break;
	case '\t':
		if (top->app)
			go(top, top->view + 1 == VIEWS_ALL ? VIEW_INTERFACES : top->view + 1);
		break;
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
		if (top->app)
			go(top, VIEW_INTERFACES + (enum view)(key - '1'));
		break;
	case 'e':
		go(top, VIEW_ERRORS);
		break;
	case 'x':
		go(top, VIEW_SAMPLES);
		break;
	case 's':
		next_column(top);
		break;
	case 'r':
		top->reverse = !top->reverse;
		to_first(top);
		break;
	case '/':
		top->typing = true;
		break;
	case 'w':
		next_window(top);
		break;
	case ' ':
	case 'p':
		top->paused = !top->paused;
		break;
	case '?':
	case 'h':
		open_page(top, strdup(help));
		break;
	default:
		break;
	}
}

/* False: the user wants to leave. */
static bool take_key(struct top *top, int key)
{
	if (top->typing && key != KEY_RESIZE) {
		type(top, key);
		to_first(top);
	} else if (key == 'q') {
		return false;
	} else if (top->page) {
		take_page_key(top, key);
	} else {
		take_table_key(top, key);
	}
	return true;
}

/* ---- the loop -------------------------------------------------------------------------- */

/* Waits for a key, events or the time. Returns a negative errno value after a failure. */
static int wait_for_something(struct top *top, uint64_t until_ns)
{
	struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
				{.fd = appmon_fd(top->collect.mon), .events = POLLIN}};
	uint64_t now = now_ns();
	int timeout_ms = until_ns > now ? (int)((until_ns - now) / NSEC_PER_MSEC) + 1 : 0;

	if (poll(fds, 2, timeout_ms) <= 0)
		return 0;
	/* The terminal is gone. */
	if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		return -EIO;
	if (fds[1].revents) {
		top->activity++;
		return collect_step(&top->collect, 0);
	}
	return 0;
}

static int show(struct top *top)
{
	int ret = update(top);

	if (ret == 0) {
		scroll_to_selected(top);
		top_draw(top);
	}
	return ret;
}

/* Each key acts on what the one before it made of the table. Returns 1: the user wants to leave. */
static int take_keys(struct top *top)
{
	int key, ret = 0;

	while (ret == 0 && (key = getch()) != ERR)
		ret = take_key(top, key) ? show(top) : 1;
	return ret;
}

static int loop(struct top *top, uint64_t interval_ns)
{
	uint64_t next_ns = 0;
	int ret = 0;

	while (ret == 0 && signals_take() == 0) {
		if (now_ns() >= next_ns) {
			next_ns = now_ns() + interval_ns;
			top->activity++;
			if (!top->paused || top->history_count == 0) {
				usages_refresh(&top->usages);
				ret = take_snapshot(top);
			}
			if (ret == 0)
				ret = show(top);
		}
		if (ret == 0)
			ret = wait_for_something(top, next_ns);
		if (ret == 0)
			ret = take_keys(top);
	}
	return ret;
}

static SCREEN *open_screen(void)
{
	SCREEN *screen;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		warnx("top needs a terminal; appmon watch and appmon topology do not");
		return NULL;
	}
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		warnx("the terminal '%s' is unknown: set TERM",
		      getenv("TERM") ? getenv("TERM") : "");
		return NULL;
	}
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	set_escdelay(ESC_DELAY_MS);
	curs_set(0);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(PAIR_BAD, COLOR_RED, -1);
		init_pair(PAIR_WARN, COLOR_YELLOW, -1);
		init_pair(PAIR_GOOD, COLOR_GREEN, -1);
	}
	return screen;
}

static int run(struct top *top, const struct arguments *args)
{
	SCREEN *screen;
	int ret;

	top->collect.event_fn = take_sample;
	top->collect.event_ctx = top;
	top->collect.protocols = args->protocols;
	/* Queue and service time, and what a request was made for. */
	top->collect.flags = args->flags | APPMON_OPEN_LINKS;
	top->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	ret = collect_open(&top->collect, &args->targets, NULL);
	if (ret < 0)
		return ret;
	screen = open_screen();
	if (screen) {
		top->begin_ns = now_ns();
		top->names.containers = top->collect.containers;
		address_names_read_hosts(&top->names, "/etc/hosts");
		ret = loop(top, args->interval_ns);
		endwin();
		delscreen(screen);
	} else {
		ret = -ENOTTY;
	}
	collect_close(&top->collect);
	return ret;
}

int command_top(int argc, char **argv)
{
	static struct top top = {.window = TOP_HISTORY - 1, .sort = COLUMN_ERRORS};
	struct arguments args = {0};
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	top.targets = args.targets.count;
	ret = run(&top, &args);
	while (top.history_count > 0)
		appmon_snapshot_free(top.history[--top.history_count]);
	rows_free(&top.rows);
	usages_free(&top.usages);
	trends_free(&top.trends);
	address_names_free(&top.names);
	samples_free(&top.samples);
	free(top.page);
	free(top.app);
	targets_free(&args.targets);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
