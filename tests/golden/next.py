#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Losses over a catalogue and their gradients from PyTorch (Debian: python3-torch), for tests/unit/test_next.c.

    next.py FOLDER        writes next.safetensors (FOLDER: tests/golden)

Case N, in single precision, computed in double:
    cases [N, 8]    kind (as in nn/next.h), positions, items, width, negatives, own (0, 1), target_as_is (0, 1), t
    N.h [positions, width], N.table [items, width], N.targets [positions], N.negatives [negatives] or
    [positions, negatives], N.log_q [items]; N.loss, N.d_h, N.d_table
"""
import sys

import torch
from torch.nn import functional as F

from embedding_mlp import write_safetensors

SOFTMAX, SAMPLED, BCE, GBCE = range(4)
CASES = [
    # kind, positions, items, width, negatives, own, target_as_is, t
    (SOFTMAX, 1, 3, 16, 0, 0, 0, 0),
    (SOFTMAX, 7, 65, 9, 0, 0, 0, 0),
    (SOFTMAX, 65, 130, 20, 0, 0, 0, 0),
    (SAMPLED, 7, 65, 9, 5, 0, 0, 0),
    (SAMPLED, 66, 90, 17, 70, 0, 0, 0),
    (SAMPLED, 66, 90, 17, 70, 0, 1, 0),
    (BCE, 9, 40, 7, 1, 1, 0, 0),
    (BCE, 9, 40, 7, 17, 1, 0, 0),
    (BCE, 65, 40, 5, 17, 0, 0, 0),
    (GBCE, 9, 40, 7, 17, 1, 0, 0.75),
    (GBCE, 70, 75, 18, 66, 0, 0, 0.75),
    (GBCE, 70, 75, 18, 66, 0, 0, 1),
]


def loss_of(case, h, table, targets, negatives, log_q):
    kind, positions, items, _, count, own, as_is, t = case
    if kind == SOFTMAX:
        return F.cross_entropy(h @ table.T, targets)
    lists = negatives if own else negatives[None, :].expand(positions, count)
    scores = torch.einsum("pw,pkw->pk", h, table[lists])
    positive = (h * table[targets]).sum(1)
    hits = lists == targets[:, None]
    if kind == SAMPLED:
        scores = (scores - log_q[lists]).masked_fill(hits, -torch.inf)
        positive = positive if as_is else positive - log_q[targets]
        return F.cross_entropy(torch.cat([positive[:, None], scores], dim=1),
                               torch.zeros(positions, dtype=torch.long))
    alpha = min(1, count / (items - 1))
    beta = alpha * ((1 - 1 / alpha) * t + 1 / alpha) if kind == GBCE else 1
    wrong = F.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores), reduction="none")
    right = -torch.log(torch.sigmoid(positive) ** beta)
    return ((right + wrong.masked_fill(hits, 0).sum(1)) / (count + 1)).mean()


def main(folder):
    generator = torch.Generator().manual_seed(11)
    tensors = {"cases": torch.tensor(CASES, dtype=torch.float32).numpy()}
    for number, case in enumerate(CASES):
        _, positions, items, width, count, own, _, _ = case
        h = torch.randn(positions, width, generator=generator)
        table = torch.randn(items, width, generator=generator) * 0.5
        log_q = torch.randn(items, generator=generator)
        targets = torch.randint(items, (positions,), generator=generator)
        negatives = torch.randint(items, (positions, count) if own else (count,), generator=generator)
        wide = [x.double().requires_grad_() for x in (h, table)]
        loss = loss_of(case, *wide, targets, negatives, log_q.double())
        loss.backward()
        for name, value in [("h", h), ("table", table), ("log_q", log_q), ("targets", targets),
                            ("negatives", negatives), ("loss", loss.detach().reshape(1)), ("d_h", wide[0].grad),
                            ("d_table", wide[1].grad)]:
            if value.numel():
                tensors[f"{number}.{name}"] = value.to(torch.float32).numpy()
    write_safetensors(folder + "/next.safetensors", tensors)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    main(sys.argv[1])
