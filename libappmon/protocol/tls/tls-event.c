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

struct tls_asked *tls_keep(struct pipeline *pl, const struct conn *c, bool handshake)
{
	static const struct tls_told unknown;
	const struct tls_told *told = tls_of(c)->told ? tls_of(c)->told : &unknown;
	struct tls_asked *asked = pool_alloc_evicting(
		&pl->pool, sizeof(*asked) + told->name_len + told->offered_len + told->alpn_len);
	char *at;

	if (!asked)
		return NULL;
	asked->version = told->version;
	asked->cipher = told->cipher;
	asked->flags = told->flags;
	asked->handshake = handshake;
	asked->name_len = told->name_len;
	asked->offered_len = told->offered_len;
	asked->alpn_len = told->alpn_len;
	at = asked->bytes;
	memcpy(at, told->name, told->name_len);
	memcpy(at + told->name_len, told->offered, told->offered_len);
	memcpy(at + told->name_len + told->offered_len, told->alpn, told->alpn_len);
	return asked;
}

static size_t asked_bytes(const struct tls_asked *asked)
{
	return (size_t)asked->name_len + asked->offered_len + asked->alpn_len + 3;
}

size_t tls_event_bytes(const struct pipeline *pl, const struct exchange *ex)
{
	const struct tls_asked *asked = ex->request;

	(void)pl;
	return (asked ? asked_bytes(asked) : 0) + ALERT_NAME_MAX;
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

static void put_asked(struct event_writer *w, const struct tls_asked *asked)
{
	struct appmon_event *ev = w->ev;
	const char *at = asked->bytes;

	ev->tls_server_name = put_copy(w, at, asked->name_len);
	ev->tls_alpn_offered = put_copy(w, at + asked->name_len, asked->offered_len);
	ev->tls_alpn = put_copy(w, at + asked->name_len + asked->offered_len, asked->alpn_len);
	ev->tls_version = asked->version;
	ev->tls_cipher = asked->cipher;
	ev->tls_flags = asked->flags;
}

void *tls_carry(struct pipeline *pl, const struct conn *c)
{
	return tls_keep(pl, c, false);
}

size_t tls_carried_bytes(const struct exchange *ex)
{
	return asked_bytes(ex->carried);
}

void tls_fill_carried(struct event_writer *w, const struct exchange *ex)
{
	put_asked(w, ex->carried);
}

void tls_fill(struct event_writer *w, const struct exchange *ex)
{
	const struct tls_asked *asked = ex->request;
	const struct tls_answer *answer = ex->response;
	struct appmon_event *ev = w->ev;

	ev->system = (struct appmon_str){.data = "tls", .len = 3};
	ev->outcome = exchange_outcome(ex);
	if (!asked)
		return;
	ev->operation = (struct appmon_str){.data = "exchange", .len = 8};
	ev->operation_type = APPMON_OP_OTHER;
	put_asked(w, asked);
	ev->resource = ev->tls_server_name;
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
