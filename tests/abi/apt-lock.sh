#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# tests/install-deps waits for another apt that holds a lock, and for no other failure. Its argument is
# that script; apt-get, dpkg-query and systemctl are stand-ins. Needs root, as that script does.
set -eu
script=$1

[ "$(id -u)" = 0 ] || exit 77
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf '#!/bin/sh\nexit 1\n' >"$dir/dpkg-query"
printf '#!/bin/sh\nexit 0\n' >"$dir/systemctl"
cat >"$dir/apt-get" <<-STANDIN
	#!/bin/sh
	echo "\$*" >>"$dir/calls"
	[ "\$(wc -l <"$dir/calls")" -gt 2 ] && exit 0
	cat "$dir/says"
	exit 100
STANDIN
chmod +x "$dir"/*
echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)' >"$dir/says"
PATH=$dir:$PATH "$script" package
[ "$(grep -c update "$dir/calls")" = 3 ]
grep -q 'DPkg::Lock::Timeout=.* install ' "$dir/calls"
rm "$dir/calls"
echo 'E: The repository has no Release file.' >"$dir/says"
PATH=$dir:$PATH "$script" package && exit 1
[ "$(grep -c update "$dir/calls")" = 1 ]
