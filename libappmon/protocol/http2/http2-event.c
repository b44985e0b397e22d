/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2's part of an event: HTTP/1's, and what gRPC says beside. */
#include <string.h>

#include "protocol/http2/http2.h"

/* gRPC's status codes, by number, and what its semantic conventions take for the server's fault. */
static const struct {
	const char *name;
	uint32_t outcome;
} grpc_statuses[] = {
	{"OK", APPMON_OUTCOME_OK},
	{"CANCELLED", APPMON_OUTCOME_CANCELLED},
	{"UNKNOWN", APPMON_OUTCOME_SERVER_ERROR},
	{"INVALID_ARGUMENT", APPMON_OUTCOME_CLIENT_ERROR},
	{"DEADLINE_EXCEEDED", APPMON_OUTCOME_SERVER_ERROR},
	{"NOT_FOUND", APPMON_OUTCOME_CLIENT_ERROR},
	{"ALREADY_EXISTS", APPMON_OUTCOME_CLIENT_ERROR},
	{"PERMISSION_DENIED", APPMON_OUTCOME_CLIENT_ERROR},
	{"RESOURCE_EXHAUSTED", APPMON_OUTCOME_CLIENT_ERROR},
	{"FAILED_PRECONDITION", APPMON_OUTCOME_CLIENT_ERROR},
	{"ABORTED", APPMON_OUTCOME_CLIENT_ERROR},
	{"OUT_OF_RANGE", APPMON_OUTCOME_CLIENT_ERROR},
	{"UNIMPLEMENTED", APPMON_OUTCOME_SERVER_ERROR},
	{"INTERNAL", APPMON_OUTCOME_SERVER_ERROR},
	{"UNAVAILABLE", APPMON_OUTCOME_SERVER_ERROR},
	{"DATA_LOSS", APPMON_OUTCOME_SERVER_ERROR},
	{"UNAUTHENTICATED", APPMON_OUTCOME_CLIENT_ERROR},
};

#define GRPC_STATUSES (sizeof(grpc_statuses) / sizeof(grpc_statuses[0]))

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* grpc-message is percent-encoded; what is not well formed stays as it is. */
static struct appmon_str put_decoded(struct event_writer *w, const char *from, uint32_t len)
{
	char *to = w->at;

	for (uint32_t i = 0; i < len; i++) {
		int high = from[i] == '%' && len - i > 2 ? hex_digit(from[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(from[i + 2]) : -1;

		*to++ = low < 0 ? from[i] : (char)(high << 4 | low);
		i += low < 0 ? 0 : 2;
	}
	return put_written(w, (size_t)(to - w->at));
}

static int64_t items(const struct exchange *ex, bool response)
{
	const struct h2_messages *m = &h2_own(ex)->messages[response];
	uint64_t unseen = APPMON_EVF_GAP | (response ? 0 : APPMON_EVF_MID_MESSAGE);

	return m->lost || ex->flags & unseen ? -1 : (int64_t)m->count;
}

static void put_grpc(struct event_writer *w, const struct exchange *ex)
{
	const struct h2_stream *own = h2_own(ex);
	const struct head *response = ex->response;
	struct appmon_event *ev = w->ev;

	ev->system = (struct appmon_str){.data = "grpc", .len = 4};
	ev->operation_type = APPMON_OP_CALL;
	ev->request_items = items(ex, false);
	ev->response_items = items(ex, true);
	ev->resource = (struct appmon_str){.data = ""};
	if (ev->path.len && *ev->path.data == '/')
		ev->operation = put_part(w, &ev->path, 1, ev->path.len - 1);
	if (own->grpc_status < 0) {
		/* HTTP's 200 says nothing of the call. */
		if (ev->outcome != APPMON_OUTCOME_OK)
			return;
		ev->status_number = -1;
		ev->status_text = (struct appmon_str){.data = ""};
		ev->outcome = own->given_up_by == H2_SERVER ? APPMON_OUTCOME_SERVER_ERROR
							    : APPMON_OUTCOME_UNKNOWN;
		return;
	}
	ev->status_number = own->grpc_status;
	ev->status_text = (struct appmon_str){.data = ""};
	ev->outcome = APPMON_OUTCOME_SERVER_ERROR;
	if ((size_t)own->grpc_status < GRPC_STATUSES) {
		const char *name = grpc_statuses[own->grpc_status].name;

		ev->outcome = grpc_statuses[own->grpc_status].outcome;
		ev->status_text = (struct appmon_str){.data = name, .len = (uint32_t)strlen(name)};
	}
	if (response && own->message.len)
		ev->message = put_decoded(w, response->bytes + own->message.off, own->message.len);
}

size_t http2_event_bytes(const struct pipeline *pl, const struct exchange *ex)
{
	const struct head *request = ex->request;

	/* Beside HTTP/1's: gRPC's message and operation. */
	return http1_event_bytes(pl, ex) + h2_own(ex)->message.len + 1 +
	       (request ? request->h.target.len : 0) + 1;
}

void http2_fill(struct event_writer *w, const struct exchange *ex)
{
	const struct h2_stream *own = h2_own(ex);
	struct appmon_event *ev = w->ev;

	http1_event_fill(w, ex);
	ev->key = ex->message_id;
	if (ex->response && !ev->status) {
		/* An index from before. */
		ev->status_text = (struct appmon_str){.data = ""};
		ev->status_number = -1;
		ev->outcome = APPMON_OUTCOME_UNKNOWN;
	}
	if (own->grpc)
		put_grpc(w, ex);
	else if (own->end_unread && !own->other && ev->status == 200)
		ev->outcome = APPMON_OUTCOME_UNKNOWN; /* perhaps a call that has failed */
	if (own->given_up_by == H2_CLIENT)
		ev->outcome = APPMON_OUTCOME_CANCELLED;
}
