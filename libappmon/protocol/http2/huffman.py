#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Prints the state table of HPACK's Huffman code, which takes four bits a step. The code is canonical:
the lengths of RFC 7541 appendix B tell it whole."""

EOS = 256
LENGTHS = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
]


def tree():
    """Inner nodes as [child of 0, child of 1]; a child is the number of a node, or ~symbol."""
    nodes = [[None, None]]
    code = length = 0
    for symbol in sorted(range(len(LENGTHS)), key=lambda s: (LENGTHS[s], s)):
        code <<= LENGTHS[symbol] - length
        length = LENGTHS[symbol]
        at = 0
        for bit in range(length - 1, 0, -1):
            side = code >> bit & 1
            if nodes[at][side] is None:
                nodes[at][side] = len(nodes)
                nodes.append([None, None])
            at = nodes[at][side]
        nodes[at][code & 1] = ~symbol
        code += 1
    return nodes


def padded(nodes):
    """The nodes at which a string may end: up to seven bits of EOS, which are ones."""
    ends, at = set(), 0
    for _ in range(8):
        ends.add(at)
        at = nodes[at][1]
    return ends


def step(nodes, ends, at, nibble):
    symbol = 0
    flags = []
    for bit in (3, 2, 1, 0):
        at = nodes[at][nibble >> bit & 1]
        if at < 0:
            if ~at == EOS:
                return "{0, 0, HUFFMAN_BAD}"
            symbol, at = ~at, 0
            flags.append("HUFFMAN_SYMBOL")
    if at in ends:
        flags.append("HUFFMAN_END")
    return f"{{{at}, {symbol}, {' | '.join(flags) or 0}}}"


def main():
    nodes = tree()
    ends = padded(nodes)
    assert len(nodes) == 256
    print("/* Made by huffman.py. By state and the next four bits. */")
    print("static const struct huffman_step huffman[256][16] = {")
    for at in range(len(nodes)):
        print("\t{" + ", ".join(step(nodes, ends, at, n) for n in range(16)) + "},")
    print("};")


main()
