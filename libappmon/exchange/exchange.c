/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exchanges: made when a request begins, queued on their connection until both halves are
 * complete, then handed to the host in that order. Each one is counted once when it is made and
 * once when it leaves: delivered, or dropped for a reason.
 */
#include <string.h>

#include "exchange/exchange.h"
#include "protocol/protocol.h"

void exchange_release(struct pipeline *pl, struct exchange *ex)
{
	cause_close(ex);
	pool_free(&pl->pool, ex->cause);
	pool_free(&pl->pool, ex->request);
	pool_free(&pl->pool, ex->response);
	pool_free(&pl->pool, ex->carried);
	pool_free(&pl->pool, ex);
}

void exchange_drop(struct pipeline *pl, struct exchange *ex, uint32_t reason, const char *why)
{
	struct target *target = target_of(pl, &ex->id);

	list_remove(&ex->link);
	list_remove(&ex->id_node);
	if (!ex->delivered_at_head) {
		STAT_ADD(pl, target, outstanding, UINT64_MAX);
		STAT_ADD(pl, target, dropped[reason], 1);
		EXPLAIN_DROP(pl, &ex->id, reason, why, "exchange %llu is dropped, %s: %s",
			     (unsigned long long)ex->ordinal);
	}
	exchange_release(pl, ex);
}

void exchange_spoil(struct exchange *ex, uint32_t reason, const char *why)
{
	if (ex->drop_reason)
		return;
	ex->drop_reason = (uint8_t)(1 + reason);
	ex->drop_why = why;
}

void exchange_refuse(struct pipeline *pl, struct conn *c, uint32_t reason, const char *why)
{
	struct target *target = target_of(pl, &c->id);

	STAT_ADD(pl, target, exchanges_seen, 1);
	STAT_ADD(pl, target, dropped[reason], 1);
	EXPLAIN_DROP(pl, &c->id, reason, why, "one at ordinal %llu is dropped, %s: %s",
		     (unsigned long long)(c->ordinal_base + c->ordinal));
}

static size_t exchange_bytes(const struct protocol *protocol)
{
	return sizeof(struct exchange) + protocol->exchange_size;
}

struct exchange *exchange_new(struct pipeline *pl, struct conn *c)
{
	struct target *target = target_of(pl, &c->id);
	struct exchange *ex = pool_zalloc_evicting(&pl->pool, exchange_bytes(c->protocol));
	struct conn *socket = c->below ? c->below : c;

	c->ordinal++;
	if (!socket->counted) {
		socket->counted = 1;
		STAT_ADD(pl, target, connections_seen, 1);
		STAT_ADD(pl, target, connections_open, 1);
	}
	if (!ex) {
		exchange_refuse(pl, c, APPMON_DROP_MEMORY, WHY("no memory for an exchange"));
		return NULL;
	}
	list_init(&ex->id_node);
	ex->id = c->id;
	ex->protocol = c->protocol;
	ex->ordinal = c->ordinal_base + c->ordinal;
	ex->proxied = c->proxied;
	ex->sampling_ppm = pl->sample.ppm;
	ex->retrans = c->retrans;
	ex->dup = c->dup;
	if (c->request_dir)
		ex->role = c->request_dir == 1 + DIR_IN ? APPMON_ROLE_SERVER : APPMON_ROLE_CLIENT;
	if (c->below && c->below->protocol->carry) {
		ex->carrier = c->below->protocol;
		ex->carried = ex->carrier->carry(pl, c->below);
	}
	list_append(&c->exchanges, &ex->link);
	STAT_ADD(pl, target, exchanges_seen, 1);
	STAT_ADD(pl, target, outstanding, 1);
	return ex;
}

struct exchange *exchange_turn(struct pipeline *pl, struct exchange *ex,
			       const struct protocol *protocol)
{
	struct exchange *same = pool_zalloc_evicting(&pl->pool, exchange_bytes(protocol));

	if (!same)
		return NULL;
	*same = *ex;
	same->protocol = protocol;
	list_append(&ex->link, &same->link); /* in its place */
	list_remove(&ex->link);
	list_init(&same->id_node);
	cause_move(same);
	pool_free(&pl->pool, ex);
	return same;
}

void exchange_withdraw(struct pipeline *pl, struct conn *c, struct exchange *ex)
{
	struct target *target = target_of(pl, &ex->id);

	list_remove(&ex->link);
	list_remove(&ex->id_node);
	STAT_ADD(pl, target, outstanding, UINT64_MAX);
	STAT_ADD(pl, target, exchanges_seen, UINT64_MAX);
	c->ordinal--;
	exchange_release(pl, ex);
}

static bool is_read(uint32_t source)
{
	return source == OWNER_READ || source == OWNER_READ_SHARED;
}

void exchange_owner(struct pipeline *pl, struct exchange *ex)
{
	const struct rec_owner *o = pl->owner;
	struct rec_owner before;

	if (!o || !o->source)
		return;
	before = ex->owner;
	/* Who sends is known at the first byte; what a client reads is the answer. */
	if (ex->role == APPMON_ROLE_CLIENT && (before.source || is_read(o->source)))
		return;
	ex->owner = *o;
	if (!is_read(before.source))
		return;
	/* After an interim response: what was read before it belongs to the request, too. */
	ex->owner.read_first_ns = before.read_first_ns;
	if (!is_read(o->source)) {
		ex->owner.task = before.task;
		ex->owner.source = before.source;
		ex->owner.read_last_ns = before.read_last_ns;
	} else if (before.source == OWNER_READ_SHARED || before.task.tid != o->task.tid) {
		ex->owner.source = OWNER_READ_SHARED;
	}
}

/* The number that stands for a byte of plaintext; false: it is not known. */
static bool plain_number(const struct conn *c, int dir, uint64_t pos, uint32_t *ret)
{
	const struct numbers *n = &c->numbers[dir];

	*ret = n->seq + (uint32_t)(pos - n->pos);
	return pos >= n->pos && pos - n->pos < n->len;
}

void exchange_request(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		      const struct start *start)
{
	const struct stream *other = &c->stream[!dir];

	ex->request_start_ns = start->ts_ns;
	ex->request_pos = start->pos;
	ex->floor = start->other_pos;
	if (dir == DIR_OUT)
		exchange_owner(pl, ex);
	if (c->below) {
		if (plain_number(c, dir, start->pos, &ex->request_seq))
			ex->numbered = NUMBERED_REQUEST;
		return;
	}
	ex->request_seq = stream_seq(&c->stream[dir], start->pos);
	ex->numbered = NUMBERED_REQUEST;
	if (other->known) {
		ex->response_seq = stream_seq(other, ex->floor);
		ex->numbered = NUMBERED_BOTH;
	}
}

void exchange_response(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		       const struct start *start)
{
	if (dir == DIR_OUT)
		exchange_owner(pl, ex);
	cause_response(pl, c, ex);
	if (!c->below) {
		ex->response_seq = stream_seq(&c->stream[dir], start->pos);
		ex->numbered |= NUMBERED_RESPONSE;
	} else if (plain_number(c, dir, start->pos, &ex->response_seq)) {
		ex->numbered |= NUMBERED_RESPONSE;
	}
	/* After a loss it may be taken for the answer to a request that came after it. */
	ex->response_start_ns =
		start->ts_ns > ex->request_start_ns ? start->ts_ns : ex->request_start_ns;
	ex->response_begun = 1;
}

void exchange_finish(struct pipeline *pl, struct conn *c, struct exchange *ex, uint32_t end,
		     uint64_t flags)
{
	list_remove(&ex->id_node);
	if (ex->delivered_at_head) {
		list_remove(&ex->link);
		exchange_release(pl, ex);
		return;
	}
	if (!ex->request_start_ns && pl->flags & APPMON_OPEN_ONLY_REQUESTS) {
		exchange_drop(pl, ex, APPMON_DROP_ORPHAN,
			      WHY("APPMON_OPEN_ONLY_REQUESTS, and it has no request"));
		return;
	}
	ex->end = end;
	ex->flags |= flags | (c->call_times ? APPMON_EVF_CALL_TIMES : 0);
	if (c->call_times == CALL_TIMES_BEFORE && c->exchanges.next == c->exchanges.prev)
		c->call_times = 0;
	ex->srtt_us = c->srtt_us;
	ex->retrans = c->retrans - ex->retrans;
	ex->dup = c->dup - ex->dup;
	if (!ex->response && !(ex->flags & APPMON_EVF_NO_STATUS_LINE))
		ex->flags |= APPMON_EVF_NO_RESPONSE;
	if (ex->drop_reason && ex->drop_reason != 1 + APPMON_DROP_MEMORY && ex->response) {
		ex->flags |= APPMON_EVF_MALFORMED;
	} else if (ex->drop_reason) {
		exchange_drop(pl, ex, ex->drop_reason - 1u, ex->drop_why);
		return;
	}
	EXPLAIN_EXCHANGE(pl, ex, "is finished: %s", appmon_end_name(end));
	cause_close(ex);
	list_remove(&ex->link);
	list_append(&pl->ready, &ex->link);
}

void exchange_tell(struct pipeline *pl, struct conn *c, struct exchange *ex)
{
	struct exchange *rest;

	if (ex->delivered_at_head || ex->drop_reason)
		return;
	rest = pool_alloc_evicting(&pl->pool, exchange_bytes(ex->protocol));
	if (!rest)
		return; /* it comes at its end, then */
	memcpy(rest, ex, exchange_bytes(ex->protocol));
	rest->request = rest->response = NULL;
	rest->cause = NULL;
	rest->carried = NULL;
	rest->delivered_at_head = 1;
	list_append(&ex->link, &rest->link); /* in its place */
	list_append(&ex->id_node, &rest->id_node);
	exchange_finish(pl, c, ex, APPMON_END_AT_HEAD, 0);
}

void exchanges_settle(struct pipeline *pl, struct conn *c)
{
	struct exchange *ex;

	while ((ex = exchange_at(c, c->exchanges.next)) && ex->request_done && ex->response_done)
		exchange_finish(pl, c, ex, APPMON_END_COMPLETE, 0);
}

void exchanges_finish(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	struct exchange *ex;

	while ((ex = exchange_at(c, c->exchanges.next)))
		exchange_finish(pl, c, ex, end, flags);
}
