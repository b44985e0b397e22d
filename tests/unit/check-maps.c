/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of /proc/PID/maps: whatever a process maps, and what it calls its files. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "probe/probe.h"
#include "unit.h"

static const char *range_of(const char *line)
{
	static char range[MAPS_RANGE_MAX];

	return tls_maps_line(line, range) ? range : "";
}

START_TEST(libraries)
{
	ck_assert_str_eq(range_of("7f1200001000-7f1200060000 r-xp 0001c000 fd:01 1311 "
				  "                    /usr/lib/x86_64-linux-gnu/libssl.so.3\n"),
			 "7f1200001000-7f1200060000");
	/* Names in map_files have no zeros in front. */
	ck_assert_str_eq(
		range_of("00400000-00452000 r-xp 00000000 08:02 173521 /opt/libssl.so.1.1\n"),
		"400000-452000");
	ck_assert_str_ne(range_of("1000-2000 r-xp 0 0:1f 9 /a/libssl.so.3 (deleted)\n"), "");
	ck_assert_str_ne(range_of("1000-2000 rwxp 0 0:1f 9 /a/libssl-3a2b.so.1.1\n"), "");
	ck_assert_str_ne(range_of("1000-2000 r-xs 0 0:1f 9 /a/libgnutls.so.30.1\n"), "");
	ck_assert_str_ne(
		range_of("1000-2000 r-xp 0 0:1f 9 /tmp/libnetty_tcnative_linux_x86_64123.so\n"),
		"");
	ck_assert_str_ne(range_of("1000-2000 r-xp 0 0:1f 9 /a/libtcnative-1.so\n"), "");
	ck_assert_str_ne(range_of("1000-2000 r-xp 0 0:1f 9 /with space/libssl.so.3"), "");
}
END_TEST

START_TEST(others)
{
	/* No code, no file, another name, a name that only a directory has. */
	ck_assert_str_eq(range_of("1000-2000 r--p 0 0:1f 9 /a/libssl.so.3\n"), "");
	ck_assert_str_eq(range_of("1000-2000 rw-p 0 0:1f 9 /a/libssl.so.3\n"), "");
	ck_assert_str_eq(range_of("1000-2000 r-xp 0 00:00 0 \n"), "");
	ck_assert_str_eq(range_of("1000-2000 r-xp 0 00:00 0                  [vdso]\n"), "");
	ck_assert_str_eq(range_of("1000-2000 r-xp 0 00:00 0 /anon/libssl.so.3\n"), "");
	ck_assert_str_eq(range_of("1000-2000 r-xp 0 0:1f 9 /a/libcrypto.so.3\n"), "");
	ck_assert_str_eq(range_of("1000-2000 r-xp 0 0:1f 9 /libssl.so.3/libc.so.6\n"), "");
	ck_assert_str_eq(range_of("1000-2000 r-xp 0 0:1f 9 /a/libssl/\n"), "");
	ck_assert_str_eq(range_of("1000-2000 r-xp 0 0:1f 9 libssl.so.3\n"), "");
}
END_TEST

/* A line that is cut off anywhere, and one with any byte changed: no more than a range is said. */
START_TEST(broken)
{
	static const char whole[] =
		"7f1200001000-7f1200060000 r-xp 0001c000 fd:01 1311 /l/libssl.so\n";
	char line[sizeof(whole)];

	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		memcpy(line, whole, n);
		line[n] = 0;
		ck_assert_uint_lt(strlen(range_of(line)), MAPS_RANGE_MAX);
	}
	for (size_t at = 0; at < sizeof(whole) - 1; at++)
		for (int c = 1; c < 256; c++) {
			memcpy(line, whole, sizeof(whole));
			line[at] = (char)c;
			ck_assert_uint_lt(strlen(range_of(line)), MAPS_RANGE_MAX);
		}
	ck_assert_str_eq(range_of(""), "");
	ck_assert_str_eq(
		range_of("ffffffffffffffffffff-ffffffffffffffffffff r-xp 0 0:1f 9 /libssl"),
		"ffffffffffffffff-ffffffffffffffff");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {libraries, others, broken, NULL};

	return unit_run("maps", tests, NULL, NULL);
}
