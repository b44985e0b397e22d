/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "protocol/http1/http1-event.h"

struct head *head_keep(struct pipeline *pl, const struct http1_head *h, const char *bytes,
		       uint32_t len)
{
	size_t fields = offsetof(struct http1_head, field) + h->field_count * sizeof(h->field[0]);
	struct head *head =
		pool_alloc_evicting(&pl->pool, offsetof(struct head, h) + fields + h->head_len + 1);

	if (!head)
		return NULL;
	memcpy(&head->h, h, fields);
	head->len = len;
	head->bytes = (char *)&head->h + fields;
	memcpy(head->bytes, bytes, h->head_len);
	return head;
}

static struct appmon_str in_place(const struct head *head, struct http1_span span)
{
	struct appmon_str str = put_in_place(head->bytes + span.off, span.len);

	str.truncated = head->h.truncated && span.off + span.len == head->h.head_len;
	return str;
}

static struct appmon_str part(struct event_writer *w, const struct appmon_str *target,
			      struct http1_span span)
{
	return put_part(w, target, span.off, span.len);
}

/* ---- the request ----------------------------------------------------------------------------- */

/* Where the query begins, or the fragment that some clients send; len: neither is there. */
static size_t before_query(const char *target, size_t len)
{
	size_t n = 0;

	while (n < len && target[n] != '?' && target[n] != '#')
		n++;
	return n;
}

/* The method that tells the form of the target. CONNECT's is an authority, but not where a protocol
 * is named for what follows (RFC 8441). */
static uint32_t form_of(const struct head *head)
{
	bool is_path = head->h.target.len && head->bytes[head->h.target.off] == '/';

	return is_path ? APPMON_METHOD_GET : head->h.method;
}

/* A target without its secrets; 0: it has none, or the host wants them. */
static size_t redacted_size(const struct pipeline *pl, const struct head *head)
{
	if (pl->flags & APPMON_OPEN_KEEP_SECRETS)
		return 0;
	return redact_target(&pl->redact, head->bytes + head->h.target.off, head->h.target.len,
			     form_of(head), NULL);
}

static struct appmon_str put_target(struct event_writer *w, const struct head *head)
{
	struct http1_span span = head->h.target;
	const char *bytes = head->bytes + span.off;
	bool drop_query = w->pl->flags & APPMON_OPEN_DROP_QUERY;
	size_t len = head->redacted;
	struct appmon_str target;

	if (len) {
		redact_target(&w->pl->redact, bytes, span.len, form_of(head), w->at);
		target = put_written(w, drop_query ? before_query(w->at, len) : len);
	} else {
		if (drop_query)
			span.len = (uint32_t)before_query(bytes, span.len);
		target = in_place(head, span);
	}
	target.truncated = head->h.target_truncated && span.len == head->h.target.len;
	return target;
}

/* Without a user and password (RFC 9110 section 7.2 has none there, either). */
static struct appmon_str put_host(const struct head *head)
{
	struct http1_span host = head->h.host;
	const char *at = memrchr(head->bytes + host.off, '@', host.len);

	if (at) {
		uint32_t user = (uint32_t)(at + 1 - (head->bytes + host.off));

		host.off += user;
		host.len -= user;
	}
	return in_place(head, host);
}

static uint32_t operation_type(uint32_t method)
{
	switch (method) {
	case APPMON_METHOD_GET:
	case APPMON_METHOD_HEAD:
	case APPMON_METHOD_OPTIONS:
	case APPMON_METHOD_TRACE:
		return APPMON_OP_READ;
	case APPMON_METHOD_PUT:
	case APPMON_METHOD_DELETE:
	case APPMON_METHOD_PATCH:
		return APPMON_OP_WRITE;
	case APPMON_METHOD_POST:
		return APPMON_OP_CALL;
	case APPMON_METHOD_CONNECT:
		return APPMON_OP_SESSION;
	default:
		return method ? APPMON_OP_OTHER : APPMON_OP_UNKNOWN;
	}
}

static void put_request(struct event_writer *w, const struct head *head)
{
	struct appmon_event *ev = w->ev;
	struct http1_span path, query, authority;
	bool cut = head->h.target_truncated;
	bool mark = cut && memchr(head->bytes + head->h.target.off, '?', head->h.target.len);

	ev->method = head->h.method;
	ev->operation_type = operation_type(head->h.method);
	ev->operation = in_place(head, head->h.method_name);
	ev->request_target = put_target(w, head);
	http1_split_target(ev->request_target.data, ev->request_target.len, form_of(head), &path,
			   &query, &authority);
	ev->path = part(w, &ev->request_target, path);
	ev->path.truncated = cut && !mark;
	if (query.len) {
		ev->query = part(w, &ev->request_target, query);
		ev->query.truncated = cut && mark;
	}
	ev->authority = authority.len ? part(w, &ev->request_target, authority) : put_host(head);
	ev->resource = form_of(head) == APPMON_METHOD_CONNECT ? ev->authority : ev->path;
	ev->request_http_version = head->h.version;
	ev->request_head_bytes = head->len;
	ev->request_content_length = head->h.content_length;
}

void http1_trace_fields(const struct pipeline *pl, const struct head *head,
			struct trace_fields *fields)
{
	memset(fields, 0, sizeof(*fields));
	for (uint32_t i = 0; i < head->h.field_count; i++) {
		struct http1_span v = head->h.field[i].value;
		enum trace_field field = pl->trace_fields[head->h.field[i].keep];

		/* Cut off by the capture limit: not what was sent. */
		if (!field || (head->h.truncated && v.off + v.len == head->h.head_len))
			continue;
		trace_add(fields, field, (struct trace_value){head->bytes + v.off, v.len});
	}
}

static void put_trace(struct event_writer *w, const struct head *head)
{
	struct appmon_event *ev = w->ev;
	struct trace_fields fields;
	struct trace t;

	http1_trace_fields(w->pl, head, &fields);
	trace_read(&fields, &t);
	ev->trace = t.ids;
	if (t.request_id.len)
		ev->request_id = put_copy(w, t.request_id.data, t.request_id.len);
	if (t.text.len)
		ev->trace_text =
			put_written(w, (size_t)trace_base64(t.text.data, t.text.len, w->at));
}

/* ---- the response ---------------------------------------------------------------------------- */

/* A status that is none of the classes is as one of the last (RFC 9110 section 15). */
static uint32_t outcome(uint32_t status)
{
	if (status < 400)
		return APPMON_OUTCOME_OK;
	return status < 500 ? APPMON_OUTCOME_CLIENT_ERROR : APPMON_OUTCOME_SERVER_ERROR;
}

static void put_response(struct event_writer *w, const struct head *head)
{
	struct appmon_event *ev = w->ev;
	uint32_t status = head->h.status;
	const char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
			       (char)('0' + status % 10)};

	ev->outcome = outcome(status);
	ev->status = status;
	ev->status_number = status;
	ev->status_text = put_copy(w, digits, sizeof(digits));
	ev->message = in_place(head, head->h.reason);
	ev->response_http_version = head->h.version;
	ev->response_head_bytes = head->len;
	ev->response_content_length = head->h.content_length;
}

static void put_fields(struct event_writer *w, const struct head *head, uint32_t response)
{
	for (uint32_t i = 0; i < head->h.field_count; i++) {
		const struct http1_field *f = &head->h.field[i];

		put_header(w, f->keep, in_place(head, f->value), response);
	}
}

/* ---- both ------------------------------------------------------------------------------------ */

size_t http1_event_bytes(const struct pipeline *pl, const struct exchange *ex)
{
	struct head *request = ex->request;
	size_t bytes = 16; /* NULs of up to eight strings, and the status */

	if (!request)
		return bytes;
	request->redacted = (uint32_t)redacted_size(pl, request);
	/* Of a target the parts; of fields the request's and the trace's id; of what is redacted
	 * the whole and its parts. */
	return bytes + (size_t)request->h.head_len + request->h.target.len +
	       2 * (size_t)request->redacted;
}

void http1_event_fill(struct event_writer *w, const struct exchange *ex)
{
	struct appmon_event *ev = w->ev;

	ev->request_body_bytes = ev->request_bytes;
	ev->response_body_bytes = ev->response_bytes;
	if (ex->request)
		put_request(w, ex->request);
	if (ex->request && (w->pl->flags & APPMON_OPEN_TRACE))
		put_trace(w, ex->request);
	if (ex->response)
		put_response(w, ex->response);
	else if (ex->flags & APPMON_EVF_NO_STATUS_LINE)
		ev->outcome = APPMON_OUTCOME_OK;
	else
		ev->outcome = outcome_unanswered(ex);
	if (ex->request)
		put_fields(w, ex->request, 0);
	if (ex->response)
		put_fields(w, ex->response, 1);
	ev->request_bytes += ev->request_head_bytes;
	ev->response_bytes += ev->response_head_bytes;
}
