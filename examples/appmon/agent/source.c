/* SPDX-License-Identifier: BSD-2-Clause */
#include "source.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "../clock.h"
#include "../text.h"

#define FIRST_DELAY_NS NSEC_PER_SEC
#define MAX_DELAY_NS (30 * NSEC_PER_SEC)

uint64_t source_random(uint64_t bound)
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
		number = now_ns();
	return number % bound;
}

void source_schedule(struct source *source, uint64_t at_least_ns)
{
	uint64_t half = source->delay_ns / 2;
	uint64_t delay_ns = half > 0 ? half + source_random(half) : 0;

	if (delay_ns < at_least_ns)
		delay_ns = at_least_ns < MAX_DELAY_NS ? at_least_ns : MAX_DELAY_NS;
	source->due_ns = now_ns() + delay_ns;
	source->delay_ns = source->delay_ns > 0 ? 2 * source->delay_ns : FIRST_DELAY_NS;
	if (source->delay_ns > MAX_DELAY_NS)
		source->delay_ns = MAX_DELAY_NS;
}

int source_timeout_ms(const struct source *source, uint64_t now)
{
	return source->due_ns > now ? (int)((source->due_ns - now) / NSEC_PER_MSEC) + 1 : 0;
}

void source_works(struct source *source)
{
	if (source->told_down)
		fprintf(stderr, "appmon: %s answers again\n", source->what);
	source->told_down = false;
	source->up = true;
}

void source_fails(struct source *source, const char *error, const char *hint)
{
	source->failures++;
	source->up = false;
	if (source->told_down || source->quiet)
		return;
	source->told_down = true;
	fprintf(stderr, "appmon: %s: ", source->what);
	put_escaped(stderr, error, strlen(error), SIZE_MAX);
	fprintf(stderr, "%s; new names come when it answers\n", hint);
}
