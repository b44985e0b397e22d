# SPDX-License-Identifier: BSD-2-Clause
# A text file as a C string, a line a line; examples/meson.build says what it is called.
s/[\\"]/\\&/g
s/^/"/
s/$/\\n"/
