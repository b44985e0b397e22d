/* SPDX-License-Identifier: BSD-2-Clause */
/* What the host asks for: checked, with the defaults filled in. */
#include <errno.h>

#include "host/options.h"
#include "protocol/protocol.h"
#include "records.h"

#define HEADERS_MAX 64
#define REQUEST_ID_HEADERS_MAX 8
#define REDACT_MAX 64

static int range(struct log *log, const char *name, uint64_t value, uint64_t min, uint64_t max)
{
	if (value >= min && value <= max)
		return 0;
	return fail(log, -EINVAL, "%s is %llu, it must be %llu to %llu", name,
		    (unsigned long long)value, (unsigned long long)min, (unsigned long long)max);
}

int options_take(struct appmon_opts *o, const struct appmon_opts *user, struct log *log)
{
	int err = user ? opts_read(o, sizeof(*o), user) : 0;

	if (err)
		return fail(log, err, "appmon_opts.size is %u, this library knows %zu bytes",
			    user->size, sizeof(*o));
	log->fn = o->log_fn;
	log->ctx = o->log_ctx;
	log->level = o->log_level ? o->log_level : APPMON_LOG_WARN;
	o->protocols = o->protocols ? o->protocols : 1U << APPMON_PROTO_HTTP1;
	o->memory_limit = o->memory_limit ? o->memory_limit : 64 << 20;
	o->ring_bytes = o->ring_bytes ? o->ring_bytes : 8 << 20;
	o->capture_bytes = o->capture_bytes ? o->capture_bytes : 4096;
	o->exchange_timeout_ms = o->exchange_timeout_ms ? o->exchange_timeout_ms : 300000;
	o->idle_timeout_ms = o->idle_timeout_ms ? o->idle_timeout_ms : 3600000;
	if (o->flags & ~(APPMON_OPEN_DROP_QUERY | APPMON_OPEN_IDENTITY | APPMON_OPEN_TRACE |
			 APPMON_OPEN_STREAM_HEADS | APPMON_OPEN_LINKS | APPMON_OPEN_GOROUTINES |
			 APPMON_OPEN_ONLY_REQUESTS | APPMON_OPEN_KEEP_SECRETS |
			 APPMON_OPEN_QUERY_TEXT | APPMON_OPEN_TLS))
		return fail(log, -EINVAL, "unknown bits in appmon_opts.flags: 0x%x", o->flags);
	if (o->protocols & ~(uint32_t)PROTOCOLS_KNOWN)
		return fail(log, -EINVAL, "unknown bits in appmon_opts.protocols: 0x%x",
			    o->protocols);
	/* What the hellos say joins plaintext and socket, and the threads that send. */
	if (o->flags & APPMON_OPEN_TLS) {
		o->flags |= APPMON_OPEN_IDENTITY;
		o->protocols |= 1U << APPMON_PROTO_TLS;
	}
	if (o->flags & APPMON_OPEN_GOROUTINES)
		o->flags |= APPMON_OPEN_LINKS;
	if (o->flags & APPMON_OPEN_LINKS)
		o->flags |= APPMON_OPEN_IDENTITY | APPMON_OPEN_TRACE;
	err = range(log, "memory_limit", o->memory_limit, 64 << 10, UINT64_MAX);
	if (!err)
		err = range(log, "ring_bytes", o->ring_bytes, 4096, 256 << 20);
	if (!err && (o->ring_bytes & (o->ring_bytes - 1)))
		err = fail(log, -EINVAL, "ring_bytes is %u, it must be a power of two",
			   o->ring_bytes);
	if (!err)
		err = range(log, "capture_bytes", o->capture_bytes, 128, CAPTURE_MAX);
	if (!err)
		err = range(log, "log_level", log->level, APPMON_LOG_ERROR, APPMON_LOG_TRACE);
	if (!err)
		err = range(log, "header_count", o->header_count, 0, HEADERS_MAX);
	if (!err && o->header_count && !o->headers)
		err = fail(log, -EINVAL, "header_count is %u but headers is NULL", o->header_count);
	if (!err)
		err = range(log, "request_id_header_count", o->request_id_header_count, 0,
			    REQUEST_ID_HEADERS_MAX);
	if (!err && o->request_id_header_count && !o->request_id_headers)
		err = fail(log, -EINVAL,
			   "request_id_header_count is %u but request_id_headers is NULL",
			   o->request_id_header_count);
	if (!err)
		err = range(log, "redact_name_count", o->redact_name_count, 0, REDACT_MAX);
	if (!err && o->redact_name_count && !o->redact_names)
		err = fail(log, -EINVAL, "redact_name_count is %u but redact_names is NULL",
			   o->redact_name_count);
	return err;
}

/* The least of some protocols, by name. */
static const char *first_name(uint32_t protocols)
{
	return appmon_protocol_name((uint32_t)__builtin_ctz(protocols));
}

static int check_hint(const struct appmon_attach_opts *o, uint32_t i, struct log *log)
{
	uint32_t port = o->ports[i].port, protocol = o->ports[i].protocol;
	int err = range(log, "a port in ports", port, 1, UINT16_MAX);

	if (err)
		return err;
	if (!appmon_protocol_name(protocol))
		return fail(log, -EINVAL, "ports: the protocol of %u is %u, which is none", port,
			    protocol);
	if (!(o->protocols & 1U << protocol))
		return fail(log, -EINVAL,
			    "ports: the protocol of %u is %s, for which the target is not watched",
			    port, appmon_protocol_name(protocol));
	for (uint32_t k = 0; k < i; k++)
		if (o->ports[k].port == port)
			return fail(log, -EINVAL, "ports: %u stands twice", port);
	return 0;
}

int attach_options_take(struct appmon_attach_opts *o, const struct appmon_attach_opts *user,
			const struct appmon_opts *handle, struct log *log)
{
	int err = user ? opts_read(o, sizeof(*o), user) : 0;

	if (err)
		return fail(log, err, "appmon_attach_opts.size is %u, this library knows %zu bytes",
			    user->size, sizeof(*o));
	o->capture_bytes = o->capture_bytes ? o->capture_bytes : handle->capture_bytes;
	o->protocols = o->protocols ? o->protocols : handle->protocols;
	if (handle->flags & APPMON_OPEN_TLS)
		o->protocols |= 1U << APPMON_PROTO_TLS;
	if (o->protocols & ~(uint32_t)PROTOCOLS_KNOWN)
		return fail(log, -EINVAL, "unknown bits in appmon_attach_opts.protocols: 0x%x",
			    o->protocols);
	if (o->protocols & ~handle->protocols)
		return fail(log, -EINVAL,
			    "appmon_attach_opts.protocols has %s, which appmon_opts.protocols has "
			    "not: the handle does not look for it",
			    first_name(o->protocols & ~handle->protocols));
	err = range(log, "capture_bytes", o->capture_bytes, 128, CAPTURE_MAX);
	if (!err)
		err = range(log, "port_count", o->port_count, 0, HINTS_MAX);
	if (!err && o->port_count && !o->ports)
		err = fail(log, -EINVAL, "port_count is %u but ports is NULL", o->port_count);
	for (uint32_t i = 0; i < o->port_count && !err; i++)
		err = check_hint(o, i, log);
	return err;
}
