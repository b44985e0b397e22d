/* SPDX-License-Identifier: BSD-2-Clause */
#include "applications.h"

#include <ctype.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include <appmon/appmon.h>

#include "path-glob.h"

/* As container tools print an id. */
#define SHORT_ID_LENGTH 12
#define ID_LENGTH 64
/* A label's or annotation's key has up to 253 characters, a slash and 63 more. */
#define KEY_SIZE 320

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

/* ---- What a cgroup and its pod have ----------------------------------------------- */

/* A cgroup that is decided about. */
struct subject {
	const char *path, *cgroup;
	struct appmon_container container;
	const struct pod *pod; /* NULL: none, or it is not known */
	bool wait;	       /* what is not known of its pod may come to be known */
	/* It is the outermost cgroup of its pod, or of its container. */
	bool pod_edge, container_edge;
	/* What the present rule has asked for. */
	bool asked_pod, asked_container;
	bool missing; /* of that something that may come to be known */
	char value[APPLICATION_NAME_SIZE];
};

/* The pod or container that a cgroup is in, and whether its parent is in the same. */
static void find_container(struct subject *subject)
{
	struct appmon_container parent = {.size = sizeof(parent)};
	struct appmon_container *container = &subject->container;
	size_t len = strlen(subject->cgroup);
	char above[PATH_MAX];

	container->size = sizeof(*container);
	if (len >= sizeof(above) || appmon_cgroup_container(subject->cgroup, container) < 0)
		return;
	len -= last_part(subject->cgroup, len).len;
	memcpy(above, subject->cgroup, len);
	above[len] = '\0';
	appmon_cgroup_container(above, &parent);
	subject->pod_edge =
		container->pod_uid[0] != '\0' && strcmp(container->pod_uid, parent.pod_uid) != 0;
	subject->container_edge = container->id[0] != '\0' && strcmp(container->id, parent.id) != 0;
}

static void subject_init(struct subject *subject, const struct application_input *input)
{
	const char *uid;

	*subject =
		(struct subject){.path = input->path, .cgroup = input->path + strlen(input->top)};
	find_container(subject);
	/* A container in no pod is as one of its own. */
	uid = subject->container.pod_uid;
	if (uid[0] == '\0' && input->containers) {
		uid = subject->container.id;
		subject->pod_edge = subject->container_edge;
	}
	if (!input->pods || uid[0] == '\0')
		return;
	subject->pod = pods_find(input->pods, uid);
	subject->wait = input->wait;
}

/* NULL: the directory has no such attribute. */
static const char *read_attribute(struct subject *subject, const char *key)
{
	char attribute[XATTR_NAME_MAX + 1];
	ssize_t len;

	if (snprintf(attribute, sizeof(attribute), "user.%s", key) >= (int)sizeof(attribute))
		return NULL;
	len = getxattr(subject->path, attribute, subject->value, sizeof(subject->value) - 1);
	if (len < 0)
		return NULL;
	subject->value[len] = '\0';
	return subject->value;
}

/* Asks for something of the pod. Whether the pod is known. */
static bool ask_pod(struct subject *subject)
{
	if (subject->pod || subject->wait)
		subject->asked_pod = true;
	if (!subject->pod)
		subject->missing |= subject->wait;
	return subject->pod;
}

static const char *fact(struct subject *subject, enum pod_fact which)
{
	return ask_pod(subject) ? pod_fact(subject->pod, which) : NULL;
}

static const char *annotation(struct subject *subject, const char *key)
{
	return ask_pod(subject) ? pod_annotation(subject->pod, key) : NULL;
}

static const char *label(struct subject *subject, const char *key)
{
	const char *value = read_attribute(subject, key);

	if (value)
		return value;
	return ask_pod(subject) ? pod_label(subject->pod, key) : NULL;
}

/* The kubelet says a container's id only when it has started, a moment after its cgroup is there. */
static const char *container_name(struct subject *subject)
{
	const char *name;

	subject->asked_container = true;
	if (subject->container.id[0] == '\0' || !ask_pod(subject))
		return NULL;
	name = pod_container(subject->pod, subject->container.id);
	subject->missing |= !name && subject->wait;
	return name;
}

/* ---- Names ------------------------------------------------------------------------- */

static struct part text_part(const char *text)
{
	return (struct part){text, text ? strlen(text) : 0};
}

static struct part expand_leaf(struct subject *subject)
{
	return last_part(subject->cgroup, strlen(subject->cgroup));
}

static struct part expand_parent(struct subject *subject)
{
	return parent_part(subject->cgroup);
}

static struct part expand_unit(struct subject *subject)
{
	return unit_part(subject->cgroup);
}

static struct part expand_container_id(struct subject *subject)
{
	return container_part(subject->cgroup);
}

static struct part expand_namespace(struct subject *subject)
{
	return text_part(fact(subject, POD_NAMESPACE));
}

static struct part expand_pod(struct subject *subject)
{
	return text_part(fact(subject, POD_NAME));
}

static struct part expand_workload(struct subject *subject)
{
	return text_part(fact(subject, POD_WORKLOAD));
}

static struct part expand_container(struct subject *subject)
{
	return text_part(container_name(subject));
}

/* The path has it. */
static struct part expand_pod_uid(struct subject *subject)
{
	subject->asked_pod |= subject->container.pod_uid[0] != '\0';
	return text_part(subject->container.pod_uid);
}

static const struct placeholder {
	const char *name;
	/* len 0: nothing is there. Valid until the next call. */
	struct part (*expand)(struct subject *subject);
	bool of_pod, of_container; /* what is not in the path */
} placeholders[] = {
	{"leaf", expand_leaf, false, false},
	{"parent", expand_parent, false, false},
	{"unit", expand_unit, false, false},
	{"container_id", expand_container_id, false, false},
	{"pod_uid", expand_pod_uid, false, false},
	{"namespace", expand_namespace, true, false},
	{"pod", expand_pod, true, false},
	{"workload", expand_workload, true, false},
	{"container", expand_container, false, true},
};

static const struct placeholder *find_placeholder(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof(placeholders) / sizeof(placeholders[0]); i++) {
		if (strlen(placeholders[i].name) == len &&
		    memcmp(text, placeholders[i].name, len) == 0)
			return &placeholders[i];
	}
	return NULL;
}

/* The KEY of "prefix:KEY" and its length; NULL: the text is not so. */
static const char *key_of(const char *text, size_t len, const char *prefix, size_t *ret_len)
{
	size_t prefix_len = strlen(prefix);

	if (len <= prefix_len || memcmp(text, prefix, prefix_len) != 0)
		return NULL;
	*ret_len = len - prefix_len;
	return text + prefix_len;
}

#define LABEL "label:"
#define ANNOTATION "annotation:"

/* What a variable, the text inside of {}, stands for; len 0: nothing is there. */
static struct part expand(const char *variable, size_t len, struct subject *subject)
{
	const struct placeholder *placeholder = find_placeholder(variable, len);
	char key[KEY_SIZE];
	const char *at;

	if (placeholder)
		return placeholder->expand(subject);
	at = key_of(variable, len, LABEL, &len);
	if (at) {
		snprintf(key, sizeof(key), "%.*s", (int)len, at);
		return text_part(label(subject, key));
	}
	at = key_of(variable, len, ANNOTATION, &len);
	snprintf(key, sizeof(key), "%.*s", (int)len, at);
	return text_part(annotation(subject, key));
}

bool application_name_is_valid(const char *name)
{
	while ((name = strchr(name, '{'))) {
		size_t len = strcspn(++name, "}"), key_len;

		if (name[len] == '\0' ||
		    (!find_placeholder(name, len) && !key_of(name, len, LABEL, &key_len) &&
		     !key_of(name, len, ANNOTATION, &key_len)))
			return false;
	}
	return true;
}

bool application_rule_needs_pods(const struct application_rule *rule, bool containers)
{
	const char *name = rule->name;

	for (size_t i = 0; i < rule->match_count; i++) {
		if (rule->matches[i].kind != MATCH_LABEL)
			return true;
	}
	while (name && (name = strchr(name, '{'))) {
		size_t len = strcspn(++name, "}"), key_len;
		const struct placeholder *placeholder = find_placeholder(name, len);

		if (placeholder ? placeholder->of_pod || (placeholder->of_container && !containers)
				: key_of(name, len, ANNOTATION, &key_len) != NULL)
			return true;
	}
	return false;
}

/* Whether everything that the template asks for is there. */
static bool make_name(const char *template, struct subject *subject,
		      char name[APPLICATION_NAME_SIZE])
{
	bool whole = true;
	size_t used = 0;

	while (*template != '\0') {
		struct part part = {template, strcspn(template, "{")};
		size_t taken = part.len;

		if (*template == '{') {
			size_t len = strcspn(template + 1, "}");

			part = expand(template + 1, len, subject);
			taken = len + 2;
			/* The rest is asked for, too: it says what the rule is about. */
			whole &= part.len > 0;
		}
		if (part.len >= APPLICATION_NAME_SIZE - used)
			part.len = APPLICATION_NAME_SIZE - used - 1;
		if (part.len > 0)
			memcpy(name + used, part.text, part.len);
		used += part.len;
		template += taken;
	}
	name[used] = '\0';
	return whole && used > 0;
}

/* ---- Rules ------------------------------------------------------------------------- */

static const char *value_of(const struct application_match *match, struct subject *subject)
{
	switch (match->kind) {
	case MATCH_LABEL:
		return label(subject, match->key);
	case MATCH_ANNOTATION:
		return annotation(subject, match->key);
	case MATCH_NAMESPACE:
		return fact(subject, POD_NAMESPACE);
	}
	return NULL;
}

enum answer { NO, MAYBE, YES };

/* MAYBE: something is missing, and all that is known fits. */
static enum answer rule_matches(const struct application_rule *rule, struct subject *subject,
				char name[APPLICATION_NAME_SIZE])
{
	bool maybe = false;

	subject->asked_pod = subject->asked_container = subject->missing = false;
	if (rule->cgroup && !path_glob_matches(rule->cgroup, subject->cgroup))
		return NO;
	for (size_t i = 0; i < rule->match_count; i++) {
		const char *value;

		subject->missing = false;
		value = value_of(&rule->matches[i], subject);
		if (value ? fnmatch(rule->matches[i].value, value, 0) != 0 : !subject->missing)
			return NO;
		maybe |= !value;
	}
	subject->missing = false;
	if (rule->name && !make_name(rule->name, subject, name)) {
		if (!subject->missing)
			return NO;
		maybe = true;
	}
	return maybe ? MAYBE : YES;
}

/* Whether what the rule is about begins with this cgroup. */
static bool is_edge(const struct application_rule *rule, const struct subject *subject)
{
	if (subject->asked_container)
		return subject->container_edge;
	if (!subject->asked_pod)
		return true;
	return subject->pod_edge || (rule->cgroup && subject->container_edge);
}

enum application_decision applications_decide(const struct applications *applications,
					      const struct application_input *input,
					      char name[APPLICATION_NAME_SIZE],
					      const struct application_rule **by)
{
	/* here: by a rule that would have this cgroup itself. */
	bool undecided = false, here = false;
	struct subject subject;

	subject_init(&subject, input);
	for (size_t i = 0; i < applications->count; i++) {
		const struct application_rule *rule = &applications->rules[i];
		enum answer answer = rule_matches(rule, &subject, name);
		bool edge = is_edge(rule, &subject);

		if (answer == MAYBE) {
			undecided = true;
			here |= edge;
		}
		if (answer != YES)
			continue;
		if (here || (undecided && rule->name && edge))
			return APPLICATION_UNDECIDED;
		if (!rule->name)
			return APPLICATION_NONE;
		*by = rule;
		return edge ? APPLICATION_WATCHED : APPLICATION_WITH_PARENT;
	}
	return here ? APPLICATION_UNDECIDED : APPLICATION_NONE;
}

void applications_free(struct applications *applications)
{
	for (size_t i = 0; i < applications->count; i++) {
		struct application_rule *rule = &applications->rules[i];

		for (size_t j = 0; j < rule->match_count; j++) {
			free(rule->matches[j].key);
			free(rule->matches[j].value);
		}
		free(rule->matches);
		free(rule->cgroup);
		free(rule->name);
	}
	free(applications->rules);
	*applications = (struct applications){0};
}
