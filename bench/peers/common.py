# SPDX-License-Identifier: Apache-2.0
"""What the comparisons share."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def need(name):
    try:
        return __import__(name)
    except ImportError:
        print(f"{name} is not installed: what needs it is passed over (Debian: python3-{name})")
        return None


def best(function, repeats):
    """Seconds: the shortest and the median."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times), sorted(times)[len(times) // 2]


def second_epoch(build, *arguments):
    """Seconds that `forage train` takes for its second epoch."""
    with tempfile.TemporaryDirectory() as folder:
        command = [build / "src/cli/forage", "train", *arguments, "--epochs", "2", "--output",
                   pathlib.Path(folder) / "m.safetensors", "--json", "--quiet"]
        epochs = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["epochs"]
    return epochs[1]["seconds"] - epochs[0]["seconds"]


def beside_torch(compare):
    """The program of a comparison with PyTorch on all cores: compare(torch, build folder, log) for each log there is."""
    if len(sys.argv) < 3:
        sys.exit(f"usage: {pathlib.Path(sys.argv[0]).name} BUILD-FOLDER LOG ...")
    build, paths = pathlib.Path(sys.argv[1]).resolve(), [pathlib.Path(name) for name in sys.argv[2:]]
    torch = need("torch")
    if not torch:
        return
    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(0)
    for path in paths:
        if path.exists():
            compare(torch, build, path)
        else:
            print(f"{path} is not there: it is passed over (FORAGE_DATA names the folder of data)")
