/* SPDX-License-Identifier: BSD-2-Clause */
/* The aggregator: from an event to the series and the edge that count it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "metrics/aggregate.h"
#include "exchange/trace.h"

#define DEFAULT_SERIES 8192
#define DEFAULT_IDLE_MS 600000
#define DEFAULT_MEMORY (UINT64_C(64) << 20)

#define ALL_DIMENSIONS (APPMON_DIM_DEFAULT | APPMON_DIM_PID | APPMON_DIM_CLIENT | APPMON_DIM_NONE)
#define ALL_FLAGS                                                                                  \
	(APPMON_METRICS_RAW_ROUTES | APPMON_METRICS_NO_JOIN | APPMON_METRICS_ACTIVE |              \
	 APPMON_METRICS_SERVICE)
#define SERVER_ERRORS                                                                              \
	(APPMON_ERROR_SERVER | APPMON_ERROR_TIMEOUT | APPMON_ERROR_CANCELLED |                     \
	 APPMON_ERROR_NO_RESPONSE)
#define CLIENT_ERRORS (SERVER_ERRORS | APPMON_ERROR_CLIENT)
#define ALL_ERRORS (CLIENT_ERRORS | APPMON_ERROR_NEVER)

#define IS_ERROR(name) _Static_assert(APPMON_ERROR_##name == 1 << APPMON_OUTCOME_##name, #name)
_Static_assert(APPMON_ERROR_CLIENT == 1 << APPMON_OUTCOME_CLIENT_ERROR, "client errors");
_Static_assert(APPMON_ERROR_SERVER == 1 << APPMON_OUTCOME_SERVER_ERROR, "server errors");
IS_ERROR(TIMEOUT);
IS_ERROR(CANCELLED);
IS_ERROR(NO_RESPONSE);

/*
 * How much of the memory limit comes to one row of the tables that are allocated whole. They take
 * a tenth of it, at most a sixth, as some round up to a power of two. The default limit gives 1024
 * edges, 16384 segments and 8192 connections. A limit that means "any" gives what 1 GiB does.
 */
#define BYTES_PER_EDGE (64 << 10)
#define BYTES_PER_SEGMENT (4 << 10)
#define BYTES_PER_CONNECTION (8 << 10)
#define TABLES_LIMIT (UINT64_C(1) << 30)

/* Fixed words of an API have fewer siblings than this; what has more is a parameter. */
#define CHILDREN_MAX 64
/* How long an event waits for the one of its other end. The two end a round trip apart; the rest is
 * for hosts that poll seldom or have several handles. */
#define JOIN_NS (500 * NSEC_PER_MSEC)

/* How often a full table is looked through for idle series. */
#define ROOM_EVERY_NS NSEC_PER_SEC
/* An exemplar is looked for again after this time. */
#define EXEMPLAR_NS NSEC_PER_SEC

/* ---- open ------------------------------------------------------------------------------------ */

static bool fill(uint32_t *value, uint32_t otherwise, uint32_t min, uint32_t max)
{
	if (!*value)
		*value = otherwise;
	return *value >= min && *value <= max;
}

static int take_opts(struct appmon_metrics_opts *o)
{
	if (!o->memory_limit)
		o->memory_limit = DEFAULT_MEMORY;
	if (!o->dimensions)
		o->dimensions = APPMON_DIM_DEFAULT;
	if (!o->server_errors)
		o->server_errors = SERVER_ERRORS;
	if (!o->client_errors)
		o->client_errors = CLIENT_ERRORS;
	if (o->flags & ~ALL_FLAGS || o->dimensions & ~ALL_DIMENSIONS ||
	    (o->server_errors | o->client_errors) & ~ALL_ERRORS ||
	    !fill(&o->max_series, DEFAULT_SERIES, 16, 1000000) ||
	    !fill(&o->idle_ms, DEFAULT_IDLE_MS, 1, UINT32_MAX) || o->memory_limit < 1 << 20)
		return -EINVAL;
	return 0;
}

static uint32_t rows_for(const struct appmon_metrics *m, uint32_t bytes_per_row)
{
	uint64_t limit = m->opts.memory_limit;

	return (uint32_t)((limit < TABLES_LIMIT ? limit : TABLES_LIMIT) / bytes_per_row);
}

/* How many times have a histogram. */
static unsigned times_of(const struct appmon_metrics *m)
{
	return m->opts.flags & APPMON_METRICS_SERVICE ? TIMES : APPMON_TIME_DURATION + 1;
}

static int init_other(struct appmon_metrics *m, struct table *t, struct series **ret,
		      const void *key, size_t len)
{
	int err = 0;

	*ret = table_get(t, key, len, UINT32_MAX, 0, false);
	if (!*ret)
		return -ENOMEM;
	for (unsigned i = 0; i < times_of(m) && !err; i++)
		err = histogram_reserve_all(&(*ret)->figures.times[i], t->pool);
	return err;
}

static int init_tables(struct appmon_metrics *m)
{
	struct series_key series = {.flags = APPMON_SERIES_OTHER};
	struct edge_key edge = {.flags = APPMON_SERIES_OTHER};
	/* No more than there are series, and far fewer where these have routes and statuses. */
	uint32_t rows = m->opts.flags & APPMON_METRICS_ACTIVE ? m->opts.max_series / 4 : 0;
	int err = table_init(&m->series, &m->pool, m->opts.max_series);

	m->max_edges = rows_for(m, BYTES_PER_EDGE);
	if (!err)
		err = table_init(&m->edges, &m->pool, m->max_edges);
	for (uint16_t role = 0; role <= APPMON_ROLE_CLIENT && !err; role++) {
		series.role = role;
		err = init_other(m, &m->series, &m->other[role], &series,
				 KEY_BYTES(&series, TEXTS));
	}
	if (!err && rows)
		err = table_init(&m->active, &m->pool, rows);
	for (uint16_t role = 0; rows && role <= APPMON_ROLE_CLIENT && !err; role++) {
		series.role = role;
		m->other_active[role] = table_get(&m->active, &series, KEY_BYTES(&series, TEXTS),
						  UINT32_MAX, 0, false);
		if (!m->other_active[role])
			err = -ENOMEM;
	}
	if (!err)
		err = init_other(m, &m->edges, &m->other_edge, &edge, KEY_BYTES(&edge, 2));
	return err;
}

static int init_join(struct appmon_metrics *m)
{
	uint32_t connections = rows_for(m, BYTES_PER_CONNECTION), size = connections / 4;
	int err;

	if (m->opts.flags & APPMON_METRICS_NO_JOIN)
		return 0;
	if (!pool_charge(&m->pool, connections_bytes(connections)) ||
	    !pool_charge(&m->pool, size * sizeof(*m->waiting)))
		return -ENOMEM;
	err = connections_init(&m->connections, connections);
	if (err)
		return err;
	m->waiting = calloc(size, sizeof(*m->waiting));
	m->queue_size = size;
	m->head_number = 1;
	return m->waiting ? 0 : -ENOMEM;
}

static int init_routes(struct appmon_metrics *m)
{
	uint32_t segments = rows_for(m, BYTES_PER_SEGMENT);

	if (m->opts.flags & APPMON_METRICS_RAW_ROUTES)
		return 0;
	if (!pool_charge(&m->pool, sizeof(*m->routes)))
		return -ENOMEM;
	m->routes = calloc(1, sizeof(*m->routes));
	if (!m->routes)
		return -ENOMEM;
	if (!pool_charge(&m->pool, learner_bytes(segments)))
		return -ENOMEM;
	return learner_init(&m->learner, segments, CHILDREN_MAX);
}

int appmon_metrics_open(struct appmon_metrics **ret, const struct appmon_metrics_opts *user_opts)
{
	struct appmon_metrics *m;
	int err;

	if (!ret)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	err = user_opts ? opts_read(&m->opts, sizeof(m->opts), user_opts) : 0;
	if (!err)
		err = take_opts(&m->opts);
	m->pool.limit = m->opts.memory_limit;
	m->origin = now_ns() ^ (uintptr_t)m << 16;
	if (!err)
		err = init_tables(m);
	if (!err)
		err = init_join(m);
	if (!err)
		err = init_routes(m);
	if (err) {
		appmon_metrics_close(m);
		return err;
	}
	*ret = m;
	return 0;
}

void appmon_metrics_close(struct appmon_metrics *m)
{
	if (!m)
		return;
	table_destroy(&m->series);
	table_destroy(&m->edges);
	table_destroy(&m->active);
	learner_destroy(&m->learner);
	free(m->routes);
	free(m->connections);
	free(m->waiting);
	pool_destroy(&m->pool);
	free(m);
}

/* ---- the figures ----------------------------------------------------------------------------- */

static bool parse_traceparent(const struct appmon_event *ev, struct exemplar *ret)
{
	const struct appmon_str *v = appmon_event_header(ev, "traceparent", 0);
	struct appmon_trace t;

	if (!v || !trace_parse_w3c((struct trace_value){v->data, v->len}, &t))
		return false;
	memcpy(ret->trace_id, t.trace_id, sizeof(ret->trace_id));
	memcpy(ret->span_id, t.span_id, sizeof(ret->span_id));
	return true;
}

static void offer_exemplar(struct exemplar *e, const struct sample *s)
{
	if (s->duration_ns <= e->longer_ns && s->end_ns < e->later_ns)
		return;
	e->longer_ns = s->duration_ns;
	e->later_ns = s->end_ns + EXEMPLAR_NS;
	if (s->event) {
		if (!parse_traceparent(s->event, e))
			return;
	} else if (s->exemplar.end_ns) {
		memcpy(e->trace_id, s->exemplar.trace_id, sizeof(e->trace_id));
		memcpy(e->span_id, s->exemplar.span_id, sizeof(e->span_id));
	} else {
		return;
	}
	e->end_ns = s->end_ns;
	e->duration_ns = s->duration_ns;
}

static uint64_t sample_time(const struct sample *s, unsigned time)
{
	switch (time) {
	case APPMON_TIME_QUEUE:
		return s->queue_ns;
	case APPMON_TIME_SERVICE:
		return s->service_ns;
	default:
		return s->duration_ns;
	}
}

static bool has_time(const struct sample *s, unsigned time)
{
	return s->times & 1u << time;
}

static bool has_room(const struct series *series, const struct sample *s)
{
	for (unsigned i = 0; i < TIMES; i++)
		if (has_time(s, i) &&
		    !histogram_has_room(&series->figures.times[i], sample_time(s, i)))
			return false;
	return true;
}

/* False: there is no memory. */
static bool reserve(struct series *series, struct pool *pool, const struct sample *s)
{
	for (unsigned i = 0; i < TIMES; i++)
		if (has_time(s, i) &&
		    histogram_reserve(&series->figures.times[i], pool, sample_time(s, i)))
			return false;
	return true;
}

static void count(struct series *series, const struct sample *s)
{
	struct figures *f = &series->figures;

	if (!f->requests)
		f->first_ns = s->end_ns;
	f->requests++;
	f->errors += s->error;
	f->request_bytes += s->request_bytes;
	f->response_bytes += s->response_bytes;
	f->request_sum += s->request_ns;
	f->wait_count += s->wait_ns != 0;
	f->wait_sum += s->wait_ns;
	f->response_sum += s->response_ns;
	f->service_count += s->read_ns != 0;
	f->queue_sum += s->queue_ns;
	f->service_sum += s->service_ns;
	f->retransmits += s->retransmits;
	if (s->end_ns > f->last_ns)
		f->last_ns = s->end_ns;
	for (unsigned i = 0; i < TIMES; i++)
		if (has_time(s, i))
			histogram_record(&f->times[i], sample_time(s, i), 1);
	offer_exemplar(&series->exemplar, s);
}

/* ---- the series and the edge ----------------------------------------------------------------- */

static void put_text(char *text, size_t *len, const char *s, size_t n)
{
	memcpy(text + *len, s, n);
	text[*len + n] = '\0';
	*len += n + 1;
}

static void put_empty(char *text, size_t *len, unsigned count)
{
	memset(text + *len, 0, count);
	*len += count;
}

/* Keys are compared as bytes: what is not known has none. */
static struct appmon_endpoint endpoint(const struct sample *s, int side, bool port)
{
	struct appmon_endpoint ep = {.family = (uint16_t)s->tuple.family};

	if (!ep.family)
		return ep;
	memcpy(ep.addr, s->tuple.addr[side], sizeof(ep.addr));
	ep.port = port ? s->tuple.port[side] : 0;
	return ep;
}

/* The series of a key, if it has room for this sample. */
static struct series *series_with_room(struct table *t, const void *key, size_t len, uint32_t limit,
				       uint64_t app, bool fair, const struct sample *s)
{
	struct series *series = table_get(t, key, len, limit, app, fair);

	return series && (has_room(series, s) || reserve(series, t->pool, s)) ? series : NULL;
}

void metrics_expire(struct appmon_metrics *m, uint64_t now_ns)
{
	uint64_t idle_ns = m->opts.idle_ms * NSEC_PER_MSEC, requests;

	if (m->opts.idle_ms == UINT32_MAX || now_ns < idle_ns)
		return;
	m->stats.expired_series += table_expire(&m->series, now_ns - idle_ns, &requests);
	m->stats.expired_events += requests;
	m->stats.expired_edges += table_expire(&m->edges, now_ns - idle_ns, &requests);
	if (m->active.slot)
		table_expire(&m->active, now_ns - idle_ns, &requests);
}

static uint64_t app_of(const struct series_key *key)
{
	return XXH3_64bits(key->text, key->len[TEXT_APP]) | 1;
}

/* Whether idle series were looked for just now. */
static bool make_room(struct appmon_metrics *m)
{
	if (m->clock_ns - m->room_ns < ROOM_EVERY_NS)
		return false;
	m->room_ns = m->clock_ns;
	metrics_expire(m, m->clock_ns);
	return true;
}

/* The series of a key; the idle make room for it. */
static struct series *find_room(struct appmon_metrics *m, struct table *t, const void *key,
				size_t len, uint32_t limit, const struct sample *s)
{
	uint64_t app = app_of(&s->key);
	struct series *series = series_with_room(t, key, len, limit, app, true, s);

	if (!series && make_room(m))
		series = series_with_room(t, key, len, limit, app, true, s);
	return series;
}

/* The last sixteenth of the table is for these. */
static struct series *other_series(struct appmon_metrics *m, const struct sample *s)
{
	struct series_key key = {.flags = APPMON_SERIES_OTHER, .role = s->key.role};
	struct series *series;
	size_t len = 0;

	key.len[TEXT_APP] = s->key.len[TEXT_APP];
	put_text(key.text, &len, s->key.text, key.len[TEXT_APP]);
	put_empty(key.text, &len, TEXTS - 1);
	m->stats.other_events++;
	series = series_with_room(&m->series, &key, KEY_BYTES(&key, len), m->opts.max_series,
				  app_of(&key), false, s);
	return series ? series : m->other[s->key.role];
}

/* Completes the sample's key: the peer comes last. */
static struct series *series_of(struct appmon_metrics *m, struct sample *s, const struct end *peer)
{
	uint32_t limit = m->opts.max_series - m->opts.max_series / 16;
	struct series_key *key = &s->key;
	struct series *series;
	size_t len = SAMPLE_TEXT(s);

	if (!(m->opts.dimensions & APPMON_DIM_PEER))
		peer = NULL;
	key->len[TEXT_PEER_APP] = peer ? peer->app_len : 0;
	put_text(key->text, &len, peer ? peer->app : "", key->len[TEXT_PEER_APP]);
	if (m->opts.dimensions & APPMON_DIM_PEER && !peer && s->side == CLIENT)
		key->peer = endpoint(s, SERVER, true);
	else if (m->opts.dimensions & APPMON_DIM_CLIENT && !peer && s->side == SERVER)
		key->peer = endpoint(s, CLIENT, false);
	series = find_room(m, &m->series, key, KEY_BYTES(key, len), limit, s);
	return series ? series : other_series(m, s);
}

static struct series *edge_of(struct appmon_metrics *m, const struct sample *s,
			      const struct end *peer)
{
	struct edge_key key;
	struct series *edge;
	size_t len = 0;

	memset(&key, 0, KEY_BYTES(&key, 0));
	key.protocol = s->key.protocol;
	if (s->side == CLIENT) {
		key.client_app_len = s->key.len[TEXT_APP];
		key.server_app_len = peer ? peer->app_len : 0;
		put_text(key.text, &len, s->key.text, key.client_app_len);
		put_text(key.text, &len, peer ? peer->app : "", key.server_app_len);
		if (!peer)
			key.server = endpoint(s, SERVER, true);
	} else {
		key.server_app_len = s->key.len[TEXT_APP];
		put_text(key.text, &len, "", 0);
		put_text(key.text, &len, s->key.text, key.server_app_len);
		if (m->opts.dimensions & APPMON_DIM_CLIENT)
			key.client = endpoint(s, CLIENT, false);
	}
	edge = find_room(m, &m->edges, &key, KEY_BYTES(&key, len), m->max_edges, s);
	if (!edge)
		m->stats.other_exchanges++;
	return edge ? edge : m->other_edge;
}

/* Where both ends are seen, the edge counts what the client saw. */
static void count_edge(struct appmon_metrics *m, const struct sample *s, struct connection *c)
{
	struct end *mine = c ? &c->end[s->side] : NULL;
	struct series *edge;

	if (s->key.role == APPMON_ROLE_UNKNOWN || (c && c->joined && s->side == SERVER))
		return;
	/* Most of the time it is that of the connection's last event. */
	if (mine && mine->edge && mine->edge_expiries == m->edges.expiries &&
	    has_room(mine->edge, s)) {
		count(mine->edge, s);
		return;
	}
	edge = edge_of(m, s, c && c->joined ? &c->end[!s->side] : NULL);
	count(edge, s);
	if (mine && edge != m->other_edge) {
		mine->edge = edge;
		mine->edge_expiries = m->edges.expiries;
	}
}

/* c: the connection if it is known. */
static void count_sample(struct appmon_metrics *m, struct sample *s, struct connection *c)
{
	count(series_of(m, s, c && c->joined ? &c->end[!s->side] : NULL), s);
	count_edge(m, s, c);
}

/* ---- waiting for the other end --------------------------------------------------------------- */

static void settle_one(struct appmon_metrics *m, struct sample *s, uint64_t now_ns, bool all)
{
	bool last = all || (int64_t)(now_ns - s->since_ns) >= (int64_t)JOIN_NS;
	struct connection *c;

	if (s->counted)
		return;
	c = connection_find(m->connections, s);
	if (c && !c->joined && !last && !c->end[s->side].alone)
		return;
	if (c && !c->joined)
		c->end[s->side].alone = 1;
	count_sample(m, s, c);
	s->counted = 1;
	m->stats.waiting--;
}

/* Takes out those at the head that are counted. */
static void settle_head(struct appmon_metrics *m, uint64_t now_ns)
{
	while (m->queued) {
		struct sample *s = &m->waiting[m->head];

		settle_one(m, s, now_ns, false);
		if (!s->counted)
			return;
		m->head = (m->head + 1) % m->queue_size;
		m->head_number++;
		m->queued--;
	}
}

void metrics_settle(struct appmon_metrics *m, uint64_t now_ns, bool all)
{
	for (uint32_t i = 0; i < m->queued; i++)
		settle_one(m, &m->waiting[(m->head + i) % m->queue_size], now_ns, all);
	settle_head(m, now_ns);
}

/* The one with this number, if it is in the queue still. */
static void settle_number(struct appmon_metrics *m, uint64_t number)
{
	uint64_t i = number - m->head_number;

	if (number >= m->head_number && i < m->queued)
		settle_one(m, &m->waiting[(m->head + i) % m->queue_size], m->clock_ns, false);
}

static void wait_for_peer(struct appmon_metrics *m, const struct sample *s, struct end *end)
{
	struct sample *w;

	if (m->queued == m->queue_size) {
		m->stats.unwaited++;
		settle_one(m, &m->waiting[m->head], 0, true);
		settle_head(m, m->clock_ns);
	}
	end->waiting = m->head_number + m->queued;
	w = &m->waiting[(m->head + m->queued++) % m->queue_size];
	memcpy(w, s, offsetof(struct sample, key) + KEY_BYTES(&s->key, SAMPLE_TEXT(s)));
	w->event = NULL;
	w->since_ns = m->clock_ns;
	w->exemplar.end_ns = parse_traceparent(s->event, &w->exemplar);
	m->stats.waiting++;
}

/* ---- from an event to a sample --------------------------------------------------------------- */

static bool is_error(const struct appmon_metrics *m, const struct appmon_event *ev)
{
	uint32_t errors =
		ev->role == APPMON_ROLE_CLIENT ? m->opts.client_errors : m->opts.server_errors;
	int verdict = m->opts.error_fn ? m->opts.error_fn(m->opts.error_ctx, ev) : -1;

	if (verdict >= 0)
		return verdict > 0;
	return ev->outcome < 31 && errors >> ev->outcome & 1;
}

/* A request that went well shows that its path exists. */
static bool teaches(const struct appmon_event *ev)
{
	return ev->outcome == APPMON_OUTCOME_OK || ev->outcome == APPMON_OUTCOME_SERVER_ERROR;
}

static size_t copy(char *buf, const struct appmon_str *from, size_t max)
{
	size_t n = from->len < max ? from->len : max;

	if (n)
		memcpy(buf, from->data, n);
	return n;
}

/* What was asked where that is not a method of HTTP. A command is known to exist by its kind, or by
 * a server that took it. */
static size_t operation(const struct appmon_event *ev, char buf[ROUTE_MAX])
{
	static const struct appmon_str other = {.data = "_OTHER", .len = 6};
	size_t n;

	if (ev->protocol != APPMON_PROTO_RESP)
		return copy(buf, &ev->operation, ROUTE_MAX);
	if (ev->operation_type == APPMON_OP_OTHER && ev->outcome != APPMON_OUTCOME_OK)
		return copy(buf, &other, ROUTE_MAX);
	n = copy(buf, &ev->operation, ROUTE_MAX);
	for (size_t i = 0; i < n; i++)
		if (buf[i] >= 'a' && buf[i] <= 'z')
			buf[i] -= 'a' - 'A';
	return n;
}

static size_t route(struct appmon_metrics *m, const struct appmon_event *ev, uint64_t seed,
		    char buf[ROUTE_MAX])
{
	struct learner *l = m->learner.place ? &m->learner : NULL;

	if (m->opts.route_fn) {
		int n = m->opts.route_fn(m->opts.route_ctx, ev, buf, ROUTE_MAX);

		if (n >= 0)
			return n < ROUTE_MAX ? (size_t)n : ROUTE_MAX;
	}
	/* Of a statement what it does to which tables. */
	if (ev->query_summary.len)
		return copy(buf, &ev->query_summary, ROUTE_MAX);
	if (ev->system.len)
		return operation(ev, buf);
	if (m->opts.flags & APPMON_METRICS_RAW_ROUTES)
		return copy(buf, &ev->path, ROUTE_MAX);
	if (ev->path.truncated)
		return route_of(l, seed, ev->path.data, ev->path.len, teaches(ev), true, buf,
				ROUTE_MAX);
	return route_cached(m->routes, l, seed, ev->path.data, ev->path.len, teaches(ev), buf);
}

/* A method that could not be read is one that is not known: outside both are "_OTHER". */
static uint16_t method_of(const struct appmon_event *ev)
{
	return (uint16_t)(ev->method ? ev->method : APPMON_METHOD_OTHER);
}

static uint64_t instance_of(const struct appmon_metrics *m, const struct appmon_event *ev)
{
	return m->opts.instance_fn ? m->opts.instance_fn(m->opts.instance_ctx, ev) : ev->cgroup_id;
}

/* False: it is a response whose request was not seen. */
static bool has_request(const struct appmon_event *ev)
{
	return ev->request_start_ns || ev->operation.len;
}

/* What is known of an exchange from its begin. Returns the length of the text so far. */
static size_t begin_key(struct appmon_metrics *m, const struct appmon_event *ev,
			struct series_key *key)
{
	uint32_t by = m->opts.dimensions;
	size_t app_len = ev->target_name.len < APP_MAX ? ev->target_name.len : APP_MAX;
	size_t len = 0;

	memset(key, 0, KEY_BYTES(key, 0));
	key->role = (uint16_t)(ev->role <= APPMON_ROLE_CLIENT ? ev->role : APPMON_ROLE_UNKNOWN);
	key->protocol = (uint16_t)ev->protocol;
	if (by & APPMON_DIM_METHOD)
		key->method = method_of(ev);
	if (by & APPMON_DIM_INSTANCE)
		key->cgroup_id = instance_of(m, ev);
	put_text(key->text, &len, ev->target_name.data, app_len);
	key->len[TEXT_APP] = (uint16_t)app_len;
	return len;
}

/* n bytes of this text have been written to where the key's text ends. */
static void end_text(struct series_key *key, unsigned which, size_t *len, size_t n)
{
	key->len[which] = (uint16_t)n;
	*len += n;
	key->text[(*len)++] = '\0';
}

static void make_key(struct appmon_metrics *m, const struct appmon_event *ev,
		     struct series_key *key)
{
	uint32_t by = m->opts.dimensions;
	bool sql = ev->protocol == APPMON_PROTO_POSTGRESQL || ev->protocol == APPMON_PROTO_MYSQL;
	bool by_method = by & APPMON_DIM_METHOD && ev->system.len, by_route = by & APPMON_DIM_ROUTE;
	char *text = key->text;
	size_t len = begin_key(m, ev, key), app_len = key->len[TEXT_APP];

	key->outcome = (uint16_t)ev->outcome;
	copy(key->system, &ev->system, SYSTEM_MAX);
	if (by & APPMON_DIM_STATUS) {
		key->status = (uint16_t)ev->status;
		copy(key->status_text, &ev->status_text, STATUS_TEXT_MAX);
	}
	if (by & APPMON_DIM_PID)
		key->pid = ev->pid;
	end_text(key, TEXT_ROUTE, &len,
		 by_route ? route(m, ev, XXH3_64bits_withSeed(text, app_len, ev->role), text + len)
			  : 0);
	end_text(key, TEXT_OPERATION, &len, by_method ? operation(ev, text + len) : 0);
	end_text(key, TEXT_RESOURCE, &len,
		 sql && by_route ? copy(text + len, &ev->resource, RESOURCE_MAX) : 0);
	end_text(key, TEXT_NAMESPACE, &len,
		 sql && by_route ? copy(text + len, &ev->resource_namespace, RESOURCE_MAX) : 0);
}

static void make_tuple(const struct appmon_event *ev, struct sample *s)
{
	const struct appmon_endpoint *ep[2] = {&ev->local, &ev->remote};

	s->side = ev->role == APPMON_ROLE_CLIENT ? CLIENT : SERVER;
	for (int i = 0; i < 2; i++) {
		int side = s->side == CLIENT ? i : !i;

		memcpy(s->tuple.addr[side], ep[i]->addr, sizeof(ep[i]->addr));
		s->tuple.port[side] = ep[i]->port;
	}
	s->tuple.family = ev->local.family;
	s->joinable = ev->local.family && ev->remote.family && ev->connection_id &&
		      ev->role != APPMON_ROLE_UNKNOWN;
}

static uint64_t first_of(uint64_t a, uint64_t b)
{
	return a ? a : b;
}

static void make_sample(struct appmon_metrics *m, const struct appmon_event *ev, struct sample *s)
{
	s->start_ns = first_of(ev->request_start_ns, ev->response_start_ns);
	s->end_ns = first_of(first_of(ev->response_end_ns, ev->response_start_ns),
			     first_of(ev->request_end_ns, ev->request_start_ns));
	s->duration_ns = ev->duration_ns;
	s->request_ns = ev->request_ns;
	s->wait_ns = ev->wait_ns;
	s->response_ns = ev->response_ns;
	s->read_ns = ev->read_start_ns;
	s->queue_ns = ev->queue_ns;
	s->service_ns = ev->service_ns;
	s->times = ev->duration_ns ? 1u << APPMON_TIME_DURATION : 0;
	if (ev->read_start_ns && m->opts.flags & APPMON_METRICS_SERVICE)
		s->times |= 1u << APPMON_TIME_QUEUE | 1u << APPMON_TIME_SERVICE;
	s->request_bytes = ev->request_bytes;
	s->response_bytes = ev->response_bytes;
	s->retransmits = (uint64_t)ev->retransmits + ev->peer_retransmits;
	s->connection_id = ev->connection_id;
	s->wire_id = APPMON_HAS(ev, struct appmon_event, wire_id) ? ev->wire_id : 0;
	s->error = is_error(m, ev);
	s->counted = 0;
	s->event = ev;
	make_tuple(ev, s);
	make_key(m, ev, &s->key);
}

int appmon_metrics_add(struct appmon_metrics *m, const struct appmon_event *ev)
{
	struct connection *c = NULL;
	uint64_t waiting = 0;
	struct sample s;

	if (!m || !ev)
		return -EINVAL;
	m->stats.events++;
	if (!has_request(ev)) {
		m->stats.without_request++;
		return 0;
	}
	make_sample(m, ev, &s);
	if (s.end_ns > m->clock_ns)
		m->clock_ns = s.end_ns;
	if (m->connections && s.joinable) {
		s.tuple_hash = XXH3_64bits(&s.tuple, sizeof(s.tuple)) | 1;
		c = connection_event(m->connections, &s, &m->stats, &waiting);
		if (waiting)
			settle_number(m, waiting);
		if (m->queued)
			settle_head(m, m->clock_ns);
	}
	if (c && !c->joined && !c->end[s.side].alone)
		wait_for_peer(m, &s, &c->end[s.side]);
	else
		count_sample(m, &s, c);
	return 0;
}

/* ---- what is in progress --------------------------------------------------------------------- */

/* key is complete but for the ends of its empty texts. */
static struct series *active_row(struct appmon_metrics *m, struct series_key *key)
{
	size_t len = key->len[TEXT_APP] + 1u;
	struct series *row;

	put_empty(key->text, &len, TEXTS - 1);
	row = table_get(&m->active, key, KEY_BYTES(key, len), m->opts.max_series / 4, app_of(key),
			true);
	return row ? row : m->other_active[key->role];
}

int appmon_metrics_active(struct appmon_metrics *m, const struct appmon_event *ev)
{
	struct series_key key;
	struct series *row;
	uint64_t begin;

	if (!m || !ev || !m->active.slot)
		return -EINVAL;
	begin_key(m, ev, &key);
	row = active_row(m, &key);
	begin = first_of(ev->request_start_ns, ev->response_start_ns);
	row->figures.requests++;
	if (begin && (!row->figures.first_ns || begin < row->figures.first_ns))
		row->figures.first_ns = begin;
	return 0;
}

void metrics_find_active(struct appmon_metrics *m, uint64_t now_ns)
{
	for (uint32_t i = 0; i <= m->series.mask; i++) {
		const struct series *s = m->series.slot[i].series;
		struct series_key key;
		struct series *row;

		if (!s || !s->figures.requests)
			continue;
		memcpy(&key, s->key, offsetof(struct series_key, text));
		if (key.flags & APPMON_SERIES_OTHER)
			continue;
		memcpy(key.text, ((const struct series_key *)s->key)->text, key.len[TEXT_APP] + 1u);
		memset(&key.peer, 0, sizeof(key.peer));
		key.pid = 0;
		key.status = key.outcome = 0;
		memset(&key.len[TEXT_APP + 1], 0, sizeof(key.len) - sizeof(key.len[TEXT_APP]));
		memset(key.status_text, 0, sizeof(key.status_text));
		memset(key.system, 0, sizeof(key.system));
		row = active_row(m, &key);
		if (s->figures.last_ns > row->figures.last_ns)
			row->figures.last_ns = s->figures.last_ns;
	}
	for (uint32_t i = 0; i <= m->active.mask; i++) {
		struct series *row = m->active.slot[i].series;

		if (row && row->figures.requests)
			row->figures.last_ns = now_ns;
	}
}

void metrics_clear_active(struct appmon_metrics *m)
{
	for (uint32_t i = 0; m->active.slot && i <= m->active.mask; i++) {
		struct series *row = m->active.slot[i].series;

		if (row)
			row->figures.requests = row->figures.first_ns = 0;
	}
}

int appmon_metrics_get_stats(struct appmon_metrics *m, struct appmon_metrics_stats *stats)
{
	struct appmon_metrics_stats now;

	if (!m || !stats)
		return -EINVAL;
	now = m->stats;
	now.series = m->series.count;
	now.edges = m->edges.count;
	now.refused_segments = m->learner.refused;
	now.memory_bytes = m->pool.held;
	now.memory_limit = m->pool.limit;
	return opts_write(stats, &now, sizeof(now));
}
