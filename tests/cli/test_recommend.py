#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""forage recommend as a user meets it."""
import pathlib

import cli
from cli import forage, refused

LOG = "user_id,item_id,clicked,category\n" + "".join(
    f"ann,{item},{click},{colour}\nbob,{item},{1 - click},{colour}\n"
    for item, click, colour in (("shoe", 1, "red"), ("hat", 0, "red"), ("coat", 1, "blue"), ("sock", 0, "blue"))
    for _ in range(5)) + "bob,coat,1,blue\n"


def trained():
    pathlib.Path("log.csv").write_text(LOG)
    forage("train", "popular", "--data", "log.csv", "--output", "popular", "--smoothing", 1)


def ranking(*arguments):
    users = forage("recommend", "popular", "--data", "log.csv", *arguments, "--json").json()["users"]
    return [[item["item"] for item in user["items"]] for user in users]


def test_scores_ties_and_reasons():
    trained()
    result = forage("recommend", "popular", "--data", "log.csv", "--user", "ann", "--json").json()
    assert result["model"] == "popular" and result["k"] == 10
    items = result["users"][0]["items"]
    # coat is ahead by one click; the others are equal and stay in the order of the log.
    assert [item["item"] for item in items] == ["coat", "shoe", "hat", "sock"]
    assert items[0]["attributes"] == {"category": "blue"}
    assert items[0]["reason"] == "this user clicked 5 of 10 in category 'blue'; all users together clicked it 6 of 11 times (54.5 %)"
    assert abs(items[0]["score"] - (6 + 21 / 41) / 12) < 1e-6
    text = forage("recommend", "popular", "--data", "log.csv", "--user", "ann", "--k", 2).out
    assert "user_id ann" in text and "1. coat" in text and "2. shoe" in text and "hat" not in text


def test_because():
    """What the user chose that leads to an item, where the log knows only what was chosen."""
    log = {"ann": "a b", "bob": "a b c", "cid": "a c", "dan": "b c", "eve": "c d", "fay": "e"}
    pathlib.Path("log.txt").write_text("".join(f"{user} {items}\n" for user, items in log.items()))
    forage("train", "lightgcn", "--data", "log.txt", "--format", "adjacency", "--epochs", 1, "--embedding-size", 4,
           "--output", "graph")
    call = ("recommend", "graph", "--data", "log.txt", "--format", "adjacency", "--exclude-seen")
    ann = {item["item"]: item for item in forage(*call, "--user", "ann", "--json").json()["users"][0]["items"]}
    degree = {item: sum(item in items.split() for items in log.values()) for item in "abcde"}
    strength = {j: sum(1 / len(items.split()) for user, items in log.items() if user != "ann" and j in items and "c" in items) / degree[j]
                for j in "ab"}  # A_uj A_jv A_vc but for factors that all j share
    shares = {path["item"]: path["share"] for path in ann["c"]["because"]}
    assert list(shares) == ["a", "b"] and sum(shares.values()) == 1, ann["c"]
    assert abs(shares["a"] - strength["a"] / sum(strength.values())) < 1e-6
    assert [path["users"] for path in ann["c"]["because"]] == [2, 2]
    assert ann["c"]["reason"] == "because of a (2 users chose both) and b (2); 4 events of all users together"
    assert ann["d"]["because"] == [] and ann["d"]["reason"] == "1 event of all users together"
    assert "because of a (2 users chose both) and b (2)" in forage(*call, "--user", "ann").out
    eve = {item["item"]: item for item in forage(*call, "--user", "eve", "--json").json()["users"][0]["items"]}
    assert eve["a"]["reason"] == "because of c (2 users chose both); 3 events of all users together"
    # Someone known by a history only, and one whose items nobody shares.
    past = {item["item"]: item for item in forage(*call, "--history", "d,e", "--json").json()["users"][0]["items"]}
    assert past["c"]["reason"] == "because of d (1 user chose both); 4 events of all users together"
    assert past["c"]["because"] == [{"item": "d", "share": 1, "users": 1}]
    assert past["a"]["because"] == []
    # A ranking that is the same for everyone is not because of anything.
    forage("train", "popular", "--data", "log.txt", "--format", "adjacency", "--output", "popular")
    item = forage("recommend", "popular", *call[2:], "--user", "ann", "--json").json()["users"][0]["items"][0]
    assert item["because"] == [] and item["reason"] == "4 events of all users together"


def test_because_with_rates():
    """Where it is known what was shown and not chosen, rates follow."""
    pathlib.Path("log.csv").write_text(LOG + "bob,shoe,1,red\n")
    forage("train", "embedding-mlp", "--data", "log.csv", "--epochs", 1, "--output", "mlp")
    items = forage("recommend", "mlp", "--data", "log.csv", "--user", "ann", "--json").json()["users"][0]["items"]
    reasons = {item["item"]: item for item in items}
    text = ("because of shoe (1 user clicked both) and coat (1); this user clicked 5 of 10 in category 'red'; "
            "all users together clicked it 5 of 10 times (50.0 %)")
    assert reasons["hat"]["reason"] == text and text in forage("recommend", "mlp", "--data", "log.csv", "--user", "ann").out
    assert [(path["item"], path["users"]) for path in reasons["hat"]["because"]] == [("shoe", 1), ("coat", 1)]
    # Someone who chose nothing, and a ranking that is the same for everyone: rates alone.
    pathlib.Path("log.csv").write_text(LOG + "zoe,hat,0,red\n")
    forage("train", "embedding-mlp", "--data", "log.csv", "--epochs", 1, "--output", "mlp")
    forage("train", "popular", "--data", "log.csv", "--output", "popular")
    for model, user in (("mlp", "zoe"), ("popular", "ann")):
        items = forage("recommend", model, "--data", "log.csv", "--user", user, "--json").json()["users"][0]["items"]
        assert not any("because" in item["reason"] for item in items) and all("all users" in item["reason"] for item in items)


def test_because_with_long_names():
    """Names are cut between characters: half of one would be no JSON."""
    for shift in range(4):
        name = "x" * shift + "\U0001F9A4" * 40
        pathlib.Path("log.csv").write_text(f"user_id,item_id\nann,{name}\nbob,{name}\nbob,hat\n")
        forage("train", "lightgcn", "--data", "log.csv", "--epochs", 1, "--embedding-size", 4, "--output", "graph")
        call = ("recommend", "graph", "--data", "log.csv", "--user", "ann", "--exclude-seen")
        item = forage(*call, "--json").json()["users"][0]["items"][0]
        assert item["because"][0]["item"] == name and item["reason"].startswith("because of " + name[:15]), item
        assert "... (1 user chose both)" in item["reason"]
        # All pieces at once have room.
        pathlib.Path("log.csv").write_text("user_id,item_id,clicked," + 30 * "category" + "\n" + "".join(
            f"{user},{item},{click},{name}\n" for user in ("ann", "bob") for item, click in
            ((name, 1), ("y" + name, 1), ("hat", int(user == "bob")))))
        forage("train", "lightgcn", "--data", "log.csv", "--epochs", 1, "--embedding-size", 4, "--output", "graph")
        items = forage("recommend", "graph", "--data", "log.csv", "--user", "ann", "--json").json()["users"][0]["items"]
        reason, = (item["reason"] for item in items if item["item"] == "hat")
        assert reason.startswith("because of ") and reason.endswith("all users together clicked it 1 of 2 times (50.0 %)"), reason


def test_hostile_names():
    """Names from a file neither break a line nor steer the terminal; JSON has them as they are."""
    name = "two\nlines\x1b[2J"
    pathlib.Path("log.csv").write_text(f'user_id,item_id,clicked,category\nann,"{name}",1,"{name}"\nann,{"x" * 5000},0,red\n')
    forage("train", "popular", "--data", "log.csv", "--output", "popular")
    text = forage("recommend", "popular", "--data", "log.csv", "--user", "ann").out
    assert "two?lines?[2J" in text and "\x1b" not in text and "x" * 300 not in text and "x..." in text
    assert ranking("--user", "ann")[0] == [name, "x" * 5000]


def test_what_was_seen():
    trained()
    assert ranking("--user", "ann", "--exclude-seen") == [[]]
    assert ranking("--user", "ann", "--user", "bob", "--exclude-chosen") == [["hat", "sock"], ["shoe"]]
    text = forage("recommend", "popular", "--data", "log.csv", "--user", "ann", "--exclude-seen").out
    assert "no more items" in text


def test_filters():
    trained()
    assert ranking("--user", "ann", "--only", "category=red") == [["shoe", "hat"]]
    assert ranking("--user", "ann", "--only", "category=red", "--only", "category=blue") == [["coat", "shoe", "hat", "sock"]]
    assert ranking("--user", "ann", "--exclude", "coat", "--exclude", "hat") == [["shoe", "sock"]]
    assert ranking("--user", "bob", "--only", "category=blue", "--exclude", "coat", "--exclude-chosen", "--k", 1) == [[]]
    assert ranking("--user", "ann", "--only", "category=blue", "--exclude", "coat", "--k", 1) == [["sock"]]
    refused("recommend", "popular", "--data", "log.csv", "--only", "category=green", says=["'green'", "category", "log.csv"])
    refused("recommend", "popular", "--data", "log.csv", "--only", "size=4", says=["'size'", "category"])
    refused("recommend", "popular", "--data", "log.csv", "--only", "red", says=["NAME=VALUE"], code=2)
    refused("recommend", "popular", "--data", "log.csv", "--exclude", "cape", says=["'cape'", "--exclude"])
    # A new item that is filtered out is no unknown one.
    pathlib.Path("log.csv").write_text(LOG + "ann,cape,1,green\n")
    assert ranking("--user", "ann", "--only", "category=red") == [["shoe", "hat"]]
    assert ranking("--user", "ann", "--exclude", "cape", "--k", 1) == [["coat"]]


def test_filters_by_number():
    pathlib.Path("log.csv").write_text("user_id,item_id,clicked\n" + "".join(f"ann,{item},1\n" for item in ("shoe", "hat", "coat", "sock")))
    pathlib.Path("items.csv").write_text("item_id,price,category\nshoe,2.5,red\nhat,3,red\ncoat,2.50,blue\nsock,,blue\n")
    forage("train", "popular", "--data", "log.csv", "--output", "popular")
    attributes = ("--user", "ann", "--item-attributes", "items.csv")
    assert ranking(*attributes, "--only", "price=2.5") == [["shoe", "coat"]]
    assert ranking(*attributes, "--only", "price=2.5", "--only", "category=blue") == [["coat"]]
    assert ranking(*attributes, "--only", "price=7") == [[]]
    refused("recommend", "popular", "--data", "log.csv", *attributes, "--only", "price=cheap", says=["'cheap'", "price"], code=2)


def test_histories():
    """Two kinds of people; somebody new has met items of one kind."""
    kinds = [[f"{kind}{i}" for i in range(6)] for kind in ("tea", "bike,")]
    pathlib.Path("log.csv").write_text("user_id,item_id\n" + "".join(
        f'{number}{user},"{item}"\n' for number, items in enumerate(kinds) for user in range(30)
        for i, item in enumerate(items) if (user + i) % 3))
    forage("train", "lightgcn", "--data", "log.csv", "--epochs", 60, "--batch-size", 16, "--seed", 0, "--output", "graph")
    for items in kinds:
        call = ("recommend", "graph", "--data", "log.csv", "--history", ",".join(items[:2]) if "," not in items[0] else items[0],
                "--history", items[2])
        user, = forage(*call, "--k", 3, "--exclude-seen", "--json").json()["users"]
        assert user["user"] is None and not user["known"] and not user["skipped"]
        assert items[2] in user["history"] and items[0] in user["history"]
        assert not {item["item"] for item in user["items"]} & set(user["history"])
        assert {item["item"] for item in user["items"]} <= set(items)
        best = forage(*call, "--k", 6, "--json").json()["users"][0]["items"]
        assert {item["item"] for item in best} == set(items)
        text = forage(*call, "--k", 20, "--exclude", items[5]).out
        assert "someone who has met" in text and items[5] not in text and "no more items" in text
    refused("recommend", "graph", "--data", "log.csv", "--history", "tea0,coffee", says=["'coffee'", "--history", "log.csv"])
    refused("recommend", "graph", "--data", "log.csv", "--history", "tea0,,tea1", says=["an item is missing"], code=2)
    # A user, too, through the whole catalogue; and who is like whom.
    items = forage("recommend", "graph", "--data", "log.csv", "--user", "07", "--k", 6, "--json").json()["users"][0]["items"]
    assert {item["item"] for item in items} == set(kinds[0])
    users = forage("recommend", "graph", "--data", "log.csv", "--similar-users", "07", "--json").json()["similar"][0]["users"]
    assert len(users) == 10 and all(user["user"][0] == "0" for user in users)


def test_histories_that_cannot_be():
    trained()
    refused("recommend", "popular", "--data", "log.csv", "--history", "coat", says=["popular"])
    refused("recommend", "popular", "--data", "log.csv", "--history", "coat,cape,hat", says=["'cape'", "--history"])
    refused("recommend", "popular", "--data", "log.csv", "--history", "coat", "--user", "ann", says=["--history"], code=2)


def test_unknown_users():
    trained()
    refused("recommend", "popular", "--data", "log.csv", "--user", "zoe", says=["'zoe'", "log.csv", "user_id"])
    skipped = forage("recommend", "popular", "--data", "log.csv", "--user", "zoe", "--unknown", "skip", "--json").json()["users"][0]
    assert skipped["skipped"] and not skipped["known"] and skipped["items"] == []
    average = forage("recommend", "popular", "--data", "log.csv", "--user", "zoe", "--unknown", "average", "--json").json()["users"][0]
    assert not average["known"] and average["items"][0]["item"] == "coat"
    refused("recommend", "popular", "--data", "log.csv", "--user", "ann", "--unknown", "guess", says=["skip"], code=2)


def test_users_new_to_the_model():
    """In the log, but not in the one that the model learned from."""
    pathlib.Path("log.csv").write_text(LOG)
    forage("train", "embedding-mlp", "--data", "log.csv", "--epochs", 1, "--output", "mlp")
    pathlib.Path("log.csv").write_text(LOG + "zoe,hat,1,red\n")
    call = ("recommend", "mlp", "--data", "log.csv", "--user", "zoe")
    refused(*call, says=["'zoe'", "has not met"])
    skipped = forage(*call, "--unknown", "skip", "--json").json()["users"][0]
    assert skipped["skipped"] and not skipped["known"] and skipped["items"] == []
    assert "zoe is unknown: skipped" in forage(*call, "--unknown", "skip").out
    average = forage(*call, "--unknown", "average", "--json").json()["users"][0]
    assert not average["known"] and len(average["items"]) == 4
    assert "zoe is unknown: what the average user gets" in forage(*call, "--unknown", "average").out


def test_folding_in():
    pathlib.Path("log.csv").write_text(LOG)
    forage("train", "lightgcn", "--data", "log.csv", "--epochs", 2, "--embedding-size", 4, "--output", "graph")
    pathlib.Path("log.csv").write_text(LOG + "zoe,hat,1,red\nzoe,cape,1,red\nzoe,coat,0,blue\nyan,shoe,0,red\n")
    call = ("recommend", "graph", "--data", "log.csv", "--unknown", "fold-in")
    user, = forage(*call, "--user", "zoe", "--json").json()["users"]
    past, = forage(*call, "--history", "hat", "--json").json()["users"]
    assert not user["known"] and not user["skipped"] and user["folded_in"] == 1
    scores = [[(item["item"], item["score"]) for item in one["items"]] for one in (user, past)]
    assert scores[0] == scores[1] and len(scores[0]) == 4, scores
    assert "user_id zoe is new to the model: by 1 item of the log" in forage(*call, "--user", "zoe").out
    for name in ("yan", "vic"):  # chose nothing; is not in the log
        user, = forage(*call, "--user", name, "--json").json()["users"]
        assert not user["known"] and user["folded_in"] == 0 and len(user["items"]) == 4
        assert name + " is unknown: what the average user gets" in forage(*call, "--user", name).out
    assert forage(*call, "--user", "ann", "--json").json()["users"][0]["known"]
    forage("train", "popular", "--data", "log.csv", "--output", "popular")
    refused("recommend", "popular", *call[2:], "--user", "zoe", says=["popular cannot tell"])
    # A history of which the model knows nothing.
    past = ("recommend", "graph", "--data", "log.csv", "--history")
    refused(*past, "cape", says=["'cape'", "--unknown skip, average or fold-in", "forage update"])
    assert "none of which the model knows: what the average user gets" in forage(*past, "cape", "--unknown", "skip").out
    assert "none of which" not in forage(*past, "cape,hat", "--unknown", "skip").out


def test_unknown_items():
    trained()
    pathlib.Path("log.csv").write_text(LOG + "ann,cape,1,green\n")
    refused("recommend", "popular", "--data", "log.csv", "--user", "ann", says=["'cape'", "item_id"])
    assert ranking("--user", "ann", "--unknown", "skip") == [["coat", "shoe", "hat", "sock"]]
    assert ranking("--user", "ann", "--unknown", "average") == [["coat", "cape", "shoe", "hat", "sock"]]


def test_context():
    rows = "".join(f"{item},{place},{int(item == 'hat' and place == 'top')}\n"
                   for item in ("shoe", "hat", "coat") for place in ("top", "side") for _ in range(40))
    pathlib.Path("log.csv").write_text("item_id,position,clicked\n" + rows)
    forage("train", "embedding-mlp", "--data", "log.csv", "--epochs", 100, "--batch-size", 32, "--output", "mlp")
    run = ("recommend", "mlp", "--data", "log.csv")
    assert forage(*run, "--context", "position=top", "--json").json()["users"][0]["items"][0]["item"] == "hat"
    scores = [forage(*run, "--context", "position=" + place, "--json").json()["users"][0]["items"][0]["score"]
              for place in ("top", "side")]
    assert scores[0] > 0.5 > scores[1]
    refused(*run, "--context", "position=ceiling", says=["ceiling", "top", "side"])
    refused(*run, "--context", "weather=rain", says=["weather", "position"])
    refused(*run, "--context", "position", says=["NAME=VALUE"], code=2)
    refused(*run, "--user", "ann", says=["log.csv"], code=2)
    forage(*run)  # a missing context is no mistake


def test_misuse():
    trained()
    refused("recommend", says=["MODELFILE"], code=2)
    refused("recommend", "popular", says=["--data"], code=2)
    refused("recommend", "popular", "--data", "log.csv", "--k", 0, says=["--k"], code=2)
    refused("recommend", "none", "--data", "log.csv", says=["none"])
    refused("recommend", "log.csv", "--data", "log.csv", says=["log.csv"])
    forage("train", "embedding-mlp", "--data", "log.csv", "--epochs", 1, "--output", "mlp")
    refused("recommend", "mlp", "--data", "log.csv", says=["--user"], code=2)


cli.main(globals())
