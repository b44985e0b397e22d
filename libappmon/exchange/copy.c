/* SPDX-License-Identifier: BSD-2-Clause */
/* An event that the host keeps: the struct, its headers and its strings in one block. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/exchange.h"

#define STRING(member) offsetof(struct appmon_event, member)
/* Every string of the struct. tests/unit/check-copy.c compares with the header. */
static const size_t strings[] = {
	STRING(target_name),
	STRING(system),
	STRING(operation),
	STRING(resource),
	STRING(status_text),
	STRING(message),
	STRING(comm),
	STRING(trace_text),
	STRING(request_id),
	STRING(request_target),
	STRING(path),
	STRING(query),
	STRING(authority),
	STRING(resource_namespace),
	STRING(query_text),
	STRING(query_summary),
	STRING(tls_server_name),
	STRING(tls_alpn_offered),
	STRING(tls_alpn),
};

static struct appmon_str *string_of(struct appmon_event *ev, size_t i)
{
	return (struct appmon_str *)((char *)ev + strings[i]);
}

static void move(struct appmon_str *str, char **at)
{
	if (str->len)
		memcpy(*at, str->data, str->len);
	(*at)[str->len] = '\0';
	str->data = *at;
	*at += str->len + 1;
}

/* The size of the block that holds it all. */
static size_t size_of(struct appmon_event *ev)
{
	size_t size = sizeof(*ev) + ev->header_count * sizeof(*ev->headers);

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		size += (size_t)string_of(ev, i)->len + 1;
	for (uint32_t i = 0; i < ev->header_count; i++)
		size += (size_t)ev->headers[i].name.len + ev->headers[i].value.len + 2;
	return size;
}

int appmon_event_copy(const struct appmon_event *ev, struct appmon_event **ret)
{
	struct appmon_event known, *copy;
	struct appmon_header *headers;
	char *at;

	/* A host may make events of its own, by an older header. */
	if (!ev || !ret || opts_read(&known, sizeof(known), ev))
		return -EINVAL;
	if (known.size > sizeof(known))
		known.size = sizeof(known);
	copy = malloc(size_of(&known));
	if (!copy)
		return -ENOMEM;
	*copy = known;
	headers = (struct appmon_header *)(copy + 1);
	at = (char *)(headers + known.header_count);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		move(string_of(copy, i), &at);
	if (known.header_count)
		memcpy(headers, known.headers, known.header_count * sizeof(*headers));
	for (uint32_t i = 0; i < known.header_count; i++) {
		move(&headers[i].name, &at);
		move(&headers[i].value, &at);
	}
	copy->headers = known.header_count ? headers : NULL;
	*ret = copy;
	return 0;
}

void appmon_event_free(struct appmon_event *copy)
{
	free(copy);
}
