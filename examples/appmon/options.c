/* SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"

#include <string.h>

#include "text.h"
#include "protocols.h"

/* Keys without a short option. */
enum {
	KEY_STATUS = 0x100,
	KEY_SLOWER,
	KEY_PATH,
	KEY_ROLE,
	KEY_METHOD,
	KEY_JSON,
	KEY_COLOR,
	KEY_COUNT,
	KEY_DURATION,
	KEY_HEADER,
	KEY_NO_QUERY,
	KEY_REDACT,
	KEY_KEEP_SECRETS,
	KEY_QUERY_TEXT,
	KEY_NO_IDENTITY,
	KEY_TRACE,
	KEY_LINKS,
	KEY_GOROUTINES,
	KEY_TLS,
	KEY_REQUEST_ID,
	KEY_STREAM_HEADS,
	KEY_ONLY_REQUESTS,
	KEY_CAPTURE,
	KEY_RING,
	KEY_MEMORY,
	KEY_TIMEOUT,
	KEY_IDLE,
	KEY_RECORD,
	KEY_RECORD_MAX
};

static const struct argp_option argp_options[] = {
	{.doc = "Which requests are shown (all conditions must hold):", .group = 2},
	{"status", KEY_STATUS, "LIST", 0,
	 "Response status: 404, 5xx, none (no response came), or several with commas", 0},
	{"slower", KEY_SLOWER, "TIME", 0, "Took TIME or longer: 100ms, 1.5s (ns, us, ms, s)", 0},
	{"path", KEY_PATH, "PREFIX", 0, "The path begins with PREFIX", 0},
	{"role", KEY_ROLE, "ROLE", 0,
	 "server: requests that came in; client: requests that were sent", 0},
	{"method", KEY_METHOD, "LIST", 0, "Request method: GET, or several with commas", 0},

	{.doc = "Output:", .group = 3},
	{"json", KEY_JSON, NULL, 0, "One JSON object per line; the last one is the summary", 0},
	{"output", 'o', "FILE", 0, "Write to FILE instead of standard output", 0},
	{"quiet", 'q', NULL, 0, "Show the summary only", 0},
	{"color", KEY_COLOR, "WHEN", 0,
	 "auto (the default: on a terminal, unless NO_COLOR is set), always or never", 0},
	{"count", KEY_COUNT, "N", 0, "End after N requests were shown", 0},
	{"duration", KEY_DURATION, "SECS", 0, "End after this time", 0},
	{"verbose", 'v', NULL, 0,
	 "The library's log to standard error (default: warnings); twice: more of it", 0},

	{.doc = "Capture:", .group = 4},
	{"header", KEY_HEADER, "NAME", 0,
	 "Keep this header field too (with --json; repeatable). Kept anyway: content-type, "
	 "user-agent, x-request-id, traceparent, tracestate, x-forwarded-for",
	 0},
	{"no-query", KEY_NO_QUERY, NULL, 0, "Never keep the query part of a request target", 0},
	{"redact", KEY_REDACT, "NAME", 0,
	 "The value of this query parameter is a secret, too: shown as REDACTED, as are well-known "
	 "signatures, tokens and passwords (repeatable)",
	 0},
	{"keep-secrets", KEY_KEEP_SECRETS, NULL, 0, "Show request targets as sent, secrets too", 0},
	{"query-text", KEY_QUERY_TEXT, NULL, 0,
	 "SQL statements as sent, with their data, and errors in the server's words", 0},
	{"trace", KEY_TRACE, NULL, 0,
	 "Trace ids: traceparent, b3, x-b3-*, uber-trace-id, sw8, x-request-id", 0},
	{"links", KEY_LINKS, NULL, 0,
	 "What a request that was sent was made for: the one that the sender was serving (with "
	 "--trace)",
	 0},
	{"goroutines", KEY_GOROUTINES, NULL, 0,
	 "The same, and follow the goroutines of Go programs for it, by uprobes in them", 0},
	{"tls", KEY_TLS, NULL, 0, TLS_HELP, 0},
	{"request-id", KEY_REQUEST_ID, "NAME", 0,
	 "This header field carries request ids too (with --trace; up to 8)", 0},
	{"no-identity", KEY_NO_IDENTITY, NULL, 0,
	 "Do not look for the processes that serve and send, nor for queue and service time", 0},
	{"stream-heads", KEY_STREAM_HEADS, NULL, 0,
	 "Show a response without a declared length, such as an event stream, when it begins", 0},
	{"only-requests", KEY_ONLY_REQUESTS, NULL, 0,
	 "Leave out responses whose request was not seen", 0},
	{"capture", KEY_CAPTURE, "BYTES", 0,
	 "Most bytes of a message's head to capture, 128 to 64K (default 4K)", 0},
	{"ring", KEY_RING, "BYTES", 0,
	 "Size of the rings of records together: a power of two, 4K to 256M (default 8M)", 0},
	{"record", KEY_RECORD, "FILE", 0,
	 "Keep what the kernel says in FILE, for appmon replay and bug reports (it holds the "
	 "captured heads whole, credentials too)",
	 0},
	{"record-max", KEY_RECORD_MAX, "BYTES", 0,
	 "End the recording before FILE would have more (default: no bound)", 0},
	{"memory", KEY_MEMORY, "BYTES", 0,
	 "Most memory for the state of connections, from 64K (default 64M)", 0},
	{"timeout", KEY_TIMEOUT, "SECS", 0,
	 "Report an exchange that was silent for this long as ended (default 300)", 0},
	{"idle", KEY_IDLE, "SECS", 0,
	 "Forget a connection that had no exchange for this long; its next one is seen all the "
	 "same "
	 "(default 3600, at least 2)",
	 0},
	{0},
};

/* argp_error() ends the program. */
static uint32_t size_or_error(struct argp_state *state, const char *option, const char *arg)
{
	uint64_t bytes = 0;

	if (parse_size(arg, UINT32_MAX, &bytes) < 0)
		argp_error(state, "--%s: '%s' is no size such as 4096, 64K or 8M", option, arg);
	return (uint32_t)bytes;
}

static uint64_t duration_or_error(struct argp_state *state, const char *option, const char *arg,
				  uint64_t default_unit_ns)
{
	uint64_t ns = 0;

	if (parse_duration(arg, default_unit_ns, &ns) < 0)
		argp_error(state, "--%s: '%s' is no time such as 100ms or 1.5s", option, arg);
	return ns;
}

static uint32_t timeout_or_error(struct argp_state *state, const char *option, const char *arg)
{
	uint64_t ns = duration_or_error(state, option, arg, NSEC_PER_SEC);

	if (ns < NSEC_PER_MSEC || ns / NSEC_PER_MSEC >= UINT32_MAX)
		argp_error(state, "--%s: '%s' is not from 1ms to 49 days", option, arg);
	return (uint32_t)(ns / NSEC_PER_MSEC);
}

static void add_header(struct argp_state *state, struct options *options, const char *name)
{
	if (options->header_count == OPTIONS_MAX_HEADERS)
		argp_error(state, "--header: at most %d names", OPTIONS_MAX_HEADERS);
	if (*name == '\0')
		argp_error(state, "--header: the name is empty");
	options->headers[options->header_count++] = name;
}

void options_add_redact(struct argp_state *state, const char **names, uint32_t *count,
			const char *name)
{
	if (*count == OPTIONS_MAX_REDACT)
		argp_error(state, "--redact: at most %d names", OPTIONS_MAX_REDACT);
	names[(*count)++] = name;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->protocols;
		break;
	case KEY_STATUS:
		if (filter_add_status(&options->filter, arg) < 0)
			argp_error(state, "--status: '%s' is not like 5xx, 404 or 4xx,none", arg);
		break;
	case KEY_SLOWER:
		options->filter.slower_ns = duration_or_error(state, "slower", arg, 0);
		break;
	case KEY_PATH:
		options->filter.path = arg;
		break;
	case KEY_ROLE:
		if (strcmp(arg, "server") == 0)
			options->filter.role = APPMON_ROLE_SERVER;
		else if (strcmp(arg, "client") == 0)
			options->filter.role = APPMON_ROLE_CLIENT;
		else
			argp_error(state, "--role: '%s' is neither server nor client", arg);
		break;
	case KEY_METHOD:
		options->filter.methods = arg;
		break;
	case KEY_JSON:
		options->json = true;
		break;
	case 'o':
		options->output = arg;
		break;
	case 'q':
		options->quiet = true;
		break;
	case KEY_COLOR:
		if (strcmp(arg, "auto") == 0)
			options->color = COLOR_AUTO;
		else if (strcmp(arg, "always") == 0)
			options->color = COLOR_ALWAYS;
		else if (strcmp(arg, "never") == 0)
			options->color = COLOR_NEVER;
		else
			argp_error(state, "--color: '%s' is not auto, always or never", arg);
		break;
	case KEY_COUNT:
		if (parse_count(arg, UINT64_MAX, &options->count) < 0)
			argp_error(state, "--count: '%s' is no number above 0", arg);
		break;
	case KEY_DURATION:
		options->duration_ns = duration_or_error(state, "duration", arg, NSEC_PER_SEC);
		break;
	case 'v':
		options->log_level = options->log_level ? APPMON_LOG_DEBUG : APPMON_LOG_INFO;
		break;
	case KEY_HEADER:
		add_header(state, options, arg);
		break;
	case KEY_NO_QUERY:
		options->flags |= APPMON_OPEN_DROP_QUERY;
		break;
	case KEY_REDACT:
		options_add_redact(state, options->redact, &options->redact_count, arg);
		break;
	case KEY_KEEP_SECRETS:
		options->flags |= APPMON_OPEN_KEEP_SECRETS;
		break;
	case KEY_QUERY_TEXT:
		options->flags |= APPMON_OPEN_QUERY_TEXT;
		break;
	case KEY_TRACE:
		options->flags |= APPMON_OPEN_TRACE;
		break;
	case KEY_LINKS:
		options->flags |= APPMON_OPEN_LINKS;
		break;
	case KEY_GOROUTINES:
		options->flags |= APPMON_OPEN_LINKS | APPMON_OPEN_GOROUTINES;
		break;
	case KEY_TLS:
		options->flags |= APPMON_OPEN_TLS;
		break;
	case KEY_REQUEST_ID:
		if (options->request_id_count == OPTIONS_MAX_REQUEST_IDS)
			argp_error(state, "--request-id: at most %d names",
				   OPTIONS_MAX_REQUEST_IDS);
		options->request_ids[options->request_id_count++] = arg;
		break;
	case KEY_NO_IDENTITY:
		options->no_identity = true;
		break;
	case KEY_ONLY_REQUESTS:
		options->flags |= APPMON_OPEN_ONLY_REQUESTS;
		break;
	case KEY_STREAM_HEADS:
		options->flags |= APPMON_OPEN_STREAM_HEADS;
		break;
	case KEY_CAPTURE:
		options->capture_bytes = size_or_error(state, "capture", arg);
		break;
	case KEY_RING:
		options->ring_bytes = size_or_error(state, "ring", arg);
		break;
	case KEY_MEMORY:
		if (parse_size(arg, UINT64_MAX, &options->memory_limit) < 0)
			argp_error(state, "--memory: '%s' is no size such as 64K or 8M", arg);
		break;
	case KEY_RECORD_MAX:
		if (parse_size(arg, UINT64_MAX, &options->record_max) < 0 || !options->record_max)
			argp_error(state, "--record-max: '%s' is no size such as 64K or 8M", arg);
		break;
	case KEY_RECORD:
		options->record = arg;
		break;
	case KEY_TIMEOUT:
		options->exchange_timeout_ms = timeout_or_error(state, "timeout", arg);
		break;
	case KEY_IDLE:
		options->idle_timeout_ms = timeout_or_error(state, "idle", arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {{.argp = &protocols_argp}, {0}};

const struct argp options_argp = {.options = argp_options, .parser = parse, .children = children};
