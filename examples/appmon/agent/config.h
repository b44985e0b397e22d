/* SPDX-License-Identifier: BSD-2-Clause */
/* What the agent's configuration file says. See agent.yaml for an example of all of it. */
#ifndef APPMON_AGENT_CONFIG_H
#define APPMON_AGENT_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "../export/durations.h"
#include "../export/otlp.h"
#include "alert-rule.h"
#include "applications.h"
#include "request-rules.h"

enum notify_kind { NOTIFY_STDERR, NOTIFY_FILE, NOTIFY_WEBHOOK };

struct notify_target {
	enum notify_kind kind;
	char *where; /* path or URL; NULL for NOTIFY_STDERR */
};

struct otlp_config {
	char *endpoint; /* http://HOST:PORT; NULL: nothing is pushed */
	enum otlp_protocol protocol;
	uint64_t interval_ns; /* between two pushes of metrics */
	double spans;	      /* the share of traces whose spans are sent */
	struct otlp_headers headers;
	char *headers_file; /* NULL: none */
};

struct console_config {
	bool on;
	char *listen;		  /* NULL: the default */
	char *token_file, *token; /* NULL: none */
};

/* NULL: as in a pod; see kubernetes.h. */
struct kubernetes_config {
	bool on;
	char *api, *token_file, *ca_file, *node;
};

struct config {
	char *listen; /* ADDRESS:PORT of /metrics; NULL: not served */
	struct console_config console;
	struct otlp_config otlp;
	bool no_query;
	bool tls;	    /* requests inside of TLS, too */
	uint32_t protocols; /* as in appmon_opts: all that any application asks for */
	char **redact;
	size_t redact_count;
	struct kubernetes_config kubernetes;
	uint64_t wait_ns; /* that requests of a pod that is not known wait for their name */
	char *docker;	  /* the socket of docker or podman; NULL: it is not asked */
	struct applications applications;
	struct request_rules requests;
	uint64_t evaluate_ns; /* between two looks at the rules */
	struct alert_rule *alerts;
	size_t alert_count;
	struct notify_target *notify;
	size_t notify_count;
	struct durations_bounds buckets; /* count 0: the default */
	bool service_times;		 /* of servers */
};

/* Returns 0 or a negative errno value and has told the user then; ret is left alone. */
int config_read(struct config *ret, const char *path);
void config_free(struct config *config);

#endif /* APPMON_AGENT_CONFIG_H */
