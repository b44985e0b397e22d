/* SPDX-License-Identifier: BSD-2-Clause */
/* What the agent keeps of Kubernetes' pods, how it cuts answers into them, and what it decides. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "agent/applications.h"
#include "agent/json-stream.h"
#include "agent/pods.h"
#include "text.h"
#include "unit.h"

/* ---- Cutting ------------------------------------------------------------------ */

static char seen[1024];

static bool note(void *ctx, struct json_object *object)
{
	(void)ctx;
	strcat(seen, json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	strcat(seen, ";");
	return !strstr(seen, "stop");
}

static const char documents[] =
	" \n{\"a\":{\"b\":[1,{\"c\":\"}]\\\"{\"}]}}\r\n\n{}{\"d\":\"\\\\\"}\t{\"\\u00e4\":null}\n";
static const char documents_seen[] =
	"{\"a\":{\"b\":[1,{\"c\":\"}]\\\"{\"}]}};{};{\"d\":\"\\\\\"};{\"ä\":null};";
static const char list[] =
	"{\"kind\":\"L\",\"metadata\":{\"m\":{\"n\":[{}]}},\"items\":[ {\"x\":[{}]} "
	",{\"y\":\"[{\"}],\"end\":[[{\"z\":1}]]}\n";
static const char list_seen[] = "{\"x\":[{}]};{\"y\":\"[{\"};";
static const char list_rest[] =
	"{\"kind\":\"L\",\"metadata\":{\"m\":{\"n\":[{}]}},\"items\":[null,null],"
	"\"end\":[[{\"z\":1}]]}";

static const char array[] = " [{\"x\":[{}]},\n{\"y\":\"[{\"} ]";
static const char array_rest[] = "[null,null]";

/* Cut in two at every byte, and into single bytes. */
START_TEST(cut)
{
	for (int turn = 0; turn < 3; turn++) {
		const char *text = turn == 0 ? documents : turn == 1 ? list : array;
		bool elements = turn > 0;
		size_t len = strlen(text);

		for (size_t at = 0; at <= len + 1; at++) {
			struct json_stream stream = {
				.elements = elements, .max = 100, .object = note};
			struct json_object *rest;

			seen[0] = '\0';
			for (size_t i = 0; at > len && i < len; i++)
				ck_assert(json_stream_feed(&stream, text + i, 1));
			if (at <= len) {
				ck_assert(json_stream_feed(&stream, text, at));
				ck_assert(json_stream_feed(&stream, text + at, len - at));
			}
			ck_assert_str_eq(seen, elements ? list_seen : documents_seen);
			rest = json_stream_rest(&stream);
			ck_assert(!rest == !elements);
			if (elements)
				ck_assert_str_eq(json_object_to_json_string_ext(
							 rest, JSON_C_TO_STRING_PLAIN),
						 turn == 1 ? list_rest : array_rest);
			json_object_put(rest);
			json_stream_free(&stream);
		}
	}
}
END_TEST

START_TEST(nonsense)
{
	static const struct {
		const char *text;
		bool elements, fed;
	} cases[] = {
		{"{\"a\":1", false, true}, /* not yet whole */
		{"{\"a\":]}", false, false},
		{"{\"a\" 1}", false, false},
		{"{\"a\":\"0123456789012345678901234567890123456789\"}", false, false},
		{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false, false},
		{"{\"a\":\"\xff\"}", false, false},
		{"{\"a\":\"stop\"}", false, false},
		{"{\"i\":[{\"a\" 1}]}", true, false},
		{"{\"i\":[{}", true, true},
		{"{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":[{}", true, false},
		{"}}]]{", false, true},
		{"", false, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_stream stream = {
			.elements = cases[i].elements, .max = 32, .object = note};

		seen[0] = '\0';
		ck_assert_msg(json_stream_feed(&stream, cases[i].text, strlen(cases[i].text)) ==
				      cases[i].fed,
			      "%s", cases[i].text);
		ck_assert_ptr_null(json_stream_rest(&stream));
		json_stream_free(&stream);
	}
}
END_TEST

/* ---- Keeping ------------------------------------------------------------------ */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "8c52fb9d-0a0c-4e4b-bea2-8da0ed0870c5"
#define UID_ "8c52fb9d_0a0c_4e4b_bea2_8da0ed0870c5"
#define HASH "c4ca4238a0b923820dcc509a6f75849b"

/* more: of metadata, status: of the whole. */
static struct json_object *pod(const char *uid, const char *name, const char *more,
			       const char *status)
{
	char text[4096];
	struct json_object *object;

	snprintf(text, sizeof(text),
		 "{'metadata':{'uid':'%s','name':'%s','namespace':'shop'%s},"
		 "'spec':{'nodeName':'node-1'}%s}",
		 uid, name, more, status);
	for (char *c = text; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	object = json_tokener_parse(text);
	ck_assert_msg(object != NULL, "%s", text);
	return object;
}

static void put(struct pods *pods, struct json_object *object)
{
	pods_put(pods, object);
	json_object_put(object);
}

static void put_container(struct pods *pods, const char *text)
{
	struct json_object *container = json_tokener_parse(text);

	ck_assert_msg(container != NULL, "%s", text);
	pods_put_container(pods, container);
	json_object_put(container);
}

#define OWNER(kind, name)                                                                          \
	",'ownerReferences':[{'kind':'X','name':'x'},{'kind':'" kind "','name':'" name             \
	"','controller':true}]"

START_TEST(workloads)
{
	static const struct {
		const char *name, *more, *workload;
	} cases[] = {
		{"alone", "", "alone"},
		{"w-5d4f8-x2",
		 OWNER("ReplicaSet", "w-5d4f8") ",'labels':{'pod-template-hash':'5d4f8'}", "w"},
		{"a-b-5d4f8-x2",
		 OWNER("ReplicaSet", "a-b-5d4f8") ",'labels':{'pod-template-hash':'5d4f8'}", "a-b"},
		/* A ReplicaSet that no Deployment has made. */
		{"r-x2", OWNER("ReplicaSet", "r-5d4f8"), "r-5d4f8"},
		{"r-x2", OWNER("ReplicaSet", "r") ",'labels':{'pod-template-hash':'r'}", "r"},
		{"r-x2", OWNER("ReplicaSet", "-r") ",'labels':{'pod-template-hash':'r'}", "-r"},
		{"r-x2", OWNER("ReplicaSet", "r-") ",'labels':{'pod-template-hash':''}", "r-"},
		{"db-0", OWNER("StatefulSet", "db"), "db"},
		{"log-x", OWNER("DaemonSet", "log"), "log"},
		{"once-x", OWNER("Job", "once-7"), "once-7"},
		{"n-x", OWNER("Job", "nightly-29012345"), "nightly"},
		{"n-x", OWNER("Job", "29012345"), "29012345"},
		{"n-x", OWNER("Job", "n-129012345"), "n-129012345"},
		{"c-x", OWNER("Rollout", "c"), "c"},
		{"etcd-node-1", OWNER("Node", "node-1"), "etcd"},
		{"odd", ",'ownerReferences':{'kind':3}", "odd"},
		{"odd", ",'ownerReferences':[3,{'kind':3,'name':[],'controller':true}]", "odd"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pods *pods = pods_new(1 << 20);

		put(pods, pod(UID, cases[i].name, cases[i].more, ""));
		ck_assert_str_eq(pod_fact(pods_find(pods, UID), POD_WORKLOAD), cases[i].workload);
		ck_assert_str_eq(pod_fact(pods_find(pods, UID), POD_NAME), cases[i].name);
		pods_free(pods);
	}
}
END_TEST

START_TEST(facts)
{
	struct pods *pods = pods_new(1 << 20);
	const struct pod *p;
	char more[1024], text[300];

	memset(text, 'v', sizeof(text));
	text[POD_VALUE_MAX + 1] = '\0';
	snprintf(more, sizeof(more),
		 ",'labels':{'a':'b','empty':'','n':3},'annotations':{'long':'%s','fits':'%s'}",
		 text, text + 1);
	put(pods, pod(UID, "a", more,
		      ",'status':{'containerStatuses':[{'name':'c','containerID':'containerd://" ID
		      "'},{'name':'waits'},{'name':'odd','containerID':'x'}],"
		      "'initContainerStatuses':[{'name':'i','containerID':'cri-o://" OTHER "'}]}"));
	p = pods_find(pods, UID);
	ck_assert_str_eq(pod_fact(p, POD_NAMESPACE), "shop");
	ck_assert_str_eq(pod_label(p, "a"), "b");
	ck_assert_str_eq(pod_label(p, "empty"), "");
	ck_assert_ptr_null(pod_label(p, "n"));
	ck_assert_ptr_null(pod_label(p, "none"));
	ck_assert_ptr_null(pod_annotation(p, "long"));
	ck_assert_uint_eq(strlen(pod_annotation(p, "fits")), POD_VALUE_MAX);
	ck_assert_str_eq(pod_container(p, ID), "c");
	ck_assert_str_eq(pod_container(p, OTHER), "i");
	ck_assert_ptr_null(pod_container(p, ""));
	/* What is no pod is left out. */
	put(pods, json_object_new_array());
	put(pods, json_tokener_parse("{\"metadata\":{\"uid\":3}}"));
	put(pods, json_tokener_parse("{\"metadata\":{\"uid\":\"\"}}"));
	put(pods, json_tokener_parse("{\"metadata\":3}"));
	ck_assert_uint_eq(pods_count(pods), 1);
	put(pods, json_tokener_parse("{\"metadata\":{\"uid\":\"u\",\"labels\":[],"
				     "\"annotations\":\"x\"},\"status\":[]}"));
	ck_assert_str_eq(pod_fact(pods_find(pods, "u"), POD_NAME), "");
	pods_free(pods);
}
END_TEST

START_TEST(come_and_go)
{
	struct pods *pods = pods_new(1 << 20);
	struct json_object *a = pod("a", "a", "", ""), *b = pod("b", "b", "", "");
	uint64_t now = 5 * NSEC_PER_SEC;

	ck_assert(!pods_changed(pods));
	pods_list_begin(pods);
	pods_put(pods, a);
	pods_put(pods, b);
	pods_list_end(pods, now);
	ck_assert(pods_changed(pods));
	ck_assert(!pods_changed(pods));
	/* What is not kept has changed. */
	json_object_object_add(a, "spec", json_object_new_object());
	pods_put(pods, a);
	ck_assert(!pods_changed(pods));
	put(pods, pod("a", "a", ",'labels':{'x':'y'}", ""));
	ck_assert(pods_changed(pods));
	ck_assert_uint_eq(pods_count(pods), 2);
	/* Gone by the list, and by an event; known for a minute more. */
	pods_list_begin(pods);
	pods_put(pods, a);
	pods_list_end(pods, now);
	ck_assert_uint_eq(pods_count(pods), 1);
	pods_remove(pods, a, now + NSEC_PER_SEC);
	ck_assert_uint_eq(pods_count(pods), 0);
	pods_expire(pods, now + 60 * NSEC_PER_SEC);
	ck_assert_ptr_nonnull(pods_find(pods, "b"));
	pods_expire(pods, now + 61 * NSEC_PER_SEC);
	ck_assert_ptr_null(pods_find(pods, "b"));
	ck_assert_ptr_nonnull(pods_find(pods, "a"));
	/* It is there again. */
	pods_put(pods, a);
	pods_expire(pods, now + 100 * NSEC_PER_SEC);
	ck_assert_uint_eq(pods_count(pods), 1);
	pods_remove(pods, b, now);
	json_object_put(a);
	json_object_put(b);
	pods_free(pods);
}
END_TEST

START_TEST(bound)
{
	struct pods *pods = pods_new(20000);
	char uid[16];

	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < 100; i++) {
			snprintf(uid, sizeof(uid), "%d", i);
			put(pods, pod(uid, uid, "", ""));
		}
	}
	ck_assert_uint_gt(pods_count(pods), 2);
	ck_assert_uint_lt(pods_count(pods), 10);
	ck_assert_uint_eq(pods_refused(pods), 2 * (100 - pods_count(pods)));
	/* What is there can change, and makes room when it goes. */
	put(pods, pod("0", "other", "", ""));
	ck_assert_str_eq(pod_fact(pods_find(pods, "0"), POD_NAME), "other");
	pods_list_begin(pods);
	pods_list_end(pods, 1);
	pods_expire(pods, 100 * NSEC_PER_SEC);
	put(pods, pod("new", "new", "", ""));
	ck_assert_ptr_nonnull(pods_find(pods, "new"));
	pods_free(pods);
}
END_TEST

/* ---- Deciding ------------------------------------------------------------------ */

#define TOP "/no/such/mount"
#define POD "/kubepods.slice/kubepods-pod" UID_ ".slice"
#define CONTAINER POD "/cri-containerd-" ID ".scope"
#define UNKNOWN_POD "/kubepods/pod00000000-0a0c-4e4b-bea2-8da0ed0870c5"

enum { NONE = APPLICATION_NONE, WATCHED, WITH, UNDECIDED };

static void decides(const struct application_rule *rules, size_t count, struct pods *pods,
		    const char *cgroup, bool wait, int decision, const char *wanted)
{
	struct applications all = {.rules = (struct application_rule *)rules, .count = count};
	struct application_input input = {.top = TOP, .pods = pods, .wait = wait};
	char path[512], name[APPLICATION_NAME_SIZE] = "";
	const struct application_rule *rule;

	snprintf(path, sizeof(path), TOP "%s", cgroup);
	input.path = path;
	ck_assert_msg((int)applications_decide(&all, &input, name, &rule) == decision,
		      "%s, rule %s", cgroup, rules[0].name);
	if (decision == WATCHED || decision == WITH)
		ck_assert_str_eq(name, wanted);
}

/* Every driver's and runtime's layout: the path of the pod, where it is another one, and of the
 * container; a cgroup inside the container is neither. */
START_TEST(layouts)
{
	static const struct {
		const char *pod, *container;
	} cases[] = {
		{POD, POD "/cri-containerd-" ID ".scope"},
		{POD, POD "/crio-" ID ".scope"},
		{POD, POD "/docker-" ID ".scope"},
		{POD, POD "/libpod-" ID ".scope"},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice",
		 "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
		 ".slice/cri-containerd-" ID ".scope"},
		{"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_ ".slice",
		 "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_
		 ".slice/cri-containerd-" ID ".scope"},
		{"/kubepods/besteffort/pod" UID, "/kubepods/besteffort/pod" UID "/" ID},
		{"/kubepods/pod" UID, "/kubepods/pod" UID "/crio-" ID},
		{"/docker/" OTHER "/kubelet/kubepods/pod" UID,
		 "/docker/" OTHER "/kubelet/kubepods/pod" UID "/" ID},
		{NULL,
		 "/system.slice/containerd.service/kubepods-pod" UID_ ".slice:cri-containerd:" ID},
		{NULL, "/kubepods-besteffort-pod" UID_ ".slice:crio:" ID},
	};
	struct application_match shop = {.kind = MATCH_NAMESPACE, .value = "sh*"};
	struct application_rule by_pod = {
		.matches = &shop, .match_count = 1, .name = "{namespace}/{pod}"};
	struct application_rule by_container = {
		.matches = &shop, .match_count = 1, .name = "{container}"};
	struct pods *pods = pods_new(1 << 20);
	char inner[512];

	put(pods, pod(UID, "a", "",
		      ",'status':{'containerStatuses':[{'name':'c','containerID':'x://" ID "'}]}"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *whole = cases[i].pod, *container = cases[i].container;

		snprintf(inner, sizeof(inner), "%s/init.scope", container);
		if (whole) {
			decides(&by_pod, 1, pods, whole, true, WATCHED, "shop/a");
			decides(&by_container, 1, pods, whole, true, NONE, NULL);
		}
		decides(&by_pod, 1, pods, container, true, whole ? WITH : WATCHED, "shop/a");
		decides(&by_container, 1, pods, container, true, WATCHED, "c");
		decides(&by_pod, 1, pods, inner, true, WITH, "shop/a");
		decides(&by_container, 1, pods, inner, true, WITH, "c");
	}
	pods_free(pods);
}
END_TEST

START_TEST(what_is_not_known)
{
	struct application_match app = {.kind = MATCH_LABEL, .key = "app", .value = "*"};
	struct application_match team = {.kind = MATCH_ANNOTATION, .key = "team", .value = "b*"};
	struct application_rule rules[] = {
		{.cgroup = "/kubepods/known/**", .name = "known"},
		{.matches = &app, .match_count = 1, .name = "{label:app}"},
		{.matches = &team, .match_count = 1, .name = "{pod}/{container}"},
		{.cgroup = "/**/cri-containerd-*.scope", .name = "{container_id}"},
	};
	struct pods *pods = pods_new(1 << 20);

	/* What no pod can change is decided. */
	decides(rules, 4, pods, "/system.slice/a.service", true, NONE, NULL);
	decides(rules, 4, pods, "/kubepods/known/pod" UID, true, WATCHED, "known");
	/* The pod may come to be known; if not, the rest decides. */
	decides(rules, 4, pods, POD, true, UNDECIDED, NULL);
	decides(rules, 4, pods, POD, false, NONE, NULL);
	decides(rules, 4, pods, CONTAINER, true, UNDECIDED, NULL);
	decides(rules, 4, pods, CONTAINER, false, WATCHED, "0123456789ab");
	decides(rules, 4, NULL, CONTAINER, true, WATCHED, "0123456789ab");
	/* A rule about pods as a whole leaves the containers to the pod's cgroup. */
	decides(rules + 1, 1, pods, POD, true, UNDECIDED, NULL);
	decides(rules + 1, 1, pods, CONTAINER, true, NONE, NULL);
	/* One about containers the pod. */
	decides(rules + 2, 1, pods, POD, true, NONE, NULL);
	decides(rules + 2, 1, pods, CONTAINER, true, UNDECIDED, NULL);
	decides(rules + 2, 1, pods, CONTAINER "/init.scope", true, NONE, NULL);

	put(pods, pod(UID, "a", ",'annotations':{'team':'blue'}", ""));
	decides(rules, 4, pods, POD, true, NONE, NULL);
	/* The container's name comes when it has started. */
	decides(rules, 4, pods, CONTAINER, true, UNDECIDED, NULL);
	decides(rules, 4, pods, CONTAINER, false, WATCHED, "0123456789ab");
	put(pods, pod(UID, "a", ",'annotations':{'team':'blue'}",
		      ",'status':{'containerStatuses':[{'name':'c','containerID':'x://" ID "'}]}"));
	decides(rules, 4, pods, CONTAINER, true, WATCHED, "a/c");
	put(pods, pod(UID, "a", ",'annotations':{'team':'red'}", ""));
	decides(rules, 4, pods, CONTAINER, true, WATCHED, "0123456789ab");
	put(pods, pod(UID, "a", ",'labels':{'app':'x'}", ""));
	decides(rules, 4, pods, POD, true, WATCHED, "x");
	decides(rules, 4, pods, CONTAINER, true, WITH, "x");
	/* A label without a value is one; a name needs one. */
	put(pods, pod(UID, "a", ",'labels':{'app':''}", ""));
	decides(rules, 4, pods, POD, true, NONE, NULL);
	rules[1].name = "app";
	decides(rules, 4, pods, POD, true, WATCHED, "app");
	/* To be ignored. */
	rules[1].name = NULL;
	decides(rules, 4, pods, CONTAINER, true, NONE, NULL);
	decides(rules, 4, pods, UNKNOWN_POD, true, UNDECIDED, NULL);
	pods_free(pods);
}
END_TEST

/* Without Kubernetes a container is as a pod of its own. */
START_TEST(containers)
{
	static const struct {
		const char *cgroup;
		bool edge;
	} cases[] = {
		{"/docker/" ID, true},
		{"/system.slice/docker-" ID ".scope", true},
		{"/system.slice/docker-" ID ".scope/init.scope", false},
		{"/machine.slice/libpod-" ID ".scope", true},
		{"/machine.slice/libpod-" ID ".scope/container", false},
		{"/libpod_parent/libpod-" ID, true},
		{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
		 true},
		{"/system.slice/nerdctl-" ID ".scope", true},
	};
	struct application_match compose = {.kind = MATCH_LABEL, .key = "c.service", .value = "*"};
	struct application_match space = {.kind = MATCH_NAMESPACE, .value = "*"};
	struct application_rule rules[] = {
		{.matches = &space, .match_count = 1, .name = "no"},
		{.cgroup = "/**", .name = "{pod}"},
		{.matches = &compose, .match_count = 1, .name = "{label:c.service} {container}"},
	};
	struct applications all = {.rules = rules, .count = 3};
	struct application_input input = {.top = TOP, .containers = true, .wait = true};
	struct pods *pods = pods_new(1 << 20);
	const struct application_rule *rule;
	char path[512], name[APPLICATION_NAME_SIZE];

	input.pods = pods;
	input.path = TOP "/docker/" ID;
	ck_assert_int_eq(applications_decide(&all, &input, name, &rule), APPLICATION_UNDECIDED);
	put_container(pods, "{\"Id\":\"" ID "\",\"Names\":[\"/web-1\",\"/x\"],\"Labels\":"
			    "{\"c.service\":\"web\"}}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(path, sizeof(path), TOP "%s", cases[i].cgroup);
		input.path = path;
		ck_assert_msg(
			applications_decide(&all, &input, name, &rule) ==
				(cases[i].edge ? APPLICATION_WATCHED : APPLICATION_WITH_PARENT),
			"%s", path);
		ck_assert_str_eq(name, "web web-1");
	}
	/* Of odd answers as much as is there. */
	put_container(pods, "{\"Id\":\"" OTHER "\",\"Names\":[],\"Labels\":null}");
	put_container(pods, "{\"Names\":[\"/a\"]}");
	put_container(pods, "{\"Id\":[],\"Names\":3}");
	ck_assert_uint_eq(pods_count(pods), 2);
	ck_assert_ptr_null(pod_container(pods_find(pods, OTHER), OTHER));
	pods_free(pods);
}
END_TEST

START_TEST(static_pods)
{
	struct application_rule rule = {.cgroup = "/**", .name = "{workload} {pod_uid}"};
	struct pods *pods = pods_new(1 << 20);

	put(pods,
	    pod(UID, "etcd-node-1",
		OWNER("Node", "node-1") ",'annotations':{'kubernetes.io/config.mirror':'" HASH "'}",
		""));
	decides(&rule, 1, pods, "/kubepods/pod" HASH, true, WATCHED, "etcd " HASH);
	pods_free(pods);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {cut,	   nonsense,	workloads, facts,
				      come_and_go, bound,	layouts,   what_is_not_known,
				      containers,  static_pods, NULL};

	return unit_run("pods", tests, NULL, NULL);
}
