#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Long stretches of NumPy's stream, as SHA-256 of the numbers' little-endian bytes.

numpy_streams.py > numpy_streams.json     (NumPy 1.24)

On one default_rng(seed) per seed, in this order: 100,000 standard_normal, then
for each (n, p) 2,000 binomial, then integers(0, bound) 1,000 times for each
bound, then permutation(10,000), then random() 1,000 times, then standard_exponential 20,000 times, then 2,000
standard_gamma for each shape and 2,000 beta for each (a, b). And RandomState's
permutation, and the first raw number of SeedSequence(seed, spawn_key=(stream,)).
"""
import hashlib
import json

import numpy as np

SEEDS = [0, 3, 42, 2**32 - 1, 2**32, 2**63 + 12345, 2**64 - 1]
BINOMIALS = [(1, 0.3), (1, 0.7), (5, 0.0), (5, 1.0), (61, 0.5), (100, 0.29), (100, 0.31), (1000, 0.4), (1000, 0.97),
             (10**6, 0.001), (10**6, 0.5), (10**12, 0.25)]
BOUNDS = [1, 2, 3, 1000, 3 * 2**30, 2**32 - 1, 2**32, 2**32 + 1, 3 * 2**61, 2**63 - 1]

GAMMAS = [0.0, 1e-3, 0.1, 0.5, 0.999, 1.0, 1.001, 1.5, 2.0, 17.25, 1e4, 1e12]
BETAS = [(0.05, 0.05), (1e-3, 0.5), (0.5, 0.5), (1.0, 1.0), (1.0, 1.5), (0.2, 3.0), (2.0, 5.0), (300.0, 4.5), (1e6, 1e6)]


def digest(values, kind):
    return hashlib.sha256(np.asarray(values).astype(kind).tobytes()).hexdigest()


def stream(seed):
    rng = np.random.default_rng(seed)
    return {
        "seed": str(seed),
        "normal": digest(rng.standard_normal(100000), "<f8"),
        "binomial": [{"n": n, "p": p, "sha256": digest([rng.binomial(n, p) for _ in range(2000)], "<i8")}
                     for n, p in BINOMIALS],
        "integers": [{"bound": str(bound), "sha256": digest([rng.integers(0, bound) for _ in range(1000)], "<u8")}
                     for bound in BOUNDS],
        "permutation": digest(rng.permutation(10000), "<u4"),
        "random": digest([rng.random() for _ in range(1000)], "<f8"),
        "exponential": digest([rng.standard_exponential() for _ in range(20000)], "<f8"),
        "gamma": [{"shape": shape, "sha256": digest([rng.standard_gamma(shape) for _ in range(2000)], "<f8")}
                  for shape in GAMMAS],
        "beta": [{"a": a, "b": b, "sha256": digest([rng.beta(a, b) for _ in range(2000)], "<f8")} for a, b in BETAS],
        "spawned": str(int(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(7,))).random_raw())),
    }


def main():
    legacy = [{"seed": seed, "count": count, "sha256": digest(np.random.RandomState(seed).permutation(count), "<u4")}
              for seed in (0, 42, 2**32 - 1) for count in (1, 2, 3, 1000, 65537)]
    print(json.dumps({"streams": [stream(seed) for seed in SEEDS], "legacy": legacy}, indent=1))


if __name__ == "__main__":
    main()
