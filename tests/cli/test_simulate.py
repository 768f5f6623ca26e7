#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""forage simulate as a user meets it."""
import hashlib
import json
import os
import pathlib

import cli
from cli import forage, refused

GOLDEN = json.loads((cli.SOURCE / "tests/golden/petshop_logs.json").read_text())
SCENARIO = """\
products: 7
users: 5
interactions: 20
categories: [plain, "with, comma"]
personas:
  one: {plain: 0.5, "with, comma": 1}
  two: {plain: 0}
"""


def digest(name):
    return hashlib.sha256(pathlib.Path(name).read_bytes()).hexdigest()


def test_golden_logs():
    for case in GOLDEN:
        result = forage("simulate", "petshop", "--seed", case["seed"], "--products", case["n_products"],
                        "--users", case["n_users"], "--interactions", case["interactions"],
                        "--preliminary-trials", case["preliminary_trials"], "--output", "log.csv",
                        "--catalogue", "products.csv", "--population", "users.csv", "--json").json()
        assert digest("log.csv") == case["sha256_csv"]
        assert digest("products.csv") == case["products_csv_sha256"]
        assert digest("users.csv") == case["users_csv_sha256"]
        for key in ("test_user", "high_affinity_product", "low_affinity_product", "observed_high", "observed_low", "ctr",
                    "clicks", "interactions", "preliminary_trials"):
            assert result[key] == case[key], key


def test_defaults_are_the_documents():
    result = forage("simulate", "petshop", "--output", "log.csv")
    assert digest("log.csv") == GOLDEN[0]["sha256_csv"]
    for part in ("53.00 %", "6.00 %", "21.01 %", "0.40092", "new_puppy_parent"):
        assert part in result.out, part
    assert result.err == "" or "simulating" in result.err


def test_standard_output_has_the_log_alone():
    log = forage("simulate", "petshop", "--interactions", 3, "--output", "-").out
    assert log == "user_id,product_id,clicked,category\n209,22,0,Dog Food\n207,24,0,Dog Food\n394,7,0,Cat Toy\n"


def test_nothing_but_the_header():
    result = forage("simulate", "petshop", "--interactions", 0, "--output", "log.csv", "--json").json()
    assert pathlib.Path("log.csv").read_text() == "user_id,product_id,clicked,category\n"
    assert result["ctr"] is None and result["oracle_log_loss"] is None and result["interactions"] == 0


def test_without_output_there_is_a_summary():
    assert forage("simulate", "petshop", "--json").json()["clicks"] == 42021
    assert os.listdir(".") == []


def test_large_seeds():
    logs = set()
    for seed in (2**32 - 1, 2**32, 2**63, 2**64 - 1):
        forage("simulate", "petshop", "--seed", seed, "--interactions", 100, "--output", "log.csv")
        logs.add(digest("log.csv"))
    assert len(logs) == 4
    refused("simulate", "petshop", "--seed", 2**64, says=["--seed"], code=2)


def test_a_scenario_of_ones_own():
    pathlib.Path("mine.yaml").write_text(SCENARIO)
    result = forage("simulate", "mine.yaml", "--output", "log.csv", "--catalogue", "products.csv", "--json").json()
    assert result["scenario"] == "mine" and result["interactions"] == 20 and result["preliminary_trials"] == 0
    assert '"with, comma"\n' in pathlib.Path("products.csv").read_text()
    refused("simulate", "mine.yaml", "--preliminary-trials", 5, says=["preliminary_trials"], code=2)


def test_shown_scenario_is_the_built_in_one():
    pathlib.Path("copy.yaml").write_text(forage("simulate", "--show", "petshop").out)
    forage("simulate", "copy.yaml", "--output", "log.csv")
    assert digest("log.csv") == GOLDEN[0]["sha256_csv"]
    assert "petshop" in forage("simulate", "--list").out
    assert forage("simulate", "--list", "--json").json()["scenarios"][0]["name"] == "petshop"
    refused("simulate", "--show", "nothing", says=["nothing"], code=2)


def test_shops_that_change():
    headers = {"slate": ",time,position", "large": ",department,time"}
    for scenario in forage("simulate", "--list", "--json").json()["scenarios"][1:]:
        name = scenario["name"]
        options = ("--interactions", 200, "--users", 100, "--products", 2000)
        result = forage("simulate", name, *options, "--output", "log.csv", "--population", "users.csv", "--json").json()
        if name == "feedback-loop":
            assert result["oracle_log_loss_all_pairs"] is None and result["scenario"] == name
        lines = pathlib.Path("log.csv").read_text().splitlines()
        assert lines[0] == "user_id,product_id,clicked,category" + headers.get(name, ",time")
        assert len(lines) == result["interactions"] + 1
        assert (name == "delayed") == (result["interactions"] not in (200, 1000))
        first = digest("log.csv")
        forage("simulate", name, *options, "--output", "log.csv")
        assert digest("log.csv") == first
        forage("simulate", name, *options, "--seed", 8, "--output", "log.csv")
        assert digest("log.csv") != first
    assert "left out" in forage("simulate", "delayed", "--interactions", 100).out
    refused("simulate", "slate", "--products", 3, says=["5 positions, but 3 products"], code=2)


def test_mistakes_in_scenarios():
    cases = [
        (SCENARIO + "usres: 4\n", ["s.yaml:8:", "usres", "unknown key"]),
        (SCENARIO.replace("two: {plain", "two: {plane"), ["s.yaml:7:", "personas.two.plane", "no category 'plane'"]),
        (SCENARIO.replace("0.5", "1.5"), ["s.yaml:6:", "personas.one.plain", "1.5"]),
        (SCENARIO.replace("0.5", "nan"), ["s.yaml:6:", "personas.one.plain", "nan"]),
        (SCENARIO.replace("0.5", "-0.01"), ["s.yaml:6:", "personas.one.plain"]),
        (SCENARIO.replace("0.5", "lots"), ["s.yaml:6:", "personas.one.plain", "'lots' is not a number"]),
        (SCENARIO.replace("products: 7", "products: 0"), ["s.yaml:1:", "products"]),
        (SCENARIO.replace("users: 5", "users: 4294967297"), ["s.yaml:2:", "users"]),
        (SCENARIO.replace("users: 5\n", ""), ["s.yaml:1:", "'users' is missing"]),
        (SCENARIO.replace("personas:", "personas: *x\nq:"), ["s.yaml:5:", "aliases"]),
        (SCENARIO + "users: 6\n", ["s.yaml:8:", "users", "twice"]),
        ("- not\n- a map\n", ["s.yaml:1:", "expected a map"]),
        ("a: [\n", ["s.yaml:2:", "not YAML"]),
        ("", ["s.yaml", "empty"]),
    ]
    for text, says in cases:
        pathlib.Path("s.yaml").write_text(text)
        refused("simulate", "s.yaml", "--output", "log.csv", says=says)
        assert os.listdir(".") == ["s.yaml"]
    pathlib.Path("s.yaml").write_bytes(b"name: \0\n")
    refused("simulate", "s.yaml", says=["s.yaml:1:"])
    refused("simulate", "absent.yaml", says=["absent.yaml"])
    refused("simulate", ".", says=["."])


def test_mistakes_in_the_call():
    refused("simulate", says=["which scenario"], code=2)
    refused("simulate", "petshop", "more", says=["more"], code=2)
    refused("simulate", "petshop", "--products", 0, says=["products"], code=2)
    refused("simulate", "petshop", "--users", 2**32 + 1, says=["users"], code=2)
    refused("simulate", "petshop", "--users", -1, says=["--users"], code=2)
    refused("simulate", "petshop", "--seed", "x", says=["--seed"], code=2)
    refused("simulate", "petshop", "--colour", "red", says=["--colour"], code=2)
    refused("simulate", "petshop", "--output", "a", "--catalogue", "a", says=["same file"], code=2)
    refused("simulate", "petshop", "--output", "-", "--json", says=["--json"], code=2)
    refused("simulate", "petshop", "--output", "/nowhere/log.csv", says=["/nowhere/log.csv"])
    refused("simulate", "petshop", "--output", "/dev/full", says=["/dev/full"])
    assert os.listdir(".") == []


cli.main(globals())
