/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "views.h"

#define MAX_LISTED 100
/* Of one request. */
#define MAX_RELATED 256

static bool is_wanted(const struct view *view, const struct request *request,
		      const struct which *which, unsigned kept)
{
	const struct appmon_event *ev = request->event;

	if (!(request->kept & kept) || request->end_ns <= view->period.from_ns ||
	    request->end_ns > view->period.to_ns)
		return false;
	return !which ||
	       (ev->role == which->role && strcmp(ev->target_name.data, which->application) == 0);
}

static int slowest_first(const void *a, const void *b)
{
	const struct request *const *x = a, *const *y = b;
	uint64_t dx = (*x)->event->duration_ns, dy = (*y)->event->duration_ns;

	return (dx < dy) - (dx > dy);
}

static void put_request(FILE *out, const struct view *view, const struct request *request)
{
	const struct appmon_event *ev = request->event;
	uint64_t began_ns = ev->request_start_ns ? ev->request_start_ns : ev->response_start_ns;

	fprintf(out, "{\"number\":%" PRIu64 ",\"event\":", request->number);
	json_event(out, ev, appmon_realtime_ns(view->mon, began_ns));
	fputc('}', out);
}

static void put_requests(FILE *out, const struct view *view, const char *key,
			 const struct request **list, size_t count)
{
	fprintf(out, "\"%s\":[", key);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			fputc(',', out);
		put_request(out, view, list[i]);
	}
	fputc(']', out);
}

int view_requests(FILE *out, const struct view *view, const struct which *which, unsigned kept)
{
	const struct request **list, *request;
	size_t count = 0, room = 0;

	for (request = view->requests->last; request; request = request->previous)
		room += is_wanted(view, request, which, kept);
	list = calloc(room + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (request = view->requests->last; request; request = request->previous) {
		if (is_wanted(view, request, which, kept))
			list[count++] = request;
	}
	if (kept == KEPT_SLOW)
		qsort(list, count, sizeof(*list), slowest_first);
	fprintf(out, "{\"kept\":%zu,", count);
	put_requests(out, view, "requests", list, count < MAX_LISTED ? count : MAX_LISTED);
	fputs("}\n", out);
	free(list);
	return 0;
}

static bool is_in(const struct request *request, const struct request **list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i] == request)
			return true;
	}
	return false;
}

/* From cause to effect and back, until there are no more. */
static size_t find_related(const struct requests *requests, const struct request **list)
{
	size_t count = 1;

	for (size_t i = 0; i < count; i++) {
		for (const struct request *r = requests->last; r && count < MAX_RELATED;
		     r = r->previous) {
			if ((requests_is_effect(list[i]->event, r->event) ||
			     requests_is_effect(r->event, list[i]->event)) &&
			    !is_in(r, list, count))
				list[count++] = r;
		}
	}
	return count;
}

/* Its number among them, or 0. */
static uint64_t cause_in(const struct request *of, const struct request **list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (requests_is_effect(list[i]->event, of->event))
			return list[i]->number;
	}
	return 0;
}

int view_request(FILE *out, const struct view *view, uint64_t number)
{
	const struct request *list[MAX_RELATED] = {requests_find(view->requests, number)};
	size_t count;

	if (!list[0])
		return -ENOENT;
	count = find_related(view->requests, list);
	fprintf(out, "{\"number\":%" PRIu64 ",\"causes\":{", number);
	for (size_t i = 0, n = 0; i < count; i++) {
		uint64_t cause = cause_in(list[i], list, count);

		if (cause != 0)
			fprintf(out, "%s\"%" PRIu64 "\":%" PRIu64, n++ > 0 ? "," : "",
				list[i]->number, cause);
	}
	fputs("},", out);
	put_requests(out, view, "requests", list, count);
	fputs("}\n", out);
	return 0;
}
