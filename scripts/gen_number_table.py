#!/usr/bin/env python3
"""Writes base/number_table.c: 10^q in 128 bits, by exact integer arithmetic."""
import sys

LOW, HIGH = -342, 324


def power(q):
    if q >= 0:
        n = 10 ** q
        shift = 128 - n.bit_length()
        return n << shift if shift >= 0 else n >> -shift
    d = 10 ** -q
    v = (1 << (d.bit_length() + 128)) // d
    return v >> (v.bit_length() - 128)


out = sys.stdout
out.write("""/* Written by scripts/gen_number_table.py. */
#include "base/number_table.h"

/* clang-format off */
const struct u128 number_powers[NUMBER_POWER_MAX - NUMBER_POWER_MIN + 1] = {
""")
for q in range(LOW, HIGH + 1):
    v = power(q)
    assert v.bit_length() == 128
    out.write("    {0x%016x, 0x%016x}, /* 1e%d */\n" % (v >> 64, v & (2 ** 64 - 1), q))
out.write("};\n")
