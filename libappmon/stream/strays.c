/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strays: connections whose own socket has not shown up yet. What meets a listening socket is a
 * connection from that moment, with its requests. It is known by its peers and by where its stream
 * begins: ports are used again. The application may take long to answer, or never do so; then the
 * end of the connection tells its cookie, if any.
 */
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "protocol/protocol.h"
#include "stream/stream.h"

#define STRAY_AHEAD_MAX (1 << 20) /* bytes: the largest first window, and more */
/* Connection ids of strays: the kernel's cookies are counted from both ends of their range. */
#define STRAY_ID (UINT64_C(1) << 62)

static bool same_peers(const struct rec_conn *a, const struct rec_conn *b)
{
	return a->cgroup_id == b->cgroup_id && a->local_port == b->local_port &&
	       a->remote_port == b->remote_port && a->family == b->family &&
	       !memcmp(a->local_addr, b->local_addr, sizeof(a->local_addr)) &&
	       !memcmp(a->remote_addr, b->remote_addr, sizeof(a->remote_addr));
}

static uint64_t peers_hash(const struct rec_conn *conn)
{
	struct {
		uint64_t cgroup_id;
		uint16_t port[4];
		uint8_t addr[2][16];
	} peers = {conn->cgroup_id, {conn->local_port, conn->remote_port}, {{0}}};

	memcpy(peers.addr[0], conn->local_addr, sizeof(conn->local_addr));
	memcpy(peers.addr[1], conn->remote_addr, sizeof(conn->remote_addr));
	return XXH3_64bits(&peers, sizeof(peers));
}

static struct conn *stray_find(struct flows *f, const struct rec_conn *conn)
{
	struct conn *c;

	if (!f->stray_count)
		return NULL;
	c = f->bucket[flows_bucket(f, peers_hash(conn))];
	while (c && !(c->stray && same_peers(&c->id, conn)))
		c = c->hash_next;
	return c;
}

/* The end of a connection was missed. */
static void stray_lose(struct flows *f, struct conn *c)
{
	conn_end(f, c, APPMON_END_GAP, APPMON_EVF_GAP);
	conn_free(f, c);
}

/* The connection of a record that met a listening socket, if it is known. */
struct conn *stray_meet(struct flows *f, const struct record *rec)
{
	struct conn *c = stray_find(f, &rec->conn);

	if (!c || c->first_seq == rec->seg.start)
		return c;
	stray_lose(f, c);
	return NULL;
}

struct conn *stray_new(struct flows *f, const struct record *rec)
{
	struct rec_conn id = rec->conn;
	struct conn *c;

	id.cookie = STRAY_ID + f->strays_met++;
	c = conn_new(f, &id, peers_hash(&id), &rec->seg);
	if (!c)
		return NULL;
	c->stray = 1;
	c->first_seq = rec->seg.start;
	f->stray_count++;
	return c;
}

/* The first record of a connection's own socket: is it a stray's? */
struct conn *stray_join(struct flows *f, const struct record *rec)
{
	struct conn *c = stray_find(f, &rec->conn);
	bool out = rec->seg.flags & REC_OUT;

	if (!c)
		return NULL;
	if ((out ? rec->seg.ack : rec->seg.start) - c->first_seq > STRAY_AHEAD_MAX) {
		stray_lose(f, c);
		return NULL;
	}
	EXPLAIN_CONN(f->pl, &c->id, "is connection %llu from now on",
		     (unsigned long long)rec->conn.cookie);
	conn_remove(f, c);
	c->key = c->id.cookie = rec->conn.cookie;
	c->id.generation = rec->conn.generation;
	c->sample = rec->seg.sample;
	conn_insert(f, c);
	c->stray = 0;
	f->stray_count--;
	for (struct list_node *n = c->exchanges.next; n != &c->exchanges; n = n->next) {
		struct exchange *ex = list_entry(n, struct exchange, link);

		ex->id.cookie = c->id.cookie;
		cause_rename(f->pl, ex);
	}
	/* An answer has passed whose record was lost. */
	if (!out && (rec->seg.flags & REC_HEARD))
		conn_end(f, c, APPMON_END_GAP, APPMON_EVF_GAP);
	return c;
}
