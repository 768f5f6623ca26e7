#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Off-policy estimates by NumPy: writes ope.json.

The first part is a made-up log, whose columns stand in the file. The second part, with the folder of real data as
argument, is the Open Bandit Dataset: only what was found stands in the file.

    ope.py [DATA]     without DATA the second part is kept as it is
"""
import csv
import datetime
import json
import pathlib
import sys

import numpy as np

PAGE = pathlib.Path(__file__).with_name("ope.json")


def mean_and_error(top, bottom, group=None):
    """Ratio of sums, standard error of the linearised ratio over independent groups."""
    if group is not None:
        top, bottom = np.bincount(group, top), np.bincount(group, bottom)
        there = np.bincount(group) > 0
        top, bottom = top[there], bottom[there]
    value = top.sum() / bottom.sum()
    off = top - value * bottom
    units = len(top)
    return [float(value), float(np.sqrt((off ** 2).sum() * units / (units - 1)) / bottom.sum())]


def estimates(propensity, target, reward, predicted, expected, clip, switch, group=None):
    w = target / propensity
    one = np.ones(len(w))
    rest = w * (reward - predicted)
    found = {
        "dm": mean_and_error(expected, one, group),
        "ips": mean_and_error(w * reward, one, group),
        "clipped_ips": mean_and_error(np.minimum(w, clip) * reward, one, group),
        "snips": mean_and_error(w * reward, w, group),
        "dr": mean_and_error(expected + rest, one, group),
        "switch_dr": mean_and_error(expected + np.where(w <= switch, rest, 0), one, group),
        "logged": mean_and_error(reward, one, group),
        "mean_weight": mean_and_error(w, one, group),
    }
    return {"estimates": found, "ess": float(w.sum() ** 2 / (w ** 2).sum()), "largest_weight": float(w.max()),
            "clipped": float((w > clip).mean()), "switched": float((w > switch).mean()), "clip": clip, "switch": switch}


def made_up():
    rng = np.random.default_rng(20)
    n = 300
    propensity = rng.uniform(0.01, 1, n).astype(np.float32)
    target = np.minimum(rng.uniform(0, 1.2, n), 1)
    target[::7] = 0
    reward = rng.normal(1, 2, n).astype(np.float32)
    predicted, expected = rng.normal(1, 1, n), rng.normal(1, 1, n)
    group = rng.integers(0, 60, n)
    group[group == 13] = 14
    columns = [propensity.astype(float), target, reward.astype(float), predicted, expected]
    return {
        "propensity": propensity.astype(float).tolist(), "target": target.tolist(),
        "reward": reward.astype(float).tolist(), "predicted": predicted.tolist(), "expected": expected.tolist(),
        "group": group.tolist(),
        "rows": estimates(*columns, clip=4.0, switch=6.5),
        "groups": estimates(*columns, clip=4.0, switch=6.5, group=group),
        "defaults": estimates(*columns, clip=float(np.sqrt(n)), switch=float(np.sqrt(n))),
    }


# ---- the Open Bandit Dataset ----

def microseconds(text):
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (datetime.datetime.fromisoformat(text) - epoch) // datetime.timedelta(microseconds=1)


def load(path):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        "item": np.array([int(row["item_id"]) for row in rows]),
        "position": np.array([int(row["position"]) - 1 for row in rows]),
        "click": np.array([float(row["click"]) for row in rows]),
        "propensity": np.array([np.float32(row["propensity_score"]) for row in rows]).astype(float),
        "time": np.array([microseconds(row["timestamp"]) for row in rows]),
    }


def distributions(log, own, items, average):
    """For each row of `log` the policy's probabilities of all items, read off its own log."""
    table = np.zeros((len(log["item"]), items))
    for position in range(3):
        rows = np.flatnonzero(log["position"] == position)
        for item in range(items):
            at = np.flatnonzero((own["position"] == position) & (own["item"] == item))
            if len(at) == 0:
                continue
            propensity, time = own["propensity"][at], own["time"][at]
            if average:
                table[rows, item] = len(at) / (1 / propensity).sum()
                continue
            order = np.lexsort((propensity, time))
            propensity, time = propensity[order], time[order]
            for row in rows:
                apart = np.abs(time - log["time"][row])
                near = np.flatnonzero(apart == apart.min())
                before = near[time[near] < log["time"][row]]
                table[row, item] = propensity[before[-1] if len(before) else near[0]]
    return table / table.sum(axis=1, keepdims=True)


def click_rates(log, items, learn):
    """Of (position, item), drawn to the item's, drawn to the mean; each prior weighs 20 rows."""
    clicks, rows = np.zeros((3, items)), np.zeros((3, items))
    np.add.at(clicks, (log["position"][learn], log["item"][learn]), log["click"][learn])
    np.add.at(rows, (log["position"][learn], log["item"][learn]), 1)
    overall = log["click"][learn].mean()
    item = (clicks.sum(axis=0) + 20 * overall) / (rows.sum(axis=0) + 20)
    return ((clicks + 20 * item) / (rows + 20)).astype(np.float32).astype(float)


def judge(log, own, average):
    n = len(log["item"])
    items = int(max(log["item"].max(), own["item"].max())) + 1
    table = distributions(log, own, items, average)
    rng = np.random.default_rng(0)
    fold = np.array([rng.integers(0, 2) for _ in range(n)])
    predicted, expected = np.zeros(n), np.zeros(n)
    for held in range(2):
        rates, rows = click_rates(log, items, fold != held), np.flatnonzero(fold == held)
        model = rates[log["position"][rows]]
        predicted[rows] = model[np.arange(len(rows)), log["item"][rows]]
        expected[rows] = (model * table[rows]).sum(axis=1)
    target = table[np.arange(n), log["item"]]
    return estimates(log["propensity"], target, log["click"], predicted, expected, float(np.sqrt(n)),
                     float(np.sqrt(n)))


def open_bandit(data):
    found = {}
    for campaign in ["men", "women"]:
        logs = {name: load(data / "obd" / name / campaign / (campaign + ".csv")) for name in ["random", "bts"]}
        for average in [False, True]:
            key = campaign + (" average" if average else "")
            found[key + " thompson"] = judge(logs["random"], logs["bts"], average)
            found[key + " random"] = judge(logs["bts"], logs["random"], average)
    return found


def main():
    page = json.loads(PAGE.read_text()) if PAGE.exists() else {}
    page["made up"] = made_up()
    if len(sys.argv) > 1:
        page["open bandit"] = open_bandit(pathlib.Path(sys.argv[1]))
    PAGE.write_text(json.dumps(page, indent=1) + "\n")


main()
