#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers of the next-item transformer from PyTorch (Debian: python3-torch), in double precision.

    sasrec.py write FOLDER      writes the golden files (FOLDER: tests/golden)
    sasrec.py test PROGRAM      runs PROGRAM CHECKPOINT SCORES, which fits a model and writes it, some histories and the
                                scores of all items after them, and compares with what PyTorch makes of it

sasrec_CASE.safetensors, for tests/unit/test_sasrec.c, 13 items:
    item_embedding.weight ...   a state_dict, as we read it
    lengths, items              histories, one behind the other; the last item of each is only a target
    losses                      of three steps of Adam, full softmax, every position
    gradient.NAME               before the first of them
    after.NAME                  weights after them
    scores                      [histories, items] before them, after the whole history
"""
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

from lightgcn import read_safetensors, write_safetensors

ITEMS = 13
LENGTHS = [7, 2, 4, 3, 7, 5, 2, 6]


class Next(torch.nn.Module):
    def __init__(self, items, length, width, heads, inner, blocks, activation, pre, root):
        super().__init__()
        self.item_embedding = torch.nn.Embedding(items, width)
        self.position_embedding = torch.nn.Embedding(length, width)
        layer = torch.nn.TransformerEncoderLayer(width, heads, inner, dropout=0, activation=activation,
                                                 batch_first=True, norm_first=pre)
        self.encoder = torch.nn.TransformerEncoder(layer, blocks, torch.nn.LayerNorm(width) if pre else None)
        self.scale = width ** 0.5 if root else 1
        self.double()

    def forward(self, items):
        """Scores of all items behind every item of one history: [length, items]."""
        length = len(items)
        x = self.item_embedding(items) * self.scale + self.position_embedding.weight[:length]
        later = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        return self.encoder(x[None], mask=later)[0] @ self.item_embedding.weight.T


def loss_of(model, histories):
    scores = torch.cat([model(history[:-1]) for history in histories])
    return F.cross_entropy(scores, torch.cat([history[1:] for history in histories]))


# Attention does not feel the bias of keys: a large epsilon keeps Adam from making steps of rounding errors.
# width, heads, inner units, blocks, activation, pre-norm, root; clip, weight decay (docs of the test say the same)
CASES = {"pre": ((20, 2, 24, 2, "relu", True, True), 0, 0), "post": ((16, 1, 16, 1, "gelu", False, False), 0.5, 0.03)}


def write(folder):
    for name, (shape, clip, decay) in CASES.items():
        torch.manual_seed(21)
        model = Next(ITEMS, 6, *shape)
        with torch.no_grad():
            for weights in model.parameters():  # biases and gains that matter; numbers that are floats
                weights.copy_((weights + 0.1 * torch.randn_like(weights)).float())
            for table in (model.item_embedding, model.position_embedding):
                table.weight.copy_((0.3 * table.weight).float())
        histories = [torch.randint(ITEMS, (length,)) for length in LENGTHS]
        tensors = {key: value.numpy().copy() for key, value in model.state_dict().items()}
        tensors["lengths"], tensors["items"] = np.array(LENGTHS), torch.cat(histories).numpy()
        model.eval()
        tensors["scores"] = torch.stack([model(h[-6:])[-1] for h in histories]).detach().numpy()
        model.train()
        optimiser, losses = torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-4, weight_decay=decay), []
        for step in range(3):
            optimiser.zero_grad()
            loss = loss_of(model, histories)
            loss.backward()
            if step == 0:
                tensors.update({f"gradient.{key}": value.grad.numpy().copy() for key, value in model.named_parameters()})
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimiser.step()
            losses.append(loss.item())
        tensors["losses"] = np.array(losses)
        tensors.update({f"after.{key}": value.numpy() for key, value in model.state_dict().items()})
        write_safetensors(f"{folder}/sasrec_{name}.safetensors", tensors)


def check(checkpoint, expected):
    """Scores from our file. The program's settings are those of tests/unit/test_sasrec_fit.c."""
    tensors, expected = read_safetensors(checkpoint), read_safetensors(expected)
    items, width = tensors["item_embedding.weight"].shape
    length, inner = len(tensors["position_embedding.weight"]), len(tensors["encoder.layers.0.linear1.weight"])
    model = Next(items, length, width, 3, inner, 2, "gelu", True, True)
    weights = {key: torch.tensor(value) for key, value in tensors.items() if key != "average_output"}
    model.load_state_dict(weights, strict=True)
    model.eval()
    worst = 0
    for row, history in enumerate(expected["histories"]):
        history = torch.tensor(history[history >= 0])[-length:]
        with torch.no_grad():
            want = model(history)[-1] if len(history) else torch.tensor(
                tensors["item_embedding.weight"] @ tensors["average_output"])
        worst = max(worst, float((want - torch.tensor(expected["scores"][row])).abs().max() / want.abs().max()))
    print(f"largest difference of a score: {worst:.3g} of the largest")
    return 0 if worst < 1e-5 else 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 3 and sys.argv[1] == "write":
        write(sys.argv[2])
    elif len(sys.argv) == 3 and sys.argv[1] == "test":
        with tempfile.TemporaryDirectory() as scratch:
            files = [scratch + "/model.safetensors", scratch + "/scores.safetensors"]
            subprocess.run([sys.argv[2], *files], check=True)
            sys.exit(check(*files))
    else:
        sys.exit(__doc__)
