/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends what alerts have to tell: as a line to stderr, as JSON lines to a file, as JSON to a
 * webhook. A webhook that does not answer 2xx is tried again, later and later.
 */
#ifndef APPMON_AGENT_NOTIFY_H
#define APPMON_AGENT_NOTIFY_H

#include <stddef.h>
#include <stdint.h>

#include <appmon/appmon.h>

#include "../export/http-client.h"
#include "../export/instances.h"
#include "alerts.h"
#include "config.h"

struct notify {
	struct appmon *mon;
	struct http_client *client;
	struct instances *instances;
	const struct notify_target *targets; /* of the configuration */
	size_t count;
	struct webhook_call *calls; /* on their way, or waiting for the next try */
};

/* An alerts_notice_fn; ctx is a struct notify. */
void notify_send(void *ctx, const struct alert_notice *notice);

/* Tries again what is due. Returns in how many ms the next one is, -1: none. */
int notify_retry(struct notify *notify, uint64_t now_ns);

void notify_close(struct notify *notify);

#endif /* APPMON_AGENT_NOTIFY_H */
