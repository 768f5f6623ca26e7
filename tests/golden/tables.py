#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a labelled table is as a bandit problem, computed by NumPy.

tables.py > tables.json     (NumPy 1.24)

"csv": the table; the label is its last column. "orders": the rows of a play in each order and
with each seed. "standard": its numeric columns standardised over all rows. "mushroom": what
eating (0) and passing (1) would earn visit by visit in a play of the seed, where label e is edible.
"""
import json

import numpy as np

ROWS, VISITS = 60, 150


def stream(seed, number):
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


rng = np.random.default_rng(7)
height = np.round(rng.normal(170, 12, ROWS), 2)
count = rng.integers(0, 5, ROWS)
colour = rng.choice(["red", "green", "blue"], ROWS)
label = rng.choice(["e", "p"], ROWS)
missing = rng.random(ROWS) < 0.1
lines = ["height,count,same,colour,label"]
for i in range(ROWS):
    lines.append(f"{'?' if missing[i] else height[i]},{count[i]},4,{colour[i]},{label[i]}")

orders = {"file": {"0": list(range(ROWS))}}
orders["numpy:1"] = {"5": np.random.RandomState(1).permutation(ROWS).tolist()}
orders["random"] = {str(seed): stream(seed, 0).permutation(ROWS).tolist() for seed in (0, 3)}
orders["bootstrap"] = {}
for seed in (0, 3):
    order = stream(seed, 0)
    orders["bootstrap"][str(seed)] = [int(order.integers(0, ROWS)) for _ in range(VISITS)]

heights = np.where(missing, np.nan, height.astype(np.float32).astype(float))
standard = {"height": (heights - np.nanmean(heights)) / np.nanstd(heights), "count": (count - count.mean()) / count.std(),
            "same": np.zeros(ROWS)}
standard = {name: [None if np.isnan(x) else float(x) for x in column] for name, column in standard.items()}

mushroom = {}
for seed in (0, 3):
    luck = stream(seed, 1).random(ROWS)
    rows = np.random.RandomState(1).permutation(ROWS)
    edible = label[rows] == "e"
    eat = np.where(edible, 5.0, np.where(luck < 0.5, 5.0, -35.0))
    mushroom[str(seed)] = {"eat": eat.tolist(), "best": np.where(edible, 5.0, 0.0).tolist(),
                           "eat_expected": np.where(edible, 5.0, -15.0).tolist()}

print(json.dumps({"csv": "\n".join(lines) + "\n", "rows": ROWS, "visits": VISITS, "labels": label.tolist(),
                  "orders": orders, "standard": standard, "mushroom": mushroom}))
