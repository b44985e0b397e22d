/* SPDX-License-Identifier: BSD-2-Clause */
/* The CLI's lines of JSON, with json-c as the judge. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "json-line.h"
#include "json.h"
#include "unit.h"

#define ROUNDS 20000
#define LONGEST 100000

static char *text;
static size_t text_len;
static FILE *out;
static uint64_t seed;

static void setup(void)
{
	seed = 42;
}

static void teardown(void)
{
}

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void begin(void)
{
	out = open_memstream(&text, &text_len);
	ck_assert_ptr_nonnull(out);
}

/* Parses what was written since begin(): one line of printable ASCII. */
static struct json_object *parse_line(void)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;
	bool plain = true;

	ck_assert_int_eq(fclose(out), 0);
	ck_assert_uint_gt(text_len, 0);
	ck_assert_int_eq(text[text_len - 1], '\n');
	for (size_t i = 0; i + 1 < text_len; i++)
		plain &= text[i] >= 0x20 && text[i] < 0x7f;
	ck_assert(plain);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, text, (int)text_len);
	ck_assert_msg(object != NULL, "%s in %s",
		      json_tokener_error_desc(json_tokener_get_error(tokener)), text);
	json_tokener_free(tokener);
	return object;
}

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	ck_assert_msg(json_object_object_get_ex(object, key, &value), "no %s", key);
	return value;
}

/* Bytes of every kind: ASCII, what needs an escape, characters of 2 to 4 bytes, halves of them. */
static size_t random_bytes(char *s, size_t max)
{
	static const char *const pieces[] = {"\"",
					     "\\",
					     "/",
					     "\x7f",
					     "\xc3\xa9",
					     "\xe2\x82\xac",
					     "\xf0\x9f\x98\x80",
					     "\xed\xa0\x80",
					     "\xc0\x80",
					     "\xef\xbf\xbf",
					     "\xf4\x8f\xbf\xbf",
					     "\xf4\x90\x80\x80",
					     "\\u0041",
					     "</script>"};
	size_t len = 0, want = next_random() % (max + 1);

	while (len < want) {
		uint64_t kind = next_random() % 4;
		const char *piece = pieces[next_random() % (sizeof(pieces) / sizeof(pieces[0]))];
		size_t n = strlen(piece);

		if (kind == 0) {
			s[len++] = (char)next_random();
		} else if (kind == 1) {
			/* Cut short now and then. */
			n = n < want - len ? n : want - len;
			memcpy(s + len, piece, n);
			len += n;
		} else {
			s[len++] = (char)(' ' + next_random() % 95);
		}
	}
	return len;
}

/* The line with one string, as json-c makes it. */
static char *by_json_c(const char *s, size_t len)
{
	const struct appmon_str str = {.data = s, .len = (uint32_t)len};
	struct json_object *object = json_object_new_object();
	char *line;
	size_t line_len;
	FILE *f = open_memstream(&line, &line_len);

	json_object_object_add(object, "s", json_new_str(&str));
	json_write_line(f, object);
	fclose(f);
	return line;
}

static void check_string(const char *s, size_t len)
{
	struct json_line line;
	char *expected = by_json_c(s, len);

	begin();
	json_line_begin(&line, out);
	json_line_key(&line, "s");
	json_line_string(&line, s, len);
	json_line_end(&line);
	json_object_put(parse_line());
	ck_assert_str_eq(text, expected);
	free(text);
	free(expected);
}

START_TEST(strings)
{
	char *s = malloc(LONGEST);

	for (int c = 0; c < 256; c++) {
		const char one = (char)c;

		check_string(&one, 1);
	}
	for (int i = 0; i < ROUNDS; i++)
		check_string(s, random_bytes(s, 200));
	/* Longer than any buffer. */
	for (int i = 0; i < 20; i++)
		check_string(s, random_bytes(s, LONGEST));
	free(s);
}
END_TEST

/* Characters survive, which comparing two encoders would not show. */
START_TEST(characters)
{
	static const char sent[] = "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \x01\t\"\\/";
	struct json_line line;
	struct json_object *object;

	begin();
	json_line_begin(&line, out);
	json_line_key(&line, "s");
	json_line_string(&line, sent, sizeof(sent)); /* with its NUL */
	json_line_end(&line);
	object = parse_line();
	ck_assert_int_eq(json_object_get_string_len(member(object, "s")), sizeof(sent));
	ck_assert_mem_eq(json_object_get_string(member(object, "s")), sent, sizeof(sent));
	json_object_put(object);
	free(text);
}
END_TEST

START_TEST(numbers)
{
	static const uint64_t values[] = {0, 1, 9, 10, 99, 100, UINT32_MAX, INT64_MAX, UINT64_MAX};
	static const int64_t signed_values[] = {0, -1, 1, INT64_MIN, INT64_MAX};
	struct json_line line;
	char expected[512] = "{\"n\":[";

	begin();
	json_line_begin(&line, out);
	json_line_key(&line, "n");
	json_line_open(&line, '[');
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		json_line_element(&line);
		json_line_uint(&line, values[i]);
		sprintf(expected + strlen(expected), "%" PRIu64 ",", values[i]);
	}
	for (size_t i = 0; i < sizeof(signed_values) / sizeof(signed_values[0]); i++) {
		json_line_element(&line);
		json_line_int(&line, signed_values[i]);
		sprintf(expected + strlen(expected), "%" PRId64 ",", signed_values[i]);
	}
	json_line_close(&line, ']');
	json_line_end(&line);
	strcpy(expected + strlen(expected) - 1, "]}\n");
	json_object_put(parse_line());
	ck_assert_str_eq(text, expected);
	free(text);
}
END_TEST

static struct appmon_header header(const char *name, const char *value, uint32_t response)
{
	return (struct appmon_header){.name = str(name), .value = str(value), .response = response};
}

static void check_list(struct json_object *object, const char *key, const char *const *values)
{
	struct json_object *list = member(object, key);
	size_t count = 0;

	for (; values[count]; count++)
		ck_assert_str_eq(json_object_get_string(json_object_array_get_idx(list, count)),
				 values[count]);
	ck_assert_uint_eq(json_object_array_length(list), count);
}

/* A name has all its values, of its own side, in their order. */
START_TEST(fields)
{
	const struct appmon_header headers[] = {
		header("x-a", "1", 0), header("x-b", "2", 0), header("x-a", "3", 1),
		header("x-a", "4", 0), header("x-b", "", 0),
	};
	struct appmon_event ev = event("shop", APPMON_ROLE_SERVER, "/", 200, 1000, 500);
	struct json_object *object, *request, *response;

	ev.headers = headers;
	ev.header_count = sizeof(headers) / sizeof(headers[0]);
	begin();
	json_event(out, &ev, 0);
	object = parse_line();
	request = member(member(object, "headers"), "request");
	response = member(member(object, "headers"), "response");
	ck_assert_int_eq(json_object_object_length(request), 2);
	ck_assert_int_eq(json_object_object_length(response), 1);
	check_list(request, "x-a", (const char *const[]){"1", "4", NULL});
	check_list(request, "x-b", (const char *const[]){"2", "", NULL});
	check_list(response, "x-a", (const char *const[]){"3", NULL});
	json_object_put(object);
	free(text);
}
END_TEST

/* The same second is formatted once: the times around a change of it. */
START_TEST(times)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{1767225599999999999, "2025-12-31T23:59:59.999999999Z"},
		{1767225600000000000, "2026-01-01T00:00:00.000000000Z"},
		{1767225600000000042, "2026-01-01T00:00:00.000000042Z"},
		{1767225599123456789, "2025-12-31T23:59:59.123456789Z"},
		{1, "1970-01-01T00:00:00.000000001Z"},
	};
	const struct appmon_event ev = event("shop", APPMON_ROLE_SERVER, "/", 200, 1000, 500);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_object *object;

		begin();
		json_event(out, &ev, cases[i].ns);
		object = parse_line();
		ck_assert_str_eq(json_object_get_string(member(object, "time")), cases[i].text);
		json_object_put(object);
		free(text);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {strings, characters, numbers, fields, times, NULL};

	return unit_run("json", tests, setup, teardown);
}
