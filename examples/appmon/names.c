/* SPDX-License-Identifier: BSD-2-Clause */
#include "names.h"

#include <stddef.h>
#include <string.h>

const struct bit_name flag_names[] = {
	{APPMON_EVF_NO_RESPONSE, "no_response", "no response"},
	{APPMON_EVF_RESET_BY_PEER, "reset_by_peer", "reset by peer"},
	{APPMON_EVF_RESET_BY_US, "reset_by_us", "reset by us"},
	{APPMON_EVF_TRUNCATED, "truncated", "head truncated"},
	{APPMON_EVF_MID_MESSAGE, "mid_message", "seen from the middle"},
	{APPMON_EVF_GAP, "gap", "gap"},
	{APPMON_EVF_UPGRADED, "upgraded", "upgraded"},
	{APPMON_EVF_KEEP_ALIVE, "keep_alive", "keep-alive"},
	{APPMON_EVF_PIPELINED, "pipelined", "pipelined"},
	{APPMON_EVF_CHUNKED_REQUEST, "chunked_request", "chunked request"},
	{APPMON_EVF_CHUNKED_RESPONSE, "chunked_response", "chunked response"},
	{APPMON_EVF_EARLY_RESPONSE, "early_response", "early response"},
	{APPMON_EVF_CONTINUED, "continued", "1xx before"},
	{APPMON_EVF_AMBIGUOUS, "ambiguous", "ambiguous framing"},
	{APPMON_EVF_INFERRED_END, "inferred_end", "end inferred"},
	{APPMON_EVF_MALFORMED, "malformed", "malformed head"},
	{APPMON_EVF_NO_STATUS_LINE, "no_status_line", "answer without a status line"},
	{APPMON_EVF_PARTIAL, "partial", "not all is known"},
	{APPMON_EVF_SERVER_BEGAN, "server_began", "begun by the server"},
	{APPMON_EVF_MULTI, "multi", "several statements"},
	{APPMON_EVF_REPLICATION, "replication", "replication"},
	{APPMON_EVF_COMPRESSED, "compressed", "compressed from here"},
	{APPMON_EVF_CALL_TIMES, "call_times", "times of the TLS library's calls"},
	{0, NULL, NULL},
};

const struct bit_name capability_names[] = {
	{APPMON_CAP_CAPTURE, "capture", "capture of HTTP exchanges at a cgroup's sockets"},
	{APPMON_CAP_SWEEP, "sweep", "the end of every long body is reported at once"},
	{APPMON_CAP_IDENTITY, "identity",
	 "who served or sent each request; queue and service time"},
	{APPMON_CAP_GOROUTINES, "goroutines", "what requests of Go programs are made for"},
	{APPMON_CAP_TLS, "tls", "requests inside of TLS, where its library is known"},
	{0, NULL, NULL},
};

const struct bit_name stats_flag_names[] = {
	{APPMON_STATS_REMOVED, "removed", "cgroup removed"},
	{0, NULL, NULL},
};

const struct bit_name trace_flag_names[] = {
	{APPMON_TRACE_SAMPLED, "sampled", "sampled"},
	{APPMON_TRACE_UNDECIDED, "undecided", "sampling undecided"},
	{APPMON_TRACE_DEBUG, "debug", "debug"},
	{0, NULL, NULL},
};

const char *role_name(uint32_t role)
{
	switch (role) {
	case APPMON_ROLE_SERVER:
		return "server";
	case APPMON_ROLE_CLIENT:
		return "client";
	default:
		return "unknown";
	}
}

const char *owner_name(uint32_t owner)
{
	switch (owner) {
	case APPMON_OWNER_READ:
		return "read";
	case APPMON_OWNER_READ_SHARED:
		return "read_shared";
	case APPMON_OWNER_SENT:
		return "sent";
	case APPMON_OWNER_CONNECTED:
		return "connected";
	default:
		return "unknown";
	}
}

const char *outcome_name(uint32_t outcome)
{
	static const char *const names[] = {"unknown", "ok",	    "client_error", "server_error",
					    "timeout", "cancelled", "no_response"};

	return outcome < sizeof(names) / sizeof(names[0]) ? names[outcome] : names[0];
}

const char *operation_type_name(uint32_t type)
{
	static const char *const names[] = {"unknown", "other",	  "read",    "write",
					    "call",    "publish", "receive", "session"};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : names[0];
}

bool outcome_is_error(uint32_t outcome, uint32_t role)
{
	if (outcome == APPMON_OUTCOME_CLIENT_ERROR)
		return role == APPMON_ROLE_CLIENT;
	return outcome > APPMON_OUTCOME_CLIENT_ERROR;
}

enum spoken spoken(const struct appmon_str *system)
{
	if (system->len == 0)
		return SPOKEN_HTTP;
	if (strcmp(system->data, "grpc") == 0)
		return SPOKEN_RPC;
	return strcmp(system->data, "tls") == 0 ? SPOKEN_TLS : SPOKEN_DATABASE;
}

bool is_http(uint32_t protocol)
{
	return protocol == APPMON_PROTO_UNKNOWN || protocol == APPMON_PROTO_HTTP1 ||
	       protocol == APPMON_PROTO_HTTP2;
}

const char *protocol_name(uint32_t protocol)
{
	const char *name = appmon_protocol_name(protocol);

	return name ? name : "unknown";
}
