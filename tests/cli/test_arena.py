#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""forage arena as a user meets it."""
import csv
import json
import os
import pathlib
import signal
import subprocess
import time

import cli
from cli import forage, refused

SHORT = ("--visits", 3000)


def untimed(text):
    """The numbers that do not depend on the clock."""
    record = json.loads(text)
    for name in ("seconds", "load_seconds"):
        record.pop(name)
    for agent in record["agents"].values():
        for name in ("decisions_per_second", "lessons_per_second", "visits_per_second"):
            agent.pop(name)
    return record


def test_the_command_of_the_book():
    result = forage("arena", "petshop", "--agents", "random,popular,linucb,bayes,oracle", *SHORT, "--seeds", 2, "--json")
    record = result.json()
    assert list(record["agents"]) == ["random", "popular", "linucb", "bayes", "oracle"]
    for name, agent in record["agents"].items():
        assert isinstance(agent["regret"], float) and isinstance(agent["ctr"], float), name
        assert agent["regret_low"] <= agent["regret"] <= agent["regret_high"]
        assert len(agent["curves"]["regret"]) == len(record["points"]) == 200
        assert abs(agent["curves"]["regret"][-1] - agent["regret"]) < 1e-9
        assert set(agent["personas"]) == {"new_puppy_parent", "cat_connoisseur", "budget_shopper", "fish_hobbyist"}
        assert set(agent["categories"]) == {"Fish Supplies", "Cat Food", "Dog Food", "Dog Toy", "Cat Toy"}
    agents = record["agents"]
    assert agents["oracle"]["regret"] == 0 and agents["oracle"]["exponent"] is None
    assert agents["oracle"]["regret"] < agents["bayes"]["regret"] < agents["linucb"]["regret"] < agents["random"]["regret"]
    assert agents["linucb"]["model"] == "linear-ridge" and agents["linucb"]["policy"] == "ucb"
    assert agents["linucb"]["memory"] > 0 and agents["linucb"]["decisions_per_second"] > 0
    assert result.err == ""


def test_same_for_any_threads():
    command = ["arena", "new-users", "--agents", "linucb,lints,latent,neural-linear,random", *SHORT, "--seeds", 2, "--json", "--threads"]
    one = untimed(forage(*command, 1).out)
    assert one == untimed(forage(*command, 3).out)
    assert len({agent["hash"] for agent in one["agents"].values()}) == 5
    assert len(one["agents"]["linucb"]["diary"]) <= 20


def test_text():
    result = forage("arena", "--env", "drift", "--agents", "linucb,random,bayes,oracle", "--visits", 20000, "--seeds", 2)
    lines = result.out.splitlines()
    assert lines[0].startswith("drift: 20,000 visits, 100 users, 50 items, 2 seeds")
    assert any(line.startswith("Event 1, visit 10,000: ") for line in lines)
    table = {line.split()[0]: line for line in lines if line and line.split()[0] in ("linucb", "random", "bayes", "oracle")}
    assert len(table) == 4 and "*" in table["linucb"] and "*" not in table["oracle"]
    assert "Regret: what the oracle would have earned more" in result.out
    assert "Share of the oracle" in result.out
    environment = dict(os.environ, LC_ALL="C")
    plain = subprocess.run([cli.PROGRAM, "arena", "petshop", "--agents", "random,oracle", "--visits", "500", "--seeds", "2"],
                           capture_output=True, check=True, env=environment).stdout
    assert all(byte < 128 for byte in plain) and b"+-" in plain


def test_csv():
    forage("arena", "drift", "--agents", "bayes,linucb:alpha=0.5", *SHORT, "--points", 10, "--csv", "scores.csv", "--quiet")
    with open("scores.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["agent"] for row in rows} == {"bayes", "linucb:alpha=0.5"}
    curve = [row for row in rows if row["agent"] == "bayes" and row["quantity"] == "regret_curve"]
    assert [int(row["of"]) for row in curve] == list(range(300, 3001, 300))
    score = [row for row in rows if row["agent"] == "bayes" and row["quantity"] == "regret"]
    assert len(score) == 1 and score[0]["value"] == curve[-1]["value"]
    shown = sum(float(row["value"]) for row in rows if row["agent"] == "bayes" and row["quantity"] == "exposure")
    assert abs(shown - 1) < 1e-9
    assert any(row["quantity"] == "recovery" and row["of"] for row in rows)
    printed = forage("arena", "drift", "--agents", "bayes,linucb:alpha=0.5", *SHORT, "--points", 10, "--csv", "-", "--quiet").out
    assert printed == pathlib.Path("scores.csv").read_text(encoding="utf-8")


def test_lists_of_agents():
    def names(*options):
        return list(forage("arena", "petshop", "--visits", 200, "--json", *options).json()["agents"])

    assert names("--agents", "random;oracle") == ["random", "oracle"]
    assert names("--agents", "random", "--agents", "oracle,bayes") == ["random", "oracle", "bayes"]
    assert names("--agents", "linucb:alpha=0.3:ridge=2,linucb") == ["linucb:alpha=0.3:ridge=2", "linucb"]
    assert names("--agents", "neural-linear:layers=16,8,random") == ["neural-linear:layers=16,8", "random"]
    everyone = names()
    assert {"random", "popular", "greedy", "linucb", "bayes", "oracle"} <= set(everyone)


def test_a_file_of_agents():
    listed = forage("arena", "--list").out
    assert all(name in listed for name in ("linucb", "new-users", "oracle", "bayes", "random"))
    pathlib.Path("mine.yaml").write_text("pipelines:\n  bold: {model: linear-ridge, policy: ucb, alpha: 3}\n"
                                         "  cautious: {model: linear-ridge, policy: ucb, alpha: 0.5}\n", encoding="utf-8")
    result = forage("arena", "petshop", *SHORT, "--agents-file", "mine.yaml", "--agents", "oracle", "--json").json()
    names = list(result["agents"])
    assert len(names) == 3 and names[0] == "oracle" and "bold" in names[1] and "cautious" in names[2], names
    one = forage("arena", "petshop", *SHORT, "--agents", "mine.yaml:bold", "--json").json()["agents"]
    assert one["mine.yaml:bold"]["hash"] == result["agents"][names[1]]["hash"]


def test_the_batched_model_is_taught_before():
    agents = forage("arena", "petshop", "--visits", 5000, "--agents", "batched:pretrain=20000,popular", "--json").json()["agents"]
    batched = agents["batched:pretrain=20000"]
    assert batched["model"] == "embedding-mlp" and batched["regret"] < agents["popular"]["regret"]
    pathlib.Path("t.csv").write_text("a,b\n1,x\n2,y\n", encoding="utf-8")
    refused("arena", "classification:t.csv", "--agents", "batched", "--quiet", says=["batched", "pretrain=0"])


def test_a_log():
    rows = ["user_id,item_id,clicked,propensity_score"]
    rows += ["u%d,i%d,%d,0.25" % (i % 20, i % 4, i % 4 == 2 and i % 3 > 0) for i in range(4000)]
    pathlib.Path("log.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    record = forage("arena", "log:log.csv", "--agents", "linucb,random", "--json").json()
    agents = record["agents"]
    assert record["kind"] == "log" and abs(record["logged_ctr"] - 1 / 6) < 0.01
    # Uniform choice has weight 1 in every row; who learned that one item is better weighs its rows.
    assert abs(agents["random"]["ips"] - record["logged_ctr"]) < 1e-12 and agents["random"]["snips"] == agents["random"]["ips"]
    assert 0.6 < agents["linucb"]["snips"] < 0.7
    assert agents["linucb"]["regret"] is None and agents["linucb"]["visits_per_second"] > 0
    refused("arena", "log:log.csv", "--agents", "oracle", "--quiet", says=["oracle"])
    text = forage("arena", "log:log.csv", "--agents", "linucb,random").out
    assert "The log's own: 0.166" in text and "SNIPS" in text and "events/s" in text
    pathlib.Path("bare.csv").write_text("\n".join(row[:row.rindex(",")] for row in rows) + "\n", encoding="utf-8")
    text = forage("arena", "log:bare.csv", "--agents", "linucb,random").out
    assert "no propensities" in text and "Reward per visit" not in text and "events/s" in text


def test_a_labelled_table():
    lines = ["%d %d %d %d" % (i % 7, i * i % 5, i % 3, 1 + i % 3) for i in range(1500)]
    pathlib.Path("table.trn").write_text("\n".join(lines) + "\n", encoding="utf-8")
    record = forage("arena", "--env", "classification:table.trn", "--label", "last", "--agents", "linucb,squarecb,random", "--order",
                    "numpy:1", "--json").json()
    agents = record["agents"]
    assert record["visits"] == 1500 and record["items"] == 3
    assert abs(agents["random"]["loss"] - 2 / 3) < 0.06
    assert agents["linucb"]["loss"] < 0.2 and agents["squarecb"]["loss"] < 0.3
    assert abs(agents["linucb"]["regret"] - agents["linucb"]["loss"] * 1500) < 1e-6
    refused("arena", "--env", "classification:table.trn", "--agents", "bayes", "--quiet", says=["bayes"])


def test_refusals():
    refused("arena", says=["--list"], code=2)
    refused("arena", "petshop", "--env", "petshop", says=["twice"], code=2)
    refused("arena", "petshop", "--agents", "nobody", "--quiet", says=["nobody", "linucb", "oracle"], code=2)
    refused("arena", "petshop", "--agents", "random,random", "--quiet", says=["twice"], code=2)
    refused("arena", "petshop", "--agents", "random,,oracle", "--quiet", says=["nothing between"], code=2)
    refused("arena", "petshop", "--agents", "linucb:alhpa=1", "--quiet", says=["alhpa", "alpha"], code=2)
    refused("arena", "petshop", "--agents", "linucb:alpha=-1", "--quiet", says=["alpha"], code=2)
    refused("arena", "petshop", "--seeds", "many", says=["--seeds"], code=2)
    refused("arena", "nowhere.yaml", "--quiet", says=["nowhere.yaml"])
    refused("arena", "nowhere", "--quiet", says=["nowhere", "petshop, ", "slate"])
    refused("arena", "petshop", "--label", "last", "--quiet", says=["label", "labelled tables"], code=2)
    refused("arena", "petshop", "--order", "random", "--quiet", says=["order", "files"], code=2)
    refused("arena", "log:log.csv", "--users", 5, "--quiet", says=["users", "shops"], code=2)
    refused("arena", "petshop", "--json", "--csv", "-", says=["standard output"], code=2)
    refused("arena", "petshop", "--agents", "random", *SHORT, "--csv", "no/such/folder.csv", "--quiet", says=["no/such/folder.csv"])
    assert os.listdir(".") == []


def test_interrupted():
    process = subprocess.Popen([cli.PROGRAM, "arena", "petshop", "--agents", "linucb", "--visits", "100000000", "--csv", "out.csv"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 1 and b"stopped on request" in error and out == b"", (process.returncode, error)
    assert os.listdir(".") == []


cli.main(globals())
