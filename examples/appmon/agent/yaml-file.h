/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A YAML file that is read key by key: a table says which keys a mapping may have and what
 * reads each. What is wrong is told as "FILE:LINE: what".
 *
 * Functions return 0 or a negative errno value and have told the user then.
 */
#ifndef APPMON_AGENT_YAML_FILE_H
#define APPMON_AGENT_YAML_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

struct yaml_file {
	const char *path;
	yaml_document_t document;
};

/* Reads one value; to is what yaml_file_map() was given. */
typedef int (*yaml_reader)(struct yaml_file *file, const yaml_node_t *value, void *to);

struct yaml_key {
	const char *name;
	yaml_reader read;
	size_t offset; /* added to what the reader is given: of a member */
};

int yaml_file_open(struct yaml_file *ret, const char *path);
void yaml_file_close(struct yaml_file *file);

/* The document's top; NULL if it is empty. */
const yaml_node_t *yaml_file_root(struct yaml_file *file);

/* Reads a mapping. keys ends with a NULL name; a key may be given once. */
int yaml_file_map(struct yaml_file *file, const yaml_node_t *map, const struct yaml_key *keys,
		  void *to);

/* Calls a function for each pair of a mapping whose keys are free. */
int yaml_file_pairs(struct yaml_file *file, const yaml_node_t *map,
		    int (*read)(struct yaml_file *file, const char *key, const yaml_node_t *value,
				void *to),
		    void *to);

/* Calls read for each item of a sequence. */
int yaml_file_list(struct yaml_file *file, const yaml_node_t *list, yaml_reader read, void *to);

/* Of a scalar that is not empty; NULL and a message for anything else. */
const char *yaml_file_text(struct yaml_file *file, const yaml_node_t *value);

/* Readers. to: char ** (to be freed), uint64_t * of nanoseconds, double * (5% or 0.05). */
int yaml_read_text(struct yaml_file *file, const yaml_node_t *value, void *to);
int yaml_read_duration(struct yaml_file *file, const yaml_node_t *value, void *to);
int yaml_read_share(struct yaml_file *file, const yaml_node_t *value, void *to);

/* Tells what is wrong with a value. Returns -EINVAL. */
int yaml_file_fail(const struct yaml_file *file, const yaml_node_t *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* APPMON_AGENT_YAML_FILE_H */
