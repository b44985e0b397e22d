/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon capabilities: what the running kernel gives. */
#include <argp.h>
#include <err.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include <appmon/appmon.h>

#include "commands.h"
#include "json.h"
#include "names.h"

static const struct argp_option argp_options[] = {
	{"json", 'j', NULL, 0, "One JSON object", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	bool *json = state->input;

	(void)arg;
	if (key != 'j')
		return ARGP_ERR_UNKNOWN;
	*json = true;
	return 0;
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.doc = "Loads the library's programs and says what the running kernel supports.\v"
	       "Exit status: 0, 1 if the kernel lacks what is needed at least, 2 for wrong usage.",
};

static int query(uint64_t *ret_supported)
{
	struct appmon_capabilities capabilities = {.size = sizeof(capabilities)};
	char text[512] = "";
	struct appmon_opts opts = {.size = sizeof(opts),
				   .flags = APPMON_OPEN_IDENTITY | APPMON_OPEN_GOROUTINES |
					    APPMON_OPEN_TLS,
				   .error_text = text,
				   .error_text_size = sizeof(text)};
	struct appmon *mon;
	int ret;

	ret = appmon_open(&mon, &opts);
	if (ret < 0) {
		warnx("%s", text[0] != '\0' ? text : appmon_strerror(ret));
		return ret;
	}
	ret = appmon_get_capabilities(mon, &capabilities);
	if (ret < 0)
		warnx("%s", appmon_strerror(ret));
	else
		*ret_supported = capabilities.supported;
	appmon_close(mon);
	return ret;
}

static void print_json(const char *kernel, uint64_t supported)
{
	struct json_object *object = json_object_new_object();
	struct json_object *capabilities = json_object_new_object();

	for (const struct bit_name *name = capability_names; name->name; name++)
		json_object_object_add(capabilities, name->name,
				       json_object_new_boolean((supported & name->bit) != 0));
	json_object_object_add(object, "version", json_object_new_string(appmon_version_string()));
	json_object_object_add(object, "kernel", json_object_new_string(kernel));
	json_object_object_add(object, "capabilities", capabilities);
	json_write_line(stdout, object);
}

int command_capabilities(int argc, char **argv)
{
	struct utsname utsname;
	uint64_t supported;
	bool json = false;

	argp_parse(&argp, argc, argv, 0, NULL, &json);
	if (query(&supported) < 0)
		return EXIT_FAILURE;
	uname(&utsname);
	if (json) {
		print_json(utsname.release, supported);
		return EXIT_SUCCESS;
	}
	printf("libappmon %s on Linux %s\n", appmon_version_string(), utsname.release);
	for (const struct bit_name *name = capability_names; name->name; name++)
		printf("%-10s %-3s  %s\n", name->name, supported & name->bit ? "yes" : "no",
		       name->text);
	return EXIT_SUCCESS;
}
