/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon run: a command in a cgroup of its own, watched from its first instruction. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "commands.h"
#include "session.h"
#include "signals.h"
#include "text.h"

#define EXIT_CANNOT_RUN 127 /* as the shell says it */

/* How long what was asked to end may take. */
#define COMMAND_GRACE_MS 5000
#define LEFTOVER_GRACE_MS 1000
#define LOOK_AGAIN_MS 20

struct arguments {
	struct options options;
	struct ports ports;
	char **command;
	const char *name;
};

struct command {
	pid_t pid;
	bool ended;
	int status; /* for wait(2)'s macros */
};

static const struct argp_option argp_options[] = {
	{.doc = "What to run:", .group = 1},
	{"name", 'n', "NAME", 0, "The application's name (default: the command's)", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->options;
		state->child_inputs[1] = &args->ports;
		break;
	case 'n':
		args->name = arg;
		break;
	case ARGP_KEY_ARG:
		/* The rest is the command's, options too. */
		args->command = &state->argv[state->next - 1];
		state->next = state->argc;
		break;
	case ARGP_KEY_END:
		if (!args->command)
			argp_error(state, "say what to run: appmon run -- COMMAND");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {{.argp = &options_argp}, {.argp = &ports_argp}, {0}};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.args_doc = "[--] COMMAND [ARGUMENT...]",
	.children = children,
	.doc = "Runs a command and shows every request that it and its children serve or send."
	       "\v"
	       "The command runs in a fresh cgroup, which is removed at the end; processes of the "
	       "command that are left there then are killed. SIGINT, SIGTERM, SIGHUP and SIGQUIT "
	       "go on to the command. It shares standard output with appmon: --output keeps the "
	       "two apart.\n\n"
	       "Examples:\n"
	       "  appmon run -- python3 -m http.server 8000\n"
	       "  appmon run --json --output requests.json -- ./test-suite\n"
	       "  appmon run --role client --header authorization -- curl http://localhost/\n\n"
	       "Exit status: the command's; 128 + N if signal N killed it; 127 if it could not be "
	       "run; 1 if appmon failed; 2 for wrong usage; 0 if --count, --duration or a closed "
	       "output ended it (the command gets SIGTERM then).\n"
	       "Needs root, or CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and a writable cgroup.",
};

static void sleep_ms(long ms)
{
	struct timespec ts = {.tv_nsec = ms * (long)NSEC_PER_MSEC};

	nanosleep(&ts, NULL);
}

/* The child: reports through fd, which exec closes, that there was no exec. */
static _Noreturn void become(const char *cgroup, char **argv, int fd)
{
	int status = EXIT_FAILURE, ret;

	ret = cgroup_enter(cgroup);
	if (ret < 0) {
		warnx("cannot move the command into %s: %s", cgroup, strerror(-ret));
	} else {
		execvp(argv[0], argv);
		warn("cannot run %s", argv[0]);
		status = EXIT_CANNOT_RUN;
	}
	if (write(fd, &status, sizeof(status)) < 0)
		status = EXIT_FAILURE;
	_exit(status);
}

/* Returns 0 when the command runs, or the exit status that says why it does not. */
static int start(struct command *command, const char *cgroup, char **argv)
{
	sigset_t all, before;
	int fds[2], status = 0;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		warn("cannot make a pipe");
		return EXIT_FAILURE;
	}
	/* A signal must not reach our handlers inside the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	command->pid = fork();
	if (command->pid == 0) {
		signals_restore();
		sigprocmask(SIG_SETMASK, &before, NULL);
		become(cgroup, argv, fds[1]);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(fds[1]);
	if (command->pid < 0) {
		warn("cannot fork");
		status = EXIT_FAILURE;
	} else {
		ssize_t n;

		do {
			n = read(fds[0], &status, sizeof(status));
		} while (n < 0 && errno == EINTR);
		/* Nothing to read: exec closed the other end. */
		if (n == sizeof(status))
			while (waitpid(command->pid, NULL, 0) < 0 && errno == EINTR)
				;
	}
	close(fds[0]);
	return status;
}

/* Passes a signal on, and looks whether the command has ended. */
static void tend(struct command *command)
{
	int signal = signals_take();

	/* The terminal sends Ctrl-C to the command itself. */
	if (signal != 0 && signals_was_sent())
		kill(command->pid, signal);
	command->ended = waitpid(command->pid, &command->status, WNOHANG) == command->pid;
}

/* We are the ones to end it. */
static void end(struct command *command, const char *cgroup)
{
	kill(command->pid, SIGTERM);
	for (int ms = 0; !command->ended && ms < COMMAND_GRACE_MS; ms += LOOK_AGAIN_MS) {
		sleep_ms(LOOK_AGAIN_MS);
		tend(command);
	}
	if (!command->ended) {
		warnx("the command ignores SIGTERM: killed");
		cgroup_kill(cgroup);
		while (waitpid(command->pid, &command->status, 0) < 0 && errno == EINTR)
			;
		command->ended = true;
	}
}

static bool wait_until_empty(const char *cgroup)
{
	for (int ms = 0; cgroup_is_populated(cgroup); ms += LOOK_AGAIN_MS) {
		if (ms >= LEFTOVER_GRACE_MS)
			return false;
		sleep_ms(LOOK_AGAIN_MS);
	}
	return true;
}

/* No process outlives us in the cgroup that we made. */
static void clean_up(const char *cgroup)
{
	int ret;

	if (!wait_until_empty(cgroup)) {
		warnx("processes that the command left behind were killed");
		cgroup_kill(cgroup);
		wait_until_empty(cgroup);
	}
	ret = cgroup_remove(cgroup);
	if (ret < 0)
		warnx("cannot remove %s: %s", cgroup, strerror(-ret));
}

static int exit_status(const struct command *command)
{
	if (WIFSIGNALED(command->status))
		return 128 + WTERMSIG(command->status);
	return WEXITSTATUS(command->status);
}

/* Until the command ends or we do. Returns the exit status, or a negative errno value. */
static int attend(struct session *session, struct command *command, const char *cgroup)
{
	int ret = 0;
	bool by_us;

	session_announce(session);
	while (ret == 0 && !command->ended) {
		ret = session_step(session);
		tend(command);
	}
	by_us = !command->ended;
	if (by_us)
		end(command, cgroup);
	if (ret >= 0)
		ret = session_drain(session);
	if (ret < 0)
		return ret;
	return by_us ? EXIT_SUCCESS : exit_status(command);
}

static int run_in(struct session *session, const char *cgroup, const struct arguments *args)
{
	struct command command = {0};
	const char *slash = strrchr(args->command[0], '/');
	const char *name = args->name;
	int status, ret;

	if (!name)
		name = slash && slash[1] != '\0' ? slash + 1 : args->command[0];
	ret = session_attach(session, cgroup, name, &args->ports);
	if (ret < 0)
		return ret;
	status = start(&command, cgroup, args->command);
	if (status != 0)
		return status;
	status = attend(session, &command, cgroup);
	if (status < 0)
		return status;
	ret = session_summarize(session);
	return ret < 0 ? ret : status;
}

int command_run(int argc, char **argv)
{
	struct arguments args = {0};
	struct session session;
	char directory[32], *cgroup;
	int ret;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &args);
	ret = session_open(&session, &args.options);
	if (ret < 0)
		return EXIT_FAILURE;
	snprintf(directory, sizeof(directory), "appmon-run-%d", (int)getpid());
	ret = cgroup_make(directory, &cgroup);
	if (ret == 0) {
		ret = run_in(&session, cgroup, &args);
		clean_up(cgroup);
		free(cgroup);
	}
	session_close(&session);
	return ret < 0 ? EXIT_FAILURE : ret;
}
