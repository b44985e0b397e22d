/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the kernel accept each program of a BPF object? Every one alone, so that one that is refused
 * does not hide the next; the verifier's whole log of what is refused on standard error.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#define LOG_BYTES (64U << 20)

/* log_level, see the kernel's include/linux/bpf_verifier.h */
enum { LOG_STEPS = 1, LOG_STATISTICS = 4 };

static char *log_text;

static int libbpf_says(enum libbpf_print_level level, const char *format, va_list args)
{
	/* libbpf would repeat the verifier's log. */
	if (level == LIBBPF_DEBUG || strstr(format, "PROG LOAD LOG"))
		return 0;
	return vfprintf(stderr, format, args);
}

static int load(const char *path, const char *name, unsigned int level)
{
	struct bpf_object *obj = bpf_object__open(path);
	struct bpf_program *prog = NULL;
	int err;

	if (!obj)
		return -errno;
	log_text[0] = '\0';
	while ((prog = bpf_object__next_program(obj, prog))) {
		bool wanted = !strcmp(bpf_program__name(prog), name);

		bpf_program__set_autoload(prog, wanted);
		if (wanted) {
			bpf_program__set_log_buf(prog, log_text, LOG_BYTES);
			bpf_program__set_log_level(prog, level);
		}
	}
	err = bpf_object__load(obj);
	bpf_object__close(obj);
	return err;
}

int main(int argc, char **argv)
{
	struct bpf_object *obj;
	struct bpf_program *prog = NULL;
	int failed = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: load OBJECT\n");
		return 2;
	}
	libbpf_set_print(libbpf_says);
	log_text = malloc(LOG_BYTES);
	obj = bpf_object__open(argv[1]);
	if (!log_text || !obj) {
		perror(argv[1]);
		return 2;
	}
	while ((prog = bpf_object__next_program(obj, prog))) {
		const char *name = bpf_program__name(prog), *steps;
		int err = load(argv[1], name, LOG_STATISTICS);

		if (!err) {
			steps = strstr(log_text, "processed ");
			printf("%s: ok, %s", name, steps ? steps : "no statistics\n");
			continue;
		}
		failed++;
		printf("%s: refused: %s\n", name, strerror(-err));
		load(argv[1], name, LOG_STEPS);
		fprintf(stderr, "---- %s\n%s\n", name, log_text);
	}
	bpf_object__close(obj);
	free(log_text);
	return failed ? 1 : 0;
}
