#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""forage embeddings, and what forage recommend makes of vectors, as a user meets them. With NumPy where it is there."""
import ast
import json
import pathlib
import struct
import zipfile
from urllib.parse import unquote

import cli
from cli import forage, refused

try:
    import numpy
except ImportError:
    numpy = None

LOG = "user_id,item_id,clicked\n" + "".join(
    f"{user},{item},{int((u + i) % 2 == 0)}\n"
    for u, user in enumerate(("ann", "bob", "zoë")) for i, item in enumerate(("shoe", "hat", "50% off,\tnow", "sock")) for _ in range(8))
ITEMS = ["shoe", "hat", "50% off,\tnow", "sock"]


def trained(log=LOG, size=5, *options):
    pathlib.Path("log.csv").write_text(log.replace("50% off,\tnow", '"50% off,\tnow"'))
    forage("train", "embedding-mlp", "--data", "log.csv", "--epochs", 3, "--embedding-size", size, "--layers", 8, *options,
           "--output", "mlp")


def read_safetensors(path):
    content = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            assert entry["dtype"] == "F32"
            tensors[name] = (entry["shape"], struct.unpack("<%df" % ((end - begin) // 4), content[8 + length + begin:8 + length + end]))
    return tensors, header["__metadata__"]


def read_npz(path):
    """Without NumPy: {name: (type, shape, bytes)}. Python's zipfile checks the checksums."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            content = archive.read(name)
            assert content[:8] == b"\x93NUMPY\x01\x00" and name.endswith(".npy")
            length = struct.unpack("<H", content[8:10])[0]
            assert (10 + length) % 64 == 0 and content[9 + length:10 + length] == b"\n"
            header = ast.literal_eval(content[10:10 + length].decode())
            assert header["fortran_order"] is False
            arrays[name[:-4]] = (header["descr"], header["shape"], content[10 + length:])
    return arrays


def test_safetensors():
    for size in (5, 16, "3,7"):
        trained(size=size)
        out = forage("embeddings", "mlp", "--output", "v.safetensors").out
        widths = [int(w) for w in str(size).split(",")]
        assert f"user_embedding: 3 x {widths[0]}" in out and f"item_embedding: 4 x {widths[-1]}" in out
        tensors, metadata = read_safetensors("v.safetensors")
        model, _ = read_safetensors("mlp")
        assert tensors["user_embedding"] == model["user_embedding.weight"]
        assert tensors["item_embedding"] == model["item_embedding.weight"]
        assert metadata["model"] == "embedding-mlp"
        assert [unquote(line) for line in metadata["user_ids"].split("\n")] == ["ann", "bob", "zoë"]
        assert [unquote(line) for line in metadata["item_ids"].split("\n")] == ITEMS


def test_npz():
    trained()
    summary = forage("embeddings", "mlp", "--output", "v.npz", "--json").json()
    assert summary == {"model": "embedding-mlp", "output": "v.npz", "user_embedding": [3, 5], "item_embedding": [4, 5]}
    tensors, _ = read_safetensors("mlp")
    arrays = read_npz("v.npz")
    assert sorted(arrays) == ["item_embedding", "item_ids", "user_embedding", "user_ids"]
    for kind, count in (("user", 3), ("item", 4)):
        descr, shape, content = arrays[kind + "_embedding"]
        assert descr == "<f4" and shape == (count, 5)
        assert struct.unpack("<%df" % (count * 5), content) == tensors[kind + "_embedding.weight"][1]
    longest = max(len(item.encode()) for item in ITEMS)
    assert arrays["item_ids"] == (f"|S{longest}", (4,), b"".join(item.encode().ljust(longest, b"\0") for item in ITEMS))
    again = pathlib.Path("v.npz").read_bytes()
    forage("embeddings", "mlp", "--output", "v.npz")
    assert pathlib.Path("v.npz").read_bytes() == again
    if numpy:
        with numpy.load("v.npz") as file:
            assert [item.decode() for item in file["item_ids"]] == ITEMS
            assert file["user_embedding"].dtype == numpy.float32 and file["user_embedding"].shape == (3, 5)
            assert tuple(file["item_embedding"].ravel()) == tensors["item_embedding.weight"][1]


def test_numbers_are_their_own_ids():
    trained(LOG.replace("ann", "0").replace("bob", "1").replace("zoë", "2"))
    forage("embeddings", "mlp", "--output", "v.npz")
    assert read_npz("v.npz")["user_ids"] == ("<i8", (3,), struct.pack("<3q", 0, 1, 2))
    forage("embeddings", "mlp", "--output", "v.safetensors")
    _, metadata = read_safetensors("v.safetensors")
    assert "user_ids" not in metadata and "item_ids" in metadata
    if numpy:
        with numpy.load("v.npz") as file:
            assert file["user_ids"].tolist() == [0, 1, 2] and file["user_ids"].dtype == numpy.int64


def test_items_alone():
    trained(LOG, 5, "--fields", "item_id")
    assert "user" not in forage("embeddings", "mlp", "--output", "v.npz").out
    assert sorted(read_npz("v.npz")) == ["item_embedding", "item_ids"]
    refused("recommend", "mlp", "--data", "log.csv", "--similar-users", "ann", says=["embedding-mlp", "users"])


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    return dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def test_similar():
    trained()
    shape, numbers = read_safetensors("mlp")[0]["item_embedding.weight"]
    rows = [numbers[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]
    result = forage("recommend", "mlp", "--data", "log.csv", "--similar-items", "hat", "--similar-items", "sock", "--json").json()
    assert [entry["item"] for entry in result["similar"]] == ["hat", "sock"] and "users" not in result
    for entry in result["similar"]:
        own = ITEMS.index(entry["item"])
        wanted = sorted(((cosine(rows[own], rows[i]), -i) for i in range(4) if i != own), reverse=True)
        assert [item["item"] for item in entry["items"]] == [ITEMS[-i] for _, i in wanted]
        assert all(abs(item["score"] - score) < 1e-6 for item, (score, _) in zip(entry["items"], wanted))
    users = forage("recommend", "mlp", "--data", "log.csv", "--similar-users", "ann", "--k", 1, "--json").json()["similar"]
    assert len(users) == 1 and users[0]["user"] == "ann" and len(users[0]["users"]) == 1
    assert users[0]["users"][0]["user"] in ("bob", "zoë") and -1 <= users[0]["users"][0]["score"] <= 1
    left = forage("recommend", "mlp", "--data", "log.csv", "--similar-items", "hat", "--exclude", "sock", "--json").json()
    assert sorted(item["item"] for item in left["similar"][0]["items"]) == ["50% off,\tnow", "shoe"]
    text = forage("recommend", "mlp", "--data", "log.csv", "--similar-users", "zoë", "--similar-items", "hat").out
    assert "like user_id zoë, by cosine" in text and "like item_id hat" in text and "1. " in text and "no more" in text


def test_mistakes():
    trained()
    refused("embeddings", "mlp", says=["--output"], code=2)
    refused("embeddings", "mlp", "--output", "v.txt", says=["v.txt", ".npz", ".safetensors"], code=2)
    refused("embeddings", "none", "--output", "v.npz", says=["none"])
    refused("embeddings", "mlp", "--output", "no/folder/v.npz", says=["no/folder/v.npz"])
    forage("train", "popular", "--data", "log.csv", "--output", "popular")
    refused("embeddings", "popular", "--output", "v.npz", says=["popular", "vectors"])
    refused("recommend", "popular", "--data", "log.csv", "--similar-items", "hat", says=["popular", "items"])
    refused("recommend", "mlp", "--data", "log.csv", "--similar-items", "cap", says=["'cap'", "item_id"])
    refused("recommend", "mlp", "--data", "log.csv", "--similar-users", "tom", says=["'tom'", "user_id"])
    refused("recommend", "mlp", "--data", "log.csv", "--similar-users", "ann", "--user", "bob", says=["--user"], code=2)
    assert not pathlib.Path("v.npz").exists() and not pathlib.Path("v.txt").exists()


cli.main(globals())
