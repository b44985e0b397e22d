/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon: the example CLI of libappmon. */
#include <argp.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <appmon/appmon.h>

#include "commands.h"

static const struct {
	const char *name;
	const char *argv0; /* what its own help calls it */
	int (*run)(int argc, char **argv);
} commands[] = {
	{"watch", "appmon watch", command_watch},
	{"run", "appmon run", command_run},
	{"replay", "appmon replay", command_replay},
	{"top", "appmon top", command_top},
	{"topology", "appmon topology", command_topology},
	{"console", "appmon console", command_console},
	{"export", "appmon export", command_export},
	{"agent", "appmon agent", command_agent},
	{"capabilities", "appmon capabilities", command_capabilities},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

struct arguments {
	char **argv; /* of the subcommand; argv[0] is its name */
	int argc;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_ARG:
		args->argv = &state->argv[state->next - 1];
		args->argc = state->argc - state->next + 1;
		state->next = state->argc;
		break;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "COMMAND [OPTION...]",
	.doc = "appmon shows every request that a Linux workload serves or sends: no change to "
	       "the workload, no restart, any language."
	       "\v"
	       "Commands:\n"
	       "  watch         watch processes, cgroups or systemd units that run already\n"
	       "  run           run a command and watch it\n"
	       "  top           applications live: rates, errors, latency, and what is behind "
	       "them\n"
	       "  topology      who calls whom: as text, DOT, JSON or a page\n"
	       "  console       the same as a live page, for a browser\n"
	       "  replay        show a recording that watch or run made\n"
	       "  export        figures for Prometheus and OpenTelemetry\n"
	       "  agent         watch, export and alert as a configuration says\n"
	       "  capabilities  say what the running kernel supports\n"
	       "  help          this text, or a command's: appmon help watch\n\n"
	       "Examples:\n"
	       "  appmon run -- python3 -m http.server 8000\n"
	       "  appmon watch --unit nginx --status 5xx\n"
	       "  appmon watch --pid 1234 --json",
};

static void print_version(FILE *stream, struct argp_state *state)
{
	(void)state;
	fprintf(stream, "appmon %s, libappmon %s\n", APPMON_VERSION_STRING,
		appmon_version_string());
}

static int run_command(struct arguments *args)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(args->argv[0], commands[i].name) != 0)
			continue;
		args->argv[0] = (char *)commands[i].argv0;
		return commands[i].run(args->argc, args->argv);
	}
	fprintf(stderr, "appmon: there is no command '%s'; see: appmon help\n", args->argv[0]);
	return argp_err_exit_status;
}

int main(int argc, char **argv)
{
	struct arguments args = {0};
	char *help[] = {argv[0], "--help", NULL};

	setlocale(LC_CTYPE, "");
	argp_err_exit_status = 2;
	argp_program_version_hook = print_version;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &args);
	if (strcmp(args.argv[0], "help") == 0) {
		if (args.argc == 1)
			return argp_parse(&argp, 2, help, 0, NULL, &args);
		/* "help watch" is "watch --help". */
		help[0] = args.argv[1];
		args.argv = help;
		args.argc = 2;
	}
	return run_command(&args);
}
