/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The records of each direction (RFC 8446 section 5.1): a head of five bytes and so many bytes as it
 * says. Bodies are counted, but for hellos and alerts that are not encrypted. Whoever misses a head
 * does not know where the next one is: it is found again where the direction speaks after the
 * other, with a head as its first bytes.
 */
#include "protocol/tls/tls.h"

bool is_record(const uint8_t *head, uint32_t n)
{
	uint32_t len = n == RECORD_HEAD ? (uint32_t)head[3] << 8 | head[4] : 0;

	return (n < 1 || (head[0] >= TLS_CCS && head[0] <= TLS_DATA + 1)) &&
	       (n < 2 || head[1] == 3) && (n < 3 || head[2] <= 4) && len <= RECORD_MAX;
}

void records_begin(struct tls_side *s, uint64_t pos)
{
	s->end = pos;
	s->left = 0;
	s->head_len = 0;
	s->alert_len = 0;
	s->lost = false;
}

void records_free(struct pipeline *pl, struct tls_side *s)
{
	pool_free(&pl->pool, s->hello);
	s->hello = NULL;
}

/* ---- hellos ---------------------------------------------------------------------------------- */

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

/* Body of a record of the handshake. */
static void hello_add(struct pipeline *pl, struct conn *c, int dir, const uint8_t *bytes,
		      uint32_t n, uint64_t ts_ns)
{
	struct tls_side *s = &tls_of(c)->side[dir];

	while (n && !s->hello_done) {
		uint32_t size = s->hello ? hello_size(s->hello) : 4, m;

		if (!hello_reserve(pl, s, size)) {
			records_free(pl, s);
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

/* ---- bytes ----------------------------------------------------------------------------------- */

static bool is_readable(const struct tls_side *s, uint8_t type)
{
	return !s->encrypts && s->record.type == type;
}

static void body(struct pipeline *pl, struct conn *c, int dir, const uint8_t *bytes, uint32_t n,
		 uint64_t ts_ns)
{
	struct tls_side *s = &tls_of(c)->side[dir];

	if (is_readable(s, TLS_HANDSHAKE))
		hello_add(pl, c, dir, bytes, n, ts_ns);
	for (uint32_t i = 0; i < n && is_readable(s, TLS_ALERT) && s->alert_len < 2; i++)
		s->alert[s->alert_len++] = bytes[i];
}

static void record_passed(struct pipeline *pl, struct conn *c, int dir, uint32_t n, uint64_t ts_ns)
{
	struct tls_side *s = &tls_of(c)->side[dir];

	s->left -= n;
	if (s->left || s->head_len < RECORD_HEAD)
		return;
	s->head_len = 0;
	tls_record_ends(pl, c, dir, ts_ns);
	s->alert_len = 0;
}

/* The first of them is at s->end. */
static void take(struct pipeline *pl, struct conn *c, int dir, const uint8_t *bytes, uint32_t n,
		 const struct chunk *chunk)
{
	struct tls_side *s = &tls_of(c)->side[dir];

	while (n && !s->lost) {
		uint32_t m = 1;

		if (s->head_len == RECORD_HEAD) {
			m = s->left < n ? s->left : n;
			body(pl, c, dir, bytes, m, chunk->ts_ns);
			s->end += m;
			record_passed(pl, c, dir, m, chunk->ts_ns);
		} else {
			if (!s->head_len)
				s->record.start = (struct start){.pos = s->end,
								 .other_pos = chunk->other_pos,
								 .ts_ns = chunk->ts_ns};
			s->head[s->head_len++] = *bytes;
			if (!is_record(s->head, s->head_len)) {
				tls_lose(pl, c, dir, WHY("no record begins where one is due"));
				return;
			}
			s->end++;
			if (s->head_len == RECORD_HEAD) {
				s->record.type = s->head[0];
				s->record.len = (uint32_t)s->head[3] << 8 | s->head[4];
				s->left = s->record.len;
				tls_record_begins(pl, c, dir);
				if (!s->left)
					record_passed(pl, c, dir, 0, chunk->ts_ns);
			}
		}
		bytes += m;
		n -= m;
	}
}

void records_pass(struct pipeline *pl, struct conn *c, int dir, uint64_t to, uint64_t ts_ns)
{
	struct tls_side *s = &tls_of(c)->side[dir];

	while (!s->lost && s->end < to) {
		uint64_t n = to - s->end;

		if (s->head_len < RECORD_HEAD) {
			tls_lose(pl, c, dir, WHY("the head of a record was not captured"));
			return;
		}
		if (n > s->left)
			n = s->left;
		if (is_readable(s, TLS_HANDSHAKE) && !s->hello_done) {
			/* What is here of the hello is all that there will be. */
			if (s->hello)
				hello_end(pl, c, dir, ts_ns);
			s->hello_done = true;
		}
		s->end += n;
		record_passed(pl, c, dir, (uint32_t)n, ts_ns);
	}
}

void records_take(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct tls_side *s = &tls_of(c)->side[dir];
	const uint8_t *bytes = (const uint8_t *)chunk->bytes;
	uint64_t end = chunk->pos + chunk->len;
	uint32_t skip = 0, unseen = chunk->len - chunk->captured, tail;

	if (s->lost) {
		if (!(chunk->flags & CHUNK_TURN) || chunk->captured < RECORD_HEAD ||
		    !is_record(bytes, RECORD_HEAD))
			return;
		records_begin(s, chunk->pos);
	}
	records_pass(pl, c, dir, chunk->pos, chunk->ts_ns);
	if (s->end > chunk->pos) { /* a cut line is repeated */
		if (s->end - chunk->pos >= chunk->captured)
			skip = chunk->captured;
		else
			skip = (uint32_t)(s->end - chunk->pos);
	}
	take(pl, c, dir, bytes + skip, chunk->captured - skip, chunk);
	tail = unseen < chunk->tail_len ? unseen : chunk->tail_len;
	records_pass(pl, c, dir, end - tail, chunk->ts_ns);
	if (tail && !s->lost && s->end == end - tail)
		take(pl, c, dir, (const uint8_t *)chunk->tail + chunk->tail_len - tail, tail,
		     chunk);
}
