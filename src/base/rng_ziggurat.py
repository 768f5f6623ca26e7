#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of the ziggurat for the normal and the exponential distribution, from their definition.

Marsaglia and Tsang (2000), "The ziggurat method for generating random
variables": 255 rectangles and a base strip of one common area V lie under the
right half of f(x) = exp(-x*x/2); R is where the base strip's tail begins.
From the outside in,

    x[255] = R,   x[i] = f^-1(V / x[i+1] + f(x[i+1]))   for i = 254 ... 1

and a 52-bit integer j in strip i stands for j * width[i], with
width[i] = x[i] / 2^52; it is accepted at once when j < inside[i] =
2^52 * x[i-1] / x[i].

Everybody who wants NumPy's very numbers has to round as NumPy's tables were
rounded: every step in double precision with exp and log correctly rounded,
which this script gets from decimal arithmetic, so that the tables do not
depend on the machine's libm. One height, number 38, is an exception: NumPy has it one unit
in the last place higher. tests/golden checks the generator that comes out.

The exponential distribution, f(x) = exp(-x), has tables of the same kind with 53-bit
integers. NumPy's were computed with many digits and rounded once, from the R at which the strips close
exactly; its `inside` are even numbers, rounded down.

usage: rng_ziggurat.py OUTPUT
"""
import math
import sys
from decimal import Decimal, getcontext

R = 3.6541528853610088
V = 0.004928673233974652
STRIPS = 256
SCALE = 2.0**52
ROUNDED_UP = 38
R_EXPONENTIAL = Decimal("7.6971174701310497140446280480152154991139686400553")


def exp(x):
    return float(Decimal(x).exp())


def log(x):
    return float(Decimal(x).ln())


def tables():
    x = [0.0] * STRIPS
    height = [1.0] * STRIPS
    x[255] = R
    height[255] = exp(-0.5 * R * R)
    for i in range(STRIPS - 2, 0, -1):
        x[i] = math.sqrt(-2.0 * log(V / x[i + 1] + height[i + 1]))
        height[i] = exp(-0.5 * x[i] * x[i])
        if i == ROUNDED_UP:
            height[i] = math.nextafter(height[i], 2.0) if hasattr(math, "nextafter") else height[i] + 2.0**-53
    base = V / height[255]  # the width of the base strip, were it a rectangle
    width = [base / SCALE] + [x[i] / SCALE for i in range(1, STRIPS)]
    inside = [round(R / base * SCALE), 0] + [round(x[i - 1] / x[i] * SCALE) for i in range(2, STRIPS)]
    return inside, width, height


def exponential_tables():
    r, last = R_EXPONENTIAL, STRIPS - 1
    area = (r + 1) * (-r).exp()
    x = [Decimal(0)] * STRIPS
    height = [Decimal(1)] * STRIPS
    x[last] = r
    height[last] = (-r).exp()
    for i in range(last - 1, 0, -1):
        height[i] = area / x[i + 1] + height[i + 1]
        x[i] = -height[i].ln()
    base = area / height[last]
    width = [float(base / 2**53)] + [float(x[i] / 2**53) for i in range(1, STRIPS)]
    inside = [2 * int(r / base * 2**52), 0] + [2 * int(x[i - 1] / x[i] * 2**52) for i in range(2, STRIPS)]
    return inside, width, [float(h) for h in height]


def main():
    getcontext().prec = 60
    inside, width, height = tables()
    exponential = exponential_tables()
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write("/* Written by rng_ziggurat.py at build time. */\n")
        out.write("static const double ziggurat_r = %s;\n" % R.hex())
        out.write("static const double exponential_r = %s;\n" % float(R_EXPONENTIAL).hex())
        for kind, name, entries in (
            ("uint64_t", "ziggurat_inside", ["%dU" % k for k in inside]),
            ("double", "ziggurat_width", [w.hex() for w in width]),
            ("double", "ziggurat_height", [h.hex() for h in height]),
            ("uint64_t", "exponential_inside", ["%dU" % k for k in exponential[0]]),
            ("double", "exponential_width", [w.hex() for w in exponential[1]]),
            ("double", "exponential_height", [h.hex() for h in exponential[2]]),
        ):
            out.write("static const %s %s[%d] = {\n" % (kind, name, STRIPS))
            out.writelines("    %s,\n" % entry for entry in entries)
            out.write("};\n")


if __name__ == "__main__":
    main()
