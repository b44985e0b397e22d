/* SPDX-License-Identifier: BSD-2-Clause */
#include <llhttp.h>

#include <stdint.h>

#include "parsers.h"

static struct span spans[256];
static uint32_t span_count;

static int on_span(llhttp_t *parser, const char *at, size_t len)
{
	(void)parser;
	spans[span_count++ & 255] = (struct span){at, len};
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

size_t llhttp_head(const struct message *m)
{
	static llhttp_settings_t settings;
	llhttp_t parser;

	span_count = 0;
	settings.on_url = settings.on_status = on_span;
	settings.on_header_field = settings.on_header_value = on_span;
	settings.on_headers_complete = on_headers_complete;
	llhttp_init(&parser, m->response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
	if (llhttp_execute(&parser, m->bytes, m->len) != HPE_PAUSED)
		return 0;
	return (size_t)(llhttp_get_error_pos(&parser) - m->bytes);
}
