/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes: a path with its parameters replaced, so that there are few. First by the look of each
 * segment: numbers, UUIDs, dates, hashes. Then, with a learner, by the paths so far: where one
 * place of an application's paths has held many different segments, these are parameters too.
 * Requests that failed hardly count: a scanner asks for anything.
 */
#include "metrics/route.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <appmon/metrics.h>

/* The rest of a longer path is "*". */
#define SEGMENTS_MAX 24
/* Segments of one place that failed requests may add. */
#define MISSES_MAX 16
/* Shorter ones are words, or are learned. */
#define HASH_HEX_MIN 8
#define HASH_MIXED_MIN 10
#define HASH_MIN 16

#define PARAM "{param}"

struct writer {
	char *buf;
	size_t len, size;
	bool full;
};

static void put(struct writer *w, const char *s, size_t n)
{
	if (n > w->size - w->len) {
		w->full = true;
		return;
	}
	memcpy(w->buf + w->len, s, n);
	w->len += n;
}

/* ---- by the look ----------------------------------------------------------------------------- */

enum {
	DIGIT = 1,
	HEX = 2,
	LOWER = 4,
	UPPER = 8,
	OTHER = 16,
	HIDDEN = 32,
	SLASH = 64,
	SEMICOLON = 128
};
/* What is part of a word. */
#define WORD (DIGIT | LOWER | UPPER | OTHER)

/* What a byte is; 0: it stands between words. */
static const uint8_t kind[256] = {
	[0 ... ' '] = HIDDEN,
	['"'] = HIDDEN,
	['\\'] = HIDDEN,
	[0x7f ... 0xff] = HIDDEN,
	['/'] = SLASH,
	[';'] = SEMICOLON,
	['%'] = OTHER,
	['{'] = OTHER,
	['}'] = OTHER,
	['0' ... '9'] = DIGIT | HEX,
	['a' ... 'f'] = LOWER | HEX,
	['g' ... 'z'] = LOWER,
	['A' ... 'F'] = UPPER | HEX,
	['G' ... 'Z'] = UPPER,
};

static int kind_of(char c)
{
	return kind[(unsigned char)c];
}

/* The length of the text's beginning that fits a pattern: x hex digit, 9 digit, others themselves;
 * 0 if it does not, or a word goes on behind it. */
static size_t match(const char *s, size_t n, const char *pattern)
{
	size_t len = strlen(pattern);

	if (n < len)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (pattern[i] == 'x'	? !isxdigit((unsigned char)s[i])
		    : pattern[i] == '9' ? !isdigit((unsigned char)s[i])
					: s[i] != pattern[i])
			return 0;
	}
	return n > len && kind_of(s[len]) & WORD ? 0 : len;
}

static bool plausible_date(const char *s)
{
	int month = (s[5] - '0') * 10 + s[6] - '0', day = (s[8] - '0') * 10 + s[9] - '0';

	return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* A date, and the time behind it (RFC 3339; fractions and zones look like numbers). */
static size_t match_date(const char *s, size_t n)
{
	size_t len = n > 4 && s[4] == '-' ? match(s, n, "9999-99-99") : 0;

	if (!len && n > 4 && s[4] == '-' && n > 10 && (s[10] == 'T' || s[10] == 't'))
		len = match(s, 10, "9999-99-99");
	if (!len || !plausible_date(s))
		return 0;
	if (n > len && s[len] != 'T' && s[len] != 't')
		return len;
	if (n > len)
		n = n - len - 1;
	else
		return len;
	for (size_t i = len + 1;; i++, n--) {
		/* 10:00:00.123Z, 10:00:00+01:00, 100000Z */
		if (!n || !strchr("0123456789:.+-Zz", s[i]) || s[i] == '\0')
			return n && kind_of(s[i]) & WORD ? 0 : i;
	}
}

/* What a word of these kinds and this length is; NULL: itself. */
static const char *placeholder(int kinds, bool hex, size_t n)
{
	bool letters = kinds & (LOWER | UPPER);

	if (kinds & OTHER || !(kinds & DIGIT))
		return NULL;
	if (!letters)
		return "{id}";
	if ((hex && n >= HASH_HEX_MIN) || n >= HASH_MIN)
		return "{hash}";
	return n >= HASH_MIXED_MIN && kinds & LOWER && kinds & UPPER ? "{hash}" : NULL;
}

static size_t word(const char *s, size_t n, int *kinds, bool *hex)
{
	int any = 0, all = HEX;
	size_t len = 0;

	while (len < n && kind_of(s[len]) & WORD) {
		any |= kind_of(s[len]);
		all &= kind_of(s[len]);
		len++;
	}
	*kinds = any;
	*hex = all & HEX;
	return len;
}

static void put_word(struct writer *w, const char *s, size_t n, int kinds, bool hex)
{
	const char *instead = placeholder(kinds, hex, n);

	if (!instead && n > 10 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		word(s + 2, n - 2, &kinds, &hex);
		if (hex)
			instead = "{hash}";
	}
	put(w, instead ? instead : s, instead ? strlen(instead) : n);
}

/* kinds: of all its bytes. */
static void put_segment(struct writer *w, const char *s, size_t n, int kinds)
{
	bool hex;

	if (kinds & HIDDEN) {
		put(w, PARAM, strlen(PARAM));
		return;
	}
	/* Matrix parameters: /map;jsessionid=5 */
	if (kinds & SEMICOLON)
		n = (size_t)((const char *)memchr(s, ';', n) - s);
	/* All that is replaced has a digit in it. */
	if (!(kinds & DIGIT)) {
		put(w, s, n);
		return;
	}
	while (n) {
		size_t len;

		if (n > 35 && s[8] == '-' &&
		    (len = match(s, n, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"))) {
			put(w, "{uuid}", 6);
		} else if ((len = match_date(s, n))) {
			put(w, "{date}", 6);
		} else if ((len = word(s, n, &kinds, &hex))) {
			put_word(w, s, len, kinds, hex);
		} else {
			len = 1;
			put(w, s, 1);
		}
		s += len;
		n -= len;
	}
}

/* ---- by what was learned --------------------------------------------------------------------- */

/* Linear probing wants some room. */
static uint32_t slots_for(uint32_t max_places)
{
	uint32_t slots = 64;

	while (slots < max_places + max_places / 2)
		slots *= 2;
	return slots;
}

size_t learner_bytes(uint32_t max_places)
{
	return slots_for(max_places) * sizeof(struct place);
}

int learner_init(struct learner *l, uint32_t max_places, uint32_t max_children)
{
	uint32_t slots = slots_for(max_places);

	*l = (struct learner){.mask = slots - 1, .max = max_places, .max_children = max_children};
	l->place = calloc(slots, sizeof(*l->place));
	return l->place ? 0 : -ENOMEM;
}

void learner_destroy(struct learner *l)
{
	free(l->place);
	l->place = NULL;
}

static uint64_t hash_of(uint64_t parent, const char *s, size_t n)
{
	uint64_t hash = XXH3_64bits_withSeed(s, n, parent);

	return hash ? hash : 1;
}

/* The place of a hash, or the free one where it belongs. */
static struct place *place_of(struct learner *l, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & l->mask;

	while (l->place[i].hash && l->place[i].hash != hash)
		i = (i + 1) & l->mask;
	return &l->place[i];
}

/* root: the application's first place, which may be p. No application gets more places than are
 * left for others. */
static bool add_place(struct learner *l, struct place *root, struct place *p, uint64_t hash)
{
	if (root->held >= l->max - l->count) {
		l->refused++;
		return false;
	}
	root->held++;
	l->count++;
	l->changes++;
	p->hash = hash;
	return true;
}

/*
 * Goes from a place to the one that the segment at "from" of the route leads to, and puts {param}
 * in its stead where there were too many. NULL: nothing is known from here on.
 */
static struct place *learn(struct learner *l, struct place *root, struct place *at,
			   struct writer *w, size_t from, bool teaches)
{
	uint64_t parent = at->hash, hash = hash_of(parent, w->buf + from, w->len - from);
	struct place *next = NULL;

	if (at->taught <= l->max_children) {
		next = place_of(l, hash);
		if (next->hash)
			return next;
		if (teaches ? at->taught < l->max_children : at->missed < MISSES_MAX) {
			if (!add_place(l, root, next, hash))
				return NULL;
			if (teaches)
				at->taught++;
			else
				at->missed++;
			return next;
		}
		if (!teaches)
			return NULL;
		/* One more than there may be: from now on all of them are parameters. */
		at->taught++;
		l->changes++;
	}
	w->len = from;
	put(w, PARAM, strlen(PARAM));
	hash = hash_of(parent, PARAM, strlen(PARAM));
	next = place_of(l, hash);
	return next->hash || add_place(l, root, next, hash) ? next : NULL;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* The length of the segment, and what its bytes are. */
static size_t segment_length(const char *s, const char *end, int *kinds)
{
	const char *at = s;
	int any = 0;

	while (at < end && !(kind_of(*at) & SLASH))
		any |= kind_of(*at++);
	*kinds = any;
	return (size_t)(at - s);
}

/*
 * Drops what was written from here on, and a segment that ends here without its slash: "/ab*" would
 * be another one.
 */
static size_t rest(struct writer *w, size_t from, size_t size)
{
	while (from && w->buf[from - 1] != '/')
		from--;
	w->len = from;
	w->size = size;
	put(w, "*", 1);
	return w->len;
}

size_t route_of(struct learner *l, uint64_t seed, const char *path, size_t len, bool teaches,
		bool cut, char *buf, size_t size)
{
	/* One byte is kept for the "*" of what does not fit. */
	struct writer w = {.buf = buf, .size = size ? size - 1 : 0};
	const char *s = path, *end = path + len;
	struct place *root = NULL, *at = NULL;

	if (!size)
		return 0;
	if (l) {
		seed = seed ? seed : 1;
		root = at = place_of(l, seed);
		if (!at->hash && !add_place(l, root, at, seed))
			at = NULL;
	}
	for (int segments = 0;; segments++) {
		size_t from, n;
		int kinds;

		if (s < end && *s == '/') {
			/* "/;v=1/" has an empty segment. */
			if (!w.len || buf[w.len - 1] != '/')
				put(&w, "/", 1);
			while (s < end && *s == '/')
				s++;
		}
		if (s == end)
			return w.full ? rest(&w, w.len, size) : w.len;
		from = w.len;
		n = segment_length(s, end, &kinds);
		if (segments == SEGMENTS_MAX || (cut && s + n == end))
			return rest(&w, from, size);
		put_segment(&w, s, n, kinds);
		if (l && at && !w.full && w.len > from)
			at = learn(l, root, at, &w, from, teaches);
		if (w.full || (l && !at))
			return rest(&w, from, size);
		s += n;
	}
}

size_t route_cached(struct route_cache *cache, struct learner *l, uint64_t seed, const char *path,
		    size_t len, bool teaches, char *buf)
{
	uint64_t hash = XXH3_64bits_withSeed(path, len, seed * 2 + teaches);
	typeof(cache->entry[0]) *e = &cache->entry[hash % ROUTE_CACHE];
	uint64_t changes = l ? l->changes : 0;
	size_t n;

	if (len && e->hash == hash && e->changes == changes && e->path_len == len &&
	    memcmp(e->path, path, len) == 0) {
		memcpy(buf, e->route, e->route_len);
		return e->route_len;
	}
	n = route_of(l, seed, path, len, teaches, false, buf, ROUTE_MAX);
	if (len <= ROUTE_CACHED_MAX && n <= ROUTE_CACHED_MAX) {
		e->hash = hash;
		e->changes = l ? l->changes : 0;
		e->path_len = (uint8_t)len;
		e->route_len = (uint8_t)n;
		memcpy(e->path, path, len);
		memcpy(e->route, buf, n);
	}
	return n;
}

size_t appmon_route(const char *path, size_t len, char *buf, size_t size)
{
	size_t n;

	if (!size || !buf)
		return 0;
	n = path ? route_of(NULL, 0, path, len, false, false, buf, size - 1) : 0;
	buf[n] = '\0';
	return n;
}
