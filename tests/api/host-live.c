/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In other people's processes: whatever a process or its container lacks, appmon_open() says what
 * it is, writes to no stream, and works once it is there. Needs root; exits 77 where it cannot run.
 */
#include <appmon/appmon.h>
#include <appmon/metrics.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "traffic.h"
#include "../unit/unit.h"

#define BTF "/sys/kernel/btf/vmlinux"
#define ALL_FLAGS (APPMON_OPEN_LINKS | APPMON_OPEN_GOROUTINES)

static char mount_point[PATH_MAX];

/* ---- one process that opens a handle -------------------------------------------- */

struct outcome {
	int err;	    /* of appmon_open() */
	int later;	    /* of a second one, after mend() */
	char text[512];	    /* error_text */
	char printed[4096]; /* on stderr and stdout */
};

/* NULL: no harm, no second try. */
struct process {
	void (*harm)(unsigned long arg);
	void (*mend)(void);
	unsigned long arg;
	struct appmon_opts opts;
};

static int open_once(const struct process *process, char text[512])
{
	struct appmon_opts opts = process->opts;
	struct appmon *mon = NULL;
	int err;

	opts.size = sizeof(opts);
	opts.error_text = text;
	opts.error_text_size = 512;
	err = appmon_open(&mon, &opts);
	if (!err)
		appmon_close(mon);
	return err;
}

static struct outcome open_in_child(const struct process *process)
{
	struct outcome *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int printed = memfd_create("printed", MFD_CLOEXEC), status = 1;
	struct outcome outcome;
	char text[512];
	pid_t pid;

	ck_assert_ptr_ne(shared, MAP_FAILED);
	ck_assert_int_ge(printed, 0);
	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		dup2(printed, STDOUT_FILENO);
		dup2(printed, STDERR_FILENO);
		if (process->harm)
			process->harm(process->arg);
		shared->err = open_once(process, shared->text);
		if (process->mend) {
			process->mend();
			shared->later = open_once(process, text);
		}
		fflush(NULL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "the process died: 0x%x", status);
	outcome = *shared;
	ck_assert_int_ge(pread(printed, outcome.printed, sizeof(outcome.printed) - 1, 0), 0);
	munmap(shared, sizeof(*shared));
	close(printed);
	return outcome;
}

static void silent(const struct outcome *outcome)
{
	ck_assert_msg(!outcome->printed[0], "printed: %s", outcome->printed);
}

static void says(const struct outcome *outcome, int err, const char *words)
{
	ck_assert_msg(outcome->err == err, "%d, not %d: %s", outcome->err, err, outcome->text);
	ck_assert_msg(strstr(outcome->text, words), "no \"%s\" in: %s", words, outcome->text);
	silent(outcome);
}

/* ---- descriptors ------------------------------------------------------------------- */

static void leave_descriptors(unsigned long n)
{
	struct rlimit limit = {n, 20000};

	closefrom(3);
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void enough_descriptors(void)
{
	struct rlimit limit = {1024, 20000};

	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Every count: either it opens or it says why not, and a failed try spoils no later one. */
static void few_descriptors(uint32_t flags)
{
	bool opened = false;

	for (unsigned long n = 3; n <= 60 && !opened; n++) {
		const struct process process = {.harm = leave_descriptors,
						.mend = n % 8 ? NULL : enough_descriptors,
						.arg = n,
						.opts.flags = flags};
		struct outcome outcome = open_in_child(&process);

		if (!outcome.err) {
			opened = true;
			silent(&outcome);
		} else {
			says(&outcome, -EMFILE, "descriptors");
			ck_assert_msg(strstr(outcome.text, "RLIMIT_NOFILE"), "%s", outcome.text);
		}
		ck_assert_msg(!outcome.later, "after %lu descriptors: %d", n, outcome.later);
	}
	ck_assert(opened);
}

START_TEST(descriptors)
{
	few_descriptors(0);
}
END_TEST

START_TEST(descriptors_of_all)
{
	few_descriptors(ALL_FLAGS);
}
END_TEST

/* ---- BTF ---------------------------------------------------------------------------- */

/* What the file has in place of the kernel's types. */
enum { BTF_EMPTY, BTF_TEXT, BTF_HEADER, BTF_CUT, BTF_ZEROS, BTF_NOISE, BTF_NO_TYPES, BTF_CASES };

static void away(const char *what)
{
	perror(what);
	_exit(2);
}

static void hide_btf(unsigned long kind)
{
	/* magic, version, flags, hdr_len, type_off, type_len, str_off, str_len */
	static const struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t hdr_len, type_off, type_len, str_off, str_len;
		char str[1];
	} no_types = {0xeb9f, 1, 0, 24, 0, 0, 0, 1, ""};
	static char own[8 << 20];
	char path[] = "/tmp/appmon-btf-XXXXXX";
	int in = open(BTF, O_RDONLY | O_CLOEXEC), fd = mkstemp(path);
	ssize_t size = 0, n;

	while ((n = read(in, own + size, sizeof(own) - (size_t)size)) > 0)
		size += n;
	if (kind == BTF_EMPTY)
		size = 0;
	else if (kind == BTF_TEXT)
		size = snprintf(own, sizeof(own), "there are no types here, however long it is\n");
	else if (kind == BTF_HEADER)
		size = 24;
	else if (kind == BTF_CUT)
		size /= 2;
	else if (kind == BTF_ZEROS)
		memset(own, 0, (size_t)size);
	else if (kind == BTF_NOISE)
		for (ssize_t i = 24; i < size; i++)
			own[i] = (char)(own[i] * 31 + i * 7);
	else if (kind == BTF_NO_TYPES)
		memcpy(own, &no_types, (size_t)(size = sizeof(no_types)));
	if (write(fd, own, (size_t)size) != size)
		away("write");
	close(fd);
	close(in);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount(path, BTF, NULL, MS_BIND, NULL))
		away("mount");
	unlink(path);
}

START_TEST(btf)
{
	const struct process process = {.harm = hide_btf, .arg = (unsigned long)_i};
	struct outcome outcome = open_in_child(&process);

	says(&outcome, -EOPNOTSUPP, BTF);
	ck_assert_msg(strstr(outcome.text, _i == BTF_EMPTY ? "is empty" : "has no BTF"), "%s",
		      outcome.text);
}
END_TEST

/* ---- /sys, /proc --------------------------------------------------------------------- */

static void hide_directory(unsigned long which)
{
	const char *const path = which == 0 ? "/sys" : which == 1 ? "/proc" : "/sys/fs/cgroup";

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    (which == 2 ? umount2(path, MNT_DETACH) : mount("none", path, "tmpfs", 0, NULL)))
		away(path);
}

START_TEST(no_directories)
{
	static const char *const words[] = {BTF " cannot be read", "/proc is not mounted",
					    "no cgroup v2 hierarchy is mounted"};
	const struct process process = {.harm = hide_directory, .arg = (unsigned long)_i};
	struct outcome outcome = open_in_child(&process);

	says(&outcome, -EOPNOTSUPP, words[_i]);
}
END_TEST

/* ---- bpf(2) is refused ------------------------------------------------------------------ */

/* The low half: the errno value; the high half: 1 + the only command that is refused, 0: all. */
static void refuse_bpf(unsigned long arg)
{
	uint32_t command = (uint32_t)(arg >> 16), err = (uint32_t)(arg & 0xffff);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | (command ? BPF_JEQ : BPF_JGE) | BPF_K, command ? command - 1 : 0,
			 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		away("seccomp");
}

START_TEST(bpf_refused)
{
	static const unsigned int commands[] = {0, BPF_MAP_CREATE + 1, BPF_PROG_LOAD + 1,
						BPF_BTF_LOAD + 1};
	unsigned int command = commands[_i / 2];
	int err = _i % 2 ? EPERM : ENOSYS;
	struct process process = {.harm = refuse_bpf,
				  .arg = command << 16 | (unsigned int)err,
				  .opts.flags = _i % 3 ? 0 : ALL_FLAGS};
	struct outcome outcome = open_in_child(&process);

	says(&outcome, err == EPERM ? -EPERM : -EOPNOTSUPP, "seccomp");
	ck_assert_msg(strstr(outcome.text, err == EPERM ? "refused" : "ENOSYS"), "%s",
		      outcome.text);
}
END_TEST

/* Capabilities of a namespace of one's own do not count. */
static void own_namespace(unsigned long arg)
{
	(void)arg;
	if (unshare(CLONE_NEWUSER))
		away("unshare");
}

START_TEST(user_namespace)
{
	const struct process process = {.harm = own_namespace};
	struct outcome outcome = open_in_child(&process);

	says(&outcome, -EPERM, "user namespace");
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------- */

static unsigned long address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (!f || fscanf(f, "%lu", &pages) != 1)
		away("statm");
	fclose(f);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

static void limit_address_space(unsigned long bytes)
{
	struct rlimit limit = {address_space() + bytes, RLIM_INFINITY};

	if (setrlimit(RLIMIT_AS, &limit))
		away("RLIMIT_AS");
}

static void enough_address_space(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_AS, &limit);
}

START_TEST(little_address_space)
{
	bool opened = false;

	for (unsigned long n = 0; n < 120 && !opened; n++) {
		const struct process process = {.harm = limit_address_space,
						.mend = n % 16 ? NULL : enough_address_space,
						.arg = n << 20};
		struct outcome outcome = open_in_child(&process);

		opened = !outcome.err;
		if (opened)
			silent(&outcome);
		else
			says(&outcome, -ENOMEM, "memory");
		ck_assert_int_eq(outcome.later, 0);
	}
	ck_assert(opened);
}
END_TEST

static void no_locked_memory(unsigned long arg)
{
	struct rlimit limit = {0, 0};

	(void)arg;
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

/* Since Linux 5.11 maps are not counted as locked memory. */
START_TEST(locked_memory)
{
	const struct process process = {.harm = no_locked_memory};
	struct outcome outcome = open_in_child(&process);

	ck_assert_msg(!outcome.err, "%s", outcome.text);
	silent(&outcome);
}
END_TEST

static char memory_cgroup[PATH_MAX];

static bool write_in(const char *dir, const char *file, const char *text)
{
	char path[2 * PATH_MAX];
	bool written;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	written = fd >= 0 && write(fd, text, strlen(text)) > 0;
	if (fd >= 0)
		close(fd);
	return written;
}

static void limit_memory(unsigned long bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", bytes);
	if (!write_in(memory_cgroup, "memory.max", text) &&
	    !write_in(memory_cgroup, "memory.limit_in_bytes", text))
		away("memory limit");
	if (!write_in(memory_cgroup, "cgroup.procs", "0"))
		away("cgroup.procs");
}

/* The ring is charged to the memory cgroup of the process. */
START_TEST(limited_memory)
{
	const struct process process = {
		.harm = limit_memory, .arg = 64 << 20, .opts.ring_bytes = 256 << 20};
	const bool hybrid = !access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK);
	struct outcome outcome;

	snprintf(memory_cgroup, sizeof(memory_cgroup), "%.4000s/appmon-host-%d",
		 hybrid ? "/sys/fs/cgroup/memory" : mount_point, (int)getpid());
	if (!hybrid)
		write_in(mount_point, "cgroup.subtree_control", "+memory");
	ck_assert_int_eq(mkdir(memory_cgroup, 0755), 0);
	outcome = open_in_child(&process);
	ck_assert_int_eq(rmdir(memory_cgroup), 0);
	says(&outcome, -ENOMEM, "memory cgroup");
}
END_TEST

/* ---- a host's habits --------------------------------------------------------------------- */

static bool descriptor_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Whatever a host writes to a standard stream that it has closed must not reach the library. */
START_TEST(closed_streams)
{
	int status = 1;
	pid_t pid = fork();

	if (!pid) {
		struct appmon_opts opts = {.size = sizeof(opts), .flags = ALL_FLAGS};
		struct appmon *mon;
		int err;

		close(0);
		close(1);
		close(2);
		err = appmon_open(&mon, &opts);
		if (!err)
			err = appmon_attach_cgroup(mon, mount_point, NULL, NULL);
		for (int fd = 0; fd < 3 && !err; fd++)
			err = descriptor_is_open(fd) ? 10 + fd : 0;
		_exit(err < 0 ? -err : err);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!status, "status 0x%x", status);
}
END_TEST

static unsigned int entries(const char *path)
{
	unsigned int n = 0;
	DIR *dir = opendir(path);

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Two at a time, over and over: as many descriptors and mappings as before. */
START_TEST(many_times)
{
	unsigned int before = 0;
	unsigned long space = 0;

	for (int i = 0; i < 50; i++) {
		struct appmon *one, *two;

		ck_assert_int_eq(appmon_open(&one, NULL), 0);
		if (i % 10 == 0) {
			ck_assert_int_eq(appmon_open(&two, NULL), 0);
			ck_assert_int_eq(appmon_attach_cgroup(two, mount_point, NULL, NULL), 0);
			ck_assert_int_eq(appmon_close(two), 0);
		}
		ck_assert_int_eq(appmon_close(one), 0);
		if (i == 10) {
			before = entries("/proc/self/fd");
			space = address_space();
		}
	}
	ck_assert_uint_eq(entries("/proc/self/fd"), before);
	ck_assert_uint_le(address_space(), space + (16 << 20));
}
END_TEST

/* ---- a cgroup namespace of its own, as a container has --------------------------------------- */

/* What is mounted in it, beside its own hierarchy at the usual place. */
enum { WHOLE, PARENT, SUBTREE, ONLY_OWN, NAMED, NAMESPACE_CASES };

#define EXPECT(expr)                                                                               \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static uint64_t inode(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

/* NULL: it has to be unknown. */
static bool is_at(struct appmon *mon, uint64_t id, const char *path)
{
	struct appmon_str found = {.data = ""};
	int err = appmon_find_cgroup(mon, id, &found);

	if (!err && path && !strcmp(found.data, path))
		return true;
	if (err == -ENOENT && !path)
		return true;
	fprintf(stderr, "%d: %s, not %s\n", err, found.data, path ? path : "unknown");
	return false;
}

/* base: "/NAME", the parent of both. */
static int contained(int kind, const char *base, const struct place *in, const struct place *out)
{
	char host[] = "/tmp/appmon-host-XXXXXX", path[PATH_MAX], own[PATH_MAX], other[PATH_MAX];
	struct appmon_resources used = {.size = sizeof(used)};
	uint64_t in_id = inode(in->path), out_id = inode(out->path);
	struct appmon_opts opts = {.size = sizeof(opts)};
	bool reaches = kind != ONLY_OWN;
	struct appmon *mon;

	place_enter(in);
	EXPECT(mkdtemp(host));
	snprintf(path, sizeof(path), "%s%s%s", mount_point,
		 kind == WHOLE || kind == NAMED ? "" : base, kind == SUBTREE ? "/out" : "");
	EXPECT(!unshare(CLONE_NEWCGROUP | CLONE_NEWNS));
	EXPECT(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (reaches)
		EXPECT(!mount(path, host, NULL, MS_BIND, NULL));
	EXPECT(!umount2(mount_point, MNT_DETACH));
	/* The container's own comes first in mountinfo. */
	EXPECT(!mount("none", mount_point, "cgroup2", 0, NULL));
	if (reaches) {
		char twin[] = "/tmp/appmon-host-XXXXXX";

		EXPECT(mkdtemp(twin));
		EXPECT(!mount(host, twin, NULL, MS_MOVE, NULL));
		rmdir(host);
		memcpy(host, twin, sizeof(host));
	}
	if (kind == NAMED)
		opts.cgroup_mount = host;
	EXPECT(!appmon_open(&mon, &opts));
	snprintf(own, sizeof(own), "%s%s", kind == PARENT ? "" : base, "/in");
	snprintf(other, sizeof(other), "%s%s", kind == PARENT ? "" : base, "/out");
	if (kind == SUBTREE) /* its name in the host's hierarchy ends so */
		strcpy(other, "/out");
	EXPECT(is_at(mon, in_id, kind == ONLY_OWN || kind == SUBTREE ? "/" : own));
	EXPECT(is_at(mon, out_id, reaches ? other : NULL));
	if (reaches) {
		EXPECT(appmon_cgroup_path(out_id, path, sizeof(path)) > 0);
		EXPECT(inode(path) == out_id);
		EXPECT(!appmon_read_resources(path, &used));
		EXPECT(used.valid & APPMON_RES_CPU);
		EXPECT(used.cpu_ns > 0);
		EXPECT(!appmon_attach_cgroup(mon, path, NULL, NULL));
	} else {
		EXPECT(appmon_cgroup_path(out_id, path, sizeof(path)) == -ENOENT);
	}
	EXPECT(!appmon_close(mon));
	opts.cgroup_mount = "/tmp";
	EXPECT(appmon_open(&mon, &opts) == -EINVAL);
	umount2(host, MNT_DETACH);
	rmdir(host);
	return 0;
}

START_TEST(cgroup_namespace)
{
	struct place base, in, out;
	char name[64];
	int status = 1;
	pid_t pid;

	snprintf(name, sizeof(name), "appmon-host-%d", (int)getpid());
	place_make(&base, mount_point, name);
	place_make(&in, base.path, "in");
	place_make(&out, base.path, "out");
	place_serve(&out);
	client_burst(&out, "/", 20);
	pid = fork();
	if (!pid)
		_exit(contained(_i, base.path + strlen(mount_point), &in, &out));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	place_remove(&out);
	rmdir(in.path);
	rmdir(base.path);
	ck_assert_msg(!status, "status 0x%x", status);
}
END_TEST

/* ---- main ---------------------------------------------------------------------------------- */

int main(void)
{
	TCase *tcase = tcase_create("live");

	if (!can_run(mount_point))
		return SKIPPED;
	tcase_add_test(tcase, descriptors);
	tcase_add_test(tcase, descriptors_of_all);
	tcase_add_loop_test(tcase, btf, 0, BTF_CASES);
	tcase_add_loop_test(tcase, no_directories, 0, 3);
	tcase_add_loop_test(tcase, bpf_refused, 0, 8);
	tcase_add_test(tcase, user_namespace);
	tcase_add_test(tcase, little_address_space);
	tcase_add_test(tcase, locked_memory);
	tcase_add_test(tcase, limited_memory);
	tcase_add_test(tcase, closed_streams);
	tcase_add_test(tcase, many_times);
	tcase_add_loop_test(tcase, cgroup_namespace, 0, NAMESPACE_CASES);
	return unit_run_case("host", tcase);
}
