/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel and this process must give, asked for before libbpf is. libbpf would write its
 * own complaint to the host's stderr, and keep what it found out while descriptors or memory were
 * short for as long as the process lives.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "capture/capture.h"

/* As many as are open at the same time during appmon_open(), and some. */
#define DESCRIPTORS (40 + RINGS_MAX)
#define HEADROOM (32 << 20)

static const char btf_path[] = "/sys/kernel/btf/vmlinux";

/* ---- descriptors and memory of the process --------------------------------------------------- */

static int few_descriptors(struct log *log, int err)
{
	struct rlimit limit = {0};

	if (err == -ENFILE)
		return fail(log, err,
			    "the system has too few descriptors left: raise /proc/sys/fs/file-max");
	getrlimit(RLIMIT_NOFILE, &limit);
	return fail(log, err,
		    "too few descriptors are left: opening a handle takes %d, and RLIMIT_NOFILE "
		    "(ulimit -n) is %llu",
		    DESCRIPTORS, (unsigned long long)limit.rlim_cur);
}

static int check_descriptors(struct log *log)
{
	int fd[DESCRIPTORS], n = 0, err = 0;

	for (; n < DESCRIPTORS; n++) {
		fd[n] = n ? fcntl(fd[0], F_DUPFD_CLOEXEC, 0) : eventfd(0, EFD_CLOEXEC);
		if (fd[n] < 0)
			break;
	}
	if (n < DESCRIPTORS)
		err = -errno;
	while (n--)
		close(fd[n]);
	if (err == -EMFILE || err == -ENFILE || err == -EINVAL) /* F_DUPFD beyond the limit */
		return few_descriptors(log, err == -ENFILE ? err : -EMFILE);
	return err ? fail(log, err, "opening descriptors: %s", strerror(-err)) : 0;
}

static int no_memory(struct log *log)
{
	return fail(log, -ENOMEM, "out of memory");
}

/* Address space that loading takes for a while. */
static int check_memory(struct log *log, size_t btf_size, uint32_t ring_bytes)
{
	size_t size = HEADROOM + 3 * btf_size + 2 * (size_t)ring_bytes;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return fail(log, -ENOMEM,
			    "out of memory: opening takes %zu MiB of address space for a moment; "
			    "RLIMIT_AS and RLIMIT_DATA (ulimit -v, ulimit -d) limit it",
			    size >> 20);
	munmap(p, size);
	return 0;
}

/* ---- mounts, types --------------------------------------------------------------------------- */

static int check_mounts(struct log *log)
{
	char line[4096];
	bool found = false;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	if (!f && errno == ENOMEM)
		return no_memory(log);
	if (!f)
		return fail(log, -EOPNOTSUPP, "/proc is not mounted");
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, " - cgroup2 ");
	fclose(f);
	if (!found)
		return fail(log, -EOPNOTSUPP,
			    "no cgroup v2 hierarchy is mounted: boot with "
			    "systemd.unified_cgroup_hierarchy=1, or mount one beside v1: "
			    "mount -t cgroup2 none /sys/fs/cgroup/unified");
	return 0;
}

/* Bytes behind struct btf_type; SIZE_MAX: a kind that is newer than this. */
static size_t type_tail(const struct btf_type *t)
{
	size_t n = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return n * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return n * sizeof(struct btf_enum);
	case BTF_KIND_ENUM64:
		return n * sizeof(struct btf_enum64);
	case BTF_KIND_FUNC_PROTO:
		return n * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return n * sizeof(struct btf_var_secinfo);
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	default:
		return SIZE_MAX;
	}
}

/* libbpf would print its complaint about types that are cut off. */
static bool types_are_whole(const char *data, size_t size)
{
	const struct btf_header *h = (const void *)data;
	size_t at = 0;

	if (size < sizeof(*h) || h->magic != BTF_MAGIC || h->hdr_len < sizeof(*h) ||
	    (size_t)h->hdr_len + h->str_off + h->str_len > size ||
	    (size_t)h->hdr_len + h->type_off + h->type_len > size)
		return false;
	data += h->hdr_len + h->type_off;
	while (at < h->type_len) {
		const struct btf_type *t = (const void *)(data + at);
		size_t tail;

		if (h->type_len - at < sizeof(*t))
			return false;
		tail = type_tail(t);
		if (tail == SIZE_MAX)
			return true; /* libbpf may know it, and else is silent */
		if (h->type_len - at - sizeof(*t) < tail)
			return false;
		at += sizeof(*t) + tail;
	}
	return true;
}

struct types {
	/* What the tracing programs are for; 0: is not there. */
	uint32_t storages, files, tracepoint;
	bool uprobe_sessions;
};

static uint32_t type_id(const struct btf *btf, const char *name, uint32_t kind)
{
	int id = btf__find_by_name_kind(btf, name, kind);

	return id > 0 ? (uint32_t)id : 0;
}

static bool has_uprobe_sessions(const struct btf *btf)
{
	const struct btf_type *t =
		btf__type_by_id(btf, type_id(btf, "bpf_attach_type", BTF_KIND_ENUM));

	for (int i = 0; i < btf_vlen(t); i++)
		if (btf_enum(t)[i].val == UPROBE_SESSION)
			return !strcmp(btf__name_by_offset(btf, btf_enum(t)[i].name_off),
				       "BPF_TRACE_UPROBE_SESSION");
	return false;
}

static int check_types(struct log *log, uint32_t ring_bytes, struct types *ret)
{
	int fd = open(btf_path, O_RDONLY | O_CLOEXEC), id, err;
	struct btf *btf = NULL;
	struct stat st;
	ssize_t n = 0;
	size_t size;
	char *data;

	if (fd < 0 || fstat(fd, &st)) {
		if (fd >= 0)
			close(fd);
		return fail(log, -EOPNOTSUPP,
			    "%s cannot be read: the kernel needs CONFIG_DEBUG_INFO_BTF=y (every "
			    "current distribution has it) and /sys must be mounted",
			    btf_path);
	}
	err = check_memory(log, (size_t)st.st_size, ring_bytes);
	if (err) {
		close(fd);
		return err;
	}
	size = (size_t)st.st_size;
	data = malloc(size + 1);
	while (data && (n = read(fd, data + size - st.st_size, (size_t)st.st_size)) > 0)
		st.st_size -= n;
	close(fd);
	if (!data)
		return no_memory(log);
	size -= (size_t)st.st_size;
	errno = 0;
	if (types_are_whole(data, size))
		btf = btf__new(data, (uint32_t)size);
	free(data);
	if (!btf && errno == ENOMEM)
		return no_memory(log);
	id = btf ? btf__find_by_name_kind(btf, "sock", BTF_KIND_STRUCT) : -1;
	if (id > 0) {
		ret->storages = type_id(btf, "bpf_iter_bpf_sk_storage_map", BTF_KIND_FUNC);
		ret->files = type_id(btf, "bpf_iter_task_file", BTF_KIND_FUNC);
		ret->tracepoint = type_id(btf, "btf_trace_tcp_rcv_space_adjust", BTF_KIND_TYPEDEF);
		ret->uprobe_sessions = has_uprobe_sessions(btf);
		id = 1;
	}
	btf__free(btf);
	if (id > 0)
		return 0;
	return fail(
		log, -EOPNOTSUPP,
		"%s %s: the kernel needs CONFIG_DEBUG_INFO_BTF=y, and a container the host's /sys",
		btf_path, size ? "has no BTF of a kernel" : "is empty");
}

/* ---- bpf(2) ---------------------------------------------------------------------------------- */

/* By the system call itself: libbpf would try again, and change limits. */
static int sys_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long fd = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

/* A program that does what it must, and no more. */
static int load(enum bpf_prog_type type, enum bpf_attach_type attach, uint32_t btf_id, int returns)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = returns},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {0};

	attr.prog_type = type;
	attr.expected_attach_type = attach;
	attr.attach_btf_id = btf_id;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = 2;
	attr.license = (uintptr_t) "Dual BSD/GPL";
	return sys_bpf(BPF_PROG_LOAD, &attr);
}

static int load_btf(void)
{
	/* The smallest that the kernel takes: one integer. */
	const struct {
		struct btf_header h;
		struct btf_type t;
		uint32_t bits;
		char str[8];
	} btf = {{BTF_MAGIC, BTF_VERSION, 0, sizeof(struct btf_header), 0, 16, 16, 5},
		 {.name_off = 1, .info = BTF_KIND_INT << 24, .size = 4},
		 32,
		 "\0int"};
	union bpf_attr attr = {0};

	attr.btf = (uintptr_t)&btf;
	attr.btf_size = offsetof(__typeof__(btf), str) + 5;
	return sys_bpf(BPF_BTF_LOAD, &attr);
}

static int create(enum bpf_map_type type, uint32_t value_size, uint32_t entries)
{
	union bpf_attr attr = {0};

	attr.map_type = type;
	attr.key_size = value_size ? 4 : 0;
	attr.value_size = value_size;
	attr.max_entries = entries;
	return sys_bpf(BPF_MAP_CREATE, &attr);
}

/* Whether the command reaches the kernel, which finds that -1 is no descriptor. */
static int reach(enum bpf_cmd cmd)
{
	union bpf_attr attr = {0};
	int err;

	attr.map_fd = (uint32_t)-1;
	err = sys_bpf(cmd, &attr);
	return err == -ENOSYS || err == -EPERM ? err : 0;
}

int kernel_refused(struct log *log, int err)
{
	if (err == -EPERM)
		return fail(log, err,
			    "the kernel refused to load the BPF programs: a capability is missing "
			    "in this user namespace, or a security module or a seccomp profile "
			    "forbids it");
	if (err == -ENOSYS)
		return fail(log, -EOPNOTSUPP,
			    "bpf(2) is not there (ENOSYS): the kernel needs CONFIG_BPF_SYSCALL=y, "
			    "and a seccomp profile must let it through");
	if (err == -EMFILE || err == -ENFILE)
		return few_descriptors(log, err);
	if (err == -ENOMEM)
		return fail(log, err, "out of memory for the BPF programs and maps");
	return fail(log, -EOPNOTSUPP,
		    "the kernel does not take BPF programs on cgroups (%s): Linux 5.15 or later "
		    "with CONFIG_CGROUP_BPF=y is needed",
		    strerror(-err));
}

static int check_bpf(struct log *log, uint32_t ring_bytes)
{
	static const enum bpf_cmd commands[] = {
		BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM,    BPF_MAP_DELETE_ELEM,    BPF_MAP_FREEZE,
		BPF_LINK_CREATE,     BPF_OBJ_GET_INFO_BY_FD, BPF_RAW_TRACEPOINT_OPEN};
	int err = load(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, 0, 1);

	if (!err)
		err = load(BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE, 0, 1);
	if (!err)
		err = load_btf();
	if (!err)
		err = create(BPF_MAP_TYPE_ARRAY, 4, 1);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && !err; i++)
		err = reach(commands[i]);
	if (err)
		return kernel_refused(log, err);
	err = create(BPF_MAP_TYPE_RINGBUF, 0, 4096);
	if (!err)
		err = create(BPF_MAP_TYPE_ARRAY, 4096, ring_bytes / 4096);
	if (err == -ENOMEM)
		return fail(log, err,
			    "out of memory for a ring of %u bytes: a smaller ring_bytes, or a "
			    "higher limit of this process's memory cgroup",
			    ring_bytes);
	if (err == -EPERM)
		return fail(log, -EOPNOTSUPP,
			    "the kernel did not accept a ring of %u bytes, which counts against "
			    "RLIMIT_MEMLOCK before Linux 5.11: Linux 5.15 or later is needed",
			    ring_bytes);
	return err ? kernel_refused(log, err) : 0;
}

static bool can_trace(enum bpf_attach_type attach, uint32_t btf_id)
{
	return btf_id && !load(BPF_PROG_TYPE_TRACING, attach, btf_id, 0);
}

int kernel_check(struct log *log, uint32_t ring_bytes, int *with)
{
	struct types types = {0};
	int err = check_descriptors(log);

	if (!err)
		err = check_mounts(log);
	if (!err)
		err = check_types(log, ring_bytes, &types);
	if (!err)
		err = check_bpf(log, ring_bytes);
	if (err)
		return err;
	if (!can_trace(BPF_TRACE_ITER, types.storages))
		*with = (*with & ~WITH_SWEEP) |
			(can_trace(BPF_TRACE_ITER, types.files) ? WITH_SWEEP_FILES : 0);
	if (!can_trace(BPF_TRACE_RAW_TP, types.tracepoint))
		*with &= ~(WITH_IDENTITY | WITH_GOROUTINES);
	if (load(BPF_PROG_TYPE_KPROBE, (enum bpf_attach_type)0, 0, 0))
		*with &= ~(WITH_GOROUTINES | WITH_TLS);
	if (!types.uprobe_sessions)
		*with &= ~WITH_UPROBE_SESSIONS;
	return 0;
}
