#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logs of odd scenarios, made by a plain NumPy simulator, as SHA-256.

scenario_logs.py > scenario_logs.json     (NumPy 1.24)

The same steps as the notebook's simulator, for any categories and personas:
sizes that do not divide, one user, one product, names that CSV has to quote,
click rates of 0 (which draw nothing) and 1.
"""
import csv
import hashlib
import io
import json

import numpy as np

PETS = {
    "categories": ["Fish Supplies", "Cat Food", "Dog Food", "Dog Toy", "Cat Toy"],
    "personas": {
        "new_puppy_parent": {"Dog Food": 0.40, "Dog Toy": 0.50, "Cat Food": 0.10, "Cat Toy": 0.05, "Fish Supplies": 0.02},
        "cat_connoisseur": {"Dog Food": 0.05, "Dog Toy": 0.02, "Cat Food": 0.55, "Cat Toy": 0.45, "Fish Supplies": 0.05},
        "budget_shopper": {"Dog Food": 0.25, "Dog Toy": 0.15, "Cat Food": 0.40, "Cat Toy": 0.20, "Fish Supplies": 0.20},
        "fish_hobbyist": {"Dog Food": 0.02, "Dog Toy": 0.02, "Cat Food": 0.10, "Cat Toy": 0.08, "Fish Supplies": 0.60},
    },
    "trials": ["new_puppy_parent", "Dog Toy", "Cat Toy"],
}
ODD = {
    "categories": ['a "quoted" name', "one, two", "plain", "never named", "großes Wort"],
    "personas": {
        "certain": {"plain": 1, "one, two": 0},
        "never": {"plain": 0, "one, two": 0, 'a "quoted" name': 0, "never named": 0, "großes Wort": 0},
        "often": {"plain": 0.97, "one, two": 0.51, 'a "quoted" name': 1e-9, "never named": 0.999999999},
    },
    "trials": ["often", "plain", "one, two"],
}
ONE = {"categories": ["only"], "personas": {"all": {"only": 0.25}}, "trials": ["all", "only", "only"]}

# scenario, seed, products, users, interactions, trials
CASES = [
    (PETS, 0, 3, 1, 500, 10), (PETS, 1, 1, 2000, 3000, 5), (PETS, 2**64 - 1, 4, 3, 1000, 7), (PETS, 2**32, 54, 999, 5000, 0),
    (PETS, 5, 70000, 66000, 9000, 3), (PETS, 9, 2, 2, 100, 100), (ODD, 42, 53, 100, 20000, 50), (ODD, 6, 5, 7, 4097, 1),
    (ODD, 2**40 + 7, 3, 1, 300, 4), (ONE, 7, 10, 10, 1000, 20), (ONE, 7, 1, 1, 1000, 20), (PETS, 123, 3000, 4096, 0, 1),
]


def simulate(scenario, seed, products, users, interactions, trials):
    """Returns the log as CSV, and how often the two products of the trials were clicked."""
    categories, personas = scenario["categories"], scenario["personas"]
    rng = np.random.default_rng(seed)
    listed = [category for category in categories for _ in range(products // len(categories))]
    listed.extend(rng.choice(categories, products - len(listed)))
    category_of = [str(category) for category in rng.permutation(listed)]
    persona_of = [str(rng.choice(list(personas))) for _ in range(users)]

    def click(user, product):
        known = 0 <= user < users and 0 <= product < products
        return int(rng.binomial(1, personas[persona_of[user]].get(category_of[product], 0.01) if known else 0.0))

    persona, high, low = scenario["trials"]
    user = persona_of.index(persona) if persona in persona_of else -1
    exist = high in category_of and low in category_of
    pair = (category_of.index(high), category_of.index(low)) if exist else (3, 4)
    clicks = [0, 0]
    for _ in range(trials):
        for i in range(2):
            clicks[i] += click(user, pair[i])
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["user_id", "product_id", "clicked", "category"])
    for _ in range(interactions):
        user, product = int(rng.integers(0, users)), int(rng.integers(0, products))
        rows.writerow([user, product, click(user, product), category_of[product]])
    return out.getvalue(), clicks


def main():
    result = []
    for scenario, *numbers in CASES:
        log, clicks = simulate(scenario, *numbers)
        persona, high, low = scenario["trials"]
        result.append({
            "yaml": "\n".join([
                "products: 1", "users: 1", "categories: " + json.dumps(scenario["categories"]),
                "personas: " + json.dumps(scenario["personas"]),
                "preliminary_trials: " + json.dumps({"persona": persona, "high_category": high, "low_category": low,
                                                     "high_product": 3, "low_product": 4})]),
            "seed": str(numbers[0]), "products": numbers[1], "users": numbers[2], "interactions": numbers[3],
            "trials": numbers[4], "high_clicks": clicks[0], "low_clicks": clicks[1],
            "sha256": hashlib.sha256(log.encode()).hexdigest()})
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
