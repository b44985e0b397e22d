/* SPDX-License-Identifier: BSD-2-Clause */
#include "alert-rule.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"

/* A number that is not negative, and where it ends. */
static int parse_number(const char *text, double *ret, const char **ret_end)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	*ret = strtod(text, &end);
	*ret_end = end;
	return isfinite(*ret) ? 0 : -EINVAL;
}

static int parse_rate(const char *text, double *ret)
{
	const char *end;

	if (parse_number(text, ret, &end) < 0)
		return -EINVAL;
	return *end == '\0' || strcmp(end, "/s") == 0 ? 0 : -EINVAL;
}

int alert_value_parse(const struct alert_condition *condition, const char *text, double *ret)
{
	const char *end;
	uint64_t ns;

	switch (condition->metric) {
	case ALERT_RATE:
	case ALERT_STATUS_RATE:
		return parse_rate(text, ret);
	case ALERT_ERROR_RATIO:
	case ALERT_STATUS_RATIO:
		return parse_share(text, ret);
	case ALERT_ACTIVE:
		return parse_number(text, ret, &end) < 0 || *end != '\0' ? -EINVAL : 0;
	case ALERT_LATENCY:
	case ALERT_ACTIVE_AGE:
		if (parse_duration(text, 0, &ns) < 0)
			return -EINVAL;
		*ret = (double)ns / NSEC_PER_SEC;
		return 0;
	}
	return -EINVAL;
}

/* "p99.9": a percentile between 0 and 100. */
static int parse_quantile(const char *text, double *ret)
{
	const char *end;

	if (*text != 'p' || parse_number(text + 1, ret, &end) < 0 || *end != '\0')
		return -EINVAL;
	*ret /= 100;
	return *ret > 0 && *ret < 1 ? 0 : -EINVAL;
}

/* "status(500,503)": what stands between the brackets. */
static int parse_statuses(char *text, struct filter *filter)
{
	size_t len = strlen(text);

	if (strncmp(text, "status(", 7) != 0 || text[len - 1] != ')')
		return -EINVAL;
	text[len - 1] = '\0';
	return filter_add_status(filter, text + 7);
}

int alert_condition_parse(struct alert_condition *ret, const char *text)
{
	struct alert_condition condition = {0};
	char metric[128], value[32], relation, excess;

	if (sscanf(text, " %127[^<> ] %c %31s %c", metric, &relation, value, &excess) != 3 ||
	    (relation != '<' && relation != '>'))
		return -EINVAL;
	condition.below = relation == '<';
	if (strcmp(metric, "rate") == 0)
		condition.metric = ALERT_RATE;
	else if (strcmp(metric, "error_ratio") == 0)
		condition.metric = ALERT_ERROR_RATIO;
	else if (strcmp(metric, "active_requests") == 0)
		condition.metric = ALERT_ACTIVE;
	else if (strcmp(metric, "active_age") == 0)
		condition.metric = ALERT_ACTIVE_AGE;
	else if (parse_quantile(metric, &condition.quantile) == 0)
		condition.metric = ALERT_LATENCY;
	else if (parse_statuses(metric, &condition.status) == 0)
		condition.metric = strchr(value, '%') ? ALERT_STATUS_RATIO : ALERT_STATUS_RATE;
	else
		return -EINVAL;
	if (alert_value_parse(&condition, value, &condition.threshold) < 0)
		return -EINVAL;
	*ret = condition;
	return 0;
}

const char *alert_value_format(const struct alert_condition *condition, double value, char *buf)
{
	switch (condition->metric) {
	case ALERT_RATE:
	case ALERT_STATUS_RATE:
		snprintf(buf, ALERT_VALUE_SIZE, "%.3g/s", value);
		break;
	case ALERT_ERROR_RATIO:
	case ALERT_STATUS_RATIO:
		snprintf(buf, ALERT_VALUE_SIZE, "%.3g%%", value * 100);
		break;
	case ALERT_ACTIVE:
		snprintf(buf, ALERT_VALUE_SIZE, "%.0f", value);
		break;
	case ALERT_LATENCY:
	case ALERT_ACTIVE_AGE:
		format_duration((uint64_t)(value * NSEC_PER_SEC), buf);
		break;
	}
	return buf;
}

const char *alert_metric_format(const struct alert_condition *condition, char *buf)
{
	switch (condition->metric) {
	case ALERT_RATE:
		return "rate";
	case ALERT_ERROR_RATIO:
		return "error_ratio";
	case ALERT_STATUS_RATE:
	case ALERT_STATUS_RATIO:
		return "status";
	case ALERT_ACTIVE:
		return "active_requests";
	case ALERT_ACTIVE_AGE:
		return "active_age";
	case ALERT_LATENCY:
		break;
	}
	snprintf(buf, ALERT_VALUE_SIZE, "p%g", condition->quantile * 100);
	return buf;
}

static bool is_met(const struct alert_rule *rule, double value)
{
	return rule->condition.below ? value < rule->condition.threshold
				     : value > rule->condition.threshold;
}

/* Hysteresis: between the threshold and where it is over, what is stays. */
static bool is_over(const struct alert_rule *rule, double value)
{
	if (is_met(rule, value))
		return false;
	return rule->condition.below ? value >= rule->clear : value <= rule->clear;
}

enum alert_change alert_step(struct alert_state *state, const struct alert_rule *rule,
			     uint64_t now_ns, const double *value)
{
	bool met = value && is_met(rule, *value);

	if (state->status == ALERT_FIRING) {
		if (value && !is_over(rule, *value)) {
			state->clearing = false;
			return ALERT_UNCHANGED;
		}
		if (!state->clearing)
			state->since_ns = now_ns;
		state->clearing = true;
		if (now_ns - state->since_ns < rule->clear_for_ns)
			return ALERT_UNCHANGED;
		*state = (struct alert_state){0};
		return ALERT_CLEARED;
	}
	if (!met) {
		*state = (struct alert_state){0};
		return ALERT_UNCHANGED;
	}
	if (state->status == ALERT_QUIET)
		state->since_ns = now_ns;
	state->status = ALERT_PENDING;
	if (now_ns - state->since_ns < rule->for_ns)
		return ALERT_UNCHANGED;
	state->status = ALERT_FIRING;
	return ALERT_FIRED;
}

void alert_rule_free(struct alert_rule *rule)
{
	free(rule->name);
	free(rule->severity);
	free(rule->application);
	free(rule->route);
	free(rule->when);
}
