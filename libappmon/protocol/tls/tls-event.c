/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS's part of an event. */
#include <stdio.h>

#include "protocol/tls/tls.h"

/* The registry of TLS Alerts, IANA, without those that no current version sends. */
static const struct {
	uint8_t number;
	const char *name;
} alerts[] = {
	{0, "close_notify"},
	{10, "unexpected_message"},
	{20, "bad_record_mac"},
	{22, "record_overflow"},
	{40, "handshake_failure"},
	{42, "bad_certificate"},
	{43, "unsupported_certificate"},
	{44, "certificate_revoked"},
	{45, "certificate_expired"},
	{46, "certificate_unknown"},
	{47, "illegal_parameter"},
	{48, "unknown_ca"},
	{49, "access_denied"},
	{50, "decode_error"},
	{51, "decrypt_error"},
	{70, "protocol_version"},
	{71, "insufficient_security"},
	{80, "internal_error"},
	{86, "inappropriate_fallback"},
	{90, "user_canceled"},
	{100, "no_renegotiation"},
	{109, "missing_extension"},
	{110, "unsupported_extension"},
	{112, "unrecognized_name"},
	{113, "bad_certificate_status_response"},
	{115, "unknown_psk_identity"},
	{116, "certificate_required"},
	{120, "no_application_protocol"},
	{121, "ech_required"},
};

static const char *alert_name(int alert)
{
	for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++)
		if (alerts[i].number == alert)
			return alerts[i].name;
	return "";
}

#define ALERT_NAME_MAX 40

size_t tls_event_bytes(const struct pipeline *pl, const struct exchange *ex)
{
	const struct tls_asked *asked = ex->request;

	(void)pl;
	return (asked ? (size_t)asked->name_len + asked->offered_len + asked->alpn_len : 0) + 3 +
	       ALERT_NAME_MAX;
}

/* Whoever ends the handshake does not like what the other has said. */
static uint32_t handshake_outcome(const struct exchange *ex)
{
	enum { INTERNAL_ERROR = 80, USER_CANCELED = 90 };
	const struct tls_answer *answer = ex->response;

	if (!answer || answer->alert == ALERT_NONE)
		return ex->end == APPMON_END_GAP ? APPMON_OUTCOME_UNKNOWN
						 : APPMON_OUTCOME_NO_RESPONSE;
	if (answer->by_client && (answer->alert == USER_CANCELED || !answer->alert))
		return APPMON_OUTCOME_CANCELLED;
	return answer->by_client || answer->alert == INTERNAL_ERROR ? APPMON_OUTCOME_SERVER_ERROR
								    : APPMON_OUTCOME_CLIENT_ERROR;
}

/* Whether what was sent last asked for an answer cannot be read: HTTP/2's client, too, says goodbye. */
static uint32_t exchange_outcome(const struct exchange *ex)
{
	return ex->response_begun || ex->end == APPMON_END_CLOSED ? APPMON_OUTCOME_UNKNOWN
								  : outcome_unanswered(ex);
}

void tls_fill(struct event_writer *w, const struct exchange *ex)
{
	const struct tls_asked *asked = ex->request;
	const struct tls_answer *answer = ex->response;
	struct appmon_event *ev = w->ev;
	const char *at;

	ev->system = (struct appmon_str){.data = "tls", .len = 3};
	ev->outcome = exchange_outcome(ex);
	if (!asked)
		return;
	ev->operation = (struct appmon_str){.data = "exchange", .len = 8};
	ev->operation_type = APPMON_OP_OTHER;
	at = asked->bytes;
	ev->tls_server_name = put_copy(w, at, asked->name_len);
	ev->resource = ev->tls_server_name;
	ev->tls_alpn_offered = put_copy(w, at + asked->name_len, asked->offered_len);
	ev->tls_alpn = put_copy(w, at + asked->name_len + asked->offered_len, asked->alpn_len);
	ev->tls_version = asked->version;
	ev->tls_cipher = asked->cipher;
	ev->tls_flags = asked->flags;
	if (!asked->handshake)
		return;
	ev->operation = (struct appmon_str){.data = "handshake", .len = 9};
	ev->operation_type = APPMON_OP_SESSION;
	ev->outcome = handshake_outcome(ex);
	if (answer && answer->alert >= 0) {
		ev->status_number = answer->alert;
		ev->status_text =
			put_copy(w, alert_name(answer->alert), strlen(alert_name(answer->alert)));
	}
}
