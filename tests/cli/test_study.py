#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""forage study and forage report as a user meets them."""
import html.parser
import json
import os
import pathlib
import shutil
import signal
import subprocess

import cli
from cli import forage, refused

DATA = pathlib.Path(os.environ.get("FORAGE_DATA", cli.SOURCE / "../shared/data"))
QUICK = ("--seeds", 1)  # one world in each experiment: intervals are missing, everything else is there
CHARTS = ["loss", "personas", "calibration", "new-users", "new-products", "drift", "feedback-loop"]
CHARTS_2 = ["regret", "greedy", "personas", "newcomers", "anna", "changes", "own-traffic", "other-shops"]
CHARTS_3 = ["life", "excess", "sessions", "order"]
CHARTS_4 = ["degrees", "layers", "map-users", "map-products", "logs", "few-clicks"]
HAVE_GNUPLOT = shutil.which("gnuplot") is not None


class Page(html.parser.HTMLParser):
    """What a page loads, and its text."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.text, self.figures, self.labels = [], "", 0, []
        self.feed(pathlib.Path(path).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert tag not in ("script", "link", "img", "iframe", "object"), tag
        self.loads += [value for name, value in attributes.items() if name in ("src", "srcset", "data")]
        self.figures += tag == "figure"
        if tag == "svg" and attributes.get("role") == "img":
            self.labels.append(attributes["aria-label"])

    def handle_data(self, data):
        self.text += data


def test_the_chapter():
    result = forage("study", "--chapter", 1, "--output", "report", *QUICK)
    assert result.out.rstrip().splitlines()[-1] == "The report: report/index.html"
    page = Page("report/index.html")
    assert page.figures == len(CHARTS) and page.loads == []
    assert "21.0\u00a0%" in page.text and "53.0\u00a0%" in page.text and "0.3997" in page.text
    expected = ["%s.csv" % name for name in CHARTS] + ["results.json"]
    if HAVE_GNUPLOT:
        expected += ["%s.%s" % (name, kind) for name in CHARTS for kind in ("svg", "png")]
        assert len(page.labels) == 2 * len(CHARTS) and all(page.labels)
    assert sorted(os.listdir("report/chapter-1")) == sorted(expected)
    numbers = json.loads(pathlib.Path("report/chapter-1/results.json").read_text(encoding="utf-8"))
    assert numbers["log"]["clicks"] == 42021 and numbers["seed"] == 42
    assert abs(numbers["metrics"]["oracle_log_loss"] - 0.39973) < 5e-6
    assert numbers["metrics"]["log_loss"] < numbers["metrics"]["base_log_loss"]


def test_all_chapters():
    """One page, with the chapters one after the other; numbers of all in the JSON."""
    result = forage("study", "--output", "both", "--visits", 2000, "--json", *QUICK)
    numbers = result.json()
    assert numbers["chapter1"]["chapter"] == 1 and numbers["chapter2"]["chapter"] == 2
    agents = numbers["chapter2"]["shop"]["agents"]
    assert abs(agents["oracle"]["regret"]) < 1e-6 < agents["linucb"]["regret"]
    page = Page("both/index.html")
    assert page.figures == len(CHARTS) + len(CHARTS_2) + len(CHARTS_3) + len(CHARTS_4) and page.loads == []
    assert "What Anna saw" in page.text and "The same numbers again" in page.text
    assert "Beyond chance" not in page.text and "With a single world" in page.text
    assert {"%s.csv" % name for name in CHARTS_2} < set(os.listdir("both/chapter-2"))
    assert {"%s.csv" % name for name in CHARTS_3} < set(os.listdir("both/chapter-3"))
    assert {"%s.csv" % name for name in CHARTS_4} < set(os.listdir("both/chapter-4"))
    assert numbers["chapter3"]["new_users"]["visits"] == 2000 and len(numbers["chapter3"]["intents"]["visit"]) == 20
    crowd = {arm["name"]: arm["click_rate"] for arm in numbers["chapter4"]["crowd"]["arms"]}
    assert numbers["chapter4"]["crowd"]["visits"] == [10, 20, 40, 80]
    assert crowd["no graph"][1]["value"] < crowd["lightgcn"][1]["value"] < crowd["oracle"][1]["value"]
    assert len(numbers["chapter4"]["customers"]) == 4


def test_the_graph_chapter():
    """Alone, on another shop; its options say what gives the same numbers again."""
    scenario = forage("simulate", "--show", "petshop").out.replace("fish_hobbyist: {", "aquarist: {")
    pathlib.Path("other.yaml").write_text(scenario)
    result = forage("study", "--chapter", 4, "--scenario", "other.yaml", "--seed", 3, "--output", "graph", *QUICK)
    assert "after 1 click" in result.out and result.out.rstrip().endswith("The report: graph/index.html")
    page = Page("graph/index.html")
    assert page.figures == len(CHARTS_4) and page.loads == []
    assert "aquarist" in page.text and "fish_hobbyist" not in page.text
    assert "forage study --scenario other.yaml --chapter 4 --seed 3 --seeds 1" in page.text


def test_the_session_chapter():
    """Alone, with logs too short to learn much from."""
    result = forage("study", "--chapter", 3, "--visits", 1000, "--seed", 3, "--output", "moment", *QUICK)
    assert "from visit 21 on" in result.out and result.out.rstrip().endswith("The report: moment/index.html")
    page = Page("moment/index.html")
    assert page.figures == len(CHARTS_3) and page.loads == []
    assert "An aquarium for the dog owner" in page.text
    assert "forage study --chapter 3 --seed 3 --visits 1000 --seeds 1" in page.text


def test_json_and_no_gnuplot():
    result = forage("study", "--chapter", 1, "--json", "--gnuplot", "no-such-gnuplot", "--output", "r", *QUICK)
    numbers = result.json()
    assert numbers["chapter"] == 1 and 0.40 < numbers["metrics"]["log_loss"] < 0.44
    assert "apt-get install gnuplot-nox" in result.err
    page = Page("r/index.html")
    assert "gnuplot-nox" in page.text and page.labels == [] and page.figures == len(CHARTS)


def test_refusals():
    refused("study", "--chapter", 5, says=["chapter 5", "1 to 4"], code=2)
    refused("study", "--chapter", 3, "--visits", 10, "--quiet", says=["at least 1000"], code=2)
    refused("study", "--chapter", 4, "--seeds", 51, "--quiet", says=["at most 50"], code=2)
    refused("study", "--chapter", 1, "--scenario", "nowhere.yaml", "--quiet", says=["nowhere.yaml"])
    refused("study", "--model", "nothing", "--quiet", says=["nothing"])
    refused("report", "popular", says=["--data"], code=2)
    refused("report", "--data", "x", says=["MODEL --data"], code=2)
    refused("report", "popular", "--data", "missing.csv", "--quiet", says=["missing.csv"])
    assert os.listdir(".") == []


def small_log(path="log.csv"):
    forage("simulate", "petshop", "--users", 100, "--interactions", 5000, "--output", path)


def test_a_log_of_ones_own():
    small_log()
    result = forage("report", "embedding-mlp", "--data", "log.csv", "--epochs", 3, "--layers", "16,8", "--output", "r")
    assert "AUC" in result.out and result.out.rstrip().endswith("The report: r/index.html")
    page = Page("r/index.html")
    assert "5,000" in page.text and "random:0.2:0" in page.text
    assert "forage report embedding-mlp --data log.csv --epochs 3 --layers 16,8 --output r" in page.text
    assert Page("r/index.html").loads == []
    numbers = json.loads(pathlib.Path("r/log/results.json").read_text(encoding="utf-8"))
    assert len(numbers["training"]["validation_loss"]) == 3 and numbers["ranking"]["k"] == 20


def test_unwritable_folder():
    small_log()
    pathlib.Path("taken").write_text("")
    result = forage("report", "popular", "--data", "log.csv", "--output", "taken", "--quiet", code=1)
    assert "taken" in result.err and "folder" in result.err
    pathlib.Path("r").mkdir()
    os.symlink("/dev/full", "r/index.html")
    result = forage("report", "popular", "--data", "log.csv", "--output", "r", "--quiet", code=1)
    assert "No space left" in result.err


def test_real_impressions():
    folder = DATA / "obd/random/men"
    if not folder.exists():
        print("# skipped: no %s" % folder)
        return
    result = forage("report", "embedding-mlp", "--data", folder / "men.csv", "--item-attributes", folder / "item_context.csv",
                    "--fields", "all", "--split", "time:0.2", "--output", "r", "--json").json()
    assert result["rows"] == 10000 and result["items"] == 34 and result["users"] == 0
    assert [group["name"] for group in result["breakdowns"][0]["groups"]] == ["1", "2", "3"]
    assert {"position", "item_feature_1", "user_feature_0"} <= set(result["fields"])
    assert abs(result["propensity"][0] - 1 / 34) < 1e-6
    assert sum(group["positives"] for group in result["breakdowns"][0]["groups"]) == result["positives"]


def test_interrupted():
    """Ctrl-C ends it at once, without a report."""
    with subprocess.Popen([cli.PROGRAM, "study", "--chapter", "1", "--output", "r", "--seeds", "20"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as run:
        try:
            run.communicate(timeout=1.5)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
        assert run.returncode == 1, run.returncode
    assert os.listdir(".") == []


cli.main(globals())
