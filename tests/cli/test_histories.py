#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Models that read histories as a user meets them: what they are told of the past, and that it is only the past."""
import json
import math
import pathlib
import random

import cli
from cli import forage, refused

SHORT = ("--epochs", 3, "--embedding-size", 16, "--max-length", 10, "--seed", 1)


def histories(users=60, items=40, seed=3):
    """Each user goes around a circle of items, now and then elsewhere; at least 4 events."""
    rng = random.Random(seed)
    out = {}
    for user in range(users):
        at, line = rng.randrange(items), []
        for _ in range(rng.randint(4, 14)):
            line.append("i%d" % at)
            at = (at + 1) % items if rng.random() < 0.8 else rng.randrange(items)
        out["u%d" % user] = line
    return out


def write_log(name, lines, time=None, shuffle=False):
    rows = []
    for user, line in lines.items():
        for place, item in enumerate(line):
            rows.append([user, item] + ([str(time(place))] if time else []))
    if shuffle:
        random.Random(1).shuffle(rows)
    pathlib.Path(name).write_text("user_id,item_id%s\n" % (",time" if time else "") + "".join(",".join(row) + "\n" for row in rows))
    return name


def recommend(*arguments):
    answer, = forage("recommend", "seq", *arguments, "--json").json()["users"]
    return answer


def ranking(*arguments):
    return [(item["item"], item["score"]) for item in recommend(*arguments)["items"]]


def test_users_are_their_histories():
    lines = histories()
    write_log("log.csv", lines)
    forage("train", "sasrec", "--data", "log.csv", *SHORT, "--output", "seq")
    for user in ("u0", "u7", "u31"):
        answer = recommend("--data", "log.csv", "--user", user)
        assert answer["folded_in"] == len(lines[user]) and answer["known"]
        assert ranking("--data", "log.csv", "--user", user) == ranking("--data", "log.csv", "--history", ",".join(lines[user]))
    assert "by what they did, %d events of the log" % len(lines["u7"]) in forage(
        "recommend", "seq", "--data", "log.csv", "--user", "u7").out
    # Order and repetitions count, and so do the last ten alone.
    some = lines["u0"][:4]
    there, back = (ranking("--data", "log.csv", "--history", ",".join(line)) for line in (some, some[::-1]))
    assert there != back
    assert there != ranking("--data", "log.csv", "--history", ",".join(some + some[-1:]))
    window = ["i%d" % (i * 7 % 40) for i in range(10)]
    last = ranking("--data", "log.csv", "--history", ",".join(window))
    assert last == ranking("--data", "log.csv", "--history", ",".join(["i%d" % (i % 40) for i in range(300)] + window))
    answer = recommend("--data", "log.csv", "--history", "i3,i1,i3")
    assert answer["history"] == ["i3", "i1", "i3"]
    # What is excluded is what was met.
    left_out = {item for item, _ in ranking("--data", "log.csv", "--history", ",".join(some), "--exclude-seen", "--k", 40)}
    assert not left_out & set(some)
    # A log with new users, in any order of its rows.
    new = {"new" + user: line[::-1] for user, line in lines.items()}
    write_log("new.csv", new, time=lambda place: 100 + place, shuffle=True)
    assert ranking("--data", "new.csv", "--user", "newu7") == ranking("--data", "log.csv", "--history", ",".join(lines["u7"][::-1]))
    refused("recommend", "seq", "--data", "log.csv", "--history", "i3,cape", says=["'cape'", "--history"])
    refused("recommend", "seq", "--data", "log.csv", says=["--user", "--history"], code=2)


def test_unknown_items():
    lines = histories()
    write_log("log.csv", lines)
    forage("train", "sasrec", "--data", "log.csv", *SHORT, "--output", "seq")
    write_log("more.csv", {"zoe": ["i3", "cape", "i4"], "max": ["cape"], **lines})
    call = ("--data", "more.csv", "--unknown", "skip")
    refused("recommend", "seq", "--data", "more.csv", "--user", "zoe", says=["'cape'", "has not met"])
    assert ranking(*call, "--user", "zoe") == ranking(*call, "--history", "i3,i4") == ranking(*call, "--history", "i3,cape,i4")
    assert ranking(*call, "--history", "i3,zzz,i4") == ranking(*call, "--history", "i3,i4")  # not even in the log
    refused("recommend", "seq", "--data", "more.csv", "--history", "i3,zzz", says=["'zzz'", "--history"])
    refused("recommend", "seq", "--data", "more.csv", "--unknown", "average", "--history", "i3,zzz", says=["'zzz'"])
    nobody = ranking(*call, "--user", "max")
    assert nobody == ranking(*call, "--history", "zzz")
    assert nobody == ranking(*call, "--history", "cape") and len(nobody) == 10
    assert all(item != "cape" for item, _ in nobody)


def test_now():
    """--now: the log as it was at that moment, histories and reasons and what was seen."""
    lines = histories()
    write_log("log.csv", lines, time=lambda place: 10 + place, shuffle=True)
    forage("train", "sasrec", "--data", "log.csv", *SHORT, "--output", "seq")
    call, line = ("--data", "log.csv", "--user", "u7"), lines["u7"]
    for events in (1, 3, len(line)):
        answer = forage("recommend", "seq", *call, "--now", 9 + events, "--json").json()
        assert answer["now"] == str(9 + events) and answer["users"][0]["folded_in"] == events
        assert ranking(*call, "--now", 9 + events) == ranking("--data", "log.csv", "--history", ",".join(line[:events]))
        kept = {item for item, _ in ranking(*call, "--now", 9 + events, "--exclude-seen", "--k", 40)}
        assert not kept & set(line[:events]) and kept >= set(line[events:]) - set(line[:events])
    assert forage("recommend", "seq", *call, "--json").json()["now"] is None
    assert ranking(*call, "--now", 1000) == ranking(*call)
    # What speaks for an item is what was known then: at first nobody had chosen two.
    assert "because of" in forage("recommend", "seq", *call).out
    assert "because of" not in forage("recommend", "seq", *call, "--now", 10).out
    # bst sees how long ago things were.
    clicks = "".join("%s,%s,%d,2024-03-%02d\n" % (user, item, place % 3 > 0, place + 1) for user, line in lines.items() for place, item in enumerate(line))
    pathlib.Path("days.csv").write_text("user_id,item_id,clicked,time\n" + clicks)
    forage("train", "bst", "--data", "days.csv", "--epochs", 2, "--embedding-size", 8, "--layers", "8", "--learning-rate", 0.02, "--output", "seq")
    days = ("--data", "days.csv", "--user", "u7")
    then, soon, late = (ranking(*days, "--now", day) for day in ("2024-03-03", "2024-04-01T10:00Z", "2025-04-01"))
    assert then != soon and soon != late
    assert ranking(*days, "--now", "2024-03-03T00:30+00:30") == then
    # Slips.
    refused("recommend", "seq", *days, "--now", 17, says=["days.csv", "time", "--now", "'17' is a number", "dates"], code=2)
    refused("recommend", "seq", *days, "--now", "noon", says=["--now", "'noon'", "neither a number nor a time"], code=2)
    refused("recommend", "seq", *days, "--now", "2023-12-31", says=["--now", "before all events"], code=2)
    refused("recommend", "seq", "--data", "log.csv", "--similar-items", "i3", "--now", 12, says=["--now"], code=2)
    write_log("timeless.csv", lines)
    forage("train", "sasrec", "--data", "log.csv", *SHORT, "--output", "seq")
    refused("recommend", "seq", "--data", "timeless.csv", "--user", "u7", "--now", 5, says=["timeless.csv", "--now", "no times"], code=2)


def test_how_histories_are_told():
    write_log("log.csv", {**histories(), "odd": [" i1 ", "a b", "i2"]})
    forage("train", "sasrec", "--data", "log.csv", *SHORT, "--output", "seq")
    plain = ranking("--data", "log.csv", "--history", "i3,i4")
    assert plain == ranking("--data", "log.csv", "--history", " i3 , i4\t") == ranking("--data", "log.csv", "--history", "i3", "--history", "i4")
    assert recommend("--data", "log.csv", "--history", "a b, i1 ")["history"] == ["a b", " i1 "]  # whose id has blanks
    for text in (",", "i3,,i4", ",i3", "i3,", "i3, ,i4"):
        refused("recommend", "seq", "--data", "log.csv", "--history", text, says=["--history", "an item is missing"], code=2)
    refused("recommend", "seq", "--data", "log.csv", "--history", "i3", "--history", "", says=["an item is missing"], code=2)
    nobody = recommend("--data", "log.csv", "--history", "", "--exclude-seen")
    assert nobody["history"] == [] and len(nobody["items"]) == 10
    assert nobody["items"] == recommend("--data", "log.csv", "--history", " ")["items"]
    assert "someone of whom nothing is known" in forage("recommend", "seq", "--data", "log.csv", "--history", "").out
    forage("export", clicks(histories()), "--output", "clicks.csv")
    forage("train", "bst", "--data", "clicks.csv", "--epochs", 1, "--layers", "8", "--output", "seq")
    assert len(ranking("--data", "clicks.csv", "--history", "")) == 10
    forage("train", "item-knn", "--data", "log.csv", "--output", "seq")
    assert recommend("--data", "log.csv", "--history", "")["history"] == []


def test_what_models_say():
    for model in ("bst", "sasrec"):
        said = forage("models", model).out
        assert "vectors for items" in said and "vectors for users" not in said, said
    assert "vectors for users and items" in forage("models", "lightgcn").out
    write_log("log.csv", histories())
    for model in ("bst", "embedding-mlp"):
        refused("train", model, "--data", "log.csv", "--output", "m", says=["forage export --din"])
    write_log("one.csv", {"u%d" % user: ["x"] * 3 for user in range(9)})
    said = forage("train", "sasrec", "--data", "one.csv", *SHORT, "--output", "m", "--quiet").out
    assert "Train loss 0.0000" in said and "-0.0" not in said, said


def test_evaluation_sees_the_past_alone():
    """What evaluate says is what recommend --history does with all that came before, and nothing more."""
    lines = histories()
    write_log("log.csv", lines)
    forage("train", "sasrec", "--data", "log.csv", "--split", "leave-last-out", *SHORT, "--output", "seq")
    for part, cut in (("test", 1), ("validation", 2)):
        hits = gains = 0
        for line in list(lines.values())[:60]:
            past, wanted = line[:-cut], line[-cut]
            items = [item for item, _ in ranking("--data", "log.csv", "--unknown", "skip", "--history", ",".join(past), "--exclude-seen", "--k", 5)]
            if wanted in items and wanted not in past:
                hits += 1
                gains += 1 / math.log2(items.index(wanted) + 2)
        got = forage("evaluate", "seq", "--data", "log.csv", "--unknown", "skip", "--split", "leave-last-out", "--part", part, "--k", 5,
                     "--resamples", 0, "--json").json()
        assert abs(got["hit_rate@5"] - hits / 60) < 1e-12 and abs(got["ndcg@5"] - gains / 60) < 1e-12, (got, hits, gains)
    # Whatever becomes of the rows that test, the fit and the validation are the same. (Somebody meets all items first, so
    # that codes are the same, too.)
    lines = {"all": ["i%d" % i for i in range(40)] + ["i0", "i1"], **lines}
    write_log("log.csv", lines)
    changed = {user: line[:-1] + ["i%d" % ((int(line[-1][1:]) + 1) % 40)] for user, line in lines.items()}
    write_log("changed.csv", changed)
    assert changed != lines
    call = ("--unknown", "skip", "--split", "leave-last-out", "--part", "validation", "--k", 5, "--resamples", 0, "--json")
    sampled, full = [], []
    for name in ("log", "changed"):
        fitted = forage("train", "sasrec", "--data", name + ".csv", "--split", "leave-last-out", *SHORT, "--output", name, "--json").json()
        assert fitted["validation_metric"] > 0
        sampled.append(forage("evaluate", name, "--data", name + ".csv", *call, "--negatives", 3).json())
        full.append(forage("evaluate", name, "--data", name + ".csv", *call).json())
    assert pathlib.Path("log").read_bytes() == pathlib.Path("changed").read_bytes()
    # Rivals are drawn from what was never met, and that differs; the model and its rankings do not.
    assert sampled[0]["rows"] == sampled[1]["rows"]
    assert full[0] == full[1], full


def clicks(lines, name="clicks.forage"):
    write_log("choices.csv", lines)
    forage("export", "choices.csv", "--din", 0, "--output", name)
    return name


def test_clicks_see_the_past_alone():
    """Click models: rows at the same time are not in each other's past, and later ones change nothing."""
    lines = histories()
    forage("export", clicks(lines), "--output", "clicks.csv")
    forage("train", "bst", "--data", "clicks.csv", "--split", "leave-last-time-out", "--epochs", 1, "--seed", 1, "--layers", "8", "--output", "bst")
    call = ("evaluate", "bst", "--split", "leave-last-time-out", "--part", "validation", "--resamples", 0, "--json")
    base = forage(*call, "--data", "clicks.csv").json()
    assert 0 <= base["grouped_auc"] <= 1 and base["groups"] == 60
    head, *rows = pathlib.Path("clicks.csv").read_text().splitlines()
    names = head.split(",")
    fields = [dict(zip(names, row.split(","))) for row in rows]
    last = {row["user_id"]: max(int(r["time"]) for r in fields if r["user_id"] == row["user_id"]) for row in fields}
    for row in fields:
        if int(row["time"]) == last[row["user_id"]]:
            row["item_id"] = "i%d" % ((int(row["item_id"][1:]) + 3) % 40)
            row["clicked"] = str(1 - int(row["clicked"]))
    random.Random(2).shuffle(fields)  # and the order of the log does not matter
    pathlib.Path("changed.csv").write_text(head + "\n" + "".join(",".join(row[name] for name in names) + "\n" for row in fields))
    other = forage(*call, "--data", "changed.csv").json()
    for key in ("log_loss", "auc", "grouped_auc"):
        assert abs(other[key] - base[key]) < 1e-6, (key, other[key], base[key])
    # Ranked for a history, and for a user of the log.
    answer, = forage("recommend", "bst", "--data", "clicks.csv", "--history", "i1,i2,i3", "--json").json()["users"]
    assert len(answer["items"]) == 10 and answer["history"] == ["i1", "i2", "i3"]
    sampled = forage("evaluate", "bst", "--data", "clicks.csv", "--split", "leave-last-time-out", "--k", 3, "--negatives", 5,
                     "--resamples", 0, "--json").json()
    assert 0 < sampled["hit_rate@3"] < 1


def test_impressions():
    lines = histories()
    summary = json.loads(forage("export", write_log("log.csv", lines), "--din", 4, "--output", "clicks.forage", "--json").out)
    events = sum(map(len, lines.values()))
    assert summary["rows"] == 2 * events and summary["click_rate"] == 0.5
    forage("export", "clicks.forage", "--output", "clicks.csv")
    rows = [line.split(",") for line in pathlib.Path("clicks.csv").read_text().splitlines()]
    assert rows[0] == ["user_id", "item_id", "clicked", "time"]
    for user, line in lines.items():
        mine = [row[1:] for row in rows if row[0] == user]
        assert [item for item, click, _ in mine if click == "1"] == line
        assert not {item for item, click, _ in mine if click == "0"} & set(line)
        assert [int(time) for _, _, time in mine] == [place // 2 + 1 for place in range(2 * len(line))]
    before = pathlib.Path("clicks.forage").read_bytes()
    forage("export", "log.csv", "--din", 4, "--output", "again.forage")
    assert pathlib.Path("again.forage").read_bytes() == before
    refused("export", "log.csv", "--din", "x", "--output", "a.forage", says=["--din"], code=2)
    refused("export", "log.csv", "--din", 1, "--output", "a.csv", says=[".forage"], code=2)
    refused("export", "log.csv", "--din", 1, "--to", "csv", "--output", "a.forage", says=["--to"], code=2)
    pathlib.Path("items.csv").write_text("item_id,clicked\na,1\nb,0\n")
    refused("export", "items.csv", "--din", 1, "--output", "a.forage", says=["names no users"], code=2)
    assert not pathlib.Path("a.forage").exists()


cli.main(globals())
