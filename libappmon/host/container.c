/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which container a cgroup is, by its path alone. Runtimes name their cgroups by rule:
 *
 *   systemd driver    .../PREFIX-ID.scope[/...]
 *   cgroupfs driver   .../ID, .../PREFIX-ID, /docker/ID
 *   containerd, where its driver and the kubelet's differ   .../SLICE:cri-containerd:ID
 *
 * and the kubelet puts them into .../podUID/ or .../kubepods-CLASS-podUID.slice/, where a UID's
 * dashes are underscores.
 */
#include <errno.h>
#include <string.h>

#include "base/base.h"

#define ID_LEN 64 /* SHA-256 in hex: what all of these runtimes use */
#define UID_LEN 36
#define STATIC_UID_LEN 32 /* of a pod that a file on the node describes: a hash */

static const struct {
	const char *prefix;
	uint32_t runtime;
} runtimes[] = {
	{"docker", APPMON_RUNTIME_DOCKER},	{"cri-containerd", APPMON_RUNTIME_CONTAINERD},
	{"nerdctl", APPMON_RUNTIME_CONTAINERD}, {"crio", APPMON_RUNTIME_CRIO},
	{"libpod", APPMON_RUNTIME_PODMAN},
};

struct part {
	const char *s;
	size_t len;
};

static struct part without(struct part p, const char *suffix)
{
	size_t n = strlen(suffix);

	if (p.len >= n && !memcmp(p.s + p.len - n, suffix, n))
		p.len -= n;
	return p;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool all_hex(const char *s, size_t len)
{
	while (len--)
		if (!is_hex(s[len]))
			return false;
	return true;
}

static bool is(struct part p, const char *text)
{
	return p.len == strlen(text) && !memcmp(p.s, text, p.len);
}

/* ID, PREFIX-ID or SLICE:PREFIX:ID. before: the component that it is in. */
static bool is_container(struct part p, struct part before, uint32_t *runtime)
{
	const char *colon;

	p = without(p, ".scope");
	if (p.len < ID_LEN || !all_hex(p.s + p.len - ID_LEN, ID_LEN))
		return false;
	p.len -= ID_LEN;
	if (!p.len) {
		*runtime = is(before, "docker") ? APPMON_RUNTIME_DOCKER : APPMON_RUNTIME_UNKNOWN;
		return true;
	}
	p.len--;
	if (p.s[p.len] == ':') {
		colon = memrchr(p.s, ':', p.len);
		if (colon) {
			p.len -= (size_t)(colon + 1 - p.s);
			p.s = colon + 1;
		}
	} else if (p.s[p.len] != '-') {
		return false;
	}
	/* Not crio-conmon-ID or libpod-conmon-ID: those hold the container's monitor. */
	for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
		if (is(p, runtimes[i].prefix)) {
			*runtime = runtimes[i].runtime;
			return true;
		}
	}
	return false;
}

/* podUID, or ...-podUID.slice. */
static bool pod_uid(struct part p, char ret[UID_LEN + 1])
{
	static const size_t lengths[] = {UID_LEN, STATIC_UID_LEN};
	char uid[UID_LEN + 1];
	const char *colon = memchr(p.s, ':', p.len);

	if (colon) /* SLICE:PREFIX:ID */
		p.len = (size_t)(colon - p.s);
	p = without(p, ".slice");
	for (size_t i = 0; i < 2; i++) {
		size_t n = lengths[i];
		const char *at;

		if (p.len < n + 3)
			continue;
		at = p.s + p.len - n;
		if (memcmp(at - 3, "pod", 3) != 0 || (p.len > n + 3 && at[-4] != '-'))
			continue;
		for (size_t k = 0; k < n; k++) {
			bool dash = n == UID_LEN && (k == 8 || k == 13 || k == 18 || k == 23);

			if (dash ? at[k] != '-' && at[k] != '_' : !is_hex(at[k]))
				return false;
			uid[k] = dash ? '-' : at[k];
		}
		uid[n] = '\0';
		memcpy(ret, uid, n + 1);
		return true;
	}
	return false;
}

int appmon_cgroup_container(const char *path, struct appmon_container *ret)
{
	struct appmon_container c = {0};
	struct part before = {"", 0};

	if (!path || !ret)
		return -EINVAL;
	for (const char *s = path; *s;) {
		struct part p = {s, strcspn(s, "/")};
		uint32_t runtime;

		if (pod_uid(p, c.pod_uid)) {
			c.id[0] = '\0';
			c.runtime = APPMON_RUNTIME_UNKNOWN;
		}
		/* The innermost: containers may run containers. */
		if (is_container(p, before, &runtime)) {
			struct part id = without(p, ".scope");

			memcpy(c.id, id.s + id.len - ID_LEN, ID_LEN);
			c.runtime = runtime;
		}
		before = p;
		s += p.len;
		s += *s == '/';
	}
	if (!c.id[0] && !c.pod_uid[0])
		return -ENOENT;
	c.size = ret->size;
	return opts_write(ret, &c, sizeof(c));
}

const char *appmon_runtime_name(uint32_t runtime)
{
	static const char *const name[] = {"unknown", "docker", "containerd", "cri-o", "podman"};

	return runtime < sizeof(name) / sizeof(name[0]) ? name[runtime] : "unknown";
}
