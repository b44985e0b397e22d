/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The web console: keeps the last hour in memory, within a bound, and serves it as a page, as JSON
 * and as a stream of events. It only looks; what can be changed is a silence.
 */
#ifndef APPMON_CONSOLE_CONSOLE_H
#define APPMON_CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../agent/alerts.h"
#include "../agent/silences.h"
#include "../export/exporter.h"

#define CONSOLE_DEFAULT_LISTEN "127.0.0.1:9465"

/* What it needs of the monitor: APPMON_OPEN_*. */
#define CONSOLE_OPEN_FLAGS APPMON_OPEN_LINKS

struct console;

struct console_opts {
	const char *listen;
	const char *token;	   /* copied; NULL: none */
	struct exporter *exporter; /* from now on it is observed */
	const struct alerts *alerts;
	struct silences *silences;
	/* What people call the instance with this cgroup path, such as a pod's name; false: it has no
	 * such name. NULL: none has. */
	bool (*label_instance)(void *ctx, const char *path, char *buf, size_t size);
	void *ctx;
};

/* Returns 0 or a negative errno value and has told the user then. */
int console_open(struct console **ret, const struct console_opts *opts);

/* NULL is accepted. */
void console_close(struct console *console);

/* An alert has begun or ended. */
void console_notice(struct console *console, const struct alert_notice *notice);

/* The port that it listens on. */
uint16_t console_port(const struct console *console);

/* Readable when console_run() has work. */
int console_fd(const struct console *console);

/* Answers, and does what is due. In how many milliseconds that is again. */
int console_run(struct console *console, uint64_t now_ns);

#endif /* APPMON_CONSOLE_CONSOLE_H */
