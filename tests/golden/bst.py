#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers of bst from PyTorch (Debian: python3-torch), for tests/unit/test_bst.c.

    bst.py write FOLDER      writes the golden file (FOLDER: tests/golden)
    bst.py test PROGRAM      reads models that the test program fits and saves, and scores its log with them

bst.safetensors: one small log of impressions, and six models over it.
    past.offsets, .item, .category, .price, .reward, .time, .begin, .end     what came before each example
    item, category, price, gender, age, device, reward, time                 the examples
    a.*  tokens added up, positions are times, the target's output alone, clicks alone are history
    b.*  tokens side by side, positions are places, all outputs side by side, refusals are history too; two blocks
    c.*  no transformer: the mean of the history beside the target
    d.*  the means of what was chosen and of what was refused
    e.*  tokens added up, positions are places, the mean of all outputs; two blocks
    f.*  tokens side by side, positions are times, the target's output alone, refusals are history too
Of each: the weights under the names of our checkpoints, "logits", "loss" (the mean), and "grad." + name for each weight.
"""
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

from embedding_mlp import read_safetensors, write_safetensors

ITEMS, CATEGORIES, GENDERS, DEVICES, USERS, EVENTS, EXAMPLES = 9, 4, 2, 3, 6, 40, 37
SETTINGS = {
    "a": dict(width=6, combine="sum", position="time", output="target", history="positive", length=5, blocks=1,
              heads=2, inner=11, layers=[7, 5]),
    "b": dict(width=4, combine="concat", position="order", output="concat", history="all", length=4, blocks=2,
              heads=4, inner=9, layers=[8]),
    "c": dict(width=5, combine="sum", position=None, output="mean-of-history", history="positive", length=6, blocks=0,
              heads=1, inner=1, layers=[6, 3]),
    "d": dict(width=5, combine="sum", position=None, output="means-of-history", history="all", length=6, blocks=0,
              heads=1, inner=1, layers=[6, 3]),
    "e": dict(width=6, combine="sum", position="order", output="mean", history="positive", length=5, blocks=2,
              heads=3, inner=7, layers=[6]),
    "f": dict(width=4, combine="concat", position="time", output="target", history="all", length=6, blocks=1,
              heads=4, inner=9, layers=[7, 4]),
}
# What the test program saves, of the log's items alone.
SAVED = {
    "a": dict(width=12, combine="sum", position="time", output="target", history="positive", length=12, blocks=1,
              heads=3, inner=20, layers=[8, 6]),
    "b": dict(width=8, combine="concat", position="order", output="concat", history="all", length=6, blocks=2,
              heads=2, inner=11, layers=[9]),
    "c": dict(width=8, combine="sum", position="time", output="mean", history="positive", length=5, blocks=1,
              heads=2, inner=9, layers=[5]),
}


def make_log(rng):
    """Each user's events in order of time, and examples that see those strictly before them."""
    user = np.sort(rng.integers(0, USERS, EVENTS))
    offsets = np.searchsorted(user, np.arange(USERS + 1))
    time = rng.integers(0, 10 ** 6, EVENTS)
    for u in range(USERS):
        time[offsets[u]:offsets[u + 1]].sort()
    log = {"past.offsets": offsets, "past.item": rng.integers(0, ITEMS, EVENTS),
           "past.category": rng.integers(0, CATEGORIES, EVENTS), "past.reward": rng.integers(0, 2, EVENTS),
           "past.time": time}
    log["past.price"] = rng.standard_normal(EVENTS).astype(np.float32)
    who = rng.integers(0, USERS, EXAMPLES)
    when = rng.integers(0, 10 ** 6, EXAMPLES)
    begin = offsets[who]
    end = np.array([begin[i] + np.searchsorted(time[begin[i]:offsets[who[i] + 1]], when[i], side="left")
                    for i in range(EXAMPLES)])
    log.update({"past.begin": begin, "past.end": end, "time": when, "item": rng.integers(0, ITEMS, EXAMPLES),
                "category": rng.integers(0, CATEGORIES, EXAMPLES), "gender": rng.integers(0, GENDERS, EXAMPLES),
                "device": rng.integers(0, DEVICES, EXAMPLES)})
    log["price"] = rng.standard_normal(EXAMPLES).astype(np.float32)
    log["age"] = rng.standard_normal(EXAMPLES).astype(np.float32)
    log["reward"] = rng.integers(0, 2, EXAMPLES).astype(np.float32)
    return log


class Layers(nn.Module):
    def __init__(self, width, columns, layers):
        super().__init__()
        self.gender_embedding = nn.Embedding(GENDERS, width)
        self.device_embedding = nn.Embedding(DEVICES, width)
        sizes = [2 * width + columns + 1] + layers
        for i in range(len(layers)):
            setattr(self, f"fc{i + 1}", nn.Linear(sizes[i], sizes[i + 1]))
        self.output = nn.Linear(sizes[-1], 1)
        self.count = len(layers)

    def forward(self, gender, device, columns, age):
        x = torch.cat([self.gender_embedding(gender), self.device_embedding(device), columns, age[:, None]], dim=1)
        for i in range(self.count):
            x = nn.functional.leaky_relu(getattr(self, f"fc{i + 1}")(x), 0.01)
        return self.output(x).squeeze(1)


class Model(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.s = s
        twice = 2 if s["history"] == "all" and s["blocks"] else 1  # an item that was refused is another one
        self.item_embedding = nn.Embedding(twice * ITEMS, s["width"])
        self.category_embedding = nn.Embedding(twice * CATEGORIES, s["width"])
        self.price_embedding = nn.Embedding(1, s["width"])
        parts = 3
        if s["position"] == "time":
            self.sequence_time = nn.Embedding(66, s["width"])
            parts += 1
        if s["position"] == "order":
            self.sequence_position = nn.Embedding(s["length"] + 1, s["width"])
            parts += 1
        if s["history"] == "all" and s["blocks"]:
            self.sequence_outcome = nn.Embedding(3, s["width"])
            parts += 1
        token = s["width"] * (parts if s["combine"] == "concat" else 1)
        if s["blocks"]:
            layer = nn.TransformerEncoderLayer(token, s["heads"], s["inner"], dropout=0.0, batch_first=True,
                                               activation=nn.functional.leaky_relu)
            self.encoder = nn.TransformerEncoder(layer, s["blocks"], enable_nested_tensor=False)
        slots = {"target": 1, "mean": 1, "concat": s["length"] + 1, "mean-of-history": 2, "means-of-history": 3}[s["output"]]
        self.mlp = Layers(s["width"], slots * token, s["layers"])
        self.token = token

    def tokens(self, item, category, price, code, outcome):
        parts = [self.item_embedding(item), self.category_embedding(category),
                 price[:, None] * self.price_embedding.weight]
        if self.s["position"]:
            table = self.sequence_time if self.s["position"] == "time" else self.sequence_position
            parts.append(table(code))
        if self.s["history"] == "all" and self.s["blocks"]:
            parts.append(self.sequence_outcome(outcome))
        return torch.cat(parts, dim=1) if self.s["combine"] == "concat" else sum(parts)

    def columns(self, log, i):
        s = self.s
        events = [e for e in range(log["past.begin"][i], log["past.end"][i])
                  if s["history"] == "all" or log["past.reward"][e]][-s["length"]:]
        if s["position"] == "time":
            code = [1 + int(np.floor(np.log2(log["time"][i] - log["past.time"][e] + 1))) for e in events]
        else:
            code = [len(events) - k for k in range(len(events))]

        def column(name, kind):
            return torch.tensor([log["past." + name][e] for e in events] + [log[name][i]], dtype=kind)

        refused = torch.tensor([0 if log["past.reward"][e] or not s["blocks"] else 1 for e in events] + [0])
        x = self.tokens(column("item", torch.long) + ITEMS * refused,
                        column("category", torch.long) + CATEGORIES * refused, column("price", torch.float32),
                        torch.tensor(code + [0]), torch.tensor([1 + int(log["past.reward"][e]) for e in events] + [0]))
        if s["output"] == "mean-of-history":
            mean = x[:-1].mean(dim=0) if len(events) else torch.zeros(self.token)
            return torch.cat([mean, x[-1]])
        if s["output"] == "means-of-history":
            chosen = torch.tensor([bool(log["past.reward"][e]) for e in events] + [False])
            refused = torch.tensor([not log["past.reward"][e] for e in events] + [False])
            means = [x[which].mean(dim=0) if which.any() else torch.zeros(self.token) for which in (chosen, refused)]
            return torch.cat(means + [x[-1]])
        h = self.encoder(x[None])[0]
        if s["output"] == "target":
            return h[-1]
        if s["output"] == "mean":
            return h.mean(dim=0)
        return torch.cat([torch.zeros((s["length"] + 1 - len(h)) * self.token), h.flatten()])

    def forward(self, log):
        columns = torch.stack([self.columns(log, i) for i in range(EXAMPLES)])
        return self.mlp(torch.tensor(log["gender"]), torch.tensor(log["device"]), columns, torch.tensor(log["age"]))


def write(folder):
    torch.manual_seed(3)
    log = make_log(np.random.default_rng(5))
    tensors = {name: array if array.dtype == np.float32 else array.astype(np.int64) for name, array in log.items()}
    for key, settings in SETTINGS.items():
        model = Model(settings)
        for parameter in model.parameters():  # norms and biases too: 1 and 0 would hide mistakes
            parameter.data += 0.1 * torch.randn_like(parameter)
        logits = model(log)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(log["reward"]))
        loss.backward()
        for name, parameter in model.named_parameters():
            tensors[f"{key}.{name}"] = parameter.detach().numpy()
            tensors[f"{key}.grad.{name}"] = parameter.grad.numpy()
        tensors[f"{key}.logits"] = logits.detach().numpy()
        tensors[f"{key}.loss"] = loss.detach().numpy().reshape(1)
    write_safetensors(f"{folder}/bst.safetensors", tensors)


class Saved(nn.Module):
    """A model of items alone, under the names of our files."""

    def __init__(self, s, items):
        super().__init__()
        self.s, self.items = s, items
        refusals = s["history"] == "all"
        self.item_embedding = nn.Embedding((2 if refusals else 1) * items, s["width"])
        if s["position"] == "time":
            self.sequence_time = nn.Embedding(66, s["width"])
        else:
            self.sequence_position = nn.Embedding(s["length"] + 1, s["width"])
        if refusals:
            self.sequence_outcome = nn.Embedding(3, s["width"])
        self.token = s["width"] * ((3 if refusals else 2) if s["combine"] == "concat" else 1)
        layer = nn.TransformerEncoderLayer(self.token, s["heads"], s["inner"], dropout=0.0, batch_first=True,
                                           activation=nn.functional.leaky_relu)
        self.encoder = nn.TransformerEncoder(layer, s["blocks"], enable_nested_tensor=False)
        columns = [self.token * (s["length"] + 1 if s["output"] == "concat" else 1)] + s["layers"]
        self.mlp = nn.Module()
        for i in range(len(s["layers"])):
            setattr(self.mlp, f"fc{i + 1}", nn.Linear(columns[i], columns[i + 1]))
        self.mlp.output = nn.Linear(columns[-1], 1)

    def forward(self, log, row):
        s = self.s
        past = [e for e in np.flatnonzero((log["user"] == log["user"][row]) & (log["time"] < log["time"][row]))
                if s["history"] == "all" or log["value"][e]]
        past = sorted(past, key=lambda e: log["time"][e])[-s["length"]:]
        refused = torch.tensor([int(s["history"] == "all" and not log["value"][e]) for e in past] + [0])
        items = torch.tensor([log["item"][e] for e in past] + [log["item"][row]])
        parts = [self.item_embedding(items + self.items * refused)]
        if s["position"] == "time":
            gaps = [1 + int(np.floor(np.log2(1 + log["time"][row] - log["time"][e]))) for e in past]
            parts.append(self.sequence_time(torch.tensor(gaps + [0])))
        else:
            parts.append(self.sequence_position(torch.arange(len(past), -1, -1)))
        if s["history"] == "all":
            parts.append(self.sequence_outcome(torch.tensor([1 + int(log["value"][e]) for e in past] + [0])))
        x = torch.cat(parts, dim=1) if s["combine"] == "concat" else sum(parts)
        h = self.encoder(x[None])[0]
        if s["output"] == "concat":
            z = torch.cat([torch.zeros((s["length"] + 1 - len(h)) * self.token), h.flatten()])
        else:
            z = h[-1] if s["output"] == "target" else h.mean(dim=0)
        for i in range(len(s["layers"])):
            z = nn.functional.leaky_relu(getattr(self.mlp, f"fc{i + 1}")(z), 0.01)
        return torch.sigmoid(self.mlp.output(z))[0]


def check(settings, checkpoint, expected):
    """The program's settings are those of tests/unit/test_bst.c."""
    tensors, log = read_safetensors(checkpoint), read_safetensors(expected)
    model = Saved(settings, int(log["item"].max()) + 1)
    model.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()}, strict=True)
    model.eval()
    with torch.no_grad():
        rows = range(0, len(log["item"]), 7)
        worst = max(abs(float(model(log, row)) - float(log["scores"][row])) for row in rows)
    spread = float(log["scores"].max() - log["scores"].min())
    print(f"largest difference of a probability: {worst:.3g}; they span {spread:.3g}")
    return worst < 2e-5 and spread > 0.1


def test(program):
    with tempfile.TemporaryDirectory() as scratch:
        files = [scratch + "/model.safetensors", scratch + "/scores.safetensors"]
        good = True
        for key, settings in SAVED.items():
            subprocess.run([program, key, *files], check=True)
            good = check(settings, *files) and good
    return 0 if good else 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 3 and sys.argv[1] == "write":
        write(sys.argv[2])
    elif len(sys.argv) == 3 and sys.argv[1] == "test":
        sys.exit(test(sys.argv[2]))
    else:
        print(__doc__)
        sys.exit(2)
