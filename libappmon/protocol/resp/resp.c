/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RESP, the protocol of Redis and its kin (RESP2 and RESP3): values in both directions, and which
 * reply answers which command. Replies come in the order of the commands.
 *
 * A value is a line, or a line that says how many bytes or how many values follow. The bytes are
 * counted, not looked at, except for a command's name, its first argument and the first word of a
 * reply. Of nested values one number is kept: how many are to come. Whoever misses a line
 * does not know where the next value begins, nor how many commands wait for a reply: then
 * everything outstanding ends, and the connection is taken up again after a silence. What comes
 * until then counts as dropped, one for each time that the client speaks.
 *
 * One command has one reply, but for CLIENT REPLY, and for subscriptions: these are confirmed one
 * by one, by arrays in RESP2 and by pushes in RESP3, among messages that answer nothing.
 *
 * Secrets: the arguments of AUTH and HELLO stay here, and of any command all but the first. Errors
 * may repeat arguments: see told_of_error().
 *
 * This is the smaller protocol of two: begin with it to see what one needs.
 */
#include "protocol/resp/resp.h"

/* ---- detection ------------------------------------------------------------------------------- */

/* A command is an array of bulk strings: "*2\r\n$3\r\nGET...". */
static bool is_array(const char *bytes, uint32_t n)
{
	return n && bytes[0] == '*' &&
	       (n == 1 || (bytes[1] >= '0' && bytes[1] <= '9') || bytes[1] == '-');
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * A line of words, as people type it and proxies ask whether a server is alive: "PING\r\n". HTTP's
 * request line ends with its version; what HTTP/0.9 sent without one begins with a path.
 */
static bool is_inline(const char *bytes, uint32_t n)
{
	const char *lf = memchr(bytes, '\n', n), *space;

	if (!lf && n && bytes[n - 1] == '\r')
		lf = bytes + n - 1; /* it comes with the next segment */
	if (!lf || !is_letter(bytes[0]))
		return false;
	n = (uint32_t)(lf - bytes);
	for (uint32_t i = 0; i < n; i++)
		if (n - i >= 6 && (bytes[i] == ' ' || bytes[i] == '\t') &&
		    !strncasecmp(bytes + i + 1, "HTTP/", 5))
			return false;
	space = memchr(bytes, ' ', n);
	return !space || space + 1 == lf || space[1] != '/';
}

static bool resp_detect(const char *bytes, uint32_t n)
{
	while (n && (*bytes == '\r' || *bytes == '\n')) {
		bytes++;
		n--;
	}
	return is_array(bytes, n) || is_inline(bytes, n);
}

/* On a connection that was met in the middle an array can also be a reply. A command is a word. */
static bool is_command(const char *bytes, uint32_t n)
{
	const char *end = bytes + n, *p = memchr(bytes, '\n', n), *name;

	if (!p || p + 1 >= end || p[1] != '$')
		return false;
	name = memchr(p + 1, '\n', (size_t)(end - p) - 1);
	for (p = name ? name + 1 : end; p < end && is_letter(*p); p++)
		;
	return name && p - name > 2 && p < end && strchr("\r._-|", *p);
}

static enum message resp_begins(const char *bytes, uint32_t n)
{
	if (is_command(bytes, n))
		return MESSAGE_REQUEST;
	return n && memchr("+-:$_,#(=!*%~>|", bytes[0], 15) ? MESSAGE_RESPONSE : MESSAGE_NONE;
}

static void resp_role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	if (c->serves)
		c->request_dir = c->serves;
	else if (resp_detect(bytes, n) && (c->fresh || is_command(bytes, n)))
		c->request_dir = (uint8_t)(1 + dir);
}

/* ---- the connection as a whole --------------------------------------------------------------- */

static void resp_init(struct conn *c, const uint64_t pos[2])
{
	for (int dir = 0; dir < 2; dir++) {
		struct side *s = side_of(c, dir);

		s->in = &c->stream[dir];
		if (c->fresh)
			values_begin(s, pos[dir]);
	}
}

static void resp_release(struct pipeline *pl, struct conn *c)
{
	pool_free(&pl->pool, side_of(c, DIR_IN)->text);
	pool_free(&pl->pool, side_of(c, DIR_OUT)->text);
}

static void resp_end(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	exchanges_finish(pl, c, end, flags);
	for (int dir = 0; dir < 2; dir++) {
		struct side *s = side_of(c, dir);

		pool_free(&pl->pool, s->text);
		s->text = NULL;
		if (s->phase != PHASE_TUNNEL)
			s->phase = PHASE_SYNC;
	}
}

/* A line was missed, or what came is no RESP. why: WHY() */
void resp_lose(struct pipeline *pl, struct conn *c, const char *why)
{
	if (!resp_of(c)->broken)
		EXPLAIN(APPMON_LOG_DEBUG, pl, &c->id, "pairing is given up: %s", why);
	resp_end(pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	c->gapped = 1;
	resp_of(c)->broken = true;
}

/* Replies are paired by counting: any record that is lost may have held some. */
static void resp_doubt(struct pipeline *pl, struct conn *c, bool lost)
{
	if (lost)
		resp_lose(pl, c, WHY("a record was lost"));
}

static void resp_missed(struct pipeline *pl, struct conn *c)
{
	resp_lose(pl, c, WHY("commands were missed"));
}

/* Replicas get a stream of commands from now on, not replies. */
void resp_replicate(struct pipeline *pl, struct conn *c)
{
	resp_end(pl, c, APPMON_END_UPGRADED, APPMON_EVF_UPGRADED);
	side_of(c, DIR_IN)->phase = side_of(c, DIR_OUT)->phase = PHASE_TUNNEL;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Is this a command that the connection can be taken up at again? */
static bool resume(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct side *other = side_of(c, !dir);

	if (!is_request(c, dir) || !(chunk->flags & CHUNK_TURN) ||
	    !is_array(chunk->bytes, chunk->captured))
		return false;
	if (resp_of(c)->broken && !conn_was_quiet(c, chunk, QUIET_NS)) {
		exchange_refuse(pl, c, APPMON_DROP_GAP,
				WHY("commands, and pairing has been given up"));
		return false;
	}
	if (resp_of(c)->broken)
		EXPLAIN_CONN(pl, &c->id, "a silence: pairing begins anew");
	resp_of(c)->broken = false;
	values_begin(side_of(c, dir), chunk->pos);
	if (other->in->known && other->phase != PHASE_TUNNEL)
		values_begin(other, chunk->other_pos);
	return true;
}

static void resp_data(struct pipeline *pl, struct conn *c, int dir, const struct chunk *chunk)
{
	struct side *s = side_of(c, dir);

	if (s->phase == PHASE_SYNC && !resume(pl, c, dir, chunk))
		return;
	if (s->phase == PHASE_VALUES)
		values_take(pl, c, dir, chunk);
}

static void resp_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	struct side *s = side_of(c, dir);

	if (s->phase == PHASE_VALUES && s->in->seen > s->end &&
	    (!text_of(pl, s) || !values_pass(pl, c, dir, s->in->seen, ts_ns)))
		resp_lose(pl, c, WHY("no memory, or a line was not captured"));
	if (stream_ends(&c->stream[dir]) && !is_request(c, dir))
		resp_end(pl, c, APPMON_END_CLOSED, 0);
}

const struct protocol protocol_resp = {
	.id = APPMON_PROTO_RESP,
	.conn_size = sizeof(struct resp),
	.exchange_size = sizeof(struct pending),
	.detect = resp_detect,
	.begins = resp_begins,
	.init = resp_init,
	.release = resp_release,
	.role = resp_role,
	.data = resp_data,
	.progress = resp_progress,
	.doubt = resp_doubt,
	.missed = resp_missed,
	.end = resp_end,
	.event_bytes = resp_event_bytes,
	.fill = resp_fill,
};
