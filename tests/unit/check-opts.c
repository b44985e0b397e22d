/* SPDX-License-Identifier: BSD-2-Clause */
/* Structs that cross the ABI, from hosts older, newer and confused; the options' limits. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <appmon/metrics.h>

#include "base/base.h"
#include "unit.h"

/* A caller's struct with room behind it. */
#define ROOM 256

static const size_t in_sizes[] = {sizeof(struct appmon_opts), sizeof(struct appmon_attach_opts),
				  sizeof(struct appmon_metrics_opts),
				  sizeof(struct appmon_snapshot_opts),
				  sizeof(struct appmon_filter)};
static const size_t out_sizes[] = {
	sizeof(struct appmon_target),	     sizeof(struct appmon_stats),
	sizeof(struct appmon_capabilities),  sizeof(struct appmon_process),
	sizeof(struct appmon_metrics_stats), sizeof(struct appmon_series),
	sizeof(struct appmon_edge),	     sizeof(struct appmon_figures),
	sizeof(struct appmon_exemplar),	     sizeof(struct appmon_resources)};
#define COUNT(sizes) (sizeof(sizes) / sizeof((sizes)[0]))

static void fill(uint8_t *buf, size_t n, uint32_t size, uint8_t value)
{
	memset(buf, value, n);
	memcpy(buf, &size, sizeof(size));
}

static uint32_t size_of(const uint8_t *buf)
{
	uint32_t size;

	memcpy(&size, buf, sizeof(size));
	return size;
}

static bool all(const uint8_t *buf, size_t from, size_t to, uint8_t value)
{
	for (; from < to; from++)
		if (buf[from] != value)
			return false;
	return true;
}

START_TEST(read_same)
{
	for (size_t i = 0; i < COUNT(in_sizes); i++) {
		size_t known = in_sizes[i];
		uint8_t src[512], dst[512];

		fill(src, sizeof(src), (uint32_t)known, 0x5a);
		memset(dst, 0x11, sizeof(dst));
		ck_assert_int_eq(opts_read(dst, known, src), 0);
		ck_assert_mem_eq(dst, src, known);
		ck_assert(all(dst, known, sizeof(dst), 0x11));
	}
}
END_TEST

START_TEST(read_shorter)
{
	for (size_t i = 0; i < COUNT(in_sizes); i++) {
		size_t known = in_sizes[i];

		for (uint32_t size = 4; size < known; size++) {
			uint8_t src[512], dst[512];

			/* What lies behind the caller's struct is not the library's business. */
			fill(src, sizeof(src), size, 0xff);
			memset(dst, 0x11, sizeof(dst));
			ck_assert_int_eq(opts_read(dst, known, src), 0);
			ck_assert_mem_eq(dst, src, size);
			ck_assert(all(dst, size, known, 0));
			ck_assert(all(dst, known, sizeof(dst), 0x11));
		}
	}
}
END_TEST

START_TEST(read_longer)
{
	for (size_t i = 0; i < COUNT(in_sizes); i++) {
		size_t known = in_sizes[i];
		uint8_t src[512] = {0}, dst[512];
		uint32_t size = (uint32_t)known + 64;

		memcpy(src, &size, sizeof(size));
		src[known - 1] = 7;
		/* Set, but outside of what the caller says it has. */
		src[size] = 1;
		ck_assert_int_eq(opts_read(dst, known, src), 0);
		ck_assert_mem_eq(dst, src, known);
		for (size_t at = known; at < size; at++) {
			src[at] = 1;
			memset(dst, 0x11, sizeof(dst));
			ck_assert_int_eq(opts_read(dst, known, src), -E2BIG);
			ck_assert(all(dst, known, sizeof(dst), 0x11));
			src[at] = 0;
		}
	}
}
END_TEST

START_TEST(read_no_size)
{
	for (size_t i = 0; i < COUNT(in_sizes); i++) {
		for (uint32_t size = 0; size < 4; size++) {
			uint8_t src[512], dst[512];

			fill(src, sizeof(src), size, 0);
			memset(dst, 0x11, sizeof(dst));
			ck_assert_int_eq(opts_read(dst, in_sizes[i], src), -EINVAL);
			ck_assert(all(dst, 0, sizeof(dst), 0x11));
		}
	}
}
END_TEST

START_TEST(write_same_and_shorter)
{
	for (size_t i = 0; i < COUNT(out_sizes); i++) {
		size_t known = out_sizes[i];

		for (uint32_t size = 4; size <= known; size++) {
			uint8_t src[512], dst[512];

			memset(src, 0x5a, sizeof(src));
			fill(dst, sizeof(dst), size, 0x11);
			ck_assert_int_eq(opts_write(dst, src, known), 0);
			ck_assert_uint_eq(size_of(dst), size);
			ck_assert(all(dst, 4, size, 0x5a));
			ck_assert(all(dst, size, sizeof(dst), 0x11));
		}
	}
}
END_TEST

START_TEST(write_longer)
{
	for (size_t i = 0; i < COUNT(out_sizes); i++) {
		size_t known = out_sizes[i];
		uint8_t src[512], dst[512];

		memset(src, 0x5a, sizeof(src));
		fill(dst, sizeof(dst), (uint32_t)known + 32, 0x11);
		ck_assert_int_eq(opts_write(dst, src, known), 0);
		ck_assert_uint_eq(size_of(dst), known);
		ck_assert(all(dst, 4, known, 0x5a));
		ck_assert(all(dst, known + 32, sizeof(dst), 0x11));
	}
}
END_TEST

START_TEST(write_no_size)
{
	for (size_t i = 0; i < COUNT(out_sizes); i++) {
		for (uint32_t size = 0; size < 4; size++) {
			uint8_t src[512], dst[512];

			memset(src, 0x5a, sizeof(src));
			fill(dst, sizeof(dst), size, 0x11);
			ck_assert_int_eq(opts_write(dst, src, out_sizes[i]), -EINVAL);
			ck_assert_uint_eq(size_of(dst), size);
			ck_assert(all(dst, 4, sizeof(dst), 0x11));
		}
	}
}
END_TEST

/* ---- appmon_open() refuses before it asks the kernel for anything ------------- */

static void refused(const struct appmon_opts *opts, int err)
{
	struct appmon *const poison = (struct appmon *)0x5a5a;
	struct appmon *mon = poison;

	ck_assert_int_eq(appmon_open(&mon, opts), err);
	ck_assert_ptr_eq(mon, poison);
}

/* With a text that names the member. */
static void refused_text(struct appmon_opts *opts, int err, const char *word)
{
	char text[512] = "";

	opts->error_text = text;
	opts->error_text_size = sizeof(text);
	refused(opts, err);
	ck_assert_msg(strstr(text, word), "\"%s\" does not say \"%s\"", text, word);
}

#define OPTS(...) (&(struct appmon_opts){.size = sizeof(struct appmon_opts), __VA_ARGS__})

START_TEST(open_limits)
{
	ck_assert_int_eq(appmon_open(NULL, NULL), -EINVAL);
	refused_text(OPTS(.memory_limit = 65535), -EINVAL, "memory_limit");
	refused_text(OPTS(.ring_bytes = 1), -EINVAL, "ring_bytes");
	refused_text(OPTS(.ring_bytes = 4095), -EINVAL, "ring_bytes");
	refused_text(OPTS(.ring_bytes = 12288), -EINVAL, "power of two");
	refused_text(OPTS(.ring_bytes = UINT32_MAX), -EINVAL, "ring_bytes");
	refused_text(OPTS(.ring_bytes = UINT32_C(1) << 31), -EINVAL, "ring_bytes");
	refused_text(OPTS(.capture_bytes = 127), -EINVAL, "capture_bytes");
	refused_text(OPTS(.capture_bytes = 65537), -EINVAL, "capture_bytes");
	refused_text(OPTS(.log_level = APPMON_LOG_TRACE + 1), -EINVAL, "log_level");
	refused_text(OPTS(.flags = 0x80000000), -EINVAL, "flags");
}
END_TEST

START_TEST(open_headers)
{
	static const char *const names[65] = {"a"};
	static const char *const empty[] = {""}, *const blank[] = {"x y"}, *const colon[] = {"x:"};
	char *long_name = calloc(1, 257);
	const char *const too_long[] = {long_name};

	memset(long_name, 'a', 256);
	refused_text(OPTS(.headers = names, .header_count = 65), -EINVAL, "header_count");
	refused_text(OPTS(.header_count = 1), -EINVAL, "headers");
	refused_text(OPTS(.headers = names, .header_count = 2), -EINVAL, "header name");
	refused_text(OPTS(.headers = empty, .header_count = 1), -EINVAL, "header name");
	refused_text(OPTS(.headers = blank, .header_count = 1), -EINVAL, "header name");
	refused_text(OPTS(.headers = colon, .header_count = 1), -EINVAL, "header name");
	refused_text(OPTS(.headers = too_long, .header_count = 1), -EINVAL, "header name");
	free(long_name);
}
END_TEST

START_TEST(open_sizes)
{
	struct {
		struct appmon_opts opts;
		uint64_t newer[4];
	} o = {.opts.size = sizeof(o)};

	refused(&(struct appmon_opts){.size = 0}, -EINVAL);
	refused(&(struct appmon_opts){.size = 3}, -EINVAL);
	o.newer[3] = 1;
	refused(&o.opts, -E2BIG);
	/* Known members of a longer struct count: the text has a place. */
	refused_text(&o.opts, -E2BIG, "size");
	/* The zero tail is accepted: another error is found. */
	o.newer[3] = 0;
	o.opts.capture_bytes = 1;
	refused_text(&o.opts, -EINVAL, "capture_bytes");
}
END_TEST

START_TEST(open_text_is_cut)
{
	char text[8] = "xxxxxxx";

	refused(OPTS(.capture_bytes = 1, .error_text = text, .error_text_size = 4), -EINVAL);
	ck_assert_uint_eq(strlen(text), 3);
	ck_assert_mem_eq(text + 4, "xxx", 4);
	strcpy(text, "xxxxxxx");
	refused(OPTS(.capture_bytes = 1, .error_text = text, .error_text_size = 0), -EINVAL);
	ck_assert_str_eq(text, "xxxxxxx");
	refused(OPTS(.capture_bytes = 1, .error_text = NULL, .error_text_size = 4), -EINVAL);
}
END_TEST

struct lines {
	int count;
	int level;
	char last[512];
};

static void keep_line(void *ctx, int level, const char *line)
{
	struct lines *lines = ctx;

	lines->count++;
	lines->level = level;
	snprintf(lines->last, sizeof(lines->last), "%s", line);
}

START_TEST(open_logs)
{
	struct lines a = {0}, b = {0};

	refused(OPTS(.capture_bytes = 1, .log_fn = keep_line, .log_ctx = &a), -EINVAL);
	refused(OPTS(.ring_bytes = 1, .log_fn = keep_line, .log_ctx = &b), -EINVAL);
	ck_assert_int_eq(a.count, 1);
	ck_assert_int_eq(a.level, APPMON_LOG_ERROR);
	ck_assert_ptr_nonnull(strstr(a.last, "capture_bytes"));
	ck_assert_ptr_null(strchr(a.last, '\n'));
	ck_assert_int_eq(b.count, 1);
	ck_assert_ptr_nonnull(strstr(b.last, "ring_bytes"));
}
END_TEST

START_TEST(calls_without_handle)
{
	struct appmon_stats stats = {.size = sizeof(stats)};
	struct appmon_capabilities caps = {.size = sizeof(caps)};
	const struct appmon_event *ev = NULL;
	uint32_t target = 7;

	ck_assert_int_eq(appmon_close(NULL), 0);
	ck_assert_int_eq(appmon_attach_cgroup(NULL, "/", NULL, &target), -EINVAL);
	ck_assert_int_eq(appmon_attach_cgroup_fd(NULL, 0, NULL, &target), -EINVAL);
	ck_assert_uint_eq(target, 7);
	ck_assert_int_eq(appmon_detach(NULL, 1), -EINVAL);
	ck_assert_int_eq(appmon_fd(NULL), -EINVAL);
	ck_assert_int_eq(appmon_poll(NULL, 0, 0), -EINVAL);
	ck_assert_int_eq(appmon_next(NULL, &ev), -EINVAL);
	ck_assert_int_eq(appmon_wakeup(NULL), -EINVAL);
	ck_assert_int_eq(appmon_get_stats(NULL, 0, &stats), -EINVAL);
	ck_assert_int_eq(appmon_get_capabilities(NULL, &caps), -EINVAL);
	ck_assert_ptr_nonnull(appmon_last_error(NULL));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {read_same,
				      read_shorter,
				      read_longer,
				      read_no_size,
				      write_same_and_shorter,
				      write_longer,
				      write_no_size,
				      open_limits,
				      open_headers,
				      open_sizes,
				      open_text_is_cut,
				      open_logs,
				      calls_without_handle,
				      NULL};

	return unit_run("opts", tests, NULL, NULL);
}
