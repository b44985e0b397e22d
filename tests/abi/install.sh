#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# `meson install` below /usr/local, in a mount namespace with an /etc and a /usr/local of its own: a
# program that is built against the library runs. Arguments: meson, the build directory, its prefix,
# minimal.c. Needs root and overlayfs.
set -eu
meson=$1 build=$2 prefix=$3 source=$4

if [ "${5:-}" != inside ]; then
	[ "$(id -u)" = 0 ] && [ "$prefix" = /usr/local ] || exit 77
	exec unshare --mount -- "$0" "$@" inside
fi
mount --make-rprivate /
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work none /etc || exit 77
mount -t tmpfs none /usr/local
unset DESTDIR LD_LIBRARY_PATH
"$meson" install -C "$build" --no-rebuild --quiet
cd /mnt
# shellcheck disable=SC2046 # flags are words
${CC:-cc} -o minimal "$source" $(pkg-config --cflags --libs libappmon)
./minimal 2>said || true
grep -q '^usage:' said || { cat said; exit 1; }
