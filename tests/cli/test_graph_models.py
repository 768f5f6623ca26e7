#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Models of who chose what, as a user meets them: odd logs, little time, little memory, going on from a model."""
import os
import pathlib
import re
import resource
import signal
import subprocess

import cli
from cli import forage, refused

DATA = pathlib.Path(os.environ.get("FORAGE_DATA", cli.SOURCE / "../shared/data"))
SMALL = ("--embedding-size", 8, "--epochs", 3, "--quiet")


def shop(name="log.csv", interactions=20000):
    forage("simulate", "petshop", "--users", 300, "--interactions", interactions, "--output", name)


def train(log, output="m", *options, **how):
    return forage("train", "lightgcn", "--data", log, "--output", output, *options, **how)


def write(name, text):
    pathlib.Path(name).write_text(text)
    return name


def ranking(model, log, user, *options):
    found = forage("recommend", model, "--data", log, "--user", user, *options, "--json").json()["users"][0]
    return [(item["item"], item["score"]) for item in found["items"]]


def within(kilobytes, *arguments):
    """Runs the program within so much address space: exit code and messages."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (kilobytes * 1024, kilobytes * 1024))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = subprocess.run([cli.PROGRAM, *map(str, arguments)], preexec_fn=limit, capture_output=True, timeout=120, check=False,
                          encoding="utf-8")
    return done.returncode, done.stderr


def memory_is_its_own():
    """False under a sanitizer, which takes terabytes of addresses."""
    if within(20000, "--version")[0] == 0:
        return True
    print("# this program runs in no limited memory: skipped")
    return False


# ---- odd logs ----

def test_odd_lines():
    for number, (text, says) in enumerate([("", ["empty"]), ("\n\n", ["empty"]), ("0\n1\n", ["no rows"]),
                                           ("0 1 2\n1 -3\n", [":2", "'-3'", "negative"]),
                                           ("0 1 2\n-1 3\n", [":2", "'-1'", "negative"]),
                                           ("0 1 2.5\n1 2\n", [":1", "'2.5'", "whole number"]),
                                           ("0 1 2\n1 99999999999999999999999\n", [":2", "too large"])]):
        log = write("log%d.txt" % number, text)
        refused("train", "lightgcn", "--data", log, "--output", "m", says=[log, *says])
    assert not os.path.exists("m")


def test_odd_lists():
    """A line without items, numbers with gaps, duplicates, an item of the test alone, more asked for than there is."""
    log = write("log.txt", "0 1 2 3 3 3\n1\n\n2 1 5\n7 9 2\n5 5\n")
    test = write("test.txt", "0 4\n7 1\n")
    result = train(log, "m", "--test", test, *SMALL, "--json").json()
    assert "graph: 8 edges" in result["architecture"], result["architecture"]
    assert [field["codes"] for field in result["fields"]] == [8, 10]  # their own numbers
    metrics = forage("evaluate", "m", "--data", log, "--test", test, "--k", 20, "--json").json()
    assert metrics["users"] == 2 and metrics["recall@20"] == 1  # 20 is more than there are
    assert len(ranking("m", log, 0, "--k", 50)) == 5
    refused("recommend", "m", "--data", log, "--user", 1, says=["'1'", "--unknown average"])
    refused("recommend", "m", "--data", log, "--user", 3, says=["'3'"])
    average = forage("recommend", "m", "--data", log, "--user", 1, "--unknown", "average", "--json").json()["users"][0]
    assert not average["known"] and len(average["items"]) == 5
    same = write("same.txt", "0 1 2 3\n2 1 5\n7 9 2\n5 5\n")
    train(same, "n", "--test", test, *SMALL)
    assert pathlib.Path("m").read_bytes() == pathlib.Path("n").read_bytes()


def test_numbers_past_2_to_31():
    """Then ids are words: whom the training does not have, the model does not know."""
    log = write("log.txt", "0 1 2 3\n2 1 5\n4294967296 9 2147483648\n")
    test = write("test.txt", "0 4\n2 2\n4294967296 1\n")
    result = train(log, "m", "--test", test, *SMALL, "--json").json()
    assert [field["codes"] for field in result["fields"]] == [3, 6], result["fields"]
    assert "2147483648" in dict(ranking("m", log, 4294967296))
    evaluate = ("evaluate", "m", "--data", log, "--test", test, "--k", 20)
    refused(*evaluate, says=[log, "item '4'", "--unknown skip, average"])
    for unknown, recall in (("skip", 2 / 3), ("average", 1)):
        metrics = forage(*evaluate, "--unknown", unknown, "--json").json()
        assert metrics["users"] == 3 and abs(metrics["recall@20"] - recall) < 1e-9, metrics


def test_values_and_their_absence():
    log = write("log.csv", "user_id,item_id,rating\n" + "".join(f"u{i % 5},i{i % 7},{-i % 4 - 1}\n" for i in range(30)))
    assert "graph: 15 edges" in train(log, "m", *SMALL).out  # 15 of 30 are above 0, each pair once or not at all
    nothing = write("nothing.csv", "user_id,item_id,clicked\na,x,0\nb,y,0\n")
    refused("train", "lightgcn", "--data", nothing, "--output", "n", says=["no edges"])
    alone = write("alone.csv", "item_id,clicked\nx,1\ny,0\n")
    refused("train", "lightgcn", "--data", alone, "--output", "n", says=[alone, "no users"])
    everything = write("everything.txt", "0 0 1\n1 0 1\n")
    refused("train", "lightgcn", "--loss", "bpr", "--data", everything, "--output", "n", says=["every user has chosen every item"])
    train(everything, "m", *SMALL)  # other losses do not need what was not chosen
    refused("train", "lightgcn", "--loss", "hinge", "--data", log, "--output", "n", says=["hinge", "bpr", "softmax", "bsl"], code=2)
    assert not os.path.exists("n")


def test_half_life():
    rows = [("ann", "x", "2024-01-01"), ("ann", "y", "2024-03-01"), ("ben", "y", "2024-02-01"), ("ben", "z", "2024-03-01")]
    with_times = write("times.csv", "user_id,item_id,timestamp\n" + "".join("%s,%s,%s\n" % row for row in rows))
    without = write("plain.csv", "user_id,item_id\n" + "".join("%s,%s\n" % row[:2] for row in rows))
    refused("train", "lightgcn", "--data", without, "--half-life", 30, "--output", "n", says=["half-life", "times"], code=2)
    train(with_times, "m", *SMALL, "--learning-rate", 0)
    train(with_times, "old", *SMALL, "--learning-rate", 0, "--half-life", 1e9)
    train(with_times, "new", *SMALL, "--learning-rate", 0, "--half-life", 1)
    plain, slow, fast = (dict(ranking(model, with_times, "ann")) for model in ("m", "old", "new"))
    assert all(abs(plain[item] - slow[item]) < 1e-6 for item in plain)
    assert any(abs(plain[item] - fast[item]) > 1e-6 for item in plain)


# ---- interruption, time ----

def interrupt(arguments, with_signal, after):
    process = subprocess.Popen([cli.PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               encoding="utf-8")
    for line in process.stdout:
        if line.startswith(after):
            process.send_signal(with_signal)
            break
    _, messages = process.communicate(timeout=240)
    return process.returncode, messages


def test_interrupted_and_resumed():
    """Wherever it stands: steps of these epochs take longer than the signal."""
    shop()
    for number, options in enumerate([("--loss", "bpr", "--split", "random:0.1:1"), ("--loss", "bsl", "--layers", 2)]):
        command = ("train", "lightgcn", "--data", "log.csv", "--epochs", 12, "--batch-size", 32, "--seed", 2, *options)
        whole, part = "whole%d" % number, "part%d" % number
        forage(*command, "--output", whole, "--threads", 1)
        code, messages = interrupt((*command, "--output", part), signal.SIGINT, "Epoch 3/")
        assert code == 1 and part + ".state" in messages, messages
        refused(*command, "--layers", 4, "--output", part, "--resume", says=["layers"], code=2)
        result = forage(*command, "--output", part, "--resume", "--json").json()
        assert result["resumed_from"] >= 3 and len(result["epochs"]) == 12
        assert pathlib.Path(part).read_bytes() == pathlib.Path(whole).read_bytes()
        assert not os.path.exists(part + ".state")


def test_minutes():
    shop()
    for minutes in ("0", "-1", "ten", "nan"):
        refused("train", "lightgcn", "--data", "log.csv", "--output", "m", "--max-minutes", minutes, says=["--max-minutes", minutes],
                code=2)
    for loss in ("bpr", "bsl"):
        command = ("train", "lightgcn", "--loss", loss, "--data", "log.csv", "--epochs", 100000, "--split", "random:0.1:1",
                   "--output", loss)
        result = forage(*command, "--max-minutes", 0.01, "--json").json()
        assert result["out_of_time"] and result["seconds"] < 5 and len(result["epochs"]) < 100000 # 0.6, and a busy machine
        assert result["validation_metric"] == max(epoch["validation_metric"] for epoch in result["epochs"])
        assert "Ended after 0.00001 minutes" in forage(*command, "--max-minutes", "0.00001").out
        assert not os.path.exists(loss + ".state")


# ---- from a model ----

def test_going_on():
    log = pathlib.Path("log.csv")
    shop()
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:15000]))
    train("log.csv", "old", "--epochs", 10, "--embedding-size", 16)
    chosen = [line.strip().split(",") for line in lines[-9:]]
    log.write_text("".join(lines) + "".join(f"newcomer,{item},1,{category}\n" for _, item, _, category in chosen))
    went_on = train("log.csv", "new", "--epochs", 2, "--embedding-size", 16, "--from", "old", "--json").json()
    afresh = train("log.csv", "fresh", "--epochs", 2, "--embedding-size", 16, "--json").json()
    assert went_on["train_loss"] < afresh["train_loss"] - 0.05, (went_on["train_loss"], afresh["train_loss"])
    assert len(ranking("new", "log.csv", "newcomer", "--k", 5)) == 5
    refused("train", "lightgcn", "--data", "log.csv", "--output", "n", "--embedding-size", 8, "--from", "old",
            says=["embedding-size", "16", "8"], code=2)
    refused("train", "lightgcn", "--data", "log.csv", "--output", "n", "--from", "none", says=["none"])
    refused("train", "lightgcn", "--data", "log.csv", "--output", "n", "--from", "log.csv", says=["log.csv"])
    forage("train", "popular", "--data", "log.csv", "--output", "popular")
    refused("train", "lightgcn", "--data", "log.csv", "--output", "n", "--from", "popular", says=["lightgcn", "popular"])
    refused("train", "popular", "--data", "log.csv", "--output", "n", "--from", "popular", says=["popular", "go on"])


# ---- memory ----

ESTIMATE = re.compile(r"about (\d+) MB of memory, and only (\d+) MB are free")


def test_too_little_memory_is_said_before():
    if not memory_is_its_own():
        return
    shop()
    command = ("train", "lightgcn", "--data", "log.csv", "--epochs", 1, "--output", "m", "--threads", 2, "--batch-size", 2048)
    code, messages = within(20000, *command)
    found = ESTIMATE.search(messages)
    assert code == 1 and found and int(found[1]) > int(found[2]), messages
    assert messages.startswith("forage: ") and messages.count("\n") == 1 and not os.path.exists("m")
    assert "a smaller --embedding-size needs less" in messages
    # Whatever there is: it works, or it says why not.
    enough = 0
    for kilobytes in range(20000, 20000 + 1500 * int(found[1]), 1500):
        code, messages = within(kilobytes, *command)
        assert code == 0 or (code == 1 and messages.startswith("forage: ") and "memory" in messages), (kilobytes, code, messages)
        enough += code == 0
    assert enough > 1


def test_memory_on_real_data():
    """The estimate is near the truth, and everything stays below 400 MB."""
    if not DATA.is_dir() or not memory_is_its_own():
        print("# no real data here: skipped")
        return
    log = DATA / "gowalla/train.txt"
    before = forage("train", "popular", "--data", log, "--output", "p", "--json").json()["peak_memory"]
    for options in (("--loss", "bsl"), ("--loss", "bpr"), ("--loss", "bpr", "--split", "random:0.1:1")):
        command = ("train", "lightgcn", "--data", log, "--output", "m", "--threads", 2, *options)
        estimate = 1e6 * int(ESTIMATE.search(within(100000, *command)[1])[1])
        peak = forage(*command, "--max-minutes", 0.0001, "--json").json()["peak_memory"]
        assert peak < 400e6, peak
        assert 0.8 < (peak - before) / estimate < 1.2, (options, peak, before, estimate)


cli.main(globals())
