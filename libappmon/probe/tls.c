/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS libraries: finds them among what the processes of the attached cgroups map, and attaches the
 * uprobes of bpf/tls-calls.h to each file once. A process is looked at when its cgroup is attached,
 * when it makes its first socket, and when it has sent a hello, for it may have loaded the library
 * meanwhile, and so ever more rarely with later hellos. No file is detached before the handle is
 * closed, for the kernel takes long for that, unless it was written to in place.
 *
 * A file is probed for whoever maps it. A probe for one process would keep the others free of traps, but
 * the kernel takes it out of the children that the process forks, and until the reader had put one into
 * each the first requests of a server's new worker would pass unseen.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "probe/probe.h"

/* TLS_FILES are remembered, most of them executables without such a library. */
#define ATTACHED_MAX 256
/* In a file: where it reads, and where it writes. */
#define PLACES (2 * TLS_SITES)
#define MAPS_LINES_MAX 65536
#define LIBRARIES_MAX 16

struct tls_file {
	struct file_id id;
	int link_fd[2 * PLACES]; /* the first links of them: at entries and returns */
	uint32_t links;		 /* 0: there is no plaintext to be had */
	uint32_t pad;
};

bool tls_programs_init(struct tls_programs *tls, struct log *log, struct pool *pool)
{
	const size_t size = TLS_FILES * sizeof(struct tls_file);

	tls->log = log;
	tls->pool = pool;
	tls->uprobe_type = uprobe_type();
	if (!pool_charge(tls->pool, size))
		return false;
	tls->file = calloc(1, size);
	return tls->file;
}

static void detach(struct tls_file *file)
{
	while (file->links)
		close(file->link_fd[--file->links]);
}

void tls_free(struct tls_programs *tls)
{
	for (uint32_t i = 0; i < tls->files; i++)
		detach(&tls->file[i]);
	while (tls->records)
		close(tls->record_fd[--tls->records]);
	free(tls->file);
	tls->file = NULL;
	tls->files = 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static size_t number_of(const struct tls_programs *tls, const struct tls_file *file)
{
	return (size_t)(file - tls->file);
}

static int add(struct tls_programs *tls, struct tls_file *file, int fd, int hook, uint64_t offset,
	       uint64_t cookie)
{
	int link = uprobe_attach(tls->uprobe_type, tls->program_fd[hook], fd, offset,
				 hook == TLS_HOOK_LEAVE, cookie, 0);

	if (link < 0)
		return link;
	file->link_fd[file->links++] = link;
	return 0;
}

/* Where calls are seen, each once. */
struct places {
	uint64_t offset[PLACES];
	uint64_t cookie[PLACES];
	uint32_t count;
};

static void add_places(struct places *places, size_t number, bool out, const struct tls_site *site,
		       const struct tls_randoms *r)
{
	for (int i = 0; i < TLS_SITES; i++) {
		if (site[i].call == TLS_CALL_NONE)
			continue;
		/* Where it must be trapped for the return, it is entered, too. */
		places->offset[places->count] = site[i].returns ? site[i].offset : site[i].begin;
		places->cookie[places->count++] =
			TLS_LAYOUT(out, site[i].call, r->holder, r->client, r->server) |
			LAYOUT_OF_FILE(number) | site[i].places;
	}
}

static int attach_library(struct tls_programs *tls, struct tls_file *file, int fd,
			  const struct tls_binary *b)
{
	const int session = tls->program_fd[TLS_HOOK_CALL];
	const size_t number = number_of(tls, file);
	struct places places = {.count = 0};
	int err = 0;

	add_places(&places, number, false, b->read, &b->randoms);
	add_places(&places, number, true, b->write, &b->randoms);
	if (session >= 0) {
		err = uprobe_attach_session(session, fd, places.offset, places.cookie,
					    places.count);
		if (err < 0)
			return err;
		file->link_fd[file->links++] = err;
		return 0;
	}
	for (uint32_t i = 0; i < places.count && !err; i++) {
		if (TLS_LAYOUT_CALL(places.cookie[i]) != TLS_CALL_COPY)
			err = add(tls, file, fd, TLS_HOOK_LEAVE, places.offset[i],
				  places.cookie[i]);
		if (!err)
			err = add(tls, file, fd, TLS_HOOK_ENTER, places.offset[i],
				  places.cookie[i]);
	}
	return err;
}

static int attach_go(struct tls_programs *tls, struct tls_file *file, int fd,
		     const struct go_tls *go)
{
	const uint64_t layout =
		GO_LAYOUT(go->goid, go->parent) | LAYOUT_OF_FILE(number_of(tls, file));
	int err = add(tls, file, fd, TLS_HOOK_GO_READ, go->read, layout);

	return err ? err : add(tls, file, fd, TLS_HOOK_GO_WRITE, go->write, layout);
}

/* -ENOEXEC: the file has no TLS library. */
static int find_and_attach(struct tls_programs *tls, struct tls_file *file, int fd,
			   const char **why)
{
	struct tls_binary binary;
	struct go_tls go;
	int err = tls_binary_read(fd, &binary, why);
	const bool library = err != -ENOEXEC;

	if (!library)
		err = go_tls_read(fd, &go, why);
	if (err == -ENOEXEC || err == -EOPNOTSUPP)
		return err;
	if (!err && tls->attached == ATTACHED_MAX)
		err = -ENOSPC;
	if (!err) {
		tls->since[number_of(tls, file)] = UINT64_MAX;
		err = library ? attach_library(tls, file, fd, &binary)
			      : attach_go(tls, file, fd, &go);
		tls->since[number_of(tls, file)] = now_ns();
	}
	*why = err == -ENOSPC ? "so many files are probed that no more are taken"
			      : uprobe_error(err);
	if (err)
		detach(file);
	return err;
}

/* A place, if need be that of a file that has no such library. There is one: see ATTACHED_MAX. */
static struct tls_file *make_room(struct tls_programs *tls)
{
	struct tls_file *file;

	if (tls->files < TLS_FILES)
		return &tls->file[tls->files++];
	do
		file = &tls->file[tls->turn++ % TLS_FILES];
	while (file->links);
	return file;
}

static void see_file(struct tls_programs *tls, int fd, const struct file_id *id)
{
	const char *why = "";
	char path[256] = "", link[32];
	struct tls_file *file = NULL;
	int err;

	for (uint32_t i = 0; i < tls->files; i++) {
		if (!memcmp(&tls->file[i].id, id, sizeof(*id)))
			return;
		if (file_same(&tls->file[i].id, id))
			file = &tls->file[i];
	}
	/* Written to, so its places may be others; or touched, and a second probe at a place would tell
	 * all twice. */
	if (file && file->links) {
		detach(file);
		tls->attached--;
	}
	if (!file)
		file = make_room(tls);
	memset(file, 0, sizeof(*file));
	file->id = *id;
	err = find_and_attach(tls, file, fd, &why);
	if (err == -ENOEXEC)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		path[0] = '\0';
	if (err) {
		tls->refused_files++;
		log_line(tls->log, APPMON_LOG_WARN, "the plaintext of TLS in %s is not read: %s%s",
			 path, why, err == -EOPNOTSUPP ? " is not understood" : "");
		return;
	}
	tls->attached++;
	log_line(tls->log, APPMON_LOG_INFO, "the plaintext of TLS in %s is read", path);
}

/* One process only: it stays there until the handle is closed, and costs a trap a write. */
static void attach_records(struct tls_programs *tls, uint32_t pid, int fd)
{
	struct tls_site site;
	int link;

	if (tls->records == RECORD_LINKS || !tls_record_site(fd, &site))
		return;
	link = uprobe_attach(tls->uprobe_type, tls->program_fd[TLS_HOOK_RECORD], fd, site.offset,
			     false, 0, pid);
	if (link < 0) {
		log_line(tls->log, APPMON_LOG_WARN, "records of process %u are not told: %s", pid,
			 uprobe_error(link));
		return;
	}
	tls->record_fd[tls->records++] = link;
	log_line(tls->log, APPMON_LOG_INFO,
		 "records of TLS are told of process %u, which has connections from before", pid);
}

/* ---- processes ------------------------------------------------------------------------------- */

/* Is this line the code of a file whose name has one of these in it? */
static bool maps_names(const char *line, const char *const *names, size_t count,
		       char ret_range[MAPS_RANGE_MAX])
{
	uint64_t from, to, inode;
	char executable;
	int path = 0;
	const char *name;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*c%*c%c%*c %*x %*x:%*x %" SCNu64 " %n", &from,
		   &to, &executable, &inode, &path) < 4 ||
	    executable != 'x' || !inode || !path || line[path] != '/')
		return false;
	name = strrchr(line + path, '/') + 1;
	for (size_t i = 0; i < count; i++)
		if (strstr(name, names[i])) {
			snprintf(ret_range, MAPS_RANGE_MAX, "%" PRIx64 "-%" PRIx64, from, to);
			return true;
		}
	return false;
}

bool tls_maps_line(const char *line, char ret_range[MAPS_RANGE_MAX])
{
	static const char *const names[] = {"libssl", "libgnutls", "libtcnative", "netty_tcnative"};

	return maps_names(line, names, sizeof(names) / sizeof(names[0]), ret_range);
}

/* Where BIO_write() can be. */
static bool is_crypto_line(const char *line, char ret_range[MAPS_RANGE_MAX])
{
	static const char *const names[] = {"libcrypto", "libtcnative", "netty_tcnative"};

	return maps_names(line, names, sizeof(names) / sizeof(names[0]), ret_range);
}

/* 0 or an error; a process that is gone, and a mapping that is, are none. */
static int see_mapping(struct tls_programs *tls, uint32_t pid, const char *range, bool records)
{
	char name[32 + MAPS_RANGE_MAX];
	struct file_id id;
	int fd;

	/* Right in any mount namespace, and if the file was replaced or deleted. */
	snprintf(name, sizeof(name), "/proc/%u/map_files/%s", pid, range);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	if (records)
		attach_records(tls, pid, fd);
	else if (!file_identify(fd, &id))
		see_file(tls, fd, &id);
	close(fd);
	return 0;
}

static int see_libraries(struct tls_programs *tls, uint32_t pid, bool records)
{
	char name[32], range[MAPS_RANGE_MAX], *line = NULL;
	uint32_t lines = 0, libraries = 0;
	size_t size = 0;
	int err = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%u/maps", pid);
	f = fopen(name, "re");
	if (!f)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	while (!err && libraries < LIBRARIES_MAX && lines++ < MAPS_LINES_MAX &&
	       getline(&line, &size, f) > 0) {
		if (!(records ? is_crypto_line : tls_maps_line)(line, range))
			continue;
		libraries++;
		err = see_mapping(tls, pid, range, records);
	}
	free(line);
	fclose(f);
	return err;
}

static int see_executable(struct tls_programs *tls, uint32_t pid)
{
	struct file_id id;
	int fd = executable_open(pid, &id);

	if (fd < 0)
		return fd == -ENOENT || fd == -ESRCH ? 0 : fd;
	see_file(tls, fd, &id);
	close(fd);
	return 0;
}

/* From now on its calls are told, and those of the processes that it starts. */
static void tell(struct tls_programs *tls, uint32_t pid, uint64_t start)
{
	struct tls_process process = {.since_ns = now_ns(), .start = start}, known;

	if (!bpf_map_lookup_elem(tls->processes_fd, &pid, &known) && known.start == start)
		return;
	bpf_map_update_elem(tls->processes_fd, &pid, &process, BPF_ANY);
	__atomic_fetch_add(tls->generation, 1, __ATOMIC_SEQ_CST);
}

static void see_process(struct tls_programs *tls, uint32_t pid, uint64_t start)
{
	int err = see_executable(tls, pid), library = see_libraries(tls, pid, false);

	tell(tls, pid, start);
	if (!err && !library)
		return;
	log_line(tls->log, tls->refused_processes++ ? APPMON_LOG_DEBUG : APPMON_LOG_WARN,
		 "which TLS library process %u has cannot be told: %s (opening what another user's "
		 "process maps needs CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, and CAP_SYS_ADMIN or "
		 "CAP_CHECKPOINT_RESTORE)",
		 pid, strerror(err ? -err : -library));
}

void tls_see_process(struct tls_programs *tls, const struct rec_task *task, bool hello)
{
	uint32_t hellos;
	bool looks;

	if (!task->pid)
		return;
	looks = seen_count(&tls->seen, task) == 1;
	if (hello) {
		/* The first one, the second, the fourth: it may load a library at any time. */
		hellos = seen_count(&tls->greeted, task);
		looks |= !(hellos & (hellos - 1));
	}
	if (looks)
		see_process(tls, task->pid, task->start_ns / TLS_START_NS);
}

/* When a process began, in the units of struct tls_process; 0: it is gone. */
static uint64_t start_of(uint32_t pid)
{
	char name[32], text[512], *at;
	uint64_t ticks = 0;
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "/proc/%u/stat", pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')'); /* of the name, which can have any other */
	for (int i = 0; at && i < 20; i++)
		at = strchr(at + 1, ' ');
	if (at)
		ticks = strtoull(at, NULL, 10);
	return ticks * (NSEC_PER_SEC / TLS_START_NS) / (uint64_t)sysconf(_SC_CLK_TCK);
}

static void see_each(void *ctx, uint32_t pid)
{
	uint64_t start = start_of(pid);

	if (start)
		see_process(ctx, pid, start);
}

void tls_see_records(struct tls_programs *tls, uint32_t pid)
{
	const struct rec_task task = {.pid = pid};
	struct file_id id;
	int fd;

	if (seen_count(&tls->recorded, &task) > 1)
		return;
	fd = executable_open(pid, &id);
	if (fd >= 0) {
		attach_records(tls, pid, fd);
		close(fd);
	}
	see_libraries(tls, pid, true);
}

void tls_see_cgroup(struct tls_programs *tls, int cgroup_fd)
{
	if (tls->file)
		each_process(cgroup_fd, see_each, tls);
}
