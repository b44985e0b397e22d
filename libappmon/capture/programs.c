/* SPDX-License-Identifier: BSD-2-Clause */
/* The BPF object: loading, its configuration, its counters. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "capture/capture.h"

#include "capture.skel.h"

/* Only pages that are written cost memory; a log that does not fit would hide the error. */
#define VERIFIER_LOG_BYTES (16 << 20)
/* CPUs rather share one than have less. */
#define RING_BYTES_MIN (512U << 10)
/* Of it the host gets the end, where the reason stands. */
#define VERIFIER_TAIL_BYTES 4000

static bool have_capability(const struct __user_cap_data_struct data[2], unsigned int cap)
{
	return data[cap / 32].effective & (1U << (cap % 32));
}

/* Asked first: libbpf would print its own complaint to the host's stderr. */
static int check_capabilities(struct capture *cap)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	bool bpf, perfmon, net_admin;

	if (syscall(SYS_capget, &hdr, data))
		return 0; /* let the kernel decide */
	bpf = have_capability(data, CAP_SYS_ADMIN) || have_capability(data, CAP_BPF);
	perfmon = have_capability(data, CAP_SYS_ADMIN) || have_capability(data, CAP_PERFMON);
	net_admin = have_capability(data, CAP_NET_ADMIN);
	if (bpf && perfmon && net_admin)
		return 0;
	return fail(cap->log, -EPERM,
		    "missing:%s%s%s: run as root, or give the program what it needs: setcap "
		    "cap_bpf,cap_perfmon,cap_net_admin=ep PROGRAM",
		    bpf ? "" : " CAP_BPF (to load BPF programs)",
		    perfmon ? "" : " CAP_PERFMON (to load BPF programs that read kernel memory)",
		    net_admin ? "" : " CAP_NET_ADMIN (to attach them to cgroups)");
}

static int choose_goroutines(struct capture_bpf *skel, bool with)
{
	struct bpf_program *const programs[] = {
		skel->progs.appmon_go_serve, skel->progs.appmon_go_start, skel->progs.appmon_go_ask,
		skel->progs.appmon_go_write};
	struct bpf_map *const maps[] = {skel->maps.goroutine_map, skel->maps.asked_map,
					skel->maps.go_processes};
	int err = 0;

	skel->rodata->goroutines = with;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]) && !err; i++)
		err = bpf_program__set_autoload(programs[i], with);
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]) && !err; i++)
		err = bpf_map__set_autocreate(maps[i], with);
	return err;
}

/* Behind choose_goroutines(): the two share a map. */
static int choose_tls(struct capture_bpf *skel, int with, uint32_t capture)
{
	struct bpf_program *const programs[] = {
		skel->progs.appmon_tls_go_write, skel->progs.appmon_tls_go_read,
		skel->progs.appmon_tls_record, skel->progs.appmon_socket};
	struct bpf_map *const maps[] = {skel->maps.tls_processes,  skel->maps.tls_threads,
					skel->maps.tls_sessions,   skel->maps.plain_drafts,
					skel->maps.tls_go_sockets, skel->maps.tls_go_writes};
	const bool tls = with & WITH_TLS, sessions = with & WITH_UPROBE_SESSIONS;
	int err = 0;

	skel->rodata->plain_capture = capture;
	skel->rodata->tls_go = tls;
	if (tls)
		err = bpf_map__set_autocreate(skel->maps.go_processes, true);
	if (!err)
		err = bpf_program__set_autoload(skel->progs.appmon_tls_enter, tls && !sessions);
	if (!err)
		err = bpf_program__set_autoload(skel->progs.appmon_tls_leave, tls && !sessions);
	if (!err)
		err = bpf_program__set_autoload(skel->progs.appmon_tls_call, tls && sessions);
	if (!err)
		err = bpf_program__set_expected_attach_type(skel->progs.appmon_tls_call,
							    (enum bpf_attach_type)UPROBE_SESSION);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]) && !err; i++)
		err = bpf_program__set_autoload(programs[i], tls);
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]) && !err; i++)
		err = bpf_map__set_autocreate(maps[i], tls);
	return err;
}

static int choose_frames(struct capture_bpf *skel, bool with)
{
	int err = bpf_map__set_autocreate(skel->maps.walks, with);

	skel->rodata->frames = with;
	return err ? err : bpf_map__set_autocreate(skel->maps.verdicts, with);
}

/* As many as there are CPUs, and memory for: a power of two. Those that come later share. */
static uint32_t ring_count(uint32_t ring_bytes)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t n = 1;

	while (n < RINGS_MAX && n < cpus && ring_bytes / (2 * n) >= RING_BYTES_MIN)
		n *= 2;
	return n;
}

/* Before Linux 5.16 a map has no larger value than the kernel can allocate at once: 4 MiB. */
static size_t ring_size(uint32_t ring_bytes)
{
	size_t size = ring_bytes;
	int fd;

	while ((fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "appmon_size", 4,
				    (uint32_t)size + RING_RECORD_MAX, 1, NULL)) == -E2BIG)
		size /= 2;
	if (fd >= 0)
		close(fd);
	return size;
}

/* Before the programs are loaded. */
static int choose_rings(struct capture *cap, uint32_t ring_bytes)
{
	struct capture_bpf *skel = cap->skel;
	struct rings *rings = &cap->rings;
	int err;

	rings->count = ring_count(ring_bytes);
	rings->size = ring_size(ring_bytes / rings->count);
	if (getrandom(&rings->key, sizeof(rings->key), 0) != sizeof(rings->key))
		return -errno;
	rings->key |= 1; /* memory that was never written is no record */
	skel->rodata->ring_mask = rings->count - 1;
	skel->rodata->ring_bytes_mask = (uint32_t)rings->size - 1;
	skel->rodata->ring_key = rings->key;
	err = bpf_map__set_max_entries(skel->maps.ring_places, rings->count);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.rings, rings->count);
	if (!err)
		err = bpf_map__set_value_size(skel->maps.rings,
					      (uint32_t)rings->size + RING_RECORD_MAX);
	return err;
}

static int try_load(struct capture *cap, const struct appmon_opts *opts, char *verifier_log,
		    int with)
{
	LIBBPF_OPTS(bpf_object_open_opts, open_opts, .kernel_log_buf = verifier_log,
		    .kernel_log_size = VERIFIER_LOG_BYTES);
	int err;

	cap->skel = capture_bpf__open_opts(&open_opts);
	if (!cap->skel)
		return -errno;
	err = choose_rings(cap, opts->ring_bytes);
	if (!err)
		err = bpf_program__set_autoload(cap->skel->progs.appmon_sweep, with & WITH_SWEEP);
	if (!err)
		err = bpf_program__set_autoload(cap->skel->progs.appmon_sweep_files,
						with & WITH_SWEEP_FILES);
	if (!err)
		err = bpf_program__set_autoload(cap->skel->progs.appmon_read, with & WITH_IDENTITY);
	if (!err)
		err = choose_goroutines(cap->skel, with & WITH_GOROUTINES);
	if (!err)
		err = choose_tls(cap->skel, with, opts->capture_bytes);
	if (!err)
		err = choose_frames(cap->skel, opts->protocols & ASKED_FRAMES);
	cap->skel->rodata->identity = !!(with & WITH_IDENTITY);
	_Static_assert(ASKED_HTTP1 == 1U << APPMON_PROTO_HTTP1, "");
	_Static_assert(ASKED_RESP == 1U << APPMON_PROTO_RESP, "");
	cap->skel->rodata->resp = !!(opts->protocols & ASKED_RESP);
	cap->skel->rodata->links = !!(opts->flags & APPMON_OPEN_LINKS);
	if (!err)
		err = capture_bpf__load(cap->skel);
	if (!err && (with & WITH_IDENTITY)) {
		cap->reads = bpf_program__attach(cap->skel->progs.appmon_read);
		if (!cap->reads)
			err = -errno;
	}
	if (err) {
		capture_bpf__destroy(cap->skel);
		cap->skel = NULL;
	}
	return err;
}

static void attach_sweep(struct capture *cap, int with)
{
	union bpf_iter_link_info info = {0};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	info.map.map_fd = (uint32_t)bpf_map__fd(cap->skel->maps.sockets);
	cap->sweep = with & WITH_SWEEP
			     ? bpf_program__attach_iter(cap->skel->progs.appmon_sweep, &opts)
			     : bpf_program__attach_iter(cap->skel->progs.appmon_sweep_files, NULL);
	if (cap->sweep)
		cap->capabilities |= APPMON_CAP_SWEEP;
}

/* The host's log takes lines. */
static void log_verifier(struct capture *cap, char *text)
{
	size_t n = strlen(text);
	char *save = NULL;

	if (n > VERIFIER_TAIL_BYTES)
		text += n - VERIFIER_TAIL_BYTES;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		log_line(cap->log, APPMON_LOG_ERROR, "verifier: %s", line);
}

int capture_open(struct capture *cap, const struct appmon_opts *opts, struct log *log)
{
	const bool identity = opts->flags & APPMON_OPEN_IDENTITY;
#ifdef __x86_64__
	const bool goroutines = opts->flags & APPMON_OPEN_GOROUTINES;
	const bool tls = opts->flags & APPMON_OPEN_TLS;
#else
	const bool goroutines = false; /* g is in a register there */
	const bool tls = false;
#endif
	int with = WITH_SWEEP | (identity ? WITH_IDENTITY : 0) |
		   (goroutines ? WITH_GOROUTINES : 0) | (tls ? WITH_TLS | WITH_UPROBE_SESSIONS : 0);
	char *verifier_log;
	int err;

	cap->log = log;
	err = check_capabilities(cap);
	if (!err)
		err = kernel_check(log, opts->ring_bytes, &with);
	if (err)
		return err;
	verifier_log = calloc(1, VERIFIER_LOG_BYTES);
	if (!verifier_log) /* libbpf's own would be printed */
		return fail(cap->log, -ENOMEM, "out of memory");
	for (;; with &= with & WITH_TLS		 ? ~WITH_TLS
			: with & WITH_GOROUTINES ? ~WITH_GOROUTINES
			: with & WITH_IDENTITY	 ? ~WITH_IDENTITY
						 : 0) {
		err = try_load(cap, opts, verifier_log, with);
		if (!err || !with || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
			break;
	}
	if (!err && (with & (WITH_SWEEP | WITH_SWEEP_FILES)))
		attach_sweep(cap, with);
	if (!err && (with & WITH_IDENTITY))
		cap->capabilities |= APPMON_CAP_IDENTITY;
	if (!err && (with & WITH_GOROUTINES)) {
		cap->capabilities |= APPMON_CAP_GOROUTINES;
	} else if (!err && (opts->flags & APPMON_OPEN_GOROUTINES)) {
		log_line(cap->log, APPMON_LOG_WARN,
			 "goroutines are not followed: this kernel or machine cannot");
	}
	if (!err && (with & WITH_TLS))
		cap->capabilities |= APPMON_CAP_TLS;
	else if (!err && (opts->flags & APPMON_OPEN_TLS))
		log_line(cap->log, APPMON_LOG_WARN,
			 "TLS is not looked into: this kernel or machine cannot");
	if (err)
		log_verifier(cap, verifier_log);
	free(verifier_log);
	if (err == -EPERM || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
		return kernel_refused(log, err);
	if (err)
		return fail(cap->log, -EOPNOTSUPP,
			    "the kernel did not accept the BPF programs (%s): Linux 5.15 or later "
			    "with CONFIG_CGROUP_BPF=y is needed; the log has the verifier's words",
			    strerror(-err));
	/* Now: counters that are read when memory is short must not be wrong. */
	cap->cpus = libbpf_num_possible_cpus();
	cap->per_cpu = cap->cpus > 0 ? calloc((size_t)cap->cpus, sizeof(*cap->per_cpu)) : NULL;
	if (!cap->per_cpu)
		return fail(cap->log, -ENOMEM, "out of memory");
	err = rings_map(&cap->rings, bpf_map__fd(cap->skel->maps.ring_places),
			bpf_map__fd(cap->skel->maps.rings));
	if (!err)
		err = bell_map(&cap->bell, bpf_map__fd(cap->skel->maps.bell));
	if (err)
		return fail(cap->log, err, "the rings cannot be mapped: %s", strerror(-err));
	cap->capabilities |= APPMON_CAP_CAPTURE;
	return 0;
}

void capture_close(struct capture *cap)
{
	rings_unmap(&cap->rings);
	bell_unmap(&cap->bell);
	if (cap->sweep)
		bpf_link__destroy(cap->sweep);
	if (cap->reads)
		bpf_link__destroy(cap->reads);
	if (cap->skel)
		capture_bpf__destroy(cap->skel);
	free(cap->per_cpu);
	cap->sweep = cap->reads = NULL;
	cap->skel = NULL;
	cap->per_cpu = NULL;
}

int capture_fd(const struct capture *cap)
{
	return bpf_map__fd(cap->skel->maps.bell);
}

void capture_verdict(void *ctx, uint64_t cookie, const struct verdict *verdict)
{
	const struct capture *cap = ctx;

	/* If it fails the programs go on copying. */
	bpf_map_update_elem(bpf_map__fd(cap->skel->maps.verdicts), &cookie, verdict, BPF_ANY);
}

bool capture_wait(struct capture *cap)
{
	volatile __u32 *waits = &cap->skel->bss->reader_waits;

	*waits = 1;
	/* A program looks behind its record, and we behind this. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!rings_hold(&cap->rings))
		return true;
	*waits = 0;
	return false;
}

void capture_awake(struct capture *cap)
{
	bell_quiet(&cap->bell);
}

void capture_ask(void *ctx)
{
	const struct capture *cap = ctx;

	cap->skel->bss->conns_asked += REC_TELL_AGAIN;
}

bool capture_held_back(struct capture *cap)
{
	bool held_back = cap->skel->bss->held_back;

	if (held_back)
		cap->skel->bss->held_back = 0;
	return held_back;
}

void capture_sample(struct capture *cap, uint64_t below, uint32_t generation)
{
	cap->skel->bss->generation = generation;
	cap->skel->bss->sample_below = below;
}

void capture_from(struct capture *cap, uint32_t generation)
{
	cap->skel->bss->capture_from = generation;
}

void capture_go_programs(const struct capture *cap, int fd[GO_HOOKS])
{
	fd[GO_SERVE] = bpf_program__fd(cap->skel->progs.appmon_go_serve);
	fd[GO_START] = bpf_program__fd(cap->skel->progs.appmon_go_start);
	fd[GO_ASK] = bpf_program__fd(cap->skel->progs.appmon_go_ask);
	fd[GO_WRITE] = bpf_program__fd(cap->skel->progs.appmon_go_write);
}

void capture_tls_programs(const struct capture *cap, int fd[TLS_HOOKS])
{
	fd[TLS_HOOK_ENTER] = bpf_program__fd(cap->skel->progs.appmon_tls_enter);
	fd[TLS_HOOK_LEAVE] = bpf_program__fd(cap->skel->progs.appmon_tls_leave);
	fd[TLS_HOOK_CALL] = bpf_program__fd(cap->skel->progs.appmon_tls_call);
	fd[TLS_HOOK_RECORD] = bpf_program__fd(cap->skel->progs.appmon_tls_record);
	fd[TLS_HOOK_GO_WRITE] = bpf_program__fd(cap->skel->progs.appmon_tls_go_write);
	fd[TLS_HOOK_GO_READ] = bpf_program__fd(cap->skel->progs.appmon_tls_go_read);
}

int capture_tls_processes(const struct capture *cap)
{
	return bpf_map__fd(cap->skel->maps.tls_processes);
}

volatile uint64_t *capture_tls_since(const struct capture *cap)
{
	return (volatile uint64_t *)cap->skel->bss->tls_since;
}

uint64_t *capture_tls_generation(const struct capture *cap)
{
	return (uint64_t *)&cap->skel->data->tls_generation;
}

void capture_counters(struct capture *cap, uint32_t slot, struct appmon_stats *stats)
{
	struct slot_counters *cpu = cap->per_cpu;

	if (!cap->skel) /* a replay */
		return;
	if (bpf_map_lookup_elem(bpf_map__fd(cap->skel->maps.counters), &slot, cpu))
		return;
	for (int i = 0; i < cap->cpus; i++) {
		stats->records_lost += cpu[i].records_lost;
		stats->connections_skipped += cpu[i].skipped;
		stats->dropped[APPMON_DROP_RING_FULL] += cpu[i].requests_lost;
		stats->exchanges_seen += cpu[i].requests_lost;
	}
}
