/* SPDX-License-Identifier: BSD-2-Clause */
#include "yaml-file.h"

#include <err.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"

static int fail_at(const char *path, size_t line, const char *format, va_list args)
{
	char what[512];

	vsnprintf(what, sizeof(what), format, args);
	fprintf(stderr, "%s:%zu: ", path, line);
	put_escaped(stderr, what, strlen(what), SIZE_MAX);
	fputc('\n', stderr);
	return -EINVAL;
}

int yaml_file_fail(const struct yaml_file *file, const yaml_node_t *value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail_at(file->path, value->start_mark.line + 1, format, args);
	va_end(args);
	return -EINVAL;
}

static int fail_syntax(const char *path, const yaml_parser_t *parser, ...)
{
	va_list args;

	va_start(args, parser);
	fail_at(path, parser->problem_mark.line + 1, "%s %s", args);
	va_end(args);
	return -EINVAL;
}

int yaml_file_open(struct yaml_file *ret, const char *path)
{
	yaml_parser_t parser;
	FILE *stream;
	int err = 0;

	stream = fopen(path, "re");
	if (!stream) {
		err = -errno;
		warn("%s", path);
		return err;
	}
	if (!yaml_parser_initialize(&parser)) {
		fclose(stream);
		warnx("out of memory");
		return -ENOMEM;
	}
	yaml_parser_set_input_file(&parser, stream);
	ret->path = path;
	if (!yaml_parser_load(&parser, &ret->document))
		err = fail_syntax(path, &parser, parser.problem ? parser.problem : "cannot be read",
				  parser.context ? parser.context : "");
	yaml_parser_delete(&parser);
	fclose(stream);
	return err;
}

void yaml_file_close(struct yaml_file *file)
{
	yaml_document_delete(&file->document);
}

const yaml_node_t *yaml_file_root(struct yaml_file *file)
{
	return yaml_document_get_root_node(&file->document);
}

static const yaml_node_t *node(struct yaml_file *file, int index)
{
	return yaml_document_get_node(&file->document, index);
}

const char *yaml_file_text(struct yaml_file *file, const yaml_node_t *value)
{
	const char *text = (const char *)value->data.scalar.value;

	if (value->type != YAML_SCALAR_NODE) {
		yaml_file_fail(file, value, "a text or number is wanted here");
		return NULL;
	}
	if (*text == '\0' || strlen(text) != value->data.scalar.length) {
		yaml_file_fail(file, value, "the value is empty");
		return NULL;
	}
	return text;
}

int yaml_file_pairs(struct yaml_file *file, const yaml_node_t *map,
		    int (*read)(struct yaml_file *file, const char *key, const yaml_node_t *value,
				void *to),
		    void *to)
{
	const yaml_node_pair_t *pair;
	const char *key;
	int ret = 0;

	if (map->type != YAML_MAPPING_NODE)
		return yaml_file_fail(file, map, "a mapping (KEY: VALUE) is wanted here");
	for (pair = map->data.mapping.pairs.start; ret == 0 && pair < map->data.mapping.pairs.top;
	     pair++) {
		key = yaml_file_text(file, node(file, pair->key));
		ret = key ? read(file, key, node(file, pair->value), to) : -EINVAL;
	}
	return ret;
}

/* A mapping while it is read. */
struct map_read {
	const struct yaml_key *keys;
	void *to;
	uint64_t given; /* bit n: keys[n] */
};

static int read_pair(struct yaml_file *file, const char *key, const yaml_node_t *value, void *to)
{
	struct map_read *map = to;
	char known[256] = "";

	for (size_t i = 0; map->keys[i].name; i++) {
		const struct yaml_key *at = &map->keys[i];

		if (strcmp(at->name, key) == 0) {
			if (map->given & UINT64_C(1) << i)
				return yaml_file_fail(file, value, "%s is given twice", key);
			map->given |= UINT64_C(1) << i;
			return at->read(file, value, (char *)map->to + at->offset);
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			 i > 0 ? ", " : "", at->name);
	}
	return yaml_file_fail(file, value, "there is no key %s here; there are: %s", key, known);
}

int yaml_file_map(struct yaml_file *file, const yaml_node_t *map, const struct yaml_key *keys,
		  void *to)
{
	struct map_read read = {.keys = keys, .to = to};

	return yaml_file_pairs(file, map, read_pair, &read);
}

int yaml_file_list(struct yaml_file *file, const yaml_node_t *list, yaml_reader read, void *to)
{
	const yaml_node_item_t *item;
	int ret = 0;

	if (list->type != YAML_SEQUENCE_NODE)
		return yaml_file_fail(file, list,
				      "a list (lines that begin with -) is wanted here");
	for (item = list->data.sequence.items.start;
	     ret == 0 && item < list->data.sequence.items.top; item++)
		ret = read(file, node(file, *item), to);
	return ret;
}

int yaml_read_text(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	const char *text = yaml_file_text(file, value);
	char **copy = to;

	if (!text)
		return -EINVAL;
	*copy = strdup(text);
	if (!*copy) {
		warnx("out of memory");
		return -ENOMEM;
	}
	return 0;
}

int yaml_read_duration(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	const char *text = yaml_file_text(file, value);

	if (!text)
		return -EINVAL;
	if (parse_duration(text, NSEC_PER_SEC, to) < 0)
		return yaml_file_fail(file, value, "'%s' is no time such as 30s or 500ms", text);
	return 0;
}

int yaml_read_share(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	const char *text = yaml_file_text(file, value);

	if (!text)
		return -EINVAL;
	if (parse_share(text, to) < 0)
		return yaml_file_fail(file, value, "'%s' is no share such as 5%% or 0.05", text);
	return 0;
}
