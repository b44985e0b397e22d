/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/2 (RFC 9113): a stream is an exchange, found by its id. Header blocks are decoded when they
 * come, in their order, for each of them changes the table that the next one needs.
 *
 * SETTINGS need no look: which size its table has the encoder says in a block, and whatever the
 * peers have allowed each other, they do. What a peer can make of it is bounded: a header block by
 * H2_BLOCK_MAX, a table by HPACK_SIZE_KEPT, streams by the memory limit, and each stream is counted.
 *
 * After a loss the table is not known any more (hpack_lose()), and any stream may have lost bytes:
 * their events say GAP. What comes then is told as far as it is certain: PARTIAL.
 */
#include <string.h>

#include "protocol/http2/http2.h"
#include "protocol/http2/upgrade.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_LEN (sizeof(PREFACE) - 1)
/* As much of it as no HTTP/1 begins with. */
#define PREFACE_SURE 14
/* Of a block that is looked at before it is sure that it is one. */
#define LOOK_MAX 1024

static uint32_t word32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t stream_of(const struct frame *f)
{
	return word32(f->head + 5) & INT32_MAX;
}

/* ---- losses ---------------------------------------------------------------------------------- */

static void block_forget(struct pipeline *pl, struct h2_block *b)
{
	pool_free(&pl->pool, b->bytes);
	*b = (struct h2_block){0};
}

/* Frames of this direction were missed. */
static void direction_lost(struct pipeline *pl, struct conn *c, int dir)
{
	struct h2_side *s = &http2_of(c)->side[dir];
	struct exchange *ex;

	EXPLAIN_CONN(pl, &c->id, "frames were missed, %s", dir == DIR_IN ? "in" : "out");
	block_forget(pl, &s->block);
	hpack_lose(&s->table);
	s->empty = false;
	if (c->ordinal)
		c->gapped = 1;
	for (struct list_node *n = c->exchanges.next; (ex = exchange_at(c, n)); n = n->next)
		ex->flags |= APPMON_EVF_GAP;
}

/* ---- the end of a stream --------------------------------------------------------------------- */

static void stream_over(struct pipeline *pl, struct conn *c, struct exchange *ex, uint32_t end)
{
	if (!ex->request_done && end == APPMON_END_COMPLETE)
		ex->flags |= APPMON_EVF_EARLY_RESPONSE;
	ex->response_done = 1;
	exchange_finish(pl, c, ex, end, end == APPMON_END_UPGRADED ? APPMON_EVF_UPGRADED : 0);
}

static void stream_abandoned(struct pipeline *pl, struct conn *c, struct exchange *ex, bool client)
{
	h2_own(ex)->given_up_by = client ? H2_CLIENT : H2_SERVER;
	stream_over(pl, c, ex, APPMON_END_ABANDONED);
}

/* ---- heads ----------------------------------------------------------------------------------- */

/* Messages that came before it was known to be a call are not counted. */
static void call_found(struct exchange *ex)
{
	struct h2_stream *own = h2_own(ex);

	if (own->grpc)
		return;
	own->grpc = 1;
	own->messages[0].lost = ex->request_body > 0;
	own->messages[1].lost = ex->response_body > 0;
}

/* A call is a POST, and both its heads have gRPC's content-type. */
static bool is_no_call(const struct h2_fields *f)
{
	return f->is_other || (f->h.method && f->h.method != APPMON_METHOD_POST) ||
	       (!f->unknown && !f->is_grpc);
}

/* What both kinds of heads tell. f NULL: the block was not read, and its head says so little. */
static struct head *keep(struct pipeline *pl, struct exchange *ex, const struct h2_block *b,
			 const struct h2_fields *f)
{
	static const struct http1_head unread = {.version = 20, .content_length = -1};
	struct head *head;

	if (!f || f->unknown)
		ex->flags |= APPMON_EVF_PARTIAL;
	if (f && (f->h.truncated || f->h.flags & HTTP1_FIELDS_LOST))
		ex->flags |= APPMON_EVF_TRUNCATED;
	if (f && f->is_grpc)
		call_found(ex);
	else if (f)
		h2_own(ex)->other |= is_no_call(f);
	head = head_keep(pl, f ? &f->h : &unread, f ? f->bytes : "", b->wire);
	if (!head)
		exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for one of its heads"));
	return head;
}

static struct exchange *stream_new(struct pipeline *pl, struct conn *c, uint32_t id)
{
	struct exchange *ex = exchange_new(pl, c);

	if (!ex)
		return NULL;
	h2_own(ex)->grpc_status = -1;
	exchange_identify(pl, c, ex, id);
	return ex;
}

/* dir: where the request comes from, or is promised. */
static void request_begins(struct pipeline *pl, struct conn *c, int dir, uint32_t id,
			   const struct h2_block *b, const struct h2_fields *f)
{
	struct exchange *ex = stream_new(pl, c, id);

	STAT_ADD(pl, target_of(pl, &c->id), requests, 1);
	if (!ex)
		return;
	ex->request = keep(pl, ex, b, f);
	h2_own(ex)->connect = f && f->h.method == APPMON_METHOD_CONNECT;
	exchange_request(pl, c, ex, dir, &b->start);
	ex->request_end_ns = b->end_ns;
	/* What follows CONNECT is no body, but the tunnel's. */
	ex->request_done = b->end_stream || h2_own(ex)->connect;
	EXPLAIN_EXCHANGE(pl, ex, "begins: stream %u", id);
	if (pl->causes.bucket && ex->request) {
		struct trace_fields fields;

		http1_trace_fields(pl, ex->request, &fields);
		cause_request(pl, c, ex, dir, &fields);
	}
}

static void request_head(struct pipeline *pl, struct conn *c, int dir, const struct h2_block *b,
			 const struct h2_fields *f)
{
	struct http2 *h = http2_of(c);
	struct exchange *ex = exchange_by_id(c, b->stream);

	if (ex) { /* trailers */
		ex->request_end_ns = b->end_ns;
		ex->request_done |= b->end_stream;
		return;
	}
	/* Trailers, too: of one that is over, or of one from before. */
	if (b->stream <= h->last_stream || !(b->stream & 1) ||
	    (f && !f->unknown && !f->is_request)) {
		EXPLAIN_CONN(pl, &c->id, "a header block of stream %u begins no request",
			     b->stream);
		return;
	}
	h->last_stream = b->stream;
	if (!h->first_stream)
		h->first_stream = b->stream;
	request_begins(pl, c, dir, b->stream, b, f);
}

/* Its request was missed; or the stream is over, and what still comes of it is not told. */
static struct exchange *response_to_unseen(struct pipeline *pl, struct conn *c, uint32_t id)
{
	struct http2 *h = http2_of(c);
	struct exchange *ex;
	bool before = !c->fresh && (!h->first_stream || id < h->first_stream);

	if (!(id & 1) || (!before && id <= h->last_stream))
		return NULL;
	if (id > h->last_stream)
		h->last_stream = id;
	if (!h->first_stream)
		h->first_stream = id + 1;
	ex = stream_new(pl, c, id);
	if (!ex)
		return NULL;
	ex->flags |= APPMON_EVF_MID_MESSAGE;
	ex->request_done = 1;
	return ex;
}

static void trailers(struct pipeline *pl, struct exchange *ex, const struct h2_fields *f)
{
	struct h2_stream *own = h2_own(ex);
	struct head *joined;
	uint32_t by = 0;

	if (!f || f->unknown)
		ex->flags |= APPMON_EVF_PARTIAL;
	if (!f)
		return;
	if (f->is_grpc)
		call_found(ex);
	if (f->grpc_status >= 0)
		own->grpc_status = f->grpc_status;
	if (!ex->response || !f->h.head_len)
		return;
	joined = head_with_trailers(pl, ex->response, f, &by);
	if (!joined) {
		ex->flags |= APPMON_EVF_TRUNCATED;
		return;
	}
	ex->response = joined;
	if (f->message.len)
		own->message = (struct http1_span){f->message.off + by, f->message.len};
}

static void response_begins(struct pipeline *pl, struct conn *c, int dir, struct exchange *ex,
			    const struct h2_block *b, const struct h2_fields *f)
{
	struct h2_stream *own = h2_own(ex);

	STAT_ADD(pl, target_of(pl, &c->id), responses, 1);
	if (!ex->request_done)
		ex->flags |= APPMON_EVF_EARLY_RESPONSE;
	ex->response = keep(pl, ex, b, f);
	exchange_response(pl, c, ex, dir, &b->start);
	if (f && f->grpc_status >= 0)
		own->grpc_status = f->grpc_status;
	if (f)
		own->message = f->message;
	EXPLAIN_EXCHANGE(pl, ex, "is answered with %u", f ? f->h.status : 0);
}

static void response_head(struct pipeline *pl, struct conn *c, int dir, const struct h2_block *b,
			  const struct h2_fields *f)
{
	struct exchange *ex = exchange_by_id(c, b->stream);
	uint32_t status = f ? f->h.status : 0;

	/* Trailers of what was not seen tell of no exchange that could be placed. */
	if (!ex && (!f || f->unknown || f->h.status))
		ex = response_to_unseen(pl, c, b->stream);
	if (!ex) {
		EXPLAIN_CONN(pl, &c->id,
			     "a header block of stream %u answers no request that is open",
			     b->stream);
		return;
	}
	if (status && status < 200) {
		ex->flags |= APPMON_EVF_CONTINUED;
		if (dir == DIR_OUT)
			exchange_owner(pl, ex);
		return;
	}
	ex->response_end_ns = b->end_ns;
	if (ex->response_begun)
		trailers(pl, ex, f);
	else
		response_begins(pl, c, dir, ex, b, f);
	h2_own(ex)->end_unread = b->end_stream && (!f || f->unknown);
	if (b->end_stream)
		stream_over(pl, c, ex, APPMON_END_COMPLETE);
	else if (h2_own(ex)->connect && status / 100 == 2)
		stream_over(pl, c, ex, APPMON_END_UPGRADED);
}

/*
 * The request of stream 1 is the first header block of a connection, and no server sends one before
 * it. So of a connection that was met behind its preface, as where a listening socket took that
 * (TCP_DEFER_ACCEPT), all is known.
 */
static void first_block(struct pipeline *pl, struct conn *c, int dir)
{
	struct h2_side *other = &http2_of(c)->side[!dir];

	hpack_began(&http2_of(c)->side[dir].table);
	hpack_free(&pl->pool, &other->table);
	hpack_init(&other->table, true);
	other->empty = true;
}

/* All of a header block is here, or no more of it will come. */
static void block_done(struct pipeline *pl, struct conn *c, int dir, const char *bytes,
		       uint32_t len)
{
	struct h2_side *s = &http2_of(c)->side[dir];
	struct h2_block b = s->block;
	struct h2_fields fields = {.bytes = NULL}, *f = NULL;

	s->block = (struct h2_block){0};
	if (b.lost)
		hpack_lose(&s->table);
	else if (fields_read(pl, c, &s->table, bytes, len, &fields))
		f = &fields;
	if (f && b.stream == 1 && f->is_request && !f->unknown && !c->fresh &&
	    c->request_dir != 1 + !dir && !http2_of(c)->first_stream)
		first_block(pl, c, dir);
	if (!c->request_dir && f && (f->h.status || f->is_request))
		c->request_dir = (uint8_t)(1 + (f->h.status ? !dir : dir));
	if (!c->request_dir)
		EXPLAIN_CONN(pl, &c->id, "a header block, and who asks is not known");
	else if (b.promised && !is_request(c, dir) && !exchange_by_id(c, b.promised))
		request_begins(pl, c, dir, b.promised, &b, f);
	else if (!b.promised && is_request(c, dir))
		request_head(pl, c, dir, &b, f);
	else if (!b.promised)
		response_head(pl, c, dir, &b, f);
	if (b.promised) {
		struct exchange *ex = exchange_by_id(c, b.promised);

		if (ex) {
			ex->flags |= APPMON_EVF_SERVER_BEGAN;
			ex->request_done = 1;
		}
	}
	fields_free(pl, &fields);
	pool_free(&pl->pool, b.bytes);
}

/* A part of a block that goes on in the next frame. */
static void block_gather(struct pipeline *pl, struct h2_block *b, const uint8_t *bytes, uint32_t n)
{
	char *joined = b->lost || n > H2_BLOCK_MAX - b->len
			       ? NULL
			       : pool_alloc_evicting(&pl->pool, b->len + n + 1);

	if (joined) {
		if (b->len)
			memcpy(joined, b->bytes, b->len);
		memcpy(joined + b->len, bytes, n);
	}
	pool_free(&pl->pool, b->bytes);
	b->bytes = joined;
	b->len = joined ? b->len + n : 0;
	b->lost |= !joined;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* The part of the payload that is no padding. False: the frame is not as it should be, or not all of
 * that is here. */
struct part {
	const uint8_t *at;
	uint32_t len;	   /* on the wire */
	uint32_t captured; /* of these */
};

static bool unpad(const struct frame *f, uint32_t fields, struct part *ret)
{
	uint32_t flags = f->head[4], len = f->total - f->header, pad = 0;
	uint32_t skip = fields + (flags & H2_PADDED ? 1 : 0);

	if (flags & H2_PADDED && f->captured)
		pad = f->bytes[0];
	if (skip + pad > len || f->captured < skip || f->flags & FRAME_CUT)
		return false;
	ret->at = f->bytes + skip;
	ret->len = len - skip - pad;
	ret->captured = f->captured - skip < ret->len ? f->captured - skip : ret->len;
	return true;
}

static void take_block(struct pipeline *pl, struct conn *c, int dir, const struct frame *f,
		       const struct part *part)
{
	struct h2_side *s = &http2_of(c)->side[dir];
	struct h2_block *b = &s->block;
	bool last = f->head[4] & H2_END_HEADERS;

	b->lost |= !part || part->captured < part->len;
	b->wire += f->total;
	b->end_ns = f->end_ns;
	if (last && !b->bytes && !b->lost)
		block_done(pl, c, dir, (const char *)part->at, part->len);
	else if (!b->lost)
		block_gather(pl, b, part->at, part->len);
	if (last && b->stream)
		block_done(pl, c, dir, b->bytes, b->len);
}

static void headers_frame(struct pipeline *pl, struct conn *c, int dir, const struct frame *f)
{
	struct h2_side *s = &http2_of(c)->side[dir];
	bool promise = f->type == H2_PUSH_PROMISE;
	uint32_t flags = f->head[4], fields = promise ? 4 : flags & H2_PRIORITY ? 5 : 0;
	struct part part;
	bool whole = unpad(f, fields, &part);

	if (s->block.stream) { /* it was not ended: peers do not allow it */
		s->block.lost = true;
		block_done(pl, c, dir, NULL, 0);
	}
	s->block = (struct h2_block){
		.stream = stream_of(f),
		.end_stream = !promise && flags & H2_END_STREAM,
		.start = frame_start(f),
	};
	if (promise && whole)
		s->block.promised = word32(part.at - 4) & INT32_MAX;
	if (promise && !s->block.promised) {
		s->block.stream = 0;
		hpack_lose(&s->table);
		return;
	}
	take_block(pl, c, dir, f, whole ? &part : NULL);
}

static void continuation_frame(struct pipeline *pl, struct conn *c, int dir, const struct frame *f)
{
	struct h2_side *s = &http2_of(c)->side[dir];
	struct part part = {f->bytes, f->total - f->header, f->captured};

	if (s->block.stream != stream_of(f)) {
		hpack_lose(&s->table); /* of a block whose begin was missed */
		return;
	}
	take_block(pl, c, dir, f, f->flags & FRAME_CUT ? NULL : &part);
}

/* Follows gRPC's messages: a byte that tells whether it is compressed, four with its length. */
static void count_messages(struct h2_messages *m, const struct part *part)
{
	uint32_t at = 0;

	while (at < part->len && !m->lost) {
		uint32_t n = part->len - at;

		if (m->left) {
			n = n < m->left ? n : m->left;
			m->left -= n;
			at += n;
		} else if (at >= part->captured) {
			m->lost = 1;
		} else {
			m->count += !m->have;
			m->prefix[m->have++] = part->at[at++];
			if (m->have == sizeof(m->prefix)) {
				m->left = word32(m->prefix + 1);
				m->have = 0;
			}
		}
	}
}

static void data_frame(struct pipeline *pl, struct conn *c, int dir, const struct frame *f)
{
	struct exchange *ex = exchange_by_id(c, stream_of(f));
	bool request = is_request(c, dir), end = f->head[4] & H2_END_STREAM;
	struct part part = {f->bytes, 0, 0};

	if (!ex)
		return;
	if (!unpad(f, 0, &part))
		ex->flags |= APPMON_EVF_GAP;
	if (h2_own(ex)->grpc)
		count_messages(&h2_own(ex)->messages[!request], &part);
	if (request) {
		ex->request_body += part.len;
		ex->request_end_ns = f->end_ns;
		ex->request_done |= end;
		return;
	}
	ex->response_body += part.len;
	ex->response_end_ns = f->end_ns;
	if (!ex->response_begun) /* its head was missed */
		ex->flags |= APPMON_EVF_GAP;
	if (end)
		stream_over(pl, c, ex, ex->response_begun ? APPMON_END_COMPLETE : APPMON_END_GAP);
}

static void reset_frame(struct pipeline *pl, struct conn *c, int dir, const struct frame *f)
{
	struct exchange *ex = exchange_by_id(c, stream_of(f));

	if (ex)
		stream_abandoned(pl, c, ex, is_request(c, dir));
}

/* The server takes no streams above the one that it names. */
static void goaway_frame(struct pipeline *pl, struct conn *c, int dir, const struct frame *f)
{
	struct list_node *n = c->exchanges.next;
	struct exchange *ex;
	uint32_t last;

	if (is_request(c, dir) || f->captured < 4)
		return;
	last = word32(f->bytes) & INT32_MAX;
	while ((ex = exchange_at(c, n))) {
		n = n->next;
		if (ex->message_id & 1 && ex->message_id > last)
			stream_abandoned(pl, c, ex, false);
	}
}

static void take_frame(struct pipeline *pl, struct conn *c, int dir, const struct frame *f)
{
	struct h2_side *s = &http2_of(c)->side[dir];

	s->lost = false;
	s->begun = true;
	if (f->flags & FRAME_AFTER_UNKNOWN && !s->empty)
		direction_lost(pl, c, dir);
	s->empty = false;
	/* What stands between the frames of a block is none of it. */
	if (s->block.stream && f->type != H2_CONTINUATION && f->type != H2_HEADERS &&
	    f->type != H2_PUSH_PROMISE) {
		s->block.lost = true;
		block_done(pl, c, dir, NULL, 0);
	}
	switch (f->type) {
	case H2_HEADERS:
	case H2_PUSH_PROMISE:
		headers_frame(pl, c, dir, f);
		break;
	case H2_CONTINUATION:
		continuation_frame(pl, c, dir, f);
		break;
	case H2_DATA:
		if (c->request_dir)
			data_frame(pl, c, dir, f);
		break;
	case H2_RST_STREAM:
		if (c->request_dir)
			reset_frame(pl, c, dir, f);
		break;
	case H2_GOAWAY:
		if (c->request_dir)
			goaway_frame(pl, c, dir, f);
		break;
	}
}

static void take_passed(struct pipeline *pl, struct conn *c, int dir, const struct passed *passed)
{
	if (!passed->lost)
		return;
	/* All is here, and what stands where the first frame is due is none: only the preface, or the
	 * SETTINGS of who speaks first, look like HTTP/2. A stream that is open waits for its end. */
	if (conn_accounted(c, c->lost) && !http2_of(c)->side[dir].begun &&
	    list_empty(&c->exchanges)) {
		EXPLAIN_CONN(pl, &c->id, "speaks no HTTP/2: there is no frame, %s",
			     dir == DIR_IN ? "in" : "out");
		frames_ignore(&http2_of(c)->frames);
		return;
	}
	direction_lost(pl, c, dir);
	http2_of(c)->side[dir].lost = true;
}

static const struct frame_ops ops = {.row = ROW_HTTP2, .frame = take_frame, .passed = take_passed};

/* ---- the connection as a whole --------------------------------------------------------------- */

/* The client's preface, or as much of it as no HTTP/1 begins with. */
static bool is_preface(const char *bytes, uint32_t n)
{
	return n >= PREFACE_SURE && !memcmp(bytes, PREFACE, n < PREFACE_LEN ? n : PREFACE_LEN);
}

/* A HEADERS frame, and its block tells a pseudo-header field: in the middle of a connection a
 * request or a response often stands alone. */
static bool is_head(const uint8_t *bytes, uint32_t n)
{
	char scratch[HPACK_SCRATCH(LOOK_MAX)];
	struct hpack_block block = {.scratch = scratch};
	struct pool no_memory = {0};
	struct hpack_field field;
	struct hpack table;
	uint32_t len, skip;
	bool pseudo = false;
	int r;

	if (n <= 9 || bytes[3] != H2_HEADERS || !(bytes[4] & H2_END_HEADERS) ||
	    bytes[4] & ~(H2_END_STREAM | H2_END_HEADERS | H2_PRIORITY) || bytes[5] >> 7 ||
	    !word32(bytes + 5))
		return false;
	len = word32(bytes) >> 8;
	skip = bytes[4] & H2_PRIORITY ? 5 : 0;
	if (len <= skip || len > n - 9 || len > LOOK_MAX)
		return false;
	block.at = bytes + 9 + skip;
	block.end = bytes + 9 + len;
	hpack_init(&table, false);
	while ((r = hpack_next(&no_memory, &table, &block, &field)) == HPACK_FIELD)
		pseudo |= field.name.len && field.name.data[0] == ':';
	return r == HPACK_END && pseudo;
}

/* Where the connection was met in the middle: frames, and the last one ends here. */
static bool is_chain(const char *bytes, uint32_t n)
{
	bool exact;
	int frames = frames_chain(ROW_HTTP2, SIDE_REQUEST, bytes, n, &exact);

	return (frames >= 2 && exact) || (frames >= 1 && is_head((const uint8_t *)bytes, n));
}

/* What a server begins with, before the client's preface or behind it. */
static bool is_settings(const char *bytes, uint32_t n)
{
	static const char rest[] = {4, 0, 0, 0, 0, 0}; /* type, flags, stream */
	const uint8_t *p = (const uint8_t *)bytes;

	if (n < 9 || memcmp(bytes + 3, rest, sizeof(rest)) != 0 || p[0] || p[1])
		return false;
	/* The first is one of those that there are; or there is none, and no other frame. */
	return p[2] ? !(p[2] % 6) && n - 9 >= p[2] && !p[9] && p[10] && p[10] <= 9 : n == 9;
}

static bool http2_detect(const char *bytes, uint32_t n)
{
	return is_preface(bytes, n) || is_settings(bytes, n) || is_chain(bytes, n);
}

/* Frames of both sides look alike. */
static enum message http2_begins(const char *bytes, uint32_t n)
{
	return http2_detect(bytes, n) ? MESSAGE_REQUEST : MESSAGE_NONE;
}

static void http2_init(struct conn *c, const uint64_t pos[2])
{
	struct http2 *h = http2_of(c);

	frames_init(&h->frames, &ops, c, pos);
	for (int dir = 0; dir < 2; dir++) {
		h->first[dir] = pos[dir];
		h->side[dir].lost = !c->fresh;
		hpack_init(&h->side[dir].table, c->fresh);
	}
}

void http2_upgraded(struct pipeline *pl, struct conn *c)
{
	struct http2 *h = http2_of(c);
	struct exchange *ex = exchange_at(c, c->exchanges.next), *same;

	h->first_stream = h->last_stream = 1;
	if (!ex)
		return;
	same = exchange_turn(pl, ex, &protocol_http2);
	if (!same) {
		exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory to go on with HTTP/2"));
		exchange_finish(pl, c, ex, APPMON_END_GAP, 0);
		return;
	}
	h2_own(same)->grpc_status = -1;
	h2_own(same)->other = 1;
	exchange_identify(pl, c, same, 1);
}

static void http2_release(struct pipeline *pl, struct conn *c)
{
	struct http2 *h = http2_of(c);

	for (int dir = 0; dir < 2; dir++) {
		block_forget(pl, &h->side[dir].block);
		hpack_free(&pl->pool, &h->side[dir].table);
	}
	frames_release(pl, &h->frames);
}

/* The begin of a connection tells who asks. Frames from its middle do not: block_done(). */
static void http2_role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	struct http2 *h = http2_of(c);

	if (c->request_dir)
		return;
	if (is_preface(bytes, n))
		c->request_dir = (uint8_t)(1 + dir);
	else if (c->fresh && is_settings(bytes, n))
		c->request_dir = (uint8_t)(1 + !dir);
	if (!c->fresh || !c->request_dir)
		return;
	frames_begin(&h->frames, c, dir, h->first[dir], true);
	frames_begin(&h->frames, c, !dir, h->first[!dir], true);
}

static void http2_end(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	frames_end(pl, c);
	for (int dir = 0; dir < 2; dir++)
		if (http2_of(c)->side[dir].block.stream) {
			http2_of(c)->side[dir].block.lost = true;
			block_done(pl, c, dir, NULL, 0);
		}
	exchanges_finish(pl, c, end, flags);
}

/* frames.c wants more than one frame to go on behind what was lost; a head is proof enough. */
static void http2_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct http2 *h = http2_of(c);

	if (h->side[dir].lost && is_head((const uint8_t *)chunk->bytes, chunk->captured))
		frames_begin(&h->frames, c, dir, chunk->pos, false);
	frames_data(pl, c, dir, chunk);
}

static void http2_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	frames_progress(pl, c, dir, ts_ns);
	if (stream_ends(&c->stream[dir]) && c->request_dir && !is_request(c, dir))
		http2_end(pl, c, APPMON_END_CLOSED, 0);
}

static void http2_stream(struct pipeline *pl, struct conn *c)
{
	struct list_node *n = c->exchanges.next;
	struct exchange *ex;

	while ((ex = exchange_at(c, n))) {
		n = n->next;
		if (ex->response_begun)
			exchange_tell(pl, c, ex);
	}
}

/* A record that is lost may have held header blocks of both directions. */
static void http2_doubt(struct pipeline *pl, struct conn *c, bool lost)
{
	if (!lost)
		return;
	direction_lost(pl, c, DIR_IN);
	direction_lost(pl, c, DIR_OUT);
}

static void http2_missed(struct pipeline *pl, struct conn *c)
{
	http2_doubt(pl, c, true);
}

const struct protocol protocol_http2 = {
	.id = APPMON_PROTO_HTTP2,
	.conn_size = sizeof(struct http2),
	.exchange_size = sizeof(struct h2_stream),
	.detect = http2_detect,
	.begins = http2_begins,
	.init = http2_init,
	.release = http2_release,
	.role = http2_role,
	.data = http2_data,
	.progress = http2_progress,
	.framed = frames_framed,
	.stream = http2_stream,
	.doubt = http2_doubt,
	.missed = http2_missed,
	.end = http2_end,
	.event_bytes = http2_event_bytes,
	.fill = http2_fill,
};
