# SPDX-License-Identifier: BSD-2-Clause
# A text file as a C string, a line a line, to be included where the string is wanted.
s/[\\"]/\\&/g
s/^/"/
s/$/\\n"/
