/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `appmon export` and `appmon agent` have in common: a monitor whose events go into an
 * aggregator and, as spans, to OTLP; the figures served as /metrics and pushed; the loop.
 *
 * Functions that return a negative errno value have told the user.
 */
#ifndef APPMON_EXPORT_EXPORTER_H
#define APPMON_EXPORT_EXPORTER_H

#include <stdint.h>

#include <appmon/metrics.h>

#include "addresses.h"
#include "durations.h"
#include "http-client.h"
#include "http-server.h"
#include "instances.h"
#include "otlp.h"
#include "prometheus.h"

struct exporter_opts {
	const char *listen;	   /* ADDRESS:PORT; NULL: no /metrics */
	const char *otlp_endpoint; /* NULL: no OTLP */
	uint64_t otlp_interval_ns;
	enum otlp_protocol otlp_protocol;
	double otlp_spans;		       /* share of traces */
	bool service_times;		       /* of servers; stays the same, too */
	uint32_t idle_ms;		       /* of series; 0: the default */
	const struct durations_bounds *bounds; /* of histograms; NULL: the default */
	struct otlp_headers otlp_headers;
	/* APPMON_OPEN_*, protocols as in appmon_opts, and names of query parameters whose values
	 * are secrets: of the monitor, which stays the same. */
	uint32_t open_flags;
	uint32_t protocols;
	const char *const *redact;
	uint32_t redact_count;
};

/* What the events' applications are called, if not as their targets. */
struct exporter_names {
	/* NULL: it is not known yet. */
	const char *(*name)(void *ctx, const struct appmon_event *ev);
	/* Takes an event of which it is not: to be given to exporter_add() later. */
	void (*hold)(void *ctx, const struct appmon_event *ev);
	void *ctx;
};

/* What becomes of a request. */
struct exporter_verdict {
	bool ignore;	   /* it is left out of everything, and counted as that */
	const char *route; /* NULL: that of its path; as long as the host's rules */
};

struct exporter {
	struct appmon *mon;
	struct appmon_metrics *metrics;
	struct instances instances;
	struct http_client *client;
	struct http_server *server; /* NULL: none */
	struct otlp *otlp;	    /* NULL: none */
	struct exporter_opts opts;
	/* Set by the host after exporter_open(); NULL: none. */
	struct exporter_names names;
	/* Of an event under its application's name. */
	struct exporter_verdict (*judge)(void *ctx, const struct appmon_event *ev);
	void *judge_ctx;
	size_t (*numbers)(void *ctx, struct prometheus_number numbers[PROMETHEUS_NUMBERS_MAX]);
	void *numbers_ctx;
	const struct addresses *addresses;
	/* Gets every event that is counted, under its application's name. */
	void (*observe)(void *ctx, const struct appmon_event *ev);
	void *observe_ctx;
	uint64_t ignored;  /* requests that judge() left out */
	const char *route; /* of the event that is being counted, by judge() */
	uint64_t otlp_due_ns;
	uint64_t forget_ns; /* when instances were last forgotten */
};

/*
 * From here on signals wake exporter_step(): see signals.h. The strings of opts are borrowed
 * until the next call of exporter_reconfigure() has succeeded, or exporter_close().
 */
int exporter_open(struct exporter *exporter, const struct exporter_opts *opts);

/* Other ways out; what has been counted stays. After a failure all is as it was. */
int exporter_reconfigure(struct exporter *exporter, const struct exporter_opts *opts);

/* Descriptors of the host's, to be waited for. */
#define EXPORTER_FDS_MAX 2

/*
 * Waits for events, scrapers, answers, what one of fds (count of them) has, a signal, or timeout_ms,
 * and handles all but the last three. A failure is one of the monitor.
 */
int exporter_step(struct exporter *exporter, const int *fds, unsigned count, int timeout_ms);

/* Handles what is still on its way through the ring, and pushes for a last time. */
int exporter_drain(struct exporter *exporter);

/* Counts an event that was held. */
void exporter_add(struct exporter *exporter, const struct appmon_event *ev, const char *name);

int exporter_snapshot(struct exporter *exporter, struct appmon_snapshot **ret);

void exporter_close(struct exporter *exporter);

#endif /* APPMON_EXPORT_EXPORTER_H */
