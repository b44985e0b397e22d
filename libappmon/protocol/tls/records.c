/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records (RFC 8446 section 5.1) come as frames, which frames.c cuts. A message of the handshake can
 * go over several of them: hellos are gathered here, up to HELLO_MAX bytes.
 */
#include "protocol/tls/tls.h"

void records_forget(struct pipeline *pl, struct tls_side *s)
{
	pool_free(&pl->pool, s->hello);
	s->hello = NULL;
}

static void hello_end(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	struct tls_side *s = &tls_of(c)->side[dir];
	struct message_buffer *hello = s->hello;
	struct tls_hello said;

	s->hello = NULL;
	s->hello_done = true;
	if (tls_hello_parse(hello->bytes, hello->len, &said))
		tls_hello(pl, c, dir, &said, ts_ns);
	pool_free(&pl->pool, hello);
}

/* A message: how long it is, as far as it is kept. */
static uint32_t hello_size(const struct message_buffer *m)
{
	uint32_t len;

	if (m->len < 4)
		return 4;
	len = 4 + ((uint32_t)m->bytes[1] << 16 | (uint32_t)m->bytes[2] << 8 | m->bytes[3]);
	return len < HELLO_MAX ? len : HELLO_MAX;
}

static bool hello_reserve(struct pipeline *pl, struct tls_side *s, uint32_t room)
{
	struct message_buffer *more;

	if (s->hello && s->hello->room >= room)
		return true;
	more = pool_alloc(&pl->pool, sizeof(*more) + room);
	if (!more)
		return false;
	more->len = 0;
	more->room = room;
	if (s->hello) {
		more->len = s->hello->len;
		memcpy(more->bytes, s->hello->bytes, s->hello->len);
		pool_free(&pl->pool, s->hello);
	}
	s->hello = more;
	return true;
}

/* What was copied of a record's body. */
static void hello_add(struct pipeline *pl, struct conn *c, int dir, const uint8_t *bytes,
		      uint32_t n, uint64_t ts_ns)
{
	struct tls_side *s = &tls_of(c)->side[dir];

	while (n && !s->hello_done) {
		uint32_t size = s->hello ? hello_size(s->hello) : 4, m;

		if (!hello_reserve(pl, s, size)) {
			records_forget(pl, s);
			s->hello_done = true; /* nothing is told of it */
			return;
		}
		m = size - s->hello->len;
		if (m > n)
			m = n;
		memcpy(s->hello->bytes + s->hello->len, bytes, m);
		s->hello->len += m;
		bytes += m;
		n -= m;
		if (s->hello->len >= 4 && s->hello->len == hello_size(s->hello))
			hello_end(pl, c, dir, ts_ns);
	}
}

static void take_record(struct pipeline *pl, struct conn *c, int dir, const struct frame *f)
{
	struct tls_side *s = &tls_of(c)->side[dir];

	s->record = (struct tls_record){
		.start = frame_start(f),
		.end_ns = f->end_ns,
		.len = f->total - f->header,
		.type = (uint8_t)f->type,
	};
	s->lost = false;
	s->cut = f->flags & FRAME_CUT;
	if (f->type == TLS_HANDSHAKE && !s->encrypts) {
		hello_add(pl, c, dir, f->bytes, f->captured, f->end_ns);
		/* What is here of the hello is all that there will be. */
		if (f->captured < s->record.len && s->hello)
			hello_end(pl, c, dir, f->end_ns);
		if (f->captured < s->record.len)
			s->hello_done = true;
	}
	tls_record(pl, c, dir, f->bytes, f->captured);
}

static void take_passed(struct pipeline *pl, struct conn *c, int dir, const struct passed *passed)
{
	if (passed->lost)
		tls_lose(pl, c, dir, WHY("no record begins where one is due"));
}

const struct frame_ops records_ops = {.row = ROW_TLS, .frame = take_record, .passed = take_passed};
