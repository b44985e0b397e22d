/* SPDX-License-Identifier: BSD-2-Clause */
#include "exchange/trace.h"

#include <arpa/inet.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

const char *const trace_field_names[] = {
	"traceparent",	     "tracestate",   "b3",	   "x-b3-traceid",  "x-b3-spanid",
	"x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "uber-trace-id", "sw8",
	"forwarded",	     "x-request-id", NULL};

enum trace_field trace_field_of(const char *name)
{
	static const struct {
		const char *name;
		enum trace_field field;
	} table[] = {
		{"traceparent", TRACE_FIELD_TRACEPARENT},
		{"b3", TRACE_FIELD_B3},
		{"x-b3-traceid", TRACE_FIELD_B3_TRACE_ID},
		{"x-b3-spanid", TRACE_FIELD_B3_SPAN_ID},
		{"x-b3-parentspanid", TRACE_FIELD_B3_PARENT_SPAN_ID},
		{"x-b3-sampled", TRACE_FIELD_B3_SAMPLED},
		{"x-b3-flags", TRACE_FIELD_B3_FLAGS},
		{"uber-trace-id", TRACE_FIELD_UBER_TRACE_ID},
		{"sw8", TRACE_FIELD_SW8},
		{"forwarded", TRACE_FIELD_FORWARDED},
		{"x-request-id", TRACE_FIELD_REQUEST_ID},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!strcmp(name, table[i].name))
			return table[i].field;
	return TRACE_FIELD_NONE;
}

/* ---- Hexadecimal ----------------------------------------------------------------------------- */

enum hex_case { HEX_LOWER, HEX_ANY };

static int hex_digit(char c, enum hex_case letters)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (letters == HEX_ANY && c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* len digits into size bytes, right-aligned behind zeros. False: no digit, too many, or others. */
static bool hex_read(const char *s, size_t len, enum hex_case letters, uint8_t *out, size_t size)
{
	if (!len || len > 2 * size)
		return false;
	memset(out, 0, size);
	for (size_t i = 0; i < len; i++) {
		int digit = hex_digit(s[i], letters);
		size_t nibble = 2 * size - len + i;

		if (digit < 0)
			return false;
		out[nibble / 2] |= (uint8_t)(nibble % 2 ? digit : digit << 4);
	}
	return true;
}

static bool is_zero(const uint8_t *id, size_t size)
{
	while (size--)
		if (id[size])
			return false;
	return true;
}

static bool has_ids(const struct appmon_trace *t)
{
	return !is_zero(t->trace_id, sizeof(t->trace_id)) &&
	       !is_zero(t->span_id, sizeof(t->span_id));
}

/* ---- W3C ------------------------------------------------------------------------------------- */

#define W3C_LEN 55 /* 2 + 1 + 32 + 1 + 16 + 1 + 2 */

bool trace_parse_w3c(struct trace_value value, struct appmon_trace *ret)
{
	struct appmon_trace t = {.format = APPMON_TRACE_W3C};
	const char *s = value.data;
	uint8_t version, flags;

	if (value.len < W3C_LEN || s[2] != '-' || s[35] != '-' || s[52] != '-')
		return false;
	if (!hex_read(s, 2, HEX_LOWER, &version, 1) || version == 0xff)
		return false;
	/* A later version may go on behind another dash. */
	if (value.len > W3C_LEN && (version == 0 || s[W3C_LEN] != '-'))
		return false;
	if (!hex_read(s + 3, 32, HEX_LOWER, t.trace_id, sizeof(t.trace_id)) ||
	    !hex_read(s + 36, 16, HEX_LOWER, t.span_id, sizeof(t.span_id)) ||
	    !hex_read(s + 53, 2, HEX_LOWER, &flags, 1) || !has_ids(&t))
		return false;
	if (flags & 1)
		t.flags |= APPMON_TRACE_SAMPLED;
	*ret = t;
	return true;
}

/* ---- Values with separators ------------------------------------------------------------------ */

/* The part before the next separator, which is passed over too; what is left stays in *s. A value
 * without any is its only part; *more tells whether another follows. */
static struct trace_value next_part(struct trace_value *s, const char *separator, bool *more)
{
	size_t sep = strlen(separator), i = 0;
	struct trace_value part = {.data = s->data};

	while (i < s->len && (s->len - i < sep || strncasecmp(s->data + i, separator, sep) != 0))
		i++;
	part.len = i;
	*more = i < s->len;
	if (*more)
		i += sep;
	s->data += i;
	s->len -= i;
	return part;
}

static bool is_text(struct trace_value v, const char *text)
{
	return v.data && v.len == strlen(text) && !memcmp(v.data, text, v.len);
}

/* ---- B3 -------------------------------------------------------------------------------------- */

static bool b3_trace_id(struct trace_value v, struct appmon_trace *t)
{
	return (v.len == 16 || v.len == 32) &&
	       hex_read(v.data, v.len, HEX_LOWER, t->trace_id, sizeof(t->trace_id));
}

static bool b3_span_id(struct trace_value v, uint8_t id[8])
{
	return v.len == 16 && hex_read(v.data, v.len, HEX_LOWER, id, 8);
}

bool trace_parse_b3(struct trace_value value, struct appmon_trace *ret)
{
	struct appmon_trace t = {.format = APPMON_TRACE_B3, .flags = APPMON_TRACE_UNDECIDED};
	bool more;

	if (!b3_trace_id(next_part(&value, "-", &more), &t) || !more)
		return false;
	if (!b3_span_id(next_part(&value, "-", &more), t.span_id))
		return false;
	if (more) {
		struct trace_value sampling = next_part(&value, "-", &more);

		if (is_text(sampling, "1"))
			t.flags = APPMON_TRACE_SAMPLED;
		else if (is_text(sampling, "d"))
			t.flags = APPMON_TRACE_SAMPLED | APPMON_TRACE_DEBUG;
		else if (is_text(sampling, "0"))
			t.flags = 0;
		else
			return false;
	}
	if (more && (!b3_span_id(next_part(&value, "-", &more), t.parent_span_id) || more))
		return false;
	if (!has_ids(&t))
		return false;
	*ret = t;
	return true;
}

bool trace_parse_b3_multi(const struct trace_value value[TRACE_FIELDS], struct appmon_trace *ret)
{
	struct appmon_trace t = {.format = APPMON_TRACE_B3_MULTI, .flags = APPMON_TRACE_UNDECIDED};
	struct trace_value sampled = value[TRACE_FIELD_B3_SAMPLED];

	if (!b3_trace_id(value[TRACE_FIELD_B3_TRACE_ID], &t) ||
	    !b3_span_id(value[TRACE_FIELD_B3_SPAN_ID], t.span_id) || !has_ids(&t))
		return false;
	if (value[TRACE_FIELD_B3_PARENT_SPAN_ID].data &&
	    !b3_span_id(value[TRACE_FIELD_B3_PARENT_SPAN_ID], t.parent_span_id))
		return false;
	/* "true" and "false" are older than the specification. */
	if (is_text(value[TRACE_FIELD_B3_FLAGS], "1"))
		t.flags = APPMON_TRACE_SAMPLED | APPMON_TRACE_DEBUG;
	else if (is_text(sampled, "1") || is_text(sampled, "true"))
		t.flags = APPMON_TRACE_SAMPLED;
	else if (is_text(sampled, "0") || is_text(sampled, "false"))
		t.flags = 0;
	else if (sampled.data)
		return false;
	*ret = t;
	return true;
}

/* ---- Jaeger ---------------------------------------------------------------------------------- */

bool trace_parse_jaeger(struct trace_value value, struct appmon_trace *ret)
{
	struct appmon_trace t = {.format = APPMON_TRACE_JAEGER};
	const char *separator = memchr(value.data, ':', value.len) ? ":" : "%3a";
	struct trace_value part[4];
	bool more = true;
	uint8_t flags;

	for (int i = 0; i < 4; i++) {
		if (!more)
			return false;
		part[i] = next_part(&value, separator, &more);
	}
	if (more || !hex_read(part[0].data, part[0].len, HEX_ANY, t.trace_id, sizeof(t.trace_id)) ||
	    !hex_read(part[1].data, part[1].len, HEX_ANY, t.span_id, sizeof(t.span_id)) ||
	    !hex_read(part[2].data, part[2].len, HEX_ANY, t.parent_span_id,
		      sizeof(t.parent_span_id)) ||
	    !hex_read(part[3].data, part[3].len, HEX_ANY, &flags, 1) || !has_ids(&t))
		return false;
	if (flags & 1)
		t.flags |= APPMON_TRACE_SAMPLED;
	if (flags & 2)
		t.flags |= APPMON_TRACE_DEBUG;
	*ret = t;
	return true;
}

/* ---- SkyWalking ------------------------------------------------------------------------------ */

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int trace_base64(const char *s, size_t len, char *out)
{
	size_t n = 0;

	if (len % 4)
		return -1;
	for (size_t i = 0; i < len; i += 4) {
		int pad =
			i + 4 < len ? 0 : (s[i + 3] == '=') + (s[i + 2] == '=' && s[i + 3] == '=');
		uint32_t word = 0;

		for (int k = 0; k < 4; k++) {
			int digit = k < 4 - pad ? base64_digit(s[i + (size_t)k]) : 0;

			if (digit < 0)
				return -1;
			word = word << 6 | (uint32_t)digit;
		}
		for (int k = 0; k < 3 - pad; k++)
			out[n++] = (char)(word >> (16 - 8 * k));
	}
	return (int)n;
}

static bool is_base64(struct trace_value v)
{
	size_t len = v.len;

	if (len % 4)
		return false;
	for (int pad = 0; pad < 2 && len && v.data[len - 1] == '='; pad++)
		len--;
	for (size_t i = 0; i < len; i++)
		if (base64_digit(v.data[i]) < 0)
			return false;
	return true;
}

/* 32 digits, or a UUID with its dashes. */
static bool uuid_read(const char *s, size_t len, uint8_t id[16])
{
	char digits[32];
	size_t n = 0;

	if (len == 32)
		return hex_read(s, len, HEX_ANY, id, 16);
	if (len != 36)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash != (s[i] == '-'))
			return false;
		if (!dash)
			digits[n++] = s[i];
	}
	return hex_read(digits, n, HEX_ANY, id, 16);
}

#define SW8_PARTS 8
#define UUID_BASE64_MAX 48 /* of 36 bytes */

bool trace_parse_sw8(struct trace_value value, struct appmon_trace *ret, struct trace_value *id)
{
	struct appmon_trace t = {.format = APPMON_TRACE_SW8};
	struct trace_value part[SW8_PARTS], *span = &part[3];
	bool more = true;
	uint64_t index = 0;

	for (int i = 0; i < SW8_PARTS; i++) {
		if (!more)
			return false;
		part[i] = next_part(&value, "-", &more);
		if (i != 0 && i != 3 && (!part[i].len || !is_base64(part[i])))
			return false;
	}
	if (more || !span->len || span->len > 10)
		return false;
	for (size_t i = 0; i < span->len; i++) {
		if (span->data[i] < '0' || span->data[i] > '9')
			return false;
		index = index * 10 + (uint64_t)(span->data[i] - '0');
	}
	if (is_text(part[0], "1"))
		t.flags = APPMON_TRACE_SAMPLED;
	else if (!is_text(part[0], "0"))
		return false;
	for (int i = 0; i < 8; i++)
		t.span_id[i] = (uint8_t)(index >> (56 - 8 * i));
	if (part[1].len <= UUID_BASE64_MAX) {
		char text[UUID_BASE64_MAX / 4 * 3];
		int n = trace_base64(part[1].data, part[1].len, text);

		if (n < 0 || !uuid_read(text, (size_t)n, t.trace_id))
			memset(t.trace_id, 0, sizeof(t.trace_id));
	}
	*ret = t;
	*id = part[1];
	return true;
}

bool trace_parse(const struct trace_value value[TRACE_FIELDS], struct appmon_trace *ret,
		 struct trace_value *id)
{
	*id = (struct trace_value){0};
	return (value[TRACE_FIELD_TRACEPARENT].data &&
		trace_parse_w3c(value[TRACE_FIELD_TRACEPARENT], ret)) ||
	       (value[TRACE_FIELD_B3].data && trace_parse_b3(value[TRACE_FIELD_B3], ret)) ||
	       (value[TRACE_FIELD_B3_TRACE_ID].data && trace_parse_b3_multi(value, ret)) ||
	       (value[TRACE_FIELD_UBER_TRACE_ID].data &&
		trace_parse_jaeger(value[TRACE_FIELD_UBER_TRACE_ID], ret)) ||
	       (value[TRACE_FIELD_SW8].data && trace_parse_sw8(value[TRACE_FIELD_SW8], ret, id));
}

/* ---- Forwarded ------------------------------------------------------------------------------- */

static bool port_read(const char *s, size_t len, uint16_t *ret)
{
	uint32_t port = 0;

	if (!len || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (uint32_t)(s[i] - '0');
	}
	*ret = (uint16_t)port;
	return port > 0 && port <= UINT16_MAX;
}

/* RFC 7239 section 6: "[" IPv6 "]" ":" port, or IPv4 ":" port. */
static bool node_read(struct trace_value v, struct appmon_endpoint *ret)
{
	struct appmon_endpoint ep = {.family = 4};
	char text[INET6_ADDRSTRLEN];
	const char *addr = v.data, *colon = memrchr(v.data, ':', v.len);
	size_t len;

	if (!colon)
		return false;
	len = (size_t)(colon - addr);
	if (len > 2 && addr[0] == '[' && addr[len - 1] == ']') {
		ep.family = 6;
		addr++;
		len -= 2;
	}
	if (!len || len >= sizeof(text) ||
	    !port_read(colon + 1, v.len - (size_t)(colon + 1 - v.data), &ep.port))
		return false;
	memcpy(text, addr, len);
	text[len] = '\0';
	if (strlen(text) != len ||
	    inet_pton(ep.family == 4 ? AF_INET : AF_INET6, text, ep.addr) != 1)
		return false;
	*ret = ep;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One forwarded-pair. A backslash in a quoted string occurs in no address. */
static bool pair_read(struct trace_value pair, struct appmon_endpoint *ret)
{
	while (pair.len && is_blank(pair.data[0]))
		pair.data++, pair.len--;
	while (pair.len && is_blank(pair.data[pair.len - 1]))
		pair.len--;
	if (pair.len < 4 || strncasecmp(pair.data, "for=", 4) != 0)
		return false;
	pair.data += 4;
	pair.len -= 4;
	if (pair.len >= 2 && pair.data[0] == '"' && pair.data[pair.len - 1] == '"') {
		pair.data++;
		pair.len -= 2;
	}
	return node_read(pair, ret);
}

bool trace_parse_forwarded(struct trace_value value, struct appmon_endpoint *ret)
{
	bool quoted = false, more = true, found = false;
	size_t element = 0;

	/* Each proxy adds an element at the end. */
	for (size_t i = 0; i < value.len; i++) {
		quoted ^= value.data[i] == '"';
		if (value.data[i] == ',' && !quoted)
			element = i + 1;
	}
	value.data += element;
	value.len -= element;
	while (more && !found)
		found = pair_read(next_part(&value, ";", &more), ret);
	return found;
}

/* ---- A request's fields ---------------------------------------------------------------------- */

void trace_add(struct trace_fields *fields, enum trace_field field, struct trace_value value)
{
	if (!fields->count[field]++ || field == TRACE_FIELD_FORWARDED)
		fields->value[field] = value;
}

void trace_read(struct trace_fields *fields, struct trace *ret)
{
	struct trace_value *value = fields->value;

	memset(ret, 0, sizeof(*ret));
	/* Trace Context section 3.2: more than one is as good as none. */
	if (fields->count[TRACE_FIELD_TRACEPARENT] > 1)
		value[TRACE_FIELD_TRACEPARENT].data = NULL;
	if (trace_parse(value, &ret->ids, &ret->text))
		memcpy(ret->key, ret->ids.trace_id, sizeof(ret->key));
	if (ret->text.len && is_zero(ret->key, sizeof(ret->key))) {
		XXH128_hash_t hash = XXH3_128bits(ret->text.data, ret->text.len);

		memcpy(ret->key, &hash, sizeof(ret->key));
	}
	ret->request_id = value[TRACE_FIELD_REQUEST_ID];
	if (value[TRACE_FIELD_FORWARDED].data)
		trace_parse_forwarded(value[TRACE_FIELD_FORWARDED], &ret->forwarded);
}
