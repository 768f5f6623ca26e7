#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""BST beside PyTorch, the same model on the same log of clicks, in one run.

    clicks.py BUILD-FOLDER LOG ...

A LOG has a user and an item on each line, as numbers, in order of time; `forage export --din` makes impressions and clicks
of its first users. For both sizes PyTorch takes some training steps (tests/golden/bst.py's model in its fastest form:
batches padded to their longest history, attention over paddings masked, and where the layers read the target's place
alone, only the target asks; autograd, Adam) beside an epoch of `forage train bst`. What counts is tokens per second:
events of histories and targets, paddings not. Then both score one user against 1,000 candidates, with a history that
fills the window. Where PyTorch is not there, this is passed over with a note.
"""
import csv
import os
import pathlib
import re
import subprocess
import tempfile

from common import beside_torch, best, second_epoch

USERS, BATCH, STEPS, CANDIDATES, SIZE, GAPS, DECAY = 1000, 256, 4, 1000, 32, 66, 0.001
SIZES = {
    "small": dict(combine="sum", readout="target", length=50, heads=2, inner=64, layers=[64, 32], dropout=0.0),
    "full": dict(combine="concat", readout="concat", length=20, heads=8, inner=256, layers=[1024, 512, 256],
                 dropout=0.2),
}


class Rows:
    """Each row's history within the window, at the end of it: items, gaps of time, and which places are filled."""

    def __init__(self, torch, path, length):
        with path.open(newline="") as file:
            lines = [(int(r["user_id"]), int(r["item_id"]), float(r["clicked"]), int(r["time"]))
                     for r in csv.DictReader(file)]
        users = {}
        for line in lines:
            users.setdefault(line[0], []).append(line)
        self.count, self.items = len(lines), 1 + max(line[1] for line in lines)
        self.item = torch.zeros(self.count, length + 1, dtype=torch.long)
        self.gap = torch.zeros(self.count, length + 1, dtype=torch.long)
        self.lengths = torch.zeros(self.count, dtype=torch.long)
        self.clicked = torch.zeros(self.count)
        at = 0
        for own in users.values():
            own.sort(key=lambda line: line[3])
            for _, item, clicked, time in own:
                past = [(i, 1 + (time - t + 1).bit_length() - 1) for _, i, c, t in own if t < time and c > 0][-length:]
                past.append((item, 0))
                self.item[at, -len(past):] = torch.tensor([i for i, _ in past])
                self.gap[at, -len(past):] = torch.tensor([g for _, g in past])
                self.lengths[at], self.clicked[at] = len(past), clicked
                at += 1


def make_model(torch, items, s):
    nn, F = torch.nn, torch.nn.functional
    width = SIZE * (2 if s["combine"] == "concat" else 1)
    limit = s["length"] + 1

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.item, self.gap = nn.Embedding(items, SIZE), nn.Embedding(GAPS, SIZE)
            self.attention = nn.MultiheadAttention(width, s["heads"], s["dropout"], batch_first=True)
            self.up, self.down = nn.Linear(width, s["inner"]), nn.Linear(s["inner"], width)
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.drop = nn.Dropout(s["dropout"])
            sizes = [width * (limit if s["readout"] == "concat" else 1), *s["layers"]]
            layers = []
            for i in range(len(s["layers"])):
                layers += [nn.Linear(sizes[i], sizes[i + 1]), nn.LeakyReLU(0.01)]
            self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

        def forward(self, item, gap, filled):
            parts = self.item(item), self.gap(gap)
            x = torch.cat(parts, 2) if s["combine"] == "concat" else parts[0] + parts[1]
            q = x if s["readout"] == "concat" else x[:, -1:]
            h = self.attention(q, x, x, key_padding_mask=~filled, need_weights=False)[0]
            h = self.norm1(q + self.drop(h))
            h = self.norm2(h + self.drop(self.down(self.drop(F.leaky_relu(self.up(h))))))
            if s["readout"] == "concat":
                h = F.pad(h * filled[:, :, None], (0, 0, limit - h.shape[1], 0)).flatten(1)
            else:
                h = h[:, 0]
            return self.layers(h)[:, 0]

    return Model()


class Peer:
    def __init__(self, torch, rows, s):
        self.torch, self.rows, self.s = torch, rows, s
        self.model = make_model(torch, rows.items, s)
        tables = [self.model.item.weight, self.model.gap.weight]
        others = [p for p in self.model.parameters() if all(p is not t for t in tables)]
        self.adam = torch.optim.Adam([{"params": tables, "weight_decay": DECAY}, {"params": others}], lr=1e-3)
        self.order = torch.randperm(rows.count)
        self.next = self.tokens = 0

    def step(self):
        torch, rows = self.torch, self.rows
        chosen = self.order[(self.next + torch.arange(BATCH)) % rows.count]
        self.next += BATCH
        lengths = rows.lengths[chosen]
        longest = int(lengths.max())
        filled = torch.arange(longest)[None] >= longest - lengths[:, None]
        z = self.model(rows.item[chosen, -longest:], rows.gap[chosen, -longest:], filled)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, rows.clicked[chosen])
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.tokens += int(lengths.sum())

    def rate(self):
        """Tokens per second of the fastest of some runs of STEPS steps."""
        self.model.train()
        self.step()
        rates = []
        for _ in range(2):
            self.tokens = 0
            seconds, _ = best(lambda: [self.step() for _ in range(STEPS)], 1)
            rates.append(self.tokens / seconds)
        return max(rates)

    def scoring(self):
        """Milliseconds for one user against all candidates, the median."""
        torch = self.torch
        self.model.eval()
        history = torch.randint(self.rows.items, (self.s["length"],)).expand(CANDIDATES, -1)
        item = torch.cat([history, torch.arange(CANDIDATES)[:, None] % self.rows.items], 1)
        gap = torch.arange(self.s["length"], -1, -1).clamp(max=GAPS - 1).expand(CANDIDATES, -1)
        filled = torch.ones_like(item, dtype=torch.bool)
        with torch.no_grad():
            return 1e3 * best(lambda: self.model(item, gap, filled), 5)[1]


def ours(build, log, size, threads, tokens):
    seconds = second_epoch(build, "bst", "--data", log, "--split", "none", "--size", size, "--batch-size", str(BATCH),
                           "--embedding-decay", str(DECAY), "--dropout", str(SIZES[size]["dropout"]), "--patience", "0",
                           "--threads", str(threads))
    return tokens / seconds


def our_scoring(build, size, threads):
    """Milliseconds, as bench_bst has them: 1,000 candidates, a full window."""
    text = subprocess.run([build / "bench/bench_bst", "3000", size, str(threads)], capture_output=True, check=True,
                          text=True).stdout
    return float(re.search(r"candidates: ([0-9.]+) ms", text).group(1))


def compare(torch, build, path):
    with tempfile.TemporaryDirectory() as folder:
        first, log, table = (pathlib.Path(folder) / name for name in ("first.txt", "clicks.forage", "clicks.csv"))
        lines, users = [], set()
        for line in path.read_text().splitlines():
            users.add(line.split()[0])
            if len(users) > USERS:
                break
            lines.append(line + "\n")
        first.write_text("".join(lines))
        for arguments in ([first, "--din", "0", "--output", log], [log, "--output", table]):
            subprocess.run([build / "src/cli/forage", "export", *arguments], check=True, capture_output=True)
        print(f"{path}: clicks by DIN's recipe of its first {USERS} users")
        for size, s in SIZES.items():
            rows = Rows(torch, table, s["length"])
            tokens = int(rows.lengths.sum())
            peer = Peer(torch, rows, s)
            before = peer.rate()
            rates = {threads: ours(build, log, size, threads, tokens) for threads in sorted({1, os.cpu_count()})}
            theirs = max(before, peer.rate())
            print(f"  {size}: {rows.count} rows, {tokens} tokens, {rows.items} items; PyTorch {torch.__version__} with "
                  f"{torch.get_num_threads()} threads {theirs:.0f} tokens/s, one user against {CANDIDATES} candidates "
                  f"{peer.scoring():.1f} ms")
            for threads, rate in rates.items():
                print(f"    forage, {threads} thread{'s' * (threads > 1)}: {rate:.0f} tokens/s, "
                      f"{rate / theirs:.1f} x PyTorch's; {our_scoring(build, size, threads):.2f} ms")


beside_torch(compare)
