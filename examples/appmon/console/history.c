/* SPDX-License-Identifier: BSD-2-Clause */
#include "history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buckets.h"

void history_init(struct history *history, size_t max_bytes, uint64_t now)
{
	*history = (struct history){.max_bytes = max_bytes, .start_ns = now};
}

/* ---- Subjects ---------------------------------------------------------------------- */

/* One that is looked for: its texts are borrowed. */
struct key {
	enum subject_kind kind;
	uint32_t role, protocol, outcome, ends;
	uint64_t instance;
	struct appmon_str texts[TEXTS];
};

static uint64_t hash_of(const struct key *key)
{
	uint64_t hash = 14695981039346656037U ^ key->instance ^ key->outcome; /* FNV-1a */

	for (int i = 0; i < TEXTS; i++) {
		for (uint32_t k = 0; k < key->texts[i].len; k++)
			hash = (hash ^ (unsigned char)key->texts[i].data[k]) * 1099511628211U;
		hash *= 1099511628211U;
	}
	return hash % HISTORY_HASHES;
}

static bool is_same(const struct subject *subject, const struct key *key)
{
	if (subject->kind != key->kind || subject->role != key->role ||
	    subject->protocol != key->protocol || subject->outcome != key->outcome ||
	    subject->ends != key->ends || subject->instance != key->instance)
		return false;
	for (int i = 0; i < TEXTS; i++) {
		const struct appmon_str *text = &key->texts[i];

		if (strncmp(subject->texts[i], text->data, text->len) != 0 ||
		    subject->texts[i][text->len] != '\0')
			return false;
	}
	return true;
}

/* Numbers are dense, so that a view can have an array of what it knows of each. */
static int take_number(struct history *history, uint32_t *ret)
{
	uint32_t *grown;

	if (history->free_count > 0) {
		*ret = history->free_numbers[--history->free_count];
		return 0;
	}
	/* Room for the day when all are free again. */
	grown = reallocarray(history->free_numbers, history->numbers + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	history->free_numbers = grown;
	*ret = history->numbers++;
	return 0;
}

static struct subject *make_subject(struct history *history, const struct key *key)
{
	struct subject *subject;
	size_t size = 0;
	char *to;

	for (int i = 0; i < TEXTS; i++)
		size += key->texts[i].len + 1;
	subject = calloc(1, sizeof(*subject) + size);
	if (!subject)
		return NULL;
	if (take_number(history, &subject->number) < 0) {
		free(subject);
		return NULL;
	}
	subject->kind = key->kind;
	subject->role = key->role;
	subject->protocol = key->protocol;
	subject->outcome = key->outcome;
	subject->ends = key->ends;
	subject->instance = key->instance;
	subject->size = (uint32_t)size;
	to = subject->text;
	for (int i = 0; i < TEXTS; i++) {
		subject->texts[i] = to;
		memcpy(to, key->texts[i].data, key->texts[i].len);
		to += key->texts[i].len + 1;
	}
	history->bytes += sizeof(*subject) + size;
	return subject;
}

/* Its caller uses it. NULL: no memory. */
static struct subject *use_subject(struct history *history, const struct key *key)
{
	struct subject **bucket = &history->subjects[hash_of(key)], *subject;

	for (subject = *bucket; subject; subject = subject->next) {
		if (is_same(subject, key)) {
			subject->users++;
			return subject;
		}
	}
	subject = make_subject(history, key);
	if (!subject)
		return NULL;
	subject->next = *bucket;
	subject->users = 1;
	*bucket = subject;
	return subject;
}

static void release_subject(struct history *history, struct subject *subject)
{
	struct key key = {.outcome = subject->outcome, .instance = subject->instance};
	struct subject **link;

	if (--subject->users > 0)
		return;
	for (int i = 0; i < TEXTS; i++)
		key.texts[i] = (struct appmon_str){.data = subject->texts[i],
						   .len = (uint32_t)strlen(subject->texts[i])};
	link = &history->subjects[hash_of(&key)];
	while (*link != subject)
		link = &(*link)->next;
	*link = subject->next;
	history->free_numbers[history->free_count++] = subject->number;
	history->bytes -= sizeof(*subject) + subject->size;
	free(subject);
}

/* ---- Steps ------------------------------------------------------------------------- */

static size_t size_of(const struct step *step)
{
	return sizeof(*step) + step->cell_count * sizeof(*step->cells) +
	       step->bucket_room * sizeof(*step->buckets) +
	       step->gauge_count * sizeof(*step->gauges) +
	       step->consumption_count * sizeof(*step->consumptions);
}

static void free_step(struct history *history, struct step *step)
{
	for (size_t i = 0; i < step->cell_count; i++)
		release_subject(history, step->cells[i].subject);
	for (size_t i = 0; i < step->gauge_count; i++)
		release_subject(history, step->gauges[i].subject);
	free(step->cells);
	free(step->buckets);
	free(step->gauges);
	free(step->consumptions);
	free(step);
}

static void drop_oldest(struct history *history)
{
	history->bytes -= size_of(history->steps[0]);
	free_step(history, history->steps[0]);
	history->count--;
	memmove(history->steps, history->steps + 1, history->count * sizeof(*history->steps));
}

static int put_bucket(struct step *step, uint32_t index, uint64_t count)
{
	while (count > 0) {
		uint64_t part = count < UINT16_MAX ? count : UINT16_MAX;
		struct bucket *grown;

		if (step->bucket_count == step->bucket_room) {
			size_t room = step->bucket_room ? 2 * step->bucket_room : 256;

			grown = reallocarray(step->buckets, room, sizeof(*grown));
			if (!grown)
				return -ENOMEM;
			step->buckets = grown;
			step->bucket_room = room;
		}
		step->buckets[step->bucket_count++] =
			(struct bucket){.index = (uint16_t)index, .count = (uint16_t)part};
		count -= part;
	}
	return 0;
}

static int put_durations(struct step *step, struct cell *cell,
			 const struct appmon_histogram *histogram)
{
	uint64_t least, greatest, count;
	uint32_t cursor = 0;
	int ret = 0;

	cell->bucket = (uint32_t)step->bucket_count;
	while (ret == 0 && appmon_histogram_next(histogram, &cursor, &least, &greatest, &count))
		ret = put_bucket(step, bucket_of(least), count);
	cell->bucket_count = (uint32_t)step->bucket_count - cell->bucket;
	return ret;
}

/* What the making of a step needs. */
struct making {
	struct history *history;
	struct step *step;
	const struct appmon_snapshot *snapshot;
	const struct addresses *addresses;
	const struct host_names *hosts;
	struct appmon_histogram *histogram;
};

/* A cell, unless no request came. */
static int put_cell(struct making *making, uint32_t kind, uint32_t index, const struct key *key)
{
	struct appmon_figures f = {.size = sizeof(f)};
	const struct appmon_snapshot *base = making->history->base;
	struct step *step = making->step;
	struct cell *cell = &step->cells[step->cell_count];
	int ret;

	ret = appmon_snapshot_figures(making->snapshot, kind, index, base, &f);
	if (ret < 0 || f.requests == 0)
		return ret;
	*cell = (struct cell){.requests = (uint32_t)f.requests,
			      .errors = (uint32_t)f.errors,
			      .duration_count = (uint32_t)f.duration_count,
			      .wait_count = (uint32_t)f.wait_count,
			      .service_count = (uint32_t)f.service_count,
			      .duration_sum = f.duration_sum,
			      .request_sum = f.request_sum,
			      .wait_sum = f.wait_sum,
			      .response_sum = f.response_sum,
			      .queue_sum = f.queue_sum,
			      .service_sum = f.service_sum};
	appmon_histogram_clear(making->histogram);
	ret = appmon_snapshot_durations(making->snapshot, kind, index, base, making->histogram);
	if (ret == 0)
		ret = put_durations(step, cell, making->histogram);
	if (ret < 0)
		return ret;
	cell->subject = use_subject(making->history, key);
	if (!cell->subject)
		return -ENOMEM;
	step->cell_count++;
	return 0;
}

/* A host's name, and a port. */
#define ENDPOINT_SIZE 264

/* As its Service is called, or "shop.example.com:80" as its clients call it, or "192.0.2.1:80". */
static void name_endpoint(const struct making *making, const struct appmon_endpoint *endpoint,
			  char buf[ENDPOINT_SIZE], struct appmon_str *ret)
{
	const char *name = addresses_find(making->addresses, endpoint);
	const struct address_name *host =
		making->hosts ? host_names_find(making->hosts, endpoint) : NULL;

	if (!name && host) {
		snprintf(buf, ENDPOINT_SIZE, "%s:%u", host->name, endpoint->port);
		name = buf;
	} else if (!name) {
		appmon_format_endpoint(endpoint, buf, ENDPOINT_SIZE);
		/* A client's port is of one connection only, and not kept. */
		if (endpoint->port == 0)
			*strrchr(buf, ':') = '\0';
		name = buf;
	}
	*ret = (struct appmon_str){.data = name, .len = (uint32_t)strlen(name)};
}

#define OTHER ((struct appmon_str){.data = "(other)", .len = 7})
#define CLIENTS ((struct appmon_str){.data = "(clients)", .len = 9})
#define EMPTY ((struct appmon_str){.data = ""})

static int put_series(struct making *making, uint32_t index)
{
	struct appmon_series series = {.size = sizeof(series)};
	struct key key = {.kind = SUBJECT_SERIES};
	char peer[ENDPOINT_SIZE];

	appmon_snapshot_series(making->snapshot, index, &series);
	key.role = series.role;
	key.protocol = series.protocol;
	key.outcome = series.outcome;
	key.instance = series.cgroup_id;
	key.ends = SUBJECT_APPLICATION_WATCHED;
	key.texts[TEXT_APPLICATION] = series.app.len > 0 ? series.app : OTHER;
	key.texts[TEXT_SYSTEM] = series.system;
	key.texts[TEXT_OPERATION] = series.system.len > 0 ? series.operation : series.method_name;
	key.texts[TEXT_ROUTE] = series.flags & APPMON_SERIES_OTHER ? OTHER : series.route;
	key.texts[TEXT_STATUS] = series.status_text;
	key.texts[TEXT_PEER] = series.peer_app;
	if (series.peer_app.len > 0)
		key.ends |= SUBJECT_PEER_WATCHED;
	else if (series.peer.family)
		name_endpoint(making, &series.peer, peer, &key.texts[TEXT_PEER]);
	return put_cell(making, APPMON_SNAPSHOT_SERIES, index, &key);
}

static void name_end(const struct making *making, const struct appmon_edge *edge, bool server,
		     struct key *key, char buf[ENDPOINT_SIZE])
{
	const struct appmon_str *app = server ? &edge->server_app : &edge->client_app;
	const struct appmon_endpoint *endpoint = server ? &edge->server : &edge->client;
	struct appmon_str *text = &key->texts[server ? TEXT_PEER : TEXT_APPLICATION];

	if (edge->flags & APPMON_SERIES_OTHER) {
		*text = OTHER;
	} else if (app->len > 0) {
		*text = *app;
		key->ends |= server ? SUBJECT_PEER_WATCHED : SUBJECT_APPLICATION_WATCHED;
	} else if (endpoint->family) {
		name_endpoint(making, endpoint, buf, text);
	} else {
		*text = CLIENTS;
	}
}

static int put_edge(struct making *making, uint32_t index)
{
	struct appmon_edge edge = {.size = sizeof(edge)};
	struct key key = {.kind = SUBJECT_EDGE};
	char client[ENDPOINT_SIZE], server[ENDPOINT_SIZE];

	appmon_snapshot_edge(making->snapshot, index, &edge);
	key.protocol = edge.protocol;
	key.texts[TEXT_SYSTEM] = key.texts[TEXT_OPERATION] = EMPTY;
	key.texts[TEXT_ROUTE] = key.texts[TEXT_STATUS] = EMPTY;
	name_end(making, &edge, false, &key, client);
	name_end(making, &edge, true, &key, server);
	return put_cell(making, APPMON_SNAPSHOT_EDGES, index, &key);
}

/* Those of several methods are one. */
static int put_active(struct making *making, uint32_t index)
{
	struct appmon_active active = {.size = sizeof(active)};
	struct key key = {.kind = SUBJECT_ACTIVE};
	struct step *step = making->step;
	struct subject *subject;
	struct gauge *gauge;

	appmon_snapshot_active(making->snapshot, index, &active);
	if (active.requests == 0)
		return 0;
	for (int i = 0; i < TEXTS; i++)
		key.texts[i] = EMPTY;
	key.role = active.role;
	key.instance = active.cgroup_id;
	key.texts[TEXT_APPLICATION] = active.app.len > 0 ? active.app : OTHER;
	subject = use_subject(making->history, &key);
	if (!subject)
		return -ENOMEM;
	for (gauge = step->gauges; gauge < step->gauges + step->gauge_count; gauge++) {
		if (gauge->subject == subject)
			break;
	}
	if (gauge == step->gauges + step->gauge_count) {
		*gauge = (struct gauge){.subject = subject};
		step->gauge_count++;
	} else {
		release_subject(making->history, subject);
	}
	gauge->requests += active.requests;
	if (active.oldest_ns != 0 && (gauge->oldest_ns == 0 || active.oldest_ns < gauge->oldest_ns))
		gauge->oldest_ns = active.oldest_ns;
	return 0;
}

/* Of the instance of a series, unless it is known already. */
static int put_consumption(struct making *making, struct instances *instances, uint32_t index)
{
	struct appmon_series series = {.size = sizeof(series)};
	struct consumption fresh = {.resources.size = sizeof(fresh.resources)}, *grown;
	struct step *step = making->step;

	appmon_snapshot_series(making->snapshot, index, &series);
	for (size_t i = 0; i < step->consumption_count; i++) {
		if (step->consumptions[i].instance == series.cgroup_id)
			return 0;
	}
	fresh.instance = series.cgroup_id;
	if (series.cgroup_id == 0 ||
	    instances_read_resources(instances, series.cgroup_id, &fresh.resources) < 0)
		return 0;
	grown = reallocarray(step->consumptions, step->consumption_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	step->consumptions = grown;
	grown[step->consumption_count++] = fresh;
	return 0;
}

static int fill_step(struct making *making, struct instances *instances)
{
	uint32_t series = appmon_snapshot_count(making->snapshot, APPMON_SNAPSHOT_SERIES);
	uint32_t edges = appmon_snapshot_count(making->snapshot, APPMON_SNAPSHOT_EDGES);
	uint32_t actives = appmon_snapshot_count(making->snapshot, APPMON_SNAPSHOT_ACTIVE);
	struct step *step = making->step;
	struct cell *shrunk;
	int ret = 0;

	step->cells = calloc(series + edges + 1, sizeof(*step->cells));
	step->gauges = calloc(actives + 1, sizeof(*step->gauges));
	if (!step->cells || !step->gauges)
		return -ENOMEM;
	for (uint32_t i = 0; ret == 0 && i < series; i++)
		ret = put_series(making, i);
	for (uint32_t i = 0; ret == 0 && i < edges; i++)
		ret = put_edge(making, i);
	for (uint32_t i = 0; ret == 0 && i < actives; i++)
		ret = put_active(making, i);
	if (step->consumed_ns == 0) {
		step->consumed_ns = step->end_ns;
		for (uint32_t i = 0; ret == 0 && i < series; i++)
			ret = put_consumption(making, instances, i);
	}
	/* Most series are idle, and the room for them is given back. */
	shrunk = reallocarray(step->cells, step->cell_count + 1, sizeof(*shrunk));
	if (shrunk)
		step->cells = shrunk;
	return ret;
}

uint64_t history_due_ns(const struct history *history)
{
	uint64_t begin = history->base ? appmon_snapshot_time(history->base) : history->start_ns;

	return begin + HISTORY_STEP_NS;
}

/* What was read a moment ago is good enough. */
static void take_consumptions(struct step *to, struct step *from)
{
	if (from->consumed_ns + CONSUMPTION_NS <= to->end_ns)
		return;
	to->consumptions = from->consumptions;
	to->consumption_count = from->consumption_count;
	to->consumed_ns = from->consumed_ns;
	from->consumptions = NULL;
	from->consumption_count = 0;
}

/* The one under way is made again from the beginning. */
static struct step *reopen(struct history *history, uint64_t now)
{
	struct step *step = calloc(1, sizeof(*step));
	uint64_t begin = history->base ? appmon_snapshot_time(history->base) : history->start_ns;

	if (!step)
		return NULL;
	step->begin_ns = begin;
	step->end_ns = now;
	if (history->count > 0 && history->steps[history->count - 1]->begin_ns == begin) {
		history->count--;
		history->bytes -= size_of(history->steps[history->count]);
		take_consumptions(step, history->steps[history->count]);
		free_step(history, history->steps[history->count]);
	} else if (history->count == HISTORY_STEPS) {
		drop_oldest(history);
	}
	history->steps[history->count++] = step;
	return step;
}

int history_update(struct history *history, struct appmon_snapshot *snapshot,
		   struct instances *instances, const struct addresses *addresses,
		   const struct host_names *hosts)
{
	uint64_t now = appmon_snapshot_time(snapshot);
	struct making making = {
		.history = history, .snapshot = snapshot, .addresses = addresses, .hosts = hosts};
	int ret;

	ret = appmon_histogram_new(&making.histogram);
	if (ret == 0)
		making.step = reopen(history, now);
	if (!making.step) {
		appmon_histogram_free(making.histogram);
		appmon_snapshot_free(snapshot);
		return -ENOMEM;
	}
	ret = fill_step(&making, instances);
	appmon_histogram_free(making.histogram);
	history->bytes += size_of(making.step);
	if (now >= history_due_ns(history)) {
		appmon_snapshot_free(history->base);
		history->base = snapshot;
	} else {
		appmon_snapshot_free(snapshot);
	}
	while (history->bytes > history->max_bytes && history->count > 1)
		drop_oldest(history);
	return ret;
}

bool history_is_cut(const struct history *history)
{
	return history->count > 0 && history->count < HISTORY_STEPS - 1 &&
	       history->steps[0]->begin_ns > history->start_ns;
}

void history_free(struct history *history)
{
	for (size_t i = 0; i < history->count; i++)
		free_step(history, history->steps[i]);
	appmon_snapshot_free(history->base);
	free(history->free_numbers);
	*history = (struct history){0};
}
