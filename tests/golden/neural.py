#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers of neural-linear and neural-ucb from PyTorch and NumPy (Debian: python3-torch), for tests/unit/test_heads.c.

    neural.py FOLDER      writes neural.safetensors (FOLDER: tests/golden)

A network of a table of users and four numbers, layers of 7 and 5 units, and an output for each of six arms:
    init.*                                  weights
    batch.users, .arms [70], .numbers [70, 4], .reward, .weight [70]
    z [70]                                  the outputs of the rows' arms
    grad.*                                  gradient of sum(weight (z - reward)^2 / 2) / 70
    row.N.*                                 gradient of z of row N, for the first three rows
Bayesian linear regression, ridge 0.7, a0 = 3, b0 = 2, of 60 rows of 9 features:
    ridge.x [60, 9], .reward, .weight [60], .inverse [9, 9], .mean [9], .noise [2] (a and b)
"""
import sys

import numpy as np
import torch
from torch import nn

from embedding_mlp import arrays, write_safetensors

ROWS, USERS, ARMS, NUMBERS = 70, 11, 6, 4


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.user_embedding = nn.Embedding(USERS, 3)
        self.fc1 = nn.Linear(3 + NUMBERS, 7)
        self.fc2 = nn.Linear(7, 5)
        self.output = nn.Linear(5, ARMS)

    def forward(self, users, numbers, arms):
        x = torch.cat([self.user_embedding(users), numbers], dim=1)
        x = torch.relu(self.fc2(torch.relu(self.fc1(x))))
        return self.output(x).gather(1, arms[:, None]).squeeze(1)


def network(tensors):
    torch.manual_seed(5)
    model = Network()
    tensors.update(arrays(model, "init."))
    users, arms = torch.randint(0, USERS - 1, (ROWS,)), torch.randint(0, ARMS - 1, (ROWS,))
    numbers, reward, weight = torch.randn(ROWS, NUMBERS), torch.randn(ROWS), torch.rand(ROWS) + 0.5
    for name, value in [("users", users), ("arms", arms), ("numbers", numbers), ("reward", reward),
                        ("weight", weight)]:
        tensors["batch." + name] = value.numpy()
    z = model(users, numbers, arms)
    tensors["z"] = z.detach().numpy()
    (weight * (z - reward) ** 2 / 2).mean().backward()
    tensors.update(arrays(model, "grad.", gradient=True))
    for row in range(3):
        model.zero_grad()
        model(users[row:row + 1], numbers[row:row + 1], arms[row:row + 1]).sum().backward()
        tensors.update(arrays(model, f"row.{row}.", gradient=True))


def ridge(tensors):
    rng = np.random.default_rng(6)
    x = rng.standard_normal((60, 9)).astype(np.float32)
    x[:, 3] = np.maximum(x[:, 3], 0)
    reward, weight = rng.standard_normal(60).astype(np.float32), (rng.random(60) + 0.5).astype(np.float32)
    wide, r, w = x.astype(float), reward.astype(float), weight.astype(float)
    precision = 0.7 * np.eye(9) + (wide * w[:, None]).T @ wide
    mean = np.linalg.solve(precision, wide.T @ (w * r))
    noise = [3 + w.sum() / 2, 2 + (w @ r ** 2 - mean @ precision @ mean) / 2]
    tensors.update({"ridge.x": x, "ridge.reward": reward, "ridge.weight": weight,
                    "ridge.inverse": np.linalg.inv(precision).astype(np.float32), "ridge.mean": mean.astype(np.float32),
                    "ridge.noise": np.array(noise, dtype=np.float32)})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    tensors = {}
    network(tensors)
    ridge(tensors)
    write_safetensors(sys.argv[1] + "/neural.safetensors", tensors)
