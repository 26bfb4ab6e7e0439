#!/usr/bin/env python3
"""Writes base/unicode_table.c from Python's Unicode database."""
import sys
import unicodedata

MAX = 0x110000


def printable_edges():
    edges, inside = [], False
    for rune in range(MAX):
        visible = unicodedata.category(chr(rune))[0] in "LMNPS" or rune == 0x20
        if visible != inside:
            edges.append(rune)
            inside = visible
    return edges


def simple_map(to):
    """rune -> distance, for the mappings of one rune to one rune."""
    found = {}
    for rune in range(MAX):
        text = to(chr(rune))
        if len(text) == 1 and ord(text) != rune:
            found[rune] = ord(text) - rune
    # full mappings that the simple ones of UnicodeData.txt map to one rune
    if to is str.lower:
        found[0x130] = 0x69 - 0x130
    else:
        for rune in list(range(0x1F80, 0x1FB0)) + [0x1FB3, 0x1FBC, 0x1FC3, 0x1FCC, 0x1FF3, 0x1FFC]:
            title = chr(rune).title()
            if len(title) == 1 and ord(title) != rune:
                found[rune] = ord(title) - rune
    return found


def runs(mapping):
    out = []
    for rune in sorted(mapping):
        delta = mapping[rune]
        if out:
            low, high, run_delta, step = out[-1]
            gap = rune - high
            if run_delta == delta and (gap == step or (low == high and gap in (1, 2))):
                out[-1] = (low, rune, delta, gap)
                continue
        out.append((rune, rune, delta, 1))
    return out


def emit(name, rows):
    print("const struct unicode_run %s[] = {" % name)
    for low, high, delta, step in rows:
        print("    {0x%04x, 0x%04x, %d, %d}," % (low, high, delta, step))
    print("};\nconst size_t %s_count = COUNT_OF(%s);\n" % (name, name))


print("/* Written by scripts/gen_unicode_table.py; Unicode %s. */" % unicodedata.unidata_version)
print('#include "base/unicode_table.h"\n\n#include "base/attr.h"\n\n/* clang-format off */')
edges = printable_edges()
print("const uint32_t unicode_print_edges[] = {")
for i in range(0, len(edges), 8):
    print("    " + " ".join("0x%x," % e for e in edges[i:i + 8]))
print("};\nconst size_t unicode_print_edge_count = COUNT_OF(unicode_print_edges);\n")
emit("unicode_lower_runs", runs(simple_map(str.lower)))
emit("unicode_upper_runs", runs(simple_map(str.upper)))
