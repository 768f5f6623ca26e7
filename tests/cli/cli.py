# SPDX-License-Identifier: Apache-2.0
"""What the tests of commands share: running the program, and a TAP report.

A test is a function whose name begins with test_; it runs in a folder of its
own. Each file of tests ends with `cli.main(globals())` and gets the program's
path as its first argument.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback

PROGRAM = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "forage"
SOURCE = pathlib.Path(__file__).resolve().parents[2]


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)


def forage(*arguments, code=0, stdin=None, timeout=240):
    """Runs the program; its exit code must be `code`."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout, check=False,
                          encoding="utf-8", errors="replace")
    if done.returncode != code:
        raise AssertionError("forage %s: exit code %d instead of %d\n%s%s" % (
            " ".join(map(str, arguments)), done.returncode, code, done.stdout[-2000:], done.stderr[-2000:]))
    return Result(done)


def refused(*arguments, says=(), code=1, stdin=None):
    """The program must fail with one line on standard error that holds all of `says`, and nothing on standard output."""
    result = forage(*arguments, code=code, stdin=stdin)
    lines = result.err.strip().splitlines()
    for part in says:
        assert part in result.err, "'%s' is not in: %s" % (part, result.err)
    assert len(lines) == 1 and lines[0].startswith("forage: "), "not one message: %s" % result.err
    assert result.out == "", "printed although it failed: %s" % result.out
    return result


def main(names):
    tests = [(name, value) for name, value in names.items() if name.startswith("test_") and callable(value)]
    failed = 0
    print("1..%d" % len(tests))
    for number, (name, function) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                function()
                print("ok %d - %s" % (number, name))
            except Exception:  # whatever it is, the others still run
                failed += 1
                print("not ok %d - %s" % (number, name))
                for line in traceback.format_exc().splitlines():
                    print("# " + line)
            os.chdir("/")
    sys.exit(1 if failed else 0)
