# SPDX-License-Identifier: Apache-2.0
"""What the comparisons share."""
import json
import pathlib
import subprocess
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
