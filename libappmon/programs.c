/* SPDX-License-Identifier: BSD-2-Clause */
/* The BPF object: loading, the sweep, the kernel's counters. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "internal.h"

#include "capture.skel.h"

/* Pages that are not written cost nothing; a log that does not fit would hide the error. */
#define VERIFIER_LOG_BYTES (16 << 20)
/* Of it the host gets the end, where the reason stands. */
#define VERIFIER_TAIL_BYTES 4000

static bool have_capability(const struct __user_cap_data_struct data[2], unsigned int cap)
{
	return data[cap / 32].effective & (1U << (cap % 32));
}

/* Asked first: libbpf would print its own complaint to the host's stderr. */
static int check_capabilities(struct appmon *mon)
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
	return fail(&mon->log, -EPERM,
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

static int try_load(struct appmon *mon, char *verifier_log, int with)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = verifier_log,
		    .kernel_log_size = VERIFIER_LOG_BYTES);
	int err;

	mon->skel = capture_bpf__open_opts(&opts);
	if (!mon->skel)
		return -errno;
	err = bpf_map__set_max_entries(mon->skel->maps.ring, mon->opts.ring_bytes);
	if (!err)
		err = bpf_program__set_autoload(mon->skel->progs.appmon_sweep, with & WITH_SWEEP);
	if (!err)
		err = bpf_program__set_autoload(mon->skel->progs.appmon_sweep_files,
						with & WITH_SWEEP_FILES);
	if (!err)
		err = bpf_program__set_autoload(mon->skel->progs.appmon_read, with & WITH_IDENTITY);
	if (!err)
		err = choose_goroutines(mon->skel, with & WITH_GOROUTINES);
	mon->skel->rodata->identity = !!(with & WITH_IDENTITY);
	mon->skel->rodata->resp = !!(mon->opts.protocols & 1U << APPMON_PROTO_RESP);
	mon->skel->rodata->links = !!(mon->opts.flags & APPMON_OPEN_LINKS);
	/* Who reads a request is told at once, behind the request. A connection that nobody has
	 * accepted is no open file. */
	mon->skel->rodata->hold = (with & WITH_SWEEP) && !mon->skel->rodata->links;
	mon->skel->bss->hold_ns = handle_hold_ns(mon);
	if (!err)
		err = capture_bpf__load(mon->skel);
	if (!err && (with & WITH_IDENTITY)) {
		mon->reads = bpf_program__attach(mon->skel->progs.appmon_read);
		if (!mon->reads)
			err = -errno;
	}
	if (err) {
		capture_bpf__destroy(mon->skel);
		mon->skel = NULL;
	}
	return err;
}

static void attach_sweep(struct appmon *mon, int with)
{
	union bpf_iter_link_info info = {0};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	info.map.map_fd = (uint32_t)bpf_map__fd(mon->skel->maps.sockets);
	mon->sweep = with & WITH_SWEEP
			     ? bpf_program__attach_iter(mon->skel->progs.appmon_sweep, &opts)
			     : bpf_program__attach_iter(mon->skel->progs.appmon_sweep_files, NULL);
	if (mon->sweep)
		mon->capabilities |= APPMON_CAP_SWEEP;
}

/* The host's log takes lines. */
static void log_verifier(struct appmon *mon, char *text)
{
	size_t n = strlen(text);
	char *save = NULL;

	if (n > VERIFIER_TAIL_BYTES)
		text += n - VERIFIER_TAIL_BYTES;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		log_line(&mon->log, APPMON_LOG_ERROR, "verifier: %s", line);
}

int programs_load(struct appmon *mon)
{
	const bool identity = mon->opts.flags & APPMON_OPEN_IDENTITY;
#ifdef __x86_64__
	const bool goroutines = mon->opts.flags & APPMON_OPEN_GOROUTINES;
#else
	const bool goroutines = false; /* g is in a register there */
#endif
	int with = WITH_SWEEP | (identity ? WITH_IDENTITY : 0) | (goroutines ? WITH_GOROUTINES : 0);
	char *verifier_log;
	int err = check_capabilities(mon);

	if (!err)
		err = kernel_check(mon, &with);
	if (err)
		return err;
	verifier_log = calloc(1, VERIFIER_LOG_BYTES);
	if (!verifier_log) /* libbpf's own would be printed */
		return fail(&mon->log, -ENOMEM, "out of memory");
	for (;; with &= with & WITH_GOROUTINES ? ~WITH_GOROUTINES
			: with & WITH_IDENTITY ? ~WITH_IDENTITY
					       : 0) {
		err = try_load(mon, verifier_log, with);
		if (!err || !with || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
			break;
	}
	if (!err && (with & (WITH_SWEEP | WITH_SWEEP_FILES)))
		attach_sweep(mon, with);
	if (!err && (with & WITH_IDENTITY))
		mon->capabilities |= APPMON_CAP_IDENTITY;
	if (!err && (with & WITH_GOROUTINES)) {
		if (!go_init(mon))
			err = -ENOMEM;
		mon->capabilities |= APPMON_CAP_GOROUTINES;
	} else if (!err && (mon->opts.flags & APPMON_OPEN_GOROUTINES)) {
		log_line(&mon->log, APPMON_LOG_WARN,
			 "goroutines are not followed: this kernel or machine cannot");
	}
	if (err)
		log_verifier(mon, verifier_log);
	free(verifier_log);
	if (err == -EPERM || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
		return kernel_refused(mon, err);
	if (err)
		return fail(&mon->log, -EOPNOTSUPP,
			    "the kernel did not accept the BPF programs (%s): Linux 5.15 or later "
			    "with CONFIG_CGROUP_BPF=y is needed; the log has the verifier's words",
			    strerror(-err));
	/* Now: counters that are read when memory is short must not be wrong. */
	mon->cpus = libbpf_num_possible_cpus();
	mon->per_cpu = mon->cpus > 0 ? calloc((size_t)mon->cpus, sizeof(*mon->per_cpu)) : NULL;
	if (!mon->per_cpu)
		return fail(&mon->log, -ENOMEM, "out of memory");
	err = ring_map(&mon->ring, bpf_map__fd(mon->skel->maps.ring), mon->opts.ring_bytes);
	if (err)
		return fail(&mon->log, err, "the ring buffer cannot be mapped: %s", strerror(-err));
	mon->capabilities |= APPMON_CAP_CAPTURE;
	return 0;
}

void programs_unload(struct appmon *mon)
{
	ring_unmap(&mon->ring);
	if (mon->sweep)
		bpf_link__destroy(mon->sweep);
	if (mon->reads)
		bpf_link__destroy(mon->reads);
	if (mon->skel)
		capture_bpf__destroy(mon->skel);
	free(mon->per_cpu);
	mon->sweep = mon->reads = NULL;
	mon->skel = NULL;
	mon->per_cpu = NULL;
}

int programs_sweep(struct appmon *mon)
{
	/* Not a multiple of the record's size: what is cut is completed by the next read. */
	char buf[8192];
	size_t have = 0;
	int fd = bpf_iter_create(bpf_link__fd(mon->sweep)), n = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t got = read(fd, buf + have, sizeof(buf) - have);
		size_t at = 0;
		bool ready;

		if (got <= 0)
			break;
		have += (size_t)got;
		/* What they say has passed has its records in the ring by now: those first. */
		ready = handle_catch_up(mon);
		for (; have - at >= sizeof(struct rec_progress);
		     at += sizeof(struct rec_progress)) {
			struct record rec;

			if (record_decode(buf + at, sizeof(struct rec_progress), &rec))
				mon->stats.records_bad++;
			else if (ready)
				handle_record(mon, &rec);
			n++;
		}
		memmove(buf, buf + at, have - at);
		have -= at;
	}
	close(fd);
	return n;
}

void programs_counters(struct appmon *mon, uint32_t slot, struct appmon_stats *stats)
{
	struct slot_counters *cpu = mon->per_cpu;

	if (!mon->skel) /* a replay */
		return;
	if (bpf_map_lookup_elem(bpf_map__fd(mon->skel->maps.counters), &slot, cpu))
		return;
	for (int i = 0; i < mon->cpus; i++) {
		stats->records_lost += cpu[i].records_lost;
		stats->connections_skipped += cpu[i].skipped;
		stats->dropped[APPMON_DROP_RING_FULL] += cpu[i].requests_lost;
		stats->exchanges_seen += cpu[i].requests_lost;
	}
}
