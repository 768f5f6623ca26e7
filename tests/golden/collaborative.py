#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/collaborative.json: what gf-cf, ials and item-knn score on a small log, by NumPy and SciPy alone.

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


def gf_cf_extended(events, rows, rank=5, alpha=0.3):
    """Scores by the vectors of the first `rows`, with items that are new placed by their users, and all events."""
    first, matrix = interactions(events[:rows], "binary"), interactions(events, "binary")

    def normalised(some):
        return safe_power(some.sum(1), -0.5)[:, None] * some * safe_power(some.sum(0), -0.5)

    _, values, right = svds(normalised(first), k=rank, tol=0)
    right[:, first.sum(0) == 0] = 0
    normal, of_items = normalised(matrix), matrix.sum(0)
    placed = normal.T @ (normal @ right.T) / values ** 2
    right = np.where(right.any(0)[:, None], right.T, placed).T
    low_pass = (safe_power(of_items, -0.5)[:, None] * right.T) @ (right * safe_power(of_items, 0.5))
    met = matrix.copy()
    met[met.sum(1) == 0] = matrix.mean(0)
    return {"rows": rows, "scores": (met @ (normal.T @ normal + alpha * low_pass)).tolist()}


class Ials:
    """Every equation in double precision, as in Rendle et al. (2022), from the first vectors that Forage draws."""

    def __init__(self, matrix, width, unobserved, l2, exponent, seed=5):
        self.width, self.given, self.l2, self.exponent = width, unobserved, l2, exponent
        draws = np.random.default_rng(seed).standard_normal((USERS, width))
        self.left, self.right = (0.1 / np.sqrt(width) * draws).astype(np.float32), None
        self.take(matrix)
        self.left[~matrix.any(1)] = 0

    def take(self, matrix):
        chosen = matrix > 0
        self.matrix, self.users, self.items = matrix, chosen.any(1).sum(), chosen.any(0).sum()
        self.unobserved = self.given or 20 * chosen.sum() / (self.users * self.items)

    def solve(self, weights, others, crowd):
        gram, out = self.unobserved * others.T @ others, np.zeros((len(weights), self.width))
        for row, weight in enumerate(weights):
            if weight.sum() > 0:
                regular = self.l2 * (weight.sum() + self.unobserved * crowd) ** self.exponent
                left_side = gram + (others * weight[:, None]).T @ others + regular * np.eye(self.width)
                out[row] = np.linalg.solve(left_side, weight @ others)
        return out

    def epoch(self):
        self.right = self.solve(self.matrix.T, self.left, self.users)
        self.left = self.solve(self.matrix, self.right, self.items)
        return self.loss()

    def loss(self):
        scores = self.left @ self.right.T
        loss = (self.matrix * (scores - 1) ** 2).sum() + self.unobserved * (scores ** 2).sum()
        for weights, vectors, crowd in ((self.matrix, self.left, self.items), (self.matrix.T, self.right, self.users)):
            regular = self.l2 * (weights.sum(1) + self.unobserved * crowd) ** self.exponent
            loss += (regular * (vectors ** 2).sum(1)).sum()
        return loss / self.matrix.sum()

    def extend(self, matrix):
        """Items that nobody had chosen from the users there were, then all users."""
        self.take(matrix)
        new = self.solve(matrix.T, self.left, self.users)
        self.right = np.where(self.right.any(1)[:, None], self.right, new)
        self.left = self.solve(matrix, self.right, self.items)


def ials(matrix, width=5, epochs=4, unobserved=0.0, l2=0.01, exponent=1.0):
    model = Ials(matrix, width, unobserved, l2, exponent)
    losses = [model.epoch() for _ in range(epochs)]
    left, right = model.left, model.right
    average_user, average_item = left[left.any(1)].mean(0), right[right.any(1)].mean(0)
    met = np.where(left.any(1)[:, None], left, average_user)
    history = np.zeros((1, ITEMS))
    history[0, HISTORY] = WEIGHTS
    return {
        "embedding-size": width,
        "epochs": epochs,
        "unobserved": model.unobserved,
        "l2": l2,
        "exponent": exponent,
        "losses": losses,
        "scores": (met @ right.T).tolist(),
        "average_item": (met @ average_item).tolist(),
        "average_user": (average_user @ right.T).tolist(),
        "history": (model.solve(history, right, model.items)[0] @ right.T).tolist(),
    }


def ials_extended(events, rows, epochs=6):
    """The loss of one epoch more, with all events, after a fit to the first `rows`."""
    model = Ials(interactions(events[:rows], "binary"), 5, 0.0, 0.003, 1.0)
    for _ in range(epochs):
        model.epoch()
    model.extend(interactions(events, "binary"))
    return {"rows": rows, "epochs": epochs, "loss": model.epoch()}


def item_knn(matrix, neighbours, shrinkage):
    lengths = np.sqrt((matrix ** 2).sum(0))
    similarity = (matrix.T @ matrix / (np.outer(lengths, lengths) + shrinkage + 1e-300)).astype(np.float32)
    np.fill_diagonal(similarity, 0)
    for item, row in enumerate(similarity):
        order = np.lexsort((np.arange(ITEMS), -row))
        row[order[neighbours:]] = 0
    met = matrix.copy()
    met[met.sum(1) == 0] = matrix.mean(0)
    history = np.zeros(ITEMS)
    history[HISTORY] = WEIGHTS
    scores = met @ similarity.T.astype(float)
    return {
        "neighbours": neighbours,
        "shrinkage": shrinkage,
        "scores": scores.tolist(),
        "average_item": scores.mean(1).tolist(),
        "average_user": (matrix.mean(0) @ similarity.T).tolist(),
        "history": (history @ similarity.T).tolist(),
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
        "gf_cf_extended": gf_cf_extended(log, 80),
        "ials": [
            dict(ials(interactions(log, "binary")), weight="binary"),
            dict(ials(interactions(log, "value"), unobserved=0.3, l2=0.05, exponent=0.5), weight="value"),
        ],
        "ials_extended": ials_extended(log, 60),
        "item_knn": [
            dict(item_knn(interactions(log, "binary"), 5, 2.5), weight="binary"),
            dict(item_knn(interactions(log, "value"), 3, 0), weight="value"),
            dict(item_knn(interactions(log, "count"), 100, 1), weight="count"),
        ],
    }, indent=None, separators=(",", ":")).replace('],"', '],\n"').replace('},"', '},\n"'))
