/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the sources through the pipeline to the host, inside the host's calls.
 *
 * When to look into the ring: a wakeup from the kernel is dear for the application that causes
 * it, so there is at most one per quiet spell. After it the library looks by timer
 * (BATCH_NS) until a look finds no record; only then it asks to be woken again. Ring, timer and
 * wakeups are in one epoll set, whose descriptor is what the host waits on.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "host/host.h"

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

static uint64_t expire_every_ns(const struct appmon *mon)
{
	uint64_t quarter = mon->opts.exchange_timeout_ms * NSEC_PER_MSEC / 4;

	return quarter < EXPIRE_EVERY_NS ? quarter : EXPIRE_EVERY_NS;
}

static int watch(struct appmon *mon, int op, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl(mon->epoll_fd, op, fd, &ev) ? -errno : 0;
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

int loop_open(struct appmon *mon)
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
		err = watch(mon, EPOLL_CTL_ADD, capture_fd(&mon->cap), EPOLLIN);
	if (err && mon->replay)
		return fail(&mon->log, err, "opening descriptors: %s", strerror(-err));
	if (err)
		return kernel_refused(&mon->log, err);
	if (!mon->replay)
		capture_wait(&mon->cap);
	return 0;
}

void loop_close(struct appmon *mon)
{
	int fds[] = {mon->epoll_fd, mon->timer_fd, mon->wake_fd, mon->more_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* ---- the pipeline ---------------------------------------------------------------------------- */

static void take(struct appmon *mon, struct record *rec)
{
	/* A paced packet carries its planned departure, which can lie ahead. */
	if (rec->seg.ts_ns > mon->now_ns) {
		mon->now_ns = now_ns();
		if (rec->seg.ts_ns > mon->now_ns)
			rec->seg.ts_ns = mon->now_ns;
	}
	if (rec->seg.before.last_ts_ns > mon->now_ns)
		rec->seg.before.last_ts_ns = mon->now_ns;
	mon->pl.stats.records++;
	flow_record(&mon->flows, rec);
	/* It can begin at any time: who the connection is stands in each of its records. */
	recording_record(mon->recording, rec);
}

/* Of TLS. */
static bool is_hello(const struct record *rec)
{
	const uint32_t at = rec->framed ? sizeof(struct rec_piece) : 0;

	return !rec->process && !rec->called && rec->seg.captured > at + 1 &&
	       rec->bytes[at] == 0x16 && rec->bytes[at + 1] == 3;
}

static void take_from_ring(struct appmon *mon, struct record *rec)
{
	go_see_process(&mon->go, &rec->owner.task);
	if (mon->tls.file)
		tls_see_process(&mon->tls, &rec->owner.task, is_hello(rec));
	if (rec->process)
		return;
	take(mon, rec);
	if (mon->flows.records_pid && mon->tls.file) {
		tls_see_records(&mon->tls, mon->flows.records_pid);
		mon->flows.records_pid = 0;
	}
	if (rec->seg.ts_ns > mon->read_ns)
		mon->read_ns = rec->seg.ts_ns;
}

/* False: the rings have no record at the moment. */
static bool consume_one(struct appmon *mon)
{
	struct record rec;
	const char *data;
	size_t size = 0;

	if (mon->replay)
		return replay_step(mon);
	data = rings_peek(&mon->cap.rings, &size, &mon->ring_busy);
	if (!data)
		return false;
	if (record_decode(data, size, &rec)) {
		if (!mon->pl.stats.records_bad++)
			log_line(&mon->log, APPMON_LOG_ERROR,
				 "a record of %zu bytes was not understood", size);
	} else {
		take_from_ring(mon, &rec);
	}
	rings_release(&mon->cap.rings);
	mon->consumed++;
	return true;
}

bool loop_catch_up(struct appmon *mon)
{
	int patience = 1000;

	rings_mark(&mon->cap.rings);
	while (rings_behind(&mon->cap.rings)) {
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
	while (!*stop && event_next(&mon->pl)) {
		int r;

		n++;
		mon->in_callback = true;
		r = mon->opts.event_fn(mon->opts.event_ctx, &mon->pl.event);
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
			if (!list_empty(&mon->pl.ready))
				return 1;
		} else if (!list_empty(&mon->pl.ready)) {
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

/* ---- time ------------------------------------------------------------------------------------ */

/* Takes the records that wait in the sockets. Returns how many there were, or an error. */
static int sweep_all(struct appmon *mon)
{
	struct sweep sweep;
	struct record rec;
	int err = sweep_open(&sweep, &mon->cap), n = 0;

	if (err)
		return err;
	while (sweep_read(&sweep)) {
		/* The ring has the records of all bytes that the sweep reports: those first. */
		bool ready = loop_catch_up(mon);

		for (; sweep_next(&sweep, &rec, &err); n++) {
			if (err)
				mon->pl.stats.records_bad++;
			else if (ready)
				take(mon, &rec);
		}
	}
	return n;
}

static void sweep(struct appmon *mon)
{
	uint64_t took;
	int n;

	if (!mon->cap.sweep || !mon->flows.awaiting)
		return;
	if (mon->flows.look_soon || !mon->sweep_every_ns) {
		mon->flows.look_soon = false;
		mon->sweep_every_ns = SWEEP_FIRST_NS;
		mon->sweep_ns = mon->now_ns + SWEEP_FIRST_NS;
	}
	if (mon->now_ns < mon->sweep_ns)
		return;
	n = 0;
	if (capture_held_back(&mon->cap))
		n = sweep_all(mon);
	took = now_ns() - mon->now_ns;
	mon->now_ns += took;
	/* Less and less often while it finds no request, and at most a twentieth of the time. */
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
	recording_number(mon->recording, RECORDING_CLOCK, offset);
}

static void look_after(struct appmon *mon)
{
	size_t size;

	if (mon->replay)
		return;
	mon->now_ns = now_ns();
	budget_control(mon);
	sweep(mon);
	if (mon->now_ns >= mon->expire_ns) {
		follow_clock(mon);
		/* After a stall of the host what seems silent may have spoken in the ring. */
		if (!rings_peek(&mon->cap.rings, &size, &mon->ring_busy) && !mon->ring_busy)
			mon->read_ns = mon->now_ns;
		recording_number(mon->recording, RECORDING_EXPIRE, mon->read_ns);
		flows_expire(&mon->flows, mon->read_ns);
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

void loop_look_after_targets(struct appmon *mon)
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
	recording_flush(mon->recording);
	if (mon->replay)
		return;
	if (mon->consumed || mon->ring_busy) {
		mon->consumed = 0;
		mon->batching = true;
		mon->batch_ns = mon->now_ns + BATCH_NS;
	} else if (mon->batching && mon->now_ns >= mon->batch_ns) {
		mon->batching = !capture_wait(&mon->cap);
		mon->batch_ns = mon->now_ns + BATCH_NS;
	}
	if (mon->batching)
		at = mon->batch_ns;
	if (mon->flows.count || mon->flows.stray_count)
		at = sooner(at, mon->expire_ns);
	at = sooner(at, mon->targets_ns);
	if (mon->pl.sample.ppm < mon->budget.most_ppm && !mon->budget.paused)
		at = sooner(at, mon->budget.look_ns);
	if (mon->flows.awaiting && mon->cap.sweep)
		at = sooner(at, mon->sweep_every_ns && !mon->flows.look_soon
					? mon->sweep_ns
					: mon->now_ns + SWEEP_FIRST_NS);
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
		} else if (ev[i].data.fd != mon->more_fd) {
			capture_awake(&mon->cap);
			mon->batching = true;
			mon->batch_ns = 0;
		}
	}
	return woken;
}

/* ---- calls ----------------------------------------------------------------------------------- */

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
		settle(mon, mon->replay || !list_empty(&mon->pl.ready));
		if (n || woken)
			return n;
		if (mon->replay && mon->replay_end)
			return mon->replay_end;
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
	bool found;

	if (err)
		return err;
	if (mon->in_callback)
		return fail(&mon->log, -EBUSY, "appmon_next() was called from inside a callback");
	if (!ret)
		return fail(&mon->log, -EINVAL, "appmon_next() needs a place for the event");
	if (mon->opts.event_fn)
		return fail(&mon->log, -EINVAL, "this handle delivers through its event_fn");
	/* Timers now and then only: a busy ring has the next event at once. */
	if (list_empty(&mon->pl.ready) && (mon->consumed > RECORDS_PER_LOOK || !run(mon, 1))) {
		int woken = wait_fd(mon, 0);

		if (woken < 0)
			return woken;
		mon->woken |= woken;
		look_after(mon);
		run(mon, 1);
		settle(mon, !list_empty(&mon->pl.ready));
	}
	/* What the filter leaves out is passed over: as much as one poll takes. */
	while (!(found = event_next(&mon->pl)) && mon->consumed < RECORDS_PER_POLL && run(mon, 1))
		;
	if (!found) {
		settle(mon, mon->replay);
		return mon->replay ? mon->replay_end : 0;
	}
	if (!mon->more)
		settle(mon, true);
	*ret = &mon->pl.event;
	return 1;
}

int appmon_next_batch(struct appmon *mon, struct appmon_event **ret, uint32_t max)
{
	int err = handle_check(mon);
	uint32_t n = 0;

	if (err)
		return err;
	if (!ret)
		return fail(&mon->log, -EINVAL, "appmon_next_batch() needs a place for the events");
	if (max > INT32_MAX)
		max = INT32_MAX;
	for (; n < max; n++) {
		const struct appmon_event *ev;

		err = appmon_next(mon, &ev);
		if (err <= 0)
			break;
		err = appmon_event_copy(ev, &ret[n]);
		if (err) {
			event_lose(&mon->pl);
			fail(&mon->log, err, "out of memory");
			break;
		}
	}
	return n ? (int)n : err;
}

int appmon_set_filter(struct appmon *mon, const struct appmon_filter *filter)
{
	int err = handle_check(mon);

	return err ? err : filter_set(&mon->pl.filter, filter, &mon->log);
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
	mon->in_callback = mon->in_walk = true;
	err = flows_active(&mon->flows, fn, ctx);
	mon->in_callback = mon->in_walk = false;
	return err;
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
