#!/usr/bin/python3 -B
"""The next-item transformer, as a user meets it: order, validation and test, odd histories, divergence, little time."""
import pathlib

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


def test_divergence_and_what_is_left():
    log = walks()
    command = ("train", "sasrec", "--data", log, "--split", "leave-last-out", *SMALL[:-1], 10, "--epochs", 200, "--patience", 0,
               "--output", "m", "--checkpoint-every", 1, "--quiet")
    result = forage(*command, code=1)
    assert "epoch" in result.err and "step" in result.err and "smaller learning rate" in result.err, result.err
    assert not pathlib.Path("m").exists()
    if pathlib.Path("m.state").exists():
        assert "m.state" in result.err, result.err
        forage(*command, "--resume", "--max-minutes", 0.0001)
        forage("evaluate", "m", "--data", log, "--split", "leave-last-out", "--k", 5)


def test_little_time():
    log = walks()
    result = forage("train", "sasrec", "--data", log, "--split", "leave-last-out", *SMALL, "--epochs", 100000, "--patience", 0,
                    "--max-minutes", 0.01, "--output", "m", "--json").json()
    assert result["out_of_time"] and not result["stopped_early"], result


if __name__ == "__main__":
    cli.main(globals())
