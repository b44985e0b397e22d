/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel for the tests: the very BPF programs of bpf/, compiled for this machine, around a little
 * TCP. Packets go in, ring records come out, nothing needs root.
 */
#ifndef APPMON_TEST_SIM_H
#define APPMON_TEST_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_FIN = 1, SIM_RST = 4, SIM_PSH = 8 };

struct sim_opts {
	uint32_t target, slot /* 0 or 1 */, capture;
	uint64_t cgroup_id;
	bool no_resp;	    /* the programs do not look for RESP */
	uint32_t protocols; /* of the target; 0: all but those with frames */
};

extern struct rec_owner sim_owner; /* what records of sent bytes say of the socket's owner */
extern uint64_t sim_now_ns;
/* So many of the next records find the ring full. */
extern uint32_t sim_lose;
/* So many of the next sockets' storages are created by another CPU at the same moment. */
extern uint32_t sim_storage_races;
/* What another CPU does, or an interrupt, while the next program runs: after so many calls of
 * helpers. */
extern void (*sim_meanwhile)(void);
extern uint32_t sim_meanwhile_after;
/* Packets that went the short way of healthy.h, and the long one, with the same outcome. */
extern uint64_t sim_short_ways;
/* While set, nothing is attached: packets pass unseen. */
extern bool sim_detached;
/* While set, the kernel keeps nothing of a connection that its listening socket has not made. */
extern bool sim_syn_cookies;
/* What stands where each packet's bytes come; NULL: what the one before has left. */
extern const char *sim_left_behind;

void sim_start(const struct sim_opts *opts);
/* Another attachment, further inside: the programs run for it first. */
void sim_nest(const struct sim_opts *opts);
/* What the host says of a port, APPMON_PROTO_*, for the target that was attached last. */
void sim_hint(uint16_t port, uint16_t protocol);
/* What the reader says of a connection; of the last one only. */
struct verdict;
void sim_verdict(uint64_t cookie, const struct verdict *verdict);
/* Connections of the target in this slot that the programs have given up. */
uint64_t sim_skipped(uint32_t slot);
void sim_stop(void);

struct sim_socket;

/* The budget: what sampling.c writes. sim_start() sets (1, 1, SAMPLE_ALL). */
void sim_budget(uint32_t generation, uint32_t from, uint64_t below);

/* pipeline.ask_programs */
void sim_ask(void *unused);

/* A connection whose first bytes have the given sequence numbers. active: our connect(). */
struct sim_socket *sim_connect(bool active, uint32_t in_seq, uint32_t out_seq);
void sim_forget(struct sim_socket *sk);
/* Another connection between the ports of sk, which is forgotten. */
struct sim_socket *sim_again(struct sim_socket *sk, uint32_t in_seq, uint32_t out_seq);
uint64_t sim_cookie(const struct sim_socket *sk);

/* From now on the peer's packets acknowledge our stream up to pos; before: all that was sent. */
void sim_acks(struct sim_socket *sk, uint64_t pos);

/* One packet in direction DIR_*; pos is the place of data in the stream of that direction. */
void sim_packet(struct sim_socket *sk, int dir, uint64_t pos, const void *data, uint32_t len,
		uint32_t flags);
/* The same, but it meets the listening socket: the connection does not exist yet. */
void sim_listener_packet(struct sim_socket *sk, uint64_t pos, const void *data, uint32_t len);
/* Any packet. made: the listening socket makes the connection; else its queue is full. */
void sim_listener_meets(struct sim_socket *sk, uint64_t pos, const void *data, uint32_t len,
			uint32_t flags, bool made);
/* The kernel answers for the listening socket: with RST. */
void sim_listener_resets(struct sim_socket *sk);
/* It meets the listening socket, and then, as another CPU has made the connection meanwhile, that.
 */
void sim_stolen_packet(struct sim_socket *sk, uint64_t pos, const void *data, uint32_t len);
/* The application closes the socket. */
void sim_close(struct sim_socket *sk);
/* What the reader's sweep reads. */
void sim_sweep(struct sim_socket *sk);

/* The oldest record that was not taken yet; NULL: none. Valid until the next call. */
const void *sim_record(size_t *size);

#endif /* APPMON_TEST_SIM_H */
