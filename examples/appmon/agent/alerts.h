/* SPDX-License-Identifier: BSD-2-Clause */
/* The alert rules, evaluated over the aggregator's snapshots. */
#ifndef APPMON_AGENT_ALERTS_H
#define APPMON_AGENT_ALERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <appmon/metrics.h>

#include "alert-rule.h"

struct alerts;
struct silences;

/* One alert that began or ended. Borrowed. */
struct alert_notice {
	const struct alert_rule *rule;
	bool firing;
	bool silenced;	    /* no word of it is wanted */
	const char *reason; /* of an end that no value led to; else NULL */
	/* What it is about; route and instance as the rule's per: says. */
	struct appmon_str application;
	struct appmon_str route;
	uint64_t cgroup_id; /* of the instance; 0: none */
	bool has_value;
	double value;
	uint64_t now_ns;   /* CLOCK_MONOTONIC */
	uint64_t since_ns; /* when it began to fire */
};

typedef void (*alerts_notice_fn)(void *ctx, const struct alert_notice *notice);

/* The rules are borrowed until alerts_close() or the next alerts_set_rules(). */
int alerts_open(struct alerts **ret, const struct alert_rule *rules, size_t count,
		alerts_notice_fn notice, void *ctx);
void alerts_close(struct alerts *alerts);

/*
 * New rules: alerts of those that have the same name and condition go on, others end. The
 * former rules may be freed afterwards. Returns 0, or -ENOMEM and has told the user then.
 */
int alerts_set_rules(struct alerts *alerts, const struct alert_rule *rules, size_t count);

/* Takes the snapshot over. Returns 0 or -ENOMEM. */
int alerts_evaluate(struct alerts *alerts, struct appmon_snapshot *snapshot);

/* How many fire now. */
size_t alerts_firing(const struct alerts *alerts);

/*
 * What they are asked whether an alert is silenced: borrowed until alerts_close(); NULL: none is. One
 * that still fires when its silence ends is told then. Of one that was not told the end is not, either.
 */
void alerts_use_silences(struct alerts *alerts, const struct silences *silences);

/* One that is pending or fires. Borrowed. */
struct alert_view {
	const struct alert_rule *rule;
	const struct alert_state *state;
	const char *application;
	const char *route;  /* "": none */
	uint64_t cgroup_id; /* 0: none */
	bool has_value;
	double value;	   /* at the last evaluation */
	uint64_t since_ns; /* when it became so */
};

/* One rule after the other; NULL: there are no more. */
const struct alert_rule *alerts_rule(const struct alerts *alerts, size_t index);

void alerts_each(const struct alerts *alerts, void (*fn)(void *ctx, const struct alert_view *view),
		 void *ctx);

#endif /* APPMON_AGENT_ALERTS_H */
