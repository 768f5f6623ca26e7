#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers of embedding-mlp from PyTorch (Debian: python3-torch), for tests/unit/test_mlp.c.

    embedding_mlp.py write FOLDER      writes the golden files (FOLDER: tests/golden)
    embedding_mlp.py check CHECKPOINT PREDICTIONS
                                       loads a checkpoint that Forage wrote into the network and
                                       compares its predictions with Forage's ("predictions"
                                       [users, products] in a second file)
    embedding_mlp.py test PROGRAM      runs PROGRAM CHECKPOINT PREDICTIONS, which writes the two, and checks

embedding_mlp_steps.safetensors: a small network with odd widths; for each of three
optimisers five steps of Adam on five batches of 70 rows:
    init.*                      weights before (init.user_embedding.weight ...)
    batch.users, .products, .labels   [5, 70]
    grad.*, logits, loss        of the first batch: gradient of the mean loss
    adam.1.*, adam.5.*, l2.5.*, adamw.5.*, losses.adam [5]   weights after 1 and 5 steps
embedding_mlp_torch.safetensors: a state_dict of the document's network with 13 users
and 7 products, as anyone would save it; embedding_mlp_torch_predictions.safetensors:
its probabilities for all pairs.
"""
import json
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from torch import nn
except ImportError:
    print("python3-torch is not here: skipped")
    sys.exit(77)

DTYPES = {"F32": np.float32, "I64": np.int64}


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, array in tensors.items():
        kind = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}[array.dtype]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        array = np.frombuffer(data[8 + length + begin:8 + length + end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = array.reshape(entry["shape"])
    return tensors


class Recommender(nn.Module):
    def __init__(self, users, products, width, hidden):
        super().__init__()
        self.user_embedding = nn.Embedding(users, width)
        self.product_embedding = nn.Embedding(products, width)
        self.fc1 = nn.Linear(2 * width, hidden[0])
        self.fc2 = nn.Linear(hidden[0], hidden[1])
        self.output = nn.Linear(hidden[1], 1)

    def forward(self, users, products):
        x = torch.cat([self.user_embedding(users), self.product_embedding(products)], dim=1)
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.output(x).squeeze(1)


def arrays(model, prefix, gradient=False):
    return {prefix + name: (p.grad if gradient else p).detach().numpy().copy() for name, p in model.named_parameters()}


def steps(folder):
    torch.manual_seed(3)
    model = Recommender(11, 6, 5, (9, 3))
    tensors = arrays(model, "init.")
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    users, products = torch.randint(0, 10, (5, 70)), torch.randint(0, 6, (5, 70))  # user 10 never appears
    labels = torch.bernoulli(torch.full((5, 70), 0.3))
    tensors["batch.users"], tensors["batch.products"] = users.numpy(), products.numpy()
    tensors["batch.labels"] = labels.numpy()
    criterion = nn.BCEWithLogitsLoss()
    optimisers = {
        "adam": lambda p: torch.optim.Adam(p, lr=0.01),
        "l2": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.05),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.5),
    }
    for name, make in optimisers.items():
        model.load_state_dict(start)
        optimiser, losses = make(model.parameters()), []
        for step in range(5):
            optimiser.zero_grad()
            logits = model(users[step], products[step])
            loss = criterion(logits, labels[step])
            loss.backward()
            if name == "adam" and step == 0:
                tensors.update(arrays(model, "grad.", gradient=True))
                tensors["logits"] = logits.detach().numpy()
            optimiser.step()
            losses.append(loss.item())
            if name == "adam" and step == 0:
                tensors.update(arrays(model, "adam.1."))
        tensors.update(arrays(model, name + ".5."))
        tensors["losses." + name] = np.array(losses, dtype=np.float32)
    write_safetensors(folder + "/embedding_mlp_steps.safetensors", tensors)


def predictions(model, users, products):
    with torch.no_grad():
        u = torch.arange(users).repeat_interleave(products)
        p = torch.arange(products).repeat(users)
        return torch.sigmoid(model(u, p)).reshape(users, products).numpy()


def state_dict(folder):
    torch.manual_seed(4)
    model = Recommender(13, 7, 32, (64, 32))
    with torch.no_grad():
        model.output.weight *= 20  # so that probabilities spread
    write_safetensors(folder + "/embedding_mlp_torch.safetensors",
                      {name: t.numpy() for name, t in model.state_dict().items()})
    write_safetensors(folder + "/embedding_mlp_torch_predictions.safetensors",
                      {"predictions": predictions(model, 13, 7)})


def check(checkpoint, expected):
    tensors = read_safetensors(checkpoint)
    users, width = tensors["user_embedding.weight"].shape
    products = tensors["product_embedding.weight"].shape[0]
    model = Recommender(users, products, width, (tensors["fc1.weight"].shape[0], tensors["fc2.weight"].shape[0]))
    model.load_state_dict({name: torch.tensor(array) for name, array in tensors.items()}, strict=True)
    difference = np.abs(predictions(model, users, products) - read_safetensors(expected)["predictions"]).max()
    print(f"largest difference of a prediction: {difference:.3g}")
    return 0 if difference < 1e-5 else 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 3 and sys.argv[1] == "write":
        steps(sys.argv[2])
        state_dict(sys.argv[2])
    elif len(sys.argv) == 3 and sys.argv[1] == "test":
        with tempfile.TemporaryDirectory() as scratch:
            files = [scratch + "/model.safetensors", scratch + "/predictions.safetensors"]
            subprocess.run([sys.argv[2], *files], check=True)
            sys.exit(check(*files))
    elif len(sys.argv) == 4 and sys.argv[1] == "check":
        sys.exit(check(sys.argv[2], sys.argv[3]))
    else:
        sys.exit(__doc__)
