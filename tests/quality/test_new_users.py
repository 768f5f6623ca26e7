#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""New users of Gowalla ($FORAGE_DATA; passed over where it is absent): placed without training, learned from the old vectors, or trained with
everyone else. docs/models/lightgcn.md has the table that this prints with $FORAGE_EPOCHS=15; here fewer epochs will do.

A tenth of the users of train.txt are new: half of the places of each are what there is to know them by, the other half is to be found. Of the
others a tenth of the places is to be found, and the rest there to learn from. The test part of the split is not touched.
"""
import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

import cli
from cli import forage

DATA = pathlib.Path(os.environ.get("FORAGE_DATA", cli.SOURCE / "../shared/data")) / "gowalla/train.txt"
EPOCHS = int(os.environ.get("FORAGE_EPOCHS", 4))


def write(name, rows):
    pathlib.Path(name).write_text("".join(" ".join((user, *items)) + "\n" for user, items in rows if items))


def split(seed):
    draw = random.Random(seed)
    users = [line.split() for line in DATA.read_text().splitlines()]
    users = {user: items for user, *items in users if items}
    new = set(draw.sample(sorted(users), len(users) // 10))
    old, everyone, new_found, old_found = [], [], [], []
    for user, items in users.items():
        draw.shuffle(items)
        cut = (len(items) + 1) // 2 if user in new else max(1, round(0.9 * len(items)))
        everyone.append((user, items[:cut]))
        (new_found if user in new else old_found).append((user, items[cut:]))
        if user not in new:
            old.append((user, items[:cut]))
    for name, rows in (("old", old), ("everyone", everyone), ("new-found", new_found), ("old-found", old_found)):
        write(name + ".txt", rows)
    print("# %d users are new; %d events of old ones, %d of everyone" % (
        len(new), sum(len(items) for _, items in old), sum(len(items) for _, items in everyone)))


def train(model, log, *options):
    return forage("train", model, "--data", log, "--quiet", "--json", *options, timeout=3600).json()["seconds"]


def recalls(what, model, seconds, *options):
    found = []
    for whom in ("new", "old"):
        found.append(forage("evaluate", model, "--data", "everyone.txt", "--test", whom + "-found.txt", "--k", 20, "--resamples", 0,
                            "--json", *options).json())
    print("# %-40s recall@20 %.4f, NDCG@20 %.4f of new users; %.4f, %.4f of old ones; %.1f s" % (
        what, *(one[key] for one in found for key in ("recall@20", "ndcg@20")), seconds))
    sys.stdout.flush()
    return [one["recall@20"] for one in found]


def test_new_users():
    if not DATA.exists():
        print("# %s is not there: passed over" % DATA)
        return
    split(0)
    seconds = train("lightgcn", "old.txt", "--epochs", EPOCHS, "--output", "old")
    average = recalls("old users, %d epochs" % EPOCHS, "old", seconds)
    folded = recalls("  --unknown fold-in", "old", 0, "--unknown", "fold-in")
    seconds = forage("update", "old", "--data", "everyone.txt", "--output", "updated", "--json").json()["seconds"]
    updated = recalls("  forage update", "updated", seconds)
    refits = [recalls("  train --from, %d epoch" % epochs, "refit", train("lightgcn", "everyone.txt", "--from", "old", "--epochs", epochs,
                                                                         "--output", "refit")) for epochs in (1, 2)]
    brief = [recalls("everyone, %d epoch" % epochs, "brief", train("lightgcn", "everyone.txt", "--epochs", epochs, "--output", "brief"))
             for epochs in (1, 2)]
    full = recalls("everyone, %d epochs" % EPOCHS, "full", train("lightgcn", "everyone.txt", "--epochs", EPOCHS, "--output", "full"))
    popular = recalls("popular", "popular", train("popular", "everyone.txt", "--output", "popular"))
    assert average[0] < 0.25 * full[0] and popular[0] < 0.25 * full[0], "the new users are known already?"
    assert min(updated[0], folded[0]) > 0.85 * full[0], "placed without training"
    assert updated[1] > 0.98 * average[1], "others lose by that"
    assert refits[0][0] > 0.9 * full[0] and refits[1][0] > 0.93 * full[0] and refits[1][1] > 0.95 * full[1], "learned on"
    for refit, afresh in zip(refits, brief):
        assert refit[0] > afresh[0] and refit[1] > afresh[1], "beginning from old vectors is no use"


cli.main(globals())
