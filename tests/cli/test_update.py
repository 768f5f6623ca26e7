#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""forage update, and forage train --from, as a user meets them."""
import os
import pathlib
import subprocess

import cli
from cli import forage, refused

OLD = {"ann": "hat coat", "bob": "coat sock", "cid": "hat shoe", "dan": "sock shoe coat"}
NEW = {"zoe": "sock cape", "bob": "sock hat", "max": "cape"}
CALL = ("--data", "new.csv", "--output", "more")


def write(name, log, value=""):
    rows = "".join(f"{user},{item}{value and ',' + value}\n" for user, items in log.items() for item in items.split())
    pathlib.Path(name).write_text("user_id,item_id" + (value and ",clicked") + "\n" + rows)


def trained(*options):
    write("old.csv", OLD)
    write("new.csv", NEW)
    forage("train", "lightgcn", "--data", "old.csv", "--epochs", 3, "--embedding-size", 6, "--output", "graph", *options)


def ranking(model, user, data="new.csv", *options):
    items = forage("recommend", model, "--data", data, "--user", user, "--json", *options).json()["users"][0]["items"]
    return [(item["item"], item["score"]) for item in items]


def test_update():
    trained()
    result = forage("update", "graph", *CALL, "--json").json()
    assert (result["model"], result["rows"], result["new_users"], result["new_items"]) == ("lightgcn", 5, 2, 1)
    assert "embedding_user: 6 x 6" in result["architecture"] and result["weights"] == 11 * 6 and result["seconds"] > 0
    assert sorted(os.listdir(".")) == ["graph", "more", "new.csv", "old.csv"]
    text = forage("update", "graph", *CALL, "--threads", 1).out
    assert "embedding_item: 5 x 6" in text and "2 users and 1 item of 5 rows are new" in text and "Saved in more." in text
    # Everyone is known now, to whatever log: who is new, who is not in it, and who is in both.
    refused("recommend", "graph", "--data", "new.csv", "--user", "bob", says=["'cape'"])
    assert len(ranking("more", "zoe")) == 3 and len(ranking("more", "max")) == 3
    assert len(ranking("more", "cid", "old.csv")) == 4
    # What one is recommended follows one's events.
    assert ranking("more", "cid", "old.csv") != ranking("graph", "cid", "old.csv")  # bob likes hats, too
    assert ranking("graph", "ann", "old.csv") != ranking("more", "ann", "old.csv")


def test_the_same_again():
    trained()
    forage("update", "graph", "--data", "old.csv", "--output", "same")
    assert pathlib.Path("same").read_bytes() == pathlib.Path("graph").read_bytes()
    forage("update", "graph", *CALL)
    for threads in (1, 2, 3):
        forage("update", "graph", "--data", "new.csv", "--output", "again", "--threads", threads)
        assert pathlib.Path("more").read_bytes() == pathlib.Path("again").read_bytes()
    # All events, or the new ones alone; in place; into a pipe.
    write("all.csv", {user: OLD.get(user, "") + " " + NEW.get(user, "") for user in [*OLD, "zoe", "max"]})
    forage("update", "graph", "--data", "all.csv", "--output", "again")
    assert pathlib.Path("more").read_bytes() == pathlib.Path("again").read_bytes()
    done = subprocess.run([cli.PROGRAM, "update", "graph", "--data", "new.csv", "--output", "-"], capture_output=True, check=True)
    assert done.stdout == pathlib.Path("more").read_bytes() and b"are new" in done.stderr
    forage("update", "graph", "--data", "new.csv", "--output", "graph")
    assert pathlib.Path("more").read_bytes() == pathlib.Path("graph").read_bytes()


def test_numbers():
    """Gaps between numbers are nobody new."""
    write("old.csv", {"0": "0 3", "1": "3 1", "2": "0"})
    write("new.csv", {"5": "3", "1": "7"})
    forage("train", "lightgcn", "--data", "old.csv", "--epochs", 1, "--embedding-size", 6, "--output", "graph")
    result = forage("update", "graph", *CALL, "--json").json()
    assert (result["new_users"], result["new_items"]) == (1, 1)
    assert "embedding_user: 6 x 6" in result["architecture"] and "embedding_item: 8 x 6" in result["architecture"]
    assert len(ranking("more", "5")) == 2  # those of the log


def test_refused():
    trained()
    refused("update", "graph", "--output", "more", says=["--data"], code=2)
    refused("update", "graph", "--data", "new.csv", says=["--output"], code=2)
    refused("update", says=["MODELFILE"], code=2)
    refused("update", "graph", *CALL, "--threads", -1, says=["--threads"], code=2)
    refused("update", "graph", "--data", "new.csv", "--output", "-", "--json", says=["standard output"], code=2)
    refused("update", "graph", "--data", "new.csv", "--output", "new.csv", says=["new.csv", "replace the log"], code=2)
    refused("update", "graph", "--data", "new.csv", "--output", "no/such/folder", says=["no/such/folder"])
    refused("update", "none", *CALL, says=["none"])
    refused("update", "old.csv", *CALL, says=["old.csv"])
    refused("update", "graph", "--data", "none.csv", "--output", "more", says=["none.csv"])
    pathlib.Path("nobody.csv").write_text("item_id\nhat\n")
    refused("update", "graph", "--data", "nobody.csv", "--output", "more", says=["nobody.csv", "names no users"])
    forage("train", "popular", "--data", "old.csv", "--output", "popular")
    refused("update", "popular", *CALL, says=["popular", "without being trained again"])
    assert not os.path.exists("more")


def test_refit():
    """train --from: the new log's users and items, in whatever order, beginning where the old model was."""
    trained()
    call = ("train", "lightgcn", "--data", "all.csv", "--embedding-size", 6, "--output", "refit")
    log = {user: NEW.get(user, "") + " " + OLD.get(user, "") for user in ("max", "zoe", "dan", "bob", "ann", "cid")}
    write("all.csv", {**log, "max": "hat cape", "ann": "hat coat cape"})  # so that everyone new is linked to who is known
    forage("update", "graph", "--data", "all.csv", "--output", "more")
    forage(*call, "--from", "graph", "--epochs", 1, "--learning-rate", 0)
    where = [dict(ranking(model, "zoe")) for model in ("refit", "more")]
    assert all(abs(where[0][item] - where[1][item]) < 1e-6 for item in ("sock", "cape", "hat")), where
    result = forage(*call, "--from", "graph", "--epochs", 2, "--json").json()
    assert len(result["epochs"]) == 2 and "embedding_user: 6 x 6" in result["architecture"]
    assert ranking("refit", "zoe") != ranking("more", "zoe")
    once = pathlib.Path("refit").read_bytes()
    forage(*call, "--from", "graph", "--epochs", 2, "--threads", 1)
    assert pathlib.Path("refit").read_bytes() == once
    forage(*call, "--epochs", 2)
    assert pathlib.Path("refit").read_bytes() != once
    # Who is no longer in the log is no longer in the model.
    forage("train", "lightgcn", "--data", "new.csv", "--embedding-size", 6, "--output", "refit", "--from", "graph", "--epochs", 1)
    refused("recommend", "refit", "--data", "old.csv", "--user", "cid", "--unknown", "error", says=["has not met"])
    # Onto itself; and what does not fit together.
    forage("train", "lightgcn", "--data", "all.csv", "--embedding-size", 6, "--from", "graph", "--output", "graph", "--epochs", 1)
    refused("train", "lightgcn", "--data", "all.csv", "--from", "graph", "--output", "refit", says=["embeddings of 6 numbers, not of 64"], code=2)
    refused(*call, "--from", "none", says=["none"])
    forage("train", "popular", "--data", "old.csv", "--output", "popular")
    refused(*call, "--from", "popular", says=["lightgcn", "popular"])
    refused("train", "popular", "--data", "old.csv", "--from", "popular", "--output", "p", says=["popular cannot go on"])


def sequences(name, users, items, shift):
    """Users go round the items; a click or two between are refusals."""
    rows = ["user_id,item_id,clicked,shelf,price"]
    for at in range(8):
        for user in range(users):
            item = (user + shift + at) % items
            rows.append(f"u{user},i{item},{int(at % 3 != 1)},s{item // 4},{item}.5")
    pathlib.Path(name).write_text("\n".join(rows) + "\n")


NEXT = {"sasrec": ("--embedding-size", 8, "--max-length", 5), "bst": ("--embedding-size", 8, "--heads", 2, "--layers", "9")}


def test_models_of_sequences():
    sequences("old.csv", 12, 8, 0)
    sequences("new.csv", 15, 12, 1)  # in another order, with items and users, a shelf and dearer items that are new
    for model, shape in NEXT.items():
        forage("train", model, "--data", "old.csv", "--epochs", 2, *shape, "--output", "seq")
        refused("recommend", "seq", "--data", "new.csv", "--history", "i1,i9", says=["'i8'", "'forage update' makes it known"])
        result = forage("update", "seq", *CALL, "--json").json()
        # Of users there is nothing to be known but what they do.
        assert (result["new_users"], result["new_items"]) == (0, 4), result
        told = forage("recommend", "more", "--data", "new.csv", "--history", "i1,i9", "--k", 12, "--json").json()
        items = told["users"][0]["items"]
        score = {item["item"]: item["score"] for item in items}
        assert len(items) == 12
        if model == "sasrec":  # all that is new is the average, so far
            assert max(abs(score[f"i{n}"] - score["i8"]) for n in (9, 10, 11)) < 1e-6
        forage("update", "seq", "--data", "old.csv", "--output", "same")
        assert pathlib.Path("same").read_bytes() == pathlib.Path("seq").read_bytes()
        # Learning on: from there, or from what was updated.
        call = ("train", model, "--data", "new.csv", *shape, "--output", "refit")
        for start in ("seq", "more"):
            forage(*call, "--from", start, "--epochs", 1, "--learning-rate", 0)
            again = forage("recommend", "refit", "--data", "new.csv", "--history", "i1,i9", "--k", 12, "--json").json()
            again = {item["item"]: item["score"] for item in again["users"][0]["items"]}
            assert all(abs(again[item] - score[item]) < 1e-5 for item in score), (model, start, again, score)
        forage(*call, "--from", "seq", "--epochs", 2)
        once = pathlib.Path("refit").read_bytes()
        forage(*call, "--from", "seq", "--epochs", 2, "--threads", 1)
        assert pathlib.Path("refit").read_bytes() == once
        forage(*call, "--epochs", 2)
        assert pathlib.Path("refit").read_bytes() != once
        # What does not fit together.
        refused("train", model, "--data", "new.csv", *shape, "--embedding-size", 16, "--from", "seq", "--output", "none",
                says=["embedding-size", "fitted with 8, not with 16"], code=2)
        other = "bst" if model == "sasrec" else "sasrec"
        refused("train", other, "--data", "new.csv", "--from", "seq", "--output", "none", says=[model, other])
        assert not os.path.exists("none")


cli.main(globals())
