/* SPDX-License-Identifier: BSD-2-Clause */
/* A finished exchange as the host sees it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/exchange.h"

/*
 * The strings of an event end with NUL. A part of a head mostly lies where it is kept: what follows
 * it is a blank or the end of the line, which nobody needs any more. So the exchange lives as long
 * as the event. What ends inside another string is copied, one string after the other.
 */
static struct appmon_str put(char **at, const char *data, size_t len)
{
	struct appmon_str str = {.data = *at, .len = (uint32_t)len};

	memcpy(*at, data, len);
	(*at)[len] = '\0';
	*at += len + 1;
	return str;
}

static struct appmon_str in_place(const struct head *head, struct http1_span span)
{
	struct appmon_str str = {.data = "", .len = span.len};

	str.truncated = head->h.truncated && span.off + span.len == head->h.head_len;
	if (span.len) {
		head->bytes[span.off + span.len] = '\0';
		str.data = head->bytes + span.off;
	}
	return str;
}

/* A part of the request-target, which is a string itself: its end can be shared. */
static struct appmon_str part(char **at, const struct appmon_str *target, struct http1_span span)
{
	if (span.off + span.len != target->len)
		return put(at, target->data + span.off, span.len);
	return (struct appmon_str){.data = target->data + span.off, .len = span.len};
}

static void put_fields(struct pipeline *pl, const struct head *head, uint32_t response)
{
	if (!head)
		return;
	for (uint32_t i = 0; i < head->h.field_count; i++) {
		const struct http1_field *f = &head->h.field[i];
		struct appmon_header *out = &pl->headers[pl->event.header_count++];

		/* The name lives as long as the handle. */
		*out = (struct appmon_header){
			.name = {.data = pl->keep.name[f->keep], .len = pl->keep.len[f->keep]},
			.value = in_place(head, f->value),
			.response = response,
		};
	}
}

/* Where the query begins, or the fragment that some clients send; len: neither is there. */
static size_t before_query(const char *target, size_t len)
{
	size_t n = 0;

	while (n < len && target[n] != '?' && target[n] != '#')
		n++;
	return n;
}

/* A target without its secrets; 0: it has none, or the host wants them. */
static size_t redacted_size(const struct pipeline *pl, const struct head *head)
{
	if (pl->flags & APPMON_OPEN_KEEP_SECRETS)
		return 0;
	return redact_target(&pl->redact, head->bytes + head->h.target.off, head->h.target.len,
			     head->h.method, NULL);
}

static struct appmon_str put_target(struct pipeline *pl, char **at, const struct head *head)
{
	struct http1_span span = head->h.target;
	const char *bytes = head->bytes + span.off;
	size_t len = redacted_size(pl, head);
	struct appmon_str target;

	if (len) {
		target = (struct appmon_str){.data = *at, .len = (uint32_t)len};
		redact_target(&pl->redact, bytes, span.len, head->h.method, *at);
		if (pl->flags & APPMON_OPEN_DROP_QUERY)
			target.len = (uint32_t)before_query(*at, len);
		(*at)[target.len] = '\0';
		*at += len + 1;
	} else {
		if (pl->flags & APPMON_OPEN_DROP_QUERY)
			span.len = (uint32_t)before_query(bytes, span.len);
		target = in_place(head, span);
	}
	target.truncated = head->h.target_truncated && span.len == head->h.target.len;
	return target;
}

/* Without a user and password (RFC 9110 section 7.2 has none there, either). */
static struct appmon_str put_host(const struct head *head)
{
	struct http1_span host = head->h.host;
	const char *at = memrchr(head->bytes + host.off, '@', host.len);

	if (at) {
		uint32_t user = (uint32_t)(at + 1 - (head->bytes + host.off));

		host.off += user;
		host.len -= user;
	}
	return in_place(head, host);
}

static void put_request(struct pipeline *pl, char **at, const struct head *head)
{
	struct appmon_event *ev = &pl->event;
	struct http1_span path, query, authority;
	bool mark = memchr(head->bytes + head->h.target.off, '?', head->h.target.len);
	uint32_t cut = head->h.target_truncated;

	ev->method = head->h.method;
	ev->method_name = in_place(head, head->h.method_name);
	ev->request_target = put_target(pl, at, head);
	http1_split_target(ev->request_target.data, ev->request_target.len, head->h.method, &path,
			   &query, &authority);
	ev->path = part(at, &ev->request_target, path);
	ev->path.truncated = cut && !mark;
	if (query.len) {
		ev->query = part(at, &ev->request_target, query);
		ev->query.truncated = cut && mark;
	}
	ev->authority = authority.len ? part(at, &ev->request_target, authority) : put_host(head);
	ev->request_http_version = head->h.version;
	ev->request_head_bytes = head->len;
	ev->request_content_length = head->h.content_length;
}

static struct appmon_str put_span(char **at, const struct head *head, struct http1_span span)
{
	return put(at, head->bytes + span.off, span.len);
}

/* RESP has no heads: a command, its first argument, and the text of an error. */
static void put_command(struct appmon_event *ev, char **at, const struct exchange *ex)
{
	if (ex->request) {
		ev->method = APPMON_METHOD_OTHER;
		ev->method_name = put_span(at, ex->request, ex->request->h.method_name);
		ev->request_target = put_span(at, ex->request, ex->request->h.target);
	}
	if (ex->response)
		ev->reason = put_span(at, ex->response, ex->response->h.reason);
}

static void put_trace(struct pipeline *pl, char **at, const struct head *head)
{
	struct appmon_event *ev = &pl->event;
	struct trace t;
	int len;

	trace_read(pl->trace_fields, &head->h, head->bytes, &t);
	ev->trace = t.ids;
	if (t.request_id.len)
		ev->request_id = put(at, t.request_id.data, t.request_id.len);
	if (!t.text.len)
		return;
	len = trace_base64(t.text.data, t.text.len, *at);
	(*at)[len] = '\0';
	ev->trace_text = (struct appmon_str){.data = *at, .len = (uint32_t)len};
	*at += len + 1;
}

static size_t space_for(const struct pipeline *pl, const struct exchange *ex,
			const struct target *target)
{
	const struct head *heads[] = {ex->request, ex->response};
	/* Up to 16 strings, each with its NUL. */
	size_t size = 16 + strlen(target->name) + sizeof(ex->owner.task.comm);

	/* Of RESP all, of a target the parts, of fields the request's and the trace's id. */
	for (int i = 0; i < 2; i++)
		if (heads[i])
			size += (size_t)heads[i]->h.head_len + heads[i]->h.target.len;
	/* The whole and its parts. */
	if (ex->request && ex->protocol == APPMON_PROTO_HTTP1)
		size += 2 * redacted_size(pl, ex->request);
	return size;
}

static bool arena_reserve(struct pipeline *pl, size_t size)
{
	char *buf;

	if (pl->arena.size >= size)
		return true;
	if (!pool_charge(&pl->pool, size - pl->arena.size))
		return false;
	buf = realloc(pl->arena.buf, size);
	if (!buf) {
		pl->pool.held -= size - pl->arena.size;
		return false;
	}
	pl->arena.buf = buf;
	pl->arena.size = size;
	return true;
}

static void endpoint(struct appmon_endpoint *ep, const struct rec_conn *id, uint16_t port,
		     const uint8_t addr[16])
{
	memset(ep, 0, sizeof(*ep));
	ep->family = id->family;
	ep->port = port;
	if (id->family == 4)
		memcpy(ep->addr, addr, 4);
	else
		memcpy(ep->addr, addr, 16);
}

#define SAME(ours, public) _Static_assert((int)(ours) == (int)(public), #ours " is not " #public)
/* What the programs say goes into the event as it is. */
SAME(OWNER_UNKNOWN, APPMON_OWNER_UNKNOWN);
SAME(OWNER_READ, APPMON_OWNER_READ);
SAME(OWNER_READ_SHARED, APPMON_OWNER_READ_SHARED);
SAME(OWNER_SENT, APPMON_OWNER_SENT);
SAME(OWNER_CONNECTED, APPMON_OWNER_CONNECTED);

static uint64_t between(uint64_t from, uint64_t to)
{
	return from && to > from ? to - from : 0;
}

static void put_times(struct appmon_event *ev, const struct exchange *ex)
{
	ev->request_start_ns = ex->request_start_ns;
	ev->request_end_ns = ex->request_end_ns;
	ev->response_start_ns = ex->response_start_ns;
	ev->response_end_ns = ex->response_end_ns;
	ev->duration_ns = between(ev->request_start_ns, ev->response_end_ns);
	ev->request_ns = between(ev->request_start_ns, ev->request_end_ns);
	ev->wait_ns = between(ev->request_end_ns, ev->response_start_ns);
	ev->response_ns = between(ev->response_start_ns, ev->response_end_ns);
}

static void put_owner(struct appmon_event *ev, char **at, const struct exchange *ex)
{
	const struct rec_owner *o = &ex->owner;
	const char *comm = (const char *)o->task.comm;

	ev->owner = o->source;
	ev->pid = o->task.pid;
	ev->tid = o->task.tid;
	ev->comm = put(at, comm, strnlen(comm, sizeof(o->task.comm)));
	ev->uid = o->task.uid;
	ev->inner_pid = o->task.inner_pid;
	ev->inner_tid = o->task.inner_tid;
	ev->process_start_ns = o->task.start_ns;
	ev->netns_cookie = o->netns_cookie;
	ev->netns_inum = o->netns;
	if (ex->role == APPMON_ROLE_CLIENT) {
		ev->connect_ns = ex->ordinal == 1 ? o->connect_ns : 0;
		return;
	}
	if (ex->response_begun) {
		ev->response_pid = o->sender_pid;
		ev->response_tid = o->sender_tid;
	}
	/* A read belongs to all that is pipelined. One before the request came is another's. */
	if ((ex->flags & APPMON_EVF_PIPELINED) || o->read_first_ns < ex->request_start_ns)
		return;
	ev->read_start_ns = o->read_first_ns;
	ev->read_end_ns = o->read_last_ns;
	ev->queue_ns = between(ev->request_start_ns, ev->read_start_ns);
	ev->service_ns = between(ev->read_end_ns, ev->response_start_ns);
}

static bool build(struct pipeline *pl, struct exchange *ex, struct target *target)
{
	static const struct appmon_str absent = {.data = ""};
	struct appmon_event *ev = &pl->event;
	char *at;

	if (!arena_reserve(pl, space_for(pl, ex, target)))
		return false;
	at = pl->arena.buf;
	memset(ev, 0, sizeof(*ev));
	ev->size = sizeof(*ev);
	ev->protocol = ex->protocol;
	ev->flags = ex->flags;
	ev->role = ex->role;
	ev->end = ex->end;
	ev->target_id = target->id;
	ev->sampling_ppm = ex->sampling_ppm;
	ev->target_user = target->user;
	ev->cgroup_id = ex->id.cgroup_id;
	ev->connection_id = ex->id.cookie;
	ev->ordinal = ex->ordinal;
	put_times(ev, ex);
	put_owner(ev, &at, ex);
	if (ex->numbered == NUMBERED_BOTH)
		ev->wire_id = (uint64_t)ex->request_seq << 32 | ex->response_seq;
	ev->request_body_bytes = ex->request_body;
	ev->response_body_bytes = ex->response_body;
	ev->request_content_length = ev->response_content_length = -1;
	ev->srtt_us = ex->srtt_us;
	ev->retransmits = ex->retrans;
	ev->peer_retransmits = ex->dup;
	endpoint(&ev->local, &ex->id, ex->id.local_port, ex->id.local_addr);
	endpoint(&ev->remote, &ex->id, ex->id.remote_port, ex->id.remote_addr);
	ev->client.family = ex->proxied.family;
	ev->client.port = ex->proxied.port;
	memcpy(ev->client.addr, ex->proxied.addr, sizeof(ev->client.addr));
	/* One by one: in a chain compilers read back what they have just written. */
	ev->method_name = absent;
	ev->request_target = absent;
	ev->path = absent;
	ev->query = absent;
	ev->authority = absent;
	ev->reason = absent;
	ev->trace_text = absent;
	ev->request_id = absent;
	ev->target_name = put(&at, target->name, strlen(target->name));
	cause_report(ex, ev);
	if (ex->protocol == APPMON_PROTO_RESP)
		put_command(ev, &at, ex);
	else if (ex->request)
		put_request(pl, &at, ex->request);
	if (ex->request && (pl->flags & APPMON_OPEN_TRACE))
		put_trace(pl, &at, ex->request);
	if (ex->response && ex->protocol == APPMON_PROTO_HTTP1) {
		ev->status = ex->response->h.status;
		ev->status_class = ev->status / 100;
		ev->reason = in_place(ex->response, ex->response->h.reason);
		ev->response_http_version = ex->response->h.version;
		ev->response_head_bytes = ex->response->len;
		ev->response_content_length = ex->response->h.content_length;
	}
	put_fields(pl, ex->request, 0);
	put_fields(pl, ex->response, 1);
	ev->headers = ev->header_count ? pl->headers : NULL;
	return true;
}

void event_forget(struct pipeline *pl)
{
	if (pl->shown)
		exchange_release(pl, pl->shown);
	pl->shown = NULL;
}

bool event_next(struct pipeline *pl)
{
	event_forget(pl);
	while (!list_empty(&pl->ready)) {
		struct exchange *ex = list_entry(pl->ready.next, struct exchange, link);
		struct target *target = target_of(pl, &ex->id);

		if (!target || !build(pl, ex, target)) {
			exchange_drop(pl, ex, target ? APPMON_DROP_MEMORY : APPMON_DROP_DETACHED);
			continue;
		}
		list_remove(&ex->link);
		STAT_ADD(pl, target, outstanding, UINT64_MAX);
		pl->shown = ex;
		if (filter_passes(&pl->filter, &pl->event)) {
			STAT_ADD(pl, target, delivered, 1);
			return true;
		}
		STAT_ADD(pl, target, filtered, 1);
		event_forget(pl);
	}
	return false;
}

void event_lose(struct pipeline *pl)
{
	struct target *target = target_of(pl, &pl->shown->id);

	STAT_ADD(pl, target, delivered, UINT64_MAX);
	STAT_ADD(pl, target, dropped[APPMON_DROP_MEMORY], 1);
	event_forget(pl);
}

/* ---- what is in progress --------------------------------------------------------------------- */

/* An event ends its strings where they lie: what is shown before its time gets its bytes back. */
struct saved_head {
	char *bytes;
};

static bool head_save(struct pipeline *pl, const struct head *head, struct saved_head *saved)
{
	saved->bytes = NULL;
	if (!head || !head->h.head_len)
		return true;
	saved->bytes = pool_alloc(&pl->pool, head->h.head_len);
	if (saved->bytes)
		memcpy(saved->bytes, head->bytes, head->h.head_len);
	return saved->bytes;
}

static void head_restore(struct pipeline *pl, const struct head *head, struct saved_head *saved)
{
	if (!saved->bytes)
		return;
	memcpy(head->bytes, saved->bytes, head->h.head_len);
	pool_free(&pl->pool, saved->bytes);
}

int event_show(struct pipeline *pl, struct exchange *ex, appmon_event_fn fn, void *ctx)
{
	struct target *target = target_of(pl, &ex->id);
	struct saved_head request = {0}, response = {0};
	int ret = -ENOMEM;

	if (!target)
		return 0;
	if (head_save(pl, ex->request, &request) && head_save(pl, ex->response, &response) &&
	    build(pl, ex, target))
		ret = fn(ctx, &pl->event);
	else
		fail(pl->log, ret, "memory_limit is reached");
	head_restore(pl, ex->request, &request);
	head_restore(pl, ex->response, &response);
	return ret;
}
