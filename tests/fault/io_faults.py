#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes every file operation of the program's commands fail, one after the other.

    io_faults.py FORAGE SHIM COMMAND

After each failure: either the program says so (exit code 1, one line on standard error) and
every file is as it was before, with nothing new beside it; or it succeeds and every file is complete.
Training may leave the state of its last complete epoch; then resuming gives the complete model.
After a kill the old file or the complete new one is there. Prints TAP.
"""
import collections
import errno
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

FORAGE, SHIM = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
if " " in SHIM:  # LD_PRELOAD takes a blank for the end of a name
    place = tempfile.TemporaryDirectory(prefix="forage-shim-")
    SHIM = shutil.copy(SHIM, place.name)
RATINGS = "user_id,item_id,rating\n" + "".join(f"u{n % 7},i{n % 5},{n % 2}\n" for n in range(200))

SIMULATE = "simulate petshop --users 20 --products 10 --seed 1"
LOG = f"{SIMULATE} --interactions 2000 --output log.csv"
FIT = "train embedding-mlp --data log.csv --epochs 2 --seed 0 --threads 1 --output mlp.safetensors"

# What is prepared, and the command that is to fail.
COMMANDS = {
    "simulate": ([], f"{SIMULATE} --interactions 40000 --output log.csv --catalogue items.csv --population users.csv"),
    "import": ([], "import ratings.csv --output log.jsonl"),
    "export": ([], "export ratings.csv --output ratings.inter"),
    "train": ([LOG], f"{FIT} --checkpoint-every 1"),
    "evaluate": ([LOG, FIT], "evaluate mlp.safetensors --data log.csv --resamples 20 --json"),
    "embeddings": ([LOG, FIT], "embeddings mlp.safetensors --output vectors.npz"),
    "recommend": ([LOG, FIT], "recommend mlp.safetensors --data log.csv --user 3 --json"),
    "arena": ([], "arena petshop --visits 300 --users 20 --agents random,linucb --json --csv scores.csv"),
    "report": ([LOG], "report popular --data log.csv --resamples 10 --gnuplot none --output report"),
}

Outcome = collections.namedtuple("Outcome", "code out err files")
number = 0
failures = 0


def report(good, text, details=""):
    global number, failures
    number += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {number} - {text}")
    for line in details.splitlines()[:12]:
        print(f"# {line}")


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(folder, command, **fault):
    environment = dict(os.environ, LD_PRELOAD=SHIM, FAULT_PROGRAM=pathlib.Path(FORAGE).name, FAULT_FOLDER=str(folder))
    # Sanitizers want to be first among the libraries; behind the shim they work as well.
    environment["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    environment.update({"FAULT_" + name.upper(): str(value) for name, value in fault.items()})
    done = subprocess.run([FORAGE, *command.split()], cwd=folder, env=environment, capture_output=True,
                          stdin=subprocess.DEVNULL, check=False, timeout=120)
    return Outcome(done.returncode, done.stdout, done.stderr.decode(errors="replace"), snapshot(folder))


def fresh(files):
    folder = tempfile.TemporaryDirectory(prefix="forage-fault-")
    for name, content in files.items():
        path = pathlib.Path(folder.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def words(out):
    """A text without its numbers, some of which are times."""
    return re.sub(rb"\d[\d.]*(e[-+]?\d+)?", b"", out)


def same(name, content, other):
    """Reports tell how long something took; all other files are the same to the byte."""
    return content == other or (name.startswith("report/") and other is not None and words(content) == words(other))


def all_same(files, others):
    return files.keys() == others.keys() and all(same(name, files[name], others[name]) for name in files)


def messages(err):
    return [line for line in err.splitlines() if line.startswith("forage: ")]


def judge(outcome, before, complete, kind):
    """What is wrong with the outcome of a failed operation, or nothing."""
    if outcome.code == 0:
        return "" if all_same(outcome.files, complete.files) and words(outcome.out) == words(complete.out) else \
            "exit code 0, but the files are not complete"
    wrong = []
    if outcome.code != 1:
        wrong.append(f"exit code {outcome.code}")
    resumable = "--resume goes on" in outcome.err
    if len(messages(outcome.err)) != 1 + resumable:
        wrong.append(f"not one message: {outcome.err!r}")
    for name, content in outcome.files.items():
        if name.endswith(".state"):
            continue  # checked by resuming
        if name not in before and not same(name, content, complete.files.get(name)):
            wrong.append(f"{name} was left behind")
        elif name in before and content != before[name] and not same(name, content, complete.files.get(name)):
            wrong.append(f"{name} was damaged")
    wrong.extend(f"{name} is gone" for name in before if name not in outcome.files)
    return "\n".join(wrong)


def attempt(before, command, complete, title, kinds, check, **fault):
    wrong = []
    for nth, kind in enumerate(kinds, 1):
        with fresh(before) as name:
            folder = pathlib.Path(name)
            outcome = run(folder, command, nth=nth, **fault)
            problem = check(outcome, before, complete, kind)
            if any(file.endswith(".state") for file in outcome.files):
                resumed = run(folder, command + " --resume")
                files = {file: content for file, content in resumed.files.items() if not file.endswith(".tmp")}
                if resumed.code or files != complete.files:
                    problem += f"; resuming does not give the complete files: {resumed.err!r}"
        if problem:
            wrong.append(f"operation {nth} ({kind}): {problem}")
    report(not wrong, f"{title}: {len(kinds)} operations", "\n".join(wrong))


def judge_kill(outcome, before, complete, kind):
    wrong = [f"{name} was damaged" for name, content in before.items()
             if outcome.files.get(name) != content and not same(name, outcome.files[name], complete.files[name])]
    return "\n".join(wrong)


def main(name):
    preparation, command = COMMANDS[name]
    with tempfile.TemporaryDirectory(prefix="forage-fault-") as place:
        folder = pathlib.Path(place)
        (folder / "ratings.csv").write_text(RATINGS)
        for step in preparation:
            done = run(folder, step)
            if done.code:
                report(False, f"preparation: {step}", done.err)
                return
        before = snapshot(folder)
        with tempfile.NamedTemporaryFile() as record:
            complete = run(folder, command, count=record.name)
            kinds = pathlib.Path(record.name).read_text().split()
    report(complete.code == 0 and len(kinds) > 2, f"{name} works: {len(kinds)} file operations", complete.err)
    if complete.code:
        return
    made = [file for file in complete.files if file not in before]
    attempt(before, command, complete, "disk full", kinds, judge, errno=errno.ENOSPC)
    attempt(before, command, complete, "disk full and staying so", kinds, judge, errno=errno.ENOSPC, lasting=1)
    attempt(before, command, complete, "input/output error", kinds, judge, errno=errno.EIO)
    if made:
        old = {**before, **{file: b"the old file\n" for file in made}}
        attempt(old, command, complete, "error over an old file", kinds, judge, errno=errno.EIO)
        attempt(old, command, complete, "killed over an old file", kinds, judge_kill, signal=int(signal.SIGKILL))
        attempt(old, command, complete, "interrupted over an old file", kinds, judge, signal=int(signal.SIGINT))


main(sys.argv[3])
print(f"1..{number}")
sys.exit(1 if failures else 0)
