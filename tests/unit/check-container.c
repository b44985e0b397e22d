/* SPDX-License-Identifier: BSD-2-Clause */
/* Containers from cgroup paths, as the runtimes and the kubelet lay them out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "guard.h"
#include <appmon/appmon.h>

#include "unit.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "8c52fb9d-0a0c-4e4b-bea2-8da0ed0870c5"
#define UID_ "8c52fb9d_0a0c_4e4b_bea2_8da0ed0870c5"
#define HASH "c4ca4238a0b923820dcc509a6f75849b"

static void is(const char *path, uint32_t runtime, const char *id, const char *uid)
{
	struct appmon_container c = {.size = sizeof(c)};

	ck_assert_msg(appmon_cgroup_container(path, &c) == 0, "%s", path);
	ck_assert_msg(!strcmp(c.id, id), "%s: id \"%s\"", path, c.id);
	ck_assert_msg(!strcmp(c.pod_uid, uid), "%s: pod \"%s\"", path, c.pod_uid);
	ck_assert_msg(c.runtime == runtime, "%s: %s", path, appmon_runtime_name(c.runtime));
}

static void is_none(const char *path)
{
	struct appmon_container c = {.size = sizeof(c), .runtime = 77};

	ck_assert_msg(appmon_cgroup_container(path, &c) == -ENOENT, "%s", path);
	ck_assert_uint_eq(c.runtime, 77);
}

START_TEST(alone)
{
	is("/docker/" ID, APPMON_RUNTIME_DOCKER, ID, "");
	is("/system.slice/docker-" ID ".scope", APPMON_RUNTIME_DOCKER, ID, "");
	is("/sys/fs/cgroup/system.slice/docker-" ID ".scope", APPMON_RUNTIME_DOCKER, ID, "");
	is("docker-" ID ".scope", APPMON_RUNTIME_DOCKER, ID, "");
	is("/default/" ID, APPMON_RUNTIME_UNKNOWN, ID, ""); /* nerdctl with cgroupfs */
	is("/system.slice/nerdctl-" ID ".scope", APPMON_RUNTIME_CONTAINERD, ID, "");
	is("/machine.slice/libpod-" ID ".scope", APPMON_RUNTIME_PODMAN, ID, "");
	is("/machine.slice/libpod-" ID ".scope/container", APPMON_RUNTIME_PODMAN, ID, "");
	is("/libpod_parent/libpod-" ID, APPMON_RUNTIME_PODMAN, ID, "");
	is("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
	   APPMON_RUNTIME_PODMAN, ID, "");
	is("/machine.slice/machine-libpod_pod_" OTHER ".slice/libpod-" ID ".scope",
	   APPMON_RUNTIME_PODMAN, ID, "");
}
END_TEST

START_TEST(pods_systemd)
{
	static const char *const class[] = {"besteffort-", "burstable-", ""};
	char path[512], slice[256];

	for (int i = 0; i < 3; i++) {
		snprintf(slice, sizeof(slice), "/kubepods.slice/kubepods-%spod%s.slice", class[i],
			 UID_);
		snprintf(path, sizeof(path), "%s/cri-containerd-%s.scope", slice, ID);
		is(path, APPMON_RUNTIME_CONTAINERD, ID, UID);
		snprintf(path, sizeof(path), "%s/crio-%s.scope", slice, ID);
		is(path, APPMON_RUNTIME_CRIO, ID, UID);
		snprintf(path, sizeof(path), "%s/crio-%s.scope/container", slice, ID);
		is(path, APPMON_RUNTIME_CRIO, ID, UID);
		snprintf(path, sizeof(path), "%s/docker-%s.scope", slice, ID);
		is(path, APPMON_RUNTIME_DOCKER, ID, UID);
		is(slice, APPMON_RUNTIME_UNKNOWN, "", UID);
		snprintf(path, sizeof(path), "%s/crio-conmon-%s.scope", slice, ID);
		is(path, APPMON_RUNTIME_UNKNOWN, "", UID);
	}
	/* kind */
	is("/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
	   "kubelet-kubepods-burstable-pod" UID_ ".slice/cri-containerd-" ID ".scope",
	   APPMON_RUNTIME_CONTAINERD, ID, UID);
	/* Of a static pod. */
	is("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" HASH ".slice/crio-" ID
	   ".scope",
	   APPMON_RUNTIME_CRIO, ID, HASH);
}
END_TEST

START_TEST(pods_cgroupfs)
{
	is("/kubepods/burstable/pod" UID "/" ID, APPMON_RUNTIME_UNKNOWN, ID, UID);
	is("/kubepods/pod" UID "/" ID, APPMON_RUNTIME_UNKNOWN, ID, UID);
	is("/kubepods/besteffort/pod" UID "/crio-" ID, APPMON_RUNTIME_CRIO, ID, UID);
	is("/kubepods/burstable/pod" HASH "/" ID, APPMON_RUNTIME_UNKNOWN, ID, HASH);
	is("/kubepods/burstable/pod" UID, APPMON_RUNTIME_UNKNOWN, "", UID);
	/* containerd with cgroupfs under a kubelet with systemd. */
	is("/system.slice/containerd.service/kubepods-burstable-pod" UID_
	   ".slice:cri-containerd:" ID,
	   APPMON_RUNTIME_CONTAINERD, ID, UID);
	is("/kubepods-besteffort-pod" UID_ ".slice:crio:" ID, APPMON_RUNTIME_CRIO, ID, UID);
}
END_TEST

START_TEST(nested)
{
	/* docker in a pod, a service inside a container, kubernetes in docker. */
	is("/kubepods/pod" UID "/" OTHER "/docker/" ID, APPMON_RUNTIME_DOCKER, ID, UID);
	is("/system.slice/docker-" ID ".scope/system.slice/cron.service", APPMON_RUNTIME_DOCKER, ID,
	   "");
	is("/docker/" OTHER "/kubelet/kubepods/pod" UID "/" ID, APPMON_RUNTIME_UNKNOWN, ID, UID);
	is("/docker/" OTHER "/kubelet/kubepods/pod" UID, APPMON_RUNTIME_UNKNOWN, "", UID);
}
END_TEST

START_TEST(none)
{
	is_none("");
	is_none("/");
	is_none("/system.slice/nginx.service");
	is_none("/user.slice/user-1000.slice/session-2.scope");
	is_none("/kubepods.slice/kubepods-burstable.slice");
	is_none("/machine.slice/libpod-conmon-" ID ".scope");
	is_none("/system.slice/docker.service");
	is_none("/docker/0123456789abcdef");		  /* too short */
	is_none("/docker/" ID "0");			  /* too long */
	is_none("/system.slice/frobnicate-" ID ".scope"); /* nobody's */
	is_none("/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef");
	is_none("/kubepods/pod8c52fb9d-0a0c-4e4b-bea2-8da0ed0870cX");
	is_none("/kubepods/pod8c52fb9d00a0c-4e4b-bea2-8da0ed0870c5");
	is_none("/kubepods/xpod" UID);
}
END_TEST

START_TEST(arguments)
{
	struct appmon_container c = {.size = 3};
	struct {
		struct appmon_container c;
		uint64_t newer;
	} longer = {.c.size = sizeof(longer), .newer = 1};

	ck_assert_int_eq(appmon_cgroup_container(NULL, &c), -EINVAL);
	ck_assert_int_eq(appmon_cgroup_container("/docker/" ID, NULL), -EINVAL);
	ck_assert_int_eq(appmon_cgroup_container("/docker/" ID, &c), -EINVAL);
	ck_assert_uint_eq(c.size, 3);
	ck_assert_int_eq(appmon_cgroup_container("/docker/" ID, &longer.c), 0);
	ck_assert_uint_eq(longer.c.size, sizeof(c));
	ck_assert_uint_eq(longer.newer, 0);
	ck_assert_str_eq(appmon_runtime_name(APPMON_RUNTIME_PODMAN), "podman");
	ck_assert_str_eq(appmon_runtime_name(UINT32_MAX), "unknown");
}
END_TEST

/* Every prefix and suffix, at the edge of readable memory. */
START_TEST(cut)
{
	static const char path[] = "/docker/" OTHER "/kubepods-burstable-pod" UID_
				   ".slice/x.slice:cri-containerd:" ID ".scope/container";
	struct appmon_container c = {.size = sizeof(c)};
	struct guard g;

	guard_init(&g, sizeof(path));
	for (size_t from = 0; from < sizeof(path); from++) {
		for (size_t to = from; to < sizeof(path); to++) {
			char *p = g.map + g.size - (to - from) - 1;

			memcpy(p, path + from, to - from);
			p[to - from] = '\0';
			appmon_cgroup_container(p, &c);
		}
	}
	guard_free(&g);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {alone, pods_systemd, pods_cgroupfs, nested,
				      none,  arguments,	   cut,		  NULL};

	return unit_run("container", tests, NULL, NULL);
}
