#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""LightGCN and its sparse product beside PyTorch and SciPy, on the same graph, in one run.

    graph.py BUILD-FOLDER TRAIN-FILE

TRAIN-FILE has a user and its items on each line, as numbers. What is compared:

    product   the normalised matrix of the bipartite graph times 64 columns: scipy.sparse (one thread, as it is) beside
              la_spmm_run (bench_graph)
    epoch     one epoch of LightGCN with BPR, 3 layers, 64 dimensions, batches of 2048: the operations of the
              authors' code in PyTorch (sparse products by torch.sparse.mm, autograd, dense Adam; a few steps are timed
              and multiplied, drawing the pairs not counted) beside `forage train lightgcn --loss bpr`

Where NumPy, SciPy or PyTorch are not there, what needs them is passed over with a note.
"""
import os
import pathlib
import re
import subprocess
import sys

from common import best, need, second_epoch

WIDTH, LAYERS, BATCH, STEPS = 64, 3, 2048, 6


def read(path):
    users, items = [], []
    for line in path.read_text().splitlines():
        user, *rest = map(int, line.split())
        users += [user] * len(rest)
        items += rest
    return users, items


def matrix(np, sparse, users, items):
    n, m = max(users) + 1, max(items) + 1
    chosen = sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), (n, m))
    chosen.data[:] = 1
    both = sparse.bmat([[None, chosen], [chosen.T, None]]).tocsr()
    scale = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(both.sum(1)).ravel(), 1e-9)))
    return (scale @ both @ scale).tocsr().astype(np.float32), n, m


def ours_product(build, path):
    """Best milliseconds by number of threads."""
    out = subprocess.run([build / "bench/bench_graph", path], capture_output=True, text=True, check=True).stdout
    return {int(found[1]): float(found[2]) for found in re.finditer(r"^best +(\d+) threads? +([\d.]+) ms", out, re.M)}


def compare_product(np, build, path, a):
    columns = np.random.default_rng(0).standard_normal((a.shape[0], WIDTH), dtype=np.float32)
    ours = ours_product(build, path)
    theirs, median = best(lambda: a @ columns, 9)
    again = ours_product(build, path)
    print(f"product, {a.nnz} entries x {WIDTH} columns: scipy {1e3 * theirs:.1f} ms (median {1e3 * median:.1f})")
    for threads, milliseconds in ours.items():
        milliseconds = min(milliseconds, again[threads])
        print(f"    forage, {threads} thread{'s' * (threads > 1)}: {milliseconds:.2f} ms, "
              f"1/{1e3 * theirs / milliseconds:.1f} of scipy's time")


class Peer:
    """A training step as the authors' code has it."""

    def __init__(self, np, torch, a, users, items, n, m):
        coo = a.tocoo()
        index = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
        self.torch, self.n, self.m = torch, n, m
        self.graph = torch.sparse_coo_tensor(index, torch.from_numpy(coo.data), a.shape).coalesce()
        self.user = torch.nn.Parameter(torch.normal(0, 0.1, (n, WIDTH)))
        self.item = torch.nn.Parameter(torch.normal(0, 0.1, (m, WIDTH)))
        self.adam = torch.optim.Adam([self.user, self.item], lr=1e-3)
        self.pairs = torch.tensor([users, items])

    def step(self):
        torch = self.torch
        rows = torch.randint(self.pairs.shape[1], (BATCH,))
        u, i, j = self.pairs[0, rows], self.pairs[1, rows], torch.randint(self.m, (BATCH,))
        layer = torch.cat([self.user, self.item])
        layers = [layer]
        for _ in range(LAYERS):
            layer = torch.sparse.mm(self.graph, layer)
            layers.append(layer)
        final = torch.stack(layers, dim=1).mean(dim=1)
        users, items = final[: self.n], final[self.n:]
        loss = torch.nn.functional.softplus((users[u] * items[j]).sum(1) - (users[u] * items[i]).sum(1)).mean()
        squares = self.user[u].pow(2).sum() + self.item[i].pow(2).sum() + self.item[j].pow(2).sum()
        loss = loss + 1e-4 * 0.5 * squares / BATCH
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()


def compare_epoch(np, torch, build, path, a, users, items, n, m):
    steps = (len(users) + BATCH - 1) // BATCH
    peer = Peer(np, torch, a, users, items, n, m)
    peer.step()
    before, _ = best(peer.step, STEPS)
    ours = second_epoch(build, "lightgcn", "--loss", "bpr", "--layers", str(LAYERS), "--data", path)
    after, _ = best(peer.step, STEPS)
    theirs = steps * min(before, after)
    print(f"epoch, {steps} steps of {BATCH}: PyTorch {torch.__version__} with {torch.get_num_threads()} threads "
          f"{theirs:.0f} s ({1e3 * theirs / steps:.0f} ms a step)")
    print(f"    forage: {ours:.1f} s, 1/{theirs / ours:.1f} of PyTorch's time")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: graph.py BUILD-FOLDER TRAIN-FILE")
    build, path = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    if not path.exists():
        print(f"{path} is not there: graphs are passed over (FORAGE_DATA names the folder of data)")
        return
    np, scipy = need("numpy"), need("scipy")
    if not np or not scipy:
        return
    import scipy.sparse as sparse
    users, items = read(path)
    a, n, m = matrix(np, sparse, users, items)
    print(f"{os.cpu_count()} cores; {path}: {len(users)} edges, {n} users, {m} items")
    compare_product(np, build, path, a)
    torch = need("torch")
    if torch:
        torch.set_num_threads(os.cpu_count())
        compare_epoch(np, torch, build, path, a, users, items, n, m)


main()
