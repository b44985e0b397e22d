/* SPDX-License-Identifier: BSD-2-Clause */
/* HPACK: the examples of RFC 7541 appendix C, and what a reader that came late can tell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/http2/hpack.h"
#include "unit.h"

static struct pool pool;
static struct hpack table;

static void setup(void)
{
	pool = (struct pool){.limit = 1 << 20};
	hpack_init(&table, true);
}

static void teardown(void)
{
	hpack_free(&pool, &table);
	pool_destroy(&pool);
}

static uint32_t from_hex(const char *hex, uint8_t *out)
{
	uint32_t n = 0;

	for (; *hex; hex += 2) {
		char digits[] = {hex[0], hex[1], '\0'};

		while (*hex == ' ')
			hex++;
		memcpy(digits, hex, 2);
		out[n++] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return n;
}

static size_t add(char *to, struct hpack_str s)
{
	const char *text = s.data ? s.data : "?";
	size_t len = s.data ? s.len : 1;

	memcpy(to, text, len);
	return len;
}

/* "name: value|..."; "?" for what is not known, "!" at the end for what is no block. */
static const char *decoded(const char *hex)
{
	static char text[4096];
	uint8_t bytes[1024];
	char scratch[2048];
	uint32_t len = from_hex(hex, bytes);
	struct hpack_block block = {bytes, bytes + len, scratch, false};
	struct hpack_field field;
	size_t n = 0;
	int r;

	while ((r = hpack_next(&pool, &table, &block, &field)) == HPACK_FIELD) {
		n += add(text + n, field.name);
		n += add(text + n, (struct hpack_str){": ", 2});
		n += add(text + n, field.value);
		if (field.never_indexed)
			text[n++] = '*';
		text[n++] = '|';
	}
	if (r == HPACK_BAD)
		text[n++] = '!';
	text[n] = '\0';
	return text;
}

static void tells(const char *hex, const char *fields, uint32_t size)
{
	ck_assert_str_eq(decoded(hex), fields);
	ck_assert_uint_eq(table.size, size);
}

START_TEST(representations)
{
	tells("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
	      "custom-key: custom-header|", 55);
	tells("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path|", 55);
	tells("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret*|", 55);
	tells("82", ":method: GET|", 55);
}
END_TEST

#define REQUEST(scheme, path)                                                                      \
	":method: GET|:scheme: " scheme "|:path: " path "|:authority: www.example.com|"

START_TEST(requests)
{
	static const char *const blocks[2][3] = {
		{"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
		 "8286 84be 5808 6e6f 2d63 6163 6865",
		 "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65"},
		{"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", "8286 84be 5886 a8eb 1064 9cbf",
		 "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"},
	};

	for (int i = 0; i < 2; i++) {
		tells(blocks[i][0], REQUEST("http", "/"), 57);
		tells(blocks[i][1], REQUEST("http", "/") "cache-control: no-cache|", 110);
		tells(blocks[i][2], REQUEST("https", "/index.html") "custom-key: custom-value|",
		      164);
		hpack_free(&pool, &table);
		hpack_init(&table, true);
	}
}
END_TEST

#define LOCATION "location: https://www.example.com|"

/* The first block sets the size of the table to 256, so that entries are evicted. */
START_TEST(responses)
{
	static const char *const blocks[2][3] = {
		{"3fe101 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 "
		 "3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 "
		 "7861 6d70 6c65 2e63 6f6d",
		 "4803 3330 37c1 c0bf",
		 "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d "
		 "54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 "
		 "5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e "
		 "3d31"},
		{"3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 "
		 "66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
		 "4883 640e ffc1 c0bf",
		 "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab "
		 "77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f "
		 "9587 3160 65c0 03ed 4ee5 b106 3d50 07"},
	};

	for (int i = 0; i < 2; i++) {
		tells(blocks[i][0],
		      ":status: 302|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 "
		      "GMT|" LOCATION,
		      222);
		tells(blocks[i][1],
		      ":status: 307|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 "
		      "GMT|" LOCATION,
		      222);
		tells(blocks[i][2],
		      ":status: 200|cache-control: private|date: Mon, 21 Oct 2013 20:13:22 "
		      "GMT|" LOCATION "content-encoding: gzip|"
		      "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1|",
		      215);
		hpack_free(&pool, &table);
		hpack_init(&table, true);
	}
}
END_TEST

/* The third request of appendix C.3, by a reader that has not seen the first. */
START_TEST(late)
{
	hpack_init(&table, false);
	tells("8286 84be 5808 6e6f 2d63 6163 6865",
	      ":method: GET|:scheme: http|:path: /|?: ?|cache-control: no-cache|", 53);
	/* 62 is cache-control now, 63 what was there before. */
	tells("8287 85be bf",
	      ":method: GET|:scheme: https|:path: /index.html|cache-control: no-cache|?: ?|", 53);
	/* Only the name is from before: the entry keeps its place. */
	tells("7f00 0161", "?: a|", 86);
	tells("be bf", "?: a|cache-control: no-cache|", 86);
}
END_TEST

START_TEST(after_a_loss)
{
	tells("4001 6101 62", "a: b|", 34);
	hpack_lose(&table);
	tells("be 4001 6301 64", "?: ?|c: d|", 34);
	tells("be bf", "c: d|?: ?|", 34);
	/* An encoder that empties its table has no older entries. */
	ck_assert_str_eq(decoded("20 3fe11f be"), "!");
}
END_TEST

START_TEST(bad)
{
	static const char *const blocks[] = {
		"80",		     /* index 0 */
		"be",		     /* beyond the table */
		"7f00 0161",	     /* a name from there */
		"ff",		     /* an integer without its end */
		"ffff ffff ffff 0f", /* beyond 32 bits */
		"4001",		     /* a string without its end */
		"4001 61",	     /* no value */
		"4082 ffff 00",	     /* Huffman: more than seven bits of padding */
		"4081 18 00",	     /* padding that is not all ones */
		"4084 ffff ffff 00", /* EOS itself */
		"82 20",	     /* a size behind a field */
	};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		const char *text = decoded(blocks[i]);

		ck_assert_msg(text[strlen(text) - (*text != 0)] == '!', "%s: %s", blocks[i], text);
		hpack_init(&table, true);
	}
}
END_TEST

/* Of a table that is larger than what is kept the newest entries are told. */
START_TEST(large_table)
{
	uint32_t first = 1000;
	char hex[64];

	tells("3fe1ff07", "", 0); /* 131,072 */
	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(hex, sizeof(hex), "4001 6104 %02x%02x%02x%02x", '0' + i / 1000,
			 '0' + i / 100 % 10, '0' + i / 10 % 10, '0' + i % 10);
		decoded(hex);
		ck_assert_uint_le(table.size, HPACK_SIZE_KEPT);
	}
	ck_assert_uint_eq(table.count, HPACK_SIZE_KEPT / 37);
	first = 3000 - table.count;
	/* 127 + n: the oldest that is here, and the one before. */
	snprintf(hex, sizeof(hex), "ff%02x%02x", ((61 + table.count - 127) & 127) | 128,
		 (61 + table.count - 127) >> 7);
	ck_assert_uint_eq((uint32_t)strtoul(decoded(hex) + 3, NULL, 10), first);
	snprintf(hex, sizeof(hex), "ff%02x%02x", ((62 + table.count - 127) & 127) | 128,
		 (62 + table.count - 127) >> 7);
	ck_assert_str_eq(decoded(hex), "?: ?|");
}
END_TEST

START_TEST(no_memory)
{
	pool.limit = 0;
	tells("4001 6101 62", "a: b|", 0);
	tells("be", "?: ?|", 0);
	pool.limit = 1 << 20;
	tells("4001 6301 64", "c: d|", 34);
	tells("be", "c: d|", 34);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		representations, requests,  responses, late, after_a_loss, bad,
		large_table,	 no_memory, NULL};

	return unit_run("hpack", tests, setup, teardown);
}
