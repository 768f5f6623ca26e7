#!/usr/bin/env python3
"""What models that learn event by event must say, computed from all lessons at once.

online_models.py > online_models.json     (NumPy 1.24, SciPy 1.10, scikit-learn 1.2)

beta-bernoulli and gaussian: posteriors from their textbook formulas, with SciPy's distributions for the deviations.
`discount` weighs each lesson by discount^(lessons after it).
"""
import json

import numpy as np
from scipy import stats

ARMS = 3


def lessons(rng, count, unit):
    arms = rng.integers(0, ARMS, count)
    rewards = rng.random(count).round(3) if unit else (rng.standard_normal(count) * 3 + arms * 2 - 1).round(3)
    if unit:
        rewards[::2] = rewards[::2] < 0.3 + 0.2 * arms[::2]
    weights = np.where(rng.random(count) < 0.2, 2.5, 1.0)
    return arms, rewards.astype(np.float32).astype(float), weights


def case(model, params, arms, rewards, weights, answers):
    return {"model": model, "params": params, "arms": arms.tolist(), "rewards": rewards.tolist(),
            "weights": weights.tolist(), "answers": answers}


def beta(rng, a, b, discount, count):
    arms, rewards, weights = lessons(rng, count, True)
    today = weights * discount ** np.arange(count - 1, -1, -1)
    answers = []
    for arm in [*range(ARMS), -1]:
        mine = today * (arms == arm)
        posterior = stats.beta(a + (mine * rewards).sum(), b + (mine * (1 - rewards)).sum())
        answers.append([posterior.mean(), posterior.std()])
    return case("beta-bernoulli", {"a": a, "b": b, "discount": discount}, arms, rewards, weights, answers)


def gaussian(rng, mean, strength, noise, certainty, known, discount, count):
    arms, rewards, weights = lessons(rng, count, False)
    today = weights * discount ** np.arange(count - 1, -1, -1)
    answers = []
    for arm in [*range(ARMS), -1]:
        mine = today * (arms == arm)
        n = mine.sum()
        average = (mine * rewards).sum() / n if n else 0.0
        k = strength + n
        centre = (strength * mean + n * average) / k
        if known:
            posterior = stats.norm(centre, noise / np.sqrt(k))
        else:  # Murphy (2007), equations 86 to 89: around the average, not around the prior's mean
            alpha = 1 + certainty / 2 + n / 2
            rate = (noise**2 * certainty / 2 + 0.5 * (mine * (rewards - average) ** 2).sum()
                    + strength * n * (average - mean) ** 2 / (2 * k))
            posterior = stats.t(2 * alpha, centre, np.sqrt(rate / (alpha * k)))
        answers.append([posterior.mean(), posterior.std()])
    params = {"mean": mean, "strength": strength, "noise": noise, "certainty": certainty,
              "known-noise": "true" if known else "false", "discount": discount}
    return case("gaussian", params, arms, rewards, weights, answers)


def main():
    rng = np.random.default_rng(7)
    cases = [beta(rng, 1, 1, 1, 0), beta(rng, 1, 1, 1, 1), beta(rng, 0.5, 3.25, 1, 60), beta(rng, 2, 1, 0.9, 60),
             gaussian(rng, 0, 1, 1, 2, False, 1, 0), gaussian(rng, 0, 1, 1, 2, False, 1, 60),
             gaussian(rng, -3.5, 0.25, 2, 5, False, 0.95, 60), gaussian(rng, 1.5, 2, 3, 1, True, 1, 60)]
    print(json.dumps({"cases": cases}, indent=None).replace('{"model"', '\n{"model"'))


if __name__ == "__main__":
    main()
