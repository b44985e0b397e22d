/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for RESP, from packets to events. The input decides about commands and replies,
 * how both are cut into segments, what records find the ring full, and where bytes come that are no
 * RESP at all.
 *
 * Always: no command has another's reply, and the counters add up. If nothing was lost and all was
 * RESP, every command has its event, complete and in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "sim.h"
#include "target.h"

#define BYTES_MAX (1 << 20)
#define COMMANDS_MAX 64

static const uint8_t *input;
static size_t input_left;

static struct fixture p;
static struct sim_socket *sk;
static char bytes[2][BYTES_MAX];
static size_t made[2], sent[2];
static size_t command_end[COMMANDS_MAX];
static unsigned int asked, answered, reported;
static bool exact, wild;

static void send_some(int dir);

static unsigned int choose(unsigned int n)
{
	unsigned int value = 0;

	for (unsigned int range = 1; range < n && input_left; range <<= 8, input_left--)
		value = value << 8 | *input++;
	return value % n;
}

static void put(int dir, const char *data, size_t len)
{
	CHECK(made[dir] + len < BYTES_MAX);
	memcpy(bytes[!!dir] + made[dir], data, len);
	made[dir] += len;
}

static void put_text(int dir, const char *text)
{
	put(dir, text, strlen(text));
}

static void put_bulk(int dir, size_t len)
{
	static const char bait[] = "*1\r\n$4\r\nQUIT\r\n-R99\r\n";
	char line[32];

	snprintf(line, sizeof(line), "$%zu\r\n", len);
	put_text(dir, line);
	for (size_t i = 0; i < len; i++)
		put(dir, &bait[i % (sizeof(bait) - 1)], 1);
	put_text(dir, "\r\n");
}

/* Commands that change how others are answered, with the replies: one of them at a time, and whole.
 * None is told as one that is counted here. */
static void interlude(void)
{
	static const struct {
		const char *asked, *answered;
	} kinds[] = {
		{"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n*1\r\n$4\r\nPING\r\n", ""},
		{"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n*1\r\n$4\r\nPING\r\n"
		 "*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n",
		 "+OK\r\n"},
		{"*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$4\r\nPING\r\n"
		 "*1\r\n$11\r\nUNSUBSCRIBE\r\n",
		 "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
		 "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n"
		 "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"
		 "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n"
		 "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n"},
		{"*2\r\n$10\r\nSSUBSCRIBE\r\n$1\r\na\r\n*1\r\n$12\r\nSUNSUBSCRIBE\r\n",
		 ">3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n"
		 ">3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n"},
		{"*1\r\n$5\r\nMULTI\r\n*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n"
		 "*1\r\n$11\r\nUNSUBSCRIBE\r\n*1\r\n$4\r\nEXEC\r\n",
		 "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
		 "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
		 "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n"
		 "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n"},
		{"\r\n*0\r\n*-1\r\n", ""},
		{"auth \"hunter2\"\r\n", "-ERR unknown command 'auth' 'hunter2'\r\n"},
	};
	unsigned int i = choose(sizeof(kinds) / sizeof(kinds[0]));

	if (!asked || asked != answered || sent[DIR_IN] < made[DIR_IN])
		return;
	put_text(DIR_IN, kinds[i].asked);
	while (sent[DIR_IN] < made[DIR_IN])
		send_some(DIR_IN);
	put_text(DIR_OUT, kinds[i].answered);
}

static void ask(void)
{
	char line[64], key[16];
	unsigned int more = choose(3);

	snprintf(key, sizeof(key), "k%u", asked);
	if (asked && !choose(8)) { /* a first one would look like HTTP */
		snprintf(line, sizeof(line), "GET %s x\r\n", key);
		put_text(DIR_IN, line);
	} else {
		snprintf(line, sizeof(line), "*%u\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", 2 + more,
			 strlen(key), key);
		put_text(DIR_IN, line);
		while (more--)
			put_bulk(DIR_IN, choose(choose(4) ? 40 : 6000));
	}
	command_end[asked++] = made[DIR_IN];
}

/* The number of the command is in the text of an error. */
static void answer(void)
{
	char line[64];

	if (!choose(6))
		put_text(DIR_OUT, ">2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n");
	if (choose(2)) {
		snprintf(line, sizeof(line), "-R%u\r\n", answered);
		put_text(DIR_OUT, line);
	} else if (choose(2)) {
		snprintf(line, sizeof(line), "R%u", answered);
		snprintf(line, sizeof(line), "!%zu\r\nR%u\r\n", strlen(line), answered);
		put_text(DIR_OUT, line);
	} else {
		for (unsigned int depth = choose(3) * choose(20); depth; depth--)
			put_text(DIR_OUT, "*2\r\n|1\r\n+a\r\n*-1\r\n*?\r\n:1\r\n.\r\n");
		put_text(DIR_OUT, "*3\r\n%1\r\n+a\r\n:1\r\n*0\r\n");
		put_bulk(DIR_OUT, choose(choose(4) ? 40 : 6000));
	}
	answered++;
}

static void check_event(const struct appmon_event *ev)
{
	unsigned int n;
	char text[16];

	CHECK(ev->protocol == APPMON_PROTO_RESP || wild);
	CHECK(ev->response_end_ns <= sim_now_ns);
	CHECK(!memmem(ev->resource.data, ev->resource.len, "hunter2", 7) || wild);
	if (wild)
		return;
	if (strcmp(ev->operation.data, "GET") != 0) {
		CHECK(!strstr(ev->message.data, "hunter2"));
		CHECK(!exact || ev->end == APPMON_END_COMPLETE || ev->end == APPMON_END_UPGRADED ||
		      sent[1] < made[1] || !sent[1] || ev->end == APPMON_END_RESET_BY_PEER);
		return;
	}
	if (exact)
		CHECK(ev->end == APPMON_END_COMPLETE || answered < asked);
	if (ev->end != APPMON_END_COMPLETE)
		return;
	CHECK(sscanf(ev->resource.data, "k%u", &n) == 1 && n < asked);
	snprintf(text, sizeof(text), "R%u", n);
	if (ev->outcome != APPMON_OUTCOME_OK)
		CHECK(!strcmp(ev->message.data, text));
	if (exact)
		CHECK(n == reported);
	reported++;
}

static void pump(void)
{
	const struct appmon_event *ev;
	const void *rec;
	size_t size;

	while ((rec = sim_record(&size)))
		CHECK(fixture_record(&p, rec, size));
	while ((ev = fixture_event(&p)))
		check_event(ev);
	CHECK(fixture_adds_up(&p));
}

static void send_some(int dir)
{
	size_t n = made[dir] - sent[dir], most = 1 + choose(choose(3) ? 60 : 20000);

	if (!n)
		return;
	n = n < most ? n : most;
	sim_now_ns += 1000;
	sim_packet(sk, dir, sent[dir], bytes[dir] + sent[dir], (uint32_t)n, SIM_PSH);
	sent[dir] += n;
	pump();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct appmon_opts opts = {.protocols = 1U << APPMON_PROTO_HTTP1 |
							     1U << APPMON_PROTO_RESP};
	struct sim_opts so = {.target = 1, .capture = 4096};
	unsigned int depth;

	input = data;
	input_left = len;
	memset(made, 0, sizeof(made));
	memset(sent, 0, sizeof(sent));
	asked = answered = reported = 0;
	exact = true;
	fixture_init(&p, &opts);
	sim_start(&so);
	sk = sim_connect(false, 0u - choose(3000), 0u - choose(3000));
	depth = 1 + choose(2) * choose(8);
	wild = !choose(8);
	exact = !wild;
	while (input_left && asked < COMMANDS_MAX && made[DIR_IN] < BYTES_MAX / 2 &&
	       made[DIR_OUT] < BYTES_MAX / 2) {
		switch (choose(8)) {
		case 0:
		case 1:
			if (asked - answered < depth)
				ask();
			break;
		case 2:
		case 3:
			if (answered < asked && sent[DIR_IN] >= command_end[answered])
				answer();
			break;
		case 4:
			if (!choose(6)) {
				interlude();
			} else if (!choose(20)) {
				sim_lose = 1 + choose(2);
				exact = false;
			} else if (wild && input_left > 4) {
				int dir = (int)choose(2);
				size_t n = choose(200);

				put(dir, (const char *)input, n < input_left ? n : input_left);
				exact = false;
			}
			break;
		default:
			send_some((int)choose(2));
		}
	}
	while (exact && (sent[0] < made[0] || sent[1] < made[1])) {
		send_some(DIR_IN);
		send_some(DIR_OUT);
	}
	if (exact)
		CHECK(reported == answered);
	sim_packet(sk, DIR_IN, sent[DIR_IN], NULL, 0, SIM_RST);
	sim_now_ns += 10000 * NSEC_PER_SEC;
	flows_expire(&p.flows, sim_now_ns);
	pump();
	CHECK(!p.pl.stats.outstanding);
	sim_forget(sk);
	sim_stop();
	fixture_free(&p);
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

/* The files on the command line, or a fixed number of random inputs. */
int main(int argc, char **argv)
{
	static uint8_t data[2048];

	return fuzz_main(argc, argv, 20000, data, 64, sizeof(data));
}
#endif
