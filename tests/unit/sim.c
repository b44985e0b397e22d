/* SPDX-License-Identifier: BSD-2-Clause */
#include "sim.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* In place of kernel.h, whose types are the running kernel's. */
#define APPMON_KERNEL_H
struct seq_file;
struct bpf_map;
#include <linux/in6.h>
struct sock {
	struct sock_common {
		unsigned int skc_daddr, skc_rcv_saddr;
		unsigned short skc_dport, skc_num, skc_family;
		struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	} __sk_common;
	void *sk_bpf_storage;
};
struct tcp_sock {
	unsigned int rcv_nxt, snd_nxt, snd_una, write_seq, total_retrans, srtt_us;
	unsigned long long bytes_received, bytes_acked, tcp_clock_cache;
};
struct tcp_request_sock {
	unsigned int rcv_isn;
};
struct list_head {
	struct list_head *next, *prev;
};
struct mptcp_sock {
	struct list_head conn_list;
	struct sock *first;
};
#define bpf_core_type_exists(type) 0 /* one path is all there is */
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};
struct socket___kernel {
	struct sock *sk;
};
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct file *file; /* the socket itself */
};
static struct socket___kernel *bpf_sock_from_file(struct file *file)
{
	return (void *)file;
}

/* Uprobes are not played. */
#define APPMON_TLS_CALLS_H
static const bool tls_go;
static void tls_see_read(struct sock *sk)
{
}
static void tls_go_closed(__u64 cookie)
{
	(void)cookie;
}

/* In place of ring.h: check-ring.c has that. */
#define APPMON_RING_H
#include <linux/types.h>
static bool ring_put(const void *record, __u32 size, __u32 most);

/* In place of identity.h, which looks into the kernel: the test says who it is. */
#define APPMON_IDENTITY_H
#include <linux/bpf.h>
#include "records.h"
struct socket;
struct segment;
struct owner;
#define OWNER_HOW(dir, look) ((dir) | (look) << 1)
struct rec_owner sim_owner;
static bool sim_ends(const struct segment *s);
#define identity (sim_owner.source != OWNER_UNKNOWN)
static void see_handshake(struct __sk_buff *skb, struct bpf_sock *ss, const struct segment *s,
			  int dir)
{
	(void)skb;
	(void)ss;
	(void)s;
	(void)dir;
}
static const bool links;
static struct owner *see_read(struct sock *sk, struct socket *s)
{
	(void)sk;
	(void)s;
	return NULL;
}
static bool reads_block(struct sock *sk)
{
	(void)sk;
	return false;
}
static void fill_owner(struct __sk_buff *skb, const struct socket *sk, const struct segment *s,
		       __u32 how, struct rec_owner *r)
{
	(void)skb;
	(void)sk;
	memset(r, 0, sizeof(*r));
	if ((how & 1) == DIR_OUT || sim_ends(s))
		*r = sim_owner;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wint-to-pointer-cast"
#pragma GCC diagnostic ignored "-Wparentheses"
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#define LOOK_RODATA static
#include "healthy.h"
static bool may_go_short = true, went_short;
/* What finds the ring full tries again the other way: the tests say how much is lost. */
#define is_healthy(...) (may_go_short && !sim_lose && is_healthy(__VA_ARGS__))
#define pass_healthy(...) (went_short = pass_healthy(__VA_ARGS__))
#include "capture.bpf.c"
#pragma GCC diagnostic pop

#define PACKET_MAX (1 << 20)
#define NEST_MAX 2

static bool sim_ends(const struct segment *s)
{
	return s->flags & (TCP_FIN | TCP_RST);
}

struct sim_socket {
	struct bpf_sock sk; /* first: what the programs get is a pointer to it */
	struct bpf_tcp_sock tp;
	bool stored;
	struct storage storage;
	bool heir; /* listener is in use */
	struct listener listener;
	uint64_t cookie;
	uint16_t local_port, remote_port;
	uint32_t seq[2]; /* of the first byte, by direction */
	uint32_t write_seq;
	uint64_t acks;	   /* what the peer says that it has of our stream; UINT64_MAX: all of it */
	uint64_t received; /* bytes in order */
	struct {
		uint64_t from, to;
	} early[64];
	uint32_t early_count;
};

struct sim_rec {
	struct sim_rec *next;
	size_t size;
	char data[] __attribute__((aligned(8)));
};

uint64_t sim_now_ns;
uint32_t sim_lose;
uint64_t sim_short_ways;
uint32_t sim_storage_races;
void (*sim_meanwhile)(void);
uint32_t sim_meanwhile_after;
bool sim_detached;
bool sim_syn_cookies;
const char *sim_left_behind;

#define ATTACHED_MAX 2

static struct target_conf attached[ATTACHED_MAX]; /* outermost first */
static uint32_t attached_count, running;
static __u32 live_id[ATTACHED_MAX]; /* by slot, as the counters */
static struct slot_counters counted[ATTACHED_MAX];
/* Below 4 GiB: struct __sk_buff has 32-bit pointers. */
#define PACKET_AT ((void *)0x40000000)
static uint8_t *packet; /* NEST_MAX of them */
static uint32_t nested;
static struct sim_rec *first, **last = &first;
static uint64_t next_cookie;
static struct sim_socket listener;
static struct sim_socket *requesting; /* what meets it now */
static struct verdict verdict;
static uint64_t verdict_cookie;

/* ---- helpers of the programs ------------------------------------------------- */

/* Every helper begins with this. */
static void helper(void)
{
	void (*meanwhile)(void) = sim_meanwhile;

	if (!meanwhile || sim_meanwhile_after--)
		return;
	sim_meanwhile = NULL;
	meanwhile();
}

static struct draft drafts_of_cpu[DRAFTS];

/* What the last packet has left where this one's bytes come. */
static void leave_behind(const char *text)
{
	struct draft *d = &drafts_of_cpu[0];
	size_t n = strlen(text);

	if (nested)
		return;
	memset(&d->scan, text[0], sizeof(d->scan));
	memset(d->front, text[0], sizeof(d->front));
	memcpy(d->bytes, text, n);
	for (; 2 * n <= sizeof(d->bytes); n *= 2)
		memcpy(d->bytes + n, d->bytes, n);
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
	static struct socket embryo_of_cpu;
	static struct walk walk_of_cpu[WALKS];
	__u32 slot;

	helper();
	if (map == &verdicts)
		return verdict_cookie && *(const __u64 *)key == verdict_cookie ? &verdict : NULL;
	slot = *(const __u32 *)key;
	if (map == &embryo)
		return &embryo_of_cpu;
	if (map == &drafts)
		return slot < DRAFTS ? &drafts_of_cpu[slot] : NULL;
	if (map == &walks)
		return slot < WALKS ? &walk_of_cpu[slot] : NULL;
	if (slot >= ATTACHED_MAX)
		return NULL;
	return map == &live	  ? (void *)&live_id[slot]
	       : map == &counters ? (void *)&counted[slot]
				  : NULL;
}

void *bpf_get_local_storage(void *map, __u64 flags)
{
	(void)map;
	(void)flags;
	return &attached[running];
}

void *bpf_sk_storage_get(void *map, void *sk, void *value, __u64 flags)
{
	struct sim_socket *s = sk;

	(void)value;
	helper();
	if (map == &listeners) {
		s->heir |= !!(flags & BPF_SK_STORAGE_GET_F_CREATE);
		return s->heir ? &s->listener : NULL;
	}
	if (!s->stored && !(flags & BPF_SK_STORAGE_GET_F_CREATE))
		return NULL;
	if (!s->stored && sim_storage_races) {
		sim_storage_races--;
		return NULL;
	}
	if (!s->stored)
		memset(&s->storage, 0, sizeof(s->storage));
	s->stored = true;
	return &s->storage;
}

void bpf_spin_lock(struct bpf_spin_lock *lock)
{
	helper();
	if (lock->val++)
		abort();
}

void bpf_spin_unlock(struct bpf_spin_lock *lock)
{
	if (--lock->val)
		abort();
}

static bool ring_put(const void *record, __u32 size, __u32 most)
{
	struct sim_rec *rec;

	helper();
	if (sim_lose) {
		sim_lose--;
		return false;
	}
	if (size > most || most % 32)
		abort();
	rec = calloc(1, sizeof(*rec) + size);
	if (!rec)
		abort();
	rec->size = size;
	memcpy(rec->data, record, size);
	*last = rec;
	last = &rec->next;
	return true;
}

long bpf_loop(__u32 count, long (*step)(__u32, void *), void *ctx, __u64 flags)
{
	(void)flags;
	for (uint32_t i = 0; i < count; i++)
		if (step(i, ctx))
			return i + 1;
	return count;
}

long bpf_skb_load_bytes(const void *ctx, __u32 offset, void *to, __u32 len)
{
	const struct __sk_buff *skb = ctx;

	helper();
	if (offset > skb->len || len > skb->len - offset)
		return -1;
	memcpy(to, (const uint8_t *)(uintptr_t)skb->data + offset, len);
	return 0;
}

__u64 bpf_skb_cgroup_id(struct __sk_buff *skb)
{
	(void)skb;
	return attached[attached_count - 1].cgroup_id;
}

__u64 bpf_skb_ancestor_cgroup_id(struct __sk_buff *skb, int level)
{
	(void)skb;
	if (level == 0)
		return 1;
	return (uint32_t)level <= attached_count ? attached[level - 1].cgroup_id : 0;
}

__u64 bpf_get_socket_cookie(void *ctx)
{
	const struct __sk_buff *skb = ctx;

	return ((struct sim_socket *)(void *)skb->sk)->cookie;
}

__u64 bpf_ktime_get_ns(void)
{
	helper();
	return sim_now_ns;
}

#define TICK_NS 4000000

__u64 bpf_jiffies64(void)
{
	return sim_now_ns / TICK_NS;
}

struct bpf_tcp_sock *bpf_tcp_sock(struct bpf_sock *sk)
{
	helper();
	return &((struct sim_socket *)(void *)sk)->tp;
}

struct tcp_sock *bpf_skc_to_tcp_sock(void *sk)
{
	static struct tcp_sock tcp;
	const struct bpf_tcp_sock *tp = &((struct sim_socket *)sk)->tp;

	tcp.total_retrans = tp->total_retrans;
	tcp.srtt_us = tp->srtt_us;
	tcp.rcv_nxt = tp->rcv_nxt;
	tcp.snd_nxt = tp->snd_nxt;
	tcp.snd_una = tp->snd_una;
	tcp.write_seq = ((struct sim_socket *)sk)->write_seq;
	tcp.bytes_received = tp->bytes_received;
	tcp.bytes_acked = tp->bytes_acked;
	tcp.tcp_clock_cache = sim_now_ns;
	return &tcp;
}

/* The connection that the listening socket is about to make; with SYN cookies there is none. */
struct bpf_sock *bpf_skc_lookup_tcp(void *ctx, struct bpf_sock_tuple *tuple, __u32 size,
				    __u64 netns, __u64 flags)
{
	(void)ctx;
	(void)netns;
	(void)flags;
	helper();
	if (size != sizeof(tuple->ipv4) || ntohs(tuple->ipv4.sport) != requesting->remote_port ||
	    ntohs(tuple->ipv4.dport) != requesting->local_port)
		abort();
	return sim_syn_cookies ? &listener.sk : &requesting->sk;
}

struct tcp_request_sock *bpf_skc_to_tcp_request_sock(void *sk)
{
	static struct tcp_request_sock request;

	if (sk == &listener.sk)
		return NULL;
	request.rcv_isn = requesting->seq[DIR_IN] - 1;
	return &request;
}

struct mptcp_sock *bpf_skc_to_mptcp_sock(void *sk)
{
	(void)sk;
	return NULL;
}

long bpf_sk_release(void *sk)
{
	(void)sk;
	return 0;
}

long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

long bpf_seq_write(struct seq_file *seq, const void *data, __u32 len)
{
	(void)seq;
	return ring_put(data, len, (len + 31) / 32 * 32) ? 0 : -1;
}

/* ---- the kernel ------------------------------------------------------------------ */

void sim_budget(uint32_t now, uint32_t from, uint64_t below)
{
	generation = now;
	capture_from = from;
	sample_below = below;
}

void sim_ask(void *unused)
{
	(void)unused;
	conns_asked += REC_TELL_AGAIN;
}

void sim_nest(const struct sim_opts *opts)
{
	struct target_conf *conf = &attached[attached_count++];

	if (attached_count > ATTACHED_MAX || opts->slot >= ATTACHED_MAX)
		abort();
	memset(conf, 0, sizeof(*conf));
	conf->target = live_id[opts->slot] = opts->target;
	conf->slot = opts->slot;
	conf->capture = opts->capture;
	conf->cgroup_id = opts->cgroup_id;
	conf->protocols = opts->protocols ? opts->protocols : ~ASKED_FRAMES;
	only_target = attached_count == 1 ? opts->target : 0;
}

void sim_hint(uint16_t port, uint16_t protocol)
{
	struct target_conf *conf = &attached[attached_count - 1];

	conf->hint[conf->hint_count++] = (struct target_hint){.port = port, .protocol = protocol};
}

void sim_verdict(uint64_t cookie, const struct verdict *v)
{
	verdict_cookie = cookie;
	verdict = *v;
}

uint64_t sim_skipped(uint32_t slot)
{
	return counted[slot].skipped;
}

void sim_start(const struct sim_opts *opts)
{
	attached_count = 0;
	memset(live_id, 0, sizeof(live_id));
	memset(counted, 0, sizeof(counted));
	sim_nest(opts);
	held_back = 0;
	sim_budget(1, 1, SAMPLE_ALL);
	resp = !opts->no_resp;
	sim_now_ns = 1000000000;
	sim_lose = 0;
	sim_detached = sim_syn_cookies = false;
	next_cookie = 0;
	verdict_cookie = 0;
	memset(&listener, 0, sizeof(listener));
	listener.sk.state = BPF_TCP_LISTEN;
	listener.cookie = ++next_cookie;
	if (packet)
		return;
	packet = mmap(PACKET_AT, NEST_MAX * PACKET_MAX, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (packet != PACKET_AT) /* kernels before 4.17 take it for a wish */
		abort();
}

void sim_stop(void)
{
	size_t size;

	while (sim_record(&size))
		;
}

struct sim_socket *sim_connect(bool active, uint32_t in_seq, uint32_t out_seq)
{
	struct sim_socket *sk = calloc(1, sizeof(*sk));

	if (!sk)
		abort();
	sk->cookie = ++next_cookie;
	sk->local_port = active ? (uint16_t)(40000 + sk->cookie) : 80;
	sk->remote_port = active ? 80 : (uint16_t)(40000 + sk->cookie);
	sk->seq[DIR_IN] = in_seq;
	sk->seq[DIR_OUT] = out_seq;
	sk->sk.state = 1; /* established */
	sk->tp.rcv_nxt = in_seq;
	sk->tp.snd_nxt = sk->tp.snd_una = out_seq;
	sk->tp.bytes_acked = active;
	sk->tp.srtt_us = 800;
	sk->write_seq = out_seq;
	sk->acks = UINT64_MAX;
	return sk;
}

void sim_acks(struct sim_socket *sk, uint64_t pos)
{
	sk->acks = pos;
}

/* What a packet of the peer acknowledges. */
static uint32_t acked_by_peer(const struct sim_socket *sk)
{
	return sk->acks == UINT64_MAX ? sk->tp.snd_nxt : sk->seq[DIR_OUT] + (uint32_t)sk->acks;
}

void sim_forget(struct sim_socket *sk)
{
	free(sk);
}

struct sim_socket *sim_again(struct sim_socket *sk, uint32_t in_seq, uint32_t out_seq)
{
	struct sim_socket *again = sim_connect(false, in_seq, out_seq);

	again->local_port = sk->local_port;
	again->remote_port = sk->remote_port;
	free(sk);
	return again;
}

uint64_t sim_cookie(const struct sim_socket *sk)
{
	return sk->cookie;
}

static uint32_t put_headers(uint8_t *to, struct sim_socket *sk, int dir, uint64_t pos,
			    uint32_t flags)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .protocol = IPPROTO_TCP};
	struct tcphdr tcp = {.doff = 5, .ack = 1};
	uint16_t local = htons(sk->local_port), remote = htons(sk->remote_port);

	ip.saddr = dir == DIR_OUT ? htonl(0x0a000001) : htonl(0xc0000202);
	ip.daddr = dir == DIR_OUT ? htonl(0xc0000202) : htonl(0x0a000001);
	tcp.source = dir == DIR_OUT ? local : remote;
	tcp.dest = dir == DIR_OUT ? remote : local;
	tcp.seq = htonl(sk->seq[dir] + (uint32_t)pos);
	tcp.ack_seq = htonl(dir == DIR_OUT ? sk->tp.rcv_nxt : acked_by_peer(sk));
	tcp.fin = !!(flags & SIM_FIN);
	tcp.rst = !!(flags & SIM_RST);
	tcp.psh = !!(flags & SIM_PSH);
	memcpy(to, &ip, sizeof(ip));
	memcpy(to + sizeof(ip), &tcp, sizeof(tcp));
	return sizeof(ip) + sizeof(tcp);
}

/* What the programs wrote since *from was the end of the list, which ends there again. */
static struct sim_rec *take_records(struct sim_rec **from)
{
	struct sim_rec *taken = *from;

	*from = NULL;
	last = from;
	return taken;
}

/* A response that was not scanned: what of that the long way has found out. */
static void believe_again(struct socket *sk, const struct socket *believing)
{
	struct direction *reply = DIRECTION(sk, sk->request_dir == 1 + DIR_IN);

	reply->window = WINDOW_HEAD;
	reply->last = 0;
	sk->reply_due = believing->reply_due;
	sk->reply_phase = FRAMING_WHOLE;
}

/* healthy.h: a packet that goes the short way goes the other one, too. Both must leave the same. */
static void run_both_ways(struct __sk_buff *skb, struct sim_socket *sk, int dir)
{
	struct sim_rec **end = last, *one, *other;
	struct storage before = sk->storage, after;

	const bool alone = !sim_meanwhile;

	went_short = false;
	appmon_packet(skb);
	if (!went_short || !alone)
		return;
	one = take_records(end);
	after = sk->storage;
	sk->storage = before;
	may_go_short = false;
	appmon_packet(skb);
	may_go_short = true;
	other = *end;
	if (after.socket.reply_phase == FRAMING_WHOLE && after.socket.request_dir != 1 + dir)
		believe_again(&sk->storage.socket, &after.socket);
	if (!one || !other || one->next || other->next || one->size != other->size ||
	    memcmp(one->data, other->data, one->size) ||
	    memcmp(&after, &sk->storage, sizeof(after)))
		abort();
	free(one);
	sim_short_ways++;
}

static void run_program(struct sim_socket *owner, struct sim_socket *sk, int dir, uint64_t pos,
			const void *data, uint32_t len, uint32_t flags)
{
	struct __sk_buff skb = {0};
	uint8_t *to = packet + nested * PACKET_MAX;
	uint32_t headers = put_headers(to, sk, dir, pos, flags), interrupted = running;

	if (headers + len > PACKET_MAX)
		abort();
	if (len)
		memcpy(to + headers, data, len);
	skb.len = headers + len;
	skb.data = (uint32_t)(uintptr_t)to;
	skb.data_end = skb.data + headers; /* the payload lies in fragments */
	skb.sk = &owner->sk;
	skb.ingress_ifindex = dir == DIR_IN;
	skb.tstamp = dir == DIR_OUT ? sim_now_ns : 0;
	if (sim_detached)
		return;
	if (sim_left_behind)
		leave_behind(sim_left_behind);
	if (++nested > NEST_MAX)
		abort();
	for (uint32_t i = attached_count; i--;) {
		running = i;
		run_both_ways(&skb, owner, dir);
	}
	running = interrupted;
	if (!--nested)
		sim_meanwhile = NULL;
}

/* TCP's receive side: how far the stream is complete. */
static void receive(struct sim_socket *sk, uint64_t from, uint64_t to)
{
	bool again = true;

	if (from > sk->received) {
		if (sk->early_count == sizeof(sk->early) / sizeof(sk->early[0]))
			return; /* dropped: it will be sent again */
		sk->early[sk->early_count].from = from;
		sk->early[sk->early_count++].to = to;
	} else if (to > sk->received) {
		sk->received = to;
	}
	while (again) {
		again = false;
		for (uint32_t i = 0; i < sk->early_count; i++) {
			if (sk->early[i].from > sk->received)
				continue;
			if (sk->early[i].to > sk->received)
				sk->received = sk->early[i].to;
			sk->early[i] = sk->early[--sk->early_count];
			again = true;
			break;
		}
	}
	sk->tp.rcv_nxt = sk->seq[DIR_IN] + (uint32_t)sk->received;
	sk->tp.bytes_received = sk->received;
}

void sim_packet(struct sim_socket *sk, int dir, uint64_t pos, const void *data, uint32_t len,
		uint32_t flags)
{
	const uint32_t acked = acked_by_peer(sk), end = sk->seq[dir] + (uint32_t)(pos + len);

	if (dir == DIR_OUT && (int32_t)(end - sk->write_seq) > 0)
		sk->write_seq = end;
	run_program(sk, sk, dir, pos, data, len, flags);
	if (dir == DIR_IN) {
		receive(sk, pos, pos + len + !!(flags & SIM_FIN));
		if (flags & SIM_FIN)
			sk->sk.state = BPF_TCP_CLOSE_WAIT;
		if ((int32_t)(acked - sk->tp.snd_una) > 0) {
			sk->tp.bytes_acked += acked - sk->tp.snd_una;
			sk->tp.snd_una = acked;
		}
	} else {
		if ((int32_t)(end - sk->tp.snd_nxt) > 0)
			sk->tp.snd_nxt = end;
		else if (len)
			sk->tp.total_retrans++;
	}
}

void sim_listener_packet(struct sim_socket *sk, uint64_t pos, const void *data, uint32_t len)
{
	sim_listener_meets(sk, pos, data, len, SIM_PSH, true);
}

void sim_listener_meets(struct sim_socket *sk, uint64_t pos, const void *data, uint32_t len,
			uint32_t flags, bool made)
{
	requesting = sk;
	run_program(&listener, sk, DIR_IN, pos, data, len, flags);
	if (!made)
		return;
	sk->heir = listener.heir;
	sk->listener = listener.listener;
	receive(sk, pos, pos + len + !!(flags & SIM_FIN));
}

void sim_listener_resets(struct sim_socket *sk)
{
	run_program(&listener, sk, DIR_OUT, 0, NULL, 0, SIM_RST);
}

void sim_stolen_packet(struct sim_socket *sk, uint64_t pos, const void *data, uint32_t len)
{
	sim_listener_meets(sk, pos, data, len, SIM_PSH, false);
	sim_packet(sk, DIR_IN, pos, data, len, SIM_PSH);
}

void sim_close(struct sim_socket *sk)
{
	if (!sim_detached)
		appmon_release(&sk->sk);
}

void sim_sweep(struct sim_socket *sk)
{
	struct bpf_iter_meta meta = {NULL};
	struct bpf_iter__bpf_sk_storage_map ctx = {.meta = &meta, .sk = (struct sock *)(void *)sk};

	ctx.value = sk->stored ? &sk->storage : NULL;
	appmon_sweep(&ctx);
}

const void *sim_record(size_t *size)
{
	static struct sim_rec *taken;

	free(taken);
	taken = first;
	if (!first)
		return NULL;
	first = first->next;
	if (!first)
		last = &first;
	*size = taken->size;
	return taken->data;
}
