/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS as it is on the wire, without its plaintext: what the hellos say, handshakes that fail, and an
 * exchange for each time that the server speaks after the client. Such an exchange is opaque: what
 * was asked is not known, only who, when and how much.
 *
 * Up to TLS 1.2 the handshake has records of its own kind. TLS 1.3 hides its end: it looks like the
 * applications' data. The client's part ends with its Finished, whose length is known by the
 * cipher's hash. The server's tickets come when it likes, and can be taken for the begin of its first
 * response: so the first exchange of a connection says APPMON_EVF_AMBIGUOUS.
 *
 * A response ends where the next request begins, or the connection: until then it may go on.
 */
#include "protocol/tls/tls.h"

/* ---- detection ------------------------------------------------------------------------------- */

static bool is_client_hello(const uint8_t *b, uint32_t n)
{
	return b[0] == TLS_HANDSHAKE && (n <= RECORD_HEAD || b[RECORD_HEAD] == TLS_CLIENT_HELLO);
}

/* A client's hello, or a record of data: then the connection was met in the middle. */
static bool tls_detect(const char *bytes, uint32_t n)
{
	const uint8_t *b = (const uint8_t *)bytes;
	bool exact;

	return n >= RECORD_HEAD && frames_chain(ROW_TLS, SIDE_REQUEST, b, n, &exact) >= 0 &&
	       (is_client_hello(b, n) || (b[0] == TLS_DATA && b[2] >= 1 && b[2] <= 3));
}

static enum message tls_begins(const char *bytes, uint32_t n)
{
	if (!tls_detect(bytes, n))
		return MESSAGE_NONE;
	return n > RECORD_HEAD && is_client_hello((const uint8_t *)bytes, n) ? MESSAGE_REQUEST
									     : MESSAGE_RESPONSE;
}

static void tls_role(struct conn *c, int dir, const char *bytes, uint32_t n)
{
	if (c->serves)
		c->request_dir = c->serves;
	else if (c->fresh && n && is_client_hello((const uint8_t *)bytes, n))
		c->request_dir = (uint8_t)(1 + dir);
}

/* ---- exchanges ------------------------------------------------------------------------------- */

/* The newest, which is the only one. */
static struct exchange *exchange_open(struct conn *c)
{
	return exchange_at(c, c->exchanges.prev);
}

static void keep_asked(struct pipeline *pl, struct conn *c, struct exchange *ex, bool handshake)
{
	struct tls_asked *asked = tls_keep(pl, c, handshake);

	if (!asked) {
		exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for what the hellos said"));
		return;
	}
	ex->request = asked;
}

static void keep_answer(struct pipeline *pl, struct exchange *ex, int alert, bool by_client)
{
	struct tls_answer *answer = pool_alloc_evicting(&pl->pool, sizeof(*answer));

	if (!answer) {
		exchange_spoil(ex, APPMON_DROP_MEMORY, WHY("no memory for a response"));
		return;
	}
	answer->alert = alert;
	answer->by_client = by_client;
	ex->response = answer;
}

/* A burst of the client's begins. */
static struct exchange *request_begins(struct pipeline *pl, struct conn *c,
				       const struct start *start)
{
	struct tls *t = tls_of(c);
	struct exchange *ex = exchange_open(c);
	int dir = c->request_dir - 1;

	if (ex)
		ex->response_done = 1;
	/* One waits: its plaintext may be on its way. */
	if (!c->wire || !ex || c->exchanges.next != &ex->link)
		exchanges_settle(pl, c);
	ex = exchange_new(pl, c);
	if (!ex)
		return NULL;
	keep_asked(pl, c, ex, false);
	exchange_request(pl, c, ex, dir, start);
	if (pl->causes.buckets) {
		struct trace_fields none = {0};

		cause_request(pl, c, ex, dir, &none);
	}
	if (t->first)
		ex->flags |= APPMON_EVF_AMBIGUOUS;
	t->first = false;
	t->orphan = false;
	return ex;
}

static uint32_t tag_of(const struct tls_told *told)
{
	enum { AES_128_CCM_8_SHA256 = 0x1305 };

	return told->cipher == AES_128_CCM_8_SHA256 ? 8 : 16;
}

/* ---- what plaintext takes from the wire ------------------------------------------------------ */

static struct tls_wire *wire_of(struct pipeline *pl, struct conn *c)
{
	if (!c->wire && (pl->flags & APPMON_OPEN_TLS))
		c->wire = pool_zalloc_evicting(&pl->pool, sizeof(*c->wire));
	return c->wire;
}

/* What encryption adds to each record; 0: not known, or not always the same (RFC 5288, 7905, 8446). */
static uint32_t overhead_of(const struct tls_told *told)
{
	if (!told || !told->cipher)
		return 0;
	if (told->version >= TLS_1_3)
		return 1 + tag_of(told);
	switch (told->cipher) {
	case 0x009c: /* AES-GCM: RSA, */
	case 0x009d:
	case 0x009e: /* DHE-RSA, */
	case 0x009f:
	case 0xc02b: /* ECDHE-ECDSA, */
	case 0xc02c:
	case 0xc02f: /* ECDHE-RSA */
	case 0xc030:
		return 8 + 16;
	case 0xcca8: /* ChaCha20-Poly1305 */
	case 0xcca9:
	case 0xccaa:
		return 16;
	default:
		return 0;
	}
}

/* The begin of one that left: of a connection whose hellos are not known it tells the session. */
static void carry_begin(struct tls_wire *w, const struct tls_record *r, const uint8_t *body)
{
	const uint8_t head[RECORD_HEAD] = {r->type, 3, 3, (uint8_t)(r->len >> 8), (uint8_t)r->len};
	uint8_t *to;

	if (w->records == WIRE_RECORDS)
		return;
	to = w->record[w->records++];
	memcpy(to, head, RECORD_HEAD);
	memcpy(to + RECORD_HEAD, body, TLS_RECORD_BYTES - RECORD_HEAD);
}

/* A record of the applications' data has passed. */
static void carry_data(struct pipeline *pl, struct conn *c, int dir, const struct tls_record *r)
{
	struct carrier carrier = {.start_ns = r->start.ts_ns,
				  .end_ns = r->end_ns,
				  .seq = stream_seq(&c->stream[dir], r->start.pos)};
	uint32_t overhead = overhead_of(tls_of(c)->told);
	struct tls_wire *w = wire_of(pl, c);

	if (!w)
		return;
	if (overhead && r->len > overhead)
		carrier.len = r->len - overhead;
	w->lost = false;
	carrier.pos = w->bytes[dir];
	w->bytes[dir] += carrier.len;
	w->carrier[dir][w->carried[dir]++ % CARRIERS] = carrier;
	w->turn[dir].end_ns = carrier.end_ns;
	if (w->last == 1U + (unsigned int)dir)
		return;
	w->last = 1U + (unsigned int)dir;
	w->turn[dir] = carrier;
}

/* The hello that this socket has sent, not one that it got: that can have met another socket. */
static void carry_hello(struct pipeline *pl, struct conn *c, const struct tls_hello *h,
			uint64_t ts_ns)
{
	struct tls_wire *w = wire_of(pl, c);

	if (!w || h->retry || w->tagged)
		return;
	memcpy(w->tag, h->random, sizeof(w->tag));
	w->client = h->type == TLS_CLIENT_HELLO;
	w->hello_ns = ts_ns;
	w->cookie = c->id.cookie;
	w->pid = pl->owner ? pl->owner->sender_pid : 0;
}

/* ---- exchanges on the wire ------------------------------------------------------------------- */

static void request_data(struct pipeline *pl, struct conn *c, const struct tls_record *r)
{
	struct exchange *ex = exchange_open(c);

	carry_data(pl, c, c->request_dir - 1, r);
	if (c->plain)
		return;
	if (!ex || ex->response_begun)
		ex = request_begins(pl, c, &r->start);
	if (ex)
		ex->request_body += RECORD_HEAD + (uint64_t)r->len;
}

static void response_data(struct pipeline *pl, struct conn *c, const struct tls_record *r)
{
	struct tls *t = tls_of(c);
	struct exchange *ex = exchange_open(c);

	if (c->plain || ex || !t->first)
		carry_data(pl, c, 2 - c->request_dir, r);
	if (c->plain)
		return;
	if (!ex && t->first)
		return; /* tickets */
	if (!ex) {
		if (!t->orphan)
			exchange_refuse(pl, c, APPMON_DROP_ORPHAN,
					WHY("data of a server, and no request is open"));
		t->orphan = true;
		return;
	}
	if (!ex->response_begun) {
		ex->request_done = 1;
		exchange_response(pl, c, ex, 2 - c->request_dir, &r->start);
		keep_answer(pl, ex, ALERT_NONE, false);
	}
	ex->response_body += RECORD_HEAD + (uint64_t)r->len;
}

/* ---- handshakes ------------------------------------------------------------------------------ */

/* One that ends without success is an exchange of its own. alert: or ALERT_NONE. dir: of whom ended
 * it. */
static void handshake_fails(struct pipeline *pl, struct conn *c, int dir, int alert, uint64_t ts_ns,
			    uint32_t end, uint64_t flags)
{
	struct tls *t = tls_of(c);
	bool by_client = is_request(c, dir) || t->hidden;
	struct exchange *ex;

	t->phase = TLS_FAILED;
	if (alert == ALERT_NONE && t->hidden)
		alert = ALERT_HIDDEN;
	if (!c->request_dir || !t->client_end_ns)
		return; /* its begin was not seen */
	ex = exchange_new(pl, c);
	if (!ex)
		return;
	keep_asked(pl, c, ex, true);
	exchange_request(pl, c, ex, c->request_dir - 1, &t->client);
	ex->request_end_ns = t->client_end_ns;
	ex->request_done = 1;
	if (t->server_ns || alert != ALERT_NONE) {
		struct start start = {.pos = c->stream[2 - c->request_dir].seen,
				      .ts_ns = t->server_ns ? t->server_ns : ts_ns};

		exchange_response(pl, c, ex, 2 - c->request_dir, &start);
		keep_answer(pl, ex, alert, by_client);
		ex->response_end_ns = t->server_end_ns ? t->server_end_ns : ts_ns;
	}
	if (alert < 0) {
		exchange_finish(pl, c, ex, end, flags);
		return;
	}
	if (!by_client)
		ex->response_end_ns = ts_ns;
	ex->response_done = 1;
	exchanges_settle(pl, c);
}

static void take_alert(struct pipeline *pl, struct conn *c, int dir, const uint8_t *alert,
		       uint32_t n)
{
	enum { WARNING = 1, CLOSE_NOTIFY = 0, USER_CANCELED = 90 };
	struct tls *t = tls_of(c);
	const struct tls_side *s = &t->side[dir];

	if (t->phase == TLS_OPEN || t->phase == TLS_FAILED || s->encrypts || n < 2)
		return;
	if (alert[0] == WARNING && alert[1] != CLOSE_NOTIFY && alert[1] != USER_CANCELED)
		return; /* such as unrecognized_name: it goes on */
	handshake_fails(pl, c, dir, alert[1], s->record.end_ns, APPMON_END_COMPLETE, 0);
}

/* JSSE pads each record of TLS 1.3 by so much. */
#define PADDING 16

/* A record of this length can be a Finished: its type, hash, the hidden content type and the tag. */
static bool is_finished(const struct tls_told *told, uint32_t len)
{
	enum { AES_256_GCM_SHA384 = 0x1302 };
	uint32_t finished = 4 + (told->cipher == AES_256_GCM_SHA384 ? 48 : 32) + 1 + tag_of(told);

	return len == finished || len == finished + PADDING;
}

/* Likewise an alert. The shortest message of a handshake that a client can begin with is longer. */
static bool is_alert(const struct tls_told *told, uint32_t len)
{
	uint32_t alert = 2 + 1 + tag_of(told);

	return len == alert || len == alert + PADDING;
}

/* TLS 1.3, the client's encrypted records until its Finished. */
static void hidden_of_client(struct pipeline *pl, struct conn *c, const struct tls_record *r)
{
	struct tls *t = tls_of(c);

	if (is_finished(t->told, r->len)) {
		/* What came before was its certificate. */
		t->phase = TLS_OPEN;
		t->hidden = false;
		t->flight_bytes = 0;
	} else if (t->early) {
		request_data(pl, c, r);
	} else if (!t->spoken) {
		t->hidden = is_alert(t->told, r->len);
	} else {
		carry_data(pl, c, c->request_dir - 1, r);
		if (!t->flight_bytes)
			t->flight = r->start;
		t->flight_bytes += RECORD_HEAD + (uint64_t)r->len;
	}
	t->spoken = true;
}

/* The server speaks again, and no Finished was recognised: it shared a record with what stood before
 * it. Behind that record the client has spoken for itself. */
static void hidden_is_over(struct pipeline *pl, struct conn *c)
{
	struct tls *t = tls_of(c);
	struct exchange *ex;

	t->phase = TLS_OPEN;
	t->hidden = false;
	if (!t->flight_bytes || c->plain)
		return;
	ex = request_begins(pl, c, &t->flight);
	if (!ex)
		return;
	ex->request_body = t->flight_bytes;
	ex->request_end_ns = t->flight_end_ns;
}

/* ---- data ------------------------------------------------------------------------------------ */

static void data_of(struct pipeline *pl, struct conn *c, int dir, const struct tls_record *r)
{
	if (is_request(c, dir))
		request_data(pl, c, r);
	else
		response_data(pl, c, r);
}

static void data_passed(struct conn *c, int dir, uint64_t ts_ns)
{
	struct tls *t = tls_of(c);
	struct exchange *ex = exchange_open(c);

	if (is_request(c, dir) && t->phase == TLS_HIDDEN && t->flight_bytes)
		t->flight_end_ns = ts_ns;
	if (!ex)
		return;
	if (is_request(c, dir) && !ex->response_begun && ex->request_body)
		ex->request_end_ns = ts_ns;
	if (!is_request(c, dir) && ex->response_begun)
		ex->response_end_ns = ts_ns;
}

/*
 * TLS 1.3 hides alerts, too: close_notify is a record of data like any other. One of an alert's
 * length waits: if more comes, it was data. Two bytes alone are no message of an application; but
 * 18, as many as JSSE's padding makes of them, can be, and are taken for one where one is due.
 */
static bool can_close(struct conn *c, int dir, const struct tls_record *r)
{
	static const struct tls_told unknown = {.version = TLS_1_3};
	const struct tls_told *told = tls_of(c)->told ? tls_of(c)->told : &unknown;
	struct exchange *ex = exchange_open(c);
	bool due = ex && !ex->response_begun;

	return told->version >= TLS_1_3 && is_alert(told, r->len) &&
	       (!due || r->len == 2 + 1 + tag_of(told));
}

static void closing_was_data(struct pipeline *pl, struct conn *c)
{
	struct tls *t = tls_of(c);

	for (int i = 0; i < 2 && c->request_dir; i++) {
		int dir = i ? 2 - c->request_dir : c->request_dir - 1; /* the client's first */
		struct tls_record closing = t->closing[dir];

		t->closing[dir].len = 0;
		if (!closing.len)
			continue;
		data_of(pl, c, dir, &closing);
		data_passed(c, dir, closing.end_ns);
	}
}

/* False: it waits. */
static bool take_data(struct pipeline *pl, struct conn *c, int dir)
{
	struct tls *t = tls_of(c);
	const struct tls_record *r = &t->side[dir].record;
	bool client = is_request(c, dir);

	if (!c->request_dir)
		carry_data(pl, c, dir, r);
	if (!c->request_dir || t->phase == TLS_FAILED)
		return true;
	if (t->phase == TLS_HELLOS && client && t->client_end_ns) {
		t->early = true;
		request_data(pl, c, r);
		return true;
	}
	if (t->phase == TLS_HELLOS || t->phase == TLS_OLD)
		t->phase = TLS_OPEN;
	if (t->phase == TLS_HIDDEN && client) {
		hidden_of_client(pl, c, r);
		return true;
	}
	if (t->phase == TLS_HIDDEN && (t->early || !t->spoken))
		return true; /* its certificate, and so on */
	if (t->phase == TLS_HIDDEN)
		hidden_is_over(pl, c);
	/* OpenSSL sends a second one if it is told to shut down once more, to who has closed by then. */
	if ((!t->closing[dir].len || c->stream[!dir].fin) && can_close(c, dir, r)) {
		t->closing[dir] = *r;
		return false;
	}
	closing_was_data(pl, c);
	data_of(pl, c, dir, r);
	return true;
}

/* ---- hellos ---------------------------------------------------------------------------------- */

static uint32_t put_word(char *to, uint32_t len, uint32_t room, const uint8_t *bytes, uint32_t n)
{
	for (uint32_t i = 0; i < n && len < room; i++)
		to[len++] =
			bytes[i] > ' ' && bytes[i] < 0x7f && bytes[i] != ',' ? (char)bytes[i] : '?';
	return len;
}

/* "h2,http/1.1" */
static uint32_t put_alpn(char *to, const struct tls_text *alpn)
{
	uint32_t len = 0;

	for (uint32_t at = 0; at < alpn->len; at += 1U + alpn->at[at]) {
		const uint8_t *name = alpn->at + at + 1;
		uint32_t n = alpn->at[at];

		if (n == 2 && tls_is_grease((uint16_t)(name[0] << 8 | name[1])))
			continue;
		if (len + !!len + n > ALPN_BYTES)
			break;
		if (len)
			to[len++] = ',';
		len = put_word(to, len, ALPN_BYTES, name, n);
	}
	return len;
}

static struct tls_told *told_of(struct pipeline *pl, struct tls *t)
{
	if (!t->told)
		t->told = pool_zalloc_evicting(&pl->pool, sizeof(*t->told));
	return t->told;
}

static void client_hello(struct tls *t, struct tls_told *told, const struct tls_side *s,
			 const struct tls_hello *h, uint64_t ts_ns)
{
	if (!t->client_end_ns)
		t->client = s->record.start;
	t->client_end_ns = ts_ns;
	told->version = h->version;
	told->name_len = put_word(told->name, 0, NAME_BYTES, h->name.at, h->name.len);
	told->offered_len = put_alpn(told->offered, &h->alpn);
	if (h->ech)
		told->flags |= APPMON_TLS_ECH;
	if (h->resumes)
		told->flags |= APPMON_TLS_TICKET;
	if (h->cut)
		told->flags |= APPMON_TLS_CUT;
}

static void server_hello(struct tls *t, struct tls_told *told, const struct tls_side *s,
			 const struct tls_hello *h, uint64_t ts_ns)
{
	if (!t->server_ns)
		t->server_ns = s->record.start.ts_ns;
	t->server_end_ns = ts_ns;
	told->version = h->version;
	told->cipher = h->cipher;
	told->alpn_len = put_alpn(told->alpn, &h->alpn);
	if (h->retry) {
		told->flags |= APPMON_TLS_RETRY;
		t->side[DIR_IN].hello_done = t->side[DIR_OUT].hello_done = false;
		return;
	}
	if (!h->resumes)
		told->flags &= ~(uint32_t)APPMON_TLS_TICKET;
	t->phase = h->version >= TLS_1_3 ? TLS_HIDDEN : TLS_OLD;
	t->first = t->phase == TLS_HIDDEN;
}

void tls_hello(struct pipeline *pl, struct conn *c, int dir, const struct tls_hello *h,
	       uint64_t ts_ns)
{
	struct tls *t = tls_of(c);
	struct tls_told *told = told_of(pl, t);

	if (!told || t->phase != TLS_HELLOS)
		return;
	if (dir == DIR_OUT && c->request_dir && (h->type == TLS_CLIENT_HELLO) == is_request(c, dir))
		carry_hello(pl, c, h, ts_ns);
	if (h->type == TLS_CLIENT_HELLO && is_request(c, dir))
		client_hello(t, told, &t->side[dir], h, ts_ns);
	else if (h->type == TLS_SERVER_HELLO && c->request_dir && !is_request(c, dir))
		server_hello(t, told, &t->side[dir], h, ts_ns);
}

/* ---- records --------------------------------------------------------------------------------- */

/* Up to TLS 1.2 there can be another handshake. What it agrees on is encrypted. */
static void renegotiated(struct conn *c)
{
	struct tls_told *told = tls_of(c)->told;

	if (told && told->version >= TLS_1_3)
		return;
	if (told)
		told->cipher = 0;
	if (c->wire)
		c->wire->renewed = true;
}

void tls_record(struct pipeline *pl, struct conn *c, int dir, const uint8_t *body, uint32_t n)
{
	struct tls *t = tls_of(c);
	struct tls_side *s = &t->side[dir];

	switch (s->record.type) {
	case TLS_DATA:
		if (dir == DIR_OUT && c->wire && !c->wire->hello_ns && !c->plain &&
		    n >= TLS_RECORD_BYTES - RECORD_HEAD)
			carry_begin(c->wire, &s->record, body);
		if (take_data(pl, c, dir) && !s->cut)
			data_passed(c, dir, s->record.end_ns);
		break;
	case TLS_CCS:
		/* Up to TLS 1.2 it says that what follows is encrypted; TLS 1.3 sends it for show,
		 * before which only hellos can be read. */
		if (t->phase != TLS_HELLOS)
			s->encrypts = true;
		if (t->phase == TLS_OPEN)
			renegotiated(c);
		break;
	case TLS_HANDSHAKE:
		if (s->encrypts)
			s->finished = true;
		if (t->phase == TLS_OLD && s->finished && t->side[!dir].finished)
			t->phase = TLS_OPEN;
		break;
	case TLS_ALERT:
		take_alert(pl, c, dir, body, n);
		break;
	}
}

void tls_lose(struct pipeline *pl, struct conn *c, int dir, const char *why)
{
	struct tls *t = tls_of(c);
	struct exchange *ex = exchange_open(c);

	if (t->side[dir].lost)
		return;
	EXPLAIN(APPMON_LOG_DEBUG, pl, &c->id, "its records are lost: %s", why);
	if (c->wire)
		c->wire->lost = true;
	records_forget(pl, &t->side[dir]);
	frames_lose(&t->frames, dir);
	t->side[dir].lost = true;
	t->side[dir].hello_done = true;
	if (ex)
		ex->flags |= APPMON_EVF_GAP;
	/* Of what the server hides, only that it comes before the client's Finished is needed. Else
	 * what comes is taken for data. */
	if (t->phase == TLS_HELLOS || (t->phase == TLS_HIDDEN && is_request(c, dir))) {
		t->first = true;
		t->phase = TLS_OPEN;
	}
}

/* ---- the connection as a whole --------------------------------------------------------------- */

static void tls_init(struct conn *c, const uint64_t pos[2])
{
	struct tls *t = tls_of(c);

	frames_init(&t->frames, &records_ops, c, pos);
	if (!c->fresh) {
		t->phase = TLS_OPEN;
		t->side[DIR_IN].lost = t->side[DIR_OUT].lost = true;
		t->side[DIR_IN].hello_done = t->side[DIR_OUT].hello_done = true;
	}
}

static void tls_release(struct pipeline *pl, struct conn *c)
{
	struct tls *t = tls_of(c);

	frames_release(pl, &t->frames);
	records_forget(pl, &t->side[DIR_IN]);
	records_forget(pl, &t->side[DIR_OUT]);
	pool_free(&pl->pool, t->told);
	t->told = NULL;
}

static bool is_between(const struct tls_side *s)
{
	return !s->lost && !s->cut;
}

static void tls_end(struct pipeline *pl, struct conn *c, uint32_t end, uint64_t flags)
{
	struct tls *t = tls_of(c);
	bool over = end == APPMON_END_CLOSED || end == APPMON_END_RESET_BY_PEER ||
		    end == APPMON_END_RESET_BY_US;
	struct exchange *ex;

	frames_end(pl, c);
	if (!over)
		closing_was_data(pl, c);
	t->closing[DIR_IN].len = t->closing[DIR_OUT].len = 0;
	exchanges_settle(pl, c);
	ex = exchange_open(c);

	if (!ex && over && t->phase != TLS_OPEN) {
		int dir = end == APPMON_END_RESET_BY_US ? DIR_OUT : DIR_IN;

		if (t->phase != TLS_FAILED)
			handshake_fails(pl, c, dir, ALERT_NONE, c->active_ns, end, flags);
		return;
	}
	if (!ex)
		return;
	/* Its response has no end of its own: whole records, then nothing, are the best sign. */
	if (ex->response_begun && c->request_dir && (over || end == APPMON_END_TIMEOUT) &&
	    is_between(&t->side[2 - c->request_dir])) {
		if (end == APPMON_END_TIMEOUT)
			flags |= APPMON_EVF_INFERRED_END;
		end = APPMON_END_COMPLETE;
	}
	exchange_finish(pl, c, ex, end, flags);
}

static void tls_progress(struct pipeline *pl, struct conn *c, int dir, uint64_t ts_ns)
{
	const bool seeks = c->wire && !c->plain; /* the application's calls may come behind */

	frames_progress(pl, c, dir, ts_ns);
	if (!stream_ends(&c->stream[dir]))
		return;
	/* What came is not read yet: our own end, which comes last, ends it. */
	if (seeks && dir == DIR_IN && !is_request(c, dir) && !c->stream[DIR_OUT].fin)
		return;
	/* A client's half is closed after its request, too. */
	if (!is_request(c, dir) || (tls_of(c)->phase != TLS_OPEN && !exchange_open(c)) ||
	    (seeks && dir == DIR_OUT && c->stream[DIR_IN].fin))
		tls_end(pl, c, APPMON_END_CLOSED, 0);
}

static void tls_uncover(struct pipeline *pl, struct conn *c, bool fresh, uint64_t written_ns)
{
	struct exchange *ex;

	while ((ex = exchange_open(c)) && (fresh || !ex->response_done)) {
		/* What is written next is the rest of its answer, and tells of no exchange. */
		if (!fresh && c->request_dir == 1 + DIR_IN && ex->response_begun &&
		    ex->response_start_ns < written_ns)
			exchange_finish(pl, c, ex, APPMON_END_GAP, APPMON_EVF_GAP);
		else
			exchange_withdraw(pl, c, ex);
	}
	exchanges_settle(pl, c);
}

static void give_up(struct pipeline *pl, struct conn *c, const char *why)
{
	tls_lose(pl, c, DIR_IN, why);
	tls_lose(pl, c, DIR_OUT, why);
	tls_end(pl, c, APPMON_END_GAP, APPMON_EVF_GAP);
	c->gapped = 1;
}

/* A turn may have been among them: what is open would get another's answer. */
static void tls_doubt(struct pipeline *pl, struct conn *c, bool lost)
{
	if (lost)
		give_up(pl, c, WHY("a record of the kernel's was lost"));
}

static void tls_missed(struct pipeline *pl, struct conn *c)
{
	give_up(pl, c, WHY("requests were missed"));
}

const struct protocol protocol_tls = {
	.id = APPMON_PROTO_TLS,
	.conn_size = sizeof(struct tls),
	.detect = tls_detect,
	.begins = tls_begins,
	.init = tls_init,
	.release = tls_release,
	.role = tls_role,
	.data = frames_data,
	.progress = tls_progress,
	.framed = frames_framed,
	.doubt = tls_doubt,
	.missed = tls_missed,
	.end = tls_end,
	.event_bytes = tls_event_bytes,
	.fill = tls_fill,
	.carry = tls_carry,
	.carried_bytes = tls_carried_bytes,
	.fill_carried = tls_fill_carried,
	.uncover = tls_uncover,
};
