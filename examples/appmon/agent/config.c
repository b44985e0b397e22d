/* SPDX-License-Identifier: BSD-2-Clause */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../console/access.h"
#include "../protocols.h"
#include "../text.h"
#include "yaml-file.h"

#define DEFAULT_EVALUATE_NS (5 * NSEC_PER_SEC)
#define DEFAULT_OTLP_INTERVAL_NS (10 * NSEC_PER_SEC)
#define DEFAULT_WAIT_NS (10 * NSEC_PER_SEC)
#define DEFAULT_OVER_NS (60 * NSEC_PER_SEC)
/* A window is kept in pieces of one evaluation each. */
#define MAX_WINDOW_PIECES 720

/* One element more at the end of an array; NULL and a message if there is no memory. */
static void *append(void *array, size_t *count, size_t size)
{
	void **elements = array;
	char *grown = reallocarray(*elements, *count + 1, size);

	if (!grown) {
		warnx("out of memory");
		return NULL;
	}
	*elements = grown;
	memset(grown + *count * size, 0, size);
	return grown + (*count)++ * size;
}

static int read_url(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	char **url = to;

	if (yaml_read_text(file, value, url) < 0)
		return -EINVAL;
	if (strncmp(*url, "http://", 7) != 0 && strncmp(*url, "https://", 8) != 0)
		return yaml_file_fail(file, value, "'%s' is no http:// or https:// URL", *url);
	return 0;
}

/* ---- applications ---------------------------------------------------------- */

/* key: NULL for a condition that has none. */
static int add_match(struct yaml_file *file, struct application_rule *rule, enum match_kind kind,
		     const char *key, const yaml_node_t *value)
{
	struct application_match *match =
		append(&rule->matches, &rule->match_count, sizeof(*rule->matches));

	if (!match)
		return -ENOMEM;
	match->kind = kind;
	match->key = key ? strdup(key) : NULL;
	if (key && !match->key)
		return -ENOMEM;
	return yaml_read_text(file, value, &match->value);
}

static int read_label(struct yaml_file *file, const char *key, const yaml_node_t *value, void *to)
{
	return add_match(file, to, MATCH_LABEL, key, value);
}

static int read_labels(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_pairs(file, value, read_label, to);
}

static int read_annotation(struct yaml_file *file, const char *key, const yaml_node_t *value,
			   void *to)
{
	return add_match(file, to, MATCH_ANNOTATION, key, value);
}

static int read_annotations(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_pairs(file, value, read_annotation, to);
}

static int read_namespace(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return add_match(file, to, MATCH_NAMESPACE, NULL, value);
}

static int read_name(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	char **name = to;

	if (yaml_read_text(file, value, name) < 0)
		return -EINVAL;
	if (!application_name_is_valid(*name))
		return yaml_file_fail(file, value,
				      "'%s': known are {leaf}, {parent}, {unit}, {container_id}, "
				      "{label:KEY}, and of pods {namespace}, {pod}, {pod_uid}, "
				      "{workload}, {container} and {annotation:KEY}",
				      *name);
	return 0;
}

static int read_flag(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	const char *text = yaml_file_text(file, value);
	bool *ignored = to;

	if (!text)
		return -EINVAL;
	*ignored = strcmp(text, "true") == 0;
	if (!*ignored && strcmp(text, "false") != 0)
		return yaml_file_fail(file, value, "'%s' is neither true nor false", text);
	return 0;
}

static int read_protocol(struct yaml_file *file, const yaml_node_t *item, void *to)
{
	const char *name = yaml_file_text(file, item);

	if (!name)
		return -EINVAL;
	if (protocols_add(to, name, strlen(name)) < 0)
		return yaml_file_fail(file, item, "protocols: '%s' is not among %s", name,
				      protocols_known());
	return 0;
}

static int read_protocols(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_list(file, value, read_protocol, to);
}

static int read_port(struct yaml_file *file, const char *port, const yaml_node_t *value, void *to)
{
	const char *protocol = yaml_file_text(file, value), *wrong;

	if (!protocol)
		return -EINVAL;
	wrong = ports_add(to, port, protocol);
	return wrong ? yaml_file_fail(file, value, "ports: '%s: %s': %s", port, protocol, wrong)
		     : 0;
}

static int read_ports(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_pairs(file, value, read_port, to);
}

static int read_application(struct yaml_file *file, const yaml_node_t *item, void *to)
{
	struct parsed {
		struct application_rule rule;
		bool ignored;
	} parsed = {0};
	static const struct yaml_key keys[] = {
		{"cgroup", yaml_read_text, offsetof(struct parsed, rule.cgroup)},
		{"label", read_labels, offsetof(struct parsed, rule)},
		{"annotation", read_annotations, offsetof(struct parsed, rule)},
		{"namespace", read_namespace, offsetof(struct parsed, rule)},
		{"name", read_name, offsetof(struct parsed, rule.name)},
		{"ignore", read_flag, offsetof(struct parsed, ignored)},
		{"protocols", read_protocols, offsetof(struct parsed, rule.protocols)},
		{"ports", read_ports, offsetof(struct parsed, rule.ports)},
		{0},
	};
	struct applications *applications = to;
	struct application_rule *rule;
	int ret;

	ret = yaml_file_map(file, item, keys, &parsed);
	rule = append(&applications->rules, &applications->count, sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	*rule = parsed.rule;
	if (ret < 0)
		return ret;
	if (!rule->cgroup && rule->match_count == 0)
		return yaml_file_fail(file, item,
				      "an application needs cgroup:, label:, annotation: or "
				      "namespace: to be found by");
	if (parsed.ignored && (rule->protocols || rule->ports.count > 0))
		return yaml_file_fail(file, item,
				      "what is ignored has neither protocols: nor ports:");
	if (!rule->name == !parsed.ignored)
		return yaml_file_fail(file, item,
				      "an application needs either name: or ignore: true");
	return 0;
}

static int read_applications(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_list(file, value, read_application, to);
}

/* ---- requests --------------------------------------------------------------- */

static int read_route(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	char **route = to;

	if (yaml_read_text(file, value, route) < 0)
		return -EINVAL;
	if (strlen(*route) > REQUEST_ROUTE_MAX)
		return yaml_file_fail(file, value, "a route has at most %d bytes",
				      REQUEST_ROUTE_MAX);
	return 0;
}

static int read_request(struct yaml_file *file, const yaml_node_t *item, void *to)
{
	static const struct yaml_key keys[] = {
		{"application", yaml_read_text, offsetof(struct request_rule, application)},
		{"path", yaml_read_text, offsetof(struct request_rule, path)},
		{"user_agent", yaml_read_text, offsetof(struct request_rule, user_agent)},
		{"ignore", read_flag, offsetof(struct request_rule, ignore)},
		{"route", read_route, offsetof(struct request_rule, route)},
		{0},
	};
	struct request_rules *requests = to;
	struct request_rule *rule = append(&requests->rules, &requests->count, sizeof(*rule));
	int ret;

	if (!rule)
		return -ENOMEM;
	ret = yaml_file_map(file, item, keys, rule);
	if (ret < 0)
		return ret;
	if (!rule->path && !rule->user_agent)
		return yaml_file_fail(file, item, "a rule for requests needs path: or user_agent:");
	if (!rule->route == !rule->ignore)
		return yaml_file_fail(file, item,
				      "a rule for requests needs either route: or ignore: true");
	return 0;
}

static int read_requests(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_list(file, value, read_request, to);
}

/* ---- Kubernetes ------------------------------------------------------------- */

static int read_kubernetes(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	static const struct yaml_key keys[] = {
		{"api", read_url, offsetof(struct kubernetes_config, api)},
		{"token_file", yaml_read_text, offsetof(struct kubernetes_config, token_file)},
		{"ca_file", yaml_read_text, offsetof(struct kubernetes_config, ca_file)},
		{"node", yaml_read_text, offsetof(struct kubernetes_config, node)},
		{0},
	};
	struct kubernetes_config *kubernetes = to;

	kubernetes->on = true;
	return yaml_file_map(file, value, keys, kubernetes);
}

/* ---- alerts ---------------------------------------------------------------- */

static int read_role(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	const char *text = yaml_file_text(file, value);
	uint32_t *role = to;

	if (!text)
		return -EINVAL;
	if (strcmp(text, "server") == 0)
		*role = APPMON_ROLE_SERVER;
	else if (strcmp(text, "client") == 0)
		*role = APPMON_ROLE_CLIENT;
	else
		return yaml_file_fail(file, value, "'%s' is neither server nor client", text);
	return 0;
}

static int read_per(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	static const char *const names[] = {"application", "instance", "route"};
	const char *text = yaml_file_text(file, value);
	enum alert_per *per = to;

	if (!text)
		return -EINVAL;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*per = (enum alert_per)i;
			return 0;
		}
	}
	return yaml_file_fail(file, value, "'%s' is not application, instance or route", text);
}

static int read_when(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	struct alert_rule *rule = to;

	if (yaml_read_text(file, value, &rule->when) < 0)
		return -EINVAL;
	if (alert_condition_parse(&rule->condition, rule->when) < 0)
		return yaml_file_fail(file, value,
				      "'%s' is no condition such as 'rate < 1/s', 'error_ratio > "
				      "5%%', 'p99 > 250ms', 'status(503) > 1%%', 'active_requests "
				      "> 50' or 'active_age > 10s'",
				      rule->when);
	return 0;
}

static int read_count(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	const char *text = yaml_file_text(file, value);

	if (!text)
		return -EINVAL;
	if (parse_count(text, UINT64_MAX, to) < 0)
		return yaml_file_fail(file, value, "'%s' is no whole number from 1 on", text);
	return 0;
}

struct parsed_alert {
	struct alert_rule rule;
	const yaml_node_t *clear;
};

/* Its unit is that of the condition, which may stand behind it. */
static int keep_clear(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	const yaml_node_t **clear = to;

	*clear = value;
	return yaml_file_text(file, value) ? 0 : -EINVAL;
}

static int check_clear(struct yaml_file *file, const yaml_node_t *value, struct alert_rule *rule)
{
	const char *text;

	rule->clear = rule->condition.threshold;
	if (!value)
		return 0;
	text = yaml_file_text(file, value);
	if (alert_value_parse(&rule->condition, text, &rule->clear) < 0)
		return yaml_file_fail(file, value, "'%s' is not a value like that of '%s'", text,
				      rule->when);
	if (rule->condition.below ? rule->clear < rule->condition.threshold
				  : rule->clear > rule->condition.threshold)
		return yaml_file_fail(file, value, "'%s' lies where '%s' still holds", text,
				      rule->when);
	return 0;
}

static int read_alert(struct yaml_file *file, const yaml_node_t *item, void *to)
{
	static const struct yaml_key keys[] = {
		{"name", yaml_read_text, offsetof(struct parsed_alert, rule.name)},
		{"severity", yaml_read_text, offsetof(struct parsed_alert, rule.severity)},
		{"application", yaml_read_text, offsetof(struct parsed_alert, rule.application)},
		{"route", yaml_read_text, offsetof(struct parsed_alert, rule.route)},
		{"role", read_role, offsetof(struct parsed_alert, rule.role)},
		{"per", read_per, offsetof(struct parsed_alert, rule.per)},
		{"when", read_when, offsetof(struct parsed_alert, rule)},
		{"clear", keep_clear, offsetof(struct parsed_alert, clear)},
		{"over", yaml_read_duration, offsetof(struct parsed_alert, rule.over_ns)},
		{"for", yaml_read_duration, offsetof(struct parsed_alert, rule.for_ns)},
		{"clear_for", yaml_read_duration, offsetof(struct parsed_alert, rule.clear_for_ns)},
		{"min_requests", read_count, offsetof(struct parsed_alert, rule.min_requests)},
		{0},
	};
	struct parsed_alert parsed = {.rule = {.role = APPMON_ROLE_SERVER,
					       .over_ns = DEFAULT_OVER_NS,
					       .min_requests = 1}};
	struct config *config = to;
	struct alert_rule *rule;
	int ret;

	ret = yaml_file_map(file, item, keys, &parsed);
	rule = append(&config->alerts, &config->alert_count, sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	*rule = parsed.rule;
	if (ret < 0)
		return ret;
	if (!rule->name || !rule->when)
		return yaml_file_fail(file, item, "an alert needs name: and when:");
	if (alert_is_active(rule->condition.metric) &&
	    (rule->route || rule->per == ALERT_PER_ROUTE))
		return yaml_file_fail(file, item,
				      "'%s' is of applications and instances, not of routes",
				      rule->when);
	return check_clear(file, parsed.clear, rule);
}

static int read_alerts(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_list(file, value, read_alert, to);
}

/* ---- where alerts go -------------------------------------------------------- */

static int read_notify(struct yaml_file *file, const yaml_node_t *item, void *to)
{
	struct parsed {
		char *file, *webhook;
	} parsed = {0};
	static const struct yaml_key keys[] = {
		{"file", yaml_read_text, offsetof(struct parsed, file)},
		{"webhook", read_url, offsetof(struct parsed, webhook)},
		{0},
	};
	struct config *config = to;
	struct notify_target *target =
		append(&config->notify, &config->notify_count, sizeof(*target));
	int ret;

	if (!target)
		return -ENOMEM;
	if (item->type == YAML_SCALAR_NODE) {
		const char *text = yaml_file_text(file, item);

		if (text && strcmp(text, "stderr") != 0)
			yaml_file_fail(file, item,
				       "'%s': known are stderr, file: and webhook:", text);
		return text && strcmp(text, "stderr") == 0 ? 0 : -EINVAL;
	}
	ret = yaml_file_map(file, item, keys, &parsed);
	if (ret == 0 && !parsed.file == !parsed.webhook)
		ret = yaml_file_fail(file, item, "one of file: and webhook: is wanted");
	if (ret < 0) {
		free(parsed.file);
		free(parsed.webhook);
		return ret;
	}
	target->kind = parsed.file ? NOTIFY_FILE : NOTIFY_WEBHOOK;
	target->where = parsed.file ? parsed.file : parsed.webhook;
	return 0;
}

static int read_notify_list(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_list(file, value, read_notify, to);
}

/* ---- the whole --------------------------------------------------------------- */

static int read_listen(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	char **listen = to;
	const char *port;

	if (yaml_read_text(file, value, listen) < 0)
		return -EINVAL;
	port = strrchr(*listen, ':');
	if (!port || port == *listen || port[1] == '\0')
		return yaml_file_fail(file, value, "'%s' is not like 127.0.0.1:9464 or [::]:9464",
				      *listen);
	return 0;
}

static int read_console(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	static const struct yaml_key keys[] = {
		{"listen", read_listen, offsetof(struct console_config, listen)},
		{"token_file", yaml_read_text, offsetof(struct console_config, token_file)},
		{0},
	};
	struct console_config *console = to;
	int ret;

	console->on = true;
	ret = yaml_file_map(file, value, keys, console);
	if (ret < 0 || !console->token_file)
		return ret;
	console->token = access_read_token(console->token_file);
	return console->token ? 0 : yaml_file_fail(file, value, "token_file: gives no token");
}

static int read_buckets(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	const char *text = yaml_file_text(file, value);

	if (!text)
		return -EINVAL;
	if (durations_parse(text, to) < 0)
		return yaml_file_fail(file, value, BUCKETS_WRONG, text);
	return 0;
}

static int read_header(struct yaml_file *file, const char *name, const yaml_node_t *value, void *to)
{
	const char *text = yaml_file_text(file, value), *wrong;
	char *pair;

	if (!text)
		return -EINVAL;
	if (asprintf(&pair, "%s=%s", name, text) < 0) {
		warnx("out of memory");
		return -ENOMEM;
	}
	wrong = strchr(name, '=') ? "a name cannot have '='" : otlp_headers_add(to, pair);
	free(pair);
	return wrong ? yaml_file_fail(file, value, "%s", wrong) : 0;
}

static int read_headers(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_pairs(file, value, read_header, to);
}

static int read_redact_name(struct yaml_file *file, const yaml_node_t *item, void *to)
{
	struct config *config = to;
	char **name = append(&config->redact, &config->redact_count, sizeof(*name));

	return name ? yaml_read_text(file, item, name) : -ENOMEM;
}

static int read_redact(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	return yaml_file_list(file, value, read_redact_name, to);
}

static int read_otlp_protocol(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	const char *text = yaml_file_text(file, value);

	if (!text)
		return -EINVAL;
	if (otlp_protocol_parse(text, to) < 0)
		return yaml_file_fail(file, value, OTLP_PROTOCOL_WRONG, text);
	return 0;
}

static int read_otlp(struct yaml_file *file, const yaml_node_t *value, void *to)
{
	static const struct yaml_key keys[] = {
		{"endpoint", read_url, offsetof(struct otlp_config, endpoint)},
		{"protocol", read_otlp_protocol, offsetof(struct otlp_config, protocol)},
		{"interval", yaml_read_duration, offsetof(struct otlp_config, interval_ns)},
		{"spans", yaml_read_share, offsetof(struct otlp_config, spans)},
		{"headers", read_headers, offsetof(struct otlp_config, headers)},
		{"headers_file", yaml_read_text, offsetof(struct otlp_config, headers_file)},
		{0},
	};
	struct otlp_config *otlp = to;
	int ret;

	ret = yaml_file_map(file, value, keys, otlp);
	if (ret == 0 && !otlp->endpoint)
		ret = yaml_file_fail(file, value, "otlp needs endpoint:");
	if (ret == 0 && otlp->headers_file)
		ret = otlp_headers_add_file(&otlp->headers, otlp->headers_file);
	if (ret == 0)
		ret = otlp_headers_add_environment(&otlp->headers);
	return ret;
}

/* What a rule leaves open is as for all; the monitor looks for what any of them asks for. */
static int fill_protocols(struct yaml_file *file, const yaml_node_t *root, struct config *config)
{
	uint32_t all = config->protocols ? config->protocols : 1U << APPMON_PROTO_HTTP1;

	config->protocols = config->applications.protocols = all;
	for (size_t i = 0; i < config->applications.count; i++) {
		struct application_rule *rule = &config->applications.rules[i];

		rule->protocols = rule->protocols ? rule->protocols : all;
		config->protocols |= rule->protocols;
		for (uint32_t k = 0; k < rule->ports.count; k++) {
			const struct appmon_port_hint *hint = &rule->ports.list[k];

			if (!(rule->protocols & 1U << hint->protocol))
				return yaml_file_fail(
					file, root,
					"application %s: ports: %u is %s, which is not watched: "
					"see protocols:",
					rule->name ? rule->name : rule->cgroup, hint->port,
					appmon_protocol_name(hint->protocol));
		}
	}
	return 0;
}

static int check(struct yaml_file *file, const yaml_node_t *root, const struct config *config)
{
	if (config->applications.count == 0)
		return yaml_file_fail(file, root,
				      "applications: is missing: what is to be watched?");
	if (config->alert_count > 0 && config->notify_count == 0 && !config->console.on)
		return yaml_file_fail(file, root, "notify: is missing: where do alerts go?");
	if (config->kubernetes.on && config->docker)
		return yaml_file_fail(
			file, root,
			"kubernetes: and docker: exclude each other: Kubernetes knows "
			"the containers of a node");
	for (size_t i = 0; !config->kubernetes.on && i < config->applications.count; i++) {
		if (application_rule_needs_pods(&config->applications.rules[i], config->docker))
			return yaml_file_fail(file, root,
					      "kubernetes: is missing: application %zu asks for "
					      "what it knows",
					      i + 1);
	}
	for (size_t i = 0; i < config->alert_count; i++) {
		if (config->alerts[i].over_ns / config->evaluate_ns > MAX_WINDOW_PIECES)
			return yaml_file_fail(file, root,
					      "alert %s: over: is more than %d times evaluate:",
					      config->alerts[i].name, MAX_WINDOW_PIECES);
	}
	return 0;
}

int config_read(struct config *ret_config, const char *path)
{
	static const struct yaml_key keys[] = {
		{"listen", read_listen, offsetof(struct config, listen)},
		{"console", read_console, offsetof(struct config, console)},
		{"otlp", read_otlp, offsetof(struct config, otlp)},
		{"no_query", read_flag, offsetof(struct config, no_query)},
		{"redact", read_redact, 0},
		{"tls", read_flag, offsetof(struct config, tls)},
		{"protocols", read_protocols, offsetof(struct config, protocols)},
		{"kubernetes", read_kubernetes, offsetof(struct config, kubernetes)},
		{"docker", yaml_read_text, offsetof(struct config, docker)},
		{"wait", yaml_read_duration, offsetof(struct config, wait_ns)},
		{"applications", read_applications, offsetof(struct config, applications)},
		{"requests", read_requests, offsetof(struct config, requests)},
		{"evaluate", yaml_read_duration, offsetof(struct config, evaluate_ns)},
		{"buckets", read_buckets, offsetof(struct config, buckets)},
		{"service_times", read_flag, offsetof(struct config, service_times)},
		{"alerts", read_alerts, 0},
		{"notify", read_notify_list, 0},
		{0},
	};
	struct config config = {.evaluate_ns = DEFAULT_EVALUATE_NS,
				.wait_ns = DEFAULT_WAIT_NS,
				.otlp.interval_ns = DEFAULT_OTLP_INTERVAL_NS};
	struct yaml_file file;
	const yaml_node_t *root;
	int ret;

	ret = yaml_file_open(&file, path);
	if (ret < 0)
		return ret;
	root = yaml_file_root(&file);
	if (root) {
		ret = yaml_file_map(&file, root, keys, &config);
		if (ret == 0)
			ret = fill_protocols(&file, root, &config);
		if (ret == 0)
			ret = check(&file, root, &config);
	} else {
		warnx("%s is empty", path);
		ret = -EINVAL;
	}
	yaml_file_close(&file);
	if (ret < 0)
		config_free(&config);
	else
		*ret_config = config;
	return ret;
}

void config_free(struct config *config)
{
	free(config->listen);
	free(config->console.listen);
	free(config->console.token_file);
	free(config->console.token);
	free(config->otlp.endpoint);
	free(config->otlp.headers_file);
	otlp_headers_free(&config->otlp.headers);
	for (size_t i = 0; i < config->redact_count; i++)
		free(config->redact[i]);
	free(config->redact);
	free(config->docker);
	free(config->kubernetes.api);
	free(config->kubernetes.token_file);
	free(config->kubernetes.ca_file);
	free(config->kubernetes.node);
	applications_free(&config->applications);
	request_rules_free(&config->requests);
	for (size_t i = 0; i < config->alert_count; i++)
		alert_rule_free(&config->alerts[i]);
	free(config->alerts);
	for (size_t i = 0; i < config->notify_count; i++)
		free(config->notify[i].where);
	free(config->notify);
	*config = (struct config){0};
}
