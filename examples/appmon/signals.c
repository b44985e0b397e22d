/* SPDX-License-Identifier: BSD-2-Clause */
#include "signals.h"

#include <signal.h>
#include <stddef.h>

#include <appmon/appmon.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD};
#define CAUGHT_COUNT (sizeof(caught) / sizeof(caught[0]))

static struct sigaction before[CAUGHT_COUNT], before_pipe;
static struct appmon *to_wake;
static volatile sig_atomic_t pending, pending_sent, taken_sent;

static void handle(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (signal != SIGCHLD) {
		/* A code above 0 is the kernel's: the terminal's Ctrl-C. */
		pending_sent = info->si_code <= 0;
		pending = signal;
	}
	appmon_wakeup(to_wake);
}

void signals_catch(struct appmon *mon)
{
	struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	to_wake = mon;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < CAUGHT_COUNT; i++)
		sigaddset(&action.sa_mask, caught[i]);
	for (size_t i = 0; i < CAUGHT_COUNT; i++) {
		sigaction(caught[i], NULL, &before[i]);
		/* nohup(1) asks for this. */
		if (caught[i] != SIGHUP || before[i].sa_handler != SIG_IGN)
			sigaction(caught[i], &action, NULL);
	}
	sigaction(SIGPIPE, &ignore, &before_pipe);
}

void signals_restore(void)
{
	for (size_t i = 0; i < CAUGHT_COUNT; i++)
		sigaction(caught[i], &before[i], NULL);
	sigaction(SIGPIPE, &before_pipe, NULL);
}

int signals_take(void)
{
	int signal = pending;

	if (signal != 0) {
		taken_sent = pending_sent;
		pending = 0;
	}
	return signal;
}

bool signals_was_sent(void)
{
	return taken_sent;
}
