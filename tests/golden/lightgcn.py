#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers of LightGCN and of softmax losses over a batch from PyTorch (Debian: python3-torch), in double precision.

    lightgcn.py write FOLDER      writes the golden files (FOLDER: tests/golden)
    lightgcn.py test PROGRAM      runs PROGRAM CHECKPOINT SCORES, which fits a model and writes it and its scores of
                                  all pairs ("scores" [users, items]), and compares with what PyTorch makes of it

lightgcn.safetensors, for tests/unit/test_lightgcn.c: 23 users and 17 items, some of them without edges; for widths W
of 8 and 20 and K layers:
    users, items                the edges
    W.init                      layer 0 of users, then items
    batch                       [5, 3, 29] users, items, other items, by their own numbers
    W.K.final                   propagated embeddings
    W.K.LOSS.gradient, .losses, .weights
                                gradient of layer 0 for the first batch (with the L2 term), the losses of five
                                steps of Adam, layer 0 after them
inbatch.safetensors, for tests/unit/test_inbatch.c: the loss of B pairs of vectors and its gradients.
"""
import json
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError:
    print("python3-torch is not here: skipped")
    sys.exit(77)

DTYPES = {"F32": np.float32, "I64": np.int64, "U64": np.uint64, "U32": np.uint32}
USERS, ITEMS, BATCH, STEPS = 23, 17, 29, 5
RATE, L2, TEMPERATURE, EXPONENT = 0.01, 0.03, 0.2, 0.8


def write_safetensors(path, tensors):
    header, offset = {}, 0
    tensors = {name: np.ascontiguousarray(array, dtype=np.int64 if array.dtype == np.int64 else np.float32)
               for name, array in tensors.items()}
    for name, array in tensors.items():
        kind = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}[array.dtype]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            file.write(array.tobytes())


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            array = np.frombuffer(data[8 + length + begin:8 + length + end], dtype=DTYPES[entry["dtype"]])
            tensors[name] = array.reshape(entry["shape"])
    return tensors


def adjacency(users, items, count_users, count_items, weights=None):
    """D^-1/2 A D^-1/2 of the bipartite graph, sparse, as the authors build it."""
    nodes = count_users + count_items
    a = torch.zeros(nodes, nodes, dtype=torch.float64)
    a[users, items + count_users] = 1 if weights is None else weights
    a = a + a.T
    scale = a.sum(1).pow(-0.5)
    scale[torch.isinf(scale)] = 0
    return (scale[:, None] * a * scale[None, :]).to_sparse()


def propagate(graph, layer, layers):
    every = [layer]
    for _ in range(layers):
        every.append(torch.sparse.mm(graph, every[-1]))
    return torch.stack(every, dim=1).mean(dim=1)


def softmax(users, items, temperature, exponent, with_positive):
    """The loss of head of src/nn/inbatch.h: cosines, the batch's other items as negatives."""
    logits = F.normalize(users, dim=1) @ F.normalize(items, dim=1).T / temperature
    own = logits.diagonal()
    others = logits
    if not with_positive:
        others = logits.masked_fill(torch.eye(len(users), dtype=torch.bool), -torch.inf)
    return (-own + exponent * torch.logsumexp(others, dim=1)).mean()


def loss_of(kind, graph, layer, layers, batch):
    final = propagate(graph, layer, layers)
    user, item, other = batch[0], batch[1] + USERS, batch[2] + USERS
    if kind == "bpr":
        scores = (final[user] * final[item]).sum(1), (final[user] * final[other]).sum(1)
        loss = F.softplus(scores[1] - scores[0]).mean()
        parts = (layer[user], layer[item], layer[other])
    else:
        loss = softmax(final[user], final[item], TEMPERATURE, EXPONENT if kind == "bsl" else 1, kind == "softmax")
        parts = (layer[user], layer[item])
    return loss + L2 * 0.5 * sum(part.norm(2).pow(2) for part in parts) / len(user)


def whole_model(folder):
    torch.manual_seed(11)
    chosen = torch.rand(USERS, ITEMS, dtype=torch.float64) < 0.25
    chosen[5] = False  # a user and an item without edges, and one user of all other items
    chosen[7] = True
    chosen[:, 3] = False
    users, items = chosen.nonzero(as_tuple=True)
    graph = adjacency(users, items, USERS, ITEMS)
    batch = torch.empty(STEPS, 3, BATCH, dtype=torch.int64)
    for step in range(STEPS):
        drawn = torch.randint(len(users), (BATCH,))
        batch[step] = torch.stack([users[drawn], items[drawn], torch.randint(ITEMS, (BATCH,))])
    tensors = {"users": users.numpy(), "items": items.numpy(), "batch": batch.numpy()}
    for width, depths in ((8, (0, 1, 2, 3, 4)), (20, (1, 3))):
        start = (torch.randn(USERS + ITEMS, width, dtype=torch.float64) * 0.3).float().double()
        tensors[f"{width}.init"] = start.numpy()
        for layers in depths:
            tensors[f"{width}.{layers}.final"] = propagate(graph, start, layers).numpy()
            for kind in ("bpr", "softmax", "bsl"):
                layer, losses = start.clone().requires_grad_(), []
                optimiser = torch.optim.Adam([layer], lr=RATE)
                for step in range(STEPS):
                    optimiser.zero_grad()
                    loss = loss_of(kind, graph, layer, layers, batch[step])
                    loss.backward()
                    if step == 0:
                        tensors[f"{width}.{layers}.{kind}.gradient"] = layer.grad.numpy().copy()
                    optimiser.step()
                    losses.append(loss.item())
                tensors[f"{width}.{layers}.{kind}.losses"] = np.array(losses)
                tensors[f"{width}.{layers}.{kind}.weights"] = layer.detach().numpy()
    write_safetensors(folder + "/lightgcn.safetensors", tensors)


# pairs, width, temperature, exponent, with the positive
CASES = [(1, 16, 0.5, 1, True), (2, 16, 0.1, 0.8, False), (70, 16, 0.12, 0.7, False), (70, 16, 0.12, 1, True),
         (33, 16, 0.01, 1, True), (33, 16, 0.01, 1.5, False), (33, 32, 10, 1, True), (33, 16, 10, 0.5, False)]


def batch_losses(folder):
    torch.manual_seed(12)
    tensors = {"cases": np.array(CASES, dtype=np.float32)}
    for number, (count, width, temperature, exponent, with_positive) in enumerate(CASES):
        users, items = (torch.randn(count, width, dtype=torch.float64).float() for _ in range(2))
        items[count // 2] = items[0]  # an item that comes twice
        users, items = users.double().requires_grad_(), items.double().requires_grad_()
        loss = softmax(users, items, temperature, exponent, with_positive)
        loss.backward()
        values = {"users": users.detach(), "items": items.detach(), "loss": loss.detach().reshape(1),
                  "d_users": users.grad, "d_items": items.grad}
        tensors.update({f"{number}.{name}": value.numpy() for name, value in values.items()})
    write_safetensors(folder + "/inbatch.safetensors", tensors)


def check(checkpoint, expected):
    """Scores from our file by the authors' formulas."""
    tensors = read_safetensors(checkpoint)
    embedding = [torch.nn.Embedding(*tensors[f"embedding_{kind}.weight"].shape) for kind in ("user", "item")]
    for table, kind in zip(embedding, ("user", "item")):
        table.load_state_dict({"weight": torch.tensor(tensors[f"embedding_{kind}.weight"])}, strict=True)
    count_users, count_items = (table.num_embeddings for table in embedding)
    offsets = torch.tensor(tensors["graph.offsets"].astype(np.int64))
    users = torch.repeat_interleave(torch.arange(count_users), offsets[1:] - offsets[:-1])
    items = torch.tensor(tensors["graph.nodes"].astype(np.int64)) - count_users
    graph = adjacency(users, items, count_users, count_items, torch.tensor(tensors["graph.weights"]).double())
    layer = torch.cat([table.weight for table in embedding]).detach().double()
    final = propagate(graph, layer, 2)
    want = (final[:count_users] @ final[count_users:].T).numpy()
    have = read_safetensors(expected)["scores"]
    known = (np.diff(offsets)[:, None] > 0) & np.isin(np.arange(count_items), items)[None, :]  # others: the average
    difference = np.abs(want - have)[known].max()
    print(f"largest difference of a score: {difference:.3g} of {np.abs(want).max():.3g}")
    return 0 if difference < 1e-5 * np.abs(want).max() else 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 3 and sys.argv[1] == "write":
        whole_model(sys.argv[2])
        batch_losses(sys.argv[2])
    elif len(sys.argv) == 3 and sys.argv[1] == "test":
        with tempfile.TemporaryDirectory() as scratch:
            files = [scratch + "/model.safetensors", scratch + "/scores.safetensors"]
            subprocess.run([sys.argv[2], *files], check=True)
            sys.exit(check(*files))
    else:
        sys.exit(__doc__)
