/* SPDX-License-Identifier: BSD-2-Clause */
/* appmon agent: watches what a configuration names, for as long as the machine runs. */
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "../cgroup.h"
#include "../clock.h"
#include "../commands.h"
#include "../console/console.h"
#include "../export/exporter.h"
#include "../signals.h"
#include "../text.h"
#include "alerts.h"
#include "attachments.h"
#include "cgroup-tree.h"
#include "config.h"
#include "docker.h"
#include "kubernetes.h"
#include "notify.h"
#include "pods.h"

/* Of what is kept of pods: a node has some hundred, of a few kilobytes each. */
#define PODS_MAX_BYTES (32 << 20)
/* Of names of addresses: a cluster has some ten thousand, of a hundred bytes each. */
#define ADDRESSES_MAX_BYTES (16 << 20)
/* Series stay as long as nobody can ask for them any more, and not shorter than this. */
#define MIN_IDLE_NS (600 * NSEC_PER_SEC)

struct agent {
	const char *path; /* of the configuration */
	struct config config;
	struct exporter exporter;
	struct attachments attachments;
	struct cgroup_tree *tree;
	struct notify notify;
	struct alerts *alerts;
	struct silences silences;
	struct console *console; /* NULL: none */
	/* NULL: the configuration says nothing of Kubernetes, or of docker. */
	struct pods *pods;
	struct addresses *addresses;
	struct kubernetes *kubernetes;
	struct docker *docker;
	uint64_t evaluate_due_ns;
};

static void on_appeared(void *ctx, const char *path)
{
	struct agent *agent = ctx;

	attachments_appeared(&agent->attachments, path);
	/* Its path while it is there; after what may not wait. */
	instances_see(&agent->exporter.instances, path);
}

static void on_disappeared(void *ctx, const char *path)
{
	struct agent *agent = ctx;

	attachments_remove(&agent->attachments, path);
}

/* Those that are silenced are on the console alone. */
static void on_notice(void *ctx, const struct alert_notice *notice)
{
	struct agent *agent = ctx;

	if (!notice->silenced)
		notify_send(&agent->notify, notice);
	if (agent->console)
		console_notice(agent->console, notice);
}

static void on_release(void *ctx, const struct appmon_event *ev, const char *name)
{
	struct agent *agent = ctx;

	exporter_add(&agent->exporter, ev, name);
}

static const char *name_of(void *ctx, const struct appmon_event *ev)
{
	(void)ctx;
	return attachments_name(ev);
}

static void hold(void *ctx, const struct appmon_event *ev)
{
	struct agent *agent = ctx;

	attachments_hold(&agent->attachments, ev);
}

static void on_changed(void *ctx, const char *path)
{
	struct agent *agent = ctx;

	attachments_update(&agent->attachments, path);
}

/* What is known of a pod has changed: only that of a cgroup in one counts. */
static void on_pods_changed(void *ctx, const char *path)
{
	struct appmon_container container = {.size = sizeof(container)};
	struct agent *agent = ctx;

	if (appmon_cgroup_container(path + strlen(agent->attachments.top), &container) == 0)
		attachments_update(&agent->attachments, path);
}

static void look_at_pods(struct agent *agent)
{
	if (!agent->pods || !pods_changed(agent->pods))
		return;
	cgroup_tree_repeat(agent->tree, on_pods_changed);
	attachments_update_gone(&agent->attachments);
}

static struct exporter_verdict judge(void *ctx, const struct appmon_event *ev)
{
	const struct agent *agent = ctx;
	const struct request_rule *rule = request_rules_find(&agent->config.requests, ev);

	if (!rule)
		return (struct exporter_verdict){0};
	/* A call of gRPC has a name, and no route. */
	return (struct exporter_verdict){.ignore = rule->ignore,
					 .route = ev->system.len == 0 ? rule->route : NULL};
}

/* Of names. Returns how many. */
static size_t pod_numbers(const struct agent *agent, struct prometheus_number *numbers)
{
	const struct source *docker = agent->docker ? docker_source(agent->docker) : NULL;
	const struct prometheus_number all[] = {
		{"appmon_names_up", false,
		 "1 if Kubernetes' API server, or docker, answers all that it is asked.",
		 docker ? docker->up : kubernetes_is_up(agent->kubernetes)},
		{"appmon_names_failures", true, "Requests to it that failed.",
		 docker ? docker->failures : kubernetes_failures(agent->kubernetes)},
		{"appmon_names_pods", false, "Pods of this node, or containers, that are known.",
		 pods_count(agent->pods)},
		{"appmon_names_pods_refused", true,
		 "Times that a pod was not kept as too much is known.", pods_refused(agent->pods)},
		{"appmon_names_events_held", false, "Requests that wait for the name of their pod.",
		 agent->attachments.held},
		{"appmon_names_events_dropped", true,
		 "Requests for which there was no room to wait for the name of their pod.",
		 agent->attachments.unheld},
	};
	size_t count = sizeof(all) / sizeof(all[0]);

	memcpy(numbers, all, sizeof(all));
	if (!agent->addresses)
		return count;
	numbers[count++] = (struct prometheus_number){
		"appmon_names_addresses", false,
		"Addresses and ports of Kubernetes' Services that are known.",
		addresses_count(agent->addresses)};
	numbers[count++] = (struct prometheus_number){
		"appmon_names_addresses_refused", true,
		"Times that one of them was not kept as too much is known.",
		addresses_refused(agent->addresses)};
	return count;
}

static size_t numbers_of(void *ctx, struct prometheus_number numbers[PROMETHEUS_NUMBERS_MAX])
{
	const struct agent *agent = ctx;

	numbers[0] = (struct prometheus_number){
		"appmon_requests_ignored", true,
		"Requests that a rule of the configuration leaves out of all other figures.",
		agent->exporter.ignored};
	return 1 + (agent->pods ? pod_numbers(agent, numbers + 1) : 0);
}

static int open_kubernetes(struct agent *agent)
{
	const struct kubernetes_config *config = &agent->config.kubernetes;
	struct kubernetes_opts opts = {.api = config->api,
				       .token_file = config->token_file,
				       .ca_file = config->ca_file,
				       .node = config->node,
				       .client = agent->exporter.client,
				       .pods = agent->pods};

	agent->addresses = opts.addresses = addresses_new(ADDRESSES_MAX_BYTES);
	if (!agent->addresses) {
		warnx("out of memory");
		return -ENOMEM;
	}
	agent->exporter.addresses = agent->addresses;
	return kubernetes_open(&agent->kubernetes, &opts);
}

static int open_pods(struct agent *agent)
{
	if (!agent->config.kubernetes.on && !agent->config.docker)
		return 0;
	agent->pods = pods_new(PODS_MAX_BYTES);
	if (!agent->pods) {
		warnx("out of memory");
		return -ENOMEM;
	}
	agent->attachments.pods = agent->pods;
	agent->attachments.containers = agent->config.docker;
	return agent->config.docker ? docker_open(&agent->docker, agent->config.docker,
						  agent->exporter.client, agent->pods, false)
				    : open_kubernetes(agent);
}

static struct exporter_opts exporter_opts(const struct config *config)
{
	uint64_t idle_ns = MIN_IDLE_NS;
	uint32_t open_flags = config->no_query ? APPMON_OPEN_DROP_QUERY : 0;

	if (config->tls)
		open_flags |= APPMON_OPEN_TLS;
	if (config->console.on)
		open_flags |= CONSOLE_OPEN_FLAGS;
	for (size_t i = 0; i < config->alert_count; i++) {
		if (config->alerts[i].over_ns > idle_ns)
			idle_ns = config->alerts[i].over_ns;
	}
	return (struct exporter_opts){.listen = config->listen,
				      .otlp_endpoint = config->otlp.endpoint,
				      .otlp_protocol = config->otlp.protocol,
				      .otlp_interval_ns = config->otlp.interval_ns,
				      .otlp_spans = config->otlp.spans,
				      .otlp_headers = config->otlp.headers,
				      .open_flags = open_flags,
				      .protocols = config->protocols,
				      .redact = (const char *const *)config->redact,
				      .redact_count = (uint32_t)config->redact_count,
				      .service_times = config->service_times,
				      .idle_ms = (uint32_t)(idle_ns / NSEC_PER_MSEC),
				      .bounds =
					      config->buckets.count > 0 ? &config->buckets : NULL};
}

/* Everything but the monitor looks into the configuration. */
static void use_config(struct agent *agent)
{
	agent->attachments.applications = &agent->config.applications;
	agent->attachments.wait_ns = agent->config.wait_ns;
	agent->notify.targets = agent->config.notify;
	agent->notify.count = agent->config.notify_count;
}

static bool label_instance(void *ctx, const char *path, char *buf, size_t size)
{
	const struct agent *agent = ctx;

	return agent->pods && pods_describe(agent->pods, path, buf, size);
}

static int open_console(struct agent *agent)
{
	const struct console_config *config = &agent->config.console;
	struct console_opts opts = {.listen = config->listen ? config->listen
							     : CONSOLE_DEFAULT_LISTEN,
				    .token = config->token,
				    .exporter = &agent->exporter,
				    .alerts = agent->alerts,
				    .silences = &agent->silences,
				    .label_instance = label_instance,
				    .ctx = agent};

	alerts_use_silences(agent->alerts, &agent->silences);
	return config->on ? console_open(&agent->console, &opts) : 0;
}

static int open_agent(struct agent *agent)
{
	struct cgroup_tree_callbacks callbacks = {
		.appeared = on_appeared, .disappeared = on_disappeared, .ctx = agent};
	struct exporter_opts opts = exporter_opts(&agent->config);
	int ret;

	ret = exporter_open(&agent->exporter, &opts);
	if (ret < 0)
		return ret;
	use_config(agent);
	agent->attachments.mon = agent->exporter.mon;
	agent->attachments.top = agent->exporter.instances.mount;
	agent->attachments.release = on_release;
	agent->attachments.ctx = agent;
	agent->exporter.names =
		(struct exporter_names){.name = name_of, .hold = hold, .ctx = agent};
	agent->exporter.judge = judge;
	agent->exporter.judge_ctx = agent;
	agent->exporter.numbers = numbers_of;
	agent->exporter.numbers_ctx = agent;
	agent->notify.mon = agent->exporter.mon;
	agent->notify.client = agent->exporter.client;
	agent->notify.instances = &agent->exporter.instances;
	ret = alerts_open(&agent->alerts, agent->config.alerts, agent->config.alert_count,
			  on_notice, agent);
	if (ret == 0)
		ret = open_pods(agent);
	if (ret == 0)
		ret = open_console(agent);
	if (ret == 0)
		ret = cgroup_tree_open(&agent->tree, agent->exporter.instances.mount, &callbacks);
	return ret;
}

static void close_agent(struct agent *agent)
{
	console_close(agent->console);
	cgroup_tree_close(agent->tree);
	kubernetes_close(agent->kubernetes);
	docker_close(agent->docker);
	attachments_free(&agent->attachments);
	alerts_close(agent->alerts);
	silences_free(&agent->silences);
	notify_close(&agent->notify);
	exporter_close(&agent->exporter);
	pods_free(agent->pods);
	addresses_free(agent->addresses);
}

/* Why it watches no cgroup. */
static void say_idle(const struct agent *agent)
{
	if (agent->attachments.count > 0)
		return;
	fprintf(stderr,
		"appmon: none of the %zu cgroup(s) below %s matches a rule of %s; those that come "
		"later are looked at, too\n",
		cgroup_tree_count(agent->tree), agent->attachments.top, agent->path);
	if (!cgroup_mount_is_whole())
		fprintf(stderr,
			"appmon: only a part of the cgroup hierarchy is mounted here, as in a "
			"container: give it the host's, for example with "
			"--volume /sys/fs/cgroup:/host/sys/fs/cgroup:ro\n");
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whom it asks for pods. */
static bool same_source(const struct config *a, const struct config *b)
{
	const struct kubernetes_config *ka = &a->kubernetes, *kb = &b->kubernetes;

	return ka->on == kb->on && is_same(ka->api, kb->api) && is_same(ka->node, kb->node) &&
	       is_same(ka->token_file, kb->token_file) && is_same(ka->ca_file, kb->ca_file) &&
	       is_same(a->docker, b->docker);
}

static bool same_console(const struct console_config *a, const struct console_config *b)
{
	return a->on == b->on && is_same(a->listen, b->listen) && is_same(a->token, b->token);
}

/* As far as the parts of the agent can be told of it; the user is told of what is wrong. */
static int use_other(struct agent *agent, const struct config *fresh)
{
	struct exporter_opts opts = exporter_opts(fresh);

	if (!same_source(&agent->config, fresh)) {
		warnx("whom it asks for pods cannot change while it runs: start it again");
		return -EINVAL;
	}
	if (!same_console(&agent->config.console, &fresh->console)) {
		warnx("the console cannot change while it runs: start it again");
		return -EINVAL;
	}
	if (agent->config.tls != fresh->tls) {
		warnx("tls: cannot change while it runs: start it again");
		return -EINVAL;
	}
	return exporter_reconfigure(&agent->exporter, &opts);
}

/* A configuration that is wrong changes nothing. */
static int reload(struct agent *agent)
{
	struct config before = agent->config, fresh;

	if (config_read(&fresh, agent->path) < 0) {
		warnx("%s is not used: the former configuration stays", agent->path);
		return 0;
	}
	if (use_other(agent, &fresh) < 0) {
		warnx("%s is not used: the former configuration stays", agent->path);
		config_free(&fresh);
		return 0;
	}
	agent->config = fresh;
	use_config(agent);
	if (alerts_set_rules(agent->alerts, agent->config.alerts, agent->config.alert_count) < 0)
		return -ENOMEM;
	cgroup_tree_repeat(agent->tree, on_changed);
	config_free(&before);
	fprintf(stderr, "appmon: %s is in force\n", agent->path);
	say_idle(agent);
	return 0;
}

static void evaluate(struct agent *agent)
{
	struct appmon_snapshot *snapshot;

	if (agent->config.alert_count > 0 && exporter_snapshot(&agent->exporter, &snapshot) == 0 &&
	    alerts_evaluate(agent->alerts, snapshot) < 0)
		warnx("the alerts could not be evaluated: out of memory");
}

static int run_source(struct agent *agent, uint64_t now)
{
	if (agent->kubernetes)
		return kubernetes_run(agent->kubernetes, now);
	return agent->docker ? docker_run(agent->docker, now) : -1;
}

/* Does what is due, and says when the next thing is. */
static int run_timers(struct agent *agent)
{
	uint64_t now = now_ns();
	int timeout_ms, others_ms[4];

	if (now >= agent->evaluate_due_ns) {
		evaluate(agent);
		agent->evaluate_due_ns = now + agent->config.evaluate_ns;
	}
	timeout_ms = (int)((agent->evaluate_due_ns - now) / NSEC_PER_MSEC) + 1;
	others_ms[0] = notify_retry(&agent->notify, now);
	others_ms[1] = attachments_run(&agent->attachments, now);
	others_ms[2] = run_source(agent, now);
	others_ms[3] = agent->console ? console_run(agent->console, now) : -1;
	for (int i = 0; i < 4; i++) {
		if (others_ms[i] >= 0 && others_ms[i] < timeout_ms)
			timeout_ms = others_ms[i];
	}
	return timeout_ms;
}

static int step(struct agent *agent)
{
	int fds[EXPORTER_FDS_MAX], timeout_ms = run_timers(agent);
	unsigned count = 0;

	fds[count++] = cgroup_tree_fd(agent->tree);
	if (agent->console)
		fds[count++] = console_fd(agent->console);
	return exporter_step(&agent->exporter, fds, count, timeout_ms);
}

static int run(struct agent *agent)
{
	int ret = 0, signal;

	agent->evaluate_due_ns = now_ns() + agent->config.evaluate_ns;
	fprintf(stderr, "appmon: watching %zu cgroup(s); SIGHUP reads %s again\n",
		agent->attachments.count, agent->path);
	say_idle(agent);
	while (ret >= 0) {
		signal = signals_take();
		if (signal == SIGHUP) {
			ret = reload(agent);
		} else if (signal != 0) {
			attachments_decide(&agent->attachments);
			return exporter_drain(&agent->exporter);
		}
		if (ret < 0)
			break;
		ret = step(agent);
		/* After the events: those of a cgroup that is gone are counted before it is. */
		if (ret >= 0)
			ret = cgroup_tree_dispatch(agent->tree);
		look_at_pods(agent);
	}
	return ret;
}

/* ---- The command ----------------------------------------------------------------- */

enum { KEY_CHECK = 1 };

struct arguments {
	const char *config;
	bool check;
};

static const struct argp_option argp_options[] = {
	{"config", 'c', "FILE", 0, "The configuration, YAML", 0},
	{"check", KEY_CHECK, NULL, 0, "Only say whether the configuration is right", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case 'c':
		args->config = arg;
		break;
	case KEY_CHECK:
		args->check = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option; did you mean -c %s?", arg, arg);
		break;
	case ARGP_KEY_END:
		if (!args->config)
			argp_error(state, "say which configuration: -c FILE");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.doc = "Watches the applications that a configuration selects, as their cgroups come and "
	       "go; serves their figures to Prometheus, pushes them to OpenTelemetry, and tells "
	       "when alert rules are met."
	       "\v"
	       "The configuration:\n"
	       "  listen: 127.0.0.1:9464\n"
	       "  applications:\n"
	       "    - cgroup: /system.slice/*.service\n"
	       "      name: \"{unit}\"\n"
	       "  alerts:\n"
	       "    - name: errors\n"
	       "      when: error_ratio > 5%\n"
	       "      for: 30s\n"
	       "  notify: [stderr]\n\n"
	       "The agent.yaml that is installed in /etc/appmon explains all of it; the systemd "
	       "unit is appmon-agent.service. In a cluster, kubernetes: {} brings the names of "
	       "pods and Services; see examples/kubernetes in the source. SIGHUP reads it again; "
	       "what is wrong "
	       "in it is told "
	       "with its "
	       "line, and changes nothing. Exit status: 0, 1 after a failure, 2 for wrong usage. "
	       "Needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.",
};

int command_agent(int argc, char **argv)
{
	struct arguments args = {0};
	struct agent agent = {0};
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	agent.path = args.config;
	if (config_read(&agent.config, args.config) < 0)
		return EXIT_FAILURE;
	if (args.check) {
		config_free(&agent.config);
		printf("%s is right\n", args.config);
		return EXIT_SUCCESS;
	}
	/* It starts no program that could bring privileges. */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	ret = open_agent(&agent);
	if (ret == 0)
		ret = run(&agent);
	close_agent(&agent);
	config_free(&agent.config);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
