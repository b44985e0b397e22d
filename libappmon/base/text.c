/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers without a handle: names, formats, clocks. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <appmon/metrics.h>

#include "base/base.h"

const char *appmon_strerror(int err)
{
	switch (err) {
	case 0:
		return "success";
	case -EPERM:
		return "not permitted: a capability is missing, or the cgroup forbids it";
	case -EOPNOTSUPP:
		return "the kernel lacks a feature that is needed";
	case -EINVAL:
		return "invalid argument";
	case -E2BIG:
		return "a struct has members set that this library does not know";
	case -ENOMEM:
		return "out of memory";
	case -ENOENT:
		return "no such cgroup or target";
	case -ENOTDIR:
		return "not a directory";
	case -ENODEV:
		return "the cgroup was removed";
	case -EEXIST:
		return "attached already";
	case -EBADF:
		return "not an open descriptor";
	case -ENOSPC:
		return "too many targets";
	case -EBUSY:
		return "not allowed from inside a callback";
	case -ECHILD:
		return "the handle belongs to the parent process";
	case -EINTR:
		return "interrupted by a signal";
	case -EPROTO:
		return "not a recording of this version";
	case -ENODATA:
		return "the recording is at its end";
	default:
		return "unexpected error";
	}
}

int appmon_format_endpoint(const struct appmon_endpoint *ep, char *buf, size_t size)
{
	char addr[INET6_ADDRSTRLEN];

	if (size && !buf)
		return -EINVAL;
	if (!ep || (ep->family != 4 && ep->family != 6))
		return snprintf(buf, size, "?");
	inet_ntop(ep->family == 4 ? AF_INET : AF_INET6, ep->addr, addr, sizeof(addr));
	return snprintf(buf, size, ep->family == 4 ? "%s:%u" : "[%s]:%u", addr, ep->port);
}

const struct appmon_str *appmon_event_header(const struct appmon_event *ev, const char *name,
					     int response)
{
	if (!ev || !name)
		return NULL;
	for (uint32_t i = 0; i < ev->header_count; i++) {
		const struct appmon_header *h = &ev->headers[i];

		if (h->response == (uint32_t) !!response && !strcmp(h->name.data, name))
			return &h->value;
	}
	return NULL;
}

#define NAME_OF(table, i, otherwise)                                                               \
	((i) < sizeof(table) / sizeof((table)[0]) ? (table)[i] : (otherwise))

const char *appmon_method_name(uint32_t method)
{
	static const char *const name[] = {"",	     "",	"GET",	   "HEAD",  "POST", "PUT",
					   "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

	return NAME_OF(name, method, "");
}

const char *appmon_end_name(uint32_t end)
{
	static const char *const name[] = {"complete",	  "closed",  "reset by peer",
					   "reset by us", "timeout", "gap",
					   "upgraded",	  "at head", "abandoned"};

	return NAME_OF(name, end, "unknown");
}

const char *appmon_drop_name(uint32_t reason)
{
	static const char *const name[] = {"ring_full", "memory",   "gap",    "truncated",
					   "parse",	"detached", "orphan", "sampled"};

	return NAME_OF(name, reason, "unknown");
}

const char *appmon_link_name(uint32_t link)
{
	static const char *const name[] = {"none",     "thread", "peer", "forwarded", "request id",
					   "trace id", "worker", "sole", "goroutine", "started"};

	return NAME_OF(name, link, "unknown");
}

const char *appmon_trace_format_name(uint32_t format)
{
	static const char *const name[] = {"", "w3c", "b3", "b3 multi", "jaeger", "sw8"};

	return NAME_OF(name, format, "unknown");
}

uint32_t appmon_version(void)
{
	return APPMON_VERSION_NUM;
}

const char *appmon_version_string(void)
{
	return APPMON_VERSION_STRING;
}

/* Every public struct: the bindings' tests compare this with the headers. */
#define RETURN_SIZE_IF_NAMED(type)                                                                 \
	if (!strcmp(name, #type))                                                                  \
	return sizeof(struct type)

uint32_t appmon_struct_size(const char *name)
{
	if (!name)
		return 0;
	RETURN_SIZE_IF_NAMED(appmon_str);
	RETURN_SIZE_IF_NAMED(appmon_endpoint);
	RETURN_SIZE_IF_NAMED(appmon_header);
	RETURN_SIZE_IF_NAMED(appmon_event);
	RETURN_SIZE_IF_NAMED(appmon_opts);
	RETURN_SIZE_IF_NAMED(appmon_port_hint);
	RETURN_SIZE_IF_NAMED(appmon_attach_opts);
	RETURN_SIZE_IF_NAMED(appmon_stats);
	RETURN_SIZE_IF_NAMED(appmon_filter);
	RETURN_SIZE_IF_NAMED(appmon_target);
	RETURN_SIZE_IF_NAMED(appmon_capabilities);
	RETURN_SIZE_IF_NAMED(appmon_process);
	RETURN_SIZE_IF_NAMED(appmon_trace);
	RETURN_SIZE_IF_NAMED(appmon_container);
	RETURN_SIZE_IF_NAMED(appmon_metrics_opts);
	RETURN_SIZE_IF_NAMED(appmon_metrics_stats);
	RETURN_SIZE_IF_NAMED(appmon_series);
	RETURN_SIZE_IF_NAMED(appmon_edge);
	RETURN_SIZE_IF_NAMED(appmon_active);
	RETURN_SIZE_IF_NAMED(appmon_figures);
	RETURN_SIZE_IF_NAMED(appmon_exemplar);
	RETURN_SIZE_IF_NAMED(appmon_snapshot_opts);
	RETURN_SIZE_IF_NAMED(appmon_resources);
	return 0;
}
