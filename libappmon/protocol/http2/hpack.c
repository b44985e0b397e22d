/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "protocol/http2/hpack.h"

#define RING_MIN 16
#define ROOM_MIN 512
#define ENTRY_OVERHEAD 32 /* RFC 7541 section 4.1 */

/* ---- the static table (RFC 7541 appendix A) -------------------------------------------------- */

#define STATIC_COUNT 61
#define ENTRY(name_, value_)                                                                       \
	{                                                                                          \
		{name_, sizeof(name_) - 1}, {value_, sizeof(value_) - 1}, false                    \
	}

static const struct hpack_field static_table[STATIC_COUNT] = {
	ENTRY(":authority", ""),
	ENTRY(":method", "GET"),
	ENTRY(":method", "POST"),
	ENTRY(":path", "/"),
	ENTRY(":path", "/index.html"),
	ENTRY(":scheme", "http"),
	ENTRY(":scheme", "https"),
	ENTRY(":status", "200"),
	ENTRY(":status", "204"),
	ENTRY(":status", "206"),
	ENTRY(":status", "304"),
	ENTRY(":status", "400"),
	ENTRY(":status", "404"),
	ENTRY(":status", "500"),
	ENTRY("accept-charset", ""),
	ENTRY("accept-encoding", "gzip, deflate"),
	ENTRY("accept-language", ""),
	ENTRY("accept-ranges", ""),
	ENTRY("accept", ""),
	ENTRY("access-control-allow-origin", ""),
	ENTRY("age", ""),
	ENTRY("allow", ""),
	ENTRY("authorization", ""),
	ENTRY("cache-control", ""),
	ENTRY("content-disposition", ""),
	ENTRY("content-encoding", ""),
	ENTRY("content-language", ""),
	ENTRY("content-length", ""),
	ENTRY("content-location", ""),
	ENTRY("content-range", ""),
	ENTRY("content-type", ""),
	ENTRY("cookie", ""),
	ENTRY("date", ""),
	ENTRY("etag", ""),
	ENTRY("expect", ""),
	ENTRY("expires", ""),
	ENTRY("from", ""),
	ENTRY("host", ""),
	ENTRY("if-match", ""),
	ENTRY("if-modified-since", ""),
	ENTRY("if-none-match", ""),
	ENTRY("if-range", ""),
	ENTRY("if-unmodified-since", ""),
	ENTRY("last-modified", ""),
	ENTRY("link", ""),
	ENTRY("location", ""),
	ENTRY("max-forwards", ""),
	ENTRY("proxy-authenticate", ""),
	ENTRY("proxy-authorization", ""),
	ENTRY("range", ""),
	ENTRY("referer", ""),
	ENTRY("refresh", ""),
	ENTRY("retry-after", ""),
	ENTRY("server", ""),
	ENTRY("set-cookie", ""),
	ENTRY("strict-transport-security", ""),
	ENTRY("transfer-encoding", ""),
	ENTRY("user-agent", ""),
	ENTRY("vary", ""),
	ENTRY("via", ""),
	ENTRY("www-authenticate", ""),
};

/* ---- Huffman's code (RFC 7541 section 5.2) --------------------------------------------------- */

enum {
	HUFFMAN_SYMBOL = 1, /* a symbol ends in these bits */
	HUFFMAN_END = 2,    /* a string may end behind them */
	HUFFMAN_BAD = 4,    /* no string has them */
};

struct huffman_step {
	uint8_t next, symbol, flags;
};

#include "huffman-table.h"

/* Returns the length, or -1. */
static int64_t huffman_decode(const uint8_t *in, uint32_t len, char *out)
{
	const struct huffman_step *step;
	const char *from = out;
	uint32_t state = 0, flags = HUFFMAN_END;

	for (uint32_t i = 0; i < 2 * len; i++) {
		step = &huffman[state][i & 1 ? in[i / 2] & 15 : in[i / 2] >> 4];
		flags = step->flags;
		if (flags & HUFFMAN_BAD)
			return -1;
		if (flags & HUFFMAN_SYMBOL)
			*out++ = (char)step->symbol;
		state = step->next;
	}
	return flags & HUFFMAN_END ? out - from : -1;
}

/* ---- integers and strings -------------------------------------------------------------------- */

/* RFC 7541 section 5.1: the low `bits` bits of the first byte, and what follows. */
static bool integer(struct hpack_block *b, unsigned bits, uint32_t *ret)
{
	uint32_t most = (1U << bits) - 1, n = *b->at++ & most, part;

	for (unsigned shift = 0; n == most || shift; shift += 7) {
		if (b->at == b->end || shift > 28)
			return false;
		part = *b->at & 127;
		if (part > UINT32_MAX >> shift || part << shift > UINT32_MAX - n)
			return false;
		n += part << shift;
		if (!(*b->at++ & 128))
			break;
	}
	*ret = n;
	return true;
}

/* RFC 7541 section 5.2. Takes what it decodes out of *scratch. */
static bool string(struct hpack_block *b, char **scratch, struct hpack_str *ret)
{
	const uint8_t *at;
	int64_t decoded;
	uint32_t len;
	bool coded;

	if (b->at == b->end)
		return false;
	coded = *b->at & 128;
	if (!integer(b, 7, &len) || len > (size_t)(b->end - b->at))
		return false;
	at = b->at;
	b->at += len;
	if (!coded) {
		*ret = (struct hpack_str){(const char *)at, len};
		return true;
	}
	decoded = huffman_decode(at, len, *scratch);
	if (decoded < 0)
		return false;
	*ret = (struct hpack_str){*scratch, (uint32_t)decoded};
	*scratch += decoded;
	return true;
}

/* ---- the dynamic table ----------------------------------------------------------------------- */

void hpack_init(struct hpack *h, bool whole)
{
	*h = (struct hpack){.max = whole ? HPACK_SIZE_DEFAULT : HPACK_SIZE_KEPT, .whole = whole};
}

void hpack_free(struct pool *pool, struct hpack *h)
{
	pool_free(pool, h->bytes);
	pool_free(pool, h->entry);
	hpack_init(h, false);
}

static void clear(struct hpack *h)
{
	h->count = 0;
	h->size = 0;
}

void hpack_lose(struct hpack *h)
{
	clear(h);
	h->max = HPACK_SIZE_KEPT;
	h->whole = false;
}

static struct hpack_entry *entry_at(const struct hpack *h, uint32_t n)
{
	return &h->entry[(h->oldest + n) & (h->ring - 1)];
}

static uint32_t entry_size(const struct hpack_entry *e)
{
	return e->name_len + e->value_len + ENTRY_OVERHEAD;
}

/* RFC 7541 section 4.3 */
static void evict(struct hpack *h, uint32_t max)
{
	while (h->size > max) {
		h->size -= entry_size(entry_at(h, 0));
		h->oldest++;
		h->count--;
	}
}

static bool grow_ring(struct pool *pool, struct hpack *h)
{
	uint32_t ring = h->ring ? 2 * h->ring : RING_MIN;
	struct hpack_entry *entry;

	if (h->count < h->ring)
		return true;
	entry = pool_alloc(pool, ring * sizeof(*entry));
	if (!entry)
		return false;
	for (uint32_t i = 0; i < h->count; i++)
		entry[i] = *entry_at(h, i);
	pool_free(pool, h->entry);
	h->entry = entry;
	h->ring = ring;
	h->oldest = 0;
	return true;
}

/* Where there is no room left, the entries that are still there move into another block: *old is
 * the one before, in which strings of the caller may lie. */
static bool grow_bytes(struct pool *pool, struct hpack *h, uint32_t need, char **old)
{
	uint32_t live = need, room = ROOM_MIN, used = 0;
	char *bytes;

	*old = NULL;
	if (h->bytes && need <= h->room - h->used)
		return true;
	for (uint32_t i = 0; i < h->count; i++)
		live += entry_at(h, i)->name_len + entry_at(h, i)->value_len;
	while (room < 2 * live)
		room *= 2;
	bytes = pool_alloc(pool, room);
	if (!bytes)
		return false;
	for (uint32_t i = 0; i < h->count; i++) {
		struct hpack_entry *e = entry_at(h, i);

		memcpy(bytes + used, h->bytes + e->at, e->name_len + e->value_len);
		e->at = used;
		used += e->name_len + e->value_len;
	}
	*old = h->bytes;
	h->bytes = bytes;
	h->room = room;
	h->used = used;
	return true;
}

static void add(struct pool *pool, struct hpack *h, struct hpack_field *field)
{
	struct hpack_entry e = {.name_len = field->name.len,
				.value_len = field->value.len,
				.name_known = field->name.data != NULL};
	uint64_t size = (uint64_t)e.name_len + e.value_len + ENTRY_OVERHEAD;
	char *old, *to;

	if (size > h->max) {
		clear(h);
		return;
	}
	evict(h, h->max - (uint32_t)size);
	if (!grow_ring(pool, h) || !grow_bytes(pool, h, e.name_len + e.value_len, &old)) {
		hpack_lose(h);
		return;
	}
	to = h->bytes + h->used;
	e.at = h->used;
	if (e.name_len)
		memcpy(to, field->name.data, e.name_len);
	if (e.value_len)
		memcpy(to + e.name_len, field->value.data, e.value_len);
	if (e.name_known)
		field->name.data = to;
	field->value.data = to + e.name_len;
	h->used += e.name_len + e.value_len;
	h->size += (uint32_t)size;
	*entry_at(h, h->count++) = e;
	pool_free(pool, old);
}

/* Name and value at an index. False: the encoder cannot have it. */
static bool indexed(const struct hpack *h, uint32_t index, struct hpack_field *ret)
{
	const struct hpack_entry *e;

	*ret = (struct hpack_field){0};
	if (!index)
		return false;
	if (index <= STATIC_COUNT) {
		*ret = static_table[index - 1];
		return true;
	}
	if (index - STATIC_COUNT > h->count)
		return !h->whole;
	e = entry_at(h, h->count - (index - STATIC_COUNT));
	if (e->name_known)
		ret->name = (struct hpack_str){h->bytes + e->at, e->name_len};
	ret->value = (struct hpack_str){h->bytes + e->at + e->name_len, e->value_len};
	return true;
}

/* RFC 7541 section 6.3. False: it is none, or stands behind a field. */
static bool resize(struct hpack *h, struct hpack_block *b)
{
	uint32_t max;

	if (b->begun || !integer(b, 5, &max))
		return false;
	h->max = max < HPACK_SIZE_KEPT ? max : HPACK_SIZE_KEPT;
	evict(h, h->max);
	if (max > HPACK_SIZE_KEPT)
		h->whole = false; /* older entries will go here, and stay there */
	else if (!max)
		h->whole = true;
	return true;
}

/* RFC 7541 section 6.2: the name by its index, or as the string that follows. */
static bool literal(struct hpack *h, struct hpack_block *b, unsigned bits, struct hpack_field *ret)
{
	char *scratch = b->scratch;
	uint32_t index;

	if (!integer(b, bits, &index))
		return false;
	*ret = (struct hpack_field){0};
	if (index ? !indexed(h, index, ret) : !string(b, &scratch, &ret->name))
		return false;
	return string(b, &scratch, &ret->value);
}

int hpack_next(struct pool *pool, struct hpack *h, struct hpack_block *b, struct hpack_field *ret)
{
	uint32_t index;
	uint8_t first;

	while (b->at < b->end && (*b->at & 0xe0) == 0x20)
		if (!resize(h, b))
			return HPACK_BAD;
	if (b->at == b->end)
		return HPACK_END;
	b->begun = true;
	first = *b->at;
	if (first & 0x80)
		return integer(b, 7, &index) && indexed(h, index, ret) ? HPACK_FIELD : HPACK_BAD;
	if (!literal(h, b, first & 0x40 ? 6 : 4, ret))
		return HPACK_BAD;
	ret->never_indexed = (first & 0xf0) == 0x10;
	if (first & 0x40)
		add(pool, h, ret);
	return HPACK_FIELD;
}
