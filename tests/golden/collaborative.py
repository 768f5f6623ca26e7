#!/usr/bin/env python3
"""Makes tests/golden/collaborative.json: what gf-cf scores on a small log, by NumPy and SciPy alone.

    /usr/bin/python3 tests/golden/collaborative.py > tests/golden/collaborative.json

With a folder, it prints what GF-CF (Shen et al. 2021) reaches on the LightGCN split of Gowalla by SciPy's svds instead
(some minutes):

    /usr/bin/python3 tests/golden/collaborative.py ../shared/data/gowalla
"""
import json
import sys

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

USERS, ITEMS = 24, 18  # the last of each has no event
HISTORY, WEIGHTS = [1, 4, 7], [1.0, 2.0, 0.5]


def small_log():
    rng = np.random.default_rng(11)
    taste = rng.random((USERS - 1, 3)) @ rng.random((3, ITEMS - 1))
    events = []
    for _ in range(230):
        user, item = int(rng.integers(USERS - 1)), int(rng.integers(ITEMS - 1))
        value = int(rng.random() < taste[user, item] / taste.max()) * int(rng.integers(1, 4))
        events.append([user, item, value])
    return events


def interactions(events, weight):
    matrix = np.zeros((USERS, ITEMS))
    for user, item, value in events:
        if value > 0:
            matrix[user, item] = 1 if weight == "binary" else matrix[user, item] + (1 if weight == "count" else value)
    return matrix


def safe_power(values, power):
    return np.where(values > 0, np.where(values > 0, values, 1.0) ** power, 0.0)


def gf_cf(matrix, rank=5, alpha=0.3):
    of_users, of_items = matrix.sum(1), matrix.sum(0)
    normal = safe_power(of_users, -0.5)[:, None] * matrix * safe_power(of_items, -0.5)
    _, values, right = svds(normal, k=rank, tol=0)
    low_pass = (safe_power(of_items, -0.5)[:, None] * right.T) @ (right * safe_power(of_items, 0.5))
    matrix_filter = normal.T @ normal + alpha * low_pass
    met = matrix.copy()
    met[met.sum(1) == 0] = matrix.mean(0)  # who met nothing is the average user
    history = np.zeros(ITEMS)
    history[HISTORY] = WEIGHTS
    scores = met @ matrix_filter
    return {
        "rank": rank,
        "alpha": alpha,
        "singular": sorted(values.tolist(), reverse=True),
        "scores": scores.tolist(),
        "average_item": scores.mean(1).tolist(),
        "average_user": (matrix.mean(0) @ matrix_filter).tolist(),
        "history": (history @ matrix_filter).tolist(),
    }


def load(path):
    lines = (list(map(int, line.split())) for line in open(path, encoding="ascii"))
    return {line[0]: line[1:] for line in lines if len(line) > 1}


def ndcg_recall(scores_of, train, test, k=20):
    discount = 1 / np.log2(np.arange(2, k + 2))
    recall, ndcg = [], []
    users = sorted(test)
    for begin in range(0, len(users), 500):
        some = users[begin:begin + 500]
        scores = scores_of(some)
        for user, row in zip(some, scores):
            row[train.get(user, [])] = -np.inf
            best = np.argpartition(-row, k)[:k]
            best = best[np.lexsort((best, -row[best]))]
            hits = np.isin(best, test[user])
            recall.append(hits.sum() / len(set(test[user])))
            ndcg.append((hits * discount).sum() / discount[:min(k, len(set(test[user])))].sum())
    return np.mean(recall), np.mean(ndcg)


def gowalla(folder):
    train, test = load(folder + "/train.txt"), load(folder + "/test.txt")
    items = 1 + max(max(max(row) for row in part.values()) for part in (train, test))
    users = 1 + max(max(train), max(test))
    pairs = np.array([(user, item) for user, row in train.items() for item in set(row)])
    matrix = sp.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(users, items))
    of_users, of_items = (np.asarray(matrix.sum(axis)).ravel() for axis in (1, 0))
    normal = (sp.diags(safe_power(of_users, -0.5)) @ matrix @ sp.diags(safe_power(of_items, -0.5))).tocsr()
    right = svds(normal, k=256)[2]

    def scores_of(some):
        rows = matrix[some]
        near = np.asarray((rows @ normal.T @ normal).todense())
        return near + 0.3 * ((rows @ sp.diags(safe_power(of_items, -0.5))) @ right.T) @ (right * safe_power(of_items, 0.5))

    print("gf-cf: recall@20 %.8f, ndcg@20 %.8f" % ndcg_recall(scores_of, train, test))


if len(sys.argv) > 1:
    gowalla(sys.argv[1])
else:
    log = small_log()
    print(json.dumps({
        "users": USERS,
        "items": ITEMS,
        "events": log,
        "history": HISTORY,
        "history_weights": WEIGHTS,
        "gf_cf": {weight: gf_cf(interactions(log, weight)) for weight in ("binary", "count", "value")},
    }, indent=None, separators=(",", ":")).replace('],"', '],\n"').replace('},"', '},\n"'))
