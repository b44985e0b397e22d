/* SPDX-License-Identifier: BSD-2-Clause */
/* A finished exchange as the host sees it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/event.h"
#include "protocol/protocol.h"

struct appmon_str put_written(struct event_writer *w, size_t len)
{
	struct appmon_str str = {.data = w->at, .len = (uint32_t)len};

	w->at[len] = '\0';
	w->at += len + 1;
	return str;
}

struct appmon_str put_copy(struct event_writer *w, const char *data, size_t len)
{
	memcpy(w->at, data, len);
	return put_written(w, len);
}

struct appmon_str put_part(struct event_writer *w, const struct appmon_str *whole, size_t off,
			   size_t len)
{
	if (off + len != whole->len)
		return put_copy(w, whole->data + off, len);
	return (struct appmon_str){.data = whole->data + off, .len = (uint32_t)len};
}

struct appmon_str put_in_place(char *data, uint32_t len)
{
	if (!len)
		return (struct appmon_str){.data = ""};
	data[len] = '\0';
	return (struct appmon_str){.data = data, .len = len};
}

void put_header(struct event_writer *w, uint32_t keep, struct appmon_str value, uint32_t response)
{
	const struct field_names *kept = &w->pl->keep;

	/* The name lives as long as the handle. */
	w->pl->headers[w->ev->header_count++] = (struct appmon_header){
		.name = {.data = kept->name[keep], .len = kept->len[keep]},
		.value = value,
		.response = response,
	};
	w->ev->headers = w->pl->headers;
}

uint32_t outcome_unanswered(const struct exchange *ex)
{
	uint32_t by_client =
		ex->role == APPMON_ROLE_CLIENT ? APPMON_END_RESET_BY_US : APPMON_END_RESET_BY_PEER;

	/* It may come yet, or may have passed unseen. */
	if (!(ex->flags & APPMON_EVF_NO_RESPONSE) || ex->end == APPMON_END_GAP)
		return APPMON_OUTCOME_UNKNOWN;
	if (ex->end == APPMON_END_TIMEOUT)
		return APPMON_OUTCOME_TIMEOUT;
	return ex->role != APPMON_ROLE_UNKNOWN && ex->end == by_client ? APPMON_OUTCOME_CANCELLED
								       : APPMON_OUTCOME_NO_RESPONSE;
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

static void put_owner(struct event_writer *w, const struct exchange *ex)
{
	const struct rec_owner *o = &ex->owner;
	struct appmon_event *ev = w->ev;
	const char *comm = (const char *)o->task.comm;

	ev->owner = o->source;
	ev->pid = o->task.pid;
	ev->tid = o->task.tid;
	ev->comm = put_copy(w, comm, strnlen(comm, sizeof(o->task.comm)));
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
	const struct protocol *protocol = ex->protocol;
	struct appmon_event *ev = &pl->event;
	struct event_writer w = {.pl = pl, .ev = ev};

	/* Two strings with their NULs, and the protocol's. */
	if (!arena_reserve(pl, strlen(target->name) + 1 + sizeof(ex->owner.task.comm) + 1 +
				       protocol->event_bytes(pl, ex) +
				       (ex->carried ? ex->carrier->carried_bytes(ex) : 0)))
		return false;
	w.at = pl->arena.buf;
	memset(ev, 0, sizeof(*ev));
	ev->size = sizeof(*ev);
	ev->protocol = protocol->id;
	ev->flags = ex->flags;
	ev->role = ex->role;
	ev->end = ex->end;
	ev->target_id = target->id;
	ev->sampling_ppm = ex->sampling_ppm;
	ev->target_name = put_copy(&w, target->name, strlen(target->name));
	ev->target_user = target->user;
	ev->cgroup_id = ex->id.cgroup_id;
	ev->connection_id = ex->id.cookie;
	ev->ordinal = ex->ordinal;
	ev->status_number = -1;
	ev->request_items = ev->response_items = -1;
	ev->request_bytes = ex->request_body;
	ev->response_bytes = ex->response_body;
	put_times(ev, ex);
	endpoint(&ev->local, &ex->id, ex->id.local_port, ex->id.local_addr);
	endpoint(&ev->remote, &ex->id, ex->id.remote_port, ex->id.remote_addr);
	ev->client.family = ex->proxied.family;
	ev->client.port = ex->proxied.port;
	memcpy(ev->client.addr, ex->proxied.addr, sizeof(ev->client.addr));
	ev->srtt_us = ex->srtt_us;
	ev->retransmits = ex->retrans;
	ev->peer_retransmits = ex->dup;
	if (ex->numbered == NUMBERED_BOTH)
		ev->wire_id = (uint64_t)ex->request_seq << 32 | ex->response_seq;
	put_owner(&w, ex);
	cause_report(ex, ev);
	ev->request_content_length = ev->response_content_length = -1;
	/* One by one: in a chain compilers read back what they have just written. */
	ev->system = absent;
	ev->operation = absent;
	ev->resource = absent;
	ev->resource_namespace = absent;
	ev->query_text = absent;
	ev->query_summary = absent;
	ev->status_text = absent;
	ev->message = absent;
	ev->trace_text = absent;
	ev->request_id = absent;
	ev->request_target = absent;
	ev->path = absent;
	ev->query = absent;
	ev->authority = absent;
	ev->tls_server_name = absent;
	ev->tls_alpn_offered = absent;
	ev->tls_alpn = absent;
	protocol->fill(&w, ex);
	if (ex->carried)
		ex->carrier->fill_carried(&w, ex);
	return true;
}

void event_forget(struct pipeline *pl)
{
	if (pl->shown)
		exchange_release(pl, pl->shown);
	pl->shown = NULL;
}

/* HTTP/1 is followed in any case: before its first message a connection may speak it. */
static bool asked_for(const struct target *target, const struct protocol *protocol)
{
	return target->protocols & 1U << protocol->id;
}

bool event_next(struct pipeline *pl)
{
	event_forget(pl);
	while (!list_empty(&pl->ready)) {
		struct exchange *ex = list_entry(pl->ready.next, struct exchange, link);
		struct target *target = target_of(pl, &ex->id);
		bool asked = target && asked_for(target, ex->protocol);

		if (!target || (asked && !build(pl, ex, target))) {
			if (target)
				exchange_drop(pl, ex, APPMON_DROP_MEMORY,
					      WHY("no memory for its event"));
			else
				exchange_drop(pl, ex, APPMON_DROP_DETACHED,
					      WHY("its target was detached before its event"));
			continue;
		}
		list_remove(&ex->link);
		STAT_ADD(pl, target, outstanding, UINT64_MAX);
		pl->shown = ex;
		if (asked && filter_passes(&pl->filter, &pl->event)) {
			STAT_ADD(pl, target, delivered, 1);
			EXPLAIN_EXCHANGE(pl, ex, "is told");
			return true;
		}
		STAT_ADD(pl, target, filtered, 1);
		EXPLAIN_EXCHANGE(pl, ex, "is not told: %s",
				 asked ? "the filter" : "its protocol was not asked for");
		event_forget(pl);
	}
	return false;
}

void event_lose(struct pipeline *pl)
{
	struct target *target = target_of(pl, &pl->shown->id);

	STAT_ADD(pl, target, delivered, UINT64_MAX);
	STAT_ADD(pl, target, dropped[APPMON_DROP_MEMORY], 1);
	EXPLAIN_DROP(pl, &pl->shown->id, APPMON_DROP_MEMORY, WHY("no memory for the host's event"),
		     "exchange %llu is dropped, %s: %s", (unsigned long long)pl->shown->ordinal);
	event_forget(pl);
}

/* ---- what is in progress --------------------------------------------------------------------- */

/* An event ends its strings where they lie: what is shown before its time gets its bytes back. */
static bool message_save(struct pipeline *pl, const void *message, void **copy)
{
	size_t size = message ? pool_size(message) : 0;

	*copy = size ? pool_alloc(&pl->pool, size) : NULL;
	if (*copy)
		memcpy(*copy, message, size);
	return !size || *copy;
}

static void message_restore(struct pipeline *pl, void *message, void *copy)
{
	if (copy)
		memcpy(message, copy, pool_size(message));
	pool_free(&pl->pool, copy);
}

int event_show(struct pipeline *pl, struct exchange *ex, appmon_event_fn fn, void *ctx)
{
	struct target *target = target_of(pl, &ex->id);
	void *request = NULL, *response = NULL;
	int ret = -ENOMEM;

	if (!target || !asked_for(target, ex->protocol))
		return 0;
	if (message_save(pl, ex->request, &request) && message_save(pl, ex->response, &response) &&
	    build(pl, ex, target))
		ret = fn(ctx, &pl->event);
	else
		fail(pl->log, ret, "memory_limit is reached");
	message_restore(pl, ex->request, request);
	message_restore(pl, ex->response, response);
	return ret;
}
