/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an exchange was made for. When a request is sent from a monitored socket, the open requests
 * that monitored sockets have received are asked which of them it serves; when one arrives, whether
 * it is what a monitored socket has just sent. That is decided once, at the first moment at which
 * it can be known, from what is open then: what comes later proves nothing.
 *
 * Each open exchange is in one hash table under several keys. "The only one" with a key is
 * evidence, two of them are none.
 *
 * Who reads a request is told by REC_READ, which stands in the ring behind the request's head and
 * before all that the reading thread does next. A thread that blocks in reading can do
 * nothing else: what it sends before it has answered, it sends for that request. A thread that does
 * not may be an event loop, or one of several that take turns with many requests (Go, tokio,
 * virtual threads); such a process shows itself by holding two requests in one thread, or by
 * answering in another thread than the one that read. One that never does, although its requests
 * overlap, behaves like a thread per request.
 *
 * Of Go programs the kernel side follows goroutines, if that is asked for, and names the request
 * itself: by its connection and its place in the stream, so that what is stale matches nothing.
 * A goroutine that was started for one request may be kept for others' (a pool of workers). So a go
 * statement is evidence once it has started goroutines for several requests, and none of them was
 * seen to send when its request was over.
 */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "exchange/exchange.h"

#define PROCESSES_MAX 1024
/* go statements of a process that are remembered, and requests for which one has to have started
 * goroutines. */
#define STATEMENTS_MAX 32
#define STATEMENT_PROOF 8
/* Requests that a process has to have served as one thread each, while it served others. */
#define WORKER_PROOF 32

enum {
	/* Of requests that came in: */
	KEY_THREAD,
	KEY_PROCESS,
	KEY_TRACE_ID,
	KEY_REQUEST_ID,
	KEY_REMOTE,
	KEY_CONNECTION,
	/* Of requests that were sent: */
	KEY_STREAM,
	KEY_WIRE,
	KEYS
};

struct key {
	struct list_node node;
	uint64_t hash;
	struct exchange *ex;
};

struct cause {
	struct key key[KEYS];
	struct reader reader;
	struct trace trace;
	uint64_t connection_id, ordinal;
	uint32_t evidence; /* APPMON_LINK_* */
	uint8_t shared;	   /* several threads have read it, or others are pipelined behind it */
	uint8_t called;	   /* its reader has sent a request since */
	uint8_t pad[2];
};

/* A process that has read requests. */
struct process {
	struct list_node hash, age;
	uint64_t start_ns;
	uint32_t pid;
	uint32_t proofs;
	struct list_node statements; /* the last one used first */
	uint32_t statement_count;
	uint8_t mixed; /* since: one thread with several requests, or the other way round */
	uint8_t pad[3];
};

/* A go statement that has started what sends requests. */
struct statement {
	struct list_node link;
	uint64_t address;
	struct rec_cause last; /* request for which that was */
	uint32_t proofs;
	uint8_t kept; /* it starts what outlives a request */
	uint8_t pad[3];
};

/* ---- tables ---------------------------------------------------------------------------------- */

static void statements_forget(struct pipeline *pl, struct process *p)
{
	while (!list_empty(&p->statements)) {
		struct statement *s = list_entry(p->statements.next, struct statement, link);

		list_remove(&s->link);
		pool_free(&pl->pool, s);
	}
}

bool causes_init(struct pipeline *pl)
{
	struct causes *l = &pl->causes;
	uint32_t buckets = 64;

	/* An open exchange takes a kilobyte and more. */
	while (buckets < 65536 && buckets < pl->pool.limit / 1024)
		buckets *= 2;
	if (!pool_charge(&pl->pool, buckets * sizeof(*l->bucket)))
		return false;
	l->bucket = malloc(buckets * sizeof(*l->bucket));
	if (!l->bucket)
		return false;
	l->buckets = buckets;
	l->seed = now_ns() ^ (uintptr_t)l->bucket;
	for (uint32_t i = 0; i < buckets; i++)
		list_init(&l->bucket[i]);
	for (uint32_t i = 0; i < PROCESS_BUCKETS; i++)
		list_init(&l->process[i]);
	list_init(&l->processes);
	return true;
}

void causes_destroy(struct pipeline *pl)
{
	struct causes *l = &pl->causes;

	if (!l->bucket)
		return;
	while (!list_empty(&l->processes)) {
		struct process *p = list_entry(l->processes.next, struct process, age);

		list_remove(&p->age);
		statements_forget(pl, p);
		pool_free(&pl->pool, p);
	}
	free(l->bucket);
	l->bucket = NULL;
}

static struct list_node *bucket_of(struct causes *l, uint64_t hash)
{
	return &l->bucket[hash & (l->buckets - 1)];
}

static void key_set(struct pipeline *pl, struct exchange *ex, int kind, uint64_t hash)
{
	struct key *k = &ex->cause->key[kind];

	list_remove(&k->node);
	k->hash = hash;
	list_append(bucket_of(&pl->causes, hash), &k->node);
}

typedef bool (*match_fn)(const struct exchange *ex, const void *wanted);

/* How many exchanges with the key match: 0, 1, or 2 for several. */
static int count(struct pipeline *pl, int kind, uint64_t hash, match_fn match, const void *wanted,
		 struct exchange **ret_first)
{
	struct list_node *bucket = bucket_of(&pl->causes, hash);
	int n = 0;

	for (struct list_node *at = bucket->next; at != bucket && n < 2; at = at->next) {
		struct key *k = list_entry(at, struct key, node);

		if (k->hash != hash || k != &k->ex->cause->key[kind] || !match(k->ex, wanted))
			continue;
		if (!n++)
			*ret_first = k->ex;
	}
	return n;
}

/* The one that matches; NULL: there is none, or there are several. */
static struct exchange *only(struct pipeline *pl, int kind, uint64_t hash, match_fn match,
			     const void *wanted)
{
	struct exchange *ex = NULL;

	return count(pl, kind, hash, match, wanted, &ex) == 1 ? ex : NULL;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint64_t hash_of(struct pipeline *pl, int kind, const void *data, size_t size)
{
	return XXH3_64bits_withSeed(data, size, pl->causes.seed + (uint64_t)kind);
}

struct thread {
	uint32_t pid, tid;
};

static bool is_unanswered_by_thread(const struct exchange *ex, const void *wanted)
{
	const struct thread *t = wanted;

	return ex->cause->reader.pid == t->pid && ex->cause->reader.tid == t->tid &&
	       !ex->response_begun;
}

static bool is_of_process(const struct exchange *ex, const void *wanted)
{
	return ex->cause->reader.pid == *(const uint32_t *)wanted;
}

/* An id means something to the application that gave it: compared within one cgroup. */
struct wanted_trace {
	uint64_t cgroup_id;
	uint8_t id[16];
};

static bool has_trace_id(const struct exchange *ex, const void *wanted)
{
	const struct wanted_trace *w = wanted;

	return ex->id.cgroup_id == w->cgroup_id &&
	       !memcmp(ex->cause->trace.key, w->id, sizeof(w->id));
}

struct wanted_request_id {
	uint64_t cgroup_id;
	struct trace_value id;
};

static bool has_request_id(const struct exchange *ex, const void *wanted)
{
	const struct wanted_request_id *w = wanted;
	struct trace_value id = ex->cause->trace.request_id;

	return ex->id.cgroup_id == w->cgroup_id && id.len == w->id.len &&
	       !memcmp(id.data, w->id.data, id.len);
}

struct wanted_remote {
	uint64_t cgroup_id;
	uint16_t family, port;
	uint8_t pad[4];
	uint8_t addr[16];
};

static struct wanted_remote remote_of(const struct rec_conn *id)
{
	struct wanted_remote w = {
		.cgroup_id = id->cgroup_id, .family = id->family, .port = id->remote_port};

	memcpy(w.addr, id->remote_addr, id->family == 4 ? 4 : 16);
	return w;
}

static bool has_remote(const struct exchange *ex, const void *wanted)
{
	struct wanted_remote w = remote_of(&ex->id);

	return !memcmp(&w, wanted, sizeof(w));
}

/* Is this the request that begins there? There may be an empty line before it. */
static bool begins_at(const struct exchange *ex, uint32_t seq)
{
	return ex->request_seq - seq <= 2;
}

static bool is_cause(const struct exchange *ex, const void *wanted)
{
	const struct rec_cause *w = wanted;

	if (ex->id.cookie != w->cookie)
		return false;
	/* With pipelining the bytes before it can be the end of another request. */
	return ex->cause->shared ? ex->request_seq == w->seq : begins_at(ex, w->seq);
}

/* The same bytes on both ends: TCP's sequence numbers tell connections apart that have the same
 * addresses in other network namespaces. */
struct wanted_stream {
	uint16_t family, from_port, to_port;
	uint8_t pad[2];
	uint32_t seq;
	uint8_t from[16], to[16];
};

static struct wanted_stream stream_of(const struct rec_conn *id, bool sent, uint32_t seq)
{
	struct wanted_stream w = {.family = id->family, .seq = seq};
	size_t n = id->family == 4 ? 4 : 16;

	w.from_port = sent ? id->local_port : id->remote_port;
	w.to_port = sent ? id->remote_port : id->local_port;
	memcpy(w.from, sent ? id->local_addr : id->remote_addr, n);
	memcpy(w.to, sent ? id->remote_addr : id->local_addr, n);
	return w;
}

static bool is_stream(const struct exchange *ex, const void *wanted)
{
	struct wanted_stream w = stream_of(&ex->id, true, ex->request_seq);

	return !memcmp(&w, wanted, sizeof(w));
}

/*
 * The same where addresses are translated on the way: both directions' sequence numbers, 64 bits
 * that begin at random. With pipelining the ends may differ in where the response would begin;
 * then this does not match.
 */
struct wanted_wire {
	uint32_t request_seq, response_seq;
};

static bool is_wire(const struct exchange *ex, const void *wanted)
{
	const struct wanted_wire *w = wanted;

	return ex->request_seq == w->request_seq && ex->response_seq == w->response_seq;
}

/* ---- processes ------------------------------------------------------------------------------- */

static struct process *process_find(struct pipeline *pl, uint32_t pid, uint64_t start_ns)
{
	struct causes *l = &pl->causes;
	struct list_node *bucket = &l->process[pid % PROCESS_BUCKETS];

	for (struct list_node *n = bucket->next; n != bucket; n = n->next) {
		struct process *p = list_entry(n, struct process, hash);

		if (p->pid == pid && p->start_ns == start_ns)
			return p;
	}
	return NULL;
}

/* NULL: no memory. A new one takes the place of the one that was not used for longest. */
static struct process *process_get(struct pipeline *pl, uint32_t pid, uint64_t start_ns)
{
	struct causes *l = &pl->causes;
	struct process *p = process_find(pl, pid, start_ns);

	if (!p && l->process_count == PROCESSES_MAX) {
		p = list_entry(l->processes.next, struct process, age);
		list_remove(&p->hash);
		list_remove(&p->age);
		statements_forget(pl, p);
	} else if (!p) {
		p = pool_alloc(&pl->pool, sizeof(*p));
		if (!p)
			return NULL;
		l->process_count++;
	} else {
		list_remove(&p->age);
		list_append(&l->processes, &p->age);
		return p;
	}
	*p = (struct process){.pid = pid, .start_ns = start_ns};
	list_init(&p->statements);
	list_append(&l->process[pid % PROCESS_BUCKETS], &p->hash);
	list_append(&l->processes, &p->age);
	return p;
}

/* A thread that waits in reading cannot take turns; yet it may read for others. */
static bool is_thread_per_request(struct pipeline *pl, const struct reader *r)
{
	struct process *p = process_find(pl, r->pid, r->start_ns);

	return p && (p->proofs >= WORKER_PROOF || (r->blocks && !p->mixed));
}

static void process_mixed(struct process *p)
{
	p->mixed = 1;
	p->proofs = 0;
}

/* NULL: no memory. The one that was not used for the longest time is forgotten for a new one. */
static struct statement *statement_get(struct pipeline *pl, struct process *p, uint64_t address)
{
	struct statement *s = NULL;

	for (struct list_node *n = p->statements.next; n != &p->statements; n = n->next) {
		s = list_entry(n, struct statement, link);
		if (s->address == address)
			break;
		s = NULL;
	}
	if (s) {
		list_remove(&s->link);
		list_prepend(&p->statements, &s->link);
		return s;
	}
	if (p->statement_count == STATEMENTS_MAX) {
		s = list_entry(p->statements.prev, struct statement, link);
		list_remove(&s->link);
	} else {
		s = pool_alloc(&pl->pool, sizeof(*s));
		if (!s)
			return NULL;
		p->statement_count++;
	}
	*s = (struct statement){.address = address};
	list_prepend(&p->statements, &s->link);
	return s;
}

/* ---- requests that are read and answered ----------------------------------------------------- */

static uint64_t thread_hash(struct pipeline *pl, const struct thread *t)
{
	return hash_of(pl, KEY_THREAD, t, sizeof(*t));
}

static uint64_t process_hash(struct pipeline *pl, uint32_t pid)
{
	return hash_of(pl, KEY_PROCESS, &pid, sizeof(pid));
}

static void reader_set(struct pipeline *pl, struct exchange *ex, const struct reader *r)
{
	struct thread t = {r->pid, r->tid};
	struct process *p = process_get(pl, r->pid, r->start_ns);
	struct cause *link = ex->cause;
	struct exchange *other;

	if (link->reader.tid == r->tid && link->reader.pid == r->pid)
		return;
	if (link->reader.tid)
		link->shared = 1;
	else if (p &&
		 count(pl, KEY_THREAD, thread_hash(pl, &t), is_unanswered_by_thread, &t, &other))
		process_mixed(p); /* it has another one that it has not answered */
	if (p && link->shared)
		process_mixed(p);
	link->reader = *r;
	key_set(pl, ex, KEY_THREAD, thread_hash(pl, &t));
	key_set(pl, ex, KEY_PROCESS, process_hash(pl, r->pid));
}

void cause_read(struct pipeline *pl, struct conn *c, const struct reader *reader)
{
	struct exchange *ex = exchange_awaiting(c);

	c->reader = *reader;
	if (ex && ex->cause && !ex->response_begun && ex->role == APPMON_ROLE_SERVER &&
	    begins_at(ex, c->reader.seq))
		reader_set(pl, ex, &c->reader);
}

/* Others are pipelined behind it: a thread that has read them may serve any of them. */
static void share_all(struct conn *c)
{
	for (struct list_node *n = c->exchanges.next; n != &c->exchanges; n = n->next) {
		struct exchange *ex = exchange_at(c, n);

		if (ex->cause)
			ex->cause->shared = 1;
	}
}

void cause_response(struct pipeline *pl, struct conn *c, struct exchange *ex)
{
	const struct rec_owner *o = pl->owner;
	struct cause *link = ex->cause;
	struct exchange *other;
	struct process *p;

	c->reader = (struct reader){0};
	if (!link || !link->reader.tid || ex->role != APPMON_ROLE_SERVER || !o || !o->sender_tid)
		return;
	p = process_find(pl, link->reader.pid, link->reader.start_ns);
	if (!p)
		return;
	if (o->sender_pid != link->reader.pid || o->sender_tid != link->reader.tid)
		process_mixed(p);
	else if (link->called && count(pl, KEY_PROCESS, process_hash(pl, link->reader.pid),
				       is_of_process, &link->reader.pid, &other) > 1)
		p->proofs++;
}

/* ---- evidence -------------------------------------------------------------------------------- */

static void link_to(struct exchange *ex, const struct exchange *cause, uint32_t evidence)
{
	ex->cause->evidence = evidence;
	ex->cause->connection_id = cause->id.cookie;
	ex->cause->ordinal = cause->ordinal;
}

static uint64_t trace_hash(struct pipeline *pl, const struct trace *t)
{
	return hash_of(pl, KEY_TRACE_ID, t->key, sizeof(t->key));
}

static uint64_t request_id_hash(struct pipeline *pl, const struct trace *t)
{
	return hash_of(pl, KEY_REQUEST_ID, t->request_id.data, t->request_id.len);
}

static bool has_key(const struct trace *t)
{
	static const uint8_t none[16];

	return memcmp(t->key, none, sizeof(none)) != 0;
}

/* The request that carries the same id, or that came from the client it names. */
static struct exchange *by_header(struct pipeline *pl, const struct exchange *ex,
				  uint32_t *evidence)
{
	const struct trace *t = &ex->cause->trace;
	struct exchange *cause = NULL;

	if (t->forwarded.family) {
		struct wanted_remote w = {.cgroup_id = ex->id.cgroup_id,
					  .family = t->forwarded.family,
					  .port = t->forwarded.port};

		memcpy(w.addr, t->forwarded.addr, sizeof(w.addr));
		*evidence = APPMON_LINK_FORWARDED;
		cause = only(pl, KEY_REMOTE, hash_of(pl, KEY_REMOTE, &w, sizeof(w)), has_remote,
			     &w);
	}
	if (!cause && t->request_id.len) {
		struct wanted_request_id w = {ex->id.cgroup_id, t->request_id};

		*evidence = APPMON_LINK_REQUEST_ID;
		cause = only(pl, KEY_REQUEST_ID, request_id_hash(pl, t), has_request_id, &w);
	}
	if (!cause && has_key(t)) {
		struct wanted_trace w = {.cgroup_id = ex->id.cgroup_id};

		memcpy(w.id, t->key, sizeof(w.id));
		*evidence = APPMON_LINK_TRACE_ID;
		cause = only(pl, KEY_TRACE_ID, trace_hash(pl, t), has_trace_id, &w);
	}
	return cause;
}

static uint64_t connection_hash(struct pipeline *pl, uint64_t cookie)
{
	return hash_of(pl, KEY_CONNECTION, &cookie, sizeof(cookie));
}

/* May a goroutine that this go statement has started be taken to work for what it was started for?
 * cause: that request, if it is open. */
static bool is_proven(struct pipeline *pl, const struct rec_owner *o, const struct exchange *cause)
{
	struct process *p = process_get(pl, o->task.pid, o->task.start_ns);
	struct statement *s = p ? statement_get(pl, p, o->cause.started_at) : NULL;

	if (!s)
		return false;
	if (!cause) {
		s->kept = 1;
	} else if (s->last.cookie != o->cause.cookie || s->last.seq != o->cause.seq) {
		s->last = o->cause;
		s->proofs++;
	}
	return !s->kept && s->proofs >= STATEMENT_PROOF;
}

/* The open request that the sending goroutine works for. */
static struct exchange *by_goroutine(struct pipeline *pl, const struct rec_owner *o)
{
	const struct rec_cause *w = &o->cause;
	struct exchange *cause;

	if (!w->cookie)
		return NULL;
	cause = only(pl, KEY_CONNECTION, connection_hash(pl, w->cookie), is_cause, w);
	if (w->started_at && !is_proven(pl, o, cause))
		return NULL;
	return cause && !cause->response_begun ? cause : NULL;
}

/* A request begins that a monitored process sends. */
static void link_sent(struct pipeline *pl, struct exchange *ex)
{
	const struct rec_owner *o = pl->owner;
	struct thread t = {o ? o->sender_pid : 0, o ? o->sender_tid : 0};
	struct exchange *read = NULL, *goroutine = o ? by_goroutine(pl, o) : NULL, *cause;
	struct wanted_wire wire = {ex->request_seq, ex->response_seq};
	struct wanted_stream w;
	uint32_t evidence;
	bool worker;

	if (t.tid)
		read = only(pl, KEY_THREAD, thread_hash(pl, &t), is_unanswered_by_thread, &t);
	if (read && read->cause->shared)
		read = NULL;
	if (read)
		read->cause->called = 1;
	worker = read && is_thread_per_request(pl, &read->cause->reader);
	if (worker && read->cause->reader.blocks) {
		link_to(ex, read, APPMON_LINK_THREAD);
	} else if (goroutine && !o->cause.started_at) {
		link_to(ex, goroutine, APPMON_LINK_GOROUTINE);
	} else if ((cause = by_header(pl, ex, &evidence)) && !cause->response_begun) {
		link_to(ex, cause, evidence);
	} else if (goroutine) {
		link_to(ex, goroutine, APPMON_LINK_STARTED);
	} else if (o && o->cause.followed) {
		; /* for none, or one that is over: what threads say of goroutines is chance */
	} else if (worker) {
		link_to(ex, read, APPMON_LINK_WORKER);
	} else if (read && pl->sample.ppm == APPMON_SAMPLING_ALL &&
		   only(pl, KEY_PROCESS, process_hash(pl, t.pid), is_of_process, &t.pid)) {
		link_to(ex, read, APPMON_LINK_SOLE);
	}
	w = stream_of(&ex->id, true, ex->request_seq);
	if (ex->numbered)
		key_set(pl, ex, KEY_STREAM, hash_of(pl, KEY_STREAM, &w, sizeof(w)));
	if (ex->numbered == NUMBERED_BOTH)
		key_set(pl, ex, KEY_WIRE, hash_of(pl, KEY_WIRE, &wire, sizeof(wire)));
}

/* A request begins that a monitored process is to answer. */
static void link_received(struct pipeline *pl, struct conn *c, struct exchange *ex)
{
	struct wanted_stream w = stream_of(&ex->id, false, ex->request_seq);
	struct wanted_wire wire = {ex->request_seq, ex->response_seq};
	struct wanted_remote remote = remote_of(&ex->id);
	const struct trace *t = &ex->cause->trace;
	struct exchange *cause = NULL;

	if (ex->numbered)
		cause = only(pl, KEY_STREAM, hash_of(pl, KEY_STREAM, &w, sizeof(w)), is_stream, &w);
	if (!cause && ex->numbered == NUMBERED_BOTH)
		cause = only(pl, KEY_WIRE, hash_of(pl, KEY_WIRE, &wire, sizeof(wire)), is_wire,
			     &wire);
	if (cause)
		link_to(ex, cause, APPMON_LINK_PEER);
	if (ex->flags & APPMON_EVF_PIPELINED)
		share_all(c);
	/* It had read a part of the head. What is pipelined comes with what it follows. */
	if (c->reader.tid && (begins_at(ex, c->reader.seq) || (ex->flags & APPMON_EVF_PIPELINED)))
		reader_set(pl, ex, &c->reader);
	if (pl->flags & APPMON_OPEN_GOROUTINES)
		key_set(pl, ex, KEY_CONNECTION, connection_hash(pl, ex->id.cookie));
	key_set(pl, ex, KEY_REMOTE, hash_of(pl, KEY_REMOTE, &remote, sizeof(remote)));
	if (t->request_id.len)
		key_set(pl, ex, KEY_REQUEST_ID, request_id_hash(pl, t));
	if (has_key(t))
		key_set(pl, ex, KEY_TRACE_ID, trace_hash(pl, t));
}

void cause_request(struct pipeline *pl, struct conn *c, struct exchange *ex, int dir,
		   struct trace_fields *fields)
{
	struct cause *link;

	link = pool_alloc_evicting(&pl->pool, sizeof(*link));
	if (!link)
		return; /* the exchange is reported without a link */
	memset(link, 0, sizeof(*link));
	for (int kind = 0; kind < KEYS; kind++) {
		list_init(&link->key[kind].node);
		link->key[kind].ex = ex;
	}
	ex->cause = link;
	trace_read(fields, &link->trace);
	if (dir == DIR_OUT)
		link_sent(pl, ex);
	else
		link_received(pl, c, ex);
}

void cause_move(struct exchange *ex)
{
	if (!ex->cause)
		return;
	for (int kind = 0; kind < KEYS; kind++)
		ex->cause->key[kind].ex = ex;
}

void cause_rename(struct pipeline *pl, struct exchange *ex)
{
	if (ex->cause && (pl->flags & APPMON_OPEN_GOROUTINES))
		key_set(pl, ex, KEY_CONNECTION, connection_hash(pl, ex->id.cookie));
}

void cause_close(struct exchange *ex)
{
	if (!ex->cause)
		return;
	for (int kind = 0; kind < KEYS; kind++)
		list_remove(&ex->cause->key[kind].node);
}

void cause_report(const struct exchange *ex, struct appmon_event *ev)
{
	if (!ex->cause)
		return;
	ev->link = ex->cause->evidence;
	ev->link_connection_id = ex->cause->connection_id;
	ev->link_ordinal = ex->cause->ordinal;
}
