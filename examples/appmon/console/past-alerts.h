/* SPDX-License-Identifier: BSD-2-Clause */
/* The alerts that ended last, and the document of all alerts. */
#ifndef APPMON_CONSOLE_PAST_ALERTS_H
#define APPMON_CONSOLE_PAST_ALERTS_H

#include <stdbool.h>
#include <stdio.h>

#include "../agent/alerts.h"
#include "../agent/silences.h"
#include "views.h"

#define PAST_ALERTS_MAX 100

struct past_alert {
	char *name, *severity, *when, *application, *route, *reason;
	uint32_t role;
	uint64_t instance;
	uint64_t since_ns, at_ns;
	bool silenced;
	uint64_t from_ns; /* when the window began that it fired by */
};

struct past_alerts {
	struct past_alert list[PAST_ALERTS_MAX];
	size_t at; /* where the next one goes */
};

void past_alerts_add(struct past_alerts *past, const struct alert_notice *notice);
void past_alerts_free(struct past_alerts *past);

/* Those that fire, are pending, or have ended; and the rules. */
void view_alerts(FILE *out, const struct view *view, const struct alerts *alerts,
		 const struct silences *silences, const struct past_alerts *past, uint64_t now_ns);

#endif /* APPMON_CONSOLE_PAST_ALERTS_H */
