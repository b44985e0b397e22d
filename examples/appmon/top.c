/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon top: applications, and what is behind them, as they are now. */
#include <ctype.h>
#include <err.h>
#include <errno.h>
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
	       "(->), what they use of the machine, and behind each its interfaces, instances, "
	       "peers, statuses and single requests that failed or were slow."
	       "\v"
	       "Keys: up and down, Enter to look into an application, Esc to go back, Tab or 1 to "
	       "5 "
	       "for its "
	       "tables, s for the next column to sort by, r to reverse, / to filter by name, w for "
	       "the time that figures are over, Space to pause, e for samples of all, q to end.\n\n"
	       "Examples:\n"
	       "  appmon top --cgroup /sys/fs/cgroup/system.slice\n"
	       "  appmon top --unit nginx --unit shop --interval 2s\n\n"
	       "An application is a target with its name; CPU% is of one CPU. Exit status: 0, 1 "
	       "after a failure, 2 for wrong usage. Needs what appmon watch needs.",
};

static void take_sample(void *ctx, const struct appmon_event *ev)
{
	struct top *top = ctx;

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
		if (u->path) {
			char *label = strdup(u->path);

			if (label) {
				free(row->label);
				row->label = label;
			}
		}
		return;
	}
	if (rows_make(&instances, BY_INSTANCE, &only, top->history[0], NULL) < 0)
		return;
	for (size_t i = 0; i < instances.count; i++) {
		const struct usage *u = usages_get(&top->usages, instances.list[i].cgroup_id);

		if (u && u->cpu >= 0)
			row->cpu = (row->cpu < 0 ? 0 : row->cpu) + u->cpu;
		if (u && u->memory != UINT64_MAX)
			row->memory = (row->memory == UINT64_MAX ? 0 : row->memory) + u->memory;
	}
	rows_free(&instances);
}

static void filter_rows(struct top *top)
{
	size_t kept = 0;

	for (size_t i = 0; i < top->rows.count; i++) {
		struct row row = top->rows.list[i];

		if (strcasestr(row.label, top->filter))
			top->rows.list[kept++] = row;
		else
			row_free(&row);
	}
	top->rows.count = kept;
}

static void filter_samples(struct top *top)
{
	size_t kept = 0;

	for (size_t i = 0; i < top->sample_count; i++)
		if (strcasestr(top->sample[i]->what, top->filter) ||
		    strcasestr(top->sample[i]->app, top->filter))
			top->sample[kept++] = top->sample[i];
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

static int update(struct top *top)
{
	static const enum grouping grouping[] = {
		[VIEW_APPS] = BY_APP,		[VIEW_INTERFACES] = BY_INTERFACE,
		[VIEW_INSTANCES] = BY_INSTANCE, [VIEW_PEERS] = BY_PEER,
		[VIEW_STATUS] = BY_STATUS,
	};
	const struct selection only = {.app = top->app, .role = top->role};
	size_t count;

	sum_up(top);
	rows_free(&top->rows);
	top->sample_count = 0;
	if (top->view == VIEW_SAMPLES) {
		top->sample_count = samples_list(&top->samples, top->app, top->role, top->sample);
		filter_samples(top);
		count = top->sample_count;
	} else {
		if (rows_make(&top->rows, grouping[top->view], top->app ? &only : NULL,
			      top->history[0], since(top)) < 0)
			return -ENOMEM;
		if (top->view == VIEW_APPS || top->view == VIEW_INSTANCES)
			for (size_t i = 0; i < top->rows.count; i++)
				add_usage(top, &top->rows.list[i]);
		filter_rows(top);
		rows_sort(&top->rows, top->sort, top->reverse);
		count = top->rows.count;
	}
	if (top->selected >= count)
		top->selected = count > 0 ? count - 1 : 0;
	return 0;
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
	struct appmon_snapshot *now = collect_snapshot(&top->collect, false);

	if (!now)
		return -ENOMEM;
	if (top->history_count == TOP_HISTORY)
		appmon_snapshot_free(top->history[--top->history_count]);
	memmove(top->history + 1, top->history, top->history_count * sizeof(now));
	top->history[0] = now;
	top->history_count++;
	return 0;
}

/* ---- keys ---------------------------------------------------------------------------- */

static void go(struct top *top, enum view view)
{
	top->view = view;
	top->selected = top->first = 0;
	top->filter[0] = '\0';
}

static void open_selected(struct top *top)
{
	char *app;

	if (top->view != VIEW_APPS || top->selected >= top->rows.count)
		return;
	app = strdup(top->rows.list[top->selected].app);
	if (!app)
		return;
	top->role = top->rows.list[top->selected].role;
	free(top->app);
	top->app = app;
	go(top, VIEW_INTERFACES);
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

static void next_column(struct top *top)
{
	bool uses = top->view == VIEW_APPS || top->view == VIEW_INSTANCES;

	top->sort = (top->sort + 1) % COLUMNS_ALL;
	if (top->sort >= COLUMN_CPU && !uses)
		top->sort = COLUMN_NAME;
}

static void next_window(struct top *top)
{
	if (top->window == 1)
		top->window = TOP_HISTORY - 1;
	else
		top->window = top->window == SIZE_MAX ? 1 : SIZE_MAX;
}

/* False: the user wants to leave. */
static bool take_key(struct top *top, int key)
{
	size_t count = top->view == VIEW_SAMPLES ? top->sample_count : top->rows.count;
	size_t page = top_lines();

	if (top->typing && key != KEY_RESIZE) {
		type(top, key);
		return true;
	}
	switch (key) {
	case 'q':
		return false;
	case KEY_UP:
	case 'k':
		top->selected -= top->selected > 0;
		break;
	case KEY_DOWN:
	case 'j':
		top->selected += top->selected + 1 < count;
		break;
	case KEY_PPAGE:
		top->selected -= top->selected < page ? top->selected : page;
		break;
	case KEY_NPAGE:
		top->selected += page; /* update() keeps it among the rows */
		break;
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
			go(top, top->view == VIEW_SAMPLES ? VIEW_INTERFACES : top->view + 1);
		break;
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
		if (top->app)
			go(top, VIEW_INTERFACES + (enum view)(key - '1'));
		break;
	case 'e':
		go(top, VIEW_SAMPLES);
		break;
	case 's':
		next_column(top);
		break;
	case 'r':
		top->reverse = !top->reverse;
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
	default:
		break;
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
	top->collect.flags = args->flags;
	ret = collect_open(&top->collect, &args->targets, NULL);
	if (ret < 0)
		return ret;
	screen = open_screen();
	if (screen) {
		top->begin_ns = now_ns();
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
	static struct top top = {.window = TOP_HISTORY - 1, .sort = COLUMN_RATE};
	struct arguments args = {0};
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	top.targets = args.targets.count;
	ret = run(&top, &args);
	while (top.history_count > 0)
		appmon_snapshot_free(top.history[--top.history_count]);
	rows_free(&top.rows);
	usages_free(&top.usages);
	free(top.app);
	targets_free(&args.targets);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
