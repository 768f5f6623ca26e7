#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers of linear-ridge from NumPy, for tests/unit/test_linear_ridge.c.

    linear_ridge.py FOLDER     writes linear_ridge.json (FOLDER: tests/golden)

Lessons and questions are drawn once. Each case names its settings; its means, deviations and covariances are those
of one regression over all weights at once, arms and shared ones together, solved with numpy.linalg. The case "paper"
is computed once more by algorithm 2 of Li, Chu, Langford, Schapire (2010), line by line, and must be the same.
"""
import json
import math
import sys

import numpy as np

ARMS, D, K, LESSONS, CANDIDATES = 4, 5, 3, 90, 8
rng = np.random.default_rng(20)


def floats(*shape):
    """Numbers that float32 holds exactly, so that both sides see the same."""
    return rng.normal(size=shape).astype(np.float32).astype(float)


X, Z = floats(LESSONS, D), floats(LESSONS, K)
X[:, 0] = 1
Z[:, 1] = X[:, 0] * 0.5  # a shared feature that the own ones explain
arm = rng.integers(0, ARMS, LESSONS)
reward = (rng.normal(size=LESSONS) + X[:, 1] * arm + Z[:, 0]).astype(np.float32).astype(float)
weight = np.where(rng.random(LESSONS) < 0.3, rng.random(LESSONS) * 3 + 0.1, 1).astype(np.float32).astype(float)
question_x, question_z = floats(D), floats(CANDIDATES, K)
question_x[0] = 1
question_arm = [0, 1, 2, 3, 1, 1, -1, 2]  # -1: an arm that nobody knows


def place(form, x, z, a, arms):
    """One row of the whole regression."""
    if form == "shared":
        return np.concatenate([x, z])
    row = np.zeros(arms * D + (K if form == "hybrid" else 0))
    if a >= 0:
        row[a * D:(a + 1) * D] = x
    if form == "hybrid":
        row[arms * D:] = z
    return row


def solve(settings):
    form, ridge = settings["form"], settings.get("ridge", 1)
    discount, window = settings.get("discount", 1), settings.get("window", 0)
    arms = ARMS + 1  # the last one is the arm that nobody knows
    rows = np.array([place(form, X[i], Z[i], arm[i], arms) for i in range(LESSONS)])
    first = max(0, LESSONS - window) if window else 0
    w = weight * discount ** (LESSONS - 1 - np.arange(LESSONS))
    w[:first] = 0
    diagonal = np.full(rows.shape[1], float(ridge))
    if discount < 1:
        # The rule of filling up: after each lesson the ridges of the next coordinates, in turn.
        own = 0 if form == "shared" else ARMS * D
        shared = D + K if form == "shared" else K if form == "hybrid" else 0
        places = list(range(own)) + list(range(rows.shape[1] - shared, rows.shape[1]))
        fill = min(max(math.ceil(len(places) * math.log(discount) / math.log(0.9)), 1), len(places))
        now = dict.fromkeys(places, float(ridge))
        turn = 0
        for _ in range(LESSONS):
            for p in places:
                now[p] *= discount
            for _ in range(fill):
                now[places[turn % len(places)]] = float(ridge)
                turn += 1
        for p in places:
            diagonal[p] = now[p]
    A = np.diag(diagonal) + rows.T @ (rows * w[:, None])
    b = rows.T @ (w * reward)
    inverse, theta = np.linalg.inv(A), np.linalg.solve(A, b)
    ask = np.array([place(form, question_x, question_z[c], a if a >= 0 else ARMS, arms)
                    for c, a in enumerate(question_arm)])
    square = np.einsum("ij,jk,ik->i", ask, inverse, ask)
    covariance = ask @ inverse @ ask.T
    noise = np.full(CANDIDATES, settings.get("noise", 1.0) ** 2)
    if settings.get("estimate-noise"):
        a0, b0 = settings["a0"], settings["b0"]
        for c, a in enumerate(question_arm):
            if form == "disjoint":  # each arm has a noise of its own
                mine = (arm == a) * w
                own = slice(a * D, (a + 1) * D) if a >= 0 else slice(0, 0)
                explained = theta[own] @ b[own]
            else:
                mine, explained = w, theta @ b
            shape = a0 + mine.sum() / 2
            scale = b0 + (mine @ reward ** 2 - explained) / 2
            noise[c] = scale / (shape - 1)
        if settings.get("pool-noise"):  # but none has less than all together
            noise = np.maximum(noise, (b0 + (w @ reward ** 2 - theta @ b) / 2) / (a0 + w.sum() / 2 - 1))
    return {"settings": {k: str(v).lower() for k, v in settings.items()},
            "mean": list(ask @ theta), "deviation": list(np.sqrt(noise * square)),
            "covariance": (covariance * np.sqrt(np.outer(noise, noise))).tolist()}


def paper():
    """Algorithm 2 of the paper; lines 4 to 24, weights 1, alpha left out."""
    A0, b0 = np.eye(K), np.zeros(K)
    A = {a: np.eye(D) for a in range(-1, ARMS)}
    B = {a: np.zeros((D, K)) for a in range(-1, ARMS)}
    b = {a: np.zeros(D) for a in range(-1, ARMS)}
    for i in range(LESSONS):
        a, x, z, r = arm[i], X[i], Z[i], reward[i]
        A0 = A0 + B[a].T @ np.linalg.inv(A[a]) @ B[a]
        b0 = b0 + B[a].T @ np.linalg.inv(A[a]) @ b[a]
        A[a] = A[a] + np.outer(x, x)
        B[a] = B[a] + np.outer(x, z)
        b[a] = b[a] + r * x
        A0 = A0 + np.outer(z, z) - B[a].T @ np.linalg.inv(A[a]) @ B[a]
        b0 = b0 + r * z - B[a].T @ np.linalg.inv(A[a]) @ b[a]
    beta = np.linalg.inv(A0) @ b0
    mean, deviation = [], []
    x = question_x
    for c, a in enumerate(question_arm):
        z = question_z[c]
        Ai, A0i = np.linalg.inv(A[a]), np.linalg.inv(A0)
        theta = Ai @ (b[a] - B[a] @ beta)
        s = (z @ A0i @ z - 2 * z @ A0i @ B[a].T @ Ai @ x + x @ Ai @ x
             + x @ Ai @ B[a] @ A0i @ B[a].T @ Ai @ x)
        mean.append(z @ beta + x @ theta)
        deviation.append(math.sqrt(s))
    return mean, deviation


def main():
    global weight
    cases = []
    for form in ("disjoint", "shared", "hybrid"):
        cases += [
            {"form": form},
            {"form": form, "ridge": 0.25, "noise": 0.5},
            {"form": form, "estimate-noise": True, "a0": 3, "b0": 2},
            {"form": form, "discount": 0.97, "ridge": 2},
            {"form": form, "discount": 0.6},
            {"form": form, "window": 25},
            {"form": form, "window": 40, "discount": 0.95, "estimate-noise": True, "a0": 6, "b0": 6},
        ]
    cases += [{"form": "disjoint", "estimate-noise": True, "pool-noise": True, "a0": 2, "b0": 0.25}]
    solved = [solve(case) for case in cases]
    kept, weight = weight, np.ones(LESSONS)
    ours = solve({"form": "hybrid"})
    mean, deviation = paper()
    assert np.allclose(ours["mean"], mean, atol=1e-10) and np.allclose(ours["deviation"], deviation, atol=1e-10)
    weight = kept
    result = {
        "x": X.tolist(), "z": Z.tolist(), "arm": arm.tolist(), "reward": reward.tolist(), "weight": weight.tolist(),
        "question_x": question_x.tolist(), "question_z": question_z.tolist(), "question_arm": question_arm,
        "cases": solved, "paper": {"mean": mean, "deviation": deviation},
    }
    with open(sys.argv[1] + "/linear_ridge.json", "w") as file:
        json.dump(result, file, indent=None, separators=(",", ":"))
        file.write("\n")


main()
