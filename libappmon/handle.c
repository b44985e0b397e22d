/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open, poll, close. Everything happens inside the host's calls, on its thread.
 *
 * When to look into the ring: a wakeup from the kernel is dear for the application that causes
 * it, so there is at most one per quiet spell. After it the library looks by timer
 * (BATCH_NS) until a look finds nothing; only then it asks to be woken again. Ring, timer and
 * wakeups are in one epoll set, whose descriptor is what the host waits on.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "internal.h"
#include "recording.h"

#include "capture.skel.h"

#define BATCH_NS (2 * NSEC_PER_MSEC)
#define EXPIRE_EVERY_NS NSEC_PER_SEC
#define SWEEP_FIRST_NS (10 * NSEC_PER_MSEC)
#define SWEEP_LAST_NS NSEC_PER_SEC
#define TARGETS_EVERY_NS NSEC_PER_SEC
/* A poll gives the host its turn after so many records, whether or not they made events. */
#define RECORDS_PER_POLL 65536
#define EVENTS_PER_POLL 4096
/* appmon_next() looks after timers at least every so many records. */
#define RECORDS_PER_LOOK 1024

#define HEADERS_MAX 64
#define REQUEST_ID_HEADERS_MAX 8
#define REDACT_MAX 64

static const char *const default_headers[] = {"content-type", "user-agent", "x-request-id",
					      "traceparent",  "tracestate", "x-forwarded-for"};

int handle_check(struct appmon *mon)
{
	if (!mon)
		return -EINVAL;
	return *mon->alive ? 0 : -ECHILD;
}

/* ---- open ------------------------------------------------------------------- */

static int range(struct appmon *mon, const char *name, uint64_t value, uint64_t min, uint64_t max)
{
	if (value >= min && value <= max)
		return 0;
	return fail(&mon->log, -EINVAL, "%s is %llu, it must be %llu to %llu", name,
		    (unsigned long long)value, (unsigned long long)min, (unsigned long long)max);
}

static int take_opts(struct appmon *mon, const struct appmon_opts *user)
{
	struct appmon_opts *o = &mon->opts;
	int err = user ? opts_read(o, sizeof(*o), user) : 0;

	if (err)
		return fail(&mon->log, err, "appmon_opts.size is %u, this library knows %zu bytes",
			    user->size, sizeof(*o));
	mon->log.fn = o->log_fn;
	mon->log.ctx = o->log_ctx;
	mon->log.level = o->log_level ? o->log_level : APPMON_LOG_WARN;
	o->protocols = o->protocols ? o->protocols : 1U << APPMON_PROTO_HTTP1;
	o->memory_limit = o->memory_limit ? o->memory_limit : 64 << 20;
	o->ring_bytes = o->ring_bytes ? o->ring_bytes : 8 << 20;
	o->capture_bytes = o->capture_bytes ? o->capture_bytes : 4096;
	o->exchange_timeout_ms = o->exchange_timeout_ms ? o->exchange_timeout_ms : 300000;
	o->idle_timeout_ms = o->idle_timeout_ms ? o->idle_timeout_ms : 3600000;
	if (o->flags & ~(APPMON_OPEN_DROP_QUERY | APPMON_OPEN_IDENTITY | APPMON_OPEN_TRACE |
			 APPMON_OPEN_STREAM_HEADS | APPMON_OPEN_LINKS | APPMON_OPEN_GOROUTINES |
			 APPMON_OPEN_ONLY_REQUESTS | APPMON_OPEN_KEEP_SECRETS))
		return fail(&mon->log, -EINVAL, "unknown bits in appmon_opts.flags: 0x%x",
			    o->flags);
	if (o->protocols & ~(1U << APPMON_PROTO_HTTP1 | 1U << APPMON_PROTO_RESP))
		return fail(&mon->log, -EINVAL, "unknown bits in appmon_opts.protocols: 0x%x",
			    o->protocols);
	if (o->flags & APPMON_OPEN_GOROUTINES)
		o->flags |= APPMON_OPEN_LINKS;
	if (o->flags & APPMON_OPEN_LINKS)
		o->flags |= APPMON_OPEN_IDENTITY | APPMON_OPEN_TRACE;
	err = range(mon, "memory_limit", o->memory_limit, 64 << 10, UINT64_MAX);
	if (!err)
		err = range(mon, "ring_bytes", o->ring_bytes, 4096, 1 << 30);
	if (!err && (o->ring_bytes & (o->ring_bytes - 1)))
		err = fail(&mon->log, -EINVAL, "ring_bytes is %u, it must be a power of two",
			   o->ring_bytes);
	if (!err)
		err = range(mon, "capture_bytes", o->capture_bytes, 128, CAPTURE_MAX);
	if (!err)
		err = range(mon, "log_level", mon->log.level, APPMON_LOG_ERROR, APPMON_LOG_DEBUG);
	if (!err)
		err = range(mon, "header_count", o->header_count, 0, HEADERS_MAX);
	if (!err && o->header_count && !o->headers)
		err = fail(&mon->log, -EINVAL, "header_count is %u but headers is NULL",
			   o->header_count);
	if (!err)
		err = range(mon, "request_id_header_count", o->request_id_header_count, 0,
			    REQUEST_ID_HEADERS_MAX);
	if (!err && o->request_id_header_count && !o->request_id_headers)
		err = fail(&mon->log, -EINVAL,
			   "request_id_header_count is %u but request_id_headers is NULL",
			   o->request_id_header_count);
	if (!err)
		err = range(mon, "redact_name_count", o->redact_name_count, 0, REDACT_MAX);
	if (!err && o->redact_name_count && !o->redact_names)
		err = fail(&mon->log, -EINVAL, "redact_name_count is %u but redact_names is NULL",
			   o->redact_name_count);
	return err;
}

static int keep_cgroup_mount(struct appmon *mon)
{
	const char *path = mon->opts.cgroup_mount;
	struct statfs fs;

	if (!path)
		return 0;
	if (statfs(path, &fs))
		return fail(&mon->log, -errno, "cgroup_mount %s: %s", path, strerror(errno));
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return fail(&mon->log, -EINVAL, "cgroup_mount %s is not in a cgroup v2 hierarchy",
			    path);
	/* What the kernel says of a directory below has no symbolic links. */
	mon->cgroup_mount = realpath(path, NULL);
	return mon->cgroup_mount ? 0 : fail(&mon->log, -ENOMEM, "out of memory");
}

static int keep_header(struct appmon *mon, const char *name)
{
	char *copy = name ? strdup(name) : NULL;

	if (!copy)
		return fail(&mon->log, name ? -ENOMEM : -EINVAL,
			    name ? "out of memory" : "a header name is NULL");
	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	mon->names[mon->name_count++] = copy;
	if (!http1_keep_add(&mon->keep, copy))
		return fail(&mon->log, -EINVAL,
			    "\"%s\" is not a header name (RFC 9110 section 5.1)", name);
	return 0;
}

static int keep_trace_headers(struct appmon *mon)
{
	uint32_t own = mon->name_count;
	int err = 0;

	for (uint32_t i = 0; i < mon->opts.request_id_header_count && !err; i++)
		err = keep_header(mon, mon->opts.request_id_headers[i]);
	for (uint32_t i = 0; i < mon->keep.count; i++) {
		for (uint32_t k = own; k < mon->name_count; k++)
			if (!strcmp(mon->keep.name[i], mon->names[k]))
				mon->trace_fields[i] = TRACE_FIELD_REQUEST_ID;
	}
	for (const char *const *name = trace_field_names; *name && !err; name++)
		err = keep_header(mon, *name);
	for (uint32_t i = 0; i < mon->keep.count; i++)
		if (!mon->trace_fields[i])
			mon->trace_fields[i] = (uint8_t)trace_field_of(mon->keep.name[i]);
	return err;
}

static int keep_headers(struct appmon *mon)
{
	const size_t defaults = sizeof(default_headers) / sizeof(default_headers[0]);
	int err = 0;

	mon->names = calloc(HTTP1_KEEP_MAX, sizeof(*mon->names));
	mon->headers = calloc(2 * HTTP1_FIELDS_MAX, sizeof(*mon->headers));
	if (!mon->names || !mon->headers)
		return fail(&mon->log, -ENOMEM, "out of memory");
	for (size_t i = 0; i < defaults && !err; i++)
		err = keep_header(mon, default_headers[i]);
	for (uint32_t i = 0; i < mon->opts.header_count && !err; i++)
		err = keep_header(mon, mon->opts.headers[i]);
	if (!err && (mon->opts.flags & APPMON_OPEN_TRACE))
		err = keep_trace_headers(mon);
	return err;
}

static int keep_redacted(struct appmon *mon)
{
	struct redact *r = &mon->redact;

	r->name = calloc(REDACT_MAX, sizeof(*r->name));
	if (!r->name)
		return fail(&mon->log, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < mon->opts.redact_name_count; i++) {
		const char *name = mon->opts.redact_names[i];
		size_t len = name ? strlen(name) : 0;
		char *copy;

		if (!len || len > REDACT_NAME_MAX)
			return fail(
				&mon->log, -EINVAL,
				"a name in redact_names has %zu characters, it must have 1 to %d",
				len, REDACT_NAME_MAX);
		copy = strdup(name);
		if (!copy)
			return fail(&mon->log, -ENOMEM, "out of memory");
		for (char *p = copy; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		r->name[r->count++] = copy;
	}
	return 0;
}

static int watch(struct appmon *mon, int op, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl(mon->epoll_fd, op, fd, &ev) ? -errno : 0;
}

static int ring_fd(const struct appmon *mon)
{
	return bpf_map__fd(mon->skel->maps.ring);
}

/* A host that has closed its standard streams may open them again, in place of what is there. */
static int beside_streams(int fd)
{
	int moved;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return moved;
}

static int open_fds(struct appmon *mon)
{
	int err = 0;

	mon->epoll_fd = beside_streams(epoll_create1(EPOLL_CLOEXEC));
	mon->timer_fd = beside_streams(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	mon->wake_fd = beside_streams(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	mon->more_fd = beside_streams(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (mon->epoll_fd < 0 || mon->timer_fd < 0 || mon->wake_fd < 0 || mon->more_fd < 0)
		err = -errno;
	if (!err)
		err = watch(mon, EPOLL_CTL_ADD, mon->timer_fd, EPOLLIN);
	if (!err)
		err = watch(mon, EPOLL_CTL_ADD, mon->wake_fd, EPOLLIN);
	if (!err)
		err = watch(mon, EPOLL_CTL_ADD, mon->more_fd, EPOLLIN);
	if (!err && !mon->replay)
		err = watch(mon, EPOLL_CTL_ADD, ring_fd(mon), EPOLLIN | EPOLLONESHOT);
	if (err && mon->replay)
		return fail(&mon->log, err, "opening descriptors: %s", strerror(-err));
	if (err)
		return kernel_refused(mon, err);
	if (!mon->replay)
		mon->skel->bss->reader_waits = 1;
	return 0;
}

static int open_alive(struct appmon *mon)
{
	void *p = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return fail(&mon->log, -ENOMEM, "out of memory");
	mon->alive = p;
	*mon->alive = 1;
	madvise(p, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK); /* Linux 4.14 */
	return 0;
}

static void handle_free(struct appmon *mon)
{
	int fds[] = {mon->epoll_fd, mon->timer_fd, mon->wake_fd, mon->more_fd};

	recording_free(mon);
	flows_destroy(mon);
	lookups_free(mon);
	while (!list_empty(&mon->ready)) {
		struct exchange *ex = list_entry(mon->ready.next, struct exchange, link);

		list_remove(&ex->link);
		exchange_release(mon, ex);
	}
	event_forget(mon);
	links_destroy(mon);
	targets_free(mon);
	go_free(mon);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	programs_unload(mon);
	pool_destroy(&mon->pool);
	for (uint32_t i = 0; i < mon->name_count; i++)
		free(mon->names[i]);
	free(mon->names);
	free(mon->headers);
	free(mon->cgroup_mount);
	for (uint32_t i = 0; i < mon->redact.count; i++)
		free(mon->redact.name[i]);
	free(mon->redact.name);
	free(mon->arena.buf);
	if (mon->alive)
		munmap(mon->alive, (size_t)sysconf(_SC_PAGESIZE));
	free(mon);
}

/* replay_fd -1: the kernel is the source. */
static int open_handle(struct appmon **ret, int replay_fd, const struct appmon_opts *opts)
{
	struct appmon *mon;
	int err;

	if (!ret)
		return -EINVAL;
	mon = calloc(1, sizeof(*mon));
	if (!mon)
		return -ENOMEM;
	mon->epoll_fd = mon->timer_fd = mon->wake_fd = mon->more_fd = -1;
	list_init(&mon->ready);
	lookups_init(&mon->lookups);
	err = take_opts(mon, opts);
	if (!err)
		err = open_alive(mon);
	if (!err && replay_fd < 0)
		err = keep_cgroup_mount(mon);
	if (!err)
		err = keep_headers(mon);
	if (!err)
		err = keep_redacted(mon);
	if (!err) {
		mon->pool.limit = mon->opts.memory_limit;
		if (flows_init(mon) || ((mon->opts.flags & APPMON_OPEN_LINKS) && !links_init(mon)))
			err = fail(&mon->log, -ENOMEM, "out of memory");
	}
	if (!err)
		err = replay_fd < 0 ? programs_load(mon) : replay_open(mon, replay_fd);
	if (!err)
		err = open_fds(mon);
	if (err) {
		if (mon->opts.error_text && mon->opts.error_text_size) {
			size_t n = strnlen(mon->log.error, mon->opts.error_text_size - 1);

			memcpy(mon->opts.error_text, mon->log.error, n);
			mon->opts.error_text[n] = '\0';
		}
		handle_free(mon);
		return err;
	}
	sampling_init(mon);
	mon->now_ns = mon->read_ns = now_ns();
	mon->realtime_offset_ns = realtime_offset();
	*ret = mon;
	return 0;
}

int appmon_open(struct appmon **ret, const struct appmon_opts *opts)
{
	return open_handle(ret, -1, opts);
}

int appmon_open_replay(struct appmon **ret, int fd, const struct appmon_opts *opts)
{
	return fd < 0 ? -EBADF : open_handle(ret, fd, opts);
}

int appmon_close(struct appmon *mon)
{
	if (!mon)
		return 0;
	/* In a forked child *alive is 0: closing its copies of the descriptors detaches nothing. */
	if (*mon->alive && mon->in_callback)
		return fail(&mon->log, -EBUSY, "appmon_close() was called from inside a callback");
	handle_free(mon);
	return 0;
}

/* ---- the pipeline ---------------------------------------------------------------- */

void handle_record(struct appmon *mon, struct record *rec)
{
	/* A paced packet carries its planned departure, which can lie ahead. */
	if (rec->seg.ts_ns > mon->now_ns) {
		mon->now_ns = now_ns();
		if (rec->seg.ts_ns > mon->now_ns)
			rec->seg.ts_ns = mon->now_ns;
	}
	if (rec->seg.other_ts_ns > mon->now_ns)
		rec->seg.other_ts_ns = mon->now_ns;
	mon->stats.records++;
	recording_record(mon, rec);
	flow_record(mon, rec);
}

/* False: the ring has nothing at the moment. */
static bool consume_one(struct appmon *mon)
{
	struct record rec;
	const char *data;
	size_t size = 0;

	if (mon->replay)
		return replay_step(mon);
	data = ring_peek(&mon->ring, &size, &mon->ring_busy);
	if (!data)
		return false;
	/* A response may have its request in front of it. */
	for (size_t at = 0; at < size; at += rec.size) {
		if (record_decode(data + at, size - at, &rec)) {
			if (!mon->stats.records_bad++)
				log_line(&mon->log, APPMON_LOG_ERROR,
					 "a record of %zu bytes was not understood", size - at);
			break;
		}
		go_see_process(mon, &rec.owner.task);
		handle_record(mon, &rec);
		if (rec.seg.ts_ns > mon->read_ns)
			mon->read_ns = rec.seg.ts_ns;
	}
	ring_release(&mon->ring);
	mon->consumed++;
	return true;
}

bool handle_catch_up(struct appmon *mon)
{
	unsigned long until = ring_produced(&mon->ring);
	int patience = 1000;

	while ((long)(until - ring_consumed(&mon->ring)) > 0) {
		if (consume_one(mon))
			continue;
		/* One is being written, which takes a microsecond. */
		if (!mon->ring_busy || !patience--)
			return !mon->ring_busy;
		sched_yield();
	}
	return true;
}

/* Delivers up to max events. *stop: the callback asked to stop, or max was reached. */
static int deliver(struct appmon *mon, uint32_t max, bool *stop)
{
	uint32_t n = 0;

	*stop = false;
	while (!*stop && event_next(mon)) {
		int r;

		n++;
		mon->in_callback = true;
		r = mon->opts.event_fn(mon->opts.event_ctx, &mon->event);
		mon->in_callback = false;
		if (r < 0) {
			*stop = true;
			return r;
		}
		*stop = r > 0 || n == max;
	}
	return (int)n;
}

/* Events of push mode; in pull mode 1 if there is something to pull. */
static int run(struct appmon *mon, uint32_t max)
{
	uint32_t n = 0, records = 0;

	for (;;) {
		if (!mon->opts.event_fn) {
			if (!list_empty(&mon->ready))
				return 1;
		} else if (!list_empty(&mon->ready)) {
			bool stop;
			int r = deliver(mon, max - n, &stop);

			if (r < 0)
				return r;
			n += (uint32_t)r;
			if (stop)
				return (int)n;
		}
		if (records++ == RECORDS_PER_POLL || !consume_one(mon))
			return (int)n;
	}
}

/* ---- time --------------------------------------------------------------------------- */

static uint64_t expire_every_ns(const struct appmon *mon)
{
	uint64_t quarter = mon->opts.exchange_timeout_ms * NSEC_PER_MSEC / 4;

	return quarter < EXPIRE_EVERY_NS ? quarter : EXPIRE_EVERY_NS;
}

uint64_t handle_hold_ns(const struct appmon *mon)
{
	return expire_every_ns(mon);
}

static bool holding(const struct appmon *mon)
{
	return mon->sweep && mon->skel->bss->holding;
}

void handle_tell_held(struct appmon *mon)
{
	if (!holding(mon))
		return;
	mon->skel->bss->hold_ns = 0;
	programs_sweep(mon);
	handle_catch_up(mon);
	mon->skel->bss->hold_ns = handle_hold_ns(mon);
}

/* Requests that have waited for long are told without their response. */
static void sweep_held(struct appmon *mon)
{
	uint64_t every = handle_hold_ns(mon), took;

	if (!holding(mon) || mon->now_ns < mon->held_ns)
		return;
	mon->skel->bss->holding = 0;
	programs_sweep(mon);
	took = now_ns() - mon->now_ns;
	mon->now_ns += took;
	mon->held_ns = mon->now_ns + (every > 20 * took ? every : 20 * took);
}

static void sweep(struct appmon *mon)
{
	uint64_t took;
	int n;

	if (!mon->sweep || !mon->flows.awaiting)
		return;
	if (!mon->sweep_every_ns) {
		mon->sweep_every_ns = SWEEP_FIRST_NS;
		mon->sweep_ns = mon->now_ns + SWEEP_FIRST_NS;
	}
	if (mon->now_ns < mon->sweep_ns)
		return;
	n = 0;
	if (mon->skel->bss->held_back) {
		mon->skel->bss->held_back = 0;
		n = programs_sweep(mon);
	}
	took = now_ns() - mon->now_ns;
	mon->now_ns += took;
	/* Less and less often while it finds nothing, and never more than a twentieth of the time.
	 */
	if (n <= 0)
		mon->sweep_every_ns *= 2;
	if (mon->sweep_every_ns < 20 * took)
		mon->sweep_every_ns = 20 * took;
	if (mon->sweep_every_ns > SWEEP_LAST_NS)
		mon->sweep_every_ns = SWEEP_LAST_NS;
	mon->sweep_ns = mon->now_ns + mon->sweep_every_ns;
}

/* Follows steps of the wall clock, not its slewing: times of one run stay comparable. */
static void follow_clock(struct appmon *mon)
{
	uint64_t offset = realtime_offset();
	int64_t step = (int64_t)(offset - mon->realtime_offset_ns);

	if (step < (int64_t)NSEC_PER_SEC && step > -(int64_t)NSEC_PER_SEC)
		return;
	mon->realtime_offset_ns = offset;
	recording_number(mon, RECORDING_CLOCK, offset);
}

static void look_after(struct appmon *mon)
{
	size_t size;

	if (mon->replay)
		return;
	mon->now_ns = now_ns();
	sampling_control(mon);
	sweep_held(mon);
	sweep(mon);
	if (mon->now_ns >= mon->expire_ns) {
		follow_clock(mon);
		/* After a stall of the host what seems silent may have spoken in the ring. */
		if (!ring_peek(&mon->ring, &size, &mon->ring_busy) && !mon->ring_busy)
			mon->read_ns = mon->now_ns;
		recording_number(mon, RECORDING_EXPIRE, mon->read_ns);
		flows_expire(mon, mon->read_ns);
		mon->expire_ns = mon->now_ns + expire_every_ns(mon);
	}
	if (mon->targets_ns && mon->now_ns >= mon->targets_ns)
		mon->targets_ns = targets_look(mon) ? mon->now_ns + TARGETS_EVERY_NS : 0;
}

static void set_timer(struct appmon *mon, uint64_t at_ns)
{
	struct itimerspec its = {.it_value.tv_sec = (time_t)(at_ns / NSEC_PER_SEC),
				 .it_value.tv_nsec = (long)(at_ns % NSEC_PER_SEC)};

	if (mon->timer_ns == at_ns)
		return;
	timerfd_settime(mon->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
	mon->timer_ns = at_ns;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

void handle_look_after_targets(struct appmon *mon)
{
	if (mon->targets_ns)
		return;
	mon->targets_ns = now_ns() + TARGETS_EVERY_NS;
	/* The host may wait on the descriptor at once. */
	set_timer(mon, sooner(mon->timer_ns, mon->targets_ns));
}

/* Before the host waits: makes sure that whatever comes next makes the descriptor readable. */
static void settle(struct appmon *mon, bool more)
{
	uint64_t at = 0;

	if (more != mon->more) {
		eventfd_t count;

		if (more)
			eventfd_write(mon->more_fd, 1);
		else
			eventfd_read(mon->more_fd, &count);
		mon->more = more;
	}
	recording_flush(mon);
	if (mon->replay)
		return;
	if (mon->consumed || mon->ring_busy) {
		mon->consumed = 0;
		mon->batching = true;
		mon->batch_ns = mon->now_ns + BATCH_NS;
	} else if (mon->batching && mon->now_ns >= mon->batch_ns) {
		mon->batching = false;
		mon->skel->bss->reader_waits = 1;
		/* Against a record that came before the kernel could see that; epoll looks again.
		 */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		watch(mon, EPOLL_CTL_MOD, ring_fd(mon), EPOLLIN | EPOLLONESHOT);
	}
	if (mon->batching)
		at = mon->batch_ns;
	if (mon->flows.count || mon->flows.stray_count)
		at = sooner(at, mon->expire_ns);
	at = sooner(at, mon->targets_ns);
	if (mon->sampling.ppm < mon->sampling.most_ppm && !mon->sampling.paused)
		at = sooner(at, mon->sampling.look_ns);
	if (holding(mon))
		at = sooner(at, mon->held_ns);
	if (mon->flows.awaiting && mon->sweep)
		at = sooner(at, mon->sweep_every_ns ? mon->sweep_ns : mon->now_ns + SWEEP_FIRST_NS);
	set_timer(mon, at);
}

/* Waits for the descriptor and takes back what made it readable. 1: a wakeup was among it. */
static int wait_fd(struct appmon *mon, int timeout_ms)
{
	struct epoll_event ev[4];
	int n = epoll_wait(mon->epoll_fd, ev, 4, timeout_ms), woken = 0;

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		uint64_t count;

		if (ev[i].data.fd == mon->wake_fd) {
			woken = read(mon->wake_fd, &count, sizeof(count)) > 0;
		} else if (ev[i].data.fd == mon->timer_fd) {
			if (read(mon->timer_fd, &count, sizeof(count)) > 0)
				mon->timer_ns = 0;
		} else if (ev[i].data.fd != mon->more_fd) { /* the ring */
			mon->batching = true; /* one-shot: off until settle() asks again */
			mon->batch_ns = 0;
		}
	}
	return woken;
}

/* ---- calls ----------------------------------------------------------------------------- */

int appmon_poll(struct appmon *mon, int timeout_ms, uint32_t max_events)
{
	int err = handle_check(mon), wait_ms = 0;
	uint64_t until;

	if (err)
		return err;
	if (mon->in_callback)
		return fail(&mon->log, -EBUSY, "appmon_poll() was called from inside a callback");
	if (!max_events || max_events > INT32_MAX)
		max_events = EVENTS_PER_POLL;
	until = now_ns() + (timeout_ms > 0 ? (uint64_t)timeout_ms * NSEC_PER_MSEC : 0);
	for (;;) {
		int woken = wait_fd(mon, wait_ms), n;

		if (woken < 0)
			return woken;
		look_after(mon);
		woken |= mon->woken;
		mon->woken = false;
		n = run(mon, max_events);
		settle(mon, mon->replay || !list_empty(&mon->ready));
		if (n || woken)
			return n;
		if (mon->replay && replay_status(mon))
			return replay_status(mon);
		if (!timeout_ms)
			return n;
		if (timeout_ms > 0 && mon->now_ns >= until)
			return 0;
		/* Rounded up: else the last millisecond would be spent spinning. */
		wait_ms =
			timeout_ms < 0
				? -1
				: (int)((until - mon->now_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
	}
}

int appmon_next(struct appmon *mon, const struct appmon_event **ret)
{
	int err = handle_check(mon);

	if (err)
		return err;
	if (mon->in_callback)
		return fail(&mon->log, -EBUSY, "appmon_next() was called from inside a callback");
	if (!ret)
		return fail(&mon->log, -EINVAL, "appmon_next() needs a place for the event");
	if (mon->opts.event_fn)
		return fail(&mon->log, -EINVAL, "this handle delivers through its event_fn");
	/* Timers now and then only: a busy ring has the next event at once. */
	if (list_empty(&mon->ready) && (mon->consumed > RECORDS_PER_LOOK || !run(mon, 1))) {
		int woken = wait_fd(mon, 0);

		if (woken < 0)
			return woken;
		mon->woken |= woken;
		look_after(mon);
		run(mon, 1);
		settle(mon, !list_empty(&mon->ready));
	}
	if (!event_next(mon)) {
		settle(mon, mon->replay);
		return mon->replay ? replay_status(mon) : 0;
	}
	if (!mon->more)
		settle(mon, true);
	*ret = &mon->event;
	return 1;
}

int appmon_each_active(struct appmon *mon, appmon_event_fn fn, void *ctx)
{
	int err = handle_check(mon);

	if (err)
		return err;
	if (mon->in_callback)
		return fail(&mon->log, -EBUSY,
			    "appmon_each_active() was called from inside a callback");
	if (!fn)
		return fail(&mon->log, -EINVAL, "appmon_each_active() needs a function to tell");
	return events_active(mon, fn, ctx);
}

int appmon_fd(struct appmon *mon)
{
	int err = handle_check(mon);

	return err ? err : mon->epoll_fd;
}

int appmon_wakeup(struct appmon *mon)
{
	static const uint64_t one = 1;
	int err = handle_check(mon), saved = errno;

	if (err)
		return err;
	/* EAGAIN: so many are pending already. */
	if (write(mon->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		err = -errno;
	errno = saved;
	return err;
}

/* Bit of a member in appmon_stats.valid; dropped[] is one. */
#define STAT_BIT(member)                                                                           \
	(UINT64_C(1) << (((offsetof(struct appmon_stats, member) -                                 \
			   offsetof(struct appmon_stats, exchanges_seen)) /                        \
			  8) -                                                                     \
			 (offsetof(struct appmon_stats, member) >                                  \
					  offsetof(struct appmon_stats, dropped)                   \
				  ? APPMON_DROP_MAX - 1                                            \
				  : 0)))

int appmon_get_stats(struct appmon *mon, uint32_t target, struct appmon_stats *stats)
{
	const uint64_t handle_only = STAT_BIT(memory_bytes) | STAT_BIT(memory_limit);
	const uint64_t all = 2 * STAT_BIT(sampling_ppm) - 1;
	int err = handle_check(mon);
	struct appmon_stats s;
	struct target *t;

	if (err)
		return err;
	if (!stats)
		return fail(&mon->log, -EINVAL,
			    "appmon_get_stats() needs a place for the counters");
	if (target) {
		t = target_by_id(mon, target);
		if (!t)
			return fail(&mon->log, -ENOENT, "there is no target %u", target);
		s = t->stats;
		s.flags = t->removed ? APPMON_STATS_REMOVED : 0;
		s.valid = all & ~handle_only;
		programs_counters(mon, t->slot, &s);
	} else {
		s = mon->stats;
		s.valid = all;
		s.memory_bytes = mon->pool.held;
		s.memory_limit = mon->pool.limit;
		for (uint32_t slot = 0; slot < SLOTS; slot++) {
			if (!mon->target[slot])
				continue;
			programs_counters(mon, slot, &s);
			if (mon->target[slot]->removed)
				s.flags |= APPMON_STATS_REMOVED;
		}
	}
	s.sampling_ppm = mon->sampling.paused ? 0 : mon->sampling.ppm;
	err = opts_write(stats, &s, sizeof(s));
	return err ? fail(&mon->log, err, "appmon_stats.size is not set") : 0;
}

int appmon_get_capabilities(struct appmon *mon, struct appmon_capabilities *caps)
{
	struct appmon_capabilities c = {0};
	int err = handle_check(mon);

	if (err)
		return err;
	if (!caps)
		return fail(&mon->log, -EINVAL, "appmon_get_capabilities() needs a place to write");
	c.supported = mon->capabilities;
	err = opts_write(caps, &c, sizeof(c));
	return err ? fail(&mon->log, err, "appmon_capabilities.size is not set") : 0;
}

const char *appmon_last_error(struct appmon *mon)
{
	return mon ? mon->log.error : "there is no handle";
}
