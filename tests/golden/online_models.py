#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What models that learn event by event must say, computed from all lessons at once.

online_models.py > online_models.json     (NumPy 1.24, SciPy 1.10, scikit-learn 1.2)

beta-bernoulli and gaussian: posteriors from their textbook formulas, with SciPy's distributions for the deviations.
`discount` weighs each lesson by discount^(lessons after it).

logistic: the recursion with dense matrices and SciPy's root finder; and scikit-learn's regression on 4,000 lessons at
once, whose features and clicks both sides draw from default_rng(3).

bootstrap: each member's ridge regression around its own prior, from all lessons at once; how often it sees a
lesson is drawn from the same streams.

classes: a user's hidden class over time, by enumeration of all paths.
"""
import itertools
import json

import numpy as np
from scipy import optimize, stats
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

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


def contexts(rng, count, width, arms):
    x = rng.standard_normal((count, width)).round(3).astype(np.float32).astype(float)
    chosen = rng.integers(0, arms, count)
    rewards = (rng.random(count) < expit(x[:, 0] + chosen - 0.5)).astype(float)
    rewards[::9] = 0.25
    return x, chosen, rewards, np.where(rng.random(count) < 0.2, 2.5, 1.0)


def logistic(rng, ridge, discount, count):
    width, arms = 3, 2
    x, chosen, rewards, weights = contexts(rng, count, width, arms)
    mean, precision = np.zeros((arms, width)), np.array([np.eye(width) * ridge] * arms)
    for v, arm, r, w in zip(x, chosen, rewards, weights):
        precision[arm] *= discount
        g = np.linalg.solve(precision[arm], v)
        a, s = v @ mean[arm], v @ g
        t = optimize.brentq(lambda t: t - w * (r - expit(a + s * t)), -w, w, xtol=1e-15, rtol=1e-14)
        p = expit(a + s * t)
        mean[arm] += g * t
        precision[arm] += w * p * (1 - p) * np.outer(v, v)
        before = precision[arm] @ mean[arm]
        precision[arm] += (1 - discount) * ridge * np.eye(width)
        mean[arm] = np.linalg.solve(precision[arm], before)
    question = rng.standard_normal(width).round(3).astype(np.float32).astype(float)
    answers = []
    for arm in range(arms):
        a, s = question @ mean[arm], question @ np.linalg.solve(precision[arm], question)
        kappa = 1 / np.sqrt(1 + np.pi * s / 8)
        p = expit(kappa * a)
        answers.append([p, p * (1 - p) * kappa * np.sqrt(s)])
    return {"model": "logistic", "params": {"ridge": ridge, "discount": discount}, "seed": 0, "features": x.tolist(),
            "arms": chosen.tolist(), "rewards": rewards.tolist(), "weights": weights.tolist(),
            "question": question.tolist(), "answers": answers}


def poisson(u):
    n, mass = 0, np.exp(-1.0)
    while u >= mass and n < 20:
        u -= mass
        n += 1
        mass /= n
    return n


def bootstrap(rng, seed, members, ridge, prior, count):
    width, arms = 3, 2
    x, chosen, rewards, weights = contexts(rng, count, width, arms)
    rewards = (rewards * 4 - 1).round(2).astype(np.float32).astype(float)
    times = np.empty((count, members))
    for i in range(count):
        own = np.random.default_rng(np.random.SeedSequence(seed ^ ((i + 1) << 24), spawn_key=(2**32 - 1,)))
        times[i] = [poisson(own.random()) for _ in range(members)]
    question = rng.standard_normal(width).round(3).astype(np.float32).astype(float)
    answers = []
    for arm in range(arms):
        values = []
        for m in range(members):
            stream = np.random.SeedSequence(seed, spawn_key=(arm * members + m,))
            start = prior / np.sqrt(ridge) * np.random.default_rng(stream).standard_normal(width)
            w = weights * times[:, m] * (chosen == arm)
            precision = ridge * np.eye(width) + (x * w[:, None]).T @ x
            values.append(question @ np.linalg.solve(precision, ridge * start + x.T @ (w * rewards)))
        answers.append([np.mean(values), np.std(values, ddof=1)])
    return {"model": "bootstrap", "params": {"members": members, "ridge": ridge, "prior": prior}, "seed": seed,
            "features": x.tolist(), "arms": chosen.tolist(), "rewards": rewards.tolist(), "weights": weights.tolist(),
            "question": question.tolist(), "answers": answers}


def scikit(ridge):
    rng = np.random.default_rng(3)
    truth = np.array([0.5, -1.0, 0.25, 0.0, 2.0])
    x, y = np.empty((4000, 5)), np.empty(4000)
    for i in range(4000):
        x[i] = rng.standard_normal(5).astype(np.float32)
        y[i] = rng.random() < expit(x[i] @ truth)
    fitted = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-10, max_iter=1000).fit(x, y)
    return {"ridge": ridge, "truth": truth.tolist(), "weights": fitted.coef_[0].tolist()}


def hidden_classes(rng, hazard):
    k, arms, length = 3, 4, 6
    rate, share = rng.beta(1, 1, (arms, k)), rng.dirichlet(np.ones(k))
    arm, reward = rng.integers(0, arms, length), rng.choice([0.0, 1.0, 0.25], length)
    weight = np.where(reward == 0.25, 8.0, 1.0)
    rate, share = rate.astype(np.float32).astype(float), share.astype(np.float32).astype(float)
    change = (1 - hazard) * np.eye(k) + hazard * share[None, :]
    total, belief, same = 0.0, np.zeros((length, k)), np.zeros(length)
    for path in itertools.product(range(k), repeat=length):
        p = share[path[0]] * np.prod([change[i, j] for i, j in zip(path, path[1:])])
        p *= np.prod([rate[a, c]**(w * r) * (1 - rate[a, c])**(w * (1 - r))
                      for a, c, r, w in zip(arm, path, reward, weight)])
        total += p
        for i, c in enumerate(path):
            belief[i, c] += p
            same[i] += p * (c == path[-1])
    return {"hazard": hazard, "rate": rate.tolist(), "share": share.tolist(), "arm": arm.tolist(),
            "reward": reward.tolist(), "weight": weight.tolist(), "evidence": np.log(total),
            "belief": (belief / total).tolist(), "same": (same / total).tolist()}


def main():
    rng = np.random.default_rng(7)
    cases = [beta(rng, 1, 1, 1, 0), beta(rng, 1, 1, 1, 1), beta(rng, 0.5, 3.25, 1, 60), beta(rng, 2, 1, 0.9, 60),
             gaussian(rng, 0, 1, 1, 2, False, 1, 0), gaussian(rng, 0, 1, 1, 2, False, 1, 60),
             gaussian(rng, -3.5, 0.25, 2, 5, False, 0.95, 60), gaussian(rng, 1.5, 2, 3, 1, True, 1, 60)]
    heads = [logistic(rng, 1, 1, 1), logistic(rng, 0.5, 1, 60), logistic(rng, 2, 0.9, 60),
             bootstrap(rng, 5, 2, 1, 1, 0), bootstrap(rng, 5, 7, 0.5, 2, 40), bootstrap(rng, 6, 3, 1, 0, 40)]
    paths = [hidden_classes(rng, hazard) for hazard in (0, 0.01, 0.3)]
    everything = {"cases": cases, "heads": heads, "scikit": scikit(1), "classes": paths}
    print(json.dumps(everything).replace('{"model"', '\n{"model"').replace('{"hazard"', '\n{"hazard"'))


if __name__ == "__main__":
    main()
