/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes: by the look of segments, and by what was learned. */
#include <stdio.h>
#include <string.h>

#include <appmon/metrics.h>

#include "metrics/route.h"
#include "unit.h"

static void setup(void)
{
}

static void teardown(void)
{
}

static const struct {
	const char *path, *route;
} table[] = {
	{"/", "/"},
	{"", ""},
	{"*", "*"},
	{"/health", "/health"},
	{"/api/v1/users", "/api/v1/users"},
	{"/users/", "/users/"},
	{"//users///list", "/users/list"},
	/* numbers */
	{"/users/17", "/users/{id}"},
	{"/users/17/posts/4", "/users/{id}/posts/{id}"},
	{"/users/0", "/users/{id}"},
	{"/page-2", "/page-{id}"},
	{"/order_17.json", "/order_{id}.json"},
	{"/point/-12.5", "/point/-{id}.{id}"},
	{"/range/1,2,3", "/range/{id},{id},{id}"},
	{"/2024/01/31/news", "/{id}/{id}/{id}/news"},
	/* words with digits in them are words */
	{"/oauth2/token", "/oauth2/token"},
	{"/v2beta1/mp3", "/v2beta1/mp3"},
	{"/utf8", "/utf8"},
	{"/abc123", "/abc123"},
	{"/sha256sum", "/sha256sum"},
	/* UUIDs, RFC 9562 section 4's example among them */
	{"/u/f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "/u/{uuid}"},
	{"/u/F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6/x", "/u/{uuid}/x"},
	{"/u/f81d4fae-7dec-11d0-a765-00a0c91e6bf6.png", "/u/{uuid}.png"},
	{"/order-f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "/order-{uuid}"},
	/* hashes: md5, sha-1 and sha-256 of "", a short git id, base 62, a bundler's */
	{"/blob/d41d8cd98f00b204e9800998ecf8427e", "/blob/{hash}"},
	{"/blob/da39a3ee5e6b4b0d3255bfef95601890afd80709", "/blob/{hash}"},
	{"/blob/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "/blob/{hash}"},
	{"/commit/8f73ff3a", "/commit/{hash}"},
	{"/tx/0x1f2e3d4c5b", "/tx/{hash}"},
	{"/watch/dQw4w9WgXcQ", "/watch/{hash}"},
	{"/main.3f9a8c1d.js", "/main.{hash}.js"},
	/* words of hex digits only */
	{"/facade/defaced", "/facade/defaced"},
	{"/deadbeef", "/deadbeef"},
	/* dates, RFC 3339 section 5.8's example among them */
	{"/log/2024-02-29", "/log/{date}"},
	{"/log/1985-04-12T23:20:50.52Z", "/log/{date}"},
	{"/log/1996-12-19T16:39:57-08:00", "/log/{date}"},
	{"/log/2024-02-29.txt", "/log/{date}.txt"},
	{"/log/2024-13-01", "/log/{id}-{id}-{id}"},
	/* what is no part of the path's meaning */
	{"/map;jsessionid=5AC6268DD8D4D5D1FDF5D41E9F2FD960", "/map"},
	{"/map;v=1/tiles;x=2", "/map/tiles"},
	{"/;v=1/tiles", "/tiles"},
	/* escapes are letters, other bytes are not shown */
	{"/caf%C3%A9", "/caf%C3%A9"},
	{"/caf\xc3\xa9", "/{param}"},
	{"/a b/c", "/{param}/c"},
	{"/\x1b[31m/x", "/{param}/x"},
	{"/quo\"te", "/{param}"},
	/* routes stay what they are */
	{"/users/{id}/{uuid}/{hash}/{date}/{param}", "/users/{id}/{uuid}/{hash}/{date}/{param}"},
	{"/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q",
	 "/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/*"},
};

START_TEST(looks)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].path);
		char buf[256];

		ck_assert_uint_eq(appmon_route(table[i].path, len, buf, sizeof(buf)), strlen(buf));
		ck_assert_msg(strcmp(buf, table[i].route) == 0, "%s gives %s, not %s",
			      table[i].path, buf, table[i].route);
	}
}
END_TEST

/* Nothing is read or written beyond its end, in whatever room. */
START_TEST(bounds)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].path);
		char *path = malloc(len ? len : 1);

		memcpy(path, table[i].path, len);
		for (size_t size = 1; size < 80; size++) {
			char *buf = malloc(size);
			size_t n = appmon_route(path, len, buf, size);

			ck_assert_uint_lt(n, size);
			ck_assert_uint_eq(buf[n], '\0');
			/* What was cut off says so. */
			if (n < strlen(table[i].route) && size > 1)
				ck_assert(n && buf[n - 1] == '*');
			free(buf);
		}
		free(path);
	}
	ck_assert_uint_eq(appmon_route("/x", 2, NULL, 0), 0);
}
END_TEST

/* ---- learning -------------------------------------------------------------------- */

static struct learner learner;

static const char *learn_as(uint64_t app, const char *path, bool teaches)
{
	static char buf[ROUTE_MAX + 1];

	buf[route_of(&learner, app, path, strlen(path), teaches, false, buf, ROUTE_MAX)] = '\0';
	return buf;
}

static const char *learn(const char *path)
{
	return learn_as(1, path, true);
}

START_TEST(many_children)
{
	char path[64];

	learner_init(&learner, 10000, 20);
	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof(path), "/user/n%c/profile", 'a' + i);
		ck_assert_str_eq(learn(path), path);
	}
	ck_assert_str_eq(learn("/user/na/profile"), "/user/na/profile");
	/* One too many: from here on it is a parameter, for those before, too. */
	ck_assert_str_eq(learn("/user/nz/profile"), "/user/{param}/profile");
	ck_assert_str_eq(learn("/user/na/profile"), "/user/{param}/profile");
	ck_assert_str_eq(learn("/user/na/other"), "/user/{param}/other");
	/* Its siblings and other applications are not concerned. */
	ck_assert_str_eq(learn("/shop/na/profile"), "/shop/na/profile");
	ck_assert_str_eq(learn_as(2, "/user/na/profile", true), "/user/na/profile");
	learner_destroy(&learner);
}
END_TEST

/* Numbers do not use up what a place may hold. */
START_TEST(looks_come_first)
{
	char path[64];

	learner_init(&learner, 10000, 3);
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/user/%d", i);
		ck_assert_str_eq(learn(path), "/user/{id}");
	}
	ck_assert_str_eq(learn("/user/me"), "/user/me");
	learner_destroy(&learner);
}
END_TEST

/* A scanner's guesses, all answered with 404, leave the routes alone and are few themselves. */
START_TEST(failures_teach_little)
{
	char path[64], seen[64][64];
	int distinct = 0;

	learner_init(&learner, 10000, 64);
	ck_assert_str_eq(learn("/shop/cart"), "/shop/cart");
	for (int i = 0; i < 10000; i++) {
		const char *route;
		int known = 0;

		snprintf(path, sizeof(path), "/w%c%c%c.php", 'a' + i % 26, 'a' + i / 26 % 26,
			 'a' + i / 676 % 26);
		route = learn_as(1, path, false);
		while (known < distinct && strcmp(seen[known], route) != 0)
			known++;
		if (known < distinct)
			continue;
		ck_assert_int_lt(distinct, 64);
		strcpy(seen[distinct++], route);
	}
	ck_assert_int_le(distinct, 17);
	ck_assert_str_eq(learn_as(1, "/never-seen", false), "/*");
	ck_assert_str_eq(learn("/shop/cart"), "/shop/cart");
	ck_assert_str_eq(learn("/shop/checkout"), "/shop/checkout");
	ck_assert_str_eq(learn_as(1, "/shop/cart", false), "/shop/cart");
	learner_destroy(&learner);
}
END_TEST

/* A full memory keeps what it knows; the rest does not become many routes. Half of it is left for
 * other applications. */
START_TEST(full)
{
	char path[64];

	learner_init(&learner, 100, 1000);
	ck_assert_str_eq(learn("/known/place"), "/known/place");
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/x%c%c", 'a' + i % 26, 'a' + i / 26);
		learn(path);
	}
	ck_assert_uint_eq(learner.count, 50);
	ck_assert_uint_gt(learner.refused, 900);
	ck_assert_str_eq(learn("/known/place"), "/known/place");
	ck_assert_str_eq(learn("/quite/new"), "/*");
	ck_assert_str_eq(learn_as(9, "/quite/new", true), "/quite/new");
	/* Where all have taken theirs. */
	for (int i = 0; i < 100000; i++) {
		snprintf(path, sizeof(path), "/x%c%c%c", 'a' + i % 26, 'a' + i / 26 % 26,
			 'a' + i / 676 % 26);
		learn_as(10 + (uint64_t)i % 200, path, true);
	}
	ck_assert_uint_eq(learner.count, 100);
	ck_assert_str_eq(learn_as(9, "/quite/new", true), "/quite/new");
	ck_assert_str_eq(learn_as(1000, "/quite/new", true), "/*");
	learner_destroy(&learner);
}
END_TEST

START_TEST(cut_off)
{
	char buf[ROUTE_MAX];
	size_t n = route_of(NULL, 0, "/users/na", 9, true, true, buf, sizeof(buf));

	ck_assert_uint_eq(n, 8);
	ck_assert_mem_eq(buf, "/users/*", 8);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		looks, bounds,	many_children, looks_come_first, failures_teach_little,
		full,  cut_off, NULL};

	return unit_run("route", tests, setup, teardown);
}
