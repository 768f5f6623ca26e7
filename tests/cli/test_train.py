#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""forage train and forage models as a user meets them."""
import json
import os
import pathlib
import signal
import struct
import subprocess

import cli
from cli import forage, refused

DATA = pathlib.Path(os.environ.get("FORAGE_DATA", cli.SOURCE / "../shared/data"))
SMALL = ("--embedding-size", 8, "--layers", "16,8")


def shop(interactions=6000, name="log.csv"):
    forage("simulate", "petshop", "--users", 200, "--interactions", interactions, "--output", name)


def write_safetensors(path, tensors, metadata=None):
    """{name: (shape, floats)} as PyTorch's safetensors package writes it."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (shape, numbers) in tensors.items():
        piece = struct.pack("<%df" % len(numbers), *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_header(path):
    content = pathlib.Path(path).read_bytes()
    return json.loads(content[8:8 + struct.unpack("<Q", content[:8])[0]])


def test_the_documents_command():
    forage("simulate", "petshop", "--seed", 42, "--products", 50, "--users", 1000, "--interactions", 200000,
           "--preliminary-trials", 100, "--output", "log.csv")
    result = forage("train", "embedding-mlp", "--data", "log.csv", "--split", "sklearn:0.2:42", "--epochs", 10, "--seed", 0,
                    "--output", "mlp.safetensors", "--json").json()
    assert result["model"] == "embedding-mlp" and result["device"].startswith("CPU")
    assert (result["train_rows"], result["validation_rows"]) == (160000, 40000)
    assert [epoch["epoch"] for epoch in result["epochs"]] == list(range(1, 11))
    assert 0.40 < result["validation_loss"] < 0.43
    assert result["validation_loss"] == result["epochs"][9]["validation_loss"]
    header = read_header("mlp.safetensors")
    assert header["user_embedding.weight"]["shape"] == [1000, 32]
    assert header["product_embedding.weight"]["shape"] == [50, 32]
    assert header["fc1.weight"]["shape"] == [64, 64] and header["output.bias"]["shape"] == [1]
    assert set(header["__metadata__"]["forage.field.0"].split("\n")) >= {"name=user_id", "codes=1000", "numbered=true"}
    assert sorted(os.listdir(".")) == ["log.csv", "mlp.safetensors"]


def test_what_is_printed():
    shop()
    result = forage("train", "embedding-mlp", "--data", "log.csv", "--split", "random:0.2:1", "--epochs", 2, *SMALL,
                    "--output", "m.safetensors")
    for part in ("Using CPU", "user_embedding: 200 x 8", "Epoch 1/2: train loss 0.", "validation loss 0.",
                 "Saved in m.safetensors"):
        assert part in result.out, part


def test_threads_do_not_matter():
    shop()
    for threads in (1, 2, 3):
        forage("train", "embedding-mlp", "--data", "log.csv", "--epochs", 2, *SMALL, "--threads", threads, "--seed", 5,
               "--output", "m%d" % threads)
    assert pathlib.Path("m1").read_bytes() == pathlib.Path("m2").read_bytes() == pathlib.Path("m3").read_bytes()


def interrupt(arguments, with_signal, after):
    """Sends a signal when the line that begins with `after` was printed. Returns exit code and messages."""
    process = subprocess.Popen([cli.PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               encoding="utf-8")
    for line in process.stdout:
        if line.startswith(after):
            process.send_signal(with_signal)
            break
    _, messages = process.communicate(timeout=240)
    return process.returncode, messages


def test_interrupted_and_resumed():
    shop()
    command = ("train", "embedding-mlp", "--data", "log.csv", "--split", "random:0.2:1", "--epochs", 400, "--seed", 2, *SMALL)
    forage(*command, "--output", "whole")
    code, messages = interrupt((*command, "--output", "part"), signal.SIGINT, "Epoch 3/")
    assert code == 1 and "part.state" in messages and "--resume" in messages, messages
    assert not os.path.exists("part") and os.path.exists("part.state")
    # Other settings do not take the state over, and leave it alone.
    refused(*command, "--learning-rate", 0.01, "--output", "part", "--resume", says=["part.state", "learning-rate"], code=2)
    refused("train", "popular", "--data", "part.state", "--output", "other", says=["part.state"])
    result = forage(*command, "--output", "part", "--resume", "--threads", 1, "--json").json()
    assert result["resumed_from"] >= 3 and len(result["epochs"]) == 400
    assert pathlib.Path("part").read_bytes() == pathlib.Path("whole").read_bytes()
    assert not os.path.exists("part.state")


def test_killed_and_resumed():
    shop()
    command = ("train", "embedding-mlp", "--data", "log.csv", "--epochs", 400, "--seed", 2, *SMALL)
    forage(*command, "--output", "whole")
    code, _ = interrupt((*command, "--output", "part", "--checkpoint-every", 1), signal.SIGKILL, "Epoch 9/")
    assert code == -signal.SIGKILL and not os.path.exists("part")
    result = forage(*command, "--output", "part", "--resume", "--json").json()
    assert result["resumed_from"] >= 7, result["resumed_from"]
    assert pathlib.Path("part").read_bytes() == pathlib.Path("whole").read_bytes()
    # With nothing to resume from it starts afresh, to the same bytes.
    os.remove("part")
    assert "starting afresh" in forage(*command, "--output", "part", "--resume").out
    assert pathlib.Path("part").read_bytes() == pathlib.Path("whole").read_bytes()


def test_standard_output():
    """A model that goes to standard output is alone there."""
    shop()
    forage("train", "popular", "--data", "log.csv", "--output", "a.safetensors")
    told = subprocess.run([cli.PROGRAM, "train", "popular", "--data", "log.csv", "--output", "-"], capture_output=True,
                          timeout=60, check=True)
    assert told.stdout == pathlib.Path("a.safetensors").read_bytes() and b"Train loss" in told.stderr
    refused("train", "popular", "--data", "log.csv", "--output", "-", "--json", says=["--json"], code=2)
    seed = forage("train", "popular", "--data", "log.csv", "--seed", 2**64 - 1, "--output", "a.safetensors", "--json").json()["seed"]
    assert seed == str(2**64 - 1)


def test_the_log_survives():
    shop()
    log = pathlib.Path("log.csv").read_bytes()
    refused("train", "popular", "--data", "log.csv", "--output", "./log.csv", says=["log.csv", "replace"], code=2)
    assert pathlib.Path("log.csv").read_bytes() == log


def test_files_and_splits():
    """Events of the test, in a file of their own, are never mixed into training."""
    shop()
    for split in ("none", "sklearn:0.2:1", "tail:0.2"):
        refused("train", "popular", "--data", "log.csv", "--test", "log.csv", "--split", split, "--output", "a.safetensors",
                says=["files"], code=2)


def test_misuse():
    shop(100)
    refused("train", says=["MODEL"], code=2)
    refused("train", "no-such", "--data", "log.csv", "--output", "m", says=["embedding-mlp", "popular"], code=2)
    refused("train", "--data", "log.csv", "--output", "m", "popular", says=["model comes first"], code=2)
    refused("train", "popular", "--output", "m", says=["--data"], code=2)
    refused("train", "popular", "--data", "log.csv", says=["--output"], code=2)
    refused("train", "popular", "--data", "log.csv", "--output", "m", "--smoothing", -1, says=["smoothing", "0 to"], code=2)
    refused("train", "popular", "--data", "log.csv", "--output", "m", "--epochs", 3, says=["--epochs"], code=2)
    refused("train", "embedding-mlp", "--data", "log.csv", "--output", "m", "--epochs", "ten", says=["epochs"], code=2)
    refused("train", "popular", "--data", "log.csv", "--output", "m", "--threads", -1, says=["--threads"], code=2)
    refused("train", "popular", "--data", "log.csv", "--output", "m", "--device", "gpu", says=["gpu"], code=2)
    assert os.listdir(".") == ["log.csv"]


def test_bad_input():
    shop(100)
    refused("train", "popular", "--data", "no.csv", "--output", "m", says=["no.csv"])
    refused("train", "popular", "--data", "log.csv", "--output", "no/m", says=["no/m"])
    refused("train", "embedding-mlp", "--data", "log.csv", "--output", "m", "--fields", "user_id,colour",
            says=["colour", "product_id", "category"])
    refused("train", "popular", "--data", "log.csv", "--output", "m", "--split", "odd:1", says=["sklearn"], code=2)
    pathlib.Path("ratings.csv").write_text("user_id,item_id,rating\n1,2,1\n1,3,0\n2,2,4\n2,1,1\n")
    refused("train", "embedding-mlp", "--data", "ratings.csv", "--output", "m",
            says=["ratings.csv", "rating", "row 3 ", "[0, 1]"])
    pathlib.Path("pairs.csv").write_text("user_id,item_id\n1,2\n1,3\n")
    refused("train", "embedding-mlp", "--data", "pairs.csv", "--output", "m", says=["pairs.csv"])
    pathlib.Path("empty.csv").write_text("user_id,item_id,clicked\n")
    refused("train", "popular", "--data", "empty.csv", "--output", "m", says=["empty.csv"], code=1)
    assert not os.path.exists("m")


def test_checkpoint_of_pytorch():
    """No metadata: ids are row numbers, the shapes tell the rest."""
    shop()
    numbers = [((7 * i) % 13 - 6) / 10 for i in range(10000)]
    shapes = {"user_embedding.weight": [200, 4], "product_embedding.weight": [50, 4], "fc1.weight": [6, 8], "fc1.bias": [6],
              "fc2.weight": [3, 6], "fc2.bias": [3], "output.weight": [1, 3], "output.bias": [1]}
    tensors = {name: (shape, numbers[:shape[0] * (shape[1] if len(shape) > 1 else 1)]) for name, shape in shapes.items()}
    write_safetensors("torch.safetensors", tensors)
    found = forage("recommend", "torch.safetensors", "--data", "log.csv", "--user", 3, "--k", 50, "--json").json()
    items = found["users"][0]["items"]
    assert found["model"] == "embedding-mlp" and len(items) == 50

    def layer(name, values, width):
        shape, weights = tensors[name + ".weight"]
        return [sum(weights[row * width + i] * values[i] for i in range(width)) + tensors[name + ".bias"][1][row]
                for row in range(shape[0])]

    for item in items:
        row = int(item["item"])
        values = numbers[12:16] + numbers[4 * row:4 * row + 4]
        values = [max(0, value) for value in layer("fc1", values, 8)]
        values = [max(0, value) for value in layer("fc2", values, 6)]
        logit = layer("output", values, 3)[0]
        assert abs(item["score"] - 1 / (1 + 2.718281828459045 ** -logit)) < 1e-5
    tensors["fc2.weight"] = ([3, 5], numbers[:15])
    write_safetensors("wrong.safetensors", tensors)
    refused("recommend", "wrong.safetensors", "--data", "log.csv", "--user", 3, says=["wrong.safetensors", "fc2"])
    write_safetensors("other.safetensors", {"bert.weight": ([1], [0.5])})
    refused("recommend", "other.safetensors", "--data", "log.csv", "--user", 3, says=["other.safetensors"])


def test_models():
    names = [model["name"] for model in forage("models", "--json").json()["models"]]
    assert names == sorted(names) and {"embedding-mlp", "popular"} <= set(names)
    for name in names:
        model = forage("models", name, "--json").json()
        text = forage("models", name).out
        if "fit" in model["capabilities"]:
            train_help = forage("train", name, "--help").out
        else:
            assert "learn" in model["capabilities"]
            refused("train", name, "--data", "log.csv", "--output", "m", says=[name, "arena"], code=2)
            refused("report", name, "--data", "log.csv", says=[name, "arena"], code=2)
            train_help = text
        for param in model["parameters"]:
            assert "--" + param["name"] in text and "--" + param["name"] in train_help
            assert {"type", "default", "doc"} <= set(param)
        assert name in forage("models").out
    refused("models", "no-such", says=["popular"], code=2)
    # What a value of one parameter sets of others, and what follows from a model's functions.
    model, text = forage("models", "embedding-mlp", "--json").json(), forage("models", "embedding-mlp").out
    preset, = model["presets"]
    assert (preset["parameter"], preset["value"], preset["defaults"]["epochs"]) == ("recipe", "tuned", "40")
    assert "With --recipe tuned these are the defaults: epochs 40, learning-rate 0.005, " in text
    assert not {"fold-in", "extend"} & set(model["capabilities"]) and "forage update" not in text
    model, text = forage("models", "lightgcn", "--json").json(), forage("models", "lightgcn").out
    assert [(preset["parameter"], preset["value"]) for preset in model["presets"]] == [("loss", "bsl"), ("loss", "bpr")]
    assert "With --loss bpr these are the defaults: layers 3, learning-rate 0.001, " in text
    assert {"fit", "embeddings", "fold-in", "extend"} <= set(model["capabilities"]) and "forage update" in text
    assert forage("models", "popular", "--json").json()["presets"] == []
    assert "[fit, embeddings, fold-in, extend]" in forage("models").out


def test_real_logs():
    if not DATA.is_dir():
        print("# no real data here: skipped")
        return
    men, items = DATA / "obd/random/men/men.csv", DATA / "obd/random/men/item_context.csv"
    forage("train", "embedding-mlp", "--data", men, "--item-attributes", items, "--split", "random:0.2:0", "--epochs", 1,
           "--output", "men.safetensors")
    shown = forage("recommend", "men.safetensors", "--data", men, "--item-attributes", items, "--context", "position=1",
                   "--k", 5, "--json").json()["users"][0]["items"]
    assert len(shown) == 5 and all(0 <= item["score"] <= 1 for item in shown)
    result = forage("train", "popular", "--data", DATA / "gowalla/train.txt", "--output", "pop.safetensors", "--json").json()
    assert result["rows"] == 810128 and result["fields"][0]["codes"] == 40981


cli.main(globals())
