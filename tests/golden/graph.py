#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bipartite graphs by NumPy and SciPy (Debian: python3-scipy), for tests/unit/test_graph.c.

    graph.py FOLDER      writes FOLDER/graph.json (FOLDER: tests/golden)

Events of 9 users and 7 items with values and times; for each way to weigh an edge the symmetrically normalised
matrix of users and items [9, 7], and the product of the whole graph with `dense` [16, 16].
"""
import json
import sys

import numpy as np
from scipy import sparse

USERS, ITEMS, EVENTS, HALF_LIFE = 9, 7, 60, 25.0


def main(folder):
    rng = np.random.default_rng(8)
    user, item = rng.integers(0, USERS - 1, EVENTS), rng.integers(0, ITEMS - 1, EVENTS)  # the last ones meet nobody
    value = rng.integers(-1, 5, EVENTS) / 2
    time = rng.integers(0, 100, EVENTS)
    dense = rng.integers(-8, 9, (USERS + ITEMS, 16)) / 4
    chosen = value > 0
    decay = 0.5 ** ((time[chosen].max() - time) / HALF_LIFE)
    result = {"users": USERS, "items": ITEMS, "half_life": HALF_LIFE, "user": user.tolist(), "item": item.tolist(),
              "value": value.tolist(), "time": time.tolist(), "dense": dense.ravel().tolist(), "cases": []}
    for kind in ("binary", "count", "value"):
        for half_life in (0, HALF_LIFE):
            weight = np.where(kind == "value", value, 1) * (decay if half_life else 1)
            matrix = np.zeros((USERS, ITEMS))
            if kind == "binary":
                np.maximum.at(matrix, (user[chosen], item[chosen]), weight[chosen])
            else:
                np.add.at(matrix, (user[chosen], item[chosen]), weight[chosen])
            sums = matrix.sum(1)[:, None] * matrix.sum(0)[None, :]
            normal = np.divide(matrix, np.sqrt(sums), where=matrix > 0, out=np.zeros_like(matrix))
            graph = sparse.bmat([[None, sparse.csr_matrix(normal)], [sparse.csr_matrix(normal.T), None]]).tocsr()
            result["cases"].append({"weight": kind, "half_life": half_life, "normal": normal.ravel().tolist(),
                                    "product": (graph @ dense).ravel().tolist()})
    with open(folder + "/graph.json", "w", encoding="utf-8") as file:
        json.dump(result, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
