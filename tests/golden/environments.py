#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plays of the built-in scenarios by a plain NumPy shop, with the oracle and with Bayes' rule.

environments.py > environments.json     (NumPy 1.24, PyYAML)

Written from docs/simulator.md alone: the shop's catalogue and population as in scenario_logs.py, what changes with
time, and one stream of the play's seed for each purpose: 0 visitors, 1 luck, 2 tastes, 3 delays, 5 intents.
"""
import json
import math
import pathlib

import numpy as np
import yaml

SCENARIOS = pathlib.Path(__file__).resolve().parents[2] / "src/sim/scenarios"
# scenario, seed of the play, what is overruled
CASES = [
    ("petshop", 0, {"interactions": 20000}), ("petshop", 7, {"interactions": 200000}),
    ("new-users", 1, {"interactions": 20000}), ("new-items", 2, {"interactions": 20000, "seed": 5}),
    ("drift", 3, {"interactions": 20000}), ("feedback-loop", 4, {"interactions": 5000, "products": 77}),
    ("slate", 5, {"interactions": 5000, "users": 100}), ("delayed", 6, {"interactions": 20000, "users": 300}),
    ("large", 8, {"interactions": 2000, "users": 3000, "products": 5000}),
    ("intents", 9, {"interactions": 20000}), ("sessions", 9, {"interactions": 20000, "users": 300}),
    # sessions with all else: newcomers, some users who come often, drift, news that arrives late
    ("intents", 10, {"interactions": 20000, "users": 60, "sessions": {"visits": 7, "active": 5, "change": 0.2},
                     "intents": {"aquarium": {"Fish Supplies": 0.9}, "cat": {"Cat Food": 0.7, "Dog Toy": 0.0}},
                     "arrivals": {"share": 0.3, "visits": 15, "active": 8}, "activity": 1.0,
                     "positions": [1.0, 0.5], "appeal": {"low": 0.7, "high": 1.2},
                     "drift": [{"per_visit": 0.001}, {"at": 0.5, "from": "fish_hobbyist", "share": 0.5}],
                     "delay": {"most": 50, "never": 0.1}}),
]


def stream(seed, number):
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def visit_at(at, visits):
    return int(at * visits) if at < 1 else int(at)


def latent(spec):
    departments, each, personas, rank = (spec[k] for k in ("departments", "categories", "personas", "tastes"))
    rng = np.random.default_rng(spec["seed"])
    taste = rng.standard_normal((personas, rank))
    character = rng.standard_normal((departments, rank))
    own = rng.standard_normal((departments * each, rank))
    own = (own + np.repeat(character, each, axis=0)) * math.sqrt(0.5)
    logit = math.log(spec["rate"] / (1 - spec["rate"])) + spec["spread"] * (taste @ own.T) / math.sqrt(rank)
    return 1 / (1 + np.exp(-logit))


class Shop:
    def __init__(self, scenario):
        self.s = s = scenario
        self.visits, self.items, self.regulars = s["interactions"], s["products"], s["users"]
        if "latent" in s:
            self.rates = latent(s["latent"])
        else:
            self.personas = list(s["personas"])
            self.rates = np.array([[s["personas"][p].get(c, s["default_rate"]) for c in s["categories"]]
                                   for p in self.personas])
        people, categories = self.rates.shape
        rng = np.random.default_rng(s["seed"])
        listed = [c for c in range(categories) for _ in range(self.items // categories)]
        listed.extend(rng.choice(categories, self.items - len(listed)))
        self.category = rng.permutation(np.array(listed))
        self.persona = [int(rng.choice(people)) for _ in range(self.regulars)]
        self.open_assortment(stream(s["seed"], 1))
        self.open_tastes()
        self.examination = np.array(s.get("positions", [1.0]), dtype=float)
        weights = np.arange(1, self.regulars + 1, dtype=float) ** -s.get("activity", 0.0)
        self.activity = np.cumsum(weights) / np.cumsum(weights)[-1] if s.get("activity", 0) > 0 else None

    def open_assortment(self, rng):
        launches, left, epochs = self.s.get("launches", []), self.items, []
        for launch in reversed(launches):
            epochs.insert(0, (visit_at(launch["at"], self.visits), left, launch.get("appeal")))
            left -= int(launch["share"] * self.items + 0.5)
        epochs.insert(0, (0, left, None))
        appeal, common = [], self.s.get("appeal", {"low": 1.0, "high": 1.0})
        for _, until, own in epochs:
            span, count = own or common, until - len(appeal)
            values = [span["low"] + (span["high"] - span["low"]) * (i + 0.5) / count for i in range(count)]
            appeal.extend(rng.permutation(np.array(values)))
        self.appeal = np.array(appeal, dtype=np.float32).astype(float)
        self.epochs = [(visit, until) for visit, until, _ in epochs]

    def open_tastes(self):
        """tastes[persona, intent] is a row of click rates; intent 0 is none."""
        s, people = self.s, len(self.rates)
        named = list(s.get("intents", {}).values())
        share = s.get("sessions", {}).get("intent", 1.0)
        self.prior = np.array([1.0 - share] + [share / len(named)] * len(named)) if named else np.ones(1)
        self.tastes = np.repeat(self.rates[:, None, :], 1 + len(named), axis=1)
        for i, rates in enumerate(named):
            for category, rate in rates.items():
                self.tastes[:, 1 + i, s["categories"].index(category)] = rate
        assert len(self.tastes) == people

    def rate(self, persona, intent, item):
        return min(1.0, self.tastes[persona, intent, self.category[item]] * self.appeal[item])

    def on_sale(self, visit):
        return [until for start, until in self.epochs if start <= visit][-1]

    def slate(self, value, visit):
        """The best slate when a category is worth value[category]; the first of equals first."""
        worth = value[self.category[:self.on_sale(visit)]] * self.appeal[:self.on_sale(visit)]
        return np.argsort(-worth, kind="stable")[:len(self.examination)]


class Play:
    """People, tastes, luck and delays; what they do does not depend on what is shown."""

    def __init__(self, shop, seed):
        self.shop = shop
        self.visitors, self.luck, self.tastes, self.delays = (stream(seed, n) for n in range(4))
        self.intents = stream(seed, 5)
        self.persona, self.seen = list(shop.persona), [0] * shop.regulars
        self.arrivals = shop.s.get("arrivals")
        rules = shop.s.get("drift", [])
        number = {name: i for i, name in enumerate(getattr(shop, "personas", []))}
        for rule in rules:
            rule["from"], rule["to"] = (number.get(rule.get(k)) for k in ("from", "to"))
        self.slow = [r for r in rules if "per_visit" in r]
        self.sudden = sorted((r for r in rules if "per_visit" not in r), key=lambda r: visit_at(r["at"], shop.visits))
        self.changed = []  # rules that took effect at this visit
        self.active = [self.arrive() for _ in range(self.arrivals["active"])] if self.arrivals else []
        self.session, self.about = shop.s.get("sessions"), []  # each about is [user, visits to come, visits so far, intent]
        if self.session:
            for i in range(self.session["active"]):
                self.about.append(self.begin(1 + int(i / self.session["active"] * self.session["visits"])))

    def begin(self, visits):
        return [self.visitor(), visits, 0, self.draw_intent()]

    def draw_intent(self):
        named = len(self.shop.prior) - 1
        if named and self.intents.random() < self.session.get("intent", 1.0):
            return 1 + int(self.intents.integers(named))
        return 0

    def busy(self, user):
        return any(user == other[0] for other in self.about if other)

    def goes_on(self):
        """The session that the next visit belongs to."""
        place = int(self.visitors.integers(self.session["active"]))
        session = self.about[place]
        if session[2] == session[1]:
            self.about[place] = None
            session = self.about[place] = self.begin(self.session["visits"])
        elif session[2] > 0 and self.session.get("change", 0) > 0 and self.intents.random() < self.session["change"]:
            session[3] = self.draw_intent()
        session[2] += 1
        return session

    def arrive(self):
        self.persona.append(int(self.tastes.integers(len(self.shop.rates))))
        self.seen.append(0)
        return len(self.persona) - 1

    def change(self, user, rule):
        people = len(self.shop.rates)
        if rule["to"] is not None:
            self.persona[user] = rule["to"]
        elif people > 1:
            self.persona[user] = (self.persona[user] + 1 + int(self.tastes.integers(people - 1))) % people

    def concerns(self, user, rule):
        return rule["from"] is None or rule["from"] == self.persona[user]

    def newcomer(self):
        place = int(self.visitors.integers(self.arrivals["active"]))
        while self.busy(self.active[place]):
            place = (place + 1) % self.arrivals["active"]
        user = self.active[place]
        index, stay = user - self.shop.regulars, self.arrivals["visits"]
        if index < self.arrivals["active"]:
            stay = 1 + int(index / self.arrivals["active"] * self.arrivals["visits"])
        if self.seen[user] >= stay:
            user = self.active[place] = self.arrive()
        return user

    def regular(self):
        if self.shop.activity is None:
            user = int(self.visitors.integers(self.shop.regulars))
        else:
            user = int(np.searchsorted(self.shop.activity, self.visitors.random(), side="right"))
        while self.busy(user):
            user = (user + 1) % self.shop.regulars
        return user

    def visitor(self):
        fresh = self.arrivals and self.visitors.random() < self.arrivals["share"]
        return self.newcomer() if fresh else self.regular()

    def visit(self, number):
        self.changed = []
        while self.sudden and visit_at(self.sudden[0]["at"], self.shop.visits) <= number:
            rule = self.sudden.pop(0)
            self.changed.append(rule)
            for user in range(len(self.persona)):
                if self.concerns(user, rule) and self.tastes.random() < rule["share"]:
                    self.change(user, rule)
        session = self.goes_on() if self.session else None
        user = session[0] if session else self.visitor()
        if self.slow:
            draw = self.tastes.random()
            for rule in self.slow:
                if self.concerns(user, rule):
                    if draw < rule["per_visit"]:
                        self.change(user, rule)
                        break
                    draw -= rule["per_visit"]
        self.seen[user] += 1
        delay, draws, late = self.shop.s.get("delay", {}), [], []
        for _ in self.shop.examination:
            draws.append(self.luck.random())
            never = delay.get("never", 0) > 0 and self.delays.random() < delay["never"]
            after = 0
            if delay.get("most", 0) > 0:
                after = min(int((delay["most"] + 1.0) ** self.delays.random()) - 1, delay["most"])
            late.append(None if never else after)
        intent, first = (session[3], session[2] == 1) if session else (0, False)
        return user, intent, first, draws, late


class Bayes:
    def __init__(self, shop, play):
        self.shop, self.play = shop, play
        people = len(shop.rates)
        self.share = np.zeros(people)
        for persona in shop.persona:
            self.share[persona] += 1.0 / shop.regulars
        self.belief = [np.outer(self.share, shop.prior).astype(np.float32) for _ in range(shop.regulars)]
        self.even = np.outer(np.full(people, 1.0 / people), shop.prior).astype(np.float32)

    def of(self, user):
        while user >= len(self.belief):
            self.belief.append(self.even.copy())
        return self.belief[user]

    def move(self, belief, rule, share):
        people, moved = len(belief), np.zeros(belief.shape)
        for p in range(people):
            leaves = belief[p].astype(float) * share
            if rule["from"] is None or rule["from"] == p:
                for q in range(people) if rule["to"] is None else []:
                    moved[q] += leaves / (people - 1) if q != p else 0.0
                if rule["to"] is not None:
                    moved[rule["to"]] += leaves
                moved[p] -= leaves
        belief += moved.astype(np.float32)

    def redraw(self, belief, share):
        """What is believed of intents, or a share of it, is what is known of them beforehand."""
        of = belief.astype(float)
        belief[:] = (1.0 - share) * of + share * of.sum(axis=1, keepdims=True) * self.shop.prior

    def choose(self, number, user, first):
        for rule in self.play.changed:
            for one in range(len(self.play.persona)):
                self.move(self.of(one), rule, rule["share"])
        for rule in self.play.slow:
            self.move(self.of(user), rule, rule["per_visit"])
        if len(self.shop.prior) > 1 and (first or self.play.session.get("change", 0) > 0):
            self.redraw(self.of(user), 1.0 if first else self.play.session["change"])
        value = np.zeros(self.shop.rates.shape[1])
        for p, row in enumerate(self.of(user)):
            for i, share in enumerate(row):
                if share >= 1e-9:
                    value += float(share) * self.shop.tastes[p, i]
        return self.shop.slate(value, number)

    def learn(self, user, item, position, click):
        rate = np.minimum(1.0, self.shop.tastes[:, :, self.shop.category[item]] * self.shop.appeal[item])
        rate = self.shop.examination[position] * rate
        belief = self.of(user).astype(float) * (rate if click else 1.0 - rate)
        if belief.sum() > 0:
            self.belief[user] = (belief / belief.sum()).astype(np.float32)


def run(name, seed, changes):
    scenario = yaml.safe_load((SCENARIOS / (name + ".yaml")).read_text())
    scenario.update(changes)
    # What options cannot overrule is kept as a scenario of its own.
    text = {"text": yaml.safe_dump(scenario, sort_keys=False)} if "sessions" in changes else {}
    shop = Shop(scenario)
    play = Play(shop, seed)
    bayes = Bayes(shop, play)
    calendar, first, told = {}, [], 0
    clicks, value, best, best_clicks = 0, 0.0, 0.0, 0
    for number in range(shop.visits):
        user, intent, begins, draws, late = play.visit(number)
        persona = play.persona[user]
        slate = bayes.choose(number, user, begins)
        ideal = shop.slate(shop.tastes[persona, intent], number)
        for k, (item, other) in enumerate(zip(slate, ideal)):
            p, q = (shop.examination[k] * shop.rate(persona, intent, i) for i in (item, other))
            click = bool(draws[k] < p)
            value, best, clicks, best_clicks = value + p, best + q, clicks + click, best_clicks + int(draws[k] < q)
            if late[k] is not None:
                calendar.setdefault(number + late[k], []).append((user, item, k, click))
        if number < 12:
            first.append({"user": user, "persona": persona, "items": [int(i) for i in slate],
                          "oracle": [int(i) for i in ideal]})
            if play.session:
                first[-1]["intent"] = intent
        for news in calendar.pop(number, []):
            bayes.learn(*news)
            told += 1
    return {"scenario": name, **text, "play": seed, "visits": shop.visits, "users": scenario["users"],
            "products": scenario["products"], "seed": scenario["seed"], "clicks": clicks, "value": value, "best": best,
            "oracle_clicks": best_clicks, "told": told, "first": first}


def main():
    print("[\n" + ",\n".join(json.dumps(run(*case)) for case in CASES) + "\n]")


if __name__ == "__main__":
    main()
