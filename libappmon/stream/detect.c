/* SPDX-License-Identifier: BSD-2-Clause */
/* Which protocol a connection speaks: its first message tells. */
#include <string.h>

#include "protocol/protocol.h"
#include "stream/stream.h"

/* As much of a first message that comes in pieces as is looked at. */
#define FIRST_BYTES 256

/* The first message of a connection tells what it speaks: this chunk begins it, or continues what
 * there is of it. */
static void detect(struct flows *f, struct conn *c, int dir, const struct chunk *chunk,
		   const struct first *first)
{
	uint64_t skip = first->start.pos + first->len - chunk->pos; /* a cut line is repeated */
	uint32_t len = first->len, n;
	const char *bytes;
	static const char unknown[CHUNK_BEFORE];
	const struct protocol *protocol;
	struct chunk before = *chunk;
	char joined[FIRST_BYTES];
	uint64_t pos[2] = {0};

	if (len >= sizeof(joined) || skip >= chunk->captured)
		return;
	bytes = chunk->bytes + skip;
	n = chunk->captured - (uint32_t)skip;
	if (len) {
		if (n > sizeof(joined) - len)
			n = (uint32_t)sizeof(joined) - len;
		memcpy(joined, first->bytes, len);
		memcpy(joined + len, bytes, n);
		bytes = joined;
		n += len;
	}
	protocol = protocol_detect(target_of(f->pl, &c->id), c, bytes, n);
	if (!protocol || protocol == c->protocol)
		return;
	pos[dir] = first->start.pos;
	before.ts_ns = first->start.ts_ns;
	c->protocol->release(f->pl, c);
	conn_speaks(c, protocol, pos);
	if (chunk->flags & CHUNK_LOST)
		protocol->doubt(f->pl, c, true);
	EXPLAIN_CONN(f->pl, &c->id, "speaks %s", appmon_protocol_name(protocol->id));
	protocol->role(c, dir, bytes, n);
	if (!len)
		return;
	before.pos = first->start.pos;
	before.bytes = joined;
	before.captured = before.len = len;
	before.tail_len = len < CHUNK_TAIL ? len : CHUNK_TAIL;
	before.tail = joined + len - before.tail_len;
	before.before = unknown;
	protocol->data(f->pl, c, dir, &before);
}

/* Nothing of the connection has been understood, and there may be another protocol to try. */
static void detect_first(struct flows *f, struct conn *c, int dir, const struct chunk *chunk)
{
	const struct target *target = target_of(f->pl, &c->id);
	struct first here = {0}, there = {0};
	bool begun;

	if (!target || (!(target->protocols & ~(1U << c->protocol->id)) && !target->port_count))
		return;
	begun = c->protocol->first(c, dir, &here);
	c->protocol->first(c, !dir, &there);
	/* The programs mark the first message only, which may have told too little. Of a frame they
	 * know that it is one, not of which protocol. */
	if (!c->request_dir && (chunk->flags & (CHUNK_STARTS | CHUNK_FRAME))) {
		/* What it begins stands alone, wherever on the connection. */
		if (here.len || there.len)
			return;
		here.start.pos = chunk->pos;
	} else if (!c->fresh || !begun || c->request_dir == 1 + !dir) {
		return;
	}
	detect(f, c, dir, chunk, &here);
}

void chunk_tells(struct flows *f, struct conn *c, int dir, const struct chunk *chunk)
{
	bool starts = chunk->flags & CHUNK_STARTS;

	if (chunk->captured && !c->ordinal && c->protocol->first)
		detect_first(f, c, dir, chunk);
	if (chunk->captured && !c->request_dir && starts)
		c->protocol->role(c, dir, chunk->bytes, chunk->captured);
	if (starts && (chunk->flags & CHUNK_TURN) && c->protocol->turn)
		c->protocol->turn(f->pl, c, !dir, chunk);
}
