/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for the whole path from packets to events. The input decides about a valid
 * HTTP/1.1 conversation (methods, framings, pipelining), or one of peers that bear with each
 * other's odd heads, and about what happens to it: silence, segment sizes, reordering, loss,
 * duplicates, records that find the ring full, too little memory, attaching in the middle, FIN and
 * RST. Packets go through the BPF programs (tests/unit/sim.c), now and then one of each direction
 * at the same time.
 *
 * Always: a request is never paired with another's response, and the counters add up. If nothing
 * was lost on our side, every request has its event, complete and exact, in order.
 *
 * With -DFUZZ_STANDALONE it has a main() that runs the files named on the command line, or without
 * any a fixed number of random inputs; --runs FIRST COUNT: those. With FUZZ_TRACE in its
 * environment it says what happens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned int run; /* which of the random ones */
static bool trace;	 /* say what happens */

#define CHECK(expr)                                                                                \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s (run %u)\n", __FILE__, __LINE__, #expr, run);   \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static const char *const flag_names[] = {
	"OUT",	"FLIP",	  "START",    "FRESH",	  "4",	   "OLD",      "PSH",
	"FIN",	"RST",	  "LISTENER", "PART",	  "SWEPT", "NOT_HTTP", "CLOSED",
	"WIDE", "BEGINS", "ENDS",     "FOLLOWED", "READ",  "BLOCKING", "OWNER",
	"TAIL", "HEARD",  "DUE",      "CONN",	  "BEFORE"};

#define STREAM_MAX 600000 /* REQUESTS_MAX messages of at most 36,000 bytes */
#define CAPTURE 4096
#define REQUESTS_MAX 16
#define HELD_MAX 6
/* Of one without BIG TCP; more than the records of one segment hold would not be captured. */
#define SEGMENT_MAX 65000

/* ---- decisions ----------------------------------------------------------------- */

static const uint8_t *input;
static size_t input_left;

static unsigned int choose(unsigned int n)
{
	unsigned int value = 0;

	for (unsigned int range = 1; range < n && input_left; range <<= 8, input_left--)
		value = value << 8 | *input++;
	return value % n;
}

static bool chance(unsigned int percent)
{
	return input_left && choose(100) < percent;
}

/* ---- the conversation ------------------------------------------------------------ */

struct request {
	size_t end, response_end;   /* in their streams */
	size_t head, response_head; /* bytes of the heads */
	size_t body, response_body; /* bytes after them */
	bool answered;		    /* the response is in its stream */
	bool no_body;		    /* HEAD: the response has none */
	bool long_chunks;	    /* the response is chunked, beyond the capture */
	size_t last_chunk;	    /* where its last chunk begins, in its stream */
	bool crossed;		    /* part of an answer passed at the same time as its begin */
	bool followed;		    /* crossed, and the next one came before its answer */
	bool seen;		    /* had its event */
	bool odd; /* has lines that are no fields, or other than CRLF in its chunks */
};

struct side {
	char bytes[STREAM_MAX];
	size_t made; /* bytes that the application wrote */
	size_t sent; /* highest byte that was on the way */
	size_t done; /* all below arrived */
	uint8_t arrived[STREAM_MAX];
};

static struct fixture p;
static struct sim_socket *sk;
static struct request requests[REQUESTS_MAX];
static uint32_t first_seq[2];
static unsigned int made, answered, reported;
static struct side req, resp;
static struct side *in_side, *out_side;
static bool exact;  /* every request must have its event, without a flaw */
static bool unsure; /* records were lost while pipelining: which answer is whose is a guess */
static unsigned int depth; /* requests under way at most */
static size_t plain_from;  /* from this request on pipelining is plain */
static bool fast_open;	   /* the first segment meets the listening socket */
static bool late;	   /* attached in the middle */
static bool odd;	   /* the peers do not keep to RFC 9112 */
static bool begun_fast;	   /* or met */
static size_t resp_passed; /* resp.done without the packet that is passing */
static bool quiet;	   /* a response until close is on its way: no more requests */
static struct part {
	size_t from, len, acks;
} held[HELD_MAX];
static unsigned int held_count;
static size_t peer_got; /* of what we sent: its packets acknowledge that */
static uint32_t lag; /* decides about it apart from the input, whose bytes mean what they meant */

static void side_reset(struct side *side)
{
	memset(side->arrived, 0, side->sent);
	side->made = side->sent = side->done = 0;
}

static size_t put(struct side *side, const char *text)
{
	size_t len = strlen(text);

	CHECK(side->made + len < STREAM_MAX);
	memcpy(side->bytes + side->made, text, len);
	side->made += len;
	return len;
}

/*
 * A body that is full of what a careless reader takes for the next message; not before the attach:
 * there is no telling what it is for one who comes in the middle.
 */
static size_t put_body(struct side *side, size_t len)
{
	static const char bait[] = "GET /r99 HTTP/1.1\r\n\r\nHTTP/1.1 999 R99\r\n\r\n0\r\n\r\n";

	CHECK(side->made + len < STREAM_MAX);
	for (size_t i = 0; i < len; i++)
		side->bytes[side->made++] = sim_detached ? 'x' : bait[i % (sizeof(bait) - 1)];
	return len;
}

/* Small, or longer than a segment, or longer than the capture. */
static unsigned int body_max(void)
{
	return chance(80) ? 100 : chance(70) ? 3000 : 20000;
}

static size_t last_chunk; /* where it begins in the chunks that were put */

static size_t put_chunks(struct side *side)
{
	size_t from = side->made;

	for (unsigned int n = choose(4); n; n--) {
		unsigned int len = 1 + choose(chance(10) ? 9000 : 300);
		char line[32];

		snprintf(line, sizeof(line), chance(20) ? "%X;x=y\r\n" : "%x\r\n", len);
		put(side, line);
		put_body(side, len);
		put(side, "\r\n");
	}
	last_chunk = side->made;
	put(side, "0\r\n");
	if (chance(20))
		put(side, "Trailer: x\r\n");
	put(side, "\r\n");
	return side->made - from;
}

static void put_padding(struct side *side)
{
	char field[400] = "X-Padding: ";
	unsigned int n = chance(30) ? choose(350) : 0;

	if (!n)
		return;
	memset(field + 11, 'p', n);
	strcpy(field + 11 + n, "\r\n");
	put(side, field);
}

/* What is no field line, or ends the one before it in another way. */
static void put_odd(struct side *side, struct request *r)
{
	static const char *const lines[] = {
		"no field\r\n", "X: \001y\r\n", "A: b\rc\r\n", " fold\r\n",
		": x\r\n",	"X: y\n",	"\r\r\n",      "GET /r98 HTTP/1.1\r\n"};

	if (!odd || !chance(30))
		return;
	/* The last one: not before the attach, as with bodies. */
	put(side, lines[choose(sizeof(lines) / sizeof(lines[0]) - sim_detached)]);
	r->odd = true;
}

static void make_request(void)
{
	static const char *const methods[] = {"GET",	 "POST",  "HEAD",     "PUT",
					      "OPTIONS", "PURGE", "PROPFIND", "QUERY"};
	unsigned int method = choose(8), framing = method == 0 || method == 2 ? 0 : choose(3);
	struct request *r = &requests[made];
	size_t from = req.made, len = 0;
	char line[128];

	memset(r, 0, sizeof(*r));
	r->no_body = method == 2;
	snprintf(line, sizeof(line), "%s /r%u HTTP/1.1\r\nHost: h\r\n", methods[method], made);
	if (odd && chance(10))
		from += put(&req, "\n\r\n"); /* of no message */
	put(&req, line);
	put_odd(&req, r);
	put_padding(&req);
	put_odd(&req, r);
	if (framing == 1) {
		len = choose(body_max());
		snprintf(line, sizeof(line), "Content-Length: %zu\r\n", len);
		put(&req, line);
	} else if (framing == 2) {
		put(&req, "Transfer-Encoding: chunked\r\n");
	}
	put(&req, "\r\n");
	r->head = req.made - from;
	if (framing == 1)
		r->body = put_body(&req, len);
	else if (framing == 2)
		r->body = put_chunks(&req);
	r->end = req.made;
	made++;
}

static void make_response(void)
{
	struct request *r = &requests[answered];
	unsigned int framing = choose(5);
	size_t from, len = 0;
	char line[128];

	for (int i = 0; i < 3 && chance(10); i++)
		put(&resp, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
	from = resp.made;
	snprintf(line, sizeof(line), "HTTP/1.1 %u R%u\r\n",
		 framing == 0 ? (chance(50) ? 204 : 304) : 400 + answered, answered);
	put(&resp, line);
	put_odd(&resp, r);
	put_padding(&resp);
	put_odd(&resp, r);
	if (odd && depth == 1 && framing > 1 && chance(10)) {
		/* It ends where the next one begins. */
		static const char *const lengths[] = {"Content-Length: 2x\r\n", "Server: s\r\n",
						      "Transfer-Encoding: identity\r\n"};

		put(&resp, lengths[choose(3)]);
		len = choose(50);
		framing = 5;
		exact = false;
	}
	if (framing == 1 || framing == 2) {
		len = choose(body_max());
		snprintf(line, sizeof(line), "Content-Length: %zu\r\n", len);
		put(&resp, line);
	} else if (framing == 3) {
		put(&resp, "Transfer-Encoding: chunked\r\n");
	} else if (framing == 4) {
		if (answered + 1 == made && chance(20) && !r->no_body) {
			put(&resp, "Connection: close\r\n"); /* until FIN */
			quiet = true;
		} else {
			put(&resp, "Content-Length: 0\r\n");
		}
	}
	put(&resp, "\r\n");
	r->response_head = resp.made - from;
	if (!r->no_body) {
		if (framing == 1 || framing == 2 || framing == 5)
			r->response_body = put_body(&resp, len);
		else if (framing == 3)
			r->response_body = put_chunks(&resp);
		else if (quiet)
			r->response_body = put_body(&resp, choose(500));
	}
	r->long_chunks = framing == 3 && r->response_head + r->response_body > CAPTURE;
	r->last_chunk = last_chunk;
	r->response_end = resp.made;
	r->answered = true;
	answered++;
}

/* ---- events ---------------------------------------------------------------------------- */

/* The connection ended there. */
static bool inside_head(const struct appmon_event *ev, unsigned int n)
{
	return ev->end != APPMON_END_COMPLETE && req.done < requests[n].end - requests[n].body;
}

static void check_exact(const struct appmon_event *ev, unsigned int n)
{
	const struct request *r = &requests[n];

	CHECK(n == reported);
	if (inside_head(ev, n))
		return;
	CHECK(!(ev->flags & (APPMON_EVF_GAP | APPMON_EVF_MID_MESSAGE)));
	CHECK(r->odd || !(ev->flags & (APPMON_EVF_MALFORMED | APPMON_EVF_AMBIGUOUS)));
	/* A response can end in its head, too. */
	CHECK(!(ev->flags & APPMON_EVF_TRUNCATED) || ev->end != APPMON_END_COMPLETE);
	CHECK(ev->ordinal == n + 1);
	CHECK(ev->request_head_bytes == r->head);
	if (ev->end != APPMON_END_COMPLETE)
		return;
	CHECK(r->answered);
	CHECK(ev->response_head_bytes == r->response_head);
	if (ev->flags & APPMON_EVF_INFERRED_END)
		return; /* chunk headers came out of order */
	CHECK(ev->request_body_bytes == r->body);
	CHECK(ev->response_body_bytes == r->response_body);
	CHECK(ev->request_start_ns && ev->request_end_ns && ev->response_start_ns &&
	      ev->response_end_ns);
}

static void check_event(const struct appmon_event *ev)
{
	unsigned int n = 0;
	char reason[16];

	if (trace)
		printf("    event %s -> %u %s, end %u, flags %llx\n", ev->request_target.data,
		       ev->status, ev->message.data, ev->end, (unsigned long long)ev->flags);
	CHECK(ev->request_start_ns <= ev->request_end_ns || !ev->request_end_ns);
	CHECK(ev->response_start_ns <= ev->response_end_ns || !ev->response_end_ns);
	CHECK(ev->request_start_ns <= ev->response_start_ns || !ev->response_start_ns);
	CHECK(ev->response_end_ns <= sim_now_ns);
	if (!ev->method || ev->request_target.truncated) {
		CHECK(!exact || inside_head(ev, reported));
		return;
	}
	/* After a loss a body can look like a request; without an answer it does no harm. */
	if (unsure || (!exact && !ev->status))
		return;
	CHECK(sscanf(ev->path.data, "/r%u", &n) == 1 && n < made);
	CHECK(!requests[n].seen);
	requests[n].seen = true;
	snprintf(reason, sizeof(reason), "R%u", n);
	if (ev->status && ev->message.truncated)
		CHECK(!strncmp(ev->message.data, reason, ev->message.len));
	else if (ev->status)
		CHECK(!strcmp(ev->message.data, reason));
	if (exact)
		check_exact(ev, n);
	reported++;
}

static void show_record(const void *rec)
{
	const struct rec *r = rec;
	const struct rec_seg *seg = &r->seg;
	int out = !!(seg->flags & REC_OUT);

	printf("  %s %d+%u%s whole %d, ack %d, %u bytes:", out ? "out" : "in",
	       (int)(seg->seq - first_seq[out]), seg->len,
	       r->hdr.kind == REC_DATA ? "" : " progress", (int)(seg->whole - first_seq[out]),
	       (int)(seg->ack - first_seq[!out]), r->hdr.size);
	for (unsigned int i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		if (seg->flags & 1u << i)
			printf(" %s", flag_names[i]);
	printf("\n");
}

static void show_line(const char *line)
{
	if (!strstr(line, "record "))
		printf("    # %s\n", line);
}

static void show_bytes(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && i < 60; i++)
		printf(bytes[i] == '\r' ? "\\r" : bytes[i] == '\n' ? "\\n" : "%c", bytes[i]);
	if (len > 60)
		printf("...");
	for (size_t i = len > 90 ? len - 30 : len; i < len; i++)
		printf(bytes[i] == '\r' ? "\\r" : bytes[i] == '\n' ? "\\n" : "%c", bytes[i]);
	printf("\n");
}

static void pump(void)
{
	const struct appmon_event *ev;
	const void *rec;
	size_t size;

	while ((rec = sim_record(&size))) {
		if (trace)
			show_record(rec);
		CHECK(fixture_record(&p, rec, size));
	}
	while ((ev = fixture_event(&p))) {
		struct appmon_event *copy;

		/* A copy says the same as the event, without it. */
		if (appmon_event_copy(ev, &copy))
			abort();
		event_forget(&p.pl);
		memset(&p.pl.event, 0x5a, sizeof(p.pl.event));
		memset(p.pl.arena.buf, 0x5a, p.pl.arena.size);
		check_event(copy);
		appmon_event_free(copy);
	}
	CHECK(fixture_adds_up(&p));
	CHECK(p.pl.pool.held <= p.pl.pool.limit);
}

/* ---- the network ------------------------------------------------------------------------ */

static bool begins_in(unsigned int k, size_t from, size_t len)
{
	size_t start = k ? requests[k - 1].end : 0;

	return start >= from && start < from + len;
}

/*
 * A request on its way. If pipelining begins behind a part of an answer whose chunks passed
 * uncaptured, the rest of it is taken for other answers where it looks like them.
 *
 * If the answer before it and the begin of a request have crossed, neither direction's program could
 * know of the other's: to the one the rest of that answer, which the client has received when the
 * next request comes, may as well be the answer to this one, and there is no pipelining.
 */
static void note_pipelining(size_t from, size_t len)
{
	for (unsigned int k = 1; k < made; k++) {
		size_t start = requests[k - 1].end;

		if (!begins_in(k, from, len) || start >= plain_from)
			continue;
		if (!requests[k - 1].answered ||
		    resp.sent <= (k > 1 ? requests[k - 2].response_end : 0)) {
			if (requests[k - 1].crossed)
				requests[k - 1].followed = true;
			else
				plain_from = start;
		} else if (resp_passed < requests[k - 1].response_end &&
			   requests[k - 1].long_chunks) {
			exact = false;
			unsure = true;
		}
	}
}

/*
 * Part of a response on its way. Beyond the capture the end of chunks is told by a segment's last
 * bytes, and eight before it: too little for a trailer section that is cut. And the answer to a
 * request behind it can be among what was not captured: that is told as a gap.
 */
static void note_cut(size_t end)
{
	for (unsigned int k = 0; k < answered; k++) {
		const struct request *r = &requests[k];

		if (!r->long_chunks)
			continue;
		if (end > r->last_chunk + 6 && end < r->response_end)
			exact = false;
		if (r->followed && end > r->response_end - r->response_body)
			exact = false;
	}
}

/*
 * Part of a response on its way, which begins inside its head: with what looks like a status line.
 * If a request has come since, a reader takes the head for one without its empty line.
 */
static void note_odd_cut(size_t from)
{
	for (unsigned int k = 0; k + 1 < made && k < answered; k++) {
		size_t body = requests[k].response_end - requests[k].response_body;

		if (requests[k].odd && from < body && from > body - requests[k].response_head &&
		    !memcmp(resp.bytes + from, "HTTP/", 5))
			exact = false;
	}
}

static void in_step(void);
static void out_step(void);

static void packet(int dir, size_t from, size_t len, uint32_t flags)
{
	static bool at_once;
	struct side *side = dir == DIR_IN ? in_side : out_side;
	size_t answers = resp.sent;
	size_t plain = plain_from;

	if (side == &req && len)
		note_pipelining(from, len);
	if (side == &resp && len) {
		note_cut(from + len);
		note_odd_cut(from);
	}
	sim_now_ns += 1 + choose(3000) * UINT64_C(1000);
	if (from + len > side->sent)
		side->sent = from + len;
	/* TCP pushes where a write of the application ends. */
	if (len && from + len == side->made)
		flags |= SIM_PSH;
	memset(side->arrived + from, 1, len);
	if (trace) {
		printf("%s %zu+%zu flags %x: ", dir ? "OUT" : "IN", from, len, flags);
		show_bytes(side->bytes + from, len);
	}
	if (fast_open && !from && len && len <= 1448) {
		sim_listener_packet(sk, 0, side->bytes, (uint32_t)len);
	} else {
		bool outer = !at_once && len && !sim_detached && chance(15);

		if (outer) {
			at_once = true;
			sim_meanwhile_after = choose(30);
			sim_meanwhile = dir == DIR_IN ? out_step : in_step;
		}
		sim_packet(sk, dir, from, side->bytes + from, (uint32_t)len, flags);
		if (outer)
			at_once = false;
		if (side == &req && resp.sent != answers) {
			/* An answer at the same time: it may also have been the first. */
			for (unsigned int k = 0; k < made; k++)
				requests[k].crossed |= begins_in(k, from, len);
			plain_from = plain;
			note_pipelining(from, len);
		}
	}
	fast_open = false;
	while (side->done < side->made && side->arrived[side->done])
		side->done++;
	if (side == &resp)
		resp_passed = resp.done;
	if (chance(90))
		pump();
}

/* Decisions are made one a statement: the order of arguments is the compiler's. */
static uint32_t push(unsigned int percent)
{
	return chance(percent) ? SIM_PSH : 0;
}

static size_t segment_len(size_t left)
{
	static const unsigned int sizes[] = {1, 8, 60, 500, 1448, 20000};
	size_t n = input_left ? 1 + choose(sizes[choose(6)]) : SEGMENT_MAX;

	return n < left ? n : left;
}

/* What we sent reaches the peer, or takes its time. */
static void travel(void)
{
	lag = lag * 1664525 + 1013904223;
	if (lag >> 30)
		peer_got = out_side->done;
	sim_acks(sk, peer_got);
}

static void in_step(void)
{
	size_t len, from;

	travel();

	if (held_count && chance(30)) {
		unsigned int i = choose(held_count);

		struct part part = held[i];

		held[i] = held[--held_count];
		sim_acks(sk, part.acks);
		packet(DIR_IN, part.from, part.len, SIM_PSH);
	} else if (in_side->done < in_side->sent && chance(30)) {
		/* Sent again, perhaps with news behind it. */
		packet(DIR_IN, in_side->done, segment_len(in_side->made - in_side->done), SIM_PSH);
	} else if (in_side->sent && chance(3)) {
		from = choose((unsigned int)in_side->done + 1);
		packet(DIR_IN, from, segment_len(in_side->sent - from), 0);
	} else if (in_side->sent < in_side->made) {
		from = in_side->sent;
		len = segment_len(in_side->made - from);
		if (chance(15)) {
			in_side->sent += len;
			if (held_count < HELD_MAX && chance(70)) {
				held[held_count].from = from;
				held[held_count].acks = peer_got;
				held[held_count++].len = len;
			}
		} else {
			packet(DIR_IN, from, len, push(80));
		}
	}
}

static void out_step(void)
{
	size_t from = out_side->sent, len;

	if (from && chance(3)) {
		from = choose((unsigned int)from);
		packet(DIR_OUT, from, segment_len(out_side->sent - from), 0);
	} else if (from < out_side->made) {
		len = segment_len(out_side->made - from);
		packet(DIR_OUT, from, len, push(80));
	}
}

static bool all_arrived(void)
{
	return req.done == req.made && resp.done == resp.made;
}

/* How far the server has the requests, and the client the responses. */
static size_t requests_got(void)
{
	return out_side == &req ? peer_got : req.done;
}

static size_t responses_got(void)
{
	return out_side == &resp ? peer_got : resp.done;
}

/* Everything that was written gets through. */
static void settle(void)
{
	for (int i = 0; i < 100000 && !(all_arrived() && answered == made); i++) {
		travel();
		if (in_side->done < in_side->made)
			packet(DIR_IN, in_side->done, segment_len(in_side->made - in_side->done),
			       SIM_PSH);
		if (out_side->sent < out_side->made)
			out_step();
		if (answered < made && requests_got() >= requests[answered].end)
			make_response();
	}
}

/* Every request that has begun has come as a whole. */
static bool at_rest(void)
{
	for (unsigned int i = 0; i < made; i++)
		if (requests[i].end == req.done)
			return req.sent == req.done && !held_count;
	return !req.sent;
}

static void trouble(void)
{
	switch (choose(12)) {
	case 0:
		sim_lose = 1 + choose(3);
		if (trace)
			printf("lose %u\n", sim_lose);
		exact = false;
		/* Nor is anything known of what comes behind first segments that were lost. */
		unsure |= depth > 1 || begun_fast;
		break;
	case 1: {
		/* No memory for a moment. */
		uint64_t limit = p.pl.pool.limit;

		exact = false;
		/* A connection whose first requests find no memory is met in the middle. */
		unsure |= (depth > 1 || fast_open) && !p.flows.count;
		if (trace)
			printf("no memory\n");
		pump();
		pool_destroy(&p.pl.pool);
		p.pl.pool.limit = p.pl.pool.held;
		in_step();
		out_step();
		pump();
		/* Met again inside a request, as at the attach: see put_body(). */
		unsure |= late && !p.flows.count && !at_rest();
		p.pl.pool.limit = limit;
		break;
	}
	default:
		sim_sweep(sk);
		pump();
	}
}

/* Requests whose answers the client has not got yet. */
static unsigned int outstanding(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < made; i++)
		n += !requests[i].answered || responses_got() < requests[i].response_end;
	return n;
}

static void converse(bool troubled)
{
	unsigned int total = 1 + choose(REQUESTS_MAX - 1);

	for (unsigned int step = 0; step < 400 && input_left; step++) {
		if (made < total && outstanding() < depth && !quiet && chance(50))
			make_request();
		if (answered < made && requests_got() >= requests[answered].end && chance(60))
			make_response();
		if (chance(50))
			in_step();
		else
			out_step();
		if (troubled && chance(10))
			trouble();
		/* A silence inside a message looks like its end. */
		if (odd && chance(2) && at_rest() && !outstanding()) {
			if (trace)
				printf("silence\n");
			sim_now_ns += 3 * NSEC_PER_SEC;
		}
	}
}

static void finish(void)
{
	unsigned int how = choose(4);

	if (how < 3) {
		settle();
		sim_sweep(sk); /* what the rate limit held back */
		pump();
		if (exact && !quiet)
			CHECK(reported == answered);
	}
	if (how == 3) {
		int dir = (int)choose(2);
		struct side *side = dir == DIR_IN ? in_side : out_side;

		packet(dir, dir == DIR_IN ? side->done : side->sent, 0, SIM_RST);
	} else {
		int dir = (int)choose(2);

		for (int i = 0; i < 2; i++, dir = !dir)
			packet(dir, dir == DIR_IN ? in_side->done : out_side->sent, 0, SIM_FIN);
		sim_close(sk);
	}
	pump();
	/* Seconds are enough, unless the record of the end was lost, too. */
	sim_now_ns += exact ? 10 * NSEC_PER_SEC : 10000 * NSEC_PER_SEC;
	flows_expire(&p.flows, sim_now_ns);
	flows_expire(&p.flows, sim_now_ns + 10000 * NSEC_PER_SEC * !exact);
	pump();
	CHECK(!p.pl.stats.outstanding);
	CHECK(!p.pl.stats.connections_open);
	if (exact && how < 3)
		CHECK(reported == made && p.pl.stats.exchanges_seen == made &&
		      p.pl.stats.delivered == made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct sim_opts so = {.target = 1, .capture = CAPTURE};
	struct appmon_opts opts = {.capture_bytes = CAPTURE};
	uint32_t in_seq, out_seq;
	bool client, troubled;

	input = data;
	input_left = len;
	memset(requests, 0, sizeof(requests));
	side_reset(&req);
	side_reset(&resp);
	made = answered = reported = held_count = 0;
	resp_passed = peer_got = 0;
	lag = (uint32_t)len;
	for (size_t i = 0; i < len; i++)
		lag = lag * 31 + data[i];
	quiet = fast_open = false;
	plain_from = SIZE_MAX;
	client = chance(30);
	in_side = client ? &resp : &req;
	out_side = client ? &req : &resp;
	depth = chance(50) ? 1 : 1 + choose(4);
	late = chance(20);
	begun_fast = fast_open = !client && !late && chance(10);
	troubled = chance(50);
	chance(70); /* once a choice */
	odd = chance(30);
	exact = true;
	unsure = false;

	fixture_init(&p, &opts);
	if (trace)
		p.line = show_line;
	sim_start(&so);
	in_seq = 0u - choose(5000);
	out_seq = 0u - choose(5000);
	sk = sim_connect(client, in_seq, out_seq);
	first_seq[DIR_IN] = in_seq;
	first_seq[DIR_OUT] = out_seq;
	if (trace)
		printf("%s, %u deep%s%s%s\n", client ? "client" : "server", depth,
		       late ? ", attached late" : "", fast_open ? ", fast open" : "",
		       troubled ? ", with trouble" : "");
	if (late) {
		/* Attached in the middle: with pipelining only where nothing is under way, else the
		 * first pair would be a guess. */
		sim_detached = true;
		make_request();
		for (unsigned int i = choose(20); i; i--) {
			in_step();
			if (answered < made && requests_got() >= requests[answered].end)
				make_response();
			out_step();
		}
		if (depth > 1)
			settle();
		sim_detached = false;
		exact = false;
	}
	converse(troubled);
	finish();
	sim_forget(sk);
	sim_stop();
	fixture_free(&p);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

#define RUNS 50000

static uint64_t random_next(uint64_t *state)
{
	/* xorshift64* */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static void run_random(unsigned int first, unsigned int runs)
{
	static uint8_t data[4096];

	for (run = first; run < first + runs; run++) {
		uint64_t state = run * UINT64_C(0x9e3779b97f4a7c15);
		size_t len = 64 + random_next(&state) % (sizeof(data) - 64);

		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)(random_next(&state) >> 56);
		LLVMFuzzerTestOneInput(data, len);
	}
	printf("%u conversations\n", runs);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	trace = getenv("FUZZ_TRACE");
	if (argc == 1)
		run_random(1, RUNS);
	else if (argc == 4 && !strcmp(argv[1], "--runs"))
		run_random((unsigned int)atoi(argv[2]), (unsigned int)atoi(argv[3]));
	else
		return fuzz_files(argc, argv);
	return 0;
}
#endif
