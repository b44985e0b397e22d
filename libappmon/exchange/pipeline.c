/* SPDX-License-Identifier: BSD-2-Clause */
/* What the stages of the pipeline share: made from the host's options, and freed. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/exchange.h"

static const char *const default_headers[] = {"content-type", "user-agent", "x-request-id",
					      "traceparent",  "tracestate", "x-forwarded-for"};

/* NULL: no memory. */
static char *lower_case(const char *name)
{
	char *copy = strdup(name);

	for (char *p = copy; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static int keep_header(struct pipeline *pl, const char *name)
{
	char *copy = name ? lower_case(name) : NULL;

	if (!copy)
		return fail(pl->log, name ? -ENOMEM : -EINVAL,
			    name ? "out of memory" : "a header name is NULL");
	pl->names[pl->name_count++] = copy;
	if (!field_names_add(&pl->keep, copy))
		return fail(pl->log, -EINVAL, "\"%s\" is not a header name (RFC 9110 section 5.1)",
			    name);
	return 0;
}

static int keep_trace_headers(struct pipeline *pl, const struct appmon_opts *opts)
{
	uint32_t own = pl->name_count;
	int err = 0;

	for (uint32_t i = 0; i < opts->request_id_header_count && !err; i++)
		err = keep_header(pl, opts->request_id_headers[i]);
	for (uint32_t i = 0; i < pl->keep.count; i++) {
		for (uint32_t k = own; k < pl->name_count; k++)
			if (!strcmp(pl->keep.name[i], pl->names[k]))
				pl->trace_fields[i] = TRACE_FIELD_REQUEST_ID;
	}
	for (const char *const *name = trace_field_names; *name && !err; name++)
		err = keep_header(pl, *name);
	for (uint32_t i = 0; i < pl->keep.count; i++)
		if (!pl->trace_fields[i])
			pl->trace_fields[i] = (uint8_t)trace_field_of(pl->keep.name[i]);
	return err;
}

static int keep_headers(struct pipeline *pl, const struct appmon_opts *opts)
{
	const size_t defaults = sizeof(default_headers) / sizeof(default_headers[0]);
	int err = 0;

	pl->names = calloc(FIELD_NAMES_MAX, sizeof(*pl->names));
	pl->headers = calloc(2 * FIELDS_MAX, sizeof(*pl->headers));
	if (!pl->names || !pl->headers)
		return fail(pl->log, -ENOMEM, "out of memory");
	for (size_t i = 0; i < defaults && !err; i++)
		err = keep_header(pl, default_headers[i]);
	for (uint32_t i = 0; i < opts->header_count && !err; i++)
		err = keep_header(pl, opts->headers[i]);
	if (!err && (opts->flags & APPMON_OPEN_TRACE))
		err = keep_trace_headers(pl, opts);
	return err;
}

static int keep_redacted(struct pipeline *pl, const struct appmon_opts *opts)
{
	struct redact *r = &pl->redact;

	if (!opts->redact_name_count)
		return 0;
	r->name = calloc(opts->redact_name_count, sizeof(*r->name));
	if (!r->name)
		return fail(pl->log, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < opts->redact_name_count; i++) {
		const char *name = opts->redact_names[i];
		size_t len = name ? strlen(name) : 0;

		if (!len || len > REDACT_NAME_MAX)
			return fail(
				pl->log, -EINVAL,
				"a name in redact_names has %zu characters, it must have 1 to %d",
				len, REDACT_NAME_MAX);
		r->name[i] = lower_case(name);
		if (!r->name[i])
			return fail(pl->log, -ENOMEM, "out of memory");
		r->letters |= LETTER(*r->name[i]);
		r->count++;
	}
	return 0;
}

int pipeline_open(struct pipeline *pl, const struct appmon_opts *opts, struct log *log)
{
	int err;

	pl->log = log;
	pl->flags = opts->flags;
	pl->protocols = opts->protocols;
	pl->pool.limit = opts->memory_limit;
	pl->sample = (struct sample){.ppm = APPMON_SAMPLING_ALL, .below = SAMPLE_ALL};
	list_init(&pl->ready);
	err = keep_headers(pl, opts);
	if (!err)
		err = keep_redacted(pl, opts);
	if (!err && (opts->flags & APPMON_OPEN_LINKS) && !causes_init(pl))
		err = fail(log, -ENOMEM, "out of memory");
	return err;
}

void pipeline_close(struct pipeline *pl)
{
	while (!list_empty(&pl->ready)) {
		struct exchange *ex = list_entry(pl->ready.next, struct exchange, link);

		list_remove(&ex->link);
		exchange_release(pl, ex);
	}
	event_forget(pl);
	causes_destroy(pl);
	pool_destroy(&pl->pool);
	for (uint32_t i = 0; i < pl->name_count; i++)
		free(pl->names[i]);
	free(pl->names);
	free(pl->headers);
	for (uint32_t i = 0; i < pl->redact.count; i++)
		free(pl->redact.name[i]);
	free(pl->redact.name);
	free(pl->filter.path_prefix);
	free(pl->arena.buf);
}
