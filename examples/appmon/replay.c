/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon replay: a recording in place of the kernel. */
#include <stdlib.h>

#include "commands.h"
#include "privileges.h"
#include "session.h"
#include "signals.h"

enum { KEY_EXPLAIN = 0x200 };

static const struct argp_option argp_options[] = {
	{"explain", KEY_EXPLAIN, NULL, 0,
	 "Show each record and each decision, and why a request is not shown; not with --json", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options;
		break;
	case KEY_EXPLAIN:
		options->explain = true;
		break;
	case ARGP_KEY_ARG:
		if (options->replay)
			argp_error(state, "one recording at a time");
		options->replay = arg;
		break;
	case ARGP_KEY_END:
		if (!options->replay)
			argp_error(state, "say which recording: appmon replay FILE");
		if (options->record)
			argp_error(state, "--record: what is replayed is recorded already");
		if (options->explain && options->json)
			argp_error(state, "--explain: its lines are no JSON");
		if (options->explain)
			options->log_level = APPMON_LOG_TRACE;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {{.argp = &options_argp}, {0}};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.args_doc = "FILE",
	.children = children,
	.doc = "Shows the requests of a recording that watch or run made with --record."
	       "\v"
	       "With the same options it shows what watch showed. Needs no privileges.\n\n"
	       "Examples:\n"
	       "  appmon watch --unit nginx --record nginx.rec\n"
	       "  appmon replay nginx.rec --slower 100ms\n"
	       "  appmon replay nginx.rec --explain\n\n"
	       "Exit status: 0, 1 after a failure, 2 for wrong usage.",
};

int command_replay(int argc, char **argv)
{
	struct options options = {0};
	struct session session;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	ret = session_open(&session, &options);
	if (ret < 0)
		return EXIT_FAILURE;
	/* The file may be anybody's. */
	ret = privileges_drop();
	while (ret == 0 && signals_take() == 0)
		ret = session_step(&session);
	if (ret >= 0)
		ret = session_summarize(&session);
	session_close(&session);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
