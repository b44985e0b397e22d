# SPDX-License-Identifier: BSD-2-Clause
# A text file as a C string literal, a line a line.
s/[\\"]/\\&/g
s/^/"/
s/$/\\n"/
