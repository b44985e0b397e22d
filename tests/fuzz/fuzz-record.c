/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for record.c and all behind it: arbitrary bytes as ring records, in a row. The
 * input is a list of (16-bit length, bytes); every second byte string is laid over a valid record,
 * so that the pipeline sees odd but well-formed ones as well. With -DFUZZ_STANDALONE it has a
 * main() that runs the files named on the command line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "target.h"

static uint64_t clock_ns;

/* An odd start line may have a NUL: it is told as sent. */
static void check_str(const struct appmon_str *str)
{
	CHECK(str->data && str->data[str->len] == '\0' && str->truncated <= 1);
}

static void check_event(const struct appmon_event *ev)
{
	const struct appmon_str *strings[] = {&ev->comm,      &ev->target_name,	   &ev->system,
					      &ev->operation, &ev->resource,	   &ev->status_text,
					      &ev->message,   &ev->request_target, &ev->path,
					      &ev->query,     &ev->authority,	   &ev->trace_text,
					      &ev->request_id};

	CHECK(ev->size == sizeof(*ev));
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		check_str(strings[i]);
	CHECK(!ev->headers == !ev->header_count);
	for (uint32_t i = 0; i < ev->header_count; i++) {
		check_str(&ev->headers[i].name);
		check_str(&ev->headers[i].value);
		CHECK(ev->headers[i].response <= 1 && ev->headers[i].name.len);
	}
	CHECK(ev->end <= APPMON_END_AT_HEAD && ev->role <= APPMON_ROLE_CLIENT);
	CHECK(ev->local.family == 4 || ev->local.family == 6);
	CHECK(!ev->status == !!(ev->flags & (APPMON_EVF_NO_RESPONSE | APPMON_EVF_NO_STATUS_LINE)));
	CHECK(ev->status_number == (ev->status ? (int64_t)ev->status : -1));
	CHECK(ev->outcome <= APPMON_OUTCOME_NO_RESPONSE && ev->operation_type <= APPMON_OP_SESSION);
	CHECK(ev->request_bytes == ev->request_head_bytes + ev->request_body_bytes);
	CHECK(!ev->link == !ev->link_ordinal && ev->link <= APPMON_LINK_STARTED);
}

static void check_pipeline(struct fixture *p)
{
	const struct appmon_event *ev;

	while ((ev = fixture_event(p)))
		check_event(ev);
	CHECK(fixture_adds_up(p));
	CHECK(p->pl.pool.held <= p->pl.pool.limit);
}

/* Exactly as large as its content, so that AddressSanitizer sees any over-read. */
static void feed(struct fixture *p, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	CHECK(copy);
	memcpy(copy, data, len);
	fixture_record(p, copy, len);
	free(copy);
	check_pipeline(p);
}

/*
 * A valid record of one of four connections. The first bytes choose what is unusual about it, the
 * rest is captured.
 */
static void feed_shaped(struct fixture *p, const uint8_t *data, size_t len)
{
	struct {
		struct rec rec;
		uint8_t behind[REC_EXTRAS_MAX + 1024];
	} buf = {0};
	struct rec *rec = &buf.rec;
	struct rec_conn_told told = {0};
	struct rec_before before = {0};
	struct rec_owner owner;
	uint8_t knob[16] = {0};
	size_t at = 0;

	memcpy(knob, data, len < sizeof(knob) ? len : sizeof(knob));
	data += len < sizeof(knob) ? len : sizeof(knob);
	len -= len < sizeof(knob) ? len : sizeof(knob);
	if (len > 1024)
		len = 1024;
	clock_ns += (uint64_t)knob[0] << 22;
	rec->cookie = 1 + (knob[1] >> 6);
	rec->seg.ts_ns = clock_ns;
	rec->seg.flags = knob[3] | (uint32_t)knob[4] << 8 | (uint32_t)(knob[12] & 127) << 16;
	rec->seg.flags &= ~(uint32_t)(REC_CONN | REC_BEFORE);
	rec->seg.flags |= (knob[9] & 1 ? 0 : REC_CONN) | (knob[9] & 2 ? 0 : REC_BEFORE);
	rec->seg.seq = (uint32_t)(int8_t)knob[5] * (knob[6] & 1 ? 1u : 100u);
	rec->seg.start = rec->seg.seq - (knob[6] >> 1 & 3) * 10u;
	rec->seg.ack = (uint32_t)(int8_t)knob[7] * (knob[6] & 8 ? 1u : 100u);
	rec->seg.len = (uint32_t)len + knob[8];
	if (knob[6] & 16)
		rec->seg.len <<= 20;
	if (rec->seg.flags & REC_CONN) {
		told.conn.cookie = rec->cookie;
		told.conn.slot = knob[1] >> 1 & 3;
		told.conn.target =
			told.conn.slot + 1u + (knob[1] >> 3 & knob[1] >> 4 & knob[1] >> 5 & 1);
		told.conn.family = knob[1] & 16 ? 6 : 4;
		told.conn.local_port = 80;
		told.conn.remote_port = (uint16_t)(40000 + rec->cookie);
		told.lost = knob[9] >> 6;
		told.retrans = knob[10] & 7;
		told.dup = knob[10] >> 5;
		memcpy(buf.behind, &told, sizeof(told));
		at += sizeof(told);
	}
	if (rec->seg.flags & REC_BEFORE) {
		before.last_ts_ns = clock_ns - ((uint64_t)knob[2] << 20);
		memcpy(buf.behind + at, &before, sizeof(before));
		at += sizeof(before);
	}
	if (rec->seg.flags & REC_OWNER) {
		memset(&owner, knob[11], sizeof(owner));
		owner.source = knob[11] & 7;
		owner.read_first_ns = clock_ns - ((uint64_t)knob[12] << 20);
		memcpy(buf.behind + at, &owner, sizeof(owner));
		at += sizeof(owner);
	}
	if (rec->seg.flags & REC_TAIL) {
		memcpy(buf.behind + at + TAIL_BYTES - 8, knob + 8, 8);
		at += TAIL_BYTES;
	}
	if (!(knob[1] & 1)) {
		memcpy(buf.behind + at, data, len);
		at += len;
	}
	at += sizeof(*rec);
	rec->hdr = (struct rec_hdr){REC_VERSION, knob[1] & 1 ? REC_PROGRESS : REC_DATA,
				    (uint32_t)at, 0};
	feed(p, (const uint8_t *)&buf, at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fixture p;
	struct appmon_opts opts = {
		.memory_limit = 65536, .capture_bytes = 512, .exchange_timeout_ms = 5000};

	if (len && data[0] & 1)
		opts.flags = APPMON_OPEN_DROP_QUERY;
	if (len && data[0] & 2)
		opts.memory_limit = 1 << 20;
	if (len && !(data[0] & 4))
		opts.flags |= APPMON_OPEN_LINKS | APPMON_OPEN_GOROUTINES;
	clock_ns = 1000000000;
	fixture_init(&p, &opts);
	for (int i = 0; len > 2; i++) {
		size_t n = data[0] | (size_t)(data[1] & 3) << 8;
		bool expire = data[1] & 4;

		data += 2;
		len -= 2;
		if (n > len)
			n = len;
		if (i & 1)
			feed(&p, data, n);
		else
			feed_shaped(&p, data, n);
		if (expire) {
			flows_expire(&p.flows, clock_ns);
			check_pipeline(&p);
		}
		data += n;
		len -= n;
	}
	flows_drop_target(&p.flows, &p.target[1]);
	p.pl.target[1] = NULL;
	check_pipeline(&p);
	flows_expire(&p.flows, UINT64_MAX);
	check_pipeline(&p);
	CHECK(!p.pl.stats.outstanding);
	fixture_free(&p);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

int main(int argc, char **argv)
{
	return fuzz_files(argc, argv);
}
#endif
