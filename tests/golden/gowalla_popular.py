#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what the most popular items earn on the LightGCN split of Gowalla, by NumPy alone; test_gowalla.c holds the numbers.

    /usr/bin/python3 tests/golden/gowalla_popular.py ../shared/data/gowalla
"""
import sys

import numpy as np

K = 20


def load(path):
    lines = (list(map(int, line.split())) for line in open(path, encoding="ascii"))
    return {line[0]: line[1:] for line in lines if len(line) > 1}


train, test = load(sys.argv[1] + "/train.txt"), load(sys.argv[1] + "/test.txt")
popularity = np.bincount(np.concatenate([np.array(items) for items in train.values()]))
order = np.argsort(-popularity, kind="stable")  # equals: the lower index first
discount = 1 / np.log2(np.arange(2, K + 2))
recall, ndcg, precision, mrr, hit_rate, shown = [], [], [], [], [], set()
for user, items in test.items():
    wanted, seen, best = set(items), set(train.get(user, ())), []
    for item in order:
        if item not in seen:
            best.append(item)
        if len(best) == K:
            break
    shown.update(best)
    hits = np.array([item in wanted for item in best])
    recall.append(hits.sum() / len(wanted))
    precision.append(hits.sum() / K)
    ndcg.append((hits * discount).sum() / discount[:min(K, len(wanted))].sum())
    mrr.append(1 / (hits.argmax() + 1) if hits.any() else 0)
    hit_rate.append(hits.any())
print(len(recall), "users; recall, ndcg, precision, mrr, hit rate at", K)
print(*(f"{np.mean(values):.8f}" for values in (recall, ndcg, precision, mrr, hit_rate)), len(shown), "items shown")
