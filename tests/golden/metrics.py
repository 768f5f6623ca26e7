#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes metrics.json: what scikit-learn and NumPy say about predictions and rankings that come with it.

    /usr/bin/python3 tests/golden/metrics.py      # needs python3-sklearn
"""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, mean_squared_error, ndcg_score, roc_auc_score

BINS = 10


def ece(label, prediction, strategy):
    """Sum over the bins of share x |mean label - mean prediction|, edges and membership as in calibration_curve."""
    if strategy == "quantile":
        edges = np.percentile(prediction, np.linspace(0, 1, BINS + 1) * 100)
    else:
        edges = np.linspace(0, 1, BINS + 1)
    bins = np.searchsorted(edges[1:-1], prediction)
    return sum((bins == b).mean() * abs(label[bins == b].mean() - prediction[bins == b].mean())
               for b in range(BINS) if (bins == b).any())


def predictions(name, prediction, truth, label, group):
    prediction = prediction.astype(np.float32)
    truth = truth.astype(np.float32)
    wide, wide_truth = prediction.astype(np.float64), truth.astype(np.float64)
    case = {
        "name": name, "bins": BINS,
        "prediction": [float(p) for p in wide], "truth": [float(p) for p in wide_truth],
        "label": label.tolist(), "group": group.tolist(),
        "auc": roc_auc_score(label, wide),
        # float32 input: clipped by the epsilon of float32; the mean is taken in float64 below
        "log_loss": log_loss(label, wide, eps=2.0**-23),
        "oracle_log_loss": log_loss(label, wide_truth, eps=2.0**-23),
        "base_log_loss": log_loss(label, np.full(len(label), label.mean())),
        "brier": brier_score_loss(label, wide),
        "rmse": mean_squared_error(wide_truth, wide, squared=False),
        "ece": ece(label, wide, "uniform"), "ece_mass": ece(label, wide, "quantile"),
    }
    for key, strategy in (("curve", "uniform"), ("curve_mass", "quantile")):
        rate, mean = calibration_curve(label, wide, n_bins=BINS, strategy=strategy)
        case[key] = {"positive_rate": rate.tolist(), "mean_prediction": mean.tolist()}
    weights, aucs = [], []
    for g in np.unique(group):
        rows = group == g
        if 0 < label[rows].sum() < rows.sum():
            weights.append(int(rows.sum()))
            aucs.append(roc_auc_score(label[rows], wide[rows]))
    case["groups"] = len(np.unique(group))
    case["groups_used"] = len(aucs)
    case["grouped_share"] = sum(weights) / len(label)
    case["grouped_auc"] = float(np.average(aucs, weights=weights))
    return case


def ranking(rng):
    """Lists of the best items of 60 users, and what is to be found in them."""
    users, items, cutoffs = 60, 80, [1, 5, 20]
    scores = rng.permuted(np.tile(np.arange(items), (users, 1)), axis=1) / items  # no ties
    seen = rng.random((users, items)) < 0.2
    test = (rng.random((users, items)) < 0.08 + 0.1 * scores) & ~seen
    test[::7] = False  # users without test items are left out
    masked = np.where(seen, -1.0, scores)
    order = np.argsort(-masked, axis=1)
    used = [u for u in range(users) if test[u].any()]
    answer = []
    for k in cutoffs:
        hits = np.take_along_axis(test, order[:, :k], axis=1)[used]
        wanted = test[used].sum(axis=1)
        first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, np.inf)
        discount = 1 / np.log2(np.arange(2, k + 2))
        ideal = np.array([discount[:min(k, w)].sum() for w in wanted])
        ndcg = float(((hits * discount).sum(axis=1) / ideal).mean())
        if k > 1:  # scikit-learn's has the same ideal list
            assert abs(ndcg - ndcg_score(test[used].astype(int), masked[used], k=k)) < 1e-12
        answer.append({
            "k": k, "users": len(used), "precision": float(hits.mean(axis=1).mean()),
            "recall": float((hits.sum(axis=1) / wanted).mean()), "ndcg": ndcg,
            "mrr": float((1 / first).mean()), "hit_rate": float(hits.any(axis=1).mean()),
            "distinct": int(len(np.unique(order[used, :k]))),
        })
    return {"users": users, "items": items, "scores": scores.tolist(),
            "seen": [np.flatnonzero(row).tolist() for row in seen],
            "test": [np.flatnonzero(row).tolist() for row in test], "answer": answer}


def main():
    rng = np.random.default_rng(11)
    cases = []
    for name, rows, digits in (("smooth", 700, None), ("ties", 400, 1), ("certain", 300, 0)):
        truth = rng.beta(1, 3, rows)
        label = (rng.random(rows) < truth).astype(int)
        prediction = np.clip(truth + rng.normal(0, 0.15, rows), 0, 1)
        if digits is not None:
            prediction = np.round(prediction, digits)
        cases.append(predictions(name, prediction, truth, label, rng.integers(0, 40, rows)))
    answer = {"what": f"scikit-learn {sklearn.__version__}, NumPy {np.__version__}; written by metrics.py",
              "predictions": cases, "ranking": ranking(rng)}
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(answer) + "\n")


main()
