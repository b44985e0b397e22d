/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * appmon_event_copy(): all that an event points to moves along. Which members point to something
 * the public header says, so that a new one cannot be forgotten.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <appmon/appmon.h>

#include "unit.h"

static char *read_file(const char *name)
{
	char path[4096], *text = calloc(1, 1 << 20);
	FILE *file;

	snprintf(path, sizeof(path), "%s/../../%s", getenv("TEST_CORPUS"), name);
	file = fopen(path, "r");
	ck_assert_msg(file != NULL, "%s", path);
	ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, file), 0);
	fclose(file);
	return text;
}

/* Where bindings/layout.txt, which is made of the header, has a member. */
static size_t offset_of(const char *layout, const char *member)
{
	char key[128];
	const char *line;

	snprintf(key, sizeof(key), "\nappmon_event.%s ", member);
	line = strstr(layout, key);
	ck_assert_msg(line != NULL, "no %s in layout.txt: run bindings/generate", member);
	return strtoul(line + strlen(key), NULL, 10);
}

/* The members of struct appmon_event whose declaration begins with type. Returns how many. */
static int members(const char *header, const char *type, char name[64][64])
{
	const char *at = strstr(header, "\nstruct appmon_event {"), *end;
	int n = 0;

	ck_assert_ptr_nonnull(at);
	end = strstr(at, "\n};");
	while ((at = strstr(at, type)) && at < end) {
		at += strlen(type);
		ck_assert_int_lt(n, 64);
		ck_assert_int_eq(sscanf(at, "%63[a-z_0-9]", name[n++]), 1);
	}
	return n;
}

START_TEST(every_string)
{
	char *header = read_file("include/appmon/appmon.h");
	char *layout = read_file("bindings/layout.txt"), name[64][64], text[64][80];
	struct appmon_event ev = {.size = sizeof(ev)}, *copy = NULL;
	int n = members(header, "\n\tstruct appmon_str ", name);

	ck_assert_int_ge(n, 10);
	for (int i = 0; i < n; i++) {
		struct appmon_str *str = (void *)((char *)&ev + offset_of(layout, name[i]));

		snprintf(text[i], sizeof(text[i]), "text of %.63s", name[i]);
		*str = (struct appmon_str){text[i], (uint32_t)strlen(text[i]), i % 2 != 0};
	}
	ck_assert_int_eq(appmon_event_copy(&ev, &copy), 0);
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < n; i++) {
		const struct appmon_str *str = (void *)((char *)copy + offset_of(layout, name[i]));
		char want[80];

		snprintf(want, sizeof(want), "text of %.63s", name[i]);
		ck_assert_msg(!strcmp(str->data, want) && str->len == strlen(want) &&
				      str->truncated == (i % 2 != 0),
			      "%s is not in strings[] of exchange/copy.c", name[i]);
	}
	appmon_event_free(copy);
	free(layout);
	free(header);
}
END_TEST

/* Whoever adds a pointer decides here and in copy.c what becomes of it. */
START_TEST(every_pointer)
{
	char *header = read_file("include/appmon/appmon.h");
	const char *at = strstr(header, "\nstruct appmon_event {");
	const char *end = strstr(at, "\n};");
	int headers = 0, user = 0;

	for (; (at = strchr(at + 1, '\n')) && at < end;) {
		const char *stop = strpbrk(at + 1, ";/\n");
		const char *star = memchr(at, '*', (size_t)(stop - at));

		/* A line of a comment begins with a star. */
		if (*stop != ';' || at[1] != '\t' || !star || star == at + strspn(at, "\n\t "))
			continue;
		headers += !strncmp(star, "*headers;", 9);
		user += !strncmp(star, "*target_user;", 13);
		ck_assert_msg(!strncmp(star, "*headers;", 9) || !strncmp(star, "*target_user;", 13),
			      "copy.c does not know this pointer: %.*s", (int)(stop - star), star);
	}
	ck_assert_int_eq(headers, 1);
	ck_assert_int_eq(user, 1);
	free(header);
}
END_TEST

START_TEST(values_and_headers)
{
	char name[] = "x-id", value[] = "one\0two", empty[] = "";
	struct appmon_header headers[2] = {
		{.name = {name, 4, 0}, .value = {value, 7, 1}, .response = 0},
		{.name = {name, 4, 0}, .value = {empty, 0, 0}, .response = 1}};
	/* From the one member to the other there are numbers and addresses only. */
	const size_t numbers = offsetof(struct appmon_event, request_start_ns);
	const size_t texts = offsetof(struct appmon_event, comm);
	struct appmon_event ev, *copy = NULL;
	int user;

	memset(&ev, 0, sizeof(ev));
	memset((char *)&ev + numbers, 0x5a, texts - numbers);
	ev.size = sizeof(ev);
	ev.target_user = &user;
	ev.headers = headers;
	ev.header_count = 2;
	ev.outcome = APPMON_OUTCOME_OK;
	ck_assert_int_eq(appmon_event_copy(&ev, &copy), 0);
	memset(name, 'x', 4);
	memset(value, 'x', 7);
	ck_assert_mem_eq((char *)copy + numbers, (char *)&ev + numbers, texts - numbers);
	ck_assert_uint_eq(copy->outcome, APPMON_OUTCOME_OK);
	ck_assert_ptr_eq(copy->target_user, &user);
	ck_assert_str_eq(copy->path.data, "");
	ck_assert_uint_eq(copy->header_count, 2);
	ck_assert_ptr_ne(copy->headers, headers);
	ck_assert_str_eq(copy->headers[0].name.data, "x-id");
	ck_assert_mem_eq(copy->headers[0].value.data, "one\0two", 8);
	ck_assert_uint_eq(copy->headers[0].value.truncated, 1);
	ck_assert_uint_eq(copy->headers[1].value.len, 0);
	ck_assert_uint_eq(copy->headers[1].response, 1);
	ck_assert_ptr_eq(appmon_event_header(copy, "x-id", 1), &copy->headers[1].value);
	appmon_event_free(copy);
}
END_TEST

/* Of an older host's event only what it has. */
START_TEST(older)
{
	struct appmon_event ev, *copy = NULL;

	memset(&ev, 0xff, sizeof(ev));
	memset(&ev, 0, offsetof(struct appmon_event, trace_text));
	ev.size = offsetof(struct appmon_event, trace_text);
	ck_assert_int_eq(appmon_event_copy(&ev, &copy), 0);
	ck_assert_uint_eq(copy->size, ev.size);
	ck_assert_uint_eq(copy->request_id.len, 0);
	ck_assert_uint_eq(copy->header_count, 0);
	appmon_event_free(copy);
}
END_TEST

START_TEST(refused)
{
	struct appmon_event ev = {.size = 0}, *copy = NULL;

	ck_assert_int_eq(appmon_event_copy(NULL, &copy), -EINVAL);
	ck_assert_int_eq(appmon_event_copy(&ev, &copy), -EINVAL);
	ev.size = sizeof(ev);
	ck_assert_int_eq(appmon_event_copy(&ev, NULL), -EINVAL);
	ck_assert_ptr_null(copy);
	appmon_event_free(NULL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {every_string, every_pointer, values_and_headers,
				      older,	    refused,	   NULL};

	return unit_run("copy", tests, NULL, NULL);
}
