/* SPDX-License-Identifier: BSD-2-Clause */
/* What the agent calls the addresses of Kubernetes' Services, as they come, change and go. */
#include <arpa/inet.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "agent/services.h"
#include "text.h"
#include "unit.h"

#define SECOND NSEC_PER_SEC
#define NOW (1000 * SECOND)

/* ' stands for ". */
static struct json_object *parse(const char *format, const char *a, const char *b, const char *c)
{
	struct json_object *object;
	char text[4096];

	snprintf(text, sizeof(text), format, a, b, c);
	for (char *at = text; *at != '\0'; at++)
		*at = *at == '\'' ? '"' : *at;
	object = json_tokener_parse(text);
	ck_assert_msg(object != NULL, "%s", text);
	return object;
}

/* spec, and what follows it. */
static void put_service(struct addresses *addresses, const char *name, const char *spec,
			uint64_t now)
{
	struct json_object *object =
		parse("{'metadata':{'uid':'%s','name':'%s','namespace':'shop'},'spec':%s}", name,
		      name, spec);

	services_put(addresses, object, now);
	json_object_put(object);
}

/* uid of the slice, name of its Service, and its members. */
static void put_slice(struct addresses *addresses, const char *uid, const char *service,
		      const char *members, uint64_t now)
{
	struct json_object *object = parse("{'metadata':{'uid':'%s','namespace':'shop','labels':"
					   "{'kubernetes.io/service-name':'%s'}},%s}",
					   uid, service, members);

	services_put_slice(addresses, object, now);
	json_object_put(object);
}

static void remove_uid(struct addresses *addresses, const char *uid, uint64_t now)
{
	struct json_object *object = parse("{'metadata':{'uid':'%s'}}", uid, "", "");

	services_remove(addresses, object, now);
	json_object_put(object);
}

static const char *find(const struct addresses *addresses, const char *address, uint16_t port)
{
	struct appmon_endpoint endpoint = {.port = port};

	endpoint.family = inet_pton(AF_INET, address, endpoint.addr) == 1 ? 4 : 6;
	if (endpoint.family == 6)
		ck_assert_int_eq(inet_pton(AF_INET6, address, endpoint.addr), 1);
	return addresses_find(addresses, &endpoint);
}

#define ENDPOINT(address) "{'addresses':['" address "']}"
#define SLICE(endpoints) "'endpoints':[" endpoints "],'ports':[{'port':8080}]"

START_TEST(of_a_service)
{
	struct addresses *addresses = addresses_new(1 << 20);

	put_service(addresses, "web",
		    "{'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7','fd00::7'],"
		    "'externalIPs':['192.0.2.1'],"
		    "'ports':[{'port':80,'protocol':'TCP'},{'port':443},"
		    "{'port':53,'protocol':'UDP'}]},'status':{'loadBalancer':{'ingress':"
		    "[{'hostname':'lb.test'},{'ip':'198.51.100.1'}]}}",
		    NOW);
	put_service(addresses, "headless", "{'clusterIPs':['None'],'ports':[{'port':80}]}", NOW);
	put_service(addresses, "outside", "{'type':'ExternalName','externalName':'db.test'}", NOW);
	ck_assert_str_eq(find(addresses, "10.96.0.7", 80), "shop/web");
	ck_assert_str_eq(find(addresses, "10.96.0.7", 443), "shop/web");
	ck_assert_str_eq(find(addresses, "fd00::7", 80), "shop/web");
	ck_assert_str_eq(find(addresses, "192.0.2.1", 80), "shop/web");
	ck_assert_str_eq(find(addresses, "198.51.100.1", 443), "shop/web");
	/* Another port of a node's address is another server's. */
	ck_assert_ptr_null(find(addresses, "192.0.2.1", 10250));
	ck_assert_ptr_null(find(addresses, "10.96.0.7", 53));
	ck_assert_ptr_null(find(addresses, "10.96.0.8", 80));
	ck_assert_ptr_null(find(addresses, "fd00::8", 80));
	ck_assert_ptr_null(addresses_find(addresses, &(struct appmon_endpoint){.port = 80}));
	ck_assert_uint_eq(addresses_count(addresses), 8);
	ck_assert_ptr_null(find(NULL, "10.96.0.7", 80));
	addresses_free(addresses);
}
END_TEST

START_TEST(of_endpoints)
{
	struct addresses *addresses = addresses_new(1 << 20);

	put_slice(addresses, "1", "web",
		  "'endpoints':[{'addresses':['10.1.0.1','10.1.0.2']},{'addresses':['fd00:1::1']},"
		  "{'addresses':['node.test']}],"
		  "'ports':[{'port':8080,'protocol':'TCP'},{'port':53,'protocol':'UDP'}]",
		  NOW);
	/* Every port. */
	put_slice(addresses, "2", "all", "'endpoints':[" ENDPOINT("10.1.0.9") "],'ports':[{}]",
		  NOW);
	/* The same pod behind another Service. */
	put_slice(addresses, "3", "admin", SLICE(ENDPOINT("10.1.0.2")), NOW);
	ck_assert_str_eq(find(addresses, "10.1.0.1", 8080), "shop/web");
	ck_assert_str_eq(find(addresses, "10.1.0.2", 8080), "shop/admin");
	ck_assert_str_eq(find(addresses, "fd00:1::1", 8080), "shop/web");
	ck_assert_ptr_null(find(addresses, "10.1.0.1", 53));
	ck_assert_str_eq(find(addresses, "10.1.0.9", 1), "shop/all");
	/* A Service with that very port knows better than one with all. */
	put_slice(addresses, "4", "zoo", SLICE(ENDPOINT("10.1.0.9")), NOW);
	ck_assert_str_eq(find(addresses, "10.1.0.9", 8080), "shop/zoo");
	addresses_free(addresses);
}
END_TEST

START_TEST(nonsense)
{
	static const char *const texts[] = {
		"[]",
		"{}",
		"{'metadata':3}",
		"{'metadata':{'uid':'','name':'a','namespace':'b'}}",
		"{'metadata':{'uid':'1','name':'a'}}",
		"{'metadata':{'uid':'1','name':'a','namespace':'b','labels':[]}}",
		"{'metadata':{'uid':'1','name':'a','namespace':'b','labels':"
		"{'kubernetes.io/service-name':'s'}},'spec':{'clusterIPs':[3,null,'x',{}],"
		"'ports':[3,{'port':70000},{'port':-1},{'port':80}]},"
		"'status':{'loadBalancer':{'ingress':[3,{}]}},"
		"'endpoints':[3,null,{},{'addresses':3},{'addresses':[3,'x']}],"
		"'ports':[null,{'port':80}]}",
		"{'metadata':{'uid':'1','name':'a','namespace':'b','labels':"
		"{'kubernetes.io/service-name':'s'}},'spec':{'clusterIPs':3,'ports':{}},"
		"'endpoints':{},'ports':3}",
	};
	struct addresses *addresses = addresses_new(1 << 20);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_object *object = parse("%s", texts[i], "", "");

		services_put(addresses, object, NOW);
		services_put_slice(addresses, object, NOW);
		services_remove(addresses, object, NOW);
		json_object_put(object);
	}
	ck_assert_uint_eq(addresses_count(addresses), 0);
	ck_assert_uint_eq(addresses_refused(addresses), 0);
	addresses_free(addresses);
}
END_TEST

START_TEST(come_and_go)
{
	struct addresses *addresses = addresses_new(1 << 20);

	put_service(addresses, "web", "{'clusterIPs':['10.96.0.7'],'ports':[{'port':80}]}", NOW);
	put_slice(addresses, "1", "web", SLICE(ENDPOINT("10.1.0.1") "," ENDPOINT("10.1.0.2")), NOW);
	/* An endpoint moves: its new address counts at once, its old one for another minute. */
	put_slice(addresses, "1", "web", SLICE(ENDPOINT("10.1.0.3") "," ENDPOINT("10.1.0.2")),
		  NOW + SECOND);
	ck_assert_uint_eq(addresses_count(addresses), 3);
	ck_assert_str_eq(find(addresses, "10.1.0.1", 8080), "shop/web");
	ck_assert_str_eq(find(addresses, "10.1.0.3", 8080), "shop/web");
	/* Unless another one gets it. */
	put_slice(addresses, "2", "zoo", SLICE(ENDPOINT("10.1.0.1")), NOW + 2 * SECOND);
	ck_assert_str_eq(find(addresses, "10.1.0.1", 8080), "shop/zoo");
	remove_uid(addresses, "2", NOW + 3 * SECOND);
	remove_uid(addresses, "web", NOW + 3 * SECOND);
	remove_uid(addresses, "never seen", NOW + 3 * SECOND);
	ck_assert_uint_eq(addresses_count(addresses), 2);
	/* Of two that are gone the later one. */
	ck_assert_str_eq(find(addresses, "10.1.0.1", 8080), "shop/zoo");
	addresses_expire(addresses, NOW + 62 * SECOND);
	ck_assert_str_eq(find(addresses, "10.96.0.7", 80), "shop/web");
	addresses_expire(addresses, NOW + 80 * SECOND);
	ck_assert_ptr_null(find(addresses, "10.96.0.7", 80));
	ck_assert_ptr_null(find(addresses, "10.1.0.1", 8080));
	ck_assert_str_eq(find(addresses, "10.1.0.2", 8080), "shop/web");
	/* A slice gets another Service, and then none: its addresses go with the label. */
	put_slice(addresses, "1", "other", SLICE(ENDPOINT("10.1.0.2")), NOW + 90 * SECOND);
	ck_assert_str_eq(find(addresses, "10.1.0.2", 8080), "shop/other");
	ck_assert_ptr_null(find(addresses, "10.1.0.3", 8080));
	struct json_object *bare =
		parse("{'metadata':{'uid':'1','namespace':'shop'}," SLICE(ENDPOINT("10.1.0.2")) "}",
		      "", "", "");
	services_put_slice(addresses, bare, NOW + 91 * SECOND);
	json_object_put(bare);
	ck_assert_uint_eq(addresses_count(addresses), 0);
	addresses_free(addresses);
}
END_TEST

/* Each kind is listed by itself. */
START_TEST(listed_again)
{
	struct addresses *addresses = addresses_new(1 << 20);

	put_service(addresses, "a", "{'clusterIPs':['10.96.0.1'],'ports':[{'port':80}]}", NOW);
	put_service(addresses, "b", "{'clusterIPs':['10.96.0.2'],'ports':[{'port':80}]}", NOW);
	put_slice(addresses, "1", "a", SLICE(ENDPOINT("10.1.0.1")), NOW);
	/* A list that broke off takes none away. */
	addresses_list_begin(addresses, ADDRESSES_OF_SERVICES);
	addresses_list_begin(addresses, ADDRESSES_OF_SERVICES);
	put_service(addresses, "b", "{'clusterIPs':['10.96.0.3'],'ports':[{'port':80}]}", NOW);
	addresses_list_end(addresses, ADDRESSES_OF_SERVICES, NOW);
	ck_assert_uint_eq(addresses_count(addresses), 2);
	addresses_expire(addresses, NOW + 100 * SECOND);
	ck_assert_ptr_null(find(addresses, "10.96.0.1", 80));
	ck_assert_ptr_null(find(addresses, "10.96.0.2", 80));
	ck_assert_str_eq(find(addresses, "10.96.0.3", 80), "shop/b");
	ck_assert_str_eq(find(addresses, "10.1.0.1", 8080), "shop/a");
	addresses_free(addresses);
}
END_TEST

START_TEST(bound)
{
	struct addresses *addresses = addresses_new(20000);
	char uid[16], address[32];
	size_t kept;

	for (int turn = 0; turn < 3; turn++) {
		uint64_t now = NOW + (uint64_t)turn * 1000 * SECOND;

		for (int i = 0; i < 1000; i++) {
			snprintf(uid, sizeof(uid), "%d", i);
			snprintf(address, sizeof(address), "'10.2.%d.%d'", i / 250, i % 250);
			struct json_object *object =
				parse("{'metadata':{'uid':'%s','namespace':'shop','name':'%s'},"
				      "'spec':{'clusterIPs':[%s],'ports':[{'port':80}]}}",
				      uid, uid, address);

			services_put(addresses, object, now);
			json_object_put(object);
		}
		kept = addresses_count(addresses);
		ck_assert_uint_gt(kept, 50);
		ck_assert_uint_lt(kept, 500);
		/* Of each the owner or its address was refused. */
		ck_assert_uint_eq(addresses_refused(addresses),
				  (uint64_t)(turn + 1) * (1000 - kept));
		ck_assert_str_eq(find(addresses, "10.2.0.7", 80), "shop/7");
		ck_assert_ptr_null(find(addresses, "10.2.3.7", 80));
		/* What goes makes room. */
		addresses_list_begin(addresses, ADDRESSES_OF_SERVICES);
		addresses_list_end(addresses, ADDRESSES_OF_SERVICES, now);
		ck_assert_uint_eq(addresses_count(addresses), 0);
		addresses_expire(addresses, now + 100 * SECOND);
		ck_assert_ptr_null(find(addresses, "10.2.0.7", 80));
	}
	addresses_free(addresses);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {of_a_service, of_endpoints, nonsense, come_and_go,
				      listed_again, bound,	  NULL};

	return unit_run("services", tests, NULL, NULL);
}
