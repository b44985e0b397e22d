/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netem IF IF [name=value...]: carries frames between two interfaces and harms them as tc-netem(8)
 * does, with the same meaning of its parameters. Not every kernel has sch_netem, and none before
 * 6.6 has a seed for it. Ends with its standard input, and one JSON line that says what was done.
 *
 *   seed=N         of the dice
 *   loss=P         percent of the packets that are lost
 *   heads=P        percent of the segments that begin an HTTP message that are lost besides
 *   duplicate=P    percent that are sent twice
 *   delay=MS jitter=MS  each packet waits for delay, give or take the jitter
 *   reorder=P correlation=P gap=N  percent that do not wait, of those behind gap - 1 that did
 *   recut=P        percent of the data segments of which a part is sent besides, before or
 *                  after: the receiver sees other boundaries, and overlaps with the same bytes
 *   cpus=N         frames leave from so many CPUs by turns, and are received there: at the same
 *                  time, and out of order
 *
 * Frames keep their offload state (PACKET_VNET_HDR): with TSO on, one of 64 KiB passes as it is.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

struct frame {
	uint64_t due;	/* ns of CLOCK_MONOTONIC */
	uint64_t order; /* of frames that are due together */
	int to;
	size_t len;
	unsigned char *bytes; /* struct virtio_net_hdr, then the frame */
};

/* A heap: the frame that is due first is on top. */
static struct frame *queue;
static size_t queued, queue_size;

static uint64_t dice_state, now_ns, order;
static double loss, heads, duplicate, delay, jitter, reorder, correlation, gap, recut;
static unsigned long packets, lost, doubled, hurried, cut;

/* From 0 to below 100. */
static double dice(void)
{
	return (double)(next_random(&dice_state) >> 11) * 100 / 9007199254740992.0;
}

/* The same, near the one before, as netem's get_crandom(). */
static double correlated_dice(void)
{
	static double last;

	last = dice() * (1 - correlation / 100) + last * correlation / 100;
	return last;
}

static int before(const struct frame *a, const struct frame *b)
{
	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void push(struct frame frame)
{
	size_t i = queued++;

	if (queued > queue_size) {
		queue_size = queue_size ? 2 * queue_size : 64;
		queue = realloc(queue, queue_size * sizeof(*queue));
		if (!queue)
			die("memory");
	}
	for (; i > 0 && before(&frame, &queue[(i - 1) / 2]); i = (i - 1) / 2)
		queue[i] = queue[(i - 1) / 2];
	queue[i] = frame;
}

static struct frame pop(void)
{
	struct frame top = queue[0], last = queue[--queued];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < queued) {
		if (child + 1 < queued && before(&queue[child + 1], &queue[child]))
			child++;
		if (!before(&queue[child], &last))
			break;
		queue[i] = queue[child];
		i = child;
	}
	queue[i] = last;
	return top;
}

/* What a full device refuses is lost, as on any link. */
static void transmit_here(int to, const unsigned char *bytes, size_t len)
{
	if (send(to, bytes, len, 0) < 0 && errno != ENOBUFS && errno != EAGAIN && errno != ENETDOWN)
		die("send");
}

/* A CPU with a thread that sends the frames that come through a pipe. */
struct sender {
	int cpu, pipe[2];
};

#define SENDERS_MAX 16
static struct sender senders[SENDERS_MAX];
static unsigned int cpus;

static void *send_all(void *arg)
{
	struct sender *sender = arg;
	struct frame frame;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sender->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
	while (read(sender->pipe[0], &frame, sizeof(frame)) == sizeof(frame)) {
		transmit_here(frame.to, frame.bytes, frame.len);
		free(frame.bytes);
	}
	return NULL;
}

static void start_senders(void)
{
	cpu_set_t allowed;
	pthread_t thread;
	int cpu = -1;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die("sched_getaffinity");
	for (unsigned int i = 0; i < cpus; i++) {
		do
			cpu = (cpu + 1) % CPU_SETSIZE;
		while (!CPU_ISSET(cpu, &allowed));
		senders[i].cpu = cpu;
		if (pipe(senders[i].pipe) || pthread_create(&thread, NULL, send_all, &senders[i]))
			die("sender");
	}
}

static void transmit(int to, const unsigned char *bytes, size_t len)
{
	struct frame frame = {.to = to, .len = len};
	static unsigned int turn;

	if (!cpus) {
		transmit_here(to, bytes, len);
		return;
	}
	frame.bytes = malloc(len);
	if (!frame.bytes)
		die("memory");
	memcpy(frame.bytes, bytes, len);
	if (write(senders[turn++ % cpus].pipe[1], &frame, sizeof(frame)) != sizeof(frame))
		die("pipe");
}

/* The TCP segment in a frame; NULL if it holds none, or no data. */
static struct tcphdr *data_segment(unsigned char *bytes, size_t len, struct iphdr **ip, char **data)
{
	size_t at = sizeof(struct virtio_net_hdr) + ETHER_HDR_LEN;
	struct tcphdr *tcp;

	*ip = (struct iphdr *)(bytes + at);
	if (len < at + sizeof(**ip) + sizeof(*tcp) || bytes[at - 2] != 8 || bytes[at - 1] != 0 ||
	    (*ip)->protocol != IPPROTO_TCP)
		return NULL;
	tcp = (struct tcphdr *)((char *)*ip + 4 * (*ip)->ihl);
	*data = (char *)tcp + 4 * tcp->doff;
	return *data < (char *)*ip + ntohs((*ip)->tot_len) ? tcp : NULL;
}

static int begins_message(unsigned char *bytes, size_t len)
{
	struct iphdr *ip;
	char *data;

	if (!data_segment(bytes, len, &ip, &data) || data + 5 > (char *)bytes + len)
		return 0;
	return !memcmp(data, "GET /", 5) || !memcmp(data, "HEAD ", 5) ||
	       !memcmp(data, "POST ", 5) || !memcmp(data, "HTTP/", 5);
}

static uint32_t sum(const void *data, size_t len, uint32_t start)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < len; i++)
		start += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return start;
}

/* Sends the part [from, to) of the data of a segment, as if the sender had cut it so. */
static void send_part(int out, const unsigned char *bytes, size_t len, size_t from, size_t to)
{
	unsigned char part[sizeof(struct virtio_net_hdr) + 65536 + ETHER_HDR_LEN];
	struct tcphdr *tcp;
	struct iphdr *ip;
	size_t tcp_len;
	uint32_t check;
	char *data;

	memcpy(part, bytes, len);
	tcp = data_segment(part, len, &ip, &data);
	memmove(data, data + from, to - from);
	tcp_len = (size_t)(data + (to - from) - (char *)tcp);
	ip->tot_len = htons((uint16_t)(4 * ip->ihl + tcp_len));
	ip->check = 0;
	ip->check = htons((uint16_t)~sum(ip, 4 * ip->ihl, 0));
	tcp->th_seq = htonl(ntohl(tcp->th_seq) + (uint32_t)from);
	tcp->fin = 0; /* the whole segment has it */
	tcp->check = 0;
	check = sum(&ip->saddr, 8, (uint32_t)(IPPROTO_TCP + tcp_len));
	tcp->check = htons((uint16_t)~sum(tcp, tcp_len, check));
	memset(part, 0, sizeof(struct virtio_net_hdr)); /* the checksum is there */
	transmit(out, part, (size_t)((unsigned char *)tcp + tcp_len - part));
}

/* Sends a segment and a part of it, in either order. */
static int cut_up(int to, unsigned char *bytes, size_t len)
{
	struct virtio_net_hdr *offload = (struct virtio_net_hdr *)bytes;
	size_t size, from, end;
	struct tcphdr *tcp;
	struct iphdr *ip;
	char *data;

	tcp = data_segment(bytes, len, &ip, &data);
	if (!tcp || tcp->syn || offload->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return 0;
	size = (size_t)((char *)ip + ntohs(ip->tot_len) - data);
	if (size < 2)
		return 0;
	from = next_random(&dice_state) % size;
	end = from + 1 + next_random(&dice_state) % (size - from);
	if (next_random(&dice_state) % 2) {
		send_part(to, bytes, len, from, end);
		transmit(to, bytes, len);
	} else {
		transmit(to, bytes, len);
		send_part(to, bytes, len, from, end);
	}
	cut++;
	return 1;
}

static void carry_one(int to, unsigned char *bytes, size_t len)
{
	static double waited;
	double wait = delay + jitter * (dice() / 50 - 1);
	struct frame frame = {.to = to, .len = len};
	int copies = 1;

	packets++;
	if (dice() < loss || (heads > 0 && begins_message(bytes, len) && dice() < heads)) {
		lost++;
		return;
	}
	if (dice() < duplicate) {
		doubled++;
		copies = 2;
	}
	if (reorder > 0 && (gap == 0 || waited >= gap - 1) && correlated_dice() < reorder) {
		hurried++;
		waited = 0;
		wait = 0;
	} else {
		waited++;
	}
	for (; copies > 0; copies--) {
		if (wait <= 0 && recut > 0 && dice() < recut && cut_up(to, bytes, len))
			continue;
		if (wait <= 0) {
			transmit(to, bytes, len);
			continue;
		}
		frame.due = now_ns + (uint64_t)(wait * 1e6);
		frame.order = order++;
		frame.bytes = malloc(len);
		if (!frame.bytes)
			die("memory");
		memcpy(frame.bytes, bytes, len);
		push(frame);
	}
}

static void carry(int from, int to)
{
	unsigned char bytes[sizeof(struct virtio_net_hdr) + 65536 + ETHER_HDR_LEN];
	ssize_t len;

	/* Not for ever: what is due in the meantime has to leave. */
	for (int i = 0; i < 64; i++) {
		len = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (len < 0)
			return;
		carry_one(to, bytes, (size_t)len);
	}
}

static uint64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void deliver_due(void)
{
	struct frame frame;

	now_ns = monotonic();
	while (queued && queue[0].due <= now_ns) {
		frame = pop();
		transmit(frame.to, frame.bytes, frame.len);
		free(frame.bytes);
	}
}

static int open_interface(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)), one = 1, size = 64 << 20;
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(ETH_P_ALL),
				      .sll_ifindex = (int)if_nametoindex(name)};

	if (fd < 0 || address.sll_ifindex == 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die(name);
	return fd;
}

static unsigned int overflowed(int fd)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);

	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
	return stats.tp_drops;
}

int main(int argc, char **argv)
{
	struct pollfd ends[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
	struct timespec wait;
	uint64_t left;

	if (argc < 3)
		return 2;
	dice_state = (uint64_t)option(argc, argv, "seed", 1);
	loss = option(argc, argv, "loss", 0);
	heads = option(argc, argv, "heads", 0);
	duplicate = option(argc, argv, "duplicate", 0);
	delay = option(argc, argv, "delay", 0);
	jitter = option(argc, argv, "jitter", 0);
	reorder = option(argc, argv, "reorder", 0);
	correlation = option(argc, argv, "correlation", 0);
	gap = option(argc, argv, "gap", 0);
	recut = option(argc, argv, "recut", 0);
	cpus = (unsigned int)option(argc, argv, "cpus", 0);
	if (cpus > SENDERS_MAX)
		return 2;
	start_senders();

	for (int i = 0; i < 2; i++)
		ends[i].fd = open_interface(argv[1 + i]);
	puts("ready");
	fflush(stdout);
	while (!ends[2].revents) { /* standard input: its end */
		deliver_due();
		left = queued ? queue[0].due - now_ns : 0;
		wait.tv_sec = (time_t)(left / 1000000000);
		wait.tv_nsec = (long)(left % 1000000000);
		if (ppoll(ends, 3, queued ? &wait : NULL, NULL) < 0)
			die("ppoll");
		now_ns = monotonic();
		for (int i = 0; i < 2; i++)
			if (ends[i].revents)
				carry(ends[i].fd, ends[!i].fd);
	}
	printf("{\"packets\": %lu, \"lost\": %lu, \"doubled\": %lu, \"hurried\": %lu, \"recut\": "
	       "%lu, "
	       "\"overflowed\": %u}\n",
	       packets, lost, doubled, hurried, cut,
	       overflowed(ends[0].fd) + overflowed(ends[1].fd));
	return 0;
}
