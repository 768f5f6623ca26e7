#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""forage policies as a user meets it."""
import cli
from cli import forage, refused


def test_policies():
    policies = forage("policies", "--json").json()["policies"]
    names = [policy["name"] for policy in policies]
    assert names == sorted(names)
    assert {"greedy", "epsilon-greedy", "ucb", "thompson", "softmax", "squarecb", "explore-first", "random"} <= set(names)
    listed = forage("policies").out
    for policy in policies:
        assert forage("policies", policy["name"], "--json").json() == policy
        text = forage("policies", policy["name"]).out
        assert policy["name"] in listed and policy["summary"] in listed and policy["summary"] in text
        assert policy["version"] >= 1 and set(policy["needs"]) <= {"mean", "deviation", "draws", "estimated"}
        for param in policy["parameters"]:
            assert "--" + param["name"] in text and param["doc"] in text
            assert {"type", "default", "doc"} <= set(param)
    assert next(policy for policy in policies if policy["name"] == "random")["needs"] == []


def test_misuse():
    refused("policies", "no-such", says=["no-such", "squarecb", "thompson"], code=2)
    refused("policies", "ucb", "greedy", code=2)
    refused("policies", "--yaml", says=["--yaml"], code=2)


cli.main(globals())
