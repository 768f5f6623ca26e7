#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers of transformer blocks from PyTorch (Debian: python3-torch), for tests/unit/test_encoder.c.

    encoder.py write FOLDER        writes encoder.safetensors (FOLDER: tests/golden)
    encoder.py check CHECKPOINT    loads what Forage wrote ("encoder.*" weights, "spec", "starts", "x", "out") into
                                   torch.nn.TransformerEncoder and compares its outputs with Forage's
    encoder.py test PROGRAM        runs PROGRAM CHECKPOINT, which writes one, and checks

For case N, "N.spec" holds width, heads, inner, blocks, length, activation (0 ReLU, 1 GELU, 2 leaky ReLU), causal,
pre-norm, last norm; then
    N.starts               where sequences begin, and the number of tokens
    N.x, N.d_out [tokens, width]    inputs, and the gradient of the loss (sum of d_out * out) by the outputs
    N.out, N.d_x                    outputs, and the gradient by the inputs
    N.init.*, N.grad.*              weights under PyTorch's names, and the gradient by them
Sequences go through PyTorch one by one, so nothing is padded.
"""
import subprocess
import sys
import tempfile

from embedding_mlp import read_safetensors, write_safetensors

import numpy as np
import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS = [functional.relu, functional.gelu, functional.leaky_relu]
CASES = [
    # width, heads, inner, blocks, length, activation, causal, pre-norm, last norm; lengths of sequences
    ((12, 3, 20, 2, 20, 0, 1, 1, 1), [0, 1, 5, 0, 17, 3, 1, 20, 0]),
    ((12, 1, 9, 2, 40, 1, 0, 0, 0), [40, 1, 2, 37]),
    ((20, 4, 33, 1, 33, 2, 0, 1, 0), [1, 1, 0, 33]),
    ((48, 3, 40, 1, 30, 0, 1, 0, 1), [30, 0, 0, 30, 16, 1, 17, 2]),
    ((16, 2, 16, 3, 8, 1, 1, 1, 1), [8, 7, 6, 5, 4, 3, 2, 1]),
    ((18, 2, 7, 2, 5, 2, 1, 0, 0), [3, 5, 5, 1]),
    ((7, 7, 1, 1, 3, 2, 0, 0, 1), [3]),
]


def build(spec):
    width, heads, inner, blocks, _, activation, _, pre, last = (int(n) for n in spec)
    layer = nn.TransformerEncoderLayer(width, heads, inner, dropout=0.0, activation=ACTIVATIONS[activation],
                                       batch_first=True, norm_first=bool(pre))
    # In training mode: PyTorch's shortcuts for inference compute other things.
    return nn.TransformerEncoder(layer, blocks, norm=nn.LayerNorm(width) if last else None).train()


def forward(model, causal, starts, x):
    parts = []
    for begin, end in zip(starts[:-1], starts[1:]):
        if begin == end:
            continue
        length = int(end - begin)
        mask = torch.triu(torch.full((length, length), float("-inf"), dtype=x.dtype), diagonal=1) if causal else None
        parts.append(model(x[begin:end][None], mask=mask)[0])
    return torch.cat(parts)


def write(folder):
    torch.manual_seed(8)
    tensors = {"cases": np.array([len(CASES)], dtype=np.int64)}
    for number, (spec, lengths) in enumerate(CASES):
        model = build(spec)
        for weight in model.parameters():  # biases and gains, too, are anything
            nn.init.normal_(weight, 0.5 if weight.dim() == 1 else 0.0, 0.3)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        x, d_out = torch.randn(starts[-1], spec[0]), torch.randn(starts[-1], spec[0])
        weights = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
        model, x, d_out = model.double(), x.double().requires_grad_(), d_out.double()
        out = forward(model, spec[6], starts, x)
        (out * d_out).sum().backward()
        one = {"spec": np.array(spec, dtype=np.int64), "starts": starts.astype(np.int64)}
        for name, value in [("x", x), ("d_out", d_out), ("out", out), ("d_x", x.grad)]:
            one[name] = value.detach().numpy().astype(np.float32)
        one.update({"init." + name: value.astype(np.float32) for name, value in weights.items()})
        one.update({"grad." + name: weight.grad.numpy().astype(np.float32)
                    for name, weight in model.named_parameters()})
        tensors.update({f"{number}.{name}": value for name, value in one.items()})
    write_safetensors(folder + "/encoder.safetensors", tensors)


def check(path):
    tensors = read_safetensors(path)
    spec, starts = tensors["spec"], tensors["starts"]
    model = build(spec)
    weights = {name[len("encoder."):]: torch.from_numpy(array.copy()) for name, array in tensors.items()
               if name.startswith("encoder.")}
    model.load_state_dict(weights)
    with torch.no_grad():
        out = forward(model, bool(spec[6]), starts, torch.from_numpy(tensors["x"].copy()))
    difference = float(np.abs(out.numpy() - tensors["out"]).max())
    print(f"largest difference {difference:.2e}")
    return 0 if difference < 1e-5 else 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["write"] and len(sys.argv) == 3:
        write(sys.argv[2])
    elif sys.argv[1:2] == ["check"] and len(sys.argv) == 3:
        sys.exit(check(sys.argv[2]))
    elif sys.argv[1:2] == ["test"] and len(sys.argv) == 3:
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/encoder.safetensors"
            subprocess.run([sys.argv[2], path], check=True)
            sys.exit(check(path))
    else:
        sys.exit(__doc__)
