#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""forage evaluate as a user meets it."""
import json
import math
import pathlib
import random

import cli
from cli import forage, refused

EPSILON = 2.0**-23


def click_log():
    """A log, a popularity model of its first 3/4, and what that must predict for the rest."""
    forage("simulate", "petshop", "--users", 60, "--products", 20, "--interactions", 8000, "--output", "log.csv")
    forage("train", "popular", "--data", "log.csv", "--split", "tail:0.25", "--output", "model.safetensors")
    rows = [line.split(",") for line in pathlib.Path("log.csv").read_text().splitlines()[1:]]
    rows = [(int(user), int(item), int(click)) for user, item, click, _ in rows]
    train, test = rows[:6000], rows[6000:]
    mean = sum(click for _, _, click in train) / len(train)
    score = {}
    for item in range(20):
        clicks = [click for _, other, click in train if other == item]
        score[item] = (sum(clicks) + 20 * mean) / (len(clicks) + 20)
    return [(score[item], click, user) for user, item, click in test]


def auc_of(rows):
    positives, negatives = [r[0] for r in rows if r[1]], [r[0] for r in rows if not r[1]]
    if not positives or not negatives:
        return None
    wins = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    return wins / (len(positives) * len(negatives))


def near(got, expected, tolerance=1e-6):
    assert abs(got - expected) <= tolerance, "%r is not %r" % (got, expected)


def test_predictions():
    rows = click_log()
    got = forage("evaluate", "model.safetensors", "--data", "log.csv", "--split", "tail:0.25", "--json").json()
    assert got["part"] == "validation" and got["rows"] == 2000 and got["skipped"] == 0
    near(got["base_rate"], sum(r[1] for r in rows) / 2000, 1e-12)
    near(got["log_loss"], -sum(math.log(max(r[0] if r[1] else 1 - r[0], EPSILON)) for r in rows) / 2000)
    near(got["brier"], sum((r[0] - r[1])**2 for r in rows) / 2000)
    near(got["auc"], auc_of(rows))
    weighted = [(len(mine), auc_of(mine)) for mine in ([r for r in rows if r[2] == user] for user in range(60))]
    used = [(n, auc) for n, auc in weighted if auc is not None]
    near(got["grouped_auc"], sum(n * auc for n, auc in used) / sum(n for n, _ in used))
    near(got["grouped_share"], sum(n for n, _ in used) / 2000, 1e-12)
    for key, (low, high) in got["intervals"].items():
        assert low <= got[key] <= high, key
    assert {"log_loss", "auc", "ece", "brier", "grouped_auc"} <= set(got["intervals"])
    assert sum(bin["count"] for bin in got["reliability"]) == 2000


def test_same_for_any_threads():
    click_log()
    options = ["evaluate", "model.safetensors", "--data", "log.csv", "--split", "tail:0.25", "--k", "1,5", "--json",
               "--resamples", 200]
    one = forage(*options, "--threads", 1).out
    assert one == forage(*options, "--threads", 3).out
    assert one != forage(*options, "--seed", 1).out
    assert forage(*options[:-1], 0).json()["intervals"] == {}


def test_truth():
    click_log()
    world = ["--scenario", "petshop", "--users", 60, "--products", 20]
    options = ["evaluate", "model.safetensors", "--data", "log.csv", "--split", "tail:0.25", "--resamples", 50]
    got = forage(*options, *world, "--json")
    assert got.err == ""
    got = got.json()
    assert got["oracle_log_loss"] < got["log_loss"] < got["base_log_loss"] + 0.01
    near(got["excess_log_loss"], got["log_loss"] - got["oracle_log_loss"], 1e-9)
    assert 0.1 < got["rmse"] < 0.25 and abs(got["rmse"] - got["rmse_pairs"]) < 0.02
    other = forage(*options, *world, "--scenario-seed", 3)
    assert "does not look like" in other.err
    refused(*options, "--scenario", "petshop", "--users", 10, says=["60 users", "--users"], code=2)
    refused(*options, "--scenario", "nowhere.yaml", says=["nowhere.yaml"])


def test_text():
    click_log()
    text = forage("evaluate", "model.safetensors", "--data", "log.csv", "--split", "tail:0.25", "--k", 5).out
    for part in ("log_loss", "auc", "reliability", "recall@5", "95 %", "part validation"):
        assert part in text, part


def rankings(k, best, seen, test):
    sums = dict.fromkeys(["recall", "ndcg", "precision", "mrr", "hit_rate"], 0.0)
    for user, wanted in test.items():
        order = [item for item in best if item not in seen.get(user, ())][:k]
        hits = [rank for rank, item in enumerate(order) if item in wanted]
        sums["recall"] += len(hits) / len(wanted)
        sums["precision"] += len(hits) / k
        sums["ndcg"] += (sum(1 / math.log2(rank + 2) for rank in hits) /
                         sum(1 / math.log2(rank + 2) for rank in range(min(k, len(wanted)))))
        sums["mrr"] += 1 / (hits[0] + 1) if hits else 0
        sums["hit_rate"] += bool(hits)
    return {"%s@%d" % (key, k): value / len(test) for key, value in sums.items()}


def graph():
    rng = random.Random(5)
    seen, test = {}, {}
    for user in range(80):
        items = rng.sample(range(40), rng.randint(4, 12))
        seen[user], test[user] = set(items[:-2]), set(items[-2:])
    seen[0] |= set(range(40)) - test[0]  # every item is named
    for name, lists in (("train.txt", seen), ("test.txt", test)):
        pathlib.Path(name).write_text("".join("%d %s\n" % (user, " ".join(map(str, sorted(items))))
                                              for user, items in lists.items()))
    counts = [sum(item in items for items in seen.values()) for item in range(40)]
    return sorted(range(40), key=lambda item: (-counts[item], item)), seen, test


def test_rankings():
    best, seen, test = graph()
    forage("train", "popular", "--data", "train.txt", "--format", "adjacency", "--output", "model.safetensors")
    options = ["evaluate", "model.safetensors", "--data", "train.txt", "--test", "test.txt", "--format", "adjacency"]
    got = forage(*options, "--k", "5,10", "--json").json()
    for k in (5, 10):
        for key, expected in rankings(k, best, seen, test).items():
            near(got[key], expected, 1e-12)
            low, high = got["intervals"][key]
            assert low <= got[key] <= high
    got = forage(*options, "--k", 5, "--keep-seen", "--json").json()
    for key, expected in rankings(5, best, {}, test).items():
        near(got[key], expected, 1e-12)
    assert "ndcg@20" in forage(*options, "--json").json()  # without values and --k


def sampled(k, score, met, test):
    """Each test item among all items that the user has never met; equals in random order, in the mean."""
    sums = dict.fromkeys(["ndcg", "mrr", "hit_rate"], 0.0)
    for user, wanted in test.items():
        for item in wanted:
            others = [score[other] for other in range(40) if other not in met[user] | wanted]
            above, equal = sum(s > score[item] for s in others), sum(s == score[item] for s in others)
            ranks = [rank for rank in range(above, above + equal + 1) if rank < k]
            share = 1 / (equal + 1) / len(wanted)
            sums["hit_rate"] += share * len(ranks)
            sums["ndcg"] += share * sum(1 / math.log2(rank + 2) for rank in ranks)
            sums["mrr"] += share * sum(1 / (rank + 1) for rank in ranks)
    return {"%s@%d" % (key, k): value / len(test) for key, value in sums.items()}


def test_among_sampled():
    _, seen, test = graph()
    score = [sum(item in items for items in seen.values()) for item in range(40)]
    forage("train", "popular", "--data", "train.txt", "--format", "adjacency", "--output", "model.safetensors")
    options = ["evaluate", "model.safetensors", "--data", "train.txt", "--test", "test.txt", "--format", "adjacency"]
    got = forage(*options, "--k", "3,7", "--negatives", 1000, "--json").json()
    for k in (3, 7):
        for key, expected in sampled(k, score, seen, test).items():
            near(got[key], expected, 1e-12)
            low, high = got["intervals"][key]
            assert low <= got[key] <= high
    assert got["negatives"] == 1000 and got["users"] == 80
    assert not {"coverage@3", "recall@3", "precision@3"} & set(got)
    # A few: the seed decides, the number of threads does not. Fewer rivals are easier.
    few = [forage(*options, "--negatives", 9, "--seed", seed, "--threads", threads, "--json").out
           for seed, threads in ((1, 1), (1, 3), (2, 1))]
    assert few[0] == few[1] != few[2]
    assert json.loads(few[0])["ndcg@10"] > got["ndcg@7"]
    assert "the first 10 of each test item and 9 sampled ones, 80 users" in forage(*options, "--negatives", 9).out
    refused(*options, "--negatives", 9, "--keep-seen", says=["--keep-seen"], code=2)
    refused(*options, "--negatives", 1000001, says=["1,000,000"], code=2)


def test_folding_in():
    """Users that the model has not met, known by their training rows; what is evaluated is no history."""
    kinds = {kind: [f"{kind}{i}" for i in range(12)] for kind in "ab"}
    def items(user, count):  # each user takes items of one kind
        return [kinds["ab"[user % 2]][(user * 5 + 7 * i) % 12] for i in range(count)]
    def write(name, users, begin, end):
        pathlib.Path(name).write_text("".join(f"u{user} " + " ".join(items(user, 8)[begin:end]) + "\n" for user in users))
    write("old.txt", range(40), 0, 8)
    write("train.txt", [*range(40), *range(40, 60)], 0, 4)
    write("test.txt", range(40, 60), 4, 8)
    forage("train", "lightgcn", "--data", "old.txt", "--format", "adjacency", "--epochs", 30, "--embedding-size", 8,
           "--learning-rate", 0.02, "--output", "graph")
    options = ("evaluate", "graph", "--data", "train.txt", "--test", "test.txt", "--format", "adjacency", "--k", 4, "--resamples", 0)
    refused(*options, says=["u40", "has not met"])
    average = forage(*options, "--unknown", "average", "--json").json()
    folded = forage(*options, "--unknown", "fold-in", "--json").json()
    assert folded["recall@4"] > average["recall@4"] + 0.2, (folded, average)
    # With nothing but what is evaluated they are average.
    options = ("evaluate", "graph", "--data", "test.txt", "--format", "adjacency", "--k", 4, "--resamples", 0, "--part", "all", "--json")
    assert forage(*options, "--unknown", "average").json()["recall@4"] == forage(*options, "--unknown", "fold-in").json()["recall@4"]


def test_unknown():
    click_log()
    pathlib.Path("new.csv").write_text("user_id,product_id,clicked\n0,1,0\n1,2,1\n3,99,1\n")
    options = ["evaluate", "model.safetensors", "--data", "new.csv", "--resamples", 0]
    refused(*options, says=["new.csv", "99", "product_id"])
    got = forage(*options, "--unknown", "skip", "--json").json()
    assert got["rows"] == 3 and got["skipped"] == 1 and got["positives"] == 1
    got = forage(*options, "--unknown", "average", "--json").json()
    assert got["skipped"] == 0 and got["positives"] == 2
    refused(*options, "--unknown", "perhaps", says=["error, skip, average, fold-in"], code=2)


def test_one_class():
    click_log()
    pathlib.Path("ones.csv").write_text("user_id,product_id,clicked\n0,1,1\n1,2,1\n")
    got = forage("evaluate", "model.safetensors", "--data", "ones.csv", "--json").json()
    assert got["auc"] is None and got["log_loss"] > 0


def test_ratings():
    click_log()
    pathlib.Path("stars.csv").write_text("user_id,product_id,rating\n0,1,5\n1,2,1\n1,3,4\n")
    options = ["evaluate", "model.safetensors", "--data", "stars.csv", "--resamples", 0]
    refused(*options, says=["stars.csv", "rating", "row 1"])
    assert forage(*options, "--positive", 4, "--json").json()["positives"] == 2


def test_refusals():
    click_log()
    options = ["evaluate", "model.safetensors", "--data", "log.csv"]
    refused("evaluate", "nowhere.safetensors", "--data", "log.csv", says=["nowhere.safetensors"])
    refused("evaluate", "log.csv", "--data", "log.csv", says=["log.csv"])
    refused("evaluate", "model.safetensors", says=["--data"], code=2)
    refused("evaluate", "model.safetensors", "--data", "nowhere.csv", says=["nowhere.csv"])
    refused(*options, "--part", "middle", says=["train, validation, test, all"], code=2)
    refused(*options, "--part", "validation", says=["no rows"], code=2)
    refused(*options, "--k", "0", says=["--k"], code=2)
    refused(*options, "--k", "5,x", says=["--k"], code=2)
    refused(*options, "--level", "2", says=["--level"], code=2)
    refused(*options, "--bins", "1000", says=["bins"], code=2)
    refused(*options, "--over", "items", says=["--over"], code=2)
    refused(*options, "--split", "half", says=["half"], code=2)
    whole = pathlib.Path("model.safetensors").read_bytes()
    for size in (0, 7, 8, 60, len(whole) - 1):
        pathlib.Path("cut.safetensors").write_bytes(whole[:size])
        refused("evaluate", "cut.safetensors", "--data", "log.csv", says=["cut.safetensors"])



def write_ope_log(name, propensity="0.5"):
    """Two items, shown by a coin; b is clicked twice as often. Row 3 has the given propensity."""
    with open(name, "w", encoding="utf-8") as file:
        file.write("user_id,item_id,click,position,propensity\n")
        for row in range(400):
            item = "ab"[row * 7 // 3 % 2]
            click = row % (10 if item == "a" else 5) == 0
            file.write("%d,%s,%d,%d,%s\n" % (row // 4, item, click, 1 + row % 2, propensity if row == 3 else "0.5"))


def test_ope():
    write_ope_log("log.csv")
    out = forage("evaluate", "--ope", "--data", "log.csv", "--policy", "random", "--policy", "linucb:alpha=0", "--policy",
                 "log:log.csv", "--json", "--resamples", 100, "--threads", 2).json()
    again = forage("evaluate", "--ope", "--data", "log.csv", "--policy", "random", "--json", "--resamples", 100,
                   "--threads", 1).json()
    assert out["rows"] == 400 and out["groups"] == 100
    policies = out["policies"]
    assert list(policies) == ["random", "linucb:alpha=0", "log:log.csv"]
    assert again["policies"]["random"] == policies["random"]
    for policy in policies.values():
        assert set(policy["estimates"]) == {"dm", "ips", "clipped_ips", "snips", "dr", "switch_dr"}
        for estimate in policy["estimates"].values():
            low, high = estimate["interval"]
            assert low < estimate["value"] < high and estimate["standard_error"] > 0
    assert abs(policies["random"]["estimates"]["ips"]["value"] - out["logged"]["value"]) < 1e-9
    assert policies["linucb:alpha=0"]["estimates"]["ips"]["value"] > out["logged"]["value"]
    assert abs(policies["log:log.csv"]["ess"] - 400) < 1
    assert policies["log:log.csv"]["observed"]["value"] == out["logged"]["value"]
    text = forage("evaluate", "--ope", "--data", "log.csv", "--policy", "random", "--reward-model", "none").out
    assert "snips" in text and "effective sample size 400.0" in text and "switch_dr" not in text


def test_ope_refuses():
    write_ope_log("log.csv", "1e-6")
    result = forage("evaluate", "--ope", "--data", "log.csv", "--policy", "random", "--json", code=1)
    random = result.json()["policies"]["random"]
    assert "effective sample size is 1.0" in random["refused"] and "estimates" not in random
    assert abs(random["largest_weight"] / 500000 - 1) < 1e-6
    assert "random: the effective sample size is 1.0" in result.err
    assert "refused: " in forage("evaluate", "--ope", "--data", "log.csv", "--policy", "random", code=1).out
    assert "snips" in forage("evaluate", "--ope", "--data", "log.csv", "--policy", "random", "--least-ess", "1").out
    for nothing in ["0", "", "2", "-0.5", "nan"]:
        write_ope_log("bad.csv", nothing)
        refused("evaluate", "--ope", "--data", "bad.csv", "--policy", "random", says=["bad.csv:5", "propensity"])
    with open("plain.csv", "w", encoding="utf-8") as file:
        file.write("user_id,item_id,click\n1,a,1\n2,b,0\n")
    refused("evaluate", "--ope", "--data", "plain.csv", "--policy", "random", says=["plain.csv", "no propensities"])
    refused("evaluate", "--ope", "--data", "log.csv", "--policy", "log:plain.csv", says=["no propensities"])
    refused("evaluate", "--ope", "--data", "log.csv", "--policy", "no-such", says=["no-such", "linucb"])
    refused("evaluate", "--ope", "--data", "log.csv", "--policy", "random", "--position", "shelf", says=["shelf"])
    refused("evaluate", "--ope", "--data", "log.csv", says=["--policy"], code=2)
    refused("evaluate", "--ope", "--policy", "random", says=["--data"], code=2)
    refused("evaluate", "--ope", "model.safetensors", "--data", "log.csv", "--policy", "random", code=2)
    refused("evaluate", "--ope", "--data", "log.csv", "--policy", "random", "--folds", 1, says=["--folds"], code=2)
    refused("evaluate", "--ope", "--data", "log.csv", "--policy", "random", "--clip", "-1", says=["--clip"], code=2)
    refused("evaluate", "--data", "log.csv", "--policy", "random", code=2)


cli.main(globals())
