# SPDX-License-Identifier: BSD-2-Clause
# A text file as a C string, a line a line.
s/[\\"]/\\&/g
s/^/"/
s/$/\\n"/
1i static const char topology_page[] =
$a ;
