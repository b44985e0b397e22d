#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Installs into an empty directory and builds a host program there with nothing but pkg-config.
# Arguments: meson, the build directory, libdir, prefix, consumer.c, sanitizers (or "none").
set -eu
meson=$1 build=$2 libdir=$3 prefix=$4 source=$5 sanitize=$6

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$meson" install -C "$build" --no-rebuild --quiet --destdir "$dir/root"
cp "$source" "$dir/consumer.c"
cd "$dir"

export PKG_CONFIG_SYSROOT_DIR="$dir/root"
export PKG_CONFIG_PATH="$dir/root$prefix/$libdir/pkgconfig"
# The system's own headers and libraries need no flags, below the sysroot ours do.
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
export LD_LIBRARY_PATH="$dir/root$prefix/$libdir"

CC=${CC:-cc}
extra=
[ "$sanitize" = none ] || extra="-fsanitize=$sanitize"

ran() {
	"./$1" >"$1.out" || { echo "$1 failed" >&2; exit 1; }
	grep -q ' 127\.0\.0\.1:80$' "$1.out" || { echo "$1 said: $(cat "$1.out")" >&2; exit 1; }
}

# What is installed is what a package would hold, no more.
installed=$(cd "root$prefix" && find include "$libdir" ! -type d | sort)
for file in include/appmon/appmon.h include/appmon/version.h "$libdir/libappmon.so" \
	"$libdir/libappmon.so.0" "$libdir/libappmon.a" "$libdir/pkgconfig/libappmon.pc"; do
	echo "$installed" | grep -qx "$file" || { echo "$file is not installed" >&2; exit 1; }
done
if echo "$installed" | grep -E 'records|internal|skel|http1'; then
	echo "private files are installed" >&2
	exit 1
fi
if grep -rl "$build" "root$prefix/$libdir/pkgconfig" root"$prefix"/include; then
	echo "the build directory is named in an installed file" >&2
	exit 1
fi

# shellcheck disable=SC2046,SC2086 # flags are words
{
	$CC -Wall -Wextra -Werror -o shared consumer.c $extra $(pkg-config --cflags --libs libappmon)
	ran shared
	readelf -d shared | grep -q 'NEEDED.*\[libappmon\.so\.0\]' ||
		{ echo "the program does not ask for libappmon.so.0" >&2; exit 1; }

	if [ "$sanitize" = none ] && command -v c++ >/dev/null; then
		c++ -Wall -Wextra -Werror -o cxx -x c++ consumer.c -x none \
			$(pkg-config --cflags --libs libappmon)
		ran cxx
	fi

	# A sanitizer cannot be linked statically.
	if [ "$sanitize" = none ]; then
		$CC -Wall -Wextra -Werror -static -o static consumer.c \
			$(pkg-config --static --cflags --libs libappmon)
		ran static
	fi
}
