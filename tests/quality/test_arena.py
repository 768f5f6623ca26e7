#!/usr/bin/python3 -B
"""How well agents do, with fixed seeds: floors with room for noise. docs/arena.md has the figures themselves.

Regret and all that follows from it is free of the noise of clicking; what is left is that of visitors and exploration. Floors are set two
standard errors or more beyond what was measured.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))

import cli
from cli import forage

LEARNERS = ["linucb"]


def play(environment, agents, *options, seeds=5):
    return forage("arena", environment, "--agents", ",".join(agents), "--seeds", seeds, "--json", *options).json()["agents"]


def at_most(what, value, limit):
    print("# %s: %.4g, at most %.4g" % (what, value, limit))
    assert value <= limit, "%s: %.6g, but at most %.6g was expected" % (what, value, limit)


def test_petshop():
    """1,000 users, 200,000 visits, nothing known beforehand."""
    agents = play("petshop", ["random", "bayes", "oracle", *LEARNERS])
    bayes = agents["bayes"]["regret"]
    assert 1700 < bayes < 2300 and agents["oracle"]["regret"] == 0
    at_most("regret of linucb", agents["linucb"]["regret"], 4400)
    best = min(agents[name]["regret"] for name in LEARNERS)
    at_most("the best learner's regret over that of bayes", best / bayes, 2.4)
    for name in LEARNERS:
        at_most("growth of regret, " + name, agents[name]["exponent"], 0.9)


def test_new_users():
    """Half of the visits are by users never seen before."""
    agents = play("new-users", ["bayes", *LEARNERS])
    at_most("visits of a new user until 90 %, bayes", agents["bayes"]["visits_to_90"], 14)
    at_most("regret in the first 60 visits, bayes", agents["bayes"]["first60"], 2.1)
    best = min(LEARNERS, key=lambda name: agents[name]["first60"])
    at_most("visits of a new user until 90 %, " + best, agents[best]["visits_to_90"], 16)
    at_most("regret in the first 60 visits, " + best, agents[best]["first60"], 2.6)
    assert all(agents[name]["reached_90"] == 1 for name in LEARNERS)


def test_changes():
    """Puppies grow up; a tenth of the catalogue is launched: learners are back at 95 % of their share of the oracle."""
    for environment in ("drift",):
        agents = play(environment, LEARNERS)
        for name in LEARNERS:
            back = agents[name]["recovery"][0]
            assert back["recovered"] == 1, (environment, name, back)
            at_most("visits to recover from %s, %s" % (environment, name), back["visits"], 3000)


cli.main(globals())
