#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Vectors, groups and planes from NumPy and scikit-learn (Debian: python3-sklearn), for tests/unit/test_vectors.c.

    vectors.py > tests/golden/vectors.json

values: rows of odd width, one of them all zero; group: of each row, one group with a single row, one with none;
unit: the rows at length 1; same: of the k nearest other rows by cosine, the share of the same group, over all rows;
silhouette: sklearn.metrics.silhouette_score of the unit rows; axes, explained, places: sklearn.decomposition.PCA.
"""
import json

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

K, WIDTH = 3, 7
random = np.random.default_rng(5)
group = random.permutation([0] * 12 + [1] * 9 + [2] * 1 + [4] * 8)  # nobody is of group 3
values = random.normal(size=(len(group), WIDTH)) * np.array([3, 1, 2, 1, 0.5, 1, 1])
values += 2.0 * random.normal(size=(5, WIDTH))[group]
values = values.astype(np.float32)
values[4] = 0

length = np.linalg.norm(values.astype(float), axis=1, keepdims=True)
unit = values / np.where(length > 0, length, 1)
cosine = unit @ unit.T
np.fill_diagonal(cosine, -np.inf)
nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :K]
same = (group[nearest] == group[:, None]).mean()

pca = PCA(2, svd_solver="full").fit(unit)
axes = pca.components_.copy()
axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]

print(json.dumps({
    "k": K,
    "values": values.astype(float).tolist(),
    "group": group.tolist(),
    "unit": unit.tolist(),
    "same": float(same),
    "silhouette": float(silhouette_score(unit, group)),
    "axes": axes.tolist(),
    "explained": pca.explained_variance_ratio_.tolist(),
    "places": ((unit - pca.mean_) @ axes.T).tolist(),
}))
