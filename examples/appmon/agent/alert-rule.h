/* SPDX-License-Identifier: BSD-2-Clause */
/* One alert rule: its condition, and the state that a series of values leads to. */
#ifndef APPMON_AGENT_ALERT_RULE_H
#define APPMON_AGENT_ALERT_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "../filter.h"

enum alert_metric {
	ALERT_RATE,	    /* requests a second */
	ALERT_ERROR_RATIO,  /* errors by requests */
	ALERT_LATENCY,	    /* a quantile of the duration, seconds */
	ALERT_STATUS_RATE,  /* requests a second with one of some statuses */
	ALERT_STATUS_RATIO, /* the same by requests */
	ALERT_ACTIVE,	    /* requests in progress; it has no window */
	ALERT_ACTIVE_AGE,   /* how long the oldest of them has been, seconds; neither has it */
};

/* Of what is in progress: that has no route yet. */
static inline bool alert_is_active(enum alert_metric metric)
{
	return metric == ALERT_ACTIVE || metric == ALERT_ACTIVE_AGE;
}

enum alert_per { ALERT_PER_APPLICATION, ALERT_PER_INSTANCE, ALERT_PER_ROUTE };

/* "METRIC > VALUE" or "METRIC < VALUE". */
struct alert_condition {
	enum alert_metric metric;
	double quantile;      /* of ALERT_LATENCY: 0.99 */
	struct filter status; /* of ALERT_STATUS_*: its statuses alone count */
	bool below;
	double threshold;
};

struct alert_rule {
	char *name;
	char *severity;	   /* NULL: none */
	char *application; /* glob(7); NULL: all */
	char *route;	   /* glob(7); NULL: all */
	uint32_t role;	   /* APPMON_ROLE_* */
	enum alert_per per;
	char *when; /* the condition as it was written */
	struct alert_condition condition;
	double clear;	       /* the value at which it is over */
	uint64_t over_ns;      /* the window that a value is of */
	uint64_t for_ns;       /* how long the condition holds before the alert fires */
	uint64_t clear_for_ns; /* how long it is over before the alert is */
	uint64_t min_requests; /* a window with fewer has no ratio and no quantile */
};

/*
 * METRIC is rate, error_ratio, p50, p99, p99.9 ..., active_requests, active_age or status(LIST)
 * with LIST as --status has it. VALUE is 5, 5/s; 5%, 0.05; 250ms. Returns 0 or -EINVAL.
 */
int alert_condition_parse(struct alert_condition *ret, const char *text);

/* VALUE of a condition's metric alone. Returns 0 or -EINVAL. */
int alert_value_parse(const struct alert_condition *condition, const char *text, double *ret);

/* "5.2/s", "12.5%", "310ms"; buf of ALERT_VALUE_SIZE bytes. */
#define ALERT_VALUE_SIZE 32
const char *alert_value_format(const struct alert_condition *condition, double value, char *buf);

/* "rate", "error_ratio", "p99", "status", "active_requests", "active_age"; buf of ALERT_VALUE_SIZE
 * bytes. */
const char *alert_metric_format(const struct alert_condition *condition, char *buf);

enum alert_status { ALERT_QUIET, ALERT_PENDING, ALERT_FIRING };

/* Zeroed: quiet. */
struct alert_state {
	enum alert_status status;
	bool clearing;	   /* firing, and the condition is over */
	uint64_t since_ns; /* of what is pending: the condition, or its end */
};

enum alert_change { ALERT_UNCHANGED, ALERT_FIRED, ALERT_CLEARED };

/*
 * value NULL: there is none, as no requests came whose ratio or quantile it could be. That
 * fulfils no condition; an alert that fires goes on until clear_for has passed.
 */
enum alert_change alert_step(struct alert_state *state, const struct alert_rule *rule,
			     uint64_t now_ns, const double *value);

void alert_rule_free(struct alert_rule *rule);

#endif /* APPMON_AGENT_ALERT_RULE_H */
