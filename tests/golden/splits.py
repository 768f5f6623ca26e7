#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Splits as scikit-learn and NumPy make them, as SHA-256 of the rows joined by commas.

splits.py > splits.json     (scikit-learn 1.2, NumPy 1.24)

"sklearn": train_test_split(range(rows), test_size=size, random_state=seed); the held-out part first.
"random": default_rng(seed).permutation(rows); the first ceil(size * rows) are held out.
"""
import hashlib
import json
import math

import numpy as np
from sklearn.model_selection import train_test_split


def digest(rows):
    return hashlib.sha256(",".join(str(int(row)) for row in rows).encode()).hexdigest()


cases = []
for rows in [2, 3, 10, 101, 9999, 200000]:
    for size in [0.2, 0.1, 0.33, 0.5, 0.999, 1]:
        for seed in [0, 42, 2**32 - 1]:
            if (math.ceil(size * rows) if size < 1 else size) >= rows:
                continue
            train, held = train_test_split(range(rows), test_size=size, random_state=seed)
            cases.append({"spec": f"sklearn:{size}:{seed}", "rows": rows, "held": len(held), "held_sha256": digest(held),
                          "train_sha256": digest(train)})
            order = np.random.default_rng(seed).permutation(rows)
            held = math.ceil(size * rows) if size < 1 else size
            cases.append({"spec": f"random:{size}:{seed}", "rows": rows, "held": held,
                          "held_sha256": digest(order[:held]), "train_sha256": digest(order[held:])})
print("[" + ",\n ".join(json.dumps(case) for case in cases) + "]")
