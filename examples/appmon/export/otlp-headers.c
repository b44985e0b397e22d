/* SPDX-License-Identifier: BSD-2-Clause */
#include "otlp-headers.h"

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENVIRONMENT "OTEL_EXPORTER_OTLP_HEADERS"

/* RFC 9110 section 5.6.2 */
static bool is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) &&
		    (text[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", text[i])))
			return false;
	}
	return len > 0;
}

static void trim(const char **text, size_t *len)
{
	while (*len > 0 && isspace((unsigned char)**text)) {
		(*text)++;
		(*len)--;
	}
	while (*len > 0 && isspace((unsigned char)(*text)[*len - 1]))
		(*len)--;
}

static char **find(const struct otlp_headers *headers, const char *name, size_t len)
{
	for (size_t i = 0; i < headers->count; i++) {
		if (strncasecmp(headers->list[i], name, len) == 0 && headers->list[i][len] == ':')
			return &headers->list[i];
	}
	return NULL;
}

static bool is_own(const char *name, size_t len)
{
	static const char *const own[] = {"Content-Type", "Content-Length", "Transfer-Encoding"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (strlen(own[i]) == len && strncasecmp(own[i], name, len) == 0)
			return true;
	}
	return false;
}

/* The last one of a name counts; keep: the first one. */
static const char *add(struct otlp_headers *headers, const char *name, size_t name_len,
		       const char *value, size_t value_len, bool keep)
{
	char **list, **old, *text;

	trim(&name, &name_len);
	trim(&value, &value_len);
	if (!is_token(name, name_len))
		return "the name of a header field is missing or has characters that it cannot "
		       "have";
	if (is_own(name, name_len))
		return "this header field cannot be set";
	if (value_len == 0)
		return "the value is empty";
	for (size_t i = 0; i < value_len; i++) {
		if (iscntrl((unsigned char)value[i]) && value[i] != '\t')
			return "the value has a control character";
	}
	old = find(headers, name, name_len);
	if (old && keep)
		return NULL;
	if (asprintf(&text, "%.*s: %.*s", (int)name_len, name, (int)value_len, value) < 0)
		return "out of memory";
	if (old) {
		free(*old);
		*old = text;
		return NULL;
	}
	list = reallocarray(headers->list, headers->count + 1, sizeof(*list));
	if (!list) {
		free(text);
		return "out of memory";
	}
	headers->list = list;
	headers->list[headers->count++] = text;
	return NULL;
}

const char *otlp_headers_add(struct otlp_headers *headers, const char *text)
{
	const char *equals = strchr(text, '=');

	if (!equals)
		return "NAME=VALUE is wanted";
	return add(headers, text, (size_t)(equals - text), equals + 1, strlen(equals + 1), false);
}

static const char *add_line(struct otlp_headers *headers, const char *line, size_t len)
{
	size_t name_len = 0;

	trim(&line, &len);
	if (len == 0 || *line == '#')
		return NULL;
	while (name_len < len && line[name_len] != '=' && line[name_len] != ':')
		name_len++;
	if (name_len == len)
		return "NAME=VALUE is wanted";
	return add(headers, line, name_len, line + name_len + 1, len - name_len - 1, true);
}

int otlp_headers_add_file(struct otlp_headers *headers, const char *path)
{
	const char *wrong = NULL;
	unsigned number = 0;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	FILE *file;
	int err = 0;

	file = fopen(path, "re");
	if (!file) {
		err = -errno;
		warn("%s", path);
		return err;
	}
	while (!wrong && (len = getline(&line, &size, file)) >= 0) {
		number++;
		wrong = add_line(headers, line, (size_t)len);
	}
	if (wrong) {
		warnx("%s:%u: %s", path, number, wrong);
		err = -EINVAL;
	} else if (ferror(file)) {
		warn("%s", path);
		err = -EIO;
	}
	if (line)
		explicit_bzero(line, size);
	free(line);
	fclose(file);
	return err;
}

static int hex_digit(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* In place. Returns the length. */
static size_t decode(char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
		    hex_digit(text[i + 2]) >= 0) {
			text[n++] = (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
			i += 2;
		} else {
			text[n++] = text[i];
		}
	}
	return n;
}

static const char *add_encoded(struct otlp_headers *headers, char *text)
{
	char *equals = strchr(text, '=');

	if (!equals)
		return text[strspn(text, " \t")] == '\0' ? NULL : "NAME=VALUE is wanted";
	return add(headers, text, decode(text, (size_t)(equals - text)), equals + 1,
		   decode(equals + 1, strlen(equals + 1)), true);
}

int otlp_headers_add_environment(struct otlp_headers *headers)
{
	const char *value = getenv(ENVIRONMENT), *wrong = NULL;
	char *copy, *rest, *text;

	if (!value)
		return 0;
	copy = rest = strdup(value);
	if (!copy)
		wrong = "out of memory";
	while (!wrong && (text = strsep(&rest, ",")))
		wrong = add_encoded(headers, text);
	free(copy);
	if (!wrong)
		return 0;
	warnx("%s: %s", ENVIRONMENT, wrong);
	return -EINVAL;
}

void otlp_headers_free(struct otlp_headers *headers)
{
	for (size_t i = 0; i < headers->count; i++) {
		explicit_bzero(headers->list[i], strlen(headers->list[i]));
		free(headers->list[i]);
	}
	free(headers->list);
	*headers = (struct otlp_headers){0};
}
