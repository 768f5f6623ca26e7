#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The next-item transformer, as a user meets it: order, validation and test, odd histories, divergence, little time."""
import os
import pathlib
import re

import cli
from cli import forage, refused

SMALL = ("--embedding-size", 16, "--max-length", 10, "--batch-size", 20, "--learning-rate", 0.005)


def walks(name="walks.txt", users=240, items=20, length=9):
    """Users go through the items in steps of one or two: what comes next is told by the last two."""
    with open(name, "w") as log:
        for user in range(users):
            for at in range(length):
                print(user + 1, (user // 2 * 7 + at * (1 + user % 2)) % items + 1, file=log)
    return name


def best(model, log, history, *options):
    found = forage("recommend", model, "--data", log, "--history", ",".join(map(str, history)), "--exclude-seen", "--k", 1,
                   *options, "--json").json()
    return found["users"][0]["items"][0]["item"]


def test_order_is_learned():
    log = walks()
    result = forage("train", "sasrec", "--data", log, "--split", "leave-last-out", *SMALL, "--epochs", 25, "--seed", 1,
                    "--output", "next", "--json").json()
    assert result["validation_metric"] > 0.9, result
    scores = forage("evaluate", "next", "--data", log, "--split", "leave-last-out", "--k", 10, "--json").json()
    assert scores["hit_rate@10"] > 0.95 and scores["ndcg@10"] > 0.9, scores
    assert best("next", log, [3, 4, 5, 6]) == "7" and best("next", log, [3, 5, 7, 9]) == "11"
    long = [n % 20 + 1 for n in range(31, 131, 2)]  # beyond the window
    assert best("next", log, long) == best("next", log, long[-10:])
    alike = forage("recommend", "next", "--data", log, "--similar-items", 3, "--k", 2, "--json")
    assert alike.code == 0


def test_odd_histories():
    log = walks()
    forage("train", "sasrec", "--data", log, *SMALL, "--epochs", 2, "--output", "next", "--quiet")
    refused("recommend", "next", "--data", log, "--history", "3,99", says=["99"])
    assert best("next", log, [3, 4, 4, 3])  # repeated items
    pathlib.Path("once.txt").write_text("1 1\n2 2\n3 3\n")
    refused("train", "sasrec", "--data", "once.txt", "--output", "m", says=["nothing that comes next"])
    pathlib.Path("nobody.csv").write_text("item_id,clicked\n1,1\n2,1\n")
    refused("train", "sasrec", "--data", "nobody.csv", "--output", "m", says=["no users"])
    refused("train", "sasrec", "--data", log, "--heads", 3, *SMALL, "--output", "m", says=["heads", "divide"], code=2)


def kept_of(*command):
    """Runs a fit that must diverge late; which epoch m.good holds, and what the message calls its validation."""
    result = forage(*command, code=1)
    told = re.search(r"in epoch (\d+), step \d+, where guessing costs .*learning rate of (\d+) .*smaller learning rate may help; "
                     r"the best epoch before that is (\d+), with a validation \S+ of (\d\.\d+)\nforage: m.good holds the model of "
                     r"epoch (\d+)\n$", result.err)
    assert told, result.err
    assert int(told[1]) > int(told[3]) == int(told[5]), result.err
    assert sorted(os.listdir(".")) == sorted(["m.good", *LOGS & set(os.listdir("."))]), os.listdir(".")
    return int(told[3]), float(told[4])


LOGS = {"walks.txt", "log.csv"}


def test_divergence_leaves_the_best_model_of_before():
    log = walks()
    rows = ("--data", log, "--split", "leave-last-out")
    command = ("train", "sasrec", *rows, *SMALL[:-1], 10, "--warmup", 1, "--epochs", 100, "--patience", 0, "--checkpoint-every", 1,
               "--output", "m")
    _, ndcg = kept_of(*command)
    call = ("evaluate", "m.good", *rows, "--k", 10, "--resamples", 0, "--json")
    assert abs(forage(*call, "--part", "validation").json()["ndcg@10"] - ndcg) < 1e-4
    forage(*call)
    before = pathlib.Path("m.good").read_bytes()
    pathlib.Path("m.good").unlink()
    kept_of(*command, "--resume", "--threads", 1)  # there is no state to go on from: the same again
    assert pathlib.Path("m.good").read_bytes() == before
    # What was at OUTPUT stays, and what is printed is no model.
    pathlib.Path("m").write_text("here before")
    result = forage(*command, "--json", code=1)
    assert pathlib.Path("m").read_text() == "here before" and result.out == "", result.out
    result = forage(*command[:-1], "-", code=1)
    assert result.out == "" and "nothing is kept, as the output is no file" in result.err, result.err


def test_divergence_of_click_models():
    forage("simulate", "petshop", "--users", 200, "--interactions", 4000, "--output", "log.csv")
    rows = ("--data", "log.csv", "--split", "tail:0.25")
    rising = ("--learning-rate", 10, "--warmup", 1, "--epochs", 60, "--output", "m", "--quiet")
    for model in (("bst", "--size", "full", "--embedding-size", 8, "--layers", "32,16", "--patience", 0, "--batch-size", 128),
                  ("embedding-mlp", "--layers", "32,16", "--decay", "decoupled", "--weight-decay", 0.3, "--batch-size", 128)):
        _, loss = kept_of("train", *model, *rows, *rising)
        score = forage("evaluate", "m.good", *rows, "--part", "validation", "--resamples", 0, "--json").json()
        assert abs(score["log_loss"] - loss) < 2e-4 and loss < 0.69, (model, score, loss)
        pathlib.Path("m.good").unlink()


def test_divergence_at_once_leaves_nothing():
    forage("simulate", "petshop", "--users", 200, "--interactions", 4000, "--output", "log.csv")
    for model in (("sasrec",), ("bst",), ("bst", "--size", "full"), ("embedding-mlp",)):
        result = forage("train", *model, "--data", "log.csv", "--learning-rate", 10, "--epochs", 3, "--checkpoint-every", 1, "--output", "m",
                        "--json", code=1)
        assert "epoch 1, step " in result.err and "the learning rate of 10" in result.err and "nothing is kept" in result.err, result.err
        assert os.listdir(".") == ["log.csv"] and result.err.count("\n") == 1, result.err


def test_little_time():
    log = walks()
    result = forage("train", "sasrec", "--data", log, "--split", "leave-last-out", *SMALL, "--epochs", 100000, "--patience", 0,
                    "--max-minutes", 0.01, "--output", "m", "--json").json()
    assert result["out_of_time"] and not result["stopped_early"], result


if __name__ == "__main__":
    cli.main(globals())
