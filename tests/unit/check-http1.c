/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1.x: heads, framing, targets and chunks by the text of RFC 9110 and RFC 9112. */
#include "protocol/http1/http1.h"

#include "guard.h"
#include "unit.h"

#include <appmon/appmon.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *const kept[] = {"host",	   "user-agent",	"cookie", "content-type",
				   "x-request-id", "transfer-encoding", "x^~|`_!"};

static struct field_names keep;
static struct guard guard;

static void setup(void)
{
	size_t i;

	memset(&keep, 0, sizeof(keep));
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		ck_assert(field_names_add(&keep, kept[i]));
	guard_init(&guard, 1 << 17);
}

static void teardown(void)
{
	guard_free(&guard);
}

/* Parses a copy that ends at the guard page. */
static int parse(enum http1_kind kind, const char *text, size_t len, bool final,
		 struct http1_head *head)
{
	return http1_parse_head(kind, guard_copy(&guard, text, len), len, 0, final, &keep, head);
}

static int request(const char *text, struct http1_head *head)
{
	return parse(HTTP1_REQUEST, text, strlen(text), false, head);
}

static int request_cut(const char *text, struct http1_head *head)
{
	return parse(HTTP1_REQUEST, text, strlen(text), true, head);
}

static int response_cut(const char *text, struct http1_head *head)
{
	return parse(HTTP1_RESPONSE, text, strlen(text), true, head);
}

static bool span_is(const char *base, struct http1_span span, const char *want)
{
	return span.len == strlen(want) && !memcmp(base + span.off, want, span.len);
}

/* ---- Corpus ------------------------------------------------------------------ */

static const char *const result_name[] = {"head", "partial", "bad-start", "bad-version",
					  "bad-status"};

static const char *const framing_name[] = {"none",  "length", "chunked",
					   "close", "tunnel", "unread"};

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
	{HTTP1_CHUNKED, "chunked"},	{HTTP1_TRANSFER_ENCODING, "transfer-encoding"},
	{HTTP1_CLOSE, "close"},		{HTTP1_KEEP_ALIVE, "keep-alive"},
	{HTTP1_UPGRADE, "upgrade"},	{HTTP1_EXPECT_CONTINUE, "expect-continue"},
	{HTTP1_AMBIGUOUS, "ambiguous"}, {HTTP1_FIELDS_LOST, "fields-lost"},
	{HTTP1_MALFORMED, "malformed"}, {HTTP1_UNREAD, "unread"},
};

struct text {
	char data[8192];
	size_t len;
};

static void load(const char *dir, const char *name, struct text *out)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "rb");
	ck_assert_msg(file != NULL, "%s cannot be read", path);
	out->len = fread(out->data, 1, sizeof(out->data) - 1, file);
	out->data[out->len] = '\0';
	fclose(file);
}

static void add_span(struct text *out, const char *base, struct http1_span span)
{
	memcpy(out->data + out->len, base + span.off, span.len);
	out->len += span.len;
	out->data[out->len] = '\0';
}

static void add(struct text *out, const char *s)
{
	add_span(out, s, (struct http1_span){0, (uint32_t)strlen(s)});
}

static void describe_framing(struct text *out, enum http1_framing framing, uint64_t length)
{
	char number[32];

	add(out, framing_name[framing]);
	if (framing != HTTP1_BODY_LENGTH)
		return;
	snprintf(number, sizeof(number), " %llu", (unsigned long long)length);
	add(out, number);
}

/* What the parser says about key, in the words of the .expect files. */
static void describe(struct text *out, const char *key, enum http1_kind kind, const char *base,
		     int result, const struct http1_head *head, uint32_t *fields)
{
	struct http1_span path = {0};
	struct http1_span query = {0};
	struct http1_span authority = {0};
	const char *target = base + head->target.off;
	uint64_t length = 0;
	char number[32];
	long long value = -2;

	out->len = 0;
	out->data[0] = '\0';
	if (!strcmp(key, "result")) {
		add(out, result_name[result < 0 ? -result : 0]);
		return;
	}
	ck_assert_msg(result > 0, "%s of a head that is not there", key);
	if (kind == HTTP1_REQUEST)
		http1_split_target(target, head->target.len, head->method, &path, &query,
				   &authority);

	if (!strcmp(key, "head"))
		value = head->head_len;
	else if (!strcmp(key, "version"))
		value = head->version;
	else if (!strcmp(key, "status"))
		value = head->status;
	else if (!strcmp(key, "length"))
		value = head->content_length;
	else if (!strcmp(key, "persists"))
		value = http1_persists(head);

	if (value != -2) {
		snprintf(number, sizeof(number), "%lld", value);
		add(out, number);
	} else if (!strcmp(key, "method")) {
		add_span(out, base, head->method_name);
	} else if (!strcmp(key, "target")) {
		add_span(out, base, head->target);
	} else if (!strcmp(key, "path")) {
		add_span(out, target, path);
	} else if (!strcmp(key, "query")) {
		add_span(out, target, query);
	} else if (!strcmp(key, "authority")) {
		add_span(out, target, authority);
	} else if (!strcmp(key, "reason")) {
		add_span(out, base, head->reason);
	} else if (!strcmp(key, "host")) {
		add_span(out, base, head->host);
	} else if (!strcmp(key, "framing")) {
		enum http1_framing framing =
			kind == HTTP1_REQUEST
				? http1_request_framing(head, &length)
				: http1_response_framing(head, APPMON_METHOD_GET, &length);

		describe_framing(out, framing, length);
	} else if (!strcmp(key, "framing-head") || !strcmp(key, "framing-connect")) {
		uint32_t method = key[8] == 'h' ? APPMON_METHOD_HEAD : APPMON_METHOD_CONNECT;

		enum http1_framing framing = http1_response_framing(head, method, &length);

		describe_framing(out, framing, length);
	} else if (!strcmp(key, "flags")) {
		size_t i;

		for (i = 0; i < ARRAY_SIZE(flag_names); i++) {
			if (!(head->flags & flag_names[i].flag))
				continue;
			if (out->len)
				add(out, " ");
			add(out, flag_names[i].name);
		}
	} else if (!strcmp(key, "keep")) {
		uint32_t i = (*fields)++;
		const struct http1_field *field = &head->field[i];
		uint32_t j;

		if (i >= head->field_count)
			return;
		add(out, keep.name[field->keep]);
		add(out, field->value.len ? ": " : ":");
		for (j = 0; j < field->value.len; j++) {
			char c = base[field->value.off + j];

			if (c == '\r' || c == '\n' || c == '\t')
				add(out, c == '\r' ? "\\r" : c == '\n' ? "\\n" : "\\t");
			else
				add_span(out, &c, (struct http1_span){0, 1});
		}
	} else {
		ck_abort_msg("unknown key %s", key);
	}
}

static void compare(const char *name, enum http1_kind kind, const char *base, int result,
		    const struct http1_head *head, const struct text *expect)
{
	static struct text got;
	struct text copy = *expect;
	bool list_seen = false;
	uint32_t fields = 0;
	char *save;
	char *line;

	for (line = strtok_r(copy.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *want = strchr(line, ':');

		if (*line == '#')
			continue;
		ck_assert_msg(want != NULL, "%s: %s", name, line);
		*want++ = '\0';
		want += *want == ' ';
		describe(&got, line, kind, base, result, head, &fields);
		list_seen |= !strcmp(line, "keep");
		ck_assert_msg(!strcmp(got.data, want), "%s: %s is '%s', expected '%s'", name, line,
			      got.data, want);
	}
	if (list_seen)
		ck_assert_msg(fields >= head->field_count, "%s: more fields kept", name);
}

static void same_head(const char *name, const struct http1_head *a, const struct http1_head *b)
{
	ck_assert_msg(!memcmp(a, b, offsetof(struct http1_head, field)) &&
			      !memcmp(a->field, b->field, a->field_count * sizeof(a->field[0])),
		      "%s: parsed differently in pieces", name);
}

/*
 * In two pieces, split at every byte: the second call is told how much the first one has seen. An
 * error may hide until the empty line is there.
 */
static void run_split(const char *name, enum http1_kind kind, const struct text *input, int result,
		      const struct http1_head *whole)
{
	static struct http1_head part;
	size_t split;

	for (split = 1; split < input->len; split++) {
		const char *base = guard_copy(&guard, input->data, split);
		int second;

		if (http1_parse_head(kind, base, split, 0, false, &keep, &part) != HTTP1_PARTIAL)
			break;
		base = guard_copy(&guard, input->data, input->len);
		memset(&part, 0, sizeof(part));
		second = http1_parse_head(kind, base, input->len, split, false, &keep, &part);
		ck_assert_msg(second == result || (result < 0 && second == HTTP1_PARTIAL),
			      "%s: %d, split at %zu", name, second, split);
		if (second > 0)
			same_head(name, &part, whole);
	}
}

static void run_case(const char *name, enum http1_kind kind, const struct text *input,
		     const struct text *expect)
{
	static struct http1_head whole;
	static struct http1_head part;
	const char *base = guard_copy(&guard, input->data, input->len);
	int result;
	size_t scanned = 0;
	size_t i;

	memset(&whole, 0, sizeof(whole));
	result = http1_parse_head(kind, base, input->len, 0, false, &keep, &whole);
	compare(name, kind, base, result, &whole, expect);
	if (result > 0)
		ck_assert_int_eq(http1_look(kind, base, input->len), HTTP1_LOOK_YES);
	run_split(name, kind, input, result, &whole);

	/* With every suffix missing: as if no more had come yet, byte after byte, and for good. */
	for (i = 0; i <= input->len; i++) {
		int again;
		int resumed;
		int final;
		bool ends_here = result > 0 && i >= (size_t)result;

		base = guard_copy(&guard, input->data, i);
		memset(&part, 0, sizeof(part));
		again = http1_parse_head(kind, base, i, 0, false, &keep, &part);
		if (result >= HTTP1_PARTIAL)
			ck_assert_msg(again == (ends_here ? result : HTTP1_PARTIAL),
				      "%s: %d after %zu bytes", name, again, i);
		else
			ck_assert_msg(again == HTTP1_PARTIAL || again == result,
				      "%s: %d after %zu bytes", name, again, i);
		if (again > 0)
			same_head(name, &part, &whole);

		memset(&part, 0, sizeof(part));
		resumed = http1_parse_head(kind, base, i, scanned, false, &keep, &part);
		ck_assert_msg(resumed == again || (again < 0 && resumed == HTTP1_PARTIAL),
			      "%s: %d, resumed after %zu bytes", name, resumed, i);
		if (resumed > 0)
			same_head(name, &part, &whole);
		else if (resumed == HTTP1_PARTIAL)
			scanned = i;

		memset(&part, 0, sizeof(part));
		final = http1_parse_head(kind, base, i, 0, true, &keep, &part);
		if (again != HTTP1_PARTIAL)
			ck_assert_msg(final == again, "%s: final after %zu bytes", name, i);
		else
			ck_assert_msg(final == HTTP1_PARTIAL ||
					      (final == (int)i && part.truncated) ||
					      (final == HTTP1_BAD_VERSION && final == result),
				      "%s: %d, final after %zu bytes", name, final, i);
	}
}

START_TEST(corpus)
{
	const char *root = getenv("TEST_CORPUS");
	static struct text input;
	static struct text expect;
	char dir[4000];
	struct dirent *entry;
	DIR *list;
	int cases = 0;

	ck_assert_msg(root != NULL, "set TEST_CORPUS to the directory tests/corpus");
	snprintf(dir, sizeof(dir), "%s/http1", root);
	list = opendir(dir);
	ck_assert_msg(list != NULL, "%s cannot be read", dir);
	while ((entry = readdir(list))) {
		char name[300];
		char *dot;
		enum http1_kind kind;

		snprintf(name, sizeof(name), "%s", entry->d_name);
		dot = strrchr(name, '.');
		if (!dot || (strcmp(dot, ".req") && strcmp(dot, ".resp")))
			continue;
		kind = strcmp(dot, ".req") ? HTTP1_RESPONSE : HTTP1_REQUEST;
		load(dir, name, &input);
		strcpy(dot, ".expect");
		load(dir, name, &expect);
		run_case(name, kind, &input, &expect);
		cases++;
	}
	closedir(list);
	ck_assert_int_ge(cases, 140);
}
END_TEST

/* ---- Heads ---------------------------------------------------------------------- */

START_TEST(methods)
{
	static const struct {
		const char *name;
		uint32_t method;
	} table[] = {
		{"GET", APPMON_METHOD_GET},	    {"HEAD", APPMON_METHOD_HEAD},
		{"POST", APPMON_METHOD_POST},	    {"PUT", APPMON_METHOD_PUT},
		{"DELETE", APPMON_METHOD_DELETE},   {"CONNECT", APPMON_METHOD_CONNECT},
		{"OPTIONS", APPMON_METHOD_OPTIONS}, {"TRACE", APPMON_METHOD_TRACE},
		{"PATCH", APPMON_METHOD_PATCH},	    {"get", APPMON_METHOD_OTHER},
		{"GETS", APPMON_METHOD_OTHER},	    {"PUR", APPMON_METHOD_OTHER},
		{"TRACK", APPMON_METHOD_OTHER},	    {"DELETF", APPMON_METHOD_OTHER},
		{"OPTIONZ", APPMON_METHOD_OTHER},   {"X", APPMON_METHOD_OTHER},
		{"PROPFIND", APPMON_METHOD_OTHER},  {"!#$%&'*+-.^_`|~09azAZ", APPMON_METHOD_OTHER},
	};
	struct http1_head head;
	char text[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n\r\n", table[i].name);
		ck_assert_int_eq(request(text, &head), strlen(text));
		ck_assert_uint_eq(head.method, table[i].method);
		ck_assert(span_is(text, head.method_name, table[i].name));
	}
}
END_TEST

/* Every byte at every place of an 8-byte word, so that no lane of the word scanners is untested. */
START_TEST(every_byte)
{
	struct http1_head head;
	char text[80];
	int c;
	int at;

	for (c = 0; c < 256; c++) {
		bool bad = (c < 0x20 && c != '\t') || c == 0x7f;
		int len;

		for (at = 0; at < 17; at++) {
			len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nX: %-17s|\r\n\r\n",
				       "");
			text[19 + at] = (char)c;
			/* A line feed ends the line, and the next one is a fold, or has no colon.
			 */
			if (c == '\n')
				continue;
			ck_assert_int_eq(parse(HTTP1_REQUEST, text, (size_t)len, false, &head),
					 len);
			ck_assert_uint_eq(head.flags, bad ? HTTP1_MALFORMED : 0);

			len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%-17s: x\r\n\r\n",
				       "aaaaaaaaaaaaaaaaa");
			text[16 + at] = (char)c;
			if (!at && (c == '\r' || c == ' ' || c == '\t' || c == ':'))
				bad = true;
			ck_assert_int_eq(parse(HTTP1_REQUEST, text, (size_t)len, false, &head),
					 len);
			ck_assert_uint_eq(head.flags, bad ? HTTP1_MALFORMED : 0);
			bad = (c < 0x20 && c != '\t') || c == 0x7f;

			len = snprintf(text, sizeof(text), "GET /%-17s HTTP/1.1\r\n\r\n",
				       "aaaaaaaaaaaaaaaaa");
			text[5 + at] = (char)c;
			ck_assert_int_eq(parse(HTTP1_REQUEST, text, (size_t)len, false, &head),
					 len);
			ck_assert_uint_eq(head.flags, bad ? HTTP1_MALFORMED : 0);
		}
	}
}
END_TEST

START_TEST(many_fields)
{
	static char text[16384];
	struct http1_head head;
	size_t len = (size_t)sprintf(text, "GET / HTTP/1.1\r\n");
	uint32_t i;

	for (i = 0; i < FIELDS_MAX; i++)
		len += (size_t)sprintf(text + len, "Cookie: %u\r\nX-%u: y\r\n", i, i);
	strcpy(text + len, "\r\n");
	ck_assert_int_eq(request(text, &head), len + 2);
	ck_assert_uint_eq(head.field_count, FIELDS_MAX);
	ck_assert_uint_eq(head.flags, 0);

	strcpy(text + len, "Cookie: more\r\nContent-Length: 3\r\n\r\n");
	ck_assert_int_gt(request(text, &head), 0);
	ck_assert_uint_eq(head.field_count, FIELDS_MAX);
	ck_assert_uint_eq(head.flags, HTTP1_FIELDS_LOST);
	ck_assert_int_eq(head.content_length, 3);
}
END_TEST

START_TEST(no_keep)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nCookie: 1\r\n\r\n";
	struct http1_head head;

	ck_assert_int_gt(http1_parse_head(HTTP1_REQUEST, text, strlen(text), 0, false, NULL, &head),
			 0);
	ck_assert_uint_eq(head.field_count, 0);
	ck_assert(span_is(text, head.host, "h"));
}
END_TEST

START_TEST(letters)
{
	static const char text[] = "GET / HTTP/1.1\r\nZAM: 1\r\nZAMZAMAZ: 2\r\nzam: 3\r\n\r\n";
	static struct field_names two;
	struct http1_head head;

	memset(&two, 0, sizeof(two));
	ck_assert(field_names_add(&two, "zam") && field_names_add(&two, "zamzamaz"));
	ck_assert_int_gt(http1_parse_head(HTTP1_REQUEST, text, strlen(text), 0, false, &two, &head),
			 0);
	ck_assert_uint_eq(head.field_count, 3);
}
END_TEST

START_TEST(keep_names)
{
	static struct field_names many;
	static char names[FIELD_NAMES_MAX + 1][8];
	char name[260];
	uint32_t i;

	memset(&many, 0, sizeof(many));
	ck_assert(!field_names_add(&many, ""));
	ck_assert(!field_names_add(&many, "a b"));
	ck_assert(!field_names_add(&many, "a:"));
	ck_assert(!field_names_add(&many, "\xc3\xa4"));
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	ck_assert(!field_names_add(&many, name));
	ck_assert_uint_eq(many.count, 0);
	name[255] = '\0';
	ck_assert(field_names_add(&many, name));
	ck_assert(field_names_add(&many, name));
	ck_assert_uint_eq(many.count, 1);

	for (i = 1; i <= FIELD_NAMES_MAX; i++) {
		sprintf(names[i], "x%u", i);
		ck_assert(field_names_add(&many, names[i]) == (i < FIELD_NAMES_MAX));
	}
	ck_assert(field_names_add(&many, names[1]));

	/* All of them are found, those that share a bucket too. */
	for (i = 0; i < FIELD_NAMES_MAX; i++) {
		struct http1_head head;
		char text[400];

		sprintf(text, "GET / HTTP/1.1\r\n%s: v\r\n\r\n", many.name[i]);
		ck_assert_int_gt(
			http1_parse_head(HTTP1_REQUEST, text, strlen(text), 0, false, &many, &head),
			0);
		ck_assert_uint_eq(head.field_count, 1);
		ck_assert_uint_eq(head.field[0].keep, i);
	}
}
END_TEST

START_TEST(cut_request)
{
	struct http1_head head;
	const char *text;

	ck_assert_int_eq(request_cut("", &head), HTTP1_PARTIAL);
	ck_assert_int_eq(request_cut("\r\n", &head), HTTP1_PARTIAL);
	ck_assert_int_eq(request_cut("GET", &head), HTTP1_PARTIAL);
	ck_assert_int_eq(request_cut("GET ", &head), HTTP1_PARTIAL);

	text = "GET /a?b";
	ck_assert_int_eq(request_cut(text, &head), 8);
	ck_assert(head.truncated && head.target_truncated);
	ck_assert(span_is(text, head.target, "/a?b"));
	ck_assert_uint_eq(head.version, 0);
	ck_assert_uint_eq(head.head_len, 8);

	text = "GET /a ";
	ck_assert_int_eq(request_cut(text, &head), 7);
	ck_assert(head.truncated && !head.target_truncated);
	ck_assert(span_is(text, head.target, "/a"));

	text = "GET /a HTTP/1";
	ck_assert_int_eq(request_cut(text, &head), 13);
	ck_assert(!head.target_truncated && head.version == 0);
	ck_assert(span_is(text, head.target, "/a"));

	text = "GET HTTP/1";
	ck_assert_int_eq(request_cut(text, &head), 10);
	ck_assert(head.target_truncated);
	ck_assert(span_is(text, head.target, "HTTP/1"));

	text = "GET /a b";
	ck_assert_int_eq(request_cut(text, &head), 8);
	ck_assert(head.target_truncated);
	ck_assert(span_is(text, head.target, "/a b"));

	text = "GET /a HTTP/1.0 ";
	ck_assert_int_eq(request_cut(text, &head), 16);
	ck_assert(!head.target_truncated && head.version == 10);
	ck_assert(span_is(text, head.target, "/a"));

	text = "GET /a HTTP/1.1\r";
	ck_assert_int_eq(request_cut(text, &head), 16);
	ck_assert(head.truncated && head.version == 11);

	/* The CR may be one inside the line, which is kept then: the version comes later. */
	text = "GET /a\r";
	ck_assert_int_eq(request_cut(text, &head), 7);
	ck_assert(head.truncated && head.target_truncated);
	ck_assert(span_is(text, head.target, "/a"));
	ck_assert_int_eq(http1_look(HTTP1_REQUEST, text, 7), HTTP1_LOOK_MAYBE);
	ck_assert_int_eq(http1_look(HTTP1_REQUEST, "GET /a\r HTTP/1.1\r\n", 18), HTTP1_LOOK_YES);
	ck_assert_int_eq(request_cut("GET /a\n", &head), HTTP1_BAD_START);
}
END_TEST

START_TEST(cut_response)
{
	struct http1_head head;
	const char *text;

	ck_assert_int_eq(response_cut("HTTP/1.1", &head), HTTP1_PARTIAL);
	ck_assert_int_eq(response_cut("HTTP/1.1 20", &head), HTTP1_PARTIAL);
	text = "HTTP/1.1 200";
	ck_assert_int_eq(response_cut(text, &head), 12);
	ck_assert(head.truncated && head.status == 200 && head.reason.len == 0);
	text = "HTTP/1.1 404 Not F";
	ck_assert_int_eq(response_cut(text, &head), 18);
	ck_assert(span_is(text, head.reason, "Not F"));
	ck_assert(!head.target_truncated);
}
END_TEST

START_TEST(cut_fields)
{
	struct http1_head head;
	const char *text;

	/* A name without its colon says nothing. */
	text = "GET / HTTP/1.1\r\nHost: h\r\nCooki";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert(head.truncated);
	ck_assert_uint_eq(head.field_count, 1);

	/* A value that is cut is kept, up to the end. */
	text = "GET / HTTP/1.1\r\nCookie: abc  ";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert_uint_eq(head.field_count, 1);
	ck_assert(span_is(text, head.field[0].value, "abc  "));

	text = "GET / HTTP/1.1\r\nCookie: abc\r\n d";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert(span_is(text, head.field[0].value, "abc\r\n d"));

	text = "GET / HTTP/1.1\r\nHost: exam";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert(span_is(text, head.host, "exam"));

	/* But half a number is no number, nor half a list. */
	text = "PUT / HTTP/1.1\r\nContent-Length: 12";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert_int_eq(head.content_length, -1);
	text = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert_uint_eq(head.flags, 0);
	text = "PUT / HTTP/1.1\r\nConnection: close";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert_uint_eq(head.flags, 0);
	text = "PUT / HTTP/1.1\r\nExpect: 100-continue";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert_uint_eq(head.flags, 0);

	/* Whole lines count. */
	text = "PUT / HTTP/1.1\r\nContent-Length: 12\r\n";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert_int_eq(head.content_length, 12);
	text = "PUT / HTTP/1.1\r\nContent-Length: 12\r";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert_int_eq(head.content_length, 12);

	/* A bad length might yet be overridden by what was cut off. */
	text = "PUT / HTTP/1.1\r\nContent-Length: x\r\nA";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert_int_eq(head.content_length, -1);
	ck_assert_uint_eq(head.flags, HTTP1_AMBIGUOUS | HTTP1_MALFORMED | HTTP1_UNREAD);

	text = "GET / HTTP/1.1\r\nA\x01";
	ck_assert_int_eq(request_cut(text, &head), strlen(text));
	ck_assert_uint_eq(head.flags, HTTP1_MALFORMED);

	/* Nothing was cut off. */
	text = "GET / HTTP/1.1\r\n\r\nbody";
	ck_assert_int_eq(request_cut(text, &head), 18);
	ck_assert(!head.truncated);
}
END_TEST

START_TEST(fold_edges)
{
	struct http1_head head;
	const char *text = "GET / HTTP/1.1\r\nCookie: a\r\n \r\n\t\r\n b\r\n \r\n\r\n";

	ck_assert_int_eq(request(text, &head), strlen(text));
	ck_assert(span_is(text, head.field[0].value, "a\r\n \r\n\t\r\n b"));

	text = "GET / HTTP/1.1\r\nCookie:\r\n \r\n \r\n\r\n";
	ck_assert_int_eq(request(text, &head), strlen(text));
	ck_assert_uint_eq(head.field[0].value.len, 0);

	/* A control byte in any of its lines: the field is passed over. */
	text = "GET / HTTP/1.1\r\nCookie: b\r\n c\x01\r\n d\r\n\r\n";
	ck_assert_int_eq(request(text, &head), strlen(text));
	ck_assert_uint_eq(head.field_count, 0);
	ck_assert_uint_eq(head.flags, HTTP1_MALFORMED);
	ck_assert_int_eq(request("GET / HTTP/1.1\r\nA: b\r\n c\r", &head), HTTP1_PARTIAL);
	ck_assert_int_eq(request("GET / HTTP/1.1\r\nA: b\r\n\rX", &head), HTTP1_PARTIAL);
	text = "GET / HTTP/1.1\r\nCookie: b\r\n\rX\r\n\r\n";
	ck_assert_int_eq(request(text, &head), strlen(text));
	ck_assert_uint_eq(head.field_count, 1);
	ck_assert_uint_eq(head.flags, HTTP1_MALFORMED);
}
END_TEST

/* A prefix that was scanned is not parsed again before an empty line is there. */
START_TEST(scanned)
{
	static const char text[] = "GET /\nHost: h\r\n\r\n";
	struct http1_head head;
	size_t len = strlen(text);

	ck_assert_int_eq(http1_parse_head(HTTP1_REQUEST, text, len, 0, false, &keep, &head),
			 HTTP1_BAD_START);
	ck_assert_int_eq(http1_parse_head(HTTP1_REQUEST, text, len - 1, 5, false, &keep, &head),
			 HTTP1_PARTIAL);
	ck_assert_int_eq(http1_parse_head(HTTP1_REQUEST, text, len, len - 1, false, &keep, &head),
			 HTTP1_BAD_START);
	ck_assert_int_eq(http1_parse_head(HTTP1_REQUEST, text, len, len, false, &keep, &head),
			 HTTP1_PARTIAL);
	/* At the capture limit there is no later call. */
	ck_assert_int_eq(
		http1_parse_head(HTTP1_REQUEST, "GET / HTTP/1.1", 14, 14, true, &keep, &head), 14);
}
END_TEST

/* ---- Framing ---------------------------------------------------------------------- */

/* RFC 9112 section 6.3, rule by rule, in its order. */
START_TEST(framing_table)
{
	enum { L = 7 };
	static const struct {
		uint32_t status; /* 0: a request */
		uint32_t method;
		uint32_t flags;
		int64_t length;
		enum http1_framing want;
	} table[] = {
		/* 1 */
		{200, APPMON_METHOD_HEAD, 0, L, HTTP1_BODY_NONE},
		{200, APPMON_METHOD_HEAD, HTTP1_TRANSFER_ENCODING | HTTP1_CHUNKED, -1,
		 HTTP1_BODY_NONE},
		{404, APPMON_METHOD_HEAD, 0, -1, HTTP1_BODY_NONE},
		{100, APPMON_METHOD_GET, 0, L, HTTP1_BODY_NONE},
		{102, APPMON_METHOD_CONNECT, 0, L, HTTP1_BODY_NONE},
		{199, APPMON_METHOD_UNKNOWN, HTTP1_TRANSFER_ENCODING | HTTP1_CHUNKED, -1,
		 HTTP1_BODY_NONE},
		{204, APPMON_METHOD_GET, 0, L, HTTP1_BODY_NONE},
		{204, APPMON_METHOD_GET, HTTP1_TRANSFER_ENCODING, -1, HTTP1_BODY_NONE},
		{304, APPMON_METHOD_GET, 0, L, HTTP1_BODY_NONE},
		{304, APPMON_METHOD_GET, 0, -1, HTTP1_BODY_NONE},
		{205, APPMON_METHOD_GET, 0, L, HTTP1_BODY_LENGTH},
		/* 2, with RFC 9110 9.3.6: any 2xx */
		{200, APPMON_METHOD_CONNECT, 0, L, HTTP1_BODY_TUNNEL},
		{204, APPMON_METHOD_CONNECT, 0, -1, HTTP1_BODY_TUNNEL},
		{299, APPMON_METHOD_CONNECT, HTTP1_TRANSFER_ENCODING | HTTP1_CHUNKED, L,
		 HTTP1_BODY_TUNNEL},
		{300, APPMON_METHOD_CONNECT, 0, -1, HTTP1_BODY_CLOSE},
		{407, APPMON_METHOD_CONNECT, 0, L, HTTP1_BODY_LENGTH},
		/* RFC 9110 15.2.2 */
		{101, APPMON_METHOD_GET, 0, L, HTTP1_BODY_TUNNEL},
		{101, APPMON_METHOD_HEAD, 0, -1, HTTP1_BODY_TUNNEL},
		/* 3 and 4 */
		{200, APPMON_METHOD_GET, HTTP1_TRANSFER_ENCODING | HTTP1_CHUNKED, L,
		 HTTP1_BODY_CHUNKED},
		{200, APPMON_METHOD_GET, HTTP1_TRANSFER_ENCODING, L, HTTP1_BODY_CLOSE},
		{200, APPMON_METHOD_GET, HTTP1_TRANSFER_ENCODING, -1, HTTP1_BODY_CLOSE},
		{0, 0, HTTP1_TRANSFER_ENCODING | HTTP1_CHUNKED, L, HTTP1_BODY_CHUNKED},
		{0, 0, HTTP1_TRANSFER_ENCODING | HTTP1_CHUNKED, -1, HTTP1_BODY_CHUNKED},
		{0, 0, HTTP1_TRANSFER_ENCODING, L, HTTP1_BODY_CLOSE},
		/* 6 */
		{200, APPMON_METHOD_GET, 0, 0, HTTP1_BODY_LENGTH},
		{200, APPMON_METHOD_UNKNOWN, HTTP1_CLOSE, L, HTTP1_BODY_LENGTH},
		{0, 0, 0, 0, HTTP1_BODY_LENGTH},
		{0, 0, 0, INT64_MAX, HTTP1_BODY_LENGTH},
		/* 7 */
		{0, 0, 0, -1, HTTP1_BODY_NONE},
		{0, 0, HTTP1_CLOSE, -1, HTTP1_BODY_NONE},
		/* 8 */
		{200, APPMON_METHOD_GET, 0, -1, HTTP1_BODY_CLOSE},
		{500, APPMON_METHOD_POST, HTTP1_KEEP_ALIVE, -1, HTTP1_BODY_CLOSE},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct http1_head head = {.status = table[i].status,
					  .version = 11,
					  .flags = table[i].flags,
					  .content_length = table[i].length};
		uint64_t length = 99;
		enum http1_framing got =
			table[i].status ? http1_response_framing(&head, table[i].method, &length)
					: http1_request_framing(&head, &length);

		ck_assert_msg(got == table[i].want, "row %zu: %s", i, framing_name[got]);
		ck_assert_uint_eq(length,
				  got == HTTP1_BODY_LENGTH ? (uint64_t)table[i].length : 99);
	}
}
END_TEST

START_TEST(persistence)
{
	static const struct {
		uint32_t version;
		uint32_t flags;
		bool want;
	} table[] = {
		{11, 0, true},
		{11, HTTP1_KEEP_ALIVE, true},
		{11, HTTP1_CLOSE, false},
		{11, HTTP1_CLOSE | HTTP1_KEEP_ALIVE, false},
		{10, 0, false},
		{10, HTTP1_KEEP_ALIVE, true},
		{10, HTTP1_CLOSE | HTTP1_KEEP_ALIVE, false},
		{10, HTTP1_UPGRADE, false},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct http1_head head = {.version = table[i].version, .flags = table[i].flags};

		ck_assert_msg(http1_persists(&head) == table[i].want, "row %zu", i);
	}
}
END_TEST

/* ---- Looking ----------------------------------------------------------------------- */

START_TEST(look)
{
	static const struct {
		enum http1_kind kind;
		const char *text;
		enum http1_look want;
	} table[] = {
		{HTTP1_REQUEST, "GET / HTTP/1.1\r\n", HTTP1_LOOK_YES},
		{HTTP1_REQUEST, "GET / HTTP/1.0\nHost", HTTP1_LOOK_YES},
		{HTTP1_REQUEST, "\r\nGET / HTTP/1.1\r\n\x01", HTTP1_LOOK_YES},
		{HTTP1_REQUEST, "GET / HTTP/1.1\r", HTTP1_LOOK_MAYBE},
		{HTTP1_REQUEST, "", HTTP1_LOOK_MAYBE},
		{HTTP1_REQUEST, "\r", HTTP1_LOOK_MAYBE},
		{HTTP1_REQUEST, "\rX", HTTP1_LOOK_MAYBE},
		{HTTP1_REQUEST, "\n\r\n\rGET / HTTP/1.1\r\n", HTTP1_LOOK_YES},
		{HTTP1_REQUEST, "GET / HTTP/2.0\r\n", HTTP1_LOOK_YES},
		{HTTP1_REQUEST, "GET / HTTP/one\r\n", HTTP1_LOOK_YES},
		{HTTP1_REQUEST, "GET / HTTP\r\n", HTTP1_LOOK_NO},
		{HTTP1_REQUEST, "PRI * HTTP/2.0\r\n", HTTP1_LOOK_NO},
		{HTTP1_REQUEST, "HTTP/1.1 200 OK\r\n", HTTP1_LOOK_NO},
		{HTTP1_REQUEST, "{\"a\":1}", HTTP1_LOOK_NO},
		{HTTP1_REQUEST, "\x16\x03\x01", HTTP1_LOOK_NO},
		{HTTP1_REQUEST, "a plain line of text\r\n", HTTP1_LOOK_NO},
		{HTTP1_RESPONSE, "HTTP/1.1 200 OK\r\n", HTTP1_LOOK_YES},
		{HTTP1_RESPONSE, "HTTP/1.0 404\n", HTTP1_LOOK_YES},
		{HTTP1_RESPONSE, "HTTP/1.1 200 OK", HTTP1_LOOK_MAYBE},
		{HTTP1_RESPONSE, "HTTP/1.1 ", HTTP1_LOOK_MAYBE},
		{HTTP1_RESPONSE, "H", HTTP1_LOOK_MAYBE},
		{HTTP1_RESPONSE, "HTTP/2", HTTP1_LOOK_MAYBE},
		{HTTP1_RESPONSE, "HTTP/2 200\r\n", HTTP1_LOOK_YES},
		{HTTP1_RESPONSE, "HTTP/1.10 200 OK\n", HTTP1_LOOK_YES},
		{HTTP1_RESPONSE, "HTTP/1234 200 OK\n", HTTP1_LOOK_NO},
		{HTTP1_RESPONSE, "HTTP/1.2.3 200 OK\n", HTTP1_LOOK_NO},
		{HTTP1_RESPONSE, "HTTP/.1 200 OK\n", HTTP1_LOOK_NO},
		{HTTP1_RESPONSE, "HTTP/1.1 OK\r\n", HTTP1_LOOK_NO},
		{HTTP1_RESPONSE, "GET / HTTP/1.1\r\n", HTTP1_LOOK_NO},
		{HTTP1_RESPONSE, "SSH-2.0", HTTP1_LOOK_NO},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		size_t len = strlen(table[i].text);
		enum http1_look got =
			http1_look(table[i].kind, guard_copy(&guard, table[i].text, len), len);
		size_t n;

		ck_assert_msg(got == table[i].want, "row %zu: %d", i, got);
		/* Less of it never says the opposite. */
		for (n = 0; n < len; n++) {
			enum http1_look part =
				http1_look(table[i].kind, guard_copy(&guard, table[i].text, n), n);

			ck_assert(part == HTTP1_LOOK_MAYBE || part == got);
		}
	}
}
END_TEST

/* ---- Targets ------------------------------------------------------------------------ */

START_TEST(targets)
{
	static const struct {
		const char *target;
		uint32_t method;
		const char *path;
		const char *query;
		const char *authority;
	} table[] = {
		{"/", APPMON_METHOD_GET, "/", "", ""},
		{"/a/b?c=d?e", APPMON_METHOD_GET, "/a/b", "c=d?e", ""},
		{"/?", APPMON_METHOD_GET, "/", "", ""},
		{"/a#b?c", APPMON_METHOD_GET, "/a", "", ""},
		{"/a?b#c", APPMON_METHOD_GET, "/a", "b", ""},
		{"//h/a", APPMON_METHOD_GET, "//h/a", "", ""},
		{"/http://h/?q", APPMON_METHOD_GET, "/http://h/", "q", ""},
		{"http://h/a?b", APPMON_METHOD_GET, "/a", "b", "h"},
		{"HTTPS://h:8443", APPMON_METHOD_GET, "/", "", "h:8443"},
		{"http://h?b", APPMON_METHOD_GET, "/", "b", "h"},
		{"http://h#x", APPMON_METHOD_GET, "/", "", "h"},
		{"http://[::1]:80/a", APPMON_METHOD_GET, "/a", "", "[::1]:80"},
		{"http://me:pw@h/a@b", APPMON_METHOD_GET, "/a@b", "", "h"},
		{"http://a@b@h", APPMON_METHOD_GET, "/", "", "h"},
		{"http://", APPMON_METHOD_GET, "/", "", ""},
		{"a+b-c.1://h", APPMON_METHOD_GET, "/", "", "h"},
		{"1a://h", APPMON_METHOD_GET, "1a://h", "", ""},
		{"http:/h", APPMON_METHOD_GET, "http:/h", "", ""},
		{"*", APPMON_METHOD_OPTIONS, "*", "", ""},
		{"h:443", APPMON_METHOD_CONNECT, "", "", "h:443"},
		{"[::1]:443", APPMON_METHOD_CONNECT, "", "", "[::1]:443"},
		{"zZaA://h", APPMON_METHOD_GET, "/", "", "h"},
		{"ZzAa://h", APPMON_METHOD_GET, "/", "", "h"},
		{"abc", APPMON_METHOD_GET, "abc", "", ""},
		{"a?b", APPMON_METHOD_GET, "a", "b", ""},
		{"", APPMON_METHOD_GET, "", "", ""},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		size_t len = strlen(table[i].target);
		const char *target = guard_copy(&guard, table[i].target, len);
		struct http1_span path;
		struct http1_span query;
		struct http1_span authority;

		http1_split_target(target, len, table[i].method, &path, &query, &authority);
		ck_assert_msg(span_is(target, path, table[i].path), "path of %s", table[i].target);
		ck_assert_msg(span_is(target, query, table[i].query), "query of %s",
			      table[i].target);
		ck_assert_msg(span_is(target, authority, table[i].authority), "authority of %s",
			      table[i].target);
	}
}
END_TEST

/* ---- Chunked ------------------------------------------------------------------------ */

START_TEST(chunks)
{
	static const struct {
		const char *text;
		int want;
		int used; /* -1: all */
	} table[] = {
		/* RFC 9112 7.1 */
		{"0\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"5\r\nhello\r\n0\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"5\r\nhello\r\n0\r\n\r\nHTTP/1.1", HTTP1_CHUNKS_DONE, 15},
		{"A\r\n0123456789\r\nb\r\n\r\n0\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", HTTP1_CHUNKS_BAD,
		 31},
		{"a\r\n\r\n0\r\n\r\n\r\n \r\n0\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"00005\r\nhello\r\n000\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"00000000000000000001\r\nx\r\n0\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"7FFFFFFFFFFFFFFF\r\nx", HTTP1_CHUNKS_MORE, -1},
		{"8000000000000000\r\nx", HTTP1_CHUNKS_BAD, 15},
		{"10000000000000005\r\nhello\r\n", HTTP1_CHUNKS_BAD, 16},
		{"", HTTP1_CHUNKS_MORE, -1},
		{"5\r\nhel", HTTP1_CHUNKS_MORE, -1},
		{"5\r\nhello\r\n0\r\n", HTTP1_CHUNKS_MORE, -1},
		/* 7.1.1: extensions, white space before them */
		{"5;a\r\nhello\r\n0;b=c\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"5 \t; a = \"b;\\\"c\"\t\xff\r\nhello\r\n0\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"5  \r\nhello\r\n0 \r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"5 5\r\n", HTTP1_CHUNKS_BAD, 2},
		{"5;a\x01\r\nhello\r\n0\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"5;a\nhello\n0;b\n\n", HTTP1_CHUNKS_DONE, -1},
		/* 7.1.2: trailers */
		{"0\r\nA: b\r\nc :\td \xff\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"0\r\nA: b\n\n", HTTP1_CHUNKS_DONE, -1},
		{"0\r\nA: b\r\n c\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"0\r\nA\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"0\r\n: b\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"0\r\nA b: c\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"0\r\nA: \x01\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"0\r\nA: b\rc\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"0\r\n\rX", HTTP1_CHUNKS_BAD, 4},
		/* The next message, where the last empty line is missing. */
		{"0\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n", HTTP1_CHUNKS_BAD, 7},
		{"0\r\nGET http://h/ HTTP/1.1\r\nA: b\r\n\r\n", HTTP1_CHUNKS_BAD, 21},
		{"0\r\nHHTTP/1.1\r\n", HTTP1_CHUNKS_BAD, 8},
		{"0\r\n\x01HTTHTTP/1.1\r\n", HTTP1_CHUNKS_BAD, 11},
		/* Not a chunk size */
		{"\r\n", HTTP1_CHUNKS_BAD, 0},
		{"x\r\n", HTTP1_CHUNKS_BAD, 0},
		{"-1\r\n", HTTP1_CHUNKS_BAD, 0},
		{" 5\r\n", HTTP1_CHUNKS_MORE, -1},
		{"0x5\r\n", HTTP1_CHUNKS_BAD, 1},
		{"5g\r\n", HTTP1_CHUNKS_BAD, 1},
		/* 2.2 lets LF alone end field lines only, senders any line */
		{"5\nhello\r\n0\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"5\rhello", HTTP1_CHUNKS_BAD, 2},
		{"5\r\nhello\n0\r\n\r\n", HTTP1_CHUNKS_DONE, -1},
		{"5\nhello\n0\n\nHTTP", HTTP1_CHUNKS_DONE, 11},
		{"5\r\nhello!\r\n", HTTP1_CHUNKS_BAD, 8},
		{"5\r\nhello\rX", HTTP1_CHUNKS_BAD, 9},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		size_t len = strlen(table[i].text);
		size_t want_used = table[i].used < 0 ? len : (size_t)table[i].used;
		const char *text = guard_copy(&guard, table[i].text, len);
		size_t split;

		/* In two pieces, split at every byte. */
		for (split = 0; split <= len; split++) {
			struct http1_chunks c = {0};
			size_t used;
			size_t more = 0;
			int r = http1_chunks_feed(&c, text, split, &used);

			if (r == HTTP1_CHUNKS_MORE) {
				ck_assert_uint_eq(used, split);
				r = http1_chunks_feed(&c, text + split, len - split, &more);
			}
			ck_assert_msg(r == table[i].want && used + more == want_used,
				      "row %zu, split at %zu: %d after %zu", i, split, r,
				      used + more);
			/* The result stays. */
			if (r == HTTP1_CHUNKS_MORE)
				continue;
			ck_assert_int_eq(http1_chunks_feed(&c, "0", 1, &more), r);
			ck_assert_uint_eq(more, 0);
		}
	}
}
END_TEST

START_TEST(chunk_lines)
{
	static char text[20000];
	struct http1_chunks c = {0};
	size_t used;

	/* 8192 bytes with the line end are accepted, one more is not. */
	memset(text, 'a', sizeof(text));
	memcpy(text, "5;", 2);
	memcpy(text + 8190, "\r\n", 2);
	ck_assert_int_eq(http1_chunks_feed(&c, text, 8192, &used), HTTP1_CHUNKS_MORE);
	ck_assert_uint_eq(c.left, 5);

	memset(&c, 0, sizeof(c));
	memset(text + 8190, 'a', 2);
	memcpy(text + 8191, "\r\n", 2);
	ck_assert_int_eq(http1_chunks_feed(&c, text, 8193, &used), HTTP1_CHUNKS_BAD);
	ck_assert_uint_eq(used, 8192);

	/* The bound is that of one line: many are fine. */
	memset(&c, 0, sizeof(c));
	ck_assert_int_eq(http1_chunks_feed(&c, "0\r\n", 3, &used), HTTP1_CHUNKS_MORE);
	for (used = 0; used < 18000; used += 9)
		memcpy(text + used, "A: bcde\r\n", 9);
	memcpy(text + 18000, "\r\n", 2);
	ck_assert_int_eq(http1_chunks_feed(&c, text, 18002, &used), HTTP1_CHUNKS_DONE);
	ck_assert_uint_eq(used, 18002);
}
END_TEST

START_TEST(chunk_skip)
{
	struct http1_chunks c = {0};
	size_t used;

	ck_assert_int_eq(http1_chunks_skip(&c, 0), HTTP1_CHUNKS_MORE);
	ck_assert_int_eq(http1_chunks_feed(&c, "10\r\nab", 6, &used), HTTP1_CHUNKS_MORE);
	ck_assert_int_eq(http1_chunks_skip(&c, 4), HTTP1_CHUNKS_MORE);
	ck_assert_int_eq(http1_chunks_skip(&c, 10), HTTP1_CHUNKS_MORE);
	ck_assert_int_eq(http1_chunks_feed(&c, "\r\n5\r\n", 5, &used), HTTP1_CHUNKS_MORE);
	ck_assert_int_eq(http1_chunks_skip(&c, 5), HTTP1_CHUNKS_MORE);
	ck_assert_int_eq(http1_chunks_feed(&c, "\r\n0\r\n\r\n", 7, &used), HTTP1_CHUNKS_DONE);
	ck_assert_int_eq(http1_chunks_skip(&c, 0), HTTP1_CHUNKS_BAD);

	/* Into the CRLF after the data, and into a size line. */
	memset(&c, 0, sizeof(c));
	ck_assert_int_eq(http1_chunks_feed(&c, "2\r\n", 3, &used), HTTP1_CHUNKS_MORE);
	ck_assert_int_eq(http1_chunks_skip(&c, 3), HTTP1_CHUNKS_BAD);
	ck_assert_int_eq(http1_chunks_feed(&c, "\n", 1, &used), HTTP1_CHUNKS_BAD);
	memset(&c, 0, sizeof(c));
	ck_assert_int_eq(http1_chunks_skip(&c, 1), HTTP1_CHUNKS_BAD);

	/* More than 4 GiB. */
	memset(&c, 0, sizeof(c));
	ck_assert_int_eq(http1_chunks_feed(&c, "200000000\r\n", 11, &used), HTTP1_CHUNKS_MORE);
	ck_assert_int_eq(http1_chunks_skip(&c, UINT64_C(0x1ffffffff)), HTTP1_CHUNKS_MORE);
	ck_assert_int_eq(http1_chunks_feed(&c, "x\r\n0\r\n\r\n", 8, &used), HTTP1_CHUNKS_DONE);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {corpus,	     methods,	  every_byte, many_fields,
				      no_keep,	     letters,	  keep_names, cut_request,
				      cut_response,  cut_fields,  fold_edges, scanned,
				      framing_table, persistence, look,	      targets,
				      chunks,	     chunk_lines, chunk_skip, NULL};

	return unit_run("http1", tests, setup, teardown);
}
