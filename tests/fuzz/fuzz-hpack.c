/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libFuzzer target for hpack.c. The input is a connection's header blocks, as they are or as the
 * fields that libnghttp2 makes blocks of. From the first block on both decoders tell the same. One
 * that comes late, or misses a block, tells fewer fields, and no others.
 */
#include <nghttp2/nghttp2.h>
#include <string.h>
#include <sys/types.h>

#include "protocol/http2/hpack.h"
#include "target.h"

#define BLOCKS_MAX 24
#define BLOCK_MAX 4096
#define FIELDS_OF_ALL 4096

struct block {
	size_t len;
	uint8_t bytes[BLOCK_MAX];
};

static struct block blocks[BLOCKS_MAX];
static size_t block_count;

/* What libnghttp2 says: all fields of all blocks. */
static struct {
	char *name, *value;
	size_t name_len, value_len;
} truth[FIELDS_OF_ALL];
static size_t first_of[BLOCKS_MAX + 1]; /* by block */
static size_t good;			/* blocks that it accepts */

/* ---- blocks out of the input ----------------------------------------------------------------- */

struct input {
	const uint8_t *at, *end;
};

static uint8_t take(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static nghttp2_nv take_field(struct input *in)
{
	static const char *const names[] = {":method", ":path",	       "cookie",
					    "x-a",     "grpc-timeout", ""};
	uint8_t what = take(in);
	const char *name = names[what % 6];
	size_t len = take(in), left = (size_t)(in->end - in->at);
	nghttp2_nv nv = {.name = (uint8_t *)(uintptr_t)name, .namelen = strlen(name)};

	len = what & 0x80 ? len * 8 : len % 24;
	nv.valuelen = len < left ? len : left;
	nv.value = (uint8_t *)(uintptr_t)in->at;
	in->at += nv.valuelen;
	if (!*name) {
		nv.name = nv.value;
		nv.namelen = nv.valuelen;
	}
	nv.flags = what & 0x40 ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
	return nv;
}

static void take_fields(struct input *in)
{
	nghttp2_hd_deflater *deflater;

	CHECK(!nghttp2_hd_deflate_new(&deflater, (size_t)take(in) << (take(in) & 15)));
	while (in->at < in->end && block_count < BLOCKS_MAX) {
		struct block *b = &blocks[block_count];
		nghttp2_nv nv[8];
		uint8_t what = take(in);
		size_t n = what & 7;
		ssize_t len;

		if (what & 0x80)
			CHECK(!nghttp2_hd_deflate_change_table_size(
				deflater, (size_t)take(in) << (what >> 3 & 15)));
		for (size_t i = 0; i < n; i++)
			nv[i] = take_field(in);
		len = nghttp2_hd_deflate_hd(deflater, b->bytes, sizeof(b->bytes), nv, n);
		if (len < 0)
			break;
		b->len = (size_t)len;
		block_count++;
	}
	nghttp2_hd_deflate_del(deflater);
}

static void take_bytes(struct input *in)
{
	while (in->at < in->end && block_count < BLOCKS_MAX) {
		struct block *b = &blocks[block_count++];
		size_t left;

		b->len = take(in);
		left = (size_t)(in->end - in->at);
		if (b->len > left)
			b->len = left;
		memcpy(b->bytes, in->at, b->len);
		in->at += b->len;
	}
}

/* ---- libnghttp2 ------------------------------------------------------------------------------ */

static char *copy_of(const uint8_t *bytes, size_t len)
{
	char *copy = malloc(len + 1);

	CHECK(copy);
	memcpy(copy, bytes, len);
	return copy;
}

static bool inflate(nghttp2_hd_inflater *inflater, const struct block *b, size_t *count)
{
	const uint8_t *at = b->bytes;
	size_t left = b->len;

	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t n = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, at, left, 1);

		if (n < 0)
			return false;
		at += n;
		left -= (size_t)n;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			CHECK(*count < FIELDS_OF_ALL);
			truth[*count].name = copy_of(nv.name, nv.namelen);
			truth[*count].name_len = nv.namelen;
			truth[*count].value = copy_of(nv.value, nv.valuelen);
			truth[*count].value_len = nv.valuelen;
			++*count;
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL) {
			nghttp2_hd_inflate_end_headers(inflater);
			return true;
		}
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && !left)
			return true;
	}
}

static size_t inflate_all(void)
{
	nghttp2_hd_inflater *inflater;
	size_t count = 0;

	CHECK(!nghttp2_hd_inflate_new(&inflater));
	/* Whatever size an encoder uses, its decoder had allowed it. */
	CHECK(!nghttp2_hd_inflate_change_table_size(inflater, UINT32_MAX));
	for (good = 0; good < block_count; good++) {
		first_of[good] = count;
		if (!inflate(inflater, &blocks[good], &count))
			break;
	}
	if (good == block_count)
		first_of[good] = count;
	nghttp2_hd_inflate_del(inflater);
	return count;
}

/* ---- and this one ---------------------------------------------------------------------------- */

static bool same(struct hpack_str str, const char *bytes, size_t len, bool whole)
{
	if (!str.data)
		return !whole;
	return str.len == len && !memcmp(str.data, bytes, len);
}

/* Decodes one block into the table; returns whether it is one. fields: from this one on. */
static bool decode(struct pool *pool, struct hpack *h, const struct block *b, size_t field,
		   size_t end)
{
	/* As large as they are, so that AddressSanitizer sees who goes beyond. */
	uint8_t *bytes = malloc(b->len ? b->len : 1);
	char *scratch = malloc(HPACK_SCRATCH(b->len));
	struct hpack_block block = {bytes, bytes + b->len, scratch, false};
	struct hpack_field f;
	int r;

	CHECK(bytes && scratch);
	memcpy(bytes, b->bytes, b->len);
	while ((r = hpack_next(pool, h, &block, &f)) == HPACK_FIELD) {
		/* Of a table that is not all here an index can be one that the encoder has not. */
		if (field == end && !h->whole)
			break;
		CHECK(field < end);
		CHECK(same(f.name, truth[field].name, truth[field].name_len, h->whole));
		CHECK(same(f.value, truth[field].value, truth[field].value_len, h->whole));
		CHECK(h->size <= h->max);
		field++;
	}
	CHECK(r != HPACK_END || field == end);
	free(bytes);
	free(scratch);
	return r == HPACK_END;
}

/* From block `from` on, and without block `missed`. */
static void decode_from(size_t from, size_t missed)
{
	struct pool pool = {.limit = 1 << 24};
	struct hpack h;

	hpack_init(&h, !from);
	for (size_t i = from; i < good; i++) {
		if (i == missed)
			hpack_lose(&h);
		else
			CHECK(decode(&pool, &h, &blocks[i], first_of[i], first_of[i + 1]));
	}
	hpack_free(&pool, &h);
	pool_destroy(&pool);
}

/* The block that libnghttp2 refuses is refused here. */
static void decode_bad(size_t count)
{
	struct pool pool = {.limit = 1 << 24};
	struct hpack h;

	hpack_init(&h, true);
	for (size_t i = 0; i < good; i++)
		CHECK(decode(&pool, &h, &blocks[i], first_of[i], first_of[i + 1]));
	CHECK(!decode(&pool, &h, &blocks[good], first_of[good], count) || !h.whole);
	hpack_free(&pool, &h);
	pool_destroy(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, data + len};
	size_t count;

	block_count = 0;
	if (take(&in) & 1)
		take_fields(&in);
	else
		take_bytes(&in);
	count = inflate_all();
	for (size_t from = 0; from < good; from++) {
		decode_from(from, SIZE_MAX);
		decode_from(0, from);
	}
	if (good < block_count)
		decode_bad(count);
	for (size_t i = 0; i < count; i++) {
		free(truth[i].name);
		free(truth[i].value);
	}
	return 0;
}

#ifdef FUZZ_STANDALONE
#include "standalone.h"

#define ROUNDS 20000

/* Without files: random inputs. */
int main(int argc, char **argv)
{
	uint64_t state = 1;
	uint8_t data[1024];

	if (argc > 1)
		return fuzz_files(argc, argv);
	for (int round = 0; round < ROUNDS; round++) {
		size_t len;

		for (len = 0; len < sizeof(data); len++) {
			state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
			data[len] = (uint8_t)(state >> 56);
		}
		data[0] = (uint8_t)round;
		LLVMFuzzerTestOneInput(data, state >> 32 & (sizeof(data) - 1));
	}
	return 0;
}
#endif
