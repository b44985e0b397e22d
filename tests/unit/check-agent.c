/* SPDX-License-Identifier: BSD-2-Clause */
/* The agent's configuration: globs, names, conditions, and what is told of mistakes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/config.h"
#include "agent/path-glob.h"
#include "trace-context.h"
#include "unit.h"

START_TEST(globs)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
	} cases[] = {
		{"/system.slice/nginx.service", "/system.slice/nginx.service", true},
		{"/system.slice/*.service", "/system.slice/nginx.service", true},
		{"/system.slice/*.service", "/system.slice/nginx.service/worker", false},
		{"/system.slice/*.service", "/system.slice/a/nginx.service", false},
		{"/*", "/system.slice", true},
		{"/*", "/", false},
		{"/", "/", true},
		{"/", "/a", false},
		{"**", "/", true},
		{"**", "/a/b/c", true},
		{"/a/**", "/a", true},
		{"/a/**", "/a/b/c", true},
		{"/a/**", "/ab", false},
		{"/**/pod*/*", "/kubepods.slice/burstable/pod1/c", true},
		{"/**/pod*/*", "/pod1/c", true},
		{"/**/pod*/*", "/kubepods.slice/burstable/pod1", false},
		{"/**/pod*/*", "/pod1/c/pod2/d", true},
		{"/**/pod*/*", "/pod1/c/pod2/d/e", false},
		{"/a/**/b/**/c", "/a/b/x/b/y/c", true},
		{"/a/**/b/**/c", "/a/x/y/c", false},
		{"/**/c", "/a/b/c", true},
		{"/**/c", "/a/c/b", false},
		{"/?[0-9].slice", "/a1.slice", true},
		{"/?[0-9].slice", "/ab.slice", false},
		/* A ** that is not a whole part is two *. */
		{"/a**c", "/abbc", true},
		{"/a**c", "/ab/bc", false},
		{"/a\\*", "/a*", true},
		{"/a\\*", "/ab", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(path_glob_matches(cases[i].pattern, cases[i].path) ==
				      cases[i].matches,
			      "%s and %s", cases[i].pattern, cases[i].path);
}
END_TEST

/* No such directory is there, so that no label is. */
#define TOP "/no/such/mount"
#define UID "8c52fb9d-0a0c-4e4b-bea2-8da0ed0870c5"
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *name_of(const char *template, const char *cgroup)
{
	const struct application_rule *by;
	static char name[APPLICATION_NAME_SIZE];
	struct application_rule rule = {.name = (char *)template};
	struct applications one = {.rules = &rule, .count = 1};
	struct application_input input = {.top = TOP};
	char path[512];

	snprintf(path, sizeof(path), TOP "%s", cgroup);
	input.path = path;
	return applications_decide(&one, &input, name, &by) == APPLICATION_WATCHED ? name : NULL;
}

START_TEST(names)
{
	ck_assert_str_eq(name_of("shop", "/a/b"), "shop");
	ck_assert_str_eq(name_of("{leaf}", "/a/b"), "b");
	ck_assert_str_eq(name_of("{parent}/{leaf}", "/a/b"), "a/b");
	ck_assert_ptr_null(name_of("{parent}", "/a"));
	ck_assert_ptr_null(name_of("{leaf}", "/"));
	ck_assert_str_eq(name_of("{unit}", "/system.slice/nginx.service"), "nginx");
	ck_assert_str_eq(name_of("{unit}", "/system.slice/nginx.service/worker/1"), "nginx");
	ck_assert_str_eq(name_of("{unit}", "/user.slice/session-2.scope"), "session-2");
	ck_assert_str_eq(name_of("{unit}", "/user@1.service/app.slice/x.service"), "x");
	ck_assert_ptr_null(name_of("{unit}", "/system.slice"));
	ck_assert_ptr_null(name_of("{unit}", "/.service"));
	ck_assert_str_eq(name_of("{container_id}", "/system.slice/docker-" ID ".scope"),
			 "0123456789ab");
	ck_assert_str_eq(name_of("c-{container_id}", "/kubepods/pod1/" ID), "c-0123456789ab");
	ck_assert_ptr_null(name_of("{container_id}", "/docker/0123456789ab"));
	ck_assert_ptr_null(name_of("{container_id}", "/" ID "/inner"));
	ck_assert_ptr_null(name_of("{label:app}", "/a"));
	/* It is no pod, or Kubernetes is not asked. */
	ck_assert_ptr_null(name_of("{pod_uid}", "/a"));
	ck_assert_ptr_null(name_of("{pod}", "/kubepods/pod" UID));
	ck_assert_str_eq(name_of("{pod_uid}", "/kubepods/pod" UID), UID);

	ck_assert(application_name_is_valid("x-{leaf}{unit}{parent}{container_id}{label:a.b}"));
	ck_assert(application_name_is_valid("{namespace}{pod}{pod_uid}{workload}{container}"
					    "{annotation:a.b/c}"));
	ck_assert(!application_name_is_valid("{annotation:}"));
	ck_assert(!application_name_is_valid("{leafs}"));
	ck_assert(!application_name_is_valid("{leaf"));
	ck_assert(!application_name_is_valid("{}"));
	ck_assert(!application_name_is_valid("{label:}"));
}
END_TEST

START_TEST(long_names_are_cut)
{
	char template[2 * APPLICATION_NAME_SIZE];

	memset(template, 'n', sizeof(template) - 1);
	template[sizeof(template) - 1] = '\0';
	ck_assert_uint_eq(strlen(name_of(template, "/a")), APPLICATION_NAME_SIZE - 1);
}
END_TEST

START_TEST(first_rule_wins)
{
	struct application_rule rules[] = {
		{.cgroup = "/system.slice/ssh*"}, /* ignored */
		{.cgroup = "/system.slice/*", .name = "{unit}"},
		{.cgroup = "/**", .name = "rest"},
	};
	static const struct {
		const char *path, *name;
		int rule;
	} cases[] = {
		{TOP "/system.slice/ssh.service", NULL, 0},
		{TOP "/system.slice/web.service", "web", 1},
		/* No unit: the rule does not match, the next one does. */
		{TOP "/system.slice/x", "rest", 2},
		{TOP, "rest", 2},
	};
	struct applications all = {.rules = rules, .count = 3};
	const struct application_rule *rule;
	char name[APPLICATION_NAME_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct application_input input = {.top = TOP, .path = cases[i].path};

		ck_assert_int_eq(applications_decide(&all, &input, name, &rule),
				 cases[i].name ? APPLICATION_WATCHED : APPLICATION_NONE);
		if (!cases[i].name)
			continue;
		ck_assert_str_eq(name, cases[i].name);
		ck_assert_ptr_eq(rule, &rules[cases[i].rule]);
	}
}
END_TEST

START_TEST(traceparents)
{
	/* The first two are those of the W3C recommendation. */
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
		{"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-will-be",
		 true},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", false},
		{"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what", false},
		{"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
		{"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
		{"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false},
		{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false},
		{"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false},
		{"", false},
	};
	char trace_id[33], parent_id[17];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct appmon_str str = {.data = cases[i].text,
					 .len = (uint32_t)strlen(cases[i].text)};

		ck_assert_msg((trace_context_parse(&str, trace_id, parent_id) == 0) ==
				      cases[i].valid,
			      "%s", cases[i].text);
	}
	trace_context_parse(&(struct appmon_str){.data = cases[0].text, .len = 55}, trace_id,
			    parent_id);
	ck_assert_str_eq(trace_id, "0af7651916cd43dd8448eb211c80319c");
	ck_assert_str_eq(parent_id, "b7ad6b7169203331");
}
END_TEST

/* ---- Files ------------------------------------------------------------------ */

static char file[] = "/tmp/check-agent-XXXXXX", said[4096];

/* Reads a configuration with what is said to stderr in said. */
static int read_text(struct config *config, const char *text)
{
	int fd = open(file, O_WRONLY | O_TRUNC), saved = dup(2), ret;
	FILE *capture = tmpfile();
	size_t len;

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	dup2(fileno(capture), 2);
	ret = config_read(config, file);
	dup2(saved, 2);
	close(saved);
	rewind(capture);
	len = fread(said, 1, sizeof(said) - 1, capture);
	said[len] = '\0';
	fclose(capture);
	return ret;
}

static void make_file(void)
{
	strcpy(file, "/tmp/check-agent-XXXXXX");
	close(mkstemp(file));
}

static void remove_file(void)
{
	unlink(file);
}

#define APPS                                                                                       \
	"applications:\n"                                                                          \
	"  - cgroup: /a\n"                                                                         \
	"    name: a\n"

START_TEST(whole)
{
	struct config config;

	ck_assert_int_eq(read_text(&config, "listen: '[::1]:9464'\n"
					    "otlp: {endpoint: 'http://c:4318', interval: 1m, "
					    "spans: 5%}\n"
					    "evaluate: 2s\n"
					    "kubernetes: {api: 'https://k:6443', node: n, "
					    "token_file: /t, ca_file: /c}\n"
					    "wait: 2s\n"
					    "applications:\n"
					    "  - label: {monitor: 'no'}\n"
					    "    ignore: true\n"
					    "  - cgroup: /a/*\n"
					    "    label: {app: '*', tier: web}\n"
					    "    name: '{label:app}'\n"
					    "  - annotation: {team: a*}\n"
					    "    namespace: shop\n"
					    "    name: '{workload}'\n"
					    "alerts:\n"
					    "  - name: slow\n"
					    "    clear: 100ms\n"
					    "    when: p99.9 > 250ms\n"
					    "    over: 30s\n"
					    "    for: 10s\n"
					    "    clear_for: 20s\n"
					    "    min_requests: 7\n"
					    "    role: client\n"
					    "    per: route\n"
					    "    application: 'a*'\n"
					    "    route: /x\n"
					    "    severity: page\n"
					    "  - name: dead\n"
					    "    when: rate < 0.5/s\n"
					    "notify:\n"
					    "  - stderr\n"
					    "  - file: /tmp/f\n"
					    "  - webhook: http://h/x\n"),
			 0);
	ck_assert_str_eq(said, "");
	ck_assert_str_eq(config.listen, "[::1]:9464");
	ck_assert_str_eq(config.otlp.endpoint, "http://c:4318");
	ck_assert_uint_eq(config.otlp.interval_ns, UINT64_C(60000000000));
	ck_assert_double_eq_tol(config.otlp.spans, 0.05, 1e-12);
	ck_assert_uint_eq(config.evaluate_ns, UINT64_C(2000000000));
	ck_assert(config.kubernetes.on);
	ck_assert_str_eq(config.kubernetes.api, "https://k:6443");
	ck_assert_str_eq(config.kubernetes.node, "n");
	ck_assert_str_eq(config.kubernetes.token_file, "/t");
	ck_assert_str_eq(config.kubernetes.ca_file, "/c");
	ck_assert_uint_eq(config.wait_ns, UINT64_C(2000000000));
	ck_assert_uint_eq(config.applications.count, 3);
	ck_assert_ptr_null(config.applications.rules[0].name);
	ck_assert_uint_eq(config.applications.rules[1].match_count, 2);
	ck_assert_int_eq(config.applications.rules[1].matches[1].kind, MATCH_LABEL);
	ck_assert_str_eq(config.applications.rules[1].matches[1].key, "tier");
	ck_assert_str_eq(config.applications.rules[1].matches[1].value, "web");
	ck_assert_int_eq(config.applications.rules[2].matches[0].kind, MATCH_ANNOTATION);
	ck_assert_int_eq(config.applications.rules[2].matches[1].kind, MATCH_NAMESPACE);
	ck_assert_ptr_null(config.applications.rules[2].matches[1].key);
	ck_assert_str_eq(config.applications.rules[2].matches[1].value, "shop");
	ck_assert_uint_eq(config.alert_count, 2);
	ck_assert_int_eq(config.alerts[0].condition.metric, ALERT_LATENCY);
	ck_assert_double_eq_tol(config.alerts[0].condition.quantile, 0.999, 1e-12);
	ck_assert_double_eq_tol(config.alerts[0].condition.threshold, 0.25, 1e-12);
	ck_assert_double_eq_tol(config.alerts[0].clear, 0.1, 1e-12);
	ck_assert_uint_eq(config.alerts[0].over_ns, UINT64_C(30000000000));
	ck_assert_uint_eq(config.alerts[0].for_ns, UINT64_C(10000000000));
	ck_assert_uint_eq(config.alerts[0].clear_for_ns, UINT64_C(20000000000));
	ck_assert_uint_eq(config.alerts[0].min_requests, 7);
	ck_assert_uint_eq(config.alerts[0].role, APPMON_ROLE_CLIENT);
	ck_assert_int_eq(config.alerts[0].per, ALERT_PER_ROUTE);
	ck_assert_str_eq(config.alerts[0].severity, "page");
	ck_assert(config.alerts[1].condition.below);
	ck_assert_double_eq_tol(config.alerts[1].clear, 0.5, 1e-12);
	ck_assert_uint_eq(config.notify_count, 3);
	ck_assert_int_eq(config.notify[2].kind, NOTIFY_WEBHOOK);
	ck_assert_str_eq(config.notify[2].where, "http://h/x");
	config_free(&config);
}
END_TEST

/* An application asks for what it says, else for what all do; the monitor for all of it. */
START_TEST(protocols)
{
	const uint32_t http1 = 1U << APPMON_PROTO_HTTP1, resp = 1U << APPMON_PROTO_RESP;
	struct config config;
	struct application_rule *rules;

	ck_assert_int_eq(read_text(&config, APPS), 0);
	ck_assert_uint_eq(config.protocols, http1);
	ck_assert_uint_eq(config.applications.rules[0].protocols, http1);
	ck_assert_uint_eq(config.applications.rules[0].ports.count, 0);
	config_free(&config);
	ck_assert_int_eq(read_text(&config, APPS "  - cgroup: /b\n"
						 "    name: b\n"
						 "    protocols: [resp]\n"
						 "    ports: {6380: resp, 6379: resp}\n"),
			 0);
	rules = config.applications.rules;
	ck_assert_uint_eq(config.protocols, http1 | resp);
	ck_assert_uint_eq(rules[0].protocols, http1);
	ck_assert_uint_eq(rules[1].protocols, resp);
	ck_assert_uint_eq(rules[1].ports.count, 2);
	ck_assert_uint_eq(rules[1].ports.list[0].port, 6380);
	ck_assert_uint_eq(rules[1].ports.list[0].protocol, APPMON_PROTO_RESP);
	config_free(&config);
	ck_assert_int_eq(read_text(&config, APPS "    ports: {80: http1, 6379: resp}\n"
						 "protocols: [http1, resp]\n"),
			 0);
	ck_assert_uint_eq(config.applications.rules[0].protocols, http1 | resp);
	config_free(&config);
}
END_TEST

START_TEST(mistakes)
{
	static const struct {
		const char *text;
		unsigned line; /* 0: none is told */
		const char *says;
	} cases[] = {
		{"", 0, "empty"},
		{"a: [", 2, "flow"},
		{"- a\n", 1, "mapping"},
		{APPS "listn: 1.2.3.4:5\n", 4, "no key listn"},
		{APPS "listen: 9464\n", 4, "'9464'"},
		{APPS "listen: a:1\nlisten: a:2\n", 5, "twice"},
		{APPS "listen: {}\n", 4, "text or number"},
		{APPS "listen: ''\n", 4, "empty"},
		{"listen: a:1\n", 1, "applications: is missing"},
		{"applications: x\n", 1, "list"},
		{"applications:\n  - name: x\n", 2, "cgroup:, label:"},
		{"applications:\n  - cgroup: /x\n", 2, "name: or ignore:"},
		{"applications:\n  - cgroup: /x\n    name: a\n    ignore: true\n", 2,
		 "name: or ignore:"},
		{"applications:\n  - cgroup: /x\n    name: '{nope}'\n", 3, "{leaf}"},
		{"applications:\n  - cgroup: /x\n    ignore: maybe\n", 3, "maybe"},
		{"applications:\n  - label: [a]\n    name: b\n", 2, "mapping"},
		{"applications:\n  - namespace: a\n    name: b\n", 1, "kubernetes: is missing"},
		{"applications:\n  - annotation: {a: b}\n    ignore: true\n", 1, "application 1"},
		{APPS "  - cgroup: /b\n    name: '{workload}'\n", 1, "application 2"},
		{APPS "  - cgroup: /b\n    name: '{annotation:c}'\n", 1, "kubernetes: is"},
		{APPS "  - cgroup: /b\n    name: '{container}'\n", 1, "kubernetes: is"},
		{APPS "  - cgroup: /b\n    name: '{pod}'\ndocker: /d\n", 1, "kubernetes: is"},
		{APPS "docker: /d\nkubernetes: {}\n", 1, "exclude each other"},
		{APPS "kubernetes: on\n", 4, "mapping"},
		{APPS "kubernetes: {api: k8s}\n", 4, "'k8s'"},
		{APPS "console: on\n", 4, "mapping"},
		{APPS "console: {listen: 9465}\n", 4, "'9465'"},
		{APPS "console: {token: x}\n", 4, "no key token"},
		{APPS "console: {token_file: /no/such/file}\n", 0, "/no/such/file"},
		{APPS "wait: long\n", 4, "'long'"},
		{APPS "otlp: {interval: 1s}\n", 4, "endpoint"},
		{APPS "otlp:\n  endpoint: ftp://x\n", 5, "ftp://x"},
		{APPS "otlp:\n  endpoint: http://x\n  spans: 101%\n", 6, "101%"},
		{APPS "evaluate: soon\n", 4, "soon"},
		{APPS "protocols: [http1, gopher]\n", 4, "not among http1, resp"},
		{APPS "    protocols: [gopher]\n", 4, "not among http1, resp"},
		{APPS "    ports: [80]\n", 4, "mapping"},
		{APPS "    ports: {80: gopher}\n", 4, "not among http1, resp"},
		{APPS "    ports: {0: http1}\n", 4, "1 to 65535"},
		{APPS "    ports: {65536: http1}\n", 4, "1 to 65535"},
		{APPS "    ports: {http: http1}\n", 4, "1 to 65535"},
		{APPS "    ports: {80: http1, 080: http1}\n", 4, "given twice"},
		{APPS "    ports: {80: resp}\n", 1, "80 is resp"},
		{APPS "  - cgroup: /b\n    ignore: true\n    ports: {80: http1}\n", 4,
		 "neither protocols: nor ports:"},
		{APPS "notify: [mail]\n", 4, "mail"},
		{APPS "notify:\n  - file: a\n    webhook: http://b\n", 5, "one of"},
		{APPS "notify:\n  - webhook: b\n", 5, "'b'"},
		{APPS "alerts:\n  - name: x\n    when: rate < 1\n", 1, "notify: is missing"},
		{APPS "alerts:\n  - name: x\n", 5, "when:"},
		{APPS "alerts:\n  - name: x\n    when: p100 > 1s\n", 6, "p100 > 1s"},
		{APPS "alerts:\n  - name: x\n    when: rate < 5\n    clear: 4\n", 7, "still holds"},
		{APPS "alerts:\n  - name: x\n    when: rate > 5\n    clear: 6\n", 7, "still holds"},
		{APPS "alerts:\n  - name: x\n    when: rate > 5\n    clear: 5%\n", 7, "'5%'"},
		{APPS "alerts:\n  - name: x\n    when: rate > 5\n    role: peer\n", 7, "peer"},
		{APPS "alerts:\n  - name: x\n    when: rate > 5\n    per: pod\n", 7, "pod"},
		{APPS "alerts:\n  - name: x\n    when: rate > 5\n    min_requests: 0\n", 7, "'0'"},
	};
	struct config config = {.listen = "untouched"}, other;
	char where[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(read_text(&config, cases[i].text) < 0, "%s", cases[i].text);
		snprintf(where, sizeof(where), "%s:%u: ", file, cases[i].line);
		ck_assert_msg(cases[i].line == 0 || strncmp(said, where, strlen(where)) == 0,
			      "line %u of\n%s\n%s", cases[i].line, cases[i].text, said);
		ck_assert_msg(strstr(said, cases[i].says), "%s\n%s", cases[i].text, said);
		ck_assert_str_eq(config.listen, "untouched");
	}
	/* Alerts are on the console. */
	ck_assert_int_eq(read_text(&other, APPS "console: {}\nalerts:\n  - name: x\n    "
						"when: rate < 1\n"),
			 0);
	ck_assert(other.console.on && !other.console.listen && !other.console.token);
	config_free(&other);
	/* Docker knows containers. */
	ck_assert_int_eq(read_text(&other, APPS "  - cgroup: /b\n    name: '{container}'\n"
						"docker: /d\n"),
			 0);
	ck_assert_str_eq(other.docker, "/d");
	config_free(&other);
	remove_file();
	ck_assert_int_eq(config_read(&config, file), -ENOENT);
	make_file();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {globs,	       names,	     long_names_are_cut,
				      first_rule_wins, traceparents, whole,
				      protocols,       mistakes,     NULL};

	return unit_run("agent", tests, make_file, remove_file);
}
