#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SASRec beside PyTorch, the same model on the same sequences, in one run.

    sequence.py BUILD-FOLDER LOG ...

A LOG has a user and an item on each line, as numbers, in order of time. For every loss, PyTorch takes some training
steps (torch.nn.TransformerEncoder with norm_first, tied embeddings, autograd, Adam; batches of 128 sequences padded to
the longest of them, attention over paddings masked; the catalogue's loss at real positions alone, so that padding costs
it only the encoder) beside an epoch of `forage train sasrec`. What counts is tokens per second: positions that predict
a next item. Where PyTorch is not there, this is passed over with a note.
"""
import os
import pathlib
import tempfile

from common import beside_torch, best, second_epoch

WIDTH, HEADS, BLOCKS, LENGTH, BATCH, STEPS, DROPOUT = 64, 1, 2, 50, 128, 8, 0.1


def read(path):
    """Items of each user, the last two left out as the split leave-last-out does."""
    users = {}
    for line in path.read_text().splitlines():
        user, item = map(int, line.split())
        users.setdefault(user, []).append(item)
    kept = [items[:-2] if len(items) > 2 else items for items in users.values()]
    return [items for items in kept if len(items) > 1], 1 + max(max(items) for items in users.values())


class Peer:
    def __init__(self, torch, sequences, items, loss):
        self.torch, self.items, self.loss = torch, items, loss
        nn = torch.nn
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, WIDTH, DROPOUT, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, BLOCKS, nn.LayerNorm(WIDTH))
        self.item = nn.Embedding(items, WIDTH)
        self.position = nn.Embedding(LENGTH, WIDTH)
        nn.init.normal_(self.item.weight, 0, 0.02)
        parameters = [*self.encoder.parameters(), *self.item.parameters(), *self.position.parameters()]
        self.adam = torch.optim.Adam(parameters, lr=1e-3)
        self.sequences = sequences
        self.order = torch.randperm(len(sequences)).tolist()
        self.next = 0
        self.tokens = 0

    def batch(self):
        torch = self.torch
        chosen = [self.sequences[self.order[(self.next + i) % len(self.order)]] for i in range(BATCH)]
        self.next += BATCH
        parts = [torch.tensor(items[-LENGTH - 1:]) for items in chosen]
        pad = torch.nn.utils.rnn.pad_sequence
        seen = pad([part[:-1] for part in parts], batch_first=True)
        targets = pad([part[1:] for part in parts], batch_first=True, padding_value=-1)
        return seen, targets

    def step(self):
        torch = self.torch
        seen, targets = self.batch()
        real = targets >= 0
        length = seen.shape[1]
        x = self.item(seen) * WIDTH**0.5 + self.position(torch.arange(length))
        x = torch.nn.functional.dropout(x, DROPOUT)
        later = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        h = self.encoder(x, mask=later, src_key_padding_mask=~real)[real]
        target = targets[real]
        if self.loss == "softmax":
            loss = torch.nn.functional.cross_entropy(h @ self.item.weight.T, target)
        else:
            other = self.item(torch.randint(self.items, target.shape))
            z, n = (h * self.item(target)).sum(1), (h * other).sum(1)
            loss = (torch.nn.functional.softplus(-z) + torch.nn.functional.softplus(n)).mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.tokens += len(target)


def theirs(torch, sequences, items, loss):
    """Tokens per second of the fastest of some runs of STEPS steps."""
    peer = Peer(torch, sequences, items, loss)
    peer.step()
    rates = []
    for _ in range(2):
        peer.tokens = 0
        seconds, _ = best(lambda: [peer.step() for _ in range(STEPS)], 1)
        rates.append(peer.tokens / seconds)
    return max(rates)


def ours(build, path, loss, threads, positions):
    """Tokens per second of an epoch on a log that holds nothing but training rows: nothing is validated."""
    seconds = second_epoch(build, "sasrec", "--data", path, "--loss", loss, "--embedding-size", str(WIDTH),
                           "--heads", str(HEADS), "--blocks", str(BLOCKS), "--inner-size", str(WIDTH),
                           "--max-length", str(LENGTH), "--batch-size", str(BATCH), "--dropout", str(DROPOUT),
                           "--parts", "last", "--threads", str(threads))
    return positions / seconds


def compare(torch, build, path):
    sequences, items = read(path)
    positions = sum(min(len(items) - 1, LENGTH) for items in sequences)
    print(f"{path}: {positions} positions of {len(sequences)} sequences, {items} items")
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "train.txt"
        log.write_text("".join(f"{user} {item}\n" for user, items in enumerate(sequences) for item in items))
        for loss in ("softmax", "bce"):
            before = theirs(torch, sequences, items, loss)
            rates = {threads: ours(build, log, loss, threads, positions) for threads in sorted({1, os.cpu_count()})}
            peer = max(before, theirs(torch, sequences, items, loss))
            print(f"  {loss}: PyTorch {torch.__version__} with {torch.get_num_threads()} threads {peer:.0f} tokens/s")
            for threads, rate in rates.items():
                print(f"    forage, {threads} thread{'s' * (threads > 1)}: {rate:.0f} tokens/s, "
                      f"{rate / peer:.1f} x PyTorch's")


beside_torch(compare)
