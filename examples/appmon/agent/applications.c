/* SPDX-License-Identifier: BSD-2-Clause */
#include "applications.h"

#include <ctype.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "path-glob.h"

/* As container tools print an id. */
#define SHORT_ID_LENGTH 12
#define ID_LENGTH 64

/* One part of a path; not NUL-terminated. */
struct part {
	const char *text;
	size_t len;
};

static struct part last_part(const char *path, size_t path_len)
{
	size_t begin = path_len;

	while (begin > 0 && path[begin - 1] != '/')
		begin--;
	return (struct part){path + begin, path_len - begin};
}

static struct part parent_part(const char *path)
{
	size_t len = strlen(path) - last_part(path, strlen(path)).len;

	return len > 1 ? last_part(path, len - 1) : (struct part){path, 0};
}

/* The innermost service or scope that the cgroup is or is in, without its suffix. */
static struct part unit_part(const char *path)
{
	static const char *const suffixes[] = {".service", ".scope"};

	for (size_t len = strlen(path); len > 0;) {
		struct part part = last_part(path, len);

		for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
			size_t suffix_len = strlen(suffixes[i]);

			if (part.len > suffix_len &&
			    memcmp(part.text + part.len - suffix_len, suffixes[i], suffix_len) == 0)
				return (struct part){part.text, part.len - suffix_len};
		}
		len -= part.len;
		if (len > 0)
			len--;
	}
	return (struct part){path, 0};
}

/* 64 hexadecimal digits in the last part: docker-ID.scope, cri-containerd-ID.scope, ID. */
static struct part container_part(const char *path)
{
	struct part part = last_part(path, strlen(path));
	size_t run = 0;

	for (size_t i = 0; i < part.len; i++) {
		run = isxdigit((unsigned char)part.text[i]) ? run + 1 : 0;
		if (run == ID_LENGTH)
			return (struct part){part.text + i + 1 - ID_LENGTH, SHORT_ID_LENGTH};
	}
	return (struct part){path, 0};
}

/* The value's length; 0 if the directory has no such label. */
static size_t read_label(const char *path, const char *key, char value[APPLICATION_NAME_SIZE])
{
	char attribute[XATTR_NAME_MAX + 1];
	ssize_t len;

	if (snprintf(attribute, sizeof(attribute), "user.%s", key) >= (int)sizeof(attribute))
		return 0;
	len = getxattr(path, attribute, value, APPLICATION_NAME_SIZE - 1);
	if (len < 0)
		len = 0;
	value[len] = '\0';
	return (size_t)len;
}

static bool is_label(const char *variable, size_t len)
{
	return len > 6 && memcmp(variable, "label:", 6) == 0;
}

static bool names(const char *variable, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(variable, name, len) == 0;
}

/* What a variable, the text inside of {}, stands for; len 0: nothing. */
static struct part expand(const char *variable, size_t len, const char *path, const char *cgroup,
			  char label[APPLICATION_NAME_SIZE])
{
	char key[XATTR_NAME_MAX + 1];

	if (names(variable, len, "leaf"))
		return last_part(cgroup, strlen(cgroup));
	if (names(variable, len, "parent"))
		return parent_part(cgroup);
	if (names(variable, len, "unit"))
		return unit_part(cgroup);
	if (names(variable, len, "container"))
		return container_part(cgroup);
	snprintf(key, sizeof(key), "%.*s", (int)(len - 6), variable + 6);
	return (struct part){label, read_label(path, key, label)};
}

bool application_name_is_valid(const char *name)
{
	static const char *const known[] = {"leaf", "parent", "unit", "container"};

	while ((name = strchr(name, '{'))) {
		size_t len = strcspn(++name, "}");
		bool valid = is_label(name, len);

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			valid |= names(name, len, known[i]);
		if (!valid || name[len] == '\0')
			return false;
	}
	return true;
}

/* Whether everything that the template asks for is there. */
static bool make_name(const char *template, const char *path, const char *cgroup,
		      char name[APPLICATION_NAME_SIZE])
{
	char label[APPLICATION_NAME_SIZE];
	size_t used = 0;

	while (*template != '\0') {
		struct part part = {template, strcspn(template, "{")};
		size_t taken = part.len;

		if (*template == '{') {
			size_t len = strcspn(template + 1, "}");

			part = expand(template + 1, len, path, cgroup, label);
			taken = len + 2;
			if (part.len == 0)
				return false;
		}
		if (part.len >= APPLICATION_NAME_SIZE - used)
			part.len = APPLICATION_NAME_SIZE - used - 1;
		memcpy(name + used, part.text, part.len);
		used += part.len;
		template += taken;
	}
	name[used] = '\0';
	return used > 0;
}

static bool rule_matches(const struct application_rule *rule, const char *path, const char *cgroup)
{
	char value[APPLICATION_NAME_SIZE];

	if (rule->cgroup && !path_glob_matches(rule->cgroup, cgroup))
		return false;
	for (size_t i = 0; i < rule->label_count; i++) {
		if (read_label(path, rule->labels[i].key, value) == 0 ||
		    fnmatch(rule->labels[i].value, value, 0) != 0)
			return false;
	}
	return true;
}

const struct application_rule *applications_match(const struct applications *applications,
						  const char *top, const char *path,
						  char name[APPLICATION_NAME_SIZE])
{
	const char *cgroup = path + strlen(top);

	for (size_t i = 0; i < applications->count; i++) {
		const struct application_rule *rule = &applications->rules[i];

		if (!rule_matches(rule, path, cgroup))
			continue;
		if (!rule->name)
			return NULL;
		if (make_name(rule->name, path, cgroup, name))
			return rule;
	}
	return NULL;
}

void applications_free(struct applications *applications)
{
	for (size_t i = 0; i < applications->count; i++) {
		struct application_rule *rule = &applications->rules[i];

		for (size_t j = 0; j < rule->label_count; j++) {
			free(rule->labels[j].key);
			free(rule->labels[j].value);
		}
		free(rule->labels);
		free(rule->cgroup);
		free(rule->name);
	}
	free(applications->rules);
	*applications = (struct applications){0};
}
