#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Environments made of files, and the binary form of logs, as a user meets them."""
import json
import pathlib
import random

import cli
from cli import forage, refused


def write_table(name="flowers.data", rows=400, separator=" "):
    draw = random.Random(1)
    with open(name, "w", encoding="utf-8") as file:
        for _ in range(rows):
            kind = draw.randrange(3)
            fields = [f"{draw.gauss(kind, 0.3):.3f}", f"{draw.gauss(-kind, 0.3):.3f}", "rose tulip aster".split()[kind]]
            file.write(separator.join(fields) + "\n")


def write_log(name="shop.csv", rows=3000, uniform=True):
    draw = random.Random(2)
    with open(name, "w", encoding="utf-8") as file:
        file.write("item_id,clicked,propensity,weather\n")
        for _ in range(rows):
            item = draw.randrange(4) if uniform else min(draw.randrange(6), 3)
            weather = draw.choice(["sun", "rain"])
            clicked = draw.random() < (0.6 if (item == 1) == (weather == "sun") else 0.1)
            file.write(f"{'abcd'[item]},{int(clicked)},{0.25 if uniform or item < 3 else 0.5},{weather}\n")


def agents(*arguments):
    return forage("arena", *arguments, "--json", "--quiet").json()["agents"]


def test_labelled_table():
    write_table()
    played = agents("--env", "classification:flowers.data", "--agents", "linucb,random", "--order", "numpy:1")
    assert played["linucb"]["loss"] < 0.1 < 0.5 < played["random"]["loss"]
    assert set(played["linucb"]["categories"]) == {"rose", "tulip", "aster"}
    # The same table in another dress.
    write_table("flowers.csv", separator=",")
    again = agents("--env", "classification:flowers.csv", "--label", "3", "--agents", "linucb", "--order", "numpy:1")
    assert again["linucb"]["hash"] == played["linucb"]["hash"]
    other = agents("--env", "classification:flowers.csv", "--agents", "linucb", "--order", "random", "--seed", 4)
    assert other["linucb"]["hash"] != played["linucb"]["hash"]


def test_rewards():
    write_table()
    pathlib.Path("rewards.yaml").write_text("actions: [pick, leave]\nlabels:\n  rose: {pick: [{reward: 1, probability: 0.8}, "
                                            "{reward: 0.5, probability: 0.2}]}\n  tulip: {pick: -1}\n  aster: {pick: 0.5}\n",
                                            encoding="utf-8")
    played = agents("--env", "classification:flowers.data", "--rewards", "rewards.yaml", "--agents", "linucb,oracle,random",
                    "--visits", 4000, "--order", "bootstrap")
    assert played["oracle"]["regret"] == 0
    assert played["linucb"]["regret"] < 0.3 * played["random"]["regret"]


def test_replay_and_log():
    write_log()
    replayed = agents("--env", "replay:shop.csv", "--agents", "linucb")
    assert 0.15 < replayed["linucb"]["accepted"] < 0.35
    learned = agents("--env", "log:shop.csv", "--agents", "linucb")
    assert learned["linucb"]["snips"] > 0.45  # the log itself earns about .35
    write_log("other.csv", uniform=False)
    refused("arena", "--env", "replay:other.csv", "--agents", "linucb", "--quiet",
            says=["uniformly chosen", "each propensity would be 0.25"])


def test_binary_log():
    write_log()
    forage("export", "shop.csv", "--output", "shop.forage")
    assert pathlib.Path("shop.forage").read_bytes().startswith(b"\x89FORAGE\n")
    summary = forage("import", "shop.forage", "--json").json()
    assert summary["format"] == "binary" and summary["rows"] == 3000
    text, binary = (agents("--env", "log:" + name, "--agents", "linucb")["linucb"] for name in ("shop.csv", "shop.forage"))
    assert text["hash"] == binary["hash"] and text["snips"] == binary["snips"]
    # Text again: the same log.
    forage("export", "shop.forage", "--output", "again.csv")
    assert pathlib.Path("again.csv").read_text(encoding="utf-8") == pathlib.Path("shop.csv").read_text(encoding="utf-8")
    forage("train", "popular", "--data", "shop.forage", "--output", "model.safetensors", "--quiet")
    damaged = bytearray(pathlib.Path("shop.forage").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    pathlib.Path("damaged.forage").write_bytes(damaged)
    refused("import", "damaged.forage", says=["damaged.forage", "a checksum does not fit"])
    refused("simulate", "petshop", "--output", "log.forage", code=2, says=["forage export log.csv --output log.forage"])
    refused("import", "shop.forage", "--item-column", "weather", code=2, says=["says itself what its columns are"])


def test_refusals():
    write_table()
    environment = "classification:flowers.data"
    refused("arena", "--env", environment, "--label", "petals", "--quiet", says=["petals", "there are: 1, 2, 3"])
    refused("arena", "--env", environment, "--order", "sorted", "--quiet", code=2, says=["numpy:SEED"])
    refused("arena", "--env", environment, "--visits", 500, "--quiet", code=2, says=["the file has 400 rows", "bootstrap"])
    refused("arena", "--env", environment, "--rewards", "mushroom", "--quiet", code=2, says=["aster", "not in the table"])
    refused("arena", "--env", environment, "--label", "1", "--quiet", "--visits", 300, "--order", "numpy:-1",
            code=2, says=["numpy:SEED takes a whole number"])
    refused("arena", "--env", "classification:nowhere.csv", "--quiet", says=["nowhere.csv", "cannot be read"])
    pathlib.Path("paid.csv").write_text("item,clicked\na,1\nb,5\n", encoding="utf-8")
    refused("arena", "--env", "log:paid.csv", "--agents", "linucb,beta-ts", "--quiet", code=2,
            says=["beta-ts, visit 2: ", "reward of 5", "between 0 and 1"])
    pathlib.Path("one.data").write_text("1 a\n2 a\n", encoding="utf-8")
    refused("arena", "--env", "classification:one.data", "--quiet", says=["the only label is 'a'"])
    pathlib.Path("zero.csv").write_text("item,clicked,propensity\na,1,0\nb,0,1\n", encoding="utf-8")
    refused("arena", "--env", "log:zero.csv", "--quiet", says=["zero.csv:2", "propensity", "is not a probability in (0, 1]"])
    pathlib.Path("holes.data").write_text("? 4 a\n2 4 b\n? 4 a\n1 4 b\n", encoding="utf-8")
    played = agents("--env", "classification:holes.data", "--agents", "linucb")  # missing values, a constant column
    assert json.dumps(played["linucb"]["regret"]) != "null"


cli.main(globals())
